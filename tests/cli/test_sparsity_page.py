"""The page of sparsity says what works: its commands, and then its Python, are executed in an empty folder."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "sparsity.md").read_text("utf-8")


def test_the_commands_and_the_python_of_the_page_work(shell: Callable[[list[str], Path], str], tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="needs scikit-learn for the scans of digits")
    blocks = re.findall(r"<!-- command: quick -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
    assert blocks
    for block in blocks:
        shell(["sh", "-euc", block], tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    told = shell([sys.executable, "-c", code], tmp_path)
    assert re.fullmatch(r"\d+\.\d% of the spikes, by time step \[.*\]\n\d+% of the groups .*\n", told), told
