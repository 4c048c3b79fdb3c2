"""Predicted DRAM traffic of stages: every tile that a load or store moves, in closed form over its loops.

Made from the schedule, without instructions and without running anything.  Exact for codecs of fixed size: useful
bytes, bursts with the alignment that each tile really has, bytes through scratchpad ports at loads and stores (zero
padding included), and bytes over the links of the mesh; of codecs that store blocks, as many bytes as their densities
say.  Work is predicted dense (nothing skipped), unless densities are known: then what is skipped are zeros on the left,
padding among them.  Of stages that take part in steps that the host chooses, the traffic of the first steps stands for
that of the chosen ones: their useful bytes are the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ...isa.mesh import MeshRoutes
from ...isa.program import Symbol
from ...isa.target import Target
from ...isa.traffic import Amounts, Key, Traffic
from ...numerics.formats import FORMATS
from ..ir.joined import use_in
from ..ir.on_core import OnCore
from ..ir.schedule import Axis, Buffer, Stage, Step, dram_strides
from ..ir.statement import Contraction, Moments
from .boxes import Moved, Turning, carried, moved
from .coded import coded_bytes
from .density import Densities
from .gating import inside

Row = tuple[Key, Amounts]


def predict(
    stages: Sequence[Stage], symbols: Mapping[str, Symbol], target: Target, densities: Densities
) -> dict[str, Any]:
    """Predicted traffic of one run of an entry, as JSON, with the DRAM bytes of each stage beside it.

    Values are as dense as *densities* say.
    """
    rows: list[Row] = []
    by_stage: dict[str, dict[str, float]] = {}
    for stage in stages:
        own = list(_rows(stage.taken, symbols, target, densities))
        for part, (phase, node) in enumerate(stage.nodes):
            ways = [_ways(row) for of, row in own if of == part]
            read, write = sum(way[0] for way in ways), sum(way[1] for way in ways)
            so_far = by_stage.setdefault(f"{phase} {node}", {"read": 0, "write": 0, "total": 0})
            for key, more in (("read", read), ("write", write), ("total", read + write)):
                so_far[key] += more
        rows += [row for _, row in own]
    return Traffic.of("predicted", rows).to_json() | {"by_stage": by_stage}


def _ways(row: Row) -> tuple[float, float]:
    """Bytes read and written in bursts."""
    return row[1].dram_read, row[1].dram_write


def _rows(
    stage: Stage, symbols: Mapping[str, Symbol], target: Target, densities: Densities
) -> Iterator[tuple[int, Row]]:
    """What each statement of a stage moves and does, by its part."""
    buffers, granule = stage.by_name, target.dram.granule_bytes
    on_cores = [OnCore(stage, core) for core in stage.active]
    for _, step in stage.steps():
        if step.kind in ("load", "store"):
            having = [on for on in on_cores if stage.has(step, on.core)]
            buffer = buffers[(step.writes or step.reads)[0]]
            yield step.part, _moved(stage, having, step, buffer, symbols[step.value], granule, densities)
    for step, over_links in sent(stage, target):
        part = step.part
        yield part, (Key(stage.nodes[part][0], "", _layer(stage, part)), Amounts(network=over_links))
    if isinstance(stage.statement, Moments):
        sums = sum(name.startswith("acc.") for name in buffers)
        work = sum(_dense(on, 0) for on in on_cores)
        yield 0, (Key(stage.phase, "", stage.layer), Amounts(multiply=sums * work))
    for part, statement in enumerate(stage.statements):
        if isinstance(statement, Contraction):
            amounts = _products(
                stage, part, statement, [on for on in on_cores if stage.forms(part, on.core)], densities
            )
            yield part, (Key(stage.nodes[part][0], "", _layer(stage, part)), amounts)


def _layer(stage: Stage, part: int) -> str:
    """The layer that a part of a stage belongs to."""
    return stage.joined[part - 1].layer if part else stage.layer


def _products(
    stage: Stage, part: int, statement: Contraction, cores: Sequence[OnCore], densities: Densities
) -> Amounts:
    """Products of a sum that *cores* form, its own or one beside it."""
    left = stage.by_name.get("left") if statement.left is not None else None
    gated = FORMATS[left.format].whole if left is not None else statement.engine != "bp"
    done = sum(_done(on, part, statement, densities) for on in cores)
    amounts = Amounts(gated=done) if gated else Amounts(multiply=done)
    return replace(amounts, skipped=sum(_dense(on, part) for on in cores) - done)


def sent(stage: Stage, target: Target) -> Iterator[tuple[Step, int]]:
    """Bytes over the links of the mesh, by the step that sends them: what is cast, and what is gathered."""
    mesh = MeshRoutes(target.mesh.columns, target.cores)
    for _, step in stage.steps():
        if step.kind == "multicast":
            (use,) = step.reads
            for first, *others in dict.fromkeys(stage.fellows(use, core) for core in stage.active):
                yield step, len(mesh.tree(first, tuple(others))) * _carried(stage, first, stage.by_name[use])
        elif step.kind == "gather":
            buffer = stage.by_name[step.reads[0]]
            for first, *others in dict.fromkeys(map(stage.adding, stage.active)):
                yield step, sum(len(mesh.route(core, first)) * _carried(stage, core, buffer) for core in others)


def _carried(stage: Stage, core: int, buffer: Buffer) -> int:
    """Bytes of all tiles of a buffer that a core sends once."""
    return carried(buffer.axes, FORMATS[buffer.format].bits, _turning(stage, buffer, [core]))


def _turning(stage: Stage, buffer: Buffer, cores: Sequence[int]) -> Turning:
    """What turns around the place where a buffer is filled, on *cores* that have any part of one loop that they share
    with any of another."""
    mapping, whole = stage.mapping, frozenset(buffer.whole)
    parts = [
        (name, tuple(dict.fromkeys(shares[core] for core in cores))) for name, shares in mapping.parts.items()
    ] or [("", ())]
    assert mapping.split is None or math.prod(len(shares) for _, shares in parts) == len(cores)
    (split, shares), *further = parts
    loops = stage.loops[: buffer.depth]
    return Turning(loops, mapping.tiles, stage.extents, split, shares, whole, tuple(further))


def _dense(on: OnCore, part: int) -> int:
    """Turns of all loops of a stage's sum: its own, or one beside it, as often as that is formed."""
    walked = on.stage.statements[part].extents
    around = on.loops[: on.stage.by_name[use_in(part, "acc")].depth] if part else ()
    again = math.prod(on.trips(name) for name in around if name not in walked)
    return again * math.prod(on.extents[name] for name in walked)


