"""The function of a node: what any runtime of ONNX can execute in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import onnx

from ..frontends._onnx_domain import variant
from ..ir.expression import state
from ..ir.graph import Node
from ..ir.statement import Elementwise, State, Statement
from ..ir.types import Type
from ..ops.delay import Delay
from ..ops.op import OPS, Op, lower
from ._onnx_body import Body, Unwritable
from ._onnx_elements import before, write_elements
from ._onnx_layers import Call, layer_of


@dataclass(frozen=True)
class Function:
    """One time step of a node: a function of its operands, its parameters, and its states in the step before.

    It gives the *results*, by number, and then each of the *states* as the next step finds it.
    """

    proto: onnx.FunctionProto
    results: tuple[int, ...]
    states: tuple[State, ...] = ()


@dataclass
class Functions:
    """All functions of a file; nodes that are alike share one, others of the same operator are told apart by a number.

    ONNX would have overloads for that, which its own reference passes over.
    """

    protos: list[onnx.FunctionProto] = field(default_factory=list[onnx.FunctionProto])
    _names: dict[bytes, str] = field(default_factory=dict[bytes, str])
    _alike: dict[str, int] = field(default_factory=dict[str, int])

    def of(self, node: Node, types: Mapping[str, Type], wanted: Sequence[bool]) -> Function:
        """The function of *node*; *wanted* says which of its results somebody reads.  `Unwritable` where there is none.

        What an operator does otherwise when inferring (batch norm, dropout) is what its function does.
        """
        op = OPS[node.op].make(node.settings)
        made = _delayed(op) if isinstance(op, Delay) else _function(node, op, types, wanted)
        made.proto.doc_string = (type(op).__doc__ or "").strip().partition("\n")[0]
        key = made.proto.SerializeToString()
        if key not in self._names:
            self._alike[node.op] = self._alike.get(node.op, 0) + 1
            made.proto.name = variant(node.op, self._alike[node.op])
            self._names[key] = made.proto.name
            self.protos.append(made.proto)
        made.proto.name = self._names[key]
        return made


def _function(node: Node, op: Op, types: Mapping[str, Type], wanted: Sequence[bool]) -> Function:
    """Of an operator that a table has, or that is an expression at each element."""
    count = len(op.operands)
    operands = [_plain(types[name]) for name in node.operands]
    parameters = list(op.parameter_types(*(types[name] for name in node.operands[:count])))
    inputs = [*op.operands, *parameters]
    outputs = [suffix or "y" for suffix in op.suffixes]
    asked = tuple(number for number, read in enumerate(wanted) if read or number == 0)
    body = Body()
    layer = layer_of(op)
    if layer is not None:
        call = Call(operands[:count], _plain(node.types[0]), parameters, wanted)
        made = layer(body, op, call)
        named = [outputs[number] for number in asked]
        return Function(body.function(node.op, inputs, named, [made[number] for number in asked]), asked)
    if op.inference and len(asked) > 1:
        raise Unwritable(f"{node.results[asked[1]]}, which {node.op} makes in training only")
    seen = dict(zip(inputs, operands, strict=True))
    seen |= {name: _plain(type) for name, type in zip(outputs, node.types, strict=True)}
    names = tuple(name if number in asked else "" for number, name in enumerate(outputs))
    facet = f"{node.op}.{op.inference}" if op.inference else node.op
    statement = _only(lower(replace(node, op=facet, operands=tuple(inputs), results=names), seen, 1, 1, "up"), node)
    values, states = write_elements(body, statement, _plain(node.types[0]), seen, inputs[0])
    for name, type in zip(outputs, node.types, strict=True):  # spikes of another amplitude than 1
        if name in values and type.scale != 1.0:
            values[name] = body("Mul", values[name], body.floats(type.scale))
    taken = [*inputs, *(before(state.name) for state in statement.states)]
    given = [*(outputs[number] for number in asked), *(f"{state.name}_after" for state in statement.states)]
    after = [*(values[outputs[number]] for number in asked), *(states[state.name] for state in statement.states)]
    return Function(body.function(node.op, taken, given, after), asked, statement.states)


def _delayed(op: Delay) -> Function:
    """A delay moves its states on, the newest first; its result is the oldest of them, as it was in the step before."""
    body = Body()
    names = [f"ago{number}" for number in range(1, op.steps + 1)]
    inputs = ["x", *map(before, names[:-1])]
    proto = body.function(op.name, inputs, [f"{name}_after" for name in names], inputs)
    return Function(proto, (), tuple(State(name, "f16", 0.0, state(name)) for name in names))


def _only(statements: Sequence[Statement], node: Node) -> Elementwise:
    """The one statement of an operator that is an expression at each element."""
    if len(statements) != 1 or not isinstance(statements[0], Elementwise):
        raise Unwritable(node.op)
    return statements[0]


def _plain(type: Type) -> Type:
    """*type* as a runtime of ONNX has its values: numbers, with every scale in them."""
    return replace(type, format="f16", scale=1.0)
