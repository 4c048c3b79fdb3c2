"""exp, log, tanh and cos, the same bits on every IEEE host.

NumPy's own differ between processors and versions. These reduce the argument and sum a short series in float64 with
basic operations only (each rounded, none fused), and round to f32 at the end: the result is within one ulp of the
correctly rounded one, and the tests find it equal nearly always. Reductions after Cody and Waite, constants of fdlibm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import factorial, pi
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Singles: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]

_LN2_HIGH = 6.93147180369123816490e-01  # 32 bits: times an exponent it is exact
_LN2_LOW = 1.90821492927058770002e-10
_PER_LN2 = 1.44269504088896338700e00
_HALF_PI = (1.57079632673412561417e00, 6.07710050630396597660e-11, 2.02226624871116645580e-21)  # 33 bits each
_TWO_PER_PI = 6.36619772367581382433e-01
_COS_SERIES_LIMIT = 1e6  # up to here a quotient times 33 bits is exact
_TWO_PER_PI_BITS = 320
# floor(2/pi * 2^320)
_TWO_PER_PI_INTEGER = 0xA2F9836E4E441529FC2757D1F534DDC0DB6295993C439041FE5163ABDEBBC561B7246E3A424DD2E0

_EXP_TERMS = [1.0 / factorial(n) for n in range(1, 15)]
_LOG_TERMS = [2.0 / (2 * n + 1) for n in range(13)]
_COS_TERMS = [(-1.0) ** n / factorial(2 * n) for n in range(10)]
_SIN_TERMS = [(-1.0) ** n / factorial(2 * n + 1) for n in range(10)]


def exp(x: ArrayLike) -> Singles:
    """e^x in f32: 2^k (1 + p(r)) with x = k ln 2 + r."""
    single = np.asarray(x, np.float32)
    k, grown = _reduced_exponential(single, -120.0, 120.0)
    return _single(np.ldexp(1.0 + grown, k), np.isnan(single))


def log(x: ArrayLike) -> Singles:
    """Natural logarithm in f32; log(0) = -inf, NaN below zero."""
    single = np.asarray(x, np.float32)
    usual = np.isfinite(single) & (single > 0)
    mantissa, exponent = np.frexp(np.where(usual, single, 1.0).astype(np.float64))
    small = mantissa < 0.70710678118654752440
    mantissa = np.where(small, mantissa * 2.0, mantissa)
    exponent = (exponent - small).astype(np.float64)
    s = (mantissa - 1.0) / (mantissa + 1.0)
    value = exponent * _LN2_HIGH + (s * _series(s * s, _LOG_TERMS) + exponent * _LN2_LOW)
    value = np.where(usual, value, np.where(single == 0, -np.inf, np.inf))
    return _single(value, np.isnan(single) | (single < 0))


def tanh(x: ArrayLike) -> Singles:
    """Hyperbolic tangent in f32: (e^2x - 1) / (e^2x + 1), odd to the bit."""
    single = np.asarray(x, np.float32)
    number = np.where(np.isnan(single), np.float32(0.0), single).astype(np.float64)
    k, grown = _reduced_exponential(2.0 * np.abs(number), 0.0, 60.0)
    power = np.ldexp(1.0, k)
    less_one = power * grown + (power - 1.0)
    return _single(np.copysign(less_one / (less_one + 2.0), number), np.isnan(single))


def cos(x: ArrayLike) -> Singles:
    """Cosine in f32 of x in radians; NaN of inf. Arguments beyond 10^6 are reduced one by one, slowly."""
    single = np.asarray(x, np.float32)
    usual = np.abs(single) <= _COS_SERIES_LIMIT
    argument = np.where(usual, single, 0.0).astype(np.float64)
    quotient = np.rint(argument * _TWO_PER_PI)
    rest = np.array(((argument - quotient * _HALF_PI[0]) - quotient * _HALF_PI[1]) - quotient * _HALF_PI[2])
    quarter = np.array(quotient.astype(np.int64) & 3)
    for at in np.argwhere(~usual & np.isfinite(single)):
        place = tuple(at)
        quarter[place], rest[place] = _reduced_angle(float(single[place]))
    square = rest * rest
    value = np.where(quarter & 1, rest * _series(square, _SIN_TERMS), _series(square, _COS_TERMS))
    return _single(np.where((quarter == 1) | (quarter == 2), -value, value), ~np.isfinite(single))


def sqrt(x: ArrayLike) -> Singles:
    """Square root in f32, correctly rounded by the hardware; NaN below zero, made canonical here."""
    single = np.asarray(x, np.float32)
    with np.errstate(invalid="ignore"):
        root = np.asarray(np.sqrt(single), np.float32)
        if not root.size or root.max() == root.max():  # NaN is the largest of all
            return root
    return np.where(np.isnan(root), np.float32(np.nan), root)


FUNCTIONS: dict[str, Callable[[ArrayLike], Singles]] = {"exp": exp, "log": log, "tanh": tanh, "cos": cos, "sqrt": sqrt}


def _series(x: Doubles, terms: Sequence[float]) -> Doubles:
    """terms[0] + terms[1] x + terms[2] x^2 + ..., by Horner's rule."""
    value = np.full_like(x, terms[-1])
    for term in reversed(terms[:-1]):
        value = value * x + term
    return value


def _reduced_exponential(x: NDArray[np.floating], least: float, most: float) -> tuple[NDArray[np.int32], Doubles]:
    """(k, e^r - 1) with x = k ln 2 + r and |r| <= ln 2 / 2; x is first held in least..most, NaN counts as 0."""
    held = np.clip(np.where(np.isnan(x), 0.0, x).astype(np.float64), least, most)
    k = np.rint(held * _PER_LN2)
    r = (held - k * _LN2_HIGH) - k * _LN2_LOW
    return k.astype(np.int32), r * _series(r, _EXP_TERMS)


def _reduced_angle(x: float) -> tuple[int, float]:
    """(quarter turns modulo 4, rest in radians) of a large x, with 2/pi to 320 bits (after Payne and Hanek)."""
    top, bottom = x.as_integer_ratio()
    turns = top * _TWO_PER_PI_INTEGER // bottom
    quotient = (turns + (1 << (_TWO_PER_PI_BITS - 1))) >> _TWO_PER_PI_BITS
    rest = (turns - (quotient << _TWO_PER_PI_BITS)) / (1 << _TWO_PER_PI_BITS)
    return quotient & 3, rest * (pi / 2)


def _single(value: Doubles, invalid: NDArray[np.bool_]) -> Singles:
    """`value` rounded to f32, with the canonical NaN where `invalid`."""
    with np.errstate(over="ignore", under="ignore"):
        return np.where(invalid, np.float32(np.nan), value.astype(np.float32))
