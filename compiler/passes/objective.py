"""What the search may make least beside bytes: a measure, exact for one tiling and bounded from below for whole grids.

The bound is never above the cost, so what `weighing` leaves out by it is no better than what it has found.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

from ...isa.target import Target
from ..cost.boxes import Moved, moved
from .legality import Tiles
from .survey import Ordered, Survey


class Cost(NamedTuple):
    """What a tiling costs, or many of them as arrays: the *measure*, and among equals what *ties* are broken by."""

    measure: Any
    ties: Any


class Objective(ABC):
    """A measure that mappings are chosen by."""

    word: ClassVar[str]
    """What it is called on the command line."""

    both_rings: ClassVar[bool] = False
    """Whether single buffers are weighed where double ones fit; else they are for what does not fit otherwise."""

    @abstractmethod
    def bound(self, survey: Survey, order: tuple[str, ...], tiles: Tiles, dram: Any, useful: Any) -> Cost:
        """The least that *tiles* cost, integers or arrays, which move at least so many bytes of *dram* bursts and of
        *useful* elements."""

    @abstractmethod
    def cost(self, survey: Survey, ordered: Ordered, tiles: dict[str, int]) -> Cost:
        """What a tiling costs, exactly."""

    @abstractmethod
    def told(self, cost: Cost) -> float:
        """The measure in its unit: cycles, picojoules."""

    def check(self, target: Target) -> None:
        """TargetError where *target* does not say what it takes."""
        del target


def moves_of(survey: Survey, order: tuple[str, ...], tiles: dict[str, int]) -> Moved:
    """What a tiling moves, exactly."""
    granule = survey.space.request.target.dram.granule_bytes
    useful = dram = port = 0
    loops = survey.loops_of(order, tiles)
    for operand, many in survey.kinds:
        turning, strides = survey.turning_of(loops, operand, tiles), operand.dram_strides
        found = moved(operand.axes, strides, operand.format.bits, turning, 0, granule)
        useful, dram, port = useful + many * found.useful, dram + many * found.dram, port + many * found.port
    return Moved(useful, dram, port)
