"""Writing ONNX files: every operator a node of the domain ``ai.snnc``, each with a function of standard operators.

What is the same in all steps stands in the graph; what changes is the body of one ``Scan`` over time, where ``NAME@t``
is a value in step t and ``NAME:STATE`` a state that the step before left.  Settings are attributes, types and
initialisers the texts of their tensors, in the words of the language; `frontends/_onnx_ours.py` reads it all back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ... import __version__
from ...source import Faults, SourceError
from ..frontends._onnx_domain import DOMAIN, ORDER, RESULTS, STEP, STEPS, TRAIN, VERSION
from ..frontends.frontend import Array, Note
from ..ir.graph import Network, Node, Setting
from ..ir.text import print_settings
from ..ir.types import Type
from ..ir.values import text_of_setting, text_of_type
from ..ops.op import OPS
from ._onnx_body import OPSET, Unwritable
from ._onnx_functions import Functions
from .export import Options, Written

IR_VERSION = 8
"""The first with functions of the file's own."""

LARGEST = (1 << 31) - 1
"""Bytes of a file; protobuf holds no more."""

PRODUCER = "snnc"


def write(network: Network, parameters: Mapping[str, Array], options: Options) -> Written:
    """The bytes of an ONNX file with *network*; SourceError with all that ONNX cannot say."""
    if options.lossy:
        raise SourceError.at(network.place, "nothing is lost in ONNX, and --lossy has no place here")
    writer = _Writer(network, parameters)
    if network.train.get("coding", "direct") != "direct":
        told = f"coding = {network.train['coding']} stands in the train section alone: runtimes see samples as they are"
        writer.notes.append(Note("warning", network.places.get("coding", network.place), told))
    return Written(writer.content(), tuple(writer.notes))


@dataclass(frozen=True)
class _State:
    """What is carried: called *before* in the body as a step finds it, and *after* as it leaves it."""

    before: str
    after: str
    type: Type
    initial: float
    text: str = ""


