"""Scratchpad accesses inside compute instructions: modelled from declared dataflows, never counted.

Engines: see `array`; of one that skips, the turns that it took.  The vector unit reads every element of an operand once
and writes every element of a result once; operations in between stay in registers.  Registers of the array are not
part of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..isa.array import accesses
from ..isa.instructions.engine import Dense, Gate, Outer
from ..isa.instructions.vector import Vector
from ..isa.program import Entry, Program
from ..isa.skipping import Taken
from ..isa.state import Stream
from ..isa.target import Target
from ..isa.traffic import Amounts, Key, Traffic
from .computing import contraction, vector_accesses
from .layers import Layers
from .listening import Listener, RunningStream


class Modelled(Listener):
    """Adds up what compute instructions read and wrote, by phase and layer."""

    def __init__(self, program: Program, target: Target) -> None:
        self._target = target
        self._layers = Layers(program)
        self._bits: dict[tuple[str, str], list[int]] = {}
        self._cells: dict[Stream, list[list[int]]] = {}
        self._taken: Taken | None = None

    def begin(self, entry: Entry, streams: Sequence[RunningStream]) -> None:
        for stream in streams:
            if stream not in self._cells:
                self._cells[stream] = [self._cell(stream, pc) for pc in range(len(stream.instructions))]

    def turns(self, stream: Stream, taken: Taken) -> None:
        self._taken = taken

    def work(self, stream: Stream, kind: str, amount: int) -> None:
        if kind == "skipped":
            return
        instruction = stream.instructions[stream.current]
        cell = self._cells[stream][stream.current]
        if isinstance(instruction, (Gate, Dense, Outer)):
            engine, taken, self._taken = self._target.engines[stream.unit], self._taken, None
            found = accesses(contraction(stream, instruction), engine, taken and taken.turns)
            read, written = found.read_bits, found.write_bits
        else:
            assert isinstance(instruction, Vector)
            _, _, read, written = vector_accesses(stream, instruction)
        cell[0] += read
        cell[1] += written

    def take(self) -> Traffic:
        """What was modelled since the last `take`, in bytes."""
        rows = [
            (Key(phase, "", layer), Amounts(scratchpad_read=read / 8, scratchpad_write=written / 8))
            for (phase, layer), (read, written) in self._bits.items()
        ]
        for cell in self._bits.values():
            cell[:] = 0, 0
        return Traffic.of("modelled", rows)

    def _cell(self, stream: RunningStream, pc: int) -> list[int]:
        debug = stream.debug(pc)
        return self._bits.setdefault((debug.phase, self._layers.of(debug.node)), [0, 0])
