"""Tiles that a kernel takes to the network and from there, against elements that are read and written one by one."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from snnc.isa.access import from_rows, layout_of, to_rows
from snnc.isa.kernels.compiled import library
from snnc.isa.registers import ViewRegister
from snnc.isa.routed import Routed, rows_of
from snnc.isa.tile import tile_at
from snnc.numerics.formats import F16, F32, SPIKE, TERNARY, U4, U8, X128, Format

pytestmark = pytest.mark.skipif(library() is None, reason="no kernels were compiled")

SIZE = 1 << 14
Bytes = NDArray[np.uint8]
served: Counter[tuple[bool, bool]] = Counter()


@st.composite
def views(draw: st.DrawFn) -> tuple[ViewRegister, tuple[int, ...]]:
    """A view of memory 1, whose elements do not overlap, and what an instruction sees of it."""
    fmt: Format = draw(st.sampled_from([SPIKE, TERNARY, U4, U8, F16, F32, X128]))
    extents = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=3)))
    order = draw(st.permutations(range(len(extents)))) if draw(st.booleans()) else [*reversed(range(len(extents)))]
    strides, stride = [0] * len(extents), fmt.bits
    for axis in order:
        strides[axis] = stride * draw(st.sampled_from([1, 1, 1, 2]))
        stride = strides[axis] * extents[axis]
        if draw(st.booleans()):
            stride = -(-stride // 8) * 8
    inside = fmt.bits * draw(st.sampled_from([0, 0, 1])) % 8
    view = ViewRegister([], 1, fmt, len(extents), draw(st.integers(0, 64)) * 8 + inside, 0)
    for axis, (extent, step) in enumerate(zip(extents, strides, strict=True)):
        view.define_axis(axis, extent, step, 0, 0)
    assume(not layout_of(fmt, extents, view.strides).problem)
    return view, extents


def memories(seed: int) -> list[Bytes]:
    random = np.random.default_rng(seed)
    return [random.integers(0, 256, SIZE).astype(np.uint8) for _ in range(2)]


def elements(at: list[Bytes], view: ViewRegister, extents: tuple[int, ...]) -> NDArray[np.generic]:
    layout = layout_of(view.format, extents, view.strides)
    return tile_at(at, 1, view.format, view.start(), layout, "reads").read()


@given(views(), st.integers(0, 99))
def test_a_tile_is_sent_as_it_is_read(drawn: tuple[ViewRegister, tuple[int, ...]], seed: int) -> None:
    view, extents = drawn
    at = memories(seed)
    before = at[1].copy()
    tile = Routed(at, True).moved(view, extents, lambda size: np.full(size, 0xA5, np.uint8))
    expected = to_rows(elements(at, view, extents), view.format, extents)
    served[True, tile is not None] += 1
    if tile is not None:
        assert tile.tobytes() == expected.tobytes()
    assert rows_of(view.format, extents)[0] == expected.size
    assert (at[1] == before).all()


@given(views(), st.integers(0, 99))
def test_a_tile_is_taken_as_it_is_written(drawn: tuple[ViewRegister, tuple[int, ...]], seed: int) -> None:
    view, extents = drawn
    at, other, source = memories(seed), memories(seed), memories(seed + 100)
    tile = to_rows(elements(source, view, extents), view.format, extents)
    taken = Routed(at, False).moved(view, extents, lambda size: tile if size == tile.size else None)
    served[False, taken is not None] += 1
    layout = layout_of(view.format, extents, view.strides)
    writing = tile_at(other, 1, view.format, view.start(), layout, "writes")
    writing.write(from_rows(tile, view.format, extents))
    if taken is not None:
        assert at[1].tobytes() == other[1].tobytes()
    else:
        assert at[1].tobytes() == memories(seed)[1].tobytes()


def test_both_were_served_often() -> None:
    for stores in (True, False):
        assert served[stores, True] > served[stores, False] / 2 > 0


def test_a_tile_of_another_size_or_outside_of_the_scratchpad_is_left_alone() -> None:
    at = memories(0)
    view = ViewRegister([], 1, F16, 1, SIZE * 8 - 32, 0)
    view.define_axis(0, 4, 16, 0, 0)
    assert Routed(at, True).moved(view, (4,), lambda size: np.zeros(size, np.uint8)) is None
    assert Routed(at, False).moved(view, (2,), lambda size: None) is None
    assert at[1].tobytes() == memories(0)[1].tobytes()
