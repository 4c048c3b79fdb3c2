"""A statement in one step of time: what a cycle takes one after the other."""

from __future__ import annotations

from dataclasses import replace

from ..ir.statement import Access, Contraction, Elementwise, Index, Moments, Statement, Window


def in_step(statement: Statement, step: int) -> Statement:
    """*statement* in one step: ``t`` is a number in every index, and no loop."""

    def number(index: Index) -> Index:
        terms = tuple(term for term in index.terms if term[0] != "t")
        return Index(terms, index.offset + index.coefficient("t") * step)

    def fixed(access: Access) -> Access:
        return Access(access.value, tuple(map(number, access.index)))

    def perhaps(access: Access | None) -> Access | None:
        return None if access is None else fixed(access)

    match statement:
        case Elementwise():
            return replace(
                statement,
                steps=0,
                reads={name: fixed(access) for name, access in statement.reads.items()},
                writes=tuple(replace(write, target=fixed(write.target)) for write in statement.writes),
                random={name: number(index) for name, index in statement.random.items()},
            )
        case Contraction():
            assert "t" not in statement.summed, f"{statement.target} sums over time"
            moved = replace(statement, loops=_without_time(statement.loops), target=fixed(statement.target))
            return replace(
                moved, left=perhaps(statement.left), right=fixed(statement.right), bias=perhaps(statement.bias)
            )
        case Window():
            moved = replace(statement, loops=_without_time(statement.loops), target=fixed(statement.target))
            return replace(moved, source=fixed(statement.source), tap=perhaps(statement.tap))
        case Moments():
            assert "t" not in statement.summed, f"{statement.comoment} sums over time"
            moved = replace(statement, loops=_without_time(statement.loops), left=fixed(statement.left))
            moved = replace(moved, right=fixed(statement.right), comoment=fixed(statement.comoment))
            return replace(moved, mean=fixed(statement.mean))


def _without_time(loops: tuple[tuple[str, int], ...]) -> tuple[tuple[str, int], ...]:
    return tuple((name, extent) for name, extent in loops if name != "t")
