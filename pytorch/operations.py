"""PyTorch's own operations (aten) as operators of ONNX: a table, one line an operation where one line serves.

Their names are those of aten without the variant, without the underscores around them and without ``_copy`` behind
them.  What is not here is told by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, cast

import numpy as np

from .model import Operation, Unwritable, Written

Write = Callable[[Operation], Written | tuple[Written, ...]]


# Element by element


def _unary(op: str) -> Write:
    return lambda at: at.writer.node(op, [at.tensor(0, np.float32)], at.shape)


def _arithmetic(op: str, swapped: bool = False) -> Write:
    """Two operands in the element type of the result; ``alpha`` is a factor of the second."""

    def write(at: Operation) -> Written:
        left, right = at.tensor(0, at.kind), at.tensor(1, at.kind)
        alpha = at.kwargs.get("alpha", 1)
        if at.kwargs.get("rounding_mode") is not None:
            raise Unwritable("rounds its quotient, which no neuron and no layer does")
        if alpha != 1:
            right = at.writer.node("Mul", [right, at.writer.constant(alpha, at.kind)], right.shape, at.kind)
        return at.writer.node(op, [right, left] if swapped else [left, right], at.shape, at.kind)

    return write


def _comparison(op: str) -> Write:
    def write(at: Operation) -> Written:
        return at.writer.node(op, [at.tensor(0, np.float32), at.tensor(1, np.float32)], at.shape, np.bool_)

    return write


def _different(at: Operation) -> Written:
    equal = _comparison("Equal")(at)
    return at.writer.node("Not", [cast(Written, equal)], at.shape, np.bool_)


def _logical(op: str) -> Write:
    def write(at: Operation) -> Written:
        operands = [at.value(given, np.bool_) for given in at.args]
        return at.writer.node(op, operands, at.shape, np.bool_)

    return write


def _bounds(at: Operation, low: Any, high: Any) -> Written:
    made = at.tensor(0, at.kind)
    for op, bound in (("Max", low), ("Min", high)):
        if bound is not None:
            made = at.writer.node(op, [made, at.value(bound, at.kind)], at.shape, at.kind)
    return made


def _where(at: Operation) -> Written:
    operands = [at.tensor(0, np.bool_), at.tensor(1, at.kind), at.tensor(2, at.kind)]
    return at.writer.node("Where", operands, at.shape, at.kind)


def _power(at: Operation) -> Written:
    return at.writer.node("Pow", [at.tensor(0, np.float32), at.tensor(1, np.float32)], at.shape)


def _heaviside(at: Operation) -> Written:
    """1 above 0, and the second operand at 0."""
    x, at_zero = at.tensor(0), at.argument(1)
    if not isinstance(at_zero, Written):
        raise Unwritable("with a value at 0 that is no tensor cannot be read")
    zero = at.writer.constant(0.0)
    above = at.writer.cast(at.writer.node("Greater", [x, zero], at.shape, np.bool_), np.float32)
    equal = at.writer.node("Equal", [x, zero], at.shape, np.bool_)
    return at.writer.node("Where", [equal, at_zero, above], at.shape)


# Places


def _as_it_is(at: Operation) -> Written:
    return at.tensor(0)


def _cast(at: Operation) -> Written:
    return at.tensor(0, at.kind)


def _reshaped(at: Operation) -> Written:
    return at.writer.reshape(at.tensor(0), at.shape)


def _permuted(at: Operation) -> Written:
    x = at.tensor(0)
    rank = len(x.shape)
    if at.name == "permute":
        return at.writer.transpose(x, [axis % rank for axis in at.argument(1, "dims")])
    order = list(range(rank))
    one, other = (0, rank - 1) if at.name == "t" else (at.axis(1, "dim0"), at.axis(2, "dim1"))
    order[one], order[other] = order[other], order[one]
    return at.writer.transpose(x, order)


def _expanded(at: Operation) -> Written:
    x = at.tensor(0)
    if x.shape == at.shape:
        return x
    return at.writer.node("Expand", [x, at.writer.constant(np.array(at.shape, np.int64))], at.shape, x.kind)


def _repeated(at: Operation) -> Written:
    """Every axis so often behind itself; new axes stand in front."""
    x, times = at.tensor(0), [int(count) for count in at.argument(1, "repeats")]
    lead = len(times) - len(x.shape)
    shape = (*[1] * lead, *x.shape)
    x = at.writer.reshape(x, shape)
    single = all(count == 1 or extent == 1 for count, extent in zip(times, shape, strict=True))
    target = at.writer.constant(np.array(at.shape if single else times, np.int64))
    return at.writer.node("Expand" if single else "Tile", [x, target], at.shape, x.kind)


def _row(at: Operation, x: Written, axis: int, number: int) -> Written:
    """Row *number* along *axis*, which is then gone."""
    moved = at.writer.first(x, axis)
    chosen = at.writer.constant(number % x.shape[axis])
    return at.writer.node("Gather", [moved, chosen], moved.shape[1:], x.kind, axis=0)


def _select(at: Operation) -> Written:
    return _row(at, at.tensor(0), at.axis(1), int(at.argument(2)))


def _unbind(at: Operation) -> tuple[Written, ...]:
    x, axis = at.tensor(0), at.axis(1)
    return tuple(_row(at, x, axis, number) for number in range(x.shape[axis]))


def _part(at: Operation, x: Written, axis: int, start: int, end: int, step: int = 1) -> Written:
    """Rows from *start* to before *end* along *axis*."""
    start, end, step = slice(start, end, step).indices(x.shape[axis])
    if (start, end, step) == (0, x.shape[axis], 1):
        return x
    moved = at.writer.first(x, axis)
    bounds = [at.writer.constant(np.array([bound], np.int64)) for bound in (start, end, 0, step)]
    count = len(range(start, end, step))
    cut = at.writer.node("Slice", [moved, *bounds], (count, *moved.shape[1:]), x.kind)
    return at.writer.back(cut, axis)


def _slice(at: Operation) -> Written:
    start, end = at.argument(2, "start"), at.argument(3, "end")
    x, axis = at.tensor(0), at.axis(1)
    whole = x.shape[axis]
    return _part(at, x, axis, start or 0, whole if end is None else end, at.argument(4, "step", 1))


def _split(at: Operation) -> tuple[Written, ...]:
    x, axis, sizes = at.tensor(0), at.axis(2), at.argument(1)
    if isinstance(sizes, int):
        whole = x.shape[axis]
        sizes = [min(sizes, whole - start) for start in range(0, whole, sizes)]
    ends = np.cumsum(sizes)
    return tuple(_part(at, x, axis, int(end - size), int(end)) for end, size in zip(ends, sizes, strict=True))


def _stacked(at: Operation) -> Written:
    parts = [at.value(part, at.kind) for part in at.args[0]]
    where = at.writer.constant(np.array([0], np.int64))
    rows = [at.writer.node("Unsqueeze", [part, where], (1, *part.shape), at.kind) for part in parts]
    stack = at.writer.node("Concat", rows, (len(rows), *parts[0].shape), at.kind, axis=0)
    return at.writer.back(stack, int(at.argument(1, "dim", 0)))


def _joined(at: Operation) -> Written:
    parts = [at.value(part, at.kind) for part in at.args[0] if prod(part.shape)]
    return at.writer.node("Concat", parts, at.shape, at.kind, axis=int(at.argument(1, "dim", 0)) % len(at.shape))


def _row_replaced(at: Operation) -> Written:
    """The first operand, row ``index`` along ``dim`` replaced by the second."""
    x, row, axis = at.tensor(0), at.tensor(1, at.kind), at.axis(2)
    number = int(at.argument(3)) % x.shape[axis]
    moved = at.writer.first(x, axis)
    index = at.writer.constant(np.array([[number]], np.int64))
    updates = at.writer.reshape(row, (1, *row.shape))
    return at.writer.back(at.writer.node("ScatterND", [moved, index, updates], moved.shape, at.kind), axis)


def _part_replaced(at: Operation) -> Written:
    """The first operand, a slice of it replaced by the second."""
    x, part, axis = at.tensor(0), at.tensor(1, at.kind), at.axis(2)
    start, end = at.argument(3, "start") or 0, at.argument(4, "end")
    rows = range(*slice(start, end, at.argument(5, "step", 1)).indices(x.shape[axis]))
    if len(rows) == x.shape[axis]:
        return part
    moved = at.writer.first(x, axis)
    index = at.writer.constant(np.array([[row] for row in rows], np.int64))
    updates = at.writer.first(part, axis)
    return at.writer.back(at.writer.node("ScatterND", [moved, index, updates], moved.shape, at.kind), axis)


def _copied(at: Operation) -> Written:
    """The second operand in the shape and the element type of the first."""
    made = at.tensor(1, at.kind)
    if made.shape == at.shape:
        return made
    return at.writer.node("Expand", [made, at.writer.constant(np.array(at.shape, np.int64))], at.shape, at.kind)


def _filled(value: float | None) -> Write:
    """A constant tensor; its number is the second argument where *value* is not said."""

    def write(at: Operation) -> Written:
        number = at.argument(1, "fill_value") if value is None else value
        if at.name == "new_full":
            number = at.argument(2, "fill_value")
        if isinstance(number, Written):
            raise Unwritable("is filled with what is no number")
        return at.writer.constant(np.full(at.shape, number), at.kind)

    return write


def _single(at: Operation) -> Written:
    return at.writer.constant(at.args[0], at.kind)


# Layers


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


_ELEMENTWISE: dict[str, Write] = {
    **{name: _unary(name.capitalize()) for name in "abs neg sign exp log sqrt sigmoid tanh relu".split()},
    "add": _arithmetic("Add"),
    "sub": _arithmetic("Sub"),
    "rsub": _arithmetic("Sub", swapped=True),
    "mul": _arithmetic("Mul"),
    "div": _arithmetic("Div"),
    "maximum": _arithmetic("Max"),
    "minimum": _arithmetic("Min"),
    "pow": _power,
    "reciprocal": lambda at: at.writer.node("Div", [at.writer.constant(1.0), at.tensor(0, np.float32)], at.shape),
    "gt": _comparison("Greater"),
    "ge": _comparison("GreaterOrEqual"),
    "lt": _comparison("Less"),
    "le": _comparison("LessOrEqual"),
    "eq": _comparison("Equal"),
    "ne": _different,
    "logical_and": _logical("And"),
    "bitwise_and": _logical("And"),
    "logical_or": _logical("Or"),
    "bitwise_or": _logical("Or"),
    "logical_xor": _logical("Xor"),
    "bitwise_xor": _logical("Xor"),
    "logical_not": _logical("Not"),
    "bitwise_not": _logical("Not"),
    "clamp": lambda at: _bounds(at, at.argument(1, "min"), at.argument(2, "max")),
    "clamp_min": lambda at: _bounds(at, at.argument(1, "min"), None),
    "clamp_max": lambda at: _bounds(at, None, at.argument(1, "max")),
    "hardtanh": lambda at: _bounds(at, at.argument(1, "min_val", -1.0), at.argument(2, "max_val", 1.0)),
    "where": _where,
    "heaviside": _heaviside,
}
_PLACES: dict[str, Write] = {
    **dict.fromkeys("alias clone contiguous detach lift lift_fresh positive".split(), _as_it_is),
    "to": _cast,  # _to_copy, with what stands around it taken away
    **dict.fromkeys("flatten reshape squeeze unsafe_view unsqueeze view".split(), _reshaped),
    **dict.fromkeys("permute t transpose".split(), _permuted),
    "expand": _expanded,
    "repeat": _repeated,
    "select": _select,
    "unbind": _unbind,
    "slice": _slice,
    "split": _split,
    "split_with_sizes": _split,
    "stack": _stacked,
    "cat": _joined,
    "select_scatter": _row_replaced,
    "slice_scatter": _part_replaced,
    "copy": _copied,
    **{name: _filled(0.0) for name in "zeros zeros_like new_zeros empty empty_like new_empty".split()},
    **{name: _filled(1.0) for name in "ones ones_like new_ones".split()},
    **{name: _filled(None) for name in "full full_like new_full fill".split()},
    "scalar_tensor": _single,
}
_LAYERS: dict[str, Write] = {
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
OPERATIONS: dict[str, Write] = {**_ELEMENTWISE, **_PLACES, **_LAYERS}
"""By the name of the operation."""

_NORM = "batch normalization"
INSTEAD = {
    "native_layer_norm": _NORM,
    "native_group_norm": _NORM,
    **dict.fromkeys("elu celu leaky_relu prelu relu6 silu hardswish mish".split(), "relu"),
    "gelu": "relu, sigmoid or tanh",
    "hardsigmoid": "sigmoid",
    "softplus": "relu",
    "lstm": "spiking layers",
    "gru": "spiking layers",
}
"""The nearest thing that there is for what is not there."""
