"""Where a command's words go: text for people, JSON for programs, files whole or not at all."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..source import DataError, Place

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

STANDARD_OUTPUT = "-"
PROBE_BYTES = 1 << 16


class Output:
    """Words for people and a value for programs; where the value goes to standard output, nothing else does.

    *json_to* is the file of `--json`, `-` or None.
    """

    def __init__(self, json_to: str | None = None, standard: str | None = None) -> None:
        """*standard* is another output that the user may have sent to `-` (a text, say)."""
        self.json_to = json_to
        self.aside = STANDARD_OUTPUT in (json_to, standard)

    def say(self, text: str = "") -> None:
        """A line for people."""
        click.echo(text, err=self.aside)

    def show(self, thing: RenderableType) -> None:
        """A table for people; as wide as it needs to be where nobody looks at a terminal."""
        self.console.print(thing)

    @cached_property
    def console(self) -> Console:
        """The console of rich that tables and progress go to."""
        from rich.console import Console

        console = Console(stderr=self.aside, highlight=False, soft_wrap=False)
        if not console.is_terminal:
            console.width = 160
        return console

    def value(self, value: Any) -> None:
        """The value for programs, where one is wanted."""
        if self.json_to is None:
            return
        text = json.dumps(value, indent=1, allow_nan=False) + "\n"
        write_text(self.json_to, text)


def write_text(path: str, text: str) -> None:
    """Write *text* to a file, whole or not at all, or to standard output."""
    if path == STANDARD_OUTPUT:
        click.echo(text, nl=False)
    else:
        from ..isa.files import write_whole

        write_whole(Path(path), text.encode())


def check_writable(paths: Iterable[str | None]) -> None:
    """DataError where one of *paths* cannot be written, before any long work starts; None and `-` are fine.

    A result never takes the place of what the command reads, nor of another result.
    """
    read = _read_files()
    taken: set[Path] = set()
    for path in paths:
        if path is None or path == STANDARD_OUTPUT:
            continue
        place = Path(path)
        if place.resolve() in read:
            raise DataError.at(Place(path), "is read by this command, and would be overwritten", hints=["another file"])
        if place.resolve() in taken:
            raise DataError.at(Place(path), "two results would go to this file", hints=["another file for one of them"])
        taken.add(place.resolve())
        if place.is_dir():
            raise DataError.at(Place(path), "cannot be written: it is a folder")
        try:
            with tempfile.TemporaryFile(dir=place.parent) as probe:
                probe.write(bytes(PROBE_BYTES))
                probe.flush()
        except OSError as error:
            raise DataError.at(Place(path), f"cannot be written: {error.strerror}") from None


READ = ("model", "program", "source", "weights", "compare_oracle", "target", "checkpoint_in")
"""Parameters of commands that may name a file to read; a checkpoint may be resumed from and written to alike."""


def _read_files() -> set[Path]:
    """The files that the command at hand reads."""
    context = click.get_current_context(silent=True)
    given = {} if context is None else context.params
    named = [value for name, value in given.items() if name in READ and isinstance(value, str)]
    return {Path(value).resolve() for value in named if Path(value).is_file()}
