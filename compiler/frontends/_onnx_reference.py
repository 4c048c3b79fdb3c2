"""What ONNX itself says of single operators: their values on constants, their shapes, their attributes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, cast

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from ._onnx_file import LARGEST_TENSOR
from ._onnx_terms import Attributes, Term
from .frontend import Array

Entry = Term | list[Term] | None
"""A tensor, a sequence of tensors, or None for what could not be read and was told."""


class Unreadable(Exception):
    """A node that cannot be read, and the nearest way out."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = f"{hint} instead" if hint else ""


def bounded(count: int) -> None:
    """`Unreadable` for a constant of more elements than are read."""
    if count * 8 > LARGEST_TENSOR:
        raise Unreadable(f"makes {count:,} elements, more than are read")


def computed(op: str, values: Sequence[Array], settings: Mapping[str, Any], opset: int) -> Array:
    """``op`` of arrays, as ONNX defines it."""
    match op:
        case "Cast":
            return values[0].astype(np.bool_ if settings["bool"] else np.float32)
        case "Clip":
            return np.clip(values[0], settings["min"], settings["max"])
        case "ReduceMean" | "ReduceSum":
            function: Any = np.mean if op == "ReduceMean" else np.sum
            return np.asarray(function(values[0], axis=settings["axes"], keepdims=settings["keepdims"]))
        case _:
            known = {key: value for key, value in settings.items() if key != "scope"}
            node = helper.make_node(op, [f"x{k}" for k in range(len(values))], ["y"], **known)
            return np.asarray(evaluate(node, {f"x{k}": value for k, value in enumerate(values)}, opset)[0])


def evaluate(node: onnx.NodeProto, given: Mapping[str, Array], opset: int) -> list[Any]:
    """Results of a single node, by ONNX's own reference."""
    inputs = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape) for n, v in given.items()
    ]
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    graph = helper.make_graph([node], "fold", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    evaluator: Any = ReferenceEvaluator(model)
    return cast(list[Any], evaluator.run(None, dict(given)))


@cache
def inferred_shape(op: str, shapes: tuple[tuple[int, ...], ...], settings: Attributes, opset: int) -> tuple[int, ...]:
    """The shape that ONNX's schema gives; ValueError where it gives none."""
    known = {key: value for key, value in settings if key != "scope"}
    names = [f"x{k}" for k in range(len(shapes))]
    outputs = ["y", *(["m", "v"] if known.get("training_mode") else [])]
    node = helper.make_node(op, names, outputs, **known)
    inputs = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in zip(names, shapes, strict=True)]
    graph = helper.make_graph([node], "shape", inputs, [helper.make_empty_tensor_value_info("y")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    try:
        found = shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    except Exception as error:  # the C++ side
        raise ValueError(first_line(error)) from None
    dims = found.graph.output[0].type.tensor_type.shape.dim
    if not dims or any(dim.dim_value < 1 for dim in dims):
        raise ValueError(f"the shape of {op} on {list(shapes)} is not known")
    return tuple(dim.dim_value for dim in dims)


def settings_of(node: onnx.NodeProto) -> dict[str, Any]:
    """Attributes as plain values."""
    found: dict[str, Any] = {}
    for attribute in node.attribute:
        value = helper.get_attribute_value(attribute)
        if attribute.type == onnx.AttributeProto.TENSOR:
            value = numpy_helper.to_array(value).tolist()
        elif isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        elif isinstance(value, list | tuple):
            value = tuple(v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in cast(list[Any], value))
        found[attribute.name] = value
    return found


def frozen(settings: Mapping[str, Any]) -> Attributes:
    """Settings in order, lists as tuples."""
    return tuple((key, _fixed(settings[key])) for key in sorted(settings))


def _fixed(value: Any) -> Any:
    return tuple(cast(list[Any], value)) if isinstance(value, list) else value


def constant(entry: Entry) -> Array:
    """The value of what must not depend on an input."""
    if not isinstance(entry, Term) or entry.value is None:
        raise Unreadable("depends on the data where it must not")
    return entry.value


def integer(attributes: Mapping[str, Any], name: str, default: int) -> int:
    return int(attributes[name].i) if name in attributes else default


def axes_of(entries: list[Entry], attributes: Mapping[str, Any]) -> list[int]:
    if "axes" in attributes:
        return [int(axis) for axis in attributes["axes"].ints]
    if len(entries) > 1 and entries[1] is not None:
        return [int(axis) for axis in np.atleast_1d(constant(entries[1]))]
    return []


def first_line(error: Any) -> str:
    """What went wrong in a single line, without the names of ONNX's own errors."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return re.sub(r"\[\w+\] |Inference error\(s\): |\(op_type:\w+\):? ?", "", line)[:200]
