"""Contexts of a core: what they share, what each has for itself, and who notices when they do not agree."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from snnc.isa.instruction import Instruction
from snnc.isa.instructions.control import Post, Wait
from snnc.isa.instructions.move import Load, Store
from snnc.isa.instructions.vector import Drain
from snnc.isa.program import Entry, Program, Stream
from snnc.isa.target import canonical, load_target
from snnc.runtime.faults import RaceError
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.recording import Recorder
from snnc.runtime.replay import Timing, replay
from snnc.runtime.trace import trace
from snnc.source import DataError

if TYPE_CHECKING:
    from tests.runtime.conftest import Small

ROW = [(16, 32)]
CONTEXTS = 3


def program(small: Small, *streams: Stream, contexts: int = 2, of_target: int = CONTEXTS) -> Program:
    """One core of `tiny`, with so many contexts."""
    machine = replace(load_target("tiny"), contexts=of_target)
    symbols = [small.symbol("x", "f32", (16,), 0, "input"), small.symbol("y", "f32", (16,), 64, "result")]
    made = small.program([Entry("infer", streams, (), ("x",), ("y",))], symbols)
    text, fingerprint = canonical(machine), machine.fingerprint
    return replace(made, contexts=contexts, target_text=text, target_hash=fingerprint)


def load(small: Small) -> list[Instruction]:
    return [*small.view(0, 0, "f32", 0, ROW), *small.view(1, 1, "f32", 0, ROW), Load(1, 0)]


def store(small: Small, wait: bool = True) -> list[Instruction]:
    views = [*small.view(0, 0, "f32", 64, ROW), *small.view(1, 1, "f32", 0, ROW)]
    return [*views, *([Wait(0)] if wait else []), Store(0, 1)]


def timing(made: Program) -> Timing:
    interpreter = Interpreter(made)
    recorder = Recorder(interpreter.target)
    interpreter.listen(recorder)
    interpreter.run("infer")
    assert recorder.record is not None
    return replay(recorder.record, interpreter.target)


def test_one_context_reads_in_a_scratchpad_what_another_has_put_there(small: Small) -> None:
    posted = small.stream(0, "load", [*load(small), Post(0, 1)])
    interpreter = Interpreter(program(small, posted, small.stream(1, "store", store(small))), watched=True)
    interpreter.write("x", np.arange(16))
    interpreter.run("infer")
    assert (interpreter.read("y") == np.arange(16)).all()
    assert set(interpreter.counters.by_unit()) == {(0, "load"), (0, "store")}


def test_contexts_that_nothing_orders_race_for_the_memories_of_their_core(small: Small) -> None:
    made = program(small, small.stream(0, "load", load(small)), small.stream(1, "store", store(small, wait=False)))
    with pytest.raises(RaceError, match=r"nothing orders two accesses to bytes 0\.\.63 of memory 1 of core 0"):
        Interpreter(made, watched=True).run("infer")


def drains(small: Small, context: int) -> Stream:
    """The vector unit at work for two tiles of 16 elements in a memory of its own context."""
    views = [
        *small.view(0, 1, "f16", 1024 * context, [(16, 16)]),
        *small.view(1, 1, "x64", 1024 * context + 256, [(16, 64)]),
    ]
    return small.stream(context, "vector", [*views, Drain(0, 1, 0, 0, 1.0), Drain(0, 1, 0, 0, 1.0)])


def test_contexts_take_turns_at_an_engine_and_at_the_vector_unit(small: Small) -> None:
    alone = timing(program(small, drains(small, 0), contexts=1))
    both = timing(program(small, drains(small, 0), drains(small, 1)))
    work = sum(span.end - span.start for span in alone.timeline)
    assert both.cycles == alone.cycles + work
    spans = sorted((span.start, span.end, span.stream) for span in both.timeline)
    assert [stream for _, _, stream in spans] == [0, 1, 0, 1], "first come, first served"
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert both.utilisation["vector"] == pytest.approx(2 * alone.busy[0, "vector"] / both.cycles)


def test_each_context_has_a_move_of_its_own_under_way(small: Small) -> None:
    """Two loads at once share the channel, and wait for the latency of DRAM together."""
    other = [*small.view(0, 0, "f32", 0, ROW), *small.view(1, 1, "f32", 256, ROW), Load(1, 0)]
    alone = timing(program(small, small.stream(0, "load", load(small)), contexts=1))
    made = program(small, small.stream(0, "load", load(small)), small.stream(1, "load", other))
    both = timing(made)
    assert both.cycles == alone.cycles + alone.channel
    assert both.utilisation["load"] <= 1.0
    interpreter = Interpreter(made)
    recorder = Recorder(interpreter.target)
    interpreter.listen(recorder)
    interpreter.run("infer")
    assert recorder.record is not None
    events = trace(recorder.record, both)["traceEvents"]
    assert [each["args"]["name"] for each in events if each["name"] == "process_name"] == [
        "core 0",
        "core 0 context 1",
    ]


def test_more_contexts_than_the_machine_has_are_refused(small: Small) -> None:
    made = program(small, small.stream(0, "load", load(small)), contexts=3, of_target=2)
    with pytest.raises(DataError, match="the program takes 3 contexts of each core; tiny has 2"):
        Interpreter(made)
