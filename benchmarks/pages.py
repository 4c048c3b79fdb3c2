"""Tables of the pages in docs/, written anew by the commands that measure what they show."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

Row = Sequence[str]


def line(row: Row) -> str:
    """A row as the page has it."""
    return "|" + "".join(f" {cell} |" if cell else " |" for cell in row)


def rows_of(page: str, head: Row) -> list[list[str]]:
    """The cells of the table with that head; ValueError where the text of the *page* has not exactly one."""
    first, behind = _place(page.splitlines(), head)
    return [[cell.strip() for cell in each[1:-1].split("|")] for each in page.splitlines()[first:behind]]


def with_rows(page: str, head: Row, rows: Sequence[Row]) -> str:
    """The text of the page with other rows in the table with that head; ValueError as above."""
    lines = page.splitlines(keepends=True)
    first, behind = _place(page.splitlines(), head)
    return "".join((*lines[:first], *(f"{line(row)}\n" for row in rows), *lines[behind:]))


def show(head: Row, rows: Sequence[Row], page: Path | None) -> None:
    """Print a table, and put it into the file *page*, where one is given."""
    print("\n".join((line(head), "|---" * len(head) + "|", *map(line, rows))), flush=True)
    if page is not None:
        try:
            text = with_rows(page.read_text("utf-8"), head, rows)
        except ValueError as problem:
            sys.exit(f"{page}: {problem}")
        page.write_text(text, "utf-8")


def _place(lines: Sequence[str], head: Row) -> tuple[int, int]:
    """The first row of a table, and the line behind its last."""
    found = [number for number, text in enumerate(lines) if text == line(head)]
    if len(found) != 1:
        raise ValueError(f"{len(found)} tables with the head {line(head)}")
    first = behind = found[0] + 2  # a rule stands between
    while behind < len(lines) and lines[behind].startswith("|"):
        behind += 1
    return first, behind
