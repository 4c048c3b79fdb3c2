"""Which turns of an array are empty, by densities: what an engine is told to leave out, and what that saves.

A word of the left operand holds the elements of the array's rows, one of the right operand those of its columns.  Words
along the channels of a value are what a profile measures; of others, zeros are taken to fall anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ...isa.array import STATIONARY, Operand, layout
from ...isa.array import Contraction as Tile
from ...isa.skipping import LEFT, NOTHING, RIGHT, right_gates
from ...isa.target import Target
from ...numerics.formats import FORMATS
from ..ir.gating import ALL_TURNS, Gating
from ..ir.schedule import Stage, Step
from ..ir.statement import Access, Contraction, Moments
from .density import Densities


def tile_seen(stage: Stage, step: Step, tiles: Mapping[str, int], target: Target) -> tuple[Tile, tuple[str, ...]]:
    """A tile of a contraction as an engine sees it, and the loops that its axes are."""
    statement, buffers = stage.statements[step.part], stage.by_name
    assert isinstance(statement, Contraction | Moments)
    names = tuple(name for name in tiles if tiles[name] > 1 and name in statement.extents)
    extents = tuple(tiles[name] for name in names)

    def operand(name: str) -> Operand:
        buffer = buffers[name]
        strides = [0] * len(names)
        for axis, stride in zip(buffer.axes, buffer.strides, strict=True):
            for loop, c in axis.terms:
                if loop in names:
                    strides[names.index(loop)] += abs(c) * stride // axis.step
        return Operand(tuple(strides), FORMATS[buffer.format].bits)

    acc, reads = operand(step.writes[0]), step.reads
    left = operand(reads[0]) if len(reads) == 2 else None
    right = operand(reads[-1]) if reads else Operand((0,) * len(names), 16)
    counted = left is not None and FORMATS[buffers[reads[0]].format].kind in ("bit", "unsigned")
    inner = STATIONARY[target.engines[step.unit].inner]
    return Tile(extents, acc, left, right, inner, left.bits if left is not None and counted else 1, True), names


def gated(stage: Stage, target: Target, densities: Densities) -> Stage:
    """*stage* with what its engine leaves out, of its own sum and of those beside it."""
    beside = tuple(
        replace(each, gating=gating_of(stage, part, target, densities)) for part, each in enumerate(stage.beside, 1)
    )
    return replace(stage, gating=gating_of(stage, 0, target, densities), beside=beside)


def gating_of(stage: Stage, part: int, target: Target, densities: Densities) -> Gating:
    """What the engine of *stage* leaves out of that part of it; nothing where nothing is known to be sparse."""
    statement, buffers = stage.statements[part], stage.by_name
    if not isinstance(statement, Contraction) or "right" not in buffers:
        return ALL_TURNS
    engine = target.engines[statement.engine]
    if not engine.lookahead:
        return ALL_TURNS
    step = next(step for _, step in stage.steps() if step.kind == "contract" and step.part == part)
    tile, names = tile_seen(stage, step, stage.mapping.tiles, target)
    row, column = (None if axis is None else names[axis] for axis in layout(tile))
    left = None if statement.left is None else FORMATS[buffers["left"].format]
    skip, of_left, of_right = NOTHING, 1.0, 1.0
    if statement.left is not None:
        of_left = _filled(stage, "left", statement.left, densities, {row: engine.rows})
        skip |= LEFT if of_left < 1.0 else NOTHING
    tested = statement.engine == "wg" or statement.left is None  # what stands on the right of others are weights
    if tested and right_gates(FORMATS[buffers[step.writes[0]].format], left):
        words = {column: engine.columns} | ({row: engine.rows} if statement.left is None else {})
        of_right = _filled(stage, "right", statement.right, densities, words)
        skip |= RIGHT if of_right < 1.0 else NOTHING
    summed = [name for name in statement.summed if stage.extents[name] > 1]
    turns = math.prod(-(-stage.extents[name] // (engine.rows if name == row else 1)) for name in summed)
    found = Gating(skip, of_left, of_right, 1.0 / max(turns, 1))
    return found if found.taken < 1.0 else ALL_TURNS


def _filled(stage: Stage, use: str, access: Access, densities: Densities, words: Mapping[str | None, int]) -> float:
    """The fraction of an operand's words that hold anything: padding holds nothing."""
    if access.value not in densities.values:
        return 1.0
    density, share = densities.of(access.value), 1.0
    sizes: list[int] = []
    last = len(access.index) - 1
    for index, axis in zip(access.index, stage.by_name[use].axes, strict=True):
        along = [min(words[name], stage.extents[name]) for name, _ in index.terms if name in words]
        sizes.append(math.prod(along))
        if not along:
            share *= inside(index.offset, index.terms, axis.bound, {}, stage.extents)
    if math.prod(sizes) == sizes[last]:
        return share * density.word(sizes[last])
    return share * (1.0 - (1.0 - density.mean) ** math.prod(sizes))


def inside(
    offset: int, terms: tuple[tuple[str, int], ...], bound: int, lows: Mapping[str, int], extents: Mapping[str, int]
) -> float:
    """The fraction of the positions ``offset + sum of coefficient * loop`` that lie in ``0 .. bound - 1``."""
    places = np.array([offset])
    for name, c in terms:
        places = (places[:, None] + c * (lows.get(name, 0) + np.arange(extents[name]))).ravel()
    return float(np.mean((places >= 0) & (places < bound))) if places.size else 1.0
