"""Which tilings the machine can run at all: whole sums, byte boundaries, the order of rounding sums."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..ir.schedule import ALWAYS
from ..ir.statement import Contraction, Moments
from .operands import Operand
from .request import Request

Array = NDArray[np.int64]

LARGEST_EXTENT = (1 << 23) - 1
"""What an axis register can hold."""

BLOCK = 64
"""Channels of a block of a rounding sum."""


def legal_tiles(
    request: Request,
    operands: tuple[Operand, ...],
    order: tuple[str, ...],
    tiles: Mapping[str, Array],
    extents: Mapping[str, int],
    count: int,
) -> NDArray[np.bool_]:
    """Which candidates the machine can run at all: whole sums, byte boundaries, order of rounding sums."""
    statement = request.statement
    legal = np.full(count, True)
    cut = {name: tiles[name] < extents[name] for name in extents}
    for operand in operands:
        if operand.format.packed and operand.moves:
            for name, c in operand.axes[-1].terms:
                legal &= ~cut[name] | (abs(c) * tiles[name] % 8 == 0)
        for axis in operand.axes if operand.writes else ():
            if len(axis.terms) > 1:
                unit = [name for name, c in axis.terms if abs(c) == 1]
                others = [name for name, c in axis.terms if abs(c) != 1]
                whole = np.full(count, True)
                for name in unit:
                    whole &= tiles[name] >= statement.extents[name]
                for name in others:
                    legal &= whole | (tiles[name] == 1)
        for extent in operand.extents(tiles):
            legal &= np.asarray(extent) <= LARGEST_EXTENT
    if isinstance(statement, Contraction):
        of_target = statement.target.loops
        for place, name in enumerate(order):
            if name in statement.summed:
                inner = [other for other in order[place + 1 :] if other in of_target]
                for other in inner:
                    legal &= ~cut[name] | (~cut[other] & (other not in ALWAYS))
                if name in ALWAYS and inner:
                    for other in inner:
                        legal &= ~cut[other]
    if isinstance(statement, Contraction | Moments) and request.rounds:
        legal &= _keeps_order(statement, tiles, cut, count)
    return legal


def _keeps_order(
    statement: Contraction | Moments, tiles: Mapping[str, Array], cut: Mapping[str, NDArray[np.bool_]], count: int
) -> NDArray[np.bool_]:
    """Whether tiles of a rounding sum cut only where the canonical order allows: below a cut nothing else turns."""
    legal = np.full(count, True)
    outer: list[str] = []
    blocked = statement.blocked if isinstance(statement, Contraction) else None
    for name in statement.summed:
        if name == blocked:
            extent = statement.extents[name]
            legal &= tiles[name] <= BLOCK if extent > BLOCK else ~cut[name]
            legal &= ~cut[name] | (tiles[name] % BLOCK == 0)
        else:
            for before in outer:
                legal &= ~cut[name] | (tiles[before] == 1)
            outer.append(name)
    return legal
