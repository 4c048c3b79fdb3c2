"""What goes wrong while a program runs, told by core, unit, instruction and the user's line."""

from __future__ import annotations

from ..isa.program import Debug
from ..source import NOWHERE, SnncError


class ExecutionError(SnncError):
    """The program is at fault: an illegal access, a stream that waits for ever, accesses that nobody ordered.

    A program of the compiler never raises it; one that was written or changed by hand may.
    """


class Deadlock(ExecutionError):
    """Streams wait, and nobody is left who could end it."""


class RaceError(ExecutionError):
    """Two instructions touched the same bytes, one of them writing, and no semaphore orders them."""


def where(core: str, unit: str, pc: int, debug: Debug, node: bool = False) -> str:
    """``core 1, fp stream, instruction 212 (lenet.snn:9)``; with *node*, ``(c1, lenet.snn:9)``.

    *core* is the name of it, see `isa.chip.named`.
    """
    known = [debug.node] if node and debug.node else []
    if debug.place != NOWHERE:
        known.append(str(debug.place))
    origin = f" ({', '.join(known)})" if known else ""
    return f"core {core}, {unit} stream, instruction {pc}{origin}"
