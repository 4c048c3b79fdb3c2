"""NIR's layers without state, and its delay."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

import numpy as np

from ..ir.graph import Setting
from ._building import Value
from ._nir_file import Written
from ._nir_graph import PASS
from ._nir_node import Kind, Reading, factors_of, numbers, setting, tidy
from .frontend import Array


def _linear(reading: Reading, node: Written, x: Value) -> Value | None:
    """``weight[out, in] x + bias[out]``; weights that fit only as ``[in, out]`` are turned."""
    weight = reading.array(node, "weight", 2)
    if weight is None:
        return None
    bias = _bias(reading, node, "Affine", "Linear")
    count = x.type.elements
    if len(x.type.axes) > 1 and count in weight.shape:
        reading.repair(node, f"what comes in is {list(x.type.shape)}; it is flattened for weights of {count}")
        flat = reading.add(node, "flatten", (x,), {}, "flatten")
        assert flat is not None, "everything can be flattened"
        x = flat
    straight, turned = weight.shape[1] == count, weight.shape[0] == count
    if straight != turned:
        reading.fits.add("straight" if straight else "turned")
    elif not straight:
        reading.fault(node, f"weight is {list(weight.shape)}, and what comes in is {list(x.type.shape)}")
        return None
    if turned and (not straight or reading.turned):
        told = "fits only as [in, out]" if not straight else "is taken as [in, out], as others fit"
        reading.repair(node, f"weight is {list(weight.shape)} and {told}; it is transposed")
        weight = weight.T
    parameters = {"w": weight} | ({} if bias is None else {"b": np.ravel(bias)})
    return reading.add(node, "linear", (x,), {"out": weight.shape[0], "bias": bias is not None}, "", parameters)


def _bias(reading: Reading, node: Written, with_bias: str, without: str) -> Array | None:
    """The bias, where there is one; what the kind of the node says otherwise is repaired."""
    if "bias" not in node.numbers:
        if node.kind != without:
            reading.repair(node, "has no bias; none is added")
        return None
    if node.kind == without:
        reading.repair(node, f"this {without} has a bias; it is taken for an {with_bias}")
    return reading.array(node, "bias")


def _convolution(rank: int, reading: Reading, node: Written, x: Value) -> Value | None:
    """A convolution over *rank* axes."""
    weight = reading.array(node, "weight", rank + 2)
    if weight is None:
        return None
    bias = _bias(reading, node, node.kind, "")
    kernel = weight.shape[2:]
    settings: dict[str, Setting] = {"out": weight.shape[0], "kernel": setting(kernel), "bias": bias is not None}
    dilation = _sizes(reading, node, "dilation", 1, rank)
    for name, value in (("stride", _sizes(reading, node, "stride", 1, rank)), ("dilation", dilation)):
        if value is None:
            return None
        settings[name] = setting(value)
    assert dilation is not None
    pad = _padding(reading, node, rank, kernel, dilation, settings["stride"])
    groups = numbers(node, "groups", 1)
    if pad is None or groups is None or len(groups) != 1:
        if pad is not None:
            reading.fault(node, "groups is a whole number")
        return None
    settings |= {"pad": setting(pad), "groups": groups[0]}
    said, extents = numbers(node, "input_shape", 0), x.type.shape[1:]
    if "input_shape" in node.numbers and said != extents and len(x.type.axes) == rank + 1:
        told = list(said or ()) if said and len(said) > 1 else (said or ("none",))[0]
        reading.fault(node, f"input_shape is {told}, and what comes in is {list(x.type.shape)}")
        return None
    if len(x.type.axes) == rank + 1 and weight.shape[1] * groups[0] != x.type.shape[0]:
        there = f"weight is for {weight.shape[1] * groups[0]} channels"
        reading.fault(node, f"{there}, and what comes in is {list(x.type.shape)}")
        return None
    parameters = {"w": weight} | ({} if bias is None else {"b": np.ravel(bias)})
    return reading.add(node, f"conv{rank}d", (x,), settings, "", parameters)


def _padding(
    reading: Reading, node: Written, rank: int, kernel: tuple[int, ...], dilation: tuple[int, ...], stride: Setting
) -> tuple[int, ...] | None:
    """The padding, which may be the word ``valid`` or ``same``."""
    word = node.words.get("padding")
    if word is None:
        return _sizes(reading, node, "padding", 0, rank)
    if word == "valid":
        return (0,) * rank
    whole = [reach * (taps - 1) for taps, reach in zip(kernel, dilation * (rank // len(dilation)), strict=True)]
    if word == "same" and all(extent % 2 == 0 for extent in whole) and stride in (1, (1, 1)):
        return tuple(extent // 2 for extent in whole)
    reading.fault(node, f"padding={word!r} is no number, `valid`, or `same` with odd kernels and a stride of 1")
    return None


def _sizes(reading: Reading, node: Written, name: str, default: int | None, rank: int) -> tuple[int, ...] | None:
    """One whole number for each of *rank* axes."""
    if name not in node.numbers and default is None:
        reading.fault(node, f"this {node.kind} has no {name}")
        return None
    found = numbers(node, name, default or 0)
    if found is None or len(found) not in (1, rank):
        reading.fault(node, f"{name} of {node.kind} is {'a whole number' if rank == 1 else 'one or two whole numbers'}")
        return None
    if name not in node.numbers:
        reading.repair(node, f"has no {name}; {default} is taken")
    return found * (rank // len(found))


def _pool(op: str, reading: Reading, node: Written, x: Value) -> Value | None:
    """A sum or a mean over windows."""
    kernel = _sizes(reading, node, "kernel_size", None, 2)
    if kernel is None:
        return None
    stride = kernel
    if "stride" in node.numbers:
        stride = _sizes(reading, node, "stride", None, 2)
    else:
        reading.repair(node, "has no stride; windows stand side by side")
    pad = _sizes(reading, node, "padding", 0, 2)
    if stride is None or pad is None:
        return None
    settings: dict[str, Setting] = {"kernel": kernel, "pad": pad}
    return reading.add(node, op, (x,), settings if stride == kernel else {**settings, "stride": stride})


def _flatten(reading: Reading, node: Written, x: Value) -> Value | None:
    """All axes as one; a start behind the first axis counts the batch, as in PyTorch."""
    rank = len(x.type.axes)
    start, end = numbers(node, "start_dim", 0), numbers(node, "end_dim", -1)
    if start is None or end is None or len(start) != 1 or len(end) != 1:
        reading.fault(node, "start_dim and end_dim of Flatten are whole numbers")
        return None
    said = _shape(node, "input_type")
    if said is None:
        reading.repair(node, "has no input_type; what comes in says it")
    elif math.prod(said) != x.type.elements:
        reading.fault(node, f"input_type is {list(said)}, and what comes in is {list(x.type.shape)}")
        return None
    first, last = start[0] % (rank + 1) if start[0] < 0 else start[0], end[0]
    if last not in (-1, rank - 1, rank):
        reading.fault(node, f"axes {first} to {last} alone of {list(x.type.shape)} cannot be flattened")
        return None
    if first == 1 and rank > 1:
        reading.repair(node, "start_dim=1 counts an axis of samples; all axes are flattened")
    elif first != 0 and rank > 1:
        reading.fault(node, f"axes from {first} on alone of {list(x.type.shape)} cannot be flattened")
        return None
    return reading.add(node, "flatten", (x,), {})


def _shape(node: Written, name: str) -> tuple[int, ...] | None:
    """A shape, as a field of its own or of the group of that name."""
    key = next((key for key in node.numbers if key == name or key.startswith(f"{name}/")), None)
    return None if key is None or node.numbers[key].size == 0 else numbers(node, key, 0)


def _scale(reading: Reading, node: Written, x: Value) -> Value | None:
    """A factor for all elements, each channel or each element."""
    c = reading.constants(node, x, scale=None)
    if c is None:
        return None
    factor = c["scale"]
    if node.numbers["scale"].size == 1 and x.type.elements > 1:
        return reading.add(node, "scale", (x,), {"each": "layer"}, "", {"w": np.asarray(factor)})
    each, w = factors_of(np.array(np.broadcast_to(factor, x.type.factors)), x)
    return reading.add(node, "scale", (x,), {"each": each}, "", {"w": w})


def steps_of(node: Written, dt: float) -> int | None:
    """How many steps a Delay waits; None where its elements wait differently, or not at all."""
    delays = node.numbers.get("delay")
    if delays is None or not delays.size or not np.isfinite(delays).all() or (delays != delays.flat[0]).any():
        return None
    return round(float(delays.flat[0]) / dt)


def _delay(reading: Reading, node: Written, x: Value) -> Value | None:
    """Whole steps, the same for all elements."""
    steps = check_delay(reading, node)
    if steps is None:
        return None
    return reading.add(node, "delay", (x,), {"steps": steps}) if steps else x


def check_delay(reading: Reading, node: Written) -> int | None:
    """Whole steps; what is between two of them is told."""
    delays = reading.array(node, "delay")
    if delays is None:
        return None
    steps = steps_of(node, reading.dt)
    if steps is None or steps < 0:
        why = "is below 0" if steps is not None else "differs between elements, and a delay of snnc is one for all"
        reading.fault(node, f"delay {why}")
        return None
    exact = float(tidy(float(delays.flat[0]) / reading.dt))
    if exact != steps:
        reading.assume(node, f"a delay of {exact:g} steps is taken for {steps}")
    if not steps:
        reading.repair(node, "a delay of no step is left out")
    return steps


def _passed(reading: Reading, node: Written, x: Value) -> Value | None:
    return x


KINDS: Mapping[str, tuple[Kind, frozenset[str]]] = {
    "Linear": (_linear, frozenset({"weight", "bias"})),
    "Affine": (_linear, frozenset({"weight", "bias"})),
    "Conv1d": (
        partial(_convolution, 1),
        frozenset({"weight", "bias", "stride", "padding", "dilation", "groups", "input_shape"}),
    ),
    "Conv2d": (
        partial(_convolution, 2),
        frozenset({"weight", "bias", "stride", "padding", "dilation", "groups", "input_shape"}),
    ),
    "SumPool2d": (partial(_pool, "sum_pool2d"), frozenset({"kernel_size", "stride", "padding"})),
    "AvgPool2d": (partial(_pool, "avg_pool2d"), frozenset({"kernel_size", "stride", "padding"})),
    "Flatten": (_flatten, frozenset({"start_dim", "end_dim", "input_type"})),
    "Scale": (_scale, frozenset({"scale"})),
    "Delay": (_delay, frozenset({"delay"})),
    PASS: (_passed, frozenset({"shape"})),
}
"""How nodes of each kind are read, and the fields that they have."""
