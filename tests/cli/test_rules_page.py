"""The page of rules shows what its command prints: losses and counts have the same bits on every machine."""

from __future__ import annotations

import re
import sys
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
    options = Options("li2024_exact", batch=8, steps=steps, overlap="off", settings=sizes, train=train)
    return Compilation("vgg11", options).program


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


COUNTED = rows("| | DRAM, T = 8 | DRAM, T = 16 | moved, T = 8 | moved, T = 16 |")


@pytest.mark.full
@pytest.mark.parametrize("row", COUNTED, ids=[row[0] for row in COUNTED])
def test_counts_take_the_room_and_the_traffic_that_the_page_says(row: list[str], tmp_path: Path) -> None:
    rule, *told = row
    (network,) = re.findall(r"```snn\n(network progressive.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "progressive.snn"
    path.write_text(network, "utf-8")
    programs = [Compilation(path, Options(steps=steps, rule=read_rule(rule))).program for steps in (8, 16)]
    moved = [program.predicted["train_step"]["dram"]["total"] for program in programs]
    room = [f"{program.dram_bytes / 1e6:.2f} MB" for program in programs]
    assert [*room, *(f"{each / 1e6:.1f} MB" for each in moved)] == told
