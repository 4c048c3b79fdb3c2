"""The search: of all tilings of a statement the one that moves the fewest bytes, best first.

`least` bounds what every tiling of a grid moves, as arrays; `grid` finds what fits.  From the least bound on,
tilings are weighed exactly, by the closed form that `cost.predict` uses, until no bound is below the best found:
what wins is the best of the whole space.  Among equals the one with the fewest turns wins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..ir.schedule import Decision
from .grid import Array
from .space import TIME_PARALLEL
from .survey import TURNS, Front, Ordered, Survey


@dataclass(frozen=True)
class Choice:
    """A tiling: what it costs, and the bytes that it moves."""

    mapping: Decision
    cost: int
    dram: int


def best_of(fronts: Sequence[Front]) -> Choice | None:
    """The tiling of least cost among all groups."""
    if not any(len(front.bound) for front in fronts):
        return None
    bound = np.concatenate([front.bound for front in fronts])
    owner = np.repeat(np.arange(len(fronts)), [len(front.bound) for front in fronts])
    local = np.concatenate([np.arange(len(front.bound)) for front in fronts])
    best: tuple[int, Front, dict[str, int]] | None = None
    for group in _ascending(bound):
        if best is not None and bound[group] >= best[0]:
            break
        front = fronts[int(owner[group])]
        place, reach = int(front.places[local[group]]), int(front.reach[local[group]])
        within = front.survey.within(front, place, reach)
        for number in np.argsort(within, kind="stable"):
            if best is not None and within[number] >= best[0]:
                break
            tiles = front.survey.grid.at(place, front.band.first + int(number))
            if not front.survey.fits(tiles):
                continue
            cost = front.survey.cost(front.ordered.order, tiles)
            if best is None or cost < best[0]:
                best = cost, front, tiles
    if best is None:
        return None
    cost, front, tiles = best
    return chosen(front.survey, front.ordered, tiles, cost)


def chosen(survey: Survey, ordered: Ordered, tiles: dict[str, int], cost: int | None = None) -> Choice:
    """A tiling as a choice."""
    cost = survey.cost(ordered.order, tiles) if cost is None else cost
    space = survey.space
    split, cores = space.split, space.request.cores
    shares = split.shares if split.loop is not None else tuple((0, int(core == 0)) for core in range(cores))
    dataflow = TIME_PARALLEL if tiles.get("t", 1) > 1 else ordered.dataflow
    decision = Decision(dataflow, ordered.order, tiles, split.loop, shares, survey.rings, space.whole)
    return Choice(decision, cost, cost // TURNS)


def _ascending(values: Array) -> Iterator[int]:
    """Places of *values* from the least on, some more than once; most are never asked for."""
    few = 512
    if few < len(values):
        first = np.argpartition(values, few)[:few]
        yield from (int(k) for k in first[np.argsort(values[first], kind="stable")])
    yield from (int(k) for k in np.argsort(values, kind="stable"))
