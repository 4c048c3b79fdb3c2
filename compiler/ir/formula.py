"""Element expressions as text, such as ``y = 1 / (1 + exp(-alpha * x)); alpha * y * (1 - y)``.

What can be computed from numbers alone is computed while reading, in Python's floats; the rest becomes an `Expression`.
Weakest first, the operators are ``or``, ``and``, ``not``, comparisons (1 or 0; they do not chain), ``+ -``, ``* /``,
signs, ``^``.  A whole power is a product, any other one ``exp(power * log(base))``.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, NoReturn

from ...catalog import unknown
from .expression import Expression, lift, uniform

Value = Expression | float

OPERATIONS = 128
"""So many of them leave room for the neuron's own in one element program."""

_LARGEST = 3.4028235677973366e38
"""From here on a number rounds to the infinity of f32."""

_TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<number>(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign>\*\*|[<>=!]=|[-+*/^(),;=<>])"
)
_COMPARISONS = {">=": "ge", ">": "gt", "<=": "le", "<": "lt", "==": "eq", "!=": "ne"}
_SUMS = {"+": "add", "-": "sub"}
_PRODUCTS = {"*": "mul", "/": "div"}
_WORDS = ("and", "or", "not")
_CALLS: Mapping[str, tuple[str, int]] = {
    "exp": ("exp", 1), "log": ("log", 1), "tanh": ("tanh", 1), "cos": ("cos", 1), "sqrt": ("sqrt", 1),
    "abs": ("abs", 1), "floor": ("floor", 1), "min": ("min", 2), "max": ("max", 2), "where": ("select", 3),
    "uniform": ("uniform", 0),
}  # fmt: skip
"""Functions by name: the operation, and how many values it takes."""


def _both(left: float, right: float) -> bool:
    return left != 0 and right != 0


def _either(left: float, right: float) -> bool:
    return left != 0 or right != 0


def _select(condition: float, yes: float, no: float) -> float:
    return yes if condition != 0 else no


_OF_NUMBERS: Mapping[str, Callable[..., Any]] = {
    "exp": math.exp, "log": math.log, "tanh": math.tanh, "cos": math.cos, "sqrt": math.sqrt,
    "abs": abs, "floor": math.floor, "neg": operator.neg, "not": operator.not_,
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": float.__truediv__, "min": min, "max": max,
    "ge": operator.ge, "gt": operator.gt, "le": operator.le, "lt": operator.lt, "eq": operator.eq, "ne": operator.ne,
    "and": _both, "or": _either, "select": _select,
}  # fmt: skip

RESERVED = frozenset({*_CALLS, *_WORDS, "sum", "pi", "x"})
"""Names that have a meaning in every formula of x."""


