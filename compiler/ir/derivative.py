"""Derivatives of element expressions: what an operator says of one step, its way back follows from.

Reverse accumulation over the graph of an expression, the gradient of every part being the sum over its readers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .expression import Expression, where

Slopes = Mapping[int, tuple[Expression, Expression]]
"""By the identity of an expression: the argument that its gradient goes to, and its derivative there."""

_FLAT = frozenset({"ge", "gt", "le", "lt", "eq", "ne", "and", "or", "not", "floor", "rint"})
_LEAVES = frozenset({"constant", "input", "state", "argument", "index", "uniform", "normal"})
_Term = tuple[bool, Expression]
"""Whether it is subtracted, and what."""


def pull_back(
    seeds: Sequence[tuple[Expression, Expression]], leaves: Sequence[Expression], slopes: Slopes
) -> list[Expression | None]:
    """The gradient of each of *leaves*, None where nothing reaches it.

    *seeds* are expressions with their own gradients.  *leaves* are told by identity, and nothing behind one is looked
    at.  *slopes* replace derivatives: a spike, whose own is 0 everywhere, gets its surrogate's.  A choice
    ``where(c, yes, no)`` counts as ``c * yes + (1 - c) * no``, so that a gradient reaches a c that has a slope.
    """
    ends = {id(leaf) for leaf in leaves}
    order: list[Expression] = []
    alive = set(ends)
    for root, _ in seeds:
        _sort(root, ends, slopes, order, alive)
    terms: dict[int, list[_Term]] = {}
    for root, gradient in seeds:
        terms.setdefault(id(root), []).append((False, gradient))
    for node in reversed(order):
        if id(node) in terms and id(node) not in ends:
            turned, gradient = _total(terms[id(node)])
            for argument, negative, value in _passed(node, gradient, slopes, alive):
                terms.setdefault(id(argument), []).append((negative != turned, value))
    return [_signed(*_total(terms[id(leaf)])) if id(leaf) in terms else None for leaf in leaves]


def product(left: Expression, right: Expression) -> Expression:
    """``left * right``; a factor of 1 leaves no trace."""
    if is_constant(right, 1.0):
        return left
    return right if is_constant(left, 1.0) else left * right


def is_constant(value: Expression, number: float | None = None) -> bool:
    """Whether *value* is a constant, or this one."""
    return value.op == "constant" and number in (None, value.value)


def _sort(root: Expression, ends: set[int], slopes: Slopes, order: list[Expression], alive: set[int]) -> None:
    """Append what lies between *root* and the *ends* to *order*, arguments first; *alive* gets what leads to an end."""
    seen = {id(node) for node in order}
    stack: list[tuple[Expression, bool]] = [(root, False)]
    while stack:
        node, ready = stack.pop()
        if id(node) in seen:
            continue
        arguments = () if id(node) in ends else (slopes[id(node)][0],) if id(node) in slopes else node.args
        if ready:
            seen.add(id(node))
            order.append(node)
            if any(id(argument) in alive for argument in arguments) and (id(node) in slopes or node.op not in _FLAT):
                alive.add(id(node))
        else:
            stack.append((node, True))
            stack.extend((argument, False) for argument in reversed(arguments))


def _passed(
    node: Expression, gradient: Expression, slopes: Slopes, alive: set[int]
) -> list[tuple[Expression, bool, Expression]]:
    """(argument, whether subtracted, its part of the gradient) of every argument that leads to a leaf."""
    found: list[tuple[Expression, bool, Expression]] = []
    if id(node) in slopes:
        argument, slope = slopes[id(node)]
        found = [(argument, False, product(gradient, slope))]
    elif node.op not in _FLAT and node.op not in _LEAVES:
        found = _by_rule(node, gradient, alive)
    return [part for part in found if id(part[0]) in alive]


def _by_rule(node: Expression, gradient: Expression, alive: set[int]) -> list[tuple[Expression, bool, Expression]]:
    """The rules of calculus."""
    if not any(id(argument) in alive for argument in node.args):
        return []
    match node.op, node.args:
        case "add", (left, right):
            return [(left, False, gradient), (right, False, gradient)]
        case "sub", (left, right):
            return [(left, False, gradient), (right, True, gradient)]
        case "mul", (left, right):
            return [(left, False, product(gradient, right)), (right, False, product(gradient, left))]
        case "div", (left, right):
            return [(left, False, gradient / right), (right, True, gradient * (node / right))]
        case "neg", (value,):
            return [(value, True, gradient)]
        case "edge", (value,):
            return [(value, False, gradient)]
        case "select", (condition, yes, no):
            passed = [(yes, False, where(condition, gradient, 0.0)), (no, False, where(condition, 0.0, gradient))]
            return [*passed, _chosen(condition, yes, no, gradient)]
        case op, _:
            raise AssertionError(f"no rule says the derivative of {op}")


def _chosen(
    condition: Expression, yes: Expression, no: Expression, gradient: Expression
) -> tuple[Expression, bool, Expression]:
    """``gradient * (yes - no)``, which goes to the condition."""
    if is_constant(yes, 0.0):
        return condition, True, product(gradient, no)
    return condition, False, product(gradient, yes if is_constant(no, 0.0) else yes - no)


def _total(terms: Sequence[_Term]) -> _Term:
    """The sum of *terms*: those that are added, in their order, then those that are subtracted.

    Where all are subtracted, their sum is.
    """
    added = [value for negative, value in terms if not negative]
    taken = [value for negative, value in terms if negative]
    first, *further = added or taken
    total = first
    for value in further:
        total = total + value
    for value in taken if added else ():
        total = total - value
    return not added, total


def _signed(negative: bool, value: Expression) -> Expression:
    return -value if negative else value
