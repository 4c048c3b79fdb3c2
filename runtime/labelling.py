"""Classes for the outputs of a network that has learned without labels: each gets the one for which it fires most.

A sample is then of the class whose outputs fire most in the mean (Diehl and Cook 2015).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..isa.program import Program
from ..numerics import random
from .checkpoint import Progress
from .feeding import Call, Samples, batches
from .interpreter import Interpreter
from .settings import Settings

SILENT = -1
"""The class of an output that never fired."""


@dataclass(frozen=True)
class Assigned:
    """The class of each output, and from how many *samples* it is known."""

    classes: tuple[int, ...]
    samples: int

    @classmethod
    def of(cls, rates: NDArray[np.float64], counts: NDArray[np.int64]) -> Assigned:
        """From what each output fired for each class, summed over *counts* samples of it; of equals the first."""
        means = rates / np.maximum(counts, 1)[:, None]
        best = np.where(means.max(axis=0) > 0, means.argmax(axis=0), SILENT)
        return cls(tuple(int(each) for each in best), int(counts.sum()))

    @classmethod
    def held(cls, progress: Progress) -> Assigned | None:
        """What a checkpoint knows."""
        return cls(progress.classes, progress.labelled) if progress.classes else None

    def predicted(self, rates: NDArray[np.float32]) -> NDArray[np.uint16]:
        """The class of each row of *rates*: the one whose outputs fire most in the mean, of equals the first."""
        classes = np.asarray(self.classes)
        known = sorted(set(self.classes) - {SILENT})
        if not known:
            return np.zeros(len(rates), np.uint16)
        wide = rates.astype(np.float64)
        means = np.stack([wide[:, classes == each].mean(axis=1) for each in known], axis=1)
        return np.asarray(known, np.uint16)[means.argmax(axis=1)]

    def correct(self, rates: NDArray[np.float32], labels: NDArray[np.uint16]) -> int:
        """How many of the samples are predicted right."""
        return int(np.count_nonzero(self.predicted(rates) == labels))


def unlabelled(program: Program, entry: str) -> bool:
    """Whether *entry* answers what its outputs fire and reads no label, so that its outputs are no classes."""
    known = {found.name: found for found in program.entries}
    if entry not in known:
        return False
    inputs = [program.symbol(name) for name in known[entry].inputs]
    reads = any(symbol.role == "label" or symbol.name == "label" for symbol in inputs)
    return "logits" in known[entry].results and not reads


def seen_last(samples: int, size: int, settings: Settings, progress: Progress) -> NDArray[np.int64]:
    """The `label_samples` samples that training has seen last, of *samples* in batches of *size*; the latest first."""

    def order(epoch: int) -> NDArray[np.int64]:
        return random.permutation(samples, settings.seed, epoch) if settings.shuffle else np.arange(samples)

    now = order(progress.epoch)[: progress.batch * size]
    before = order(progress.epoch - 1) if progress.epoch else order(0)[:0]
    seen = np.concatenate([before, now])[::-1]
    seen = seen if len(seen) else order(0)
    _, first = np.unique(seen, return_index=True)
    return seen[np.sort(first)][: settings.label_samples]


def assign(
    interpreter: Interpreter,
    entry: str,
    samples: Samples,
    chosen: NDArray[np.int64],
    settings: Settings,
    watch: Callable[[int, int], None] | None = None,
) -> Assigned:
    """Run *entry* over the *chosen* ones of *samples*, and give each output its class.

    *watch* is shown how many of them are done, and of how many.
    """
    call = Call(interpreter, entry, samples)
    rates, counts = np.zeros((0, 0)), np.zeros(0, np.int64)
    done = 0
    for number, places in enumerate(batches(len(chosen), interpreter.program.batch, 0, 0, False, 0)):
        facts = {"seed": settings.seed, "step": number, "loss_scale": settings.loss_scale}
        outcome = call(samples, chosen[places], facts, logits=True)
        assert outcome.logits is not None, f"{entry} answers no logits"
        most = max(len(counts), int(outcome.labels.max()) + 1)
        rates = np.pad(rates, ((0, most - len(rates)), (0, outcome.logits.shape[1] - rates.shape[1])))
        counts = np.pad(counts, (0, most - len(counts)))
        np.add.at(rates, outcome.labels, outcome.logits.astype(np.float64))
        np.add.at(counts, outcome.labels, 1)
        done += len(places)
        if watch is not None:
            watch(done, len(chosen))
    return Assigned.of(rates, counts)
