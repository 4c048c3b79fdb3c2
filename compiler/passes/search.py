"""The search: of all tilings of a statement the one that moves the fewest bytes, best first.

`least` bounds what every tiling of a grid moves, as arrays; `grid` finds what fits.  From the least bound on,
tilings are weighed exactly, by the closed form that `cost.predict` uses, until no bound is below the best found:
what wins is the best of the whole space.  Among equals the one with the fewest turns wins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..ir.decision import Decision
from .repeats import TURNS
from .survey import Front, Ordered, Survey


@dataclass(frozen=True)
class Choice:
    """A tiling: what it costs, and the bytes that it moves."""

    mapping: Decision
    cost: int
    dram: int


class _Found(NamedTuple):
    """A tiling that fits, and what it costs exactly."""

    cost: int
    front: Front
    tiles: dict[str, int]


@dataclass(frozen=True)
class Tried:
    """What the group of the least bound of a front has, if anything in it fits."""

    front: Front
    best: _Found | None


def tried(front: Front) -> Tried:
    """The best of the group of the least bound of a *front*."""
    return Tried(front, _better(None, front, int(front.bound.argmin())))


def best_of(fronts: Sequence[Front], known: Tried | None = None) -> Choice | None:
    """The tiling of least cost among all groups; what has been tried before is *known*."""
    if not fronts:
        return None
    # The group of the least bound nearly always has the best, and leaves few others to look at.
    least = min(fronts, key=lambda front: front.least)
    first = int(least.bound.argmin())
    best = (known if known is not None and known.front is least else tried(least)).best
    for front, group in _ascending(fronts, None if best is None else best.cost):
        if best is not None and front.bound[group] >= best.cost:
            break
        if front is not least or group != first:
            best = _better(best, front, group)
    return None if best is None else chosen(best.front.survey, best.front.ordered, best.tiles, best.cost)


def _better(best: _Found | None, front: Front, group: int) -> _Found | None:
    """The best of a group's tilings and of what was found before."""
    place, reach = int(front.places[group]), int(front.reach[group])
    first, within = front.survey.within(front, place, reach)
    for number in np.argsort(within, kind="stable"):
        if best is not None and within[number] >= best.cost:
            break
        tiles = front.survey.grid.at(place, first + int(number))
        if not front.survey.fits(tiles):
            continue
        cost = front.survey.cost(front.ordered.order, tiles)
        if best is None or cost < best.cost:
            best = _Found(cost, front, tiles)
    return best


def _ascending(fronts: Sequence[Front], below: int | None) -> Iterator[tuple[Front, int]]:
    """Groups whose bound is *below* a cost, if one is known, from the least bound on; of equal ones the first."""
    near = [
        (front, np.arange(len(front.bound)) if below is None else np.flatnonzero(front.bound < below))
        for front in fronts
        if below is None or front.least < below
    ]
    if not near:
        return
    bound = np.concatenate([front.bound[groups] for front, groups in near])
    owner = np.repeat(np.arange(len(near)), [len(groups) for _, groups in near])
    group = np.concatenate([groups for _, groups in near])
    for k in np.argsort(bound, kind="stable"):
        yield near[owner[k]][0], int(group[k])


def chosen(survey: Survey, ordered: Ordered, tiles: dict[str, int], cost: int | None = None) -> Choice:
    """A tiling as a choice."""
    cost = survey.cost(ordered.order, tiles) if cost is None else cost
    return Choice(survey.decision(ordered, tiles), cost, cost // TURNS)
