"""Turns that an engine leaves out: which they are, what is counted of them, and that no bit depends on it."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import prod
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from snnc.isa.array import OUTPUT_STATIONARY, WEIGHT_STATIONARY, Contraction, accesses, layout
from snnc.isa.array import Operand as Seen
from snnc.isa.kernels.contract import accumulated, contract_exact, contract_ordered
from snnc.isa.kernels.nest import Operand
from snnc.isa.skipping import LEFT, RIGHT, Taken, right_gates, taken, taken_of, there
from snnc.isa.target import load_target
from snnc.numerics.formats import BF16, F16, F32, F64, SPIKE, TERNARY, U4, U8, X64, X128, Format, encode

Array = NDArray[Any]
ENGINE = replace(load_target("quad").engines["wg"], rows=2, columns=3, lookahead=4)

LOOPS = ("p", "o", "r", "c")
EXTENTS = (3, 5, 2, 5)


def tile(acc: str, left: str, right: str, inner: int, fresh: bool, passes: int = 1) -> Contraction:
    """A tile whose operands follow the loops that their letters name, the last one the fastest."""

    def strides(follows: str) -> tuple[int, ...]:
        return tuple(10 ** (3 - place) if name in follows else 0 for place, name in enumerate(LOOPS))

    return Contraction(
        EXTENTS,
        Seen(strides(acc), 64),
        Seen(strides(left), 1) if left else None,
        Seen(strides(right), 16),
        inner,
        passes,
        fresh,
    )


def shape(follows: str) -> tuple[int, ...]:
    return tuple(n if name in follows else 1 for name, n in zip(LOOPS, EXTENTS, strict=True))


CASES = [
    pytest.param("po", "prc", "orc", WEIGHT_STATIONARY, id="forward"),
    pytest.param("oc", "prc", "pro", OUTPUT_STATIONARY, id="weight gradient"),
    pytest.param("po", "prc", "orc", OUTPUT_STATIONARY, id="pixels along the rows"),
    pytest.param("o", "", "prco", OUTPUT_STATIONARY, id="sums of errors"),
    pytest.param("po", "porc", "orc", WEIGHT_STATIONARY, id="no loop for the columns"),
]


def turns_of(seen: Contraction) -> list[tuple[slice, ...]]:
    """The turns of the array in the order of the loops: boxes of one row word and one column word."""
    row, column = layout(seen)
    size = {row: ENGINE.rows, column: ENGINE.columns}
    steps = [size.get(axis, 1) for axis in range(len(EXTENTS))]
    starts = (range(0, extent, step) for extent, step in zip(EXTENTS, steps, strict=True))
    return [tuple(slice(b, b + step) for b, step in zip(begin, steps, strict=True)) for begin in product(*starts)]


def within(box: tuple[slice, ...], array: Array) -> tuple[slice, ...]:
    return tuple(slice(0, 1) if n == 1 else part for part, n in zip(box, array.shape, strict=False))


def first(box: tuple[slice, ...], seen: Contraction) -> bool:
    """Whether a turn has the first index of all summed loops."""
    return all(part.start == 0 for part, stride in zip(box, seen.acc.strides, strict=True) if not stride)


def sparse(seed: np.random.Generator, follows: str) -> Array:
    values = seed.standard_normal(shape(follows)) * (seed.random(shape(follows)) < 0.2)
    return np.where(seed.random(shape(follows)) < 0.5, -1.0, 1.0) * values  # so zeros have either sign


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("skip", [LEFT, RIGHT, LEFT | RIGHT])
@pytest.mark.parametrize(("acc", "left", "right", "inner"), CASES)
def test_turns_and_products_are_those_that_are_found_one_by_one(
    acc: str, left: str, right: str, inner: int, skip: int, fresh: bool
) -> None:
    seed = np.random.default_rng(5)
    l_there, r_there = sparse(seed, left) != 0, sparse(seed, right) != 0
    seen = tile(acc, left, right, inner, fresh, passes=2)
    found = taken(seen, ENGINE, l_there if left else None, r_there, skip)
    turns = done = 0
    boxes = turns_of(seen)
    for box in boxes:
        own, other = l_there[within(box, l_there)], r_there[within(box, r_there)]
        active = not (skip & LEFT and left and not own.any()) and not (skip & RIGHT and not other.any())
        turns += active or (fresh and first(box, seen))
        if not (skip & RIGHT and not other.any()):
            size = [min(part.stop, n) - part.start for part, n in zip(box, EXTENTS, strict=True)]
            done += int((np.broadcast_to(own, size) if left else np.ones(size)).sum())
    assert found == Taken(2 * turns, 2 * len(boxes), done)
    assert accesses(seen, ENGINE).cycles == found.dense
    assert found.cycles(0) == found.dense and found.cycles(1 << 20) == max(found.turns, 1)
    assert found.cycles(2) == max(found.turns, -(-found.dense // 2))
    looked_at = bool(skip & LEFT and left) or bool(skip & RIGHT)
    assert (0 < found.turns < found.dense) == looked_at, "nothing was left out, or everything"


FORMATS = [
    *((X64, left, F16) for left in (SPIKE, U4, U8)),
    *((X128, left, F16) for left in (F16, TERNARY)),
    *((F32, left, right) for left in (SPIKE, U8, TERNARY, F16) for right in (F16, F32)),
    *((F32, left, BF16) for left in (SPIKE, BF16)),
    (F64, F32, F32),
    *((F16, left, F16) for left in (SPIKE, U4, F16)),
]


def stored(seed: np.random.Generator, follows: str, fmt: Format, wild: bool) -> Operand:
    """Sparse numbers with zeros of both signs, very small ones, and, where *wild*, infinities and NaN."""
    values = sparse(seed, follows)
    if fmt.whole:
        most = 1 if fmt.kind == "sign" else fmt.maximum
        low = -1 if fmt.kind == "sign" else 0
        return Operand(
            (np.sign(values).astype(int) % (most + 1)).astype(fmt.dtype) if low == 0 else encode(np.sign(values), fmt),
            fmt,
        )
    flat = values.reshape(-1)
    filled = np.flatnonzero(flat)
    flat[filled[::3]] *= 2.0**-24 if fmt == F16 else 2.0**-140
    if wild and filled.size:
        flat[filled[:3]] = (np.inf, -np.inf, np.nan)[: len(filled[:3])]
    return Operand(encode(values, fmt), fmt)


@pytest.mark.parametrize("wild", [False, True])
@pytest.mark.parametrize(("kind", "l_format", "r_format"), FORMATS, ids=lambda value: str(value))
@pytest.mark.parametrize(("acc", "left", "right", "inner"), CASES)
def test_what_is_left_out_changes_no_bit(
    acc: str, left: str, right: str, inner: int, kind: Format, l_format: Format, r_format: Format, wild: bool
) -> None:
    """A sum that begins, and one that goes on: formed of all turns, and only of those that are taken."""
    seed = np.random.default_rng(6)
    seen, kept = tile(acc, left, right, inner, True), tuple(name in acc for name in LOOPS)
    gates = [LEFT, *([LEFT | RIGHT, RIGHT] if right_gates(kind, l_format if left else None) else [])]
    before: Array | None = None
    for begins in (True, False):
        l_operand = stored(seed, left, l_format, wild) if left else None
        r_operand = stored(seed, right, r_format, wild)
        whole = summed(before, l_operand, r_operand, [tuple(slice(0, n) for n in EXTENTS)], kept, kind)
        for skip in gates:
            boxes = [
                box
                for box in turns_of(seen)
                if (begins and first(box, seen))
                or not (
                    (skip & LEFT and l_operand and not filled(l_operand, box))
                    or (skip & RIGHT and not filled(r_operand, box))
                )
            ]
            assert (len(boxes) < len(turns_of(seen))) == bool(left or skip & RIGHT)
            some = summed(before, l_operand, r_operand, boxes, kept, kind)
            assert some.tobytes() == whole.tobytes()
        before = whole


def filled(operand: Operand, box: tuple[slice, ...]) -> bool:
    return bool(there(operand.storage, operand.format)[within(box, operand.storage)].any())


def summed(
    before: Array | None,
    left: Operand | None,
    right: Operand,
    boxes: list[tuple[slice, ...]],
    kept: tuple[bool, ...],
    kind: Format,
) -> Array:
    """Sums over *boxes*, one after the other, into what was there *before*, or into zeros."""
    whole = tuple(n if keep else 1 for n, keep in zip(EXTENTS, kept, strict=True))
    state = np.zeros(whole + ((2,) if kind == X128 else ()), kind.dtype) if before is None else before.copy()
    for box in boxes:
        extents = tuple(min(part.stop, n) - part.start for part, n in zip(box, EXTENTS, strict=True))
        part = tuple(piece if keep else slice(0, 1) for piece, keep in zip(box, kept, strict=True))
        l_part = None if left is None else Operand(left.storage[within(box, left.storage)], left.format)
        r_part = Operand(right.storage[within(box, right.storage)], right.format)
        if kind in (X64, X128):
            found, _ = contract_exact(l_part, r_part, extents, kept, kind)
            state[part] = accumulated(state[part], found, kind)
        else:
            state[part], _ = contract_ordered(state[part], l_part, r_part, extents, kept, kind)
    return state


def test_zeros_have_either_sign_and_every_format() -> None:
    values = np.array([0.0, -0.0, 2.0**-24, -1.0, np.inf, np.nan])
    for fmt in (F16, BF16, F32, F64):
        assert there(encode(values, fmt), fmt).tolist() == [False, False, True, True, True, True]
    assert there(np.array([0, 1], np.uint8), SPIKE).tolist() == [False, True]
    assert there(np.array([0, 1, 3], np.uint8), TERNARY).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("acc", "left", "said"),
    [
        (F16, SPIKE, "zeros on the right are no reason to skip where spike times f16 is summed in f16"),
        (F16, None, "zeros on the right are no reason to skip where f16 is summed in f16"),
        (X128, F16, "zeros on the right are no reason to skip where f16 times f16 is summed in x128"),
    ],
)
def test_what_would_change_bits_is_refused(acc: Format, left: Format | None, said: str) -> None:
    seen = tile("po", "prc" if left else "", "orc", WEIGHT_STATIONARY, True)
    operand = None if left is None else Operand(np.zeros(shape("prc"), left.dtype), left)
    with pytest.raises(ValueError) as told:
        taken_of(seen, ENGINE, acc, operand, Operand(np.zeros(shape("orc"), np.float16), F16), RIGHT)
    assert str(told.value) == said
    narrow = replace(ENGINE, lookahead=0)
    with pytest.raises(ValueError, match="this engine takes every turn: its lookahead is 0"):
        taken_of(seen, narrow, X64, None, Operand(np.zeros(shape("orc"), np.float16), F16), RIGHT)


def test_an_f16_sum_is_why() -> None:
    """-2^-25 rounds to -0 in f16, and +0 added to that is +0: leaving the second turn out would show."""
    left, right = np.array([[1, 1]], np.uint8), np.array([[-(2.0**-14), 0.0]]) * np.array([2.0**-11, 1.0])
    sums: list[int] = []
    for count in (1, 2):
        operands = Operand(left[:, :count], SPIKE), Operand(right[:, :count].astype(np.float32), F32)
        found, _ = contract_ordered(None, *operands, (1, count), (True, False), F16)
        sums.append(int(found.view(np.uint16)[0, 0]))
    assert sums == [0x8000, 0x0000]


def test_turns_that_are_left_out_read_and_write_nothing() -> None:
    for inner in (WEIGHT_STATIONARY, OUTPUT_STATIONARY):
        for fresh in (True, False):
            seen = tile("po", "prc", "orc", inner, fresh)
            dense = accesses(seen, ENGINE)
            assert accesses(seen, ENGINE, dense.cycles) == dense
            half = accesses(seen, ENGINE, dense.cycles // 2)
            assert half.read_bits < dense.read_bits and half.write_bits <= dense.write_bits
            assert accesses(seen, ENGINE, 0) == replace(dense, cycles=0, read_bits=0, write_bits=0)
    assert prod(EXTENTS) == 150
