"""Train a compiled program on data."""

from __future__ import annotations

from typing import Any

import click

from ._execution import Execution
from ._options import density_option, json_option, program_argument, running_or_counting
from ._output import Output


@click.command()
@program_argument
@running_or_counting
@click.option(
    "--count-only",
    is_flag=True,
    help="Run every entry once without data: what moves is counted, what zeros decide predicted from --density.",
)
@density_option
@click.option(
    "--compare-oracle",
    metavar="MODEL",
    help="Hold every tensor in DRAM against the training graph of the model, step by step.",
)
@json_option
def command(program: str, json_to: str | None, count_only: bool, **chosen: Any) -> None:
    """Train PROGRAM (.snnb) on data, from its bytes alone, test it, and tell what moved.

    \b
    Example:
        snnc compile digits -o digits.snnb
        snnc run digits.snnb --data digits --epochs 2 --checkpoint digits.ckpt
        snnc run digits.snnb --count-only --density 0.1
    """
    from ..reports.json_report import Resolved
    from ..reports.tables import prediction_text, settings_text
    from ._program import load_program, say_program

    output = Output(json_to)
    if count_only:
        from ._counting import count_only as count

        return count(program, output, chosen)
    if chosen.pop("density") != 1.0:
        raise click.UsageError("--density is for --count-only; with data, zeros are counted")
    if chosen["data"] is None:
        raise click.MissingParameter(param_hint="'--data'", param_type="option")
    execution = Execution("run", output, **chosen)
    loaded = load_program(program)
    given = ("epochs", "max_steps", "seed", "lr", "schedule")
    lines = {name: chosen[name] for name in given if chosen[name] is not None}
    execution.resolved = (
        *(Resolved(name, value, "program") for name, value in loaded.settings.items() if name not in lines),
        *(Resolved(name, value, "command line") for name, value in lines.items()),
    )
    say_program(output, loaded, program)
    output.say(settings_text(execution.resolved))
    output.say(prediction_text(loaded))
    execution.run(loaded)
