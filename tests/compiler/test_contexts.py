"""Stages at work in one core at once: in contexts, with memories that hold what all of them need."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from snnc.compiler.ir.schedule import Stage, teams
from snnc.compiler.pipeline import Compilation, Options
from snnc.isa.target import canonical, load_target
from snnc.reports.schedule_text import schedule_text
from snnc.runtime.counted import full
from snnc.runtime.counting import counts_of
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.settings import Settings

ENTRY = "train_step"


@cache
def compilation(target: str, cores: int = 1, partition: str = "chosen", model: str = "vgg11") -> Compilation:
    sizes = {"width": 2} if model == "vgg11" else {}
    options = Options(target, cores, batch=4, steps=2, partition=partition, settings=sizes)
    return Compilation(model, options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("contexts")


def machine(folder: Path, contexts: int, base: str = "li2024_exact", **changed: object) -> str:
    """A file with that machine."""
    target = replace(load_target(base), contexts=contexts, **changed)
    path = folder / f"{base}_{contexts}_{len(changed)}.toml"
    path.write_text(canonical(target))
    return str(path)


def abreast(stages: tuple[Stage, ...]) -> Iterator[tuple[Stage, Stage]]:
    """Pairs of stages that may be at work in one core at once."""
    for team in teams(stages):
        for number, one in enumerate(team):
            for other in team[number + 1 :]:
                if one.context != other.context and {*one.active} & {*other.active}:
                    yield one, other


def test_errors_and_weight_gradients_of_a_layer_are_made_in_one_core_at_once() -> None:
    """Both need the errors behind the layer and nothing of one another."""
    pairs = {(one.phase, one.node, other.phase, other.node) for one, other in abreast(entry("li2024_exact"))}
    pairs |= {(*pair[2:], *pair[:2]) for pair in pairs}
    assert ("BP", "d.s7", "WG", "d.s8.c.w") in pairs
    assert ("BP", "d.s3", "WG", "d.s4.c.w") in pairs


def entry(target: str, cores: int = 1, partition: str = "chosen") -> tuple[Stage, ...]:
    return compilation(target, cores, partition).schedule.entries[ENTRY]


@pytest.mark.parametrize("cores", [1, 4])
def test_what_is_at_work_at_once_has_places_of_its_own_in_each_memory(cores: int) -> None:
    memories = load_target("li2024_exact").memories
    met = 0
    for one, other in abreast(entry("li2024_exact", cores)):
        for mine in one.buffers:
            assert mine.address + mine.bytes * mine.ring <= memories[mine.memory].bytes
            for theirs in other.buffers:
                met += mine.memory == theirs.memory
                apart = (
                    mine.memory != theirs.memory
                    or mine.address + mine.bytes * mine.ring <= theirs.address
                    or theirs.address + theirs.bytes * theirs.ring <= mine.address
                )
                assert apart, f"{one.node} and {other.node} in memory {mine.memory}"
    assert met, "some memory is shared"


def test_a_memory_that_is_full_keeps_stages_apart(folder: Path) -> None:
    """One memory for all roles: of two stages that fill it, none runs beside the other; with more of it they do."""
    small = load_target("tiny")
    wide = tuple(replace(memory, bytes=memory.bytes * 64) for memory in small.memories)
    few, many = (machine(folder, 3, "tiny"), machine(folder, 3, "tiny", memories=wide))

    def shared(target: str) -> int:
        found = compilation(target, model="csnn").schedule.entries[ENTRY]
        for one, other in abreast(found):
            taken: list[dict[int, int]] = [{}, {}]
            for room, stage in zip(taken, (one, other), strict=True):
                for buffer in stage.buffers:
                    room[buffer.memory] = room.get(buffer.memory, 0) + buffer.bytes * buffer.ring
            for memory, size in taken[0].items():
                assert size + taken[1].get(memory, 0) <= load_target(target).memories[memory].bytes
        return len(list(abreast(found)))

    assert shared(few) < shared(many)


def test_contexts_cost_no_bytes_and_save_cycles(folder: Path) -> None:
    """With the contexts that a core has, and with one, in which stages follow one another: by replay."""
    found: dict[int, tuple[int, float]] = {}
    for contexts in (1, 3):
        program = compilation(machine(folder, contexts)).program
        interpreter = Interpreter(program, contents=full)
        (count,) = (c for c in counts_of(interpreter, Settings.of(program.settings)) if c.entry == ENTRY)
        found[contexts] = count.timing.cycles, count.counted.total.dram
    assert found[3][0] < 0.9 * found[1][0]
    assert found[3][1] == found[1][1]


def test_the_dump_and_the_program_tell_of_contexts() -> None:
    found = compilation("li2024_exact")
    text = schedule_text(found.schedule, found.target)
    assert "on core 0 in context 1" in text
    assert (found.program.cores, found.program.contexts) == (1, 3)
    assert {stream.core for stream in found.program.entry(ENTRY).streams} == {0, 1, 2}
    in_turn = compilation("li2024_exact", partition="in_turn")
    assert in_turn.program.contexts == 1
    assert "context" not in schedule_text(in_turn.schedule, in_turn.target)
