"""Draining: an accumulator leaves as a value of the edge."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...numerics.exact import finish
from ...numerics.formats import Format, decode
from .drained import drained

Array = NDArray[Any]


def drain(
    acc: Array, acc_format: Format, scale: float, bias: tuple[Array, Format] | None, out: Format, shape: tuple[int, ...]
) -> Array:
    """round(acc * scale + bias) as storage of *out*; *acc* and *bias* broadcast to *shape*."""
    made = drained(acc, acc_format, scale, bias, out, shape)
    if made is not None:
        return made
    pair = (2,) if acc_format.name == "x128" else ()
    if acc.shape != shape + pair:
        acc = np.broadcast_to(acc, shape + pair)
    with np.errstate(invalid="ignore"):  # of a NaN that signals
        added = None if bias is None else np.broadcast_to(decode(*bias).astype(np.float64), shape)
    return finish(acc, acc_format, scale, added, out)
