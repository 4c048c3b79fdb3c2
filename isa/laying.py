"""Numbers of the host that become elements of a tensor in one way over both: each is rounded once, where it belongs."""

from __future__ import annotations

from functools import lru_cache
from struct import pack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..numerics.formats import BF16, F16, F32, Format
from .element import ElementProgram, Lane
from .kernels.axes import Lying
from .kernels.compiled import at, library
from .kernels.element import Plan

_COPY = ElementProgram("copy", ("numbers", "elements"), (Lane("load", 0, 0), Lane("store", a=0, b=1)))
_NO_ARGUMENTS = np.zeros(1, np.uint32)


def laid(numbers: NDArray[Any], memory: NDArray[np.uint8], fmt: Format, strides: tuple[int, ...]) -> bool:
    """Whether *numbers* now are elements of *fmt* as `encode` rounds them: so many bytes apart, from the first of
    *memory* on.

    Where not, no kernel serves, and nothing was done: for numbers that are not f32, for formats that do not hold all.
    """
    if numbers.dtype != np.float32 or fmt not in (F16, BF16, F32) or library() is None:
        return False
    plan = _plan(numbers.shape, numbers.strides, fmt, strides)
    return plan is not None and plan.done(pack("2q", at(numbers), at(memory)), at(_NO_ARGUMENTS))


@lru_cache(maxsize=64)
def _plan(shape: tuple[int, ...], apart: tuple[int, ...], fmt: Format, strides: tuple[int, ...]) -> Plan | None:
    found = _COPY.in_place([Lying(F32.code, shape, apart), Lying(fmt.code, shape, strides)], shape)
    return None if found is None else found[0]
