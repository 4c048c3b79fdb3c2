"""Compile a model and train it on data."""

from __future__ import annotations

from typing import Any

import click

from ._execution import Execution
from ._options import compiled, compiling, json_option, model_argument, running, tell
from ._output import Output, check_writable


@click.command()
@model_argument
@compiling
@running
@click.option(
    "--compare-oracle", is_flag=True, help="Hold every tensor in DRAM against the training graph, step by step (slow)."
)
@click.option("-o", "--output", "to", metavar="FILE", help="Write the program (.snnb), too.")
@json_option
def command(model: str, to: str | None, compare_oracle: bool, json_to: str | None, **chosen: Any) -> None:
    """Compile MODEL, a .snn file or the name of one that comes with snnc, train it on data, test it, tell what moved.

    \b
    Example:
        snnc train digits --data digits --epochs 5
        snnc train mlp --data idx:mnist --epochs 2 --target li2024_exact
    """
    from ..reports.tables import prediction_text, settings_text
    from ._program import check_weights_for, load_data_for, resolved, say_program

    output = Output(json_to)
    running_names = set(Execution.__dataclass_fields__)
    execution = Execution(
        "train",
        output,
        compare_oracle=model if compare_oracle else None,
        **{name: value for name, value in chosen.items() if name in running_names},
    )
    check_writable([to])
    both = ("lr", "schedule")
    options = {name: value for name, value in chosen.items() if name not in running_names or name in both}
    compilation = compiled(model, options)
    tell(compilation.imported.notes)
    given = [(name, chosen[name]) for name in ("epochs", "max_steps", "seed") if chosen[name] is not None]
    execution.resolved = host_settings(resolved(compilation), given)
    output.say(settings_text(execution.resolved))
    tell(compilation.doubts)
    # Mapping takes the time: what is wrong with the network, or does not fit it, is told before.
    assert compilation.training
    dataset = load_data_for(execution.data, compilation.network, compilation.training_options.the_loss.judges)
    if execution.weights is not None:
        check_weights_for(execution.weights, compilation.training)
    program = compilation.program
    say_program(output, program)
    output.say(prediction_text(program))
    if to is not None:
        from ..isa.binary import save

        save(program, to)
    execution.run(program, dataset)


def host_settings(compiled: tuple[Any, ...], given: list[tuple[str, Any]]) -> tuple[Any, ...]:
    """The settings of the compilation, and over them what the command line gives the host."""
    from ..reports.json_report import Resolved

    names = {name for name, _ in given}
    kept = (each for each in compiled if each.name not in names)
    return (*kept, *(Resolved(name, value, "command line") for name, value in given))
