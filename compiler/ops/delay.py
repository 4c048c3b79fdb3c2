"""Delays: what a network remembers of the steps before, and the only way for a cycle to close."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from ..ir.expression import read
from ..ir.statement import Access, Elementwise, Index, Statement
from ..ir.types import Type
from .op import Adjoint, Op, ShapeFault
from .site import Site


@dataclass(frozen=True, kw_only=True)
class Delay(Op):
    """``y[t] = x[t - steps]``, and 0 before there is one: spikes or values of *steps* time steps ago.

    A delay may read a value that is made further on, and so closes a cycle: ``back = delay(s) : spike[128]``.
    """

    name: ClassVar = "delay"
    operands: ClassVar = ("x",)
    late: ClassVar = True
    adjoints: ClassVar = (Adjoint("d_x", "x", ("error",), "BP"),)
    aliases: ClassVar = {"d_mean": 0}

    steps: int = 1

    def __post_init__(self) -> None:
        self.require(self.steps >= 1, "steps", "at least 1")

    def rate_gradients(self) -> tuple[Adjoint, ...]:
        """``d.mean(x) = d.mean(y)``: a mean of many steps is the same a step later."""
        return (Adjoint("d_mean", "x", ("error",), "BP"),)

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """As x, which changes with time."""
        (x,) = operands
        if not x.timed:
            raise ShapeFault(f"{self.name} reads what changes with time, not {x}", 0)
        return (x,)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """A copy, moved along time."""
        return self._moved(at, -self.steps)

    def d_x(self, at: Site) -> tuple[Statement, ...]:
        """``d.x[t] = d.y[t + steps]``."""
        return self._moved(at, self.steps)

    def _moved(self, at: Site, steps: int) -> tuple[Statement, ...]:
        """The result in step t is the operand in step ``t + steps``; steps that are not read as zero."""
        (copy,) = at.elementwise({"x": at.operand(0)}, [(at.result(), read("x"))])
        assert isinstance(copy, Elementwise)
        time, *rest = copy.reads["x"].index
        shifted = Access(copy.reads["x"].value, (Index(time.terms, time.offset + steps), *rest))
        return (replace(copy, reads={"x": shifted}),)
