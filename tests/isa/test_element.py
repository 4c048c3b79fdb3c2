"""Element programs: what each operation means, and that bytes and text say the same program."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnc.catalog import UnknownName
from snnc.isa.element import ElementProgram, Lane
from snnc.isa.lanes import OPERATIONS
from snnc.numerics import random
from snnc.numerics.formats import F16, F32, SPIKE, U8, U16, Format

NONE = np.zeros(4, np.uint32)
singles = st.floats(width=32)
EXTREMES = [0.0, -0.0, 1.0, -1.5, 65504.0, 1e-45, -1e-40, 3e38, math.inf, -math.inf, math.nan]


def single(value: float | Fraction) -> float:
    """*value* rounded once to f32, to nearest even, with Python's integers."""
    if not value or not math.isfinite(value):
        return float(value)
    exact = Fraction(value)
    magnitude, ulp = abs(exact), Fraction(1, 1 << 149)
    while magnitude / ulp >= 1 << 24:
        ulp *= 2
    rounded = round(magnitude / ulp) * ulp
    return math.copysign(float(rounded) if rounded < 1 << 128 else math.inf, exact)


def same(a: float, b: float) -> bool:
    """Equal bits but for the payload of NaN."""
    return (math.isnan(a) and math.isnan(b)) or struct.pack("<f", a) == struct.pack("<f", b)


def program(*lanes: Lane, operands: tuple[str, ...] = ("a", "b", "c", "out")) -> ElementProgram:
    return ElementProgram("test", operands, lanes)


def computed(op: str, *values: list[float]) -> list[float]:
    """The operation on columns of values."""
    loads = [Lane("load", k, k) for k in range(len(values))]
    code = program(*loads, Lane(op, 9, 0, 1, 2), Lane("store", a=9, b=3))
    operands = [np.array(column, np.float32) for column in values] + [None] * (4 - len(values))
    found: list[float] = code.evaluate(operands, [F32] * 4, NONE, False, (len(values[0]),))[3].tolist()
    return found


@given(st.lists(st.tuples(singles, singles), min_size=1, max_size=20))
@settings(max_examples=60, deadline=None)
def test_arithmetic_is_the_exact_result_rounded_once_to_f32(pairs: list[tuple[float, float]]) -> None:
    a, b = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    operations: dict[str, Callable[[Any, Any], Any]] = {
        "add": lambda x, y: x + y, "sub": lambda x, y: x - y, "mul": lambda x, y: x * y, "div": lambda x, y: x / y
    }  # fmt: skip
    for op, exact in operations.items():
        for x, y, found in zip(a, b, computed(op, a, b), strict=True):
            if op == "div" and y == 0:
                continue
            if math.isfinite(x) and math.isfinite(y):
                true = exact(Fraction(x), Fraction(y))
                assert found == single(true), op
            else:
                assert same(found, exact(x, y)), op


@pytest.mark.parametrize("x", EXTREMES)
@pytest.mark.parametrize("y", EXTREMES)
def test_comparisons_extremes_and_masks_follow_ieee(x: float, y: float) -> None:
    x, y = single(x), single(y)
    expected = {
        "ge": x >= y,
        "gt": x > y,
        "le": x <= y,
        "lt": x < y,
        "eq": x == y,
        "ne": x != y,
        "and": x != 0 and y != 0,
        "or": x != 0 or y != 0,
    }
    for op, truth in expected.items():
        assert computed(op, [x], [y]) == [1.0 if truth else 0.0], op
    nan = math.isnan(x) or math.isnan(y)
    assert same(computed("min", [x], [y])[0], math.nan if nan else x if x <= y else y)
    assert same(computed("max", [x], [y])[0], math.nan if nan else x if x >= y else y)
    assert same(computed("select", [x], [y], [y])[0], x if y != 0 else y)


@pytest.mark.parametrize("x", [*EXTREMES, 2.5, 3.5, -2.5, 0.49999997])
def test_unary_operations(x: float) -> None:
    x = single(x)
    assert same(computed("neg", [x])[0], -x)
    assert same(computed("abs", [x])[0], abs(x))
    assert computed("not", [x]) == [1.0 if x == 0 else 0.0]
    if math.isfinite(x):
        assert computed("floor", [x])[0] == math.floor(x)
        assert computed("rint", [x])[0] == round(x)
    assert same(computed("sqrt", [x])[0], single(math.sqrt(x)) if x >= 0 else math.nan)
    with pytest.raises(ValueError, match="nobody wrote"):
        program(Lane("neg", 0, 5))


