"""Contractions: acc += left * right over a nest of loops, exactly or in the order of the loops.

Operands are storage arrays with one axis a loop; an axis that an operand does not index has size 1.  *kept* says which
loops index the accumulator; the others are summed.  A zero left operand contributes nothing, also beside inf and NaN.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...numerics.exact import X64_UNIT_BITS, X128_UNIT_BITS, add_x64, add_x128, raise_flags, x128_from_parts
from ...numerics.formats import F16, F32, F64, FORMATS, U16, X64, X128, Format, decode, encode
from .compiled import library
from .driven import contraction
from .nest import AnyOperand, Shape, matrix_of, plan_of

Array = NDArray[Any]
Doubles = NDArray[np.float64]

_EXACT_BITS = 53  # integers that float64 holds
_UNIT_BITS = {form.code: 0 for form in FORMATS.values() if form.whole and form.bits <= U16.bits} | {F16.code: 24}
"""Formats that exact accumulators take: their values are multiples of ``2 ** -unit bits``."""


def contract(
    sums: Array,
    fresh: bool,
    left: AnyOperand | None,
    right: AnyOperand,
    extents: Shape,
    kept: tuple[bool, ...],
    acc_format: Format,
) -> int:
    """sums += left * right, or sums = left * right where they are *fresh*; the number of products with a left operand
    other than zero.

    *sums* is storage of *acc_format*, with an axis a loop, of size 1 where it is not *kept*.
    """
    return Contraction(sums, left, right, extents, kept, acc_format).add(fresh)


class Contraction:
    """`contract` as often as wanted, each time of what the operands hold then.

    Compiled kernels do it where they can; what they have to give, bit for bit, the two forms below say.
    """

    __slots__ = ("_compiled", "_nest", "_operands", "_sums")

    def __init__(
        self,
        sums: Array,
        left: AnyOperand | None,
        right: AnyOperand,
        extents: Shape,
        kept: tuple[bool, ...],
        acc_format: Format,
    ) -> None:
        self._sums, self._operands, self._nest = sums, (left, right), (extents, kept, acc_format)
        self._compiled = contraction(sums, left, right, extents, kept, acc_format) if library() is not None else None

    @property
    def in_place(self) -> bool:
        """Whether it is one call of a kernel that reads operands where they lie, as long as that serves."""
        return self._compiled is not None

    def add(self, fresh: bool) -> int:
        """sums += left * right, or sums = left * right; the number of products with a left operand other than zero."""
        if self._compiled is not None and (done := self._compiled(fresh)) >= 0:
            return done
        sums, acc_format = self._sums, self._nest[2]
        if acc_format in (X64, X128):
            total, done = contract_exact(*self._operands, *self._nest)
            total = total if fresh else accumulated(sums, total, acc_format)
        else:
            total, done = contract_ordered(None if fresh else sums, *self._operands, *self._nest)
        sums[...] = total
        return done


def contract_exact(
    left: AnyOperand | None, right: AnyOperand, extents: Shape, kept: tuple[bool, ...], acc_format: Format
) -> tuple[Array, int]:
    """(sum over the loops that are not *kept*, number of products with a left operand other than zero).

    The sum is storage of *acc_format* (x64: units of 2^-24, x128: 2^-48), exact for all finite operands, with sticky
    codes for inf and NaN.  *left* None means ones.  ValueError for operands that the accumulator cannot hold.
    """
    narrow = acc_format.code == X64.code
    if not narrow and acc_format.code != X128.code:
        raise ValueError(f"{acc_format.name} is no exact accumulator")
    for operand in (left, right):
        if operand is not None and operand.format.code not in _UNIT_BITS:
            raise ValueError(f"an exact accumulator takes no {operand.format.name} operands")
    left_unit = 0 if left is None else _UNIT_BITS[left.format.code]
    if narrow and left is not None and left_unit:
        raise ValueError(f"an x64 accumulator takes no {left.format.name} left operands")
    pair = () if narrow else (2,)
    shape = tuple(extent if keep else 1 for extent, keep in zip(extents, kept, strict=True))
    left_shape = (1,) * len(extents) if left is None else left.storage.shape
    plan = plan_of(extents, kept, left_shape, right.storage.shape)
    if 0 in extents:
        return np.zeros(shape + pair, acc_format.dtype), 0
    if left is None:
        l_matrix: Doubles = np.ones((plan.batch, plan.m, plan.k))
        done, l_most = prod(extents), 1.0
    else:
        small = matrix_of(_numbers(left), plan.left_full, plan.left_order, (plan.batch, plan.m, plan.k))
        l_matrix = _doubles(small)
        done = int(np.count_nonzero(small.view(np.bool_) if left.format.bits == 1 else l_matrix != 0)) * plan.n
        l_most = float(left.format.maximum) if left.format.bits < 8 else _magnitude(l_matrix)
    r_matrix = matrix_of(_numbers(right), plan.right_full, plan.right_order, (plan.batch, plan.k, plan.n))
    r_matrix = _doubles(r_matrix)
    r_most = _magnitude(r_matrix)
    special: Doubles | None = None
    if not (l_most < np.inf and r_most < np.inf):
        special = _special_sums(l_matrix, r_matrix)
        l_matrix, r_matrix = (np.where(np.isfinite(matrix), matrix, 0.0) for matrix in (l_matrix, r_matrix))
        l_most, r_most = _magnitude(l_matrix), _magnitude(r_matrix)
    parts = _products(l_matrix, l_most, left_unit, r_matrix, r_most, _UNIT_BITS[right.format.code])
    unit = X64_UNIT_BITS if narrow else X128_UNIT_BITS
    shifted = [(integers, unit - below) for integers, below in parts]
    if narrow:
        total: Array = shifted[0][0] << shifted[0][1]
        for integers, shift in shifted[1:]:
            total = total + (integers << shift)
    else:
        total = x128_from_parts(shifted)
    if special is not None:
        total = raise_flags(total, acc_format, special)
    order = (*plan.result_order, len(extents)) if pair else plan.result_order
    return total.reshape(plan.result_shape + pair).transpose(order), done


def contract_ordered(
    acc: Array | None,
    left: AnyOperand | None,
    right: AnyOperand,
    extents: Shape,
    kept: tuple[bool, ...],
    acc_format: Format,
) -> tuple[Array, int]:
    """(acc = round(acc + left * right) for one summed loop index after the other, number of products done).

    The last summed loop runs fastest.  f32: the product (exact for f16 and bf16 operands, rounded to f32 for f32 ones)
    is added in f32.  f16: that product is added exactly and the sum rounded once to f16.  f64: the product, exact for
    all operands, is added in f64.  *acc* None begins at +0.
    """
    if acc_format not in (F32, F16, F64):
        raise ValueError(f"{acc_format.name} is no rounding accumulator")
    shape = tuple(extent if keep else 1 for extent, keep in zip(extents, kept, strict=True))
    wide = np.dtype(np.float32 if acc_format == F32 else np.float64)
    factors = np.dtype(np.float64 if acc_format == F64 else np.float32)
    state = np.zeros(shape, wide) if acc is None else np.array(decode(acc, acc_format), dtype=wide)
    if 0 in extents:
        return encode(state, acc_format), 0
    summed = [axis for axis in range(len(extents)) if not kept[axis]]
    l_values = np.ones((1,) * len(extents), np.float32) if left is None else _singles(left)
    done = int(np.count_nonzero(l_values)) * (prod(extents) // l_values.size)
    l_steps, r_steps = (_steps(values, summed, extents) for values in (l_values, _singles(right)))
    target = state.reshape([extent for extent, keep in zip(extents, kept, strict=True) if keep])
    nothing = np.float32(-0.0)  # the one addend that changes no sum, not even -0
    with np.errstate(all="ignore"):
        for l_step, r_step in zip(l_steps, r_steps, strict=True):
            term = l_step.astype(factors, copy=False) * r_step
            counts = l_step != 0
            if not counts.all():
                term = np.where(counts, term, nothing)
            target = target + term
            if acc_format == F16:
                target = target.astype(np.float16).astype(np.float64)
    return encode(target.reshape(shape), acc_format), done


def accumulated(acc: NDArray[Any], values: NDArray[Any], fmt: Format) -> NDArray[Any]:
    """acc + values as accumulators or values of *fmt* add; ValueError for a format without addition."""
    if fmt == X64:
        return add_x64(acc, values)
    if fmt == X128:
        return add_x128(acc, values)
    if fmt.kind != "float":
        raise ValueError(f"{fmt.name} does not accumulate")
    with np.errstate(all="ignore"):
        return encode(decode(acc, fmt) + decode(values, fmt), fmt)


def _numbers(operand: AnyOperand) -> Array:
    """The operand's values; unsigned integers stay as they are stored."""
    signed = operand.format.kind in ("float", "sign")
    return decode(operand.storage, operand.format) if signed else operand.storage


