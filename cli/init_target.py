"""Write a commented target file to start from."""

from __future__ import annotations

import click

from ._options import json_option
from ._output import STANDARD_OUTPUT, Output, check_writable, write_text


@click.command()
@click.argument("file", default=STANDARD_OUTPUT)
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@json_option
def command(file: str, force: bool, json_to: str | None) -> None:
    """Write a commented target file (TOML) to FILE, or show it: every field that a machine has, and what it may be.

    \b
    Example:
        snnc init-target my_chip.toml
        snnc compile digits --target my_chip.toml
    """
    from pathlib import Path

    from ..isa.target import template
    from ..source import DataError, Place

    output = Output(json_to)
    if file == STANDARD_OUTPUT:
        if not output.aside:
            write_text(file, template())
    else:
        if Path(file).exists() and not force:
            raise DataError.at(Place(file), "is there already", hints=["--force, to write over it"])
        check_writable([file, json_to])
        write_text(file, template())
        output.say(f"{file}: change its figures, then compile with --target {file}")
    output.value({"output": file, "target": template()})
