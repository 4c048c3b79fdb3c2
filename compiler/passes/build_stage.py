"""From a mapping to a stage: buffers with their homes, and the tree of loops with moves and computations in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ...source import TargetError
from ..cost.gating import gated
from ..ir.decision import Decision, Explanation
from ..ir.joined import Fused, roots_of, use_in
from ..ir.schedule import Buffer, For, Stage, Step, Tree, present
from ..ir.statement import TIME, Contraction, Elementwise, Moments, Statement, Window
from .mapping import Mapped
from .operands import Operand
from .request import Request

ALIGNMENT = 8
"""Bytes on which every buffer begins."""


def build_stage(mapped: Mapped) -> Stage:
    """The stage of a request as it is mapped, with its buffers allocated, and its tree."""
    request, mapping = mapped.request, mapped.decision
    operands = request.operands(mapping.split, mapping.whole)
    loops = nest(request, mapping)
    extents = largest_share(request, mapping)
    buffers = allocate(request, tuple(_buffer(operand, loops, mapping, extents) for operand in operands))
    stage = Stage(
        request.name,
        request.op,
        request.layer,
        request.phase,
        request.statement,
        mapping,
        buffers,
        _tree(request, operands, buffers, loops, mapping),
        _bound_by(mapped.explanation, request, buffers, mapping),
        request.place,
        request.cycle,
        request.turns,
        request.drawn,
        request.beside,
        request.epilogue,
        request.inside,
    )
    return gated(stage, request.target, request.densities)


def nest(request: Request, mapping: Decision) -> tuple[str, ...]:
    """The loops that are instructions, outermost first."""
    return present(mapping.order, mapping.tiles, largest_share(request, mapping))


def largest_share(request: Request, mapping: Decision) -> dict[str, int]:
    """Extent of each loop in the core that has the most of it."""
    largest = {name: max(extent for _, extent in shares) for name, shares in mapping.parts.items()}
    return request.extents | largest


def _buffer(operand: Operand, loops: tuple[str, ...], mapping: Decision, whole: Mapping[str, int]) -> Buffer:
    depth = max((place + 1 for place, name in enumerate(loops) if name in operand.loops), default=0)
    inside = loops[:depth]
    apart = [name for name, all_cores in operand.whole if name in inside and mapping.tiles[name] < all_cores]
    assert not apart, f"{operand.use} holds what all cores have of {apart}, and is filled inside of it"
    refilled = any(name in operand.loops and mapping.tiles[name] < whole[name] for name in loops)
    ring = dict(mapping.ahead).get(operand.use, mapping.rings if operand.doubled else 1) if refilled else 1
    extents = tuple(int(extent) for extent in operand.extents(mapping.tiles)) or (1,)
    return Buffer(
        operand.use,
        operand.role,
        operand.format.name,
        operand.axes,
        extents,
        operand.strides(extents),
        int(operand.bytes(mapping.tiles)),
        depth,
        ring,
        whole=tuple(name for name, _ in operand.whole),
        stored=operand.stored,
    )


def allocate(request: Request, buffers: tuple[Buffer, ...]) -> tuple[Buffer, ...]:
    """Every buffer in the first memory of its role that has room; stages follow one another, so each starts empty."""
    used = dict.fromkeys(range(len(request.target.memories)), 0)
    placed: list[Buffer] = []
    for buffer in buffers:
        size = -(-buffer.bytes // ALIGNMENT) * ALIGNMENT
        for memory in request.target.memory_for(buffer.role):
            if used[memory] + size * buffer.ring <= request.target.memories[memory].bytes:
                placed.append(replace(buffer, bytes=size, memory=memory, address=used[memory]))
                used[memory] += size * buffer.ring
                break
        else:
            raise TargetError.at(
                request.place,
                f"{request.layer} ({request.phase}): no memory of `{request.target.name}` has "
                f"{size * buffer.ring} bytes left for {buffer.role}",
                hints=("a smaller --batch", "a target with more memory"),
            )
    return tuple(placed)


def _tree(
    request: Request,
    operands: tuple[Operand, ...],
    buffers: tuple[Buffer, ...],
    loops: tuple[str, ...],
    mapping: Decision,
) -> Tree:
    statement = request.statement
    depth_of = {buffer.name: buffer.depth for buffer in buffers}
    before: dict[int, list[Step]] = {}
    after: dict[int, list[Step]] = {}
    own = len(loops) - sum(name in request.later for name in loops)
    roots = roots_of(request.joined)
    finished = _complete(request, operands, depth_of) if own == len(loops) else {}
    late: dict[int, list[Step]] = {}  # what epilogues alone need, by sum: it comes while that is completed
    for operand in operands:
        place = depth_of[operand.use]
        steps: list[Step] = []
        if operand.moves and not operand.writes:
            steps.append(Step("load", "load", (), (operand.use,), operand.value, operand.part))
        if operand.use in mapping.cast:
            steps.append(Step("router", "multicast", (operand.use,), (), operand.value, operand.part))
            steps.append(Step("router", "receive", (), (operand.use,), operand.value, operand.part))
        if operand.drawn:
            steps.append(Step("vector", "run", (), (operand.use,)))
        summed = operand.use in (use_in(operand.part, "acc"), use_in(operand.part, "whole"))  # which a sum goes on with
        if operand.part and not summed and place == finished.get(roots[operand.part]):
            late.setdefault(roots[operand.part], []).extend(steps)
        else:
            before.setdefault(place, []).extend(steps)
    for part, each in enumerate(request.statements):
        if isinstance(each, Contraction):
            after.setdefault(depth_of[use_in(part, "acc")], []).extend(_drained(each, part, depth_of))
    if isinstance(statement, Moments):
        sums, whole = ([name for name in depth_of if name.split(".")[0] == kind] for kind in ("acc", "whole"))
        for name, complete in zip(sums, whole, strict=False):
            after.setdefault(depth_of[name], []).append(Step("router", "gather", (name,), (complete,)))
        for step in _division(statement, "whole" if whole else "acc"):
            after.setdefault(depth_of[step.writes[0]], []).append(step)
    first = 1 + len(request.beside)
    runs = {part: _run(fused.statement, part, fused, operands) for part, fused in enumerate(request.epilogue, first)}
    for root, place in finished.items():
        own_runs = [run for part, run in runs.items() if roots[part] == root]
        after.setdefault(place, []).extend([*late.get(root, ()), *own_runs])
    for operand in operands:
        if operand.moves and operand.stores:
            step = Step("store", "store", (operand.use,), (), operand.back or operand.value, operand.part)
            after.setdefault(depth_of[operand.use], []).append(step)
    body: Tree = tuple(runs.values())
    for depth in range(len(loops), -1, -1):
        if depth == own:
            made = (*_compute(statement, operands), *_sums_beside(request, loops, depth_of))
            if own < len(loops):  # the epilogue turns once for all that is made here
                behind = after.pop(depth, [])
                after[depth] = [step for step in behind if step.part]
                made = (*made, *(step for step in behind if not step.part), *body)
            body = made
        body = (*before.get(depth, ()), *body, *after.get(depth, ()))
        if depth:
            name = loops[depth - 1]
            body = (For(name, mapping.tiles[name], body),)
    return body


def _complete(request: Request, operands: tuple[Operand, ...], depth_of: Mapping[str, int]) -> dict[int, int]:
    """The number of loops around the place where a tile of results is complete: of the own statement (0), and of those
    beside it, where an epilogue goes on with them."""
    sums = {part: depth_of[use_in(part, "acc")] for part in range(1, len(request.beside) + 1)}
    if isinstance(request.statement, Contraction):
        return {0: depth_of["acc"], **sums}
    return {0: max(depth_of[operand.use] for operand in operands if operand.writes and operand.part == 0)}


def _drained(statement: Contraction, part: int, depth_of: Mapping[str, int]) -> list[Step]:
    """What makes results of a complete sum; where cores share it, one of them gathers the whole."""
    acc, whole = use_in(part, "acc"), use_in(part, "whole")
    shared = [Step("router", "gather", (acc,), (whole,), "", part)] if whole in depth_of else []
    if statement.partial:
        return shared
    complete = whole if shared else acc
    reads = (use_in(part, "bias"), complete) if statement.bias is not None else (complete,)
    return [*shared, Step("vector", "drain", reads, (use_in(part, "out"),), "", part)]


def _sums_beside(request: Request, loops: tuple[str, ...], depth_of: Mapping[str, int]) -> Iterator[Step]:
    """What forms the sums beside the own one, of tiles that come again in their first turn only."""
    for part, each in enumerate(request.beside, 1):
        acc, walked = use_in(part, "acc"), each.statement.extents
        again = tuple(name for name in loops[depth_of[acc] :] if name not in walked)
        yield Step(each.statement.engine, "contract", (each.buffer_of("right", part),), (acc,), "", part, again)


def _run(statement: Elementwise, part: int, fused: Fused | None, operands: tuple[Operand, ...]) -> Step:
    """The element program of a statement: it reads what it is given and leaves results and states."""
    taken: Mapping[str, str] = {} if fused is None else fused.taken
    own = [operand for operand in operands if operand.part == part]
    reads = dict.fromkeys(taken.get(use) or use_in(part, use) for use in statement.reads)
    reads |= dict.fromkeys(operand.use for operand in own if not operand.writes)
    writes = [operand.use for operand in own if operand.writes]
    states = [operand.use for operand in own if not operand.moves and not operand.writes]
    return Step("vector", "run", tuple(reads), (*writes, *states), "", part)


def _compute(statement: Statement, operands: tuple[Operand, ...]) -> tuple[Step, ...]:
    operands = tuple(operand for operand in operands if operand.part == 0)
    uses = {operand.use for operand in operands}
    match statement:
        case Contraction():
            reads = tuple(use for use in ("left", "right") if use in uses)
            return (Step(statement.engine, "contract", reads, ("acc",)),)
        case Elementwise():
            return (_run(statement, 0, None, operands),)
        case Moments():
            right = "left" if statement.variance else "right"
            sums = [("left",), *([] if statement.variance else [("right",)])]
            steps = [Step(statement.engine, "contract", reads, (f"acc.{reads[0]}",)) for reads in sums]
            return (*steps, Step(statement.engine, "contract", ("left", right), ("acc.cross",)))
        case Window(kind="max"):
            return (Step("vector", "poolmax", ("source",), ("out", "tap")),)
        case Window(kind="sum"):
            return (Step("vector", "poolsum", ("source",), ("out",)),)
        case Window():
            return (Step("vector", "unpool", ("source", "tap"), ("out",)),)


def _division(statement: Moments, sums: str) -> list[Step]:
    """What makes a mean and a covariance of complete sums, which lie in the buffers that begin with *sums*."""
    right = f"{sums}.left" if statement.variance else f"{sums}.right"
    found: list[Step] = []
    if statement.mean.value:
        found.append(Step("vector", "mean", (f"{sums}.left",), ("out.mean",)))
    if statement.comoment.value:
        found.append(Step("vector", "comoment", (f"{sums}.cross", f"{sums}.left", right), ("out.comoment",)))
    return found


def _bound_by(
    explanation: Explanation, request: Request, buffers: tuple[Buffer, ...], mapping: Decision
) -> Explanation:
    """What keeps tiles from growing: the memory that is fullest, unless a tile covers all that a core has."""
    if explanation.binds:
        return explanation
    extents = largest_share(request, mapping)
    if all(mapping.tiles[name] >= extents[name] for name in extents if name not in TIME):
        return replace(explanation, binds="nothing: one tile covers a core's share")
    used: dict[int, int] = {}
    for buffer in buffers:
        used[buffer.memory] = used.get(buffer.memory, 0) + buffer.bytes * buffer.ring
    fullest = max(used, key=lambda memory: used[memory] / request.target.memories[memory].bytes)
    memory = request.target.memories[fullest]
    share = 100 * used[fullest] / memory.bytes
    return replace(explanation, binds=f"`{memory.name}`: {used[fullest]} of {memory.bytes} bytes ({share:.0f} %)")
