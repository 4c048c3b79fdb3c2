"""The page of rules shows what its command prints: losses and counts have the same bits on every machine."""

from __future__ import annotations

import re
import sys
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


@pytest.mark.full
def test_layers_that_learn_to_spike_in_turn_come_to_what_the_page_says(
    shell: Callable[[list[str], Path], str], tmp_path: Path
) -> None:
    """Thresholds of one run are those that the run before has shown; what is frozen goes on in checkpoints."""
    pytest.importorskip("sklearn", reason="needs scikit-learn for the scans of digits")
    pattern = (
        r"```snn\n(network progressive.*?)```.*?<!-- command: progressive -->\n```sh\n(.*?)```\n\n```text\n(.*?)```"
    )
    ((network, commands, shown),) = re.findall(pattern, PAGE, re.DOTALL)
    (tmp_path / "progressive.snn").write_text(network, "utf-8")
    commands = commands.replace("python -c", f"{sys.executable} -c") + "\necho $V1 $V2\n"
    printed = shell(["sh", "-euc", commands], tmp_path).splitlines()
    assert [line.rstrip() for line in printed if line.startswith("accuracy")] == shown.splitlines()
    (thresholds,) = re.findall(r"V1 is (\S+) here, and V2 (\S+)\.", PAGE)
    assert tuple(printed[-1].split()) == thresholds
