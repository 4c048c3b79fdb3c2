"""snnc's interpreter as a peer: the compiled program, every counter on, as the host of `snnc train` runs it."""

from __future__ import annotations

import platform
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

import snnc
from snnc.compiler.pipeline import compile
from snnc.runtime.feeding import Call
from snnc.runtime.host import TRAIN, initialise, spike_rates
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.settings import Settings
from snnc.runtime.weights import take_over

from .job import Array, Job
from .worker import serve


class OneBatch:
    """A batch as the samples of a data set."""

    def __init__(self, images: Array, labels: Array) -> None:
        self._images, self._labels = images, labels

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one image."""
        return self._images.shape[1:]

    def batch(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
        """All of it."""
        return self._images, self._labels


class Snnc:
    """Calls the program's training entry."""

    def __init__(self, job: Job) -> None:
        self._program = compile(job.model, target=job.target, batch=job.batch, steps=job.steps)
        self._interpreter = Interpreter(self._program)
        self._settings = Settings.of(self._program.settings)
        initialise(self._interpreter, self._settings)
        take_over(self._interpreter, job.parameters)
        self._call = Call(self._interpreter, TRAIN, OneBatch(job.images[0], job.labels[0]))
        self._rate = job.optimizer["lr"]
        self._indices = np.arange(job.batch)
        self._step = 0
        self.versions: Mapping[str, str] = {
            "python": platform.python_version(),
            "snnc": snnc.__version__,
            "numpy": np.__version__,
        }
        machine = self._interpreter.target
        self.notes = (
            f"{machine.name}, {self._program.cores} cores, {machine.accumulators} accumulators, "
            f"{self._program.instruction_count} instructions; counts every byte and operation"
        )

    def step(self, images: Array, labels: Array) -> float:
        """Inputs into DRAM, the entry, results out of DRAM."""
        first, second = self._settings.corrections(self._step)
        facts = {
            "learning_rate": self._rate,
            "loss_scale": self._settings.loss_scale,
            "seed": self._settings.seed,
            "step": self._step,
            "correction1": first,
            "correction2": second,
        }
        self._step += 1
        outcome = self._call(OneBatch(images, labels), self._indices, facts)
        assert outcome.loss is not None
        return outcome.loss

    def spike_rates(self) -> Mapping[str, float]:
        """From the tape that the last step left in DRAM."""
        return spike_rates(self._interpreter, len(self._indices))


if __name__ == "__main__":
    serve(Snnc)
