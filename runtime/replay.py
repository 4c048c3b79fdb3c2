"""Cycles: the executed instructions and their semaphore edges, replayed by discrete events.

Every stream runs its record in order.  Ties are broken by (time, core, unit), never by the order in which the host
happened to execute, so every order gives the same cycles.  The model of durations, in cycles:

- every instruction takes 1 to issue; loops, descriptors, posts, waits, barriers and receives take nothing more;
- a contraction takes its dense turns of the array (`array.accesses`), the vector unit ``ceil(elements / lanes)`` times
  the operations an element;
- a load or store asks for the DRAM channel, which serves one tile after the other: ``ceil(bits / bits_per_cycle)``
  each, whole bursts; the tile has landed ``latency_cycles`` after its turn ends, and only then does the unit go on;
- a sent tile reserves the links of its route when it sets out: each carries it for ``ceil(bits / bits_per_cycle)``, its
  head reaches the next link ``hop_cycles`` later; the sender goes on when the tile has left, the receiver when it came;
  one that is sent to many parts where their routes do, and takes every link once;
- a post to another core arrives after ``hop_cycles`` a link;
- contexts of a core share its engines and its vector unit, each of which computes for one after the other, in the order
  in which they come; each context has a load, a store and a tile under way of its own, which share channel and links.

Not modelled: scratchpad ports, banks and rows of DRAM, refresh, room in queues, and the time of instruction fetch.
"""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from dataclasses import dataclass
from typing import NamedTuple

from ..isa.instruction import COMPUTING, UNITS
from ..isa.mesh import Link, MeshRoutes
from ..isa.target import Target
from .network import Channel
from .recording import Deed, Record, StreamRecord


class Span(NamedTuple):
    """An instruction at work on the timeline: record *stream*, *deed* number, and cycles from *start* to *end*."""

    stream: int
    deed: int
    start: int
    end: int


@dataclass(frozen=True)
class Timing:
    """What a replay found.

    *cycles* until the last stream has halted; *busy* are those of each stream, by unit and by the number of its
    context, of one of so many *cores*; *channel* are those of the DRAM channel and *links* those of each link;
    *timeline* has the instructions that compute or move, in the order of their ends.
    """

    cycles: int
    busy: dict[tuple[int, str], int]
    channel: int
    links: dict[Link, int]
    timeline: tuple[Span, ...]
    cores: int

    @property
    def utilisation(self) -> dict[str, float]:
        """Busy cycles over all cycles: by unit, averaged over the cores that have one, and of the DRAM channel.

        Of what moves tiles each context has one.
        """
        if not self.cycles:
            return {}
        shares: dict[str, float] = {}
        for unit in UNITS:
            found = {core: busy for (core, name), busy in self.busy.items() if name == unit}
            if found:
                apart = {core % self.cores for core in found} if unit in COMPUTING else found
                shares[unit] = sum(found.values()) / (len(apart) * self.cycles)
        shares["dram"] = self.channel / self.cycles
        return shares


def replay(record: Record, target: Target) -> Timing:
    """The cycles of *record* on *target*."""
    return _Replay(record, target).run()


