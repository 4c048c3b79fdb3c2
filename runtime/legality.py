"""What can be seen to be wrong with an entry before it runs."""

from __future__ import annotations

from ..isa.chip import named
from ..isa.instructions.control import Barrier, Post, Wait
from ..isa.instructions.route import Multicast, Receive, Send
from ..isa.program import Entry, Program
from ..isa.target import Target
from ..source import NOWHERE, Fault, Faults
from .faults import ExecutionError, where


def check(entry: Entry, program: Program, target: Target) -> None:
    """ExecutionError with all of: a unit that cannot run its instruction, a core or semaphore that does not exist, two
    streams of one unit, a semaphore with more than one posting or more than one waiting unit, a barrier that does not
    invite those who come.
    """
    cores = program.numbered
    faults = Faults(ExecutionError)
    places: set[tuple[int, str]] = set()
    posters: dict[tuple[int, int], tuple[int, str]] = {}
    waiters: dict[tuple[int, int], tuple[int, str]] = {}
    for stream in entry.streams:
        place = stream.core, stream.unit
        if place in places or stream.core >= cores:
            few = f"{program.cores} cores" + (f" of {program.contexts} contexts" if program.contexts > 1 else "")
            wrong = "has two streams" if place in places else f"is not one of the {few} of the program"
            faults.extend([Fault(NOWHERE, f"{entry.name}: core {stream.core} {stream.unit} {wrong}")])
        places.add(place)
        for pc, instruction in enumerate(stream.instructions):
            found: list[str] = []
            if stream.unit not in instruction.units:
                found.append(f"{instruction.mnemonic} belongs to {', '.join(instruction.units)}")
            match instruction:
                case Post():
                    found += _semaphore(instruction.semaphore, target)
                    found += _alone(posters, (instruction.core, instruction.semaphore), place, "posted")
                    found += _core(instruction.core, cores)
                case Wait():
                    found += _semaphore(instruction.semaphore, target)
                    found += _alone(waiters, (stream.core, instruction.semaphore), place, "waited for")
                case Send() | Receive():
                    found += _core(instruction.core, cores)
                case Barrier():
                    found += _core(instruction.first + instruction.cores - 1, cores)
                    if not instruction.first <= stream.core < instruction.first + instruction.cores:
                        found.append(
                            f"a barrier of {instruction.cores} cores from {instruction.first} on is for others"
                        )
                case Multicast():
                    found += _core(max(instruction.targets, default=instruction.first), cores)
                case _:
                    pass
            place_of = where(named(stream.core, program.cores), stream.unit, pc, stream.debug[pc])
            faults.extend(Fault(NOWHERE, f"{place_of}: {text}") for text in found)
    faults.throw()


def _core(core: int, cores: int) -> list[str]:
    return [f"there is no core {core}"] if core >= cores else []


def _semaphore(number: int, target: Target) -> list[str]:
    if number < target.semaphores:
        return []
    return [f"semaphore {number} is not one of the {target.semaphores} of a core"]


def _alone(
    users: dict[tuple[int, int], tuple[int, str]], semaphore: tuple[int, int], place: tuple[int, str], verb: str
) -> list[str]:
    """What to say where another unit already uses the semaphore in this way."""
    core, unit = users.setdefault(semaphore, place)
    if (core, unit) == place:
        return []
    return [f"semaphore {semaphore[1]} of core {semaphore[0]} is {verb} by core {core} {unit} already"]
