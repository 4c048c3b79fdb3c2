"""What an element-wise operation computes, in float64, and what a comparison compares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ._onnx_steps import Body
from ._onnx_terms import Term
from .frontend import Array

COMPARISONS = ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Spike")
SCALED = ("Mul", "Div", "Neg")
SHIFTED = ("Add", "Sub")


class Unknown(Exception):
    """A cluster that is no neuron that there is, with the reason."""


def is_bit(term: Term) -> bool:
    return term.op in COMPARISONS or (term.op == "Cast" and is_bit(term.args[0]))


def fired(term: Term) -> tuple[Term, Array, bool]:
    """(what is compared, with what threshold, whether it must be above it)."""
    if term.op == "Spike":
        return term.args[0], np.asarray(float(term.settings.get("threshold", 1.0))), False
    left, right = term.args
    strict = term.op in ("Greater", "Less")
    if term.op in ("Less", "LessOrEqual"):
        left, right = right, left
    if right.value is None and left.value is None and _difference(left, right):
        raise Unknown("its threshold changes with time")
    if right.value is None:
        raise Unknown("its threshold changes with time, or it fires below it")
    left, threshold = _peeled(left, np.asarray(right.value, float))
    return left, threshold, strict


def _peeled(term: Term, threshold: Array) -> tuple[Term, Array]:
    """*term* without the constants that are taken away or added, and the threshold of what is left."""
    while term.op in SHIFTED and any(arg.value is not None for arg in term.args):
        first, second = term.args
        if second.value is not None:
            threshold = threshold + (second.value if term.op == "Sub" else -second.value)
            term = first
        elif term.op == "Add" and first.value is not None:
            threshold = threshold - first.value
            term = second
        else:
            break
    return term, threshold


def same_comparison(one: Term, other: Term, body: Body) -> bool:
    """Whether both compare the same with the same threshold, be it in the step before."""
    (first, low, _), (second, high, _) = fired(one), fired(other)
    while id(first) in body.previous:
        first = body.previous[id(first)]
        if first.op in SHIFTED and any(arg.value is not None for arg in first.args):
            first, more = _peeled(first, np.zeros(()))
            low = low + more
    return first is second and np.allclose(low, high, rtol=1e-7)


def _difference(left: Term, right: Term) -> bool:
    return left.value is None and right.value is None


def number(term: Term) -> Array:
    """The value of a constant in float64."""
    assert term.value is not None, term.origin
    return np.asarray(term.value, float)


def evaluated(term: Term, args: Sequence[Array]) -> Any:
    """One element-wise operation in float64; comparisons give 1 and 0."""
    settings = term.settings
    match term.op:
        case "Add":
            return args[0] + args[1]
        case "Sub":
            return args[0] - args[1]
        case "Mul":
            return args[0] * args[1]
        case "Div":
            return args[0] / args[1]
        case "Neg":
            return -args[0]
        case "Cast":
            return (args[0] != 0) if settings["bool"] else args[0]
        case "Greater":
            return args[0] > args[1]
        case "GreaterOrEqual":
            return args[0] >= args[1]
        case "Less":
            return args[0] < args[1]
        case "LessOrEqual":
            return args[0] <= args[1]
        case "Equal":
            return args[0] == args[1]
        case "Spike":
            return args[0] >= float(settings.get("threshold", 1.0))
        case "Where":
            return np.where(args[0] != 0, args[1], args[2])
        case "Not":
            return args[0] == 0
        case "And":
            return (args[0] != 0) & (args[1] != 0)
        case "Or":
            return (args[0] != 0) | (args[1] != 0)
        case "Xor":
            return (args[0] != 0) ^ (args[1] != 0)
        case "Max":
            return np.maximum(args[0], args[1])
        case "Min":
            return np.minimum(args[0], args[1])
        case "Clip":
            return np.clip(args[0], settings["min"], settings["max"])
        case "Abs":
            return np.abs(args[0])
        case "Sign":
            return np.sign(args[0])
        case "Relu":
            return np.maximum(args[0], 0)
        case "Sigmoid":
            return 1 / (1 + np.exp(-args[0]))
        case "Tanh":
            return np.tanh(args[0])
        case "Exp":
            return np.exp(args[0])
        case "Sqrt":
            return np.sqrt(args[0])
        case "Pow":
            return args[0] ** args[1]
        case op:
            raise Unknown(f"it computes {op}")
