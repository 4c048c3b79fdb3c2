"""An ONNX model in the making, in which every node is called after the module that it serves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Array = NDArray[Any]

OPSET = 18
INPUT, OUTPUT = "input", "output"
KINDS = {"torch.bool": np.bool_, "torch.int64": np.int64, "torch.int32": np.int64, "torch.uint8": np.int64}
"""Element types by the name that PyTorch has for them; all others are numbers in float32."""


class Unwritable(Exception):
    """An operation that ONNX has no word for, or none that the frontend reads."""


@dataclass(frozen=True)
class Written:
    """A tensor of the model: its *name*, *shape* and element type.

    *moved* is the tensor of which it is the axes in another order, ``permutation``: two moves in a row are one.
    """

    name: str
    shape: tuple[int, ...]
    kind: Any
    moved: Written | None = None
    permutation: tuple[int, ...] = ()


class Writer:
    """A model in the making."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: list[onnx.TensorProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._count = 0
        self.scope = ""

    def input(self, name: str, shape: tuple[int, ...]) -> Written:
        """What the run is given."""
        self._inputs.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
        return Written(name, shape, np.float32)

    def constant(self, value: Any, kind: Any = None, name: str = "") -> Written:
        """A constant tensor, of element type *kind* where that is said."""
        array = np.asarray(value)
        kind = kind or _kind_of(array)
        name = name or self._fresh("constant")
        self._initializers.append(
            numpy_helper.from_array(np.ascontiguousarray(array.astype(kind)).reshape(array.shape), name)
        )
        return Written(name, array.shape, kind)

    def node(
        self,
        op: str,
        operands: Sequence[Written],
        shape: Sequence[int],
        kind: Any = np.float32,
        results: int = 1,
        **attributes: Any,
    ) -> Written:
        """One operation; its first result."""
        names = [self._fresh(op.lower()) for _ in range(results)]
        called = self.scope or names[0]
        inputs = [operand.name for operand in operands]
        self._nodes.append(helper.make_node(op, inputs, names, name=called, **attributes))
        return Written(names[0], tuple(shape), kind)

    def cast(self, value: Written, kind: Any) -> Written:
        """*value* in another element type."""
        if value.kind == kind:
            return value
        return self.node("Cast", [value], value.shape, kind, to=helper.np_dtype_to_tensor_dtype(np.dtype(kind)))

    def reshape(self, value: Written, shape: Sequence[int]) -> Written:
        """*value* in another shape."""
        if tuple(shape) == value.shape:
            return value
        return self.node("Reshape", [value, self.constant(np.array(shape, np.int64))], shape, value.kind)

    def transpose(self, value: Written, permutation: Sequence[int]) -> Written:
        """Axis k of the result is axis ``permutation[k]`` of *value*."""
        order, base = tuple(permutation), value
        if value.moved is not None:
            order, base = tuple(value.permutation[axis] for axis in order), value.moved
        if order == tuple(range(len(order))):
            return base
        made = self.node("Transpose", [base], [base.shape[axis] for axis in order], base.kind, perm=list(order))
        return replace(made, moved=base, permutation=order)

    def first(self, value: Written, axis: int) -> Written:
        """*value* with *axis* before all others."""
        rank = len(value.shape)
        axis %= rank
        return self.transpose(value, [axis, *(each for each in range(rank) if each != axis)])

    def back(self, value: Written, axis: int) -> Written:
        """The inverse of `first`."""
        rank = len(value.shape)
        order = list(range(1, rank))
        order.insert(axis % rank, 0)
        return self.transpose(value, order)

    def model(self, output: Written) -> onnx.ModelProto:
        """The model whose result is *output*."""
        self.scope = ""
        self._nodes.append(helper.make_node("Identity", [output.name], [OUTPUT], name=OUTPUT))
        result = helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, output.shape)
        graph = helper.make_graph(self._nodes, "module", self._inputs, [result], self._initializers)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])

    def _fresh(self, word: str) -> str:
        self._count += 1
        return f"{word}_{self._count}"


@dataclass(frozen=True)
class Operation:
    """A recorded operation with what it reads, as its writer sees it."""

    writer: Writer
    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    shape: tuple[int, ...]
    kind: Any

    def argument(self, place: int, name: str = "", default: Any = None) -> Any:
        """An argument by its place or its name."""
        return self.args[place] if place < len(self.args) else self.kwargs.get(name, default)

    def tensor(self, place: int, kind: Any = None) -> Written:
        """A tensor, or a number as one, in the element type *kind* where that is said."""
        return self.value(self.argument(place), kind)

    def value(self, given: Any, kind: Any = None) -> Written:
        """The same of an argument that was taken out before."""
        if not isinstance(given, Written):
            return self.writer.constant(given, kind)
        return given if kind is None else self.writer.cast(given, kind)

    def axis(self, place: int, name: str = "dim", default: int = 0) -> int:
        """An axis of the first operand, counted from 0."""
        return int(self.argument(place, name, default)) % max(len(self.tensor(0).shape), 1)


def _kind_of(array: Array) -> Any:
    """The element type of a constant: numbers with a point are float32."""
    match array.dtype.kind:
        case "b":
            return np.bool_
        case "i" | "u":
            return np.int64
        case _:
            return np.float32


Write: TypeAlias = Callable[[Operation], Written | tuple[Written, ...]]
"""Writes one operation down; several results are a tuple."""
