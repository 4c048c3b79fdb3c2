"""``target = round(scale * sum of left * right + bias)`` on whole tensors.

Exact sums are products of float64 matrices of integers.  Such a product is exact in any order, fused or not, when the
sum of the absolute terms is at most 2^53 units, because then every partial sum is an integer that float64 holds; else
the integers are cut into limbs for which it holds.  These are not the kernels that the oracle checks.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from ...numerics.exact import X128_UNIT_BITS, finish, raise_flags, x128_from_parts
from ...numerics.formats import F16, F32, X128, Format, encode
from ..ir.statement import Access, Contraction, Index
from .layout import Array, Loops, Types, seen
from .numbers import Numerics, blocks

Doubles = NDArray[np.float64]
Parts = list[tuple[NDArray[np.int64], int]]

BLOCK = 64
_HELD = 2**53
_MOST = 1 << 24  # elements of one gathered matrix


@dataclass(frozen=True)
class Groups:
    """Loops by what follows them: *both* operands and the target, *left* or *right* alone and the target, none."""

    both: tuple[int, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    summed: tuple[int, ...]
    extents: tuple[int, ...]

    @staticmethod
    def of(statement: Contraction) -> Groups:
        """The groups of a contraction's loops, by their positions."""
        left = frozenset[str]() if statement.left is None else statement.left.loops
        right = statement.right.loops
        kept = [k for k, (name, _) in enumerate(statement.loops) if name not in statement.summed]
        name = [name for name, _ in statement.loops]
        both = tuple(k for k in kept if name[k] in left and name[k] in right)
        only = tuple(k for k in kept if name[k] in left and name[k] not in right)
        rest = tuple(k for k in kept if name[k] not in left)
        summed = tuple(k for k in range(len(name)) if k not in kept)
        return Groups(both, only, rest, summed, tuple(extent for _, extent in statement.loops))

    def count(self, group: tuple[int, ...]) -> int:
        """How many turns the loops of a group make together."""
        return prod(self.extents[k] for k in group)

    def matrix(self, view: Array, rows: tuple[int, ...], columns: tuple[int, ...]) -> Doubles:
        """*view* as a stack of matrices in float64: [both, rows, columns]."""
        order = self.both + rows + columns
        others = tuple(k for k in range(len(self.extents)) if k not in order)
        shape = tuple(self.extents[k] for k in order)
        ordered = np.broadcast_to(view.transpose(order + others).reshape(*(view.shape[k] for k in order)), shape)
        return ordered.astype(np.float64).reshape(self.count(self.both), self.count(rows), self.count(columns))

    def back(self, result: Array) -> Array:
        """[both, left, right, ...] with one axis a kept loop, in the order of the loops."""
        kept = self.both + self.left + self.right
        tail = result.shape[3:]
        inverse = tuple(kept.index(k) for k in sorted(kept))
        full = result.reshape(tuple(self.extents[k] for k in kept) + tail)
        return full.transpose(inverse + tuple(range(len(kept), len(kept) + len(tail))))


def kept_loops(statement: Contraction) -> Loops:
    """The loops that index the target."""
    return tuple((name, extent) for name, extent in statement.loops if name not in statement.summed)


def pieces(statement: Contraction) -> Iterator[Contraction]:
    """The same work cut along its outermost kept loops, so that no gathered operand grows out of bounds."""
    groups = Groups.of(statement)
    left = groups.count(groups.both + groups.left + groups.summed)
    right = groups.count(groups.both + groups.summed + groups.right)
    result = groups.count(groups.both + groups.left + groups.right)
    sized = [(left, groups.both + groups.left), (right, groups.both + groups.right), (result, groups.left)]
    for size, loops in sorted(sized, reverse=True):
        cut = [k for k in sorted(loops) if groups.extents[k] > 1]
        if size > _MOST and cut:
            for half in _halves(statement, cut[0]):
                yield from pieces(half)
            return
    yield statement


def contract(statement: Contraction, values: dict[str, Array], types: Types, numerics: Numerics) -> Array:
    """What the target gets, one axis a kept loop, on the grid of the target's format."""
    out = types[statement.target.value].kind
    scale = numerics.factor(statement.scale)
    kept = kept_loops(statement)
    shape = tuple(extent for _, extent in kept)
    bias: Array | None = None
    if statement.bias is not None:
        bias = np.broadcast_to(seen(values[statement.bias.value], statement.bias, kept), shape).astype(np.float64)
    if numerics.mathematical:
        total = _mathematical(statement, values) * scale + (0.0 if bias is None else bias)
        return numerics.edge(total, out.name)
    if numerics.accumulators == "exact":
        acc, fmt = _exact(statement, values, types), X128
    else:
        fmt = F32 if numerics.accumulators == "f32" else F16
        acc = encode(_ordered(statement, values, fmt), fmt)
    return numerics.held(finish(acc, fmt, scale, bias, out), out)


