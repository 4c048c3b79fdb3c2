"""How long a stage takes: cycles of its busiest core and of the DRAM channel, as closed formulas over its loops.

The formulas are those of the replay (`runtime.replay`) for whole tiles, without its queues: what ranks ways to share
the cores out, before anything has run.  A unit that takes turns works beside the others of its core but for the first
turn, in which each waits for the one before it; so a core needs as long as its busiest unit and one turn of each other.
With single buffers no tile comes while another is worked on, and none is made while another leaves: a core needs as
long as what loads and what computes together, or as what makes results and what stores them, and no less than its work
and all that its stage moves, one after the other.
Turns of an engine that are left out since they are empty are those that densities tell; else nothing is taken as zero.
What a barrier costs is not part of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from ...isa.array import accesses
from ...isa.target import Target
from ...numerics.formats import FORMATS
from ..ir.on_core import OnCore
from ..ir.schedule import Buffer, Stage, Step
from ..ir.statement import Contraction, Elementwise, Moments, Window
from .gating import tile_seen

SETUP = 12
"""Cycles in which a unit describes the views of one load or store, about."""

LEAVES = frozenset({"constant", "input", "state", "argument", "index"})
"""Expressions that take the vector unit no turn."""


@dataclass(frozen=True)
class Duration:
    """Cycles: of the busiest *core*, as if no other asked for DRAM, and of the *channel*, which all cores share.

    What moves first and what moves last have to come and to land, which takes the *ends* beside the channel's turns.
    *units* are the turns of each unit of the busiest core, *all_units* those of all cores together.
    """

    core: float
    channel: float
    ends: float
    busiest: float = 0.0
    """Cycles of the busiest engine or vector unit."""

    last: float = 0.0
    """Cycles of work on the tile that comes last, in which the channel has nothing to do."""

    units: Mapping[str, float] = field(default_factory=dict[str, float], compare=False)
    all_units: Mapping[str, float] = field(default_factory=dict[str, float], compare=False)

    @property
    def alone(self) -> float:
        """Cycles of a stage that has the machine for itself."""
        return max(self.core, self.channel + self.ends)

    @property
    def settled(self) -> float:
        """The same until the last tile is worked on, too: what tiles of other sizes are weighed by."""
        return max(self.core, self.channel + self.ends + self.last if self.channel else 0.0)


def duration(stage: Stage, target: Target) -> Duration:
    """Cycles of *stage* from the barrier before it to the one behind it, in one turn of the loops that stages share."""
    stage = stage.taken
    alike: dict[tuple[tuple[int, ...], tuple[bool, ...]], list[int]] = {}
    for core in stage.active:
        alike.setdefault((OnCore(stage, core).share, stage.role(core)), []).append(core)
    turns = [(_Turns(OnCore(stage, cores[0]), target), len(cores)) for cores in alike.values()]
    channel = sum(each.channel * cores for each, cores in turns)
    busiest = max((each for each, _ in turns), key=lambda each: each.cycles)
    units: dict[str, float] = {}
    for each, cores in turns:
        for unit, cycles in each.units.items():
            units[unit] = units.get(unit, 0.0) + cycles * cores
    core = busiest.cycles
    if stage.mapping.rings == 1:
        core = max(core, channel + max(each.work for each, _ in turns))
    ends = 2 * target.dram.latency_cycles if channel else 0
    works, last = (max(cycles) for cycles in zip(*((each.busiest, each.once) for each, _ in turns), strict=True))
    return Duration(core, channel, ends, works, last, busiest.units, units)


def least_work(stage: Stage, target: Target, dense: bool) -> float:
    """Cycles that *stage* takes all cores together at least, however it is mapped: those of its products in an array
    that is as full as its loops can make it, or of its elements in the vector unit.

    What is not *dense* may be left out as far as engines look ahead.
    """
    stage = stage.taken
    statement = stage.statement
    if isinstance(statement, Moments):
        return 0.0
    turns = math.prod(extent for name, extent in stage.extents.items() if name not in stage.shared)
    if not isinstance(statement, Contraction):
        runs = [fused.statement for fused in stage.epilogue]
        times = sum(map(operations, (statement, *runs))) if isinstance(statement, Elementwise) else 1
        return turns * times / target.vector_lanes
    engine, left = target.engines[statement.engine], stage.by_name.get("left")
    counted = left is not None and FORMATS[left.format].kind in ("bit", "unsigned")
    passes = FORMATS[left.format].bits if left is not None and counted else 1
    products = math.prod(extent for name, extent in statement.loops if name not in stage.shared)
    seen = statement.left.loops if statement.left is not None else frozenset[str]()
    wide = _most(statement, statement.target.loops - seen, engine.columns)
    tall = _most(statement, seen if statement.left is not None else statement.right.loops, engine.rows)
    ahead = 1 if dense else max(engine.lookahead, 1)
    return passes * products / (wide * tall * ahead)


def _most(statement: Contraction, loops: Iterable[str], places: int) -> int:
    """How many of so many *places* of an array are in use where one of *loops* lies along them."""
    return min(places, max((statement.extents[name] for name in loops), default=1))


class _Turns:
    """The turns of every unit of one core in a stage, and what it asks of the DRAM *channel*.

    A loop that stages share turns around all of them, so each of its turns begins and ends for itself.
    """

    def __init__(self, on: OnCore, target: Target) -> None:
        self._on = on
        self._target = target
        self._tiles = {name: on.tile(name) or 1 for name in on.extents}
        self.channel = 0.0
        whole: dict[str, float] = {}
        once: dict[str, float] = {}
        setup: dict[str, int] = {}
        for depth, step in on.stage.steps_on(on.core):
            cycles = self._cycles(step)
            inner = on.loops[len(on.stage.shared) : depth]
            turns = math.prod(on.extents[name] / self._tiles[name] for name in inner if name not in step.once)
            if step.kind in ("load", "store"):
                self.channel += turns * (cycles - 1 - target.dram.latency_cycles)
                setup[step.unit] = setup.get(step.unit, 0) + SETUP
            whole[step.unit] = whole.get(step.unit, 0.0) + turns * cycles
            once[step.unit] = once.get(step.unit, 0.0) + cycles
        first = sum(once.values())
        if on.stage.mapping.rings == 1:
            stored, made = whole.get("store", 0.0), whole.get("vector", 0.0)
            before = sum(whole.values()) - stored + once.get("store", 0.0)
            behind = made + stored + first - once.get("store", 0.0) - once.get("vector", 0.0)
            busiest = max(before, behind)
        else:
            busiest = max((whole[unit] + first - once[unit] for unit in whole), default=0.0)
        self.cycles = busiest + sum(setup.values())
        self.units = whole
        self.work = sum(cycles for unit, cycles in whole.items() if unit not in setup)
        self.busiest = max((cycles for unit, cycles in whole.items() if unit not in setup), default=0.0)
        self.once = sum(cycles for unit, cycles in once.items() if unit not in setup)

    def _cycles(self, step: Step) -> float:
        """Cycles of one turn of *step*."""
        on, target = self._on, self._target
        buffers = on.stage.by_name
        match step.kind:
            case "load" | "store":
                moved = self._moved(buffers[(step.writes or step.reads)[0]])
                return 1 + target.dram.latency_cycles + moved * 8 / target.dram.bits_per_cycle
            case "contract":
                engine = target.engines[step.unit]
                tile, _ = tile_seen(on.stage, step, self._tiles, target)
                gating = on.stage.gating_of(step.part)
                return 1 + gating.cycles(accesses(tile, engine).cycles, engine.lookahead)
            case "multicast" | "receive":
                buffer = buffers[(step.writes or step.reads)[0]]
                tiles = self._within(buffer)
                extents = [axis.extent(tiles) for axis in buffer.axes]
                carried = math.prod(extents) * FORMATS[buffer.format].bits / target.link.bits_per_cycle
                return 1 + carried + (len(on.stage.fellows(buffer.name, on.core)) if step.kind == "multicast" else 0)
            case "gather":
                buffer = buffers[step.reads[0]]
                words = math.prod(buffer.extents) * FORMATS[buffer.format].bits
                taken = len(on.stage.adding(on.core)) if on.stage.completes(on.core) else 1
                return taken * (1 + words / target.link.bits_per_cycle)
            case _:
                return 1 + math.ceil(self._elements(step) / target.vector_lanes) * self._operations(step)

    def _within(self, buffer: Buffer) -> Mapping[str, int]:
        """Extents of all loops in what is moved of a buffer at once."""
        return self._tiles | {name: self._on.stage.extents[name] for name in buffer.whole}

    def _moved(self, buffer: Buffer) -> float:
        """Bytes, in whole granules, of a tile that lies in DRAM in runs of neighbours, or in blocks."""
        tiles = self._within(buffer)
        if (stored := buffer.stored) is not None:
            boxes = zip(buffer.axes, stored.blocks, strict=True)
            met = math.prod(-(-min(axis.extent(tiles), axis.bound) // block) for axis, block in boxes)
            return met * stored.moved
        granule, run, runs, whole = self._target.dram.granule_bytes, 1, 1, True
        for axis in reversed(buffer.axes):
            extent = min(axis.extent(tiles), axis.bound) if axis.terms else 1
            if whole and axis.step == 1:
                run *= extent
                whole = extent == axis.bound
            else:
                runs, whole = runs * extent, False
        bits = run * FORMATS[buffer.format].bits
        return runs * granule * math.ceil(bits / (8 * granule))

    def _elements(self, step: Step) -> int:
        """Elements that one instruction of the vector unit makes, or takes where it looks at windows."""
        stage = self._on.stage
        if isinstance(stage.statement, Elementwise | Window):
            return math.prod(self._tiles.values())
        return math.prod(stage.by_name[step.writes[0]].extents)

    def _operations(self, step: Step) -> int:
        """Turns of the vector unit for each element."""
        stage = self._on.stage
        if step.kind != "run":
            return 1
        return operations(stage.run_by(step))


def operations(statement: Elementwise) -> int:
    """Turns that a statement takes the vector unit for each element, about."""
    return max(1, sum(op not in LEAVES for op in statement.operators))
