"""Operators that move rows about and leave no trace: they take sequences apart and put them together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from ...source import Place
from ._onnx_file import array_of
from ._onnx_limits import Unreadable, bounded, checked
from ._onnx_reference import Entry, axes_of, constant, integer, scalar
from ._onnx_terms import Term, Terms
from .frontend import Array


@dataclass(frozen=True)
class Move:
    """A node with what it reads."""

    terms: Terms
    node: onnx.NodeProto
    entries: list[Entry]
    attributes: Mapping[str, Any]
    place: Place
    fold: Callable[[Sequence[Array | None]], list[Term]]
    """The results of the node on constants."""

    def tensor(self, number: int) -> Term:
        """Operand *number*, a tensor; `Unreadable` where it is a sequence."""
        entry = self.entries[number]
        if not isinstance(entry, Term):
            raise Unreadable("reads a sequence where a tensor belongs")
        return entry

    def sequence(self) -> list[Term]:
        """The first operand, a sequence; `Unreadable` where it is a tensor."""
        entry = self.entries[0]
        if not isinstance(entry, list):
            raise Unreadable("reads a tensor where a sequence belongs")
        return entry

    def values(self) -> list[Array | None]:
        """The operands, which are all constants or not given."""
        return [entry.value if isinstance(entry, Term) else None for entry in self.entries]


def _constants(move: Move) -> Sequence[Entry]:
    if "value" in move.attributes:
        value = array_of(move.attributes["value"].t, move.place)
        return [move.terms.constant(value, move.node.output[0])]
    return move.fold([])


def _reshape(move: Move) -> Sequence[Entry]:
    data, wanted = move.tensor(0), _numbers(move.entries[1])
    if not integer(move.attributes, "allowzero", 0):
        if 0 in wanted[len(data.shape) :]:
            raise Unreadable(f"keeps axis {len(data.shape)} of {list(data.shape)}, and there is none")
        wanted = [data.shape[k] if extent == 0 else extent for k, extent in enumerate(wanted)]
    total = math.prod(data.shape)
    if -1 in wanted:
        known = math.prod(extent for extent in wanted if extent != -1)
        wanted[wanted.index(-1)] = total // max(known, 1)
    if math.prod(wanted) != total or min(wanted, default=1) < 0:
        raise Unreadable(f"cannot make {wanted} of {list(data.shape)}")
    return [move.terms.reshape(data, tuple(wanted), move.node.name or move.node.output[0])]


def _unsqueeze(move: Move) -> Sequence[Entry]:
    data, axes = move.tensor(0), axes_of(move.entries, move.attributes)
    rank = len(data.shape) + len(axes)
    axes = [axis % rank for axis in axes]
    if axes == [0]:
        return [move.terms.stack([data], move.node.name)]
    shape = iter(data.shape)
    return [move.terms.reshape(data, tuple(1 if k in axes else next(shape) for k in range(rank)), move.node.name)]


def _squeeze(move: Move) -> Sequence[Entry]:
    data = move.tensor(0)
    axes = axes_of(move.entries, move.attributes) or [k for k, extent in enumerate(data.shape) if extent == 1]
    axes = [axis % len(data.shape) for axis in axes]
    if axes == [0]:
        return [move.terms.row(data, 0)]
    return [move.terms.reshape(data, tuple(e for k, e in enumerate(data.shape) if k not in axes), move.node.name)]


def _along(axis: int, data: Term, what: str) -> Unreadable:
    """The error of a node that does *what* along an *axis* other than the first: time, where *data* is the input."""
    source = data
    while source.op in ("Reshape", "Transpose"):
        source = source.args[0]
    if source.op != "input" or axis != 1 or len(data.shape) < 3:
        return Unreadable(f"{what} along axis {axis}; only the first can be taken apart")
    told = "is taken apart along its second axis; time is its first, [T, n, ...]"
    hint = "a module that takes time first, or from_torch(..., time_axis=1)"
    return Unreadable(told, hint, source.settings["name"])


def _gather(move: Move) -> Sequence[Entry]:
    data, at = move.tensor(0), np.asarray(constant(move.entries[1]))
    axis = integer(move.attributes, "axis", 0) % len(data.shape)
    if data.value is not None:
        return [move.terms.constant(np.take(data.value, at, axis), move.node.name)]
    if axis != 0:
        raise _along(axis, data, "takes elements")
    if at.ndim == 0:
        (number,) = checked([int(at)], data.shape[0])
        return [move.terms.row(data, number)]
    return [move.terms.rows(data, at.reshape(-1).tolist(), move.node.name)]


def _slice(move: Move) -> Sequence[Entry]:
    data = move.tensor(0)
    if len(move.entries) == 1:
        starts, ends = list(move.attributes["starts"].ints), list(move.attributes["ends"].ints)
        axes = list(move.attributes["axes"].ints) if "axes" in move.attributes else list(range(len(starts)))
        strides = [1] * len(starts)
    else:
        starts, ends = (_numbers(move.entries[k]) for k in (1, 2))
        given = [None if entry is None else _numbers(entry) for entry in (*move.entries[3:], None, None)]
        axes = given[0] or list(range(len(starts)))
        strides = given[1] or [1] * len(starts)
    cut = [slice(None)] * len(data.shape)
    for axis, start, end, stride in zip(axes, starts, ends, strides, strict=True):
        cut[axis % len(data.shape)] = slice(start, end, stride)
    if data.value is not None:
        return [move.terms.constant(data.value[tuple(cut)], move.node.name)]
    whole = [part.indices(extent) == (0, extent, 1) for part, extent in zip(cut, data.shape, strict=True)]
    if not all(whole[1:]):
        raise _along(whole.index(False, 1), data, "cuts")
    return [move.terms.rows(data, range(data.shape[0])[cut[0]], move.node.name)]


def _split(move: Move) -> Sequence[Entry]:
    data = move.tensor(0)
    axis = integer(move.attributes, "axis", 0) % len(data.shape)
    if axis != 0:
        raise _along(axis, data, "cuts")
    if len(move.entries) > 1:
        sizes = _numbers(move.entries[1])
    elif "split" in move.attributes:
        sizes = list(move.attributes["split"].ints)
    else:
        sizes = [-(-data.shape[0] // len(move.node.output))] * len(move.node.output)
    made: list[Term] = []
    begin = 0
    for size in sizes:
        made.append(move.terms.rows(data, range(begin, min(begin + size, data.shape[0])), move.node.name))
        begin += size
    return made


def _expand(move: Move) -> Sequence[Entry]:
    data, wanted = move.tensor(0), tuple(_numbers(move.entries[1]))
    shape = np.broadcast_shapes(data.shape, wanted)
    if data.value is not None:
        bounded(shape)
        return [move.terms.constant(np.broadcast_to(data.value, shape).copy(), move.node.name)]
    if shape == data.shape:
        return [data]
    if shape[1:] == data.shape[1:] and data.shape[0] == 1:
        return [move.terms.repeated([move.terms.row(data, 0)], shape[0], move.node.name)]
    if shape[1:] == data.shape:
        return [move.terms.repeated([data], shape[0], move.node.name)]
    raise Unreadable("repeats along another axis than the first")


def _tile(move: Move) -> Sequence[Entry]:
    data, repeats = move.tensor(0), _numbers(move.entries[1])
    if data.value is not None:
        bounded((data.value.size, *(max(count, 0) for count in repeats)))
        return [move.terms.constant(np.tile(data.value, repeats), move.node.name)]
    if any(count != 1 for count in repeats[1:]):
        raise Unreadable("repeats along another axis than the first")
    rows = [move.terms.row(data, number) for number in range(data.shape[0])]
    return [move.terms.repeated(rows, repeats[0], move.node.name)]


def _scatternd(move: Move) -> Sequence[Entry]:
    data, updates = move.tensor(0), move.tensor(2)
    at = np.asarray(constant(move.entries[1]))
    if at.shape[-1] != 1 or updates.shape != (*at.shape[:-1], *data.shape[1:]):
        raise Unreadable("writes parts of rows")
    at = at.reshape(-1)
    flat = move.terms.reshape(updates, (len(at), *data.shape[1:]))
    return _replaced(move, data, {int(row): move.terms.row(flat, k) for k, row in enumerate(at)})


def _scatterelements(move: Move) -> Sequence[Entry]:
    data, updates = move.tensor(0), move.tensor(2)
    at = np.asarray(constant(move.entries[1]))
    whole = at.shape[1:] == data.shape[1:] and all((row == row.flat[0]).all() for row in at)
    if integer(move.attributes, "axis", 0) % len(data.shape) or not whole:
        raise Unreadable("writes parts of rows")
    return _replaced(move, data, {int(row.flat[0]): move.terms.row(updates, k) for k, row in enumerate(at)})


def _replaced(move: Move, data: Term, rows: Mapping[int, Term]) -> list[Term]:
    """*data* with other rows."""
    count = data.shape[0]
    rows = dict(zip(checked(list(rows), count), rows.values(), strict=True))
    all_rows = [rows[k] if k in rows else move.terms.row(data, k) for k in range(count)]
    return [move.terms.stack(all_rows, move.node.name)]


def _reduced(move: Move, kind: str) -> Sequence[Entry]:
    data = move.tensor(0)
    if data.value is not None:
        return move.fold(move.values())
    rank = len(data.shape)
    axes = tuple(sorted(axis % rank for axis in (axes_of(move.entries, move.attributes) or range(rank))))
    keep = bool(integer(move.attributes, "keepdims", 1))
    origin = move.node.name or move.node.output[0]
    if data.op == "Transpose" and not keep:  # the same axes before they were moved, and what is left of the moves
        perm: tuple[int, ...] = data.settings["perm"]
        left = [axis for place, axis in enumerate(perm) if place not in axes]
        before = tuple(sorted(perm[axis] for axis in axes))
        made = move.terms.make(kind, data.args, (("axes", before), ("keepdims", False)), origin)
        order = tuple(sorted(left).index(axis) for axis in left)
        in_order = order == tuple(range(len(order)))
        return [made if in_order else move.terms.make("Transpose", (made,), (("perm", order),), origin)]
    return [move.terms.make(kind, (data,), (("axes", axes), ("keepdims", keep)), origin)]


def _reducemean(move: Move) -> Sequence[Entry]:
    return _reduced(move, "ReduceMean")


def _reducesum(move: Move) -> Sequence[Entry]:
    return _reduced(move, "ReduceSum")


def _sequenceempty(move: Move) -> Sequence[Entry]:
    return [[]]


def _sequenceconstruct(move: Move) -> Sequence[Entry]:
    return [[move.tensor(number) for number in range(len(move.entries))]]


def _sequenceinsert(move: Move) -> Sequence[Entry]:
    made = list(move.sequence())
    made.insert(len(made) if len(move.entries) < 3 else int(scalar(move.entries[2])), move.tensor(1))
    return [made]


def _sequenceat(move: Move) -> Sequence[Entry]:
    return [move.sequence()[int(scalar(move.entries[1]))]]


def _sequencelength(move: Move) -> Sequence[Entry]:
    return [move.terms.constant(np.array(len(move.sequence()), np.int64))]


def _concatfromsequence(move: Move) -> Sequence[Entry]:
    items = move.sequence()
    if integer(move.attributes, "axis", 0) != 0:
        raise Unreadable("joins along another axis than the first")
    if integer(move.attributes, "new_axis", 0):
        return [move.terms.stack(items, move.node.name)]
    rows = [move.terms.row(item, k) for item in items for k in range(item.shape[0])]
    return [move.terms.stack(rows, move.node.name)]


def _numbers(entry: Entry) -> list[int]:
    """A constant as whole numbers."""
    return [int(number) for number in np.atleast_1d(constant(entry))]


def _constant_of_shape(move: Move) -> Sequence[Entry]:
    bounded(_numbers(move.entries[0]))
    return move.fold(move.values())


MOVES: dict[str, Callable[[Move], Sequence[Entry]]] = {
    "Constant": _constants,
    "ConstantOfShape": _constant_of_shape,
    "Reshape": _reshape,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Gather": _gather,
    "Slice": _slice,
    "Split": _split,
    "Expand": _expand,
    "Tile": _tile,
    "ScatterND": _scatternd,
    "ScatterElements": _scatterelements,
    "ReduceMean": _reducemean,
    "ReduceSum": _reducesum,
    "SequenceEmpty": _sequenceempty,
    "SequenceConstruct": _sequenceconstruct,
    "SequenceInsert": _sequenceinsert,
    "SequenceAt": _sequenceat,
    "SequenceLength": _sequencelength,
    "ConcatFromSequence": _concatfromsequence,
}
