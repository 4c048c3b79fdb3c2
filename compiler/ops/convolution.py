"""Convolutions, and the transposed convolution, whose forward is the way back of a convolution."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Generic

from ..ir.graph import Setting
from ..ir.notation import Equation, parse
from ..ir.types import Type
from .contracted import Contracted, weight_type
from .initialisers import bias_initialiser
from .op import Pair, ShapeFault
from .site import WORKING
from .spatial import Size, Slide, axes_behind, numbers, slides, windows

LINE_1D = "y[g*O + o, p] += x[g*C + c, p*stride_r + r*dilation_r - pad_r] * w[g*O + o, c, r]"
LINE_2D = (
    "y[g*O + o, p, q] += "
    "x[g*C + c, p*stride_r + r*dilation_r - pad_r, q*stride_s + s*dilation_s - pad_s] * w[g*O + o, c, r, s]"
)
LINE_TRANSPOSED = (
    "y[g*O + o, p*stride_r + r*dilation_r - pad_r, q*stride_s + s*dilation_s - pad_s] += "
    "x[g*C + c, p, q] * w[g*C + c, o, r, s]"
)
"""Group g has the C input channels from ``g*C`` on and the O outputs from ``g*O`` on."""


class Convolution(Contracted, Generic[Size]):
    """A window of weights that slides over the axes behind the channels; subclasses give its `LINE`."""

    line: ClassVar[str]

    out: int
    kernel: Size
    stride: Size
    pad: Size
    dilation: Size
    groups: int

    def __post_init__(self) -> None:
        self.require(self.out >= 1, "out", "at least 1")
        self.require(self.groups >= 1, "groups", "at least 1")
        self.require(self.out % self.groups == 0, "groups", f"a divisor of out={self.out}")
        for name in ("kernel", "stride", "dilation"):
            self.require(min(numbers(getattr(self, name))) >= 1, name, "at least 1")
        self.require(min(numbers(self.pad)) >= 0, "pad", "at least 0")

    @property
    def along(self) -> tuple[Slide, ...]:
        """The window along each axis."""
        return slides(self.kernel, self.stride, self.pad, self.dilation)

    @abstractmethod
    def extents(self, x: Type) -> tuple[int, ...]:
        """Extents of the result behind its channels.  Raises ShapeFault."""

    def weight(self, channels: int) -> tuple[int, int]:
        """The first two axes of the weight for *channels* of input: outputs, and inputs of a group."""
        return self.out, channels // self.groups

    def parameter_types(self, *operands: Type) -> dict[str, tuple[Type, Setting]]:
        """``w`` and ``b[out]``."""
        (x,) = operands
        axes_behind(self.name, x, len(self.along))
        channels = x.shape[0]
        if channels % self.groups:
            raise ShapeFault(f"{channels} channels do not fall into groups={self.groups}", 0)
        axes = tuple((extent,) for extent in (*self.weight(channels), *numbers(self.kernel)))
        weight = weight_type(WORKING, axes)
        found: dict[str, tuple[Type, Setting]] = {"w": (weight, "kaiming_uniform")}
        if self.bias:
            found["b"] = (Type.of(WORKING, self.out), bias_initialiser(weight))
        return found

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """``f16[out, ...]``."""
        (x,) = operands
        self.parameter_types(x)
        return (Type(WORKING, ((self.out,), *((extent,) for extent in self.extents(x))), x.timed, True),)

    def equation(self, x: tuple[int, ...], y: tuple[int, ...]) -> tuple[Equation, dict[str, int]]:
        """The line; without groups the loop g is gone, and in a group of one channel the loop over its channels."""
        outputs, inputs = y[0] // self.groups, x[0] // self.groups
        sizes = {"g": self.groups, "o": outputs, "c": inputs}
        constants = {"O": outputs, "C": inputs}
        for tap, slide in zip(("r", "s"), self.along, strict=False):
            constants |= {f"stride_{tap}": slide.stride, f"dilation_{tap}": slide.dilation, f"pad_{tap}": slide.pad}
            sizes[tap] = slide.taps
        gone = ("g",) if self.groups == 1 else tuple(name for name in ("o", "c") if sizes[name] == 1)
        constants |= dict.fromkeys(gone, 0)
        given = {name: size for name, size in sizes.items() if name not in gone}
        return parse(self.line + (" + b[g*O + o]" if self.bias else ""), constants), given


@dataclass(frozen=True, kw_only=True)
class Conv1d(Convolution[int]):
    """Cross-correlation along a signal ``x[in, length]`` with ``w[out, in / groups, kernel]``, as PyTorch's Conv1d."""

    name: ClassVar = "conv1d"
    line: ClassVar = LINE_1D

    out: int
    kernel: int
    stride: int = 1
    pad: int = 0
    dilation: int = 1
    groups: int = 1
    bias: bool = True

    def extents(self, x: Type) -> tuple[int, ...]:
        """``(length + 2*pad - dilation*(kernel - 1) - 1) // stride + 1``."""
        return windows(self.name, x, self.along)


@dataclass(frozen=True, kw_only=True)
class Conv2d(Convolution[Pair]):
    """Cross-correlation over rows and columns, as PyTorch's Conv2d.

    ``x[in, H, W]``, ``w[out, in / groups, kernel]``; the output has
    ``(H + 2*pad - dilation*(kernel - 1) - 1) // stride + 1`` rows, columns likewise.  With as many groups as channels
    it is depthwise.
    """

    name: ClassVar = "conv2d"
    line: ClassVar = LINE_2D

    out: int
    kernel: Pair
    stride: Pair = (1, 1)
    pad: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = True

    def extents(self, x: Type) -> tuple[int, ...]:
        """See the class."""
        return windows(self.name, x, self.along)


@dataclass(frozen=True, kw_only=True)
class ConvTranspose2d(Convolution[Pair]):
    """Every element of x adds its multiple of the window to y, as PyTorch's ConvTranspose2d.

    ``x[in, H, W]``, ``w[in, out / groups, kernel]``; the output has
    ``(H - 1)*stride - 2*pad + dilation*(kernel - 1) + output_pad + 1`` rows, columns likewise.  It is computed in
    gather form, one statement a residue class of the stride, and no zero is inserted.
    """

    name: ClassVar = "conv_transpose2d"
    line: ClassVar = LINE_TRANSPOSED

    out: int
    kernel: Pair
    stride: Pair = (1, 1)
    pad: Pair = (0, 0)
    output_pad: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1
    bias: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        most = [max(slide.stride, slide.dilation) for slide in self.along]
        fits = all(0 <= more < bound for more, bound in zip(self.output_pad, most, strict=True))
        self.require(fits, "output_pad", "at least 0, and smaller than the stride or the dilation")

    def weight(self, channels: int) -> tuple[int, int]:
        """Inputs, and outputs of a group."""
        return channels, self.out // self.groups

    def extents(self, x: Type) -> tuple[int, ...]:
        """See the class."""
        found: list[int] = []
        for extent, slide, more in zip(axes_behind(self.name, x, 2), self.along, self.output_pad, strict=True):
            found.append((extent - 1) * slide.stride - 2 * slide.pad + slide.span + more)
            if found[-1] < 1:
                whole = found[-1] + 2 * slide.pad
                raise ShapeFault(f"pad={slide.pad} leaves nothing of {whole} rows or columns ({x})", 0)
        return tuple(found)
