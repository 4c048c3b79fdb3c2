"""The page of rules shows what its command prints: losses and counts have the same bits on every machine."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text("utf-8")


@pytest.mark.full
def test_the_comparison_of_the_page_is_what_its_command_prints(
    shell: Callable[[list[str], Path], str], tmp_path: Path
) -> None:
    pytest.importorskip("sklearn", reason="needs scikit-learn for the scans of digits")
    pattern = r"<!-- command: compare -->\n```sh\n(.*?)```\n\n```text\n(.*?)```"
    ((command, table),) = re.findall(pattern, PAGE, re.DOTALL)
    printed = shell(["sh", "-euc", command], tmp_path).splitlines()
    shown = table.splitlines()
    assert [line.rstrip() for line in printed[-len(shown) :]] == shown
