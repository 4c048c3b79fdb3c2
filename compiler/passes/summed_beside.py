"""A sum beside another: what adds up errors reads them where a stage multiplies the same errors.

The gradient of a bias is the sum of the errors that the gradient of its weight is made of.  As a stage of its own it
would read all of them from DRAM once more; in the stage of the weight a second accumulator takes each tile while it is
in the scratchpad.  Its loops are among those of the errors, so nothing else is asked of the mapping: what turns besides
brings the same tiles again, and only the first turn counts (see `Beside`).

Exact sums have no order.  A sum that rounds keeps its own: it joins only where the stage's goes through the loops that
both add over in that very order.
"""

from __future__ import annotations

from dataclasses import replace

from ...isa.state import VIEWS
from ..ir.accesses import accesses
from ..ir.joined import Beside
from ..ir.statement import Contraction, Elementwise
from .request import Request


def with_sum_beside(stage: Request, each: Request) -> Request | None:
    """*stage* with the sum of *each* beside its own; None where it cannot be formed there."""
    own, statement = stage.statement, each.statement
    if not isinstance(own, Contraction) or not isinstance(statement, Contraction) or not may_join(stage, each):
        return None
    if statement.left is not None or statement.bias is not None or statement.right != own.right:
        return None
    if stage.epilogue or own.left is None or statement.engine != own.engine or stage.phase != each.phase:
        return None
    if 0 in own.extents.values() or not statement.extents.items() <= own.extents.items():
        return None
    if {name for name in own.summed if name in statement.extents} != {*statement.summed}:
        return None
    if stage.rounds and not _in_order(own, statement):
        return None
    beside = Beside(each.name, each.op, each.layer, each.phase, statement, {"right": "right"}, each.place)
    joined = replace(stage, beside=(*stage.beside, beside))
    return joined if views_of(joined) <= VIEWS else None


def may_join(stage: Request, each: Request) -> bool:
    """Whether a stage and another take the same steps of time, and no pin keeps them apart."""
    together = (stage.cycle, stage.turns, stage.shared) == (each.cycle, each.turns, each.shared)
    return together and (not each.pin.text or each.pin == stage.pin)


def _in_order(own: Contraction, beside: Contraction) -> bool:
    """Whether both go through the loops that both add over in one order, none of them in blocks."""
    common = tuple(name for name in own.summed if name in beside.extents)
    return common == beside.summed and own.blocked is None and beside.blocked is None


def views_of(request: Request) -> int:
    """View registers that the busiest unit takes at most: each statement's operands, indices and random numbers."""
    moves = len([use for statement in request.statements for use, _ in accesses(statement)])
    vector = 3 + 3 * len(request.beside)
    for statement in request.statements:
        if isinstance(statement, Elementwise):
            roots = [write.expression for write in statement.writes] + [state.next for state in statement.states]
            index = {node.name for root in roots for node in root.walk() if node.op == "index"}
            vector += len(statement.reads) + len(statement.writes) + 3 * len(statement.states)
            vector += len(index) + len(statement.random)
    return max(2 * moves, vector)
