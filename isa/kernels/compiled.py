"""The kernels that are compiled when snnc is installed (the C files here), and whether they are there.

They give the bits of the NumPy forms beside them.  Without a compiler the installation goes through and the NumPy forms
serve; ``SNNC_KERNELS=numpy`` in the environment chooses these, ``SNNC_KERNELS=vectors`` kernels without the unit for
matrices that a machine may have.  What is called releases the lock of the interpreter.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from functools import lru_cache
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .sources import digest

Array = NDArray[Any]

CHOICE = "SNNC_KERNELS"
LANES = 16
"""Columns of sums that a kernel makes at once; `_vectors.h` has it, too."""

VECTORS = {4: "AVX-512", 3: "AVX2", 0: "portable"}


MATRIX = ("never", "where it pays", "wherever it serves")
"""When a unit for matrices makes exact sums."""


class Call(bytes):
    """What a kernel reads of how operands lie; the arrays that it points to stay as long as it does."""

    kept: tuple[Array, ...]

    @classmethod
    def of(cls, content: bytes, *kept: Array) -> Call:
        """*content*, which points to the arrays *kept*."""
        made = cls(content)
        made.kept = kept
        return made


_POINTER, _BYTES, _SIZE, _FLAG = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64, ctypes.c_int32
_SIGNATURES: dict[str, list[Any]] = {
    "snnc_contract_room": [_POINTER],
    "snnc_contract": [_POINTER, _POINTER, _SIZE, _POINTER, _POINTER, _FLAG, _POINTER],
    "snnc_use_matrix": [_SIZE],
    "snnc_kept_bytes": [],
    "snnc_kept_served": [],
    "snnc_element": [_BYTES, _BYTES, _POINTER, _POINTER],
    "snnc_drain": [_BYTES, _BYTES],
    "snnc_move": [_BYTES, _SIZE, _SIZE],
    "snnc_pool_sum": [_BYTES, _BYTES],
    "snnc_pool_max": [_BYTES, _BYTES],
    "snnc_unpool": [_BYTES, _BYTES],
    "snnc_mean": [_BYTES, _BYTES, _SIZE],
    "snnc_comoment": [_BYTES, _BYTES, _SIZE],
}


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The compiled kernels; None where there are none, or the environment says so."""
    path = _built()
    if os.environ.get(CHOICE) == "numpy" or path is None:
        return None
    try:
        loaded = ctypes.CDLL(str(path))
        if not _of_sources(loaded, path.parent):
            return None
        for name, arguments in _SIGNATURES.items():
            function = getattr(loaded, name)
            function.argtypes, function.restype = arguments, _SIZE
        loaded.snnc_use_matrix(MATRIX.index("never" if os.environ.get(CHOICE) == "vectors" else "where it pays"))
    except (OSError, AttributeError):  # of another machine, or of another version of snnc
        return None
    module = _module(path)
    for name in _SIGNATURES:
        if hasattr(module, name):
            setattr(loaded, name, getattr(module, name))
    return loaded


def of_python() -> Any:
    """The kernels as a module of Python's own, whose functions are called sooner, and with what notes their calls
    (`calls`); None where Python's headers were not there, or nothing is compiled."""
    path = _built()
    return None if library() is None or path is None else _module(path)


def _built() -> Path | None:
    """Where the compiled kernels lie; None where there are none."""
    here = Path(__file__).parent
    return next((path for suffix in EXTENSION_SUFFIXES if (path := here / f"_compiled{suffix}").exists()), None)


def _of_sources(loaded: ctypes.CDLL, folder: Path) -> bool:
    """Whether it was compiled from the C files of *folder*, where there are any; AttributeError: it does not know."""
    loaded.snnc_sources.restype = ctypes.c_uint64
    return digest(folder) in (None, loaded.snnc_sources())


@lru_cache(maxsize=1)
def _module(path: Path) -> Any:
    spec = spec_from_file_location(f"{__package__}._compiled", path)
    assert spec is not None
    try:
        return module_from_spec(spec)
    except ImportError:
        return None


def why_none() -> str:
    """Why the NumPy forms serve; empty where the compiled ones do."""
    if library() is not None:
        return ""
    if os.environ.get(CHOICE) == "numpy":
        return f"{CHOICE}=numpy says so"
    if _built() is not None and digest(Path(__file__).parent) is not None:
        made_of = "other C files or for another machine"
        return f"those here were compiled from {made_of}; `pip install -e .` compiles them anew"
    return "none were compiled when snnc was installed, which takes a C compiler"


def vectors() -> str:
    """The vector unit that the compiled kernels use here; empty where there are none."""
    loaded = library()
    return "" if loaded is None else VECTORS[loaded.snnc_vectors()]


def use_matrix(when: str) -> bool:
    """Says *when* (one of `MATRIX`) the unit for matrices is used from now on; whether there is one."""
    loaded = library()
    return loaded is not None and bool(loaded.snnc_use_matrix(MATRIX.index(when)))


_rooms = threading.local()

KERNELS = {
    "contract": (
        "sums of f32 in the order of the loops",
        "exact sums of f16 that bits and numbers gate",
        "exact sums of products of two f16",
    ),
    "drain": ("accumulators as values of f16, bf16 and f32",),
    "element": ("programs of lanes, which reduce rows of up to 512, or up to 512 rows",),
    "moments": ("means and covariances of exact sums",),
    "moving": ("boxes between DRAM and scratchpads, tiles between these and the network",),
    "window": ("sums of windows as values of f16, bf16 and f32", "the largest of a window, and the way back to it"),
}
"""What is compiled, by the module that has the NumPy form."""


def listed() -> Iterator[tuple[str, str]]:
    """Every kernel, and what makes its sums here."""
    by = f"compiled, {vectors()}" if library() is not None else f"NumPy: {why_none()}"
    exact = f"{by} and AMX" if os.environ.get(CHOICE) != "vectors" and use_matrix("where it pays") else by
    for module, kernels in KERNELS.items():
        for kernel in kernels:
            yield f"{module}: {kernel}", exact if module == "contract" and kernel.startswith("exact") else by


def room(size: int) -> int:
    """The address of so many bytes to work in, which are the thread's own until it asks again."""
    held = getattr(_rooms, "held", None)
    if held is None or held.size < size:
        held = _rooms.held = np.empty(size, np.uint8)
        _rooms.address = at(held)
    return _rooms.address


def room_size() -> int:
    """Bytes in which the thread works now."""
    held = getattr(_rooms, "held", None)
    return 0 if held is None else held.size


def kept() -> tuple[int, int]:
    """Bytes in which the thread keeps right operands that come back, and how often these had not changed."""
    loaded = library()
    return (0, 0) if loaded is None else (loaded.snnc_kept_bytes(), loaded.snnc_kept_served())


def at(array: Array) -> int:
    """The address of the first element."""
    return array.__array_interface__["data"][0]
