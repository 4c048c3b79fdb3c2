"""Whether machine and pin can have a statement at all, whatever its tiles."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ...numerics.exact import X64_TERMS, X128_TERMS
from ...numerics.formats import FORMATS
from ...source import TargetError
from ..ir.statement import TIME, Contraction, Moments
from .pins import Pin
from .request import Request
from .space import TIME_PARALLEL, cuttable, takes_steps
from .split import named, splittable, summable


class Unmet(NamedTuple):
    """A *choice* of a pin, as it is written, that a stage cannot follow, and *why*.

    What could stand there: other *loops*, or of this loop a tile of *most* at most.
    """

    choice: str
    why: str
    loops: frozenset[str] = frozenset()
    most: int = 0


def unmet(request: Request, pin: Pin) -> Iterator[Unmet]:
    """What *pin* asks of this very stage that it cannot do."""
    statement = request.statement
    free = cuttable(request)
    for name, size in pin.tiles.items():
        choice, extent = f"tile.{name}={size}", statement.extents.get(name)
        if extent is None:
            if pin.exact or size > 1:
                yield Unmet(choice, f"has no loop {name!r}; its loops are {_told(statement.extents)}", free)
        elif name not in free:
            if size != (1 if name in TIME else max(extent, 1)):
                yield Unmet(choice, f"cannot cut loop {name!r}; it can cut {_told(sorted(free))}", free)
        elif size > extent:
            why = f"has {extent} of loop {name!r}, fewer than {size}; tile.{name}={extent} takes all of them"
            yield Unmet(choice, why, most=extent)
    if pin.dataflow is not None and not isinstance(statement, Contraction):
        yield Unmet(pin.dataflow, "sums no products, so it has no dataflow")
    elif pin.dataflow == TIME_PARALLEL and not takes_steps(request):
        yield Unmet(pin.dataflow, "cannot take several steps of time in a tile")
    shared = splittable(statement, not request.rounds) | summable(statement, not request.rounds)
    if pin.split is not None and named(statement, pin.split) not in shared:
        why = f"cannot be split by {pin.split!r}; its loops that can are {_told(shared)}"
        yield Unmet(f"split={pin.split}", why, frozenset(shared))


def _told(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def check_machine(request: Request) -> None:
    """TargetError where an engine cannot take the left operand, or a sum has more terms than an exact one may have."""
    statement, target = request.statement, request.target
    if not isinstance(statement, Contraction | Moments):
        return
    engine = target.engines[statement.engine]
    left = "spike" if statement.left is None else request.types[statement.left.value].format
    if left not in engine.left_formats:
        raise TargetError.at(
            request.place,
            f"the {statement.engine.upper()} engine of `{target.name}` takes {', '.join(engine.left_formats)} on its "
            f"left, and {request.layer} has {left} there",
            hints=("a target with a multiplier path in that engine", "a coding of the input as spikes"),
        )
    if not request.rounds:
        terms = math.prod(statement.extents[name] for name in statement.summed)
        gated = FORMATS[left].whole
        weight = FORMATS[left].maximum if gated else 1
        limit = X64_TERMS if gated or isinstance(statement, Moments) else X128_TERMS
        if terms * weight > limit:
            raise TargetError.at(
                request.place,
                f"{request.layer} ({request.phase}) sums {terms} terms of {left}; an exact accumulator of "
                f"`{target.name}` takes {limit // weight}",
                hints=("a smaller --batch", "fewer --steps"),
            )
