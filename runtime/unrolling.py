"""Entries that are called again and again run without their control.

The way of all streams through an entry is the same at each call, but for what depends on entry arguments that are whole
numbers: which tile comes when, where it lies, what it counts.  So while an entry takes a way for the third time,
instructions that call a kernel and do nothing else are noted; from then on the kernels are called from a list, in the
same order.  Others (codecs, the network, engines that look for zeros, what no kernel serves for) run as they always do,
the registers of their stream set to what they were.  No bit and no count differs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import TypeAlias, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from ..isa.kernels.calls import Calls
from ..isa.registers import LoopRegister
from ..isa.state import Stream
from .counters import Counters
from .listening import RunningStream
from .unrolled import Contracted, Moment, Other, Unrolled

MOST = 1 << 20
"""Instructions that are noted: a longer entry is not unrolled."""

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


class Unrolling:
    """Notes what *streams* do while they run; of every instruction that has run it is `told`."""

    def __init__(self, streams: Sequence[RunningStream], counters: Counters) -> None:
        self.calls = Calls()
        self._streams, self._counters = streams, counters
        self._before = [counters.counted(stream) for stream in streams]
        self._steers = [[one.steers for one in stream.instructions] for stream in streams]
        self._loops = [_opened(stream) for stream in streams]
        self._states: dict[Hashable, Hashable] = {}
        self._moments: list[Moment] = []
        self._numbers: list[int | None] = []
        self._seen = 0
        self._long = False

    def told(self, stream: Stream) -> None:
        """Instruction ``stream.current`` has run."""
        assert isinstance(stream, RunningStream)
        index, pc = stream.index, stream.current
        if self._steers[index][pc] or self._long:
            return
        if len(self._moments) == MOST:
            self._long = True
            self._moments.clear()
            return self.calls.forget()
        loops = tuple([(loop.counter, loop.start, loop.extent) for loop in self._loops[index]])
        views, count = tuple(stream.views), len(self.calls)
        self._moments.append(Moment((index, pc), self._once(loops), self._once(views)))
        self._numbers.append(self._seen if count == self._seen + 1 else None)
        self._seen = count

    def unrolled(self) -> Unrolled | None:
        """What they have done; None where that is too much, or little of it was noted."""
        if self._long:
            return None
        streams, others, noted = self._streams, list[Other](), list[Moment]()
        apart = [set(stream.copied) for stream in streams]
        for moment, number in zip(self._moments, self._numbers, strict=True):
            if number is None:
                apart[moment.place[0]].add(moment.place[1])
        numbers: list[int] = []
        for moment, number in zip(self._moments, self._numbers, strict=True):
            if number is None or moment.place[1] in apart[moment.place[0]]:
                others.append(Other(len(noted), moment))
            else:
                noted.append(moment)
                numbers.append(number)
        if len(others) > len(noted):
            return None
        counted = [
            self._counters.counted(stream).since(before, but)
            for stream, before, but in zip(streams, self._before, apart, strict=True)
        ]
        products = sorted({one.place for one in noted if one.place[1] in streams[one.place[0]].tally.products})
        sums = {place: number for number, place in enumerate(products)}
        return Unrolled(
            streams=streams,
            counters=self._counters,
            loops=self._loops,
            calls=self.calls.chosen(numbers, [sums.get(one.place, 0) for one in noted]),
            noted=noted,
            others=others,
            contracted=[Contracted((index, pc), counted[index].without_work(pc)) for index, pc in products],
            counted=counted,
            runs=[list(stream.counts) for stream in streams],
        )

    def _once(self, state: _State) -> _State:
        """The same for equal ones."""
        return cast(_State, self._states.setdefault(state, state))


class Ways:
    """The ways that entries take, of which those that come again are unrolled."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._taken: Counter[_Way] = Counter()
        self._hopeless: set[_Way] = set()
        self._unrolled: dict[_Way, Unrolled] = {}

    def run(
        self, name: str, streams: Sequence[RunningStream], arguments: NDArray[np.uint32], run: Callable[[_Told], None]
    ) -> None:
        """Call the entry *name*, unrolled or by *run*, which may have to tell of every instruction that has run."""
        way = _way(name, streams, arguments)
        unrolled = self._unrolled.get(way)
        if unrolled is not None:
            if not unrolled.run():
                del self._unrolled[way]
        elif self._taken[way] >= OFTEN and way not in self._hopeless:
            unrolling = Unrolling(streams, self._counters)
            with unrolling.calls.noted():
                run(unrolling.told)
            self._keep(way, unrolling.unrolled())
        else:
            run(None)
            if len(self._taken) >= SEEN:
                self._taken.clear()
            self._taken[_way(name, streams, arguments)] += 1

    def _keep(self, way: _Way, unrolled: Unrolled | None) -> None:
        """Keep it, and of the same entry only those that were unrolled last."""
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
