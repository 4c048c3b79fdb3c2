"""Exact accumulators: sums free of order, and one rounding at the end, against Python's integers and fractions."""

from __future__ import annotations

import math
import struct
from fractions import Fraction
from random import Random
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from snnc.numerics import exact
from snnc.numerics.formats import BF16, F16, F32, F64, SPIKE, U8, X64, X128, Format

Acc: TypeAlias = NDArray[Any]

# (precision, least exponent of a unit in the last place, greatest exponent) of IEEE 754 and bfloat16.
GRIDS = {"f16": (11, -24, 15), "bf16": (8, -133, 127), "f32": (24, -149, 127), "f64": (53, -1074, 1023)}
FLAGS = {X64: (exact.X64_NAN, exact.X64_POS, exact.X64_NEG), X128: (exact.X128_NAN, exact.X128_POS, exact.X128_NEG)}
UNIT = {X64: 24, X128: 48}


def code_of(value: Fraction, fmt: Format) -> int:
    """The bits of `value` rounded to nearest even, built from sign, exponent and integer significand."""
    precision, least, greatest = GRIDS[fmt.name]
    sign = int(value < 0) << (fmt.bits - 1)
    size = abs(value)
    exponent = size.numerator.bit_length() - size.denominator.bit_length()
    exponent -= size < Fraction(2) ** exponent
    place = max(exponent - precision + 1, least) if size else least
    quotient, rest = divmod(size.numerator * 2 ** max(-place, 0), size.denominator * 2 ** max(place, 0))
    half = 2 * rest - size.denominator * 2 ** max(place, 0)
    quotient += half > 0 or (half == 0 and quotient % 2 == 1)
    infinite = (greatest * 2 + 1) << (precision - 1)
    return sign | min(((place - least) << (precision - 1)) + quotient, infinite)


def accumulators(units: list[int], fmt: Format) -> Acc:
    """An accumulator array of Python integers."""
    if fmt == X64:
        return np.array(units, np.int64)
    return np.array([[unit & (2**64 - 1), (unit >> 64) & (2**64 - 1)] for unit in units], np.uint64)


def units_of(acc: Acc, fmt: Format) -> list[int]:
    """Python integers of an accumulator array."""
    if fmt == X64:
        return [int(unit) for unit in acc]
    pairs = [(int(low) | int(high) << 64) for low, high in acc]
    return [pair - (pair >> 127 << 128) for pair in pairs]


def bits_of(stored: NDArray[np.generic], fmt: Format) -> list[int]:
    return [int(code) for code in stored.view(f"u{fmt.bits // 8}")]


