"""The file format of N-MNIST: `Train/5/00001.bin`, a file a sample, five bytes an event.

The first byte is the column, the second the row; the other three, the highest first, hold the polarity in their topmost
bit (0: OFF, 1: ON) and the microseconds in the 23 below (Orchard, Jayawant, Cohen, Thakor, "Converting static image
datasets to spiking neuromorphic datasets using saccades", 2015). An event in row 240 is none: it says that 2^13
microseconds have passed, for the files that were recorded so (N-Caltech101 among them).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...source import DataError, Faults, Place
from ._events import Events, Recording, check_order, check_pixels

EVENT_BYTES = 5
OVERFLOW_ROW = 240
OVERFLOW_MICROSECONDS = 1 << 13
SENSOR = 34
PARTS = {"train": "Train", "test": "Test"}
MOST_TOLD = 20
"""Damaged files that are told one by one; of the others, how many there are."""

LABEL_LIMIT = 65535


@dataclass(frozen=True)
class BinFile:
    """A sample in a file of its own, of a sensor that has `sensor` x `sensor` pixels."""

    path: Path
    sensor: int

    def read(self) -> Events:
        place = Place(str(self.path))
        try:
            content = self.path.read_bytes()
        except OSError as error:
            raise DataError.at(place, error.strerror or str(error)) from error
        if fault := _length_fault(len(content)):
            raise DataError.at(place, fault)
        x, y, high, middle, low = np.frombuffer(content, np.uint8).reshape(-1, EVENT_BYTES).T.astype(np.int64)
        passed = y == OVERFLOW_ROW
        time = (high & 0x7F) << 16 | middle << 8 | low
        time += OVERFLOW_MICROSECONDS * np.cumsum(passed)
        numbers = np.flatnonzero(~passed)
        x, y, polarity, time = x[numbers], y[numbers], high[numbers] >> 7, time[numbers]

        def named(index: int) -> str:
            return f"event {numbers[index]}"

        with Faults(DataError) as faults:
            if not numbers.size:
                faults.add(place, "an empty sample: there are no events in it, only overflows of time")
            check_pixels(x, y, self.sensor, named, partial(faults.add, place))
            check_order(time, named, partial(faults.add, place))
        return Events(x, y, polarity, time, int(time[0]), int(time[-1]) + 1)


def read_folder(
    folder: Path, sensor: int, classes: int | None
) -> dict[str, tuple[tuple[Recording, ...], NDArray[np.uint16]]]:
    """The samples of both parts; no file is opened, but sizes and names are looked at.

    They are sorted by the name of the file first, then by class: the first few are of all classes, as in MNIST.
    """
    found: dict[str, tuple[tuple[Recording, ...], NDArray[np.uint16]]] = {}
    with Faults(DataError) as faults:
        for part, name in PARTS.items():
            samples = _samples(folder / name, classes, faults)
            recordings = tuple(BinFile(path, sensor) for _, _, path in samples)
            found[part] = recordings, np.array([label for _, label, _ in samples], np.uint16)
    return found


def _samples(folder: Path, classes: int | None, faults: Faults) -> list[tuple[str, int, Path]]:
    """Name, class and path of every sample of a part, in order."""
    samples: list[tuple[str, int, Path]] = []
    damaged: list[tuple[Path, str]] = []
    known = len(faults)
    for entry in _entries(folder, faults, lambda entry: entry.is_dir()):
        if not entry.name.isascii() or not entry.name.isdigit() or int(entry.name) >= (classes or LABEL_LIMIT):
            limit = (classes or LABEL_LIMIT) - 1
            faults.add(Place(entry.path), f"names no class: the folder of a class is a number from 0 to {limit}")
            continue
        for file in _entries(Path(entry.path), faults, lambda file: file.name.endswith(".bin")):
            if fault := _fault(file):
                damaged.append((Path(file.path), fault))
            samples.append((file.name, int(entry.name), Path(file.path)))
    for path, fault in damaged[:MOST_TOLD]:
        faults.add(Place(str(path)), fault)
    if len(damaged) > MOST_TOLD:
        faults.add(Place(str(folder)), f"{len(damaged) - MOST_TOLD} more files are damaged like these")
    if not samples and len(faults) == known:
        faults.add(Place(str(folder)), "there are no samples: no files called CLASS/NAME.bin")
    return sorted(samples)


def _entries(folder: Path, faults: Faults, wanted: Callable[[os.DirEntry[str]], bool]) -> list[os.DirEntry[str]]:
    """What is wanted of a folder's content, sorted by name."""
    try:
        with os.scandir(folder) as entries:
            return sorted(filter(wanted, entries), key=lambda entry: entry.name)
    except OSError as error:
        faults.add(Place(str(folder)), error.strerror or str(error))
        return []


def _fault(file: os.DirEntry[str]) -> str | None:
    """What can be told to be wrong with a file that is not opened, if anything."""
    try:
        return _length_fault(file.stat().st_size)
    except OSError as error:  # a link to nowhere
        return error.strerror or str(error)


def _length_fault(size: int) -> str | None:
    """What is wrong with a file of `size` bytes, if anything."""
    if size == 0:
        return "an empty sample: the file has no bytes"
    if size % EVENT_BYTES:
        whole, rest = divmod(size, EVENT_BYTES)
        return f"truncated: event {whole} has {rest} of its {EVENT_BYTES} bytes"
    return None
