"""Run a program: all streams of an entry, in any legal order, until all of them have halted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import index
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..catalog import unknown
from ..isa import instructions as instructions  # registers them all
from ..isa.kernels.calls import Calls
from ..isa.program import Entry, Program, Symbol
from ..isa.state import ProgramFault, Stream
from ..isa.target import Target, parse
from ..source import NOWHERE, DataError, Fault
from . import tensors
from .chip import Chip
from .counted import Contents, CountedChip
from .counters import Counters
from .deadlock import deadlock
from .faults import ExecutionError, where
from .legality import check
from .listening import Listener, RunningStream
from .memory import keep_freed
from .network import Bytes
from .orders import Order, RoundRobin
from .races import Races
from .unrolling import Ways


class Interpreter:
    """A program on its machine, with everything that DRAM holds between entries.

    *order* steps the streams; *watched* fills scratchpads with garbage before each entry and checks for races;
    *target* must be the machine that the program was compiled for, and is read from the program where it is not given.
    With *contents* it has no data: control, moves and counters of a program whose tensors are as full as these say.
    Where it *unrolls*, entries that are called again and again run without their control (see `unrolling`): that is
    sooner, and changes nothing else.  It is not done where somebody listens, or chose an order.  Then cores work in so
    many *threads* of the host, which changes nothing either; more than there are cores are not used.
    """

    def __init__(
        self,
        program: Program,
        *,
        order: Order | None = None,
        watched: bool = False,
        target: Target | None = None,
        contents: Contents | None = None,
        unrolls: bool = True,
        threads: int = 1,
    ) -> None:
        if watched and contents is not None:
            raise ValueError("races are checked with data, not where instructions are only counted")
        if isinstance(threads, bool) or index(threads) < 1:
            raise ValueError(f"cores work in one thread or more, not in {threads}")
        self.program = program
        self.target = parse(program.target_text, program.target) if target is None else target
        _check_target(program, self.target)
        self.has_data = contents is None
        if contents is None:
            keep_freed()
            self.chip = Chip(program, self.target, watched)
        else:
            self.chip = CountedChip(program, self.target, contents)
        self.order: Order = RoundRobin() if order is None else order
        self.counters = Counters(program, self.target, self.has_data)
        self.races = Races() if watched else None
        self._symbols = program.by_name
        self._kinds = {argument.name: (k, argument.kind) for k, argument in enumerate(program.arguments)}
        self._streams: dict[str, list[RunningStream]] = {}
        self.unrolls = unrolls and order is None and not watched and contents is None and Calls.possible()
        self._ways = Ways(self.chip, self.counters, min(threads, program.numbered) if self.unrolls else 1)
        self.listen(self.counters)
        if self.races is not None:
            self.listen(self.races)

    def listen(self, listener: Listener) -> None:
        """Tell *listener* of everything from now on."""
        self.chip.observer.add(listener)

    def ignore(self, listener: Listener) -> None:
        """Tell *listener* nothing more."""
        self.chip.observer.remove(listener)

    def run(self, entry_name: str, arguments: Mapping[str, float | int] | None = None) -> None:
        """Run an entry to its end; *arguments* are all of its scalars by name.  UnknownName where it has no such entry.

        Raises ExecutionError: an illegal access, a deadlock, a race (where watched), or something that the entry left
        behind: a semaphore that is not zero, a tile that nobody took.
        """
        entry = self.program.entry(entry_name)
        self._hand_in(entry, arguments or {})
        streams = self._streams_of(entry)
        for stream in streams:
            stream.reset()
        self.chip.start()
        self.chip.observer.begin(entry, streams)
        try:
            audience = self.chip.observer
            if self.unrolls and audience.is_only(self.counters):
                self._ways.run(entry_name, streams, self.chip.arguments, lambda told: self._run(streams, told))
            else:
                self._run(streams, audience.retired if audience.hears_retired else None)
        except ProgramFault as fault:
            stream = fault.stream
            assert isinstance(stream, RunningStream)
            place = where(stream.core.name, stream.unit, fault.pc, stream.debug(fault.pc))
            raise ExecutionError(Fault(NOWHERE, f"{place}: {fault.text}")) from fault
        self._check_nothing_left(entry)
        self.chip.observer.end()

    def write(self, name: str, values: ArrayLike) -> None:
        """The host writes *name*: numbers of shape ``[time][sample]`` + logical shape, counted as host bytes.

        UnknownName where the program has no such tensor; so do those below.
        """
        self.wrote(name, tensors.write(self._symbol(name), self._data, values))

    def read(self, name: str) -> NDArray[Any]:
        """The host reads the stored numbers of symbol *name*, in its logical shape.  Counted as host bytes."""
        stored = tensors.read(self._symbol(name), self._data)
        self.was_read(name)
        return stored

    def wrote(self, name: str, useful: int) -> None:
        """Count so many bytes of symbol *name* as written by the host."""
        self.chip.observer.host(True, name, useful)

    def was_read(self, name: str) -> None:
        """Count the bytes of symbol *name* as read by the host."""
        self.chip.observer.host(False, name, self._symbol(name).bytes)

    def values(self, name: str) -> NDArray[Any]:
        """What the elements of symbol *name* mean (stored numbers times scale).  A look, not counted as a transfer."""
        return tensors.values(self._symbol(name), self._data)

    def _symbol(self, name: str) -> Symbol:
        """The symbol called *name*."""
        if name not in self._symbols:
            raise unknown("tensor", name, self._symbols)
        return self._symbols[name]

    @property
    def _data(self) -> Bytes:
        """What DRAM holds; ValueError where there is nothing in it."""
        if not self.has_data:
            raise ValueError("an interpreter that only counts has no data")
        return self.chip.dram

    def executed(self, entry_name: str) -> int:
        """How many instructions the latest call of an entry has run."""
        return sum(sum(stream.counts) for stream in self._streams.get(entry_name, ()))

    def streams(self, entry_name: str) -> Sequence[RunningStream]:
        """The streams of an entry that has been called before."""
        return self._streams[entry_name]

    def _hand_in(self, entry: Entry, given: Mapping[str, float | int]) -> None:
        """Fill the argument file; TypeError where *given* are not the entry's arguments."""
        if set(given) != set(entry.arguments):
            raise TypeError(f"{entry.name} takes the arguments {sorted(entry.arguments)}, not {sorted(given)}")
        for name, value in given.items():
            number, kind = self._kinds[name]
            word = np.asarray(value, np.float32).view(np.uint32) if kind == "f32" else np.uint32(value)
            self.chip.arguments[number] = word

    def _streams_of(self, entry: Entry) -> list[RunningStream]:
        """The streams of an entry, made at its first call."""
        if entry.name not in self._streams:
            check(entry, self.program, self.target)
            try:
                self._streams[entry.name] = [self.chip.stream(code, index) for index, code in enumerate(entry.streams)]
            except ProgramFault as fault:
                core, unit = fault.stream.core, fault.stream.unit
                code = next(code for code in entry.streams if (code.core, code.unit) == (core.number, unit))
                raise ExecutionError(
                    Fault(NOWHERE, f"{where(core.name, unit, fault.pc, code.debug[fault.pc])}: {fault.text}")
                ) from fault
        return self._streams[entry.name]

    def _run(self, streams: Sequence[RunningStream], told: Callable[[Stream], None] | None) -> None:
        """Step streams until all have halted, and have each instruction *told* that has run; Deadlock where none of
        them can go on."""
        chip, order = self.chip, self.order
        ready = chip.ready = [stream.index for stream in streams]
        while True:
            if not ready:
                if all(stream.halted for stream in streams):
                    return
                raise deadlock(streams, self.chip.barriers)
            index, quantum = order.pick(ready)
            stream = streams[index]
            stream.advance(quantum, told)
            if stream.blocked is not None:
                chip.sleep(stream)
            elif stream.halted:
                ready.remove(index)

    def _check_nothing_left(self, entry: Entry) -> None:
        """ExecutionError unless the entry left every semaphore and queue as it found them."""
        lines: list[str] = []
        for core in self.chip.cores:
            for number, value in sorted(core.semaphores.items()):
                if value:
                    lines.append(f"core {core.name}: semaphore {number} is {value} at the end of {entry.name}, not 0")
        for (source, target, channel), count in self.chip.queues.left.items():
            left = f"{count} tiles from core {source} on channel {channel} are left"
            lines.append(f"core {target}: {left} at the end of {entry.name}")
        if lines:
            raise ExecutionError(*(Fault(NOWHERE, line) for line in lines))


def _check_target(program: Program, target: Target) -> None:
    """DataError unless *target* is the machine of *program*."""
    if program.target_hash != target.fingerprint:
        raise DataError.at(
            NOWHERE,
            f"the program was compiled for another machine than {target.name}",
            hints=[f"compile the model again with --target {target.name}"],
        )
    if program.cores > target.cores:
        raise DataError.at(NOWHERE, f"the program takes {program.cores} cores; {target.name} has {target.cores}")
    if program.contexts > target.contexts:
        more = f"the program takes {program.contexts} contexts of each core; {target.name} has {target.contexts}"
        raise DataError.at(NOWHERE, more)
