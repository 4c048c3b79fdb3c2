"""The arithmetic of instructions against plain loops over fractions, struct and sets of bytes."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from snnc.isa.kernels.bursts import bursts
from snnc.isa.kernels.contract import contract_exact, contract_ordered
from snnc.isa.kernels.drain import drain
from snnc.isa.kernels.nest import Operand
from snnc.isa.kernels.window import pool_max, pool_sum, taps_within, unpool
from snnc.numerics.formats import BF16, F16, F32, F64, SPIKE, TERNARY, U4, U16, U32, X64, X128, Format, decode, encode

Array = NDArray[Any]
INF, NAN = math.inf, math.nan
EXTREME = [0.0, -0.0, 2.0**-24, -(2.0**-24), 3 * 2.0**-24, 65504.0, -65504.0, 1.0, -1.5, 0.333251953125, 2.0**-14]


def special_or_sum(terms: list[tuple[float, float]]) -> float | Fraction:
    """What the terms add up to: a fraction, or inf, -inf, NaN; a zero left factor counts for nothing."""
    total = Fraction(0)
    seen: set[str] = set()
    for left, right in terms:
        if left == 0:
            continue
        if math.isfinite(left) and math.isfinite(right):
            total += Fraction(left) * Fraction(right)
        else:
            value = left * right
            seen.add("nan" if math.isnan(value) else "+" if value > 0 else "-")
    if "nan" in seen or {"+", "-"} <= seen:
        return NAN
    return INF if "+" in seen else -INF if "-" in seen else total


def meaning(acc: Array, fmt: Format, place: tuple[int, ...]) -> float | Fraction:
    """The value of one accumulator, read with Python's integers."""
    if fmt == X64:
        units, width = int(acc[place]), 64
    else:
        low, high = (int(word) for word in acc[place])
        units, width = low | high << 64, 128
        units -= (units >> 127) << 128
    codes = {-(1 << (width - 1)): NAN, (1 << (width - 1)) - 1: INF, -(1 << (width - 1)) + 1: -INF}
    return codes.get(units, Fraction(units, 1 << (24 if fmt == X64 else 48)))


def equal(a: float | Fraction, b: float | Fraction) -> bool:
    return a == b or (isinstance(a, float) and isinstance(b, float) and math.isnan(a) and math.isnan(b))


Nest = tuple[tuple[int, ...], tuple[bool, ...], Array, Array]


@st.composite
def nests(draw: st.DrawFn, left: list[float], right: list[float], l_type: Any, r_type: Any) -> Nest:
    """(extents, kept, left, right) of a random loop nest; the operands index random loops, some through overlap."""
    rank = draw(st.integers(1, 5))
    extents = tuple(draw(st.lists(st.integers(1, 4), min_size=rank, max_size=rank)))
    flags = st.lists(st.booleans(), min_size=rank, max_size=rank)
    kept, l_has, r_has = draw(flags), draw(flags), draw(flags)
    seed = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def operand(values: list[float], has: list[bool], kind: Any) -> Array:
        shape = tuple(extent if there else 1 for extent, there in zip(extents, has, strict=True))
        array = seed.choice(np.array(values), shape).astype(kind)
        for axis in range(rank):
            if seed.random() < 0.3:
                array = np.flip(array, axis)
        if rank > 1 and l_has[0] and has[0] and has[1] and seed.random() < 0.5:
            line = seed.choice(np.array(values), (shape[0] + shape[1] - 1, *shape[2:])).astype(kind)
            strides = (line.strides[0], line.strides[0], *line.strides[1:])
            array = np.lib.stride_tricks.as_strided(line, shape, strides)  # a convolution's window
        return array

    return extents, tuple(kept), operand(left, l_has, l_type), operand(right, r_has, r_type)


def terms_by_place(nest: Nest, left: Array, right: Array) -> dict[tuple[int, ...], list[tuple[float, float]]]:
    """The factors of every accumulator in the order of the loops."""
    extents, kept, _, _ = nest
    result: dict[tuple[int, ...], list[tuple[float, float]]] = {}
    for index in product(*map(range, extents)):
        place = tuple(k if keep else 0 for k, keep in zip(index, kept, strict=True))
        at_left = tuple(k if size > 1 else 0 for k, size in zip(index, left.shape, strict=True))
        at_right = tuple(k if size > 1 else 0 for k, size in zip(index, right.shape, strict=True))
        result.setdefault(place, []).append((float(left[at_left]), float(right[at_right])))
    return result


