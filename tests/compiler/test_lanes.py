"""Lanes and waves: who waits for whom, what a wave has of the samples, and what is left between two of them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from snnc.compiler.cost.duration import duration
from snnc.compiler.cost.room import aliases_of
from snnc.compiler.cost.span import span
from snnc.compiler.ir.schedule import Stage
from snnc.compiler.ir.statement import Contraction
from snnc.compiler.passes import arrange
from snnc.compiler.passes.dependencies import touches, waits
from snnc.compiler.passes.lanes import shared_out
from snnc.compiler.pipeline import Compilation, Options
from snnc.isa.target import canonical, load_target
from snnc.reports.schedule_text import schedule_text
from snnc.runtime.counted import full
from snnc.runtime.counting import Count, counts_of
from snnc.runtime.faults import RaceError
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.settings import Settings
from snnc.source import TargetError

ENTRY, BATCH = "train_step", 10


@cache
def compilation(partition: str, target: str = "li2024_exact") -> Compilation:
    return Compilation("csnn", Options(target, 1, batch=BATCH, steps=2, partition=partition))


def stages() -> tuple[Stage, ...]:
    return compilation("lanes").schedule.entries[ENTRY]


def counted(made: Compilation) -> Count:
    interpreter = Interpreter(made.program, contents=full)
    (count,) = (c for c in counts_of(interpreter, Settings.of(made.program.settings)) if c.entry == ENTRY)
    return count


def samples(stage: Stage) -> tuple[int, int]:
    shares = [share for share in stage.mapping.parts.get("n", ((0, BATCH),)) if share[1]]
    return min(low for low, _ in shares), max(low + extent for low, extent in shares)


def test_a_lane_takes_what_is_ready_whatever_phase_it_is_of() -> None:
    phases = {context: {s.phase for s in stages() if s.context == context} for context in range(3)}
    assert all(phases.values())
    assert max(map(len, phases.values())) > 1


def test_a_stage_waits_for_all_that_it_has_to_stay_behind() -> None:
    """By whom it waits for, and by its place in its own context: the k-th wait is for the k-th stage that tells it."""
    found = stages()
    aliases = aliases_of(compilation("lanes").training)
    told: dict[tuple[int, int], list[int]] = {}
    for number, stage in enumerate(found):
        for other in stage.tells:
            told.setdefault((stage.context, other), []).append(number)
    known: dict[tuple[int, int], int] = {}
    taken: dict[tuple[int, int], int] = {}
    for stage, before in zip(found, waits([tuple(touches(stage, aliases)) for stage in found]), strict=True):
        assert stage.awaits is not None
        for other in stage.awaits:
            pair = other, stage.context
            known[stage.context, other] = told[pair][taken.get(pair, 0)]
            taken[pair] = taken.get(pair, 0) + 1
        for number in before:
            lane = found[number].context
            assert lane == stage.context or number <= known.get((stage.context, lane), -1), stage.node
    assert taken == {pair: len(numbers) for pair, numbers in told.items()}, "nobody is told in vain"


def ends_before(found: tuple[Stage, ...]) -> list[int]:
    """For each stage, the set (of bits) of those that are over when it begins, by lanes and what these tell."""
    last: dict[int, int] = {}
    told: dict[tuple[int, int], list[int]] = {}
    sets: list[int] = []
    for number, stage in enumerate(found):
        over = [told[other, stage.context].pop(0) for other in stage.awaits or ()]
        over += [last[stage.context]] if stage.context in last else []
        sets.append(0)
        for other in over:
            sets[number] |= sets[other] | 1 << other
        last[stage.context] = number
        for other in stage.tells:
            told.setdefault((stage.context, other), []).append(number)
    return sets


@pytest.mark.parametrize("cores", [1, 4])
def test_no_two_stages_that_may_be_at_work_at_once_have_one_place_in_a_memory(cores: int) -> None:
    """Of three contexts, with the samples in four waves; for some there is no room at once, so they wait."""
    found = forced(4, cores).schedule.entries[ENTRY]
    sets, waited = ends_before(found), 0
    for number, stage in enumerate(found):
        for before, other in enumerate(found[:number]):
            meet = any(
                a.memory == b.memory
                and a.address < b.address + b.bytes * b.ring
                and b.address < a.address + a.bytes * a.ring
                for a in stage.buffers
                for b in other.buffers
            )
            waited += meet and stage.context != other.context
            assert not meet or sets[number] >> before & 1, (stage.node, other.node)
    assert waited


@cache
def forced(waves: int, cores: int) -> Compilation:
    """In so many waves, whatever that costs; the schedule is made at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrange, "WAVES", (waves,))
        patch.setattr(arrange, "WORTH_LANES", float("inf"))
        patch.setattr(arrange, "WORTH_MOVED", 0)
        made = Compilation("csnn", Options("li2024_exact", cores, batch=16, steps=2, partition="lanes"))
        assert made.schedule.entries[ENTRY][0].awaits is not None
    return made


