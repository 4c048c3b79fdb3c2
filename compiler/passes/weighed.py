"""Tiles and codecs, each weighed beside the other: what moves the fewest predicted bytes is taken.

Which codec and which blocks a value is worth depends on the tiles that its stages move, and which tiles are worth most
on the blocks.  So stages are mapped several times, each time with all values in blocks that were found before, whose
cost the search then knows (`cost.coded`): a tile of blocks that are often empty moves less than a square one.  Codecs
are then chosen anew for the tiles that came of it.  It begins with each element at its place, and with the blocks that
would be best if every tile were made of whole ones; it ends where nothing gets better.

Who shares the cores is chosen by cycles, and these by what is left out of work that is sparse; so stages that share
them as if nothing were sparse are weighed, too: what densities tell never costs bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

from ...isa.codecs.codec import CODECS
from ...isa.grid import ENTRY_BYTES, LARGEST_BLOCK, Grid, block_bytes
from ...isa.program import Symbol
from ...isa.target import Target
from ...numerics.formats import row_bytes
from ...source import TargetError
from ..cost.coded import block_of
from ..cost.density import Densities, tiles_of
from ..cost.predict import predict
from ..cost.room import aliases_of
from ..ir.graph import Training
from ..ir.schedule import Coding, Schedule
from ..ir.stored import Stored
from ..ir.types import Type
from .coding import TRAIN, Force, choose_codings, force_of, values_in_dram
from .layout import DramValue, seen_as, symbol_of

ROUNDS = 4
"""How often stages are mapped at most, beside the first time."""

ABOUT = 1.05
"""Blocks that move no more than so many times the fewest bytes are as good: the smallest leave tiles most freedom."""


def weighed(
    training: Training,
    target: Target,
    densities: Densities,
    forced: tuple[Force, ...],
    mapped: Callable[[Mapping[str, Stored]], Schedule],
    as_dense: Callable[[], Schedule],
) -> Schedule:
    """The schedule of the fewest predicted bytes, with its codecs.

    *mapped* makes one for values that are so stored; *as_dense* one of stages that share the cores as if nothing were
    sparse.
    """

    def with_codecs(schedule: Schedule) -> tuple[int, Schedule]:
        codings = choose_codings(training, schedule, target, densities, forced)
        found = replace(schedule, codings=codings)
        return (moved_by(training, found, target, densities) if codings else 0), found

    least, best = with_codecs(mapped({}))
    if best.codings:
        moved, found = with_codecs(as_dense())
        if moved < least and found.codings:
            least, best = moved, found
    tried: list[Mapping[str, Stored]] = [{}]
    begin = promising(training, best, target, densities, forced) if best.codings else {}
    for _ in range(ROUNDS):
        stored = stored_of(training, target, densities, begin)
        if stored in tried:
            break
        tried.append(stored)
        try:
            moved, found = with_codecs(mapped(stored))
        except TargetError:
            break
        if moved < least and found.codings:
            least, best = moved, found
        begin = best.codings
    return best


def stored_of(
    training: Training, target: Target, densities: Densities, codings: Mapping[str, Coding]
) -> dict[str, Stored]:
    """How values of *codings*, under all of their names, lie in DRAM."""
    granule = target.dram.granule_bytes
    types = _types(training)
    found: dict[str, Stored] = {}
    for name, coding in codings.items():
        type = types[name]
        grid = _grid(type, coding, granule)
        block = block_of(grid, len(type.memory), densities.of(name), granule)
        found[name] = Stored(coding.codec, coding.blocks, block.moved)
    for alias, home in aliases_of(training).items():
        if home in found and types[alias].memory == types[home].memory:
            found[alias] = found[home]
    return found


def promising(
    training: Training, schedule: Schedule, target: Target, densities: Densities, forced: tuple[Force, ...]
) -> dict[str, Coding]:
    """The codec and the blocks that each value would have if every tile were made of whole blocks."""
    granule, found = target.dram.granule_bytes, dict[str, Coding]()
    for value in values_in_dram(training, schedule).values():
        force = force_of(value.name, forced)
        if value.stays or value.name not in densities.values or (force is not None and CODECS[force.codec].fixed):
            continue
        memory, kind = value.type.memory, value.type.kind
        names = [force.codec] if force is not None else [name for name in CODECS if not CODECS[name].fixed]
        offers: list[tuple[float, Coding]] = []
        for tile in (tile for tile in tiles_of(memory) if block_bytes(tile, kind) <= LARGEST_BLOCK):
            blocks = (1,) * (value.type.timed + value.type.batched) + tile
            count = math.prod(-(-extent // block) for extent, block in zip(memory, tile, strict=True))
            for name in (name for name in names if CODECS[name].unit(kind)):
                coding = Coding(name, blocks)
                block = block_of(_grid(value.type, coding, granule), len(memory), densities.of(value.name), granule)
                offers.append((count * (block.moved + ENTRY_BYTES), coding))
        least = min((moved for moved, _ in offers), default=math.inf)
        if least < math.prod(memory[:-1]) * row_bytes(memory[-1], kind):
            found[value.name] = next(coding for moved, coding in offers if moved <= ABOUT * least)
    return found


def moved_by(training: Training, schedule: Schedule, target: Target, densities: Densities) -> int:
    """Predicted bytes of DRAM bursts of a training step; of all entries where there is none."""
    granule, types = target.dram.granule_bytes, _types(training)
    symbols: dict[str, Symbol] = {}
    for name, type in {**training.types, **schedule.types}.items():
        value = DramValue(name, type, "value", "", schedule.rooms.get(name), schedule.codings.get(name))
        symbols[name] = symbol_of(value, training.steps, training.batch, 0, granule)
    aliases = aliases_of(training).items()
    symbols |= {alias: seen_as(symbols[home], types[alias]) for alias, home in aliases if home in symbols}
    entries = [schedule.entries[TRAIN]] if TRAIN in schedule.entries else [*schedule.entries.values()]
    return sum(predict(stages, symbols, target, densities)["dram"]["total"] for stages in entries)


def _types(training: Training) -> dict[str, Type]:
    return {name: type for procedure in training.procedures for name, type in training.values(procedure).items()}


def _grid(type: Type, coding: Coding, granule: int) -> Grid:
    """The grid of one sample in one time step."""
    lead = (1,) * (type.timed + type.batched)
    return Grid.of(coding.codec, type.kind, (*lead, *type.memory), coding.blocks, granule)
