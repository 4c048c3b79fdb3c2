"""Between data and a program: which samples make a batch, what the host writes before an entry and reads after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..isa.program import Program, Symbol
from ..numerics import random
from ..source import NOWHERE, DataError
from .tensors import lead_of

LARGEST = {"f16": 65504.0, "bf16": 255 * 2.0**120}
"""The largest numbers of formats that hold fewer than f32, in which images come."""


class Samples(Protocol):
    """A split of a data set."""

    def __len__(self) -> int: ...

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one sample, with its time axis first where it has one."""
        ...

    def batch(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
        """The samples at *indices* and their classes."""
        ...


class Dataset(Protocol):
    """What is trained on and what is tested on."""

    @property
    def train(self) -> Samples:
        """Samples to train on."""
        ...

    @property
    def test(self) -> Samples:
        """Samples to test on."""
        ...


class Machine(Protocol):
    """What runs entries: an interpreter, or what stands in for one."""

    @property
    def program(self) -> Program:
        """Symbols, and entries with what goes in and comes out."""
        ...

    def run(self, entry_name: str, arguments: Mapping[str, float | int] | None = None) -> None:
        """Run an entry with all of its scalars."""
        ...

    def write(self, name: str, values: ArrayLike) -> None:
        """Give a symbol its values: ``[time][sample]`` + logical shape."""
        ...

    def read(self, name: str) -> NDArray[Any]:
        """The stored numbers of a symbol in its logical shape."""
        ...


def batch_count(samples: int, size: int) -> int:
    """Batches of an epoch, the last one partial."""
    return -(-samples // size)


def batches(samples: int, size: int, seed: int, epoch: int, shuffle: bool, start: int) -> Iterator[NDArray[np.int64]]:
    """Indices of the batches of an epoch from number *start* on.  The order depends on count, seed and epoch only."""
    order = random.permutation(samples, seed, epoch) if shuffle else np.arange(samples, dtype=np.int64)
    return (order[first : first + size] for first in range(start * size, samples, size))


@dataclass(frozen=True)
class Outcome:
    """What an entry answered for its *valid* samples: *losses* a sample, how many were *correct*, and the *logits*.

    Each is None where the entry has no such result.  *labels* are those that the data has.  *overflow* says that it
    skipped its updates, because a gradient was not finite.
    """

    valid: int
    losses: NDArray[np.float64] | None
    correct: int | None
    logits: NDArray[np.float32] | None
    labels: NDArray[np.uint16]
    overflow: bool = False

    @property
    def loss(self) -> float | None:
        """The mean over the valid samples, in float64."""
        return None if self.losses is None else float(self.losses.sum() / self.valid)


Judge = Callable[[NDArray[np.float32], NDArray[np.uint16]], int]
"""How many of some samples are right, from their logits and labels."""


class Call:
    """An entry that is called for one batch after the other.

    Where nothing in the program knows labels, *judge* says what is right, if anybody does.
    """

    def __init__(self, interpreter: Machine, entry: str, samples: Samples, judge: Judge | None = None) -> None:
        self._interpreter, self._judge = interpreter, judge
        self._entry = interpreter.program.entry(entry)
        symbols = [interpreter.program.symbol(name) for name in self._entry.inputs]
        self._label = next((symbol for symbol in symbols if symbol.role == "label" or symbol.name == "label"), None)
        inputs = [symbol for symbol in symbols if symbol is not self._label]
        if len(inputs) > 1:
            raise DataError.at(
                NOWHERE, f"{entry} has the inputs {', '.join(s.name for s in inputs)}; the data has one a sample"
            )
        self._input = inputs[0] if inputs else None
        self._classes: int | None = None
        if "logits" in self._entry.results and (shape := interpreter.program.symbol("logits").shape):
            self._classes = shape[-1]
        self._drawn = interpreter.program.settings.get("coding") == "poisson"
        if self._input is not None:
            _check_shape(self._input, samples.sample_shape)

    def __call__(
        self, samples: Samples, indices: NDArray[np.int64], facts: Mapping[str, float | int], logits: bool = False
    ) -> Outcome:
        """Hand over the samples at *indices*, run, and read what came out; logits only where they are needed.

        *facts* are the scalars that the host knows, but for ``valid``.  DataError: values that are not finite, a label
        out of range, a scalar that the host does not know.
        """
        images, labels = samples.batch(indices)
        self._feed(images, labels, indices)
        known = {**facts, "valid": len(indices)}
        missing = [name for name in self._entry.arguments if name not in known]
        if missing:
            raise DataError.at(NOWHERE, f"{self._entry.name} takes {', '.join(missing)}, which this host does not know")
        self._interpreter.run(self._entry.name, {name: known[name] for name in self._entry.arguments})
        return self._outcome(labels, logits)

    def _feed(self, images: NDArray[np.float32], labels: NDArray[np.uint16], indices: NDArray[np.int64]) -> None:
        """Write inputs; samples that a partial batch lacks are zero."""
        if self._input is not None:
            least, most = float(images.min(initial=0)), float(images.max(initial=0))  # NaN, where there is one
            if not (isfinite(least) and isfinite(most)):
                bad = int(indices[int(np.argmax(~np.isfinite(images).reshape(len(images), -1).all(axis=1)))])
                raise DataError.at(NOWHERE, f"sample {bad} has values that are not finite")
            symbol = self._input
            if symbol.kind.whole:
                _check_whole(images / np.float32(symbol.scale), symbol, indices)
            else:
                if max(most, -least) > LARGEST.get(symbol.format, np.inf):
                    raise _beyond(images, symbol, indices)
                if self._drawn and not symbol.steps:
                    _check_probabilities(images, symbol, indices)
            self._interpreter.write(symbol.name, _whole(images, symbol))
        if self._label is not None:
            if self._classes is not None and (high := labels >= self._classes).any():
                bad = int(np.argmax(high))
                raise DataError.at(
                    NOWHERE,
                    f"sample {int(indices[bad])} has the label {int(labels[bad])}; "
                    f"the network has {self._classes} outputs",
                )
            marks = np.zeros(lead_of(self._label) + self._label.shape, np.uint16)
            marks.reshape(-1)[: len(labels)] = labels
            self._interpreter.write(self._label.name, marks)

    def _outcome(self, labels: NDArray[np.uint16], wanted: bool) -> Outcome:
        """Read the results of the valid samples."""
        valid, results = len(labels), self._entry.results
        losses = self._read("loss", valid).astype(np.float64) if "loss" in results else None
        correct: int | None = None
        logits: NDArray[Any] | None = None
        if "correct" in results:
            correct = int(np.count_nonzero(self._read("correct", valid)))
        judged = self._label is not None or self._judge is not None
        if "logits" in results and (wanted or (correct is None and judged)):
            logits = self._interpreter.read("logits").astype(np.float32)
            logits = logits.reshape(-1, *logits.shape[-1:])[:valid]
            if self._judge is not None:
                correct = self._judge(logits, labels)
            elif correct is None and judged:
                correct = int(np.count_nonzero(logits.argmax(axis=1) == labels))
        overflow = "overflow" in results and bool(self._interpreter.read("overflow").any())
        return Outcome(valid, losses, correct, logits, labels, overflow)

    def _read(self, name: str, valid: int) -> NDArray[Any]:
        return self._interpreter.read(name).reshape(-1)[:valid]


def _check_shape(symbol: Symbol, held: tuple[int, ...]) -> None:
    """DataError unless samples have the shape of the input, or as many elements as it flattened."""
    wanted = ((symbol.steps,) if symbol.steps else ()) + symbol.shape
    time_fits = not symbol.steps or held[:1] == (symbol.steps,)
    if not time_fits or np.prod(held) != np.prod(wanted):
        raise DataError.at(NOWHERE, f"samples have the shape {list(held)}; input {symbol.name} wants {list(wanted)}")


def _whole(images: NDArray[np.float32], symbol: Symbol) -> NDArray[np.float32]:
    """Samples as the program takes them, time first; those that a partial batch lacks are zero."""
    count, steps = len(images), (symbol.steps,) if symbol.steps else ()
    given = np.asarray(images, np.float32).reshape(count, *steps, *symbol.shape)
    given = np.moveaxis(given, 1, 0) if steps else given
    lead = lead_of(symbol)
    if given.shape == lead + symbol.shape:
        return given
    whole = np.zeros(lead + symbol.shape, np.float32)
    whole[(slice(None),) * len(steps) + (slice(count),)] = given
    return whole


def _beyond(images: NDArray[np.float32], symbol: Symbol, indices: NDArray[np.int64]) -> DataError:
    """Where a port of words would have to hold more than its format does."""
    largest = LARGEST[symbol.format]
    bad = int(indices[int(np.argmax((np.abs(images) > largest).reshape(len(images), -1).any(axis=1)))])
    return DataError.at(
        NOWHERE,
        f"sample {bad} has values beyond {largest:g}, the most that the {symbol.format} input {symbol.name} holds",
        hints=["values scaled to 0..1 (npz: maximum=N)"],
    )


def _check_probabilities(images: NDArray[np.float32], symbol: Symbol, indices: NDArray[np.int64]) -> None:
    """DataError where Poisson coding would have to fire with a probability that is none."""
    wrong = (images < 0) | (images > 1)
    if wrong.any():
        first = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        raise DataError.at(
            NOWHERE,
            f"sample {int(indices[first[0]])} has the value {float(images[first]):g}; with coding = poisson the values "
            f"of {symbol.name} are probabilities, from 0 to 1",
            hints=["values scaled to 0..1, not normalised (npz: maximum=N)", "coding = direct"],
        )


def _check_whole(images: NDArray[np.float32], symbol: Symbol, indices: NDArray[np.int64]) -> None:
    """DataError where a port of bits or counts would have to hold another value."""
    least, most = symbol.kind.minimum, symbol.kind.maximum
    wrong = (images != np.rint(images)) | (images < least) | (images > most)
    if wrong.any():
        first = np.unravel_index(int(np.argmax(wrong)), wrong.shape)
        raise DataError.at(
            NOWHERE,
            f"sample {int(indices[first[0]])} has the value {float(images[first]):g}; the input {symbol.name} is "
            f"{symbol.format} and holds the integers {least}..{most}",
            hints=["an f16 port", "coding = poisson in the train section, with an f16 port"],
        )
