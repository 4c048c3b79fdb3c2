"""Engines that leave out what is nothing but zeros: the same bits, fewer cycles, as many as predicted, and counted.

That no bit may change is shown turn by turn in `tests/isa/test_skipping.py`; here whole networks are trained so.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from math import prod
from typing import NamedTuple

import pytest
from laws import Bench, Case, compiled, profiled

from snnc.catalog import UnknownName
from snnc.compiler.cost.duration import duration
from snnc.compiler.ir.statement import Contraction
from snnc.isa.instructions.engine import Dense, Gate, Outer
from snnc.isa.skipping import LEFT, RIGHT
from snnc.isa.traffic import Amounts
from snnc.reports.schedule_text import schedule_text
from snnc.runtime.recording import Recorder
from snnc.runtime.replay import replay

JOINED = Case("joined", "quad3", surrogate="rect(alpha=4)", partition="in_turn")
CASES = [
    JOINED,
    Case("csnn", "li7", surrogate="triangle(alpha=4)", partition="in_turn"),
    *(
        pytest.param(replace(case, partition="in_turn"), marks=pytest.mark.full)
        for case in (
            Case("lenet", "tiny", surrogate="rect(alpha=4)"),
            Case("hourglass", "f32x3", surrogate="rect(alpha=4)"),
            Case("recurrent", "exact7", reset="soft", surrogate="rect(alpha=4)"),
            Case("normed", "bf16x3", surrogate="triangle(alpha=4)"),
            Case("signals", "quad4", surrogate="rect(alpha=4)"),
        )
    ),
]


class Found(NamedTuple):
    """What was counted in a training step, and its cycles by replay."""

    counted: Amounts
    cycles: int
    predicted: dict[str, float]


@cache
def measured(case: Case) -> Found:
    """The first training step, equal to the oracle's."""
    bench = Bench(case, watched=True)
    recorder = Recorder(bench.machine.target)
    bench.machine.listen(recorder)
    bench.run("init")
    bench.feed()
    bench.machine.counters.take()
    bench.run("train_step")
    assert bench.difference() == ""
    assert recorder.record is not None
    timing = replay(recorder.record, bench.machine.target)
    return Found(bench.machine.counters.take().total, timing.cycles, bench.program.predicted["train_step"]["work"])


@cache
def with_densities(case: Case) -> Case:
    """The same case with the densities of its first training step, every value of DRAM as it is."""
    return replace(profiled(case)[0], codecs=("*=raw",))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_what_is_left_out_takes_no_cycles_and_is_counted_as_skipped(case: Case) -> None:
    """DRAM moves the same bytes, operations are the same in all, and those that were predicted to be done are done."""
    known = with_densities(case)
    whole, some = measured(replace(known, skipping="off")), measured(known)
    assert some.cycles < whole.cycles
    assert some.counted.dram == whole.counted.dram
    for found in (whole, some):
        total = found.counted.gated + found.counted.multiply + found.counted.skipped
        assert total == whole.counted.gated + whole.counted.multiply + whole.counted.skipped
    assert some.counted.skipped >= whole.counted.skipped
    assert some.counted.multiply == whole.counted.multiply
    if case.machine == "li7":  # sums that round to f16 are no matter of zeros on the right
        assert some.counted.gated == whole.counted.gated


@pytest.mark.parametrize("case", CASES[:2], ids=str)
def test_gated_work_is_predicted_from_a_profile(case: Case) -> None:
    """Within 5 % of what is gated on the batch that was profiled."""
    found = measured(with_densities(case))
    assert found.predicted["gated"] == pytest.approx(found.counted.gated, rel=0.05)


def test_cycles_are_predicted_with_what_is_left_out() -> None:
    case = replace(with_densities(JOINED), fusion="off")
    for skipping in ("auto", "off"):
        chosen = replace(case, skipping=skipping)
        found = compiled(chosen)
        stages = found.schedule.entries["train_step"]
        predicted = sum(duration(stage, found.target).alone for stage in stages)
        assert predicted == pytest.approx(measured(chosen).cycles, rel=0.15)
    some, whole = (measured(replace(case, skipping=skipping)).cycles for skipping in ("auto", "off"))
    assert some < 0.95 * whole


