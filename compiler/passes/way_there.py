"""The way there of a training step: what runs, and what errors meet of it on their way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..ir.graph import Node
from ..ir.types import Type


@dataclass(frozen=True)
class WayThere:
    """*nodes* that run, and those that errors *meet*; both in the order of data, with the types of all values.

    Where a value is made once more, for errors to meet, *others* tells by what name they meet it, and *told* what that
    is.  What is met and no node of *nodes* runs behind them.
    """

    nodes: Sequence[Node]
    types: Mapping[str, Type]
    met: Sequence[Node]
    others: Mapping[str, str] = field(default_factory=dict[str, str])
    told: str = "{} made again"

    @property
    def names(self) -> dict[str, str]:
        """Every name that is made for this, with what it is."""
        return {made: self.told.format(value) for value, made in self.others.items()}
