"""Streams: control flow, views, transfers and verbs, on a chip made of plain lists."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from snnc.isa.chip import Key
from snnc.isa.computing import ComputingStream
from snnc.isa.element import ElementProgram, Lane
from snnc.isa.instruction import Instruction
from snnc.isa.instructions.control import Barrier, Choose, End, Halt, Loop, Post, Wait, Within
from snnc.isa.instructions.describe import Axis, CodedView, GridAxis, Span, Turn, View
from snnc.isa.instructions.engine import Dense, Gate
from snnc.isa.instructions.move import Load, Store
from snnc.isa.instructions.route import Multicast, Receive, Send
from snnc.isa.instructions.vector import Comoment, Drain, Mean, PoolMax, PoolSum, Run, Unpool
from snnc.isa.skipping import Taken
from snnc.isa.state import Blocked, Core, ProgramFault, Stream, Window
from snnc.isa.target import load_target
from snnc.numerics.formats import F16, F32, F64, SPIKE, U2, U4, U8, U16, X64, X128, Format, pack, unpack

Array = NDArray[Any]
Bytes = NDArray[np.uint8]


class Ears:
    """An observer that writes everything down."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []

    def dram(self, stream: Stream, write: bool, address: int, useful: int, bursts: int) -> None:
        self.heard.append(("dram", write, address, useful, bursts))

    def coded(self, stream: Stream, write: bool, stored: int, plain: int) -> None:
        self.heard.append(("coded", write, stored, plain))

    def scratchpad(self, stream: Stream, write: bool, space: int, useful: int) -> None:
        self.heard.append(("scratchpad", write, space, useful))

    def network(self, stream: Stream, source: int, targets: tuple[int, ...], useful: int) -> None:
        self.heard.append(("network", source, targets, useful))

    def work(self, stream: Stream, kind: str, amount: int) -> None:
        self.heard.append(("work", kind, amount))

    def turns(self, stream: Stream, taken: Taken) -> None:
        self.heard.append(("turns", taken))

    def touch(self, stream: Stream, write: bool, window: Window) -> None:
        self.heard.append(("touch", write, window))

    def sync(self, stream: Stream, kind: str, core: int, number: int) -> None:
        self.heard.append(("sync", kind, core, number))

    def of(self, kind: str) -> list[tuple[Any, ...]]:
        return [words[1:] for words in self.heard if words[0] == kind]


