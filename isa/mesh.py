"""The mesh between the cores: which links a tile takes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

Link: TypeAlias = tuple[int, int]
"""From a place of the mesh to its neighbour; places are numbered row by row, and core k stands on place k."""


@dataclass(frozen=True)
class MeshRoutes:
    """Routes over a mesh of *columns*: along the row first (X), then along the column (Y).

    Who sends and receives are contexts of so many *cores*, as instructions number them: number k is one of core
    ``k % cores``.
    """

    columns: int
    cores: int

    def place(self, number: int) -> int:
        """Where the core of context *number* stands."""
        return number % self.cores

    def route(self, source: int, target: int) -> tuple[Link, ...]:
        """The links from context *source* to context *target*, in order; none where they stand on one place."""
        return _route(self.columns, self.place(source), self.place(target))

    def tree(self, source: int, targets: tuple[int, ...]) -> tuple[Link, ...]:
        """The links from context *source* to all of *targets*, each once, those nearer to *source* first.

        Routes that part do not meet again, since every one of them goes along the row first.
        """
        return _tree(self.columns, self.place(source), tuple(map(self.place, targets)))


@lru_cache(maxsize=1 << 14)
def _route(columns: int, source: int, target: int) -> tuple[Link, ...]:
    links: list[Link] = []
    place = source
    while place % columns != target % columns:
        step = 1 if place % columns < target % columns else -1
        links.append((place, place + step))
        place += step
    while place != target:
        step = columns if place < target else -columns
        links.append((place, place + step))
        place += step
    return tuple(links)


@lru_cache(maxsize=1 << 12)
def _tree(columns: int, source: int, targets: tuple[int, ...]) -> tuple[Link, ...]:
    return tuple(dict.fromkeys(link for target in targets for link in _route(columns, source, target)))
