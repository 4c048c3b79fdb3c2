"""View registers of a stage on one core: what each unit's instructions see of DRAM and of the scratchpads.

Most words are the same on all cores, so each is made once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from ...isa.instruction import Instruction
from ...isa.instructions.describe import Axis as AxisWord
from ...isa.instructions.describe import CodedView
from ...isa.instructions.describe import GridAxis as GridWord
from ...isa.instructions.describe import Span as SpanWord
from ...isa.instructions.describe import Turn as TurnWord
from ...isa.instructions.describe import View as ViewWord
from ...isa.program import Symbol
from ...numerics.formats import FORMATS, U32
from ..ir.on_core import OnCore
from ..ir.schedule import Axis, Buffer, dram_strides
from ..ir.statement import TIME, Contraction, Elementwise, Index, Moments, Statement

DRAM = 0
IDENTITY = 63

made_axis = lru_cache(1 << 14)(AxisWord)
made_span = lru_cache(1 << 14)(SpanWord)
made_turn = lru_cache(1 << 14)(TurnWord)
made_view = lru_cache(1 << 14)(ViewWord)


def dram_view(view: int, on: OnCore, buffer: Buffer, symbol: Symbol, writes: bool) -> list[Instruction]:
    """The box of *symbol* that a tile of *buffer* is; of one that is stored in blocks, positions and blocks."""
    grid = symbol.grid
    base = symbol.address * 8
    ring = 0
    words: list[Instruction] = []
    around = on.loops[: buffer.depth]
    strides = dram_strides(buffer.axes, symbol.strides if grid is None else grid.strides, symbol.steps)
    for number, (axis, stride) in enumerate(zip(buffer.axes, strides, strict=True)):
        offset = axis.offset + sum(c * on.along(name, buffer)[0] for name, c in axis.terms)
        extent = 1
        for name, c in axis.terms:
            if name not in around:
                _, most = on.along(name, buffer)
                extent += abs(c) // axis.step * (most - 1)
                offset += min(0, c * (most - 1))
        bound = 0 if writes or not axis.padded(on.stage.extents) else axis.bound
        if axis.ring:  # positions tell what there is, and turns where it lies
            ring, turned, stride = stride * axis.ring, stride, 0
            words.append(made_turn(view, on.register("t"), turned, axis.offset % axis.ring))
        origin, offset = (offset, 0) if axis.step > 1 else (0, offset)
        if grid is None:
            base += origin * stride
            words.append(made_axis(view, number, extent, stride * axis.step, offset, bound))
        else:
            words.append(made_axis(view, number, extent, stride, offset, bound))
            words.append(GridWord(view, number, grid.blocks[number], axis.step, origin, axis.bound))
        for name, c in axis.terms:
            if name in around:
                words.append(made_span(view, number, on.register(name), c // axis.step, 1, 1))
    if grid is not None:
        words.insert(0, CodedView(view, grid.codec.number, grid.slot, symbol.address + grid.directory))
    return [made_view(view, DRAM, FORMATS[buffer.format].code, len(buffer.axes), base, ring), *words]


def further(
    words: Sequence[Instruction], view: int, buffer: Buffer, split: str | None, by: int
) -> Sequence[Instruction]:
    """*words* whose *view* is a box in DRAM, for a core whose share of loop *split* begins so many values later."""
    moved = {number: by * c for number, axis in enumerate(buffer.axes) for name, c in axis.terms if name == split}
    if not moved or not by:
        return words
    found, base, opening = list(words), 0, 0
    for place, word in enumerate(words):
        match word:
            case ViewWord(view=own) if own == view:
                opening = place
            case AxisWord(view=own, axis=number) if own == view and number in moved:
                step = buffer.axes[number].step
                if step == 1:
                    offset = word.offset + moved[number]
                    found[place] = made_axis(view, number, word.extent, word.stride, offset, word.bound)
                elif not any(isinstance(other, CodedView) for other in words):
                    base += moved[number] * (word.stride // step)
            case GridWord(view=own, axis=number) if own == view and number in moved and word.step > 1:
                found[place] = GridWord(view, number, word.block, word.step, word.origin + moved[number], word.bound)
            case _:
                pass
    first = found[opening]
    assert isinstance(first, ViewWord)
    found[opening] = made_view(view, first.space, first.format, first.rank, first.base + base, first.ring)
    return found


def move_view(view: int, on: OnCore, buffer: Buffer) -> list[Instruction]:
    """The whole tile in its buffer, axes as in memory: the scratchpad's side of a load or store."""
    words = _home(view, on, buffer, len(buffer.axes), 0)
    for number, (extent, stride) in enumerate(zip(buffer.extents, buffer.strides, strict=True)):
        words.append(made_axis(view, number, extent, stride))
    return words


