"""The load and store units: tiles between DRAM and scratchpads.  Here, and only here, DRAM bytes are counted."""

from __future__ import annotations

from ..instruction import Action, Instruction, bits
from ..state import Stream


class Load(Instruction, opcode=0x20, mnemonic="load", units=("load",)):
    """Copy the box that *source* sees in DRAM into the scratchpad view *target*.

    Extents are those of *source*.  Positions of the source outside its bounds become zero elements of the target
    (padding and halos at the border); they are written to the scratchpad but not read from DRAM.
    """

    target: int = bits(8, 13, "v")
    source: int = bits(14, 19, "v")

    def bind(self, stream: Stream) -> Action:
        return stream.load(self.target, self.source)


class Store(Instruction, opcode=0x21, mnemonic="store", units=("store",)):
    """Copy the scratchpad view *source* into the box that *target* sees in DRAM; extents are those of *target*.

    The instruction is over when its last burst has landed, so a post behind it hands the bytes over.
    """

    target: int = bits(8, 13, "v")
    source: int = bits(14, 19, "v")

    def bind(self, stream: Stream) -> Action:
        return stream.store(self.target, self.source)
