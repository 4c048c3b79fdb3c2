"""Means and covariances of exact sums are the fractions that they stand for, rounded once; those of f64 sums near."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnc.isa.kernels.contract import contract_exact, contract_ordered
from snnc.isa.kernels.moments import comoment, mean, rounded_comoment
from snnc.isa.kernels.nest import Operand
from snnc.numerics.exact import quotient, raise_flags, units_of, x64_from_float, x128_from_float
from snnc.numerics.formats import F16, F32, F64, X64, X128

HALVES = st.floats(width=16, allow_nan=False, allow_infinity=False)


def nearest(value: Fraction) -> float:
    """The f32 nearest to a fraction, ties to even, by trying the neighbours of a float64."""
    guess = np.float32(float(value))
    if not np.isfinite(guess):
        return float(guess)
    near = [np.nextafter(guess, np.float32(-np.inf)), guess, np.nextafter(guess, np.float32(np.inf))]
    held = [float(candidate) for candidate in near if np.isfinite(candidate)]
    best = min(abs(Fraction(candidate) - value) for candidate in held)
    ties = [candidate for candidate in held if abs(Fraction(candidate) - value) == best]
    even = [candidate for candidate in ties if not np.float32(candidate).view(np.uint32) & 1]
    return ties[0] if len(ties) == 1 else even[0]


def sums(values: list[float], others: list[float]) -> list[np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    """(sum of values, sum of others, sum of products) as the engine forms them."""
    left, right = (Operand(np.array(part, np.float16), F16) for part in (values, others))
    extents, kept = (len(values),), (False,)
    singles = [contract_exact(None, each, extents, kept, X64)[0] for each in (left, right)]
    return [*singles, contract_exact(left, right, extents, kept, X128)[0]]


@given(
    st.lists(st.tuples(HALVES, HALVES), min_size=1, max_size=20), st.sampled_from([1.0, 0.25, float(np.float32(1 / 9))])
)
def test_a_mean_and_a_covariance_are_their_fractions(pairs: list[tuple[float, float]], scale: float) -> None:
    left, right = [a for a, _ in pairs], [b for _, b in pairs]
    a, b, cross = sums(left, right)
    count = len(pairs)
    total, other = sum(map(Fraction, left), Fraction()), sum(map(Fraction, right), Fraction())
    products = sum((Fraction(x) * Fraction(y) for x, y in pairs), Fraction())
    covariance = (count * products - total * other) / count**2
    with np.errstate(over="ignore"):
        assert mean(a, X64, count, scale, F32, (1,)).tolist() == [nearest(total / count * Fraction(scale))]
        assert comoment(cross, a, b, count, scale, F32, (1,)).tolist() == [nearest(covariance * Fraction(scale))]


@given(st.integers(-(2**200), 2**200), st.integers(1, 2**180))
def test_a_quotient_rounds_once_more_to_the_nearest(top: int, bottom: int) -> None:
    with np.errstate(over="ignore"):
        assert float(np.float32(quotient(top, bottom))) == nearest(Fraction(top, bottom))


@given(st.integers(-(2**62), 2**62), st.integers(-(2**120), 2**120))
def test_accumulators_are_python_integers(narrow: int, wide: int) -> None:
    units, special = units_of(np.array([narrow], np.int64), X64)
    assert (units.tolist(), special.tolist()) == ([narrow], [0.0])
    words = np.array([[wide & (2**64 - 1), (wide >> 64) & (2**64 - 1)]], np.uint64)
    assert units_of(words, X128)[0].tolist() == [wide]


def test_what_is_not_finite_shows() -> None:
    one = x64_from_float(np.array([1.0]))
    up = raise_flags(one, X64, np.array([np.inf]))
    assert mean(up, X64, 3, 1.0, F32, (1,)).tolist() == [np.inf]
    cross = x128_from_float(np.array([1.0]))
    assert np.isnan(comoment(cross, up, one, 3, 1.0, F32, (1,))).all()
    assert np.isnan(comoment(raise_flags(cross, X128, np.array([np.nan])), one, one, 3, 1.0, F32, (1,))).all()


def test_a_variance_does_not_suffer_from_a_large_mean() -> None:
    """60000 and 60032 are neighbours in f16; in float64 their squares' sum still loses nothing, in f32 everything."""
    values = [60000.0, 60032.0, 60000.0, 60032.0]
    a, _, cross = sums(values, values)
    assert comoment(cross, a, a, 4, 1.0, F32, (1,)).tolist() == [256.0]


