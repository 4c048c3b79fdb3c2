"""Element expressions: the mathematics of one element, from which element programs and the oracle are made.

An operator writes ``where(h >= theta, 1, 0)`` over `Expression` objects; nothing is computed then.  Values are f32
(f64 in the mathematical oracle), every operation rounds once; ``edge`` rounds to a format of the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Union

Number = Union["Expression", float, int]

UNARY = ("neg", "abs", "sqrt", "floor", "rint", "exp", "log", "tanh", "cos", "not")
BINARY = ("add", "sub", "mul", "div", "min", "max", "ge", "gt", "le", "lt", "eq", "ne", "and", "or")
REDUCTIONS = ("rsum", "rmax", "rmin")
"""Over the channel axis of the tile, ascending; every lane gets the result."""


@dataclass(frozen=True, eq=False)
class Expression:
    """One operation over *args*.

    *op* is one of `UNARY`, `BINARY`, `REDUCTIONS`, ``select`` (condition, yes, no), or a leaf: ``constant`` (*value*),
    ``input`` (operand *name* at this element), ``state`` (carried state *name*), ``argument`` (host scalar *name*),
    ``edge`` (args[0] rounded to format *name*), ``uniform`` and ``normal`` (a random number for this *logical*
    element of tensor *name*, keyed by the arguments ``seed`` and ``step`` and the stream of that name).
    ``index`` is the position of this element along the loop called *name* (``n`` the sample, ``c`` the channel,
    ``t`` the turn of the sweep).
    Comparisons give 1.0 or 0.0.
    """

    op: str
    args: tuple[Expression, ...] = ()
    value: float = 0.0
    name: str = ""

    def __add__(self, other: Number) -> Expression:
        return Expression("add", (self, lift(other)))

    def __radd__(self, other: Number) -> Expression:
        return Expression("add", (lift(other), self))

    def __sub__(self, other: Number) -> Expression:
        return Expression("sub", (self, lift(other)))

    def __rsub__(self, other: Number) -> Expression:
        return Expression("sub", (lift(other), self))

    def __mul__(self, other: Number) -> Expression:
        return Expression("mul", (self, lift(other)))

    def __rmul__(self, other: Number) -> Expression:
        return Expression("mul", (lift(other), self))

    def __truediv__(self, other: Number) -> Expression:
        return Expression("div", (self, lift(other)))

    def __rtruediv__(self, other: Number) -> Expression:
        return Expression("div", (lift(other), self))

    def __neg__(self) -> Expression:
        return Expression("neg", (self,))

    def __abs__(self) -> Expression:
        return Expression("abs", (self,))

    def __ge__(self, other: Number) -> Expression:
        return Expression("ge", (self, lift(other)))

    def __gt__(self, other: Number) -> Expression:
        return Expression("gt", (self, lift(other)))

    def __le__(self, other: Number) -> Expression:
        return Expression("le", (self, lift(other)))

    def __lt__(self, other: Number) -> Expression:
        return Expression("lt", (self, lift(other)))

    def equals(self, other: Number) -> Expression:
        """1.0 where both are equal (``==`` stays Python's identity)."""
        return Expression("eq", (self, lift(other)))

    def walk(self) -> Iterator[Expression]:
        """Every operation below and with this one, arguments first, each object once."""
        seen: set[int] = set()
        stack: list[tuple[Expression, bool]] = [(self, False)]
        while stack:
            node, ready = stack.pop()
            if id(node) in seen:
                continue
            if ready:
                seen.add(id(node))
                yield node
            else:
                stack.append((node, True))
                stack.extend((arg, False) for arg in reversed(node.args))


def rebuilt(roots: Sequence[Expression], leaf: Callable[[Expression], Expression]) -> list[Expression]:
    """The *roots* with another expression in the place of each leaf; parts that they share stay shared."""
    made: dict[int, Expression] = {}
    for node in (node for root in roots for node in root.walk()):
        if id(node) not in made:
            args = tuple(made[id(arg)] for arg in node.args)
            made[id(node)] = replace(node, args=args) if args else leaf(node)
    return [made[id(root)] for root in roots]


def lift(number: Number) -> Expression:
    """*number* itself, or the constant that it is."""
    return number if isinstance(number, Expression) else Expression("constant", value=float(number))


def read(name: str) -> Expression:
    """The operand *name* at this element."""
    return Expression("input", name=name)


def state(name: str) -> Expression:
    """The carried state *name* at this element, as the step before left it."""
    return Expression("state", name=name)


def argument(name: str) -> Expression:
    """The host's scalar *name*."""
    return Expression("argument", name=name)


def index(loop: str) -> Expression:
    """The position of this element along *loop*."""
    return Expression("index", name=loop)


def edge(value: Number, format: str) -> Expression:
    """*value* rounded to *format*."""
    return Expression("edge", (lift(value),), name=format)


def where(condition: Expression, yes: Number, no: Number) -> Expression:
    """*yes* where *condition* is not 0, else *no*."""
    return Expression("select", (condition, lift(yes), lift(no)))


def uniform(tensor: str) -> Expression:
    """A random number in [0, 1) for this logical element of *tensor*."""
    return Expression("uniform", name=tensor)


def normal(tensor: str) -> Expression:
    """A standard normal number for this logical element of *tensor*."""
    return Expression("normal", name=tensor)


def unary(op: str, value: Number) -> Expression:
    """One of `UNARY` or `REDUCTIONS`."""
    assert op in UNARY or op in REDUCTIONS, op
    return Expression(op, (lift(value),))


def exp(value: Number) -> Expression:
    """e to the power of *value*."""
    return unary("exp", value)


def log(value: Number) -> Expression:
    """Natural logarithm."""
    return unary("log", value)


def sqrt(value: Number) -> Expression:
    """Square root, correctly rounded."""
    return unary("sqrt", value)


def minimum(left: Number, right: Number) -> Expression:
    """The smaller of both; NaN where either is."""
    return Expression("min", (lift(left), lift(right)))


def maximum(left: Number, right: Number) -> Expression:
    """The larger of both; NaN where either is."""
    return Expression("max", (lift(left), lift(right)))