def _matrices(statement: Contraction, values: dict[str, Array]) -> tuple[Groups, Doubles, Doubles]:
    """(groups, left [both, m, k], right [both, k, n])."""
    groups = Groups.of(statement)
    one = np.ones((1,) * len(statement.loops), np.float32)
    left = one if statement.left is None else seen(values[statement.left.value], statement.left, statement.loops)
    right = seen(values[statement.right.value], statement.right, statement.loops)
    l_matrix = groups.matrix(left, groups.left, groups.summed)
    return groups, l_matrix, groups.matrix(right, groups.summed, groups.right)


def _mathematical(statement: Contraction, values: dict[str, Array]) -> Doubles:
    """The sum in plain float64."""
    total: Doubles | None = None
    for part in _summed_pieces(statement):
        groups, left, right = _matrices(part, values)
        special = _special(left, right)
        if special is not None:
            left, right = _finite(left), _finite(right)
        sums = left @ right if special is None else left @ right + special
        total = groups.back(sums) if total is None else total + groups.back(sums)
    assert total is not None
    return total


def _exact(statement: Contraction, values: dict[str, Array], types: Types) -> Array:
    """The sum without any rounding, as x128 accumulators of one axis a kept loop."""
    l_unit = 0 if statement.left is None else _unit_bits(types[statement.left.value].kind)
    r_unit = _unit_bits(types[statement.right.value].kind)
    total: Array | None = None
    flags: Doubles | None = None
    for part in _summed_pieces(statement):
        groups, left, right = _matrices(part, values)
        special = _special(left, right)
        if special is not None:
            left, right = _finite(left), _finite(right)
            flags = groups.back(special) if flags is None else flags + groups.back(special)
        sums = _integer_products(_integers(left, l_unit), _integers(right, r_unit))
        acc = x128_from_parts([(groups.back(units), shift + X128_UNIT_BITS - l_unit - r_unit) for units, shift in sums])
        total = acc if total is None else _added(total, acc)
    assert total is not None
    return total if flags is None else raise_flags(total, X128, flags)


def _ordered(statement: Contraction, values: dict[str, Array], fmt: Format) -> NDArray[np.float32]:
    """acc = round(acc + product), turn by turn of the summed loops in canonical order."""
    names = [name for name, _ in statement.loops]
    kept = [k for k, name in enumerate(names) if name not in statement.summed]
    right = seen(values[statement.right.value], statement.right, statement.loops).astype(np.float32)
    left = np.ones((1,) * len(names), np.float32)
    if statement.left is not None:
        left = seen(values[statement.left.value], statement.left, statement.loops).astype(np.float32)
    acc = np.zeros(tuple(statement.loops[k][1] for k in kept), np.float32)
    with np.errstate(all="ignore"):
        for turn in _turns(statement):
            l_now, r_now = _now(left, names, turn), _now(right, names, turn)
            term = l_now * r_now
            if fmt == F16:
                total = (acc.astype(np.float64) + term).astype(np.float16).astype(np.float32)
            else:
                total = acc + term
            acc = np.where(l_now != 0, total, acc)
    return acc


def _now(view: Array, names: list[str], turn: dict[str, int]) -> Array:
    """The view in one turn of the summed loops."""
    at = ((turn[name] if view.shape[k] > 1 else 0) if name in turn else slice(None) for k, name in enumerate(names))
    return view[tuple(at)]


def _turns(statement: Contraction) -> Iterator[dict[str, int]]:
    """Every turn of the summed loops: outermost first, the blocked loop in blocks around all of them."""
    extents = statement.extents
    plain = [name for name in statement.summed if name != statement.blocked]
    around = [range(0)] if statement.blocked is None else list(blocks(extents[statement.blocked], BLOCK))
    for block in around:
        for turn in product(*(range(extents[name]) for name in plain)):
            known = dict(zip(plain, turn, strict=True))
            if statement.blocked is None:
                yield known
                continue
            for inner in block:
                yield known | {statement.blocked: inner}


def _integer_products(left: NDArray[np.int64], right: NDArray[np.int64]) -> Parts:
    """left @ right as [(integers, shift)], to be summed as integers * 2^shift: exact."""
    terms = left.shape[2]
    (left, l_zeros), (right, r_zeros) = _without_zeros(left), _without_zeros(right)
    shift = l_zeros + r_zeros
    most = terms * _magnitude(left) * _magnitude(right)
    if most > _HELD:
        # Rounding of the absolute sum itself is below one part in 2^20 for fewer than 2^32 terms.
        absolute = np.abs(left).astype(np.float64) @ np.abs(right).astype(np.float64)
        most = float(absolute.max(initial=0.0)) * (1 + 2.0**-20)
    if most <= _HELD:
        return [((left.astype(np.float64) @ right.astype(np.float64)).astype(np.int64), shift)]
    width = (53 - (terms - 1).bit_length()) // 2
    assert width >= 1, f"a sum of {terms} terms"
    return [
        ((l_limb.astype(np.float64) @ r_limb.astype(np.float64)).astype(np.int64), shift + l_shift + r_shift)
        for l_limb, l_shift in _limbs(left, width)
        for r_limb, r_shift in _limbs(right, width)
    ]


