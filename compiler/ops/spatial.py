"""Windows that slide over the axes behind the channels: rows and columns, or the one axis of a signal.

Loops have the names that they have everywhere: output row ``p`` and column ``q``, taps ``r`` and ``s``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from ..ir.statement import Index
from ..ir.types import Type
from .op import Pair, ShapeFault

Size = TypeVar("Size", int, Pair)
"""A setting of an operator over one axis, or over rows and columns."""

OUTPUTS = ("p", "q")
TAPS = ("r", "s")

_AXES = {1: "[channels, length]", 2: "[channels, rows, columns]"}
_PLACES = {1: "positions", 2: "rows or columns"}


@dataclass(frozen=True)
class Slide:
    """How a window of *taps*, *dilation* apart, slides along one axis: from ``-pad`` on, *stride* at a time."""

    taps: int
    stride: int = 1
    pad: int = 0
    dilation: int = 1

    @property
    def span(self) -> int:
        """From the first tap to the last, both counted."""
        return self.dilation * (self.taps - 1) + 1

    def index(self, output: str, tap: str) -> Index:
        """Where tap *tap* of window *output* lies."""
        return Index(((output, self.stride), (tap, self.dilation)), -self.pad)

    def windows(self, extent: int) -> int:
        """Windows that fit into an axis of *extent*; below 1 where none does."""
        return (extent + 2 * self.pad - self.span) // self.stride + 1

    def tiles(self, extent: int) -> bool:
        """Whether the windows cover an axis of *extent* without gap, overlap or rest."""
        whole = self.stride == self.taps and self.dilation == 1 and not self.pad
        return whole and extent % self.taps == 0


def numbers(setting: int | tuple[int, ...]) -> tuple[int, ...]:
    """A setting as one number an axis."""
    return setting if isinstance(setting, tuple) else (setting,)


def slides(*settings: int | tuple[int, ...]) -> tuple[Slide, ...]:
    """How a window slides along each axis, from kernel, stride, pad and (where there is one) dilation."""
    return tuple(Slide(*sizes) for sizes in zip(*map(numbers, settings), strict=True))


def axes_behind(name: str, x: Type, rank: int) -> tuple[int, ...]:
    """Extents of the *rank* axes behind the channels of *x*; ShapeFault where it has other axes."""
    if len(x.axes) != rank + 1 or any(len(axis) != 1 for axis in x.axes):
        raise ShapeFault(f"{name} reads {_AXES[rank]}, not {x}", 0)
    return x.shape[1:]


def windows(name: str, x: Type, along: tuple[Slide, ...]) -> tuple[int, ...]:
    """How many windows fit along each axis behind the channels; ShapeFault where none does."""
    found: list[int] = []
    for extent, slide in zip(axes_behind(name, x, len(along)), along, strict=True):
        found.append(slide.windows(extent))
        if found[-1] < 1:
            what = f"a window of {slide.span} does not fit into {extent + 2 * slide.pad} {_PLACES[len(along)]}"
            raise ShapeFault(f"{what} ({x}, pad={slide.pad})", 0)
    return tuple(found)