def test_only_exact_accumulators_have_units() -> None:
    with pytest.raises(ValueError, match="f32 is no exact accumulator"):
        units_of(np.zeros(1, np.float32), F32)


SINGLES = st.floats(-(2.0**20), 2.0**20, width=32).map(lambda value: 0.0 if abs(value) < 2.0**-60 else value)


def rounded_sums(values: list[float], others: list[float]) -> list[np.ndarray[tuple[int, ...], np.dtype[np.generic]]]:
    """(sum of values, sum of others, sum of products) in f64, as the engine forms them of f32 factors."""
    left, right = (Operand(np.array(part, np.float32), F32) for part in (values, others))
    extents, kept = (len(values),), (False,)
    singles = [contract_ordered(None, None, each, extents, kept, F64)[0] for each in (left, right)]
    return [*singles, contract_ordered(None, left, right, extents, kept, F64)[0]]


@given(
    st.lists(st.tuples(SINGLES, SINGLES), min_size=1, max_size=20),
    st.sampled_from([1.0, 0.25, float(np.float32(1 / 9))]),
)
def test_moments_of_f64_sums_round_every_operation(pairs: list[tuple[float, float]], scale: float) -> None:
    """Python's floats are f64; the fraction is as near as 20 terms and as many roundings let it be."""
    left, right = [a for a, _ in pairs], [b for _, b in pairs]
    a, b, cross = rounded_sums(left, right)
    count = len(pairs)
    total = other = products = 0.0
    for x, y in pairs:
        total, other, products = total + x, other + y, products + x * y
    assert mean(a, F64, count, scale, F32, (1,)).tolist() == [np.float32(total / count * scale)]
    covariance = (count * products - total * other) / count**2
    found = rounded_comoment(cross, a, b, count, scale, False, F32, (1,))
    assert found.tolist() == [np.float32(covariance * scale)]
    exact = Fraction(sum(Fraction(x) * Fraction(y) for x, y in pairs), count)
    exact -= Fraction(sum(map(Fraction, left), Fraction()) * sum(map(Fraction, right), Fraction()), count**2)
    magnitude = float(sum(abs(Fraction(x) * Fraction(y)) for x, y in pairs))
    spread = sum(map(abs, left)) * sum(map(abs, right))
    assert abs(covariance - float(exact)) <= 2.0**-47 * (magnitude + spread)


@given(SINGLES, st.integers(1, 80))
def test_a_variance_of_f64_sums_is_never_below_zero(value: float, count: int) -> None:
    a, b, cross = rounded_sums([value] * count, [value] * count)
    found = rounded_comoment(cross, a, b, count, 1.0, True, F32, (1,))[0]
    assert 0 <= found <= 2.0**-44 * value * value


def test_the_variance_of_equal_terms_may_round_below_zero() -> None:
    """0.1 in f32, 53 times: a variance has to be kept above zero."""
    a, b, cross = rounded_sums([float(np.float32(0.1))] * 53, [float(np.float32(0.1))] * 53)
    signed, variance = (float(rounded_comoment(cross, a, b, 53, 1.0, one, F32, (1,))[0]) for one in (False, True))
    assert signed < 0 == variance


def test_what_is_not_finite_in_f64_sums_shows() -> None:
    a, b, cross = rounded_sums([np.inf, 1.0], [0.0, 1.0])
    assert mean(a, F64, 2, 0.5, F32, (1,)).tolist() == [np.inf]
    assert np.isnan(rounded_comoment(cross, a, b, 2, 1.0, False, F32, (1,))).all()
    a, b, cross = rounded_sums([0.0, 1.0], [np.inf, 1.0])
    assert np.isfinite(cross).all()  # a zero gates infinity
    assert np.isnan(rounded_comoment(cross, a, b, 2, 1.0, False, F32, (1,))).all()
