"""Moments of sums: a mean, and a variance or covariance.

Of exact sums each is one division of integers and one rounding.  Of f64 sums, which machines keep of bf16 and f32
factors, every operation rounds to f64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...numerics.exact import X64_UNIT_BITS, X128_UNIT_BITS, quotient, units_of
from ...numerics.formats import F64, X64, X128, Format, encode

Array = NDArray[Any]


def mean(total: Array, fmt: Format, count: int, scale: float, out: Format, shape: tuple[int, ...]) -> Array:
    """round(scale * total / count) as storage of *out*; *total* (accumulators of *fmt*) broadcasts to *shape*.

    An inf or a NaN among the terms comes out, times *scale*.
    """
    if fmt == F64:
        with np.errstate(invalid="ignore"):
            return encode(np.broadcast_to(total / count * scale, shape), out)
    units, special = units_of(total, fmt)
    top, bottom = scale.as_integer_ratio()
    bottom *= count << (X64_UNIT_BITS if fmt == X64 else X128_UNIT_BITS)
    found = np.array([quotient(int(unit) * top, bottom) for unit in units.flat]).reshape(units.shape)
    return encode(np.broadcast_to(np.where(special != 0, special * scale, found), shape), out)


def comoment(
    cross: Array, left: Array, right: Array, count: int, scale: float, out: Format, shape: tuple[int, ...]
) -> Array:
    """round(scale * (count * cross - left * right) / count^2) as storage of *out*: the covariance of *count* pairs.

    *cross* are x128 sums of products, *left* and *right* x64 sums; all broadcast to *shape*.  NaN where any term was
    inf or NaN.
    """
    parts = [units_of(sums, fmt) for sums, fmt in ((cross, X128), (left, X64), (right, X64))]
    (products, _), (lefts, _), (rights, _) = parts
    factor, bottom = scale.as_integer_ratio()
    bottom *= (count * count) << X128_UNIT_BITS
    tops = np.asarray(products * count - lefts * rights, object)
    found = np.array([quotient(int(top) * factor, bottom) for top in tops.flat]).reshape(tops.shape)
    odd = np.any(np.stack(np.broadcast_arrays(*(special != 0 for _, special in parts))), axis=0)
    return encode(np.broadcast_to(np.where(odd, np.nan, found), shape), out)


def rounded_comoment(
    cross: Array,
    left: Array,
    right: Array,
    count: int,
    scale: float,
    variance: bool,
    out: Format,
    shape: tuple[int, ...],
) -> Array:
    """The same of f64 sums: scale * ((count * cross - left * right) / count^2); a *variance* is at least 0."""
    with np.errstate(all="ignore"):
        found = (cross * count - left * right) / (float(count) * count)
        if variance:
            found = np.where(found < 0, 0.0, found)
        finite = np.isfinite(cross) & np.isfinite(left) & np.isfinite(right)
        return encode(np.broadcast_to(np.where(finite, found * scale, np.nan), shape), out)
