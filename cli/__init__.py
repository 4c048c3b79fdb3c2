"""The `snnc` command: a file `NAME.py` in this folder whose `command` is a Click command is `snnc NAME`.

The only room where compiler, runtime, reports and models meet. `snnc --help` reads the first line of each file's
docstring and imports none of them, so a command imports what it needs at its top and the help is quick all the same.
"""

from __future__ import annotations

import ast
from importlib.resources import files
from typing import Any

import click

from .. import __version__
from ..catalog import Catalog, UnknownName, unknown
from ..source import SnncError

commands: Catalog[click.Command] = Catalog(__name__, "command")


class Commands(click.Group):
    """The commands of this folder; `init_target.py` is `snnc init-target`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name.replace("_", "-") for name in commands]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            ctx.fail(str(unknown("command", cmd_name, self.list_commands(ctx))))
        return commands[cmd_name.replace("-", "_")]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [(name, _summary(name.replace("-", "_"))) for name in self.list_commands(ctx)]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; the user's error is one message on standard error and exit status 1, wrong usage is 2."""
        try:
            return super().invoke(ctx)
        except (SnncError, UnknownName) as error:
            click.echo(str(error), err=True)
            ctx.exit(1)


def _summary(name: str) -> str:
    """The first line of a command's file, read without importing it."""
    text = files(commands.package).joinpath(f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="snnc")
def main() -> None:
    """Compile the training of a spiking neural network for a multi-core accelerator, and run it bit for bit."""
