"""Enlarging."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..ir.expression import read
from ..ir.statement import Index, Statement, Window, loop
from ..ir.types import Type
from .op import Adjoint, Op, Pair
from .placement import placed
from .site import Site
from .spatial import axes_behind


@dataclass(frozen=True, kw_only=True)
class Upsample(Op):
    """Every element *factor* times along rows and columns (nearest neighbour), in the format of the input.

    ``y[p*factor + r, q*factor + s] = x[p, q]``; the error of x is the sum over its copies.
    """

    name: ClassVar = "upsample"
    operands: ClassVar = ("x",)
    adjoints: ClassVar = (Adjoint("d_x", "x", ("error",), "BP"),)

    factor: Pair

    def __post_init__(self) -> None:
        self.require(min(self.factor) >= 1, "factor", "at least 1")

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """Rows and columns times the factor."""
        (x,) = operands
        rows, columns = axes_behind(self.name, x, 2)
        return (x.with_(axes=(x.axes[0], (rows * self.factor[0],), (columns * self.factor[1],))),)

    def copies(self) -> list[Index]:
        """Where copy (r, s) of element (c, p, q) lies."""
        down, right = self.factor
        return [loop("c"), Index((("p", down), ("r", 1))), Index((("q", right), ("s", 1)))]

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """See the class."""
        channels, rows, columns = at.type(at.operand(0)).factors
        axes = [{"c": channels}, {"p": rows, "r": self.factor[0]}, {"q": columns, "s": self.factor[1]}]
        reads = {"x": (at.operand(0), [loop("c"), loop("p"), loop("q")])}
        return (placed(at, axes, reads, at.result(), self.copies(), read("x")),)

    def d_x(self, at: Site) -> tuple[Statement, ...]:
        """The sum in f32, rounded once."""
        error, target = at.operand(0), at.result()
        channels, rows, columns = at.type(target).factors
        sizes = {"p": rows, "q": columns, "c": channels, "r": self.factor[0], "s": self.factor[1]}
        loops = (*at.lead_loops(error, target), *sizes.items())
        writes = at.access(target, [loop("c"), loop("p"), loop("q")])
        return (Window("sum", loops, ("r", "s"), writes, at.access(error, self.copies())),)
