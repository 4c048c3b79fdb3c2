"""Whether machine and pin can have a statement at all, whatever its tiles."""

from __future__ import annotations

import math
from collections.abc import Iterable

from ...numerics.exact import X64_TERMS, X128_TERMS
from ...numerics.formats import FORMATS
from ...source import TargetError
from ..ir.statement import Contraction, Moments
from .request import Request
from .space import TIME_PARALLEL, cuttable, takes_steps
from .split import named, splittable, summable


def pin_problem(request: Request) -> str | None:
    """What a pin asks of this very stage that it cannot do; a pattern only speaks to those that can."""
    pin, statement = request.pin, request.statement
    if not pin.exact:
        return None
    where = f"--pin {pin.text}: {request.layer}.{request.phase.lower()}"
    free = cuttable(request)
    for name in pin.tiles:
        if name not in statement.extents:
            return f"{where} has no loop {name!r}; its loops are {_told(statement.extents)}"
        if name not in free:
            return f"{where} cannot cut loop {name!r}; it can cut {_told(sorted(free))}"
    if pin.dataflow is not None and not isinstance(statement, Contraction):
        return f"{where} sums no products, so it has no dataflow"
    if pin.dataflow == TIME_PARALLEL and not takes_steps(request):
        return f"{where} cannot take several steps of time in a tile"
    shared = splittable(statement, not request.rounds) | summable(statement, not request.rounds)
    if pin.split is not None and named(statement, pin.split) not in shared:
        return f"{where} cannot be split by {pin.split!r}; its loops that can are {_told(shared)}"
    return None


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
