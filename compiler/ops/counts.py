"""Counts: values that stay unsigned integers with a scale beside them, as long as an engine takes them on its left."""

from __future__ import annotations

from ...numerics.formats import SPIKE, U2, U4, U8
from ..ir.types import Type
from .site import WORKING

COUNTS = (SPIKE, U2, U4, U8)
"""The unsigned formats that engines gate sums with, one pass a bit; what needs more is a word of the working format."""


def counted(type: Type, terms: int, divisor: int | None = None) -> Type:
    """The type of a sum of *terms* elements of *type* over *divisor*, or of their mean: counts with a scale, or floats.

    A sum that no format of `COUNTS` holds is divided and rounded at once, as that of numbers is.
    """
    if type.kind.kind in ("bit", "unsigned"):
        for form in COUNTS:
            if type.kind.maximum * terms <= form.maximum:
                return type.with_(format=form.name, scale=type.scale / (divisor or terms))
    return type.with_(format=WORKING, scale=1.0)


def joined(a: Type, b: Type, boundary: int) -> tuple[str, float]:
    """Format and scale in which elements of both types stand side by side, those of b from *boundary* on in a row.

    Counts stay counts where one scale is a whole multiple of the other and the larger number fits into one of
    `COUNTS`: the narrowest in which b begins at a byte, since memories move whole bytes of packed rows.
    """
    if all(type.kind.kind in ("bit", "unsigned") for type in (a, b)):
        scale = min(a.scale, b.scale)
        ratios = [type.scale / scale for type in (a, b)]
        if all(ratio.is_integer() for ratio in ratios):
            largest = max(type.kind.maximum * int(ratio) for type, ratio in zip((a, b), ratios, strict=True))
            for form in COUNTS:
                if largest <= form.maximum and boundary * form.bits % 8 == 0:
                    return form.name, scale
    return WORKING, 1.0