def check_exact(nest: Nest, l_format: Format, acc: Format, ones: bool = False) -> None:
    extents, kept, left, right = nest
    operand = None if ones else Operand(left, l_format)
    total, done = contract_exact(operand, Operand(right, F16), extents, kept, acc)
    factors = terms_by_place(nest, np.ones_like(left) if ones else left, right)
    for place, terms in factors.items():
        assert equal(meaning(total, acc, place), special_or_sum(terms))
    assert done == sum(left != 0 for terms in factors.values() for left, _ in terms)


@given(nests([0, 0, 1], [*EXTREME, INF, -INF, NAN], np.uint8, np.float16))
@settings(max_examples=60, deadline=None)
def test_gated_sums_are_exact_and_zero_gates_let_nothing_through(nest: Nest) -> None:
    check_exact(nest, SPIKE, X64)
    check_exact(nest, SPIKE, X128)


@given(nests([0, 1, 7, 65535], EXTREME, np.uint16, np.float16))
@settings(max_examples=60, deadline=None)
def test_counts_times_words_are_exact(nest: Nest) -> None:
    check_exact(nest, U16, X64)


@given(nests([-1, 0, 0, 1], EXTREME, np.float64, np.float16))
@settings(max_examples=60, deadline=None)
def test_signs_add_words_and_take_them_away_exactly(nest: Nest) -> None:
    extents, kept, left, right = nest
    for acc in (X64, X128):
        total, done = contract_exact(Operand(encode(left, TERNARY), TERNARY), Operand(right, F16), extents, kept, acc)
        factors = terms_by_place(nest, left, right)
        for place, terms in factors.items():
            assert equal(meaning(total, acc, place), special_or_sum(terms))
        assert done == sum(left != 0 for terms in factors.values() for left, _ in terms)


@given(nests([1], [*EXTREME, INF, NAN], np.uint8, np.float16))
@settings(max_examples=30, deadline=None)
def test_ones_add_the_right_operands(nest: Nest) -> None:
    check_exact(nest, SPIKE, X64, ones=True)


@given(nests(EXTREME, EXTREME, np.float16, np.float16))
@settings(max_examples=80, deadline=None)
def test_products_of_words_are_exact(nest: Nest) -> None:
    check_exact(nest, F16, X128)


@given(nests([*EXTREME, INF, -INF, NAN], [*EXTREME, INF, -INF, NAN], np.float16, np.float16))
@settings(max_examples=80, deadline=None)
def test_products_with_inf_and_nan_give_the_sticky_codes(nest: Nest) -> None:
    check_exact(nest, F16, X128)


@pytest.mark.parametrize("scale", [1.0, 2.0**-20, 3e4])
@pytest.mark.parametrize("count", [1, 700])
def test_long_dense_products_are_exact_on_every_path(scale: float, count: int) -> None:
    seed = np.random.default_rng(3)
    left, right = (
        np.clip(seed.standard_normal(shape) * scale, -65504, 65504).astype(np.float16)
        for shape in ((2, 1, count), (1, 3, count))
    )
    total, done = contract_exact(Operand(left, F16), Operand(right, F16), (2, 3, count), (True, True, False), X128)
    for m, n in product(range(2), range(3)):
        terms = [(float(left[m, 0, k]), float(right[0, n, k])) for k in range(count)]
        assert equal(meaning(total, X128, (m, n, 0)), special_or_sum(terms))
    assert done == 3 * np.count_nonzero(left)


def test_a_sum_over_nothing_is_zero_and_wrong_formats_are_refused() -> None:
    left, right = np.ones((2, 0), np.uint8), np.ones((1, 0), np.float16)
    total, done = contract_exact(Operand(left, SPIKE), Operand(right, F16), (2, 0), (True, False), X64)
    assert total.tolist() == [[0], [0]] and done == 0
    word = Operand(np.ones((1,), np.float16), F16)
    with pytest.raises(ValueError, match="x64 accumulator takes no f16 left"):
        contract_exact(word, word, (1,), (True,), X64)
    for fmt in (F32, BF16, U32):
        with pytest.raises(ValueError, match=f"takes no {fmt.name} operands"):
            contract_exact(None, Operand(np.ones((1,), fmt.dtype), fmt), (1,), (True,), X128)


def ordered(terms: list[tuple[float, float]], acc: Format, begin: float) -> float:
    """One accumulator, step by step: products in f32, sums rounded once to the accumulator."""
    state = np.float64(begin)
    with np.errstate(all="ignore"):
        for left, right in terms:
            if left != 0:
                term = np.float32(left) * np.float32(right)
                if acc == F32:
                    state = np.float64(np.float32(state) + term)
                else:
                    state = np.float64(rounded_f16(state, term))
    return float(state)


