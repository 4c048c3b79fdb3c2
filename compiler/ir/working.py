"""The working format: what working copies of weights, membranes, activations and errors are kept in.

Networks and operators call it f16, the default.  A machine may work in another format: then the types of its training
graph have that one in the place of f16 (`passes.working_format`), and so have the statements that operators give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from .expression import Expression
from .statement import Elementwise, Statement
from .types import Type

WORKING = "f16"
"""What the working format is called where no machine is known."""


def type_in(type: Type, working: str) -> Type:
    """*type* on a machine that works in that format."""
    return type.with_(format=working) if type.format == WORKING else type


def statement_in(statement: Statement, working: str) -> Statement:
    """*statement* on a machine that works in that format: what is rounded, and carried, inside of expressions.

    All else takes its format from the types of the values.
    """
    if working == WORKING or not isinstance(statement, Elementwise):
        return statement
    roots = [write.expression for write in statement.writes] + [state.next for state in statement.states]
    made = _rounded(roots, working)
    writes = tuple(replace(write, expression=made[id(write.expression)]) for write in statement.writes)
    states = tuple(
        replace(state, next=made[id(state.next)], format=working if state.format == WORKING else state.format)
        for state in statement.states
    )
    return replace(statement, writes=writes, states=states)


def _rounded(roots: Sequence[Expression], working: str) -> dict[int, Expression]:
    """What stands for each part of the expressions, by identity: parts that they share they still share."""
    made: dict[int, Expression] = {}
    for root in roots:
        for part in root.walk():
            args = tuple(made[id(arg)] for arg in part.args)
            edge = part.op == "edge" and part.name == WORKING
            same = not edge and all(new is old for new, old in zip(args, part.args, strict=True))
            made.setdefault(id(part), part if same else replace(part, args=args, name=working if edge else part.name))
    return made
