"""What a value is: format, axes, and whether it changes with the time step and the sample."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

from ...numerics.formats import FORMATS, Format, row_bytes

Axes = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Type:
    """A tensor type: ``spike[t, n, 6, 28, 28]``.

    *axes* are the logical axes in the order of the user's framework (channels before rows and columns; for weights
    outputs before inputs), each as the tuple of its factors: a flattened image is the one axis ``16*5*5``.  *timed*
    values have another content in every time step, *batched* ones in every sample.  The value of a stored element
    is ``element * scale`` (a sum-pooled spike count keeps its 1/4 here, to be folded into the next sum).  A timed value
    with *every* above 1 has content in each *every*-th step only, the first of all included: ``f16[t/4, n, 128]``; one
    with *steps* has so many of its own, whatever those of the network are: ``f16[t:250, n, 128]``.
    """

    format: str
    axes: Axes
    timed: bool = False
    batched: bool = False
    scale: float = 1.0
    weight: bool = False
    """Whether axes are a weight's: outputs, inputs, taps; memory order is then taps, inputs, outputs."""

    every: int = 1
    steps: int = 0

    @staticmethod
    def of(format: str, *shape: int, timed: bool = False, batched: bool = False, weight: bool = False) -> Type:
        """A type of plain axes."""
        return Type(format, tuple((extent,) for extent in shape), timed, batched, 1.0, weight)

    @property
    def kind(self) -> Format:
        """The number format."""
        return FORMATS[self.format]

    @property
    def shape(self) -> tuple[int, ...]:
        """Extents of the logical axes."""
        return tuple(math.prod(axis) for axis in self.axes)

    @cached_property
    def factors(self) -> tuple[int, ...]:
        """Extents of all factors, axis by axis."""
        return tuple(extent for axis in self.axes for extent in axis)

    @property
    def order(self) -> tuple[int, ...]:
        """Canonical layout: which factor lies where in memory, the last one contiguous.

        Values have their channels last, ``[row][column][channel]``; weights are
        ``[tap row][tap column][input channel][output channel]``.
        """
        count = len(self.factors)
        if self.weight and count >= 2:
            return (*range(2, count), 1, 0)
        return (*range(1, count), 0) if count else ()

    @property
    def elements(self) -> int:
        """Elements of one sample and step."""
        return math.prod(self.factors)

    @cached_property
    def memory(self) -> tuple[int, ...]:
        """Extents of the factors as they lie in memory; ``(1,)`` for a scalar."""
        return tuple(self.factors[k] for k in self.order) or (1,)

    def lead(self, steps: int, batch: int) -> tuple[int, ...]:
        """Extents of ``[t][n]``, those of both that there are: of *steps* time steps, those with content."""
        time = (-(-(self.steps or steps) // self.every),) if self.timed else ()
        return (*time, *((batch,) if self.batched else ()))

    def bytes(self, steps: int, batch: int) -> int:
        """Bytes in DRAM over all steps and samples, rows padded to whole bytes."""
        *outer, last = self.memory
        return math.prod((*self.lead(steps, batch), *outer)) * row_bytes(last, self.kind)

    def with_(self, **changes: object) -> Type:
        """The same type with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]

    def __str__(self) -> str:
        time = f"t/{self.every}" if self.every > 1 else f"t:{self.steps}" if self.steps else "t"
        lead = [letter for letter, there in ((time, self.timed), ("n", self.batched)) if there]
        axes = ["*".join(map(str, axis)) for axis in self.axes]
        tail = f" * {self.scale!r}" if self.scale != 1.0 else ""
        return f"{self.format}[{', '.join(lead + axes)}]{tail}"