def test_where_sums_have_no_room_between_waves_the_way_out_is_told(tmp_path: Path) -> None:
    """In a memory that all else fits into, without a byte more."""
    made = forced(4, 1)
    left = sum(symbol.bytes for symbol in made.program.symbols if ".partial." in symbol.name)
    assert left > 0
    small = replace(made.target, dram=replace(made.target.dram, bytes=made.program.dram_bytes - left))
    path = tmp_path / "small.toml"
    path.write_text(canonical(small))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(arrange, "WAVES", (4,))
        patch.setattr(arrange, "WORTH_LANES", float("inf"))
        patch.setattr(arrange, "WORTH_MOVED", 0)
        with pytest.raises(TargetError, match="MiB of DRAM") as caught:
            _ = Compilation("csnn", Options(str(path), 1, batch=16, steps=2, partition="lanes")).program
    told = f"--partition patches, which leaves no sums from wave to wave ({left / (1 << 20):.1f} MiB)"
    assert caught.value.faults[0].hints[-1] == told


def test_a_sum_that_cores_share_goes_on_where_it_is_gathered() -> None:
    """The first of the cores loads what the wave before has left, to which all parts are added, and stores it again."""
    found = [s for s in forced(4, 4).schedule.entries[ENTRY] if s.phase == "WG" and s.gathers]
    gone_on = [s for s in found if isinstance(s.statement, Contraction) and s.statement.onto is not None]
    assert gone_on
    for stage in gone_on:
        assert isinstance(stage.statement, Contraction)
        assert stage.statement.onto is not None
        for core in stage.active:
            steps = [step for _, step in stage.steps_on(core)]
            loads = [step.value for step in steps if step.kind == "load" and step.writes == ("whole",)]
            assert loads == ([stage.statement.onto.value] if stage.completes(core) else [])
            order = [step.kind for step in steps if "whole" in (*step.reads, *step.writes)]
            behind = ["store"] if stage.statement.partial else ["drain"]
            assert order == (["load", "gather", *behind] if stage.completes(core) else ["gather"])


@pytest.mark.parametrize("cores", [1, 4])
def test_tiles_are_short_and_buffers_deep_where_stages_share_units(cores: int) -> None:
    """Sums that are formed tile by tile have two tiles where memories have room, and what is loaded three."""
    made = forced(4, cores)
    found = made.schedule.entries[ENTRY]
    deep = [s for s in found if isinstance(s.statement, Contraction) and s.by_name["acc"].ring == 2]
    assert {s.phase for s in deep} >= {"FP", "BP"}
    assert any(b.ring == 3 for s in found for b in s.buffers)
    for stage in found:
        used: dict[int, int] = {}
        for each in stage.buffers:
            used[each.memory] = used.get(each.memory, 0) + each.bytes * each.ring
        assert all(size <= made.target.memories[memory].bytes for memory, size in used.items()), stage.node
    (whole,) = (s for s in compilation("patches").schedule.entries[ENTRY] if s.node == "d.s1.c.w")
    assert whole.by_name["acc"].ring == 1


@pytest.mark.parametrize(("cores", "least"), [(1, 0.9), (4, 0.7)])
def test_what_lanes_are_predicted_to_take_is_nearly_what_they_take(cores: int, least: float) -> None:
    """Less, since nothing is said of who comes first at a unit, nor of how long the channel serves others."""
    made = forced(4, cores)
    taken = counted(made).timing.cycles
    assert least * taken < span(made.schedule.entries[ENTRY], made.target) < 1.05 * taken


def test_samples_go_through_the_network_behind_one_another() -> None:
    """Errors of the first samples come back before the last have set out; each stage has each sample once."""
    found = stages()
    labels = [(stage.phase, samples(stage)) for stage in found]
    first_back = next(k for k, (phase, _) in enumerate(labels) if phase == "BP")
    last_out = max(k for k, (phase, _) in enumerate(labels) if phase == "FP")
    assert first_back < last_out
    by_node: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for stage in found:
        by_node.setdefault((stage.phase, stage.node), []).append(samples(stage))
    for (phase, node), found_shares in by_node.items():
        shares = found_shares if phase == "WG" else sorted(found_shares)  # a sum goes on with that of the wave before
        assert [low for low, _ in shares] == [0, *(high for _, high in shares[:-1])], node
        assert shares[-1][1] == BATCH
    assert max(map(len, by_node.values())) > 1


def test_a_weight_gradient_goes_on_with_what_the_wave_before_has_left() -> None:
    """In turn in two places, so that a sum which is formed again begins with the same; only the last has results."""
    sums = [s for s in stages() if s.phase == "WG" and s.node == "d.s2.c.w"]
    assert len(sums) > 2
    for part in range(1 + len(sums[0].beside)):
        statements = [stage.statements[part] for stage in sums]
        assert all(isinstance(each, Contraction) for each in statements)
        before = None
        for number, each in enumerate(statements):
            assert isinstance(each, Contraction)
            assert each.partial == (number < len(sums) - 1)
            assert (None if each.onto is None else each.onto.value) == before
            before = each.target.value
        homes = {each.target.value for each in statements if isinstance(each, Contraction) and each.partial}
        assert len(homes) == 2
    assert [bool(stage.epilogue) for stage in sums] == [*[False] * (len(sums) - 1), True]


