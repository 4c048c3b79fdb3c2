"""Pooling over windows that slide along rows and columns, or along a signal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import ClassVar, Generic

from ...numerics.formats import unsigned_for
from ..ir.expression import lift
from ..ir.gather import Residue, residues
from ..ir.statement import Elementwise, Statement, Window, loop
from ..ir.types import Type
from .counts import counted
from .fitting import Fit, spread
from .op import Adjoint, Op, Pair
from .placement import placed
from .site import Site
from .spatial import OUTPUTS, TAPS, Size, Slide, numbers, slides, windows


class Pool(Op, Generic[Size]):
    """A window of *kernel* that moves by *stride*; stride 0 stands for the kernel."""

    operands: ClassVar = ("x",)

    kernel: Size
    stride: Size
    pad: Size

    def __post_init__(self) -> None:
        self.require(min(numbers(self.kernel)) >= 1, "kernel", "at least 1")
        self.require(min(numbers(self.stride)) >= 0, "stride", "at least 1")
        fits = all(0 <= slide.pad <= slide.taps // 2 for slide in self.along)
        self.require(fits, "pad", "at most half of the kernel")

    @property
    def along(self) -> tuple[Slide, ...]:
        """The window along each axis."""
        taps = numbers(self.kernel)
        steps = tuple(step or count for step, count in zip(numbers(self.stride), taps, strict=True))
        return slides(taps, steps, numbers(self.pad))

    @property
    def taps(self) -> int:
        """Elements of a window."""
        return math.prod(numbers(self.kernel))

    def pooled(self, x: Type) -> Type:
        """The type of *x* with its axes behind the channels pooled."""
        return x.with_(axes=(x.axes[0], *((extent,) for extent in windows(self.name, x, self.along))))

    def tiled(self, at: Site, target: str) -> list[Fit]:
        """The windows as fits where they cover *target* without gap, overlap or rest; empty where they do not."""
        pairs = list(zip(self.along, at.type(target).factors[1:], strict=True))
        whole = all(slide.tiles(extent) for slide, extent in pairs)
        return [Fit(extent, extent // slide.taps) for slide, extent in pairs] if whole else []

    def over(self, at: Site, kind: str, source: str, target: str, tap: str, scale: float) -> tuple[Statement, ...]:
        """The windows of *source*, each making one element of *target* (and of *tap*, where it has a name)."""
        channels, *extents = at.type(target or tap).factors
        here, walk, sizes = [loop("c")], [loop("c")], dict[str, int]()
        for p, r, slide, extent in zip(OUTPUTS, TAPS, self.along, extents, strict=False):
            here.append(loop(p))
            walk.append(slide.index(p, r))
            sizes |= {p: extent, r: slide.taps}
        best = at.access(tap, here) if tap else None
        loops = (*at.lead_loops(source), *_ordered(sizes, channels).items())
        taps = TAPS[: len(extents)]
        return (Window(kind, loops, taps, at.access(target, here), at.access(source, walk), best, scale),)

    def back(self, at: Site, error: str, target: str) -> Iterator[tuple[Window | Elementwise, Sequence[Residue]]]:
        """Each residue class of the elements of *target*: their sum over the windows that hold them.

        Where windows move by more than their size, the elements between them are 0.
        """
        channels, *extents = at.type(target).factors
        axes = zip(OUTPUTS, TAPS, self.along, extents, strict=False)
        classes = [residues(slide.index(p, r), p, r, slide.taps, extent) for p, r, slide, extent in axes]
        for parts in product(*classes):
            element = [loop("c"), *(part.position for part in parts)]
            if any(part.taps == 0 for part in parts):
                rows = [{part.output: part.positions} for part in parts]
                yield placed(at, [{"c": channels}, *rows], {}, target, element, lift(0.0)), parts
                continue
            sizes = {name: size for part in parts for name, size in part.extents.items()}
            loops = (*at.lead_loops(error, target), *_ordered(sizes, channels).items())
            reads = at.access(error, [loop("c"), *(part.output_index for part in parts)])
            yield Window("sum", loops, TAPS[: len(parts)], at.access(target, element), reads), parts


class SumPool(Pool[Size]):
    """Sum of windows over *divisor*, zeros of the padding counted.

    Spikes and counts are summed as integers, and what they are divided by joins their scale; where the sum needs more
    than 8 bits it is divided, and rounded, at once.
    """

    adjoints: ClassVar = (Adjoint("d_x", "x", ("error",), "BP"),)

    @property
    def divisor(self) -> int:
        """What the sum is divided by."""
        return 1

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """Counts for spikes and counts, f16 for floats."""
        (x,) = operands
        return (counted(self.pooled(x), self.taps, self.divisor),)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """``y = sum of the window`` or, of floats, ``scale / divisor`` times that."""
        source, target = at.operand(0), at.result()
        scale = at.type(source).scale / self.divisor / at.type(target).scale
        return self.over(at, "sum", source, target, "", scale)

    def d_x(self, at: Site) -> tuple[Statement, ...]:
        """``d.x = sum of d.y over the windows that hold x, over divisor``, with respect to the values."""
        error, target = at.operand(0), at.result()
        if fits := self.tiled(at, target):
            return spread(at, error, "", target, fits, mean=self.divisor > 1)
        parts = (part for part, _ in self.back(at, error, target))
        scale = 1.0 / self.divisor
        return tuple(replace(part, scale=scale) if isinstance(part, Window) else part for part in parts)


class AvgPool(SumPool[Size]):
    """Mean over windows, zeros of the padding counted, as PyTorch's default: the sum over 1 / taps."""

    @property
    def divisor(self) -> int:
        """The taps of a window."""
        return self.taps


