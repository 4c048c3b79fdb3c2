"""Sums: of two values, of the errors of a value that does not change with time, and of terms of a gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..ir.expression import state
from ..ir.statement import Contraction, State, Statement, loop
from ..ir.types import Type
from .op import Adjoint, Op, ShapeFault
from .site import WORKING, Site, element_loops


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


@dataclass(frozen=True, kw_only=True)
class WindowSum(Op):
    """``y = sum of x over windows of time`` in f32, rounded once: an x that each window makes anew."""

    name: ClassVar = "window_sum"
    family: ClassVar = "adjoint"
    operands: ClassVar = ("x",)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """In the order of the windows."""
        total = state("total") + at.value("x", 0)
        return at.elementwise({"x": at.operand(0)}, [(at.result(), total, True)], (State("total", "f32", 0.0, total),))


@dataclass(frozen=True, kw_only=True)
class TermSum(Op):
    """The gradient of a parameter that elements share, from a term of each sample and element: one exact sum.

    A parameter without axes is shared by all elements, one with the axis of the channels by rows and columns.
    """

    name: ClassVar = "term_sum"
    family: ClassVar = "adjoint"
    operands: ClassVar = ("terms",)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Over whatever the result does not follow."""
        terms, result = at.type(at.operand(0)), at.type(at.result())
        names = element_loops(terms)
        loops = (*at.lead_loops(at.operand(0)), *zip(names, terms.factors, strict=True))
        elements = [loop(name) for name in names]
        target = at.access(at.result(), elements[: len(result.factors)])
        summed = tuple(name for name, _ in loops if name not in target.loops)
        return (Contraction("wg", loops, target, None, at.access(at.operand(0), elements), summed),)
