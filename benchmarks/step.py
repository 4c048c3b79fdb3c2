"""A training step of a program on made samples, as often as it is wanted."""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.compiler.pipeline import Compilation, Options
from snnc.isa.program import Program
from snnc.runtime.facts import facts_of
from snnc.runtime.feeding import Call
from snnc.runtime.host import TRAIN, initialise
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.settings import Settings

from .full_size import made_samples
from .problem import SIZES, model_file


def program_of(model: str, target: str) -> Program:
    """Of a model, at the size of the benchmark."""
    steps, batch = SIZES.get(model, (None, None))
    return Compilation(model_file(model), Options(target, batch=batch, steps=steps)).program


class TrainingStep:
    """Parameters are drawn; a call is one more step of *machine*."""

    def __init__(self, program: Program) -> None:
        self.machine = Interpreter(program)
        settings = Settings.of(program.settings)
        (port,) = [symbol for symbol in program.symbols if symbol.role == "input"]
        self._samples = made_samples(program, port, 0)
        initialise(self.machine, settings)
        self._facts: dict[str, Any] = facts_of(settings, 0, 0, 1, settings.scale, program.steps)
        self._call = Call(self.machine, TRAIN, self._samples)
        self._indices = np.arange(program.batch)

    def __call__(self) -> None:
        self._call(self._samples, self._indices, self._facts)
