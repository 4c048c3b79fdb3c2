"""Densities as people read them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..compiler.cost.density import Densities, Density

if TYPE_CHECKING:
    from rich.table import Table

SECTIONS = ("values", "windows")

TILES = ((1, 16), (4, 16), (1, 64))
"""Tiles in columns: elements along each axis but the last, and channels."""


def profile_text(profile: Mapping[str, Any]) -> str:
    """A profile as a file: a line for each value."""
    lines = [f" {json.dumps(name)}: {json.dumps(fact)}" for name, fact in profile.items() if name not in SECTIONS]
    for section in SECTIONS:
        rows = (f"  {json.dumps(name)}: {json.dumps(each, allow_nan=False)}" for name, each in profile[section].items())
        lines.append(f" {json.dumps(section)}: {{\n" + ",\n".join(rows) + "\n }")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def density_table(densities: Densities) -> Table:
    """A row a value: its density, by time step, runs, and how many tiles of some sizes are empty."""
    from rich.table import Table

    table = Table(title="density: the fraction that is not zero, measured")
    for name in ("value", "kind"):
        table.add_column(name)
    for name in ("mean", "by time step", "run of zeros", *(f"empty {side}x{channels}" for side, channels in TILES)):
        table.add_column(name, justify="right")
    for row in _rows(densities):
        table.add_row(*row)
    return table


def _rows(densities: Densities) -> Iterator[tuple[str, ...]]:
    sections: tuple[Mapping[str, Density], ...] = (densities.values, densities.windows)
    for section in sections:
        for name, density in section.items():
            yield (
                name,
                density.kind,
                share(density.mean),
                " ".join(map(share, density.steps[:MOST])) + (" ..." if len(density.steps) > MOST else ""),
                f"{density.zeros:.3g}",
                *(_empty(density, side, channels) for side, channels in TILES),
            )


MOST = 8
"""Time steps that are shown."""


def _empty(density: Density, side: int, channels: int) -> str:
    """The empty tiles of a size; a dash where the value has no such tiles."""
    for tile, of in density.tiles.items():
        *outer, last = tile
        if last == channels and all(extent == side for extent in outer):
            return share(of.empty)
    return "-"


def share(fraction: float) -> str:
    """`12.3 %`."""
    return f"{100 * fraction:.3g} %"
