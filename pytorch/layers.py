"""Operations of PyTorch that sum, normalise or pool, as operators of ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .model import Operation, Unwritable, Write, Written


def _product(at: Operation) -> Written:
    return at.writer.node("MatMul", [at.tensor(0), at.tensor(1)], at.shape)


def _linear(at: Operation) -> Written:
    x, weight, bias = at.tensor(0), at.tensor(1), at.argument(2)
    made = at.writer.node("MatMul", [x, at.writer.transpose(weight, (1, 0))], at.shape)
    return made if bias is None else at.writer.node("Add", [made, bias], at.shape)


def _product_and_bias(at: Operation) -> Written:
    """``beta * bias + alpha * a @ b``."""
    bias, a, b = at.tensor(0), at.tensor(1), at.tensor(2)
    alpha, beta = (float(at.kwargs.get(name, 1)) for name in ("alpha", "beta"))
    return at.writer.node("Gemm", [a, b, bias], at.shape, alpha=alpha, beta=beta)


def _convolution(at: Operation) -> Written:
    x, weight, bias, stride, padding, dilation, transposed, output_padding, groups = at.args
    rank = len(weight.shape) - 2
    attributes: dict[str, Any] = {
        "kernel_shape": list(weight.shape[2:]),
        "strides": _each(stride, rank),
        "pads": _each(padding, rank) * 2,
        "dilations": _each(dilation, rank),
        "group": int(groups),
    }
    if transposed:
        attributes["output_padding"] = _each(output_padding, rank)
    operands = [x, weight] if bias is None else [x, weight, bias]
    return at.writer.node("ConvTranspose" if transposed else "Conv", operands, at.shape, **attributes)


def _each(extents: Any, rank: int) -> list[int]:
    """One number an axis."""
    given = [extents] if isinstance(extents, int) else [int(extent) for extent in extents]
    return given * rank if len(given) == 1 else given


def _batch_norm(at: Operation) -> tuple[Written, ...]:
    """Written as it is trained: in the mode of inference, its statistics do not tell that they are learned."""
    x, gamma, beta, mean, variance = at.args[:5]
    if mean is None or variance is None:
        raise Unwritable("has no running statistics, which inference needs")
    channels = (x.shape[1],)
    gamma = at.writer.constant(np.ones(channels, np.float32)) if gamma is None else gamma
    beta = at.writer.constant(np.zeros(channels, np.float32)) if beta is None else beta
    momentum, epsilon = (float(number) for number in at.args[-2:])
    attributes: dict[str, Any] = {"epsilon": epsilon, "momentum": 1.0 - momentum, "training_mode": 1}
    operands = [x, gamma, beta, mean, variance]
    made = at.writer.node("BatchNormalization", operands, x.shape, results=3, **attributes)
    return (made,)


def _max_pool(at: Operation) -> tuple[Written, ...]:
    rank = len(at.argument(1, "kernel_size"))
    kernel = _each(at.argument(1, "kernel_size"), rank)
    attributes: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": _each(at.argument(2, "stride") or kernel, rank),
        "pads": _each(at.argument(3, "padding", [0]), rank) * 2,
        "dilations": _each(at.argument(4, "dilation", [1]), rank),
        "ceil_mode": int(at.argument(5, "ceil_mode", False)),
    }
    return (_pooled(at, "MaxPool", attributes),)


def _average_pool(at: Operation) -> Written:
    kernel = at.argument(1, "kernel_size")
    rank = len(kernel)
    if at.argument(6, "divisor_override") is not None:
        raise Unwritable("divides by a number of its own")
    attributes: dict[str, Any] = {
        "kernel_shape": _each(kernel, rank),
        "strides": _each(at.argument(2, "stride") or kernel, rank),
        "pads": _each(at.argument(3, "padding", [0]), rank) * 2,
        "ceil_mode": int(at.argument(4, "ceil_mode", False)),
        "count_include_pad": int(at.argument(5, "count_include_pad", True)),
    }
    return _pooled(at, "AveragePool", attributes)


def _pooled(at: Operation, op: str, attributes: dict[str, Any]) -> Written:
    """Windows over two axes, or over the last one alone, which PyTorch has as a second axis of one element."""
    x = at.tensor(0)
    alone = x.shape[-2] == 1 and attributes["kernel_shape"][0] == 1 and not attributes["pads"][0]
    if len(x.shape) != 4 or not alone:
        return at.writer.node(op, [x], at.shape, **attributes)
    last = {key: [attributes[key][-1]] for key in ("kernel_shape", "strides", "dilations") if key in attributes}
    one: dict[str, Any] = {**attributes, **last, "pads": [attributes["pads"][-1]] * 2}
    line = at.writer.reshape(x, (*x.shape[:2], x.shape[3]))
    made = at.writer.node(op, [line], (*at.shape[:2], at.shape[3]), **one)
    return at.writer.reshape(made, at.shape)


def _adaptive_pool(at: Operation) -> Written:
    x, sizes = at.tensor(0), at.argument(1)
    extents = x.shape[-len(sizes) :]
    if any(extent % size for extent, size in zip(extents, sizes, strict=True)):
        raise Unwritable(f"makes {list(sizes)} of {list(extents)}, whose windows differ in size")
    kernel = [extent // size for extent, size in zip(extents, sizes, strict=True)]
    return at.writer.node("AveragePool", [x], at.shape, kernel_shape=kernel, strides=kernel)


def _reduced(op: str) -> Write:
    def write(at: Operation) -> Written:
        x = at.tensor(0, np.float32)
        axes, keep = at.argument(1, "dim"), bool(at.argument(2, "keepdim", False))
        rank = len(x.shape)
        over = [axis % rank for axis in ([axes] if isinstance(axes, int) else axes or range(rank))]
        return _over(at, op, x, sorted(over), keep)

    return write


def _over(at: Operation, op: str, x: Written, axes: Sequence[int], keep: bool) -> Written:
    operands = [x, at.writer.constant(np.array(axes, np.int64))]
    return at.writer.node(op, operands, at.shape, keepdims=int(keep))


def _normalised(op: str) -> Write:
    return lambda at: at.writer.node(op, [at.tensor(0)], at.shape, axis=at.axis(1))


def _dropped(at: Operation) -> tuple[Written, ...]:
    operands = [at.tensor(0), at.writer.constant(float(at.argument(1)))]
    operands.append(at.writer.constant(np.array(bool(at.argument(2)))))
    return (at.writer.node("Dropout", operands, at.shape),)


LAYERS: dict[str, Write] = {
    "mm": _product,
    "bmm": _product,
    "matmul": _product,
    "mv": _product,
    "linear": _linear,
    "addmm": _product_and_bias,
    "convolution": _convolution,
    **dict.fromkeys("native_batch_norm native_batch_norm_legit_no_training cudnn_batch_norm".split(), _batch_norm),
    "max_pool2d_with_indices": _max_pool,
    "avg_pool2d": _average_pool,
    "adaptive_avg_pool2d": _adaptive_pool,
    "mean": _reduced("ReduceMean"),
    "sum": _reduced("ReduceSum"),
    "softmax": _normalised("Softmax"),
    "log_softmax": _normalised("LogSoftmax"),
    "native_dropout": _dropped,
}
