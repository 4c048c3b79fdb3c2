"""Contractions by compiled kernels, which the elements of the left operand drive: only those that are not zero cost.

Sums of f32 are formed in the order of the loops.  Exact ones are formed in float64, which holds them where they stay
below 2^53 units of 2^-24: of spikes, since of counts few are zero, and BLAS is quicker.  Each function answers None
where its kernel does not serve, and the NumPy form in `contract` has to; which of them did it, no bit tells.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...numerics.exact import X64_UNIT_BITS
from ...numerics.formats import BF16, F16, F32, SPIKE, decode, encode
from .compiled import LANES, View, events, ordered, view_of
from .nest import Array, Operand, Plan, Shape, matrix_of, plan_of

Floats = NDArray[np.float32]

_FLOATS = (F16, BF16, F32)
_EXACT_BITS = 53  # integers that float64 holds
_MINUS_ZERO = np.uint32(1 << 31)
_ONE = np.ones((), np.uint8)


def ordered_sums(
    acc: Array | None, left: Operand | None, right: Operand, extents: Shape, kept: tuple[bool, ...]
) -> tuple[Array, int] | None:
    """What `contract.contract_ordered` does in f32."""
    if not (_of_bytes(left) or (left is not None and left.format in _FLOATS)) or right.format.bits > 32:
        return None
    if right.format.name == "u32":
        return None
    plan = plan_of(extents, kept, _shape(left, extents), right.storage.shape)
    rows = _rows(left, plan)
    sums = _room(plan, np.float32)
    if acc is not None:
        sums[..., : plan.n] = acc.transpose(_order(plan, rows)).reshape(plan.batch, plan.m, plan.n)
    factors = _filled(matrix_of(decode(right.storage, right.format), *_right(plan)), np.float32)
    view = _view(left, plan, rows, extents)
    if left is None or left.format not in _FLOATS:
        done = events(sums, view, factors)
    else:
        harmless = bool(np.isfinite(factors).all()) and not (acc is not None and _has_minus_zero(sums))
        both_half = left.format == F16 and right.format == F16
        done = ordered("f16_f16" if both_half else left.format.name, sums, view, factors, harmless)
    return encode(_as_loops(sums, plan, rows, extents), F32), done * plan.n


def exact_sums(
    left: Operand | None, right: Operand, extents: Shape, kept: tuple[bool, ...]
) -> tuple[Array, int] | None:
    """What `contract.contract_exact` does in x64."""
    if left is not None and left.format != SPIKE:
        return None
    values = decode(right.storage, right.format)
    plan = plan_of(extents, kept, _shape(left, extents), right.storage.shape)
    most = max(float(values.max()), -float(values.min()))
    if not most * plan.k * 2.0**X64_UNIT_BITS <= 2.0**_EXACT_BITS:
        return None
    rows, sums = _rows(left, plan), _room(plan, np.float64)
    done = events(sums, _view(left, plan, rows, extents), _filled(matrix_of(values, *_right(plan)), np.float64))
    units = (_as_loops(sums, plan, rows, extents) * 2.0**X64_UNIT_BITS).astype(np.int64)
    return units, done * plan.n


def _of_bytes(left: Operand | None) -> bool:
    """Whether it is a number in each byte; None means ones."""
    return left is None or (left.format.kind in ("bit", "unsigned") and left.format.bits <= 8)


def _shape(left: Operand | None, extents: Shape) -> Shape:
    return (1,) * len(extents) if left is None else left.storage.shape


def _rows(left: Operand | None, plan: Plan) -> Shape:
    """The loops of m, in an order in which rows of the left operand stand side by side, if they do along any."""
    _, m, _, _ = plan.groups
    return m if left is None else tuple(sorted(m, key=lambda axis: -abs(left.storage.strides[axis])))


def _order(plan: Plan, rows: Shape) -> Shape:
    """All loops: those of sums as these lie, and the summed ones behind."""
    batch, _, k, n = plan.groups
    return (*batch, *rows, *n, *k)


def _view(left: Operand | None, plan: Plan, rows: Shape, extents: Shape) -> View:
    storage = np.ndarray((1,) * len(extents), np.uint8, _ONE.data) if left is None else left.storage
    batch, _, k, _ = plan.groups
    return view_of(storage, batch, rows, k, extents)


def _right(plan: Plan) -> tuple[Shape, Shape, Shape]:
    return plan.right_full, plan.right_order, (plan.batch, plan.k, plan.n)


def _room(plan: Plan, word: Any) -> Array:
    """Zeros for all sums, columns filled up."""
    return np.zeros((plan.batch, plan.m, -(-plan.n // LANES) * LANES), word)


def _filled(matrix: Array, word: Any) -> Array:
    """A stack of matrices of *word*, columns filled up with zeros."""
    columns = -(-matrix.shape[2] // LANES) * LANES
    if columns == matrix.shape[2]:
        return matrix.astype(word, copy=False)
    filled = np.zeros((*matrix.shape[:2], columns), word)
    filled[..., : matrix.shape[2]] = matrix
    return filled


def _as_loops(sums: Array, plan: Plan, rows: Shape, extents: Shape) -> Array:
    """Sums with an axis a loop again, of size 1 where it is summed."""
    order, summed = _order(plan, rows), plan.groups[2]
    shaped = sums[..., : plan.n].reshape([1 if axis in summed else extents[axis] for axis in order])
    return shaped.transpose(np.argsort(order))


def _has_minus_zero(sums: Floats) -> bool:
    return bool((sums.view(np.uint32) == _MINUS_ZERO).any())
