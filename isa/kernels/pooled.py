"""Sums of windows by a compiled kernel (`_window.c`).

None is answered where it does not serve, and the NumPy form in `window.py` has to: which of them did it, no bit tells.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...numerics.formats import BF16, F16, F32, Format
from .axes import Lying, axes_of, back, order_of, table, usual
from .compiled import at, library

Array = NDArray[Any]
Shape = tuple[int, ...]

_FLOATS = (F16, BF16, F32)
_EXACT = 1 << 24  # up to here f32 holds every integer


class _Plan(NamedTuple):
    """A call but for its addresses, the arrays that it points to, the shape of the result as it lies, its way back."""

    call: bytes
    arrays: tuple[Array, Array]
    laid: Shape
    back: Shape | None


def pooled(source: Array, fmt: Format, outer: Shape, window: Shape, scale: float, out: Format) -> Array | None:
    """What `window.pool_sum` answers, or None."""
    loaded = library()
    if loaded is None or source.dtype != fmt.dtype:
        return None
    plan = _plan(Lying(source.shape, source.strides), fmt, outer, window, scale, out)
    if plan is None:
        return None
    result = np.empty(plan.laid, out.dtype)
    loaded.snnc_pool_sum(plan.call, at(source), at(result))
    return result if plan.back is None else result.transpose(plan.back)


@lru_cache(maxsize=4096)
def _plan(source: Lying, fmt: Format, outer: Shape, window: Shape, scale: float, out: Format) -> _Plan | None:
    """How the kernel does it; None where it cannot."""
    exact = fmt.kind in ("bit", "unsigned") and fmt.maximum * prod(window) < _EXACT
    fits = all(size in (1, extent) for size, extent in zip(source.shape, outer + window, strict=True))
    if not (exact or fmt in _FLOATS) or out not in _FLOATS or not fits or prod(outer) == 0 or not usual(scale):
        return None
    rank = len(outer)
    within = [
        stride if size > 1 else 0 for size, stride in zip(source.shape[rank:], source.strides[rank:], strict=True)
    ]
    places = [sum(k * step for k, step in zip(place, within, strict=True)) for place in np.ndindex(*window)]
    taps = np.array(places, np.int64)
    first = Lying(source.shape[:rank], source.strides[:rank])
    order = order_of([first], outer)
    axes = table([axes_of(first, outer, order)])
    if axes is None:
        return None
    numbers = axes.shape[2], len(taps), prod(outer), fmt.code, out.code
    call = struct.pack("2P5qd", at(axes), at(taps), *numbers, scale)
    return _Plan(call, (axes, taps), tuple(outer[axis] for axis in order), back(order))
