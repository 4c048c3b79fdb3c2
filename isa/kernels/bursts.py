"""DRAM bursts of a box: how many granules its contiguous runs touch."""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np


def bursts(
    start_byte: int, extents: tuple[int, ...], strides_bytes: tuple[int, ...], row_bytes: int, granule: int
) -> int:
    """Granules of *granule* bytes touched by rows of *row_bytes*, counted for each contiguous run by itself.

    The rows begin at ``start_byte + sum of k_i * strides_i``, ``k_i < extents_i``.  Rows that lie side by side are one
    run, whatever the order of the axes; runs that meet in a granule each fetch it.
    """
    return _bursts(start_byte % granule, extents, strides_bytes, row_bytes, granule)


@lru_cache(maxsize=1 << 16)
def _bursts(start: int, extents: tuple[int, ...], strides: tuple[int, ...], row: int, granule: int) -> int:
    if row == 0 or 0 in extents:
        return 0
    axes: list[tuple[int, int]] = []
    for extent, stride in zip(extents, strides, strict=True):
        if extent > 1:
            start += min(stride, 0) * (extent - 1)
            axes.append((abs(stride), extent))
    runs: list[tuple[int, int]] = []
    for stride, extent in sorted(axes):
        if stride == row and not runs:
            row *= extent
        else:
            runs.append((stride, extent))
    # How many runs begin at each residue of the granule.
    counts = np.zeros(granule, np.int64)
    counts[start % granule] = 1
    places = np.arange(granule)
    for stride, extent in runs:
        period = granule // gcd(stride, granule)
        turns, rest = divmod(extent, period)
        shifts = np.arange(min(period, extent)) * stride % granule
        times = turns + (np.arange(len(shifts)) < rest)
        counts = times @ counts[(places[None, :] - shifts[:, None]) % granule]
    return int(counts @ ((places + row - 1) // granule + 1))
