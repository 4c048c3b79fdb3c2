"""Events of many samples in one NumPy archive: the arrays x, y, p, t_us of all events, one sample behind the other.

`offsets[k]` to `offsets[k + 1]` are the events of sample k, whose class is `labels[k]`. `ids`, where it is there, has
the numbers of N-MNIST's samples when both parts are counted through: 1 to 60,000 are to train, more to test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...source import DataError, Faults, Place
from ._events import Events, Recording, check_order, check_pixels
from ._validation import checked_labels, divide
from .npz import HELD_OUT_PART, SPLIT_SEED, read_archive

EVENT_NAMES = ("x", "y", "p", "t_us")
SAMPLE_NAMES = ("offsets", "labels")
LARGEST_TRAIN_ID = 60_000

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Piece:
    """The events from `first` on, before `last`, of arrays in memory that are known to be in order."""

    arrays: Arrays
    first: int
    last: int

    def read(self) -> Events:
        x, y, polarity, time = (self.arrays[name][self.first : self.last] for name in EVENT_NAMES)
        time = time.astype(np.int64)
        return Events(x, y, polarity, time, int(time[0]), int(time[-1]) + 1)


def read_archive_of_events(
    path: Path, sensor: int, classes: int | None
) -> dict[str, tuple[tuple[Recording, ...], NDArray[np.uint16]]]:
    """The samples of both parts, in the order of the archive; raises DataError with all that is wrong with them.

    Where there are no ids of both parts, `divide` holds out every class's sixth to test on, as for other archives.
    """
    place = Place(str(path))
    arrays = read_archive(path, _choose)
    with Faults(DataError) as faults:
        told = partial(faults.add, place)
        labels = checked_labels(arrays["labels"], "labels", classes, told)
        _check_form(arrays, told)
        if not faults:
            _check_events(arrays, sensor, told)
    assert labels is not None, "else a fault was told"
    offsets = arrays["offsets"].tolist()
    numbers = np.arange(len(labels))
    test = arrays["ids"] > LARGEST_TRAIN_ID if "ids" in arrays else np.zeros(len(labels), np.bool_)
    if not test.any() or test.all():
        if len(labels) < 2:
            raise DataError.at(place, "there is one sample; two or more are needed, to train on and to test on")
        (kept, _), (held, _) = divide(numbers, labels, max(1, len(labels) // HELD_OUT_PART), SPLIT_SEED)
    else:
        kept, held = numbers[~test], numbers[test]
    return {
        part: (tuple(Piece(arrays, offsets[k], offsets[k + 1]) for k in chosen.tolist()), labels[chosen])
        for part, chosen in (("train", kept), ("test", held))
    }


def _choose(found: list[str], place: Place) -> list[str]:
    wanted = [*EVENT_NAMES, *SAMPLE_NAMES]
    if missing := [name for name in wanted if name not in found]:
        raise DataError.at(
            place,
            f"it holds {', '.join(sorted(found)) or 'no arrays'}; of an archive of events, {', '.join(missing)}"
            f" {'is' if len(missing) == 1 else 'are'} missing",
            hints=[f"npz:{place.file}, if it holds images"],
        )
    return [*wanted, *(["ids"] if "ids" in found else [])]


def _check_form(arrays: Arrays, told: Callable[[str], None]) -> None:
    """Tells where arrays are no rows of whole numbers, or do not fit each other."""
    wrong = [name for name, array in arrays.items() if array.ndim != 1 or array.dtype.kind not in "uib"]
    for name in wrong:
        if name != "labels":
            array = arrays[name]
            told(f"{name} is {array.dtype} of the shape {list(array.shape)}; a row of whole numbers is needed")
    if wrong:
        return
    count, offsets = len(arrays["x"]), arrays["offsets"].astype(np.int64)
    for name in EVENT_NAMES[1:]:
        if len(arrays[name]) != count:
            told(f"x has {count} events, {name} has {len(arrays[name])}")
    samples = len(arrays["labels"])
    if "ids" in arrays and len(arrays["ids"]) != samples:
        told(f"there are {samples} labels and {len(arrays['ids'])} ids")
    if len(offsets) != samples + 1:
        told(f"there are {samples} labels, so {samples + 1} offsets are needed; there are {len(offsets)}")
    elif offsets[0] != 0 or offsets[-1] != count:
        told(f"offsets run from {offsets[0]} to {offsets[-1]}; with {count} events, from 0 to {count} is needed")
    elif (empty := np.flatnonzero(np.diff(offsets) <= 0)).size:
        told(
            f"{empty.size} {'sample has' if empty.size == 1 else 'samples have'} no events, the first is sample"
            f" {empty[0]}: offsets {offsets[empty[0]]} to {offsets[empty[0] + 1]}"
        )


def _check_events(arrays: Arrays, sensor: int, told: Callable[[str], None]) -> None:
    offsets = arrays["offsets"].astype(np.int64)

    def named(index: int) -> str:
        sample = int(np.searchsorted(offsets, index, side="right")) - 1
        return f"event {index - offsets[sample]} of sample {sample}"

    polarity = arrays["p"]
    strange = np.flatnonzero((polarity < 0) | (polarity > 1))
    if strange.size:
        first = int(strange[0])
        count = "1 event has" if strange.size == 1 else f"{strange.size} events have"
        told(f"{count} a polarity that is neither 0 nor 1, the first is {named(first)}: {polarity[first]}")
    check_pixels(arrays["x"], arrays["y"], sensor, named, told)
    check_order(arrays["t_us"].astype(np.int64), named, told, starts=offsets)
