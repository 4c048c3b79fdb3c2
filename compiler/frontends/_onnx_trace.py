"""From an ONNX graph to terms: nodes are executed in order, loops and branches included, on shapes instead of data.

Whatever depends on no input is computed; the rest becomes terms.  What takes a tensor of all time steps apart, or puts
one together (Gather, Slice, Split, Concat, Scatter, sequences, Loop, Scan), moves rows about and leaves no trace.
"""

from __future__ import annotations

import math
from collections import ChainMap
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import onnx
from onnx import helper
from onnx.defs import get_schema, has

from ...source import Faults, Place, SourceError
from ._onnx_domain import DOMAIN
from ._onnx_file import array_of
from ._onnx_limits import MOST_ELEMENTS, MOST_OPERATIONS, Budget, Unreadable
from ._onnx_moves import MOVES, Move
from ._onnx_readouts import EXTREMES, WANTED
from ._onnx_reference import (
    Entry,
    axes_of,
    computed,
    evaluate,
    first_line,
    frozen,
    inferred_shape,
    integer,
    scalar,
    settings_of,
)
from ._onnx_terms import BY_ROWS, ELEMENTWISE, Attributes, Term, Terms
from .frontend import Array

BATCH = 2
"""Samples, where the file leaves their number open."""

_AS_THEY_ARE = frozenset({"Identity", "CastLike"})
_PLAIN = ELEMENTWISE | BY_ROWS | {"Transpose", "Concat", "LogSoftmax", "Softmax"}
_OF_SHAPES = frozenset({"Shape", "Size"})
_INSTEAD = {
    "LSTM": "spiking layers of this language",
    "GRU": "spiking layers of this language",
    "LayerNormalization": "batch normalization",
    "InstanceNormalization": "batch normalization",
    "GroupNormalization": "batch normalization",
    "Gelu": "relu, sigmoid or tanh",
    "LeakyRelu": "relu",
    "Elu": "relu",
    "PRelu": "relu",
    "HardSigmoid": "sigmoid",
    "HardSwish": "relu",
}
"""The nearest thing that there is."""

Scope = ChainMap[str, Entry]
"""Names of a graph, in front of those of the graphs around it."""

KEPT_DOMAINS = ("", "ai.onnx", "ai.snnc", "snn", "sj_lif", "sj_if", "sj_plif")


