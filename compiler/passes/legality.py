"""Which tilings the machine can run at all: whole sums, the order of rounding sums, and axes that two loops walk.

What concerns one loop alone is no matter of a tiling; `space` has left such sizes out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..ir.schedule import ALWAYS
from ..ir.statement import Contraction, Moments
from .operands import Operand
from .request import Request

MOST_AXES = 8
"""Axes of a view register."""

Tiles = Mapping[str, Any]
"""Tile of every loop: integers, or arrays with one entry a candidate."""


def legal_tiles(
    request: Request, operands: tuple[Operand, ...], order: tuple[str, ...], tiles: Tiles, extents: Mapping[str, int]
) -> Any:
    """Whether the machine can run *tiles* in this *order* of loops; an array where those are arrays."""
    return legal_alone(request, operands, order, tiles, extents) & may_hold(operands, order, tiles, extents)


def legal_alone(
    request: Request, operands: tuple[Operand, ...], order: tuple[str, ...], tiles: Tiles, extents: Mapping[str, int]
) -> Any:
    """Whether it can where no buffer holds tiles side by side."""
    statement = request.statement
    legal: Any = np.bool_(True)
    cut = {name: np.less(tiles[name], extents[name]) for name in extents}
    for axis in (axis for operand in operands if operand.stores for axis in operand.axes if len(axis.terms) > 1):
        unit = [name for name, c in axis.terms if abs(c) == 1]
        others = [name for name, c in axis.terms if abs(c) != 1]
        whole: Any = np.bool_(True)
        for name in unit:
            whole = whole & np.greater_equal(tiles[name], request.extents[name])
        for name in others:
            legal = legal & (whole | np.equal(tiles[name], 1))
    if isinstance(statement, Contraction):
        of_target = statement.target.loops
        for place, name in enumerate(order):
            if name in statement.summed:
                for other in (other for other in order[place + 1 :] if other in of_target):
                    legal = legal & (~cut[name] | (~cut[other] & (other not in ALWAYS)))
                    if name in ALWAYS:
                        legal = legal & ~cut[other]
    for loops in (each.extents for each in request.statements):
        if len(loops) > MOST_AXES:
            long = (np.not_equal(tiles[name], 1) | (extents[name] == 0) for name in loops)
            legal = legal & (sum(each.astype(np.int64) for each in long) <= MOST_AXES)
    for target, others in request.final:
        for place, name in enumerate(order):
            if name in others:
                for other in (other for other in order[place + 1 :] if other in target):
                    legal = legal & (~cut[name] | ~cut[other])
    if isinstance(statement, Contraction) and request.later:
        for name in statement.summed:  # sums are complete before what turns in the epilogue alone begins
            legal = legal & ~cut[name]
    if isinstance(statement, Contraction | Moments) and request.rounds:
        legal = legal & _keeps_order(statement, tiles, cut)
    return legal


def may_hold(operands: tuple[Operand, ...], order: tuple[str, ...], tiles: Tiles, extents: Mapping[str, int]) -> Any:
    """Whether nothing that fills a buffer anew turns inside a loop whose tiles it holds side by side."""
    legal: Any = np.bool_(True)
    for operand in operands:
        for name, all_cores in operand.whole:
            # Inside a loop that is an instruction, a core sees its own part of it, even in the only turn.
            apart = np.less(tiles[name], all_cores if name in ALWAYS else extents[name])
            for inner in order[order.index(name) + 1 :]:
                if inner in operand.loops:
                    alone = np.greater_equal(tiles[inner], extents[inner]) & (inner not in ALWAYS)
                    legal = legal & (~apart | alone)
    return legal


def _keeps_order(statement: Contraction | Moments, tiles: Tiles, cut: Tiles) -> Any:
    """Whether tiles of a rounding sum cut only where the canonical order allows: below a cut nothing else turns."""
    legal: Any = np.bool_(True)
    outer: list[str] = []
    blocked = statement.blocked if isinstance(statement, Contraction) else None
    for name in statement.summed:
        if name != blocked:
            for before in outer:
                legal = legal & (~cut[name] | np.equal(tiles[before], 1))
            outer.append(name)
    return legal
