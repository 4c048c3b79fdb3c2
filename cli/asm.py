"""Assemble a text into a program."""

from __future__ import annotations

from pathlib import Path

import click

from ._options import json_option
from ._output import Output, check_writable


@click.command()
@click.argument("source")
@click.option("-o", "--output", "to", metavar="FILE", help="The program; unless given, SOURCE with the suffix .snnb.")
@json_option
def command(source: str, to: str | None, json_to: str | None) -> None:
    """Assemble the text in file SOURCE into a program (.snnb); the inverse of `snnc disasm`.

    \b
    Example:
        snnc asm digits.s -o digits.snnb
    """
    from ..isa import assembly, binary
    from ..reports.json_report import program_facts
    from ._program import say_program

    path = to if to is not None else str(Path(source).with_suffix(".snnb"))
    check_writable([path, json_to])
    program = assembly.from_text(read_text(source), source)
    binary.save(program, path)
    output = Output(json_to)
    say_program(output, program, path)
    output.value({"output": path, "program": program_facts(program)})


def read_text(path: str) -> str:
    """The text in a file; DataError where there is none."""
    from ..isa.files import read_whole
    from ..source import DataError, Place

    try:
        return read_whole(Path(path)).decode()
    except UnicodeDecodeError:
        raise DataError.at(Place(path), "not a text", hints=[f"snnc disasm {path}"]) from None
