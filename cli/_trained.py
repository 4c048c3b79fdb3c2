"""A program with trained parameters, as `snnc eval` and `snnc predict` run it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ._options import threads_of
from ._output import Output
from ._program import load_data, load_program
from ._progress import ProgressBar

if TYPE_CHECKING:
    from ..isa.program import Program
    from ..models.data import Samples
    from ..runtime.host import Evaluation
    from ..runtime.interpreter import Interpreter
    from ..runtime.labelling import Assigned


def trained(
    path: str, checkpoint: str | None, weights: str | None, threads: int | None
) -> tuple[Interpreter, Assigned | None]:
    """An interpreter of the program in *path* with the parameters of a checkpoint, of weights, or of its own.

    With it, the classes that a checkpoint knows of the outputs of a network that has learned without labels.
    """
    from ..runtime import checkpoint as checkpoints
    from ..runtime import weights as parameters
    from ..runtime.host import INFER
    from ..runtime.interpreter import Interpreter
    from ..runtime.labelling import Assigned
    from ..source import DataError, Place

    if checkpoint is not None and weights is not None:
        raise click.UsageError("give --checkpoint or --weights, not both")
    program = load_program(path)
    if all(entry.name != INFER for entry in program.entries):
        raise DataError.at(Place(path), f"has no entry {INFER}")
    if checkpoint is None and weights is None and not _holds_parameters(program):
        raise click.UsageError("the program holds no trained parameters; give --checkpoint or --weights")
    interpreter = Interpreter(program, threads=threads_of(threads))
    if checkpoint is not None:
        progress = checkpoints.restore(checkpoints.load(checkpoint), program, interpreter.chip.dram, checkpoint)
        return interpreter, Assigned.held(progress)
    if weights is not None:
        parameters.take_over(interpreter, parameters.load(weights), weights)
    return interpreter, None


def _holds_parameters(program: Program) -> bool:
    from ..runtime.weights import parameters

    return all(symbol.name in program.data for symbol in parameters(program))


def evaluated(
    interpreter: Interpreter, assigned: Assigned | None, spec: str, part: str, output: Output, logits: bool
) -> tuple[Samples, Evaluation, Assigned | None]:
    """The samples of *part* (train or test), what the program answers for them, and what its outputs stand for.

    Where they are no classes by themselves and nothing has *assigned* them any, training samples of the data do.
    """
    from ..reports.tables import labels_text
    from ..runtime.checkpoint import Progress
    from ..runtime.host import INFER, evaluate
    from ..runtime.labelling import assign, seen_last, unlabelled
    from ..runtime.settings import Settings

    program = interpreter.program
    settings = Settings.of(program.settings)
    dataset = load_data(spec, program)
    split: Samples = getattr(dataset, part)
    with ProgressBar(output, 0) as bar:
        if assigned is None and unlabelled(program, INFER):
            chosen = seen_last(len(dataset.train), program.batch, settings, Progress())
            assigned = assign(interpreter, INFER, dataset.train, chosen, settings)
            interpreter.counters.take()  # what is told of inferring is that of the samples asked for
        if assigned is not None:
            output.say(f"labels    {labels_text(assigned.classes, assigned.samples)}")
        return split, evaluate(interpreter, split, settings, bar, logits, assigned), assigned
