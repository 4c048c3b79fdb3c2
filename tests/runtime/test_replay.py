"""Cycles come from what was executed, not from the order in which the host executed it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from snnc.isa.instructions.control import Post, Wait
from snnc.isa.instructions.move import Load, Store
from snnc.isa.instructions.route import Multicast, Receive
from snnc.isa.program import Entry, Program
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.orders import Order, Reverse, Shuffled
from snnc.runtime.recording import Record, Recorder
from snnc.runtime.replay import Timing, replay
from snnc.runtime.trace import trace, write_trace

if TYPE_CHECKING:
    from tests.runtime.conftest import Small


def timed(program: Program, order: Order | None = None) -> tuple[Record, Timing]:
    interpreter = Interpreter(program, order=order)
    recorder = Recorder(interpreter.target)
    interpreter.listen(recorder)
    interpreter.run("infer")
    assert recorder.record is not None
    return recorder.record, replay(recorder.record, interpreter.target)


@pytest.mark.parametrize("order", [Reverse, lambda: Shuffled(1), lambda: Shuffled(2, most=1)])
@pytest.mark.parametrize("name", ["linear", "pair"])
def test_cycles_do_not_depend_on_the_order_of_the_host(small: Small, name: str, order: Any) -> None:
    program: Program = getattr(small, name)()
    assert timed(program) == timed(program, order())


def test_a_copy_takes_the_cycles_that_are_counted_by_hand(small: Small) -> None:
    """Load 64 bytes and store them: 4 descriptors, then load, post, halt; the store waits behind 4 descriptors."""
    row = [(16, 32)]
    views = [*small.view(0, 0, "f32", 0, row), *small.view(1, 1, "f32", 0, row)]
    back = [*small.view(0, 0, "f32", 64, row), *small.view(1, 1, "f32", 0, row)]
    streams = (
        small.stream(0, "load", [*views, Load(1, 0), Post(0, 0)]),
        small.stream(0, "store", [*back, Wait(0), Store(0, 1)]),
    )
    symbols = [small.symbol("x", "f32", (16,), 0, "input"), small.symbol("y", "f32", (16,), 64, "result")]
    program = small.program([Entry("infer", streams, (), ("x",), ("y",))], symbols)
    record, timing = timed(program)
    dram = Interpreter(program).target.dram
    move = 64 * 8 // dram.bits_per_cycle
    landed = 4 + 1 + move + dram.latency_cycles
    posted = landed + 1
    stored = posted + 1 + 1 + move + dram.latency_cycles  # wait and store issue, then the channel
    assert timing.cycles == stored + 1  # halt
    assert timing.channel == 2 * move
    assert timing.busy == {(0, "load"): posted + 1, (0, "store"): 4 + (timing.cycles - posted)}
    assert [(span.start, span.end) for span in timing.timeline] == [(4, landed), (posted + 1, stored)]
    assert timing.utilisation["dram"] == 2 * move / timing.cycles
    assert [deed.kind for deed in record.streams[0].deeds] == ["issue", "dram", "post", "issue"]


def test_a_tile_takes_its_hops_and_its_length(small: Small) -> None:
    record, timing = timed(small.pair())
    link = Interpreter(small.pair()).target.link
    sent = next(span for span in timing.timeline if record.streams[span.stream].unit == "router")
    assert sent.end - sent.start == 1 + 32 * 8 // link.bits_per_cycle
    assert timing.links == {(0, 1): 32 * 8 // link.bits_per_cycle, (1, 3): 32 * 8 // link.bits_per_cycle}


def test_a_tile_for_many_takes_every_link_once(small: Small) -> None:
    """From core 0 of a mesh of 2 x 2 to the others: links to 1 and 2 at once, and from 1 on to 3 one hop behind."""
    row = [(16, 32)]
    tile = small.view(0, 1, "f32", 0, row)
    streams = [small.stream(0, "router", [*tile, Multicast(0, 0, 1, 4)])]
    streams += [small.stream(core, "router", [*tile, Receive(0, 0, 1)]) for core in (1, 2, 3)]
    program = small.program([Entry("infer", tuple(streams), (), (), ())], [], "quad", cores=4)
    _, timing = timed(program)
    link = Interpreter(program).target.link
    carried = 64 * 8 // link.bits_per_cycle
    assert timing.links == {(0, 1): carried, (0, 2): carried, (1, 3): carried}
    begun = len(tile) + 1
    received = 1 + 1  # the receive itself, and halt
    assert timing.cycles == begun + 2 * link.hop_cycles + carried + received
    (sent,) = timing.timeline
    assert sent.end == begun + carried
    interpreter = Interpreter(program)
    interpreter.run("infer")
    assert interpreter.counters.by_link() == {(0, 1): 64, (0, 2): 64, (1, 3): 64}
    assert interpreter.counters.traffic().total.network == 3 * 64


def test_an_engine_is_never_quicker_than_its_array(small: Small) -> None:
    record, timing = timed(small.linear())
    engine = Interpreter(small.linear()).target.engines["fp"]
    dense = 4 * -(-24 // engine.rows) * (2 * -(-16 // engine.columns) + -(-8 // engine.columns))
    computed = [span for span in timing.timeline if record.streams[span.stream].unit == "fp"]
    assert sum(span.end - span.start - 1 for span in computed) == dense
    assert 0 < timing.utilisation["fp"] < 1


def test_the_trace_has_a_process_a_core_and_a_thread_a_unit(small: Small, tmp_path: Path) -> None:
    record, timing = timed(small.pair())
    write_trace(record, timing, tmp_path / "trace.json")
    written = json.loads((tmp_path / "trace.json").read_text())
    assert written == trace(record, timing)
    names = [event["args"]["name"] for event in written["traceEvents"] if event["name"] == "process_name"]
    assert names == ["core 0", "core 1", "core 2", "core 3"]
    loads = [event for event in written["traceEvents"] if event["name"] == "fc load"]
    assert [event["args"] for event in loads] == [
        {"instruction": 4, "phase": "FP", "place": "small.snn:3", "bytes": 32},
        {"instruction": 11, "phase": "FP", "place": "small.snn:3", "bytes": 32},
    ]
    assert all(event["dur"] > 0 and event["pid"] == 0 for event in loads)