class MaxPool(Pool[Size]):
    """The largest element of a window, in the format of the input, and the number of its tap, first of ties.

    The error goes to the element that was the largest.  Padding does not take part.
    """

    results: ClassVar = ("", "tap")
    adjoints: ClassVar = (Adjoint("d_x", "x", ("error", "tap"), "BP"),)

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """The pooled type, and taps in the narrowest unsigned format."""
        (x,) = operands
        pooled = self.pooled(x)
        return pooled, tap_type(pooled, self.taps)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """``y = max``, ``tap = argmax``."""
        return self.over(at, "max", at.operand(0), at.result(0), at.result(1), 1.0)

    def d_x(self, at: Site) -> tuple[Statement, ...]:
        """``d.x = sum of d.y over the windows that chose x``."""
        error, tap, target = at.operand(0), at.operand(1), at.result()
        if fits := self.tiled(at, target):
            return spread(at, error, tap, target, fits)
        found: list[Statement] = []
        for part, classes in self.back(at, error, target):
            if not isinstance(part, Window):
                found.append(part)
                continue
            chosen = at.access(tap, [loop("c"), *(each.output_index for each in classes)])
            first, steps, unit = 0, list[int](), 1
            for each, slide in zip(reversed(classes), reversed(self.along), strict=True):
                first += each.first * unit
                steps.insert(0, each.step * unit)
                unit *= slide.taps
            found.append(replace(part, kind="unmax", tap=chosen, first=first, step=tuple(steps)))
        return tuple(found)


def _ordered(sizes: dict[str, int], channels: int) -> dict[str, int]:
    """Loops of a window: outputs, channels, taps."""
    outputs = {name: size for name, size in sizes.items() if name not in TAPS}
    return outputs | {"c": channels} | {name: size for name, size in sizes.items() if name in TAPS}


def tap_type(pooled: Type, taps: int) -> Type:
    """The type of the numbers of taps beside the result *pooled*."""
    return pooled.with_(format=unsigned_for(max(taps - 1, 2)).name, scale=1.0)


@dataclass(frozen=True, kw_only=True)
class AvgPool1d(AvgPool[int]):
    """Mean over windows along a signal, zeros of the padding counted, as PyTorch's default; see avg_pool2d."""

    name: ClassVar = "avg_pool1d"

    kernel: int
    stride: int = 0
    pad: int = 0


@dataclass(frozen=True, kw_only=True)
class AvgPool2d(AvgPool[Pair]):
    """Mean over windows of rows and columns, zeros of the padding counted, as PyTorch's default.

    Spikes and counts are summed as integers; their scale gets the factor 1 / taps, folded into the next sum.
    """

    name: ClassVar = "avg_pool2d"

    kernel: Pair
    stride: Pair = (0, 0)
    pad: Pair = (0, 0)


@dataclass(frozen=True, kw_only=True)
class SumPool2d(SumPool[Pair]):
    """Sum over windows of rows and columns (NIR's SumPool2d).  Sums of spikes and counts stay integers up to 8 bits."""

    name: ClassVar = "sum_pool2d"

    kernel: Pair
    stride: Pair = (0, 0)
    pad: Pair = (0, 0)


@dataclass(frozen=True, kw_only=True)
class MaxPool1d(MaxPool[int]):
    """The largest element of a window along a signal, and the number of its tap, first of ties; see max_pool2d."""

    name: ClassVar = "max_pool1d"

    kernel: int
    stride: int = 0
    pad: int = 0


@dataclass(frozen=True, kw_only=True)
class MaxPool2d(MaxPool[Pair]):
    """The largest element of a window, in the format of the input, and the number of its tap, first of ties.

    The error goes to the element that was the largest.  Padding does not take part.
    """

    name: ClassVar = "max_pool2d"

    kernel: Pair
    stride: Pair = (0, 0)
    pad: Pair = (0, 0)
