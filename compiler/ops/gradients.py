"""What is said of all gradients together: whether any is not finite, and how long they are as one vector.

Gradients are read as they lie in memory, in canonical blocks of 64 words, the last one of each filled up with zeros.
The blocks of all parameters stand behind each other; their values are combined 64 by 64 until one is left.  This tree
depends on shapes alone, so that no tiling and no split shows in an f32 sum.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from ..ir.expression import Expression, argument, minimum, read, sqrt, unary, where
from ..ir.statement import Access, Elementwise, Index, Statement, Write, loop
from .op import Op
from .optimizers import unscaled
from .site import Site

BLOCK = 64
"""Words of a block, and values that a level of the tree combines into one."""

SMALL = 1e-6
"""What PyTorch adds to the norm that it divides by."""


def blocks(words: int) -> int:
    """Blocks that *words* fill, the last one perhaps in part."""
    return -(-words // BLOCK)


@dataclass(frozen=True, kw_only=True)
class Row(Op):
    """All words of a gradient on one axis, in the order of memory: an alias, since words fill whole bytes."""

    name: ClassVar = "row"
    family: ClassVar = "adjoint"
    operands: ClassVar = ("x",)
    aliases: ClassVar = {"": 0}


@dataclass(frozen=True, kw_only=True)
class GradientBlocks(Op):
    """``squares[b], overflow[b] = sum of g * g, whether any g is not finite``, for blocks of all rows g given.

    Overflow is looked for in the gradient as it is; squares are those of the gradient without the loss scale.
    """

    name: ClassVar = "gradient_blocks"
    family: ClassVar = "adjoint"
    results: ClassVar = ("squares", "overflow")

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """A statement for each gradient: it is read once."""
        gradient = unscaled()
        square = unary("rsum", gradient * gradient)
        # Infinities and NaN are the numbers that are not themselves when they are taken from themselves.
        wrong = unary("rmax", where((read("gradient") - read("gradient")).equals(0.0), 0.0, 1.0))
        wanted = [(name, value) for name, value in zip(at.node.results, (square, wrong), strict=True) if name]
        done: list[Statement] = []
        first = 0
        for row in at.node.operands:
            (words,) = at.type(row).factors
            writes = tuple(Write(Access(name, (loop("b", offset=first),)), value) for name, value in wanted)
            done.append(_blocked(blocks(words), "gradient", row, writes))
            first += blocks(words)
        return tuple(done)


class _Level(Op):
    """``y[b]`` from 64 values of x; a scalar y from all of at most 64."""

    family: ClassVar = "adjoint"
    operands: ClassVar = ("x",)

    @abstractmethod
    def combined(self) -> Expression:
        """One value from those of a block."""

    def forward(self, at: Site) -> tuple[Statement, ...]:
        """All blocks."""
        (values,) = at.type(at.operand(0)).factors
        index = loop("b") if at.type(at.result()).factors else Index()
        assert math.prod(at.type(at.result()).factors) == blocks(values), f"{at.result()}: {values} values"
        return (_blocked(blocks(values), "x", at.operand(0), (Write(Access(at.result(), (index,)), self.combined()),)),)


@dataclass(frozen=True, kw_only=True)
class BlockSum(_Level):
    """``y[b] = sum of x[64 b + c] over c``, ascending in f32."""

    name: ClassVar = "block_sum"

    def combined(self) -> Expression:
        """See the class."""
        return unary("rsum", read("x"))


@dataclass(frozen=True, kw_only=True)
class BlockMax(_Level):
    """``y[b] = max of x[64 b + c] over c``: whether any of 64 flags is set."""

    name: ClassVar = "block_max"

    def combined(self) -> Expression:
        """See the class."""
        return unary("rmax", read("x"))


@dataclass(frozen=True, kw_only=True)
class ClipFactor(_Level):
    """``y = min(1, clip / (sqrt(sum of x) + 1e-6))``: what makes a vector with these squares no longer than `clip`.

    The formula of torch.nn.utils.clip_grad_norm_.
    """

    name: ClassVar = "clip_factor"

    def combined(self) -> Expression:
        """See the class."""
        return minimum(argument("clip") / (sqrt(unary("rsum", read("x"))) + SMALL), 1.0)


def _blocked(count: int, name: str, value: str, writes: tuple[Write, ...]) -> Elementwise:
    """An expression over *count* blocks of the row *value*, which reads as zero behind its end."""
    reads = {name: Access(value, (Index((("b", BLOCK), ("c", 1))),))}
    return Elementwise((("b", count), ("c", BLOCK)), 0, reads, (), writes)
