"""What a data set is: two splits of samples and labels, handed out batch by batch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ...numerics import random
from ...source import NOWHERE, DataError


class Samples(Protocol):
    """One part of a data set, in memory or read when a batch is asked for."""

    @property
    def labels(self) -> NDArray[np.uint16]:
        """`[sample]`: the class of each."""
        ...

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample, with its time axis first where there is one."""
        ...

    def __len__(self) -> int: ...

    def batch(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
        """The samples at `indices`, in that order, and their classes."""
        ...

    def first(self, count: int) -> Self:
        """The first `count` samples."""
        ...

    def reshaped(self, sample_shape: tuple[int, ...]) -> Self:
        """The same values in the same order, each sample under another shape."""
        ...


@dataclass(frozen=True, eq=False)
class Split:
    """Samples in memory, and their classes; `images` stay as stored and become `images * scale` when handed out.

    images: `[sample, channel, row, column]`, `[sample, row, column]` or `[sample, feature]`, and with a time
        axis after the first where the data has one; uint8 or float32.
    labels: `[sample]`, uint16.
    scale: takes whole numbers to 0..1; it is 1 for float32, which is handed out as it stands.
    """

    images: NDArray[Any]
    labels: NDArray[np.uint16]
    scale: float = 1.0

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample, with its time axis where there is one."""
        return self.images.shape[1:]

    def batch(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
        """The samples at `indices`, in that order: float32 images and uint16 labels.

        The product is taken in float64, so that 255 of 255 is exactly 1 and k of 255 is the float32 nearest to k/255.
        """
        images = self.images[indices]
        if self.scale != 1.0:
            images = images * np.float64(self.scale)
        return images.astype(np.float32, copy=False), self.labels[indices]

    def first(self, count: int) -> Self:
        """The first `count` samples."""
        return replace(self, images=self.images[:count], labels=self.labels[:count])

    def reshaped(self, sample_shape: tuple[int, ...]) -> Self:
        """The same values in the same order, each sample under another shape."""
        return replace(self, images=self.images.reshape(len(self), *sample_shape))


@dataclass(frozen=True, eq=False)
class Dataset:
    """What is trained on and what is tested on; labels are below `classes`."""

    name: str
    train: Samples
    test: Samples
    classes: int

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample, the same in both splits."""
        return self.train.sample_shape


@dataclass(frozen=True)
class Port:
    """The input of a network that samples are read for.

    shape: of one sample in one step.
    steps: time steps of the network.
    timed: whether the input has its own content in every step.
    largest: the most that it holds where it takes whole numbers from 0 on; None for floating point.
    sizes: for each axis of the shape the setting of the network that it is as long as; "" where that is a number.
    """

    name: str
    shape: tuple[int, ...]
    steps: int
    timed: bool
    largest: int | None
    sizes: tuple[str, ...] = ()


def batches(
    split: Samples, size: int, seed: int, epoch: int, shuffle: bool = True, start: int = 0
) -> Iterator[NDArray[np.int64]]:
    """The indices of one epoch, `size` at a time, the last batch with what is left.

    The order depends on `seed`, `epoch` and the number of samples only. `start=k` leaves out the first k batches, so
    that a run that stopped after k of them goes on where it stood.
    """
    if size < 1 or start < 0:
        raise ValueError(f"size must be at least 1 and start at least 0, not {size} and {start}")
    count = len(split)
    order = random.permutation(count, seed, epoch) if shuffle else np.arange(count, dtype=np.int64)
    return (order[first : first + size] for first in range(start * size, count, size))


def check_shape(
    dataset: Dataset, expected: tuple[int, ...], steps: int | None = None, sizes: tuple[str, ...] = ()
) -> Dataset:
    """`dataset` with samples of the shape that a network's input has, or a `DataError`.

    Adapted without a word, since no value changes its meaning: a channel axis of 1 that is missing or too many, and an
    image flattened to features in row-major order. Where `steps` is given, samples of `[steps, ...]` are accepted
    too and stay so; their time axis is left alone. `sizes` names the settings that make the axes (see `Port`).
    """
    held = dataset.sample_shape
    if _is_harmless(held, expected):
        target = expected
    elif steps is not None and held[:1] == (steps,) and _is_harmless(held[1:], expected):
        target = (steps, *expected)
    else:
        message = f"samples of {dataset.name} have the shape {brackets(held)}; the network wants {brackets(expected)}"
        raise DataError.at(NOWHERE, message, hints=_shape_hints(held, expected, steps, sizes))
    if target == held:
        return dataset
    return replace(dataset, train=dataset.train.reshaped(target), test=dataset.test.reshaped(target))


def check_classes(dataset: Dataset, outputs: int) -> None:
    """A `DataError` if a label of `dataset` has no output among the network's `outputs`."""
    if dataset.classes > outputs:
        raise DataError.at(
            NOWHERE,
            f"{dataset.name} has {dataset.classes} classes; the network has {outputs} outputs",
            hints=[f"give the last layer {dataset.classes} outputs, or choose other data"],
        )


def brackets(shape: tuple[int, ...]) -> str:
    """A shape as the language writes it: `[1, 28, 28]`."""
    return f"[{', '.join(map(str, shape))}]"


def _is_harmless(held: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    flattened = len(expected) == 1 and bool(held) and math.prod(held) == expected[0]
    return held == expected or (1, *held) == expected or held == (1, *expected) or flattened


def _shape_hints(
    held: tuple[int, ...], expected: tuple[int, ...], steps: int | None, sizes: tuple[str, ...]
) -> tuple[str, ...]:
    channels_first = (held[-1], *held[:-1]) if held else held
    if len(held) == 3 and channels_first == expected:
        return ("the channels stand last; store the images as [sample, channel, row, column]",)
    if steps is not None and len(held) > 1 and held[0] != steps and _is_harmless(held[1:], expected):
        return (f"if the first axis is time, compile the network with --steps {held[0]}",)
    if settings := _settings_for(held, expected, sizes):
        return (" ".join(f"--set {name}={size}" for name, size in settings.items()),)
    if math.prod(held) == math.prod(expected):
        return (f"the number of values is the same; store the images as {brackets(expected)}",)
    return (f"give the network an input of {brackets(held)}, or choose other data",)


def _settings_for(held: tuple[int, ...], expected: tuple[int, ...], sizes: tuple[str, ...]) -> dict[str, int]:
    """The settings under which the network would want what is held; none where they cannot do that."""
    if len(expected) == len(held) + 1 and expected[0] == 1:
        held = (1, *held)
    found: dict[str, int] = {}
    if not len(held) == len(expected) == len(sizes):
        return found
    for name, size, wanted in zip(sizes, held, expected, strict=True):
        if (not name and size != wanted) or (name and found.setdefault(name, size) != size):
            return {}
    return found
