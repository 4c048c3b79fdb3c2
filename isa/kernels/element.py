"""Element programs by a compiled kernel (`_element.c`): block by block of lanes, whose registers stay in the cache.

Operands lie where they are, of any format, their axes in any order.  None is answered where the kernel does not serve,
and the NumPy form in `isa/element.py` has to: which of them did it, no bit tells.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...numerics.formats import U32, X64, X128, Format
from ..lanes import OPERATIONS
from .axes import Lying, axes_of, back, order_of, table
from .compiled import LANES, at, library
from .slots import Coded, as_call, coded, in_slots

Array = NDArray[Any]
Shape = tuple[int, ...]

BLOCK = 512
"""Lanes of a block; `_operands.h` has it, too."""

_ALIGNED = 64  # bytes
_INDEX = 255  # in place of a format: an index has none
_CARRY, _CONST = OPERATIONS["carry"].code, OPERATIONS["const"].code


class _Written(NamedTuple):
    """An operand that is written: where it begins in the memory of all of them, the shape of its array there, and how
    its axes come back in order."""

    number: int
    format: Format
    start: int
    laid: Shape
    back: Shape | None


class _Plan(NamedTuple):
    """A call but for its addresses: what the kernel reads of it, the arrays that this points to, what is written, and
    the bytes that results and registers take."""

    call: bytes
    arrays: tuple[Array, Array]
    written: tuple[_Written, ...]
    results: int
    registers: int


@dataclass(frozen=True)
class Blocks:
    """An element program for the kernel: its *code*, the bytes of all lanes."""

    code: bytes
    _plans: dict[Any, _Plan | None] = field(default_factory=dict[Any, Any], compare=False)

    @cached_property
    def _operations(self) -> list[Coded]:
        return coded(self.code)

    @cached_property
    def _arguments(self) -> int:
        """How many arguments there have to be."""
        needed = {"argument": ("a",), "random": ("b", "c")}
        return max((getattr(one, name) + 1 for one in self._operations for name in needed.get(one.form, ())), default=0)

    def evaluate(
        self,
        operands: Sequence[Array | None],
        formats: Sequence[Format | None],
        scalars: NDArray[np.uint32],
        fresh: bool,
        extents: Shape,
        shapes: Sequence[Shape] | None,
    ) -> dict[int, Array] | None:
        """What `ElementProgram.evaluate` answers, or None."""
        loaded = library()
        if loaded is None or len(scalars) < self._arguments:
            return None
        lying = tuple([None if one is None else (one.shape, one.strides, one.dtype) for one in operands])
        key = fresh, extents, tuple(formats), lying, None if shapes is None else tuple(shapes)
        if key not in self._plans:
            self._plans[key] = self._plan(operands, formats, fresh, extents, shapes)
        plan = self._plans[key]
        if plan is None:
            return None
        results, registers = np.empty(plan.results, np.uint8), np.empty(plan.registers, np.uint8)
        first = at(results)
        places = [0 if one is None else at(one) for one in operands] + [first + one.start for one in plan.written]
        packed = struct.pack(f"{len(places)}P", *places)
        if loaded.snnc_element(plan.call, packed, at(np.ascontiguousarray(scalars, np.uint32)), at(registers)):
            return None
        return {one.number: _array(one, results) for one in plan.written}

    def _plan(
        self,
        operands: Sequence[Array | None],
        formats: Sequence[Format | None],
        fresh: bool,
        extents: Shape,
        shapes: Sequence[Shape] | None,
    ) -> _Plan | None:
        """How the kernel does it; None where it cannot."""
        operations = self._operations
        if fresh:  # then what is carried over is a constant, with its value in the same field
            operations = [one._replace(code=_CONST) if one.code == _CARRY else one for one in operations]
        if prod(extents) == 0 or any(one.form == "reduce" for one in operations):
            return None
        lying = [None if one is None else Lying(one.shape, one.strides) for one in operands]
        order = order_of(lying, extents)
        written = _written(operations, formats, extents, shapes, order)
        kinds = [_kind(one, fmt, extents) for one, fmt in zip(operands, formats, strict=True)]
        if written is None or not all(_readable(one, kinds) for one in operations):
            return None
        axes = [axes_of(one, extents, order) for one in lying]
        same = {number for number, of in enumerate(axes) if not of or of == [(prod(extents), 0)]}
        whole = table([*axes, *([(prod(extents), one.format.dtype.itemsize)] for one in written)])
        if whole is None or len(whole) > _INDEX:
            return None
        slots = in_slots(operations, same)
        places = {one.number: (len(operands) + k, one.format.code) for k, one in enumerate(written)}
        code = [_with_format(one, kinds, places) for one in slots.operations]
        arrays = as_call(code), whole
        call = struct.pack("2P4q", *map(at, arrays), slots.once, len(code), whole.shape[2], prod(extents))
        results = sum(_bytes(one.format, extents) for one in written)
        return _Plan(call, arrays, written, results, (slots.slots * BLOCK + LANES) * 4)


def _readable(operation: Coded, kinds: Sequence[int | None]) -> bool:
    """Whether the kernel can read the operand of the operation, if it has one."""
    if operation.operand is None:
        return True
    kind = kinds[operation.operand]
    return kind == _INDEX if operation.form == "random" else kind is not None


def _with_format(operation: Coded, kinds: Sequence[int | None], places: dict[int, tuple[int, int]]) -> Coded:
    """The operation with the number of its operand's format in a field that is free."""
    if operation.form == "store":
        place, kind = places[operation.b]
        return operation._replace(b=place, c=kind)
    if operation.form in ("load", "carry"):
        return operation._replace(b=kinds[operation.a] or 0)
    return operation


def _kind(operand: Array | None, fmt: Format | None, extents: Shape) -> int | None:
    """How the kernel calls the elements of an operand; None where it cannot read them."""
    if operand is None or any(size not in (1, extent) for size, extent in zip(operand.shape, extents, strict=True)):
        return None
    if operand.dtype == np.int64:
        return _INDEX
    return None if fmt is None or fmt in (X64, X128) or operand.dtype != fmt.dtype else fmt.code


def _written(
    operations: Sequence[Coded],
    formats: Sequence[Format | None],
    extents: Shape,
    shapes: Sequence[Shape] | None,
    order: Shape,
) -> tuple[_Written, ...] | None:
    """The operands that are written; None where the kernel cannot."""
    result: list[_Written] = []
    start = 0
    for number in sorted({one.b for one in operations if one.form == "store"}):
        fmt = formats[number]
        if fmt is None or fmt in (U32, X64, X128) or (shapes is not None and shapes[number] != extents):
            return None
        result.append(_Written(number, fmt, start, tuple(extents[axis] for axis in order), back(order)))
        start += _bytes(fmt, extents)
    return tuple(result)


def _bytes(fmt: Format, extents: Shape) -> int:
    """What a result takes, filled up to where the next may begin."""
    return -(-prod(extents) * fmt.dtype.itemsize // _ALIGNED) * _ALIGNED


def _array(written: _Written, results: NDArray[np.uint8]) -> Array:
    """A result, in the memory of all of them."""
    made = np.ndarray(written.laid, written.format.dtype, results, written.start)
    return made if written.back is None else made.transpose(written.back)
