"""Element-wise statements as nodes of ONNX: every neuron, activation and norm that is an expression at each element."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ...numerics.formats import FORMATS
from ..ir.expression import Expression
from ..ir.statement import Elementwise
from ..ir.types import Type
from ._onnx_body import Body, Unwritable

_ARITHMETIC: Mapping[str, str] = {
    "add": "Add",
    "sub": "Sub",
    "mul": "Mul",
    "div": "Div",
    "min": "Min",
    "max": "Max",
    "neg": "Neg",
    "abs": "Abs",
    "sqrt": "Sqrt",
    "floor": "Floor",
    "rint": "Round",
    "exp": "Exp",
    "log": "Log",
    "tanh": "Tanh",
    "cos": "Cos",
}
_COMPARISONS: Mapping[str, str] = {
    "ge": "GreaterOrEqual",
    "gt": "Greater",
    "le": "LessOrEqual",
    "lt": "Less",
    "eq": "Equal",
}
_LOGIC: Mapping[str, str] = {"and": "And", "or": "Or", "not": "Not"}
FLOAT = 1
"""ONNX's number for float32."""


def write_elements(
    body: Body, statement: Elementwise, frame: Type, types: Mapping[str, Type], like: str
) -> tuple[dict[str, str], dict[str, str]]:
    """What the nodes of *statement* make over the elements of *frame*: values by name, and states by theirs.

    Names of values are those of *body*, and `before` gives those of states; *like* is a value of a sample's shape.
    Edges between floating-point formats leave no trace: a function is the mathematics of the network in float32.
    """
    if statement.random or statement.reduced:
        raise Unwritable("its random numbers" if statement.random else "sums over channels")
    making = _Making(body)
    for name, access in statement.reads.items():
        making.inputs[name] = _spread(body, access.value, types[access.value], frame)
    values = {write.target.value: making.value(write.expression) for write in statement.writes}
    states = {state.name: making.value(state.next) for state in statement.states}
    for made in (values, states):
        made.update((name, body.whole(value, like)) for name, value in made.items())
    return values, states


def before(state: str) -> str:
    """What a function calls a state of the step before."""
    return f"{state}_before"


class _Making:
    """Expressions as values of a body; each object once, as a number and as a truth value apart."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.inputs: dict[str, str] = {}
        self._numbers: dict[int, str] = {}
        self._truths: dict[int, str] = {}

    def value(self, root: Expression) -> str:
        """*root* as a number."""
        for part in root.walk():
            if id(part) not in self._numbers:
                self._numbers[id(part)] = self._number(part)
        return self._numbers[id(root)]

    def _number(self, part: Expression) -> str:
        match part.op:
            case "constant":
                return self.body.floats(part.value)
            case "input":
                return self.inputs[part.name]
            case "state":
                return before(part.name)
            case "edge" if FORMATS[part.name].kind == "float":
                return self._numbers[id(part.args[0])]
            case "select":
                condition, yes, no = part.args
                return self.body("Where", self._truth(condition), self._numbers[id(yes)], self._numbers[id(no)])
            case op if op in _ARITHMETIC:
                return self.body(_ARITHMETIC[op], *(self._numbers[id(arg)] for arg in part.args))
            case op if op in _COMPARISONS or op in _LOGIC or op == "ne":
                return self.body("Cast", self._truth(part), to=FLOAT)
            case op:
                raise Unwritable(f"{op} in what it computes")

    def _truth(self, part: Expression) -> str:
        """Whether *part*, all of whose arguments are made, is not 0."""
        if id(part) not in self._truths:
            if part.op in _COMPARISONS:
                args = (self._numbers[id(arg)] for arg in part.args)
                made = self.body(_COMPARISONS[part.op], *args)
            elif part.op == "ne":
                made = self.body("Not", self.body("Equal", *(self._numbers[id(arg)] for arg in part.args)))
            elif part.op in _LOGIC:
                made = self.body(_LOGIC[part.op], *map(self._truth, part.args))
            else:
                made = self.body("Not", self.body("Equal", self._numbers[id(part)], self.body.floats(0.0)))
            self._truths[id(part)] = made
        return self._truths[id(part)]


def _spread(body: Body, name: str, type: Type, frame: Type) -> str:
    """A value that stands beside the elements of *frame*, a sample at a time: all of them, one a channel, or one."""
    if type.factors == frame.factors or not type.factors:
        return name
    if type.factors != frame.factors[:1] or type.batched:
        raise Unwritable(f"{type} beside {frame}")
    channels, *inside = frame.axes[0]
    if inside:  # each channel's number at all elements of a flattened axis
        rest = math.prod(inside)
        column = body("Unsqueeze", name, body.integers([1]))
        table = body("Expand", column, body.integers([channels, rest]))
        name = body("Reshape", table, body.integers([channels * rest]))
    further = len(frame.axes) - 1
    return body("Unsqueeze", name, body.integers(list(range(1, 1 + further)))) if further else name
