"""The numbers of an oracle: which accumulators it has, and how a value is rounded to an edge.

Values are held as float32 (float64 for u32, and for everything in the mathematical mode), exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ...numerics.formats import F32, FORMATS, Format, decode, encode

Array = NDArray[Any]
Accumulators = Literal["exact", "f32", "f16", "f64"]


@dataclass(frozen=True)
class Numerics:
    """``exact``, ``f32`` and ``f16`` are the machine's accumulators; ``f64`` is mathematics.

    In ``f64`` every edge of a float format is an unrounded float64, as are all sums and elementary functions; spikes
    are still comparisons and counts still integers.  ValueError for another name.
    """

    accumulators: Accumulators = "exact"

    def __post_init__(self) -> None:
        if self.accumulators not in get_args(Accumulators):
            raise ValueError(f"accumulators are {', '.join(get_args(Accumulators))}, not {self.accumulators!r}")

    @property
    def mathematical(self) -> bool:
        """Whether nothing is rounded on purpose."""
        return self.accumulators == "f64"

    @property
    def lane(self) -> np.dtype[Any]:
        """Type in which expressions are computed."""
        return np.dtype(np.float64 if self.mathematical else np.float32)

    def rounds(self, fmt: Format) -> bool:
        """Whether values are brought to the grid of *fmt*."""
        return not (self.mathematical and fmt.kind == "float")

    def edge(self, values: Array, format: str) -> Array:
        """*values* as the edge of that format holds them: rounded once; ValueError where an integer does not fit."""
        fmt = FORMATS[format]
        return self.held(encode(values, fmt), fmt) if self.rounds(fmt) else np.asarray(values, np.float64)

    def held(self, storage: Array, fmt: Format) -> Array:
        """The numbers that *storage* means, in the type that this oracle keeps them."""
        numbers = decode(storage, fmt)
        return numbers.astype(np.float64, copy=False) if self.mathematical else numbers

    def empty(self, shape: tuple[int, ...], format: str) -> Array:
        """Zeros in the type that values of the format are kept in."""
        wide = self.mathematical or FORMATS[format].name in ("f64", "u32")
        return np.zeros(shape, np.float64 if wide else np.float32)

    def factor(self, scale: float) -> float:
        """A scale as the machine holds it: f32."""
        return scale if self.mathematical else float(decode(encode(scale, F32), F32))


def same_bits(left: Array, right: Array) -> NDArray[np.bool_]:
    """Where two arrays of numbers are the same number: signs of zeros count, all NaN are one."""
    alike = (left == right) & (np.signbit(left) == np.signbit(right))
    return alike | (np.isnan(left) & np.isnan(right))


def blocks(extent: int, size: int) -> Iterator[range]:
    """0 .. extent - 1 in runs of *size*."""
    return (range(start, min(start + size, extent)) for start in range(0, extent, size))
