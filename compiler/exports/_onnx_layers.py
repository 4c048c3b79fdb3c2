"""Layers as nodes of ONNX: those that are more than an expression at each element.

A layer's function gets the operands and parameters under the names that its operator gives them, a sample's axes behind
the samples, and gives its results in the order of the operator's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..ir.types import Type
from ..ops.adaptive import Fitted, FittedLargest
from ..ops.coding import Poisson
from ..ops.concat import Concat
from ..ops.convolution import Convolution, ConvTranspose2d
from ..ops.dropout import Dropout
from ..ops.fitting import Fit
from ..ops.linear import Linear
from ..ops.norms import Standardise
from ..ops.op import Op
from ..ops.pooling import AvgPool, MaxPool, Pool
from ..ops.shape import Flatten
from ..ops.upsample import Upsample
from ..ops.vote import Vote
from ._onnx_body import Body, Unwritable
from ._onnx_elements import FLOAT


@dataclass(frozen=True)
class Call:
    """One call of an operator: types of its operands and of its first result, names of its parameters, and which of its
    results are wanted."""

    operands: Sequence[Type]
    result: Type
    parameters: Sequence[str]
    wanted: Sequence[bool]


def linear(body: Body, op: Linear, at: Call) -> list[str]:
    """Gemm."""
    return [body("Gemm", "x", *at.parameters, transB=1)]


def convolution(body: Body, op: Convolution[Any], at: Call) -> list[str]:
    """Conv, or ConvTranspose."""
    slides = op.along
    settings: dict[str, Any] = {
        "kernel_shape": [slide.taps for slide in slides],
        "strides": [slide.stride for slide in slides],
        "pads": [slide.pad for slide in slides] * 2,
        "dilations": [slide.dilation for slide in slides],
        "group": op.groups,
    }
    if isinstance(op, ConvTranspose2d):
        if all(more < slide.stride for more, slide in zip(op.output_pad, slides, strict=True)):
            return [body("ConvTranspose", "x", *at.parameters, output_padding=list(op.output_pad), **settings)]
        return _transposed(body, op, at, settings)
    return [body("Conv", "x", *at.parameters, **settings)]


def _transposed(body: Body, op: ConvTranspose2d, at: Call, settings: dict[str, Any]) -> list[str]:
    """A result that reaches further behind the last window than runtimes allow: a part of all windows."""
    weight, *bias = at.parameters
    whole = body("ConvTranspose", "x", weight, **{**settings, "pads": [0] * 4})
    behind = [max(0, more - slide.pad) for more, slide in zip(op.output_pad, op.along, strict=True)]
    longer = body("Pad", whole, body.integers([0] * 4 + [0, 0] + behind))
    begins = [slide.pad for slide in op.along]
    ends = [begin + extent for begin, extent in zip(begins, at.result.shape[1:], strict=True)]
    part = body("Slice", longer, *(body.integers(each) for each in (begins, ends, [2, 3])))
    return [body("Add", part, body("Unsqueeze", bias[0], body.integers([1, 2])))] if bias else [part]


def pool(body: Body, op: Pool[Any], at: Call) -> list[str]:
    """MaxPool, AveragePool, or a sum: one channel's convolution with ones, which is exact for counts."""
    settings = _window(op)
    if isinstance(op, MaxPool):
        return _largest(body, op, at, settings)
    if isinstance(op, AvgPool):
        return [body("AveragePool", "x", count_include_pad=1, **settings)]
    channels = at.operands[0].shape[0]
    ones = body.floats(np.ones((channels, 1, *settings["kernel_shape"])))
    return [body("Conv", "x", ones, group=channels, **settings)]


def _largest(body: Body, op: MaxPool[Any], at: Call, settings: Mapping[str, Any]) -> list[str]:
    """The largest, and the number of its tap: ONNX tells the place in the whole tensor instead."""
    if not at.wanted[1]:
        return [body("MaxPool", "x", **settings)]
    largest, place = body.several("MaxPool", ["x"], 2, **settings)
    extents = at.operands[0].shape[1:]
    rest = body("Mod", place, body.integers(math.prod(extents)))
    tap = body.integers(0)
    for axis, (slide, extent) in enumerate(zip(op.along, extents, strict=True)):
        unit = math.prod(extents[axis + 1 :])
        position = body("Mod", body("Div", rest, body.integers(unit)), body.integers(extent))
        outputs = at.result.shape[1 + axis]
        first = np.arange(outputs) * slide.stride - slide.pad
        shape = [outputs if k == axis else 1 for k in range(len(extents))]
        within = body("Sub", position, body.integers(first.reshape(shape)))
        tap = body("Add", body("Mul", tap, body.integers(slide.taps)), within)
    return [largest, body("Cast", tap, to=FLOAT)]


