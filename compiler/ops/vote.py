"""Means of neighbours in a vector: how populations of neurons vote for a class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..ir.expression import read
from ..ir.statement import Index, Statement, Window, loop
from ..ir.types import Type
from .counts import counted
from .op import Adjoint, Op, ShapeFault
from .placement import placed
from .site import Site


@dataclass(frozen=True, kw_only=True)
class Vote(Op):
    """The mean of *size* neighbours each: ``y[c] = sum over r of x[c * size + r] / size`` (SpikingJelly's VotingLayer).

    Spikes and counts are summed as integers, as by avg_pool2d.
    """

    name: ClassVar = "vote"
    operands: ClassVar = ("x",)
    adjoints: ClassVar = (Adjoint("d_x", "x", ("error",), "BP"),)

    size: int = 10

    def __post_init__(self) -> None:
        self.require(self.size >= 1, "size", "at least 1")

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """As many elements as there are groups."""
        (x,) = operands
        if len(x.factors) != 1:
            raise ShapeFault(f"{self.name} reads one axis, not {x}; linear() makes it one", 0)
        (extent,) = x.factors
        if extent % self.size:
            raise ShapeFault(f"{self.name} finds no groups of {self.size} in {extent} elements", 0)
        return (counted(x.with_(axes=((extent // self.size,),)), self.size),)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """A window a group."""
        source, target = at.operand(0), at.result()
        scale = at.type(source).scale / self.size / at.type(target).scale
        (groups,) = at.type(target).factors
        loops = (*at.lead_loops(source), ("c", groups), ("r", self.size))
        here = at.access(target, [loop("c")])
        return (Window("sum", loops, ("r",), here, at.access(source, [self._member]), None, scale),)

    def d_x(self, at: Site) -> tuple[Statement, ...]:
        """``d.x[c * size + r] = d.y[c] / size``, with respect to the values."""
        error, target = at.operand(0), at.result()
        (groups,) = at.type(error).factors
        reads = {"error": (error, [loop("c")])}
        share = read("error") * (1.0 / self.size)
        return (placed(at, [{"r": self.size}, {"c": groups}], reads, target, [self._member], share),)

    @property
    def _member(self) -> Index:
        """Where a member of a group is."""
        return Index((("c", self.size), ("r", 1)))
