"""Draining by a compiled kernel (`_drain.c`).

None is answered where it does not serve, and the NumPy form in `drain.py` has to: which of them did it, no bit tells.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...numerics.exact import X64_UNIT_BITS, X128_UNIT_BITS
from ...numerics.formats import BF16, F16, F32, X64, X128, Format
from .axes import Lying, axes_of, back, order_of, table, usual
from .compiled import at, library

Array = NDArray[Any]
Shape = tuple[int, ...]

_UNITS = {X64: X64_UNIT_BITS, X128: X128_UNIT_BITS}
_FLOATS = (F16, BF16, F32)
_DOUBLE_BITS = 53


class _Plan(NamedTuple):
    """A call but for its addresses, the axes that it points to, the shape of the result as it lies and its way back."""

    call: bytes
    axes: Array
    laid: Shape
    back: Shape | None


def drained(
    acc: Array, acc_format: Format, scale: float, bias: tuple[Array, Format] | None, out: Format, shape: Shape
) -> Array | None:
    """What `drain.drain` answers, or None."""
    loaded = library()
    if loaded is None:
        return None
    added = None if bias is None else (Lying(bias[0].shape, bias[0].strides), bias[1])
    plan = _plan(Lying(acc.shape, acc.strides), acc_format, scale, added, out, shape)
    if plan is None:
        return None
    result = np.empty(plan.laid, out.dtype)
    if loaded.snnc_drain(plan.call, at(acc), 0 if bias is None else at(bias[0]), at(result)):
        return None
    return result if plan.back is None else result.transpose(plan.back)


@lru_cache(maxsize=4096)
def _plan(
    acc: Lying, fmt: Format, scale: float, bias: tuple[Lying, Format] | None, out: Format, shape: Shape
) -> _Plan | None:
    """How the kernel does it; None where it cannot."""
    if fmt == X128:
        if acc.strides[-1] != X128.bits // 16:
            return None
        acc = Lying(acc.shape[:-1], acc.strides[:-1])
    operands = [acc] if bias is None else [acc, bias[0]]
    formats = fmt in _UNITS or fmt in (F16, F32), out in _FLOATS, bias is None or bias[1] in _FLOATS
    fits = [size in (1, n) for one in operands for size, n in zip(one.shape, shape, strict=True)]
    if not all(formats) or not all(fits) or prod(shape) == 0 or not usual(scale):
        return None
    order = order_of(operands, shape)
    axes = table([axes_of(one, shape, order) for one in operands])
    if axes is None:
        return None
    numbers = axes.shape[2], prod(shape), fmt.code, -1 if bias is None else bias[1].code, out.code, _limit(scale)
    call = struct.pack("P6q2d", at(axes), *numbers, scale, scale * 2.0 ** -_UNITS.get(fmt, 0))
    return _Plan(call, axes, tuple(shape[axis] for axis in order), back(order))


def _limit(scale: float) -> int:
    """Smaller integers times the scale are exact in float64."""
    significant = abs(scale.as_integer_ratio()[0])
    significant >>= max((significant & -significant).bit_length() - 1, 0)
    return 1 << (_DOUBLE_BITS - significant.bit_length())
