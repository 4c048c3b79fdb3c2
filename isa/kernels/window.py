"""Window reductions: the largest of a window, its sum, and the way back to the element that was the largest.

Arrays have the axes of the output and then those of the window; an axis that an array does not depend on has size 1.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...numerics.formats import Format, decode, encode
from .pooled import pooled

Array = NDArray[Any]


@lru_cache(maxsize=4096)
def taps_within(
    outer: int, window: int, begin: int, outer_stride: int, window_stride: int, unit: int, bound: int
) -> NDArray[np.bool_]:
    """[k, r]: whether position ``begin + (k * outer_stride + r * window_stride) / unit`` lies in 0 .. bound - 1."""
    walked = np.arange(outer)[:, None] * outer_stride + np.arange(window)[None, :] * window_stride
    position = begin + walked // unit
    return (position >= 0) & (position < bound)


def pool_max(
    source: Array, source_format: Format, outer: tuple[int, ...], window: tuple[int, ...], exists: Array | None
) -> tuple[Array, NDArray[np.int64]]:
    """(largest value, its tap) of each window; ties take the first tap, NaN is larger than all, the first NaN wins.

    *exists* (axes as *source*) says which taps there are, None means all; a window without any gives 0 and tap 0.
    """
    shape = outer + window
    values = source if source_format.kind in ("bit", "unsigned") else decode(source, source_format)
    values = np.broadcast_to(values, shape)
    there = None if exists is None else np.broadcast_to(exists, shape)
    floating = values.dtype.kind == "f"
    best = np.zeros(outer, values.dtype)
    tap = np.zeros(outer, np.int64)
    found = np.zeros(outer, np.bool_)
    for number, place in enumerate(np.ndindex(*window)):
        value = values[(..., *place)]
        better = ~found | (value > best)
        if floating:
            better |= np.isnan(value) & ~np.isnan(best)
        if there is not None:
            better &= there[(..., *place)]
        best = np.where(better, value, best)
        tap[better] = number
        found |= better
    return best, tap


def pool_sum(
    source: Array, source_format: Format, outer: tuple[int, ...], window: tuple[int, ...], scale: float, out: Format
) -> Array:
    """scale * the sum of each window as storage of *out*: the sum exact for bits and counts, else f32 from +0 in
    ascending tap order; the product is rounded once.  ValueError where *out* is unsigned and *scale* is not 1.
    """
    shape = outer + window
    axes = tuple(range(len(outer), len(shape)))
    if out.kind in ("bit", "unsigned") and scale != 1.0:
        raise ValueError(f"a sum for {out.name} cannot be scaled by {scale}")
    made = pooled(source, source_format, outer, window, scale, out)
    if made is not None:
        return made
    if source_format.kind in ("bit", "unsigned"):
        total: Array = np.broadcast_to(source, shape).sum(axis=axes, dtype=np.int64)
        if out.kind in ("bit", "unsigned"):
            return encode(total, out)
    else:
        values = np.broadcast_to(decode(source, source_format).astype(np.float32), shape)
        total = np.zeros(outer, np.float32)
        with np.errstate(all="ignore"):
            for place in np.ndindex(*window):
                total = total + values[(..., *place)]
    with np.errstate(all="ignore"):
        return encode(total.astype(np.float64) * scale, out)


def unpool(
    tap: Array,
    source: Array,
    source_format: Format,
    outer: tuple[int, ...],
    window: tuple[int, ...],
    first: int,
    steps: tuple[int, ...],
    out: Format,
) -> Array:
    """The sum of the errors whose window chose this element: f32 from +0, in ascending order of the tap sought.

    Window position ``(i, j)`` seeks tap ``first + i * steps[0] + j * steps[1]``.
    """
    shape = outer + window
    taps = np.broadcast_to(tap, shape)
    errors = np.broadcast_to(decode(source, source_format).astype(np.float32), shape)
    total = np.zeros(outer, np.float32)
    places = [
        (first + sum(k * step for k, step in zip(place, steps, strict=False)), place)
        for place in product(*map(range, window))
    ]
    with np.errstate(all="ignore"):
        for sought, place in sorted(places):
            total = total + np.where(taps[(..., *place)] == sought, errors[(..., *place)], np.float32(0))
    return encode(total, out)
