"""Operands of a statement as the mapping sees them: axes, formats, roles, and the size of a tile."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...isa.target import Target
from ...numerics.formats import F16, FORMATS, Format, row_bytes, unsigned_for
from ..ir.joined import Joined, use_in
from ..ir.schedule import Axis, dram_strides
from ..ir.statement import Access, Contraction, Elementwise, Moments, Statement, Window
from ..ir.stored import Stored
from ..ir.types import Type
from .likeness import Likeness

PACKED_ROW_BITS = 64
"""Rows of packed formats are padded to this in scratchpads (8 in DRAM)."""

NO_ROOMS: Mapping[str, int] = {}
"""All values have room for all steps."""

Sizes = Mapping[str, Any]
"""Tile of every loop: integers, or arrays with one entry a candidate."""


@dataclass(frozen=True)
class Operand:
    """One operand: *use* is its place in the instruction, *role* the kind of buffer that it needs.

    It *moves* where its buffer is filled from DRAM or emptied to it; one that is *drawn* is made in its buffer instead.
    Its buffer is filled anew whenever one of its *loops* turns; of those that *whole* gives the extents of, it holds
    all tiles side by side, and they turn inside.
    """

    use: str
    role: str
    format: Format
    axes: tuple[Axis, ...]
    value: str = field(default="", compare=False)
    """Whose tiles they are; the mapping sees no names."""

    writes: bool = False
    moves: bool = True
    drawn: bool = False
    doubled: bool = True
    part: int = 0
    """Which statement of its stage it belongs to: the own one, or the one that has joined it with this number."""

    back: str = ""
    """The value that its buffer holds in the end, changed, if it is stored from there again."""

    first: bool = False
    """Of loops that cores share and that do not walk it, whether only the core with the first share has it."""

    hold: frozenset[str] = frozenset()
    whole: tuple[tuple[str, int], ...] = ()
    stored: Stored | None = None
    """How it lies in DRAM, if not each element at its place."""

    @property
    def stores(self) -> bool:
        """Whether its buffer is emptied to DRAM."""
        return self.writes or bool(self.back)

    @cached_property
    def loops(self) -> frozenset[str]:
        """Loops at whose turns the buffer is filled anew."""
        return (self.followed - {name for name, _ in self.whole}) | self.hold

    @cached_property
    def followed(self) -> frozenset[str]:
        """Loops that walk its axes."""
        return frozenset(name for axis in self.axes for name, _ in axis.terms)

    @cached_property
    def motion(self) -> Likeness:
        """All of it that bears on which bytes of DRAM its tiles move, and on who moves them."""
        whose = self.writes, self.first, self.part > 0
        return Likeness((self.axes, self.format.bits, self.hold, self.whole, self.stored, whose))

    @cached_property
    def tile(self) -> Likeness:
        """All of it that bears on the room that its buffer takes."""
        return Likeness((self.axes, self.format.name, self.hold, self.whole, self.doubled))

    def extents(self, tiles: Sizes) -> tuple[Any, ...]:
        """Extent of each axis of a tile in its buffer."""
        tiles = {**tiles, **dict(self.whole)} if self.whole else tiles
        found: list[Any] = []
        for walked in self._walked:
            extent: Any = 1
            for name, apart in walked:
                along = tiles[name] if apart == 1 else apart * (tiles[name] - 1) + 1
                extent = along if len(walked) == 1 else extent + along - 1
            found.append(extent)
        return tuple(found)

    @cached_property
    def _walked(self) -> tuple[tuple[tuple[str, int], ...], ...]:
        """The loops of each axis, with the positions from one of their values to the next."""
        return tuple(tuple((name, abs(c) // axis.step) for name, c in axis.terms) for axis in self.axes)

    def row_bits(self, count: Any) -> Any:
        """Bits of a row of *count* elements in a scratchpad."""
        if not self.format.packed:
            return count * self.format.bits
        return -(-count * self.format.bits // PACKED_ROW_BITS) * PACKED_ROW_BITS

    def bytes(self, tiles: Sizes) -> Any:
        """Bytes of a tile in its scratchpad, a multiple of 8."""
        *outer, last = self.extents(tiles) or (1,)
        bits: Any = self.row_bits(last)
        for extent in outer:
            bits = bits * extent
        return -(-bits // 64) * 8

    def strides(self, extents: tuple[int, ...]) -> tuple[int, ...]:
        """Bits between neighbours along each axis of a tile of these (largest) extents."""
        strides = [self.format.bits]
        step = int(self.row_bits(extents[-1]))
        for extent in reversed(extents[:-1]):
            strides.insert(0, step)
            step *= extent
        return tuple(strides)

    @cached_property
    def dram_strides(self) -> tuple[int, ...]:
        """Bits between neighbours along each axis in DRAM; along time 0 where there is room for one step only."""
        strides: list[int] = []
        step = self.format.bits
        for place, axis in enumerate(reversed(self.axes)):
            strides.insert(0, step)
            step = row_bytes(axis.bound, self.format) * 8 if place == 0 else step * axis.bound
        held = bool(self.axes) and self.axes[0].bound == 1
        return tuple(dram_strides(self.axes, strides, 1 if held else 0))


def axes_of(access: Access, type: Type, statement: Statement, steps: int, batch: int, writes: bool) -> tuple[Axis, ...]:
    """The axes of *access*, one for each axis of the value in memory, where there is room for so many *steps*."""
    bounds = [*type.lead(steps, batch), *type.memory]
    assert len(bounds) == len(access.index), f"{access}: {len(access.index)} indices for {type}"
    extents = statement.extents
    axes: list[Axis] = []
    for index, bound in zip(access.index, bounds, strict=True):
        terms = tuple((name, c) for name, c in index.terms if c)
        axis = Axis(terms, index.offset, bound)
        if len(terms) == 1 and abs(terms[0][1]) > 1 and (writes or not axis.padded(extents)):
            axis = Axis(terms, index.offset, bound, abs(terms[0][1]))
        axes.append(axis)
    return tuple(axes)


def accumulator_format(target: Target, statement: Contraction, types: Mapping[str, Type]) -> Format:
    """What a sum is kept in: exact fixed point for gated sums or products, or the target's rounding format."""
    if target.accumulators != "exact":
        return FORMATS[target.accumulators]
    gated = statement.left is None or types[statement.left.value].kind.whole
    return FORMATS["x64" if gated else "x128"]


