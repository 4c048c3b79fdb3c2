"""Pooling over windows of rows and columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar

from ...numerics.formats import unsigned_for
from ..ir.gather import Residue, residues
from ..ir.statement import Access, Index, Statement, Window, loop
from ..ir.types import Type
from .convolution import windows
from .op import Adjoint, Op, Pair
from .site import WORKING, Site


class Pool(Op):
    """A window of *kernel* that moves by *stride*; stride 0 stands for the kernel."""

    operands: ClassVar = ("x",)

    kernel: Pair
    stride: Pair
    pad: Pair

    def __post_init__(self) -> None:
        self.require(min(self.kernel) >= 1, "kernel", "at least 1")
        self.require(min(self.stride) >= 0, "stride", "at least 1")
        fits = all(0 <= border <= taps // 2 for border, taps in zip(self.pad, self.kernel, strict=True))
        self.require(fits, "pad", "at most half of the kernel")

    @property
    def taps(self) -> int:
        """Elements of a window."""
        return self.kernel[0] * self.kernel[1]

    @property
    def steps(self) -> Pair:
        """How far a window is from the next."""
        rows, columns = self.stride
        return rows or self.kernel[0], columns or self.kernel[1]

    def pooled(self, x: Type) -> Type:
        """The type of *x* with rows and columns pooled."""
        rows, columns = windows(self.name, x, self.kernel, self.steps, self.pad, (1, 1))
        return x.with_(axes=(x.axes[0], (rows,), (columns,)))

    def index(self) -> tuple[Index, Index]:
        """Row and column of tap (r, s) of window (p, q)."""
        (down, right), (top, left) = self.steps, self.pad
        return Index((("p", down), ("r", 1)), -top), Index((("q", right), ("s", 1)), -left)

    def over(self, at: Site, kind: str, source: str, target: str, tap: str, scale: float) -> tuple[Statement, ...]:
        """The windows of *source*, each making one element of *target* (and of *tap*, where it has a name)."""
        channels, rows, columns = at.type(target or tap).factors
        extents = {"p": rows, "q": columns, "c": channels, "r": self.kernel[0], "s": self.kernel[1]}
        here = [loop("c"), loop("p"), loop("q")]
        best = at.access(tap, here) if tap else None
        loops = (*at.lead_loops(source), *extents.items())
        walk = at.access(source, [loop("c"), *self.index()])
        return (Window(kind, loops, ("r", "s"), at.access(target, here), walk, best, scale),)

    def back(
        self, at: Site, error: str, target: str
    ) -> Iterator[tuple[dict[str, int], Access, Access, Sequence[Residue]]]:
        """(loops, target, error, classes) of each residue class of the elements of *target*."""
        channels, *extents = at.type(target).factors
        axes = zip(self.index(), (("p", "r"), ("q", "s")), self.kernel, extents, strict=True)
        classes = [residues(index, *loops, taps, extent) for index, loops, taps, extent in axes]
        for rows, columns in product(*classes):
            sizes = {"p": rows.positions, "q": columns.positions, "c": channels, "r": rows.taps, "s": columns.taps}
            lead = dict(at.lead_loops(error, target))
            writes = at.access(target, [loop("c"), rows.position, columns.position])
            reads = at.access(error, [loop("c"), rows.output_index, columns.output_index])
            yield lead | sizes, writes, reads, (rows, columns)


@dataclass(frozen=True, kw_only=True)
class AvgPool2d(Pool):
    """Mean over windows, zeros of the padding counted, as PyTorch's default.

    Spikes and counts are summed as integers; their scale gets the factor 1 / taps, folded into the next sum.
    """

    name: ClassVar = "avg_pool2d"
    adjoints: ClassVar = (Adjoint("d_x", "x", ("error",), "BP"),)

    kernel: Pair
    stride: Pair = (0, 0)
    pad: Pair = (0, 0)

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """Counts for spikes and counts, f16 for floats."""
        (x,) = operands
        pooled = self.pooled(x)
        if x.kind.kind in ("bit", "unsigned"):
            counts = unsigned_for(x.kind.maximum * self.taps)
            return (pooled.with_(format=counts.name, scale=x.scale / self.taps),)
        return (pooled.with_(format=WORKING, scale=1.0),)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """``y = sum of the window`` or, of floats, ``scale / taps`` times that."""
        source, target = at.operand(0), at.result()
        scale = at.type(source).scale / self.taps / at.type(target).scale
        return self.over(at, "sum", source, target, "", scale)

    def d_x(self, at: Site) -> tuple[Statement, ...]:
        """``d.x = sum of d.y over the windows that hold x, over taps``, with respect to the values."""
        error, target = at.operand(0), at.result()
        return tuple(
            Window("sum", tuple(loops.items()), ("r", "s"), writes, reads, None, 1.0 / self.taps)
            for loops, writes, reads, _ in self.back(at, error, target)
        )


@dataclass(frozen=True, kw_only=True)
class MaxPool2d(Pool):
    """The largest element of a window, in the format of the input, and the number of its tap, first of ties.

    The error goes to the element that was the largest.  Padding does not take part.
    """

    name: ClassVar = "max_pool2d"
    results: ClassVar = ("", "tap")
    adjoints: ClassVar = (Adjoint("d_x", "x", ("error", "tap"), "BP"),)

    kernel: Pair
    stride: Pair = (0, 0)
    pad: Pair = (0, 0)

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """The pooled type, and taps in the narrowest unsigned format."""
        (x,) = operands
        pooled = self.pooled(x)
        number = unsigned_for(max(self.taps - 1, 2))
        return pooled, pooled.with_(format=number.name, scale=1.0)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """``y = max``, ``tap = argmax``."""
        return self.over(at, "max", at.operand(0), at.result(0), at.result(1), 1.0)

    def d_x(self, at: Site) -> tuple[Statement, ...]:
        """``d.x = sum of d.y over the windows that chose x``."""
        error, tap, target = at.operand(0), at.operand(1), at.result()
        found: list[Statement] = []
        for loops, writes, reads, (rows, columns) in self.back(at, error, target):
            chosen = at.access(tap, [loop("c"), rows.output_index, columns.output_index])
            first = rows.first * self.kernel[1] + columns.first
            step = (rows.step * self.kernel[1], columns.step)
            sizes = tuple(loops.items())
            found.append(Window("unmax", sizes, ("r", "s"), writes, reads, chosen, 1.0, first, step))
        return tuple(found)
