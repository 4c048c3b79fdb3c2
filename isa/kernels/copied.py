"""Boxes between DRAM, or anywhere else, and a scratchpad by a compiled kernel (`_copy.c`): of which rows they are made.

Rows are as long as bytes lie side by side in both memories, and are gone over in the order of DRAM.  None is answered
where the kernel does not serve: without a compiler, and for a target whose elements may lie on each other.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .compiled import at, library

Bytes = NDArray[np.uint8]
Shape = tuple[int, ...]
Axis = tuple[int, int, int]
"""An extent, and the steps in bytes of the target and of the source."""

MOST_AXES = 8
"""`_copy.c` has it, too."""

_EVERYWHERE = (1 << 63) - 1
"""More bits than a host has."""


class End(NamedTuple):
    """One end of a transfer: the *memory* (None: all that the host has, by its own addresses), the bits that the box
    reaches from its first one on, steps in bytes."""

    memory: Bytes | None
    low: int
    high: int
    steps: Shape


class Side(NamedTuple):
    """A box of one memory: its extents, and steps in bytes."""

    extents: Shape
    steps: Shape


class Box(NamedTuple):
    """A box of *extents* pieces of so many bytes each, between DRAM and a scratchpad, the *pad*.

    *stores* says which way.  The *whole* box of the scratchpad is filled with zeros before what *exists* of it,
    *skipped* bits further on, is moved; None where nothing is to be filled.  *tail* bits are kept of each last piece
    along *packed*, 0 for all of them.
    """

    stores: bool
    piece: int
    dram: End
    pad: End
    extents: Shape
    exists: bool
    whole: Side | None
    skipped: int
    packed: int | None
    tail: int


def mover() -> Callable[[Any, int, int], int] | None:
    """The kernel: (what `described` says, bit of DRAM, bit of the scratchpad) -> 1 where it had to refuse, else 0."""
    loaded = library()
    return None if loaded is None else loaded.snnc_move


def described(box: Box) -> bytes | None:
    """What the kernel is told of a box; None where it does not serve.  The memories have to outlive it."""
    if len(box.extents) > MOST_AXES or library() is None:
        return None
    target, source = (box.dram, box.pad) if box.stores else (box.pad, box.dram)
    axes: list[Axis] = list(zip(box.extents, target.steps, source.steps, strict=True))
    if box.exists and not _apart(axes, box.piece):
        return None
    fill: list[Axis] = []
    if box.whole is not None and 0 not in box.whole.extents:
        fill = [(n, step, step) for n, step in zip(box.whole.extents, box.whole.steps, strict=True)]
    last, behind = axes, 0
    if box.packed is not None:
        last = [axis for place, axis in enumerate(axes) if place != box.packed]
        behind = (box.extents[box.packed] - 1) * target.steps[box.packed]
    (dram, dram_bits), (pad, pad_bits) = map(_reached, (box.dram.memory, box.pad.memory))
    return struct.pack(
        "2P12q",
        dram,
        pad,
        dram_bits,
        box.dram.low,
        box.dram.high,
        pad_bits,
        box.pad.low,
        box.pad.high,
        box.skipped,
        box.stores,
        bool(fill),
        box.exists,
        (1 << box.tail) - 1,
        behind,
    ) + b"".join(
        _nest(nest, box.piece, box.stores, in_runs) for nest, in_runs in ((fill, True), (axes, True), (last, False))
    )


def _reached(memory: Bytes | None) -> tuple[int, int]:
    """Where a memory begins, and how many bits it has."""
    return (0, _EVERYWHERE) if memory is None else (at(memory), memory.size * 8)


def _apart(axes: Sequence[Axis], piece: int) -> bool:
    """Whether no two elements of the target share a byte, as far as it is easily seen."""
    reach = piece
    for extent, step, _ in sorted(axes, key=lambda axis: abs(axis[1])):
        if extent > 1:
            if abs(step) < reach:
                return False
            reach += (extent - 1) * abs(step)
    return True


def _nest(axes: Sequence[Axis], piece: int, stores: bool, in_runs: bool) -> bytes:
    """Rows and the axes over them, as the kernel reads them; *in_runs* pieces side by side are one row."""
    dram = 1 if stores else 2
    rows: list[Axis] = []
    run = piece
    for extent, target, source in sorted(axes, key=lambda axis: abs(axis[dram]) or 1 << 62):
        if extent == 1:
            continue
        if in_runs and not rows and target == source == run:
            run *= extent
        elif rows and (target, source) == (rows[-1][0] * rows[-1][1], rows[-1][0] * rows[-1][2]):
            rows[-1] = rows[-1][0] * extent, rows[-1][1], rows[-1][2]
        else:
            rows.append((extent, target, source))
    rows = [*reversed(rows)] or [(1, 0, 0)]
    words = [word for axis in rows for word in axis]
    return struct.pack(f"{2 + 3 * MOST_AXES}q", len(rows), run, *words, *[0] * (3 * MOST_AXES - len(words)))
