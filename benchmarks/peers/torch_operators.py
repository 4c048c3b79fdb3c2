"""Every operator that keeps nothing from step to step, in plain PyTorch: ``[t, n, ...]`` at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

Settings = Mapping[str, Any]
Operator = Callable[[Sequence[Any], Settings], Any]
"""Of operands and settings.  The first operand is ``[n, ...]``, steps and samples together; others are parameters."""


def _functional() -> Any:
    return import_module("torch.nn.functional")


def _bias(operands: Sequence[Any]) -> Any:
    return operands[2] if len(operands) > 2 else None


def _sizes(given: Settings) -> dict[str, Any]:
    """A window as PyTorch calls it; stride 0 is the kernel."""
    stride = given["stride"] if np.all(given["stride"]) else given["kernel"]
    return {"kernel_size": given["kernel"], "stride": stride, "padding": given["pad"]}


def _conv(name: str) -> Operator:
    def run(operands: Sequence[Any], given: Settings) -> Any:
        sizes = {"stride": given["stride"], "padding": given["pad"], "dilation": given["dilation"]}
        return getattr(_functional(), name)(*operands[:2], _bias(operands), **sizes, groups=given["groups"])

    return run


def _conv_transpose(operands: Sequence[Any], given: Settings) -> Any:
    return _functional().conv_transpose2d(
        *operands[:2],
        _bias(operands),
        stride=given["stride"],
        padding=given["pad"],
        output_padding=given["output_pad"],
        groups=given["groups"],
        dilation=given["dilation"],
    )


def _pool(name: str) -> Operator:
    return lambda operands, given: getattr(_functional(), name)(operands[0], **_sizes(given))


def _fitted(name: str) -> Operator:
    return lambda operands, given: getattr(_functional(), name)(operands[0], given.get("out", 1))


ALONG = {"out", "kernel", "stride", "pad", "dilation", "groups", "bias"}
WINDOW = {"kernel", "stride", "pad"}

OPERATORS: Mapping[str, tuple[Operator, set[str]]] = {
    "linear": (lambda x, _: _functional().linear(x[0], x[1].flatten(1), _bias(x)), {"out", "bias"}),
    "conv1d": (_conv("conv1d"), ALONG),
    "conv2d": (_conv("conv2d"), ALONG),
    "conv_transpose2d": (_conv_transpose, ALONG | {"output_pad"}),
    "avg_pool1d": (_pool("avg_pool1d"), WINDOW),
    "avg_pool2d": (_pool("avg_pool2d"), WINDOW),
    "sum_pool2d": (
        lambda x, given: _functional().avg_pool2d(x[0], **_sizes(given), divisor_override=1),
        WINDOW,
    ),
    "max_pool1d": (_pool("max_pool1d"), WINDOW),
    "max_pool2d": (_pool("max_pool2d"), WINDOW),
    "adaptive_avg_pool2d": (_fitted("adaptive_avg_pool2d"), {"out"}),
    "adaptive_max_pool2d": (_fitted("adaptive_max_pool2d"), {"out"}),
    "global_avg_pool2d": (_fitted("adaptive_avg_pool2d"), set()),
    "global_max_pool2d": (_fitted("adaptive_max_pool2d"), set()),
    "flatten": (lambda x, _: x[0].flatten(1), set()),
    "relu": (lambda x, given: given["gain"] * x[0].relu(), {"gain"}),
    "sigmoid": (lambda x, _: x[0].sigmoid(), set()),
    "tanh": (lambda x, _: x[0].tanh(), set()),
    "upsample": (
        lambda x, given: x[0].repeat_interleave(given["factor"][0], dim=2).repeat_interleave(given["factor"][1], dim=3),
        {"factor"},
    ),
}
"""Operators of one value, and the settings that each knows."""

JOINING: Mapping[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "concat": lambda a, b: import_module("torch").cat([a, b], dim=2),
}
"""Operators of two values ``[t, n, ...]``."""


def standardise(operands: Sequence[Any], given: Settings) -> Any:
    """``gain * (w - mean) / sqrt(fan_in * var + eps)`` of each output, var being unbiased (Brock et al. 2021)."""
    w, *gain = operands
    var, mean = import_module("torch").var_mean(w.flatten(1), dim=1, unbiased=True)
    each = (-1,) + (1,) * (w.dim() - 1)
    y = (w - mean.reshape(each)) / (w[0].numel() * var + given["eps"]).sqrt().reshape(each)
    return y * gain[0].reshape(each) if gain else y


def scale(x: Any, w: Any, given: Settings, first: int) -> Any:
    """``x * w * factor`` of ``x[t, n, ...]``, whose first step is number *first*."""
    match given["each"]:
        case "channel":
            w = w.reshape((-1,) + (1,) * (x.dim() - 3))
        case "step":
            w = w[first : first + len(x)].reshape((-1,) + (1,) * (x.dim() - 1))
        case _:
            pass
    return x * w * given["factor"]


def batch_norm(x: Any, operands: Sequence[Any], given: Settings, training: bool, first: int) -> Any:
    """Batch norm of ``x[t, n, ...]``, in each step or over all; *operands* are running mean and variance, gamma, beta.

    In training the running statistics follow, in place, as PyTorch's modules have it.
    """
    functional = _functional()

    def normed(samples: Any, running: Sequence[Any]) -> Any:
        mean, var, gamma, beta = (*running, None, None)[:4]
        follows = training and not given["frozen"]
        return functional.batch_norm(samples, mean, var, gamma, beta, follows, given["momentum"], given["eps"])

    if given["scope"] == "window":
        return normed(x.flatten(0, 1), operands).unflatten(0, x.shape[:2])
    separate = given["scope"] == "separate"
    parts = [
        normed(part, [value[first + step] for value in operands] if separate else operands)
        for step, part in enumerate(x)
    ]
    return import_module("torch").stack(parts)


def dropout(x: Any, given: Settings, kept: Any = None) -> Any:
    """``x[t, n, ...] / (1 - p)`` where *kept*, a mask of all steps or of each; drawn by PyTorch unless given."""
    torch: Any = import_module("torch")
    p = given["p"]
    if kept is None:
        kept = torch.rand(x.shape if given["mask"] == "step" else x.shape[1:]) >= p
    return x * kept / (1 - p)
