"""The commands of the page on traffic work."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs" / "traffic.md").read_text("utf-8")


def test_commands_of_the_page_work(shell: Callable[[list[str], Path], str], tmp_path: Path) -> None:
    (block,) = re.findall(r"<!-- command: quick -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
    printed = shell(["sh", "-euc", block], tmp_path)
    assert "predicted cycles and moves" in printed and (tmp_path / "least_energy.snnb").is_file()
