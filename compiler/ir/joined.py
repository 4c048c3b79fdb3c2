"""What joins the stage of another statement: an epilogue, which goes on with its results, or a sum beside its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...source import NOWHERE, Place
from .gating import ALL_TURNS, Gating
from .statement import Contraction, Elementwise


@dataclass(frozen=True)
class Joined:
    """A statement that takes tiles of a stage while they are on the core, and walks the loops of the stage.

    *node* is what made it in the graph, by the operator *op*.  *taken* gives the buffer of the stage that holds each of
    its operands that come from there, by use; all others have buffers of their own, see `use_in`.
    """

    node: str
    op: str
    layer: str
    phase: str
    statement: Elementwise | Contraction
    taken: Mapping[str, str]
    place: Place = field(default=NOWHERE, compare=False)
    saves: float = 0
    """What is not spent, in the unit of the objective, since it is no stage of its own: DRAM bytes that are not moved,
    if nothing else was asked for."""

    def buffer_of(self, use: str, part: int) -> str:
        """The buffer of an operand, where the statement is that part of its stage."""
        return self.taken.get(use) or use_in(part, use)


@dataclass(frozen=True)
class Fused(Joined):
    """A statement of an epilogue: it takes tiles that the stage has just made."""

    statement: Elementwise


@dataclass(frozen=True)
class Beside(Joined):
    """A sum of what the stage multiplies on the right: it reads each tile for which the stage's own sum is formed.

    Its loops are those of that operand.  While others turn, the same tiles come again: inside the place where its
    accumulator begins only their first turn counts, outside of it the whole sum is formed again, and stored again.  Of
    cores that share such a loop those with its first part have the sum.
    """

    statement: Contraction
    gating: Gating = ALL_TURNS
    """What the engine leaves out of it."""


def use_in(part: int, use: str) -> str:
    """What an operand is called beside those of the other statements of its stage: ``1.out0``."""
    return f"{part}.{use}" if part else use


def part_of(buffer: str) -> int:
    """The part of its stage that a buffer of this name belongs to."""
    part, dot, _ = buffer.partition(".")
    return int(part) if dot and part.isdecimal() else 0


def roots_of(joined: Sequence[Joined]) -> tuple[int, ...]:
    """For each part of a stage, its own statement first, the sum that it is, or that it goes on with: 0 for the stage's
    own, else the part that is a sum beside it."""
    roots = [0]
    for part, each in enumerate(joined, 1):
        taken = [roots[part_of(buffer)] for buffer in each.taken.values()]
        roots.append(part if isinstance(each, Beside) else max(taken, default=0))
    return tuple(roots)
