"""Operators that are one line of index notation: sums of products of data and weights.

The line gives all three matrix families of training: forward on the FP
engine, the input's gradient on BP, in gather form, and the weights' gradient on WG.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from ..ir.gather import gather
from ..ir.notation import Equation, Term
from ..ir.statement import Access, Contraction, Statement, loop
from ..ir.types import Type
from .op import Adjoint, Op
from .site import Site
from .spatial import TAPS


class Contracted(Op):
    """``y += x * w (+ b)``: subclasses give the `equation` over the factors of x, w, b and y."""

    operands: ClassVar = ("x",)
    parameters: ClassVar = ("w", "b")
    adjoints: ClassVar = (
        Adjoint("d_x", "x", ("error", "w"), "BP"),
        Adjoint("d_w", "w", ("x", "error"), "WG"),
        Adjoint("d_b", "b", ("error",), "WG"),
    )

    keeps: ClassVar = {"x": "left operand of the weight gradient"}

    @classmethod
    def facets(cls) -> tuple[str, ...]:
        """The gradients, and that of the weight with its operands exchanged."""
        return (*super().facets(), "d_w_gated")

    bias: bool
    """Whether a bias is added; every subclass has the setting."""

    @abstractmethod
    def equation(self, x: tuple[int, ...], y: tuple[int, ...]) -> tuple[Equation, dict[str, int]]:
        """The line for factors of x and y, and the extents that no factor tells."""

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """``y = round(scale * sum x * w + b)``: channels in blocks, then taps."""
        roles = dict(zip(("x", "w", "b"), at.node.operands, strict=False)) | {"y": at.result()}
        equation, given = self.equation(at.type(roles["x"]).factors, at.type(roles["y"]).factors)
        return _gathered(at, "fp", equation, given, roles, at.type(roles["x"]).scale)

    def d_x(self, at: Site) -> tuple[Statement, ...]:
        """``d.x = scale * sum d.y * w``, one statement a residue class of the strides; with respect to the value of x.

        The scale is that of errors that are signs.
        """
        roles = {"y": at.operand(0), "w": at.operand(1), "x": at.result()}
        equation, given = self.equation(at.type(roles["x"]).factors, at.type(roles["y"]).factors)
        return _gathered(at, "bp", equation.gradient("x"), given, roles, at.type(roles["y"]).scale)

    def d_w(self, at: Site) -> tuple[Statement, ...]:
        """``d.w = scale * sum x * d.y`` over time, samples, rows and columns."""
        roles = {"x": at.operand(0), "y": at.operand(1), "w": at.result()}
        equation, given = self.equation(at.type(roles["x"]).factors, at.type(roles["y"]).factors)
        backward = equation.gradient("w")
        extents = backward.extents(_shapes(backward, roles, at), given)
        scale = at.type(roles["x"]).scale
        return (_contraction(at, "wg", backward, extents, roles, backward.summed, None, scale),)

    def d_w_gated(self, at: Site) -> tuple[Statement, ...]:
        """`d_w` with the result's side on the left, in the place of an error: where y are spikes, they gate x."""
        roles = {"x": at.operand(0), "y": at.operand(1), "w": at.result()}
        equation, given = self.equation(at.type(roles["x"]).factors, at.type(roles["y"]).factors)
        backward = equation.gradient("w")
        exchanged = replace(backward, left=backward.right, right=backward.left)
        extents = backward.extents(_shapes(backward, roles, at), given)
        scale = at.type(roles["x"]).scale
        return (_contraction(at, "wg", exchanged, extents, roles, backward.summed, None, scale),)

    def d_b(self, at: Site) -> tuple[Statement, ...]:
        """``d.b = sum d.y`` over time, samples, rows and columns."""
        roles = {"y": at.operand(0), "b": at.result()}
        factors = at.type(roles["y"]).factors
        equation = Equation(_each("b", factors[:1]), None, _each("y", factors))
        extents = equation.extents(_shapes(equation, roles, at))
        return (_contraction(at, "wg", equation, extents, roles, equation.summed, None),)


def _each(name: str, factors: tuple[int, ...]) -> Term:
    """*name* at every element: output channel o, row p, column q."""
    return Term(name, tuple(loop(letter) for letter in ("o", "p", "q")[: len(factors)]))


def _shapes(equation: Equation, roles: Mapping[str, str], at: Site) -> dict[str, tuple[int, ...]]:
    """Factors of every value of the equation, by role."""
    return {term.name: at.type(roles[term.name]).factors for term in equation.terms}


def _gathered(
    at: Site,
    engine: str,
    equation: Equation,
    given: Mapping[str, int],
    roles: Mapping[str, str],
    scale: float = 1.0,
) -> tuple[Statement, ...]:
    """The statements of *equation*, one a residue class of its target; summed channels are walked in blocks."""
    extents = equation.extents(_shapes(equation, roles, at), given)
    found: list[Statement] = []
    for part, sizes in gather(equation, extents, at.type(roles[equation.target.name]).factors):
        blocked = part.summed[0] if part.summed[0] not in TAPS else None
        found.append(_contraction(at, engine, part, sizes, roles, part.summed, blocked, scale))
    return tuple(found)


def _contraction(
    at: Site,
    engine: str,
    equation: Equation,
    extents: Mapping[str, int],
    roles: Mapping[str, str],
    summed: tuple[str, ...],
    blocked: str | None,
    scale: float = 1.0,
) -> Contraction:
    """The statement of *equation*: time and sample become loops, summed first where the target does not follow them."""

    def access(term: Term) -> Access:
        return at.access(roles[term.name], term.index)

    bias = None if equation.bias is None else access(equation.bias)
    target, right = access(equation.target), access(equation.right)
    left = None if equation.left is None else access(equation.left)
    lead = at.lead_loops(*(roles[term.name] for term in equation.terms))
    outer = tuple(name for name, _ in lead if name not in target.loops)
    loops = (*lead, *extents.items())
    return Contraction(engine, loops, target, left, right, (*outer, *summed), blocked, scale, bias)


def weight_type(format: str, axes: tuple[tuple[int, ...], ...]) -> Type:
    """A weight: outputs, inputs, taps."""
    return Type(format, axes, weight=True)
