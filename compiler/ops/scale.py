"""Scaling by a learned factor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from ..ir.expression import Expression, read, unary
from ..ir.graph import Setting
from ..ir.statement import Contraction, Elementwise, Statement, Write, loop
from ..ir.types import Type
from .op import Adjoint, Op, ShapeFault
from .site import WORKING, Site, element_loops


@dataclass(frozen=True, kw_only=True)
class Scale(Op):
    """``y = x * w * factor``, rounded once; *each* of what has a w of its own.

    A ``layer`` has one (the gain of a residual branch, NF-ResNet), or a ``channel``, an ``element`` (one-to-one
    recurrence), or a ``step``, the same for all elements (TEBN).  w is f32, and its gradient is one sum; *factor* is
    a constant.
    """

    name: ClassVar = "scale"
    operands: ClassVar = ("x",)
    parameters: ClassVar = ("w",)
    adjoints: ClassVar = (Adjoint("d_x", "x", ("error", "w"), "BP"), Adjoint("d_w", "w", ("x", "error"), "WG"))

    keeps: ClassVar = {"x": "left operand of the weight gradient"}

    each: Literal["layer", "channel", "element", "step"] = "channel"
    factor: float = 1.0

    def parameter_types(self, *operands: Type) -> dict[str, tuple[Type, Setting]]:
        """``w``, f32, ones."""
        (x,) = operands
        match self.each:
            case "layer":
                factor = Type("f32", ())
            case "channel":
                if len(x.axes) > 1 and len(x.axes[0]) > 1:
                    raise ShapeFault(f"{self.name} finds no channels in {x}", 0)
                factor = Type("f32", (x.factors[:1],))
            case "element":
                factor = Type("f32", x.axes)
            case "step":
                if not x.timed:
                    raise ShapeFault(f"{self.name} has a factor for each step, and {x} is the same in all of them", 0)
                factor = Type("f32", (), timed=True)
        return {"w": (factor, "ones")}

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """f16, as x."""
        (x,) = operands
        return (Type(WORKING, x.axes, x.timed, True),)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Every element."""
        reads = {"x": at.operand(0), "w": at.operand(1)}
        return at.elementwise(reads, [(at.result(), at.value("x", 0) * self._whole())])

    def d_x(self, at: Site) -> tuple[Statement, ...]:
        """``d.x = d.y * w * factor``."""
        reads = {"error": at.operand(0), "w": at.operand(1)}
        return at.elementwise(reads, [(at.result(), read("error") * self._whole())])

    def d_w(self, at: Site) -> tuple[Statement, ...]:
        """``d.w = factor * sum x * d.y`` over whatever shares w."""
        x, error, w = at.operand(0), at.operand(1), at.result()
        type, factor = at.type(x), at.type(w)
        names = element_loops(type)
        loops = (*at.lead_loops(x, error), *zip(names, type.factors, strict=True))
        elements = [loop(name) for name in names]
        target = at.access(w, elements[: len(factor.factors)])
        summed = tuple(name for name, _ in loops if name not in target.loops)
        left, right = at.access(x, elements), at.access(error, elements)
        return (Contraction("wg", loops, target, left, right, summed, None, type.scale * self.factor),)

    def _whole(self) -> Expression:
        """What x is multiplied by."""
        return read("w") if self.factor == 1.0 else read("w") * self.factor


@dataclass(frozen=True, kw_only=True)
class ScaledWeight(Op):
    """``y = w * by * factor``, rounded once: a weight times the learned factor of what it multiplies.

    Networks do not name it: `passes.folded` makes it of a `Scale`.  The way back is linear in the gradient of y, so it
    is gone once an update; its sum ascends in f32, over the fan-in of each output, taps outermost, then over outputs.
    """

    name: ClassVar = "scaled_weight"
    family: ClassVar = "adjoint"
    operands: ClassVar = ("w", "by")
    adjoints: ClassVar = (
        Adjoint("d_w", "w", ("error", "by"), "WG"),
        Adjoint("d_by", "by", ("error", "w"), "WG", inner=("sum",)),
    )

    keeps: ClassVar = {"w": "what the gradient of its factor is a sum over"}

    factor: float = 1.0

    def infer(self, *operands: Type) -> tuple[Type, ...]:
        """The type of the weight."""
        return operands[:1]

    def inner_types(self, adjoint: Adjoint, types: Mapping[str, Type]) -> tuple[Type, ...]:
        """Of each output, the sum over the fan-in."""
        error = types["error"]
        return (Type("f32", error.axes[:1], error.timed),) if adjoint.inner else ()

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """Every word of the weight."""
        reads = {"w": at.operand(0), "by": at.operand(1)}
        return at.elementwise(reads, [(at.result(), read("w") * (read("by") * self.factor))])

    def d_w(self, at: Site) -> tuple[Statement, ...]:
        """``d.w = d.y * by * factor``."""
        reads = {"error": at.operand(0), "by": at.operand(1)}
        return at.elementwise(reads, [(at.result(), read("error") * (read("by") * self.factor))])

    def d_by(self, at: Site) -> tuple[Statement, ...]:
        """``d.by = factor * sum d.y * w``."""
        (error, w), (d_by, partial) = at.node.operands, at.node.results
        type = at.type(w)
        names = element_loops(type)
        extents = dict(zip(names, type.factors, strict=True))
        order = [names[0], *(names[k] for k in range(2, len(names))), names[1]]
        elements, output = [loop(name) for name in names], [loop(names[0])]
        steps = dict(at.lead_loops(partial)).get("t", 0)
        reads = {"error": at.access(error, elements), "w": at.access(w, elements)}
        products = Write(at.access(partial, output), unary("rsum", read("error") * read("w")))
        total = Write(at.access(d_by, []), unary("rsum", read("sum")) * self.factor)
        return (
            Elementwise(
                tuple((name, extents[name]) for name in order), steps, reads, writes=(products,), over=len(order) - 1
            ),
            Elementwise(((names[0], extents[names[0]]),), steps, {"sum": at.access(partial, output)}, writes=(total,)),
        )
