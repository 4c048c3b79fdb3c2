"""Patches: cores share several loops of a stage at once, each has a part of every one.

A single loop is often too short to keep all cores busy: four samples, or the three rows of a kernel.  So where a stage
waits for its cores rather than for the channel, loops are shared out before the search, by so many groups of cores that
each has one part of them, and the search maps what is left on the cores of a group.  What it finds for the largest
part goes for all: groups do the same elsewhere.  Patches win where they are predicted to take fewer cycles, and move
hardly more of DRAM: rims of windows grow with the number of cuts.

Of an operand that follows some of the loops, those cores need the same tiles that have the same parts of them: the
first of them loads it for the others, be they neighbours or one in each group.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

from ...source import TargetError
from ..cost.boxes import Turning, moved
from ..cost.duration import duration
from ..ir.accesses import read_by
from ..ir.decision import Decision, Shares
from ..ir.schedule import Stage
from ..ir.statement import Moments
from .build_stage import build_stage
from .mapping import Mapped
from .operands import Operand
from .parted import RIMS, cast_of, cost_of, is_legal, part_of
from .request import Request, Whole
from .side_by_side import SHARED
from .split import shareable, shares, summable
from .ways import WORTH, Planned, Way, Ways, reads_again

WEIGHED, TRIED = 8, 2
"""Patches of a stage whose bytes are found, and of these those that are searched for: the best first in both."""

MOST = 3
"""Loops that are cut."""


@dataclass(frozen=True)
class Patches:
    """In how many parts each of some loops is cut, and how much of the work the busiest core then has at least."""

    parts: Mapping[str, int]
    load: float


def patched(planned: Planned, least: float) -> Planned:
    """*planned*, or the same stage with its loops cut in patches where that is predicted to take fewer cycles.

    None is looked for that may not save *least* cycles.
    """
    request = planned.request
    if isinstance(request.statement, Moments) or request.pin.split is not None or 0 in request.extents.values():
        return planned
    if request.cores == 1 or duration(planned.stage, request.target).settled < least:
        return planned
    alone = Ways(planned).alone
    if alone.lasts.core < alone.lasts.settled and not reads_again(alone.stage):
        return planned
    best, cost = planned.stage, cost_of(request, alone.stage.mapping, WORTH * alone.lasts.settled)
    for patches in _promising(request, alone, least):
        for found in _on(planned, patches):
            own = cost_of(request, found.mapping, duration(found, request.target).settled)
            if own < cost:
                best, cost = found, own
    return replace(planned, stage=best)


def _promising(request: Request, way: Way, least: float) -> list[Patches]:
    """The patches worth a search, those of the fewest cycles by work and bytes alone first: *least* must be saved."""
    grains = _grains(request)
    rims, extents = _rims(request), request.extents
    found: list[tuple[float, float, Patches]] = []
    now = 1.0
    for name, own in way.stage.mapping.parts.items():
        now *= max(extent for _, extent in own) / extents[name]
    enough = now * way.lasts.channel / way.lasts.core
    for loops in (chosen for size in range(1, MOST + 1) for chosen in combinations(grains, size)):
        for counts in _counts([-(-extents[name] // grains[name]) for name in loops], request.cores):
            cut = list(zip(loops, counts, strict=True))
            load = math.prod(_most(extents[name], count, grains[name]) / extents[name] for name, count in cut)
            if load <= max(now, enough):
                again = math.prod(1.0 + rims.get(name, 0.0) * count for name, count in cut)
                found.append((round(max(load, enough), 4), again, Patches(dict(cut), load)))
    few = [patches for *_, patches in sorted(found, key=lambda each: each[:2])[:WEIGHED]]
    taps = _held(request, tuple(grains))
    work, width = way.lasts.core / now, request.target.dram.bits_per_cycle
    channels = [8 * _bytes(request, each, grains, taps) / width for each in few]
    links = [_over_links(request, each, grains, taps) for each in few]
    costs = [
        max(work * each.load, own, sent) + added + RIMS * own
        for each, own, (sent, added) in zip(few, channels, links, strict=True)
    ]
    ranked = sorted(zip(costs, few, strict=True), key=lambda each: each[0])
    enough = cost_of(request, way.stage.mapping, way.lasts.settled) - least
    return [patches for cost, patches in ranked[:TRIED] if cost <= enough]


def _grains(request: Request) -> dict[str, int]:
    """The loops that may be cut, samples of exact sums among them, with the grain of each."""
    exact = not request.rounds
    return shareable(request.leading, exact) | summable(request.statement, exact)


def _rims(request: Request) -> dict[str, float]:
    """For each loop that walks an axis with others, how much of the axis a part of the loop reads beside its own."""
    found: dict[str, float] = {}
    for index in (index for each in request.statements for _, access in read_by(each) for index in access.index):
        reach = {name: abs(c) * (request.extents[name] - 1) for name, c in index.terms if c}
        for name, own in reach.items():
            found[name] = max(found.get(name, 0.0), (sum(reach.values()) - own) / (own + 1))
    return found


def _bytes(request: Request, patches: Patches, grains: Mapping[str, int], rims: Whole) -> int:
    """Bytes of DRAM where every core moves all that it needs as one box, and what several need is moved for all."""
    cut = {name: shares(request.extents[name], count, grains[name]) for name, count in patches.parts.items()}
    total = 0
    for operand in request.operands(None):
        if operand.moves:
            held = {name for use, name in rims if use == operand.use and name in cut}
            parts = tuple((name, own) for name, own in cut.items() if name in operand.followed - held)
            turning = Turning((), {}, request.extents, "", (), frozenset(held), parts)
            strides, granule = operand.dram_strides, request.target.dram.granule_bytes
            total += moved(operand.axes, strides, operand.format.bits, turning, 0, granule).dram
    return total


def _over_links(request: Request, patches: Patches, grains: Mapping[str, int], rims: Whole) -> tuple[float, float]:
    """Cycles in which the busiest core sends what it has loaded for others, and in which one adds sums of others."""
    part = {name: _most(request.extents[name], count, grains[name]) for name, count in patches.parts.items()}
    width = request.target.link.bits_per_cycle
    split = next((name for name in part if request.adds(name)), None)
    sent = added = 0.0
    for operand in request.operands(split):
        held = {name for use, name in rims if use == operand.use and name in part}
        followed = operand.followed - held
        own = {name: part.get(name, extent) if name in followed else extent for name, extent in request.extents.items()}
        cycles = math.prod(operand.extents(own)) * operand.format.bits / width
        if operand.use == "acc" and split is not None:
            added = (patches.parts[split] - 1) * cycles
        elif _read_by_all(operand, split) and not part.keys() <= followed:
            sent += cycles
    return sent, added


def _read_by_all(operand: Operand, split: str | None) -> bool:
    """Whether *operand* is read by each core that has work; *split* is the loop whose sum they share, if one is."""
    return operand.moves and not operand.writes and not operand.first and not (split and operand.part)


def _counts(units: Sequence[int], cores: int) -> Iterator[tuple[int, ...]]:
    """Numbers of parts, of each loop more than one, for which there are enough *cores*."""
    if not units:
        yield ()
        return
    first, *others = units
    seen: set[int] = set()
    for count in range(2, min(first, cores) + 1):
        if -(-first // count) not in seen:
            seen.add(-(-first // count))
            yield from ((count, *rest) for rest in _counts(others, cores // count))


def _most(extent: int, cores: int, grain: int) -> int:
    """The largest share of a loop."""
    return max(own for _, own in shares(extent, cores, grain))


def _held(request: Request, names: Collection[str]) -> Whole:
    """What is read of which a core may hold what neighbours read, too: nearly all, where kernel taps are cut."""
    rims = _rims(request)
    return tuple(
        (operand.use, name)
        for operand in request.operands(None)
        for name in names
        if operand.use in SHARED and operand.moves and name in operand.followed and rims.get(name, 0.0) > 1.0
    )


def _on(planned: Planned, patches: Patches) -> Iterator[Stage]:
    """The stage in *patches*, in the ways in which the machine can run it."""
    request = planned.request
    grains = _grains(request)
    # Of a sum that cores share the search has to know, so that loop is left to it; else that of the most parts.
    inner = max(patches.parts, key=lambda name: (request.adds(name), patches.parts[name]))
    cut = {
        name: shares(request.extents[name], count, grains[name])
        for name, count in patches.parts.items()
        if name != inner
    }
    largest = {name: max(extent for _, extent in own) for name, own in cut.items()}
    part = replace(part_of(request, largest), cores=patches.parts[inner], pin=replace(request.pin, split=inner))
    try:
        found = planned.mapper.choose(part)
    except TargetError:
        return
    joined = _joined(found.decision, cut, apart=request.adds(inner))
    if joined is None:
        return
    for held in dict.fromkeys(((), _held(request, patches.parts))):
        decision = replace(joined, whole=tuple(dict.fromkeys((*joined.whole, *held)))).placed(0, request.cores)
        if is_legal(request, decision, cut):
            try:
                decision = replace(decision, cast=cast_of(request, decision))
                yield build_stage(Mapped(request, decision, planned.stage.explanation))
            except TargetError:
                continue


def _joined(inner: Decision, cut: Mapping[str, Shares], apart: bool) -> Decision | None:
    """What was decided for a group of cores, for all groups, one behind the other, or core by core, where what a group
    shares lies *apart*; None where a buffer holds all of what is cut."""
    if any(name in cut for _, name in inner.whole):
        return None
    inner = inner.working
    groups = list(product(*cut.values()))
    cores = [(own, group) for group in groups for own in inner.shares]
    if apart:
        cores = [(own, group) for own in inner.shares for group in groups]
    further = tuple((name, tuple(group[place] for _, group in cores)) for place, name in enumerate(cut))
    return replace(inner, shares=tuple(own for own, _ in cores), further=further)
