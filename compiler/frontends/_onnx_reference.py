"""What ONNX itself says of single operators: their values on constants, their shapes, their attributes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, cast

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from ._onnx_limits import Budget, Unreadable, bounded
from ._onnx_terms import ELEMENTWISE, Attributes, Term
from .frontend import Array, NotRunnable

FOLDED = ELEMENTWISE | frozenset(
    "Acos Asin Atan ArgMax ArgMin AveragePool BatchNormalization Ceil Compress Concat Constant ConstantOfShape Conv "
    "ConvTranspose Cos CumSum DequantizeLinear Elu Erf EyeLike Flatten Floor Gather GatherElements GatherND Gemm "
    "GlobalAveragePool GlobalMaxPool HardSigmoid Identity IsInf IsNaN LeakyRelu LogSoftmax MatMul MaxPool Mean Mod "
    "NonZero OneHot Pad QuantizeLinear Range Reciprocal ReduceL2 ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum "
    "ReduceSumSquare Reshape Round Selu Shape Sin Size Slice Softmax Split Squeeze Sum Tan Tile TopK Transpose Trilu "
    "Unique Unsqueeze".split()
)
"""What is computed where it depends on no input: the time and memory that these take are known beforehand."""

_RANDOM = frozenset("Bernoulli Multinomial RandomNormal RandomNormalLike RandomUniform RandomUniformLike".split())
_AT_MOST_EACH_AXIS = frozenset({"NonZero", "Unique", "Compress"})
"""Operators whose results depend on the values, and have no more elements than a number an axis for each."""

_SHORT = 1024
"""Elements of an operand that may say a shape."""

Entry = Term | list[Term] | None
"""A tensor, a sequence of tensors, or None for what could not be read and was told."""


def computed(op: str, values: Sequence[Array], settings: Mapping[str, Any], opset: int, budget: Budget) -> Array:
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
            return np.asarray(evaluate(node, {f"x{k}": value for k, value in enumerate(values)}, opset, budget)[0])


class BatchNormalization(OpRun):
    """As versions 9 to 13 have it, into which ONNX's reference mixes statistics of the batch and ONNX does not."""

    def _run(self, x: Array, scale: Array, bias: Array, mean: Array, var: Array, **settings: Any) -> tuple[Array]:
        channels = (-1, *(1,) * (x.ndim - 2))
        factor = scale / np.sqrt(var + settings["epsilon"])
        return (((x - mean.reshape(channels)) * factor.reshape(channels) + bias.reshape(channels)).astype(x.dtype),)


def evaluator_of(model: onnx.ModelProto) -> Any:
    """ONNX's own reference for *model*."""
    version = next(each.version for each in model.opset_import if each.domain in ("", "ai.onnx"))
    return ReferenceEvaluator(model, new_ops=[BatchNormalization] if version < 14 else None)


def executed(model: onnx.ModelProto) -> Callable[[Sequence[str], Mapping[str, Array]], list[Array]]:
    """*model* as a function of the names of results and the inputs; `NotRunnable` where the reference refuses it."""

    def run(results: Sequence[str], given: Mapping[str, Array]) -> list[Array]:
        inputs = {name: value.astype(np.float32) for name, value in given.items()}
        try:
            return [np.asarray(found) for found in evaluator.run(list(results), inputs)]
        except Exception as error:  # not ours: it raises what it likes
            raise NotRunnable(first_line(error)) from error

    try:
        evaluator = evaluator_of(model)
    except Exception as error:
        raise NotRunnable(first_line(error)) from error
    return run


def evaluate(node: onnx.NodeProto, given: Mapping[str, Array], opset: int, budget: Budget) -> list[Any]:
    """Results of a single node on constants, by ONNX's own reference; what they take is looked at before."""
    if node.op_type not in FOLDED:
        raise Unreadable("is not computed on constants", "an initializer" if node.op_type in _RANDOM else "")
    shapes = _result_shapes(node, given, opset)
    for shape in shapes:
        bounded(shape)
    budget.compute(_work(node, given, shapes))
    inputs = [_info(name, value) for name, value in given.items()]
    return cast(list[Any], evaluator_of(_alone(node, inputs, [], opset)).run(None, dict(given)))


def _result_shapes(node: onnx.NodeProto, given: Mapping[str, Array], opset: int) -> list[tuple[int, ...]]:
    """The shapes that the results on constants will have at most; `Unreadable` where nothing tells them."""
    shapes = [value.shape for value in given.values()]
    if node.op_type in ELEMENTWISE:
        return [np.broadcast_shapes(*shapes)]
    if node.op_type in _AT_MOST_EACH_AXIS:
        return [(len(shape) + 1, math.prod(shape)) for shape in shapes]
    short = {name: value for name, value in given.items() if value.size <= _SHORT}
    known = [numpy_helper.from_array(value, name) for name, value in short.items()]
    model = _alone(node, [_info(name, value) for name, value in given.items()], known, opset)
    found: list[tuple[int, ...]] = []
    for output in shape_inference.infer_shapes(model).graph.output:
        dims = output.type.tensor_type.shape.dim
        if not output.type.tensor_type.HasField("shape") or not all(dim.HasField("dim_value") for dim in dims):
            raise Unreadable("makes a constant whose size is not known before it is computed")
        found.append(tuple(dim.dim_value for dim in dims))
    return found


def _work(node: onnx.NodeProto, given: Mapping[str, Array], shapes: Sequence[tuple[int, ...]]) -> int:
    """Products, and elements read and made; pools run slowly in the reference."""
    sizes = [value.size for value in given.values()]
    made = sum(map(math.prod, shapes))
    settings = settings_of(node)
    match node.op_type:
        case "MatMul" | "Gemm":
            made *= max(next(iter(given.values())).shape, default=1)
        case "Conv" | "ConvTranspose":
            made *= sizes[1]
        case "MaxPool" | "AveragePool":
            made *= 64 * math.prod(settings.get("kernel_shape", ()))
        case _:
            pass
    return made + sum(sizes)


def _info(name: str, value: Array) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)


def _alone(
    node: onnx.NodeProto, inputs: Sequence[onnx.ValueInfoProto], known: Sequence[onnx.TensorProto], opset: int
) -> onnx.ModelProto:
    """A model of one node."""
    outputs = [helper.make_empty_tensor_value_info(name) for name in node.output if name]
    graph = helper.make_graph([node], "alone", inputs, outputs, known)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


@lru_cache(maxsize=4096)
def inferred_shape(op: str, shapes: tuple[tuple[int, ...], ...], settings: Attributes, opset: int) -> tuple[int, ...]:
    """The shape that ONNX's schema gives; ValueError where it gives none."""
    known = {key: value for key, value in settings if key != "scope"}
    names = [f"x{k}" for k in range(len(shapes))]
    outputs = ["y", *(["m", "v"] if known.get("training_mode") else [])]
    node = helper.make_node(op, names, outputs, **known)
    inputs = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, s) for n, s in zip(names, shapes, strict=True)]
    try:
        found = shape_inference.infer_shapes(_alone(node, inputs, [], opset), check_type=True, strict_mode=True)
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


def scalar(entry: Entry) -> Any:
    """The one number of what must not depend on an input."""
    value = constant(entry)
    if value.size != 1:
        raise Unreadable(f"takes one number where {list(value.shape)} are")
    return value.item()


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
