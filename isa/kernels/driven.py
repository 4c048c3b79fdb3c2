"""Contractions by the compiled kernels: how their operands lie is worked out once (`Layout`), what they hold decides in
C.

A window that slides is not laid out element by element: the left operand is read as the smallest *box* that holds its
elements (`box_of`), and the matrix that it stands for is a table of rows and columns into that.
Where the kernels do not serve, the NumPy form in `contract` has to; which of them did it, no bit tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...numerics.formats import F32, SPIKE, X64, X128, Format
from .compiled import LANES, at, library, room
from .nest import Array, Operand, Shape, plan_of

Numbers = NDArray[np.int64]

_ACCUMULATORS = {F32.code: 0, X64.code: 1, X128.code: 2}
_ONES, _SPIKES, _COUNTS, _SIGNS, _HALVES, _BFLOATS, _SINGLES = range(7)
_FLOATS = {"f16": _HALVES, "bf16": _BFLOATS, "f32": _SINGLES}
_SIZES = (1, 1, 1, 1, 2, 2, 4)
_SUM_SIZES = (4, 8, 16)
_ONE = np.ones((), np.uint8)
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


@dataclass(frozen=True)
class Layout:
    """What `snnc_contract` has to know of operands before it sees them: *table* is the address of its ``struct plan``,
    which *kept* keeps; *room* bytes are to work in, and *columns* products belong to an element of the left matrix."""

    table: int
    kept: tuple[Any, ...]
    room: int
    columns: int


def contracted(
    sums: Array, fresh: bool, left: Operand | None, right: Operand, extents: Shape, kept: tuple[bool, ...],
    acc_format: Format,
) -> int | None:  # fmt: skip
    """sums = (nothing where they are *fresh*) + left * right; how many products had a left element other than zero."""
    loaded = library()
    elements = _elements(left, right, acc_format)
    if loaded is None or elements is None or 0 in extents:
        return None
    r_storage, l_storage = right.storage, _ONE if left is None else left.storage
    if not (sums.flags.aligned and r_storage.flags.aligned and l_storage.flags.aligned):
        return None
    l_lies, r_lies = (
        (None if left is None else (l_storage.shape, l_storage.strides)),
        (r_storage.shape, r_storage.strides),
    )
    layout = _layout(extents, kept, elements, l_lies, r_lies, sums.strides, _ACCUMULATORS[acc_format.code])
    if layout is None:
        return None
    places = layout.table, at(l_storage), at(r_storage), at(sums)
    done = loaded.snnc_contract(*places, fresh, room(layout.room))
    return None if done < 0 else done * layout.columns


def _elements(left: Operand | None, right: Operand, acc: Format) -> tuple[int, int] | None:
    """The kinds of elements of both operands; None where the kernels have not got them."""
    right_kind = _FLOATS.get(right.format.name)
    if acc.code not in _ACCUMULATORS or right_kind is None or (right_kind != _HALVES and acc != F32):
        return None
    if left is None:
        return _ONES, right_kind
    form = left.format
    if form.kind == "float":
        left_kind = _FLOATS.get(form.name)
        if left_kind is None or (acc != F32 and (left_kind != _HALVES or acc == X64)):
            return None
        return left_kind, right_kind
    if form.bits > 8:
        return None
    return _SPIKES if form == SPIKE else _SIGNS if form.kind == "sign" else _COUNTS, right_kind


Lies = tuple[Shape, Shape]
"""How storage lies: an axis a loop, and the bytes from one to the next."""


@lru_cache(maxsize=2048)
def _layout(
    extents: Shape, kept: tuple[bool, ...], elements: tuple[int, int], left: Lies | None, right: Lies, sums: Shape,
    acc: int,
) -> Layout | None:  # fmt: skip
    """None where elements do not stand on a grid of their own."""
    rank = len(extents)
    ones = (1,) * rank
    l_shape, l_bytes = (ones, ones) if left is None else left
    r_shape, r_bytes = right
    l_steps, r_steps = _steps(l_shape, l_bytes, _SIZES[elements[0]]), _steps(r_shape, r_bytes, _SIZES[elements[1]])
    s_shape = tuple(extent if keep else 1 for extent, keep in zip(extents, kept, strict=True))
    s_steps = _steps(s_shape, sums[:rank], _SUM_SIZES[acc])
    if l_steps is None or r_steps is None or s_steps is None:
        return None
    plan = plan_of(extents, kept, l_shape, r_shape)
    batch, m, k, n = plan.groups
    alone = elements == (_HALVES, _HALVES) and acc == _ACCUMULATORS[X128.code] and plan.m == plan.n == 1 < plan.batch

    def along(steps: Shape, axes: Shape) -> Numbers:
        return offsets(tuple((extents[axis], steps[axis]) for axis in axes))

    if alone:
        box = Box(along(l_steps, k), plan.batch, _columns(along(l_steps, batch)), 0, l_steps, None)
        r_rows, r_columns = along(r_steps, k), along(r_steps, batch)
    else:
        box = box_of(l_shape, l_steps)
        r_rows, r_columns = along(r_steps, batch + k), along(r_steps, n)
    down = batch + tuple(sorted(m, key=lambda axis: -abs(box.steps[axis])))
    rows = along(box.steps, down) + box.start
    runs = [_run([(extents[axis], box.steps[axis]) for axis in axes]) for axes in (k, down[len(batch) :])]
    pointed = (
        *(r_rows, _columns(r_columns), box.rows, box.columns, box.weights, rows, along(box.steps, k)),
        *(along(s_steps, down), _columns(along(s_steps, n))),
    )
    lies = [0 if array is None else at(array) for array in pointed]
    filled = -(-(plan.batch if alone else plan.n) // LANES) * LANES
    times = prod(extents[axis] for axis in batch + m + k if l_shape[axis] == 1)
    fields = [
        *(plan.batch, plan.m, plan.k, plan.n, filled, acc, *elements, alone, lies[0], lies[1]),
        *(lies[2], box.rows.size, box.length, lies[3], lies[4], lies[5], lies[6], *runs, times, lies[7], lies[8]),
    ]
    table = np.array(fields, np.int64)
    loaded = library()
    assert loaded is not None
    return Layout(at(table), (table, pointed), loaded.snnc_contract_room(at(table)), plan.n)


def _steps(shape: Shape, strides: Shape, size: int) -> Shape | None:
    """Strides in elements, 0 along axes of size 1; None where one of them is none."""
    if any(extent > 1 and stride % size for extent, stride in zip(shape, strides, strict=True)):
        return None
    return tuple(stride // size if extent > 1 else 0 for extent, stride in zip(shape, strides, strict=True))


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
    columns = _columns(offsets(((first.weights.size, first.step),)))
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


def _columns(places: Numbers) -> Numbers | None:
    """None where elements stand side by side."""
    return None if np.array_equal(places, np.arange(places.size)) else places


def _run(axes: list[tuple[int, int]]) -> int:
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
