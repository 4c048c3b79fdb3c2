"""A program with trained parameters, as `snnc eval` and `snnc predict` run it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._output import Output
from ._program import load_data, load_program
from ._progress import ProgressBar

if TYPE_CHECKING:
    from ..isa.program import Program
    from ..models.data import Samples
    from ..runtime.host import Evaluation
    from ..runtime.interpreter import Interpreter


def trained(path: str, checkpoint: str | None, weights: str | None) -> Interpreter:
    """An interpreter of the program in *path* with the parameters of a checkpoint, of weights, or of its own."""
    from ..runtime import checkpoint as checkpoints
    from ..runtime import weights as parameters
    from ..runtime.host import INFER
    from ..runtime.interpreter import Interpreter
    from ..source import DataError, Place

    if checkpoint is not None and weights is not None:
        raise click.UsageError("give --checkpoint or --weights, not both")
    program = load_program(path)
    if all(entry.name != INFER for entry in program.entries):
        raise DataError.at(Place(path), f"has no entry {INFER}")
    if checkpoint is None and weights is None and not _holds_parameters(program):
        raise click.UsageError("the program holds no trained parameters; give --checkpoint or --weights")
    interpreter = Interpreter(program)
    if checkpoint is not None:
        checkpoints.restore(checkpoints.load(checkpoint), program, interpreter.chip.dram, checkpoint)
    elif weights is not None:
        parameters.take_over(interpreter, parameters.load(weights), weights)
    return interpreter


def _holds_parameters(program: Program) -> bool:
    from ..runtime.weights import parameters

    return all(symbol.name in program.data for symbol in parameters(program))


def evaluated(
    interpreter: Interpreter, spec: str, part: str, output: Output, logits: bool
) -> tuple[Samples, Evaluation]:
    """The samples of *part* (train or test), and what the program answers for them."""
    from ..runtime.host import evaluate
    from ..runtime.settings import Settings

    dataset = load_data(spec, interpreter.program)
    split: Samples = getattr(dataset, part)
    with ProgressBar(output, 0) as bar:
        return split, evaluate(interpreter, split, Settings.of(interpreter.program.settings), bar, logits)
