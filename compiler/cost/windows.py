"""Statements in windows of time: the loop over time becomes one over windows, and one over the steps of a window.

A value that is gone with its window has room for the steps of one, and its place in memory is that in the window; of
all others it is that in time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ..ir.accesses import accesses
from ..ir.expression import Expression, index, rebuilt
from ..ir.graph import Node, Region, Sweep, Training
from ..ir.statement import WINDOW, Access, Elementwise, Index, Statement, with_accesses
from ..ir.types import Type
from ..ops.op import lower
from .room import aliases_of, with_homes


def statements_of(
    training: Training,
    node: Node,
    region: Region,
    types: dict[str, Type],
    waits: bool,
    momentary: frozenset[str],
    rooms: Mapping[str, int],
) -> tuple[Statement, ...]:
    """The statements of a node as the machine takes them, which *waits* for others in each step or does not.

    *momentary* are the values that are gone with their step, *rooms* see `window_rooms`.  Places where states lie
    between steps or windows are added to *types*.
    """
    sizes = training.steps_of(region), training.batch
    statements = lower(node, types, *sizes, region.sweep, training.working, region.window)
    name = next(filter(None, node.results))
    if region.window:
        windows = training.steps // region.window
        return tuple(in_windows(each, windows, region.sweep, name, types, rooms, waits) for each in statements)
    return tuple(with_homes(each, name, types, momentary) for each in statements) if waits else statements


def window_rooms(training: Training) -> dict[str, int]:
    """For how many steps there is room of the values that are gone with their window, aliases included.

    They are those that no other window reads.  What a sweep downwards makes is read by steps before it, and of a window
    to come that is nothing: it reads as zero beyond the room.
    """
    if not any(region.window for procedure in training.procedures for region in procedure.regions):
        return {}
    aliases = aliases_of(training)
    rooms: dict[str, int] = {}
    kept = set(training.types)
    for procedure in training.procedures:
        types = training.values(procedure)
        kept |= {aliases.get(name, name) for name in procedure.results}
        downwards = {name for region in procedure.regions if region.sweep == "down" for name in _made(region)}
        for region in procedure.regions:
            for statement in _lowered(training, region, types):
                for _, access in accesses(statement):
                    if not types[access.value].timed:
                        continue
                    name = aliases.get(access.value, access.value)
                    rooms[name] = region.window
                    inside = access.value in downwards or _in_its_turn(access, statement, region.sweep)
                    if not region.window or not inside:
                        kept.add(name)
    found = {name: window for name, window in rooms.items() if name not in kept}
    return found | {alias: found[home] for alias, home in aliases.items() if home in found}


def _made(region: Region) -> Iterator[str]:
    return (name for node in region.nodes for name in node.results if name)


def _lowered(training: Training, region: Region, types: Mapping[str, Type]) -> Iterator[Statement]:
    """The statements of a region, over all steps."""
    sizes = training.steps_of(region), training.batch
    for node in region.nodes:
        yield from lower(node, types, *sizes, region.sweep, training.working, region.window)


def _in_its_turn(access: Access, statement: Statement, sweep: Sweep) -> bool:
    """Whether a timed value is met in the steps of the very turn of the loop over time."""
    time = access.index[0]
    stride = time.coefficient("t")
    first = stride * (statement.extents["t"] - 1) if sweep == "down" else 0
    return 0 <= time.offset + first < abs(stride)


def in_windows(
    statement: Statement,
    windows: int,
    sweep: Sweep,
    name: str,
    types: dict[str, Type],
    rooms: Mapping[str, int],
    waits: bool,
) -> Statement:
    """*statement* of a *sweep* through so many *windows*, a loop around all others.

    *rooms* are those of the values that are gone with their window, by their names.  What a sweep upwards carries has
    a home in DRAM from window to window (see `with_homes`, to which *name* and *types* go); inside a window it stays in
    the scratchpad, unless the statement *waits* for others in each step.  A sweep downwards begins afresh in each.
    """
    assert WINDOW not in statement.extents, f"{name}: {WINDOW} is the loop over windows"
    carries = sweep != "down"
    if isinstance(statement, Elementwise) and statement.states and (carries or waits):
        statement = with_homes(statement, name, types, frozenset())
    turns = statement.extents.get("t", 0) // windows

    def here(place: Index, held: bool) -> Index:
        c = place.coefficient("t")
        if not c:
            return place
        first = c * turns * (windows - 1) if sweep == "down" else 0
        around = () if held else ((WINDOW, -c * turns if sweep == "down" else c * turns),)
        return Index((*around, *place.terms), place.offset + first)

    def moved(access: Access) -> Access:
        held = access.value in rooms
        return Access(access.value, tuple(here(place, held) for place in access.index))

    found = with_accesses(statement, moved)
    if not isinstance(found, Elementwise):
        loops = tuple((loop, turns if loop == "t" else extent) for loop, extent in found.loops)
        return replace(found, loops=((WINDOW, windows), *loops))
    stays = carries and not waits and bool(turns)
    found = replace(
        found,
        loops=((WINDOW, windows), *found.loops),
        steps=turns,
        states=tuple(replace(state, stays=stays) for state in found.states),
        random={key: here(place, False) for key, place in found.random.items()},
        begins=(WINDOW, "t") if carries else ("t",),
    )
    return _at_its_time(found, turns, windows, sweep)


def _at_its_time(statement: Elementwise, turns: int, windows: int, sweep: Sweep) -> Elementwise:
    """*statement* with the turn of all time where an expression asks for the turn."""
    roots = [*(write.expression for write in statement.writes), *(state.next for state in statement.states)]
    if not any(part.op == "index" and part.name == "t" for root in roots for part in root.walk()):
        return statement
    along = index(WINDOW) * float(turns)
    time = index("t") + ((float(turns * (windows - 1)) - along) if sweep == "down" else along)

    def known(leaf: Expression) -> Expression:
        return time if leaf.op == "index" and leaf.name == "t" else leaf

    changed = rebuilt(roots, known)
    writes, nexts = changed[: len(statement.writes)], changed[len(statement.writes) :]
    return replace(
        statement,
        writes=tuple(replace(write, expression=new) for write, new in zip(statement.writes, writes, strict=True)),
        states=tuple(replace(state, next=new) for state, new in zip(statement.states, nexts, strict=True)),
    )
