"""From arrays as they were read to a Dataset that holds what it promises; every fault is told at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...numerics import random
from ...source import DataError, Faults, Place
from ._dataset import Dataset, Split, brackets

Pair = tuple[NDArray[Any], NDArray[Any]]
"""Images and labels of one split, as read."""

Told = Callable[[str], None]
"""Notes one fault."""

LABEL_LIMIT = 65535
CHUNK_SAMPLES = 4096


@dataclass(frozen=True, eq=False)
class Stored:
    """Images as they are kept, the number that takes them to 0..1, and the type that they were read in."""

    images: NDArray[Any]
    scale: float
    read_as: np.dtype[Any]


def assemble(name: str, train: Pair, test: Pair, classes: int | None = None, maximum: int | None = None) -> Dataset:
    """The data set `name` made of `train` and `test`.

    classes: how many there are; unless given, one more than the largest label of both splits.
    maximum: the stored value that is handed out as 1; unless given, 255 for whole numbers, 1 for the others.
    Raises DataError with all faults: NaN or infinite inputs, labels that are not whole numbers from 0 to the number of
    classes, empty splits, counts or shapes that differ.
    """
    faults = Faults(DataError)
    told = partial(faults.add, Place(name))
    splits: list[Split] = []
    kept: list[Stored] = []
    for part, (images, labels) in (("train", train), ("test", test)):
        stored = _images(images, f"{part} images", maximum, told)
        numbers = checked_labels(labels, f"{part} labels", classes, told)
        if images.ndim and labels.ndim and len(images) != len(labels):
            told(f"there are {len(images)} {part} images and {len(labels)} {part} labels")
        if stored is not None:
            kept.append(stored)
            if numbers is not None:
                splits.append(Split(stored.images, numbers, stored.scale))
    if len(kept) == 2:
        _check_alike(kept[0], kept[1], told)
    faults.throw()
    largest = max(int(split.labels.max()) for split in splits)
    return Dataset(name, splits[0], splits[1], classes or largest + 1)


def divide(images: NDArray[Any], labels: NDArray[Any], held_out: int, seed: int) -> tuple[Pair, Pair]:
    """Splits one set in two: `held_out` samples to test on, the others to train on; both keep the order they had.

    Every class gives its share (largest remainders, the smaller label first among equals). Which of a class's samples
    are held out is the head of `permutation(number of samples, seed, rank of the class)`, so the split is the same
    everywhere and always.
    """
    count = len(labels)
    names, members = np.unique(labels, return_inverse=True)
    sizes = np.bincount(members.reshape(-1), minlength=len(names))
    shares, remainders = np.divmod(sizes * held_out, max(count, 1))
    missing = held_out - int(shares.sum())
    shares[np.argsort(-remainders, kind="stable")[:missing]] += 1
    held = np.zeros(count, dtype=np.bool_)
    for rank, share in enumerate(shares.tolist()):
        own = np.flatnonzero(members.reshape(-1) == rank)
        held[own[random.permutation(len(own), seed, rank)[:share]]] = True
    return (images[~held], labels[~held]), (images[held], labels[held])


def _images(images: NDArray[Any], what: str, maximum: int | None, told: Told) -> Stored | None:
    if images.ndim < 2:
        told(f"{what} have the shape {brackets(images.shape)}; at least [sample, feature] is needed")
        return None
    if images.size == 0:
        told(f"{what} are empty: their shape is {brackets(images.shape)}")
        return None
    match images.dtype.kind:
        case "f":
            return _floating(images, what, maximum, told)
        case "u" | "i" | "b":
            return _whole(images, what, maximum, told)
        case _:
            told(f"{what} are {images.dtype}; whole numbers from 0 to 255 or floating point are needed")
            return None


def _floating(images: NDArray[Any], what: str, maximum: int | None, told: Told) -> Stored | None:
    with np.errstate(over="ignore"):
        kept = np.ascontiguousarray(images, dtype=np.float32)
    bad, first = 0, ""
    for start in range(0, len(kept), CHUNK_SAMPLES):
        wrong = ~np.isfinite(kept[start : start + CHUNK_SAMPLES])
        if (here := int(np.count_nonzero(wrong))) and not bad:
            sample, *inside = (int(index[0]) for index in np.nonzero(wrong))
            first = brackets((start + sample, *inside))
        bad += here
    if bad:
        told(
            f"{what} hold {bad} {'value that is' if bad == 1 else 'values that are'} NaN or infinite"
            f"{' as float32' if images.dtype.itemsize > 4 else ''}, the first at {first}"
        )
        return None
    return Stored(_read_only(kept), 1.0 / (maximum or 1), images.dtype)


def _whole(images: NDArray[Any], what: str, maximum: int | None, told: Told) -> Stored | None:
    least, largest = int(images.min()), int(images.max())
    if least < 0 or largest > 255:
        told(f"{what} hold whole numbers from {least} to {largest}; 0 to 255 or floating point is needed")
        return None
    full = maximum or (1 if images.dtype.kind == "b" else 255)
    if largest > full:
        told(f"{what} reach {largest}, above the maximum of {full}")
        return None
    return Stored(_read_only(np.ascontiguousarray(images, dtype=np.uint8)), 1.0 / full, images.dtype)


def checked_labels(labels: NDArray[Any], what: str, classes: int | None, told: Told) -> NDArray[np.uint16] | None:
    """Labels as they are kept, or None where a fault was told."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        told(f"{what} have the shape {brackets(labels.shape)}; one whole number a sample is needed")
        return None
    if labels.dtype.kind not in "ui":
        told(f"{what} are {labels.dtype}; whole numbers are needed")
        return None
    if labels.size == 0:
        told(f"{what} are empty")
        return None
    limit = min(classes or LABEL_LIMIT, LABEL_LIMIT)
    wrong = np.flatnonzero((labels < 0) | (labels >= limit))
    if wrong.size:
        first = int(wrong[0])
        told(
            f"{what} hold {wrong.size} {'number' if wrong.size == 1 else 'numbers'} outside of 0 to {limit - 1},"
            f" the first {labels[first]} at [{first}]"
        )
        return None
    return _read_only(labels.astype(np.uint16))


def _check_alike(train: Stored, test: Stored, told: Told) -> None:
    if train.images.shape[1:] != test.images.shape[1:]:
        shapes = brackets(train.images.shape[1:]), brackets(test.images.shape[1:])
        told(f"train samples have the shape {shapes[0]}, test samples {shapes[1]}")
    if train.scale != test.scale:
        told(f"train images are {train.read_as}, test images {test.read_as}: they would be scaled differently")
    elif train.images.dtype != test.images.dtype:
        told(f"train images are {train.read_as}, test images {test.read_as}")


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view
