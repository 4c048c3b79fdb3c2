"""Convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..ir.graph import Setting
from ..ir.notation import Equation, parse
from ..ir.types import Type
from .contracted import Contracted, weight_type
from .initialisers import bias_initialiser
from .op import Pair, ShapeFault
from .site import WORKING

LINE = (
    "y[g*O + o, p, q] += "
    "x[g*C + c, p*stride_h + r*dilation_h - pad_h, q*stride_w + s*dilation_w - pad_w] * w[g*O + o, c, r, s]"
)


@dataclass(frozen=True, kw_only=True)
class Conv2d(Contracted):
    """Cross-correlation over rows and columns, as PyTorch's Conv2d.

    ``x[in, H, W]``, ``w[out, in / groups, kernel]``; the output has
    ``(H + 2*pad - dilation*(kernel - 1) - 1) // stride + 1`` rows, columns likewise.
    """

    name: ClassVar = "conv2d"

    out: int
    kernel: Pair
    stride: Pair = (1, 1)
    pad: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = True

    def __post_init__(self) -> None:
        self.require(self.out >= 1, "out", "at least 1")
        self.require(self.groups >= 1, "groups", "at least 1")
        self.require(self.out % self.groups == 0, "groups", f"a divisor of out={self.out}")
        for name in ("kernel", "stride", "dilation"):
            self.require(min(getattr(self, name)) >= 1, name, "at least 1")
        self.require(min(self.pad) >= 0, "pad", "at least 0")

    def parameter_types(self, *operands: Type) -> dict[str, tuple[Type, Setting]]:
        """``w[out, in / groups, rows, columns]``, ``b[out]``."""
        (x,) = operands
        channels, _, _ = image(self.name, x)
        if channels % self.groups:
            raise ShapeFault(f"{channels} channels do not fall into groups={self.groups}", 0)
        weight = weight_type(WORKING, ((self.out,), (channels // self.groups,), (self.kernel[0],), (self.kernel[1],)))
        found: dict[str, tuple[Type, Setting]] = {"w": (weight, "kaiming_uniform")}
        if self.bias:
            found["b"] = (Type.of(WORKING, self.out), bias_initialiser(weight))
        return found

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """``f16[out, rows, columns]``."""
        (x,) = operands
        self.parameter_types(x)
        rows, columns = windows(self.name, x, self.kernel, self.stride, self.pad, self.dilation)
        return (Type(WORKING, ((self.out,), (rows,), (columns,)), x.timed, True),)

    def equation(self, x: tuple[int, ...], y: tuple[int, ...]) -> tuple[Equation, dict[str, int]]:
        """`LINE`; without groups the loop g is gone."""
        outputs, inputs = y[0] // self.groups, x[0] // self.groups
        constants = {"O": outputs, "C": inputs}
        for name in ("stride", "dilation", "pad"):
            constants[f"{name}_h"], constants[f"{name}_w"] = getattr(self, name)
        given = {"g": self.groups, "o": outputs, "c": inputs, "r": self.kernel[0], "s": self.kernel[1]}
        if self.groups == 1:
            constants["g"] = 0
        return parse(LINE + (" + b[g*O + o]" if self.bias else ""), constants), given


def image(name: str, x: Type) -> tuple[int, int, int]:
    """Channels, rows and columns of *x*; ShapeFault where it has other axes."""
    if len(x.axes) != 3 or any(len(axis) != 1 for axis in x.axes):
        raise ShapeFault(f"{name} reads [channels, rows, columns], not {x}", 0)
    channels, rows, columns = x.shape
    return channels, rows, columns


def windows(name: str, x: Type, kernel: Pair, stride: Pair, pad: Pair, dilation: Pair) -> tuple[int, int]:
    """Rows and columns of windows that fit; ShapeFault where none does."""
    _, *extents = image(name, x)
    found: list[int] = []
    for extent, taps, step, border, spread in zip(extents, kernel, stride, pad, dilation, strict=True):
        span = spread * (taps - 1) + 1
        if span > extent + 2 * border:
            what = f"a window of {span} does not fit into {extent + 2 * border} rows or columns"
            raise ShapeFault(f"{what} ({x}, pad={border})", 0)
        found.append((extent + 2 * border - span) // step + 1)
    return found[0], found[1]
