"""Values side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..ir.expression import Expression, read
from ..ir.statement import Index, Statement
from ..ir.types import Type
from .counts import joined
from .op import Adjoint, Op, ShapeFault
from .placement import placed, straight
from .site import Site


@dataclass(frozen=True, kw_only=True)
class Concat(Op):
    """The channels of b behind those of a: ``y[c] = a[c]``, ``y[A + c] = b[c]``; nest it for more than two.

    Spikes and counts stay what they are where they have a format together (see `counts.joined`): spikes are bits if
    those of b begin at a byte, that is if a has a multiple of 8 channels, and else the narrowest counts that do.  The
    error of each is its part of the error of y.
    """

    name: ClassVar = "concat"
    operands: ClassVar = ("a", "b")
    adjoints: ClassVar = (Adjoint("d_a", "a", ("error",), "BP"), Adjoint("d_b", "b", ("error",), "BP"))

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """The first factor is the sum of both, the others are equal; timed where one of them is."""
        a, b = operands
        if not a.axes or len(a.axes) != len(b.axes) or a.axes[1:] != b.axes[1:] or a.axes[0][1:] != b.axes[0][1:]:
            raise ShapeFault(f"concat takes values that differ in nothing but their channels, not {a} and {b}")
        channels = (a.factors[0] + b.factors[0], *a.axes[0][1:])
        format, scale = joined(a, b, a.factors[0])
        return (Type(format, (channels, *a.axes[1:]), a.timed or b.timed, True, scale),)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """One statement an operand."""
        return self._part(at, 0, 0), self._part(at, 1, at.type(at.operand(0)).factors[0])

    def d_a(self, at: Site) -> tuple[Statement, ...]:
        """The first channels of the error."""
        return (self._cut(at, 0),)

    def d_b(self, at: Site) -> tuple[Statement, ...]:
        """The last channels of the error."""
        error, target = at.type(at.operand(0)), at.type(at.result())
        return (self._cut(at, error.factors[0] - target.factors[0]),)

    def _part(self, at: Site, number: int, first: int) -> Statement:
        """Operand *number* as the channels from *first* on."""
        source, target = at.operand(number), at.result()
        axes, index = straight(at, source)
        ratio = at.type(source).scale / at.type(target).scale
        value: Expression = read("x") if ratio == 1.0 else read("x") * ratio
        return placed(at, axes, {"x": (source, index)}, target, _behind(index, first), value)

    def _cut(self, at: Site, first: int) -> Statement:
        """The channels of the error from *first* on."""
        axes, index = straight(at, at.result())
        reads = {"error": (at.operand(0), _behind(index, first))}
        return placed(at, axes, reads, at.result(), index, read("error"))


def _behind(index: list[Index], first: int) -> list[Index]:
    """*index* with the channels moved up by *first*."""
    channel, *others = index
    return [Index(channel.terms, channel.offset + first), *others]
