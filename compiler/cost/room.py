"""Room in DRAM: which values are others under another type, which change with time and need room for one step, where
states lie between two steps.
"""

from __future__ import annotations

from dataclasses import replace

from ..ir.accesses import accesses
from ..ir.graph import Training
from ..ir.statement import Access, Elementwise, Index, State, Statement, loop
from ..ir.types import Type
from ..ops.op import alias_of, lower

CARRY = ".carry."
"""What stands between a value and a state, in the name of the place where that state lies between two steps."""


def aliases_of(training: Training) -> dict[str, str]:
    """Values that are other values under another type (a flattened image), by the name of what lies in memory."""
    home: dict[str, str] = {}
    for procedure in training.procedures:
        for node in procedure.nodes:
            operand = alias_of(node)
            if operand is not None:
                source = node.operands[operand]
                home[node.results[0]] = home.get(source, source)
    return home


def held(training: Training) -> frozenset[str]:
    """Values that nodes of a stepwise sweep make and read in the very step, and that nobody else reads.

    The next step may read them too, where it does so before it makes them anew: what a `delay` brings back.
    """
    if not any(region.stepwise for procedure in training.procedures for region in procedure.regions):
        return frozenset()
    aliases = aliases_of(training)
    now, before = loop("t"), loop("t", 1, -1)
    found: set[str] = set()
    kept = set(training.types)
    for procedure in training.procedures:
        types = training.values(procedure)
        kept |= {aliases.get(name, name) for name in procedure.results}
        regions: dict[str, int] = {}
        made: set[str] = set()
        for number, region in procedure.sweeps:
            steps = training.steps_of(region)
            for node in region.nodes:
                for statement in lower(node, types, steps, training.batch, region.sweep, training.working):
                    for _, access in accesses(statement):
                        name = aliases.get(access.value, access.value)
                        if types[name].timed:
                            found.add(name)
                            elsewhere = regions.setdefault(name, number) != number
                            fresh = access.index[0] == now or (access.index[0] == before and name not in made)
                            if elsewhere or not region.stepwise or not fresh:
                                kept.add(name)
                made.update(aliases.get(name, name) for name in node.results)
    return frozenset(found - kept)


def with_homes(statement: Statement, name: str, types: dict[str, Type], momentary: frozenset[str]) -> Statement:
    """*statement* with a value in DRAM for each state that it carries from step to step, ``NAME.carry.STATE``.

    The types of these values are added to *types*.  A state that is a result, of the last step or of a step alone (of
    the *momentary* values, see `held`), lies where the result does: a sum over time, a trace.
    """
    if not isinstance(statement, Elementwise) or not statement.states:
        return statement
    samples = [part for part in statement.loops if part[0] == "n"]
    elements = [part for part in statement.loops if part[0] != "n"]
    axes = tuple((extent,) for _, extent in (*elements[-1:], *elements[:-1]))
    index = (*(loop(part) for part, _ in samples), *([loop(part) for part, _ in elements] or [Index()]))
    states: list[State] = []
    writes = list(statement.writes)
    for state in statement.states:
        same = (write for write in writes if write.expression is state.next)
        result = next((write for write in same if write.last or write.target.value in momentary), None)
        if result is not None and types[result.target.value].format == state.format:
            writes.remove(result)
            states.append(replace(state, home=result.target))
            continue
        home = f"{name}{CARRY}{state.name}"
        types[home] = Type(state.format, axes, batched=bool(samples))
        states.append(replace(state, home=Access(home, index)))
    return replace(statement, states=tuple(states), writes=tuple(writes))
