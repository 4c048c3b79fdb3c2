"""The space of tilings: loops that may be cut, the sizes of their tiles, and the orders in which tiles turn."""

from __future__ import annotations

from collections.abc import Mapping

from ..dataflows.dataflow import DATAFLOWS
from ..ir.statement import TIME, Contraction, Elementwise, Moments, Statement, Window
from .request import Request


def cuttable(statement: Statement) -> frozenset[str]:
    """Loops that may be cut into tiles.

    Where two loops walk one axis together, a kernel tap (a loop of the weights) stays whole beside the pixels, and of
    a channel that is ``group * size + channel`` only the group is cut.
    """
    loops = frozenset(name for name, extent in statement.loops if extent > 1)
    match statement:
        case Contraction():
            weight = statement.target if statement.engine == "wg" else statement.right
            whole: set[str] = set()
            for access in (statement.target, statement.left, statement.right):
                for index in access.index if access is not None else ():
                    terms = sorted(((abs(c), name) for name, c in index.terms if c), reverse=True)
                    if len(terms) < 2:
                        continue
                    if _nested(terms, statement.extents):
                        whole |= {name for _, name in terms[1:]}
                    else:
                        whole |= {name for _, name in terms} & weight.loops
            return loops - whole
        case Elementwise():
            return loops - set(statement.reduced)
        case Window():
            return loops - set(statement.taps)
        case Moments():
            return loops


def _nested(terms: list[tuple[int, str]], extents: Mapping[str, int]) -> bool:
    """Whether *terms* (coefficient, loop), largest first, count like the digits of a number."""
    reach = 1
    for coefficient, name in reversed(terms):
        if coefficient < reach:
            return False
        reach = coefficient * extents[name]
    return True


def sizes_of(name: str, extent: int, fixed: bool, pinned: int | None) -> list[int]:
    """Tile sizes worth a look for a loop of *extent*."""
    if fixed or extent <= 1:
        return [1 if name in TIME else max(extent, 1)]
    if pinned is not None:
        return [min(pinned, extent)]
    sizes = {extent}
    size = 1
    while size < extent:
        sizes.add(size)
        size *= 2 if extent <= 128 or size < 16 else 4
    sizes |= {-(-extent // parts) for parts in (2, 3)}
    return sorted(sizes)


def orders_of(request: Request) -> list[tuple[str, tuple[str, ...]]]:
    """Dataflows with their order of loops; those that others share are the outermost."""
    shared = request.shared
    turned = [
        (name, (*shared, *(loop for loop in order if loop not in shared))) for name, order in _free_orders(request)
    ]
    return list(dict.fromkeys(turned))


def _free_orders(request: Request) -> list[tuple[str, tuple[str, ...]]]:
    statement = request.statement
    if isinstance(statement, Contraction):
        wanted = request.pin.dataflow or (None if request.dataflow == "auto" else request.dataflow)
        names = list(DATAFLOWS) if wanted is None else [wanted]
        orders = [(name, DATAFLOWS[name].order(statement)) for name in names]
        return list(dict.fromkeys(orders + [(name, _sums_inside(statement, order)) for name, order in orders]))
    if isinstance(statement, Moments):
        return [("moments", (*(name for name, _ in statement.kept), *statement.summed))]
    loops = [name for name, _ in statement.loops if name != "t"]
    if isinstance(statement, Window):
        loops = [name for name in loops if name not in statement.taps]
        timed = "t" in statement.extents
        return [("elementwise", ("t", *loops) if timed else tuple(loops))]
    return [("elementwise", (*loops, "t") if statement.steps else tuple(loops))]


def _sums_inside(statement: Contraction, order: tuple[str, ...]) -> tuple[str, ...]:
    """*order* with the summed loops moved inside all others.

    What a dataflow does with a sum that is too long for a scratchpad: the operand that stays turns inside with its
    summed loops, and the accumulators of a tile are still complete before the next.
    """
    summed = statement.summed
    return (*(name for name in order if name not in summed), *(name for name in order if name in summed))
