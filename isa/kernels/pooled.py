"""Windows by compiled kernels (`_window.h`).

None is answered where they do not serve, and the NumPy forms in `window.py` have to: which of them did it, no bit
tells.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...numerics.formats import BF16, BY_CODE, F16, F32, SPIKE, U2, U4, U8, U16, Format
from .axes import SHARED, Lying, axes_of, lying_of, order_of, table, usual
from .compiled import Call, at, library

Array = NDArray[Any]
Shape = tuple[int, ...]

_FLOATS = {F16.code, BF16.code, F32.code}
_WHOLE = {fmt.code for fmt in (SPIKE, U2, U4, U8, U16)}
_VALUES = _FLOATS | _WHOLE
_EXACT = 1 << 24  # up to here f32 holds every integer
_OPERANDS = 4


class Plan(NamedTuple):
    """Windows of operands that lie in one way: the kernel, and what it reads of them."""

    kernel: str
    call: Call

    def done(self, places: bytes) -> bool:
        """Whether the kernel did it; operands begin at *places*."""
        loaded = library()
        if len(places) < 8 * _OPERANDS:  # else they are handed on as they are, with what they may keep
            places = places.ljust(8 * _OPERANDS, b"\0")
        return loaded is not None and not getattr(loaded, self.kernel)(self.call, places)


def pooled(source: Array, fmt: Format, outer: Shape, window: Shape, scale: float, out: Format) -> Array | None:
    """What `window.pool_sum` answers, or None."""
    result = np.empty(outer, out.dtype)
    plan = sums(lying_of(source, fmt), lying_of(result, out), outer, window, scale)
    return result if plan is not None and plan.done(struct.pack("2q", at(source), at(result))) else None


@lru_cache(maxsize=4096)
def sums(source: Lying | None, out: Lying | None, outer: Shape, window: Shape, scale: float) -> Plan | None:
    """How the kernel sums windows; None where it cannot."""
    if source is None or out is None or not usual(scale):
        return None
    kind, result = source.kind % SHARED, out.kind % SHARED
    if result not in _FLOATS and (result not in _WHOLE or kind not in _WHOLE or scale != 1.0):
        return None
    if kind not in _FLOATS and (kind not in _WHOLE or BY_CODE[kind].maximum * prod(window) >= _EXACT):
        return None
    return _plan("snnc_pool_sum", [source, out], [0], outer, _taps(window), (), scale)


@lru_cache(maxsize=4096)
def largest(
    source: Lying | None, out: Lying | None, tap: Lying | None, there: Lying | None, outer: Shape, window: Shape
) -> Plan | None:
    """How the kernel finds the largest of each window, and its tap; *there* is None where all taps are."""
    if source is None or out is None or tap is None or prod(window) >= _EXACT:
        return None
    if source.kind % SHARED not in _VALUES or out.kind % SHARED not in _VALUES or tap.kind % SHARED not in _VALUES:
        return None
    operands = [source, out, tap, *([] if there is None else [there])]
    return _plan("snnc_pool_max", operands, [0, 3], outer, _taps(window), (), 1.0)


@lru_cache(maxsize=4096)
def spread(
    source: Lying | None,
    out: Lying | None,
    tap: Lying | None,
    outer: Shape,
    window: Shape,
    first: int,
    steps: Shape,
) -> Plan | None:
    """How the kernel brings errors back to what was the largest."""
    if source is None or out is None or tap is None or source.kind not in _FLOATS or out.kind not in _FLOATS:
        return None
    if tap.kind % SHARED not in _WHOLE:
        return None
    sought = {place: first + sum(k * step for k, step in zip(place, steps, strict=False)) for place in _taps(window)}
    if any(abs(number) >= _EXACT for number in sought.values()):
        return None
    found = sorted(sought, key=lambda place: (sought[place], place))
    return _plan("snnc_unpool", [source, out, tap], [0, 2], outer, found, tuple(map(sought.__getitem__, found)), 1.0)


def _taps(window: Shape) -> list[Shape]:
    """The places of a window, the last axis fastest."""
    return list(product(*map(range, window)))


def _plan(
    kernel: str,
    operands: list[Lying],
    windowed: list[int],
    outer: Shape,
    taps: list[Shape],
    sought: tuple[int, ...],
    scale: float,
) -> Plan | None:
    """A call of a kernel; the operands *windowed* have axes of the window behind those of the result."""
    rank = len(outer)
    firsts = [one._replace(shape=one.shape[:rank], strides=one.strides[:rank]) for one in operands]
    if prod(outer) == 0 or not taps or not all(one.fits(outer) for one in firsts):
        return None
    if any(number not in windowed and one.shape != outer for number, one in enumerate(operands)):
        return None
    order = order_of(firsts, outer)
    axes = table([axes_of(one, outer, order) for one in firsts])
    if axes is None:
        return None
    moved = np.zeros((len(taps), _OPERANDS), np.int64)
    for number in windowed:
        if number < len(operands):
            steps = operands[number].steps[rank:]
            moved[:, number] = [sum(k * step for k, step in zip(place, steps, strict=True)) for place in taps]
    arrays = axes, np.concatenate([moved.reshape(-1), np.array(sought, np.int64)])
    kinds = [one.kind for one in operands] + [-1] * (_OPERANDS - len(operands))
    call = struct.pack("2P7qd", *map(at, arrays), axes.shape[2], len(taps), prod(outer), *kinds, scale)
    return Plan(kernel, Call.of(call, *arrays))
