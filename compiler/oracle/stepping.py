"""A statement in one step of time, which a cycle takes one after the other, or in those of a window."""

from __future__ import annotations

from dataclasses import replace

from ..ir.statement import Access, Contraction, Elementwise, Index, Moments, Statement, Window, with_accesses


def turns_of(statement: Statement, place: int, windows: int) -> range:
    """The turns of the loop over time that lie in window number *place* of so many; the only one of no such loop."""
    turns = statement.extents.get("t", 0) // windows
    return range(place * turns, (place + 1) * turns) if turns else range(1)


def in_turns(statement: Contraction | Window | Moments, turns: range) -> Statement:
    """*statement* in some turns of its loop over time, where it has one."""
    if "t" not in statement.extents:
        return statement

    def later(access: Access) -> Access:
        moved = (Index(index.terms, index.offset + index.coefficient("t") * turns.start) for index in access.index)
        return Access(access.value, tuple(moved))

    loops = tuple((name, len(turns) if name == "t" else extent) for name, extent in statement.loops)
    return with_accesses(replace(statement, loops=loops), later)


def in_step(statement: Statement, step: int) -> Statement:
    """*statement* in one step: ``t`` is a number in every index, and no loop."""

    def number(index: Index) -> Index:
        terms = tuple(term for term in index.terms if term[0] != "t")
        return Index(terms, index.offset + index.coefficient("t") * step)

    def fixed(access: Access) -> Access:
        return Access(access.value, tuple(map(number, access.index)))

    if isinstance(statement, Elementwise):
        random = {name: number(index) for name, index in statement.random.items()}
        return with_accesses(replace(statement, steps=0, random=random), fixed)
    assert isinstance(statement, Window) or "t" not in statement.summed, f"{statement} sums over time"
    loops = tuple((name, extent) for name, extent in statement.loops if name != "t")
    return with_accesses(replace(statement, loops=loops), fixed)