def operands_of(
    statement: Statement,
    phase: str,
    types: Mapping[str, Type],
    target: Target,
    steps: int,
    batch: int,
    hold: frozenset[str] = frozenset(),
    split: str | None = None,
    rooms: Mapping[str, int] = NO_ROOMS,
) -> tuple[Operand, ...]:
    """Every operand of *statement* that needs a buffer, in the order of the instruction.

    *hold* are loops at whose every turn all buffers are filled anew, whether they follow them or not.  Where cores
    *split* a sum, one of them needs room for the whole beside its own.  Of some values *rooms* tells for how many of
    the *steps* there is room.
    """
    found = _operands(statement, phase, types, target, steps, batch, rooms)
    if isinstance(statement, Contraction | Moments) and split in statement.summed:
        sums = [operand for operand in found if operand.role.endswith(".acc")]
        whole = [replace(each, use=each.use.replace("acc", "whole"), first=each.moves) for each in sums]
        own = {each.use: replace(each, moves=False, writes=False, back="", value="") for each in sums}
        found = (*(own.get(each.use, each) for each in found), *whole)
    return tuple(replace(operand, hold=hold) for operand in found) if hold else found


def _operands(
    statement: Statement,
    phase: str,
    types: Mapping[str, Type],
    target: Target,
    steps: int,
    batch: int,
    rooms: Mapping[str, int],
) -> tuple[Operand, ...]:
    side = statement.engine if isinstance(statement, Moments) else phase.lower()

    def operand(use: str, access: Access, role: str, writes: bool = False) -> Operand:
        type = types[access.value]
        axes = axes_of(access, type, statement, rooms.get(access.value, steps), batch, writes)
        return Operand(use, f"{side}.{role}", type.kind, axes, access.value, writes)

    match statement:
        case Contraction():
            found: list[Operand] = []
            if not any(extent == 0 for _, extent in statement.loops):
                if statement.left is not None:
                    found.append(operand("left", statement.left, "left"))
                found.append(operand("right", statement.right, "right"))
            if statement.bias is not None:
                found.append(operand("bias", statement.bias, "bias"))
            out = operand("out", statement.target, "out", writes=True)
            kind = accumulator_format(target, statement, types)
            acc = Operand("acc", f"{side}.acc", kind, out.axes, moves=False, doubled=False)
            if statement.onto is not None:
                found.append(replace(acc, moves=True, value=statement.onto.value))
                if statement.partial:
                    found[-1] = replace(found[-1], back=statement.target.value)
            elif statement.partial:
                found.append(replace(acc, moves=True, value=statement.target.value, writes=True))
            else:
                found.append(acc)
            return tuple(found) if statement.partial else (*found, out)
        case Elementwise():
            return tuple(_vector_operands(statement, side, types, operand))
        case Moments():
            return tuple(_moments_operands(statement, operand, exact_moments(statement, types)))
        case Window():
            found = [operand("source", statement.source, "left")]
            if statement.tap is not None:
                found.append(operand("tap", statement.tap, "out", writes=statement.kind == "max"))
            out = operand("out", statement.target, "out", writes=True)
            if statement.kind == "max" and statement.tap is None:  # taps that nobody reads stay on the core
                number = unsigned_for(max(math.prod(statement.extents[name] for name in statement.taps) - 1, 2))
                found.append(Operand("tap", out.role, number, out.axes, moves=False, doubled=False))
            return (*found, out)


