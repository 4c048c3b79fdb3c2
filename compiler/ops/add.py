"""Sums: of two values, and of the errors of a value that does not change with time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..ir.expression import state
from ..ir.statement import State, Statement
from ..ir.types import Type
from .op import Adjoint, Op, ShapeFault
from .site import WORKING, Site


@dataclass(frozen=True, kw_only=True)
class Add(Op):
    """``y = a + b``, rounded once; spikes and counts may take part.  The error goes to both as it is."""

    name: ClassVar = "add"
    operands: ClassVar = ("a", "b")
    adjoints: ClassVar = (Adjoint("d_a", "a", ("error",), "BP"), Adjoint("d_b", "b", ("error",), "BP"))
    aliases: ClassVar = {"d_a": 0, "d_b": 0}

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """f16, timed where one of them is."""
        a, b = operands
        if a.axes != b.axes:
            raise ShapeFault(f"add takes equal shapes, not {a} and {b}")
        return (Type(WORKING, a.axes, a.timed or b.timed, True),)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Both by their values."""
        total = at.value("a", 0) + at.value("b", 1)
        return at.elementwise({"a": at.operand(0), "b": at.operand(1)}, [(at.result(), total)])


@dataclass(frozen=True, kw_only=True)
class TimeSum(Op):
    """``y = sum_t x[t]`` in f32, rounded once: the error of a static value from those of the steps."""

    name: ClassVar = "time_sum"
    family: ClassVar = "adjoint"
    operands: ClassVar = ("x",)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """In the order of the sweep."""
        total = state("total") + at.value("x", 0)
        return at.elementwise({"x": at.operand(0)}, [(at.result(), total, True)], (State("total", "f32", 0.0, total),))
