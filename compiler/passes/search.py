"""The search: all tilings of a statement in one order of loops, weighed at once as arrays.

Bytes of every operand, how often it is moved, and what the scratchpads must hold.  The winner moves the fewest bytes,
where a move counts as one granule more.  These bytes are an estimate (full tiles, no alignment) that ranks candidates;
`cost.predict` then gives the exact figure of the winner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..ir.schedule import ALWAYS, Decision
from ..ir.statement import TIME
from .legality import legal_tiles
from .operands import Operand, turns
from .request import Request
from .space import cuttable, sizes_of
from .split import Split


@dataclass(frozen=True)
class Choice:
    """The best tiling in one order and split: what it costs, the bytes that it moves, and how many were looked at."""

    mapping: Decision
    cost: float
    dram: int
    feasible: int
    candidates: int


@dataclass(frozen=True)
class Shortage:
    """Why no tiling in one order and split fits: bytes that the best of them asks of a memory, and what it has."""

    demand: int
    capacity: int
    memory: str
    roles: str


def search(
    request: Request, operands: tuple[Operand, ...], split: Split, dataflow: str, order: tuple[str, ...]
) -> Choice | Shortage:
    """The tiling of *split* that moves the fewest bytes while loops turn in *order*, or why there is none."""
    statement, target, pin = request.statement, request.target, request.pin
    extents = dict(statement.extents)
    if split.loop is not None:
        extents[split.loop] = split.largest
    free = cuttable(statement)
    names = list(extents)
    options = [
        sizes_of(n, extents[n], n in TIME or (n not in free), pin.tiles.get(n) if n in free else None) for n in names
    ]
    grids = np.meshgrid(*(np.array(sizes, np.int64) for sizes in options), indexing="ij")
    tiles = {name: grid.ravel() for name, grid in zip(names, grids, strict=True)}
    count = len(next(iter(tiles.values())))
    legal = legal_tiles(request, operands, order, tiles, extents, count)
    there = {n: np.full(count, True) if n in ALWAYS else tiles[n] < extents[n] for n in order}
    trips = {n: np.maximum(turns(extents[n], tiles[n]), 1) for n in order}

    demand = {k: np.zeros(count, np.int64) for k in range(len(target.memories))}
    roles: dict[int, set[str]] = {}
    dram = np.zeros(count, np.int64)
    moves = np.zeros(count, np.int64)
    for operand in operands:
        size = operand.bytes(tiles) + np.zeros(count, np.int64)
        repeats = np.ones(count, np.int64)
        below = np.zeros(count, bool)
        for name in reversed(order):
            below = below | (there[name] & (name in operand.loops))
            repeats = repeats * np.where(below, trips[name], 1)
        homes = target.memory_for(operand.role)
        if not homes:
            return Shortage(int(size.min()), 0, "", operand.role)
        ring = np.where(below & operand.doubled, 2, 1)
        demand[homes[0]] += size * ring
        roles.setdefault(homes[0], set()).add(operand.role)
        if operand.moves:
            dram += operand.dram_bytes(tiles) * repeats
            moves += repeats
    if not legal.any():
        return Shortage(0, 0, "", "")
    fits = np.full(count, True)
    for home, need in demand.items():
        fits &= need <= target.memories[home].bytes
    good = legal & fits
    if not good.any():
        over = {h: need - target.memories[h].bytes for h, need in demand.items() if h in roles}
        worst = np.max(np.stack(list(over.values())), axis=0)
        pick = int(np.argmin(np.where(legal, worst, np.iinfo(np.int64).max)))
        home = max(over, key=lambda h: int(over[h][pick]))
        memory = target.memories[home]
        return Shortage(int(demand[home][pick]), memory.bytes, memory.name, ", ".join(sorted(roles[home])))
    cost = np.where(good, (dram + moves * target.dram.granule_bytes) * split.active, np.iinfo(np.int64).max)
    pick = int(np.argmin(cost))
    chosen = {name: int(tiles[name][pick]) for name in names}
    shares = split.shares if split.loop is not None else tuple((0, int(core == 0)) for core in range(request.cores))
    mapping = Decision(dataflow, order, chosen, split.loop, shares)
    return Choice(mapping, float(cost[pick]), int(dram[pick]) * split.active, int(good.sum()), count)
