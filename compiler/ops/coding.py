"""Input coding: how an image becomes spikes.  Direct coding is the image itself, in every step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..ir.expression import uniform
from ..ir.statement import Statement
from ..ir.types import Type
from .op import Op
from .site import Site


@dataclass(frozen=True, kw_only=True)
class Poisson(Op):
    """``s[t] = 1 where uniform < x``: Bernoulli spikes of rate x in [0, 1] (rate coding).

    Random numbers belong to the step, the sample and the element.  No gradient passes.
    """

    name: ClassVar = "poisson"
    operands: ClassVar = ("x",)
    timed: ClassVar = True

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """Spikes in every step."""
        (x,) = operands
        return (Type("spike", x.axes, True, True),)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """One draw an element and step."""
        spikes = at.result()
        drawn = uniform(spikes) < at.value("x", 0)
        return at.elementwise({"x": at.operand(0)}, [(spikes, drawn)], random={spikes: at.key(at.type(spikes))})
