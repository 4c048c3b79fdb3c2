"""Steps of time that overlap: what may run a step behind, who still waits for whom, and room for two steps."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from snnc.catalog import UnknownName
from snnc.compiler.cost.room import aliases_of, held
from snnc.compiler.ir.overlap import Overlap
from snnc.compiler.ir.schedule import Stage, teams
from snnc.compiler.ir.statement import Access, loop
from snnc.compiler.passes.dependencies import Touch, touches, waits
from snnc.compiler.passes.pipelined import ROOMS, parts_of
from snnc.compiler.pipeline import Compilation, Options
from snnc.isa.target import canonical, load_target
from snnc.reports.schedule_text import schedule_text

SOURCE = """
network steps(image: f16[3, 8, 8]) steps 4 {
    s1 = lif(conv2d(image, out=16, kernel=3, pad=1), threshold=0.25)
    s2 = lif(conv2d(s1, out=32, kernel=3, pad=1, stride=2), threshold=0.25)
    return linear(flatten(s2), out=10)
}
train { batch = 4; loss = cross_entropy_mse; optimizer = sgd(momentum=0.9) }
"""
RULES = ("sltt", "ottt_a", "opzo", "sltt_k(K=2)")
"""Rules that learn behind all steps, of errors that are known in each."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pipelined")


@cache
def compilation(
    folder: Path, rule: str, overlap: str = "always", cores: int = 20, steps: int = 4, contexts: int = 3
) -> Compilation:
    path, chip = folder / f"{rule}.snn", folder / f"{contexts}.toml"
    path.write_text(SOURCE.replace("batch = 4", f"batch = 4; rule = {rule}"))
    chip.write_text(canonical(replace(load_target("li2024_exact"), contexts=contexts)))
    return Compilation(path, Options(str(chip), cores, steps=steps, overlap=overlap))


def stages_of(compilation: Compilation) -> tuple[Stage, ...]:
    return compilation.schedule.entries["train_step"]


def label(stage: Stage) -> str:
    return f"{stage.phase} {stage.node}"


# Who waits for whom, by the steps that stages touch.


def touch(step: int, room: int, writes: bool) -> Touch:
    return Touch("x", Access("x", (loop("t"), loop("c"))), writes, step, room)


@pytest.mark.parametrize(
    ("step", "room", "meets"),
    [(0, 1, True), (-1, 1, True), (-1, 2, False), (-2, 2, True), (-1, 0, False), (0, 0, True)],
)
def test_other_steps_are_apart_where_there_is_room(step: int, room: int, meets: bool) -> None:
    assert touch(0, room, True).meets(touch(step, room, False)) == meets
    assert not touch(0, room, False).meets(touch(step, room, False)), "who reads waits for nobody who reads"


def test_of_steps_that_nobody_knows_all_wait() -> None:
    whole = Touch("x", Access("x", (loop("k"), loop("c"))), writes=True)
    assert whole.meets(touch(-1, 2, False))


# What may run behind.


@pytest.mark.parametrize("rule", RULES)
def test_the_way_there_runs_first_and_needs_nothing_of_what_runs_behind(folder: Path, rule: str) -> None:
    found = compilation(folder, rule)
    aliases = aliases_of(found.training)
    cycle = [stage for stage in stages_of(found) if stage.cycle]
    assert {label(stage) for stage in cycle if stage.behind == 0} == {
        label(stage) for stage in cycle if any(phase == "FP" for phase, _ in stage.nodes)
    }
    assert {stage.phase for stage in cycle if stage.behind == 1} == {"BP", "WG"}
    made = {touch.home for stage in cycle if stage.behind for touch in touches(stage, aliases) if touch.writes}
    read = {touch.home for stage in cycle if not stage.behind for touch in touches(stage, aliases) if not touch.writes}
    assert made and read and made.isdisjoint(read)
    assert all(stage.behind is None for stage in stages_of(found) if not stage.cycle)


def test_where_weights_change_in_each_step_the_next_waits_for_them(folder: Path) -> None:
    """It is found by what is read and written, and told."""
    found = compilation(folder, "ottt_o")
    assert all(stage.behind is None for stage in stages_of(found))
    (overlap,) = found.schedule.overlaps["train_step"]
    waits_for = next(stage for stage in stages_of(found) if any(node == "s1.conv2d.w" for _, node in stage.nodes))
    why = f"FP s1.conv2d reads s1.conv2d.w, which {label(waits_for)} makes in the step before"
    assert (overlap.behind, overlap.handed, overlap.why) == ((), (), why)
    lines = schedule_text(found.schedule, found.target).splitlines()
    place = lines.index("  steps follow one another, as they must")
    assert lines[place - 1 : place + 2] == ["entry train_step", lines[place], f"    {why}"]


def test_a_value_that_the_next_step_reads_makes_its_maker_a_part_of_the_way_there(folder: Path) -> None:
    """Stages of another phase are first where the way there reads what they make, and so is all that they wait for."""
    found = compilation(folder, "ottt_o")
    cycle = [stage for stage in stages_of(found) if stage.cycle]
    parts = parts_of(cycle, aliases_of(found.training), held(found.training))
    first = {cycle[number].phase for number in parts.first}
    assert {"FP", "BP", "WG"} <= first and not parts.apart