class Board:
    """A chip of two cores with two scratchpads each."""

    def __init__(self, dram: int = 1 << 12, scratchpad: int = 1 << 12) -> None:
        self.dram = np.zeros(dram, np.uint8)
        pads = [[np.full(scratchpad, 0xA5, np.uint8) for _ in range(2)] for _ in range(2)]
        self.cores = [Core(number, [self.dram, *pads[number]], 2) for number in range(2)]
        self.arguments = np.zeros(8, np.uint32)
        self.elements: list[ElementProgram] = []
        self.granule = 64
        self.accumulators = "exact"
        self.engines = load_target("quad").engines
        self.ears = Ears()
        self.observer: Ears = self.ears
        self.watched = False
        self.asleep: set[Key] = set()
        self.arrived: set[int] = set()
        self.queues: dict[tuple[int, int, int], list[Bytes]] = {}

    def wake(self, key: Key) -> None:
        self.asleep.remove(key)

    def meet(self, stream: Stream, first: int, cores: int) -> bool:
        self.arrived.add(stream.core.number)
        return len(self.arrived) == cores

    def room(self, size: int) -> Bytes:
        return np.full(size, 0xA5, np.uint8)

    def deliver(self, source: int, target: int, channel: int, tile: Bytes) -> None:
        self.queues.setdefault((source, target, channel), []).append(tile)

    def take(self, source: int, target: int, channel: int) -> Bytes | None:
        queue = self.queues.get((source, target, channel), [])
        return queue.pop(0) if queue else None

    def stream(self, *code: Instruction, unit: str = "vector", core: int = 0) -> Stream:
        return ComputingStream(self.cores[core], unit, self, (*code, Halt()))

    def run(self, *code: Instruction, unit: str = "vector", core: int = 0) -> Stream:
        stream = self.stream(*code, unit=unit, core=core)
        while not stream.halted:
            stream.step()
            assert stream.blocked is None, stream.blocked
        return stream

    def put(self, space: int, byte: int, array: Array, fmt: Format) -> None:
        rows = pack(array, fmt).reshape(-1)
        self.cores[0].memories[space][byte : byte + rows.size] = rows

    def get(self, space: int, byte: int, count: int, fmt: Format) -> list[Any]:
        memory = self.cores[0].memories[space]
        return unpack(memory[byte : byte + -(-count * fmt.bits // 8)], fmt, count).tolist()


def view(number: int, space: int, fmt: Format, byte: int, *axes: tuple[int, ...], ring: int = 0) -> list[Instruction]:
    """A view register with its axes (extent, stride in bits, offset, bound)."""
    code: list[Instruction] = [View(number, space, fmt.code, len(axes), byte * 8, ring)]
    return code + [Axis(number, place, *axis) for place, axis in enumerate(axes)]


# Control.


def counting(board: Board, *code: Instruction) -> list[int]:
    """Numbers of the semaphores that the code posts, in order."""
    board.run(*code)
    return [number for kind, _, number in board.ears.of("sync") if kind == "post"]


def test_loops_nest_and_repeat_and_those_of_nothing_are_jumped_over() -> None:
    inner = [Loop(1, 4, 10), Post(1, 0), End(1)]
    assert counting(Board(), Loop(0, 1, 2), Post(0, 0), *inner, End(0), Post(2, 0)) == [0, 1, 1, 1, 0, 1, 1, 1, 2]
    assert counting(Board(), Loop(0, 1, 0), Post(0, 0), *inner, End(0), Post(2, 0)) == [2]
    assert counting(Board(), Loop(0, 3, 2), Loop(1, 1, 0), Post(1, 0), End(1), Post(0, 0), End(0)) == [0]


def test_a_loop_knows_its_start_and_the_extent_of_its_last_tile() -> None:
    stream = Board().stream(Loop(3, 4, 10), Post(0, 0), End(3))
    seen: list[tuple[int, int, int]] = []
    while not stream.halted:
        if stream.pc == 1:
            loop = stream.loops[3]
            seen.append((loop.counter, loop.start, loop.extent))
        stream.step()
    assert seen == [(0, 0, 4), (1, 4, 4), (2, 8, 2)]
    assert stream.loops[3].extent == 0


def test_a_total_may_come_from_an_argument_below_its_bound() -> None:
    board = Board()
    board.arguments[2] = 3
    assert counting(board, Loop(0, 2, 5, 3, 5), Post(0, 0), End(0)) == [0, 0]
    board.arguments[2] = 6
    with pytest.raises(ProgramFault, match="0 of core 0 vector: argument 2 is 6, above its bound 5") as caught:
        board.run(Loop(0, 2, 5, 3, 5), End(0))
    assert caught.value.pc == 0 and caught.value.stream.unit == "vector"


@pytest.mark.parametrize(("there", "extents"), [(12, [2, 2, 1]), (9, [2, 2]), (6, [1]), (5, [0]), (0, [0])])
def test_a_loop_takes_its_share_of_what_an_argument_says(there: int, extents: list[int]) -> None:
    """Elements 5 to 9 of twelve at most; where none is left there is one turn, of nothing."""
    board = Board()
    board.arguments[2] = there
    stream = board.stream(Loop(3, 2, 5, argument=3, bound=12, first=5), Post(0, 0), End(3))
    seen: list[int] = []
    while not stream.halted:
        if stream.pc == 1:
            seen.append(stream.loops[3].extent)
        stream.step()
    assert seen == extents


def test_a_loop_of_chosen_turns_counts_them() -> None:
    """Turns 1, 33 and 34 of 40: bit 1 of the first word, bits 1 and 2 of the second."""
    board = Board()
    board.arguments[2], board.arguments[3] = 0b10, 0b110
    stream = board.stream(Loop(0, 1, 40), Choose(15, 0, 2), Post(0, 0), End(15), Post(1, 0), End(0))
    seen: list[tuple[int, int, int, int]] = []
    passed = 0
    while not stream.halted:
        if stream.pc == 2:
            loop = stream.loops[15]
            seen.append((stream.loops[0].counter, loop.counter, loop.start, loop.extent))
        passed += stream.pc == 4
        stream.step()
    assert seen == [(1, 0, 0, 1), (33, 1, 1, 1), (34, 2, 2, 1)]
    assert passed == 40 and stream.loops[15].extent == 0


def test_carried_values_begin_in_the_first_chosen_turn() -> None:
    board = Board()
    board.arguments[0] = 0b1010
    stream = board.stream(Loop(0, 1, 4), Choose(15, 0, 0), Post(0, 0), End(15), End(0))
    fresh: list[bool] = []
    while not stream.halted:
        if stream.pc == 2:
            fresh.append(stream.loops[15].counter == 0)
        stream.step()
    assert fresh == [True, False]


@pytest.mark.parametrize("first", [0, 1, 2])
def test_turns_within_bounds_are_counted_from_the_first(first: int) -> None:
    """Three turns of a loop of five."""
    stream = Board().stream(Loop(0, 1, 5), Within(14, 0, first, 3), Post(0, 0), End(14), Post(1, 0), End(0))
    seen: list[tuple[int, int, int, int]] = []
    passed = 0
    while not stream.halted:
        if stream.pc == 2:
            loop = stream.loops[14]
            seen.append((stream.loops[0].counter, loop.counter, loop.start, loop.extent))
        passed += stream.pc == 4
        stream.step()
    assert seen == [(first, 0, 0, 1), (first + 1, 1, 1, 1), (first + 2, 2, 2, 1)]
    assert passed == 5 and stream.loops[14].extent == 0


def test_chosen_turns_may_lie_within_bounds() -> None:
    """One turn behind: step 1 and step 3 of four are chosen, which are turns 2 and 4 of five."""
    board = Board()
    board.arguments[0] = 0b1010
    code = [Loop(0, 1, 5), Within(14, 0, 1, 4), Choose(15, 14, 0), Post(0, 0), End(15), End(14), End(0)]
    stream = board.stream(*code)
    seen: list[tuple[int, int, int]] = []
    while not stream.halted:
        if stream.pc == 3:
            seen.append((stream.loops[0].counter, stream.loops[14].counter, stream.loops[15].counter))
        stream.step()
    assert seen == [(2, 1, 0), (4, 3, 1)]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ([Loop(0, 1, 1), Choose(0, 0, 0), End(0), End(0)], "loop 0 is open already"),
        ([Within(3, 0, 0, 1)], "loop 3 has no end"),
        ([Choose(3, 0, 0)], "loop 3 has no end"),
        ([Loop(0, 1, 1), Loop(0, 1, 1), End(0), End(0)], "loop 0 is open already"),
        ([Loop(0, 1, 1), Loop(1, 1, 1), End(0), End(1)], "loop 0 is not the innermost one"),
        ([End(0)], "loop 0 is not the innermost one"),
        ([Loop(2, 1, 1)], "loop 2 has no end"),
    ],
)
def test_loops_that_do_not_nest_are_refused_before_anything_runs(code: list[Instruction], said: str) -> None:
    with pytest.raises(ProgramFault, match=said):
        Board().stream(*code)


def test_a_wait_without_credit_blocks_until_another_core_posts() -> None:
    board = Board()
    waiting = board.stream(Wait(7), Post(1, 1), core=1)
    for _ in range(2):
        waiting.step()
        assert waiting.blocked == Blocked("wait", 1, 7) and waiting.pc == 0
    board.run(Post(7, 1))
    waiting.step()
    assert waiting.blocked is None and waiting.pc == 1 and board.cores[1].semaphores[7] == 0
    assert board.ears.of("sync") == [("post", 1, 7), ("wait", 1, 7)]


def test_a_barrier_blocks_until_all_have_arrived() -> None:
    board = Board()
    first, second = (board.stream(Barrier(2), core=core) for core in range(2))
    first.step()
    assert first.blocked == Blocked("meet", 0, 2)
    second.step()
    first.step()
    assert first.blocked is second.blocked is None
    assert [kind for kind, _, _ in board.ears.of("sync")] == ["meet", "meet"]


def test_a_stream_must_halt() -> None:
    stream = ComputingStream(Board().cores[0], "fp", Board(), [Post(0, 0)])
    stream.step()
    with pytest.raises(ProgramFault, match="instruction 1 of core 0 fp: the stream ends without halt"):
        stream.step()


# Views.


def resolved(turn: int, *code: Instruction) -> tuple[int, tuple[int, ...]]:
    """(start, extents) of view 0 in a turn of loop 0 with tiles of 4 of 10."""
    stream = Board().stream(*code, Loop(0, 4, 10), Post(0, 0), End(0))
    for _ in range(len(code) + 1 + 2 * turn):
        stream.step()
    found = stream.views[0]
    assert found is not None
    return found.start(), found.extents()


def test_a_ring_turns_the_base_and_not_the_axes() -> None:
    code = [*view(0, 1, U8, 100, (4, 8), ring=2048), Turn(0, 0, 1024)]
    assert [resolved(turn, *code)[0] for turn in range(3)] == [800, 1824, 800]
    back = [*view(0, 1, U8, 100, (4, 8), ring=2048), Turn(0, 0, -1024)]
    assert [resolved(turn, *back)[0] for turn in range(3)] == [800, 1824, 800]
    assert [resolved(turn, *view(0, 1, U8, 0, (4, 8)), Turn(0, 0, -8))[0] for turn in range(3)] == [0, -8, -16]


def test_a_turn_may_be_ahead() -> None:
    code = [*view(0, 0, U8, 0, (4, 8), ring=2048), Turn(0, 0, 1024, 1)]
    assert [resolved(turn, *code)[0] for turn in range(3)] == [1024, 0, 1024]
    assert [resolved(turn, *view(0, 0, U8, 0, (4, 8)), Turn(0, 0, 16, 3))[0] for turn in range(3)] == [48, 64, 80]


def test_an_instruction_sees_a_view_that_is_defined_again_between_two_turns() -> None:
    code = [*view(0, 0, U8, 64, (4, 8)), *view(1, 1, U8, 0, (4, 8)), Loop(0, 1, 2)]
    larger = [Axis(number, 0, 8, 8) for number in (0, 1)]
    board = Board()
    board.run(*code, Load(1, 0), *larger, End(0), unit="load")
    assert [useful for _, _, useful, _ in board.ears.of("dram")] == [4, 8]
    board.run(*code, Send(1, 1, 0), *larger, End(0), unit="router")
    assert [tile.size for tile in board.queues[0, 1, 0]] == [4, 8]


def test_spans_move_in_dram_and_only_grow_in_a_scratchpad() -> None:
    axis = (1, 16, -1, 30)
    for coefficient, starts in ((2, (-1, 7, 15)), (-2, (-1 - 6, -1 - 14, -1 - 18))):
        span = Span(0, 0, 0, coefficient, 1, 1)
        for turn, extent in enumerate((4, 4, 2)):
            grown = (1 + 2 * (extent - 1),)
            assert resolved(turn, *view(0, 0, F16, 10, axis), span) == (80 + starts[turn] * 16, grown)
            assert resolved(turn, *view(0, 1, F16, 10, axis), span) == (80, grown)
    still = Span(0, 0, 0, 1, 0, 1)
    assert resolved(2, *view(0, 0, F16, 0, (1, 16)), still) == (0, (2,))


def test_a_view_that_is_defined_again_and_then_changed_leaves_the_kept_one_alone() -> None:
    stream = Board().stream(
        Loop(0, 1, 3), *view(0, 1, F16, 10, (4, 16)), Loop(1, 1, 1), Axis(0, 0, 7, 32), Post(0, 0), End(1), End(0)
    )
    seen: list[tuple[int, ...]] = []
    while not stream.halted:
        if not stream.define():
            stream.step()
        found = stream.views[0]
        if found is not None:
            seen.append((*found.extents(), *found.strides))
    assert seen == [(4, 16), (4, 16), (7, 32), (7, 32), (7, 32), (7, 32)] * 3 + [(7, 32)]


# Transfers.


def transfer_model(
    fmt: Format, tensor: Array, begins: list[int], extents: list[int]
) -> tuple[Array, list[tuple[int, ...]]]:
    """(the box with zeros outside of the tensor, the indices that exist)."""
    box = np.zeros(extents, tensor.dtype)
    inside: list[tuple[int, ...]] = []
    for index in product(*map(range, extents)):
        place = tuple(b + k for b, k in zip(begins, index, strict=True))
        if all(0 <= p < n for p, n in zip(place, tensor.shape, strict=True)):
            box[index] = tensor[place]
            inside.append(place)
    return box, inside


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_a_load_reads_what_exists_writes_zeros_elsewhere_and_counts_bytes_and_bursts(data: st.DataObject) -> None:
    fmt = data.draw(st.sampled_from([SPIKE, U2, U4, U8, F16, F32, X64]))
    share = max(8 // fmt.bits, 1)
    shape = [data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4)), data.draw(st.integers(1, 20))]
    seed = np.random.default_rng(data.draw(st.integers(0, 99)))
    tensor = seed.integers(0, 2 if fmt == SPIKE else 4, shape).astype(fmt.dtype)
    begins = [data.draw(st.integers(-2, 3)) for _ in range(2)]
    extents = [data.draw(st.integers(0, 4)) for _ in range(2)]
    first = data.draw(st.integers(0, (shape[2] - 1) // share)) * share
    count = shape[2] - first if data.draw(st.booleans()) else min(share, shape[2] - first)
    begins.append(first)
    extents.append(count)
    row = -(-shape[2] * fmt.bits // 8)
    base, padded = data.draw(st.integers(0, 70)), -(-count * fmt.bits // 64) * 64
    board = Board()
    board.put(0, base, tensor, fmt)
    source = [(extents[0], row * shape[1] * 8), (extents[1], row * 8), (extents[2], fmt.bits)]
    target = [(1, padded * max(extents[1], 1)), (1, padded), (1, fmt.bits)]
    code = view(0, 0, fmt, base, *((*axis, b, n) for axis, b, n in zip(source, begins, shape, strict=True)))
    board.run(*code, *view(1, 1, fmt, 8, *target), Load(1, 0), unit="load")
    box, inside = transfer_model(fmt, tensor, begins, extents)
    if fmt.packed and box.size and count * fmt.bits % 8:
        assert board.cores[0].memories[1][8 + count * fmt.bits // 8] >> (count * fmt.bits % 8) == 0
    for i, j in product(range(extents[0]), range(extents[1])):
        at = 8 + (i * max(extents[1], 1) + j) * padded // 8
        assert board.get(1, at, count, fmt) == box[i, j].tolist()
    rows = {place[:2] for place in inside}
    width = -(-count * fmt.bits // 8)
    written = extents[0] * extents[1] * width
    assert board.ears.of("scratchpad") == ([(True, 1, written)] if written else [])
    starts = sorted(base + (p * shape[1] + q) * row + first * fmt.bits // 8 for p, q in rows)
    if not rows:
        assert board.ears.of("dram") == []
        return
    [(write, address, useful, bursts)] = board.ears.of("dram")
    assert (write, address, useful) == (False, starts[0], len(rows) * width)
    # Runs: rows that touch are one, planes only where they do and all of their rows do.
    per_plane = len({q for _, q in rows})
    runs: list[list[int]] = []
    for number, start in enumerate(starts):
        plane_joins = per_plane == shape[1] or per_plane == 1
        joins = number > 0 and start == runs[-1][1] and width == row and (number % per_plane != 0 or plane_joins)
        if joins:
            runs[-1][1] = start + width
        else:
            runs.append([start, start + width])
    assert bursts == sum(len({byte // 64 for byte in range(*run)}) for run in runs)


@pytest.mark.parametrize("fmt", [SPIKE, U4, F16, X128])
def test_a_store_is_the_mirror_of_a_load(fmt: Format) -> None:
    board = Board()
    board.dram[:] = 0xFF
    count, row, padded = 5, -(-5 * fmt.bits // 8), -(-5 * fmt.bits // 64) * 64
    values = np.arange(3 * count).reshape(3, count) % 2
    tile = np.zeros((3, count, 2), np.uint64) if fmt == X128 else values.astype(fmt.dtype)
    if fmt == X128:
        tile[..., 0], tile[..., 1] = values, values + 7
    for line in range(3):
        board.put(2, 16 + line * padded // 8, tile[line], fmt)
        if fmt.packed:
            board.cores[0].memories[2][16 + line * padded // 8 + row - 1] |= 0xFF << (count * fmt.bits % 8) & 0xFF
    target = view(1, 0, fmt, 100, (3, row * 8, 0, 3), (count, fmt.bits, 0, count))
    board.run(*view(0, 2, fmt, 16, (3, padded), (1, fmt.bits)), *target, Store(1, 0), unit="store")
    for line in range(3):
        assert board.get(0, 100 + line * row, count, fmt) == tile[line].tolist()
    assert board.dram[99] == 0xFF == board.dram[100 + 3 * row]
    granules = len({byte // 64 for byte in range(100, 100 + 3 * row)})
    assert board.ears.of("dram") == [(True, 100, 3 * row, granules)]
    assert board.ears.of("scratchpad") == [(False, 2, 3 * row)]
    if fmt.packed:
        assert board.dram[100 + row - 1] >> (count * fmt.bits % 8) == 0


def test_illegal_transfers_are_faults_with_a_place() -> None:
    board = Board(dram=64)
    pad = view(1, 1, U8, 0, (4, 8))
    for code, said in [
        (
            [*view(0, 0, U8, 62, (4, 8)), *pad, Load(1, 0)],
            r"instruction 4 of core 0 load: reads bits 496\.\.527 of memory 0, which has 512",
        ),
        ([*view(0, 0, U8, 0, (4, 8)), *view(1, 3, U8, 0, (4, 8)), Load(1, 0)], "there is no memory 3"),
        (
            [*view(0, 0, U4, 0, (3, 4, 0, 5)), *view(1, 1, U4, 0, (3, 4)), Load(1, 0)],
            "inside of a byte, at position 3 of 5",
        ),
        ([*view(0, 0, U4, 0, (3, 4, 1, 4)), *view(1, 1, U4, 0, (3, 4)), Load(1, 0)], "inside of one"),
        ([*view(0, 0, U8, 0, (4, 8)), *view(1, 1, F16, 0, (4, 16)), Load(1, 0)], "same format"),
        ([*view(0, 0, U8, 0, (4, 8, 1, 4)), *pad, Store(0, 1)], "outside of the bounds"),
        ([*pad, Load(1, 0)], "view 0 is not defined"),
    ]:
        with pytest.raises(ProgramFault, match=said):
            board.run(*code, unit="load")


# Engines.


def test_a_convolution_by_packed_spikes_equals_loops_and_counts_its_gates() -> None:
    seed = np.random.default_rng(1)
    h, c, o, r = 5, 3, 4, 3
    p = h - r + 1
    spikes, weights = seed.integers(0, 2, (h, h, c)).astype(np.uint8), seed.integers(-3, 4, (r, r, c, o))
    board = Board()
    board.watched = True
    for i, j in np.ndindex(h, h):
        board.put(1, (i * h + j) * 8, spikes[i, j], SPIKE)
    board.put(2, 0, weights.astype(np.float16), F16)
    x = view(0, 1, SPIKE, 0, (1, 64 * h), (1, 64), (1, 0), (1, 64 * h), (1, 64), (1, 1))
    w = view(1, 2, F16, 0, (1, 0), (1, 0), (1, 16), (1, 16 * r * c * o), (1, 16 * c * o), (1, 16 * o))
    a = view(2, 2, X64, 1024, (p, 64 * p * o), (p, 64 * o), (o, 64), (r, 0), (r, 0), (c, 0))
    loop = [Loop(0, 1, 2), Gate(2, 0, 1, fresh=1), End(0)]
    stream = board.run(*x, *w, *a, *loop, unit="fp")
    expected = np.zeros((p, p, o), np.int64)
    for i, j, k, u, v, n in product(range(p), range(p), range(o), range(r), range(r), range(c)):
        expected[i, j, k] += int(spikes[i + u, j + v, n]) * int(weights[u, v, n, k])
    assert board.get(2, 1024, p * p * o, X64) == (2 * expected << 24).reshape(-1).tolist()
    gated = sum(
        int(spikes[i + u, j + v, n]) * o for i, j, u, v, n in product(range(p), range(p), range(r), range(r), range(c))
    )
    dense = p * p * o * r * r * c
    assert board.ears.of("work") == [("gated", gated), ("skipped", dense - gated)] * 2
    touched = board.ears.of("touch")
    assert [(write, window.space) for write, window in touched] == [
        (False, 1),
        (False, 2),
        (True, 2),
        (False, 1),
        (False, 2),
        (False, 2),
        (True, 2),
    ]
    assert touched[0][1] == Window(1, SPIKE, 0, (p, p, o, r, r, c), (64 * h, 64, 0, 64 * h, 64, 1))
    assert stream.unit == "fp"


def test_a_sum_of_nothing_is_told_where_it_is_written() -> None:
    """Else a race with what lies there would not be found."""
    board = Board()
    board.watched = True
    acc = view(0, 1, X64, 64, (2, 64), (0, 0))
    board.run(*acc, *view(1, 1, F16, 0, (2, 0), (0, 0)), Dense(0, 1, 1, fresh=0, ones=1), unit="bp")
    assert board.get(1, 64, 2, X64) == [0, 0]
    assert board.ears.of("touch")[-1] == (True, Window(1, X64, 512, (2, 1), (64, 0)))


def test_moments_take_exact_sums_or_sums_of_f64() -> None:
    board = Board()
    for k, sums in enumerate(([9.0, 1.0], [6.0, 4.0], [6.0, -2.0])):  # of 4 pairs: products, left, right
        board.put(1, 16 * k, np.array(sums), F64)
    views = [word for k in range(3) for word in view(k, 1, F64, 16 * k, (2, 64))]
    out = view(3, 2, F32, 0, (2, 32))
    board.run(*views, *out, Mean(3, 1, 0, 4, 0.5), unit="vector")
    assert board.get(2, 0, 2, F32) == [0.75, 0.5]
    board.run(*views, *out, Comoment(3, 0, 1, 2, 0, 4, 2.0), unit="vector")
    assert board.get(2, 0, 2, F32) == [0.0, 1.5]
    board.run(*views, *out, Comoment(3, 0, 1, 1, 0, 4, 2.0), unit="vector")
    assert board.get(2, 0, 2, F32) == [0.0, 0.0]  # (4 - 16) / 16 is no variance
    for mixed in (X64, F32):
        said = f"a comoment takes x128, x64 and x64 sums, or three of f64, not f64, {mixed.name}, f64"
        with pytest.raises(ProgramFault, match=said):
            board.run(*views, *view(1, 1, mixed, 16, (2, 64)), *out, Comoment(3, 0, 1, 2, 0, 4, 2.0), unit="vector")


def halves(values: Array) -> Array:
    """Values rounded to f16."""
    return values.astype(np.float16).astype(np.float64)


def test_dense_products_take_reversed_strides_and_groups() -> None:
    seed = np.random.default_rng(2)
    groups, n, k = 2, 3, 4
    left, right = seed.standard_normal((groups, k)), seed.standard_normal((groups, n, k))
    left[0, 0] = 0
    board = Board()
    board.put(1, 0, left.astype(np.float16), F16)
    board.put(1, 64, right.astype(np.float16), F16)
    code = [
        *view(0, 1, F16, (groups * k - 1) * 2, (1, -16 * k), (1, 0), (1, -16)),
        *view(1, 1, F16, 64, (1, 16 * n * k), (1, 16 * k), (1, 16)),
        *view(2, 2, X128, 0, (groups, 128 * n), (n, 128), (k, 0)),
        *view(3, 2, F32, 512, (groups, 32 * n), (n, 32)),
        *view(4, 2, X128, 0, (1, 128 * n), (1, 128)),
    ]
    board.run(*code, Dense(2, 0, 1, fresh=0), Drain(3, 4, 0, 0, 1.0), unit="bp")
    exact = np.einsum("gk,gnk->gn", halves(left)[::-1, ::-1], halves(right))
    assert board.get(2, 512, groups * n, F32) == exact.astype(np.float32).reshape(-1).tolist()
    assert board.ears.of("work") == [("multiply", 21), ("skipped", 3), ("element", 6)]


def test_a_reduction_over_nothing_clears_a_fresh_accumulator_and_keeps_an_old_one() -> None:
    board = Board()
    board.put(1, 0, np.array([5, 6, 7, 8], np.int64), X64)
    operand = view(0, 1, F16, 64, (2, 16), (0, 16))
    acc = [*view(2, 1, X64, 0, (2, 64), (0, 0)), Turn(2, 0, 128)]
    board.run(*operand, *acc, Loop(0, 1, 2), Gate(2, 0, 0, fresh=1, ones=1), End(0), unit="wg")
    assert board.get(1, 0, 4, X64) == [0, 0, 7, 8]


def test_rounding_accumulators_go_on_from_what_they_hold() -> None:
    board = Board()
    board.put(1, 0, np.array([1.0, 2.0**-12, 2.0**-12], np.float16), F16)
    board.put(1, 16, np.array([1.0], np.float16), F16)
    code = [*view(0, 1, F16, 0, (1, 16)), *view(1, 1, F16, 16, (1, 0)), *view(2, 1, F16, 32, (3, 0))]
    board.run(*code, Loop(0, 1, 2), Gate(2, 0, 1, fresh=1), End(0), unit="fp")
    assert board.get(1, 32, 1, F16) == [2.0]


# The vector unit.


def test_run_reads_packed_and_broadcast_operands_and_writes_packed_ones() -> None:
    board = Board()
    lanes = (
        Lane("load", 0, 0),
        Lane("carry", 1, 1, value=0.0),
        Lane("add", 2, 0, 1),
        Lane("load", 3, 2),
        Lane("ge", 4, 2, 3),
        Lane("store", a=2, b=1),
        Lane("store", a=4, b=3),
    )
    board.elements.append(ElementProgram("integrate", ("x", "v", "threshold", "s"), lanes))
    x = np.array([[1, 2, 3], [0, 5, 1]], np.float16)
    board.put(1, 0, x, F16)
    board.put(1, 64, np.array([[9, 9, 9], [9, 9, 9]], np.float16), F16)
    board.put(1, 128, np.array([2, 9, 2], np.float16), F16)
    code = [
        *view(4, 1, F16, 0, (2, 48), (3, 16)),
        *view(5, 1, F16, 64, (1, 48), (1, 16)),
        *view(6, 1, F16, 128, (1, 0), (1, 16)),
        *view(7, 2, SPIKE, 0, (1, 64), (1, 1)),
    ]
    board.run(*code, Loop(0, 1, 2), Run(0, 4, fresh=1), End(0))
    assert board.get(1, 64, 6, F16) == (2 * x).reshape(-1).tolist()
    assert board.cores[0].memories[2][[0, 1, 8]].tolist() == [0xA0 | 0b101, 0xA5, 0xA0 | 0b110]
    assert board.ears.of("work") == [("element", 12)] * 2


def test_the_identity_space_gives_logical_indices_that_move_with_the_loops() -> None:
    board = Board()
    board.elements.append(ElementProgram("index", ("out", "i"), (Lane("load", 0, 1), Lane("store", a=0, b=0))))
    code: list[Instruction] = [
        *view(0, 1, U16, 0, (2, 48), (3, 16)),
        Turn(0, 0, 96),
        View(1, 63, U8.code, 2, 1000, 0),
        Axis(1, 0, 1, 10),
        Axis(1, 1, 1, 1),
        Span(1, 0, 0, 1, 1, 0),
        Turn(1, 0, 500),
    ]
    board.run(*code, Loop(0, 2, 4), Run(0, 0, fresh=0), End(0))
    assert board.get(1, 0, 12, U16) == [1000, 1001, 1002, 1010, 1011, 1012, 1520, 1521, 1522, 1530, 1531, 1532]


def test_a_value_that_the_format_cannot_hold_is_a_fault() -> None:
    board = Board()
    board.elements.append(ElementProgram("half", ("o",), (Lane("const", 0, value=0.5), Lane("store", a=0, b=0))))
    with pytest.raises(ProgramFault, match=r"u8 holds the integers 0\.\.255 only"):
        board.run(*view(0, 1, U8, 0, (1, 8)), Run(0, 0, fresh=0))


def test_pooling_at_a_padded_border_ignores_taps_that_do_not_exist_and_unpool_finds_its_way_back() -> None:
    board = Board()
    # One line of 4 with a zero on the left: windows of 3 with stride 2 begin at -1 and 1.
    line = np.array([[0, 0], [-5, 1], [-7, 1], [-6, 0], [-1, 1]], np.float16)
    board.put(1, 0, line, F16)
    out = view(0, 1, F16, 100, (2, 32), (2, 16))
    tap = view(1, 1, U2, 200, (2, 64), (2, 2))
    source = view(2, 1, F16, 0, (1, 64), (1, 16), (3, 32, -1, 4))
    board.run(*out, *tap, *source, PoolMax(0, 1, 2, 1, 32, 0))
    assert board.get(1, 100, 4, F16) == [-5.0, 1.0, -1.0, 1.0]
    assert board.get(1, 200, 2, U2) == [1, 1] and board.get(1, 208, 2, U2) == [2, 0]
    assert board.ears.of("work") == [("element", 12)]
    # The errors of both windows for element 1 of the line: it is tap 2 of window 0 and tap 0 of window 1.
    board.put(1, 300, np.array([[10, 20], [40, 80]], np.float16), F16)
    back = [
        *view(3, 1, F16, 400, (2, 16)),
        *view(4, 1, U2, 200, (1, 2), (2, 64)),
        *view(5, 1, F16, 300, (1, 16), (2, 32)),
    ]
    board.run(*back, Unpool(3, 4, 5, 1, 2, -2, 0))
    assert board.get(1, 400, 2, F16) == [0.0, 80.0]


def test_packed_spikes_are_pooled_into_counts() -> None:
    board = Board()
    spikes = np.array([[1, 0, 1], [1, 1, 0], [0, 0, 1], [1, 0, 1]], np.uint8)
    for row in range(4):
        board.put(1, row * 8, spikes[row], SPIKE)
    source = view(1, 1, SPIKE, 0, (1, 128), (1, 1), (2, 64))
    board.run(*view(0, 2, U2, 0, (2, 64), (3, 2)), *source, PoolSum(0, 1, 1, 1.0))
    assert board.get(2, 0, 3, U2) == [2, 1, 1] and board.get(2, 8, 3, U2) == [1, 0, 2]


@pytest.mark.parametrize("fmt", [SPIKE, U2, U4])
def test_packed_views_of_any_order_write_only_their_own_bits(fmt: Format) -> None:
    board = Board()
    board.elements.append(ElementProgram("one", ("o",), (Lane("const", 0, value=1.0), Lane("store", a=0, b=0))))
    before = unpack(board.cores[0].memories[1][:16], fmt, 128 // fmt.bits).copy()
    board.run(*view(0, 1, fmt, 2, (3, fmt.bits), (2, 5 * fmt.bits)), Run(0, 0, fresh=0))
    for i, j in np.ndindex(3, 2):
        before[16 // fmt.bits + i + 5 * j] = 1
    assert board.get(1, 0, 128 // fmt.bits, fmt) == before.tolist()


def test_tiles_travel_packed_and_are_added_where_asked() -> None:
    board = Board()
    board.put(1, 0, np.array([[1, 0, 1], [0, 1, 1]], np.uint8), SPIKE)
    board.put(1, 64, np.array([3, -4], np.int64), X64)
    sender = [*view(0, 1, SPIKE, 0, (2, 8), (3, 1)), *view(1, 1, X64, 64, (2, 64))]
    board.run(*sender, Send(0, 1, 5), Send(1, 1, 6), Send(1, 1, 6), unit="router")
    assert board.ears.of("network") == [(0, (1,), 2), (0, (1,), 16), (0, (1,), 16)]
    receiver = [*view(0, 1, SPIKE, 0, (2, 64), (3, 1)), *view(1, 1, X64, 64, (2, 64))]
    stream = board.run(*receiver, Receive(0, 0, 5), Receive(1, 0, 6), Receive(1, 0, 6, add=1), unit="router", core=1)
    memory = stream.core.memories[1]
    assert memory[[0, 8]].tolist() == [0xA0 | 0b101, 0xA0 | 0b110]
    assert memory[64:80].view(np.int64).tolist() == [6, -8]
    again = board.stream(*receiver, Receive(1, 0, 6), unit="router", core=1)
    for _ in receiver:
        again.step()
    again.step()
    assert again.blocked == Blocked("receive", 0, 6) and again.pc == len(receiver)


def test_a_tile_for_many_is_one_for_each_and_none_for_its_sender() -> None:
    board = Board()
    board.put(1, 0, np.array([3, 5, 7], np.uint8), U8)
    board.run(*view(0, 1, U8, 0, (3, 8)), Multicast(0, 0, 4, 2), unit="router")
    assert board.ears.of("network") == [(0, (1,), 3)]
    assert board.ears.of("sync") == [("send", 1, 4)]
    stream = board.run(*view(0, 1, U8, 9, (3, 8)), Receive(0, 0, 4), unit="router", core=1)
    assert stream.core.memories[1][9:12].tolist() == [3, 5, 7]
    board.run(*view(0, 1, U8, 9, (3, 8)), Multicast(0, 0, 4, 2), unit="router", core=1)
    assert board.ears.of("network")[-1] == (1, (0,), 3)


def test_accesses_outside_of_a_scratchpad_are_faults() -> None:
    board = Board(scratchpad=16)
    board.elements.append(ElementProgram("copy", ("a", "b"), (Lane("load", 0, 0), Lane("store", a=0, b=1))))
    inside = view(0, 1, U8, 0, (4, 8))
    for other, said in [
        (view(1, 1, U8, 14, (4, 8)), r"vector: writes bits 112\.\.143 of memory 1, which has 128"),
        (view(1, 1, SPIKE, 0, (4, -1)), r"writes bits -3\.\.0 of memory 1"),
        (view(1, 0, U8, 0, (4, 8)), "space 0 is no scratchpad"),
        (view(1, 1, U8, 0, (2, 8), (2, 8)), "a view of 2 axes among others of 1"),
        (view(1, 1, F16, 0, (4, 12)), "leaves the grid of bytes"),
    ]:
        with pytest.raises(ProgramFault, match=said):
            board.run(*inside, *other, Run(0, 0, fresh=0))


# Tiles of tensors that are stored in blocks.

ROWS = np.arange(1, 1 + 6 * 8, dtype=np.uint8).reshape(6, 8)
"""A tensor of 6 rows of 8 channels (u8), in blocks of 2 rows: 3 slots of 64 bytes from byte 128, entries from 1024."""


def blocks_of(number: int, rows: int, first: int, bound: int = 0, step: int = 1, block: int = 2) -> list[Instruction]:
    """A view of *rows* rows of `ROWS` from number *first* on, *step* apart; `tiles` has the number 3."""
    start = [Axis(number, 0, rows, 1, 0 if step > 1 else first, bound), Axis(number, 1, 8, 1)]
    origin = first if step > 1 else 0
    grid = [GridAxis(number, 0, block, step, origin, 6), GridAxis(number, 1, 8, 1, 0, 8)]
    return [View(number, 0, U8.code, 2, 128 * 8, 0), CodedView(number, 3, 64, 1024), *start, *grid]


def stored_rows(values: Array) -> Board:
    """A board whose first core has stored *values*, of the shape of `ROWS`, from its first scratchpad."""
    board = Board()
    board.put(1, 0, values, U8)
    code = [*view(1, 1, U8, 0, (6, 64), (8, 8)), *blocks_of(0, 6, 0), Store(0, 1)]
    board.run(*code, unit="store")
    return board


def test_a_store_writes_what_there_is_of_blocks_and_their_entries() -> None:
    """The middle block is empty, the last one has something in its first row only: a bitmap, and 8 bytes behind it."""
    values = ROWS.copy()
    values[[2, 3, 5]] = 0
    board = stored_rows(values)
    assert board.get(0, 1024, 3, U16) == [16, 0, 9]
    assert board.get(0, 128, 16, U8) == list(range(1, 17))
    assert board.get(0, 192, 64, U8) == [0] * 64
    assert board.get(0, 256, 9, U8) == [0b01, *range(33, 41)]
    assert board.ears.of("dram") == [(True, 128, 16 + 9 + 3 * 2, 1 + 1 + 1)]
    assert board.ears.of("coded") == [(True, 25, 48)]
    assert board.ears.of("scratchpad") == [(False, 1, 48)]


@pytest.mark.parametrize(
    ("first", "rows", "bound", "step", "useful"),
    [(0, 6, 0, 1, 54), (2, 2, 0, 1, 18), (1, 3, 0, 1, 36), (-1, 8, 6, 1, 54), (1, 2, 0, 3, 54), (6, 2, 6, 1, 0)],
)
def test_a_load_takes_any_box_and_decodes_the_blocks_that_it_meets(
    first: int, rows: int, bound: int, step: int, useful: int
) -> None:
    """Blocks of 16 bytes and their entries; positions outside of the tensor are zeros."""
    board = stored_rows(ROWS)
    board.ears.heard.clear()
    code = [*view(1, 2, U8, 0, (rows, 64), (8, 8)), *blocks_of(0, rows, first, bound, step), Load(1, 0)]
    board.run(*code, unit="load")
    wanted = [ROWS[row].tolist() if 0 <= row < 6 else [0] * 8 for row in range(first, first + step * rows, step)]
    assert board.get(2, 0, 8 * rows, U8) == [value for row in wanted for value in row]
    assert sum(bytes_ for _, _, bytes_, _ in board.ears.of("dram")) == useful
    assert board.ears.of("scratchpad") == [(True, 2, 8 * rows)]


@pytest.mark.parametrize(("turns", "ahead", "block"), [(1, 0, 0), (2, 0, 1), (3, 0, 0), (1, 1, 1), (2, 1, 0)])
def test_turns_of_a_coded_view_count_blocks(turns: int, ahead: int, block: int) -> None:
    """A ring of two blocks; what the last turn loads stays."""
    board = stored_rows(ROWS)
    _, *rest = blocks_of(0, 2, 0)
    ring = [View(0, 0, U8.code, 2, 128 * 8, 2), *rest, Turn(0, 0, 1, ahead)]
    code = [*view(1, 2, U8, 0, (2, 64), (8, 8)), *ring, Loop(0, 1, turns), Load(1, 0), End(0)]
    board.run(*code, unit="load")
    assert board.get(2, 0, 16, U8) == ROWS[2 * block : 2 * block + 2].reshape(-1).tolist()


def test_steps_pass_over_blocks_of_one() -> None:
    board = Board()
    board.put(1, 0, ROWS, U8)
    whole = [*view(1, 1, U8, 0, (6, 64), (8, 8)), *blocks_of(0, 6, 0, block=1), Store(0, 1)]
    board.run(*whole, unit="store")
    board.put(1, 0, np.full((3, 8), 9, np.uint8), U8)
    odd = [*view(1, 1, U8, 0, (3, 64), (8, 8)), *blocks_of(0, 3, 1, step=2, block=1), Store(0, 1)]
    board.run(*odd, unit="store")
    board.ears.heard.clear()
    board.run(*view(1, 2, U8, 0, (3, 64), (8, 8)), *blocks_of(0, 3, 0, step=2, block=1), Load(1, 0), unit="load")
    assert board.get(2, 0, 24, U8) == ROWS[::2].reshape(-1).tolist()
    assert board.ears.of("coded") == [(False, 24, 24)]
    board.run(*view(1, 2, U8, 0, (6, 64), (8, 8)), *blocks_of(0, 6, 0, block=1), Load(1, 0), unit="load")
    assert board.get(2, 8, 8, U8) == [9] * 8


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (blocks_of(0, 3, 1), "axis 0 of a coded store is not made of whole blocks of 2"),
        (blocks_of(0, 3, 2), "axis 0 of a coded store is not made of whole blocks of 2"),
        (blocks_of(0, 2, 0, step=2), "axis 0 of a coded store is not made of whole blocks of 2"),
        (blocks_of(0, 6, 0)[:-1], "a coded view of 2 axes, 1 of them with blocks"),
        (
            [*blocks_of(0, 6, 0), CodedView(0, 0, 64, 1024), *blocks_of(0, 6, 0)[4:]],
            "no codec of blocks has the number 0",
        ),
        ([View(0, 0, U8.code, 1, 0, 0), GridAxis(0, 0, 2, 1, 0, 6)], "blocks of 2, 1 apart, along axis 0 of view 0"),
        (
            [*blocks_of(0, 6, 0), CodedView(0, 3, 64, 5000), *blocks_of(0, 6, 0)[4:]],
            "a directory at byte 5000 of a DRAM",
        ),
        (
            [*blocks_of(0, 6, 0), CodedView(0, 3, 2000, 1024), *blocks_of(0, 6, 0)[4:]],
            "slots in bytes 128..6127 of a DRAM",
        ),
    ],
)
def test_a_coded_store_that_cannot_be_is_a_fault(code: list[Instruction], said: str) -> None:
    board = Board()
    with pytest.raises(ProgramFault, match=said):
        board.run(*view(1, 1, U8, 0, (6, 64), (8, 8)), *code, Store(0, 1), unit="store")


def test_blocks_that_are_none_are_a_fault_of_the_load() -> None:
    board = stored_rows(ROWS)
    board.put(0, 1024, np.array([7], np.uint16), U16)
    with pytest.raises(ProgramFault, match="a block of 7 bytes has a bitmap of others"):
        board.run(*view(1, 2, U8, 0, (6, 64), (8, 8)), *blocks_of(0, 6, 0), Load(1, 0), unit="load")
