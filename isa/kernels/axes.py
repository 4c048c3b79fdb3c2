"""Operands as compiled kernels take them: how they lie in memory, with axes of their own, joined where they can be."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]
Axes = list[tuple[int, int]]

MOST_AXES = 16
"""`_operands.h` has it, too."""


class Lying(NamedTuple):
    """The axes of an array, strides in bytes; those of size 1 reach over any extent."""

    shape: Shape
    strides: Shape


def order_of(operands: Sequence[Lying | None], extents: Shape) -> Shape:
    """All axes in the order in which the largest operand lies, its nearest elements last."""
    there = [one for one in operands if one is not None]
    if not there:
        return tuple(range(len(extents)))
    largest = max(there, key=lambda one: sum(size > 1 for size in one.shape))
    long = [axis for axis, extent in enumerate(extents) if extent > 1]
    lying = iter(sorted(long, key=lambda axis: -abs(largest.strides[axis])))
    return tuple(next(lying) if extent > 1 else axis for axis, extent in enumerate(extents))


def back(order: Shape) -> Shape | None:
    """How axes in this order come back; None where they are in order."""
    return None if order == tuple(range(len(order))) else tuple(np.argsort(order).tolist())


def axes_of(operand: Lying | None, extents: Shape, order: Shape) -> Axes:
    """(extent, step in bytes) of the axes in this order, joined where one goes on where the other ends."""
    axes: Axes = []
    if operand is None:
        return axes
    for axis in order:
        extent, step = extents[axis], operand.strides[axis] if operand.shape[axis] > 1 else 0
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
