"""What a training step takes of DRAM and moves under each learning rule: the tables of docs/rules.md.

    python -m benchmarks.rule_traffic --page docs/rules.md

All of it is the compiler's: room as programs have it, bytes predicted.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

from snnc.cli._options import read_choice, read_rule
from snnc.compiler.pipeline import Compilation, Options
from snnc.isa.program import Program
from snnc.runtime.host import TRAIN
from snnc.source import SnncError

from .pages import Row, rows_of, show

ROOM = ("", "DRAM, T = 4", "T = 6", "T = 16")
MOVED = ("", "FP", "BP", "WG", "UP", "together")
COUNTED = ("", "DRAM, T = 8", "DRAM, T = 16", "moved, T = 8", "moved, T = 16")

Cells: TypeAlias = "Callable[[str], list[str]]"
"""What a table says of a rule."""


@cache
def vgg11(rule: str, steps: int) -> Program:
    """A `vgg11` of width 16, in turn and of 8 samples, for `li2024_exact`."""
    loss = "cross_entropy" if rule == "dsr" else "cross_entropy_mse(lam=0.05)"
    train = {"rule": read_rule(rule), "loss": read_choice(loss, "loss")}
    sizes = {"width": 16, "size": 32}
    options = Options("li2024_exact", batch=8, steps=steps, overlap="off", settings=sizes, train=train)
    return Compilation("vgg11", options).program


def room(rule: str) -> list[str]:
    """DRAM at several numbers of steps."""
    return [f"{vgg11(rule, steps).dram_bytes / 1e6:.1f} MB" for steps in (4, 6, 16)]


def moved(rule: str) -> list[str]:
    """Bytes that a training step moves, by phase and together."""
    predicted = vgg11(rule, 6).predicted[TRAIN]
    phases = (predicted["by_phase"][phase]["dram"] for phase in ("FP", "BP", "WG", "UP"))
    return [f"{each['total'] / 1e6:.0f} MB" for each in (*phases, predicted["dram"])]


def of_counts(network: str) -> Cells:
    """Both, of the *network* in the page whose layers learn to spike in turn."""

    def cells(rule: str) -> list[str]:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "progressive.snn"
            path.write_text(network, "utf-8")
            programs = [Compilation(path, Options(steps=steps, rule=read_rule(rule))).program for steps in (8, 16)]
        takes = (f"{program.dram_bytes / 1e6:.2f} MB" for program in programs)
        moves = (f"{program.predicted[TRAIN]['dram']['total'] / 1e6:.1f} MB" for program in programs)
        return [*takes, *moves]

    return cells


def progressive(page: str) -> str:
    """The network in the page whose layers learn to spike in turn."""
    (network,) = re.findall(r"```snn\n(network progressive.*?)```", page, re.DOTALL)
    return network


def tables(page: str) -> Mapping[Row, Cells]:
    """What each table of the page says of a rule, by its head."""
    return {ROOM: room, MOVED: moved, COUNTED: of_counts(progressive(page))}


def main() -> None:
    """Compile, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, metavar="FILE", required=True, help="the page whose tables are written")
    given = parser.parse_args()
    page = given.page.read_text("utf-8")
    try:
        for head, cells in tables(page).items():
            show(head, [[row[0], *cells(row[0].strip("`"))] for row in rows_of(page, head)], given.page)
    except SnncError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
