"""The kernels that are compiled when snnc is installed (the C files here), and whether they are there.

They give the bits of the NumPy forms beside them.  Without a compiler the installation goes through and the NumPy forms
serve; ``SNNC_KERNELS=numpy`` in the environment chooses these.  What is called releases the interpreter's lock.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

CHOICE = "SNNC_KERNELS"
LANES = 16
"""Columns of sums that a kernel makes at once; `_compiled.c` has it, too."""

_WORD = 8
"""Bytes that are looked at together where they stand side by side."""

VECTORS = {4: "AVX-512", 3: "AVX2", 0: "portable"}

_POINTER, _BYTES, _SIZE, _FLAG = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64, ctypes.c_int32
_TERMS = [_POINTER] * 4 + [_SIZE] + [_POINTER] + [_SIZE] * 4
_EVENTS = [*_TERMS, _POINTER, _POINTER]
_SIGNATURES = {
    **{f"snnc_terms_{word}": _TERMS for word in ("f32", "f64")},
    **{f"snnc_events_{word}": _EVENTS for word in ("f32", "f64")},
    **{f"snnc_ordered_{element}": [*_EVENTS, _POINTER, _FLAG] for element in ("f16_f16", "f16", "bf16", "f32")},
    "snnc_element": [_BYTES, _BYTES, _POINTER, _POINTER],
    "snnc_drain": [_BYTES, _POINTER, _POINTER, _POINTER],
    "snnc_pool_sum": [_BYTES, _POINTER, _POINTER],
}


class View(NamedTuple):
    """The left operand of sums, as it lies in memory: element ``[row][k]`` of it is ``rows[row] + places[k]`` elements
    behind the first one of *storage*; *run* of a row stand side by side, and *rows_run* of a column."""

    storage: Array
    rows: NDArray[np.int64]
    places: NDArray[np.int64]
    run: int
    rows_run: int


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The compiled kernels; None where there are none, or the environment says so."""
    if os.environ.get(CHOICE) == "numpy":
        return None
    here = Path(__file__).parent
    found = [path for suffix in EXTENSION_SUFFIXES if (path := here / f"_compiled{suffix}").exists()]
    if not found:
        return None
    try:
        loaded = ctypes.CDLL(str(found[0]))
        for name, arguments in _SIGNATURES.items():
            function = getattr(loaded, name)
            function.argtypes, function.restype = arguments, _SIZE
    except (OSError, AttributeError):  # of another machine, or of another version of snnc
        return None
    return loaded


def why_none() -> str:
    """Why the NumPy forms serve; empty where the compiled ones do."""
    if library() is not None:
        return ""
    if os.environ.get(CHOICE) == "numpy":
        return f"{CHOICE}=numpy says so"
    return "none were compiled when snnc was installed, which takes a C compiler"


def vectors() -> str:
    """The vector unit that the compiled kernels use here; empty where there are none."""
    loaded = library()
    return "" if loaded is None else VECTORS[loaded.snnc_vectors()]


KERNELS = {
    "contract": ("sums of f32 in the order of the loops", "sums of x64 that spikes gate"),
    "drain": ("accumulators as values of f16, bf16 and f32",),
    "element": ("programs of lanes that reduce nothing",),
    "window": ("sums of windows as values of f16, bf16 and f32",),
}
"""What is compiled, by the module that has the NumPy form."""


def listed() -> Iterator[tuple[str, str]]:
    """Every kernel, and what makes its sums here."""
    by = f"compiled, {vectors()}" if library() is not None else f"NumPy: {why_none()}"
    for module, kernels in KERNELS.items():
        for kernel in kernels:
            yield f"{module}: {kernel}", by


def view_of(storage: Array, batch: Sequence[int], m: Sequence[int], k: Sequence[int], extents: Sequence[int]) -> View:
    """*storage*, which has an axis a loop, as a stack of matrices over the loops *batch*, *m* and *k*."""
    size = storage.itemsize
    if not storage.flags.aligned or any(stride % size for stride in storage.strides):
        storage = np.ascontiguousarray(storage)
    steps = tuple(
        stride // size if extent > 1 else 0 for stride, extent in zip(storage.strides, storage.shape, strict=True)
    )
    stack, down, along = (tuple((extents[axis], steps[axis]) for axis in axes) for axes in (batch, m, k))
    return View(storage, _offsets(stack + down), _offsets(along), _run(along), _run(down))


def events(acc: Array, left: View, right: Array) -> int:
    """acc += left * right, k ascending; how many left elements were not zero.

    *acc* ``[stack, m, n]`` and *right* ``[stack, k, n]`` are contiguous f32 or f64, n a multiple of `LANES`; *left*
    has unsigned bytes.
    """
    loaded = library()
    assert loaded is not None
    (stack, m, n), k = acc.shape, right.shape[1]
    word = f"f{acc.itemsize * 8}"
    if left.run < _WORD <= left.rows_run:
        call = getattr(loaded, f"snnc_terms_{word}")
        return call(*_view(acc, left), left.rows_run, at(right), stack, m, k, n)
    found, factors = np.empty(k, np.int32), np.empty(k, acc.dtype)
    call = getattr(loaded, f"snnc_events_{word}")
    return call(*_view(acc, left), left.run, at(right), stack, m, k, n, at(found), at(factors))


def ordered(element: str, acc: Array, left: View, right: Array, harmless: bool) -> int:
    """The same in f32, where *left* has floats of the format *element*; ``f16_f16`` says that *right* has
    values of f16, too, so that no product is rounded; see `_compiled.c` for *harmless*."""
    loaded = library()
    assert loaded is not None
    (stack, m, n), k = acc.shape, right.shape[1]
    found, factors, values = np.empty(k, np.int32), np.empty(k, np.float32), np.empty((4, k), np.float32)
    call = getattr(loaded, f"snnc_ordered_{element}")
    room = at(found), at(factors), at(values)
    return call(*_view(acc, left), left.run, at(right), stack, m, k, n, *room, harmless)


def _view(acc: Array, left: View) -> tuple[int, int, int, int]:
    return at(acc), at(left.storage), at(left.rows), at(left.places)


def at(array: Array) -> int:
    """The address of the first element."""
    return array.__array_interface__["data"][0]


def _run(axes: Sequence[tuple[int, int]]) -> int:
    """How many elements stand side by side along the innermost of *axes* (extent, step)."""
    run = 1
    for extent, step in reversed(axes):
        if step != run and extent > 1:
            break
        run *= extent
    return run


@lru_cache(maxsize=4096)
def _offsets(axes: tuple[tuple[int, int], ...]) -> NDArray[np.int64]:
    """Sums of ``index * step`` over all *axes* (extent, step), the last one fastest."""
    result = np.zeros(1, np.int64)
    for extent, step in axes:
        result = (result[:, None] + np.arange(extent, dtype=np.int64) * step).ravel()
    return result