def _doubles(matrix: Array) -> Doubles:
    """The matrix in float64; a NaN that signals only becomes a quiet one."""
    with np.errstate(invalid="ignore"):
        return matrix.astype(np.float64)


def _magnitude(matrix: Doubles) -> float:
    """Largest magnitude; NaN where there is one."""
    return max(float(matrix.max()), -float(matrix.min()))


def _product(left: Doubles, right: Doubles) -> Doubles:
    """left @ right; sums of no more than one row and column are one einsum, since BLAS is slow on many small ones."""
    if left.shape[0] > 1 and left.shape[1] == 1 and right.shape[2] == 1:
        return np.einsum("bk,bk->b", left[:, 0, :], right[:, :, 0])[:, None, None]
    return np.matmul(left, right)


def _products(
    left: Doubles, left_most: float, left_unit: int, right: Doubles, right_most: float, right_unit: int
) -> list[tuple[NDArray[np.int64], int]]:
    """left @ right as integers in units of ``2 ** -below``: [(integers, below)], exactly.

    One product of float64 matrices serves where the sum of absolute terms stays below 2^53 units, be it by the largest
    elements, by the unit that they really use, or by the absolute sum itself; else the operands are split.
    """
    count = left.shape[2]
    limit = 2.0**_EXACT_BITS
    unit = left_unit + right_unit
    most = count * left_most * right_most
    if most * 2.0**unit <= limit:
        return [((_product(left, right) * 2.0**unit).astype(np.int64), unit)]
    l_integers, r_integers = (left * 2.0**left_unit).astype(np.int64), (right * 2.0**right_unit).astype(np.int64)
    l_zeros, r_zeros = _common_zeros(l_integers), _common_zeros(r_integers)
    unit -= l_zeros + r_zeros
    most *= 2.0**unit
    enough = most <= limit
    if not enough and most <= limit * 256:
        enough = float(_product(np.abs(left), np.abs(right)).max()) * 2.0**unit <= limit / 2
    if enough:
        return [((_product(left, right) * 2.0**unit).astype(np.int64), unit)]
    l_integers, r_integers = l_integers >> l_zeros, r_integers >> r_zeros
    l_bits, r_bits = (max(int(np.abs(integers).max()).bit_length(), 1) for integers in (l_integers, r_integers))
    l_count, r_count = _cuts(l_bits, r_bits, (count - 1).bit_length())
    parts: list[tuple[NDArray[np.int64], int]] = []
    for l_piece, l_shift in _pieces(l_integers, l_bits, l_count):
        for r_piece, r_shift in _pieces(r_integers, r_bits, r_count):
            parts.append((_product(l_piece, r_piece).astype(np.int64), unit - l_shift - r_shift))
    return parts


