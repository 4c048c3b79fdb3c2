"""Dropout: elements that are left out of a training step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ..ir.expression import Expression, read, uniform, where
from ..ir.statement import Index, Statement
from ..ir.types import Type
from .op import Adjoint, Op
from .site import WORKING, Site


@dataclass(frozen=True, kw_only=True)
class Dropout(Op):
    """``y = x / (1 - p)`` where a random number says so, else 0; in inference y is x.

    *mask* says how long an element stays out: in all steps of a ``batch`` (OTTT, SLTT), or drawn anew in each
    ``step``.  The mask is a function of seed, training step, sample and element, so it is made again on the way back
    and never stored.  Bits and counts stay what they are; their scale gets the factor 1 / (1 - p).
    """

    name: ClassVar = "dropout"
    operands: ClassVar = ("x",)
    adjoints: ClassVar = (Adjoint("d_x", "x", ("error",), "BP"),)
    inference: ClassVar = "kept"
    aliases: ClassVar = {"kept": 0}

    p: float = 0.5
    mask: Literal["batch", "step"] = "batch"

    def __post_init__(self) -> None:
        self.require(0 <= self.p < 1, "p", "at least 0 and below 1")

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """As x, scaled where it holds integers; timed where every step draws anew."""
        (x,) = operands
        timed = x.timed or self.mask == "step"
        if x.kind.kind == "float":
            return (Type(WORKING, x.axes, timed, True),)
        return (x.with_(timed=timed, scale=x.scale / (1.0 - self.p)),)

    def inferring(self, *operands: Type) -> tuple[Type, ...]:
        """x itself."""
        return (operands[0],)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """One draw an element and sample, and a step where each has its own."""
        x, y = at.operand(0), at.result()
        value = at.value("x", 0) * (1.0 / (1.0 - self.p)) if at.type(x).kind.kind == "float" else read("x")
        return self._masked(at, x, y, value)

    def d_x(self, at: Site) -> tuple[Statement, ...]:
        """``d.x = d.y / (1 - p)`` where x was kept, with respect to its value."""
        return self._masked(at, at.operand(0), at.result(), read("x") * (1.0 / (1.0 - self.p)))

    def _masked(self, at: Site, x: str, y: str, value: Expression) -> tuple[Statement, ...]:
        """*value* of x where the element is kept; the numbers are those of the layer, forwards and backwards."""
        kept = uniform(at.node.layer) >= self.p
        return at.elementwise({"x": x}, [(y, where(kept, value, 0.0))], random={at.node.layer: self._key(at, y)})

    def _key(self, at: Site, y: str) -> Index:
        """The element's number, the same in all steps of a batch where the mask is."""
        return at.key(at.type(y).with_(timed=self.mask == "step"))
