"""Means and covariances on whole tensors, from sums of integers.

Values are integers of 2^-24 (f16, spikes and counts), cut into limbs so short that int64 holds every sum of products
of two of them; Python's integers put the sums together and divide once.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..ir.statement import Moments
from .layout import Array, Loops, place, seen
from .numbers import Numerics

_UNIT_BITS = 24
_LIMB_BITS = 14
_LIMBS = 3  # an f16 value has at most 41 bits of units

Integers = NDArray[np.int64]
Scales = tuple[float, float]


def run(
    statement: Moments, values: dict[str, Array], targets: dict[str, Array], numerics: Numerics, valid: int | None
) -> None:
    """Write both targets; *valid* samples take part, all where it is None."""
    loops: Loops = tuple((n, valid if n == "n" and valid is not None else e) for n, e in statement.loops)
    summed = tuple(axis for axis, (name, _) in enumerate(loops) if name in statement.summed)
    whole = tuple(extent for _, extent in loops)
    left = np.broadcast_to(seen(values[statement.left.value], statement.left, loops), whole)
    right = np.broadcast_to(seen(values[statement.right.value], statement.right, loops), whole)
    scales = numerics.factor(statement.scale), numerics.factor(statement.product_scale)
    compute = _mathematical if numerics.mathematical else _exact
    for access, found in zip((statement.mean, statement.comoment), compute(left, right, summed, scales), strict=True):
        if access.value:
            place(targets[access.value], access, statement.kept)[...] = numerics.edge(found, "f32")


def _mathematical(left: Array, right: Array, summed: tuple[int, ...], scales: Scales) -> tuple[Array, Array]:
    """(mean of left, covariance) in float64, around the means."""
    middle = left.mean(axis=summed, keepdims=True, dtype=np.float64)
    other = right.mean(axis=summed, keepdims=True, dtype=np.float64)
    return middle.squeeze(summed) * scales[0], ((left - middle) * (right - other)).mean(axis=summed) * scales[1]


def _exact(left: Array, right: Array, summed: tuple[int, ...], scales: Scales) -> tuple[Array, Array]:
    """(mean of left, covariance), each rounded to odd from the exact fraction."""
    count = int(np.prod([left.shape[axis] for axis in summed]))
    usual_left, usual_right = np.where(np.isfinite(left), left, 0), np.where(np.isfinite(right), right, 0)
    a, b = _units(usual_left), _units(usual_right)
    sums, others = a.sum(axis=summed).astype(object), b.sum(axis=summed).astype(object)
    products: Any = np.zeros(sums.shape, object)
    for k, a_limb in enumerate(_limbs(a)):
        for j, b_limb in enumerate(_limbs(b)):
            products = products + (a_limb * b_limb).sum(axis=summed).astype(object) * (1 << _LIMB_BITS * (k + j))
    means = _rounded(sums, Fraction(scales[0]) / (count << _UNIT_BITS))
    covariances = _rounded(products * count - sums * others, Fraction(scales[1]) / (count**2 << 2 * _UNIT_BITS))
    with np.errstate(invalid="ignore"):
        odd = np.where(np.isfinite(left), 0, left).sum(axis=summed)
        odd_right = np.where(np.isfinite(right), 0, right).sum(axis=summed)
    return np.where(odd != 0, odd * scales[0], means), np.where((odd != 0) | (odd_right != 0), np.nan, covariances)


def _units(values: Array) -> Integers:
    """Values as integers of 2^-24."""
    scaled = values.astype(np.float64) * 2.0**_UNIT_BITS
    units = scaled.astype(np.int64)
    assert np.array_equal(units, scaled), "a value is off its grid"
    return units


def _limbs(units: Integers) -> list[Integers]:
    """Limbs from the low end, the last one signed."""
    low = [(units >> (_LIMB_BITS * k)) & ((1 << _LIMB_BITS) - 1) for k in range(_LIMBS - 1)]
    return [*low, units >> (_LIMB_BITS * (_LIMBS - 1))]


def _rounded(units: Any, factor: Fraction) -> Array:
    """Each product as the float64 nearest to it among those of 40 bits, or the odd neighbour: rounds once to f32."""
    return np.array([_odd(int(unit) * factor) for unit in np.ravel(units)], np.float64).reshape(np.shape(units))


def _odd(value: Fraction) -> float:
    """*value* with 40 bits or a few more, the last one set where any are lost."""
    if not value:
        return 0.0
    shift = 40 - (abs(value.numerator).bit_length() - value.denominator.bit_length())
    scaled = value * Fraction(2) ** shift
    whole = abs(scaled.numerator) // scaled.denominator
    if whole * scaled.denominator != abs(scaled.numerator):
        whole |= 1
    return float(Fraction(whole) / Fraction(2) ** shift) * (1 if value > 0 else -1)
