"""The page of data says what works: its blocks are executed, one after the other, in an empty folder."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from snnc.models.data import LOADERS

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text("utf-8")
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", PAGE, re.DOTALL)


def test_the_blocks_of_the_page_work(shell: Callable[[list[str], Path], str], tmp_path: Path) -> None:
    assert [language for language, _ in BLOCKS] == ["sh", "python", "sh"]
    printed = [
        shell(["sh", "-euc", block] if language == "sh" else [sys.executable, "-c", block], tmp_path)
        for language, block in BLOCKS
    ]
    assert "54 samples of 4x2x34x34 to train on, 10 to test on" in printed[-1]
    assert "54 samples of 6x2x34x34 to train on, 10 to test on" in printed[-1]


def test_the_page_names_every_loader_and_every_option_of_events() -> None:
    rows = re.findall(r"^\| `(\w+)", PAGE, re.MULTILINE)
    assert set(LOADERS) <= set(rows)
    loader = LOADERS["events"]
    assert {*loader.options, *loader.choices} <= set(rows)
