"""Show a program as assembly."""

from __future__ import annotations

import click

from ._options import json_option, program_argument
from ._output import STANDARD_OUTPUT, Output, check_writable, write_text


@click.command()
@program_argument
@click.option("-o", "--output", "to", default=STANDARD_OUTPUT, metavar="FILE", help="The text; unless given, shown.")
@json_option
def command(program: str, to: str, json_to: str | None) -> None:
    """Show PROGRAM (.snnb) as assembly, a line an instruction, each with the line of source that it came from.

    \b
    Example:
        snnc disasm digits.snnb -o digits.s
    """
    from ..isa import assembly
    from ..reports.json_report import program_facts
    from ._program import load_program

    check_writable([to, json_to])
    loaded = load_program(program)
    if not to == json_to == STANDARD_OUTPUT:
        write_text(to, assembly.to_text(loaded))
    Output(json_to).value({"output": to, "program": program_facts(loaded)})