def _common_zeros(integers: NDArray[np.int64]) -> int:
    """Zero bits at the low end of all of the integers."""
    union = int(np.bitwise_or.reduce(integers, axis=None))
    return (union & -union).bit_length() - 1 if union else 0


@lru_cache(maxsize=1024)
def _cuts(left_bits: int, right_bits: int, count_bits: int) -> tuple[int, int]:
    """(pieces of left, pieces of right): the fewest products of pieces whose sums float64 holds."""
    fitting = [
        (l_count * r_count, l_count, r_count)
        for l_count in range(1, left_bits + 1)
        for r_count in range(1, right_bits + 1)
        if -(-left_bits // l_count) - (-right_bits // r_count) + count_bits <= _EXACT_BITS
    ]
    _, l_count, r_count = min(fitting)
    return l_count, r_count


def _pieces(integers: NDArray[np.int64], bits: int, count: int) -> list[tuple[Doubles, int]]:
    """[(piece, shift)]: the integers are the sum of piece * 2^shift; only the top piece is signed."""
    width = -(-bits // count)
    pieces: list[tuple[Doubles, int]] = []
    for number in range(count):
        piece = integers >> (number * width)
        if number < count - 1:
            piece = piece & ((1 << width) - 1)
        pieces.append((piece.astype(np.float64), number * width))
    return pieces


def _special_sums(left: Doubles, right: Doubles) -> Doubles:
    """inf, -inf or NaN where the terms that are not finite make the sum that, else 0."""

    def met(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> NDArray[np.bool_]:
        return _product(first.astype(np.float64), second.astype(np.float64)) > 0

    l_up, l_down, r_up, r_down = left == np.inf, left == -np.inf, right == np.inf, right == -np.inf
    l_positive, l_negative, r_positive, r_negative = left > 0, left < 0, right > 0, right < 0
    rises = met(l_up, r_positive) | met(l_down, r_negative) | met(l_positive, r_up) | met(l_negative, r_down)
    falls = met(l_up, r_negative) | met(l_down, r_positive) | met(l_positive, r_down) | met(l_negative, r_up)
    undefined = met(np.isnan(left), np.ones(right.shape, np.bool_)) | met(left != 0, np.isnan(right))
    undefined |= met(l_up | l_down, right == 0) | (rises & falls)
    return np.where(undefined, np.nan, np.where(rises, np.inf, np.where(falls, -np.inf, 0.0)))


def _singles(operand: AnyOperand) -> NDArray[np.float32]:
    """The operand's values; ValueError where f32 does not hold them."""
    if operand.format.bits > 32 or operand.format.name == "u32":
        raise ValueError(f"engines take no {operand.format.name} operands")
    return decode(operand.storage, operand.format)


def _steps(values: NDArray[np.float32], summed: list[int], extents: Shape) -> NDArray[np.float32]:
    """[step, kept loops]: the operand at each index of the summed loops, the last one fastest."""
    kept = [axis for axis in range(len(extents)) if axis not in summed]
    full = [extents[axis] if axis in summed else values.shape[axis] for axis in range(len(extents))]
    ordered = np.broadcast_to(values, full).transpose(*summed, *kept)
    return ordered.reshape(prod(extents[axis] for axis in summed), *(values.shape[axis] for axis in kept))
