"""Instructions of the vector unit leave the same memory, whether kernels work on operands where they lie or NumPy does
on copies: packed or not, axes in any order, one over the other, at extremes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnc.isa import here
from snnc.isa.chip import Chip, Core, ProgramFault
from snnc.isa.computing import ComputingStream
from snnc.isa.element import ElementProgram, Lane
from snnc.isa.instruction import Instruction
from snnc.isa.instructions.control import Halt
from snnc.isa.instructions.describe import Axis, View
from snnc.isa.instructions.vector import Comoment, Drain, Mean, PoolMax, PoolSum, Run, Unpool
from snnc.isa.kernels import compiled, drained, element, momented, pooled
from snnc.isa.kernels.axes import Lying
from snnc.numerics.formats import BF16, F16, F32, SPIKE, TERNARY, U2, U4, U8, U16, U32, X64, X128, Format

SIZE = 1 << 14  # bytes of the scratchpad
FLOATS = [F16, BF16, F32]
READ = [*FLOATS, SPIKE, U2, U4, U8, U16, TERNARY]
IDENTITY = 63
Bytes = np.typing.NDArray[np.uint8]


class Lies(NamedTuple):
    """A view: bit address of its first element, and strides in bits."""

    fmt: Format
    start: int
    strides: tuple[int, ...]
    space: int = 1

    def code(self, number: int, extents: Sequence[int]) -> list[Instruction]:
        axes = [Axis(number, k, *axis) for k, axis in enumerate(zip(extents, self.strides, strict=True))]
        return [View(number, self.space, self.fmt.code, len(extents), self.start, 0), *axes]


def placed(random: np.random.Generator, fmt: Format, extents: Sequence[int], still: float = 0.2) -> Lies:
    """A view somewhere, axes in any order, of some (*still*) all elements one, some backwards, with gaps or without."""
    strides, reach, low = [0] * len(extents), 1, 0
    order: list[int] = random.permutation(len(extents)).tolist()
    for axis in order if random.random() < 0.5 else range(len(extents))[::-1]:
        if random.random() >= still:
            back = random.random() < 0.05
            strides[axis] = -reach if back else reach
            low += reach * (extents[axis] - 1) * back
            reach *= extents[axis] + int(random.random() < 0.1)
    unit = max(fmt.bits, 8) if random.random() < 0.6 else fmt.bits
    grid = (SIZE * 8 - (reach + 1) * fmt.bits) // max(unit, 8 if fmt.bits >= 8 else fmt.bits)
    step = 8 if fmt.bits >= 8 else unit
    start = int(random.integers(max(grid, 1))) * step % max(SIZE * 8 - (reach + 8) * fmt.bits, 1)
    start = start // step * step + low * fmt.bits
    return Lies(fmt, start, tuple(stride * fmt.bits for stride in strides))


def over(random: np.random.Generator, one: Lies, other: Lies) -> Lies:
    """Sometimes *one* lies just where another does that has its format, or a little beside it."""
    if one.fmt != other.fmt or random.random() < 0.4:
        return one
    aside = 0 if random.random() < 0.7 else max(one.fmt.bits, 8)
    return Lies(one.fmt, other.start + aside, other.strides)


def contents(random: np.random.Generator) -> Bytes:
    """Any bits, or halves that are no NaN."""
    if random.random() < 0.3:
        return random.integers(0, 256, SIZE).astype(np.uint8)
    return (
        (random.standard_normal(SIZE // 2) * 2.0 ** random.integers(-20, 10, SIZE // 2))
        .astype(np.float16)
        .view(np.uint8)
    )


def left(memory: Bytes, code: Sequence[Instruction], elements: Sequence[ElementProgram] = ()) -> tuple[Bytes, str]:
    """(the memory, the fault) when the code has run."""
    memory = memory.copy()
    dram = np.zeros(8, np.uint8)
    core = Core(0, [dram, memory], 1)
    chip = SimpleNamespace(
        dram=dram,
        cores=[core],
        arguments=np.array([2, 7, 0x3FC00000, 0x7FC00001, 3], np.uint32),
        elements=elements,
        observer=SimpleNamespace(work=None, scratchpad=None),
        watched=False,
    )
    stream = ComputingStream(core, "vector", cast("Chip", chip), [*code, Halt()])
    try:
        while not stream.halted:
            stream.step()
    except ProgramFault as fault:
        return memory, str(fault)
    return memory, ""


def assert_same(memory: Bytes, code: Sequence[Instruction], elements: Sequence[ElementProgram] = ()) -> None:
    """Both forms leave the same memory, or the same fault."""
    found, fault = left(memory, code, elements)
    with pytest.MonkeyPatch.context() as patch:
        for module in (here, element, drained, pooled, momented):
            patch.setattr(module, "library", lambda: None)
        expected, said = left(memory, code, elements)
    assert fault == said
    if not fault:
        assert found.tobytes() == expected.tobytes()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """Whether each call of a kernel went through."""
    calls: list[bool] = []
    for module in (element, drained, pooled, momented):
        whole = module.Plan.done

        def done(*given: Any, whole: Any = whole) -> bool:
            calls.append(whole(*given))
            return calls[-1]

        monkeypatch.setattr(module.Plan, "done", done)
    yield calls


SMALL = st.lists(st.sampled_from([1, 2, 3, 5, 16, 40]), min_size=1, max_size=4)


def held(sizes: list[int], most: int) -> tuple[int, ...]:
    """Extents of at most so many elements."""
    extents = tuple(sizes)
    while np.prod(extents) > most:
        extents = tuple(max(extent // 2, 1) for extent in extents)
    return extents


def program(random: np.random.Generator, whole: bool) -> ElementProgram:
    """Operand 0 is an index; 1 and 2 are read, 3 and 4 written, 3 is carried over; *whole*: 4 takes integers."""
    lanes = [Lane("load", k, k) for k in range(3)]
    lanes += [Lane("carry", 3, 3, value=0.25), Lane("uniform", 4, 0, 1, 4, value=9), Lane("scalar", 5, 2)]
    for _ in range(int(random.integers(12))):
        op = str(random.choice(["add", "sub", "mul", "max", "ge", "to_f16", "select", "rint", "div"]))
        lanes.append(Lane(op, len(lanes), *random.integers(0, len(lanes), 3).tolist()))
    last = len(lanes) - 1
    lanes.append(Lane("ge", last + 1, last, 3))
    stored = last + 1 if whole and random.random() < 0.9 else int(random.integers(last + 1))
    return ElementProgram("drawn", tuple("abcde"), (*lanes, Lane("store", a=last, b=3), Lane("store", a=stored, b=4)))


@pytest.mark.compiled
@given(
    st.integers(0, 1 << 20),
    SMALL,
    st.lists(st.sampled_from(READ), min_size=2, max_size=2),
    st.sampled_from(FLOATS),
    st.sampled_from(READ),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_element_programs_in_place(
    seed: int, sizes: list[int], read: list[Format], state: Format, out: Format, fresh: bool
) -> None:
    random = np.random.default_rng(seed)
    extents = held(sizes, 1200)
    index = Lies(U32, int(random.integers(1 << 30)), tuple(random.integers(0, 99, len(extents)).tolist()), IDENTITY)
    first, second = (placed(random, fmt, extents) for fmt in read)
    carried = over(random, placed(random, state, extents, 0.0), first)
    written = over(random, placed(random, out, extents, 0.02), carried if random.random() < 0.5 else second)
    operands = [index, first, second, carried, written]
    code = [word for number, one in enumerate(operands) for word in one.code(number, extents)]
    assert_same(contents(random), [*code, Run(0, 0, int(fresh))], [program(random, out.whole)])


@pytest.mark.compiled
@given(
    st.integers(0, 1 << 20),
    SMALL,
    st.sampled_from([X64, X128, F32, F16]),
    st.sampled_from([None, *FLOATS]),
    st.sampled_from(FLOATS),
    st.sampled_from([1.0, 0.25, 0.1, -2.0]),
)
@settings(max_examples=80, deadline=None)
def test_drains_in_place(
    seed: int, sizes: list[int], fmt: Format, bias: Format | None, out: Format, scale: float
) -> None:
    random = np.random.default_rng(seed)
    extents = held(sizes, 400)
    acc = placed(random, fmt, extents)
    written = over(random, placed(random, out, extents, 0.02), acc)
    added = placed(random, bias or F16, extents)
    code = [word for number, one in enumerate([written, acc, added]) for word in one.code(number, extents)]
    assert_same(sums(random), [*code, Drain(0, 1, 2, int(bias is not None), scale)])


def sums(random: np.random.Generator) -> Bytes:
    """Words of 64 bits that exact sums may be, the higher ones of pairs small: some of any length, seldom a flag."""
    if random.random() < 0.2:
        return contents(random)
    words = random.integers(-(1 << 62), 1 << 62, SIZE // 8) >> random.integers(0, 62, SIZE // 8)
    words[1::2] >>= int(random.choice([20, 48, 63]))
    return words.view(np.uint8)


@pytest.mark.compiled
@given(
    st.integers(0, 1 << 20),
    SMALL,
    st.sampled_from([X64, X128]),
    st.sampled_from(FLOATS),
    st.sampled_from([1, 3, 2048, 12345, (1 << 31) - 1, 1 << 35]),
    st.sampled_from([1.0, 0.5, -1.0, 0.1]),
)
@settings(max_examples=80, deadline=None)
def test_moments_in_place(seed: int, sizes: list[int], fmt: Format, out: Format, count: int, scale: float) -> None:
    random = np.random.default_rng(seed)
    extents = held(sizes, 60)
    operands = [placed(random, kind, extents) for kind in (X128, X64, X64, fmt)]
    written = placed(random, out, extents, 0.02)
    code = [word for number, one in enumerate([*operands, written]) for word in one.code(number, extents)]
    memory = sums(random)
    single = float(np.float32(scale))
    assert_same(memory, [*code, Mean(4, 3, int(random.integers(2)), count, single)])
    assert_same(memory, [*code, Comoment(4, 0, 1, int(random.choice([1, 2])), 0, count, single)])


@pytest.mark.compiled
@given(
    st.integers(0, 1 << 20),
    st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 20)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.integers(1, 2),
    st.sampled_from(READ),
    st.sampled_from(READ),
    st.sampled_from([U2, U4, U8]),
)
@settings(max_examples=120, deadline=None)
def test_windows_in_place(
    seed: int,
    outer: tuple[int, int, int],
    window: tuple[int, int],
    stride: int,
    fmt: Format,
    out: Format,
    chosen: Format,
) -> None:
    """An image of rows, columns and channels, zeros around it or not; the largest, its tap, sums, and the way back."""
    random = np.random.default_rng(seed)
    rows, columns, channels = outer
    width = columns * stride + window[1]
    down, along = width * channels * fmt.bits, channels * fmt.bits
    start = int(random.integers(64)) * (8 if fmt.bits >= 8 else fmt.bits)
    source = Lies(fmt, start, (down * stride, along * stride, fmt.bits, down, along))
    axes = source.code(2, (*outer, *window))
    bounded = random.random() < 0.5
    if bounded:
        bounds = (rows * stride + window[0] - 2, width - 2)
        axes[-2:] = [Axis(2, 3 + k, window[k], source.strides[3 + k], -1, max(bounds[k], 1)) for k in range(2)]
    largest = placed(random, fmt if random.random() < 0.8 else out, outer, 0.0)
    tap = placed(random, chosen, outer, 0.0)
    code = [*largest.code(0, outer), *tap.code(1, outer), *axes]
    memory = contents(random)
    assert_same(memory, [*code, PoolMax(0, 1, 2, 2, down, along)])
    total = placed(random, out, outer, 0.0)
    assert_same(memory, [*total.code(0, outer), *axes, PoolSum(0, 2, 2, 1.0 if out.whole else float(np.float32(0.3)))])
    if fmt.whole or np.prod(outer) * np.prod(window) * chosen.bits > SIZE * 4:
        return
    taps = placed(random, chosen, (*outer, *window))
    back = [*total.code(0, outer), *taps.code(1, (*outer, *window)), *source.code(2, (*outer, *window))]
    assert_same(memory, [*back, Unpool(0, 1, 2, 2, int(random.integers(-1, 4)), *random.integers(-3, 3, 2).tolist())])


def test_the_version_for_every_machine_leaves_the_same_memory(portable: None) -> None:
    assert compiled.vectors() == "portable"
    test_element_programs_in_place()
    test_windows_in_place()
    test_moments_in_place()


COPY = ElementProgram("copy", ("a", "b"), (Lane("load", 0, 0), Lane("store", a=0, b=1)))


@pytest.mark.compiled
def test_kernels_serve(served: list[bool]) -> None:
    """So the tests above have compared two forms: of each instruction, packed operands among them, and in place."""
    memory = np.zeros(SIZE, np.uint8)

    def code(*operands: Lies, extents: tuple[int, ...] = (3, 16)) -> list[Instruction]:
        return [word for number, one in enumerate(operands) for word in one.code(number, extents[: len(one.strides)])]

    spikes, halves, counts = Lies(SPIKE, 3, (20, 1)), Lies(F16, 2048, (256, 16)), Lies(U2, 9000, (32, 2))
    left(memory, [*code(spikes, counts), Run(0, 0, 0)], [COPY])
    left(memory, [*code(halves, halves), Run(0, 0, 0)], [COPY])
    acc, squares = Lies(X64, 1 << 14, (1024, 64)), Lies(X128, 1 << 15, (2048, 128))
    left(memory, [*code(halves, acc), Drain(0, 1, 1, 0, 1.0)])
    left(memory, [*code(halves, acc), Mean(0, 1, 0, 5, 1.0)])
    left(memory, [*code(halves, acc, squares), Comoment(0, 2, 1, 1, 0, 5, 1.0)])
    windows = Lies(SPIKE, 1 << 14, (64, 2, 1))
    left(memory, [*code(spikes, counts), *windows.code(2, (3, 16, 2)), PoolMax(0, 1, 2, 1, 0, 0)])
    left(memory, [*code(halves), *windows.code(1, (3, 16, 2)), PoolSum(0, 1, 1, 0.5)])
    taps, errors = Lies(U2, 1 << 13, (64, 4, 2)), Lies(F16, 1 << 14, (512, 32, 16))
    back = [*code(halves), *taps.code(1, (3, 16, 2)), *errors.code(2, (3, 16, 2))]
    left(memory, [*back, Unpool(0, 1, 2, 1, 0, 1, 0)])
    assert served == [True] * 8


@pytest.mark.compiled
@pytest.mark.parametrize(("op", "sure"), [("ge", True), ("add", False)])
def test_a_state_is_carried_in_place_where_all_that_is_stored_is_surely_held(op: str, sure: bool) -> None:
    """Else the kernel might have to leave the rest to NumPy, which would find the state of the next turn."""
    lanes = Lane("carry", 0, 0), Lane(op, 1, 0, 0), Lane("store", a=1, b=0), Lane("store", a=1, b=1)
    code = ElementProgram("state", ("a", "b"), lanes)
    lying = Lying(F16.code, (50,), (2,)), Lying(U8.code, (50,), (1,))
    assert (code.in_place(lying, (50,)) is not None) == sure


@pytest.mark.compiled
def test_what_is_written_over_what_is_read_is_read_before(served: list[bool]) -> None:
    """Every element is the one before it, as it was: no kernel in place, which would copy the first one all along."""
    memory = np.arange(SIZE // 2, dtype=np.float16).view(np.uint8)
    halves = Lies(F16, 0, (16,)), Lies(F16, 16, (16,))
    code = [word for number, one in enumerate(halves) for word in one.code(number, (1000,))]
    after = left(memory, [*code, Run(0, 0, 0)], [COPY])[0].view(np.float16)
    assert after[:1003].tolist() == [0.0, *np.arange(1000.0), 1001.0, 1002.0]