class _Writer:
    """Nodes of the graph, nodes of a time step, and what passes between them."""

    def __init__(self, network: Network, parameters: Mapping[str, Array]) -> None:
        self.network = network
        self.parameters = parameters
        self.types = network.types
        self.notes: list[Note] = []
        self._faults = Faults(SourceError)
        self._functions = Functions()
        self._static: list[onnx.NodeProto] = []
        self._step: list[onnx.NodeProto] = []
        self._closing: list[onnx.NodeProto] = []
        self._states: list[_State] = []
        self._tensors: list[onnx.TensorProto] = []
        read = [name for node in network.nodes for name in node.operands]
        self._read = {*read, *network.results}

    def content(self) -> bytes:
        """The file."""
        for node in self.network.nodes:
            if node.op == "parameter":
                self._parameter(node)
            else:
                self._node(node)
        ports = {port.name for port in self.network.ports}
        for number, result in enumerate(self.network.results):
            if result in ports or result in self.network.results[:number]:
                self._faults.add(self.network.place, f"ONNX has no word for a result that is {result} again")
        self._faults.throw()
        model = self._model()
        if model.ByteSize() > LARGEST:
            told = f"has {model.ByteSize():,} bytes as ONNX, and a file of it holds {LARGEST:,}"
            raise SourceError.at(self.network.place, told)
        return model.SerializeToString()

    # Nodes

    def _parameter(self, node: Node) -> None:
        """An initializer, which says its type and its first values besides."""
        (name,), (type,) = node.results, node.types
        array = self.parameters.get(name)
        shape = (*((self.network.steps,) if type.timed else ()), *type.shape)
        if array is None or array.shape != shape:
            there = "are none" if array is None else f"are {list(array.shape)}"
            self._faults.add(node.place, f"the numbers of {name} {list(shape)} are missing: there {there}")
            return
        tensor = numpy_helper.from_array(np.asarray(array, np.float32), name)
        tensor.doc_string = f"parameter(init={text_of_setting(node.settings['init'])}) : {text_of_type(type)}"
        self._tensors.append(tensor)

    def _node(self, node: Node) -> None:
        """A call of the operator's function."""
        wanted = [name in self._read for name in node.results]
        try:
            function = self._functions.of(node, self.types, wanted)
        except Unwritable as error:
            self._faults.add(node.place, f"ONNX has no word for {error}")
            return
        if node.op == "poisson":
            told = f"{node.results[0]} has other random numbers in every runtime"
            self.notes.append(Note("assumption", node.place, told))
        first, type = node.results[0], node.types[0]
        states = [
            _State(f"{first}:{state.name}@t-1", f"{first}:{state.name}{STEP}", type, state.initial)
            for state in function.states
        ]
        delayed = node.op == "delay"
        if delayed:  # what it makes is what its oldest state was before
            *newer, oldest = states
            states = [*newer, _State(self._seen(first), oldest.after, type, 0.0, text_of_type(type))]
        carried = states[:-1] if delayed else states
        made = helper.make_node(
            function.proto.name,
            [*map(self._seen, node.operands), *(state.before for state in carried)],
            [*(self._seen(node.results[k]) for k in function.results), *(state.after for state in states)],
            first,
            domain=DOMAIN,
            **{name: _attribute(value) for name, value in node.settings.items()},
        )
        suffixes = OPS[node.op].make(node.settings).suffixes
        if node.results[1:] != tuple(f"{first}.{suffix}" for suffix in suffixes[1:]):
            made.attribute.append(helper.make_attribute(RESULTS, list(node.results)))
        self._states += states
        into = self._closing if delayed else self._step if type.timed else self._static
        into.append(made)

    def _seen(self, name: str) -> str:
        """What a value is called where nodes read it."""
        return f"{name}{STEP}" if self.types[name].timed else name

    # The file

    def _model(self) -> onnx.ModelProto:
        """Everything together."""
        network = self.network
        inputs = [_value(port.name, port.type, text_of_type(port.type), rows="T") for port in network.ports]
        outputs = [_value(name, self.types[name], "", rows="T") for name in network.results]
        nodes = [*self._static, *self._over_time()]
        graph = helper.make_graph(nodes, network.name, inputs, outputs, self._tensors)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, VERSION)],
            functions=self._functions.protos,
            ir_version=IR_VERSION,
            producer_name=PRODUCER,
            producer_version=__version__,
        )
        told = {STEPS: str(network.steps), ORDER: " ".join(node.results[0] for node in network.nodes)}
        if network.train:
            told[TRAIN] = print_settings("train", network.train)
        helper.set_model_props(model, told)
        return model

    def _over_time(self) -> list[onnx.NodeProto]:
        """The Scan, and what its states begin with."""
        if not self._step and not self._closing:
            return []
        network = self.network
        rows = [port.name for port in network.ports if port.type.timed]
        rows += [node.results[0] for node in network.nodes if node.op == "parameter" and node.types[0].timed]
        made: list[onnx.NodeProto] = []
        inner = [_value(state.before, state.type, state.text) for state in self._states]
        inner += [_value(self._seen(name), self.types[name], "") for name in rows]
        outer = list(rows)
        if not rows:  # nothing else says how many steps there are
            self._tensors.append(numpy_helper.from_array(np.arange(network.steps, dtype=np.int64), ":steps"))
            inner.append(helper.make_tensor_value_info(":step", onnx.TensorProto.INT64, []))
            outer.append(":steps")
        port = network.ports[0]
        axis = int(port.type.timed)
        if self._states:
            made.append(helper.make_node("Shape", [port.name], [":samples"], ":samples", start=axis, end=axis + 1))
        beginnings = {(state.type.shape, state.initial): "" for state in self._states}
        for number, (shape, initial) in enumerate(beginnings):
            made += self._beginning(number, shape, initial)
            beginnings[shape, initial] = f":begin{number}"
        results = [name for name in network.results if self.types[name].timed]
        ends = [_value(state.after, state.type, "") for state in self._states]
        ends += [_value(f"{name}@result", self.types[name], "") for name in results]
        copies = [helper.make_node("Identity", [self._seen(name)], [f"{name}@result"]) for name in results]
        body = helper.make_graph([*self._step, *self._closing, *copies], "step", inner, ends)
        first = [beginnings[state.type.shape, state.initial] for state in self._states]
        after = [f"{state.after} of all" for state in self._states]
        made.append(
            helper.make_node(
                "Scan", [*first, *outer], [*after, *results], "time", num_scan_inputs=len(outer), body=body
            )
        )
        return made

    def _beginning(self, number: int, shape: Sequence[int], initial: float) -> list[onnx.NodeProto]:
        """The same number for every sample and element."""
        axes = numpy_helper.from_array(np.array(shape, np.int64))
        value = numpy_helper.from_array(np.array([initial], np.float32))
        names = [f":{word}{number}" for word in ("axes", "shape", "begin")]
        return [
            helper.make_node("Constant", [], names[:1], names[0], value=axes),
            helper.make_node("Concat", [":samples", names[0]], names[1:2], names[1], axis=0),
            helper.make_node("ConstantOfShape", names[1:2], names[2:], names[2], value=value),
        ]


def _value(name: str, type: Type, text: str, rows: str = "") -> onnx.ValueInfoProto:
    """A tensor of the samples of one step, or of all *rows* of time where its type has them."""
    lead = [*([rows] if rows and type.timed else []), *(["N"] if type.batched else [])]
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [*lead, *type.shape], text)


def _attribute(value: Setting) -> Any:
    """A setting as an attribute: a number where that keeps all its digits, else its text in the language."""
    if isinstance(value, bool | int):
        return int(value)
    if isinstance(value, float) and float(str(np.float32(value))) == value:
        return value
    return text_of_setting(value)
