"""Boxes copied by the compiled kernel leave both memories as NumPy does, and are refused with the same words."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from snnc.isa.kernels import copied
from snnc.isa.moving import Load, Store, Transfer
from snnc.isa.registers import LoopRegister, ViewRegister
from snnc.numerics.formats import F16, F32, SPIKE, U4, U8, X64, X128, Format

GRANULE = 64


def view_of(
    space: int, fmt: Format, base: int, axes: Sequence[tuple[int, int, int, int]], loop: LoopRegister | None = None
) -> ViewRegister:
    """A view of axes (extent, stride, offset, bound); *loop* moves and cuts the first one."""
    view = ViewRegister([] if loop is None else [loop], space, fmt, len(axes), base, 0)
    for number, axis in enumerate(axes):
        view.define_axis(number, *axis)
    if loop is not None:
        view.define_span(0, 0, 1, space == 0, True)
    return view


def strides_of(draw: st.DrawFn, fmt: Format, extents: Sequence[int]) -> tuple[list[int], int]:
    """(strides in any order of axes, the last of them packed where the format is; bits of all of it)."""
    order = draw(st.permutations(range(len(extents) - 1))) if fmt.packed else draw(st.permutations(range(len(extents))))
    nearest = [*([len(extents) - 1] if fmt.packed else []), *order]
    strides, step = [0] * len(extents), fmt.bits
    for place, axis in enumerate(nearest):
        strides[axis] = step
        step = -(-step * extents[axis] // 8) * 8
        if place == 0 or draw(st.booleans()):
            step += 8 * draw(st.integers(0, 70))
    return strides, step


@st.composite
def boxes(draw: st.DrawFn) -> dict[str, Any]:
    """A tensor, the part of it that a loop walks over in tiles, and a scratchpad that takes one of them."""
    fmt = draw(st.sampled_from([SPIKE, U4, U8, F16, F32, X64, X128]))
    rank = draw(st.integers(1, 4))
    tensor = [draw(st.sampled_from([1, 2, 3, 8, 16, 33, 64, 130])) for _ in range(rank)]
    inside = draw(st.booleans())
    extents = [draw(st.integers(1, n if inside else n + 2)) for n in tensor]
    begins = [
        draw(st.integers(0, n - size) if inside else st.integers(-2, n))
        for n, size in zip(tensor, extents, strict=True)
    ]
    if fmt.packed:  # rows begin at a byte, and most end at one or with the tensor's
        begins[-1] = 8 * draw(st.integers(0 if inside else -1, tensor[-1] // 16))
        extents[-1] = draw(st.sampled_from([tensor[-1] - begins[-1], 8, 16, 5]))
    dram, bits = strides_of(draw, fmt, tensor)
    pad, pad_bits = strides_of(draw, fmt, extents)
    if draw(st.integers(0, 9)) == 0:
        pad[0] = 0
    return {
        "format": fmt,
        "dram": [(n, step, begin, bound) for n, step, begin, bound in zip(extents, dram, begins, tensor, strict=True)],
        "pad": [(n, step, 0, 0) for n, step in zip(extents, pad, strict=True)],
        "sizes": (bits // 8 + 16, pad_bits // 8 + 16),
        "starts": [draw(st.sampled_from([0, 0, 8, 64, 128, 64, 12, 1 << 16])) for _ in range(2)],
        "tile": draw(st.integers(1, 3)),
        "seed": draw(st.integers(0, 1 << 20)),
    }


def moved(kind: type[Transfer], box: dict[str, Any]) -> tuple[list[bytes], list[Any]]:
    """Both memories afterwards, and what each turn of a loop answered."""
    random = np.random.default_rng(box["seed"])
    memories: list[NDArray[np.uint8]] = [random.integers(0, 256, size, np.uint8) for size in box["sizes"]]
    loop = LoopRegister()
    axes = box["dram"][0], box["pad"][0]
    first = [(1, *axis[1:]) for axis in axes]
    view = view_of(0, box["format"], box["starts"][0], [first[0], *box["dram"][1:]], loop)
    pad = view_of(1, box["format"], box["starts"][1], [first[1], *box["pad"][1:]], loop)
    transfer = kind(memories, view, pad, GRANULE)
    told: list[Any] = []
    loop.open(box["tile"], axes[0][0], 0)
    while True:
        try:
            way, address, start = transfer.move()
            told.append((address if way.exists else 0, start, way.useful, way.scratchpad))
        except ValueError as problem:
            told.append(str(problem))
        if not loop.advance():
            return [memory.tobytes() for memory in memories], told


@pytest.mark.compiled
@pytest.mark.parametrize("kind", [Load, Store])
@given(box=boxes())
@settings(max_examples=150, deadline=None)
def test_boxes_are_copied_as_numpy_does(kind: type[Transfer], box: dict[str, Any]) -> None:
    found = moved(kind, box)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(copied, "library", lambda: None)
        expected = moved(kind, box)
    assert found == expected


@pytest.mark.compiled
def test_the_kernel_serves() -> None:
    """So the test above has compared two forms; targets whose elements lie on each other are NumPy's."""
    memories = np.zeros(64, np.uint8), np.zeros(64, np.uint8)

    def box(steps: tuple[int, ...]) -> copied.Box:
        dram, pad = (copied.End(memory, 0, 8 * prod((2, 4)), (4, 1)) for memory in memories)
        return copied.Box(False, 1, dram, pad._replace(steps=steps), (2, 4), True, None, 0, None, 0)

    assert copied.described(box((8, 1))) is not None
    assert copied.described(box((3, 1))) is None
