"""Several spaces of one statement, looked at together: the best of all, and what else there is.

Nothing of a space costs less than all that its tiles move once.  Where that is more than what was found in another, its
tilings are not surveyed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .grid import Grid
from .search import Choice, Tried, best_of, chosen, tried
from .space import Space
from .split import Split
from .survey import Front, Ordered, Survey
from .tables import Tables


@dataclass
class Looked:
    """What is known of a statement in any of *orders*."""

    orders: Sequence[Ordered]
    _tables: dict[Split, Tables] = field(default_factory=dict[Split, Tables])

    def best(self, spaces: Sequence[Space], rings: int, below: float = math.inf) -> Choice | None:
        """The best of all *spaces*, if it costs less than *below*; of equals the first of those that need no search.

        These are looked at first, for they need no survey either; then the others, from the one on whose tiles move
        the fewest bytes once.
        """
        best: Choice | None = None
        open: list[tuple[int, int, Survey]] = []
        for number, survey in enumerate(self._surveys(spaces, rings)):
            whole = survey.whole(self.orders)
            if whole is None:
                open.append((survey.fewest, number, survey))
                continue
            cost = survey.cost(whole[0].order, whole[1])
            if cost < below:
                best, below = chosen(survey, *whole, cost), cost
        found = best_of(*self._promising(open, below - 1))
        return found if found is not None and found.cost < below else best

    def _promising(self, open: Sequence[tuple[int, int, Survey]], most: float) -> tuple[list[Front], Tried | None]:
        """The groups that may have something that costs at *most* so much, and no more than what is tried meanwhile.

        *open* are surveys, with the fewest that anything in them costs and their place among all.
        """
        fronts: dict[int, list[Front]] = {}
        promising: Front | None = None
        known: Tried | None = None
        for fewest, number, survey in sorted(open):
            if promising is not None and promising.least < fewest:  # else no other can be left out for it
                known = tried(promising)
                most = most if known.best is None else min(most, known.best.cost)
                promising = None
            if fewest > most:
                break
            own = [front for front in survey.fronts(self.orders) if front.least <= most]
            fronts[number] = own
            promising = min([*own, *([promising] if promising else [])], key=lambda front: front.least, default=None)
        return [front for number in sorted(fronts) for front in fronts[number]], known

    def all(self, spaces: Sequence[Space], rings: int) -> tuple[list[Choice], list[Front]]:
        """The best of each of the *spaces* that has one without a search, and of all others together; their groups."""
        found: list[Choice] = []
        fronts: list[Front] = []
        for survey in self._surveys(spaces, rings):
            whole = survey.whole(self.orders)
            if whole is not None:
                found.append(chosen(survey, *whole))
            else:
                fronts += survey.fronts(self.orders)
        return found + [choice for choice in (best_of(fronts),) if choice is not None], fronts

    def _surveys(self, spaces: Sequence[Space], rings: int) -> Iterator[Survey]:
        """A survey of each of the *spaces* that has any tiling."""
        for space in (space for space in spaces if space.count):
            if space.split not in self._tables:
                self._tables[space.split] = Tables(Grid(space))
            yield Survey(space, rings, self._tables[space.split])
