"""The search by another objective than bytes: every tiling of every grid is bounded, and weighed best first.

`search` and `reached` are quick because bytes fall with the size of a tile and come from operands one by one.  Cycles
do not: so each tiling is bounded for itself here, all of an order of loops as arrays.  What wins is the best of the
whole space, and of equals the one with the fewest bytes, or turns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..ir.decision import Decision
from .grid import Array, Band, picked
from .least import useful_of
from .objective import Cost, Objective, moves_of
from .repeats import Factors, again
from .request import Request
from .space import TIME_PARALLEL, Space
from .survey import Ordered, Survey


class Weighed(NamedTuple):
    """A tiling that was chosen: what is decided, what it costs by the objective, and the bytes that it moves."""

    mapping: Decision
    cost: Cost
    measure: float
    dram: int


class Ranking(NamedTuple):
    """The best of all tilings, the best of another dataflow, and how many fit."""

    best: Weighed
    runner: Weighed | None
    feasible: int


def ranked(
    objective: Objective, request: Request, spaces: Sequence[Space], orders: Sequence[Ordered]
) -> Ranking | None:
    """The best tiling of *spaces* in any of the *orders*; None where none fits."""
    groups: list[Group] = []
    for rings in (2, 1) if request.pin.rings is None else (request.pin.rings,):
        for space in (space for space in spaces if space.count):
            groups += groups_of(Looked(Survey(space, rings), objective), orders)
        if groups and not objective.both_rings:
            break
    best = _best(groups)
    if best is None:
        return None
    feasible = sum(int((group.reach - group.band.first + 1).sum()) for group in groups)
    return Ranking(best, _best(groups, best.mapping.dataflow), feasible)


class Looked:
    """A survey with what its operands want, looked at by an objective."""

    def __init__(self, survey: Survey, objective: Objective) -> None:
        self.survey, self.objective = survey, objective
        self._useful = [useful_of(survey.grid, operand) for operand in survey.moving]

    def bounds(self, order: tuple[str, ...], tiles: dict[str, Any], pick: Any) -> Cost:
        """Bounds of *tiles*; *pick* gives the part of a table that belongs to them."""
        space = self.survey.space
        factors = Factors(space, tiles)
        dram: Any = np.int64(0)
        useful: Any = np.int64(0)
        for (operand, once), wanted in zip(self.survey.once, self._useful, strict=True):
            repeats = factors.repeats(operand, again(order, operand, space))
            dram, useful = dram + pick(once) * repeats, useful + pick(wanted) * repeats
        return self.objective.bound(self.survey, order, tiles, dram, useful)

    def within(self, order: tuple[str, ...], band: Band, place: int, reach: int) -> Cost:
        """The bounds of a group's tilings, by size of the fast loop from the first of the band up to *reach*."""
        grid, sizes = self.survey.grid, slice(band.first, reach + 1)
        numbers = grid.group(place)[1]
        at = tuple(numbers.values())
        tiles: dict[str, Any] = {name: own[numbers.get(name, 0)] for name, own in grid.space.sizes.items()}
        tiles[grid.fast] = grid.tiles[grid.fast].ravel()[sizes]

        def pick(table: Any) -> Any:
            here = table
            if table.ndim:
                here = table[tuple(k if n > 1 else 0 for k, n in zip(at, table.shape, strict=False))]
            return here[sizes] if np.size(here) > 1 else here

        found = self.bounds(order, tiles, pick)
        return Cost(*(np.broadcast_to(each, (reach + 1 - band.first,)) for each in found))


@dataclass(frozen=True)
class Group:
    """Tilings of one order that fit, grouped by the tiles of all loops but the fast one.

    *bound* is the least cost of any in a group, *reach* the number of the fast loop's largest size there.
    """

    looked: Looked
    ordered: Ordered
    band: Band
    places: Array
    reach: Array
    bound: Cost


def groups_of(looked: Looked, orders: Sequence[Ordered]) -> Iterator[Group]:
    """The groups of every order."""
    survey = looked.survey
    grid = survey.grid
    for ordered in orders:
        if not survey.turns_inside(ordered.order):
            continue
        places, reach = survey.reached.places(ordered.order, *survey.summed_of(ordered.order))
        tilings = prod(grid.shape[1:])
        for number, band in enumerate(grid.bands):
            own = places // tilings == number
            if not own.any():
                continue
            sizes = slice(band.first, band.last + 1)
            tiles = grid.tiles | {grid.fast: grid.tiles[grid.fast][..., sizes]}

            def pick(table: Any, sizes: slice = sizes) -> Any:
                return table[..., sizes] if table.ndim and table.shape[-1] > 1 else table

            shape = *grid.shape[1:-1], band.last + 1 - band.first
            largest = np.maximum(survey.reached.reach[number], band.first) - band.first
            found = looked.bounds(ordered.order, tiles, pick)
            least = (np.minimum.accumulate(np.broadcast_to(each, shape), -1) for each in found)
            bound = Cost(*(picked(each, largest).ravel()[places[own] - number * tilings] for each in least))
            yield Group(looked, ordered, band, places[own], reach[own], bound)


def _best(groups: Sequence[Group], excluded: str = "") -> Weighed | None:
    """The tiling of least cost that is not of the dataflow *excluded*."""
    if not groups:
        return None
    bound = Cost(*(np.concatenate(each) for each in zip(*(group.bound for group in groups), strict=True)))
    owner = np.repeat(np.arange(len(groups)), [len(group.places) for group in groups])
    local = np.concatenate([np.arange(len(group.places)) for group in groups])
    best: tuple[Cost, Group, dict[str, int]] | None = None
    for number in np.lexsort((bound.ties, bound.measure)):
        if best is not None and _at(bound, number) >= best[0]:
            break
        group = groups[int(owner[number])]
        place, reach = int(group.places[local[number]]), int(group.reach[local[number]])
        survey = group.looked.survey
        within = group.looked.within(group.ordered.order, group.band, place, reach)
        for size in np.lexsort((within.ties, within.measure)):
            if best is not None and _at(within, size) >= best[0]:
                break
            tiles = survey.grid.at(place, group.band.first + int(size))
            if dataflow_of(group.ordered, tiles) == excluded or not survey.fits(tiles):
                continue
            cost = group.looked.objective.cost(survey, group.ordered, tiles)
            if best is None or cost < best[0]:
                best = cost, group, tiles
    if best is None:
        return None
    cost, group, tiles = best
    survey = group.looked.survey
    dram = moves_of(survey, group.ordered.order, tiles).dram
    return Weighed(survey.decision(group.ordered, tiles), cost, group.looked.objective.told(cost), dram)


def dataflow_of(ordered: Ordered, tiles: dict[str, int]) -> str:
    """What a tiling is called by: what has several steps in a tile is time-parallel, whatever its order is."""
    return TIME_PARALLEL if tiles.get("t", 1) > 1 else ordered.dataflow


def _at(costs: Cost, place: int) -> Cost:
    """One of many costs."""
    return Cost(costs.measure[place].item(), costs.ties[place].item())
