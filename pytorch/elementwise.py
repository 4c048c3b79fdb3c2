"""Operations of PyTorch that compute each element by itself, as operators of ONNX."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from .model import Operation, Unwritable, Write, Written


def _unary(op: str) -> Write:
    return lambda at: at.writer.node(op, [at.tensor(0, np.float32)], at.shape)


def _arithmetic(op: str, swapped: bool = False) -> Write:
    """Two operands in the element type of the result; ``alpha`` is a factor of the second."""

    def write(at: Operation) -> Written:
        left, right = at.tensor(0, at.kind), at.tensor(1, at.kind)
        alpha = at.kwargs.get("alpha", 1)
        if at.kwargs.get("rounding_mode") is not None:
            raise Unwritable("rounds its quotient, which no neuron and no layer does")
        if alpha != 1:
            right = at.writer.node("Mul", [right, at.writer.constant(alpha, at.kind)], right.shape, at.kind)
        return at.writer.node(op, [right, left] if swapped else [left, right], at.shape, at.kind)

    return write


def _comparison(op: str) -> Write:
    def write(at: Operation) -> Written:
        return at.writer.node(op, [at.tensor(0, np.float32), at.tensor(1, np.float32)], at.shape, np.bool_)

    return write


def _different(at: Operation) -> Written:
    equal = _comparison("Equal")(at)
    return at.writer.node("Not", [cast(Written, equal)], at.shape, np.bool_)


def _logical(op: str) -> Write:
    def write(at: Operation) -> Written:
        operands = [at.value(given, np.bool_) for given in at.args]
        return at.writer.node(op, operands, at.shape, np.bool_)

    return write


def _bounds(at: Operation, low: Any, high: Any) -> Written:
    made = at.tensor(0, at.kind)
    for op, bound in (("Max", low), ("Min", high)):
        if bound is not None:
            made = at.writer.node(op, [made, at.value(bound, at.kind)], at.shape, at.kind)
    return made


def _where(at: Operation) -> Written:
    operands = [at.tensor(0, np.bool_), at.tensor(1, at.kind), at.tensor(2, at.kind)]
    return at.writer.node("Where", operands, at.shape, at.kind)


def _power(at: Operation) -> Written:
    return at.writer.node("Pow", [at.tensor(0, np.float32), at.tensor(1, np.float32)], at.shape)


def _heaviside(at: Operation) -> Written:
    """1 above 0, and the second operand at 0."""
    x, at_zero = at.tensor(0), at.argument(1)
    if not isinstance(at_zero, Written):
        raise Unwritable("with a value at 0 that is no tensor cannot be read")
    zero = at.writer.constant(0.0)
    above = at.writer.cast(at.writer.node("Greater", [x, zero], at.shape, np.bool_), np.float32)
    equal = at.writer.node("Equal", [x, zero], at.shape, np.bool_)
    return at.writer.node("Where", [equal, at_zero, above], at.shape)


ELEMENTWISE: dict[str, Write] = {
    **{name: _unary(name.capitalize()) for name in "abs neg sign exp log sqrt sigmoid tanh relu".split()},
    "add": _arithmetic("Add"),
    "sub": _arithmetic("Sub"),
    "rsub": _arithmetic("Sub", swapped=True),
    "mul": _arithmetic("Mul"),
    "div": _arithmetic("Div"),
    "maximum": _arithmetic("Max"),
    "minimum": _arithmetic("Min"),
    "pow": _power,
    "reciprocal": lambda at: at.writer.node("Div", [at.writer.constant(1.0), at.tensor(0, np.float32)], at.shape),
    "gt": _comparison("Greater"),
    "ge": _comparison("GreaterOrEqual"),
    "lt": _comparison("Less"),
    "le": _comparison("LessOrEqual"),
    "eq": _comparison("Equal"),
    "ne": _different,
    "logical_and": _logical("And"),
    "bitwise_and": _logical("And"),
    "logical_or": _logical("Or"),
    "bitwise_or": _logical("Or"),
    "logical_xor": _logical("Xor"),
    "bitwise_xor": _logical("Xor"),
    "logical_not": _logical("Not"),
    "bitwise_not": _logical("Not"),
    "clamp": lambda at: _bounds(at, at.argument(1, "min"), at.argument(2, "max")),
    "clamp_min": lambda at: _bounds(at, at.argument(1, "min"), None),
    "clamp_max": lambda at: _bounds(at, None, at.argument(1, "max")),
    "hardtanh": lambda at: _bounds(at, at.argument(1, "min_val", -1.0), at.argument(2, "max_val", 1.0)),
    "where": _where,
    "heaviside": _heaviside,
}
