"""Operations of PyTorch that move elements to other places, or make them out of nothing, as operators of ONNX."""

from __future__ import annotations

from math import prod

import numpy as np

from .model import Operation, Unwritable, Write, Written


def _as_it_is(at: Operation) -> Written:
    return at.tensor(0)


def _cast(at: Operation) -> Written:
    return at.tensor(0, at.kind)


def _reshaped(at: Operation) -> Written:
    return at.writer.reshape(at.tensor(0), at.shape)


def _permuted(at: Operation) -> Written:
    x = at.tensor(0)
    rank = len(x.shape)
    if at.name == "permute":
        return at.writer.transpose(x, [axis % rank for axis in at.argument(1, "dims")])
    order = list(range(rank))
    one, other = (0, rank - 1) if at.name == "t" else (at.axis(1, "dim0"), at.axis(2, "dim1"))
    order[one], order[other] = order[other], order[one]
    return at.writer.transpose(x, order)


def _expanded(at: Operation) -> Written:
    x = at.tensor(0)
    if x.shape == at.shape:
        return x
    return at.writer.node("Expand", [x, at.writer.constant(np.array(at.shape, np.int64))], at.shape, x.kind)


def _repeated(at: Operation) -> Written:
    """Every axis so often behind itself; new axes stand in front."""
    x, times = at.tensor(0), [int(count) for count in at.argument(1, "repeats")]
    lead = len(times) - len(x.shape)
    shape = (*[1] * lead, *x.shape)
    x = at.writer.reshape(x, shape)
    single = all(count == 1 or extent == 1 for count, extent in zip(times, shape, strict=True))
    target = at.writer.constant(np.array(at.shape if single else times, np.int64))
    return at.writer.node("Expand" if single else "Tile", [x, target], at.shape, x.kind)


def _row(at: Operation, x: Written, axis: int, number: int) -> Written:
    """Row *number* along *axis*, which is then gone."""
    moved = at.writer.first(x, axis)
    chosen = at.writer.constant(number % x.shape[axis])
    return at.writer.node("Gather", [moved, chosen], moved.shape[1:], x.kind, axis=0)


def _select(at: Operation) -> Written:
    return _row(at, at.tensor(0), at.axis(1), int(at.argument(2)))


def _unbind(at: Operation) -> tuple[Written, ...]:
    x, axis = at.tensor(0), at.axis(1)
    return tuple(_row(at, x, axis, number) for number in range(x.shape[axis]))


def _part(at: Operation, x: Written, axis: int, start: int, end: int, step: int = 1) -> Written:
    """Rows from *start* to before *end* along *axis*."""
    start, end, step = slice(start, end, step).indices(x.shape[axis])
    if (start, end, step) == (0, x.shape[axis], 1):
        return x
    moved = at.writer.first(x, axis)
    bounds = [at.writer.constant(np.array([bound], np.int64)) for bound in (start, end, 0, step)]
    count = len(range(start, end, step))
    cut = at.writer.node("Slice", [moved, *bounds], (count, *moved.shape[1:]), x.kind)
    return at.writer.back(cut, axis)


def _slice(at: Operation) -> Written:
    start, end = at.argument(2, "start"), at.argument(3, "end")
    x, axis = at.tensor(0), at.axis(1)
    whole = x.shape[axis]
    return _part(at, x, axis, start or 0, whole if end is None else end, at.argument(4, "step", 1))


def _split(at: Operation) -> tuple[Written, ...]:
    x, axis, sizes = at.tensor(0), at.axis(2), at.argument(1)
    if isinstance(sizes, int):
        whole = x.shape[axis]
        sizes = [min(sizes, whole - start) for start in range(0, whole, sizes)]
    ends = np.cumsum(sizes)
    return tuple(_part(at, x, axis, int(end - size), int(end)) for end, size in zip(ends, sizes, strict=True))