@pytest.mark.parametrize("given", [{"steps": 1}, {"overlap": "off"}], ids=["one step", "off"])
def test_where_there_is_no_next_step_or_none_is_wanted_all_take_the_same(folder: Path, given: dict[str, int]) -> None:
    found = compilation(folder, "sltt", **given)  # type: ignore[arg-type]
    assert all(stage.behind is None for stage in stages_of(found))
    assert found.schedule.overlaps["train_step"] == ()
    assert "steps overlap" not in schedule_text(found.schedule)
    assert all(symbol.steps != ROOMS for symbol in found.program.symbols)


def test_rules_that_go_down_have_nothing_to_overlap(folder: Path) -> None:
    assert compilation(folder, "bptt").schedule.overlaps == {"init": (), "train_step": (), "infer": ()}


# The order inside of a turn.


@pytest.mark.parametrize("cores", [20, *(pytest.param(cores, marks=pytest.mark.full) for cores in (1, 3))])
@pytest.mark.parametrize("rule", RULES)
def test_none_comes_before_or_beside_what_it_waits_for(folder: Path, rule: str, cores: int) -> None:
    """In a turn the step before comes first, where both touch the same room."""
    found = compilation(folder, rule, cores=cores)
    aliases = aliases_of(found.training)
    arranged = [stage for stage in stages_of(found) if stage.cycle]
    place = {label(stage): number for number, team in enumerate(teams(arranged)) for stage in team}
    planned = [label(stage) for stage in stages_of(compilation(folder, rule, "off", cores)) if stage.cycle]
    assert sorted(planned) == sorted(place)
    for behind in (0, 1):
        own = [stage for stage in arranged if stage.behind == behind]
        own.sort(key=lambda stage: planned.index(label(stage)))
        for stage, before in zip(own, waits([tuple(touches(stage, aliases)) for stage in own]), strict=True):
            assert all(place[label(own[other])] < place[label(stage)] for other in before), label(stage)
    order = sorted(arranged, key=lambda stage: (-(stage.behind or 0), planned.index(label(stage))))
    touched = [tuple(touches(stage, aliases, found.schedule.rooms)) for stage in order]
    for stage, before in zip(order, waits(touched), strict=True):
        assert all(place[label(order[other])] < place[label(stage)] for other in before), label(stage)
    if cores > 1:
        assert any({stage.behind for stage in team} == {0, 1} for team in teams(arranged)), "two steps side by side"


# Room, length, and what is told.


@pytest.mark.parametrize(
    "rule", ["ottt_a", *(pytest.param(rule, marks=pytest.mark.full) for rule in RULES if rule != "ottt_a")]
)
def test_neither_the_program_nor_its_memory_grows_with_the_steps(folder: Path, rule: str) -> None:
    """From 12 steps to 16, of which sltt_k chooses 2."""
    few, many = (compilation(folder, rule, steps=steps).program for steps in (12, 16))
    assert few.instruction_count == many.instruction_count
    rooms = {symbol.name: (symbol.steps, symbol.bytes) for symbol in few.symbols if symbol.steps}
    assert rooms == {symbol.name: (symbol.steps, symbol.bytes) for symbol in many.symbols if symbol.steps}


def test_it_is_chosen_where_that_takes_fewer_cycles(folder: Path) -> None:
    """With many steps the idle cores of the first and the last turn are worth it; on one core nothing runs beside, if
    its engines work for one stage at a time."""
    for cores in (20, 1):
        chosen = compilation(folder, "sltt", "auto", cores, steps=64).schedule.overlaps["train_step"][0]
        assert chosen.behind and chosen.cycles < chosen.apart
    one = compilation(folder, "sltt", "auto", cores=1, steps=64, contexts=1)
    alone = one.schedule.overlaps["train_step"][0]
    assert not alone.behind and alone.cycles >= alone.apart
    lines = schedule_text(one.schedule).splitlines()
    told = f"{alone.apart:.0f} cycles predicted, {alone.cycles:.0f} if they overlapped"
    assert f"  steps follow one another: {told}" in lines


def test_the_dump_tells_who_runs_behind_and_what_that_takes(folder: Path) -> None:
    found = compilation(folder, "sltt")
    lines = schedule_text(found.schedule, found.target).splitlines()
    (overlap,) = found.schedule.overlaps["train_step"]
    place = lines.index("entry train_step")
    cycles = f"{overlap.cycles:.0f} cycles predicted, {overlap.apart:.0f} if each step waited for the one before"
    room = f"{overlap.bytes / 1024:.1f} KiB more of DRAM: {', '.join(overlap.handed)}"
    assert lines[place + 1 : place + 4] == [
        f"  steps overlap: {cycles}",
        f"    a step behind: {behind_of(overlap)}",
        f"    room for two steps, {room}",
    ]
    assert sum("; a step behind; " in line for line in lines) == len(overlap.behind)


def behind_of(overlap: Overlap) -> str:
    more = len(overlap.behind) - 8
    return ", ".join(overlap.behind[:8]) + (f" and {more} more" if more > 0 else "")


def test_an_unknown_choice_has_a_nearest_name(folder: Path) -> None:
    with pytest.raises(UnknownName) as caught:
        _ = compilation(folder, "sltt", "allways").schedule
    assert str(caught.value) == "no overlap is called 'allways'; did you mean always?"
