"""What it is worth that stages share the cores, and that steps overlap: the tables of docs/cores.md.

    python -m benchmarks.sharing --page docs/cores.md

A training step of each network is compiled in two ways, counted without data, and replayed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from snnc.cli._options import read_choice, read_rule
from snnc.compiler.ir.graph import Setting
from snnc.compiler.pipeline import Compilation, Options
from snnc.runtime.counted import full
from snnc.runtime.counting import counts_of
from snnc.runtime.host import TRAIN
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.settings import Settings
from snnc.source import SnncError

from .pages import Row, show


@dataclass(frozen=True)
class Narrow:
    """A network of a few samples: its settings, and steps of time with teams of stages, and with steps that overlap."""

    batch: int
    shared: int
    overlapping: int
    settings: Mapping[str, Setting]


NETWORKS: Mapping[str, Narrow] = {
    "mlp": Narrow(16, 4, 4, {}),
    "csnn": Narrow(4, 4, 4, {}),
    "vgg11": Narrow(4, 2, 6, {"width": 8}),
}
TARGETS = ("quad", "li2024_exact")
EACH_STEP = "cross_entropy_mse(lam=0.05)"
"""A loss whose error is known in each step."""

SHARED = ("model", "rule", "target", "cycles in turn", "side by side", "", "MB in turn", "side by side")
OVERLAPPING = ("model", "rule", "steps", "target", "cycles", "overlapped", "", "channel", "chosen")


class Step(NamedTuple):
    """A training step: its cycles, those for which the DRAM channel is busy, and the bytes that it moves."""

    cycles: int
    channel: float
    dram: float


def step(model: str, target: str, steps: int, train: Mapping[str, Any], **ways: Any) -> Step:
    """The step of a network on a target, trained and mapped in these *ways*."""
    narrow = NETWORKS[model]
    options = Options(target, None, narrow.batch, steps, settings=narrow.settings, train=dict(train), **ways)
    program = Compilation(model, options).program
    counts = counts_of(Interpreter(program, contents=full), Settings.of(program.settings))
    count = next(count for count in counts if count.entry == TRAIN)
    return Step(count.timing.cycles, count.timing.channel, count.counted.total.dram)


def shared() -> Iterator[Row]:
    """Stages side by side, beside the same in turn."""
    for model, narrow in NETWORKS.items():
        for target in TARGETS:
            for rule in ("bptt", "opzo"):
                train = {} if rule == "bptt" else {"rule": read_rule(rule), "loss": read_choice(EACH_STEP, "loss")}
                ways = ({"partition": way, "overlap": "off"} for way in ("in_turn", "chosen"))
                turn, beside = (step(model, target, narrow.shared, train, **way) for way in ways)
                fewer = f"{beside.cycles / turn.cycles - 1:.0%}".replace("%", " %")
                megabytes = (f"{each.dram / 1e6:.2f}" for each in (turn, beside))
                yield (*coded(model, rule, target), f"{turn.cycles:,}", f"{beside.cycles:,}", fewer, *megabytes)


def overlapping() -> Iterator[Row]:
    """Steps that overlap, beside steps in turn."""
    for model, narrow in NETWORKS.items():
        for rule in ("sltt", "ottt_a", "opzo"):
            train = {
                "rule": read_rule(rule),
                "loss": read_choice(EACH_STEP, "loss"),
                "optimizer": read_choice("sgd(momentum=0.9)", "optimizer"),
            }
            for target in TARGETS:
                ways = ("off", "always", "auto")
                off, always, auto = (step(model, target, narrow.overlapping, train, overlap=way) for way in ways)
                name, ruled, machine = coded(model, rule, target)
                yield (
                    *(name, ruled, str(narrow.overlapping), machine, f"{off.cycles:,}", f"{always.cycles:,}"),
                    f"{100 * (always.cycles / off.cycles - 1):+.1f} %",
                    f"{100 * off.channel / off.cycles:.0f} %",
                    "in turn" if auto.cycles == off.cycles else "overlapped",
                )


def coded(*names: str) -> Iterator[str]:
    """Names as the page shows them."""
    return (f"`{name}`" for name in names)


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path, metavar="FILE", help="the page whose tables are written anew")
    given = parser.parse_args()
    try:
        show(SHARED, list(shared()), given.page)
        show(OVERLAPPING, list(overlapping()), given.page)
    except SnncError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
