"""What binds a stage, and how far it is from the roofline: closed forms of one layer on machines with other figures."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snnc.compiler.cost.binding import binding
from snnc.compiler.cost.duration import duration
from snnc.compiler.ir.schedule import Stage
from snnc.compiler.pipeline import Compilation, Options
from snnc.isa.target import Target
from snnc.reports.schedule_text import schedule_text

MODEL = """
network small(x: f16[t, 8, 16, 16]) steps 2 {
    s = lif(conv2d(x, out=64, kernel=3, pad=1, bias=false), decay=0.5, threshold=0.5)
    return linear(flatten(s), out=10)
}
train { loss = mse_rate; optimizer = sgd(lr=0.1); batch = 16 }
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Compilation:
    path = tmp_path_factory.mktemp("binding") / "small.snn"
    path.write_text(MODEL)
    return Compilation(path, Options(target="quad", partition="in_turn", fusion="off"))


@pytest.fixture(scope="module")
def convolution(found: Compilation) -> Stage:
    (stage,) = [each for each in found.schedule.entries["infer"] if each.op == "conv2d"]
    return stage


def with_channel(target: Target, bits: int, latency: int = 0) -> Target:
    return replace(target, dram=replace(target.dram, bits_per_cycle=bits, latency_cycles=latency))


def test_where_dram_is_slow_its_channel_binds(found: Compilation, convolution: Stage) -> None:
    """The roofline is what the mapping moves, a bit a cycle; each end waits for the latency."""
    told = binding(convolution, with_channel(found.target, 1, 50))
    assert told.resource == "DRAM channel"
    assert told.roofline == pytest.approx(8 * convolution.explanation.dram, rel=0.02)
    assert told.why == (("latency of the first and the last move", pytest.approx(100)),)


def test_where_dram_is_fast_the_engine_binds(found: Compilation, convolution: Stage) -> None:
    """Two steps of 16 samples, 256 places, 64 outputs of 8 inputs and 9 taps; an array of 16 x 16 has 8 rows idle."""
    told = binding(convolution, with_channel(found.target, 1 << 20))
    assert told.resource == "engine fp"
    assert told.roofline == pytest.approx(2 * 16 * 256 * 64 * 9 / 16 / 4, rel=0.05), "on four cores"
    assert told.roofline < told.cycles


def test_where_moves_wait_long_a_unit_that_moves_binds(found: Compilation, convolution: Stage) -> None:
    told = binding(convolution, with_channel(found.target, 1 << 20, 1 << 20))
    assert told.resource in ("load unit", "store unit")
    assert told.why[0][0] == f"latency of every turn of the {told.resource}"


def test_idle_cores_stand_in_the_way(found: Compilation, convolution: Stage) -> None:
    """All samples on one core: a quarter of what four would take is the roofline."""
    first, *rest = convolution.mapping.shares
    assert len({extent for _, extent in (first, *rest)}) == 1, "shared evenly"
    alone = replace(convolution.mapping, shares=(first, *((0, 0) for _ in rest)))
    told = binding(replace(convolution, mapping=alone), with_channel(found.target, 1 << 20))
    (amount,) = [cycles for name, cycles in told.why if name == "cores with less to do than the busiest, or nothing"]
    assert amount == pytest.approx(3 * told.roofline, rel=0.01)


def test_every_cycle_above_the_roofline_has_a_reason(found: Compilation) -> None:
    stages = [stage for entry in found.schedule.entries.values() for stage in entry]
    assert len(stages) > 10
    for stage in stages:
        told = binding(stage, found.target)
        assert told.cycles == duration(stage, found.target).alone >= told.roofline > 0
        assert sum(cycles for _, cycles in told.why) == pytest.approx(told.cycles - told.roofline)
        assert [cycles for _, cycles in told.why] == sorted((cycles for _, cycles in told.why), reverse=True)


def test_the_schedule_says_it_of_every_stage(found: Compilation) -> None:
    text = schedule_text(found.schedule, found.target)
    stages = sum(map(len, found.schedule.entries.values()))
    assert text.count("  bound by the ") == text.count(" cycles predicted, the roofline is ") == stages
    assert "bound by" not in schedule_text(found.schedule), "without the machine nobody knows"
