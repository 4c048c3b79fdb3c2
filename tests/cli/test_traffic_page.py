"""The commands of the page on traffic work."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "traffic.md").read_text("utf-8")


@pytest.mark.full
def test_commands_of_the_page_work(shell: Callable[[list[str], Path], str], tmp_path: Path) -> None:
    blocks = re.findall(r"<!-- command: quick -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 3
    printed = shell(["sh", "-euc", "".join(blocks)], tmp_path)
    assert "as the compiler predicted" in printed and (tmp_path / "counted.json").is_file()
    assert "untiled" in printed and (tmp_path / "mappings.json").is_file()
    assert "predicted cycles and moves" in printed and (tmp_path / "least_energy.snnb").is_file()
