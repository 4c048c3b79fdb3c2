"""Cores that work on several stages at once have the bits of the oracle; who takes memory from another is found out."""

from __future__ import annotations

from dataclasses import replace

import pytest
from laws import Bench, Case, Model, compiled

from snnc.compiler.passes import ways
from snnc.compiler.pipeline import assemble
from snnc.runtime.faults import RaceError
from snnc.runtime.orders import Order, Reverse, Shuffled

CASES = [
    Case("csnn", "exact1"),
    Case("normed", "exact1", reset="soft"),
    Case("hourglass", "exact7"),
    Case("recurrent", "exact1", training="rule = sltt; loss = cross_entropy_mse; optimizer = sgd", overlap="always"),
]


def agree(bench: Bench) -> None:
    """Two training steps leave what they leave in the oracle."""
    for entry in ("init", "train_step", "train_step"):
        if entry == "train_step":
            bench.feed()
        bench.run(entry)
        assert not bench.difference()


@pytest.mark.parametrize("order", [Reverse(), Shuffled(1)], ids=["reverse", "shuffled"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_contexts_have_the_bits_of_the_oracle_in_any_order(case: Case, order: Order) -> None:
    bench = Bench(case, order=order, watched=True)
    assert bench.program.contexts > 1
    agree(bench)


def test_cycles_and_counts_do_not_depend_on_who_comes_first() -> None:
    found: list[object] = []
    for order in (Reverse(), Shuffled(2)):
        bench = Bench(CASES[1], oracle=False, order=order)
        bench.run("init")
        bench.feed()
        bench.run("train_step")
        found.append((bench.bits(), bench.machine.counters.traffic(), bench.machine.counters.by_link()))
    assert found[0] == found[1]


FUSED = Model("vgg11", "exact1")
"""Of which some gradients go on to update what errors go back through."""


def test_what_overwrites_what_others_read_stores_late() -> None:
    """Updates beside errors that go back through the weights: bits of the oracle, and no race."""
    bench = Bench(FUSED, order=Shuffled(3), watched=True)
    assert any(stage.late for stage in bench.schedule.entries["train_step"])
    agree(bench)


def test_what_would_not_store_late_races() -> None:
    compilation = compiled(FUSED)
    stages = tuple(replace(stage, late=False) for stage in compilation.schedule.entries["train_step"])
    assert any(stage.late for stage in compilation.schedule.entries["train_step"])
    cut = replace(compilation.schedule, entries={**compilation.schedule.entries, "train_step": stages})
    program = assemble(compilation.training, compilation.mapping_options, cut, compilation.weights)
    bench = Bench(FUSED, program, oracle=False, watched=True)
    bench.run("init")
    bench.feed()
    with pytest.raises(RaceError):
        bench.run("train_step")


def test_contexts_in_the_same_place_of_a_memory_race(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same program, but every stage has its buffers at the beginning of its memories."""
    case = replace(CASES[1], batch=6)
    original = ways.Way.on

    def on(way: ways.Way, first: int, cores: int, context: int = 0, behind: object = None) -> object:
        return original(way, first, cores, context)

    monkeypatch.setattr(ways.Way, "on", on)
    bench = Bench(case, oracle=False, watched=True)
    with pytest.raises(RaceError, match=r"of memory \d+ of core 0"):
        bench.run("init")
        bench.feed()
        bench.run("train_step")
