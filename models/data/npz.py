"""NumPy archives: both splits under one of the usual sets of names, or one split that is then divided."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast
from zipfile import BadZipFile, is_zipfile

import numpy as np
from numpy.lib.npyio import NpzFile
from numpy.typing import NDArray

from ...source import DataError, Place
from ._dataset import Dataset
from ._validation import assemble, divide
from .loader import Loader, Options

SETS_OF_NAMES = (
    ("x_train", "y_train", "x_test", "y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("images", "labels", "test_images", "test_labels"),
)
HELD_OUT_PART = 6
SPLIT_SEED = 0


def read(argument: str, options: Options) -> Dataset:
    """The arrays of one archive. Where only one split is there, `divide` holds out every class's sixth to test on."""
    path = Path(argument).expanduser()
    arrays = list(read_archive(path, _choose).values())
    if len(arrays) == 4:
        train, test = (arrays[0], arrays[1]), (arrays[2], arrays[3])
    else:
        images, labels = arrays
        if images.ndim == 0 or labels.size < 2 or labels.shape[:1] != (labels.size,) or len(images) != len(labels):
            raise DataError.at(
                Place(str(path)),
                f"two or more images with a label each are needed, not images of the shape {list(images.shape)}"
                f" and labels of the shape {list(labels.shape)}",
            )
        train, test = divide(images, labels, max(1, len(labels) // HELD_OUT_PART), SPLIT_SEED)
    return assemble(f"npz:{argument}", train, test, options.number("classes"), options.number("maximum"))


def read_archive(path: Path, choose: Callable[[list[str], Place], Iterable[str]]) -> dict[str, NDArray[Any]]:
    """Those arrays of an archive that `choose` picks among its names, in the order of its choice; raises DataError."""
    place = Place(str(path))
    try:
        with path.open("rb") as file:
            if not is_zipfile(file):
                raise DataError.at(place, "this is no complete .npz archive", hints=["numpy.savez writes one"])
        with np.load(path, allow_pickle=False) as archive:
            return {name: _array(archive, name, place) for name in choose(list(archive.files), place)}
    except OSError as error:
        raise DataError.at(place, error.strerror or str(error)) from error
    except (BadZipFile, ValueError, RuntimeError) as error:
        raise DataError.at(place, f"the archive is damaged: {error}") from error


def _array(archive: NpzFile, name: str, place: Place) -> NDArray[Any]:
    try:
        array = cast("object", archive[name])
    except (BadZipFile, zlib.error, EOFError, ValueError, SyntaxError, MemoryError, RuntimeError) as error:
        raise DataError.at(place, f"{name} cannot be read: {error}") from error
    if not isinstance(array, np.ndarray):
        raise DataError.at(place, f"{name} is no array")
    return cast("NDArray[Any]", array)


def _choose(found: list[str], place: Place) -> tuple[str, ...]:
    """The four names, or the two, under which the arrays stand."""
    for names in SETS_OF_NAMES:
        there = [name in found for name in names]
        if all(there):
            return names
        if there[:2] == [True, True] and there[2:] == [False, False]:
            return names[:2]
    raise DataError.at(
        place,
        f"it holds {', '.join(sorted(found)) or 'no arrays'}; no known set of names is among them",
        hints=[f"name the arrays {', '.join(names)}" for names in (*SETS_OF_NAMES, SETS_OF_NAMES[2][:2])],
    )


loader = Loader(
    "a NumPy archive with x_train, y_train, x_test, y_test, or images and labels",
    read,
    "FILE",
    {
        "classes": "the number of classes, unless one more than the largest label",
        "maximum": "the stored value that is handed out as 1, unless 255 for whole numbers and 1 for others",
    },
)
