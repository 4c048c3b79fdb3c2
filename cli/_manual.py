"""The page of commands, `docs/commands.md`, read off the commands' help.

``python -m snnc.cli._manual`` writes it anew in a checkout; a test tells when it is out of date.
"""

from __future__ import annotations

from pathlib import Path

import click

from . import Commands, main

PAGE = Path(__file__).parent.parent / "docs" / "commands.md"
WIDTH = 110


def page() -> str:
    """The text that the page should have."""
    assert isinstance(main, Commands)
    root = click.Context(main, info_name="snnc", help_option_names=main.context_settings["help_option_names"])
    parts = [
        "# Commands",
        "",
        "<!-- Written by `python -m snnc.cli._manual`; change the commands, not this page. -->",
        "",
        "A command ends with status 0, with 1 where something that it was given is at fault (one message says what),",
        "and with 2 where it was called wrongly. `--json FILE` writes what it found out for other programs to read;",
        "with `-` that is the only thing on standard output. Files are written whole or not at all.",
    ]
    for name in main.list_commands(root):
        command = main.get_command(root, name)
        assert command is not None
        context = click.Context(command, parent=root, info_name=name, terminal_width=WIDTH, max_content_width=WIDTH)
        parts += ["", f"## snnc {name}", "", "```text", command.get_help(context), "```"]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