def operands_beside(
    joined: Joined,
    part: int,
    types: Mapping[str, Type],
    target: Target,
    steps: int,
    batch: int,
    hold: frozenset[str],
    split: str | None,
    rooms: Mapping[str, int],
) -> tuple[Operand, ...]:
    """Every operand that a statement which has joined another, the stage's *part* of that number, does not find on the
    core."""
    found = operands_of(joined.statement, joined.phase, types, target, steps, batch, hold, split, rooms)
    return tuple(
        replace(operand, use=use_in(part, operand.use), part=part)
        for operand in found
        if operand.use not in joined.taken
    )


def exact_moments(statement: Moments, types: Mapping[str, Type]) -> bool:
    """Whether the sums are exact, on every machine; those of bf16 and f32 factors are f64."""
    kinds = [types[access.value].kind for access in (statement.left, statement.right)]
    return all(kind == F16 or kind.kind in ("bit", "unsigned") for kind in kinds)


def _moments_operands(statement: Moments, operand: Any, exact: bool) -> list[Operand]:
    """Factors, the sums that an engine forms of them, and what is made."""
    found: list[Operand] = [operand("left", statement.left, "left")]
    narrow, wide = ("x64", "x128") if exact else ("f64", "f64")
    sums = [("acc.left", narrow)]
    if not statement.variance:
        found.append(operand("right", statement.right, "right"))
        sums.append(("acc.right", narrow))
    sums.append(("acc.cross", wide))
    outs = [(f"out.{name}", access) for name, access in (("mean", statement.mean), ("comoment", statement.comoment))]
    made = [operand(name, access, "out", writes=True) for name, access in outs if access.value]
    axes = tuple(Axis(((name, 1),), 0, extent) for name, extent in statement.kept)
    found += [
        Operand(name, f"{statement.engine}.acc", FORMATS[kind], axes, moves=False, doubled=False) for name, kind in sums
    ]
    return [*found, *made]


def _vector_operands(statement: Elementwise, side: str, types: Mapping[str, Type], operand: Any) -> list[Operand]:
    found: list[Operand] = []
    for name, access in statement.reads.items():
        kind = "bits" if types[access.value].kind.packed else "words"
        found.append(operand(name, access, f"vector.{kind}"))
    for state in statement.states:
        if state.home is not None:
            found.append(operand(f"state.{state.name}", state.home, "vector.words"))
            continue
        axes = tuple(Axis(((name, 1),), 0, extent) for name, extent in statement.loops)
        found.append(
            Operand(
                f"state.{state.name}", f"{side}.vector.words", FORMATS[state.format], axes, moves=False, doubled=False
            )
        )
    for number, write in enumerate(statement.writes):
        kind = "bits" if types[write.target.value].kind.packed else "words"
        found.append(operand(f"out{number}", write.target, f"vector.{kind}", True))
    for state in statement.states:
        if state.home is not None:
            found.append(operand(f"out.{state.name}", state.home, "vector.words", True))
    return found


def turns(extent: Any, tile: Any) -> Any:
    """Tiles that cover *extent*."""
    return -(-extent // tile)


def product(values: NDArray[Any] | tuple[int, ...]) -> int:
    """Product as a Python integer."""
    return math.prod(int(v) for v in np.asarray(values).ravel())
