"""Entries that are called again and again run without their control.

The way of all streams through an entry is the same at each call, but for what depends on entry arguments that are whole
numbers: which tile comes when, where it lies, what it counts.  So while an entry takes a way for the third time,
instructions that call a kernel and do nothing else are noted; from then on the kernels are called from a list, in the
same order.  Others (codecs, engines that look for zeros, what no kernel serves for) run as they always do, the
registers of their stream set to what they were.  No bit and no count differs.

With several threads each calls what some of the cores do, in that order; it waits for another one where the
instructions of the entry do, by what they post, send, and meet at: so what holds of all orders of streams holds here.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from ..isa.kernels.calls import Call, Calls, Other, Said, Wait
from ..isa.registers import LoopRegister
from ..isa.state import Stream
from .chip import Chip
from .counters import Counters
from .hand_overs import TELLING, HandOvers
from .listening import Listener, RunningStream
from .network import Channel, Rooms
from .unrolled import Contracted, Moment, Part, Place, Unrolled

MOST = 1 << 20
"""Instructions that are noted: a longer entry is not unrolled."""

ALONE = 64
"""Of so many instructions at most one may be no call, else a single thread does them all: several would wait for each
other, since of what is no call only one thing is done at a time."""

OFTEN = 2
"""A way that has been taken so many times is noted at the next one, which takes about three times as long."""

SEEN = 1 << 10
"""Ways of which it is known how often they were taken: where chance chooses them, none comes again."""

KEPT = 2
"""Ways of an entry that stay unrolled: of whole batches, and of the one at the end that is none."""

_Way: TypeAlias = tuple[str, tuple[int, ...]]
"""An entry, and the arguments on which its way depends."""

_Told: TypeAlias = Callable[[Stream], None] | None

_State = TypeVar("_State", bound=Hashable)


class Unrolling(Listener):
    """Notes what *streams* do while they run; of every instruction that has run it is `told`.

    It is shared out to so many *threads*, to each what some of the cores do.
    """

    def __init__(self, streams: Sequence[RunningStream], counters: Counters, threads: int) -> None:
        self.calls = Calls()
        self.rooms = Rooms()
        self._streams, self._counters = streams, counters
        self._before = [counters.counted(stream) for stream in streams]
        self._steers = [[one.steers for one in stream.instructions] for stream in streams]
        self._loops = [_opened(stream) for stream in streams]
        self._states: dict[Hashable, Hashable] = {}
        self._moments: list[Moment] = []
        self._numbers: list[int | None] = []
        self._seen = 0
        self._long = False
        self._sent: defaultdict[Channel, deque[Place]] = defaultdict(deque)
        self._same_tiles: set[tuple[Place, Place]] = set()
        self._waiting = _Waiting(streams, threads)

    def sync(self, stream: Stream, kind: str, core: int, number: int) -> None:
        assert isinstance(stream, RunningStream)
        own, place = stream.core.number, (stream.index, stream.current)
        if kind == "send":
            self._sent[own, core, number].append(place)
        elif kind == "receive":
            self._same_tiles.add((self._sent[core, own, number].popleft(), place))
        self._waiting.sync(stream, kind, core, number)

    def told(self, stream: Stream) -> None:
        """Instruction ``stream.current`` has run."""
        assert isinstance(stream, RunningStream)
        index, pc = stream.index, stream.current
        if not self._steers[index][pc] and not self._long:
            self._note(index, pc, stream)
        self._waiting.told(stream)

    def _note(self, index: int, pc: int, stream: Stream) -> None:
        """Note an instruction that does something."""
        if len(self._moments) == MOST:
            self._long = True
            self._moments.clear()
            return self.calls.forget()
        loops = tuple([(loop.counter, loop.start, loop.extent) for loop in self._loops[index]])
        views, count = tuple(stream.views), len(self.calls)
        self._waiting.did(index, self.rooms, len(self._moments))
        self._moments.append(Moment((index, pc), self._once(loops), self._once(views)))
        self._numbers.append(self._seen if count == self._seen + 1 else None)
        self._seen = count

    def unrolled(self, pool: Callable[[], Executor] | None) -> Unrolled | None:
        """What they have done; None where that is too much, or little of it was noted."""
        if self._long:
            return None
        streams = self._streams
        apart = self._apart()
        noted = [
            None if moment.place[1] in apart[moment.place[0]] else number
            for moment, number in zip(self._moments, self._numbers, strict=True)
        ]
        if 2 * noted.count(None) > len(noted):
            return None
        counted = [
            self._counters.counted(stream).since(before, but)
            for stream, before, but in zip(streams, self._before, apart, strict=True)
        ]
        worth = noted.count(None) * ALONE <= len(noted)
        calls = (moment.place for moment, number in zip(self._moments, noted, strict=True) if number is not None)
        products = sorted({place for place in calls if place[1] in streams[place[0]].tally.products})
        return Unrolled(
            streams=streams,
            counters=self._counters,
            loops=self._loops,
            parts=self._parts(noted, products, self._waiting if worth else _Waiting(streams, 1)),
            pool=pool if worth else None,
            contracted=[Contracted((index, pc), counted[index].without_work(pc)) for index, pc in products],
            counted=counted,
            runs=[list(stream.counts) for stream in streams],
            rooms=self.rooms,
        )

    def _apart(self) -> list[set[int]]:
        """Instructions of each stream that are run as they always are: those of which one was not a single call.

        A tile lies where a kernel put it, or in a queue: if its sender is one of these, so is who takes it.
        """
        apart = [set(stream.copied) for stream in self._streams]
        for moment, number in zip(self._moments, self._numbers, strict=True):
            if number is None:
                apart[moment.place[0]].add(moment.place[1])
        found = -1
        while found != (found := sum(map(len, apart))):
            for pair in self._same_tiles:
                if any(pc in apart[index] for index, pc in pair):
                    for index, pc in pair:
                        apart[index].add(pc)
        return apart

    def _parts(self, noted: Sequence[int | None], products: Sequence[Place], waiting: _Waiting) -> list[Part]:
        """What each thread does, and where it is *waiting*; *noted* has the number of every call."""
        sums = {place: number for number, place in enumerate(products)}
        lists: list[list[Said]] = [[] for _ in range(waiting.count)]
        moments: list[list[Moment | None]] = [[] for _ in lists]
        places: list[list[int]] = [[] for _ in lists]
        others: list[set[int]] = [set() for _ in lists]
        for count, (moment, number) in enumerate(zip(self._moments, noted, strict=True)):
            thread = waiting.threads[moment.place[0]]
            said, own = lists[thread], moments[thread]
            for other, done in waiting.waits.get(count, ()):
                said.append(Wait(other, places[other][done - 1] + 1))
                own.append(None)
            places[thread].append(len(said))
            if number is None:
                others[thread].add(len(said))
            said.append(Other() if number is None else Call(number, sums.get(moment.place, 0)))
            own.append(moment)
        again = self.calls.again(lists, max(len(sums), 1))
        return [Part(*part) for part in zip(again, moments, others, strict=True)]

    def _once(self, state: _State) -> _State:
        """The same for equal ones."""
        return cast(_State, self._states.setdefault(state, state))


class _Waiting:
    """What threads, so many as *count* says, wait for: clocks tell how many instructions of each have been noted.

    *threads* has that of each stream, *waits* what the thread of a noted instruction waits for before it: another
    thread, and how many instructions that must have done.
    """

    def __init__(self, streams: Sequence[RunningStream], threads: int) -> None:
        self.count = threads
        cores = sorted({stream.core.number for stream in streams})
        self.threads = [cores.index(stream.core.number) % threads for stream in streams]
        self.waits: dict[int, list[tuple[int, int]]] = {}
        self._routers = {stream.core.number: stream.index for stream in streams if stream.unit == "router"}
        self._hand_overs = HandOvers(streams, threads)
        self._done = [0] * threads
        self._known = [[0] * threads for _ in range(threads)]
        self._behind: list[tuple[str, int, int]] = []

    def sync(self, stream: RunningStream, kind: str, core: int, number: int) -> None:
        """See `isa.chip.Observer`; what tells others of an instruction does so when it has been noted."""
        if self.count == 1:
            return
        if kind in TELLING:
            self._behind.append((kind, core, number))
        else:
            self._hand_overs.sync(stream.index, stream, kind, core, number)

    def did(self, index: int, rooms: Rooms, number: int) -> None:
        """Stream *index* has run an instruction, which is noted as *number*; a tile that it sent lies in *rooms*."""
        if self.count == 1:
            return
        for core in rooms.before:
            self._hand_overs.learn(index, self._hand_overs.clocks[self._routers[core]])
        rooms.before.clear()
        thread, clock = self.threads[index], self._hand_overs.clocks[index]
        known = self._known[thread]
        for other, done in enumerate(clock.tolist()):
            if other != thread and done > known[other]:
                self.waits.setdefault(number, []).append((other, done))
                known[other] = done
        self._done[thread] += 1
        clock[thread] = self._done[thread]

    def told(self, stream: RunningStream) -> None:
        """An instruction of *stream* has run, and has been noted if it did something."""
        for kind, core, number in self._behind:
            self._hand_overs.sync(stream.index, stream, kind, core, number)
        self._behind.clear()


class Ways:
    """The ways that entries of *chip* take, of which those that come again are unrolled, for so many *threads*."""

    def __init__(self, chip: Chip, counters: Counters, threads: int) -> None:
        self._chip, self._counters, self._threads = chip, counters, threads
        self._pool: tuple[int, Executor] | None = None
        self._taken: Counter[_Way] = Counter()
        self._hopeless: set[_Way] = set()
        self._unrolled: dict[_Way, Unrolled] = {}

    def run(
        self, name: str, streams: Sequence[RunningStream], arguments: NDArray[np.uint32], run: Callable[[_Told], None]
    ) -> None:
        """Call the entry *name*, unrolled or by *run*, which may have to tell of every instruction that has run."""
        way = _way(name, streams, arguments)
        if way in self._unrolled:
            unrolled = self._unrolled.pop(way)  # what ends with an exception does not run again
            if unrolled.run():
                self._unrolled[way] = unrolled
        elif self._taken[way] >= OFTEN and way not in self._hopeless:
            self._keep(way, self._noted(streams, run))
        else:
            run(None)
            if len(self._taken) >= SEEN:
                self._taken.clear()
            self._taken[_way(name, streams, arguments)] += 1

    def _noted(self, streams: Sequence[RunningStream], run: Callable[[_Told], None]) -> Unrolled | None:
        """Run an entry, and unroll it."""
        unrolling = Unrolling(streams, self._counters, self._threads)
        self._chip.queues.rooms = unrolling.rooms
        self._chip.observer.add(unrolling)
        try:
            with unrolling.calls.noted():
                run(unrolling.told)
        finally:
            self._chip.observer.remove(unrolling)
        return unrolling.unrolled(self._workers if self._threads > 1 else None)

    def _workers(self) -> Executor:
        """The threads beside this one; a process that was forked has none of those that its parent had."""
        if self._pool is None or self._pool[0] != os.getpid():
            self._pool = os.getpid(), ThreadPoolExecutor(self._threads - 1, "snnc")
        return self._pool[1]

    def _keep(self, way: _Way, unrolled: Unrolled | None) -> None:
        """Keep it, and of the same entry only those that ran last."""
        if unrolled is None:
            self._hopeless.add(way)
            return
        self._unrolled[way] = unrolled
        same = [known for known in self._unrolled if known[0] == way[0]]
        for known in same[:-KEPT]:
            del self._unrolled[known]


def _opened(stream: RunningStream) -> list[LoopRegister]:
    """The loops that a stream may open."""
    numbers = {int(getattr(one, "loop")) for one in stream.instructions if one.opens}  # noqa: B009
    return [stream.loops[number] for number in sorted(numbers)]


def _way(name: str, streams: Sequence[RunningStream], arguments: NDArray[np.uint32]) -> _Way:
    """The way of an entry, as far as it has been seen what it depends on."""
    consulted = sorted(set[int]().union(*(stream.consulted for stream in streams)))
    return name, tuple(int(arguments[number]) for number in consulted)