def tile_view(view: int, on: OnCore, buffer: Buffer) -> list[Instruction]:
    """The tile in its buffer as large as it is in each turn, axes as in memory: what is sent, or received."""
    around = on.loops[: buffer.depth]
    words = _home(view, on, buffer, len(buffer.axes), 0)
    for number, (axis, stride) in enumerate(zip(buffer.axes, buffer.strides, strict=True)):
        steps = {name: abs(c) // axis.step for name, c in axis.terms}
        extent = 1 + sum(step * (on.along(name, buffer)[1] - 1) for name, step in steps.items() if name not in around)
        words.append(made_axis(view, number, extent, stride))
        growing = ((on.register(name), step) for name, step in steps.items() if name in around)
        words += [made_span(view, number, register, step, 0, 1) for register, step in growing]
    return words


def compute_view(view: int, on: OnCore, buffer: Buffer, axes: Sequence[str]) -> list[Instruction]:
    """The tile in its buffer with one axis for each of the loops *axes*; stride 0 where the tile does not follow it."""
    offset = 0
    inside: list[Instruction] = []
    strides = dict.fromkeys(axes, 0)
    for axis, stride in zip(buffer.axes, buffer.strides, strict=True):
        for name, c in axis.terms:
            step = int(c / axis.step) * stride
            if name in strides:
                strides[name] += step
            if c < 0:
                offset -= step * (on.tile(name) - 1)
            if name in buffer.whole:
                offset += step * on.lows.get(name, 0)
            if name in on.loops[buffer.depth :]:  # its tiles lie side by side in the buffer
                inside.append(made_turn(view, on.register(name), step * on.stage.mapping.tiles[name]))
    words = [*_home(view, on, buffer, len(axes), offset), *inside]
    for number, name in enumerate(axes):
        words += loop_axis(view, number, on, name, strides[name])
    return words


def loop_axis(view: int, number: int, on: OnCore, name: str, stride: int) -> list[Instruction]:
    """Axis *number* of *view* as the values of one loop inside a tile."""
    if name not in on.loops:
        return [made_axis(view, number, on.extents[name], stride)]
    return [made_axis(view, number, 1, stride), made_span(view, number, on.register(name), 1, 0, 1)]


def identity_view(view: int, on: OnCore, axes: Sequence[str], index: Index) -> list[Instruction]:
    """A view whose elements are numbers: what *index* is worth at the values of the loops."""
    steps = dict(index.terms)
    base = index.offset + sum(step * on.lows.get(name, 0) for name, step in steps.items())
    words: list[Instruction] = []
    for name in on.loops:
        if steps.get(name):
            words.append(made_turn(view, on.register(name), steps[name] * on.stage.mapping.tiles[name]))
    for number, name in enumerate(axes):
        words += loop_axis(view, number, on, name, steps.get(name, 0))
    return [made_view(view, IDENTITY, U32.code, len(axes), base, 0), *words]


def window_bound(
    view: int, on: OnCore, number: int, tap: str, outer: str, axis: Axis, stride: int
) -> list[Instruction]:
    """Tap axis of a window whose taps may leave the source: where it begins there, and where the source ends."""
    if not axis.padded(on.stage.extents):
        return [made_axis(view, number, on.extents[tap], stride)]
    coefficient = dict(axis.terms)[outer]
    offset = axis.offset + coefficient * on.lows.get(outer, 0)
    words: list[Instruction] = [made_axis(view, number, on.extents[tap], stride, offset, axis.bound)]
    if outer in on.loops:
        words.append(made_span(view, number, on.register(outer), coefficient, 1, 0))
    return words


def _home(view: int, on: OnCore, buffer: Buffer, rank: int, offset: int) -> list[Instruction]:
    """A view of a buffer; every loop around it turns its ring, also by whole rings: no word depends on trip counts."""
    ring = buffer.bytes * 8 * buffer.ring if buffer.ring > 1 else 0
    base = buffer.address * 8 + offset
    kind = FORMATS[buffer.format]
    words: list[Instruction] = [made_view(view, buffer.memory + 1, kind.code, rank, base, ring)]
    stride = buffer.bytes * 8
    for name in reversed(on.loops[: buffer.depth]):
        if ring:
            words.append(made_turn(view, on.register(name), stride % ring))
        stride *= on.trips(name)
    return words


def compute_axes(on: OnCore, statement: Statement) -> tuple[str, ...]:
    """The loops that are axes of a computation's views; those of extent 1 are left out where no axis needs them.

    Summed loops come last, in canonical order: the one that is walked in blocks turns fastest.
    """
    match statement:
        case Contraction():
            order = [name for name, _ in statement.loops if name not in statement.summed]
            order += sorted(statement.summed, key=lambda name: name == statement.blocked)
            return tuple(name for name in order if _long(on, name))
        case Moments():
            bounded = "n" if statement.argument else ""  # what the host bounds may be nothing, which an axis must show
            names = (*(name for name, _ in statement.kept), *statement.summed)
            return tuple(name for name in names if name == bounded or _long(on, name))
        case Elementwise():
            *outer, last = [name for name, _ in statement.loops] or ["t"]
            return (*(name for name in outer if _long(on, name)), last)
        case _:
            followed = [name for index in statement.target.index for name, c in index.terms if c and name not in TIME]
            return (*followed, *statement.taps)


def _long(on: OnCore, name: str) -> bool:
    """Whether *name* needs an axis; a loop that turns has one by its tile, so that no core's share of it matters."""
    return (on.stage.mapping.tiles[name] if name in on.loops else on.extents[name]) != 1
