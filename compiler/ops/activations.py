"""Element-wise activations, for networks that are not spiking everywhere.  Their adjoints read the result alone."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from ..ir.derivative import product
from ..ir.expression import Expression, exp, lift, maximum, read, unary, where
from ..ir.statement import Statement
from ..ir.types import Type
from .op import Adjoint, Op
from .site import WORKING, Site


class Activation(Op):
    """``y = f(x)``, rounded once; the error is ``error * f'(x)``, with f' told from the rounded y."""

    operands: ClassVar = ("x",)
    adjoints: ClassVar = (Adjoint("d_x", "x", ("error", ""), "BP"),)

    @abstractmethod
    def value(self, x: Expression) -> Expression:
        """f."""

    @abstractmethod
    def slope(self, error: Expression, y: Expression) -> Expression:
        """``error * f'``, from y."""

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """f16, with the axes of the input."""
        (x,) = operands
        return (x.with_(format=WORKING, scale=1.0),)

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """One element after the other."""
        return at.elementwise({"x": at.operand(0)}, [(at.result(), self.value(at.value("x", 0)))])

    def d_x(self, at: Site) -> tuple[Statement, ...]:
        """See the class."""
        slope = self.slope(read("error"), read("y"))
        return at.elementwise({"error": at.operand(0), "y": at.operand(1)}, [(at.result(), slope)])


@dataclass(frozen=True, kw_only=True)
class Relu(Activation):
    """``y = gain * max(x, 0)``; at 0 no error passes."""

    name: ClassVar = "relu"

    gain: float = 1.0

    def __post_init__(self) -> None:
        self.require(self.gain > 0, "gain", "positive")

    def value(self, x: Expression) -> Expression:
        """See the class."""
        return product(maximum(x, 0.0), lift(self.gain))

    def slope(self, error: Expression, y: Expression) -> Expression:
        """The error times *gain* where y is above 0."""
        return where(y > 0.0, product(error, lift(self.gain)), 0.0)


@dataclass(frozen=True, kw_only=True)
class Sigmoid(Activation):
    """``y = 1 / (1 + exp(-x))``."""

    name: ClassVar = "sigmoid"

    def value(self, x: Expression) -> Expression:
        """See the class."""
        return 1.0 / (1.0 + exp(-x))

    def slope(self, error: Expression, y: Expression) -> Expression:
        """``error * y * (1 - y)``."""
        return error * (y * (1.0 - y))


@dataclass(frozen=True, kw_only=True)
class Tanh(Activation):
    """``y = tanh(x)``."""

    name: ClassVar = "tanh"

    def value(self, x: Expression) -> Expression:
        """See the class."""
        return unary("tanh", x)

    def slope(self, error: Expression, y: Expression) -> Expression:
        """``error * (1 - y*y)``."""
        return error * (1.0 - y * y)