def rounded_f16(a: Any, b: Any) -> float:
    """a + b rounded once to f16, by fractions."""
    if not (math.isfinite(a) and math.isfinite(b)):
        return float(a) + float(b)
    exact = Fraction(float(a)) + Fraction(float(b))
    if exact == 0:
        return float(a) + float(b)
    exponent = max(math.floor(math.log2(abs(exact))), -14)
    while abs(exact) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    while exponent > -14 and abs(exact) < Fraction(2) ** exponent:
        exponent -= 1
    ulp = Fraction(2) ** (exponent - 10)
    units = round(exact / ulp)  # half to even
    value = float(units * ulp)
    return math.copysign(INF, exact) if abs(value) > 65504 else math.copysign(value, exact)


@given(
    nests([*EXTREME, INF, NAN], [*EXTREME, INF, NAN], np.float16, np.float16),
    st.sampled_from([F32, F16]),
    st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_rounding_accumulators_keep_the_order_of_the_loops(nest: Nest, acc: Format, fresh: bool) -> None:
    extents, kept, left, right = nest
    shape = tuple(extent if keep else 1 for extent, keep in zip(extents, kept, strict=True))
    begin = np.random.default_rng(5).choice(np.array([1.0, -0.0, 2048.0, -65504.0]), shape).astype(acc.dtype)
    result, done = contract_ordered(
        None if fresh else begin, Operand(left, F16), Operand(right, F16), extents, kept, acc
    )
    factors = terms_by_place(nest, left, right)
    for place, terms in factors.items():
        expected = np.asarray(ordered(terms, acc, 0.0 if fresh else float(begin[place])), acc.dtype)
        assert result[place].tobytes() == expected.tobytes() or (np.isnan(expected) and np.isnan(result[place]))
    assert done == sum(left != 0 for terms in factors.values() for left, _ in terms)


@given(
    nests(
        [0.0, -0.0, 1.0, 2.0**-30, -(2.0**60), 2.0**60, 1 + 2.0**-23, INF, NAN],
        [*EXTREME, 2.0**60],
        np.float32,
        np.float32,
    )
)
@settings(max_examples=60, deadline=None)
def test_f64_accumulators_add_exact_products_in_the_order_of_the_loops(nest: Nest) -> None:
    extents, kept, left, right = nest
    result, done = contract_ordered(None, Operand(left, F32), Operand(right, F32), extents, kept, F64)
    factors = terms_by_place(nest, left, right)
    for place, terms in factors.items():
        total = 0.0
        for a, b in terms:
            total += a * b if a else 0.0
        assert result[place] == total or (math.isnan(total) and np.isnan(result[place]))
    assert done == sum(a != 0 for terms in factors.values() for a, _ in terms)
    part, _ = contract_ordered(result, Operand(left, F32), Operand(right, F32), extents, kept, F64)
    for place, terms in factors.items():
        total = float(result[place])
        for a, b in terms:
            total += a * b if a else 0.0
        assert part[place] == total or (math.isnan(total) and np.isnan(part[place]))


def test_products_of_f32_operands_are_rounded_before_they_are_added() -> None:
    left = np.array([1 + 2.0**-23, 1.0], np.float32)
    right = np.array([1 + 2.0**-23, -1.0], np.float32)
    result, _ = contract_ordered(None, Operand(left, F32), Operand(right, F32), (2,), (False,), F32)
    assert result.tolist() == [2.0**-22]


@given(
    st.integers(0, 300),
    st.lists(st.tuples(st.integers(0, 5), st.integers(-70, 70)), max_size=4),
    st.integers(0, 40),
    st.sampled_from([1, 8, 32, 64, 48]),
)
@settings(max_examples=200, deadline=None)
def test_bursts_are_the_granules_of_every_contiguous_run(
    start: int, axes: list[tuple[int, int]], row: int, granule: int
) -> None:
    extents, strides = tuple(axis[0] for axis in axes), tuple(axis[1] for axis in axes)
    start += 2000
    merged, inside = row, True
    outer: list[tuple[int, int]] = []
    for stride, extent in sorted((abs(stride), extent) for extent, stride in axes if extent != 1):
        inside = inside and stride == merged
        if inside:
            merged *= extent
        else:
            outer.append((stride, extent))
    low = start + sum(stride * (extent - 1) for extent, stride in axes if stride < 0)
    expected = 0
    for index in product(*(range(extent) for _, extent in outer)):
        begin = low + sum(k * stride for k, (stride, _) in zip(index, outer, strict=True))
        expected += len({byte // granule for byte in range(begin, begin + merged)})
    if 0 in extents:
        expected = 0
    assert bursts(start, extents, strides, row, granule) == expected


def test_whole_rows_side_by_side_are_one_run_whatever_the_order_of_the_axes() -> None:
    assert bursts(0, (4, 8), (128, 16), 16, 64) == 8
    assert bursts(0, (8, 4), (16, 128), 16, 64) == 8
    assert bursts(60, (4, 8), (128, 16), 16, 64) == 9
    assert bursts(0, (4, 8), (192, 16), 16, 64) == 8
    assert bursts(32, (4,), (192,), 64, 64) == 8


windows = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))


@given(windows, st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_the_largest_of_a_window_is_the_first_of_equals(sizes: tuple[int, ...], key: int) -> None:
    seed = np.random.default_rng(key)
    outer, window = sizes[:2], sizes[2:]
    source = seed.choice(np.array([0.0, -0.0, 1.0, -2.0, INF, -INF, NAN]), sizes).astype(np.float16)
    exists = seed.random(sizes) < 0.7
    best, tap = pool_max(source, F16, outer, window, exists)
    for place in np.ndindex(*outer):
        expected: tuple[float, int] | None = None
        for number, at in enumerate(product(*map(range, window))):
            value = float(source[place + at])
            if not exists[place + at] or (expected is not None and math.isnan(expected[0])):
                continue
            if expected is None or value > expected[0] or math.isnan(value):
                expected = value, number
        expected = (0.0, 0) if expected is None else expected
        assert equal(float(best[place]), expected[0]) and tap[place] == expected[1]


def test_taps_exist_within_the_bound_only() -> None:
    within = taps_within(3, 3, -1, 128, 64, 64, 4)
    assert within.tolist() == [[-1 + 2 * k + r in range(4) for r in range(3)] for k in range(3)]


@given(windows, st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_window_sums_are_exact_for_counts_and_ordered_for_words(sizes: tuple[int, ...], key: int) -> None:
    seed = np.random.default_rng(key)
    outer, window = sizes[:2], sizes[2:]
    counts = seed.integers(0, 16, sizes).astype(np.uint8)
    words = (seed.standard_normal(sizes) * 1000).astype(np.float16)
    whole = pool_sum(counts, U4, outer, window, 1.0, U16)
    scale = float(np.float32(1 / 9))
    scaled, summed = pool_sum(counts, U4, outer, window, scale, F16), pool_sum(words, F16, outer, window, 0.25, F32)
    for place in np.ndindex(*outer):
        total = sum(int(v) for v in counts[place].reshape(-1))
        assert whole[place] == total
        assert float(scaled[place]) == rounded_f16(float(Fraction(total) * Fraction(scale)), 0.0)
        state = np.float32(0)
        for value in words[place].reshape(-1):
            state = state + np.float32(value)
        assert summed[place] == state * np.float32(0.25)
    with pytest.raises(ValueError, match="cannot be scaled"):
        pool_sum(counts, U4, outer, window, 0.5, U16)


@given(windows, st.integers(0, 2**32 - 1), st.tuples(st.integers(-2, 3), st.integers(-3, 3), st.integers(-3, 3)))
@settings(max_examples=60, deadline=None)
def test_unpool_takes_the_errors_whose_window_chose_the_element(
    sizes: tuple[int, ...], key: int, seeking: tuple[int, int, int]
) -> None:
    seed = np.random.default_rng(key)
    outer, window = sizes[:2], sizes[2:]
    first, *steps = seeking
    sought = first + steps[0] * np.arange(window[0])[:, None] + steps[1] * np.arange(window[1])
    taps = np.where(seed.random(sizes) < 0.8, sought, seed.integers(0, 5, sizes))
    errors = (seed.standard_normal(sizes) * 10.0 ** seed.integers(-4, 5, sizes)).astype(np.float32)
    result = unpool(taps, errors, F32, outer, window, first, tuple(steps), F32)
    for place in np.ndindex(*outer):
        state = np.float32(0)
        for number, at in sorted((int(sought[at]), at) for at in np.ndindex(*window)):
            if taps[place + at] == number:
                state = state + errors[place + at]
        assert result[place] == state


def test_draining_rounds_once_and_broadcasts() -> None:
    acc = np.array([[3 << 24], [(2049 << 24) + 1], [(1 << 63) - 1]], np.int64)
    bias = np.array([[0.0, 0.5]], np.float16)
    result = drain(acc, X64, 1.0, (bias, F16), F16, (3, 2))
    assert result.tolist() == [[3.0, 3.5], [2050.0, 2050.0], [INF, INF]]
    assert drain(acc[:2], X64, 0.5, None, F32, (2, 1)).tolist() == [[1.5], [1024.5]]
    assert decode(drain(acc[:1], X64, 1.0, None, F16, (1, 4)), F16).tolist() == [[3.0] * 4]
