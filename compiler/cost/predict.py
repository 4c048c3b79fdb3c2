"""Predicted DRAM traffic of stages: every tile that a load or store moves, in closed form over its loops.

Made from the schedule, without instructions and without running anything.  Exact for codecs of fixed size: useful
bytes, bursts with the alignment that each tile really has, and bytes through scratchpad ports at loads and stores
(zero padding included).  Work is predicted dense (nothing skipped).  Of stages that take part in steps that the host
chooses, the traffic of the first steps stands for that of the chosen ones: their useful bytes are the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ...isa.kernels.bursts import bursts
from ...isa.program import Symbol
from ...isa.target import Target
from ...isa.traffic import Amounts, Key, Traffic
from ...numerics.formats import FORMATS
from ..ir.schedule import Buffer, OnCore, Stage, Step, dram_strides
from ..ir.statement import Contraction, Moments

Counts = NDArray[np.int64]


def predict(stages: Sequence[Stage], symbols: Mapping[str, Symbol], target: Target, cores: int) -> Traffic:
    """Predicted traffic of one run of an entry."""
    return Traffic.of("predicted", _rows(stages, symbols, target.dram.granule_bytes))


def _rows(stages: Sequence[Stage], symbols: Mapping[str, Symbol], granule: int) -> Iterator[tuple[Key, Amounts]]:
    for stage in (stage.taken for stage in stages):
        buffers = stage.by_name
        for core in stage.active:
            on = OnCore(stage, core)
            for _, step in stage.steps_on(core):
                if step.kind in ("load", "store"):
                    buffer = buffers[(step.writes or step.reads)[0]]
                    yield _moved(on, step, buffer, symbols[step.value], granule)
            if isinstance(stage.statement, Moments):
                sums = sum(name.startswith("acc.") for name in buffers)
                yield Key(stage.phase, "", stage.layer), Amounts(multiply=sums * math.prod(on.extents.values()))
            if isinstance(stage.statement, Contraction):
                dense = math.prod(on.extents.values())
                left = buffers.get("left")
                gated = FORMATS[left.format].whole if left is not None else stage.statement.engine != "bp"
                amounts = Amounts(gated=dense) if gated else Amounts(multiply=dense)
                yield Key(stage.phase, "", stage.layer), amounts


def _moved(on: OnCore, step: Step, buffer: Buffer, symbol: Symbol, granule: int) -> tuple[Key, Amounts]:
    """All that one load or store moves on one core."""
    loops = on.loops[: buffer.depth]
    followed = {name for axis in buffer.axes for name, _ in axis.terms}
    repeats = math.prod(on.trips(name) for name in loops if name not in followed)
    turning = [name for name in loops if name in followed]
    counters = np.meshgrid(*(np.arange(on.trips(name), dtype=np.int64) for name in turning), indexing="ij")
    start = {n: c.ravel() * on.stage.mapping.tiles[n] for n, c in zip(turning, counters, strict=True)}
    extent: dict[str, Counts | int] = {
        name: np.minimum(on.stage.mapping.tiles[name], on.extents[name] - start[name]) for name in turning
    }
    extent |= {name: on.extents[name] for name in followed if name not in start}

    count = len(next(iter(start.values()))) if start else 1
    lengths: list[Counts] = []
    tile: list[Counts] = []
    address = np.full(count, symbol.address * 8, np.int64)
    strides = dram_strides(buffer.axes, symbol.strides, symbol.steps)
    for axis, stride in zip(buffer.axes, strides, strict=True):
        low = np.full(count, axis.offset, np.int64)
        length = np.ones(count, np.int64)
        for name, c in axis.terms:
            first = start.get(name, 0) + on.lows.get(name, 0)
            low += c * first + min(0, c) * (extent[name] - 1)
            length += abs(c) // axis.step * (extent[name] - 1)
        tile.append(length)
        if axis.step == 1:
            high = np.minimum(low + length, axis.bound)
            low = np.maximum(low, 0)
            length = np.maximum(high - low, 0)
        lengths.append(length)
        address += low * stride
    useful, moved = _bytes(buffer, symbol, address, np.stack(lengths, 1), granule)
    useful, moved = useful * repeats, moved * repeats
    *outer, last = tile
    rows = math.prod(outer, start=np.ones(count, np.int64))
    port = int((rows * -(-last * FORMATS[buffer.format].bits // 8)).sum()) * repeats
    key = Key(on.stage.phase, symbol.name, symbol.layer)
    if step.kind == "store":
        return key, Amounts(dram_write=moved, useful_write=useful, scratchpad_read=port)
    return key, Amounts(dram_read=moved, useful_read=useful, scratchpad_write=port)


def _bytes(buffer: Buffer, symbol: Symbol, address: Counts, lengths: Counts, granule: int) -> tuple[int, int]:
    """(useful bytes, bytes in bursts) of boxes at bit addresses; equal boxes are looked at once."""
    strides = dram_strides(buffer.axes, symbol.strides, symbol.steps)
    steps = tuple(axis.step * stride for axis, stride in zip(buffer.axes, strides, strict=True))
    keyed = np.column_stack([address // 8 % granule, lengths])
    kinds, times = np.unique(keyed, axis=0, return_counts=True)
    bits = FORMATS[buffer.format].bits
    useful = moved = 0
    for (begin, *box), number in zip(kinds.tolist(), times.tolist(), strict=True):
        if 0 in box:
            continue
        if steps[-1] == bits:
            row, outer, strides = -(-box[-1] * bits // 8), box[:-1], steps[:-1]
        else:
            row, outer, strides = bits // 8, box, steps
        useful += number * row * math.prod(outer)
        touched = bursts(begin, tuple(outer), tuple(stride // 8 for stride in strides), row, granule)
        moved += number * touched * granule
    return useful, moved
