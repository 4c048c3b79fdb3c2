"""CIFAR-10: images of 32 x 32 pixels in ten classes (Krizhevsky 2009, "Learning multiple layers of features").

A folder holds one of two things.  The binary version as published: files of records, each a byte for the class and
3 x 32 x 32 bytes, red, green, blue, rows from the top.  Or two archives, one for each part: `data` has the bytes of
compressed images (JPEG, PNG) one behind the other, image k from `offsets[k]` up to `offsets[k + 1]`, of class
`labels[k]`.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ...source import NOWHERE, DataError, Faults, Place
from ._dataset import Dataset, Samples
from ._validation import Pair, Told, assemble
from .loader import Choice, Loader, Options
from .npz import read_archive

CLASSES = 10
SHAPE = (3, 32, 32)
RECORD_BYTES = 1 + 3 * 32 * 32

BINARY = {"train": [f"data_batch_{number}.bin" for number in range(1, 6)], "test": ["test_batch.bin"]}
ARCHIVES = {"train": "*train*.npz", "test": "*test*.npz"}
NAMES = ("data", "offsets", "labels")

MEAN = (0.4914, 0.4822, 0.4465)
DEVIATION = (0.2470, 0.2435, 0.2616)
"""Of the red, green and blue pixels from 0 to 1 of the 50,000 images to train on."""


@dataclass(frozen=True, eq=False)
class Normalised:
    """Samples handed out as ``(image - mean) / deviation``, where both have the shape of a sample."""

    samples: Samples
    mean: NDArray[np.float32]
    deviation: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def labels(self) -> NDArray[np.uint16]:
        """`[sample]`: the class of each."""
        return self.samples.labels

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample."""
        return self.samples.sample_shape

    def batch(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
        """The samples at `indices`, in that order, and their classes."""
        images, labels = self.samples.batch(indices)
        return (images - self.mean) / self.deviation, labels

    def first(self, count: int) -> Self:
        """The first `count` samples."""
        return replace(self, samples=self.samples.first(count))

    def reshaped(self, sample_shape: tuple[int, ...]) -> Self:
        """The same values in the same order, each sample under another shape."""
        mean, deviation = (each.reshape(sample_shape) for each in (self.mean, self.deviation))
        return replace(self, samples=self.samples.reshaped(sample_shape), mean=mean, deviation=deviation)


def read(argument: str, options: Options) -> Dataset:
    """Both parts of the folder; raises DataError with all that is wrong with its files."""
    folder = Path(argument).expanduser()
    parts = _find(folder)
    read_part: Callable[[list[Path]], Pair] = _binary if parts["train"][0].suffix == ".bin" else _archive
    pairs: dict[str, Pair] = {}
    with Faults(DataError) as faults:
        for part, paths in parts.items():
            try:
                pairs[part] = read_part(paths)
            except DataError as error:
                faults.extend(error.faults)
    dataset = assemble(f"cifar10:{argument}", pairs["train"], pairs["test"], CLASSES)
    if options.words["normalise"] == "false":
        return dataset
    return replace(dataset, train=_normalised(dataset.train), test=_normalised(dataset.test))


def _normalised(samples: Samples) -> Normalised:
    mean, deviation = (np.broadcast_to(np.array(each, np.float32)[:, None, None], SHAPE) for each in (MEAN, DEVIATION))
    return Normalised(samples, mean, deviation)


def _find(folder: Path) -> dict[str, list[Path]]:
    """The files of both parts."""
    place = Place(str(folder))
    if not folder.is_dir():
        raise DataError.at(place, "there is no such folder")
    binary = {part: [folder / name for name in names] for part, names in BINARY.items()}
    if any(path.exists() for paths in binary.values() for path in paths):
        missing = [path.name for paths in binary.values() for path in paths if not path.exists()]
        if missing:
            raise DataError.at(place, f"it lacks {', '.join(missing)}")
        return binary
    archives = {part: sorted(folder.glob(pattern)) for part, pattern in ARCHIVES.items()}
    found = {part: len(paths) for part, paths in archives.items()}
    if found != {"train": 1, "test": 1}:
        hints = [
            "the binary version of CIFAR-10, whose files end in .bin",
            f"archives called {' and '.join(ARCHIVES.values())}",
        ]
        counts = " and ".join(f"{count} archives {ARCHIVES[part]}" for part, count in found.items())
        raise DataError.at(place, f"it has no data_batch_1.bin, and {counts} where one each is needed", hints=hints)
    return archives


def _binary(paths: list[Path]) -> Pair:
    """The records of all files, in order."""
    records: list[NDArray[np.uint8]] = []
    with Faults(DataError) as faults:
        for path in paths:
            try:
                content = np.frombuffer(path.read_bytes(), np.uint8)
            except OSError as error:
                faults.add(Place(str(path)), error.strerror or str(error))
                continue
            if len(content) % RECORD_BYTES:
                told = f"its {len(content)} bytes are no whole number of records of {RECORD_BYTES}"
                faults.add(Place(str(path)), told)
            else:
                records.append(content.reshape(-1, RECORD_BYTES))
    whole = np.concatenate(records)
    return whole[:, 1:].reshape(-1, *SHAPE), whole[:, 0]


def _archive(paths: list[Path]) -> Pair:
    """Every image of an archive, decoded."""
    (path,) = paths
    place = Place(str(path))
    data, offsets, labels = read_archive(path, _names).values()
    with Faults(DataError) as faults:
        _check_form(data, offsets, labels, partial(faults.add, place))
    decoder = _decoder()
    images = np.zeros((len(labels), *SHAPE), np.uint8)
    content = data.tobytes()
    with Faults(DataError) as faults:
        for number, (first, last) in enumerate(zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)):
            try:
                image = decoder.open(io.BytesIO(content[first:last])).convert("RGB")
            except (OSError, SyntaxError, ValueError) as error:  # what Pillow raises for what is no image
                reason = "it is no image" if isinstance(error, decoder.UnidentifiedImageError) else str(error)
                faults.add(place, f"image {number} cannot be decoded: {reason}")
                continue
            if image.size != SHAPE[1:]:
                faults.add(place, f"image {number} has {image.height} x {image.width} pixels, not 32 x 32")
                continue
            images[number] = np.moveaxis(np.asarray(image), 2, 0)
    return images, labels


