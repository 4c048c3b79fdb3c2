"""Every entry of a program once, without data: its traffic, and the cycles of its replay.

What depends on data is *predicted*: bytes of codecs that store blocks, and how many products zeros save.  All else is
*counted*, and equal to what the same program counts with data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..isa.traffic import Traffic
from ..source import NOWHERE, DataError
from .counted import CountedChip
from .facts import facts_of
from .interpreter import Interpreter
from .recording import Record, Recorder
from .replay import Timing, replay
from .settings import Settings


@dataclass(frozen=True)
class Count:
    """What one call of an *entry* moves and does: *counted*, and *predicted* where that depends on data.

    *record* is that of its streams, *timing* its replay in cycles; *instructions* are all that have run.
    """

    entry: str
    counted: Traffic
    predicted: Traffic
    instructions: int
    record: Record
    timing: Timing


def counts_of(interpreter: Interpreter, settings: Settings) -> Iterator[Count]:
    """Each entry of the program, called as the host calls it for the first time, with a whole batch.

    The host writes all inputs of an entry and reads all of its results.  DataError: a scalar that it does not know.
    """
    program, chip = interpreter.program, interpreter.chip
    assert isinstance(chip, CountedChip), "an interpreter that has data runs entries by a host"
    facts = facts_of(settings, 0, 0, 1, settings.scale, program.steps) | {"valid": program.batch}
    for entry in program.entries:
        missing = [name for name in entry.arguments if name not in facts]
        if missing:
            raise DataError.at(NOWHERE, f"{entry.name} takes {', '.join(missing)}, which this host does not know")
        recorder = Recorder(interpreter.target)
        interpreter.listen(recorder)
        for name in entry.inputs:
            interpreter.wrote(name, chip.taken(program.symbol(name)))
        interpreter.run(entry.name, {name: facts[name] for name in entry.arguments})
        for name in entry.results:
            interpreter.was_read(name)
        interpreter.ignore(recorder)
        predicted, counted = interpreter.counters.predicted(), interpreter.counters.take()
        assert recorder.record is not None
        timing = replay(recorder.record, interpreter.target)
        yield Count(entry.name, counted, predicted, interpreter.executed(entry.name), recorder.record, timing)
