"""The fewest cycles: of the busiest core and of the DRAM channel, by the formulas of `cost.duration`.

With double buffers a stage lasts as long as its busiest unit, or as its bytes take the channel; with single ones units
wait for one another.  Both are weighed, since single buffers have room for larger tiles.

The bound of a tiling follows the same formulas: its least bytes over the width of the channel, and for each unit its
turns with what each takes at least.  A load or store takes its latency and the bits that it wants, an engine its
products over the array as well as any loops can lie on it, the vector unit its elements over all lanes.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import numpy as np

from ...numerics.formats import FORMATS
from ..cost.duration import SETUP, duration, operations
from ..ir.decision import Explanation
from ..ir.joined import roots_of
from ..ir.schedule import ALWAYS
from ..ir.statement import Contraction, Elementwise, Moments
from .build_stage import build_stage
from .legality import Tiles
from .mapping import Mapped
from .objective import Cost, Objective, moves_of
from .operands import Operand
from .repeats import TURNS, turns_of
from .request import Request
from .survey import Ordered, Survey

PARTS = 1 << 10
"""Cycles are compared in parts of one, so that sums in another order tie."""


class FewestCycles(Objective):
    """The fewest cycles; of equals the tiling with the fewest bytes of DRAM, then the fewest turns."""

    word = "cycles"
    both_rings = True

    def bound(self, survey: Survey, order: tuple[str, ...], tiles: Tiles, dram: Any, useful: Any) -> Cost:
        request = survey.space.request
        memory, shared = request.target.dram, _shared(request)
        channel = dram * 8 / (memory.bits_per_cycle * shared) + 2 * memory.latency_cycles * (dram > 0)
        cycles = shared * np.maximum(channel, _Least(survey, order, tiles).cycles)
        return Cost(_parts(cycles), dram * TURNS + turns_of(survey.space, order, tiles))

    def cost(self, survey: Survey, ordered: Ordered, tiles: dict[str, int]) -> Cost:
        request = survey.space.request
        stage = build_stage(Mapped(request, survey.decision(ordered, tiles), Explanation(0)))
        moved, shared = moves_of(survey, ordered.order, tiles).dram, _shared(request)
        channel = moved * 8 / (request.target.dram.bits_per_cycle * shared)
        lasts = duration(stage, request.target)
        cycles = shared * max(lasts.core, channel + lasts.ends)
        return Cost(int(_parts(cycles)), moved * TURNS + int(turns_of(survey.space, ordered.order, tiles)))

    def told(self, cost: Cost) -> float:
        return cost.measure / PARTS


def _parts(cycles: Any) -> Any:
    """Cycles as whole parts of one."""
    return np.floor(cycles * PARTS + 0.5).astype(np.int64)


def _shared(request: Request) -> int:
    """Turns of the loops that stages share."""
    return prod(request.extents[name] for name in request.shared)


class _Least:
    """What each unit of the busiest core needs at least, in one turn of the loops that stages share."""

    def __init__(self, survey: Survey, order: tuple[str, ...], tiles: Tiles) -> None:
        self._survey, self._order = survey, order
        self._extents = survey.space.extents
        self._tiles = {name: np.minimum(tiles[name], extent) for name, extent in self._extents.items()}
        self._steps: dict[str, list[tuple[Any, Any]]] = {}
        self._moves()
        self._work()

    @property
    def cycles(self) -> Any:
        """Those of the core."""
        once = {unit: sum(each for _, each in steps) for unit, steps in self._steps.items()}
        whole = {unit: sum(turns * each for turns, each in steps) for unit, steps in self._steps.items()}
        setup = SETUP * sum(len(self._steps.get(unit, ())) for unit in ("load", "store"))
        first = sum(once.values())
        if self._survey.rings == 1:
            stored, made = whole.get("store", 0.0), whole.get("vector", 0.0)
            before = sum(whole.values()) - stored + once.get("store", 0.0)
            behind = made + stored + first - once.get("store", 0.0) - once.get("vector", 0.0)
            return np.maximum(before, behind) + setup
        busiest: Any = 0.0
        for unit in whole:
            busiest = np.maximum(busiest, whole[unit] + first - once[unit])
        return busiest + setup

    def _add(self, unit: str, followed: Iterable[str], cycles: Any) -> None:
        """A step of *unit* inside the loops of *followed* that are instructions takes so many *cycles* a turn."""
        names = frozenset(followed)
        turns: Any = 1.0
        around: Any = np.bool_(False)
        for name in reversed(self._order):
            extent, tile = self._extents[name], self._tiles[name]
            if name in names:
                around = around | np.less(tile, extent) | (name in ALWAYS)
            if name not in self._survey.space.request.shared:
                turns = turns * np.where(around, extent / np.maximum(tile, 1), 1.0)
        self._steps.setdefault(unit, []).append((turns, cycles))

    @property
    def _even(self) -> bool:
        """Whether all cores that have work have as much of it."""
        return len({extent for _, extent in self._survey.space.split.shares if extent}) == 1

    def _moves(self) -> None:
        """Loads and stores: the latency, and the bits of the largest tile that lie in its value.

        What one core may load for all, or store for all, the busiest need not be the one to move, if shares differ.
        """
        space = self._survey.space
        dram = space.request.target.dram
        even = self._even
        gathers = space.request.adds(space.split.loop)
        for operand in self._survey.moving:
            of_one = operand.first or ((operand.writes or operand.part) and gathers)
            if even or not (of_one or space.shareable(operand)):
                cycles = 1 + dram.latency_cycles + self._bits(operand) / dram.bits_per_cycle
                self._add("store" if operand.writes else "load", operand.loops, cycles)
            if even and space.shareable(operand):
                elements: Any = prod(operand.extents(self._tiles), start=1.0)
                carried = elements * operand.format.bits / space.request.target.link.bits_per_cycle
                self._add("router", operand.loops, 1 + carried + space.split.active)

    def _bits(self, operand: Operand) -> Any:
        bits: Any = float(operand.format.bits)
        tiles = self._tiles | dict(operand.whole)
        for axis in operand.axes:
            length: Any = 1
            for name, c in axis.terms:
                length = length + abs(c) // axis.step * (tiles[name] - 1)
            bits = bits * np.minimum(length, axis.bound)
        return bits

    def _work(self) -> None:
        request = self._survey.space.request
        statement, even = request.statement, self._even
        own = [name for name in self._order if name not in request.later]
        if isinstance(statement, Contraction | Moments):
            self._add(statement.engine, own, 1 + self._array())
        written = [operand for operand in self._survey.space.operands if operand.writes]
        made = [operand for operand in written if operand.part == 0]
        if isinstance(statement, Contraction):
            if not statement.partial:  # else nothing is drained
                self._add("vector", made[0].loops, self._run(made[0], 1))
        elif isinstance(statement, Elementwise):
            self._add("vector", own, self._run(None, operations(statement)))
        roots = roots_of(request.joined)
        for part, fused in enumerate(request.epilogue, 1 + len(request.beside)):
            one = next((operand for operand in written if operand.part == part), None)
            if one is not None and (even or not one.first):
                around = [operand.loops for operand in written if operand.part == roots[part]]
                beside = self._order if request.later else frozenset[str]().union(*around)
                whole = isinstance(statement, Elementwise)
                self._add("vector", beside, self._run(None if whole else one, operations(fused.statement)))

    def _run(self, made: Operand | None, times: int) -> Any:
        """Cycles of the vector unit for so many operations on what is *made*, or else on all that loops turn over."""
        extents = self._tiles.values() if made is None else made.extents(self._tiles)
        elements: Any = prod(extents, start=1.0)
        return 1 + np.ceil(elements / self._survey.space.request.target.vector_lanes) * times

    def _array(self) -> Any:
        """Turns of the array for the products of a tile, where its columns and rows take whatever loops fill them."""
        request = self._survey.space.request
        statement = request.statement
        assert isinstance(statement, Contraction | Moments)
        engine = request.target.engines[statement.engine]
        size: Any = prod((self._tiles[name] for name in statement.extents), start=1.0)
        if isinstance(statement, Moments):
            return size / (engine.rows * engine.columns)
        left = frozenset[str]() if statement.left is None else statement.left.loops
        wide = [name for name in statement.target.loops if name not in left]
        tall = statement.right.loops if statement.left is None else left
        operand = next((each for each in self._survey.space.operands if each.use == "left"), None)
        counted = operand is not None and FORMATS[operand.format.name].kind in ("bit", "unsigned")
        passes = operand.format.bits if operand is not None and counted else 1
        return passes * size * self._filled(wide, engine.columns) * self._filled(tall, engine.rows)

    def _filled(self, loops: Iterable[str], places: int) -> Any:
        """The least turns an element where one of *loops* lies along so many *places*."""
        least: Any = 1.0
        for name in loops:
            tile = np.maximum(self._tiles[name], 1)
            least = np.minimum(least, -(-tile // places) / tile)
        return least
