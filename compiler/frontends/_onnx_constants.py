"""Constants of a neuron, read off what was measured of it: one number, one a channel, two decays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ._onnx_elements import Unknown
from .frontend import Array


def uniform(values: Array, what: str) -> float:
    """The number that all *values* are; `Unknown` where they differ."""
    least, most = float(np.min(values)), float(np.max(values))
    if most - least > 1e-6 * max(abs(least), abs(most)):
        raise Unknown(f"the {what} differs from element to element ({least:g} to {most:g})")
    return rounded(float(np.median(values)))


def differs(values: Array) -> bool:
    """Whether not all are the same number."""
    least, most = float(np.min(values)), float(np.max(values))
    return most - least > 1e-6 * max(abs(least), abs(most))


def one_a_channel(values: Array, what: str) -> Array:
    """One number a channel, or a feature; `Unknown` where a channel has several."""
    channels = values[0].reshape(values.shape[1], -1)
    if differs(values - channels[:, :1].reshape(1, -1, *(1,) * (values.ndim - 2)) + 1.0):
        raise Unknown(f"the {what} differs within a channel")
    return np.asarray(channels[:, 0], np.float64)


def rounded(value: float) -> float:
    """The number of at most 7 digits that *value* was before it was rounded to f32, if there is one."""
    short = float(f"{value:.7g}")
    near = abs(short - value) <= 1e-7 * abs(value)
    return short if near and np.float32(short) == np.float32(value) else 0.0 if abs(value) < 1e-12 else value


def one_sample(values: Array) -> Array:
    """Of the first sample."""
    return np.asarray(values[0] if values.ndim > 1 else values, np.float64)


def two_poles(g: Sequence[Array]) -> tuple[Array, Array]:
    """The two decays of an answer ``g[n] = g0 * sum of a^i b^(n-i)``; `Unknown` where there are none."""
    total = g[1] / g[0]
    both = total**2 - g[2] / g[0]
    square = total**2 - 4 * both
    if (square < -1e-9).any():
        raise Unknown("its membrane swings")
    root = np.sqrt(np.maximum(square, 0))
    one, other = (total + root) / 2, (total - root) / 2
    third = g[0] * (one**3 + one**2 * other + one * other**2 + other**3)
    if not np.allclose(g[3], third, rtol=1e-5, atol=1e-9 * np.abs(g[0]).max()):
        raise Unknown("its membrane follows its input through more than a current")
    return one, other