def test_reductions_run_over_the_last_axis_in_ascending_order_and_come_back_over_it() -> None:
    values = [1e8, 1.0, -1e8, 0.5, 3.0]
    expected = 0.0
    for value in values:
        expected = single(expected + single(value))
    code = program(
        Lane("load", 0, 0),
        Lane("rsum", 1, 0),
        Lane("rmax", 2, 0),
        Lane("rmin", 3, 0),
        Lane("add", 4, 2, 3),
        Lane("store", a=1, b=1),
        Lane("store", a=4, b=2),
    )
    array = np.array([values, values[::-1]], np.float32)
    result = code.evaluate([array, None, None, None], [F32] * 4, NONE, False, (2, 5), [(2, 5), (2, 5), (2, 1), (2, 5)])
    assert result[1][0].tolist() == [expected] * 5
    assert result[1][1, 0] != expected
    assert result[2].tolist() == [[0.0], [0.0]]
    assert code.reduces and code.work == 4 and code.reads == (0,) and code.writes == (1, 2)


def test_a_reduction_of_a_value_that_the_axis_does_not_index_counts_it_for_each_element() -> None:
    code = program(Lane("load", 0, 0), Lane("rsum", 1, 0), Lane("store", a=1, b=1))
    result = code.evaluate([np.full((2, 1), 0.1, np.float32), None, None, None], [F32] * 4, NONE, False, (2, 10))
    expected = 0.0
    for _ in range(10):
        expected = single(expected + single(0.1))
    assert (result[1] == np.float32(expected)).all() and result[1].shape == (2, 10)


def test_carry_gives_the_initial_value_only_when_fresh_and_scalars_come_from_the_argument_file() -> None:
    code = program(
        Lane("carry", 0, 0, value=0.1),
        Lane("scalar", 1, 2),
        Lane("uscalar", 2, 1),
        Lane("mul", 3, 1, 2),
        Lane("add", 4, 0, 3),
        Lane("store", a=4, b=1),
    )
    scalars = np.array([0, 3, np.float32(0.5).view(np.uint32)], np.uint32)
    operands = [np.array([2.0, 4.0], np.float16), None, None, None]
    formats: list[Format | None] = [F16, F32, F32, F32]
    assert code.evaluate(operands, formats, scalars, False, (2,))[1].tolist() == [3.5, 5.5]
    assert code.evaluate([None] * 4, formats, scalars, True, (2,))[1].tolist() == [single(single(0.1) + 1.5)] * 2


def test_random_lanes_are_keyed_by_the_logical_index() -> None:
    index = np.array([[5, 7], [1 << 40, 0]], np.int64)
    code = program(
        Lane("uniform", 0, 0, 1, 2, value=0xFFFFFFFF),
        Lane("normal", 1, 0, 1, 2, value=9),
        Lane("load", 2, 0),
        Lane("store", a=0, b=1),
        Lane("store", a=1, b=2),
        Lane("store", a=2, b=3),
    )
    scalars = np.array([0, 11, 22], np.uint32)
    result = code.evaluate([index, None, None, None], [None, F32, F32, F32], scalars, False, (2, 2))
    assert np.array_equal(result[1], random.uniform(index, 11, 0xFFFFFFFF, 22))
    assert np.array_equal(result[2], random.normal(index, 11, 9, 22))
    assert result[3].tolist() == [[5, 7], [2**40, 0]]


def test_stores_round_to_the_operand_and_write_the_first_of_elements_that_are_one() -> None:
    code = program(Lane("load", 0, 0), Lane("store", a=0, b=1), Lane("store", a=0, b=2), Lane("store", a=0, b=3))
    values = np.array([[2049.0, -0.0], [math.nan, 1e9]], np.float32)
    result = code.evaluate(
        [values, None, None, None], [F32, F16, SPIKE, F32], NONE, False, (2, 2), [(2, 2), (2, 2), (2, 2), (1, 2)]
    )
    assert result[1].view(np.uint16).tolist() == [[0x6800, 0x8000], [0x7E00, 0x7C00]]
    assert result[2].tolist() == [[1, 0], [1, 1]]
    assert result[3].tolist() == [[2049.0, 0.0]]
    with pytest.raises(ValueError, match="u8 holds"):
        code.evaluate([np.array([300.0], np.float32), None, None, None], [F32, U8, U16, F32], NONE, False, (1,))


