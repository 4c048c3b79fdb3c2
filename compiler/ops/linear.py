"""Fully connected layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..ir.graph import Setting
from ..ir.notation import Equation, parse
from ..ir.types import Type
from .contracted import Contracted, weight_type
from .initialisers import bias_initialiser
from .op import ShapeFault
from .site import WORKING


@dataclass(frozen=True, kw_only=True)
class Linear(Contracted):
    """``y[o] += x[k] * w[o, k] + b[o]``; x is one axis, of any factors."""

    name: ClassVar = "linear"

    out: int
    bias: bool = True

    def __post_init__(self) -> None:
        self.require(self.out >= 1, "out", "at least 1")

    def parameter_types(self, *operands: Type) -> dict[str, tuple[Type, Setting]]:
        """``w[out, in]`` with the factors of the input, ``b[out]``."""
        (x,) = operands
        if len(x.axes) != 1:
            raise ShapeFault(f"linear reads one axis, not {x}; flatten() makes it one", 0)
        weight = weight_type(WORKING, ((self.out,), x.axes[0]))
        found: dict[str, tuple[Type, Setting]] = {"w": (weight, "kaiming_uniform")}
        if self.bias:
            found["b"] = (Type.of(WORKING, self.out), bias_initialiser(weight))
        return found

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """``f16[out]``."""
        (x,) = operands
        self.parameter_types(x)
        return (Type(WORKING, ((self.out,),), x.timed, True),)

    def equation(self, x: tuple[int, ...], y: tuple[int, ...]) -> tuple[Equation, dict[str, int]]:
        """The factors of a flattened input stay apart: first channels, then rows and columns."""
        k = ", ".join(f"k{number}" for number in range(len(x)))
        return parse(f"y[o] += x[{k}] * w[o, {k}]" + (" + b[o]" if self.bias else "")), {}