class FormulaFault(ValueError):
    """What is wrong with a formula, and at which character of it."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


class _Token(NamedTuple):
    """A word of the formula; *kind* is number, name, sign or end."""

    kind: str
    text: str
    offset: int


def formula(text: str, names: Mapping[str, Value], tensor: str = "") -> Expression:
    """What *text* says of *names*; ``uniform()`` is the number of this logical element of *tensor*.

    Raises `FormulaFault`.
    """
    return _Reader(text, names, tensor).formula()


def names_in(text: str) -> frozenset[str]:
    """Every name that stands in *text*; raises `FormulaFault` for a character without meaning."""
    return frozenset(token.text for token in _tokens(text) if token.kind == "name")


def _tokens(text: str) -> Iterator[_Token]:
    offset = 0
    while offset < len(text):
        match = _TOKEN.match(text, offset)
        if match is None:
            raise FormulaFault(f"the character {text[offset]!r} has no meaning in a formula", offset)
        kind = match.lastgroup or ""
        if kind != "space":
            yield _Token(kind, match.group(), offset)
        offset = match.end()
    yield _Token("end", "", len(text))


class _Reader:
    """One method a strength of operators; each reads what begins at the next token and gives its value."""

    def __init__(self, text: str, names: Mapping[str, Value], tensor: str) -> None:
        self.tokens = list(_tokens(text))
        self.position = 0
        self.names: dict[str, Value] = {"pi": math.pi, **names}
        self.random = uniform(tensor)
        self.operations = 0

    # Tokens

    @property
    def next(self) -> _Token:
        return self.tokens[self.position]

    def take(self) -> _Token:
        token = self.next
        if token.kind != "end":
            self.position += 1
        return token

    def found(self, *texts: str) -> bool:
        return self.next.kind != "number" and self.next.text in texts

    def expect(self, *texts: str) -> str:
        """Take one of *texts*."""
        if not self.found(*texts):
            ends = ", and the formula ends here" if self.next.kind == "end" else ""
            self.fail(f"expected {' or '.join(map(repr, texts))}{ends}")
        return self.take().text

    def fail(self, message: str, at: _Token | None = None) -> NoReturn:
        raise FormulaFault(message, (at or self.next).offset)

    # Operations

    def apply(self, op: str, at: _Token, *values: Value) -> Value:
        """The operation, done where all values are numbers."""
        if op == "div" and values[1] == 0.0:
            self.fail("division by zero", at)
        numbers = [value for value in values if not isinstance(value, Expression)]
        if values and len(numbers) == len(values):
            try:
                found = float(_OF_NUMBERS[op](*numbers))
            except ValueError:
                self.fail(f"{op} of {numbers[0]:g} is no number", at)
            except OverflowError:
                found = math.inf
            return self.number(found, at)
        self.operations += 1
        if self.operations > OPERATIONS:
            self.fail(f"the formula has more than {OPERATIONS} operations", at)
        return Expression(op, tuple(map(lift, values)))

    def number(self, value: float, at: _Token) -> float:
        if not abs(value) < _LARGEST:
            self.fail("the number is too large", at)
        return value

    # Grammar

    def formula(self) -> Expression:
        """``{ name = value ; } value``, and nothing behind."""
        while self.next.kind == "name" and self.tokens[self.position + 1].text == "=":
            name = self.define()
            self.take()
            self.names[name] = self.value()
            self.expect(";")
        result = lift(self.value())
        if self.next.kind != "end":
            self.fail(f"expected an operator or the end, not {self.next.text!r}")
        return result

    def define(self) -> str:
        """A name that is about to get its meaning."""
        token = self.take()
        if token.kind != "name":
            self.fail("expected a name", token)
        if token.text in self.names or token.text in RESERVED:
            self.fail(f"{token.text} has a meaning already", token)
        return token.text

    def value(self) -> Value:
        return self.chain({"or": "or"}, lambda: self.chain({"and": "and"}, self.negation))

    def chain(self, operators: Mapping[str, str], part: Callable[[], Value]) -> Value:
        """Parts joined by *operators*, from left to right."""
        left = part()
        while self.found(*operators):
            sign = self.take()
            left = self.apply(operators[sign.text], sign, left, part())
        return left

    def negation(self) -> Value:
        if self.found("not"):
            return self.apply("not", self.take(), self.negation())
        left = self.sum()
        if not self.found(*_COMPARISONS):
            return left
        sign = self.take()
        compared = self.apply(_COMPARISONS[sign.text], sign, left, self.sum())
        if self.found(*_COMPARISONS):
            self.fail("comparisons do not chain; write a < b and b < c")
        return compared

    def sum(self) -> Value:
        return self.chain(_SUMS, lambda: self.chain(_PRODUCTS, self.signed))

    def signed(self) -> Value:
        if self.found("-"):
            return self.apply("neg", self.take(), self.signed())
        base = self.atom()
        if self.found("**"):
            self.fail("a power is written a ^ b")
        if not self.found("^"):
            return base
        sign = self.take()
        return self.power(base, self.signed(), sign)

    def power(self, base: Value, exponent: Value, at: _Token) -> Value:
        if isinstance(exponent, Expression):
            self.fail("a power is a number; write exp(b * log(a))", at)
        if not float(exponent).is_integer() or abs(exponent) > OPERATIONS:
            return self.apply("exp", at, self.apply("mul", at, self.apply("log", at, base), exponent))
        result: Value = 1.0
        for bit in f"{int(abs(exponent)):b}":
            result = self.times(at, result, result)
            result = self.times(at, result, base) if bit == "1" else result
        return self.apply("div", at, 1.0, result) if exponent < 0 else result

    def times(self, at: _Token, left: Value, right: Value) -> Value:
        """The product; 1 on the left leaves no trace."""
        return right if left == 1.0 else self.apply("mul", at, left, right)

    def atom(self) -> Value:
        token = self.take()
        if token.kind == "number":
            return self.number(float(token.text), token)
        if token.text == "(":
            inner = self.value()
            self.expect(")")
            return inner
        if token.kind != "name" or token.text in _WORDS:
            ends = ", and the formula ends here" if token.kind == "end" else f", not {token.text!r}"
            self.fail(f"expected a value{ends}", token)
        called = self.found("(")
        if token.text in self.names:
            return self.fail(f"{token.text} is no function", token) if called else self.names[token.text]
        if token.text not in _CALLS and token.text != "sum":
            known = [*_CALLS, "sum"] if called else [*self.names, *_CALLS, "sum"]
            self.fail(str(unknown("function" if called else "value", token.text, known)), token)
        if not called:
            self.fail(f"{token.text} is a function: {token.text}(...)", token)
        self.take()
        return self.series(token) if token.text == "sum" else self.call(token)

    def call(self, token: _Token) -> Value:
        op, count = _CALLS[token.text]
        values: list[Value] = []
        if self.found(")"):
            self.take()
        else:
            values.append(self.value())
            while self.expect(",", ")") == ",":
                values.append(self.value())
        if len(values) != count:
            self.fail(f"{token.text} takes {count} value{'s' * (count != 1)}, not {len(values)}", token)
        return self.apply(op, token, *values) if values else self.random

    def series(self, token: _Token) -> Value:
        """``sum(i, first, last, term)``: the term is read once for every i."""
        name = self.define()
        bounds: list[int] = []
        for _ in range(2):
            self.expect(",")
            bound = self.value()
            if isinstance(bound, Expression) or int(bound) != bound:
                self.fail("a sum counts from one whole number up to another", token)
            bounds.append(int(bound))
        self.expect(",")
        first, last = bounds
        if not first <= last < first + OPERATIONS:
            self.fail(f"a sum counts from one whole number up to another, at most {OPERATIONS} of them", token)
        start = self.position
        result: Value = 0.0
        for index in range(first, last + 1):
            self.position = start
            self.names[name] = float(index)
            term = self.value()
            result = term if index == first else self.apply("add", token, result, term)
        del self.names[name]
        self.expect(")")
        return result