def _window(op: Pool[Any]) -> dict[str, Any]:
    """The window of a pool."""
    slides = op.along
    return {
        "kernel_shape": [slide.taps for slide in slides],
        "strides": [slide.stride for slide in slides],
        "pads": [slide.pad for slide in slides] * 2,
    }


def fitted(body: Body, op: Fitted, at: Call) -> list[str]:
    """Windows that are fitted to a number of outputs: one kernel if they are alike, else each axis piece by piece."""
    kind = "Max" if isinstance(op, FittedLargest) else "Average"
    if any(at.wanted[1:]):
        raise Unwritable(f"the taps of {op.name}")
    fits = op.fits(at.operands[0])
    if all(fit.even for fit in fits):
        taps = [fit.period for fit in fits]
        return [body(f"{kind}Pool", "x", kernel_shape=taps, strides=taps)]
    value = "x"
    for axis, fit in enumerate(fits, 2):
        value = body("Concat", *_pieces(body, value, fit, axis, kind), axis=axis)
    return [value]


def _pieces(body: Body, value: str, fit: Fit, axis: int, kind: str) -> list[str]:
    """The mean or the largest of every window along one axis."""
    reduce = "ReduceMax" if kind == "Max" else "ReduceMean"
    made: list[str] = []
    for repetition in range(fit.times):
        for span in fit.spans:
            ends = [repetition * fit.period + place for place in (span.start, span.stop)]
            piece = body("Slice", value, *(body.integers([end]) for end in ends), body.integers([axis]))
            made.append(body(reduce, piece, body.integers([axis]), keepdims=1))
    return made


def flatten(body: Body, op: Flatten, at: Call) -> list[str]:
    """All axes behind the samples."""
    return [body("Flatten", "x", axis=1)]


def concat(body: Body, op: Concat, at: Call) -> list[str]:
    """Along the channels."""
    return [body("Concat", "a", "b", axis=1)]


def upsample(body: Body, op: Upsample, at: Call) -> list[str]:
    """The nearest neighbour."""
    scales = body.floats([1, 1, *op.factor])
    return [
        body(
            "Resize",
            "x",
            "",
            scales,
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
    ]


def vote(body: Body, op: Vote, at: Call) -> list[str]:
    """The mean of each group."""
    groups = body("Reshape", "x", body.integers([0, -1, op.size]))
    return [body("ReduceMean", groups, body.integers([2]), keepdims=0)]


def dropout(body: Body, op: Dropout, at: Call) -> list[str]:
    """Nothing, when inferring."""
    return ["x"]


def poisson(body: Body, op: Poisson, at: Call) -> list[str]:
    """Random spikes, whose numbers are the runtime's own."""
    return [body("Bernoulli", "x", dtype=FLOAT)]


def standardise(body: Body, op: Standardise, at: Call) -> list[str]:
    """Of each output, over its fan-in."""
    if any(at.wanted[1:]):
        raise Unwritable(f"the statistics of {op.name}")
    axes = body.integers(list(range(1, len(at.result.shape))))
    centred = body("Sub", "w", body("ReduceMean", "w", axes, keepdims=1))
    terms = math.prod(at.result.shape[1:])
    variance = body("ReduceMean", body("Mul", centred, centred), axes, keepdims=1)
    scaled = body("Mul", variance, body.floats(terms * terms / (terms - 1)))
    value = body("Div", centred, body("Sqrt", body("Add", scaled, body.floats(op.eps))))
    if not at.parameters:
        return [value]
    gain = body("Unsqueeze", "gain", axes)
    return [body("Mul", value, gain)]


Layer = Callable[[Body, Any, Call], list[str]]
LAYERS: Mapping[type[Op], Layer] = {
    Linear: linear,
    Convolution: convolution,
    Pool: pool,
    Fitted: fitted,
    Flatten: flatten,
    Concat: concat,
    Upsample: upsample,
    Vote: vote,
    Dropout: dropout,
    Poisson: poisson,
    Standardise: standardise,
}
"""By class, or by what classes have in common; all else is an expression at each element."""


def layer_of(op: Op) -> Layer | None:
    """How *op* is written, if the table has it."""
    return next((LAYERS[kind] for kind in type(op).__mro__ if kind in LAYERS), None)
