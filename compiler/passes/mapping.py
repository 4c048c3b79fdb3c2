"""Mapping: for one statement, choose dataflow, split over cores and tile sizes by predicted DRAM traffic.

Splits that leave the busiest core with more than a quarter above the least possible work are not looked at: cycles
come first there.  What wins among the rest is told with its runner-up; where nothing fits, what would is told.
"""

from __future__ import annotations

import math

from ...source import TargetError
from ..ir.schedule import Decision, Explanation
from .admission import check_machine
from .request import Request
from .search import Choice, Shortage, search
from .space import orders_of
from .split import Split, named, shares, splits, splittable


def choose(request: Request) -> tuple[Decision, Explanation]:
    """The mapping of a statement that moves the fewest bytes; TargetError where none fits the machine."""
    pin = request.pin
    check_machine(request)
    found: list[Choice] = []
    shortages: list[Shortage] = []
    for split in splits_of(request):
        operands = request.operands(split.loop)
        for dataflow, order in orders_of(request):
            match search(request, operands, split, dataflow, order):
                case Choice() as choice:
                    found.append(choice)
                case Shortage() as shortage:
                    shortages.append(shortage)
    if not found:
        raise _infeasible(request, shortages)
    found.sort(key=lambda choice: choice.cost)
    best, *others = found
    runner = next((c for c in others if c.mapping.dataflow != best.mapping.dataflow), others[0] if others else None)
    explanation = Explanation(
        candidates=sum(c.candidates for c in found),
        feasible=sum(c.feasible for c in found),
        dram=best.dram,
        runner_up="" if runner is None else _label(runner.mapping),
        runner_up_dram=0 if runner is None else runner.dram,
        binds=f"pinned: {pin.text}" if pin.text else "",
    )
    return best.mapping, explanation


def _label(mapping: Decision) -> str:
    return f"{mapping.dataflow}, split {mapping.split or 'none'}"


def splits_of(request: Request) -> list[Split]:
    """The splits over cores to look at: what is pinned, or all that keep the cores busy."""
    if request.pin.split is None or request.cores == 1:
        return splits(request.statement, request.cores, not request.rounds)
    loop = named(request.statement, request.pin.split)
    grains = splittable(request.statement, not request.rounds)
    if loop is None or loop not in grains:
        return splits(request.statement, request.cores, not request.rounds)
    return [Split(loop, shares(request.statement.extents[loop], request.cores, grains[loop]))]


def _infeasible(request: Request, shortages: list[Shortage]) -> TargetError:
    rooms = [short for short in shortages if short.roles]
    if not rooms:
        message = f"no tiling of {request.layer} ({request.phase}) keeps whole bytes and whole sums together"
        hints = [f"without --pin {request.pin.text}"] if request.pin.text else []
        return TargetError.at(request.place, message, hints=[*hints, "--dataflow auto", "another number of --cores"])
    short = min(rooms, key=lambda short: short.demand - short.capacity)
    if not short.memory:
        message = f"`{request.target.name}` has no memory that holds {short.roles}, which {request.layer} needs"
        return TargetError.at(request.place, message, hints=("a target whose memories hold it (see `holds`)",))
    message = (
        f"the smallest tile of {request.layer} ({request.phase}) needs {_size(short.demand)}; a core of "
        f"`{request.target.name}` has {_size(short.capacity)} for it in `{short.memory}` "
        f"(short by {_size(short.demand - short.capacity)})"
    )
    levers = ["a target with more memory (see `snnc list targets`)"]
    if request.pin.text:
        levers.insert(0, f"without --pin {request.pin.text}")
    if request.dataflow != "auto":
        levers.insert(0, "--dataflow auto")
    if math.prod(request.statement.extents.values()) > 1 and "n" in request.statement.extents:
        levers.insert(0, "a smaller --batch")
    return TargetError.at(request.place, message, hints=levers)


def _size(count: int) -> str:
    """Bytes as a person reads them."""
    return f"{count} B" if count < 1024 else f"{count / 1024:.1f} KiB"
