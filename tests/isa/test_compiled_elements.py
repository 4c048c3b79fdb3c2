"""Element programs by the compiled kernel give the bits of the NumPy form, in any layout and format, at extremes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from snnc.isa.element import ElementProgram, Lane
from snnc.isa.kernels import compiled, element
from snnc.isa.lanes import OPERATIONS
from snnc.numerics.formats import BF16, F16, F32, F64, SPIKE, TERNARY, U2, U4, U8, U16, U32, Format, encode

Array = NDArray[Any]

FLOATS = [F16, BF16, F32, F64]
WHOLE = [SPIKE, U2, U4, U8, U16, U32, TERNARY]
SINGLES = [0.0, -0.0, 1.0, -1.5, 0.5, 2.5, -0.5, 1.0000001, 8388607.5, 8388608.0, 1e6, -88.0, 89.0, 104.0, 3e38, -3e38]
HALVES = [65504.0, 65519.99, 65520.0, -65536.0, 2.0**-14, 2.0**-24, 2.0**-25, -(2.0**-25), 3 * 2.0**-26, np.inf]
EXTREMES = np.array([*SINGLES, *HALVES, 1e-45, -1e-40, 2.0**-126, -np.inf, np.nan], np.float32)
BY_FORM = {
    form: [name for name, operation in OPERATIONS.items() if operation.form == form]
    for form in ("unary", "binary", "select", "argument", "reduce")
}
ARGUMENTS = np.array([0, 7, 0x3FC00000, 0x7FC00001, 0xFFFFFFFF, 3], np.uint32)
OPERANDS = 5


def values(random: np.random.Generator, fmt: Format, count: int) -> Array:
    """Storage of *count* elements, extremes among them."""
    if fmt.whole:
        return encode(random.integers(fmt.minimum, fmt.maximum + 1, count), fmt)
    chosen = random.choice(EXTREMES, count)
    scaled = random.standard_normal(count) * 2.0 ** random.integers(-30, 20, count)
    return encode(np.where(random.random(count) < 0.4, chosen, scaled), fmt)


def laid(random: np.random.Generator, base: Array, extents: tuple[int, ...]) -> Array:
    """An operand somewhere in *base*, axes in any order, some of size 1, some backwards, with gaps between elements."""
    strides, reach = [0] * len(extents), 1
    order: list[int] = random.permutation(len(extents)).tolist()
    for axis in order:
        if random.random() < 0.8:
            strides[axis] = reach * (-1 if random.random() < 0.1 else 1)
            reach *= extents[axis] + int(random.random() < 0.2)
    shape = tuple(extent if stride else 1 for extent, stride in zip(extents, strides, strict=True))
    start = -sum(min(stride, 0) * (extent - 1) for stride, extent in zip(strides, shape, strict=True))
    size = base.itemsize
    return np.ndarray(shape, base.dtype, base.data, start * size, [stride * size for stride in strides])


def program(random: np.random.Generator, length: int) -> ElementProgram:
    """Operand 0 is an index; 1 to 3 are read, 3 and 4 written, so that one is both."""
    lanes = [Lane("load", k, k) for k in range(3)] + [Lane("carry", 3, 3, value=float(random.choice(EXTREMES)))]
    for op in BY_FORM["argument"]:
        lanes.append(Lane(op, len(lanes), int(random.integers(len(ARGUMENTS)))))
    lanes.append(Lane("const", len(lanes), value=float(random.choice(EXTREMES))))
    for op in ("uniform", "normal"):
        lanes.append(Lane(op, len(lanes), 0, 1, 5, value=int(random.integers(1 << 32))))
    for _ in range(length):
        op = str(random.choice([name for form in ("unary", "binary", "binary", "select") for name in BY_FORM[form]]))
        lanes.append(Lane(op, len(lanes), *random.integers(max(0, len(lanes) - 12), len(lanes), 3).tolist()))
    last = len(lanes) - 1
    stores = [Lane("store", a=last - int(random.integers(4)), b=number) for number in (3, 4, 4)]
    return ElementProgram("drawn", tuple("abcde"), (*lanes, *stores))


def reducing(random: np.random.Generator, code: ElementProgram, rows: bool) -> ElementProgram:
    """The same with some operations that reduce; what is stored last is reduced, where *rows* have one value each."""
    lanes = list(code.lanes[:-3])
    registers = list(range(len(lanes)))
    for _ in range(int(random.integers(1, 4))):
        source = registers[-int(random.integers(1, 8))]
        lanes.append(Lane(str(random.choice(BY_FORM["reduce"])), len(lanes), source))
        lanes.append(Lane(str(random.choice(["add", "sub", "max", "ge"])), len(lanes), source, len(lanes) - 1))
        registers += [len(lanes) - 2, len(lanes) - 1]
    last = len(lanes) - (2 if rows and random.random() < 0.7 else 1)
    return ElementProgram("drawn", code.operands, (*lanes, Lane("store", a=last - 1, b=3), Lane("store", a=last, b=4)))


def both(code: ElementProgram, *arguments: Any) -> tuple[dict[int, Array], dict[int, Array]]:
    """What the kernel and what NumPy make of it."""
    found = code.evaluate(*arguments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(element, "library", lambda: None)
        return found, code.evaluate(*arguments)


def assert_same(found: dict[int, Array], expected: dict[int, Array]) -> None:
    assert found.keys() == expected.keys()
    for number, array in expected.items():
        assert found[number].shape == array.shape
        assert found[number].dtype == array.dtype
        assert found[number].tobytes() == array.tobytes()


@pytest.mark.compiled
@given(
    st.integers(0, 1 << 20),
    st.lists(st.sampled_from([1, 2, 3, 5, 8, 17, 40, 600]), max_size=5),
    st.integers(0, 25),
    st.lists(st.sampled_from([*FLOATS, *WHOLE]), min_size=3, max_size=3),
    st.sampled_from([*FLOATS, SPIKE]),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_programs_are_those_of_numpy(
    seed: int, sizes: list[int], length: int, read: list[Format], written: Format, fresh: bool
) -> None:
    random = np.random.default_rng(seed)
    extents = tuple(sizes)
    while np.prod(extents) > 3000:
        extents = tuple(max(extent // 2, 1) for extent in extents)
    carried = read[2] if not read[2].whole else F16
    formats = [None, read[0], read[1], carried, written]
    room = 4 * int(np.prod([extent + 1 for extent in extents]))
    index = random.integers(0, 1 << 40, room)
    operands = [laid(random, index, extents)]
    operands += [laid(random, values(random, fmt, room), extents) for fmt in (read[0], read[1], carried)]
    code = program(random, length)
    assert_same(*both(code, [*operands, None], formats, ARGUMENTS, fresh, extents))


@pytest.mark.compiled
@given(
    st.integers(0, 1 << 20),
    st.lists(st.sampled_from([1, 2, 3, 5, 10, 17, 40]), max_size=4),
    st.integers(0, 4),
    st.booleans(),
    st.sampled_from([F16, F32, U8, SPIKE]),
    st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_programs_that_reduce_are_those_of_numpy(
    seed: int, sizes: list[int], reduced: int, rows: bool, read: Format, fresh: bool
) -> None:
    """Along so many of the last axes; what is written has all elements, or one for each row."""
    random = np.random.default_rng(seed)
    extents = tuple(sizes)
    while np.prod(extents) > 3000:
        extents = tuple(max(extent // 2, 1) for extent in extents)
    along = len(extents) - min(reduced, len(extents))
    shape = extents[:along] + tuple(1 for _ in extents[along:]) if rows else extents
    room = 4 * int(np.prod([extent + 1 for extent in extents]))
    operands = [laid(random, random.integers(0, 1 << 40, room), extents)]
    operands += [laid(random, values(random, fmt, room), extents) for fmt in (read, F32, F16)]
    code = reducing(random, program(random, 4), rows)
    shapes = [*(operand.shape for operand in operands[:3]), extents, shape]
    given_ = [*operands, None], [None, read, F32, F16, F32], ARGUMENTS, fresh, extents, shapes, len(extents) - along
    assert_same(*both(code, *given_))


def reducing_once(random: np.random.Generator, code: ElementProgram) -> ElementProgram:
    """The same with what is made of rows, and of that alone, stored."""
    lanes = list(code.lanes[:-3])
    registers = len(lanes)
    for _ in range(int(random.integers(1, 4))):
        source = registers - int(random.integers(1, 8))
        lanes.append(Lane(str(random.choice(BY_FORM["reduce"])), len(lanes), source))
    last = len(lanes) - 1
    lanes.append(Lane(str(random.choice(["add", "sub", "max", "ge"])), last + 1, last, registers))
    stores = Lane("store", a=last + int(random.integers(2)), b=3), Lane("store", a=registers, b=4)
    return ElementProgram("drawn", code.operands, (*lanes, *stores))


@pytest.mark.compiled
@given(
    st.integers(0, 1 << 20),
    st.lists(st.sampled_from([1, 2, 3, 8, 40]), max_size=2),
    st.lists(st.sampled_from([1, 3, 20, 300, 700]), min_size=1, max_size=3),
    st.sampled_from([F16, F32, U8, SPIKE]),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_long_rows_are_reduced_as_numpy_does(
    seed: int, kept: list[int], along: list[int], read: Format, fresh: bool
) -> None:
    random = np.random.default_rng(seed)
    extents = (*kept, *along)
    while np.prod(extents) > 20000:
        extents = tuple(max(extent // 2, 1) for extent in extents)
    shape = extents[: len(kept)] + tuple(1 for _ in along)
    room = 4 * int(np.prod([extent + 1 for extent in extents]))
    operands = [laid(random, random.integers(0, 1 << 40, room), extents)]
    operands += [laid(random, values(random, fmt, room), extents) for fmt in (read, F32, F16)]
    code = reducing_once(random, program(random, 4))
    shapes = [*(operand.shape for operand in operands[:3]), shape, shape]
    given_ = [*operands, None], [None, read, F32, F16, F32], ARGUMENTS, fresh, extents, shapes, len(along)
    assert_same(*both(code, *given_))


@pytest.mark.compiled
@pytest.mark.parametrize("op", [*BY_FORM["unary"], *BY_FORM["binary"], *BY_FORM["select"]])
def test_operations_have_their_bits_at_all_extremes_and_at_any_float(op: str) -> None:
    """Pairs of extremes, and floats of any bits that NumPy and the kernel take in one piece."""
    random = np.random.default_rng(1)
    any_bits = random.integers(0, 1 << 32, (3, 40000), np.uint32).view(np.float32)
    if op == "cos":
        any_bits[np.abs(any_bits) > 1e6] = 1e6
    pairs = np.array(np.meshgrid(EXTREMES, EXTREMES)).reshape(2, -1)
    chosen = random.choice(EXTREMES, (1, pairs.shape[1]))
    spread = random.uniform(-100, 100, (3, 100000)).astype(np.float32)
    columns = np.concatenate([any_bits, spread, np.concatenate([pairs, chosen])], axis=1).astype(np.float32)
    lanes = [*(Lane("load", k, k) for k in range(3)), Lane(op, 3, 0, 1, 2), Lane("store", a=3, b=3)]
    code = ElementProgram("one", tuple("abcd"), tuple(lanes))
    assert_same(*both(code, [*columns, None], [F32] * 4, ARGUMENTS, False, columns.shape[1:]))


@pytest.mark.compiled
def test_a_large_angle_is_reduced_as_numpy_does() -> None:
    code = ElementProgram("cos", ("a", "b"), (Lane("load", 0, 0), Lane("cos", 1, 0), Lane("store", a=1, b=1)))
    angles = np.array([0.5, 3e6, -1e30, np.inf], np.float32)
    assert_same(*both(code, [angles, None], [F32, F32], ARGUMENTS, False, (4,)))


COPY = ElementProgram("copy", ("a", "b"), (Lane("load", 0, 0), Lane("store", a=0, b=1)))


@pytest.mark.compiled
@pytest.mark.parametrize("out", [*FLOATS, *WHOLE], ids=str)
@pytest.mark.parametrize("fmt", [F16, BF16], ids=str)
def test_every_value_of_16_bits_is_read_and_stored_as_it_is(fmt: Format, out: Format) -> None:
    storage = np.arange(1 << 16, dtype=np.uint32).astype(np.uint16).view(fmt.dtype)
    if out.whole and out != SPIKE:
        storage = encode(np.arange(out.minimum, min(out.maximum, 256) + 1), fmt)
    assert_same(*both(COPY, [storage, None], [fmt, out], ARGUMENTS, False, storage.shape))


@pytest.mark.compiled
@pytest.mark.parametrize("out", [U2, U4, U8, U16, TERNARY], ids=str)
@pytest.mark.parametrize("value", [-2.0, 0.5, 65536.0, 1e20, np.nan, np.inf])
def test_a_value_that_a_format_does_not_hold_is_refused(out: Format, value: float) -> None:
    lanes = np.array([0.0] * 600 + [value], np.float32)
    with pytest.raises(ValueError, match=f"{out.name} holds the integers"):
        COPY.evaluate([lanes, None], [F32, out], ARGUMENTS, False, lanes.shape)


def test_the_version_for_every_machine_gives_the_same_bits(portable: None) -> None:
    assert compiled.vectors() == "portable"
    test_programs_are_those_of_numpy()
    test_programs_that_reduce_are_those_of_numpy()
    test_long_rows_are_reduced_as_numpy_does()
    for op in (*BY_FORM["unary"], *BY_FORM["binary"], *BY_FORM["select"]):
        test_operations_have_their_bits_at_all_extremes_and_at_any_float(op)


@pytest.mark.compiled
def test_the_kernel_serves_unless_many_long_rows_are_reduced() -> None:
    """So the tests above have compared two forms."""
    code = program(np.random.default_rng(0), 20)
    blocks = element.Blocks(b"".join(lane.encode() for lane in code.lanes))
    index, storage = np.arange(12).reshape(3, 4), np.ones((3, 4), np.float16)
    given_ = [index, storage, storage, storage, None], [None, F16, F16, F16, F16], ARGUMENTS, False, (3, 4), None
    assert blocks.evaluate(*given_) is not None
    reduce = (Lane("load", 0, 0), Lane("rsum", 1, 0), Lane("store", a=1, b=1))
    blocks = element.Blocks(b"".join(lane.encode() for lane in reduce))
    for rows, columns, all_serve, rows_serve in (
        *((3, columns, True, True) for columns in (4, element.BLOCK)),
        (3, element.BLOCK + 1, False, True),
        (element.BLOCK, 1000, False, True),
        (element.BLOCK + 1, 1000, False, False),
    ):
        ones, extents = np.ones((rows, columns), np.float16), (rows, columns)
        for shape, serves in ((extents, all_serve), ((rows, 1), rows_serve)):
            made = blocks.evaluate([ones, None], [F16, F32], ARGUMENTS, False, extents, [extents, shape])
            assert (made is not None) == serves
            assert made is None or (made[1] == columns).all()


@pytest.mark.compiled
@pytest.mark.parametrize(
    "lanes",
    [
        (Lane("rmax", 1, 0), Lane("sub", 2, 0, 1), Lane("rsum", 3, 2), Lane("store", a=3, b=1)),  # waits for its row
        (Lane("rsum", 1, 0), Lane("add", 2, 0, 1), Lane("store", a=2, b=1)),  # is not one for each row
    ],
)
def test_a_long_row_that_has_to_be_gone_along_twice_is_left_to_numpy(lanes: tuple[Lane, ...]) -> None:
    code = ElementProgram("twice", ("a", "b"), (Lane("load", 0, 0), *lanes))
    row = np.random.default_rng(3).standard_normal((2, 700)).astype(np.float32)
    given_ = [row, None], [F32, F32], ARGUMENTS, False, (2, 700), [(2, 700), (2, 1)]
    blocks = element.Blocks(b"".join(lane.encode() for lane in code.lanes))
    assert blocks.evaluate(*given_) is None
    assert code.evaluate(*given_)[1].shape == (2, 1)
