"""Means and covariances on whole tensors, from sums of integers, or in order where bf16 or f32 values are summed.

Other values are integers of 2^-24 (f16, spikes and counts), cut into limbs so short that int64 holds every sum of
products of two of them; Python's integers put the sums together and divide once.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...numerics.formats import BF16, F32
from ..ir.statement import Moments
from .layout import Array, Loops, Types, place, seen
from .numbers import Numerics

_UNIT_BITS = 24
_LIMB_BITS = 14
_LIMBS = 3  # an f16 value has at most 41 bits of units

Integers = NDArray[np.int64]
Scales = tuple[float, float]


def run(
    statement: Moments,
    values: dict[str, Array],
    targets: dict[str, Array],
    types: Types,
    numerics: Numerics,
    valid: int | None,
) -> None:
    """Write both targets; *valid* samples take part, all where it is None."""
    loops: Loops = tuple((n, valid if n == "n" and valid is not None else e) for n, e in statement.loops)
    summed = tuple(axis for axis, (name, _) in enumerate(loops) if name in statement.summed)
    whole = tuple(extent for _, extent in loops)
    left = np.broadcast_to(seen(values[statement.left.value], statement.left, loops), whole)
    right = np.broadcast_to(seen(values[statement.right.value], statement.right, loops), whole)
    scales = numerics.factor(statement.scale), numerics.factor(statement.product_scale)
    rounds = any(types[access.value].kind in (BF16, F32) for access in (statement.left, statement.right))
    if numerics.mathematical:
        made = _mathematical(left, right, summed, scales)
    elif rounds:
        order = tuple(next(k for k, (name, _) in enumerate(loops) if name == each) for each in statement.summed)
        made = _ordered(left, right, order, scales, statement.variance)
    else:
        made = _exact(left, right, summed, scales)
    for access, found in zip((statement.mean, statement.comoment), made, strict=True):
        if access.value:
            place(targets[access.value], access, statement.kept)[...] = numerics.edge(found, "f32")


def _mathematical(left: Array, right: Array, summed: tuple[int, ...], scales: Scales) -> tuple[Array, Array]:
    """(mean of left, covariance) in float64, around the means."""
    middle = left.mean(axis=summed, keepdims=True, dtype=np.float64)
    other = right.mean(axis=summed, keepdims=True, dtype=np.float64)
    return middle.squeeze(summed) * scales[0], ((left - middle) * (right - other)).mean(axis=summed) * scales[1]


def _ordered(left: Array, right: Array, order: tuple[int, ...], scales: Scales, variance: bool) -> tuple[Array, Array]:
    """(mean of left, covariance) from f64 sums, the last axis of *order* fastest; every operation rounds to f64."""
    kept = tuple(axis for axis in range(left.ndim) if axis not in order)
    shape = tuple(left.shape[axis] for axis in kept)

    def total(terms: Array) -> Array:
        """The running sum at its end: unlike np.sum, it adds one term after the other."""
        rows = terms.transpose(kept + order).reshape(*shape, -1)
        return np.add.accumulate(rows, axis=-1)[..., -1] + 0.0

    a, b = left.astype(np.float64), right.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        sums = total(a), total(b), total(np.where(a == 0, -0.0, a * b))
        count = float(left.size // max(sums[0].size, 1))
        covariance = (count * sums[2] - sums[0] * sums[1]) / (count * count)
        if variance:
            covariance = np.where(covariance < 0, 0.0, covariance)
        odd = ~np.isfinite(np.stack(sums)).all(axis=0)
        return sums[0] / count * scales[0], np.where(odd, np.nan, covariance * scales[1])


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
