"""What the shapes of terms and of constants say of a layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..ir.graph import Setting
from ._onnx_named import Wrong
from ._onnx_terms import Term
from .frontend import Array


def voters(term: Term) -> Term | None:
    """The vector as a signal of one channel whose neighbours *term* averages, if it does."""
    if term.op != "AveragePool":
        return None
    signal, kernel = term.args[0], term.settings["kernel_shape"]
    plain = not any(term.settings.get("pads", ())) and not term.settings.get("ceil_mode")
    apart = len(kernel) == 1 and tuple(term.settings.get("strides", (1,))) == tuple(kernel)
    if signal.op != "Reshape" or not (plain and apart) or signal.shape[-1] % kernel[0]:
        return None
    vector = len(signal.args[0].shape) == 2 and len(signal.shape) == 3 and signal.shape[1] == 1
    return signal if vector else None


def axes(extents: Sequence[int]) -> Setting:
    """A number for one axis, a pair for two."""
    numbers = tuple(int(extent) for extent in extents)
    return numbers[0] if len(numbers) == 1 else numbers


def per_channel(bias: Array) -> Array:
    """One number a channel; `Wrong` where a channel has several."""
    if bias.ndim <= 1:
        return bias
    flat = bias.reshape(bias.shape[0], -1)
    if np.ptp(flat, axis=1).max() > 1e-6 * max(float(np.abs(flat).max()), 1e-30):
        raise Wrong("adds a constant that differs within a channel")
    return flat[:, 0]
