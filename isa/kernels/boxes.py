"""Where the elements of a contraction's left operand lie: the box that holds them, and the window that it may be."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .nest import Shape

Numbers = NDArray[np.int64]

_OFTEN = 255
"""Uses of an element that a byte can count; where there are more, each has a copy of its own."""


class Box(NamedTuple):
    """A part of memory as rows of *length* elements, and how the loops of an operand go through it.

    *rows* are the places of the rows, *columns* those of elements in one (None: side by side); *start* is that of the
    operand's first element in the box and *steps* those of its loops there.  *weights* counts how often the loops meet
    each element of the box; None where it is once.
    """

    rows: Numbers
    length: int
    columns: Numbers | None
    start: int
    steps: Shape
    weights: NDArray[np.uint8] | None


def box_of(shape: Shape, steps: Shape) -> Box:
    """The box of an operand; steps of axes of size 1 are 0.

    Loops whose steps are multiples of each other and which reach as far as the next one steps share an axis of the box:
    rows and taps of a window, and what is contiguous.  Others have axes of their own, where elements may stand twice.
    """
    axes: list[_Axis] = []
    loops = sorted((abs(step), axis) for axis, step in enumerate(steps) if shape[axis] > 1)
    for step, loop in loops:
        if axes and (joined := axes[-1].joined(step, shape[loop])) is not None:
            factor, weights = joined
            axes[-1] = _Axis(axes[-1].step, weights, (*axes[-1].loops, (loop, factor)))
        else:
            axes.append(_Axis(step, np.ones(shape[loop], np.int64), ((loop, 1),)))
    within = [0] * len(shape)
    source, size = 0, 1
    weights = np.ones(1, np.int64)
    for axis in axes:
        for loop, factor in axis.loops:
            within[loop] = factor * size if steps[loop] >= 0 else -factor * size
        size *= axis.weights.size
        weights = (axis.weights[:, None] * weights).ravel()
    start = -sum(min(step, 0) * (extent - 1) for step, extent in zip(within, shape, strict=True))
    source = sum(min(step, 0) * (extent - 1) for step, extent in zip(steps, shape, strict=True))
    first, *outer = axes or [_Axis(1, np.ones(1, np.int64), ())]
    rows = offsets(tuple((axis.weights.size, axis.step) for axis in reversed(outer))) + source
    columns = columns_of(offsets(((first.weights.size, first.step),)))
    counts = None if weights.max() == 1 else weights.astype(np.uint8)
    return Box(rows, first.weights.size, columns, start, tuple(within), counts)


class _Axis(NamedTuple):
    """An axis of a box: *loops* (number, factor) go along it; *weights* counts how often they meet each place."""

    step: int
    weights: Numbers
    loops: tuple[tuple[int, int], ...]

    def joined(self, step: int, extent: int) -> tuple[int, Numbers] | None:
        """(factor, weights) with another loop; None where there would be gaps, or more uses than can be counted."""
        if not self.step or step % self.step or not 1 <= step // self.step <= self.weights.size:
            return None
        factor, length = step // self.step, self.weights.size
        weights = np.zeros((extent - 1) * factor + length, np.int64)
        for index in range(extent):
            weights[index * factor : index * factor + length] += self.weights
        return (factor, weights) if weights.max() <= _OFTEN else None


def planes_of(numbers: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[plane]: bit *plane* of each of the numbers, packed, in whole words of 64."""
    count = int(numbers.max()).bit_length()
    planes = np.zeros((count, -(-numbers.size // 64) * 64), np.uint8)
    planes[:, : numbers.size] = numbers >> np.arange(count, dtype=np.uint8)[:, None] & 1
    return np.packbits(planes, axis=1, bitorder="little")


class Taps(NamedTuple):
    """A left operand that is a window over pixels of channels: a term of the right operand stands at a pixel, *terms*
    [term], and a tap meets the pixel so many behind it, *shifts* [tap].  None is negative, and terms ascend."""

    channels: int
    shifts: Numbers
    terms: Numbers


_MOST_TAPS = 49
_MET = 0.2  # of the pixels that a tap may walk over; a window of stride 2 meets a quarter of them


def window_of(
    rows: tuple[tuple[int, int], ...], terms: tuple[tuple[int, int], ...], start: int, size: int, columns: int
) -> Taps | None:
    """The window of an operand whose rows and terms are loops (extent, step) in a box of *size*; None where it is none.

    Its innermost loop of rows are channels side by side, more than one row takes each of them, and its terms come in
    the order of pixels.
    """
    *outer, (channels, step) = rows
    places = offsets(terms)
    while outer and outer[-1][1] == channels and not (places % (channels * outer[-1][0])).any():
        channels *= outer.pop()[0]
    taps, firsts = prod(extent for extent, _ in outer), offsets(tuple(outer)) + start
    if step != 1 or channels < 8 or not 1 < taps <= _MOST_TAPS or size % channels:
        return None
    if (firsts % channels).any() or (places % channels).any() or (np.diff(places) <= 0).any():
        return None
    pixels, shifts, stands = size // channels, firsts // channels, places // channels
    if stands.size < pixels * _MET or (pixels + int(shifts.max())) * columns >= 1 << 31:
        return None
    return Taps(channels, shifts, stands)


class Spans(NamedTuple):
    """Where an operand lies: *length* bytes from each of *starts* on, which count from its first element."""

    starts: Numbers
    length: int


_SHORTEST = 32


def spans_of(shape: Shape, steps: Shape, size: int) -> Spans | None:
    """Where elements of *size* bytes lie; None where they are scattered."""
    length, start, outer = 1, 0, list[tuple[int, int]]()
    for step, extent in sorted((abs(step), extent) for step, extent in zip(steps, shape, strict=True) if step):
        if step <= length and not outer:
            length += (extent - 1) * step
        else:
            outer.append((extent, step * size))
    start = sum(min(step, 0) * (extent - 1) for step, extent in zip(steps, shape, strict=True))
    if length * size < _SHORTEST:
        return None
    return Spans(offsets(tuple(reversed(outer))) + start * size, length * size)


def columns_of(places: Numbers) -> Numbers | None:
    """None where elements stand side by side."""
    return None if np.array_equal(places, np.arange(places.size)) else places


def run_of(axes: list[tuple[int, int]]) -> int:
    """How many elements stand side by side along the innermost of *axes* (extent, step)."""
    run = 1
    for extent, step in reversed(axes):
        if step != run and extent > 1:
            break
        run *= extent
    return run


@lru_cache(maxsize=4096)
def offsets(axes: tuple[tuple[int, int], ...]) -> Numbers:
    """Sums of ``index * step`` over all *axes* (extent, step), the last one fastest."""
    result = np.zeros(1, np.int64)
    for extent, step in axes:
        result = (result[:, None] + np.arange(extent, dtype=np.int64) * step).ravel()
    return result