class _Replay:
    """The state of a replay: where every stream stands, who waits for what, and when each resource is free."""

    def __init__(self, record: Record, target: Target) -> None:
        self._target = target
        self._mesh = MeshRoutes(target.mesh.columns, record.cores)
        self._free: defaultdict[tuple[int, str], int] = defaultdict(int)
        self._streams = record.streams
        self._place = [0] * len(record.streams)
        self._events = [(0, s.core, UNITS.index(s.unit), k) for k, s in enumerate(record.streams)]
        heapq.heapify(self._events)
        self._posted: defaultdict[tuple[int, int], deque[int]] = defaultdict(deque)
        self._arrived: defaultdict[Channel, deque[int]] = defaultdict(deque)
        self._met: defaultdict[tuple[str, int, int], list[tuple[int, int]]] = defaultdict(list)
        self._sleepers: dict[tuple[object, ...], tuple[int, int, deque[int]]] = {}
        self._channel_free = 0
        self._channel_busy = 0
        self._link_free: defaultdict[Link, int] = defaultdict(int)
        self._link_busy: defaultdict[Link, int] = defaultdict(int)
        self._busy = {(s.core, s.unit): 0 for s in record.streams}
        self._timeline: list[Span] = []

    def run(self) -> Timing:
        last = 0
        while self._events:
            now, _, _, number = heapq.heappop(self._events)
            last = max(last, now)
            stream = self._streams[number]
            if self._place[number] < len(stream.deeds):
                self._do(now, number, stream, stream.deeds[self._place[number]])
        undone = [s for s, place in zip(self._streams, self._place, strict=True) if place < len(s.deeds)]
        assert not undone, "a record that was executed cannot stand still"
        return Timing(
            last,
            self._busy,
            self._channel_busy,
            dict(sorted(self._link_busy.items())),
            tuple(self._timeline),
            self._mesh.cores,
        )

    def _do(self, now: int, number: int, stream: StreamRecord, deed: Deed) -> None:
        """Begin the next deed of a stream at *now*."""
        match deed.kind:
            case "issue":
                self._finish(number, now, now + deed.amount)
            case "compute":
                unit = self._mesh.place(stream.core), stream.unit
                start = max(now, self._free[unit])
                self._free[unit] = start + 1 + deed.amount
                self._finish(number, start, self._free[unit], shown=True)
            case "dram":
                self._finish(number, now, self._move(now + 1, deed.amount), shown=True)
            case "post":
                home = stream.core
                delay = self._target.link.hop_cycles * len(self._mesh.route(home, deed.first))
                self._posted[deed.first, deed.second].append(now + 1 + delay)
                self._finish(number, now, now + 1)
                self._wake(("wait", deed.first, deed.second), now + 1 + delay)
            case "wait":
                self._await(number, now, self._posted[deed.first, deed.second], ("wait", deed.first, deed.second))
            case "send":
                left, arrivals = self._send(now + 1, stream.core, deed.cores, deed.amount)
                self._finish(number, now, left, shown=True)
                for core, arrived in zip(deed.cores, arrivals, strict=True):
                    channel = stream.core, core, deed.second
                    self._arrived[channel].append(arrived)
                    self._wake(("receive", *channel), arrived)
            case "receive":
                channel = deed.first, stream.core, deed.second
                self._await(number, now, self._arrived[channel], ("receive", *channel))
            case _:
                self._meet(number, now, stream.unit, deed.first, deed.second)

    def _finish(self, number: int, start: int, end: int, shown: bool = False) -> None:
        """The deed takes the stream from *start* to *end*."""
        stream = self._streams[number]
        self._busy[stream.core, stream.unit] += end - start
        if shown:
            self._timeline.append(Span(number, self._place[number], start, end))
        self._place[number] += 1
        heapq.heappush(self._events, (end, stream.core, UNITS.index(stream.unit), number))

    def _await(self, number: int, now: int, coming: deque[int], key: tuple[object, ...]) -> None:
        """Go on when the next of *coming* has come; sleep where nothing is under way."""
        if not coming:
            self._sleepers[key] = number, now, coming
        else:
            came = max(now, coming.popleft())
            self._finish(number, came, came + 1)

    def _wake(self, key: tuple[object, ...], time: int) -> None:
        """What *key* waited for comes at *time*."""
        if key in self._sleepers:
            number, since, coming = self._sleepers.pop(key)
            came = max(since, coming.popleft(), time)
            self._finish(number, came, came + 1)

    def _meet(self, number: int, now: int, unit: str, first: int, cores: int) -> None:
        """Arrive at a barrier; the last one lets all go."""
        group = self._met[unit, first, cores]
        group.append((number, now))
        if len(group) == cores:
            time = max(since for _, since in group)
            members = [member for member, _ in group]
            group.clear()
            for member in members:
                self._finish(member, time, time + 1)

    def _move(self, now: int, amount: int) -> int:
        """When *amount* bytes, asked for at *now*, have landed."""
        cycles = -(-amount * 8 // self._target.dram.bits_per_cycle)
        start = max(now, self._channel_free)
        self._channel_free = start + cycles
        self._channel_busy += cycles
        return self._channel_free + self._target.dram.latency_cycles

    def _send(self, now: int, source: int, targets: tuple[int, ...], amount: int) -> tuple[int, list[int]]:
        """(when the tile has left its core, when it has arrived at each of *targets*)."""
        cycles = -(-amount * 8 // self._target.link.bits_per_cycle)
        here = self._mesh.place(source)
        left, heads = now + cycles, {here: now}
        for link in self._mesh.tree(source, targets):
            behind, there = link
            start = max(heads[behind], self._link_free[link])
            self._link_free[link] = start + cycles
            self._link_busy[link] += cycles
            if behind == here:
                left = max(left, start + cycles)
            heads[there] = start + self._target.link.hop_cycles
        return left, [max(left, heads[self._mesh.place(target)] + cycles) for target in targets]
