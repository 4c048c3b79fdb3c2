"""View registers: how a unit sees a tile in DRAM or in a scratchpad.

A view is ``space``, ``format``, a base, a ring and up to 8 axes.  Addresses and strides are in *bits*.
Loop counters move it (``turn``), and the tile of a loop sets the start and the extent of an axis (``span``).
"""

from __future__ import annotations

from functools import partial

from ..instruction import Action, Instruction, bits
from ..state import Stream


class View(Instruction, opcode=0x10, mnemonic="view"):
    """Make view register *view* anew: *rank* axes, no turns.

    The address of element ``(k0, k1, ...)`` is ``base + (sum of turns) mod ring + sum of k * stride`` (no mod where
    *ring* is 0).  Space 0 is DRAM, 1 and up the scratchpads in the order of the target file, and 63 the identity:
    there the value of an element *is* its address, which is how element programs learn logical indices.
    """

    view: int = bits(8, 13, "v")
    space: int = bits(14, 19, "m")
    format: int = bits(20, 23)
    rank: int = bits(24, 27)
    base: int = bits(28, 71)
    ring: int = bits(72, 107)

    def bind(self, stream: Stream) -> Action:
        return partial(stream.define_view, self.view, self.space, self.format, self.rank, self.base, self.ring)


class Turn(Instruction, opcode=0x11, mnemonic="turn"):
    """Each turn of loop *loop* moves view *view* by *stride* bits (before the ring is applied).

    It stands where it would be *ahead* turns later.
    """

    view: int = bits(8, 13, "v")
    loop: int = bits(14, 17, "l")
    stride: int = bits(18, 65, coding="signed")
    ahead: int = bits(66, 93, default=0)

    def bind(self, stream: Stream) -> Action:
        return partial(stream.define_turn, self.view, self.loop, self.stride, self.ahead)


class Axis(Instruction, opcode=0x12, mnemonic="axis"):
    """Axis *axis* of view *view*: *extent* elements, *stride* bits apart, beginning at position *offset*.

    Where *bound* is not 0, positions outside ``0 .. bound - 1`` do not exist: a load reads zeros there.
    """

    view: int = bits(8, 13, "v")
    axis: int = bits(14, 16)
    extent: int = bits(17, 39)
    stride: int = bits(40, 79, coding="signed")
    offset: int = bits(80, 102, coding="signed", default=0)
    bound: int = bits(103, 127, default=0)

    def bind(self, stream: Stream) -> Action:
        return partial(stream.define_axis, self.view, self.axis, self.extent, self.stride, self.offset, self.bound)


class Span(Instruction, opcode=0x13, mnemonic="span"):
    """Loop *loop* walks along axis *axis* of view *view* with *coefficient*.

    *moves* = 1: the axis begins ``coefficient * start`` further on (a negative coefficient adds
    ``coefficient * (start + extent - 1)``, the low end).  *grows* = 1: its extent grows by
    ``|coefficient| * (extent - 1)``; an axis that is one loop is declared with extent 1 and grows by that loop.
    Where the loop's extent is 0, so is the axis'.
    """

    view: int = bits(8, 13, "v")
    axis: int = bits(14, 16)
    loop: int = bits(17, 20, "l")
    coefficient: int = bits(21, 36, coding="signed")
    moves: int = bits(37, 37)
    grows: int = bits(38, 38)

    def bind(self, stream: Stream) -> Action:
        return partial(
            stream.define_span, self.view, self.axis, self.loop, self.coefficient, bool(self.moves), bool(self.grows)
        )


class CodedView(Instruction, opcode=0x14, mnemonic="coded", units=("load", "store")):
    """View *view* of DRAM sees blocks (see `grid`), which *codec* stores in slots of *slot* bytes.

    Block number ``sum of block index * stride`` of its axes lies in the slot of that number, the first one at the
    view's base; turns and the ring count blocks, too.  At byte *directory* two bytes a block say how many bytes of its
    slot it takes: 0 for a block without anything in it, as many as the block has where it lies there as it is.
    """

    view: int = bits(8, 13, "v")
    codec: int = bits(14, 17)
    slot: int = bits(18, 37)
    directory: int = bits(38, 78)

    def bind(self, stream: Stream) -> Action:
        return partial(stream.define_coding, self.view, self.codec, self.slot, self.directory)


class GridAxis(Instruction, opcode=0x15, mnemonic="grid", units=("load", "store")):
    """Axis *axis* of the coded view *view* has *bound* positions in blocks of *block*.

    Element k of the axis is at position ``origin + step * (offset + k)``; the stride of ``axis`` counts blocks.
    """

    view: int = bits(8, 13, "v")
    axis: int = bits(14, 16)
    block: int = bits(17, 39)
    step: int = bits(40, 55)
    origin: int = bits(56, 79, coding="signed")
    bound: int = bits(80, 103)

    def bind(self, stream: Stream) -> Action:
        return partial(stream.define_grid, self.view, self.axis, self.block, self.step, self.origin, self.bound)
