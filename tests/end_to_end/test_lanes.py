"""Phases that go their own ways, some samples behind others, have the bits of the oracle, and no two of them race."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import laws
import pytest
from laws import Bench, Case, changed_target, compiled

from snnc.compiler.ir.statement import Contraction
from snnc.compiler.passes import arrange
from snnc.compiler.pipeline import Compilation, Options
from snnc.isa.target import TARGETS, canonical, load_target
from snnc.runtime.orders import Order, Reverse, Shuffled

CASES = [
    Case("digits", "exact1", partition="lanes"),
    Case("csnn", "exact1", partition="lanes", batch=7),
    Case("lenet", "exact7", partition="lanes", reset="soft"),
    Case("joined", "exact1", partition="lanes"),
    Case("normed", "exact1", partition="lanes"),
    Case("hourglass", "exact7", partition="lanes"),
    Case("csnn", "exact20", partition="lanes", batch=8),
]
CORNERS = {
    "gradients that are scalars": (Case("again", "exact1", partition="lanes"), 2),
    "one memory for all lanes, and rows that lie side by side": (
        Case("hourglass", "tiny_of_3", partition="lanes", batch=4),
        2,
    ),
    "cores without samples of a wave, and values in blocks": (
        Case("lenet", "exact7", partition="lanes", batch=3, density=0.05),
        2,
    ),
    "values in tiles": (Case("csnn", "exact1", partition="lanes", codecs=("s1=tiles", "s2=tiles")), 2),
    "two lanes": (Case("csnn", "exact_of_2", partition="lanes"), 2),
    "as many lanes as there are contexts for": (Case("joined", "exact_of_16", partition="lanes"), 2),
    "sums with an order": (Case("csnn", "f32_of_3", partition="lanes"), 2),
    "more waves than samples": (Case("digits", "exact1", partition="lanes", batch=2), 4),
    "nothing joined": (Case("lenet", "exact1", partition="lanes", fusion="off"), 3),
}
SEVERAL = {
    "tiny_of_3": ("tiny", 3),
    "exact_of_2": ("li2024_exact", 2),
    "exact_of_16": ("li2024_exact", 16),
    "f32_of_3": ("quad_f32", 3),
}
"""Machines of one core in use, with so many contexts."""


@pytest.fixture(autouse=True, scope="module")
def machines() -> Iterator[None]:
    """Those of `SEVERAL`, beside the others."""
    before = dict(laws.MACHINES)
    for name, (base, contexts) in SEVERAL.items():
        file = base if base in TARGETS else changed_target("quad", base, accumulators="f32")
        path = laws.folder() / f"{name}.toml"
        path.write_text(canonical(replace(load_target(file), contexts=contexts, name=name)))
        laws.MACHINES[name] = (str(path), 1)
    yield
    laws.MACHINES.clear()
    laws.MACHINES.update(before)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What was compiled with other thresholds is not taken again."""
    compiled.cache_clear()
    yield
    compiled.cache_clear()


def bench_of(case: Case, waves: int, monkeypatch: pytest.MonkeyPatch, **options: object) -> Bench:
    """In so many waves, however little of it is quicker."""
    monkeypatch.setattr(arrange, "WAVES", (waves,))
    monkeypatch.setattr(arrange, "WORTH_LANES", float("inf"))
    monkeypatch.setattr(arrange, "WORTH_MOVED", 0)
    bench = Bench(case, **options)  # type: ignore[arg-type]
    assert all(stage.awaits is not None for stage in bench.schedule.entries["train_step"])
    return bench


def agree(bench: Bench) -> None:
    """Two training steps, the second of which is not full, and inference, beside the oracle."""
    bench.run("init")
    for valid in (bench.program.batch, max(1, bench.program.batch - 2)):
        assert not bench.difference()
        bench.feed()
        bench.machine.counters.take()
        bench.run("train_step", valid=valid)
    assert not bench.difference()
    bench.feed()
    bench.run("infer")
    assert not bench.difference()


@pytest.mark.parametrize("waves", [1, 2, 3])
@pytest.mark.parametrize("order", [Reverse(), Shuffled(1)], ids=["reverse", "shuffled"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_lanes_have_the_bits_of_the_oracle_in_any_order(
    case: Case, order: Order, waves: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = bench_of(case, waves, monkeypatch, order=order, watched=True)
    assert bench.program.contexts == 3
    agree(bench)


def test_the_fewest_cycles_may_be_asked_for_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stages that drain nothing, since they leave their sums to the next wave, have cycles as well."""
    monkeypatch.setattr(arrange, "WAVES", (2,))
    monkeypatch.setattr(arrange, "WORTH_LANES", float("inf"))
    monkeypatch.setattr(arrange, "WORTH_MOVED", 0)
    made = Compilation("digits", Options("li2024_exact", 1, batch=4, steps=2, partition="lanes", objective="cycles"))
    statements = [s for stage in made.schedule.entries["train_step"] for s in stage.statements]
    assert any(isinstance(each, Contraction) and each.partial for each in statements)


@pytest.mark.parametrize("name", CORNERS)
def test_corners(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case, waves = CORNERS[name]
    bench = bench_of(case, waves, monkeypatch, watched=True)
    agree(bench)
    statements = [s for stage in bench.schedule.entries["train_step"] for s in stage.statements]
    goes_on = any(isinstance(each, Contraction) and each.onto is not None for each in statements)
    assert goes_on == (name not in ("sums with an order", "more waves than samples"))
    for stage in bench.schedule.entries["train_step"]:
        for core in range(len(stage.mapping.shares)):
            assert len({shares[core][1] > 0 for shares in stage.mapping.parts.values()}) < 2, stage.node


def test_lanes_run_unrolled_in_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bits and counts of five steps are those of one thread that takes all instructions."""
    case = Case("csnn", "exact1", partition="lanes", batch=7)
    found: list[object] = []
    for options in ({"unrolls": False}, {"threads": 3}):
        bench = bench_of(case, 2, monkeypatch, oracle=False, **options)
        bench.run("init")
        for _ in range(5):
            bench.feed()
            bench.run("train_step")
        found.append((bench.bits(), bench.machine.counters.traffic(), bench.machine.counters.by_unit()))
    assert found[0] == found[1]
