"""Contractions by the compiled kernels: how their operands lie is worked out once (`Layout`), what they hold decides in
C.

A window that slides is not laid out element by element: the left operand is read as the smallest *box* that holds its
elements (`box_of`), and the matrix that it stands for is a table of rows and columns into that.
Where the kernels do not serve, the NumPy form in `contract` has to; which of them did it, no bit tells.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from math import prod

import numpy as np

from ...numerics.formats import F16, F32, SPIKE, U8, X64, X128, Format
from .boxes import Box, Numbers, box_of, columns_of, offsets, planes_of, run_of, spans_of, window_of
from .compiled import LANES, Call, at, library, room
from .nest import AnyOperand, Array, Lies, Operand, PackedOperand, Shape, plan_of
from .tiled import TERMS, Tiles, tiles_of

_ACCUMULATORS = {F32.code: 0, X64.code: 1, X128.code: 2}
_ONES, _SPIKES, _COUNTS, _SIGNS, _HALVES, _BFLOATS, _SINGLES = range(7)
_FLOATS = {"f16": _HALVES, "bf16": _BFLOATS, "f32": _SINGLES}
_SIZES = (1, 1, 1, 1, 2, 2, 4)
_SUM_SIZES = (4, 8, 16)
_serials = count(1)
_ONE = Operand(np.ones((), np.uint8), U8)  # read by nobody
_NO_TERM = Operand(np.zeros((), np.uint8), U8)
_ZERO = np.zeros((), np.float16)


@dataclass(frozen=True)
class Layout:
    """What `snnc_contract` has to know of operands before it sees them: *table* is its ``struct plan``, *room* bytes it
    works in, and *columns* products belong to an element of the left matrix."""

    table: Call
    room: int
    columns: int


def contraction(
    sums: Array, left: AnyOperand | None, right: AnyOperand, extents: Shape, kept: tuple[bool, ...], acc_format: Format
) -> Callable[[bool], int] | None:
    """The kernel for these operands: sums = (nothing where they are fresh, of which it is told) + left * right.

    It answers how many products had a left element other than zero, or a negative number: then it does not serve for
    what the operands hold, and has done nothing.  None where there is none.
    """
    loaded = library()
    elements = _elements(left, right, acc_format)
    if loaded is None or elements is None or isinstance(right, PackedOperand):
        return None
    if 0 in extents:
        if not prod(extent for extent, keep in zip(extents, kept, strict=True) if keep):
            return None
        left, right, extents = _nothing(extents, kept)
        elements = _COUNTS, _HALVES
    arrays = [operand.storage for operand in (left, right) if isinstance(operand, Operand)]
    if not all(array.flags.aligned for array in (sums, *arrays)):
        return None
    l_lies, r_lies = _ONE.lies if left is None else left.lies, right.lies
    shared = left.format.bits if isinstance(left, PackedOperand) else 0
    layout = _layout(extents, kept, elements, shared, l_lies, r_lies, sums.strides, _ACCUMULATORS[acc_format.code])
    if layout is None:
        return None
    table, size, columns, snnc_contract = layout.table, layout.room, layout.columns, loaded.snnc_contract
    left_at, right_at, sums_at = _ONE.address if left is None else left.address, right.address, at(sums)
    bit = left.bit & 7 if isinstance(left, PackedOperand) else 0

    def contract(fresh: bool) -> int:
        return snnc_contract(table, left_at, bit, right_at, sums_at, fresh, room(size)) * columns

    return contract


def _nothing(extents: Shape, kept: tuple[bool, ...]) -> tuple[Operand, Operand, Shape]:
    """Operands and extents of one term, whose left factor is zero: what adds no terms is the same."""
    shape = tuple(extent if keep else 1 for extent, keep in zip(extents, kept, strict=True))
    return _NO_TERM, Operand(np.broadcast_to(_ZERO, shape), F16), shape


def _elements(left: AnyOperand | None, right: AnyOperand, acc: Format) -> tuple[int, int] | None:
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


@lru_cache(maxsize=2048)
def _layout(
    extents: Shape, kept: tuple[bool, ...], elements: tuple[int, int], shared: int, left: Lies, right: Lies,
    sums: Shape, acc: int,
) -> Layout | None:  # fmt: skip
    """None where elements do not stand on a grid of their own; left ones that share bytes have *shared* bits each."""
    rank = len(extents)
    ones = (1,) * rank
    l_shape, l_bytes = left if left[0] else (ones, ones)
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

    across = tuple(sorted(n, key=lambda axis: -abs(s_steps[axis])))  # sums stand side by side, where they can
    if alone:
        box = Box(along(l_steps, k), plan.batch, columns_of(along(l_steps, batch)), 0, l_steps, None)
        r_rows, r_columns = along(r_steps, k), along(r_steps, batch)
    else:
        box = box_of(l_shape, l_steps)
        r_rows, r_columns = along(r_steps, batch + k), along(r_steps, across)
    down = batch + tuple(sorted(m, key=lambda axis: -abs(box.steps[axis])))
    rows = along(box.steps, down) + box.start
    runs = [run_of([(extents[axis], box.steps[axis]) for axis in axes]) for axes in (k, down[len(batch) :])]
    s_run = run_of([(extents[axis], s_steps[axis]) for axis in across])
    planes = None if box.weights is None else planes_of(box.weights)
    pointed = (
        *(r_rows, columns_of(r_columns), box.rows, box.columns, planes, rows, along(box.steps, k)),
        *(along(s_steps, down), columns_of(along(s_steps, across))),
    )
    filled = -(-(plan.batch if alone else plan.n) // LANES) * LANES
    lies = [0 if array is None else at(array) for array in pointed]
    window = None
    if elements[0] == _SPIKES and plan.batch == 1 and len(down) > 1:
        size = box.rows.size * box.length
        ways = tuple(tuple((extents[axis], box.steps[axis]) for axis in axes) for axes in (down, k))
        window = window_of(ways[0], ways[1], box.start, size, filled)
    spans = None if alone else spans_of(r_shape, r_steps, _SIZES[elements[1]])
    tiles = None
    if acc != _ACCUMULATORS[F32.code] and not alone and elements[0] != _ONES and n:
        tiles = tiles_of(rows, along(box.steps, k), box.rows.size * box.length, runs[0])
    times = prod(extents[axis] for axis in batch + m + k if l_shape[axis] == 1)
    whole = plan.n == filled and columns_of(along(s_steps, down + across)) is None
    fields = [
        *(plan.batch, plan.m, plan.k, plan.n, filled, acc, *elements, alone, lies[0], lies[1]),
        *(lies[2], box.rows.size, box.length, lies[3], shared == 1, shared if shared > 1 else 0),
        *(lies[4], 0 if planes is None else len(planes)),
        *(lies[5], lies[6], *runs, times, lies[7], lies[8], s_run, whole),
        *((0,) * 3 if window is None else (window.shifts.size, window.channels, int(window.shifts.max()))),
        *((0, 0) if window is None else (at(window.shifts), at(window.terms))),
        *((0,) * 8 if tiles is None else _told(tiles)),
        next(_serials),
        *((0, 0, 0) if spans is None else (at(spans.starts), spans.starts.size, spans.length)),
    ]
    arrays = (
        *pointed,
        *(() if window is None else (window.shifts, window.terms)),
        *(() if spans is None else spans[:1]),
        *(() if tiles is None else tiles[:3]),
    )
    table = Call.of(np.array(fields, np.int64).tobytes(), *(array for array in arrays if array is not None))
    loaded = library()
    assert loaded is not None
    return Layout(table, loaded.snnc_contract_room(table), plan.n)


def _told(tiles: Tiles) -> tuple[int, ...]:
    least, most = int(tiles.places.min()), int(tiles.places.max())
    arrays = at(tiles.slots), at(tiles.rows), at(tiles.places)
    return tiles.places.size, *arrays, least, most + TERMS, tiles.turned, tiles.pitch


def _steps(shape: Shape, strides: Shape, size: int) -> Shape | None:
    """Strides in elements, 0 along axes of size 1; None where one of them is none."""
    if any(extent > 1 and stride % size for extent, stride in zip(shape, strides, strict=True)):
        return None
    return tuple(stride // size if extent > 1 else 0 for extent, stride in zip(shape, strides, strict=True))
