"""Operations of an element program as the compiled kernel takes them: registers share slots, what is the same for all
blocks comes first."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..lanes import OPERATIONS, Form

_LANE = np.dtype("u1, u1, u1, u1, u1, V3, <u4, V4")
_CALL = np.dtype("u1, u1, u1, u1, u1, u1, u1, u1, =u4, =u4")
_FORM: dict[int, Form] = {operation.code: operation.form for operation in OPERATIONS.values()}
_REGISTERS = {"unary": 1, "reduce": 1, "binary": 2, "select": 3, "store": 1}


class Coded(NamedTuple):
    """An operation, as its bytes say it; see `element.Lane`."""

    code: int
    dst: int
    a: int
    b: int
    c: int
    value: int

    @property
    def form(self) -> Form:
        """How it is written."""
        return _FORM[self.code]

    @property
    def operand(self) -> int | None:
        """The operand that it reads, if any."""
        return self.a if self.form in ("load", "carry", "random") else None

    @property
    def registers(self) -> tuple[int, ...]:
        """The registers that it reads: so many of its fields *a*, *b*, *c*."""
        return (self.a, self.b, self.c)[: _REGISTERS.get(self.form, 0)]

    def renamed(self, slots: dict[int, int], dst: int = 0) -> Coded:
        """The same with slots in place of registers."""
        fields = [slots[register] for register in self.registers]
        a, b, c = (*fields, *(self.a, self.b, self.c)[len(fields) :])
        return Coded(self.code, dst, a, b, c, self.value)


class Slots(NamedTuple):
    """Operations whose registers are *slots*; the first *once* of them are the same for all blocks.

    In the first *single* slots all lanes are one; each of the others has a block of lanes.
    """

    operations: list[Coded]
    once: int
    single: int
    slots: int


def coded(code: bytes) -> list[Coded]:
    """The operations in the bytes of all lanes."""
    rows: list[tuple[Any, ...]] = np.frombuffer(code, _LANE).tolist()
    return [Coded(op, dst, a, b, c, value) for op, dst, a, b, c, _, value, _ in rows]


def as_call(operations: Sequence[Coded], kinds: Sequence[int]) -> NDArray[Any]:
    """The operations as the kernel reads them, in this machine's order of bytes: each that goes over an operand has its
    own way, and the kind of the operand's elements."""
    rows: list[tuple[int, ...]] = []
    ways = 0
    for one in operations:
        number = one.b if one.form == "store" else one.operand
        kind, way = (0, 0) if number is None else (kinds[number], ways)
        ways += number is not None
        rows.append((*one[:5], kind, way, 0, one.value, 0))
    return np.array(rows, _CALL)


def in_slots(operations: Sequence[Coded], same: Collection[int], single: Collection[int]) -> Slots:
    """The operations in such an order and with such slots; of the operands *same*, all blocks read the same, and of the
    *single* ones among them just one element.

    What is stored is stored last, so that nobody reads it again.
    """
    first, rest = _split(operations, same)
    rest.sort(key=lambda one: one.form == "store")
    alone = {one.dst for one in _split(first, single)[0]}
    slots = {one.dst: slot for slot, one in enumerate(sorted(first, key=lambda one: one.dst not in alone))}
    result = [one.renamed(slots, slots[one.dst]) for one in first]
    last = {register: number for number, one in enumerate(rest) for register in (one.dst, *one.registers)}
    count, free = len(slots), list[int]()
    for number, one in enumerate(rest):
        made = () if one.form == "store" else (one.dst,)
        for register in made:
            if not free:
                free.append(count)
                count += 1
            slots[register] = free.pop()
        result.append(one.renamed(slots, *map(slots.__getitem__, made)))
        over = {register for register in (*made, *one.registers) if last[register] == number}
        free += [slots[register] for register in sorted(over) if slots[register] >= len(first)]
    return Slots(result, len(first), len(alone), count)


def _split(operations: Sequence[Coded], same: Collection[int]) -> tuple[list[Coded], list[Coded]]:
    """(what gives every block the same, all else)."""
    alike: set[int] = set()
    first: list[Coded] = []
    rest: list[Coded] = []
    for one in operations:
        match one.form:
            case "argument" | "const":
                once = True
            case "load" | "carry":
                once = one.a in same
            case "unary" | "binary" | "select":
                once = alike.issuperset(one.registers)
            case _:
                once = False
        (first if once else rest).append(one)
        if once:
            alike.add(one.dst)
    return first, rest