@st.composite
def programs(draw: st.DrawFn) -> ElementProgram:
    lanes = [Lane("load", 0, 0)]
    for dst in range(1, draw(st.integers(1, 12))):
        op = draw(st.sampled_from(sorted(set(OPERATIONS) - {"store"})))
        form, register = OPERATIONS[op].form, st.integers(0, dst - 1)
        small, finite = st.integers(0, 3), st.floats(width=32, allow_nan=False)
        match form:
            case "load":
                lanes.append(Lane(op, dst, draw(small)))
            case "carry":
                lanes.append(Lane(op, dst, draw(small), value=draw(finite)))
            case "argument":
                lanes.append(Lane(op, dst, draw(st.integers(0, 255))))
            case "const":
                lanes.append(Lane(op, dst, value=draw(finite)))
            case "random":
                lanes.append(Lane(op, dst, draw(small), draw(small), draw(small), draw(st.integers(0, 2**32 - 1))))
            case "select":
                lanes.append(Lane(op, dst, draw(register), draw(register), draw(register)))
            case "binary":
                lanes.append(Lane(op, dst, draw(register), draw(register)))
            case _:
                lanes.append(Lane(op, dst, draw(register)))
    lanes.append(Lane("store", a=len(lanes) - 1, b=draw(st.integers(0, 3))))
    return program(*lanes, operands=("x", "v.old", "größe", "s_1"))


@given(programs())
@settings(max_examples=80, deadline=None)
def test_bytes_and_text_give_the_same_program_back(code: ElementProgram) -> None:
    assert ElementProgram.decode(code.encode()) == code
    assert ElementProgram.parse(code.text) == code
    assert ElementProgram.parse(code.text).encode() == code.encode()
    renamed = ElementProgram("other", ("p", "q", "r", "s"), code.lanes)
    assert renamed.content_hash == code.content_hash


def test_every_operation_has_a_number_of_its_own() -> None:
    assert len({operation.code for operation in OPERATIONS.values()}) == len(OPERATIONS) <= 255


def test_the_text_reads_as_written() -> None:
    code = program(
        Lane("load", 0, 0),
        Lane("carry", 5, 1, value=0.0),
        Lane("scalar", 6, 2),
        Lane("const", 7, value=0.1),
        Lane("mul", 3, 0, 7),
        Lane("uniform", 8, 2, 4, 5, value=123),
        Lane("select", 9, 0, 3, 5),
        Lane("store", a=9, b=3),
    )
    assert code.text.splitlines() == [
        "element test(a, b, c, out):",
        "    r0 = load a",
        "    r5 = carry b, 0.0",
        "    r6 = scalar 2",
        "    r7 = const 0.1",
        "    r3 = mul r0, r7",
        "    r8 = uniform c, seed=4, step=5, stream=123",
        "    r9 = select r0, r3, r5",
        "    store out, r9",
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("r1 = mul r0", "mul takes 2 operands, found 1"),
        ("r1 = add r0, x", "expected a register rN, found 'x'"),
        ("r1 = load y", "no operand is called 'y'"),
        ("store x", "store takes 2 operands"),
        ("r1 = sqrtt r0", "did you mean sqrt"),
        ("r1 = uniform x, seed=1, stem=2, stream=3", "expected step=NUMBER"),
    ],
)
def test_wrong_text_is_told_with_its_line(line: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as problem:
        ElementProgram.parse(f"element e(x):\n    r0 = load x\n\n    {line}\n")
    assert str(problem.value).startswith("line 4: ")


def test_programs_that_make_no_sense_are_refused() -> None:
    with pytest.raises(UnknownName):
        program(Lane("multiply", 0))
    with pytest.raises(ValueError, match="writes r0 again"):
        program(Lane("load", 0), Lane("load", 0))
    with pytest.raises(ValueError, match="names operand 4 of 4"):
        program(Lane("load", 0, 4))
    with pytest.raises(ValueError, match="cut short"):
        ElementProgram.decode(program(Lane("load", 0)).encode()[:-1])
    damaged = bytearray(program(Lane("load", 0)).encode())
    damaged[-1] = 1
    with pytest.raises(ValueError, match="mean nothing"):
        ElementProgram.decode(bytes(damaged))
