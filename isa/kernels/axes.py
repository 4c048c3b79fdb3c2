"""Operands as compiled kernels take them: how they lie in memory, with axes of their own, joined where they can be."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...numerics.formats import BY_CODE, X128, Format

Shape = tuple[int, ...]
Axes = list[tuple[int, int]]

MOST_AXES = 16
"""`_operands.h` has it, too."""

SHARED, WALKED, INDEX = 64, 254, 255
"""Kinds of elements beside the numbers of formats, as in `_formats.h`: packed ones (and the number of their format),
addresses in the identity space, and integers of 64 bits."""

_A_RUN, _AN_ELEMENT = 12, 1
"""What it takes, about, to begin a run of elements, and to read one that does not stand beside the last."""


class Lying(NamedTuple):
    """An operand where it lies: the *kind* of its elements, and its axes; those of size 1 reach over any extent.

    Strides are in bytes, of packed elements in bits, of addresses in the identity space as they are.
    """

    kind: int
    shape: Shape
    strides: Shape

    @property
    def steps(self) -> Shape:
        """Strides, 0 where all elements are one."""
        return tuple(stride if size > 1 else 0 for size, stride in zip(self.shape, self.strides, strict=True))

    @property
    def unit(self) -> int:
        """The stride of elements side by side."""
        if self.kind >= WALKED:
            return 8
        return BY_CODE[self.kind % SHARED].bits if self.kind >= SHARED else BY_CODE[self.kind].bits // 8 or 1

    def fits(self, extents: Shape) -> bool:
        """Whether it has an element for each of *extents*."""
        sizes = zip(self.shape, extents, strict=False)
        return len(self.shape) == len(extents) and all(size in (1, extent) for size, extent in sizes)

    def without(self, axis: int) -> Lying:
        """The same without the axes from *axis* on, as its first elements along them lie."""
        return Lying(self.kind, self.shape[:axis], self.strides[:axis])


def lying_of(array: NDArray[Any], fmt: Format | None) -> Lying | None:
    """How storage lies, an element a byte at least; None for a type that is not the format's."""
    if array.dtype == np.int64 and (fmt is None or fmt.dtype != np.int64):
        return Lying(INDEX, array.shape, array.strides)
    if fmt is None or array.dtype != fmt.dtype:
        return None
    if fmt == X128:
        return Lying(fmt.code, array.shape[:-1], array.strides[:-1]) if array.strides[-1] == 8 else None
    return Lying(fmt.code, array.shape, array.strides)


def order_of(operands: Sequence[Lying | None], extents: Shape, last: int = 0) -> Shape:
    """All axes in an order in which one goes over the operands soon: long runs, side by side where they can be.

    So many of them stay *last*, as they are.
    """
    there = [one for one in operands if one is not None]
    steps = [one.steps for one in there]
    apart = [[abs(step) / one.unit for step in of] for one, of in zip(there, steps, strict=True)]
    widest = [max((of[axis] for of in apart), default=0.0) for axis in range(len(extents))]
    axes = range(len(extents) - last)
    behind = range(len(axes), len(extents))
    orders = {(*sorted(axes, key=lambda axis: -(of[axis] or widest[axis])), *behind) for of in [widest, *apart]}

    def cost(order: Shape) -> int:
        total = 0
        for one in there:
            extent, step = (axes_of(one, extents, order) or [(1, 0)])[-1]
            beside = step in (0, one.unit) or one.kind == WALKED
            total += prod(extents) // extent * _A_RUN + (0 if beside else prod(extents) * _AN_ELEMENT)
        return total

    return min(sorted(orders), key=cost)


def axes_of(operand: Lying | None, extents: Shape, order: Shape) -> Axes:
    """(extent, step) of the axes in this order, joined where one goes on where the other ends."""
    axes: Axes = []
    if operand is None:
        return axes
    steps = operand.steps
    for axis in order:
        extent, step = extents[axis], steps[axis]
        if extent == 1:
            continue
        if axes and axes[-1][1] == step * extent:
            axes[-1] = (axes[-1][0] * extent, step)
        else:
            axes.append((extent, step))
    return axes


def table(operands: Sequence[Axes]) -> NDArray[np.int64] | None:
    """Extents and then steps of every operand, equally many, as kernels read them; None where there are too many."""
    rank = max(1, *map(len, operands))
    if rank > MOST_AXES:
        return None
    return np.array([list(zip(*[(1, 0)] * (rank - len(of)), *of, strict=True)) for of in operands], np.int64)


def usual(scale: float) -> bool:
    """Whether a scale is an f32 value, finite and not zero, so that what is equal is the same."""
    with np.errstate(over="ignore"):
        return isfinite(scale) and scale != 0 and float(np.float32(scale)) == scale
