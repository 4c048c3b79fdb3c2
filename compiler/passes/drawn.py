"""Values that need not lie anywhere: what is made of nothing in memory, and read by contractions alone, is drawn there.

A counter-based random number costs a few operations and no byte.  So what an element-wise statement makes of random
numbers, indices and the host's scalars alone (noise) has no place in DRAM where each of its readers multiplies it, on
its left, in the same sweep: the stage that reads it makes each tile in the buffer into which it would else be loaded.
Several readers draw it several times.  Nothing else changes, so no bit does.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..ir.accesses import accesses
from ..ir.graph import Node, Region
from ..ir.schedule import Drawn
from ..ir.statement import Contraction, Elementwise, Index, Statement, renamed


@dataclass(frozen=True)
class Taken:
    """A node of a *region* with its statements as the machine takes them, in a *cycle* (not 0) or alone."""

    node: Node
    region: Region
    statements: tuple[Statement, ...]
    cycle: int


def drawn_in(taken: Sequence[Taken], kept: Collection[str]) -> Iterator[tuple[str, Node, Elementwise]]:
    """Values that need no place, with the nodes and the statements that make them; not those that are *kept*."""
    for each in taken:
        made = _of_nothing(each.statements)
        if made is None or made.writes[0].target.value in kept:
            continue
        value = made.writes[0].target.value
        readers = [
            (other, statement, use)
            for other in taken
            if other is not each
            for statement in other.statements
            for use, access in accesses(statement)
            if access.value == value
        ]
        if readers and all(
            use == "left" and other.region is each.region and in_loops_of(statement, made) is not None
            for other, statement, use in readers
        ):
            yield value, each.node, made


def operands_of(statement: Statement, drawn: Mapping[str, tuple[Node, Elementwise]]) -> dict[str, Drawn]:
    """The operands of *statement* that are *drawn* (values, with what makes them), by use."""
    found: dict[str, Drawn] = {}
    for use, access in accesses(statement):
        if access.value in drawn:
            node, made = drawn[access.value]
            moved = in_loops_of(statement, made)
            assert moved is not None, f"{access.value} cannot be drawn where it is read"
            found[use] = Drawn(node.op, moved)
    return found


def _of_nothing(statements: Sequence[Statement]) -> Elementwise | None:
    """The only one of *statements*, if it reads nothing, carries nothing and makes one value, of each element alone."""
    match statements:
        case [Elementwise(reads=reads, states=(), writes=(write,)) as made] if not (
            reads or made.reduced or write.last
        ):
            return made
        case _:
            return None


def in_loops_of(reader: Statement, made: Elementwise) -> Elementwise | None:
    """*made* as it is walked by the loops of the contraction that has it on its left; None where tiles would not fit.

    They fit where each axis of the value is walked by one loop on either side, from its first place on.
    """
    (write,) = made.writes
    if not isinstance(reader, Contraction) or reader.left is None or reader.left.value != write.target.value:
        return None
    if reader.right.value == write.target.value:
        return None
    pairs = list(zip(map(_loop, write.target.index), map(_loop, reader.left.index), strict=True))
    names: dict[str, str] = {}
    for ours, theirs in pairs:
        if ours is None or theirs is None or made.extents.get(ours, 1) != reader.extents.get(theirs, 1):
            return None
        if ours or theirs:
            names[ours] = theirs
    walked = {name for name, extent in made.extents.items() if extent > 1}
    if not walked <= set(names) or len(set(names.values())) < len(names) or names.get("t", "t") != "t":
        return None

    return renamed(made, names)


def _loop(place: Index) -> str | None:
    """The loop that *place* follows step by step from 0 on, "" where it stays there; None for any other place."""
    match place:
        case Index(terms=(), offset=0):
            return ""
        case Index(terms=((name, 1),), offset=0):
            return name
        case _:
            return None
