"""Show a stage of a model, the parts of a program."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._options import compiled, compiling, json_option, rate, tell
from ._output import STANDARD_OUTPUT, Output, check_writable

if TYPE_CHECKING:
    from ..isa.program import Program

STAGES = ("graph", "training", "schedule", "assembly", "parts")
MAGIC_BYTES = 8


@click.command()
@click.argument("file")
@click.option(
    "--emit", type=click.Choice(STAGES), help="Unless given, the graph of a model and the parts of a program."
)
@click.option("--tape", is_flag=True, help="What the backward pass of a model keeps of the forward pass, and why.")
@compiling
@rate
@json_option
def command(file: str, emit: str | None, tape: bool, json_to: str | None, **chosen: Any) -> None:
    """Show what is in FILE: a stage of a model, or the streams, memory map, symbols and sizes of a program (.snnb).

    The other options say how a model is to be compiled. A checkpoint shows its progress and its tensors.

    \b
    Example:
        snnc inspect lenet --emit schedule --target tiny
        snnc inspect digits.snnb
        snnc inspect lenet --tape
    """
    if tape and emit is not None:
        raise click.UsageError("--tape and --emit show different things; give one of them")
    check_writable([json_to])
    output = Output(json_to)
    begin = _beginning(file)
    if begin is not None and _is_checkpoint(begin):
        _show_checkpoint(output, file)
        return
    program: Program | None = None
    if begin is not None and _is_program(file, begin):
        from ._program import load_program

        program = load_program(file)
        if tape or emit not in (None, "parts", "assembly"):
            from ..source import DataError, Place

            what, option = ("tape", "--tape") if tape else (emit, f"--emit {emit}")
            raise DataError.at(
                Place(file), f"a program holds no {what}; its model does", hints=[f"snnc inspect MODEL {option}"]
            )
        if emit == "assembly":
            from ..isa.assembly import to_text

            _show_text(output, emit, to_text(program))
            return
    else:
        from .compile import stage_text

        compilation = compiled(file, chosen)
        tell(compilation.imported.notes)
        if tape:
            from ..compiler.cost.carried import carried_of
            from ..compiler.cost.tape import tape_of
            from ..reports.tape_text import tape_json, tape_text

            kept, carried = tape_of(compilation.training), carried_of(compilation.training)
            output.say(tape_text(kept, compilation.network.name, carried))
            output.value(tape_json(kept, carried))
            return
        if emit != "parts":
            _show_text(output, emit or "graph", stage_text(compilation, emit or "graph"))
            return
        program = compilation.program
    from ..reports.program_text import parts, parts_text

    output.say(parts_text(program))
    output.value(parts(program))


def _show_text(output: Output, stage: str, text: str) -> None:
    if output.json_to != STANDARD_OUTPUT:
        output.say(text.rstrip("\n"))
    output.value({"emit": stage, "text": text})


def _beginning(file: str) -> bytes | None:
    """The first bytes of a file; None where there is no such file."""
    path = Path(file)
    if not path.is_file():
        return None
    from ..isa.files import read_whole

    return read_whole(path)[:MAGIC_BYTES]


def _is_program(file: str, begin: bytes) -> bool:
    """Whether a file is a program, or is called like one, so that its reader tells what is wrong with it."""
    from ..isa.binary import MAGIC

    return begin == MAGIC or Path(file).suffix == ".snnb"


def _is_checkpoint(begin: bytes) -> bool:
    from ..runtime.checkpoint import MAGIC

    return begin == MAGIC


def _show_checkpoint(output: Output, file: str) -> None:
    from ..runtime.checkpoint import load

    held = load(file)
    progress = held.progress
    output.say(
        f"checkpoint of program {held.program[:12]} after {progress.step} training steps, epoch {progress.epoch}"
    )
    for symbol in held.symbols:
        output.say(f"  {symbol.role:10} {symbol.format}{list(symbol.shape)}  {symbol.name}")
    output.value(
        {
            "checkpoint": held.program,
            "steps": progress.step,
            "epoch": progress.epoch,
            "loss": list(progress.losses),
            "symbols": [{"name": s.name, "role": s.role, "format": s.format, "shape": s.shape} for s in held.symbols],
        }
    )
