"""Steps of time that overlap compute the same bits (law 1), in any order of streams and without races (law 3), move
what is predicted (law 4), and take fewer cycles."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from laws import Bench, Case, compiled, timed

from snnc.compiler.evaluate import first_difference
from snnc.compiler.ir.schedule import Stage
from snnc.compiler.passes.build_schedule import MappingOptions
from snnc.compiler.pipeline import assemble
from snnc.runtime.faults import RaceError
from snnc.runtime.orders import Shuffled


def training_of(rule: str) -> str:
    return f"rule = {rule}; loss = cross_entropy_mse(lam=0.25); optimizer = sgd(lr=0.05, momentum=0.9)"


def case_of(rule: str, network: str, machine: str, steps: int) -> Case:
    return Case(network, machine, training=training_of(rule), overlap="always", steps=steps)


CASES = [
    case_of("sltt", "csnn", "exact20", 5),
    case_of("sltt_k(K=2)", "recurrent", "quad3", 5),
    case_of("sltt_k(K=1)", "digits", "exact7", 3),
    case_of("ottt_a", "recurrent", "exact20", 2),
    case_of("opzo", "digits", "quad3", 4),
    case_of("sltt", "digits", "tiny", 3),
    replace(case_of("sltt", "csnn", "exact7", 3), codecs=("s2=tiles", "s1.h=nonzero")),
    replace(case_of("ottt_a", "lenet", "f32x3", 3), batch=3),
]
"""Rules, networks with delays and without, one core and many, odd numbers of steps and even ones, few and many, values
in blocks, and accumulators that round."""

OTHERS = [
    replace(case_of("sltt", "csnn", "quad3", 4), fusion="off"),
    *(
        case_of(rule, network, machine, steps)
        for rule in ("sltt", "sltt_k(K=2)", "ottt_a", "opzo")
        for network in ("digits", "csnn", "recurrent")
        for machine in ("tiny", "quad3", "exact20")
        for steps in (2, 5)
        if not rule.startswith("sltt_k") or steps > 2
    ),
]


def name_of(case: Case) -> str:
    rule = case.training.partition(";")[0].removeprefix("rule = ")
    given = [word for word in (case.fusion, *case.codecs) if word != "auto"]
    return "-".join([rule, case.network, case.machine, str(case.steps), *given])


@pytest.mark.parametrize(
    "case",
    [
        *(pytest.param(case, id=name_of(case)) for case in CASES),
        *(pytest.param(case, id=name_of(case), marks=pytest.mark.full) for case in OTHERS),
    ],
)
def test_laws_hold_where_steps_overlap(case: Case) -> None:
    found = compiled(case)
    (overlap,) = found.schedule.overlaps["train_step"]
    assert overlap.behind and overlap.handed
    assert {stage.behind for stage in found.schedule.entries["train_step"]} >= {0, 1}
    bench = Bench(case, watched=True, order=Shuffled(7))
    bench.run("init")
    bench.machine.counters.take()
    for step in range(2):
        bench.feed()
        bench.run("train_step", step)
        assert not bench.difference()
        moved = bench.machine.counters.take().to_json()
        if not case.codecs:
            assert moved["dram"] == found.program.predicted["train_step"]["dram"]
            assert moved["scratchpad"] == found.program.predicted["train_step"]["scratchpad"]
    bench.feed()
    bench.run("infer", 2)
    assert not bench.difference()


@pytest.mark.parametrize("steps", [3, 4])
def test_what_dram_holds_are_the_last_two_steps_in_their_order(steps: int) -> None:
    case = case_of("sltt", "csnn", "exact7", steps)
    bench = Bench(case)
    handed = compiled(case).schedule.overlaps["train_step"][0].handed
    bench.run("init")
    bench.feed()
    bench.run("train_step")
    assert bench.oracle is not None
    records = [record for record in bench.oracle.records() if record.name in handed]
    found = {record.name: bench.stored(record.name) for record in records}
    assert {len(values) for values in found.values()} == {2} and len(found) == len(handed)
    assert any(np.any(values[0] != values[1]) for values in found.values())
    assert first_difference(records, found) is None


def test_without_room_for_two_steps_there_is_a_race() -> None:
    """What the checker says of a loop whose turns overlap, but whose values have room for one step."""
    case = case_of("sltt", "digits", "exact7", 4)
    found = compiled(case)
    (overlap,) = found.schedule.overlaps["train_step"]

    def in_one_room(stage: Stage) -> Stage:
        axes = {each.name: tuple(axis._replace(ring=0) for axis in each.axes) for each in stage.buffers}
        return replace(stage, buffers=tuple(replace(each, axes=axes[each.name]) for each in stage.buffers))

    entries = {name: tuple(map(in_one_room, stages)) for name, stages in found.schedule.entries.items()}
    rooms = {**found.schedule.rooms, **dict.fromkeys(overlap.handed, 1)}
    schedule = replace(found.schedule, entries=entries, rooms=rooms)
    program = assemble(found.training, MappingOptions(found.target, found.cores), schedule)
    bench = Bench(case, program, oracle=False, watched=True, order=Shuffled(5))
    bench.run("init")
    bench.feed()
    with pytest.raises(RaceError, match="nothing orders two accesses"):
        bench.run("train_step")


@pytest.mark.parametrize("rule", ["sltt", "ottt_a"])
def test_steps_that_overlap_take_fewer_cycles(rule: str) -> None:
    case = replace(case_of(rule, "recurrent", "exact20", 6), overlap="auto")
    assert compiled(case).schedule.overlaps["train_step"][0].behind
    (_, overlapped), (_, apart) = timed(case), timed(replace(case, overlap="off"))
    assert overlapped.cycles < 0.97 * apart.cycles
