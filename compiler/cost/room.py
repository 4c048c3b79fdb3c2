"""Room in DRAM: which values are others under another type, and which change with time and need room for one step."""

from __future__ import annotations

from ..ir.graph import Training
from ..ir.schedule import accesses
from ..ir.statement import loop
from ..ops.op import alias_of, lower


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
    """Values that nodes of a stepwise sweep make and read in the very step, and that nobody else reads."""
    if not any(region.stepwise for procedure in training.procedures for region in procedure.regions):
        return frozenset()
    aliases = aliases_of(training)
    now = loop("t")
    found: set[str] = set()
    kept = set(training.types)
    for procedure in training.procedures:
        types = training.values(procedure)
        kept |= {aliases.get(name, name) for name in procedure.results}
        regions: dict[str, int] = {}
        for number, region in procedure.sweeps:
            for node in region.nodes:
                for statement in lower(node, types, training.steps, training.batch, region.sweep, training.working):
                    for _, access in accesses(statement):
                        name = aliases.get(access.value, access.value)
                        if types[name].timed:
                            found.add(name)
                            elsewhere = regions.setdefault(name, number) != number
                            if elsewhere or not region.stepwise or access.index[0] != now:
                                kept.add(name)
    return frozenset(found - kept)
