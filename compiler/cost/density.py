"""Densities: how many elements of a value are not zero, and how those lie together.

What mapping and cost ask, by value.  A value of which nobody said anything is dense.  Densities come from one number
for everything that can be sparse, or from a profile: a file that `snnc profile` writes.

A *tile* is a box of a value inside one sample and one time step, its extents in the order of memory: rows, columns,
channels.  A *unit* is so many elements of a tile one behind the other; it is there if any of them is not zero.  How
many units of a tile are there is a distribution, which is held as `PARTS` numbers: the means of its slices of equal
weight, ascending.  The mean of any function over tiles is then about the mean of the function of these numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ...source import NOWHERE, DataError, Place
from ..ir.graph import Node, Training
from ..ir.types import Type
from .room import aliases_of

Tile = tuple[int, ...]
Numbers = NDArray[np.float64]

PARTS = 32
"""Numbers that stand for a distribution."""

GROUP = 16
"""Channels of a group, of which a profile has the density."""

UNITS = (1, 8)
"""Elements of a unit."""

LARGEST_TILE = 4096
"""Elements of the largest tile that is looked at."""

VERSION = 1

HINT = "snnc profile MODEL --data DATA -o FILE writes one"


def tiles_of(memory: tuple[int, ...]) -> tuple[Tile, ...]:
    """The tiles of a value with these axes in memory that a profile looks at, small ones first.

    Of channels 16, 64, 256 or all; of the other axes, which tiles always divide, single elements, squares of at most 4,
    rows, bands of at most 4 rows, or all.
    """
    *outer, channels = memory
    pieces = {min(size, channels) for size in (GROUP, 64, 256, channels)}
    ones, few = tuple(1 for _ in outer), tuple(map(_divisor, outer))
    boxes = {ones, few, tuple(outer), (*ones[:-1], *outer[-1:]), (*ones[:-2], *few[-2:-1], *outer[-1:])}
    found = {(*box, piece) for box in boxes for piece in pieces}
    return tuple(sorted((tile for tile in found if math.prod(tile) <= LARGEST_TILE), key=lambda t: (math.prod(t), t)))


def _divisor(extent: int) -> int:
    """The largest divisor of at most 4."""
    return max(size for size in (1, 2, 3, 4) if extent % size == 0)


def parts_of(weights: Numbers) -> Numbers:
    """The `PARTS` numbers that stand for a distribution over 0, 1, 2 ..., each with its weight."""
    there = np.flatnonzero(weights)
    below: Numbers = np.append(0.0, np.cumsum(weights[there]))
    amount: Numbers = np.append(0.0, np.cumsum(weights[there] * there))
    borders: Numbers = below[-1] * np.arange(PARTS + 1) / PARTS
    reached: Numbers = np.interp(borders, below, amount)
    return (reached[1:] - reached[:-1]) * PARTS / below[-1]


@lru_cache(maxsize=1 << 12)
def scattered(mean: float, units: int) -> Numbers:
    """The same for *units* units of which each is there with probability *mean*, whatever the others are."""
    if mean >= 1.0:
        return np.full(PARTS, float(units))
    if mean <= 0.0:
        return np.zeros(PARTS)
    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, units + 1)))])
    chosen = np.arange(units + 1)
    ways = logs[-1] - logs - logs[::-1]
    return parts_of(np.exp(ways + chosen * math.log(mean) + (units - chosen) * math.log1p(-mean)))


@dataclass(frozen=True)
class TileDensity:
    """Of the tiles of one size: the fraction that is *empty*, and by unit how many units are there (see the file)."""

    empty: float
    counts: Mapping[int, tuple[float, ...]]


@dataclass(frozen=True)
class Density:
    """*mean* is the fraction of elements that are not zero; all else is there where it was measured.

    *steps* are the means by time step, *channels* by group of `GROUP` channels.  *zeros* and *others* are the mean
    lengths of runs of zeros, and of what is not zero, along memory.  *kind* is spike, count, error or window.
    """

    mean: float = 1.0
    kind: str = ""
    steps: tuple[float, ...] = ()
    channels: tuple[float, ...] = ()
    zeros: float = 0.0
    others: float = 0.0
    tiles: Mapping[Tile, TileDensity] = field(default_factory=dict[Tile, TileDensity])

    def counts(self, tile: Tile, unit: int = 1) -> Numbers:
        """How many units of a tile are there, as `PARTS` numbers: as measured, or as if zeros fell anywhere."""
        measured = self.tiles.get(tile)
        if measured is not None and unit in measured.counts:
            return np.array(measured.counts[unit])
        return scattered(1.0 - (1.0 - self.mean) ** unit, -(-math.prod(tile) // unit))

    def word(self, elements: int) -> float:
        """The fraction of groups of so many neighbours in memory that hold anything.

        As measured of channels; else as if runs of zeros ended anywhere, be they as long as measured or by chance.
        """
        for tile, measured in self.tiles.items():
            if math.prod(tile) == tile[-1] == elements:
                return 1.0 - measured.empty
        ends = 1.0 / self.zeros if self.zeros >= 1.0 else self.mean
        return 1.0 - (1.0 - self.mean) * (1.0 - ends) ** (elements - 1)

    def empty(self, tile: Tile) -> float:
        """The fraction of tiles without anything: as measured, or as if zeros fell anywhere."""
        measured = self.tiles.get(tile)
        return (1.0 - self.mean) ** math.prod(tile) if measured is None else measured.empty

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values; a tile is ``4x4x16``."""
        tiles = {
            "x".join(map(str, tile)): {"empty": of.empty, "counts": {str(u): list(n) for u, n in of.counts.items()}}
            for tile, of in self.tiles.items()
        }
        return {
            "kind": self.kind,
            "mean": self.mean,
            "steps": list(self.steps),
            "channels": list(self.channels),
            "runs": {"zeros": self.zeros, "others": self.others},
            "tiles": tiles,
        }

    @classmethod
    def from_json(cls, written: Mapping[str, Any]) -> Density:
        """What `to_json` wrote; ValueError, KeyError or TypeError for anything else."""
        tiles: dict[Tile, TileDensity] = {}
        for name, of in written["tiles"].items():
            counts = {int(unit): tuple(map(float, numbers)) for unit, numbers in of["counts"].items()}
            if any(len(numbers) != PARTS for numbers in counts.values()):
                raise ValueError(f"the counts of {name} are not {PARTS}")
            tiles[tuple(map(int, name.split("x")))] = TileDensity(_fraction(of["empty"]), counts)
        return cls(
            _fraction(written["mean"]),
            str(written["kind"]),
            tuple(map(_fraction, written["steps"])),
            tuple(map(_fraction, written["channels"])),
            float(written["runs"]["zeros"]),
            float(written["runs"]["others"]),
            tiles,
        )


