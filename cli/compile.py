"""Compile a model into a program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._options import (
    compiled,
    compiling,
    json_option,
    model_argument,
    one_standard_output,
    rate,
    tell,
    weights_option,
)
from ._output import STANDARD_OUTPUT, Output, check_writable, write_text

if TYPE_CHECKING:
    from ..compiler.pipeline import Compilation

STAGES = ("graph", "training", "schedule", "assembly", "binary")


@click.command()
@model_argument
@compiling
@rate
@weights_option
@click.option("--emit", type=click.Choice(STAGES), default="binary", show_default=True, help="The stage to stop after.")
@click.option(
    "-o", "--output", "to", metavar="FILE", help="Unless given, a program goes to MODEL.snnb here, a text is shown."
)
@json_option
def command(model: str, emit: str, to: str | None, json_to: str | None, **chosen: Any) -> None:
    """Compile MODEL, a .snn file or the name of one that comes with snnc, into a program (.snnb) or show a stage of it.

    \b
    Example:
        snnc compile digits --target tiny -o digits.snnb
        snnc compile digits --emit schedule
    """
    from ._program import resolved, say_program

    path = to if to is not None else f"{Path(model).stem}.snnb" if emit == "binary" else STANDARD_OUTPUT
    if emit == "binary" and path == STANDARD_OUTPUT:
        raise click.UsageError("a program does not go to standard output; name a file with -o")
    if to is not None:
        one_standard_output(to, json_to)
    check_writable([path, json_to])
    compilation = compiled(model, chosen)
    tell(compilation.imported.notes)
    output = Output(json_to, standard=path)
    facts: dict[str, Any] = {"model": model, "emit": emit, "output": path}
    if emit == "binary":
        from ..isa.binary import save
        from ..reports.json_report import plain, program_facts
        from ..reports.tables import settings_text

        settings = resolved(compilation)
        output.say(settings_text(settings))
        tell(compilation.doubts)
        program = compilation.program
        save(program, path)
        say_program(output, program, path)
        facts |= {
            "settings": {each.name: {"value": plain(each.value), "origin": each.origin} for each in settings},
            "predicted": plain(program.predicted),
            "bound": plain(program.bound),
            "program": program_facts(program),
        }
    else:
        text = stage_text(compilation, emit)
        if not path == json_to == STANDARD_OUTPUT:
            write_text(path, text)
        else:
            facts["text"] = text
    output.value(facts)


def stage_text(compilation: Compilation, stage: str) -> str:
    """The text of a stage of a compilation."""
    match stage:
        case "graph":
            from ..compiler.ir.text import print_network

            return print_network(compilation.network)
        case "training":
            from ..compiler.ir.text import print_training

            return print_training(compilation.training)
        case "schedule":
            from ..reports.schedule_text import schedule_text

            return schedule_text(compilation.schedule, compilation.target)
        case _:
            from ..isa.assembly import to_text

            return to_text(compilation.program)
