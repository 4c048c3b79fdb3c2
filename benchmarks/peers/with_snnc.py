"""snnc's interpreter as a peer: the compiled program, every counter on, as the host of `snnc train` runs it."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import snnc
from snnc.compiler.pipeline import Compilation, Options
from snnc.runtime.facts import facts_of
from snnc.runtime.feeding import Call
from snnc.runtime.host import INFER, TRAIN, initialise, spike_rates
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.settings import Settings
from snnc.runtime.weights import take_over

from ..growth import with_cores
from .job import Array, Job, Mode
from .worker import Refused, serve


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
    """Calls the program's entries for a target, and for a chip of so many of its cores where a number is given."""

    def __init__(self, job: Job, folder: Path, options: Sequence[str]) -> None:
        target, *cores = options
        if cores:
            target = str(with_cores(target, int(cores[0]), folder))
        self._job = job
        self._program = program = Compilation(
            folder / "network.snn", Options(target, batch=job.batch, steps=job.graph.steps)
        ).program
        self._settings = Settings.of(program.settings)
        self._calls: dict[str, Call] = {}
        self._threads = 0
        self._begin(1)
        self._step = 0
        self.versions: Mapping[str, str] = {
            "python": platform.python_version(),
            "snnc": snnc.__version__,
            "numpy": np.__version__,
        }
        machine = self._interpreter.target
        self.notes = (
            f"{machine.name}, {program.cores} cores, {machine.accumulators} accumulators, "
            f"{program.instruction_count} instructions; counts every byte and operation"
        )

    def _begin(self, threads: int) -> None:
        """An interpreter of so many threads, with the parameters of the job."""
        job, program = self._job, self._program
        self._threads = threads
        self._interpreter = Interpreter(program, threads=threads)
        initialise(self._interpreter, self._settings)
        take_over(self._interpreter, job.parameters)
        first = OneBatch(job.images[0], job.labels[0])
        self._calls = {"training": Call(self._interpreter, TRAIN, first)}
        if any(entry.name == INFER for entry in program.entries):
            self._calls["inference"] = Call(self._interpreter, INFER, first)

    def step(self, images: Array, labels: Array, mode: Mode) -> float | None:
        """Inputs into DRAM, the entry, results out of DRAM."""
        if mode.precision != "f32":
            raise Refused("programs work in the format that their target names")
        if mode.threads > self._program.cores:
            raise Refused(f"the chip has {self._program.cores} cores to work in threads")
        if mode.threads != self._threads:
            self._begin(mode.threads)
        settings = self._settings
        facts = facts_of(settings, self._step, 0, 1, settings.scale, self._job.graph.steps)
        facts = {**facts, "learning_rate": self._job.rate}
        call = self._calls[mode.entry]
        outcome = call(OneBatch(images, labels), np.arange(self._job.batch), facts, logits=mode.entry == "inference")
        if mode.entry == "inference":
            return None
        self._step += 1
        assert outcome.loss is not None
        return outcome.loss

    def spike_rates(self) -> Mapping[str, float]:
        """Of neurons, from what the last entry left in DRAM; spikes that were pooled are of another layer."""
        neurons = {node.results[0] for node in self._job.graph.neurons}
        found = spike_rates(self._interpreter, self._job.batch)
        return {name: rate for name, rate in found.items() if name in neurons}


if __name__ == "__main__":
    serve(Snnc)
