"""What an element-wise operation computes, in float64, and what a comparison compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ._onnx_terms import Term
from .frontend import Array

COMPARISONS = ("Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Spike")
SCALED = ("Mul", "Div", "Neg")
SHIFTED = ("Add", "Sub")


class Unknown(Exception):
    """A cluster that is no neuron that there is, with the reason."""


def is_bit(term: Term) -> bool:
    """Whether *term* is a comparison, as it is or as a number."""
    while term.op == "Cast":
        (term,) = term.args
    return term.op in COMPARISONS


@dataclass(frozen=True)
class Compared:
    """What a comparison compares: *of* with *threshold*, or with ``moving + threshold`` where that changes.

    *strict*: it must be above it.
    """

    of: Term
    threshold: Array
    strict: bool
    moving: Term | None = None


def compared(term: Term) -> list[Compared]:
    """What a comparison compares, said in all ways: constants may belong to the threshold or to what is compared."""
    if term.op == "Spike":
        return _shifted(Compared(term.args[0], np.asarray(float(term.settings.get("threshold", 1.0))), False))
    left, right = term.args
    strict = term.op in ("Greater", "Less")
    if term.op in ("Less", "LessOrEqual"):
        left, right = right, left
    if left.value is not None:  # below: the same comparison with its answers changed for one another
        left, right, strict = right, left, not strict
    if right.value is not None:
        return _shifted(Compared(left, number(right), strict))
    return [Compared(left, np.zeros(()), strict, right), Compared(right, np.zeros(()), not strict, left)]


def _shifted(whole: Compared) -> list[Compared]:
    """*whole* with as many constants taken over by the threshold as there are, then with fewer and fewer."""
    found = [whole]
    while found[-1].of.op in SHIFTED:
        last = found[-1]
        first, second = last.of.args
        if second.value is not None:
            more = number(second) if last.of.op == "Sub" else -number(second)
            found.append(replace(last, of=first, threshold=last.threshold + more))
        elif first.value is not None and last.of.op == "Add":
            found.append(replace(last, of=second, threshold=last.threshold - number(first)))
        else:
            if first.value is None and last.of.op == "Sub":
                found.append(replace(last, of=first, moving=second))
            break
    return found[::-1]


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
