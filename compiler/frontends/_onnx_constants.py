"""Constants of a neuron, read off what was measured of it: one number, one a channel, two decays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ._onnx_elements import Unknown
from .frontend import Array


def uniform(values: Array, what: str) -> float:
    """The number that all *values* are; `Unknown` where they differ."""
    least, most = float(np.min(values)), float(np.max(values))
    if differs(values):
        raise Unknown(f"the {what} differs from element to element ({least:g} to {most:g})")
    return rounded(float(np.median(values)))


def differs(values: Array) -> bool:
    """Whether not all are the same number."""
    least, most = float(np.min(values)), float(np.max(values))
    return most - least > max(1e-6 * max(abs(least), abs(most)), 1e-12)


def one_a_channel(values: Array, what: str) -> Array:
    """One number a channel, or a feature; `Unknown` where a channel has several."""
    channels = values[0].reshape(values.shape[1], -1)
    if differs(values - channels[:, :1].reshape(1, -1, *(1,) * (values.ndim - 2)) + 1.0):
        raise Unknown(f"the {what} differs within a channel")
    return np.asarray(channels[:, 0], np.float64)


def rounded(value: float) -> float:
    """The number of at most 7 digits that *value* was before it was rounded to f32, if there is one."""
    if abs(value) < 1e-12:
        return 0.0
    short = float(f"{value:.7g}")
    near = abs(short - value) <= 1e-7 * abs(value)
    return short if near and np.float32(short) == np.float32(value) else value


def one_sample(values: Array) -> Array:
    """Of the first sample."""
    return np.asarray(values[0] if values.ndim > 1 else values, np.float64)


def two_poles(g: Sequence[Array]) -> list[tuple[Array, Array]]:
    """The decays of a current and its membrane, either way round, in ``g[n] = g0 * sum of a^i b^(n-i)``.

    None where there are none.  Where one of both is the same for all elements, it stays together.
    """
    total = g[1] / g[0]
    both = total**2 - g[2] / g[0]
    square = total**2 - 4 * both
    if (square < -1e-9).any():
        return []
    root = np.sqrt(np.maximum(square, 0))
    one, other = (total + root) / 2, (total - root) / 2
    third = g[0] * (one**3 + one**2 * other + one * other**2 + other**3)
    if not np.allclose(g[3], third, rtol=1e-5, atol=1e-9 * np.abs(g[0]).max()):
        return []
    for shared in (one.flat[0], other.flat[0]):
        first = np.isclose(one, shared, rtol=1e-6)
        if (first | np.isclose(other, shared, rtol=1e-6)).all():
            one, other = np.where(first, one, other), np.where(first, other, one)
            break
    return [(other, one), (one, other)]


def with_a_zero(g: Sequence[Array]) -> tuple[Array, Array, Array] | None:
    """(decay, fading, product) of an answer ``g[n+2] = (decay + fading - product) g[n+1] - decay * fading * g[n]``.

    It is that of a membrane and of a current that the membrane feeds and that works against it; None for no other.
    """
    scaled = [each / g[0] for each in g]
    determinant = scaled[2] ** 2 - scaled[1] * scaled[3]
    if (np.abs(determinant) < 1e-12).any():
        return None
    one = (scaled[3] * scaled[2] - scaled[1] * scaled[4]) / determinant
    other = (scaled[2] * scaled[4] - scaled[3] ** 2) / determinant
    fading = one - scaled[1]
    if (np.abs(fading) < 1e-9).any() or (np.abs(other) < 1e-12).any():
        return None
    decay = -other / fading
    if not np.allclose(scaled[5], one * scaled[4] + other * scaled[3], rtol=1e-5, atol=1e-9):
        return None
    return decay, fading, decay + fading - one
