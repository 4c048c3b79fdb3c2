"""How values lie in DRAM: each element at its place, or in blocks, by a codec that the density decides.

Blocks are boxes of one sample and time step whose borders no store crosses, so that cores write blocks of their own,
each as a whole.  Among those of the sizes that a profile looks at, and all codecs that hold the format, the one that
moves the fewest predicted bytes in a training step is taken, if these are fewer than without.  The host writes inputs
in any blocks.  What it reads, what lasts from entry to entry, and what a stage reads and writes anew stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import NamedTuple

import numpy as np

from ...catalog import unknown
from ...isa.codecs.codec import CODECS
from ...isa.grid import LARGEST_BLOCK, Grid, block_bytes
from ...isa.program import Symbol
from ...isa.target import Target
from ...source import NOWHERE, Faults, SourceError
from ..cost.coded import block_of, coded_bytes, slices_met
from ..cost.density import Densities, Tile, tiles_of
from ..cost.predict import plain
from ..cost.room import aliases_of
from ..cost.slices import Slices, joined, slices_of
from ..ir.graph import Training
from ..ir.on_core import OnCore
from ..ir.schedule import Buffer, Coding, Schedule, Stage
from ..ir.statement import Elementwise
from ..ir.types import Type
from .layout import DramValue, roles, symbol_of

TRAIN = "train_step"
CODED_ROLES = ("value", "tape", "input")
"""Roles of values that may be stored in blocks."""


@dataclass(frozen=True)
class Force:
    """``NAME=CODEC``: values whose names match *name* (a pattern may hold * and ?) get that codec."""

    name: str
    codec: str
    text: str

    @property
    def exact(self) -> bool:
        """Whether it names one value, and not a pattern of them."""
        return not set("*?[") & set(self.name)


class Moves(NamedTuple):
    """All that one load or store of a stage moves of a value, on all *cores* that have it, in an entry."""

    entry: str
    writes: bool
    stage: Stage
    cores: tuple[OnCore, ...]
    buffer: Buffer


@dataclass
class Value:
    """A value in DRAM: its type, and all that is moved of it.  *stays* says why it is stored as it is, if it must."""

    name: str
    type: Type
    stays: str = ""
    moves: list[Moves] = field(default_factory=list[Moves])

    @property
    def counted(self) -> list[Moves]:
        """What a training step moves; where that is nothing, what others do."""
        return [move for move in self.moves if move.entry == TRAIN] or self.moves

    def slices(self, moves: Iterable[Moves]) -> Slices:
        """What is moved, without time and samples."""
        memory = len(self.type.memory)
        return joined([slices_of(on, move.buffer, memory) for move in moves for on in move.cores])


def parse_codecs(texts: Iterable[str]) -> tuple[Force, ...]:
    """What ``--codec`` says; a SourceError tells of everything that is wrong with it."""
    found: list[Force] = []
    with Faults(SourceError) as faults:
        for text in texts:
            name, equals, codec = text.rpartition("=")
            if not equals or not name:
                faults.add(NOWHERE, f"--codec {text}: expected NAME=CODEC, such as 'd.*=nonzero'")
            elif codec not in CODECS:
                faults.add(NOWHERE, f"--codec {text}: {unknown('codec', codec, CODECS)}")
            else:
                found.append(Force(name, codec, text))
    return tuple(found)


def force_of(name: str, forced: tuple[Force, ...]) -> Force | None:
    """What was asked for a value, the last one that speaks of it."""
    return next((force for force in reversed(forced) if fnmatchcase(name, force.name)), None)


def choose_codings(
    training: Training, schedule: Schedule, target: Target, densities: Densities, forced: tuple[Force, ...]
) -> dict[str, Coding]:
    """The codec and the blocks of every value that has any; SourceError where a codec is forced that cannot be."""
    if not densities.values and not forced:
        return {}
    values = values_in_dram(training, schedule)
    found: dict[str, Coding] = {}
    with Faults(SourceError) as faults:
        for force in forced:
            matching = [value for value in values.values() if fnmatchcase(value.name, force.name)]
            if not matching:
                faults.add(NOWHERE, f"--codec {force.text}: {unknown('value in DRAM', force.name, values)}")
            elif force.exact and not CODECS[force.codec].fixed and matching[0].stays:
                faults.add(NOWHERE, f"--codec {force.text}: {force.name} {matching[0].stays}")
        for value in values.values():
            force = force_of(value.name, forced)
            if value.stays or (force is not None and CODECS[force.codec].fixed):
                continue
            if force is None and value.name not in densities.values:
                continue
            names = [force.codec] if force is not None else [name for name in CODECS if not CODECS[name].fixed]
            coding = _best(value, names, training, schedule, target, densities)
            if coding is None:
                if force is not None and force.exact:
                    faults.add(NOWHERE, f"--codec {force.text}: {_why(value, force)}")
            elif force is not None or coding.dram < coding.plain:
                found[value.name] = coding
    return found


def _why(value: Value, force: Force) -> str:
    """Why no blocks could be found for a codec."""
    if not CODECS[force.codec].unit(value.type.kind):
        return f"{force.codec} does not hold {value.type.format}, the format of {value.name}"
    return f"the stores of {value.name} share no blocks: their tiles cross the borders of all"


def _best(
    value: Value,
    names: list[str],
    training: Training,
    schedule: Schedule,
    target: Target,
    densities: Densities,
) -> Coding | None:
    """The codec and the blocks with the fewest bytes, as far as slices tell, and their number; None without any."""
    granule, memory = target.dram.granule_bytes, value.type.memory
    density, moved = densities.of(value.name), value.slices(value.counted)

    def symbol(coding: Coding | None) -> Symbol:
        room, apart = schedule.rooms.get(value.name), value.name in schedule.handed
        made = DramValue(value.name, value.type, "value", "", room, coding, apart)
        return symbol_of(made, training.steps, training.batch, 0, granule)

    holding = [name for name in names if CODECS[name].unit(value.type.kind)]
    found: list[tuple[float, Coding]] = []
    for tile in _tiles(value) if holding else ():
        lead = (1,) * (value.type.timed + value.type.batched)
        blocks, entries = slices_met(moved, tile, memory, granule)
        for name in holding:
            coding = Coding(name, (*lead, *tile))
            grid = Grid.of(name, value.type.kind, (*lead, *memory), coding.blocks, granule)
            found.append((blocks * block_of(grid, len(memory), density, granule).moved + entries, coding))
    if not found:
        return None
    _, best = min(found, key=lambda each: each[0])
    coded, as_it_is = symbol(best), symbol(None)
    dram = before = 0
    for move in value.counted:
        dram += coded_bytes(move.cores, move.buffer, coded, density, granule)[1]
        before += plain(move.stage, move.cores, move.buffer, as_it_is, granule).dram
    return replace(best, dram=dram, plain=before)


def _tiles(value: Value) -> Iterator[Tile]:
    """Blocks, without time and samples, whose borders no store of the value crosses, small ones first."""
    memory = value.type.memory
    writes = [move for move in value.moves if move.writes]
    for tile in tiles_of(memory):
        if block_bytes(tile, value.type.kind) <= LARGEST_BLOCK and (
            not writes or _whole(value.slices(writes), tile, memory)
        ):
            yield tile


def _whole(stores: Slices, tile: Tile, memory: tuple[int, ...]) -> bool:
    """Whether all *stores* are made of whole blocks of *tile*."""
    ends, size = stores.lows + stores.steps * (stores.lengths - 1) + 1, np.array(tile)
    whole = (stores.lows % size == 0) & ((ends % size == 0) | (ends == np.array(memory))) & (stores.steps == 1)
    return bool((whole | (size == 1)).all())


def values_in_dram(training: Training, schedule: Schedule) -> dict[str, Value]:
    """Every value in DRAM with all that is moved of it."""
    aliases, role = aliases_of(training), roles(training, aliases_of(training))
    known: Mapping[str, Type] = training.types | dict(schedule.types)
    found: dict[str, Value] = {}
    for name, type in known.items():
        value = found[name] = Value(name, type)
        part = role.get(name, "value")
        if part not in CODED_ROLES:
            value.stays = f"stays as it is: its role is {part}"
        elif not type.batched:
            value.stays = "stays as it is: samples share it"
    for entry, stages in schedule.entries.items():
        for stage in (stage.taken for stage in stages):
            buffers = stage.by_name
            states = (s for each in stage.statements if isinstance(each, Elementwise) for s in each.states)
            for home in (state.home for state in states if state.home is not None):
                found[aliases.get(home.value, home.value)].stays = "stays as it is: it is a state"
            for _, step in stage.steps():
                if step.kind not in ("load", "store"):
                    continue
                name = aliases.get(step.value, step.value)
                buffer = buffers[(step.writes or step.reads)[0]]
                value = found[name]
                if tuple(axis.bound for axis in buffer.axes)[-len(value.type.memory) :] != value.type.memory:
                    value.stays = "stays as it is: others see it with other axes"
                elif not value.stays:
                    cores = tuple(OnCore(stage, core) for core in stage.active if stage.has(step, core))
                    value.moves.append(Moves(entry, step.kind == "store", stage, cores, buffer))
    for value in found.values():
        if not value.stays and role.get(value.name) != "input" and not any(move.writes for move in value.moves):
            value.stays = "stays as it is: nothing stores it"
    return found