class Trace:
    """The execution of one file."""

    def __init__(self, model: onnx.ModelProto, file: str, steps: int | None, faults: Faults) -> None:
        self.file = file
        self.steps = steps
        self.faults = faults
        self._budget = Budget(self.place())
        self.terms = Terms(self._fold, self._shape, self._budget)
        self._opset = next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
        graph = model.graph
        scope: Scope = ChainMap(self._initializers(graph))
        self.inputs = [self._input(value) for value in graph.input if value.name not in scope]
        scope.update({term.settings["name"]: term for term in self.inputs})
        self._run(graph, scope)
        self.outputs: dict[str, Term] = {}
        for output in graph.output:
            entry = scope.get(output.name)
            if isinstance(entry, Term):
                self.outputs[output.name] = entry
            elif output.name not in scope:
                faults.add(self.place(output.name), "the output is made by no node")

    def place(self, node: str = "") -> Place:
        """Where a node is."""
        return Place(f"{self.file}, node {node}" if node else self.file)

    def _input(self, value: onnx.ValueInfoProto) -> Term:
        dims: list[int] = []
        for dim in value.type.tensor_type.shape.dim:
            name = dim.dim_param.lower()
            if dim.dim_value > 0:
                dims.append(dim.dim_value)
            elif name in ("t", "time", "steps", "time_steps", "timesteps", "num_steps", "seq", "seq_len", "sequence"):
                if self.steps is None:
                    told = f"the input leaves the number of time steps open ({dim.dim_param})"
                    raise SourceError.at(self.place(value.name), told, hints=("--steps T",))
                dims.append(self.steps)
            else:
                dims.append(BATCH)
        if not dims or math.prod(dims) > MOST_ELEMENTS:
            raise SourceError.at(self.place(value.name), f"an input of shape {dims} cannot be read")
        return self.terms.input(value.name, tuple(dims))

    # Execution

    def _run(self, graph: onnx.GraphProto, scope: Scope) -> None:
        for node in graph.node:
            self._budget.execute()
            place = self.place(node.name or (node.output[0] if node.output else node.op_type))
            missing = [name for name in node.input if name and name not in scope]
            if missing:
                self.faults.add(place, f"reads {', '.join(missing)}, which nothing before it makes")
                made: Sequence[Entry] = [None] * len(node.output)
            else:
                made = self._execute(node, scope, place)
            for name, entry in zip(node.output, [*made, *[None] * len(node.output)], strict=False):
                if name in scope.maps[0]:
                    self.faults.add(place, f"makes {name}, which is there already")
                if name:
                    scope[name] = entry

    def _execute(self, node: onnx.NodeProto, scope: Scope, place: Place) -> Sequence[Entry]:
        """The results of *node*; None for what was lost or told."""
        entries = [scope[name] if name else None for name in node.input]
        if any(entry is None for name, entry in zip(node.input, entries, strict=True) if name):
            return []
        attributes = {each.name: each for each in node.attribute}
        try:
            self._check_operands(node)
            if node.domain not in ("", "ai.onnx"):
                return self._custom(node, cast(list[Term], entries), attributes)
            if node.op_type in ("Loop", "Scan", "If"):
                return getattr(self, f"_{node.op_type.lower()}")(entries, attributes, scope, place)
            if node.op_type in MOVES:
                fold = partial(self._folded, node)
                return MOVES[node.op_type](Move(self.terms, node, entries, attributes, place, fold))
            return self._plain(node, entries, attributes)
        except SourceError:
            raise
        except Unreadable as reason:
            hints = (reason.hint,) if reason.hint else ()
            if reason.about:
                self.faults.add(self.place(reason.about), str(reason), hints=hints)
            else:
                self.faults.add(place, f"{node.op_type}: {reason}", hints=hints)
        except RecursionError:
            self.faults.add(place, f"{node.op_type}: too many operations on whole sequences lie before it")
        except Exception as error:  # a damaged node breaks wherever it likes
            self.faults.add(place, f"{node.op_type} cannot be read: {first_line(error)}")
        return []

    def _check_operands(self, node: onnx.NodeProto) -> None:
        """`Unreadable` for an operator of ONNX's own with the wrong number of operands, or a wrong attribute."""
        if node.domain in ("", "ai.onnx") and has(node.op_type, max_inclusive_version=self._opset):
            schema = get_schema(node.op_type, self._opset)
            count = len(node.input)
            if not schema.min_input <= count <= schema.max_input:
                raise Unreadable(f"has {count} operands; it takes {schema.min_input} to {schema.max_input}")
            for attribute in node.attribute:
                known = cast(Any, schema.attributes.get(attribute.name))
                if known is not None and known.type.value != attribute.type:
                    raise Unreadable(f"its attribute {attribute.name} is of another type than {known.type.name}")

    def _plain(self, node: onnx.NodeProto, entries: list[Entry], attributes: Mapping[str, Any]) -> Sequence[Entry]:
        args = [entry for entry in entries if isinstance(entry, Term)]
        origin = node.name or node.output[0]
        kind = node.op_type
        if kind in _AS_THEY_ARE:
            return [args[0]]
        if kind == "Dropout":
            data, ratio, training = ([*entries, None, None])[:3]
            drops = training is not None and bool(scalar(training))
            p = 0.5 if ratio is None else float(scalar(ratio))
            assert isinstance(data, Term), origin
            return [self.terms.make("Dropout", [data], (("p", p),), origin) if drops and p else data]
        if kind in _OF_SHAPES:
            shape = args[0].shape
            start, end = integer(attributes, "start", 0), integer(attributes, "end", len(shape))
            return [self.terms.constant(np.array(shape[start:end] if kind == "Shape" else np.prod(shape), np.int64))]
        settings = settings_of(node)
        if all(arg.value is not None for arg in args):
            return self._folded(node, [None if entry is None else cast(Term, entry).value for entry in entries])
        if kind not in _PLAIN:
            if kind in EXTREMES and args[0].op == "Stack":
                axes = axes_of(entries, attributes) or [integer(attributes, "axis", 0)]
                if axes[0] in (0, -len(args[0].shape)):
                    raise Unreadable(f"takes {EXTREMES[kind]} over time", WANTED)
            raise Unreadable("is no operator that can be read", _INSTEAD.get(kind, ""))
        if kind == "Cast":
            to = helper.tensor_dtype_to_np_dtype(integer(attributes, "to", 1))
            return [self.terms.make("Cast", args, (("bool", to == np.bool_),), origin)]
        if kind == "Clip":
            low, high = ([*entries, None, None])[1:3]
            bounds = tuple(
                (key, None if bound is None else float(scalar(bound))) for key, bound in (("min", low), ("max", high))
            )
            if "min" in attributes or "max" in attributes:
                bounds = tuple((key, settings.get(key)) for key in ("min", "max"))
            return [self.terms.make("Clip", args[:1], bounds, origin)]
        if kind in ("Max", "Min", "Add", "Mul") and len(args) > 2:
            made = args[0]
            for arg in args[1:]:
                made = self.terms.make(kind, (made, arg), (), origin)
            return [made]
        if kind == "Concat":
            rank = len(args[0].shape)
            axis = settings["axis"] % rank
            if axis == 0 and all(arg.shape[0] == 1 or arg.op == "Stack" for arg in args):
                return [self.terms.stack([self.terms.row(a, k) for a in args for k in range(a.shape[0])], origin)]
            return [self.terms.make("Concat", args, (("axis", axis),), origin)]
        if kind == "Transpose":
            perm = tuple(settings.get("perm", range(len(args[0].shape))[::-1]))
            return [self.terms.make(kind, args, (("perm", perm),), origin)]
        if kind in ELEMENTWISE:
            settings = {}
        if kind == "Flatten":
            axis = settings.get("axis", 1)
            shape = args[0].shape
            whole = (int(np.prod(shape[:axis], dtype=np.int64)), int(np.prod(shape[axis:], dtype=np.int64)))
            return [self.terms.reshape(args[0], whole, origin)]
        return [self.terms.make(kind, args, tuple(sorted(settings.items())), origin)]

    def _custom(self, node: onnx.NodeProto, entries: list[Term], attributes: Mapping[str, Any]) -> Sequence[Entry]:
        """Operators of domains that are known to hold neurons."""
        origin = node.name or node.output[0]
        if node.domain not in KEPT_DOMAINS:
            raise Unreadable(f"of the domain {node.domain} is no operator that can be read")
        if node.domain == DOMAIN and len(node.output) > 1:
            told = "hands on its own states, and the file has no function that says how"
            raise Unreadable(told, f"a file of nodes of {DOMAIN} alone, or the neuron over the whole sequence")
        kind = "Spike" if node.op_type == "Spike" else f"{node.domain}::{node.op_type}"
        settings = tuple(sorted(settings_of(node).items()))
        return [self.terms.make(kind, entries, settings, origin)]

    # Control flow

    def _loop(self, entries: list[Entry], attributes: Mapping[str, Any], scope: Scope, place: Place) -> Any:
        body = attributes["body"].g
        trips, condition, *carried = entries
        count = MOST_OPERATIONS + 1 if trips is None else int(scalar(trips))
        going = condition is None or bool(scalar(condition))
        scanned: list[list[Term]] = [[] for _ in body.output[1 + len(carried) :]]
        outside = scope.new_child(self._initializers(body))
        number = 0
        while going and number < count:
            self._budget.execute()
            inner = outside.new_child()
            first: list[Entry] = [self.terms.constant(np.array(number, np.int64)), self.terms.constant(np.array(True))]
            inner.update(zip((value.name for value in body.input), [*first, *carried], strict=True))
            self._run(body, inner)
            results = [inner.get(value.name) for value in body.output]
            carried = results[1 : 1 + len(carried)]
            for rows, entry in zip(scanned, results[1 + len(carried) :], strict=True):
                if not isinstance(entry, Term):
                    raise Unreadable("collects what could not be read")
                rows.append(entry)
            going = bool(scalar(results[0]))
            number += 1
        return [*carried, *(self.terms.stack(rows, str(place)) if rows else None for rows in scanned)]

    def _scan(self, entries: list[Entry], attributes: Mapping[str, Any], scope: Scope, place: Place) -> Any:
        body = attributes["body"].g
        count = integer(attributes, "num_scan_inputs", 0)
        carried, sequences = entries[: len(entries) - count], entries[len(entries) - count :]
        for name in ("scan_input_axes", "scan_output_axes", "scan_input_directions", "scan_output_directions"):
            if name in attributes and any(attributes[name].ints):
                raise Unreadable(f"with {name} other than 0 cannot be read")
        if any(not isinstance(sequence, Term) for sequence in sequences):
            raise Unreadable("walks over what could not be read")
        walked = cast(list[Term], sequences)
        scanned: list[list[Term]] = [[] for _ in body.output[len(carried) :]]
        outside = scope.new_child(self._initializers(body))
        for number in range(walked[0].shape[0]):
            self._budget.execute()
            inner = outside.new_child()
            rows = [self.terms.row(sequence, number) for sequence in walked]
            inner.update(zip((value.name for value in body.input), [*carried, *rows], strict=True))
            self._run(body, inner)
            results = [inner.get(value.name) for value in body.output]
            carried = results[: len(carried)]
            for made, entry in zip(scanned, results[len(carried) :], strict=True):
                if not isinstance(entry, Term):
                    raise Unreadable("collects what could not be read")
                made.append(entry)
        return [*carried, *(self.terms.stack(rows, str(place)) for rows in scanned)]

    def _if(self, entries: list[Entry], attributes: Mapping[str, Any], scope: Scope, place: Place) -> Any:
        branch = attributes["then_branch" if bool(scalar(entries[0])) else "else_branch"].g
        inner = scope.new_child(self._initializers(branch))
        self._run(branch, inner)
        return [inner.get(value.name) for value in branch.output]

    def _initializers(self, graph: onnx.GraphProto) -> dict[str, Entry]:
        """The tensors that stand in a graph."""
        return {
            tensor.name: self.terms.constant(array_of(tensor, self.place(tensor.name)), tensor.name, given=True)
            for tensor in graph.initializer
        }

    # Constants and shapes

    def _folded(self, node: onnx.NodeProto, values: Sequence[Array | None]) -> list[Term]:
        """The results of a node on constants."""
        names = [f"x{k}" if value is not None else "" for k, value in enumerate(values)]
        made = [f"y{k}" for k, _ in enumerate(node.output)]
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.ClearField("input")
        copy.ClearField("output")
        copy.input.extend(names)
        copy.output.extend(made)
        given = {name: value for name, value in zip(names, values, strict=True) if value is not None}
        results = evaluate(copy, given, self._opset, self._budget)
        return [self.terms.constant(np.asarray(result), node.output[k]) for k, result in enumerate(results)]

    def _fold(self, op: str, values: Sequence[Array], attributes: Attributes) -> Array:
        return computed(op, values, dict(attributes), self._opset, self._budget)

    def _shape(self, op: str, args: Sequence[Term], attributes: Attributes) -> tuple[int, ...]:
        """The shape of ``op(args)``."""
        shapes: list[tuple[int, ...]] = [arg.shape for arg in args]
        settings: dict[str, Any] = dict(attributes)
        if op in ELEMENTWISE:
            return np.broadcast_shapes(*shapes)
        match op:
            case "Row":
                return shapes[0][1:]
            case "Part":
                return shapes[0][0] // settings["count"], *shapes[0][1:]
            case "Transpose":
                perm: tuple[int, ...] = settings["perm"]
                return tuple(shapes[0][axis] for axis in perm)
            case "Concat":
                axis: int = settings["axis"]
                return (*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])
            case "ReduceMean" | "ReduceSum":
                axes, keep = settings["axes"], settings["keepdims"]
                kept = [1 if k in axes else extent for k, extent in enumerate(shapes[0])]
                return tuple(extent for k, extent in enumerate(kept) if keep or k not in axes)
            case _ if "::" in op:
                return shapes[0]
            case _:
                return inferred_shape(op, tuple(shapes), frozen(settings), self._opset)
