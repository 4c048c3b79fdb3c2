"""Whatever hand-over is missing, the race checker or the deadlock tells of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from snnc.isa.instruction import Instruction
from snnc.isa.instructions.control import Barrier, Post, Wait
from snnc.isa.instructions.move import Store
from snnc.isa.instructions.route import Receive, Send
from snnc.isa.program import Entry, Program
from snnc.runtime.faults import Deadlock, RaceError
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.orders import Reverse, RoundRobin, Shuffled

if TYPE_CHECKING:
    from tests.runtime.conftest import Small

ORDERS: list[Any] = [RoundRobin, Reverse, lambda: Shuffled(1)]


def without(small: Small, program: Program, core: int, semaphore: int) -> Program:
    """The program without posts of and waits for a semaphore."""

    def kept(stream: Any, instruction: object) -> bool:
        match instruction:
            case Post():
                return (instruction.core, instruction.semaphore) != (core, semaphore)
            case Wait():
                return (stream.core, instruction.semaphore) != (core, semaphore)
            case _:
                return True

    return small.changed(program, kept)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("semaphore", range(1, 7))
def test_each_dropped_semaphore_is_a_race_in_every_order(small: Small, semaphore: int, order: Any) -> None:
    interpreter = Interpreter(without(small, small.linear(), 0, semaphore), watched=True, order=order())
    with pytest.raises(RaceError):
        interpreter.run("infer")


@pytest.mark.parametrize("semaphore", range(7))
def test_each_dropped_post_is_a_deadlock(small: Small, semaphore: int) -> None:
    program = small.changed(small.linear(), lambda s, i: not (isinstance(i, Post) and i.semaphore == semaphore))
    with pytest.raises(Deadlock):
        Interpreter(program).run("infer")


@pytest.mark.parametrize(("core", "semaphore"), [(0, 0), (0, 1), (0, 2), (3, 0), (3, 1)])
def test_hand_overs_between_cores_are_checked(small: Small, core: int, semaphore: int) -> None:
    interpreter = Interpreter(without(small, small.pair(), core, semaphore), watched=True)
    with pytest.raises(RaceError):
        interpreter.run("infer")


def test_a_race_names_both_instructions_and_the_bytes(small: Small) -> None:
    interpreter = Interpreter(without(small, small.pair(), 0, 1), watched=True)
    with pytest.raises(RaceError) as caught:
        interpreter.run("infer")
    assert str(caught.value) == (
        "race in infer: nothing orders two accesses to bytes 64..95 of DRAM\n"
        "  core 0, load stream, instruction 10 (fc, small.snn:3) reads\n"
        "  core 3, store stream, instruction 5 (fc, small.snn:3) writes"
    )


def test_a_whole_program_has_no_race(small: Small) -> None:
    for program in (small.linear(), small.pair()):
        interpreter = Interpreter(program, watched=True)
        interpreter.run("infer")
        assert interpreter.races is not None and interpreter.races.found == ()


def test_an_edge_that_others_imply_may_go(small: Small) -> None:
    """x is loaded before the first tile of w by the same unit, so the hand-over of that tile covers it."""
    Interpreter(without(small, small.linear(), 0, 0), watched=True).run("infer")


@pytest.mark.parametrize("edge", ["barrier", "tile", "none"])
def test_barriers_and_tiles_order_what_they_separate(small: Small, edge: str) -> None:
    """Core 3 and core 0 store to the same bytes of DRAM."""
    row = [(8, 32)]
    views = [*small.view(0, 0, "f32", 0, row), *small.view(1, 1, "f32", 0, row)]
    before: dict[str, list[Instruction]] = {"barrier": [Barrier(4)], "tile": [Wait(0)], "none": []}
    after: dict[str, list[Instruction]] = {"barrier": [Barrier(4)], "tile": [Post(0, 3)], "none": []}
    streams = [
        small.stream(0, "store", [*views, *before[edge], Store(0, 1)]),
        small.stream(3, "store", [*views, Store(0, 1), *after[edge]]),
    ]
    if edge == "barrier":
        streams += [small.stream(core, "store", [Barrier(4)]) for core in (1, 2)]
    if edge == "tile":
        token = small.view(0, 1, "u8", 512, [(4, 8)])
        streams.append(small.stream(3, "router", [*token, Wait(0), Send(0, 0, 5)]))
        streams.append(small.stream(0, "router", [*token, Receive(0, 3, 5), Post(0, 0)]))
    symbols = [small.symbol("x", "f32", (8,), 0, "value")]
    program = small.program([Entry("infer", tuple(streams), (), (), ())], symbols, "quad", cores=4)
    for order in ORDERS:
        interpreter = Interpreter(program, watched=True, order=order())
        if edge != "none":
            interpreter.run("infer")
            continue
        with pytest.raises(RaceError, match=r"bytes 0\.\.31 of DRAM"):
            interpreter.run("infer")
