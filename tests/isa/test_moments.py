"""Means and covariances of exact sums are the fractions that they stand for, rounded once."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnc.isa.kernels.contract import Operand, contract_exact
from snnc.isa.kernels.moments import comoment, mean
from snnc.numerics.exact import quotient, raise_flags, units_of, x64_from_float, x128_from_float
from snnc.numerics.formats import F16, F32, X64, X128

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
