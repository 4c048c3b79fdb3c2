"""The commands of the page on GPUs work."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "gpu.md").read_text("utf-8")


@pytest.mark.full
def test_commands_of_the_page_work(shell: Callable[[list[str], Path], str], tmp_path: Path) -> None:
    (block,) = re.findall(r"<!-- command: quick -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
    printed = shell(["sh", "-euc", block], tmp_path)
    assert "predicted" in printed and "counted" in printed and (tmp_path / "gpu.json").is_file()