DENSE = Density()


@dataclass(frozen=True)
class Densities:
    """Densities by value, and by layer those of its surrogate's windows; 1 for all others.

    *network* is the one that was profiled, *file* where that was read.  *everywhere* is the density of all that can be
    sparse and is not in *values*; `over` finds out what that is.
    """

    values: Mapping[str, Density] = field(default_factory=dict[str, Density])
    windows: Mapping[str, Density] = field(default_factory=dict[str, Density])
    everywhere: float = 1.0
    network: str = ""
    file: str = ""

    def of(self, value: str) -> Density:
        """The density of a value of the training graph."""
        return self.values.get(value, DENSE)

    @property
    def source(self) -> str:
        """Where they come from: a file, or a number."""
        return self.file or f"{self.everywhere:g}"

    def checked(self, network: str) -> Densities:
        """Themselves; DataError where they were measured on another *network*."""
        if self.network in ("", network):
            return self
        message = f"is a profile of {self.network}; {network} needs one of its own"
        raise DataError.at(Place(self.file), message, hints=[HINT])

    def over(self, training: Training) -> Densities:
        """Densities of all values of *training* that can be sparse, those under another name or type included."""
        found = dict(self.values)
        if self.everywhere < 1.0:
            found |= {
                name: Density(self.everywhere, kind)
                for name, kind in sparse_values(training).items()
                if name not in found
            }
        for alias, home in aliases_of(training).items():
            if home in found:
                found[alias] = found[home]
        return replace(self, values=found)


def sparse_values(training: Training) -> dict[str, str]:
    """Values of the training graph that can be sparse, with their kind: ``spike``, ``count`` or ``error``.

    Aliases are left out: what lies in memory counts once.
    """
    aliases = aliases_of(training)
    found: dict[str, str] = {}
    variables = set(training.types)
    for procedure in training.procedures:
        for node in procedure.nodes:
            for place, (name, type) in enumerate(zip(node.results, node.types, strict=True)):
                kind = _kind(node, place, type)
                if kind and name and name not in aliases and name not in variables:
                    found.setdefault(name, kind)
    return found


def _kind(node: Node, place: int, type: Type) -> str:
    """What a result is; empty where it is dense or nothing of the kind."""
    if not type.batched:
        return ""
    if node.phase == "BP":
        return "" if type.kind.whole else "error"
    if type.format == "spike":
        return "spike"
    counts = type.kind.kind == "unsigned" and type.timed and place == 0
    return "count" if counts else ""


def densities_of(given: float | str) -> Densities:
    """Densities of everything that can be sparse, or those in a file; DataError for what is neither."""
    if isinstance(given, str):
        return read_densities(given)
    try:
        return Densities(everywhere=_fraction(given))
    except (TypeError, ValueError):
        told = f"density: {given!r} is no density; it is a number from 0 to 1, or the file of a profile"
        raise DataError.at(NOWHERE, told, hints=[HINT]) from None


def read_densities(path: str) -> Densities:
    """The densities that `snnc profile` wrote to a file; DataError where it is none."""
    place = Place(path)
    try:
        written: Any = json.loads(Path(path).read_text("utf-8"))
    except OSError as error:
        hints = [HINT, "--density 0.1, a number from 0 to 1 for all that can be sparse"]
        raise DataError.at(place, f"cannot be read: {error.strerror}", hints=hints) from None
    except ValueError:
        raise DataError.at(place, "is no profile: it is not JSON", hints=[HINT]) from None
    if not isinstance(written, dict) or "profile" not in written:
        raise DataError.at(place, "is no profile", hints=[HINT])
    table = cast("dict[str, Any]", written)
    if table["profile"] != VERSION:
        raise DataError.at(
            place, f"is a profile of version {table['profile']}; this snnc reads {VERSION}", hints=[HINT]
        )
    try:
        values = {str(name): Density.from_json(density) for name, density in table["values"].items()}
        windows = {str(name): Density.from_json(density) for name, density in table["windows"].items()}
        return Densities(values, windows, network=str(table["network"]), file=path)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError.at(place, f"is a damaged profile: {error!r}", hints=[HINT]) from None


def profile_of(densities: Densities, facts: Mapping[str, Any]) -> dict[str, Any]:
    """A profile as plain JSON values, which `read_densities` reads; *facts* are for people."""
    return {
        "profile": VERSION,
        "network": densities.network,
        **facts,
        "values": {name: density.to_json() for name, density in densities.values.items()},
        "windows": {name: density.to_json() for name, density in densities.windows.items()},
    }


def _fraction(written: Any) -> float:
    number = float(written)
    if not 0.0 <= number <= 1.0:
        raise ValueError(f"{number:g} is no density")
    return number
