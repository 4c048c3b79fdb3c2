"""What happens before what: a clock for every stream, and the hand-overs by which it learns of the others.

From the k-th post to the k-th wait of a semaphore, from a send to its receive, from everything before a barrier to
everything behind it.  Whoever keeps the clocks says what they count.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..isa.state import Stream
from .listening import RunningStream

Clock: TypeAlias = NDArray[np.int32]

TELLING = frozenset({"post", "send"})
"""Hand-overs that tell others what a stream has done."""

RELEASING = TELLING | {"meet"}
"""The same, and barriers, which also tell a stream what the others have done."""


class HandOvers:
    """The *clocks* of the streams of an entry, of *width* numbers each."""

    def __init__(self, streams: Sequence[RunningStream], width: int) -> None:
        self._streams = streams
        self.clocks: list[Clock] = [np.zeros(width, np.int32) for _ in streams]
        self._posts: defaultdict[tuple[object, ...], deque[Clock]] = defaultdict(deque)
        self._meetings: dict[tuple[str, int, int], tuple[Clock, int]] = {}

    def sync(self, me: int, stream: Stream, kind: str, core: int, number: int) -> None:
        """Stream number *me* hands over: see `isa.chip.Observer`."""
        match kind:
            case "post":
                self._release(me, ("post", core, number))
            case "send":
                self._release(me, ("send", stream.core.number, core, number))
            case "wait":
                self._acquire(me, ("post", core, number))
            case "receive":
                self._acquire(me, ("send", core, stream.core.number, number))
            case _:
                self._meet(me, stream.unit, core, number)

    def learn(self, me: int, clock: Clock) -> None:
        """What *clock* knows has happened before whatever stream *me* does from now on."""
        np.maximum(self.clocks[me], clock, out=self.clocks[me])

    def _release(self, me: int, key: tuple[object, ...]) -> None:
        """What *me* has done so far happens before whoever acquires this."""
        self._posts[key].append(self.clocks[me].copy())

    def _acquire(self, me: int, key: tuple[object, ...]) -> None:
        """What stands behind the oldest release of *key* has happened."""
        self.learn(me, self._posts[key].popleft())

    def _meet(self, me: int, unit: str, first: int, cores: int) -> None:
        """One stream leaves a barrier.  The others still stand there when the first one leaves."""
        group = unit, first, cores
        if group not in self._meetings:
            members = [s.index for s in self._streams if s.unit == unit and first <= s.core.number < first + cores]
            joined: Clock = np.max([self.clocks[member] for member in members], axis=0)
            self._meetings[group] = joined, len(members)
        joined, left = self._meetings.pop(group)
        if left > 1:
            self._meetings[group] = joined, left - 1
        self.learn(me, joined)
