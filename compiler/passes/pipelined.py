"""Steps of time that overlap: the next one begins while errors and weight gradients of the one before are being made.

Stages that take each step together share a loop over time.  Where the way there of a step needs nothing of what the
step before has made behind its own way there, a turn of the loop may do the first part of a step and the rest of the
step before: the loop has one turn more, in whose first the rest, and in whose last the first part, has nothing to do.

Which stages are the first part is found from what they touch.  It is those of the way there, what they wait for in
their own step, and whoever makes what they read, be it a step before.  All others may run behind.  Nothing that these
make is then read by the first part, and what the first part makes for them, and makes anew in each step, has room for
two steps in DRAM: that of step t lies at t mod 2.  All else that both touch decides their order inside of a turn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from ..ir.joined import use_in
from ..ir.schedule import Axis, Buffer, Stage, Step
from .dependencies import touches, waits

ROOMS = 2
"""Steps for which there is room of what one part hands to the other."""

THERE = "FP"
"""The phase of the way there."""


@dataclass(frozen=True)
class Parts:
    """The stages of a cycle, by number and in their order: what is *first* in a step, and what may run *behind*.

    *handed* are the values that have room for one step and need it for two.  Where something else than the way there
    is first, *why* tells of the first such stage who waits for it.
    """

    first: tuple[int, ...]
    behind: tuple[int, ...]
    handed: frozenset[str]
    why: str = ""

    @property
    def apart(self) -> bool:
        """Whether there are two."""
        return bool(self.first and self.behind)


def parts_of(stages: Sequence[Stage], aliases: Mapping[str, str], momentary: Collection[str]) -> Parts:
    """The parts of a cycle; *momentary* are the values that have room for one step only."""
    touched = [tuple(touches(stage, aliases)) for stage in stages]
    before = waits(touched)
    makers: defaultdict[str, list[int]] = defaultdict(list)
    for number, own in enumerate(touched):
        for home in dict.fromkeys(touch.home for touch in own if touch.writes):
            makers[home].append(number)
    first = [number for number, stage in enumerate(stages) if any(phase == THERE for phase, _ in stage.nodes)]
    known, why = set(first), ""
    for number in first:  # which grows meanwhile
        read = dict.fromkeys(touch.home for touch in touched[number] if not touch.writes)
        for value in read:
            for maker in makers[value]:
                if maker not in known and not why:
                    why = f"{told(stages[number])} reads {value}, which {told(stages[maker])} makes in the step before"
                first += [maker] if maker not in known else []
                known.add(maker)
        first += sorted(before[number] - known)
        known |= before[number]
    behind = tuple(number for number in range(len(stages)) if number not in known)
    made = {touch.home for number in known for touch in touched[number] if touch.writes}
    met = {touch.home for number in behind for touch in touched[number]}
    return Parts(tuple(sorted(known)), behind, frozenset(made & met & set(momentary)), why)


def told(stage: Stage) -> str:
    """A stage by its phase and its node."""
    return f"{stage.phase} {stage.node}"


def with_rooms(stage: Stage, handed: Collection[str], aliases: Mapping[str, str]) -> Stage:
    """*stage* where each of the values *handed* has room for two steps.  A state is read where its last step lies."""
    moves = {
        (step.writes or step.reads)[0]: step
        for _, step in stage.steps()
        if step.kind in ("load", "store") and aliases.get(step.value, step.value) in handed
    }
    if not moves:
        return stage
    buffers = (_alternating(each, moves[each.name]) if each.name in moves else each for each in stage.buffers)
    return replace(stage, buffers=tuple(buffers))


def _alternating(buffer: Buffer, step: Step) -> Buffer:
    time, *others = buffer.axes
    assert time.terms == (("t", 1),), f"{buffer.name}: {time} is no step of time"
    earlier = step.kind == "load" and buffer.name.startswith(use_in(step.part, "state."))
    ringed = Axis(time.terms, time.offset - earlier, time.bound, ring=ROOMS)
    return replace(buffer, axes=(ringed, *others))
