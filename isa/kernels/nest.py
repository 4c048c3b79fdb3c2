"""Loop nests of contractions, and how they become matrices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...numerics.formats import Format, unpack
from .compiled import at

Array = NDArray[Any]
Shape = tuple[int, ...]
Lies = tuple[Shape, Shape]
"""How elements lie: an axis a loop, and the bytes from one to the next; of packed elements, so many of these."""


@dataclass(frozen=True)
class Operand:
    """A storage array and its format."""

    storage: Array
    format: Format

    @property
    def lies(self) -> Lies:
        """Its shape and strides."""
        return self.storage.shape, self.storage.strides

    @cached_property
    def address(self) -> int:
        """Where the first element lies."""
        return at(self.storage)


@dataclass(frozen=True)
class PackedOperand:
    """An operand of packed elements, all within *bytes*: number *first* is where all loops begin, *steps* are elements.

    Kernels read them where they lie; for NumPy `storage` unpacks them, an element a byte.
    """

    bytes: Array
    first: int
    shape: Shape
    steps: Shape
    format: Format

    @property
    def lies(self) -> Lies:
        """Its shape and steps."""
        return self.shape, self.steps

    @property
    def storage(self) -> Array:
        """What the bytes hold now."""
        region = np.ascontiguousarray(unpack(self.bytes, self.format, self.bytes.size * 8 // self.format.bits))
        return np.ndarray(self.shape, np.uint8, region.data, self.first, self.steps)

    @cached_property
    def address(self) -> int:
        """The byte that holds the first element."""
        return at(self.bytes) + (self.bit >> 3)

    @property
    def bit(self) -> int:
        """The first bit of the first element."""
        return self.first * self.format.bits


AnyOperand: TypeAlias = Operand | PackedOperand


@dataclass(frozen=True)
class Plan:
    """How a loop nest becomes matrices [batch, m, k] x [batch, k, n]; *groups* are the loops of batch, m, k and n."""

    groups: tuple[Shape, Shape, Shape, Shape]
    left_order: Shape
    left_full: Shape
    right_order: Shape
    right_full: Shape
    batch: int
    m: int
    k: int
    n: int
    result_shape: Shape
    result_order: Shape


@lru_cache(maxsize=4096)
def plan_of(extents: Shape, kept: tuple[bool, ...], left: Shape, right: Shape) -> Plan:
    """Loops of all three are batch, those of acc and right only are n, others of acc are m, summed ones are k."""
    groups: dict[str, list[int]] = {"batch": [], "m": [], "n": [], "k": []}
    for axis, extent in enumerate(extents):
        in_left, in_right = left[axis] == extent, right[axis] == extent
        if not kept[axis]:
            group = "k"
        elif in_left and in_right and extent > 1:
            group = "batch"
        elif in_right and not in_left:
            group = "n"
        else:
            group = "m"
        groups[group].append(axis)
    batch, m, n, k = groups["batch"], groups["m"], groups["n"], groups["k"]
    result = batch + m + n + k
    inverse = tuple(result.index(axis) for axis in range(len(extents)))
    return Plan(
        groups=(tuple(batch), tuple(m), tuple(k), tuple(n)),
        left_order=tuple(batch + m + k + n),
        left_full=tuple(1 if axis in n else extent for axis, extent in enumerate(extents)),
        right_order=tuple(batch + k + n + m),
        right_full=tuple(1 if axis in m else extent for axis, extent in enumerate(extents)),
        batch=prod(extents[axis] for axis in batch),
        m=prod(extents[axis] for axis in m),
        k=prod(extents[axis] for axis in k),
        n=prod(extents[axis] for axis in n),
        result_shape=tuple(1 if axis in k else extents[axis] for axis in result),
        result_order=inverse,
    )


def matrix_of(storage: Array, full: Shape, order: Shape, shape: Shape) -> Array:
    """The operand as a contiguous stack of matrices."""
    if storage.shape != full:
        storage = np.broadcast_to(storage, full)
    return np.ascontiguousarray(storage.transpose(order).reshape(shape))
