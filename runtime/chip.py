"""The chip that a program runs on: DRAM, cores with their scratchpads, queues and barriers."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from ..isa.chip import Key, Tile, waiting_for
from ..isa.program import Program
from ..isa.program import Stream as StreamCode
from ..isa.state import Core, Stream
from ..isa.target import Target
from .listening import Audience, RunningComputingStream, RunningStream
from .network import Barriers, Bytes, Queues

POISON = 0xA5
"""What fills scratchpads before an entry of a watched chip, so that nothing survives from one entry to the next."""

_LINE = 64
"""Bytes of a line of the host's cache: a row of a tile that begins at a multiple of it touches no line in vain."""


class Chip:
    """`isa.chip.Chip` as *target* describes it, with what *program* puts into DRAM."""

    def __init__(self, program: Program, target: Target, watched: bool) -> None:
        self.dram = self.memory(program.dram_bytes)
        self._symbols = program.by_name
        self.lay(program.data)
        memories = [
            [self.dram, *(self.memory(memory.bytes) for memory in target.memories)] for _ in range(program.cores)
        ]
        numbers = range(program.numbered)
        self.cores = [Core(number, memories[number % program.cores], program.cores) for number in numbers]
        self.arguments: NDArray[np.uint32] = np.zeros(len(program.arguments), np.uint32)
        self.elements = program.elements
        self.granule = target.dram.granule_bytes
        self.accumulators = target.accumulators
        self.engines = target.engines
        self.observer = Audience()
        self.watched = watched
        self.asleep: dict[Key, list[int]] = {}
        self.ready: list[int] = []
        self.queues = Queues()
        self.barriers = Barriers()

    def memory(self, size: int) -> Bytes:
        """A memory of so many bytes, all zero, which begins where a line of the host's cache does."""
        room = np.zeros(size + _LINE, np.uint8)
        first = -room.ctypes.data % _LINE
        return room[first : first + size]

    def stream(self, code: StreamCode, index: int) -> RunningStream:
        """Stream number *index* of an entry on its core."""
        return RunningComputingStream(self.cores[code.core], self, code, index)

    def lay(self, contents: Mapping[str, bytes]) -> None:
        """Put *contents*, whole tensors by symbol name, into DRAM."""
        for name, content in contents.items():
            symbol = self._symbols[name]
            assert len(content) == symbol.bytes, f"{name} has {len(content)} bytes of data for {symbol.bytes}"
            self.dram[symbol.address : symbol.address + symbol.bytes] = np.frombuffer(content, np.uint8)

    def start(self) -> None:
        """Before an entry: nothing posted, nobody waiting, no tile under way."""
        self.queues, self.barriers = Queues(), Barriers()
        self.asleep.clear()
        for core in self.cores:
            core.semaphores.clear()
            if self.watched:
                for memory in core.memories[1:]:
                    memory.fill(POISON)

    def meet(self, stream: Stream, first: int, cores: int) -> bool:
        """Arrive at the barrier of this stream's unit."""
        if not self.barriers.meet(stream.core.number, stream.unit, first, cores):
            return False
        self.wake((stream.unit, first, cores))
        return True

    def sleep(self, stream: RunningStream) -> None:
        """*stream* is not ready until what blocks it is over."""
        blocked = stream.blocked
        assert blocked is not None
        if blocked.kind == "wait":
            key = waiting_for(blocked.core, blocked.number)
        elif blocked.kind == "receive":
            key = blocked.core, stream.core.number, blocked.number
        else:
            key = stream.unit, blocked.core, blocked.number
        self.ready.remove(stream.index)
        self.asleep.setdefault(key, []).append(stream.index)

    def wake(self, key: Key) -> None:
        """Who waits for *key* is ready."""
        for index in self.asleep.pop(key, ()):
            insort(self.ready, index)

    def room(self, size: int) -> Bytes:
        """So many bytes for a tile to be sent."""
        return self.queues.room(size)

    def deliver(self, source: int, target: int, channel: int, tile: Tile) -> None:
        """Put a tile into a queue; ValueError where the target is no core."""
        if target >= len(self.cores):
            raise ValueError(f"there is no core {target}")
        self.queues.deliver(source, target, channel, tile)
        self.wake((source, target, channel))

    def take(self, source: int, target: int, channel: int) -> Tile | None:
        """The oldest tile of a queue; None where it is empty."""
        return self.queues.take(source, target, channel)
