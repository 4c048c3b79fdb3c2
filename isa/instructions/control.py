"""Loops, semaphores and barriers: what any unit understands."""

from __future__ import annotations

from typing import ClassVar

from ..instruction import Instruction, bits
from ..state import Stream


class Halt(Instruction, opcode=0x01, mnemonic="halt"):
    """The stream ends.  An entry is over when all of its streams have halted."""

    def execute(self, stream: Stream) -> None:
        stream.halt()


class Loop(Instruction, opcode=0x02, mnemonic="loop"):
    """Open a loop of ``ceil(total / tile)`` turns in loop register *loop*; no turn at all where total is 0.

    In turn ``i`` the register says ``counter = i``, ``start = i * tile`` and ``extent = min(tile, total - start)``.
    With *argument* k > 0, entry argument k - 1 (a whole number, at most *bound*) says how many there are, of which this
    loop takes those from *first* on: its total is what is left of them, and *total* at most.  Such a loop takes one
    turn at least, of extent 0 where nothing is left, so that accumulators begin.
    """

    opens: ClassVar = True

    loop: int = bits(8, 11, "l")
    tile: int = bits(12, 35)
    total: int = bits(36, 63)
    argument: int = bits(64, 71, default=0)
    bound: int = bits(72, 99, default=0)
    first: int = bits(100, 127, default=0)

    def execute(self, stream: Stream) -> None:
        if self.argument == 0:
            stream.open_loop(self.loop, self.tile, self.total)
        else:
            there = stream.whole_argument(self.argument - 1, self.bound)
            stream.open_share(self.loop, self.tile, max(0, min(there - self.first, self.total)))


class Choose(Instruction, opcode=0x07, mnemonic="choose"):
    """Open a loop of one turn in loop register *loop*, in the turns of loop *of* that are chosen; of no turn in others.

    Turn i is chosen where bit ``i mod 32`` of entry argument ``argument + i // 32`` is set.  The register then says
    ``counter`` = how many turns were chosen before it, ``start = counter`` and ``extent = 1``.
    """

    opens: ClassVar = True

    loop: int = bits(8, 11, "l")
    of: int = bits(12, 15, "l")
    argument: int = bits(16, 23)

    def execute(self, stream: Stream) -> None:
        stream.open_chosen(self.loop, self.of, self.argument)


class Within(Instruction, opcode=0x08, mnemonic="within"):
    """Open a loop of one turn in loop register *loop*, in turns *first* to ``first + total - 1`` of loop *of*; of no
    turn in others.

    The register then says ``counter = start`` = that turn less *first*, and ``extent = 1``: what lies inside runs so
    many turns behind.
    """

    opens: ClassVar = True

    loop: int = bits(8, 11, "l")
    of: int = bits(12, 15, "l")
    first: int = bits(16, 43)
    total: int = bits(44, 71)

    def execute(self, stream: Stream) -> None:
        stream.open_within(self.loop, self.of, self.first, self.total)


class End(Instruction, opcode=0x03, mnemonic="end"):
    """Close loop *loop*: take its next turn, or go on behind it."""

    loop: int = bits(8, 11, "l")

    def execute(self, stream: Stream) -> None:
        stream.close_loop(self.loop)


class Post(Instruction, opcode=0x04, mnemonic="post"):
    """Add one to semaphore *semaphore* of core *core*.  Everything before it in this stream has taken effect."""

    semaphore: int = bits(8, 23, "s")
    core: int = bits(24, 35, "c")

    def execute(self, stream: Stream) -> None:
        stream.post(self.core, self.semaphore)


class Wait(Instruction, opcode=0x05, mnemonic="wait"):
    """Take one from the core's own semaphore *semaphore*, waiting until there is one."""

    semaphore: int = bits(8, 23, "s")

    def execute(self, stream: Stream) -> None:
        stream.wait(self.semaphore)


class Barrier(Instruction, opcode=0x06, mnemonic="barrier"):
    """Meet the streams of the same unit in cores 0 to *cores* - 1: nobody goes on before all have arrived."""

    cores: int = bits(8, 19)

    def execute(self, stream: Stream) -> None:
        stream.meet(self.cores)
