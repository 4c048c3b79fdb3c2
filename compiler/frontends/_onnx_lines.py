"""The text of a file of the domain ``ai.snnc``: a line of the language for each of its nodes and parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import onnx
from onnx import helper

from ...catalog import unknown
from ...source import Faults, Place, SourceError
from ..ops.op import OPS
from ._building import spelled
from ._onnx_domain import (
    DOMAIN,
    ORDER,
    RESULTS,
    STEP,
    STEPS,
    TRAIN,
    body_of_scan,
    is_own,
    line_of_text,
    operator,
    origin_of,
    sequences_of,
    setting_text,
)
from ._onnx_file import array_of
from .frontend import Array, Note

_PARAMETER = re.compile(r"parameter\([^\n;{}#]*\) : [^\n;{}#]*")
_TYPE = re.compile(r"[a-z0-9]+\[[^\n;{}#]*\][^\n;{}#]*")


@dataclass(frozen=True)
class _Line:
    """A line of the language: the value that it makes first, its text, and the node or tensor that it came from."""

    makes: str
    text: str
    origin: str


@dataclass(frozen=True)
class _Time:
    """What the Scan says: *rows* of what is outside, *before* each state's name after a step, *results* outside."""

    nodes: tuple[onnx.NodeProto, ...] = ()
    rows: Mapping[str, str] = field(default_factory=dict[str, str])
    before: Mapping[str, onnx.ValueInfoProto] = field(default_factory=dict[str, onnx.ValueInfoProto])
    results: Mapping[str, str] = field(default_factory=dict[str, str])


