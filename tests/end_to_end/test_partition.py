"""Stages side by side: predicted cycles are near those of the replay, and teams take fewer of them than stages in turn.

That they compute the same bits is law 1, that none reads what another has not yet written is law 3, and that their
bytes are those predicted is law 4: all cases there have teams.  Partitions that have to be asked for are held to the
three here.
"""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import pytest
from laws import Bench, Case, compiled, outcome_of, timed

from snnc.compiler.cost.duration import duration
from snnc.compiler.ir.accesses import made_by
from snnc.compiler.ir.schedule import Stage
from snnc.compiler.passes.build_schedule import MappingOptions
from snnc.compiler.pipeline import assemble
from snnc.reports.schedule_text import stage_lines
from snnc.runtime.faults import RaceError
from snnc.runtime.orders import RoundRobin, Shuffled
from snnc.source import SourceError

STEPWISE = "rule = opzo; loss = cross_entropy_mse; optimizer = sgd"


def made(stage: Stage) -> set[str]:
    """What a stage writes."""
    return {access.value for statement in stage.statements for _, access in made_by(statement)} - stage.inside


@pytest.mark.parametrize("machine", ["quad1", "exact7"])
def test_a_stage_lasts_about_as_long_as_predicted(machine: str) -> None:
    """From its first move to its last, which leaves out how it is described and what a border costs."""
    case = Case("csnn", machine, partition="in_turn", fusion="off")
    record, timing = timed(case)
    found = compiled(case)
    stages = found.schedule.entries["train_step"]
    first = {node: stage.nodes[0] for stage in stages for node in stage.nodes}
    begun: dict[tuple[str, str], int] = {}
    ended: dict[tuple[str, str], int] = {}
    for span in timing.timeline:
        stream = record.streams[span.stream]
        debug = stream.debug[stream.deeds[span.deed].pc]
        key = first[debug.phase, debug.node]
        begun[key] = min(begun.get(key, span.start), span.start)
        ended[key] = max(ended.get(key, 0), span.end)
    ratios = [
        duration(stage, found.target).alone / (ended[stage.phase, stage.node] - begun[stage.phase, stage.node])
        for stage in stages
    ]
    assert len(ratios) == len(begun) > 20
    assert all(0.5 < ratio < 1.5 for ratio in ratios), [round(ratio, 2) for ratio in ratios]
    predicted = sum(duration(stage, found.target).alone for stage in stages)
    assert predicted == pytest.approx(timing.cycles, rel=0.15)


@pytest.mark.parametrize(("training", "part"), [("", 0.9), (STEPWISE, 0.9)], ids=["bptt", "opzo"])
def test_teams_take_fewer_cycles_than_stages_in_turn(training: str, part: float) -> None:
    case = Case("csnn", "exact20", training=training or Case("csnn", "exact20").training)
    _, chosen = timed(case)
    _, in_turn = timed(replace(case, partition="in_turn"))
    assert chosen.cycles < part * in_turn.cycles


def test_stages_that_wait_for_one_another_are_no_team() -> None:
    """What the checker of races says of a team in which one reads what another writes."""
    case = Case("digits", "quad3")
    found = compiled(case)
    stages = list(found.schedule.entries["train_step"])
    place = next(
        k
        for k, (one, next) in enumerate(pairwise(stages))
        if one.team == 0
        and one.mapping.shares != next.mapping.shares
        and made(one) & {access.value for _, access in next.accesses}
    )
    values = "|".join(map(re.escape, made(stages[place])))
    stages[place : place + 2] = [replace(stage, team=99) for stage in stages[place : place + 2]]
    schedule = replace(found.schedule, entries={**found.schedule.entries, "train_step": tuple(stages)})
    program = assemble(found.training, MappingOptions(found.target, found.cores), schedule)
    bench = Bench(case, program, oracle=False, watched=True, order=Shuffled(5))
    bench.run("init")
    bench.feed()
    with pytest.raises(RaceError, match=values):
        bench.run("train_step")


ASKED_FOR = [
    Case("csnn", "exact7", partition="published"),
    Case("recurrent", "quad3", partition="published"),
    Case("digits", "exact7", partition="published", training=STEPWISE),
    Case("csnn", "exact7", partition="patches"),
    Case("normed", "exact20", partition="patches"),
    Case("recurrent", "quad3", partition="patches"),
    Case("csnn", "exact7", partition="patches", training=STEPWISE, overlap="always"),
    Case("recurrent", "exact7", pins=("*.wg=split=batch",)),
]


@pytest.mark.parametrize("case", ASKED_FOR, ids=lambda case: f"{case.partition}-{case}")
def test_bits_are_those_of_the_oracle_and_bytes_those_predicted(case: Case) -> None:
    outcome = outcome_of(case)
    assert {run: told for run, told in outcome.differences.items() if told} == {}
    for entry, traffic in outcome.counted.items():
        assert traffic.to_json()["dram"] == outcome.program.predicted[entry]["dram"], entry


@pytest.mark.parametrize("partition", ["published", "patches"])
def test_no_order_of_streams_shows_and_nothing_races(partition: str) -> None:
    case = Case("normed", "exact20", partition=partition)
    stages = compiled(case).schedule.entries["train_step"]
    assert any(stage.mapping.further for stage in stages) == (partition == "patches")
    found: list[str] = []
    for order in (RoundRobin(), Shuffled(1)):
        bench = Bench(case, oracle=False, watched=True, order=order)
        bench.run("init")
        bench.feed()
        bench.run("train_step")
        found.append(bench.bits())
    assert found[0] == found[1]


def test_cores_that_share_the_samples_of_a_sum_add_it_up() -> None:
    """A weight gradient of few taps on many cores: each sums over its samples, and one of them makes the update."""
    found = compiled(Case("normed", "exact20", partition="patches"))
    shared = [stage for stage in found.schedule.entries["train_step"] if stage.gathers and stage.phase == "WG"]
    assert shared
    for stage in shared:
        groups = {stage.adding(core) for core in stage.active}
        assert stage.mapping.split == "n" and all(len(group) > 1 for group in groups)
        adders = [core for core in stage.active if stage.completes(core)]
        assert sorted(adders) == sorted(group[0] for group in groups)
        for core in stage.active:
            kinds = {step.kind for _, step in stage.steps_on(core)}
            assert {"contract", "gather"} <= kinds
            assert bool(kinds & {"drain", "run", "store"}) == (core in adders)
    text = "\n".join(stage_lines(shared[0], found.target))
    assert re.search(r"; cores [0-9. ]+ add up the sums of all$", text, re.MULTILINE)


def test_sums_that_round_are_not_shared() -> None:
    found = compiled(Case("csnn", "f32x3", pins=("c1.wg=split=batch",)))
    with pytest.raises(SourceError, match=r"c1\.wg cannot be split by 'batch'; its loops that can are o, r, s"):
        _ = found.schedule
