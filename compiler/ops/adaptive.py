"""Pooling to a given number of rows and columns, and to a single element a channel."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from ..ir.statement import Statement
from ..ir.types import Type
from .counts import counted
from .fitting import Fit, fitted, spread
from .op import Adjoint, Op, Pair, ShapeFault
from .pooling import tap_type
from .site import WORKING, Site
from .spatial import axes_behind

CROWD = 30
"""Windows of one element whose errors one element program adds: each is an operand, with a view register of its own."""


class Fitted(Op):
    """Windows that follow from the number of outputs, as PyTorch's adaptive pooling has them (see `fitting`)."""

    operands: ClassVar = ("x",)

    @property
    @abstractmethod
    def outputs(self) -> Pair:
        """Rows and columns of the result."""

    def fits(self, x: Type) -> list[Fit]:
        """The windows along each axis of *x*."""
        extents = axes_behind(self.name, x, len(self.outputs))
        fits = [Fit(extent, count) for extent, count in zip(extents, self.outputs, strict=True)]
        crowd = math.prod(fit.crowd for fit in fits)
        if crowd > CROWD and not all(fit.copies for fit in fits):
            told = f"an element of {x} would lie in {crowd} windows of {self.name}, and errors of {CROWD} can be added"
            raise ShapeFault(f"{told}: choose an output that is a multiple of the input", 0)
        return fits

    def pooled(self, x: Type) -> Type:
        """The type of *x* with other rows and columns."""
        return x.with_(axes=(x.axes[0], *((count,) for count in self.outputs)))


class FittedMean(Fitted):
    """The mean of every window.

    Where all windows are alike, spikes and counts are summed as integers, as by avg_pool2d; else means are rounded.
    """

    adjoints: ClassVar = (Adjoint("d_x", "x", ("error",), "BP"),)

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """Counts where that can be, else f16."""
        (x,) = operands
        fits = self.fits(x)
        if all(fit.even for fit in fits):
            return (counted(self.pooled(x), math.prod(fit.period for fit in fits)),)
        return (self.pooled(x).with_(format=WORKING, scale=1.0),)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """One statement a window of the pattern."""
        return fitted(at, "sum", at.operand(0), at.result(), "", self.fits(at.type(at.operand(0))))

    def d_x(self, at: Site) -> tuple[Statement, ...]:
        """``d.x = sum of d.y / taps over the windows that hold x``, with respect to the values."""
        target = at.result()
        return spread(at, at.operand(0), "", target, self.fits(at.type(target)))


class FittedLargest(Fitted):
    """The largest element of every window, in the format of the input, and the number of its tap, first of ties."""

    results: ClassVar = ("", "tap")
    adjoints: ClassVar = (Adjoint("d_x", "x", ("error", "tap"), "BP"),)

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """The pooled type, and taps in the narrowest unsigned format."""
        (x,) = operands
        pooled = self.pooled(x)
        taps = math.prod(max(span.taps for span in fit.spans) for fit in self.fits(x))
        return pooled, tap_type(pooled, taps)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """``y = max``, ``tap = argmax``."""
        return fitted(at, "max", at.operand(0), at.result(0), at.result(1), self.fits(at.type(at.operand(0))))

    def d_x(self, at: Site) -> tuple[Statement, ...]:
        """``d.x = sum of d.y over the windows that chose x``."""
        target = at.result()
        return spread(at, at.operand(0), at.operand(1), target, self.fits(at.type(target)))


@dataclass(frozen=True, kw_only=True)
class AdaptiveAvgPool2d(FittedMean):
    """Mean over windows that give *out* rows and columns, as PyTorch's AdaptiveAvgPool2d.

    Output i sees the elements from ``floor(i * extent / out)`` up to ``ceil((i + 1) * extent / out)``.
    """

    name: ClassVar = "adaptive_avg_pool2d"

    out: Pair

    def __post_init__(self) -> None:
        self.require(min(self.out) >= 1, "out", "at least 1")

    @property
    def outputs(self) -> Pair:
        """As given."""
        return self.out


@dataclass(frozen=True, kw_only=True)
class AdaptiveMaxPool2d(FittedLargest):
    """The largest element of windows that give *out* rows and columns, as PyTorch's AdaptiveMaxPool2d."""

    name: ClassVar = "adaptive_max_pool2d"

    out: Pair

    def __post_init__(self) -> None:
        self.require(min(self.out) >= 1, "out", "at least 1")

    @property
    def outputs(self) -> Pair:
        """As given."""
        return self.out


@dataclass(frozen=True, kw_only=True)
class GlobalAvgPool2d(FittedMean):
    """Mean over all rows and columns: ``[channels, 1, 1]``."""

    name: ClassVar = "global_avg_pool2d"

    @property
    def outputs(self) -> Pair:
        """One."""
        return 1, 1


@dataclass(frozen=True, kw_only=True)
class GlobalMaxPool2d(FittedLargest):
    """The largest of all rows and columns: ``[channels, 1, 1]``."""

    name: ClassVar = "global_max_pool2d"

    @property
    def outputs(self) -> Pair:
        """One."""
        return 1, 1