class Lines:
    """The text of a file in the making; *names* are those of the language, by those of the file."""

    def __init__(self, model: onnx.ModelProto, file: str, faults: Faults) -> None:
        graph = model.graph
        self.file = file
        self.lines: list[_Line] = []
        self.notes: list[Note] = []
        self.arrays: dict[str, Array] = {}
        self.carries: dict[str, list[float | None]] = {}
        """What the states of a node begin with, by the first value that it makes; None for what is no number."""

        self._begins: dict[str, float | None] = {}
        self._faults = faults
        self._told = {entry.key: entry.value for entry in model.metadata_props}
        self._name = spelled(graph.name) or "network"
        self._names: dict[str, str] = {}
        self._taken: set[str] = set()
        self._lost: set[str] = set()
        tensors = {tensor.name: tensor for tensor in graph.initializer}
        scan = next((node for node in graph.node if is_own(node, "Scan")), None)
        self._time = _Time() if scan is None else self._over_time(graph, scan)
        ports = [value for value in graph.input if value.name not in tensors]
        rows = set(self._time.rows.values())
        self.ports = [(self._claim(port.name), _port_type(port, port.name in rows)) for port in ports]
        nodes = [*(node for node in graph.node if node.domain == DOMAIN), *self._time.nodes]
        read = {self._time.rows.get(name, name) for node in nodes for name in node.input}
        read |= {value.name for value in graph.output} | set(self._told.get(ORDER, "").split())
        for name in tensors:
            if name in read:
                self._parameter(tensors[name])
        self._names |= {inner: self._names[outer] for inner, outer in self._time.rows.items() if outer in self._names}
        known = [node for node in nodes if self._defined(node)]
        for node in known:
            if self._lost.isdisjoint(node.input):  # else its fault is told where it began
                self._node(node)
        self._results = [self._result(value.name) for value in graph.output]
        self.steps = self._count(ports, rows)
        order = {name: number for number, name in enumerate(self._told.get(ORDER, "").split())}
        if all(line.makes in order for line in self.lines):
            self.lines.sort(key=lambda line: order[line.makes])

    def text(self) -> str:
        """The file in the language: a line a node, behind that of the ports."""
        ports = ", ".join(f"{name}: {type}" for name, type in self.ports)
        head = f"network {self._name}({ports}) steps {self.steps} {{"
        lines = [head, *(line.text for line in self.lines), f"return {', '.join(self._results)} }}"]
        return "\n".join([*lines, self._told.get(TRAIN, "")])

    def place(self, place: Place) -> Place:
        """Where in the file a line came from."""
        number = place.line - 2
        if 0 <= number < len(self.lines):
            return Place(f"{self.file}, node {self.lines[number].origin}")
        if number > len(self.lines):
            return Place(f"{self.file}, {TRAIN}", number - len(self.lines), place.column)
        return Place(self.file)

    # What there is

    def _over_time(self, graph: onnx.GraphProto, scan: onnx.NodeProto) -> _Time:
        """The body of the Scan, and how it hangs together with what is outside."""
        body = body_of_scan(scan)
        count = len(scan.input) - sequences_of(scan)
        if len(body.input) != len(scan.input) or len(body.output) != len(scan.output) or count < 0:
            raise SourceError.at(self._at(scan.name or "Scan"), "its body does not fit its inputs and outputs")
        for each in scan.attribute:
            if each.name.startswith(("scan_input_", "scan_output_")) and any(each.ints):
                self._faults.add(self._at(scan.name or "Scan"), f"{each.name} other than 0 cannot be read")
        self._begins = _beginnings(graph, scan, [value.name for value in body.input[:count]], self.file)
        copies = {node.output[0]: node.input[0] for node in body.node if node.domain != DOMAIN}
        made = [copies.get(value.name, value.name) for value in body.output]
        return _Time(
            tuple(node for node in body.node if node.domain == DOMAIN),
            {inner.name: outer for inner, outer in zip(body.input[count:], scan.input[count:], strict=True)},
            dict(zip(made[:count], body.input[:count], strict=True)),
            dict(zip(scan.output[count:], made[count:], strict=True)),
        )

    def _parameter(self, tensor: onnx.TensorProto) -> None:
        """A parameter, whose type and first values stand beside it; without them they are what the operator says."""
        name = self._claim(tensor.name)
        written = tensor.doc_string if _PARAMETER.fullmatch(tensor.doc_string) else "parameter()"
        self.lines.append(_Line(name, f"{name} = {written}", tensor.name))
        self.arrays[name] = array_of(tensor, self._at(tensor.name))

    def _defined(self, node: onnx.NodeProto) -> bool:
        """Give what a node makes its name, since a delay reads what is made after it; False where that is a fault."""
        place = self._at(origin_of(node))
        op = operator(node.op_type)
        if op not in OPS:
            self._faults.add(place, str(unknown(f"operator of {DOMAIN}", op, OPS)))
            self._lost.update(node.output)
            return False
        if not node.output or not node.output[0]:
            self._faults.add(place, "makes nothing")
            return False
        first = node.output[0]
        if op == "delay":
            if node.output[-1] not in self._time.before:
                self._faults.add(place, "what a delay makes last is carried to the next step, and this is not")
                return False
            first = self._time.before[node.output[-1]].name
        self._claim(first)
        for output in node.output[1:] if op != "delay" else ():
            self._names.setdefault(output, output.removesuffix(STEP))
        return True

    def _node(self, node: onnx.NodeProto) -> None:
        """A call of an operator."""
        carried = {value.name for value in self._time.before.values()}
        op = operator(node.op_type)
        delays = op == "delay"
        first = self._time.before[node.output[-1]] if delays else None
        name = self._names[first.name if first is not None else node.output[0]]
        count = 1 if delays else len(node.input)
        read = [each for each in node.input[:count] if each in self._names or each not in carried]
        place = self._at(origin_of(node))
        if strange := [each for each in read if each not in self._names]:
            self._faults.add(place, f"reads {', '.join(strange)}, which no node of {DOMAIN} makes")
            return
        settings: list[str] = []
        results = name
        for attribute in node.attribute:
            value = helper.get_attribute_value(attribute)
            if attribute.name == RESULTS and isinstance(value, list):
                results = ", ".join(line_of_text(text) for text in cast(list[Any], value) if isinstance(text, bytes))
                continue
            written = setting_text(op, attribute.name, value)
            if written is None:
                self._faults.add(place, f"the attribute {attribute.name} is no setting: a number, numbers or a text")
            else:
                settings.append(f"{attribute.name}={written}")
        states = [*node.input[1:], first.name] if first is not None else [n for n in node.input if n not in read]
        self.carries[name] = [self._begins.get(state) for state in states]
        call = f"{op}({', '.join([*(self._names[each] for each in read), *settings])})"
        type = f" : {_state_type(first)}" if first is not None else ""
        self.lines.append(_Line(name, f"{results} = {call}{type}", origin_of(node)))

    def _result(self, output: str) -> str:
        """What the network returns."""
        inner = self._time.results.get(output, output)
        if inner not in self._names:
            self._faults.add(self._at(output), "the output is made by no node")
        return self._names.get(inner, "value")

    def _count(self, ports: list[onnx.ValueInfoProto], rows: set[str]) -> int:
        """Time steps: as the file says, or as its inputs do."""
        told = self._told.get(STEPS, "")
        if told.isdecimal() and len(told) < 10 and int(told) > 0:
            return int(told)
        for port in ports:
            if port.name in rows and port.type.tensor_type.shape.dim[0].dim_value > 0:
                return port.type.tensor_type.shape.dim[0].dim_value
        if self._time.nodes:
            self.notes.append(Note("assumption", Place(self.file), "1 time step (the file says no number; --steps)"))
        return 1

    def _claim(self, wanted: str) -> str:
        """A name of the language like *wanted*, which nothing else has."""
        name = spelled(wanted.removesuffix(STEP)) or "value"
        free, number = name, 0
        while free in self._taken:
            number += 1
            free = f"{name}.{number}"
        self._taken.add(free)
        self._names[wanted] = free
        return free

    def _at(self, name: str) -> Place:
        return Place(f"{self.file}, node {name}")


