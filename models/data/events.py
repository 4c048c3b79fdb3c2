"""Streams of events, as cameras give them that report changes: binned to frames of two polarities, one a time step.

The path may be a folder of N-MNIST (`Train/5/00001.bin`), a folder of DVS-Gesture (`trials_to_train.txt`), or an
archive of events (`.npz`); see `_nmnist.py`, `_gestures.py`, `_event_archive.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, cast

from ...source import NOWHERE, DataError, Faults, Place
from . import _gestures, _nmnist
from ._dataset import Dataset, Port, brackets
from ._event_archive import read_archive_of_events
from ._frames import FramedSplit, Frames
from .loader import Choice, Loader, Options, usage

POLARITIES = 2


def read(argument: str, options: Options) -> Dataset:
    """Both parts, with frames for the network's input; raises DataError with what is wrong with frames and files."""
    path = Path(argument).expanduser()
    classes = options.number("classes")
    gestures = any((path / name).is_file() for name in _gestures.LISTS.values())
    sensor = options.number("sensor") or (_gestures.SENSOR if gestures else _nmnist.SENSOR)
    with Faults(DataError) as faults:
        if (frames := _frames(options, sensor, faults)) is None:
            faults.throw()
        if gestures:
            classes = classes or _gestures.CLASSES
            parts = _gestures.read_folder(path, sensor, classes)
        elif any((path / name).is_dir() for name in _nmnist.PARTS.values()):
            parts = _nmnist.read_folder(path, sensor, classes)
        elif path.is_dir():
            lists, folders = " or ".join(_gestures.LISTS.values()), " and ".join(_nmnist.PARTS.values())
            raise DataError.at(
                Place(str(path)), f"no events are known in it: neither folders {folders}, nor a file {lists}"
            )
        else:
            parts = read_archive_of_events(path, sensor, classes)
    assert frames is not None
    splits = {
        part: FramedSplit(recordings, labels, frames, frames.shape) for part, (recordings, labels) in parts.items()
    }
    largest = max(int(split.labels.max()) for split in splits.values())
    return Dataset(f"events:{argument}", splits["train"], splits["test"], classes or largest + 1)


def _frames(options: Options, sensor: int, faults: Faults) -> Frames | None:
    """How events are binned: as the options say, and for what they leave open, as the network's input needs it."""
    port = options.port
    steps = options.number("steps") or (port.steps if port is not None else None)
    size = options.number("size") or sensor
    if size > sensor:
        faults.add(
            NOWHERE, f"size={size} is more than the {sensor} pixels of the sensor in a row", hints=[f"size={sensor}"]
        )
    if steps is None:
        faults.add(NOWHERE, "events need the number of frames: steps=N", hints=[usage("events")])
    if steps is None or size > sensor:
        return None
    if port is not None:
        _check_steps(port, steps, faults)
        _check_size(port, size, sensor, faults)
    return Frames(
        steps,
        size,
        sensor,
        cast("Literal['time', 'count']", options.words["split"]),
        options.words["counts"] == "true",
        None if port is None else port.largest,
    )


def _check_steps(port: Port, steps: int, faults: Faults) -> None:
    if not port.timed and steps > 1:
        faults.add(
            NOWHERE,
            f"the input {port.name} is the same in every step; {steps} frames would need one that changes",
            hints=[f"{port.name}: spike[t, {', '.join(map(str, port.shape))}] in the network", "steps=1"],
        )
    elif port.timed and steps != port.steps:
        faults.add(
            NOWHERE,
            f"steps={steps} makes {steps} frames of a sample; the network has {port.steps} time steps",
            hints=[f"steps={port.steps}, which is what holds without it", f"compile the network with --steps {steps}"],
        )


def _check_size(port: Port, size: int, sensor: int, faults: Faults) -> None:
    frame = POLARITIES, size, size
    if port.shape in (frame, (POLARITIES * size * size,)):
        return
    match port.shape:
        case (2, rows, columns) if rows == columns <= sensor:
            hints = [f"size={rows}"]
        case _:
            hints = [f"give the network an input of [t, {', '.join(map(str, frame))}]"]
    faults.add(
        NOWHERE, f"frames have the shape {brackets(frame)}; the network wants {brackets(port.shape)}", hints=hints
    )


loader = Loader(
    "event streams binned to frames: a folder of N-MNIST or DVS-Gesture, or an archive of events (.npz)",
    read,
    "PATH",
    {
        "steps": "frames a sample, unless the network's time steps",
        "size": "rows and columns of a frame, unless those of the sensor",
        "sensor": "rows and columns of the sensor, unless 128 for DVS-Gesture and 34 for others",
        "classes": "the number of classes, unless 11 for DVS-Gesture and one more than the largest label for others",
    },
    {
        "split": Choice("bins of time have an equal duration, or an equal number of events", ("time", "count")),
        "counts": Choice("count the events of an element, instead of telling whether there are any", ("false", "true")),
    },
)
