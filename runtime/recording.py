"""What each stream did, in its own order: the record that `replay` turns into cycles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ..isa.array import accesses
from ..isa.instructions.engine import Dense, Gate, Outer
from ..isa.instructions.vector import Vector
from ..isa.program import Debug, Entry
from ..isa.skipping import Taken
from ..isa.state import Stream
from ..isa.target import Target
from .computing import contraction, vector_accesses
from .listening import Listener, RunningStream


class Deed(NamedTuple):
    """One executed instruction, or a run of instructions that only issue.

    *kind* says what *amount*, *first* and *second* are: ``issue`` (instructions), ``compute`` (cycles), ``dram``
    (bytes in bursts; first: whether they are written), ``send`` (bytes; 0, channel; to *cores*), ``receive`` (nothing;
    source core, channel), ``post`` (nothing; core, semaphore), ``wait`` (nothing; core, semaphore), ``meet`` (nothing;
    first core, cores).
    """

    kind: str
    pc: int
    amount: int
    first: int = 0
    second: int = 0
    cores: tuple[int, ...] = ()


@dataclass
class StreamRecord:
    """All that one stream of the entry did: that of context *core*."""

    core: int
    unit: str
    names: tuple[str, ...]
    debug: tuple[Debug, ...]
    deeds: list[Deed] = field(default_factory=list[Deed])


@dataclass
class Record:
    """One execution of an entry, on so many *cores*.  It does not depend on the order in which the host stepped the
    streams.
    """

    entry: str
    streams: list[StreamRecord]
    cores: int


class Recorder(Listener):
    """Records every execution of an entry while it listens; `record` is the latest that ended."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._open: Record | None = None
        self._pending: Deed | None = None
        self._taken: Taken | None = None
        self._streams: dict[Stream, StreamRecord] = {}
        self.record: Record | None = None

    def begin(self, entry: Entry, streams: Sequence[RunningStream]) -> None:
        self._streams = {
            stream: StreamRecord(
                stream.core.number, stream.unit, tuple(i.mnemonic for i in stream.instructions), stream.code.debug
            )
            for stream in streams
        }
        self._pending = None
        self._open = Record(entry.name, list(self._streams.values()), max(stream.core.cores for stream in streams))

    def end(self) -> None:
        self.record, self._open = self._open, None

    def dram(self, stream: Stream, write: bool, address: int, useful: int, bursts: int) -> None:
        self._pending = Deed("dram", stream.current, bursts * self._target.dram.granule_bytes, int(write))

    def network(self, stream: Stream, source: int, targets: tuple[int, ...], useful: int) -> None:
        self._pending = Deed("send", stream.current, useful, cores=targets)

    def turns(self, stream: Stream, taken: Taken) -> None:
        self._taken = taken

    def sync(self, stream: Stream, kind: str, core: int, number: int) -> None:
        if kind == "send" and self._pending is not None:
            self._pending = self._pending._replace(second=number)
        else:
            self._pending = Deed(kind, stream.current, 0, core, number)

    def retired(self, stream: Stream) -> None:
        deeds = self._streams[stream].deeds
        deed, self._pending = self._pending, None
        if deed is None:
            cycles = self._cycles(stream)
            if cycles is not None:
                deed = Deed("compute", stream.current, cycles)
            elif deeds and deeds[-1].kind == "issue":
                deeds[-1] = deeds[-1]._replace(amount=deeds[-1].amount + 1)
                return
            else:
                deed = Deed("issue", stream.current, 1)
        deeds.append(deed)

    def _cycles(self, stream: Stream) -> int | None:
        """Cycles of the compute instruction that has just run; None where it was none."""
        instruction = stream.instructions[stream.current]
        if isinstance(instruction, (Gate, Dense, Outer)):
            engine, taken, self._taken = self._target.engines[stream.unit], self._taken, None
            if taken is not None:
                return taken.cycles(engine.lookahead)
            return accesses(contraction(stream, instruction), engine).cycles
        if isinstance(instruction, Vector):
            elements, operations, _, _ = vector_accesses(stream, instruction)
            return -(-elements // self._target.vector_lanes) * operations
        return None
