"""What a statement reads and what it makes: its operands by use, in the order in which buffers are made for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .statement import Access, Contraction, Elementwise, Moments, Statement, Window


def accesses(statement: Statement) -> Iterator[tuple[str, Access]]:
    """Every access of a statement with the name of its operand."""
    yield from read_by(statement)
    yield from made_by(statement)


def read_by(statement: Statement) -> Iterator[tuple[str, Access]]:
    """What a statement reads."""
    match statement:
        case Contraction():
            named = (
                ("left", statement.left),
                ("right", statement.right),
                ("bias", statement.bias),
                ("onto", statement.onto),
            )
            yield from ((name, access) for name, access in named if access is not None)
        case Elementwise():
            yield from statement.reads.items()
            yield from ((f"state.{state.name}", state.home) for state in statement.states if state.home is not None)
        case Moments():
            yield "left", statement.left
            if not statement.variance:
                yield "right", statement.right
        case Window():
            yield "source", statement.source
            if statement.tap is not None and statement.kind != "max":
                yield "tap", statement.tap


def made_by(statement: Statement) -> Iterator[tuple[str, Access]]:
    """What a statement makes."""
    match statement:
        case Contraction():
            yield "out", statement.target
        case Elementwise():
            yield from ((f"out{k}", write.target) for k, write in enumerate(statement.writes))
            yield from ((f"out.{state.name}", state.home) for state in statement.states if state.home is not None)
        case Moments():
            both = (("out.mean", statement.mean), ("out.comoment", statement.comoment))
            yield from ((name, access) for name, access in both if access.value)
        case Window():
            if statement.tap is not None and statement.kind == "max":
                yield "tap", statement.tap
            yield "out", statement.target


def extents_of(statements: Iterable[Statement]) -> dict[str, int]:
    """Extent of each loop that any of *statements* has; loops of one name are one loop."""
    return {name: extent for statement in statements for name, extent in statement.extents.items()}
