"""Moments by a compiled kernel (`_moments.h`), of exact sums.

None is answered where it does not serve, and the NumPy forms in `moments.py` have to: which of them did it, no bit
tells.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from math import prod
from typing import NamedTuple

from ...numerics.exact import X64_UNIT_BITS, X128_UNIT_BITS
from ...numerics.formats import BF16, F16, F32, X64, X128
from .axes import Lying, axes_of, order_of, table, usual
from .compiled import Call, at, library

Shape = tuple[int, ...]

_MOST_BITS = 31  # of a number of terms
_OUT = {F16.code, BF16.code, F32.code}


class Plan(NamedTuple):
    """A mean of sums, or a covariance of three kinds of them, that lie in one way."""

    kernel: str
    call: Call

    def done(self, places: bytes, count: int) -> bool:
        """Whether the kernel did it, of *count* terms; sums, and then results, begin at *places*."""
        loaded = library()
        if loaded is None or count.bit_length() > _MOST_BITS:
            return False
        return not getattr(loaded, self.kernel)(self.call, places, count)


@lru_cache(maxsize=4096)
def plan_of(operands: tuple[Lying, ...], scale: float, shape: Shape) -> Plan | None:
    """How the kernel does it; None where it cannot."""
    *sums, out = operands
    kinds = [one.kind for one in sums]
    if kinds not in ([X64.code], [X128.code], [X128.code, X64.code, X64.code]) or out.kind not in _OUT:
        return None
    if not all(one.fits(shape) for one in operands) or out.shape != shape or prod(shape) == 0 or not usual(scale):
        return None
    factor, bottom = scale.as_integer_ratio()
    unit = X64_UNIT_BITS if kinds == [X64.code] else X128_UNIT_BITS
    exponent = -unit - (bottom.bit_length() - 1)
    order = order_of(operands, shape)
    axes = table([axes_of(one, shape, order) for one in operands])
    if axes is None or abs(factor).bit_length() > 24 or exponent < -250:
        return None
    formats = [*kinds, out.kind, *[0] * 4][:4]
    call = struct.pack("P8q", at(axes), axes.shape[2], prod(shape), *formats, factor, exponent)
    return Plan("snnc_mean" if len(sums) == 1 else "snnc_comoment", Call.of(call, axes))
