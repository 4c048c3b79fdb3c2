"""The router: tiles between scratchpads of different cores over the mesh."""

from __future__ import annotations

from ..instruction import Action, Instruction, bits
from ..state import Stream


class Send(Instruction, opcode=0x50, mnemonic="send", units=("router",)):
    """Send the tile that *source* sees to core *core*, on *channel*.

    Tiles arrive in the order in which they were sent, by (source core, target core, channel).  A tile travels as its
    elements in order, each row of the last axis filled up to whole bytes.
    """

    source: int = bits(8, 13, "v")
    core: int = bits(14, 25, "c")
    channel: int = bits(26, 33)

    def bind(self, stream: Stream) -> Action:
        return stream.send(self.source, self.core, self.channel)


class Multicast(Instruction, opcode=0x52, mnemonic="multicast", units=("router",)):
    """Send the tile that *source* sees to *count* cores, *first* and every *apart*-th from there on, on *channel*.

    Of these the sender itself gets none.
    The tile travels along the tree of its routes, so that every link carries it once.  To each core it arrives as one
    that was sent to it alone.
    """

    source: int = bits(8, 13, "v")
    first: int = bits(14, 25, "c")
    channel: int = bits(26, 33)
    count: int = bits(34, 45)
    apart: int = bits(46, 57, default=1)

    def bind(self, stream: Stream) -> Action:
        return stream.multicast(self.source, self.targets, self.channel)

    @property
    def targets(self) -> range:
        """The cores, the sender among them."""
        return range(self.first, self.first + self.count * self.apart, max(self.apart, 1))


class Receive(Instruction, opcode=0x51, mnemonic="receive", units=("router",)):
    """Take the next tile that core *core* sent on *channel* into view *target*, waiting until it is there.

    *add* = 1 adds it to the accumulator that *target* sees instead of replacing what is there.
    """

    target: int = bits(8, 13, "v")
    core: int = bits(14, 25, "c")
    channel: int = bits(26, 33)
    add: int = bits(34, 34, default=0)

    def bind(self, stream: Stream) -> Action:
        return stream.receive(self.target, self.core, self.channel, bool(self.add))

    @property
    def goes_on(self) -> bool:
        return False