def test_words_on_the_right_gate_only_where_that_changes_no_bit() -> None:
    """Errors and spikes gate; weights never, nor errors where sums round to f16 or where images stand on the left."""
    masks: dict[str, set[tuple[str, int]]] = {}
    for machine in ("quad3", "li7"):
        case = replace(with_densities(JOINED), machine=machine)
        code = [i for stream in compiled(case).program.entry("train_step").streams for i in stream.instructions]
        masks[machine] = {(i.mnemonic, i.skip) for i in code if isinstance(i, Gate | Dense | Outer)}
        for stage in compiled(case).schedule.entries["train_step"]:
            images = isinstance(stage.statement, Contraction) and str(stage.statement.left).startswith("image")
            assert not (images and stage.gating.skip & RIGHT), stage.node
    assert masks["quad3"] >= {("gate", LEFT), ("dense", LEFT), ("outer", LEFT | RIGHT), ("outer", RIGHT)}
    assert masks["li7"] >= {("gate", LEFT), ("dense", LEFT), ("outer", LEFT)}
    assert {name for name, mask in masks["quad3"] if mask & RIGHT} == {"outer"}
    assert not {name for name, mask in masks["li7"] if mask & RIGHT}


def test_without_densities_every_turn_is_taken() -> None:
    case = Case("joined", "quad3")
    for entry in compiled(case).program.entries:
        code = [i for stream in entry.streams for i in stream.instructions]
        assert all(not i.skip for i in code if isinstance(i, Gate | Dense | Outer))
    assert "skips" not in schedule_text(compiled(case).schedule)
    off = compiled(replace(JOINED, density=0.0625, skipping="off"))
    assert "skips" not in schedule_text(off.schedule)
    with pytest.raises(UnknownName, match="no skipping is called 'on'"):
        _ = replace(JOINED, skipping="on").compilation().schedule


def test_a_schedule_tells_what_is_left_out() -> None:
    schedule = compiled(replace(Case("joined", "quad3"), density=0.0625)).schedule
    lines = [line.strip() for line in schedule_text(schedule).splitlines() if "skips" in line]
    assert lines
    words = f"{1 - (1 - 0.0625) ** (6 * 4):.1%}"  # of the errors of 6 channels and 4 columns, which a bias adds up
    assert any(line.startswith(f"skips empty words: {words} on the right hold anything, ") for line in lines), lines


def test_zeros_that_a_stride_would_insert_are_no_work_and_are_not_moved() -> None:
    """c2 of `csnn`: 4 x 4 pixels of 16 channels become 2 x 2 of 24, by 3 x 3 taps with stride 2.

    Errors spread over 4 x 4 pixels would meet 9 taps at each; here each pixel meets those taps that errors reach it by.
    """
    case = Case("csnn", "quad1", partition="in_turn", fusion="off")
    found = compiled(case)
    stages = [stage for stage in found.schedule.entries["train_step"] if stage.node.startswith("d.p1#")]
    steps, samples, channels, inserted = 2, 5, 16 * 24, (4 * 4) * (3 * 3)
    assert sum(prod(stage.statement.extents.values()) for stage in stages) == steps * samples * channels * inserted / 4
    bench = Bench(case, oracle=False)
    bench.run("init")
    bench.feed()
    bench.machine.counters.take()
    bench.run("train_step")
    phase = bench.machine.counters.take().by_phase()["BP"]
    assert phase.multiply + phase.skipped == steps * samples * (channels * inserted / 4 + 10 * 24 * 2 * 2)
    moved = found.program.predicted["train_step"]["by_stage"]
    errors, weights = steps * samples * (2 * 2 * 24) * 2, channels * (3 * 3) * 2  # bytes of f16
    assert sum(moved[f"BP {stage.node}"]["read"] for stage in stages) <= len(stages) * errors + weights
