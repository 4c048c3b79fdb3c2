"""Element programs by a compiled kernel (`_element.h`): block by block of lanes, whose registers stay in the cache.

Operands lie where they are, of any format, their axes in any order.  None is answered where the kernel does not serve,
and the NumPy form in `isa/element.py` has to: which of them did it, no bit tells.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import lcm, prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...numerics.formats import BY_CODE, TERNARY, U2, U4, U8, U16, U32, X64, X128, Format
from ..lanes import OPERATIONS, TESTS
from .across import goes_once
from .axes import INDEX, MOST_AXES, SHARED, WALKED, Axes, Lying, axes_of, lying_of, order_of, table
from .compiled import Call, at, library, room
from .slots import Coded, as_call, coded, in_slots

Array = NDArray[Any]
Shape = tuple[int, ...]

BLOCK = 512
"""Lanes of a block; `_operands.h` has it, too."""

_MOST = 255  # operands, and ways over them
_WALK = 8 * (MOST_AXES + 3)  # bytes of `struct walk`
_CARRY, _CONST = OPERATIONS["carry"].code, OPERATIONS["const"].code
_TRUTHS = {OPERATIONS[name].code for name in (*TESTS, "and", "or", "not")}
_UNREAD = {X64.code, X128.code}
_UNWRITTEN = {U32.code, WALKED, INDEX, *_UNREAD}
_PICKY = {fmt.code for fmt in (U2, U4, U8, U16, TERNARY)}


class Plan(NamedTuple):
    """A program for operands that lie in one way: what the kernel reads of it, and how much room it takes."""

    call: Call
    room: int
    sure: bool
    """Whether it goes through, whatever the values."""

    def done(self, places: bytes, arguments: int) -> bool:
        """Whether the kernel did it: operands begin at *places*, the argument file at an address."""
        loaded = library()
        return loaded is not None and not loaded.snnc_element(self.call, places, arguments, room(self.room))


@dataclass(frozen=True)
class Blocks:
    """An element program for the kernel: its *code*, the bytes of all lanes."""

    code: bytes
    _plans: dict[Any, Plan | None] = field(default_factory=dict[Any, Any], compare=False)

    @cached_property
    def _operations(self) -> list[Coded]:
        return coded(self.code)

    @cached_property
    def arguments(self) -> int:
        """How many arguments there have to be."""
        needed = {"argument": ("a",), "random": ("b", "c")}
        return max((getattr(one, name) + 1 for one in self._operations for name in needed.get(one.form, ())), default=0)

    @cached_property
    def _writes(self) -> list[int]:
        return sorted({one.b for one in self._operations if one.form == "store"})

    def evaluate(
        self,
        operands: Sequence[Array | None],
        formats: Sequence[Format | None],
        scalars: NDArray[np.uint32],
        fresh: bool,
        extents: Shape,
        shapes: Sequence[Shape] | None,
        reduced: int = 1,
    ) -> dict[int, Array] | None:
        """What `ElementProgram.evaluate` answers, or None."""
        if library() is None or len(scalars) < self.arguments:
            return None
        written = [(number, formats[number]) for number in self._writes]
        if any(fmt is None for _, fmt in written):
            return None
        made = {k: np.empty(shapes[k] if shapes else extents, fmt.dtype) for k, fmt in written if fmt is not None}
        pairs = [*zip(operands, formats, strict=True), *((made[number], fmt) for number, fmt in written)]
        lying = tuple([None if one is None else lying_of(one, fmt) for one, fmt in pairs])
        key = fresh, extents, lying, reduced
        if key not in self._plans:
            into = {number: len(operands) + k for k, (number, _) in enumerate(written)}
            self._plans[key] = self.plan(lying, into, fresh, extents, reduced)
        plan = self._plans[key]
        places = struct.pack(f"{len(pairs)}q", *[0 if one is None else at(one) for one, _ in pairs])
        if plan is None or not plan.done(places, at(np.ascontiguousarray(scalars, np.uint32))):
            return None
        return made

    def plan(
        self, lying: Sequence[Lying | None], into: Mapping[int, int], fresh: bool, extents: Shape, reduced: int = 1
    ) -> Plan | None:
        """How the kernel does it; None where it cannot.  What is stored to operand k goes to the one of *into*.

        What is written may lie just where an operand lies that is read: all lanes of a block are read before any is
        written.  The last *reduced* axes are rows to what reduces; a block has whole ones, or lies across all of them.
        """
        operations = self._operations
        if fresh:  # then what is carried over is a constant, with its value in the same field
            operations = [one._replace(code=_CONST) if one.code == _CARRY else one for one in operations]
        along = len(extents) - (reduced if any(one.form == "reduce" for one in operations) else 0)
        row, rows = prod(extents[along:]), prod(extents[:along])
        across = row > BLOCK
        if prod(extents) == 0 or along < 0 or (across and rows > BLOCK):
            return None
        operations = [one._replace(b=into[one.b]) if one.form == "store" else one for one in operations]
        if not all(_serves(one, lying, extents, along) for one in operations):
            return None
        if across and not goes_once(operations, lying, along):
            return None
        used = {operand for one in operations if (operand := _operand(one)) is not None}
        seen = [one if number in used else None for number, one in enumerate(lying)]
        if across:
            beside = order_of([one and one.without(along) for one in seen], extents[:along])
            order = (*range(along, len(extents)), *beside)
        else:
            order = order_of(seen, extents, len(extents) - along)
            beside = order[:along]
        axes = [axes_of(one, extents, order) for one in seen]
        block, same = _blocks(axes, rows if across else row)
        kinds, numbers = [0 if one is None else one.kind for one in seen], [*range(len(seen))]
        kept = 0
        for place, one in enumerate(operations):
            operand = lying[one.b] if one.form == "store" else None
            if operand is not None and operand.shape != extents:  # one element for each row
                operations[place] = one._replace(b=len(axes), value=1 if across else row)
                axes.append(axes_of(operand.without(along), extents[:along], beside))
                kinds.append(operand.kind)
                numbers.append(one.b)
            elif one.form == "reduce":
                operations[place] = one._replace(value=kept if across else row)
                kept += 1
        whole = table(axes)
        slots = in_slots(operations, same, {number for number in same if _period(axes[number]) == 1})
        walked = [numbers[operand] for one in slots.operations if (operand := _operand(one)) is not None]
        if whole is None or max(len(whole), len(walked)) > _MOST:
            return None
        arrays = as_call(slots.operations, kinds), whole, np.array(walked, np.int64)
        counts = slots.once, slots.single, len(slots.operations), len(walked), whole.shape[2], prod(extents), block
        lies = (rows, slots.slots) if across else (0, 0)
        call = struct.pack("3P9q", *map(at, arrays), *counts, *lies)
        sure = not any(one.code == OPERATIONS["cos"].code for one in operations) and _holds(operations, kinds)
        size = len(walked) * _WALK + 64 + (slots.slots + (kept if across else 0)) * BLOCK * 4
        return Plan(Call.of(call, *arrays), size, sure)


def _blocks(operands: Sequence[Axes], row: int) -> tuple[int, set[int]]:
    """(lanes of a block, which are whole rows; the operands of which all blocks read the same): those that come again
    after so many lanes."""
    block, same = row, set[int]()
    for number, axes in sorted(enumerate(operands), key=lambda one: _period(one[1])):
        together = lcm(block, _period(axes))
        if together <= BLOCK:
            block = together
            same.add(number)
    return BLOCK - BLOCK % block, same


def _period(axes: Axes) -> int:
    """After how many lanes an operand comes again: those from the first axis on along which it has a step."""
    first = next((axis for axis, (_, step) in enumerate(axes) if step), len(axes))
    return prod(extent for extent, _ in axes[first:])


def _operand(operation: Coded) -> int | None:
    """The operand that the operation reads or writes, if any."""
    return operation.b if operation.form == "store" else operation.operand


def _holds(operations: Sequence[Coded], kinds: Sequence[int]) -> bool:
    """Whether what is stored is surely held where not every value can be: it is chosen among constants and truths."""
    known: dict[int, set[float]] = {}
    for one in operations:
        if one.code in _TRUTHS:
            known[one.dst] = {0.0, 1.0}
        elif one.form == "const":
            known[one.dst] = {float(np.uint32(one.value).view(np.float32))}
        elif one.form == "select" and one.a in known and one.b in known:
            known[one.dst] = known[one.a] | known[one.b]
        elif one.form == "store" and kinds[one.b] % SHARED in _PICKY:
            fmt = BY_CODE[kinds[one.b] % SHARED]
            if one.a not in known or not all(fmt.minimum <= x <= fmt.maximum and x == x // 1 for x in known[one.a]):
                return False
    return True


def _serves(operation: Coded, lying: Sequence[Lying | None], extents: Shape, along: int) -> bool:
    """Whether the kernel can read, or write, the operand of the operation, if it has one.

    What is written has all elements, or one for each row, the axes from *along* on.
    """
    number = _operand(operation)
    if number is None:
        return True
    operand = lying[number]
    if operand is None or not operand.fits(extents):
        return False
    match operation.form:
        case "store":
            rows = (*extents[:along], *(1 for _ in extents[along:]))
            return operand.shape in (extents, rows) and operand.kind not in _UNWRITTEN
        case "random":
            return operand.kind in (WALKED, INDEX)
        case _:
            return operand.kind not in _UNREAD
