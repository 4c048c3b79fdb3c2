"""Measure how sparse spikes, errors and surrogate windows are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ._options import COUNT, SEED, compiled, evaluating, json_option, model_argument, rate, tell, weights_option
from ._output import Output, check_writable, write_text

if TYPE_CHECKING:
    from ..compiler.pipeline import Compilation
    from ..compiler.profile import Profiler
    from ..models.data import Dataset


@click.command()
@model_argument
@evaluating
@click.option("--data", required=True, metavar="DATA", help="What to train on (`snnc list data`).")
@click.option(
    "--batches", type=COUNT, default=4, show_default=True, metavar="N", help="Training steps to run and to look at."
)
@click.option("--seed", type=SEED, default=0, show_default=True, metavar="S", help="Of parameters, shuffling, coding.")
@rate
@weights_option
@click.option(
    "-o", "--output", "to", metavar="FILE", help="Write the profile, which --density of other commands reads."
)
@json_option
def command(model: str, data: str, batches: int, seed: int, to: str | None, json_to: str | None, **chosen: Any) -> None:
    """Run a few training steps of MODEL and tell how many spikes, errors and surrogate windows are not zero.

    Nothing is compiled: the steps are run on whole tensors, with the numbers of every mapping on the target. How
    sparse a network is changes as it learns; --weights takes parameters from a checkpoint of a later moment.

    \b
    Example:
        snnc profile digits --data digits -o digits.profile.json
        snnc compile digits --density digits.profile.json
    """
    from ..compiler.cost.density import profile_of
    from ..reports.density_text import density_table, profile_text
    from ._program import load_data_for

    check_writable([to, json_to])
    output = Output(json_to, standard=to)
    compilation = compiled(model, chosen)
    tell(compilation.imported.notes)
    tell(compilation.doubts)
    dataset = load_data_for(data, compilation.network, compilation.training_options.the_loss.judges)
    profiler, done = profiled(compilation, dataset, batches, seed)
    found = profiler.densities
    training = compilation.training
    facts = {"steps": training.steps, "batch": training.batch, "batches": done, "seed": seed, "data": data}
    written = profile_of(found, facts)
    output.say(f"{training.name}: {done} training steps of {training.batch} samples, {training.steps} time steps")
    output.show(density_table(found))
    if to is not None:
        write_text(to, profile_text(written))
    output.value(written)


def profiled(compilation: Compilation, dataset: Dataset, count: int, seed: int) -> tuple[Profiler, int]:
    """Train for *count* steps at most, one epoch at most; what was seen, and how many steps there were."""
    from ..compiler.profile import Profiler
    from ..runtime.facts import facts_of
    from ..runtime.feeding import Call, batch_count
    from ..runtime.feeding import batches as batches_of
    from ..runtime.host import TRAIN
    from ..runtime.settings import Settings
    from ._oracle import OracleMachine

    program = compilation.interface
    settings = Settings.of(program.settings, seed=seed)
    machine = OracleMachine(program, compilation.training, compilation.target.accumulators)
    machine.initialise({"seed": seed, "loss_scale": settings.loss_scale})
    profiler, call = Profiler(machine.oracle), Call(machine, TRAIN, dataset.train)
    samples, scale = len(dataset.train), settings.scale
    length = batch_count(samples, program.batch)
    updates = 0
    indices = batches_of(samples, program.batch, seed, 0, settings.shuffle, 0)
    for done, batch in enumerate(indices):
        if done == count:
            break
        outcome = call(dataset.train, batch, facts_of(settings, updates, 0, length, scale, program.steps))
        if settings.scaling is not None:
            scale = settings.scaling.after(scale, outcome.overflow)
        updates += not outcome.overflow
        profiler.observe(outcome.valid)
    return profiler, min(count, length)
