"""Draining by a compiled kernel (`_drain.h`).

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
from .axes import Lying, axes_of, lying_of, order_of, table, usual
from .compiled import Call, at, library

Array = NDArray[Any]
Shape = tuple[int, ...]

_UNITS = {X64.code: X64_UNIT_BITS, X128.code: X128_UNIT_BITS}
_ACCUMULATORS = {*_UNITS, F16.code, F32.code}
_FLOATS = {F16.code, BF16.code, F32.code}
_DOUBLE_BITS = 53


class Plan(NamedTuple):
    """A drain of operands that lie in one way: what the kernel reads of it."""

    call: Call

    def done(self, places: bytes) -> bool:
        """Whether the kernel did it; accumulators, results and the bias, if there is one, begin at *places*."""
        loaded = library()
        return loaded is not None and not loaded.snnc_drain(self.call, places)


def drained(
    acc: Array, acc_format: Format, scale: float, bias: tuple[Array, Format] | None, out: Format, shape: Shape
) -> Array | None:
    """What `drain.drain` answers, or None."""
    if library() is None:
        return None
    result = np.empty(shape, out.dtype)
    pairs = [(acc, acc_format), (result, out), *([] if bias is None else [bias])]
    plan = plan_of(tuple([lying_of(*pair) for pair in pairs]), scale, shape)
    places = struct.pack(f"{len(pairs)}q", *[at(array) for array, _ in pairs])
    return result if plan is not None and plan.done(places) else None


@lru_cache(maxsize=4096)
def plan_of(operands: tuple[Lying | None, ...], scale: float, shape: Shape) -> Plan | None:
    """How the kernel does it, of accumulators, results and a bias, if there is one; None where it cannot."""
    lying = [one for one in operands if one is not None and one.fits(shape)]
    if len(lying) < len(operands) or prod(shape) == 0 or not usual(scale):
        return None
    acc, out, bias = lying[0].kind, lying[1].kind, lying[2].kind if len(lying) > 2 else -1
    if acc not in _ACCUMULATORS or out not in _FLOATS or bias not in (-1, *_FLOATS) or lying[1].shape != shape:
        return None
    order = order_of(lying, shape)
    axes = table([axes_of(one, shape, order) for one in lying])
    if axes is None:
        return None
    numbers = axes.shape[2], prod(shape), acc, out, bias, _limit(scale)
    call = struct.pack("P6q2d", at(axes), *numbers, scale, scale * 2.0 ** -_UNITS.get(acc, 0))
    return Plan(Call.of(call, axes))


def _limit(scale: float) -> int:
    """Smaller integers times the scale are exact in float64."""
    significant = abs(scale.as_integer_ratio()[0])
    significant >>= max((significant & -significant).bit_length() - 1, 0)
    return 1 << (_DOUBLE_BITS - significant.bit_length())
