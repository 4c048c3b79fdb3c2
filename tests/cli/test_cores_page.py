"""The page on cores shows what the command prints, and its commands work."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "cores.md").read_text("utf-8")


def test_the_page_shows_the_schedule_that_its_command_prints(
    shell: Callable[[list[str], Path], str], tmp_path: Path
) -> None:
    (block,) = re.findall(r"<!-- command: quick -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
    shown, *_ = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    printed = shell(["sh", "-euc", block], tmp_path)
    name, *lines = shown.splitlines()
    assert lines
    head, *_ = printed[printed.index(name) :].partition("\n      for ")
    assert set(lines) <= {line.partition("    #")[0] for line in head.splitlines()}


def test_the_page_shows_what_is_decided_of_steps(shell: Callable[[list[str], Path], str], tmp_path: Path) -> None:
    """But for the figures, which follow every better mapping."""
    (block,) = re.findall(r"<!-- command: overlap -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
    *_, shown = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    lines = shell(["sh", "-euc", block], tmp_path).splitlines()
    place = lines.index("entry train_step") + 1
    assert [re.sub(r"[\d.]+", "N", line) for line in lines[place : place + 3]] == [
        re.sub(r"[\d.]+", "N", line) for line in shown.splitlines()
    ]
