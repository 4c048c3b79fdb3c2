"""Count bytes where they move, and the work that was done: by phase, tensor, layer, core and unit.

Instruction fetch is counted like this.  The units of a core have equal shares of its instruction memory.  A stream
that fits its share is fetched once an entry.  Of a longer one, a loop that fits (from its ``loop`` to its ``end``) is
fetched once each time that the ``loop`` is reached, and every other instruction each time that it runs.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from ..isa.codecs.codec import CODECS
from ..isa.instruction import UNITS, WORD_BYTES, Instruction
from ..isa.mesh import Link, MeshRoutes
from ..isa.program import Entry, Program, Symbol
from ..isa.state import Stream
from ..isa.tally import WORK
from ..isa.target import Target
from ..isa.traffic import Amounts, Key, Traffic
from .layers import Layers
from .listening import Listener, RunningStream

Row: TypeAlias = tuple[Key, Amounts]

_Sent = tuple[int, tuple[int, ...]]
"""An instruction, and the cores that it sends tiles to."""

_Cell = list[int]
"""dram_read, dram_write, useful_read, useful_write of one instruction and tensor."""


@dataclass
class _Meter:
    """What one stream has done since the last `Counters.take`, by instruction.

    The latest entries, so many *times*, ran what *same* says; that is not among the *earlier* runs yet.
    """

    stream: RunningStream
    begun: bool = False
    entries: int = 0
    earlier: list[int] = field(default_factory=list[int])
    same: Sequence[int] = ()
    times: int = 0
    last: list[tuple[int, int, _Cell]] = field(default_factory=list[tuple[int, int, _Cell]])
    cells: dict[tuple[int, str], _Cell] = field(default_factory=dict[tuple[int, str], _Cell])
    sent: dict[_Sent, int] = field(default_factory=dict[_Sent, int])

    def clear(self) -> None:
        """All counts to zero."""
        count = len(self.stream.instructions)
        self.begun, self.entries = False, 0
        self.earlier, self.same, self.times = [0] * count, (), 0
        self.last = [(0, 0, [])] * count
        self.cells = {}
        self.sent = {}
        self.stream.tally.clear()

    def ran(self, counts: Sequence[int]) -> None:
        """An entry has ended in which each instruction ran so many times.

        Entries that are unrolled say it with the same list; so it is added later, once.
        """
        if counts is not self.same:
            self.earlier, self.same, self.times = self.runs, counts, 0
        self.entries += 1
        self.times += 1

    @property
    def runs(self) -> list[int]:
        """How often each instruction has run."""
        if not self.times:
            return self.earlier
        return [before + self.times * now for before, now in zip(self.earlier, self.same, strict=True)]


@dataclass(frozen=True)
class Counted:
    """What instructions of a stream have done: amounts by instruction for each list of its tally, by tensor, and bytes
    of tiles by the cores that they were sent to."""

    tally: tuple[dict[int, int], ...]
    cells: dict[tuple[int, str], tuple[int, ...]]
    sent: dict[_Sent, int]

    def since(self, before: Counted, but: Container[int]) -> Counted:
        """The same less what was done *before*, and less what the instructions *but* did."""
        pairs = [
            {pc: amount - was.get(pc, 0) for pc, amount in now.items() if pc not in but and amount != was.get(pc, 0)}
            for now, was in zip(self.tally, before.tally, strict=True)
        ]
        nothing = (0,) * 4
        cells = {
            key: tuple(now - was for now, was in zip(cell, before.cells.get(key, nothing), strict=True))
            for key, cell in self.cells.items()
            if key[0] not in but
        }
        sent = {
            key: now - before.sent.get(key, 0)
            for key, now in self.sent.items()
            if key[0] not in but and now != before.sent.get(key, 0)
        }
        return Counted(tuple(pairs), cells, sent)

    def without_work(self, pc: int) -> int:
        """Forget the work of instruction *pc*; how much it was."""
        return sum(amounts.pop(pc, 0) for amounts in self.tally[: len(WORK)])


class Counters(Listener):
    """Counts everything that an interpreter does, from the beginning or from the last `take`.

    Of one that has no data (*data* false), what would depend on it is predicted.
    """

    def __init__(self, program: Program, target: Target, data: bool = True) -> None:
        self._data = data
        self._granule = target.dram.granule_bytes
        self._share = target.instruction_bytes // (len(UNITS) * program.contexts)
        self._mesh = MeshRoutes(target.mesh.columns, program.cores)
        self._symbols = sorted(program.symbols, key=lambda symbol: symbol.address)
        self._addresses = [symbol.address for symbol in self._symbols]
        self._by_name = program.by_name
        self._layers = Layers(program)
        self._meters: dict[Stream, _Meter] = {}
        self._running: Sequence[RunningStream] = ()
        self._host: dict[tuple[bool, str], int] = {}

    # Listening.

    def begin(self, entry: Entry, streams: Sequence[RunningStream]) -> None:
        self._running = streams
        for stream in streams:
            if stream not in self._meters:
                self._meters[stream] = _Meter(stream)
                self._meters[stream].clear()
            self._meters[stream].begun = True

    def end(self) -> None:
        for stream in self._running:
            self._meters[stream].ran(stream.counts)

    def dram(self, stream: Stream, write: bool, address: int, useful: int, bursts: int) -> None:
        meter = self._meters[stream]
        low, high, cell = meter.last[stream.current]
        if not low <= address < high:
            cell = self._cell(meter, stream.current, address)
        cell[write] += bursts * self._granule
        cell[2 + write] += useful

    def network(self, stream: Stream, source: int, targets: tuple[int, ...], useful: int) -> None:
        sent = self._meters[stream].sent
        key = stream.current, targets
        sent[key] = sent.get(key, 0) + useful

    def host(self, write: bool, name: str, useful: int) -> None:
        self._host[write, name] = self._host.get((write, name), 0) + useful

    # What is done again counts again.

    def counted(self, stream: RunningStream) -> Counted:
        """What instructions of a stream have done since the last `take`."""
        lists, meter = stream.tally.lists(), self._meters[stream]
        cells = {key: tuple(cell) for key, cell in meter.cells.items()}
        tally = tuple({pc: amount for pc, amount in enumerate(row) if amount} for row in lists)
        return Counted(tally, cells, dict(meter.sent))

    def again(self, stream: RunningStream, counted: Counted) -> None:
        """Instructions of a stream have done this once more."""
        for row, amounts in zip(stream.tally.lists(), counted.tally, strict=True):
            for pc, amount in amounts.items():
                row[pc] += amount
        meter = self._meters[stream]
        for key, amounts in counted.cells.items():
            cell = meter.cells.setdefault(key, [0, 0, 0, 0])
            for place, amount in enumerate(amounts):
                cell[place] += amount
        for key, amount in counted.sent.items():
            meter.sent[key] = meter.sent.get(key, 0) + amount

    # Answers.

    def take(self) -> Traffic:
        """What was counted since the last `take`; counting begins anew."""
        traffic = self.traffic()
        for meter in self._meters.values():
            meter.clear()
        self._host.clear()
        return traffic

    def traffic(self) -> Traffic:
        """What was counted since the last `take`."""
        return Traffic.of("counted", [row for row, depends in self._all_rows() if self._data or not depends])

    def predicted(self) -> Traffic:
        """What depends on data that an interpreter does not have, since the last `take`."""
        return Traffic.of("predicted", [row for row, depends in self._all_rows() if depends and not self._data])

    def by_unit(self) -> dict[tuple[int, str], Amounts]:
        """Totals by core and unit, of all entries, in order; host transfers belong to none."""
        totals: dict[tuple[int, str], Amounts] = {}
        for meter in self._meters.values():
            place = meter.stream.core.place, meter.stream.unit
            for (_, amounts), _ in self._rows(meter):
                totals[place] = totals.get(place, Amounts()) + amounts
        return dict(sorted(totals.items(), key=lambda item: (item[0][0], UNITS.index(item[0][1]))))

    def by_link(self) -> dict[Link, int]:
        """Bytes over each link of the mesh, each tile once a link."""
        links: dict[Link, int] = {}
        for meter in self._meters.values():
            for (_, targets), useful in meter.sent.items():
                for link in self._mesh.tree(meter.stream.core.number, targets):
                    links[link] = links.get(link, 0) + useful
        return dict(sorted(links.items()))

    # Inside.

    def _cell(self, meter: _Meter, pc: int, address: int) -> _Cell:
        """The counts of instruction *pc* for the tensor at *address*."""
        place = bisect_right(self._addresses, address) - 1
        symbol = self._symbols[place] if place >= 0 else None
        name, low, high = "", address, address + 1
        if symbol is not None and address < symbol.address + symbol.bytes:
            name, low, high = symbol.name, symbol.address, symbol.address + symbol.bytes
        cell = meter.cells.setdefault((pc, name), [0, 0, 0, 0])
        meter.last[pc] = low, high, cell
        return cell

    def _key(self, phase: str, symbol: Symbol) -> Key:
        return Key(phase, symbol.name, symbol.layer, symbol.codec)

    def _all_rows(self) -> Iterator[tuple[Row, bool]]:
        """All counts of all streams and of the host."""
        for (write, name), useful in self._host.items():
            key = self._key("", self._by_name[name])
            yield (key, Amounts(host_write=useful) if write else Amounts(host_read=useful)), not CODECS[key.codec].fixed
        for meter in self._meters.values():
            if meter.begun:
                yield from self._rows(meter)

    def _rows(self, meter: _Meter) -> Iterator[tuple[Row, bool]]:
        """All counts of one stream, instruction by instruction, and whether they depend on data."""
        stream = meter.stream
        tensors: dict[int, str] = {}
        for (pc, name), (read, write, useful_read, useful_write) in meter.cells.items():
            tensors.setdefault(pc, name)
            phase = stream.debug(pc).phase
            key = self._key(phase, self._by_name[name]) if name else Key(phase)
            yield (key, Amounts(read, write, useful_read, useful_write)), not CODECS[key.codec].fixed
        own: dict[tuple[str, str], list[int]] = {}
        sent = [0] * len(stream.instructions)
        for (pc, targets), useful in meter.sent.items():
            sent[pc] += useful * len(self._mesh.tree(stream.core.number, targets))
        amounts = (sent, fetched_bytes(stream.instructions, meter.runs, meter.entries, self._share))
        for pc, found in enumerate(zip(*amounts, *(stream.tally.work[kind] for kind in WORK), strict=True)):
            debug = stream.debug(pc)
            sums = own.setdefault((debug.phase, debug.node), [0] * len(found))
            for place, amount in enumerate(found):
                sums[place] += amount
        for (phase, node), (network, fetch, gated, multiply, element, skipped) in own.items():
            key = Key(phase, "", self._layers.of(node))
            yield (key, Amounts(network=network, fetch=fetch, element=element)), False
            yield (key, Amounts(gated=gated, multiply=multiply, skipped=skipped)), True
        for pc, (read, write) in enumerate(zip(stream.tally.reads, stream.tally.writes, strict=True)):
            if read or write:
                debug, name = stream.debug(pc), tensors.get(pc, "")
                key = self._key(debug.phase, self._by_name[name]) if name else Key(debug.phase)
                yield (key, Amounts(scratchpad_read=read, scratchpad_write=write)), False


def fetched_bytes(code: Sequence[Instruction], runs: Sequence[int], entries: int, share: int) -> list[int]:
    """Bytes fetched for each instruction of a stream that ran as *runs* says, in *entries* calls; see above."""
    if len(code) * WORD_BYTES <= share:
        return [entries * WORD_BYTES] * len(code)
    times = list(runs)
    opened: list[int] = []
    for pc, instruction in enumerate(code):
        if instruction.opens:
            opened.append(pc)
        elif instruction.mnemonic == "end":
            first = opened.pop()
            if (pc + 1 - first) * WORD_BYTES <= share:
                times[first : pc + 1] = [runs[first]] * (pc + 1 - first)
    return [count * WORD_BYTES for count in times]