def _stacked(at: Operation) -> Written:
    parts = [at.value(part, at.kind) for part in at.args[0]]
    where = at.writer.constant(np.array([0], np.int64))
    rows = [at.writer.node("Unsqueeze", [part, where], (1, *part.shape), at.kind) for part in parts]
    stack = at.writer.node("Concat", rows, (len(rows), *parts[0].shape), at.kind, axis=0)
    return at.writer.back(stack, int(at.argument(1, "dim", 0)))


def _joined(at: Operation) -> Written:
    parts = [at.value(part, at.kind) for part in at.args[0] if prod(part.shape)]
    return at.writer.node("Concat", parts, at.shape, at.kind, axis=int(at.argument(1, "dim", 0)) % len(at.shape))


def _row_replaced(at: Operation) -> Written:
    """The first operand, row ``index`` along ``dim`` replaced by the second."""
    x, row, axis = at.tensor(0), at.tensor(1, at.kind), at.axis(2)
    number = int(at.argument(3)) % x.shape[axis]
    moved = at.writer.first(x, axis)
    index = at.writer.constant(np.array([[number]], np.int64))
    updates = at.writer.reshape(row, (1, *row.shape))
    return at.writer.back(at.writer.node("ScatterND", [moved, index, updates], moved.shape, at.kind), axis)


def _part_replaced(at: Operation) -> Written:
    """The first operand, a slice of it replaced by the second."""
    x, part, axis = at.tensor(0), at.tensor(1, at.kind), at.axis(2)
    start, end = at.argument(3, "start") or 0, at.argument(4, "end")
    rows = range(*slice(start, end, at.argument(5, "step", 1)).indices(x.shape[axis]))
    if len(rows) == x.shape[axis]:
        return part
    moved = at.writer.first(x, axis)
    index = at.writer.constant(np.array([[row] for row in rows], np.int64))
    updates = at.writer.first(part, axis)
    return at.writer.back(at.writer.node("ScatterND", [moved, index, updates], moved.shape, at.kind), axis)


def _copied(at: Operation) -> Written:
    """The second operand in the shape and the element type of the first."""
    made = at.tensor(1, at.kind)
    if made.shape == at.shape:
        return made
    return at.writer.node("Expand", [made, at.writer.constant(np.array(at.shape, np.int64))], at.shape, at.kind)


def _filled(value: float | None) -> Write:
    """A constant tensor; its number is the second argument where *value* is not said."""

    def write(at: Operation) -> Written:
        number = at.argument(1, "fill_value") if value is None else value
        if at.name == "new_full":
            number = at.argument(2, "fill_value")
        if isinstance(number, Written):
            raise Unwritable("is filled with what is no number")
        return at.writer.constant(np.full(at.shape, number), at.kind)

    return write


def _single(at: Operation) -> Written:
    return at.writer.constant(at.args[0], at.kind)


PLACES: dict[str, Write] = {
    **dict.fromkeys("alias clone contiguous detach lift lift_fresh positive".split(), _as_it_is),
    "to": _cast,  # _to_copy, with what stands around it taken away
    **dict.fromkeys("flatten reshape squeeze unsafe_view unsqueeze view".split(), _reshaped),
    **dict.fromkeys("permute t transpose".split(), _permuted),
    "expand": _expanded,
    "repeat": _repeated,
    "select": _select,
    "unbind": _unbind,
    "slice": _slice,
    "split": _split,
    "split_with_sizes": _split,
    "stack": _stacked,
    "cat": _joined,
    "select_scatter": _row_replaced,
    "slice_scatter": _part_replaced,
    "copy": _copied,
    **{name: _filled(0.0) for name in "zeros zeros_like new_zeros empty empty_like new_empty".split()},
    **{name: _filled(1.0) for name in "ones ones_like new_ones".split()},
    **{name: _filled(None) for name in "full full_like new_full fill".split()},
    "scalar_tensor": _single,
}