def _beginnings(graph: onnx.GraphProto, scan: onnx.NodeProto, states: list[str], file: str) -> dict[str, float | None]:
    """The number with which each of *states* begins everywhere; None where the file does not say one."""
    made = {node.output[0]: node for node in graph.node if node.output}
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    found: dict[str, float | None] = {}
    for state, source in zip(states, scan.input, strict=False):
        node, tensor = made.get(source), tensors.get(source)
        if node is not None and node.op_type in ("Constant", "ConstantOfShape"):
            tensor = next((each.t for each in node.attribute if each.name == "value"), onnx.TensorProto(dims=[0]))
        array = None if tensor is None else array_of(tensor, Place(f"{file}, {state} before the first step"))
        if array is not None and not array.size and node is not None and node.op_type == "ConstantOfShape":
            array = np.zeros(1)
        alike = array is not None and array.size and (array == array.flat[0]).all()
        found[state] = float(array.flat[0]) if alike and array is not None else None
    return found


def _port_type(port: onnx.ValueInfoProto, timed: bool) -> str:
    """The type that stands beside an input, or numbers of its shape."""
    if _TYPE.fullmatch(port.doc_string):
        return port.doc_string
    dims = [dim.dim_value for dim in port.type.tensor_type.shape.dim][1 + timed :]
    return f"f16[{', '.join([*(['t'] if timed else []), 'n', *map(str, dims)])}]"


def _state_type(value: onnx.ValueInfoProto) -> str:
    """The type that stands beside what a delay makes, or numbers of its shape."""
    if _TYPE.fullmatch(value.doc_string):
        return value.doc_string
    dims = [dim.dim_value for dim in value.type.tensor_type.shape.dim][1:]
    return f"f16[{', '.join(['t', 'n', *map(str, dims)])}]"
