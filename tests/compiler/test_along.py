"""What tiles meet along an axis, counted in closed form, against every tile looked at for itself."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from snnc.compiler.cost.boxes import Walk, along
from snnc.compiler.ir.schedule import Axis

Met = Counter[tuple[int, int, int]]


def one_by_one(axis: Axis, coefficient: int, stride: int, walk: Walk, modulus: int) -> Met:
    """Tiles as sets of positions: (bits past a granule, length inside of the axis, length)."""
    found: Met = Counter()
    for first, share in walk.shares:
        for begin in range(first, first + share, walk.tile):
            values = range(begin, min(begin + walk.tile, first + share))
            positions = [axis.offset + coefficient * value for value in values]
            low, high = min(positions), max(positions) + 1
            if axis.step > 1:
                found[low * stride % modulus, (high - low - 1) // axis.step + 1, (high - low - 1) // axis.step + 1] += 1
            else:
                inside = max(min(high, axis.bound) - max(low, 0), 0)
                found[max(low, 0) * stride % modulus, inside, high - low] += 1
    return found


@given(
    coefficient=st.integers(-6, 6).filter(bool),
    offset=st.integers(-9, 9),
    bound=st.integers(1, 60),
    tile=st.integers(1, 20),
    shares=st.lists(st.integers(0, 25), min_size=1, max_size=4) | st.integers(1, 16).map(lambda share: [share] * 6),
    stride=st.sampled_from([1, 8, 16, 24, 1000]),
    modulus=st.sampled_from([1, 8, 64, 512]),
    stepped=st.booleans(),
)
def test_tiles_that_are_alike_are_counted(
    coefficient: int, offset: int, bound: int, tile: int, shares: list[int], stride: int, modulus: int, stepped: bool
) -> None:
    step = abs(coefficient) if stepped else 1
    axis = Axis((("a", coefficient),), offset, bound, step)
    walk = Walk(tile, tuple((sum(shares[:core]), share) for core, share in enumerate(shares)))
    counted: Met = Counter()
    for residue, clipped, length, count in along(axis, stride, (("a", walk),), modulus):
        counted[residue, clipped, length] += count
    assert counted == one_by_one(axis, coefficient, stride, walk, modulus)
