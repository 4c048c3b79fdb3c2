"""Loops, semaphores and barriers: what any unit understands."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from ..chip import waiting_for
from ..instruction import Action, Instruction, bits
from ..state import Stream
from ..straight import Line


class Halt(Instruction, opcode=0x01, mnemonic="halt"):
    """The stream ends.  An entry is over when all of its streams have halted."""

    def bind(self, stream: Stream) -> Action:
        return stream.halt

    @property
    def goes_on(self) -> bool:
        return False


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

    def bind(self, stream: Stream) -> Action:
        loop, tile, total, body = stream.loops[self.loop], self.tile, self.total, stream.pc
        if self.argument == 0 and total == 0:
            return stream.passing(self.loop)
        if tile == 0:
            raise stream.fault(f"loop {self.loop} has tiles of 0")
        if self.argument == 0:
            return partial(loop.open, tile, total, body)
        argument, bound, first = self.argument - 1, self.bound, self.first

        def share() -> None:
            there = stream.whole_argument(argument, bound)
            loop.open(tile, max(0, min(there - first, total)), body)

        return share

    @property
    def goes_on(self) -> bool:
        return self.argument > 0 or self.total > 0


class Choose(Instruction, opcode=0x07, mnemonic="choose"):
    """Open a loop of one turn in loop register *loop*, in the turns of loop *of* that are chosen; of no turn in others.

    Turn i is chosen where bit ``i mod 32`` of entry argument ``argument + i // 32`` is set.  The register then says
    ``counter`` = how many turns were chosen before it, ``start = counter`` and ``extent = 1``.
    """

    opens: ClassVar = True

    loop: int = bits(8, 11, "l")
    of: int = bits(12, 15, "l")
    argument: int = bits(16, 23)

    def bind(self, stream: Stream) -> Action:
        loop, of, first, body = stream.loops[self.loop], stream.loops[self.of], self.argument, stream.pc
        passed = stream.passing(self.loop)

        def choose() -> None:
            turn = of.counter
            words = [stream.argument(first + place) for place in range(turn // 32 + 1)]
            chosen = sum(word << 32 * place for place, word in enumerate(words))
            if chosen >> turn & 1:
                loop.open_last((chosen & (1 << turn) - 1).bit_count(), body)
            else:
                passed()

        return choose

    @property
    def goes_on(self) -> bool:
        return False


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

    def bind(self, stream: Stream) -> Action:
        loop, of, first, total, body = stream.loops[self.loop], stream.loops[self.of], self.first, self.total, stream.pc
        passed = stream.passing(self.loop)

        def within() -> None:
            turn = of.counter - first
            if 0 <= turn < total:
                loop.open_last(turn, body)
            else:
                passed()

        return within

    @property
    def goes_on(self) -> bool:
        return False


class End(Instruction, opcode=0x03, mnemonic="end"):
    """Close loop *loop*: take its next turn, or go on behind it."""

    loop: int = bits(8, 11, "l")

    def bind(self, stream: Stream) -> Action:
        loop = stream.loops[self.loop]

        def end() -> None:
            if loop.advance():
                stream.pc = loop.body

        return end

    def written(self, line: Line, number: int) -> None:
        loop = line.name(line.stream.loops[self.loop])
        line.go(f"{loop}.body if {loop}.advance() else {line.name(number + 1)}")


class Post(Instruction, opcode=0x04, mnemonic="post"):
    """Add one to semaphore *semaphore* of core *core*.  Everything before it in this stream has taken effect."""

    semaphore: int = bits(8, 23, "s")
    core: int = bits(24, 35, "c")

    def bind(self, stream: Stream) -> Action:
        core, number, chip, observer = self.core, self.semaphore, stream.chip, stream.chip.observer
        semaphores, asleep, key = chip.cores[core].semaphores, chip.asleep, waiting_for(core, number)

        def post() -> None:
            semaphores[number] += 1
            if (heard := observer.sync) is not None:
                heard(stream, "post", core, number)
            if key in asleep:
                chip.wake(key)

        return post

    def written(self, line: Line, number: int) -> None:
        chip, semaphore = line.stream.chip, line.name(self.semaphore)
        key = line.name(waiting_for(self.core, self.semaphore))
        line.add(f"{line.name(chip.cores[self.core].semaphores)}[{semaphore}] += 1")
        line.add(f"if {key} in {line.name(chip.asleep)}: {line.name(chip)}.wake({key})")


class Wait(Instruction, opcode=0x05, mnemonic="wait"):
    """Take one from the core's own semaphore *semaphore*, waiting until there is one."""

    semaphore: int = bits(8, 23, "s")

    def bind(self, stream: Stream) -> Action:
        core, number, observer = stream.core.number, self.semaphore, stream.chip.observer
        semaphores = stream.core.semaphores

        def wait() -> None:
            if not semaphores[number]:
                stream.block("wait", core, number)
                return
            semaphores[number] -= 1
            if (heard := observer.sync) is not None:
                heard(stream, "wait", core, number)

        return wait

    def written(self, line: Line, number: int) -> None:
        core, stream, semaphore = line.stream.core, line.name(line.stream), line.name(self.semaphore)
        semaphores = line.name(core.semaphores)
        line.add(f"if not {semaphores}[{semaphore}]:")
        line.add(f"    {stream}.current = {line.name(number)}")
        line.add(f"    return {stream}.block('wait', {line.name(core.number)}, {semaphore})")
        line.add(f"{semaphores}[{semaphore}] -= 1")


class Barrier(Instruction, opcode=0x06, mnemonic="barrier"):
    """Meet the streams of the same unit in so many *cores* from number *first* on: nobody goes on before all have
    arrived."""

    cores: int = bits(8, 20)
    first: int = bits(21, 32, default=0)

    def bind(self, stream: Stream) -> Action:
        first, cores, observer = self.first, self.cores, stream.chip.observer

        def meet() -> None:
            if not stream.chip.meet(stream, first, cores):
                stream.block("meet", first, cores)
                return
            if (heard := observer.sync) is not None:
                heard(stream, "meet", first, cores)

        return meet

    @property
    def goes_on(self) -> bool:
        return False
