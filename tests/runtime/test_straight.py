"""Instructions that run in one go do, count and fail as one by one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snnc.isa.instruction import Instruction
from snnc.isa.instructions.control import End, Halt, Loop, Post, Wait
from snnc.isa.program import Entry, Program
from snnc.runtime import listening
from snnc.runtime.faults import Deadlock, ExecutionError
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.listening import Listener, RunningStream
from snnc.runtime.orders import Order, Reverse, RoundRobin, Shuffled

if TYPE_CHECKING:
    from tests.runtime.conftest import Small


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Functions are written as soon as they can be: once all of their instructions have run."""
    monkeypatch.setattr(listening, "OFTEN", 2)


class Attentive(Listener):
    """Whoever wants to hear of every instruction has them run one by one."""

    def retired(self, stream: Any) -> None:
        """Nothing is done with it."""


def counts_of(program: Program, order: Order | None = None, alone: bool = False, times: int = 3) -> list[list[int]]:
    """How often each instruction of each stream has run in the last of some calls."""
    interpreter = Interpreter(program, order=order, unrolls=False)
    if alone:
        interpreter.listen(Attentive())
    for _ in range(times):
        interpreter.run("infer")
    return [stream.counts for stream in interpreter.streams("infer")]


def lines_of(interpreter: Interpreter) -> int:
    """How many functions were written."""
    return sum(len(stream._lines) for stream in interpreter.streams("infer"))  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("order", [RoundRobin, Reverse, lambda: Shuffled(1), lambda: Shuffled(2, most=40)])
def test_bits_and_counts_are_those_of_one_by_one(small: Small, order: Any) -> None:
    machines = [Interpreter(small.linear(), order=order(), unrolls=False), Interpreter(small.linear(), unrolls=False)]
    machines[1].listen(Attentive())
    random = np.random.default_rng(7)
    spikes, weights = random.random((4, 24)) < 0.4, random.integers(-64, 64, (40, 24)) / 16
    for machine in machines:
        machine.write("x", spikes)
        machine.write("fc.w", weights)
        for _ in range(4):
            machine.run("infer")
    assert lines_of(machines[0]) > 4
    assert lines_of(machines[1]) == 0
    first, other = machines
    assert first.chip.dram.tobytes() == other.chip.dram.tobytes()
    assert first.counters.traffic() == other.counters.traffic()
    assert first.executed("infer") == other.executed("infer")
    assert [stream.counts for stream in first.streams("infer")] == [stream.counts for stream in other.streams("infer")]


@given(
    st.lists(st.tuples(st.integers(1, 4), st.integers(1, 9)), min_size=1, max_size=3),
    st.integers(1, 3),
    st.sampled_from(["turn", "reverse", "shuffled"]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nests_that_hand_over_are_counted_turn_by_turn(
    small: Small, nest: list[tuple[int, int]], buffers: int, order: str
) -> None:
    """A producer and a consumer of so many buffers; every instruction runs as often as the loops around it turn."""
    opened = [Loop(k, tile, total) for k, (tile, total) in enumerate(nest)]
    closed = [End(k) for k in reversed(range(len(nest)))]
    producer: list[Instruction] = [*opened, Wait(0), Post(1, 0), *closed, *[Wait(0)] * buffers]
    consumer: list[Instruction] = [*[Post(0, 0)] * buffers, *opened, Wait(1), Post(0, 0), *closed]
    streams = small.stream(0, "load", producer), small.stream(0, "store", consumer)
    program = small.program([Entry("infer", streams, (), (), ())], [])
    made = {"turn": RoundRobin, "reverse": Reverse, "shuffled": lambda: Shuffled(3, most=9)}[order]()
    turns = [-(-total // tile) for tile, total in nest]
    outer = [int(np.prod(turns[:k])) for k in range(len(turns) + 1)]
    inside, ends = outer[-1], [outer[k + 1] for k in reversed(range(len(turns)))]
    expected = [
        [*outer[:-1], inside, inside, *ends, *[1] * buffers, 1],
        [*[1] * buffers, *outer[:-1], inside, inside, *ends, 1],
    ]
    assert counts_of(program, made) == expected
    assert counts_of(program, alone=True) == expected


def test_a_wait_inside_is_told_where_it_stands(small: Small) -> None:
    """A stream that waits for ever in the middle of what it had run in one go before."""
    code = [Loop(0, 1, 5), Post(1, 0), Wait(0), Post(2, 0), End(0)]
    other = [Loop(0, 1, 5), Wait(1), End(0), Loop(0, 1, 5), Wait(2), End(0)]
    posts = [Loop(0, 1, 4), Post(0, 0), End(0)]
    streams = [small.stream(0, unit, words) for unit, words in (("load", code), ("store", other), ("vector", posts))]
    machine = Interpreter(small.program([Entry("infer", tuple(streams), (), (), ())], []), unrolls=False)
    with pytest.raises(Deadlock) as told:
        machine.run("infer")
    assert "core 0, load stream, instruction 2 (fc, small.snn:3): waits for semaphore 0" in str(told.value)
    assert lines_of(machine) > 2
    assert [stream.counts for stream in machine.streams("infer")] == [
        [1, 5, 4, 4, 4, 0],
        [1, 5, 5, 1, 4, 4, 0],
        [1, 4, 4, 1],
    ]


def test_a_fault_inside_names_its_instruction_and_counts_those_before(small: Small) -> None:
    """The third tile of y lies behind the last byte of DRAM."""
    program = small.linear()
    (entry,) = program.entries
    streams = tuple(
        replace(
            code,
            instructions=tuple(replace(i, total=8 * i.tile) if isinstance(i, Loop) else i for i in code.instructions),
        )
        for code in entry.streams
    )
    faulty = replace(program, entries=(replace(entry, streams=streams),), dram_bytes=4096 + 4 * 80)
    for alone in (False, True):
        machine = Interpreter(faulty, unrolls=False)
        if alone:
            machine.listen(Attentive())
        with pytest.raises(ExecutionError) as told:
            machine.run("infer")
        assert "core 0, store stream, instruction 12 (small.snn:3): writes bits" in str(told.value)
        (store,) = [stream for stream in machine.streams("infer") if stream.unit == "store"]
        assert store.counts == [*[1] * 11, 3, 2, 2, 2, 0]
        assert alone or lines_of(machine) > 0


def test_streams_that_are_to_be_seen_run_singly(small: Small) -> None:
    machine = Interpreter(small.linear(), unrolls=False)
    machine.run("infer")
    assert lines_of(machine) > 0
    seen: list[int] = []
    stream: RunningStream = machine.streams("infer")[0]
    for number, action in enumerate(stream.actions[:-1]):
        assert action is not None
        stream.actions[number] = lambda number=number, action=action: (seen.append(number), action())[0]
    stream.singly = True
    machine.run("infer")
    controls = {number for number, word in enumerate(stream.instructions) if isinstance(word, (Wait, Post, End, Halt))}
    assert len(controls) == 7
    assert set(seen) >= controls
