"""Where an element lies: logical arrays to and from memory order, and what an affine access sees of an array."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from ..ir.statement import Access, Index
from ..ir.types import Type

Array = NDArray[Any]
Loops = tuple[tuple[str, int], ...]
Types = Mapping[str, Type]


def to_memory(logical: Array, type: Type, lead: tuple[int, ...]) -> Array:
    """``[t][n]`` and logical axes -> ``[t][n]`` and factors in the order of memory; ValueError for another shape."""
    wanted = lead + type.shape
    if logical.shape != wanted:
        raise ValueError(f"a value of {type} has shape {wanted}, not {logical.shape}")
    factors = logical.reshape(lead + type.factors)
    order = tuple(range(len(lead))) + tuple(len(lead) + k for k in type.order)
    return np.ascontiguousarray(factors.transpose(order)).reshape(lead + type.memory)


def from_memory(memory: Array, type: Type, lead: tuple[int, ...]) -> Array:
    """`to_memory` undone."""
    ordered = memory.reshape(lead + tuple(type.factors[k] for k in type.order))
    back = tuple(type.order.index(k) for k in range(len(type.factors)))
    factors = ordered.transpose(tuple(range(len(lead))) + tuple(len(lead) + k for k in back))
    return factors.reshape(lead + type.shape)


def seen(array: Array, access: Access, loops: Loops) -> Array:
    """The elements that *access* meets: one axis a loop, of size 1 where the access does not follow it.

    Positions outside of the array are zero.
    """
    if len(access.index) != array.ndim:
        raise ValueError(f"{access} has {len(access.index)} indices for the {array.ndim} axes in memory")
    _check_loops(access, loops)
    if _is_empty(access, loops):
        return np.zeros(_shape(access, loops), array.dtype)
    bounds = _bounds(access, loops)
    pads = [(max(0, -low), max(0, high - size + 1)) for (low, high), size in zip(bounds, array.shape, strict=True)]
    if any(low or high for low, high in pads):
        array = np.pad(array, pads)
    begin = tuple(index.offset + low for index, (low, _) in zip(access.index, pads, strict=True))
    return _walk(array, access, loops, begin, writeable=False)


def exists(shape: tuple[int, ...], access: Access, loops: Loops) -> NDArray[np.bool_]:
    """Which of the positions that *access* meets lie inside of an array of *shape*."""
    return seen(np.ones(shape, np.bool_), access, loops)


def place(array: Array, access: Access, loops: Loops) -> Array:
    """A window for writing onto the elements that *access* meets; ValueError where one lies outside."""
    if len(access.index) != array.ndim:
        raise ValueError(f"{access} has {len(access.index)} indices for the {array.ndim} axes in memory")
    _check_loops(access, loops)
    if _is_empty(access, loops):
        return np.zeros(_shape(access, loops), array.dtype)
    for (low, high), size in zip(_bounds(access, loops), array.shape, strict=True):
        if low < 0 or high >= size:
            raise ValueError(f"{access} writes at {low}..{high} of an axis of {size}")
    return _walk(array, access, loops, tuple(index.offset for index in access.index), writeable=True)


def number_of(index: Index, loops: Loops) -> NDArray[np.int64]:
    """What *index* is worth, one axis a loop, of size 1 where it does not follow the loop."""
    total = np.full((1,) * len(loops), index.offset, np.int64)
    for axis, (name, count) in enumerate(loops):
        if index.coefficient(name):
            along = np.arange(count) * index.coefficient(name)
            total = total + along.reshape(tuple(-1 if k == axis else 1 for k in range(len(loops))))
    return total


def _walk(array: Array, access: Access, loops: Loops, begin: tuple[int, ...], writeable: bool) -> Array:
    """The strided view: a loop moves along every axis that its coefficients name.  Bounds are proven by the caller."""
    strides = tuple(
        sum(index.coefficient(name) * step for index, step in zip(access.index, array.strides, strict=True))
        for name, _ in loops
    )
    origin = array[tuple(slice(start, None) for start in begin)]
    return as_strided(origin, _shape(access, loops), strides, writeable=writeable)


def _shape(access: Access, loops: Loops) -> tuple[int, ...]:
    """Extents of the loops, 1 for those that the access does not follow."""
    followed = access.loops
    return tuple(extent if name in followed else 1 for name, extent in loops)


def _is_empty(access: Access, loops: Loops) -> bool:
    """Whether the access meets nothing at all."""
    return 0 in _shape(access, loops)


def _bounds(access: Access, loops: Loops) -> list[tuple[int, int]]:
    """(least, greatest) position on each axis."""
    extents = dict(loops)
    ends = [[coefficient * (extents[name] - 1) for name, coefficient in index.terms] for index in access.index]
    return [
        (index.offset + sum(min(0, end) for end in along), index.offset + sum(max(0, end) for end in along))
        for index, along in zip(access.index, ends, strict=True)
    ]


def _check_loops(access: Access, loops: Loops) -> None:
    """ValueError for a loop that is not there."""
    strange = access.loops - {name for name, _ in loops}
    if strange:
        raise ValueError(f"{access} follows loops that there are not: {', '.join(sorted(strange))}")
