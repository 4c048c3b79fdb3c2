"""A folder of DVS-Gesture: AEDAT 3.1 recordings, each with a table of its trials, and two lists of recordings.

`trials_to_train.txt` and `trials_to_test.txt` name a recording a line. `user01_led_labels.csv` beside
`user01_led.aedat` has, below a line of titles, the class (from 1 on), begin and end in microseconds of every trial
(Amir et al., "A low power, fully event-based gesture recognition system", CVPR 2017).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...source import DataError, Faults, Place
from ._aedat import AedatFile, check_header
from ._events import Events, Recording

LISTS = {"train": "trials_to_train.txt", "test": "trials_to_test.txt"}
SENSOR = 128
CLASSES = 11
TIME_DIGITS = 18
"""More would not fit in the 62 bits of a time."""


@dataclass(frozen=True)
class Trial:
    """A sample: what happened in [begin, end) of a recording, in microseconds."""

    file: AedatFile
    number: int
    label: int
    begin: int
    end: int

    def read(self) -> Events:
        what = f"trial {self.number} (class {self.label + 1}, {self.begin} to {self.end} microseconds)"
        return self.file.between(self.begin, self.end, what)


def read_folder(folder: Path, sensor: int, classes: int) -> dict[str, tuple[tuple[Recording, ...], NDArray[np.uint16]]]:
    """The trials of both parts, sorted by the name of the recording, then as its table has them.

    Lists, tables and the beginnings of recordings are read; events are read when a batch asks for them.
    """
    found: dict[str, tuple[tuple[Recording, ...], NDArray[np.uint16]]] = {}
    with Faults(DataError) as faults:
        for part, name in LISTS.items():
            trials: list[Trial] = []
            for recording in _names(folder / name, faults):
                path = folder / recording
                try:
                    check_header(path)
                except DataError as error:
                    faults.extend(error.faults)
                trials += _trials(AedatFile(path, sensor), classes, faults)
            found[part] = tuple(trials), np.array([trial.label for trial in trials], np.uint16)
    return found


def _lines(path: Path, faults: Faults) -> list[tuple[int, str]]:
    """The lines of a text that are not blank, with their numbers from 1 on."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        faults.add(Place(str(path)), "this is no text")
    except OSError as error:
        faults.add(Place(str(path)), error.strerror or str(error))
    else:
        return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    return []


def _names(path: Path, faults: Faults) -> list[str]:
    """The recordings that a list names, sorted."""
    known = len(faults)
    names: set[str] = set()
    for number, name in _lines(path, faults):
        place = Place(str(path), number)
        if Path(name).suffix != ".aedat":
            faults.add(place, f"{name!r} is no recording; a name that ends in .aedat is needed")
        elif name in names:
            faults.add(place, f"{name} is listed twice")
        names.add(name)
    if not names and len(faults) == known:
        faults.add(Place(str(path)), "no recordings are listed")
    return sorted(name for name in names if Path(name).suffix == ".aedat")


def _trials(file: AedatFile, classes: int, faults: Faults) -> list[Trial]:
    """The trials of one recording."""
    path = file.path.with_name(f"{file.path.stem}_labels.csv")
    lines = _lines(path, faults)
    trials: list[Trial] = []
    known = len(faults)
    for number, line in lines[1:]:
        place = Place(str(path), number)
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != 3 or not all(re.fullmatch(rf"[0-9]{{1,{TIME_DIGITS}}}", cell) for cell in cells):
            faults.add(place, f"{line!r}: class, begin and end in microseconds are needed, three whole numbers")
            continue
        label, begin, end = map(int, cells)
        if not 1 <= label <= classes:
            faults.add(
                place, f"class {label}; the classes are 1 to {classes}", hints=[f"classes={label}"] if label else []
            )
        elif begin >= end:
            faults.add(place, f"a trial from {begin} to {end} microseconds has no duration")
        else:
            trials.append(Trial(file, len(trials), label - 1, begin, end))
    if not trials and len(faults) == known and path.is_file():
        faults.add(Place(str(path)), "no trials are in it")
    return trials
