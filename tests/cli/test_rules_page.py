"""The page of rules shows what its command prints: losses and counts have the same bits on every machine."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from snnc.cli._options import read_choice, read_rule
from snnc.compiler.pipeline import Compilation, Options
from snnc.isa.program import Program

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


def rows(head: str) -> list[list[str]]:
    """The rows of the table of the page that begins so, cell by cell."""
    (table,) = re.findall(rf"^{re.escape(head)}\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table.splitlines()]


def vgg11(rule: str, steps: int) -> Program:
    """What the page compiles."""
    loss = "cross_entropy" if rule == "dsr" else "cross_entropy_mse(lam=0.05)"
    train = {"rule": read_rule(rule), "loss": read_choice(loss, "--loss")}
    sizes = {"width": 16, "size": 32}
    return Compilation("vgg11", Options("li2024_exact", batch=8, steps=steps, settings=sizes, train=train)).program


DRAM = rows("| | DRAM, T = 4 | T = 6 | T = 16 |")
MOVED = rows("| | FP | BP | WG | UP | together |")


@pytest.mark.full
@pytest.mark.parametrize("row", DRAM, ids=[row[0] for row in DRAM])
def test_programs_take_the_room_that_the_page_says(row: list[str]) -> None:
    rule, *told = row
    assert [f"{vgg11(rule, steps).dram_bytes / 1e6:.1f} MB" for steps in (4, 6, 16)] == told


@pytest.mark.full
@pytest.mark.parametrize("row", MOVED, ids=[row[0] for row in MOVED])
def test_a_training_step_moves_what_the_page_says(row: list[str]) -> None:
    rule, *told = row
    predicted = vgg11(rule, 6).predicted["train_step"]
    phases = [predicted["by_phase"][phase]["dram"] for phase in ("FP", "BP", "WG", "UP")]
    assert [f"{moved['total'] / 1e6:.0f} MB" for moved in (*phases, predicted["dram"])] == told
