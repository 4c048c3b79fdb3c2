"""Parameters to and from files: `.npz` and `.safetensors`, by symbol name, in the shapes that PyTorch uses.

Running statistics go with them; what differs from step to step has time as its first axis.  What goes out is the
master copy (f32) where a parameter has one, else the working copy.  What comes in is written to the master and,
rounded, to the working copy.  Parameters of a checkpoint file come in, too.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..catalog import unknown
from ..isa.files import read_whole, write_whole
from ..isa.program import Program, Symbol
from ..source import DataError, Faults, Place
from . import checkpoint
from .interpreter import Interpreter
from .tensors import lead_of

Arrays = Mapping[str, NDArray[Any]]


def parameters(program: Program) -> tuple[Symbol, ...]:
    """The symbols of roles parameter and statistic, in the order of the program."""
    return tuple(symbol for symbol in program.symbols if symbol.role in ("parameter", "statistic"))


def master_of(program: Program, parameter: Symbol) -> Symbol | None:
    """The master copy of *parameter*: the symbol of role master that is called ``NAME.SOMETHING`` and has its shape."""
    found = (
        symbol
        for symbol in program.symbols
        if symbol.role == "master"
        and symbol.shape == parameter.shape
        and symbol.name.rpartition(".")[0] == parameter.name
    )
    return next(found, None)


def exported(interpreter: Interpreter) -> dict[str, NDArray[np.float32]]:
    """Every parameter by name, in its logical shape."""
    program = interpreter.program
    return {
        symbol.name: interpreter.values((master_of(program, symbol) or symbol).name).astype(np.float32)
        for symbol in parameters(program)
    }


@dataclass(frozen=True)
class Wanted:
    """A parameter or running statistic of a network: its shape, and whether a file may leave it out."""

    shape: tuple[int, ...]
    optional: bool


def check(wanted: Mapping[str, Wanted], arrays: Arrays, file: str) -> None:
    """DataError tells every name and shape of *arrays* that does not fit what is *wanted*, together."""
    place = Place(file)
    with Faults(DataError) as faults:
        for name in arrays:
            if name not in wanted:
                faults.add(place, str(unknown("parameter", name, wanted)))
        for name, each in wanted.items():
            if name not in arrays:
                if not each.optional:
                    faults.add(place, f"has no {name} {list(each.shape)}")
            elif arrays[name].shape != each.shape:
                faults.add(place, f"{name} is {list(arrays[name].shape)}; the network has {list(each.shape)}")
            elif not np.isfinite(arrays[name]).all():
                faults.add(place, f"{name} has elements that are not finite")


def take_over(interpreter: Interpreter, arrays: Arrays, file: str = "<weights>") -> None:
    """Write *arrays* into parameters and masters; DataError where they do not fit (see `check`), and then nothing is.

    A file may lack running statistics, which then stay as they are.
    """
    program = interpreter.program
    known = {symbol.name: symbol for symbol in parameters(program)}
    wanted = {name: Wanted(lead_of(each) + each.shape, each.role == "statistic") for name, each in known.items()}
    check(wanted, arrays, file)
    for name, symbol in known.items():
        if name not in arrays:
            continue
        single = np.asarray(arrays[name], np.float32)
        master = master_of(program, symbol)
        interpreter.write(name, single)
        if master is not None:
            interpreter.write(master.name, single)


def save(interpreter: Interpreter, path: str | Path) -> None:
    """Write all parameters to *path*, as its suffix says; DataError for another suffix or where writing fails."""
    path = Path(path)
    arrays = exported(interpreter)
    if path.suffix == ".npz":
        write_whole(path, archive(arrays))
    elif path.suffix == ".safetensors":
        write_whole(path, _safetensors(path).save({k: np.ascontiguousarray(v) for k, v in arrays.items()}))
    else:
        raise DataError.at(Place(str(path)), "weights are written as .npz or .safetensors")


def archive(arrays: Arrays) -> bytes:
    """The bytes of a `.npz`; equal arrays have equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, np.asarray(array, order="C"), allow_pickle=False)
            file.writestr(zipfile.ZipInfo(f"{name}.npy"), content.getvalue())
    return buffer.getvalue()


def load(path: str | Path) -> dict[str, NDArray[Any]]:
    """The arrays in a `.npz`, a `.safetensors` or a checkpoint; DataError where they cannot be read."""
    path = Path(path)
    content = read_whole(path)
    if content[: len(checkpoint.MAGIC)] == checkpoint.MAGIC:
        held = checkpoint.from_bytes(content, str(path))
        return of_checkpoint(held)
    if path.suffix == ".safetensors":
        reader = _safetensors(path)
        try:
            return dict(reader.load(content))
        except Exception as error:  # its errors have no common base but Exception
            raise DataError.at(Place(str(path)), f"not a safetensors file: {error}") from None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise DataError.at(Place(str(path)), f"not a .npz of plain arrays: {error}") from None


def of_checkpoint(held: checkpoint.Checkpoint) -> dict[str, NDArray[Any]]:
    """The parameters and statistics of a checkpoint, from their masters where there are any."""
    kept = [symbol for symbol in held.symbols if symbol.role in ("parameter", "statistic")]
    arrays = {symbol.name: held.tensor(symbol.name) for symbol in kept}
    for symbol in held.symbols:
        name = symbol.name.rpartition(".")[0]
        if symbol.role == "master" and name in arrays and arrays[name].shape == symbol.shape:
            arrays[name] = held.tensor(symbol.name)
    return arrays


def _safetensors(path: Path) -> Any:
    """The module that reads and writes safetensors; DataError where it is not installed."""
    try:
        return import_module("safetensors.numpy")
    except ImportError:
        hints = ["pip install safetensors", "a .npz file"]
        raise DataError.at(Place(str(path)), "safetensors is not installed", hints=hints) from None