def _done(on: OnCore, part: int, statement: Contraction, densities: Densities) -> int:
    """Operations of a contraction whose left operand is not zero, in turns that are taken; all of them where nothing is
    known to be sparse."""
    dense = _dense(on, part)
    left, share = statement.left, on.stage.gating_of(part).right
    if dense == 0 or not densities.values:
        return dense
    if left is None:
        return round(dense * share)
    share *= densities.of(left.value).mean
    for index, axis in zip(left.index, on.stage.by_name["left"].axes, strict=True):
        share *= inside(index.offset, index.terms, axis.bound, on.lows, on.extents)
    return round(dense * share)


def _moved(
    stage: Stage,
    cores: Sequence[OnCore],
    step: Step,
    buffer: Buffer,
    symbol: Symbol,
    granule: int,
    densities: Densities,
) -> Row:
    """All that one load or store moves on all *cores* that have it."""
    useful, dram, port = plain(stage, cores, buffer, symbol, granule)
    if symbol.grid is not None:
        useful, dram = coded_bytes(cores, buffer, symbol, densities.of(symbol.name), granule)
    phase, _ = stage.nodes[step.part]
    key = Key(phase, symbol.name, symbol.layer, symbol.codec)
    if step.kind == "store":
        return key, Amounts(dram_write=dram, useful_write=useful, scratchpad_read=port)
    return key, Amounts(dram_read=dram, useful_read=useful, scratchpad_write=port)


def plain(stage: Stage, cores: Sequence[OnCore], buffer: Buffer, symbol: Symbol, granule: int) -> Moved:
    """What *cores* move of a tensor whose elements are each at their place."""
    turning = _turning(stage, buffer, [on.core for on in cores])
    strides, bits = dram_strides(buffer.axes, symbol.strides, symbol.steps), FORMATS[buffer.format].bits
    if buffer.axes and buffer.axes[0].ring:
        return _in_ring(buffer.axes, strides, bits, turning, symbol.address * 8, granule)
    return moved(buffer.axes, strides, bits, turning, symbol.address * 8, granule)


def _in_ring(
    axes: Sequence[Axis], strides: Sequence[int], bits: int, turning: Turning, address: int, granule: int
) -> Moved:
    """The same of a tensor that has room for the last steps of time alone, along its first axis: by where a step lies.

    What would lie before the first step are zeros, which nobody fetches.
    """
    time, *others = axes
    steps = np.arange(turning.extents["t"]) + time.offset
    found = np.zeros(3, np.int64)
    for place in range(time.ring):
        there = steps[steps % time.ring == place] >= 0
        for fetched in (True, False):
            of_all = turning._replace(extents={**turning.extents, "t": int((there == fetched).sum())})
            one = moved((Axis((), 0, 1), *others), strides, bits, of_all, address + place * strides[0], granule)
            found += np.array(one) * (fetched, fetched, 1)
    return Moved(*found.tolist())
