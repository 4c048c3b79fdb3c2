"""Mapping: for one statement, choose dataflow, split over cores and tile sizes by the DRAM bytes that they move.

Splits that leave the busiest core with more than a quarter above the least possible work are not looked at: cycles
come first there.  What wins among the rest is told with its runner-up; where nothing fits, what would is told.
Buffers are double where that fits at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import NamedTuple

import numpy as np

from ...source import TargetError
from ..cost.duration import Duration
from ..ir.decision import Decision, Explanation, Rivals
from .admission import check_machine
from .legality import legal_tiles
from .looked import Looked
from .objective import Objective
from .repeats import TURNS
from .request import Request
from .search import Choice, best_of
from .side_by_side import compulsory, holds, wholes_of
from .space import Space, orders_of, space_of
from .split import Split, named, shareable, shares, splits, summable
from .survey import Front, Ordered
from .weighing import ranked

Chosen = tuple[Decision, Explanation]
"""What was chosen, and why."""


@dataclass(frozen=True)
class Mapped:
    """A request with what was chosen for it, and why."""

    request: Request
    decision: Decision
    explanation: Explanation


@dataclass
class Mapper:
    """Maps requests; what is alike in all that bears on the mapping is searched once."""

    objective: Objective | None = None
    """What it maps by; None for the fewest bytes."""

    known: dict[object, Chosen] = field(default_factory=dict[object, "Chosen"])
    nearby: dict[object, Chosen | None] = field(default_factory=dict[object, "Chosen | None"])
    """What `near` has found, by what bears on it."""

    lasting: dict[object, Duration] = field(default_factory=dict[object, Duration])
    """How long stages last, by what bears on it (see `ways`)."""

    def choose(self, request: Request) -> Mapped:
        """The mapping of a request; TargetError where none fits the machine."""
        key = request.likeness
        if key not in self.known:
            self.known[key] = choose(request, self.objective)
        return Mapped(request, *self.known[key])

    def near(self, request: Request, wide: Mapped) -> Mapped | None:
        """The mapping on fewer cores that is like a *wide* one, and moves no more of DRAM; None where there is none."""
        like = wide.decision
        key = request.likeness, like.split, like.whole, like.rings, wide.explanation.dram
        if key not in self.nearby:
            self.nearby[key] = near(request, wide, self.objective)
        found = self.nearby[key]
        return None if found is None else Mapped(request, *found)


def choose(request: Request, objective: Objective | None = None) -> Chosen:
    """The mapping of a request that moves the fewest bytes, or is the best by *objective*; TargetError where none fits
    the machine."""
    check_machine(request)
    orders = [Ordered(*ordered) for ordered in orders_of(request)]
    if objective is None:
        return _by_bytes(request, orders)
    first, *more = wholes_of(request)
    spaces = [
        space_of(request, split, whole)
        for split in splits_of(request)
        for whole in (first, *(whole for whole in more if holds(whole, split)))
    ]
    return _by(objective, request, orders, spaces)


def near(request: Request, wide: Mapped, objective: Objective | None = None) -> Chosen | None:
    """The best mapping of a request of those that are like a *wide* one on more cores, if it moves no more of DRAM.

    Alike are the loop that cores share, what lies side by side in buffers, and how many of these there are where bytes
    are counted; tiles and orders of loops are searched.
    """
    like, most = wide.decision, wide.explanation.dram
    splits = [split for split in splits_of(request) if split.loop == like.split or request.cores == 1]
    spaces = [space_of(request, split, like.whole) for split in splits if holds(like.whole, split)]
    orders = [Ordered(*ordered) for ordered in orders_of(request)]
    if objective is None:
        best = Looked(orders).best(spaces, like.rings, (most + 1) * TURNS)
        return None if best is None else _told(request, best, [spaces], like.rings, orders)
    try:
        found = _by(objective, request, orders, spaces)
    except TargetError:
        return None
    return found if found[1].dram <= most else None


def _by(objective: Objective, request: Request, orders: list[Ordered], spaces: Sequence[Space]) -> Chosen:
    """The mapping of *spaces* that is the best by an objective, and why."""
    found = ranked(objective, request, spaces, orders)
    if found is None:
        raise _infeasible(request, [_shortage(space, orders, request.pin.rings or 1) for space in spaces])
    best, runner, feasible = found
    rivals = Rivals(
        candidates=sum(space.count for space in spaces) * len(orders) * (2 if objective.both_rings else 1),
        feasible=feasible,
        runner_up="" if runner is None else _label(runner.mapping),
        runner_up_cost=0 if runner is None else runner.measure,
    )
    return best.mapping, Explanation(best.dram, best.measure, _pinned(request), objective.word, lambda: rivals)


def _by_bytes(request: Request, orders: list[Ordered]) -> Chosen:
    """The mapping that moves the fewest bytes, and why."""
    first, *more = wholes_of(request)
    plain = [space_of(request, split, first) for split in splits_of(request)]
    looked = Looked(orders)
    for rings in (2, 1) if request.pin.rings is None else (request.pin.rings,):
        best = looked.best(plain, rings)
        if best is None:
            continue
        runs = [plain]
        if more and best.dram > compulsory(request):
            runs.append([own.holding(whole) for own in plain for whole in more if holds(whole, own.split)])
            best = looked.best(runs[-1], rings, best.cost) or best
        return _told(request, best, runs, rings, orders)
    raise _infeasible(request, [_shortage(space, orders, request.pin.rings or 1) for space in plain])


def _told(
    request: Request, best: Choice, runs: Sequence[Sequence[Space]], rings: int, orders: Sequence[Ordered]
) -> Chosen:
    """The *best* of the spaces of *runs*, and why."""
    told = cache(partial(_rivals, runs, rings, orders))
    return best.mapping, Explanation(best.dram, best.dram, _pinned(request), found=told)


def _rivals(runs: Sequence[Sequence[Space]], rings: int, orders: Sequence[Ordered]) -> Rivals:
    """What else there is in the spaces of *runs* beside the best of all."""
    looked, found, fronts = Looked(orders), list[Choice](), list[Front]()
    for spaces in runs:
        choices, groups = looked.all(spaces, rings)
        found, fronts = found + choices, fronts + groups
    best, *others = sorted(found, key=lambda choice: choice.cost)
    apart = [front for front in (front.but(best.mapping.dataflow) for front in fronts) if front is not None]
    others += [choice for choice in (best_of(apart),) if choice is not None]
    runner = min(others, key=lambda choice: choice.cost, default=None)
    candidates = sum(space.count for spaces in runs for space in spaces) * len(orders)
    feasible = sum(front.tilings for front in fronts) or candidates
    return Rivals(candidates, feasible, *(("", 0) if runner is None else (_label(runner.mapping), runner.dram)))


def _pinned(request: Request) -> str:
    return f"pinned: {request.pin.text}" if request.pin.text else ""


def _label(mapping: Decision) -> str:
    return f"{mapping.dataflow}, split {mapping.split or 'none'}"


def splits_of(request: Request) -> list[Split]:
    """The splits over cores to look at: what is given or pinned, or all that keep the cores busy."""
    if request.parts:
        return [Split(named(request.statement, "channels"), request.parts)]
    grains = shareable(request.leading, not request.rounds)
    pinned = grains | summable(request.statement, not request.rounds)
    loop = None if request.pin.split is None else named(request.statement, request.pin.split)
    if request.cores == 1 or loop is None or loop not in pinned:
        return splits(request.extents, grains, request.cores)
    return [Split(loop, shares(request.extents[loop], request.cores, pinned[loop]))]


class Shortage(NamedTuple):
    """Why no tiling fits: bytes that the one which lacks the least asks of a memory, and what that has."""

    demand: int
    capacity: int
    memory: str
    roles: str


def _shortage(space: Space, orders: Sequence[Ordered], rings: int) -> Shortage | None:
    """What the tiling of *space* lacks that lacks the least; None where none is legal."""
    found: list[Shortage] = []
    names = list(space.sizes)
    grids = np.meshgrid(*(np.array(sorted({s[0], s[-1]})) for s in space.sizes.values() if s), indexing="ij")
    tiles = {name: grid.ravel() for name, grid in zip(names, grids, strict=False)}
    if not space.count:
        return None
    legal = np.zeros(len(tiles[names[0]]), np.bool_)
    for ordered in orders:
        legal |= legal_tiles(space.request, space.operands, ordered.order, tiles, space.extents)
    for place in np.flatnonzero(legal):
        own = {name: int(sizes[place]) for name, sizes in tiles.items()}
        found.append(_lacking(space, own, rings))
    return min(found, key=lambda short: short.demand - short.capacity, default=None)


def _lacking(space: Space, tiles: dict[str, int], rings: int) -> Shortage:
    """The memory that buffers of *tiles*, *rings* of those that are filled again, overfill the most."""
    target = space.request.target
    demand: dict[int, tuple[int, set[str]]] = {}
    for operand in space.operands:
        homes = target.memory_for(operand.role)
        if not homes:
            return Shortage(int(operand.bytes(tiles)), 0, "", operand.role)
        largest = max(homes, key=lambda home: target.memories[home].bytes)
        size, roles = demand.get(largest, (0, set[str]()))
        refilled = operand.doubled and any(tiles[name] < space.extents[name] for name in operand.loops)
        demand[largest] = size + int(operand.bytes(tiles)) * (rings if refilled else 1), roles | {operand.role}
    over = max(demand, key=lambda home: demand[home][0] - target.memories[home].bytes)
    memory = target.memories[over]
    return Shortage(demand[over][0], memory.bytes, memory.name, ", ".join(sorted(demand[over][1])))


def _infeasible(request: Request, shortages: list[Shortage | None]) -> TargetError:
    rooms = [short for short in shortages if short is not None]
    if not rooms:
        message = f"no tiling of {request.layer} ({request.phase}) keeps whole bytes and whole sums together"
        hints = [f"without --pin {request.pin.text}"] if request.pin.text else []
        return TargetError.at(request.place, message, hints=[*hints, "--dataflow auto", "another number of --cores"])
    short = min(rooms, key=lambda short: short.demand - short.capacity)
    if not short.memory:
        message = f"`{request.target.name}` has no memory that holds {short.roles}, which {request.layer} needs"
        return TargetError.at(request.place, message, hints=("a target whose memories hold it (see `holds`)",))
    message = (
        f"the smallest tile of {request.layer} ({request.phase}) needs {_size(short.demand)}; a core of "
        f"`{request.target.name}` has {_size(short.capacity)} for it in `{short.memory}` "
        f"(short by {_size(short.demand - short.capacity)})"
    )
    levers = ["a target with more memory (see `snnc list targets`)"]
    if request.pin.text:
        levers.insert(0, f"without --pin {request.pin.text}")
    if request.dataflow != "auto":
        levers.insert(0, "--dataflow auto")
    if math.prod(request.statement.extents.values()) > 1 and "n" in request.statement.extents:
        levers.insert(0, "a smaller --batch")
    return TargetError.at(request.place, message, hints=levers)


def _size(count: int) -> str:
    """Bytes as a person reads them."""
    return f"{count} B" if count < 1024 else f"{count / 1024:.1f} KiB"
