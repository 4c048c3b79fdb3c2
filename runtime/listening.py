"""Who listens to a chip at work: counting, recording and race checking are listeners, told one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..isa.chip import Chip as ChipProtocol
from ..isa.chip import Core, ProgramFault
from ..isa.computing import ComputingStream
from ..isa.instruction import Action
from ..isa.program import Debug, Entry
from ..isa.program import Stream as StreamCode
from ..isa.registers import Window
from ..isa.skipping import Taken
from ..isa.state import Stream
from ..isa.straight import straight

OFTEN = 32
"""So many turns of an entry pay for writing a function; streams are long, and most of their loops are short."""


class RunningStream(Stream):
    """A stream of an entry at work: its *index* in the entry, its debug records, and how often each instruction ran.

    Instructions of which each is to be seen run *singly*; others in one go, where they stand in a `straight` line.
    """

    def __init__(self, core: Core, chip: ChipProtocol, code: StreamCode, index: int) -> None:
        super().__init__(core, code.unit, chip, code.instructions)
        self.code = code
        self.index = index
        self.singly = False
        self._counts = [0] * len(code.instructions)
        self._lines: dict[int, tuple[Action, int]] = {}
        self._passed: dict[int, int] = {}

    @property
    def counts(self) -> list[int]:
        """How many times each instruction has run since `reset`; once it is over, the list stays as it is."""
        for first, times in self._passed.items():
            if times:
                for pc in range(first, first + self._lines[first][1]):
                    self._counts[pc] += times
                self._passed[first] = 0
        return self._counts

    def reset(self) -> None:
        """As at the start of the entry: first instruction, no loop open, no view defined."""
        self.pc = self.current = 0
        self.halted = self.stopped = False
        self.blocked = None
        for loop in self.loops:
            loop.close()
        self.views[:] = [None] * len(self.views)
        self._counts = [0] * len(self._counts)
        self._passed = dict.fromkeys(self._lines, 0)

    def has_run(self, counts: list[int]) -> None:
        """It is over, and each instruction has run so many times since `reset`; the list stays as it is."""
        self.halted = self.stopped = True
        self._counts = counts

    def advance(self, most: int, retired: Callable[[Stream], None] | None) -> None:
        """Run *most* instructions, or until the stream waits or halts; *retired* hears of each that has run.

        Definitions of view registers run in one go, even where they are a few more.
        """
        if retired is not None:
            return self._told(most, retired)
        counts, defined, actions, passed = self._counts, self.definitions, self.actions, self._passed
        lines = self._lines if self.chip.observer.sync is None and not self.singly else {}
        self.blocked, self.stopped = None, False
        first = self.pc
        try:
            while most > 0:
                first = self.pc
                line = lines.get(first)
                if line is not None and line[1] <= most:
                    line[0]()
                    if self.stopped:
                        return self._came(first)
                    passed[first] += 1
                    most -= line[1]
                    continue
                if first in defined:
                    count = self.define()
                    most -= count
                    for pc in range(first, first + count):
                        counts[pc] += 1
                    continue
                self.current, self.pc = first, first + 1
                (actions[first] or self.bind(first))()
                if self.stopped:
                    if self.blocked is None:
                        counts[first] += 1
                    return
                most -= 1
                counts[first] += 1
                if counts[first] == OFTEN:
                    self._straighten(first)
        except ProgramFault:
            self._came(first)
            raise
        except (ValueError, IndexError) as problem:
            self._came(first)
            raise self.fault(str(problem)) from problem

    def _straighten(self, first: int) -> None:
        """Run the instructions from *first* on in one go from now on, where that can be."""
        line = straight(self, first) if first not in self._lines else None
        if line is not None:
            self._lines[first], self._passed[first] = line, 0

    def _came(self, first: int) -> None:
        """Of a line that begins at *first* all instructions in front of the current one have run."""
        for pc in range(first, self.current):
            self._counts[pc] += 1

    def _told(self, most: int, retired: Callable[[Stream], None]) -> None:
        """The same, told instruction by instruction."""
        while most > 0 and not self.halted:
            first = self.pc
            count = self.define()
            if not count:
                self.step()
                if self.blocked is not None:
                    return
                count = 1
            most -= count
            for pc in range(first, first + count):
                self._counts[pc] += 1
                self.current = pc
                retired(self)

    def debug(self, pc: int) -> Debug:
        """What instruction *pc* is for."""
        return self.code.debug[pc] if pc < len(self.code.debug) else Debug()


class RunningComputingStream(RunningStream, ComputingStream):
    """One that moves tiles and computes with them."""


class Listener:
    """An `isa.chip.Observer` that also hears of entries and of every instruction that has run; deaf by default."""

    def begin(self, entry: Entry, streams: Sequence[RunningStream]) -> None:
        """The host has called *entry*, whose streams are about to run."""

    def end(self) -> None:
        """All streams of the entry have halted."""

    def retired(self, stream: Stream) -> None:
        """Instruction ``stream.current`` has run; everything else about it has been told before."""

    def dram(self, stream: Stream, write: bool, address: int, useful: int, bursts: int) -> None:
        """See `isa.chip.Observer`."""

    def coded(self, stream: Stream, write: bool, stored: int, plain: int) -> None:
        """See `isa.chip.Observer`."""

    def scratchpad(self, stream: Stream, write: bool, space: int, useful: int) -> None:
        """See `isa.chip.Observer`."""

    def network(self, stream: Stream, source: int, targets: tuple[int, ...], useful: int) -> None:
        """See `isa.chip.Observer`."""

    def work(self, stream: Stream, kind: str, amount: int) -> None:
        """See `isa.chip.Observer`."""

    def turns(self, stream: Stream, taken: Taken) -> None:
        """See `isa.chip.Observer`."""

    def touch(self, stream: Stream, write: bool, window: Window) -> None:
        """See `isa.chip.Observer`."""

    def sync(self, stream: Stream, kind: str, core: int, number: int) -> None:
        """See `isa.chip.Observer`."""

    def host(self, write: bool, name: str, useful: int) -> None:
        """The host wrote (or read) *useful* bytes of symbol *name*."""


_UNTOLD = ("work", "scratchpad", "sync")
"""What is not even told where nobody listens."""


class Audience(Listener):
    """Several listeners as one; each is told only of what it has a method of its own for.

    Of what nobody listens to, `Observer` wants None.  *hears_retired* says whether anyone
    wants to hear of every instruction.
    """

    def __init__(self, listeners: Sequence[Listener] = ()) -> None:
        self._listeners: list[Listener] = []
        self._deaf = Listener()
        for listener in listeners:
            self.add(listener)
        self._listen()

    def add(self, listener: Listener) -> None:
        """Tell *listener* too, from now on."""
        self._listeners.append(listener)
        self._listen()

    def remove(self, listener: Listener) -> None:
        """Tell *listener* nothing more."""
        self._listeners.remove(listener)
        self._listen()

    def is_only(self, listener: Listener) -> bool:
        """Whether nobody but *listener* listens."""
        return self._listeners == [listener]

    def begin(self, entry: Entry, streams: Sequence[RunningStream]) -> None:
        for listener in self._listeners:
            listener.begin(entry, streams)

    def end(self) -> None:
        for listener in self._listeners:
            listener.end()

    def _ears(self, name: str) -> list[Callable[..., None]]:
        """The methods called *name* of those listeners that define it."""
        own = (listener for listener in self._listeners if getattr(type(listener), name) is not getattr(Listener, name))
        return [getattr(listener, name) for listener in own]

    def _listen(self) -> None:
        """Replace the methods of this object by the quickest that tell all who listen."""
        self.hears_retired = bool(self._ears("retired"))
        for name in ("retired", "dram", "coded", "scratchpad", "network", "work", "turns", "touch", "sync", "host"):
            ears = self._ears(name)
            deaf: Callable[..., None] | None = None if name in _UNTOLD else getattr(self._deaf, name)
            setattr(self, name, deaf if not ears else ears[0] if len(ears) == 1 else _all(ears))


def _all(ears: list[Callable[..., None]]) -> Callable[..., None]:
    """One call that makes all of them."""

    def tell(*facts: Any) -> None:
        for ear in ears:
            ear(*facts)

    return tell