def test_a_sum_that_would_leave_too_much_takes_all_samples_at_once() -> None:
    """200,704 weights of a layer of few products, 8 bytes each."""
    assert [samples(s) for s in stages() if s.phase == "WG" and s.node == "d.cloth.w"] == [(0, BATCH)]


def test_what_is_predicted_is_counted_and_engines_work_at_once() -> None:
    """Fewer cycles by replay than one stage at a time, and than teams; for a few more bytes."""
    lanes, teams, in_turn = (counted(compilation(partition)) for partition in ("lanes", "patches", "in_turn"))
    assert lanes.counted.total.dram == compilation("lanes").program.predicted[ENTRY]["dram"]["total"]
    assert lanes.timing.cycles < 0.85 * teams.timing.cycles < 0.85 * 0.9 * in_turn.timing.cycles
    assert lanes.counted.total.dram < 1.3 * teams.counted.total.dram


def test_without_its_hand_overs_a_program_in_lanes_races(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same stages, where nobody of errors waits for the way there, is found out."""
    monkeypatch.setattr(arrange, "WORTH_LANES", float("inf"))
    monkeypatch.setattr(arrange, "WORTH_MOVED", 0)
    made = Compilation("csnn", Options("li2024_exact", 1, batch=4, steps=1, partition="lanes"))
    found = made.schedule.entries[ENTRY]
    assert found[0].awaits is not None
    cut = tuple(replace(stage, awaits=(), tells=()) for stage in found)
    made.schedule = replace(made.schedule, entries={**made.schedule.entries, ENTRY: cut})
    interpreter = Interpreter(made.program, watched=True)
    interpreter.run("init", dict.fromkeys(made.program.entry("init").arguments, 3))
    with pytest.raises(RaceError):
        interpreter.run(ENTRY, dict.fromkeys(made.program.entry(ENTRY).arguments, 1))


def test_memories_are_shared_out_to_lanes() -> None:
    whole, part = load_target("li2024_exact"), shared_out(load_target("li2024_exact"))
    sizes = {m.name: (m.bytes, other.bytes) for m, other in zip(whole.memories, part.memories, strict=True)}
    assert sizes["norm"] == (131072, 131072 // 3), "each lane may have words there"
    assert all(own == other for name, (own, other) in sizes.items() if name != "norm")
    tiny = replace(load_target("tiny"), contexts=3)
    assert [m.bytes for m in shared_out(tiny).memories] == [m.bytes // 3 for m in tiny.memories]
    for stage in stages():
        ends = [(each.address + each.bytes * each.ring, each.memory) for each in stage.buffers]
        assert all(end <= whole.memories[memory].bytes for end, memory in ends), stage.node


SLTT = Options("li2024_exact", 1, 4, 2, ("sltt",), train={"loss": ("cross_entropy_mse",)})


@pytest.mark.parametrize("options", [Options("quad", 1, 4, 2), SLTT], ids=["one context", "a loop over time"])
def test_where_phases_cannot_go_their_own_ways_it_is_patches(options: Options) -> None:
    made = (Compilation("digits", replace(options, partition=partition)) for partition in ("lanes", "patches"))
    lanes, patches = (schedule_text(each.schedule) for each in made)
    assert lanes == patches


def test_inference_has_one_phase_and_no_lanes() -> None:
    assert all(stage.awaits is None for stage in compilation("lanes").schedule.entries["infer"])


def test_the_dump_tells_of_lanes() -> None:
    text = schedule_text(compilation("lanes").schedule, compilation("lanes").target)
    assert "    waits for context 0\n" in text
    assert "    tells contexts 1 and 2 when it is over\n" in text or "    tells context 1 when it is over\n" in text
    assert "d.s2.c.w.partial.0[" in text and ", to be gone on with,  over" in text


def test_the_number_of_waves_is_that_of_the_least_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each alone, what is chosen of all costs what the best of them does."""
    options = Options("li2024_exact", 1, batch=8, steps=2, partition="lanes")
    costs: list[float] = []
    for waves in (*((count,) for count in arrange.WAVES), arrange.WAVES):
        monkeypatch.setattr(arrange, "WAVES", waves)
        made = Compilation("csnn", options)
        found = made.schedule.entries[ENTRY]
        moved = sum(duration(stage, made.target).channel for stage in found)
        costs.append(span(found, made.target) / arrange.WORTH_LANES + arrange.WORTH_MOVED * moved)
    *alone, best = costs
    assert best == min(alone) < alone[0]
