"""A deadlock told by name: who waits, for what, where it stands, and who has halted."""

from __future__ import annotations

from collections.abc import Sequence

from ..isa.chip import named
from ..source import NOWHERE, Fault
from .faults import Deadlock, where
from .listening import RunningStream
from .network import Barriers


def deadlock(streams: Sequence[RunningStream], barriers: Barriers) -> Deadlock:
    """The error for *streams*, none of which can run: one line a stream that waits."""
    waiting = [stream for stream in streams if not stream.halted]
    halted = [f"core {stream.core.name} {stream.unit}" for stream in streams if stream.halted]
    lines = [f"deadlock: {len(waiting)} of {len(streams)} streams wait, and nobody is left who could wake them"]
    for stream in waiting:
        place = where(stream.core.name, stream.unit, stream.pc, stream.debug(stream.pc), node=True)
        lines.append(f"  {place}: waits for {_reason(stream, streams, barriers)}")
    lines.append(f"  halted: {', '.join(halted) if halted else 'none'}")
    return Deadlock(Fault(NOWHERE, "\n".join(lines)))


def _reason(stream: RunningStream, streams: Sequence[RunningStream], barriers: Barriers) -> str:
    """What *stream* waits for, and from whom it could come."""
    blocked = stream.blocked
    if blocked is None:
        return "its turn"
    if blocked.kind == "wait":
        return f"semaphore {blocked.number} to be posted, by {_poster(stream, blocked.number, streams)}"
    if blocked.kind == "meet":
        numbers = barriers.missing(stream.unit, blocked.core, blocked.number)
        missing = ", ".join(f"core {named(number, stream.core.cores)}" for number in numbers)
        return f"the barrier of {blocked.number} cores, where {missing} has not arrived"
    source = named(blocked.core, stream.core.cores)
    return f"a tile from core {source} on channel {blocked.number}{_has_halted(blocked.core, 'router', streams)}"


def _poster(stream: RunningStream, semaphore: int, streams: Sequence[RunningStream]) -> str:
    """The stream whose code posts *semaphore* of the core of *stream*, and whether it has halted."""
    for other in streams:
        for instruction in other.instructions:
            if instruction.mnemonic == "post":
                posted: tuple[int, int] = instruction.core, instruction.semaphore  # type: ignore[attr-defined]
                if posted == (stream.core.number, semaphore):
                    core = other.core.number
                    return f"core {other.core.name} {other.unit}{_has_halted(core, other.unit, streams)}"
    return "nobody"


def _has_halted(core: int, unit: str, streams: Sequence[RunningStream]) -> str:
    """``, which has halted`` where that is so, or where there is no such stream."""
    there = [other for other in streams if other.core.number == core and other.unit == unit]
    return ", which has halted" if all(other.halted for other in there) else ""