def _limbs(integers: NDArray[np.int64], width: int) -> Parts:
    """[(limb, shift)]: limbs of *width* bits from the low end, the highest signed and no longer than that."""
    bits = _magnitude(integers).bit_length()
    limbs: Parts = []
    for shift in range(0, max(bits, 1), width):
        rest = integers >> shift
        limbs.append((rest if shift + width >= bits else rest & ((1 << width) - 1), shift))
    return limbs


def _special(left: Doubles, right: Doubles) -> Doubles | None:
    """inf, -inf, NaN or 0 for each sum, by the terms that are not finite; None where all are.

    Only the places along the sum that hold an inf or a NaN are looked at, one after the other.
    """
    l_odd, r_odd = ~np.isfinite(left), ~np.isfinite(right)
    if not (l_odd.any() or r_odd.any()):
        return None
    total = np.zeros((left.shape[0], left.shape[1], right.shape[2]))
    with np.errstate(invalid="ignore", over="ignore"):
        for k in np.flatnonzero(l_odd.any(axis=(0, 1)) | r_odd.any(axis=(0, 2))):
            gate, value = left[:, :, k, None], right[:, None, k, :]
            term = np.where(gate != 0, gate * value, 0.0)
            total = total + np.where(np.isfinite(term), 0.0, term)
    return total


def _finite(matrix: Doubles) -> Doubles:
    """The matrix with 0 for inf and NaN."""
    return np.where(np.isfinite(matrix), matrix, 0.0)


def _unit_bits(fmt: Format) -> int:
    """Values of the format are integers times 2^-bits; ValueError where an exact accumulator does not take it."""
    if fmt == F16:
        return 24
    if fmt.whole and fmt.bits <= 16:
        return 0
    raise ValueError(f"exact accumulators take f16 and integers, not {fmt.name}; use f32 accumulators")


def _integers(values: Doubles, unit_bits: int) -> NDArray[np.int64]:
    """Values as integers of 2^-unit_bits."""
    scaled = values * 2.0**unit_bits
    units = scaled.astype(np.int64)
    assert np.array_equal(units, scaled), "a value is off its grid"
    return units


def _without_zeros(integers: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """(integers / 2^zeros, zeros): the low bits that none of them uses."""
    used = int(np.bitwise_or.reduce(integers, axis=None)) if integers.size else 0
    zeros = (used & -used).bit_length() - 1 if used else 0
    return integers >> zeros, zeros


def _magnitude(integers: NDArray[np.int64]) -> int:
    """The largest magnitude."""
    return max(int(integers.max()), -int(integers.min())) if integers.size else 0


def _added(left: Array, right: Array) -> Array:
    """The sum of two x128 accumulators that carry no flags."""
    low = left[..., 0] + right[..., 0]
    return np.stack([low, left[..., 1] + right[..., 1] + (low < left[..., 0])], axis=-1)


def _summed_pieces(statement: Contraction) -> Iterator[Contraction]:
    """The same sum in parts, cut along its outermost summed loop while an operand is large."""
    groups = Groups.of(statement)
    cut = [k for k in groups.summed if groups.extents[k] > 1]
    largest = groups.count(groups.both + groups.summed) * max(groups.count(groups.left), groups.count(groups.right))
    if largest > _MOST and cut:
        for half in _halves(statement, cut[0]):
            yield from _summed_pieces(half)
    else:
        yield statement


def _halves(statement: Contraction, loop: int) -> Iterator[Contraction]:
    """The statement over the first and over the second half of a loop."""
    name, extent = statement.loops[loop]
    for start, stop in ((0, extent // 2), (extent // 2, extent)):
        loops = tuple((n, stop - start if k == loop else e) for k, (n, e) in enumerate(statement.loops))
        yield replace(
            statement,
            loops=loops,
            target=_moved(statement.target, name, start),
            left=None if statement.left is None else _moved(statement.left, name, start),
            right=_moved(statement.right, name, start),
            bias=None if statement.bias is None else _moved(statement.bias, name, start),
        )


def _moved(access: Access, name: str, start: int) -> Access:
    """The access with a loop that begins at *start*."""
    moved = tuple(Index(index.terms, index.offset + index.coefficient(name) * start) for index in access.index)
    return Access(access.value, moved)