def _names(found: list[str], place: Place) -> tuple[str, ...]:
    missing = [name for name in NAMES if name not in found]
    if missing:
        raise DataError.at(place, f"it lacks the arrays {', '.join(missing)}")
    return NAMES


def _check_form(data: NDArray[Any], offsets: NDArray[Any], labels: NDArray[Any], told: Told) -> None:
    """Bytes, and places in them that ascend, one more than there are labels."""
    if data.dtype != np.uint8 or data.ndim != 1:
        told(f"data is {data.dtype} of the shape {list(data.shape)}; bytes one behind the other are needed")
    if offsets.dtype.kind not in "ui" or offsets.shape != (labels.size + 1,):
        told(f"offsets must be {labels.size + 1} whole numbers, one more than there are labels")
    elif (np.diff(offsets.astype(np.int64)) < 0).any() or offsets[0] < 0 or offsets[-1] > data.size:
        told(f"offsets must ascend and stay within the {data.size} bytes of data")


def _decoder() -> Any:
    """Pillow's module of images."""
    try:
        return import_module("PIL.Image")
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        message = "which is not installed" if missing else f"which cannot be imported: {error}"
        hints = ["pip install 'snnc[data]'"]
        raise DataError.at(NOWHERE, f"compressed images need Pillow, {message}", hints=hints) from error


loader = Loader(
    "CIFAR-10: a folder of its binary version, or of two archives of compressed images",
    read,
    "DIR",
    choices={
        "normalise": Choice("take the mean of each colour away and divide by its deviation", ("false", "true")),
    },
)
