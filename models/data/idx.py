"""The file format of MNIST: four files in a folder, gzipped or not.

A file is two zero bytes, a type (8: unsigned bytes, the only one read here), the number of dimensions, each dimension
as a big-endian 32-bit number, then the values, the last dimension fastest (LeCun, Cortes and Burges,
"The MNIST database", section "the IDX file format").
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...source import DataError, Faults, Place
from ._dataset import Dataset
from ._validation import assemble
from .loader import Loader, Options

UNSIGNED_BYTE = 0x08
OTHER_TYPES = {0x09: "signed bytes", 0x0B: "16-bit numbers", 0x0C: "32-bit numbers", 0x0D: "floats", 0x0E: "doubles"}
GZIP_MAGIC = b"\x1f\x8b"
READ_BYTES = 1 << 20

SPLIT_NAMES = {"train": ("train",), "test": ("t10k", "test")}
"""What the files of a split begin with; the first that is there is taken."""


def read(argument: str, options: Options) -> Dataset:
    """Images and labels of both splits in the folder `argument`; what is wrong with the four files is told at once."""
    folder = Path(argument).expanduser()
    arrays: dict[tuple[str, str], NDArray[np.uint8]] = {}
    with Faults(DataError) as faults:
        names = _names(folder)
        for split in SPLIT_NAMES:
            for role, dimensions in (("images", 3), ("labels", 1)):
                try:
                    arrays[split, role] = read_file(_find(folder, names, split, role, dimensions), dimensions)
                except DataError as error:
                    faults.extend(error.faults)
    train = arrays["train", "images"], arrays["train", "labels"]
    test = arrays["test", "images"], arrays["test", "labels"]
    return assemble(f"idx:{argument}", train, test, options.number("classes"), options.number("maximum"))


def read_file(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """The array in the IDX file `path`, which must have that many dimensions; raises DataError."""
    place = Place(str(path))
    content, ended = _content(path, place)
    shape = _shape(content, dimensions, place)
    header, values = 4 + 4 * dimensions, math.prod(shape)
    if len(content) != header + values:
        fault = "truncated" if len(content) < header + values else "too long"
        sizes = " x ".join(map(str, shape))
        raise DataError.at(
            place, f"{fault}: its header announces {sizes}, {header + values} bytes in all; there are {len(content)}"
        )
    if not ended:
        raise DataError.at(place, "truncated: the checksum at the end of the archive is missing")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def _names(folder: Path) -> set[str]:
    try:
        return {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise DataError.at(Place(str(folder)), error.strerror or str(error)) from error


def _find(folder: Path, names: set[str], split: str, role: str, dimensions: int) -> Path:
    wanted = [f"{start}-{role}{mark}idx{dimensions}-ubyte" for start in SPLIT_NAMES[split] for mark in "-."]
    for name in wanted:
        for candidate in (name, f"{name}.gz"):
            if candidate in names:
                return folder / candidate
    raise DataError.at(
        Place(str(folder)),
        f"there are no {split} {role}: no file is called {' or '.join(wanted)}, with or without .gz",
    )


def _content(path: Path, place: Place) -> tuple[bytearray, bool]:
    """All bytes of the file, unpacked, and True; of a truncated archive, those that can still be had, and False."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == GZIP_MAGIC
            file.seek(0)
            if packed != (path.suffix == ".gz"):
                content, name = ("packed with gzip", f"{path.name}.gz") if packed else ("not packed", path.stem)
                raise DataError.at(place, f"its content is {content}", hints=[f"rename it to {name}"])
            if not packed:
                return bytearray(file.read()), True
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _until_it_ends(unpacked)
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError.at(place, f"the archive is damaged: {error}") from error
    except OSError as error:
        raise DataError.at(place, error.strerror or str(error)) from error


def _until_it_ends(unpacked: gzip.GzipFile) -> tuple[bytearray, bool]:
    content = bytearray()
    try:
        while piece := unpacked.read1(READ_BYTES):  # read() would lose what it had when the archive breaks off
            content += piece
    except EOFError:
        return content, False
    return content, True


def _shape(content: bytearray, dimensions: int, place: Place) -> tuple[int, ...]:
    header = 4 + 4 * dimensions
    magic = bytes((0, 0, UNSIGNED_BYTE, dimensions))
    found = bytes(content[:4])
    if found != magic[: len(found)]:
        known = OTHER_TYPES.get(found[2]) if len(found) == 4 and found[:2] == b"\0\0" else None
        why = f": {known}, where only unsigned bytes are read" if known else ""
        raise DataError.at(place, f"it begins with {found.hex(' ')}, not with {magic.hex(' ')}{why}")
    if len(content) < header:
        raise DataError.at(place, f"truncated: its header alone needs {header} bytes; there are {len(content)}")
    return struct.unpack(f">{dimensions}I", content[4:header])


loader = Loader(
    "a folder in the format of MNIST, gzipped or not",
    read,
    "DIR",
    {
        "classes": "the number of classes, unless one more than the largest label",
        "maximum": "the stored value that is handed out as 1, unless 255",
    },
)