def single(value: float) -> float:
    """The f32 nearest to a float64 that is in range."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


SUM_FORMATS = st.sampled_from([X64, X128])


def finite_units(fmt: Format, share: int = 1) -> st.SearchStrategy[int]:
    top = (2**63 - 2**52 if fmt == X64 else 2**127 - 2**116) // share
    bits = st.integers(0, 62 if fmt == X64 else 126).flatmap(lambda n: st.integers(-(2**n), 2**n))
    return bits.map(lambda n: max(-top, min(top, n))) | st.integers(-top, top) | st.sampled_from([0, top, -top])


@st.composite
def terms(draw: st.DrawFn) -> tuple[Format, list[int]]:
    fmt = draw(SUM_FORMATS)
    unflagged = draw(st.lists(finite_units(fmt, share=8), min_size=1, max_size=5))
    flagged = draw(st.lists(st.sampled_from(FLAGS[fmt]), max_size=3))
    return fmt, draw(st.permutations(unflagged + flagged))


def add(a: Acc, b: Acc, fmt: Format) -> Acc:
    return exact.add_x64(a, b) if fmt == X64 else exact.add_x128(a, b)


@settings(max_examples=300, deadline=None)
@given(terms(), st.randoms(use_true_random=False))
def test_a_sum_is_exact_whatever_its_order_and_grouping(case: tuple[Format, list[int]], order: Random) -> None:
    fmt, units = case
    nan, positive, negative = FLAGS[fmt]
    present = set(units) & {nan, positive, negative}
    opposite = nan in present or len(present) == 2
    expected = nan if opposite else present.pop() if present else sum(units)
    parts = [accumulators([unit], fmt) for unit in units]
    while len(parts) > 1:
        order.shuffle(parts)
        parts.append(add(parts.pop(), parts.pop(), fmt))
    assert units_of(parts[0], fmt) == [expected]


@settings(max_examples=100, deadline=None)
@given(SUM_FORMATS, st.data())
def test_an_element_adds_as_it_does_alone(fmt: Format, data: st.DataObject) -> None:
    unit = finite_units(fmt, share=2) | st.sampled_from(FLAGS[fmt])
    a, b = (data.draw(st.lists(unit, min_size=4, max_size=4)) for _ in range(2))
    together = units_of(add(accumulators(a, fmt), accumulators(b, fmt), fmt), fmt)
    alone = [
        units_of(add(accumulators([x], fmt), accumulators([y], fmt), fmt), fmt)[0] for x, y in zip(a, b, strict=True)
    ]
    assert together == alone


def test_every_f16_becomes_its_multiple_of_the_unit() -> None:
    values = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    units = exact.x64_from_f16(values)
    finite = np.isfinite(values)
    assert [Fraction(int(u), 2**24) for u in units[finite]] == [Fraction(float(v)) for v in values[finite]]
    expected = [exact.X64_NAN if np.isnan(v) else exact.X64_POS if v > 0 else exact.X64_NEG for v in values[~finite]]
    assert units[~finite].tolist() == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-(2**53), 2**53), min_size=1), st.integers(-5, 9))
def test_floats_become_their_multiple_of_the_unit(integers: list[int], exponent: int) -> None:
    units = [n << max(exponent, 0) for n in integers]
    values = np.array([float(n) for n in units] + [np.inf, -np.inf, np.nan])
    for fmt, make in ((X64, exact.x64_from_float), (X128, exact.x128_from_float)):
        nan, positive, negative = FLAGS[fmt]
        assert units_of(make(values * 2.0 ** -UNIT[fmt]), fmt) == [*units, positive, negative, nan]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 62)), min_size=1, max_size=4))
def test_parts_add_up_to_the_sum_of_their_shifted_integers(parts: list[tuple[int, int]]) -> None:
    acc = exact.x128_from_parts([(np.array([integer]), shift) for integer, shift in parts])
    assert units_of(acc, X128) == [sum(integer << shift for integer, shift in parts)]


def test_a_part_may_be_shifted_past_the_low_word() -> None:
    assert units_of(exact.x128_from_parts([(np.array([-3]), 64), (np.array([5]), 100)]), X128) == [
        (5 << 100) - (3 << 64)
    ]
    with pytest.raises(ValueError, match="no parts"):
        exact.x128_from_parts([])


F32_VALUES = st.floats(width=32, allow_nan=False, allow_infinity=False)
SCALES = (
    st.sampled_from([1.0, -1.0, 0.25, single(1 / 9), single(1 / 3), single(0.1), 2.0**-10, 1024.0, 2.0**-149, 0.0])
    | st.floats(0.0001220703125, 4096, width=32)
    | F32_VALUES
)
OUTPUTS = st.sampled_from([F16, BF16, F32, F64])


@st.composite
def finishes(draw: st.DrawFn) -> tuple[Format, int, float, float | None, Format]:
    """Sum, scale, bias and output: anything; or a bias that cancels the sum; or a sum at a tie of the output."""
    fmt, out = draw(SUM_FORMATS), draw(OUTPUTS)
    scale = draw(SCALES)
    units = draw(finite_units(fmt))
    bias = draw(st.none() | F32_VALUES | st.floats(width=16, allow_nan=False, allow_infinity=False))
    match draw(st.sampled_from(["any", "cancel", "tie"])):
        case "cancel":
            value = Fraction(units, 2 ** UNIT[fmt]) * Fraction(scale)
            if abs(value) < 2**127:
                bias = single(-float(value))
        case "tie":
            precision = GRIDS[out.name][0]
            odd = 2 * draw(st.integers(-(2**precision), 2**precision)) + 1
            units = odd << draw(st.integers(0, 62 - precision - 2))
            units += draw(st.sampled_from([0, 0, 1, -1]))
            units <<= draw(st.integers(0, 40)) if fmt == X128 else 0
        case _:
            pass
    return fmt, units, scale, bias, out


@settings(max_examples=1200, deadline=None)
@given(finishes())
def test_finish_rounds_once_whatever_sum_scale_and_bias(case: tuple[Format, int, float, float | None, Format]) -> None:
    fmt, units, scale, bias, out = case
    value = Fraction(units, 2 ** UNIT[fmt]) * Fraction(scale) + Fraction(bias or 0)
    added = None if bias is None else np.array([bias])
    result = exact.finish(accumulators([units], fmt), fmt, scale, added, out)
    assert result.dtype == out.dtype
    assert bits_of(result, out) == [code_of(value, out)]


@settings(max_examples=60, deadline=None)
@given(SUM_FORMATS, OUTPUTS, SCALES, st.integers(0, 2**32), st.booleans(), st.integers(20, 126))
def test_an_array_finishes_as_its_elements(
    fmt: Format, out: Format, scale: float, seed: int, biased: bool, size: int
) -> None:
    draw = np.random.default_rng(seed)
    size = min(size, 62) if fmt == X64 else size
    units = [int(draw.integers(-(2**62), 2**62)) * 2**64 >> (126 - int(draw.integers(0, size + 1))) for _ in range(24)]
    bias = draw.normal(size=4).astype(np.float32).astype(np.float64) if biased else None
    acc = accumulators(units, fmt).reshape((6, 4) if fmt == X64 else (6, 4, 2))
    expected = [
        code_of(Fraction(u, 2 ** UNIT[fmt]) * Fraction(scale) + (0 if bias is None else Fraction(bias[i % 4])), out)
        for i, u in enumerate(units)
    ]
    result = exact.finish(acc, fmt, scale, bias, out)
    assert result.shape == (6, 4)
    assert bits_of(result.ravel(), out) == expected


@pytest.mark.parametrize("fmt", [X64, X128])
@pytest.mark.parametrize("scale", [1.0, -1.0, single(-1 / 9), 0.0])
def test_an_exact_zero_is_positive(fmt: Format, scale: float) -> None:
    unit = 1 << UNIT[fmt]
    acc = accumulators([0, 0, unit], fmt)
    bias = np.array([0.0, -0.0, -scale])
    assert bits_of(exact.finish(acc, fmt, scale, bias, F16), F16) == [0, 0, 0]
    assert bits_of(exact.finish(acc[:2], fmt, scale, None, F16), F16) == [0, 0]


@pytest.mark.parametrize("fmt", [X64, X128])
@pytest.mark.parametrize("out", [F16, BF16, F32, F64])
def test_infinity_and_nan_go_through_beside_finite_sums(fmt: Format, out: Format) -> None:
    nan, positive, negative = FLAGS[fmt]
    one = 1 << UNIT[fmt]
    units = [one, positive, negative, nan, one, positive, positive, one]
    bias = np.array([1.0, 1.0, 1.0, 1.0, np.inf, -np.inf, np.inf, np.nan])
    result = exact.values_of(exact.finish(accumulators(units, fmt), fmt, 2.0, bias, F32), F32)
    expected = [3.0, np.inf, -np.inf, np.nan, np.inf, np.nan, np.inf, np.nan]
    np.testing.assert_array_equal(result, expected)
    nans = exact.finish(accumulators([nan], fmt), fmt, 1.0, None, out)
    assert bits_of(nans, out) == [{"f16": 0x7E00, "bf16": 0x7FC0, "f32": 0x7FC00000, "f64": 0x7FF8 << 48}[out.name]]
    flipped = exact.values_of(exact.finish(accumulators([positive], fmt), fmt, -0.5, None, F16), F16)
    assert flipped.tolist() == [-math.inf]
    lost = exact.values_of(exact.finish(accumulators([positive, one], fmt), fmt, 0.0, None, F16), F16)
    np.testing.assert_array_equal(lost, [np.nan, 0.0])


@pytest.mark.parametrize("fmt", [X64, X128])
def test_a_scale_that_is_not_finite_behaves_as_in_ieee(fmt: Format) -> None:
    acc = accumulators([0, 1, -1, 1 << 60], fmt)
    result = exact.values_of(exact.finish(acc, fmt, math.inf, None, F32), F32)
    np.testing.assert_array_equal(result, [np.nan, np.inf, -np.inf, np.inf])
    assert np.isnan(exact.values_of(exact.finish(acc, fmt, math.nan, None, F32), F32)).all()


def test_counts_finish_in_unsigned_formats() -> None:
    acc = accumulators([0, 3 << 24, 255 << 24], X64)
    assert exact.finish(acc, X64, 1.0, None, U8).tolist() == [0, 3, 255]
    assert exact.finish(acc, X64, 1.0, None, SPIKE).tolist() == [0, 1, 1]


@settings(max_examples=200, deadline=None)
@given(F32_VALUES, SCALES, st.none() | F32_VALUES)
def test_an_f32_accumulator_rounds_after_each_operation(acc: float, scale: float, bias: float | None) -> None:
    def rounded(value: Fraction, zero: float) -> float:
        code = struct.pack("<I", code_of(value, F32)) if value else struct.pack("<f", zero)
        return float(struct.unpack("<f", code)[0])

    product = rounded(Fraction(acc) * Fraction(scale), acc * scale)
    expected = product
    if bias is not None and math.isfinite(product):
        expected = rounded(Fraction(product) + Fraction(bias), product + bias)
    added = None if bias is None else np.array([bias])
    result = exact.finish(np.array([acc], np.float32), F32, scale, added, F32)
    assert struct.pack("<f", float(result[0])) == struct.pack("<f", expected)


def test_an_f16_accumulator_finishes_in_f32_steps() -> None:
    acc = np.array([2049.0, 1.0, np.inf], np.float16)
    result = exact.finish(acc, F16, single(1 / 3), np.array([2.0**-30]), F16)
    expected = [np.float16(np.float32(np.float32(v) * np.float32(1 / 3)) + np.float32(2.0**-30)) for v in acc]
    np.testing.assert_array_equal(result, expected)


def test_flags_can_be_raised_from_values() -> None:
    values = np.array([1.0, np.inf, -np.inf, np.nan])
    for fmt in (X64, X128):
        nan, positive, _ = FLAGS[fmt]
        acc = accumulators([7, 7, positive, 7], fmt)
        assert units_of(exact.raise_flags(acc, fmt, values), fmt) == [7, positive, nan, nan]


def test_what_finish_cannot_do_exactly_is_refused() -> None:
    with pytest.raises(ValueError, match="not an f32"):
        exact.finish(accumulators([1], X64), X64, 0.1, None, F16)
    with pytest.raises(ValueError, match="not the format of an accumulator"):
        exact.finish(np.zeros(1), F64, 1.0, None, F16)
