"""Sums of f32 that lists drive, where they belong: their order, what stands beside them, and zeros that add nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from snnc.isa.kernels import compiled
from snnc.isa.kernels.contract import contract, contract_ordered
from snnc.isa.kernels.driven import contraction
from snnc.isa.kernels.nest import Operand
from snnc.numerics.formats import BF16, F16, F32, SPIKE, U8, Format, encode

Array = NDArray[Any]

BESIDE = np.float32(-77.0)
"""What stands beside sums, and has to stay."""


def sparse(random: np.random.Generator, fmt: Format, shape: tuple[int, ...], density: float, size: float) -> Array:
    """Storage of which some rows hold much, some little and some nothing."""
    share = np.clip(random.choice([0.0, 0.5, 1.0, 1.5], (*shape[:-1], 1)) * density, 0, 1)
    values = (
        random.integers(1, 6, shape) if fmt == U8 else np.ones(shape) if fmt == SPIKE else random.standard_normal(shape)
    )
    return encode(np.where(random.random(shape) < share, values * (1 if fmt in (U8, SPIKE) else size), 0), fmt)


@pytest.mark.compiled
@given(
    st.integers(0, 9999),
    st.tuples(st.sampled_from([1, 2]), st.sampled_from([1, 2, 3, 5, 8, 9, 130, 256, 258])),
    st.sampled_from([1, 10, 15, 16, 17, 33, 48, 64, 65, 80, 96, 97, 112, 128, 150, 208]),
    st.sampled_from([1, 7, 16, 63, 64, 65, 129, 257, 300]),
    st.tuples(st.sampled_from([SPIKE, U8, F16, BF16, F32]), st.sampled_from([F16, F16, BF16, F32])),
    st.tuples(st.sampled_from([0.02, 0.1, 0.3, 0.9]), st.sampled_from([2.0**-12, 1.0, 2.0**120])),
    st.tuples(st.sampled_from([0, 3]), st.sampled_from(["rows", "terms"]), st.sampled_from(["columns", "terms"])),
    st.tuples(st.booleans(), st.booleans()),
)
@settings(max_examples=100, deadline=None)
def test_sums_beside_each_other_are_those_of_numpy(
    seed: int, rows: tuple[int, int], columns: int, terms: int, forms: tuple[Format, Format],
    how: tuple[float, float], lies: tuple[int, str, str], flags: tuple[bool, bool],
) -> None:  # fmt: skip
    """*lies*: a gap behind each row of sums, and what of both operands stands side by side; *flags*: whether sums are
    fresh, and whether the right operand holds what is not finite."""
    random = np.random.default_rng(seed)
    (stack, m), (left, right), (density, size), (fresh, special) = rows, forms, how, flags
    while m * columns * terms > 400_000:
        m = -(-m // 2)
    l_values = sparse(random, left, (stack, m, 1, terms), density, size if left in (BF16, F32) else 1.0)
    right_values = random.standard_normal((stack, 1, columns, terms)) * (size if right in (BF16, F32) else 1.0)
    if special:
        right_values.flat[random.integers(0, right_values.size, 3)] = [np.inf, -np.inf, np.nan]
    right_values.flat[random.integers(0, right_values.size, 2)] = [0.0, -0.0]
    r_values = encode(right_values, right)
    if lies[1] == "rows":
        l_values = l_values.transpose(0, 3, 2, 1).copy().transpose(0, 3, 2, 1)
    if lies[2] == "columns":
        r_values = r_values.transpose(0, 1, 3, 2).copy().transpose(0, 1, 3, 2)
    memory = np.full((stack, m + 1, columns + lies[0]), BESIDE, np.float32)
    sums = memory[:, :m, :columns, None]
    sums[...] = random.choice(np.array([1.0, -0.0, 0.0, 2.0**-140, -3.5, np.inf], np.float32), sums.shape)
    nest = (stack, m, columns, terms), (True, True, True, False), F32
    operands = Operand(l_values, left), Operand(r_values, right)
    expected, counted = contract_ordered(None if fresh else sums, *operands, *nest)
    assert contract(sums, fresh, *operands, *nest) == counted
    assert sums.tobytes() == np.broadcast_to(expected, sums.shape).tobytes()
    assert (memory[:, m] == BESIDE).all() and (memory[:, :, columns:] == BESIDE).all()


@pytest.mark.compiled
def test_sums_of_f32_are_served_whatever_they_hold() -> None:
    """So that the test above does not compare the NumPy form with itself."""
    left, right = np.ones((3, 1, 20), np.float16), np.full((1, 18, 20), np.inf, np.float16)
    sums = np.full((3, 18, 1), -0.0, np.float32)
    call = contraction(sums, Operand(left, F16), Operand(right, F16), (3, 18, 20), (True, True, False), F32)
    assert call is not None and call(False) == left.size * 18


@pytest.mark.compiled
@pytest.mark.parametrize("columns", [16, 30, 64])
@pytest.mark.parametrize("value", [np.inf, np.nan, 1.0])
@pytest.mark.parametrize("before", [0.5, -0.0, np.inf])
def test_zeros_let_nothing_through_where_nearly_all_elements_are_summed(
    columns: int, value: float, before: float
) -> None:
    random = np.random.default_rng(2)
    rows, terms = 40, 24
    l_values = (random.random((terms, rows)) < 0.95).astype(np.uint8).T[:, None, :]
    l_values[3] = 0
    r_values = random.standard_normal((1, columns, terms)).astype(np.float16)
    r_values[0, columns - 1, 5] = value
    sums = np.full((rows, columns, 1), before, np.float32)
    sums[:, 0] = 1.0
    nest = (rows, columns, terms), (True, True, False), F32
    operands = Operand(l_values, SPIKE), Operand(r_values, F16)
    for fresh in (False, True):
        expected, counted = contract_ordered(None if fresh else sums, *operands, *nest)
        assert contract(sums, fresh, *operands, *nest) == counted
        assert sums.tobytes() == expected.tobytes()


@pytest.mark.compiled
@pytest.mark.parametrize("columns", [16, 48])
@pytest.mark.parametrize("fmt", [F16, F32], ids=str)
def test_a_sum_that_is_no_number_is_the_one_that_stands_for_all(columns: int, fmt: Format) -> None:
    """Whatever sign and payload the processor gives it, or it had before."""
    random = np.random.default_rng(3)
    rows, terms = 40, 24
    left, right = (random.standard_normal(shape) + 3.0 for shape in ((rows, 1, terms), (1, columns, terms)))
    left[::5, 0, 3], left[::5, 0, 9] = np.inf, -np.inf
    sums = np.full((rows, columns, 1), 0.5, np.float32)
    sums.view(np.uint32)[1::5] = 0xFFC01234
    nest = (rows, columns, terms), (True, True, False), F32
    operands = Operand(encode(left, fmt), fmt), Operand(encode(right, fmt), fmt)
    expected, counted = contract_ordered(sums, *operands, *nest)
    assert contract(sums, False, *operands, *nest) == counted
    assert sums.tobytes() == expected.tobytes()
    assert set(sums.view(np.uint32)[np.isnan(sums)].tolist()) == {0x7FC00000}


@pytest.mark.compiled
@pytest.mark.parametrize("columns", [16, 48, 128])
@pytest.mark.parametrize("density", [0.05, 1.0])
def test_sums_may_lie_where_an_operand_lies(columns: int, density: float) -> None:
    """All of an operand is read before the first sum is written."""
    random = np.random.default_rng(7)
    terms, rows = 20, 40
    memory = np.zeros((rows, columns), np.float32)
    r_values = memory.view(np.float16).reshape(-1)[: terms * columns].reshape(1, terms, columns).transpose(0, 2, 1)
    r_values[...] = random.standard_normal(r_values.shape)
    l_values = (random.random((rows, 1, terms)) < density).astype(np.uint8)
    operands = Operand(l_values, SPIKE), Operand(r_values, F16)
    nest = (rows, columns, terms), (True, True, False), F32
    expected, counted = contract_ordered(None, *operands, *nest)
    sums = memory[:, :, None]
    assert contract(sums, True, *operands, *nest) == counted
    assert sums.tobytes() == expected.tobytes()


def test_versions_for_other_machines_give_the_same_bits(other_version: str) -> None:
    assert compiled.vectors() == other_version
    test_sums_beside_each_other_are_those_of_numpy()
