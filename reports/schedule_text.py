"""The text of a schedule: what was decided for every statement, where its tiles lie, and why it was decided so.

A stage reads from top to bottom: the sum or expressions that it computes, the tree of loops with one line an
instruction, the buffers with their memories, and the reasons of the mapping.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..compiler.cost.binding import Binding, binding
from ..compiler.ir.joined import Joined
from ..compiler.ir.overlap import Overlap
from ..compiler.ir.schedule import Buffer, Coding, Explanation, For, Schedule, Stage, Step, Tree, teams
from ..compiler.ir.statement import Contraction, Elementwise, Moments, Statement, Window
from ..isa.target import Target
from ..source import NOWHERE

KIBI = 1024

UNCALIBRATED = "uncalibrated"
"""What every energy is: figures of a target are from a source or assumed, and no measured chip stands behind them."""

COMPANIONS = 8
"""Stages beside another that are named."""


def schedule_text(schedule: Schedule, target: Target | None = None) -> str:
    """The whole schedule; *target* gives memories their names."""
    return "\n".join(_schedule(schedule, target)) + "\n"


def _schedule(schedule: Schedule, target: Target | None) -> Iterator[str]:
    yield f"schedule {schedule.name}" + (f" for {target.name}" if target is not None else "")
    if schedule.codings:
        yield from ("", "values in blocks, as a training step is predicted to move them")
        yield from (f"  {line}" for line in _codings(schedule.codings))
    for entry, stages in schedule.entries.items():
        yield from ("", f"entry {entry}")
        for overlap in schedule.overlaps.get(entry, ()):
            yield from (f"  {line}" for line in _overlap(overlap))
        for team in teams(stages):
            for stage in team:
                yield ""
                beside = [f"{other.phase} {other.node}" for other in team if other is not stage]
                yield from (f"  {line}".rstrip() for line in stage_lines(stage, target, beside))


def _overlap(overlap: Overlap) -> Iterator[str]:
    """What was decided of the steps of a cycle."""
    apart, cycles = f"{overlap.apart:.0f}", f"{overlap.cycles:.0f}"
    if overlap.behind:
        yield f"steps overlap: {cycles} cycles predicted, {apart} if each step waited for the one before"
        yield f"  a step behind: {_named(overlap.behind)}"
        yield f"  room for two steps, {_bytes(overlap.bytes)} more of DRAM: {', '.join(overlap.handed) or 'nothing'}"
    elif overlap.cycles:
        yield f"steps follow one another: {apart} cycles predicted, {cycles} if they overlapped"
    else:
        yield "steps follow one another, as they must"
    if overlap.why:
        yield f"  {overlap.why}"


def _named(stages: Sequence[str]) -> str:
    """The first of them, and how many there are more."""
    more = len(stages) - COMPANIONS
    return f"{', '.join(stages[:COMPANIONS])}{f' and {more} more' if more > 0 else ''}"


def _codings(codings: Mapping[str, Coding]) -> Iterator[str]:
    """A line a value: its codec and blocks, and what they are worth."""
    rows = [
        (name, coding.codec, "x".join(map(str, coding.blocks)), f"{_bytes(coding.dram)} of DRAM", _bytes(coding.plain))
        for name, coding in codings.items()
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for *cells, plain in rows:
        shown = "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        yield f"{shown}  {plain} with each element at its place"


def stage_lines(stage: Stage, target: Target | None = None, beside: Sequence[str] = ()) -> Iterator[str]:
    """One stage, which runs *beside* others."""
    yield _head(stage)
    yield from (f"    {line}" for line in statement_lines(stage.statement))
    for each in stage.joined:
        yield f"  then {_head(each)}"
        yield from (f"    {line}" for line in statement_lines(each.statement))
    yield f"  {_mapping(stage)}"
    if beside:
        yield f"  beside {_named(beside)}"
    if stage.awaits:
        yield f"  waits for {_contexts(stage.awaits)}"
    if stage.tells:
        yield f"  tells {_contexts(stage.tells)} when it is over"
    if stage.late:
        yield "  stores nothing until those beside it have ended that read what it overwrites"
    yield from (f"    {line}" for line in _tree(stage.tree, stage.mapping.tiles, 0))
    yield from (f"  {line}" for line in _buffers(stage.buffers, target))
    yield from (f"  {line}" for line in _reasons(stage))
    if target is not None:
        yield from (f"  {line}" for line in _bound(binding(stage, target), bool(stage.shared)))


def _head(made: Stage | Joined) -> str:
    """What a statement makes, and where the user asked for it."""
    place = "" if made.place == NOWHERE else f"    # {made.place}"
    layer = f" of {made.layer}" if made.layer and made.layer != made.node else ""
    return f"{made.node} = {made.op}  {made.phase}{layer}{place}".rstrip()


def statement_lines(statement: Statement) -> Iterator[str]:
    """What a statement computes."""
    match statement:
        case Contraction():
            left = "" if statement.left is None else f"{statement.left} * "
            scale = "" if statement.scale == 1.0 else f"{statement.scale!r} * "
            bias = "" if statement.bias is None else f" + {statement.bias}"
            over = ", ".join(f"{name} < {statement.extents[name]}" for name in statement.summed)
            onto = "" if statement.onto is None else f"{statement.onto} + "
            sums = f"{onto}{scale}sum({left}{statement.right}){bias}"
            if statement.partial:
                sums += ", to be gone on with,"
            yield f"{statement.target} = {sums}  over {over or 'nothing'}  on {statement.engine}"
        case Elementwise():
            reads = ", ".join(map(str, statement.reads.values()))
            states = ", ".join(state.name for state in statement.states)
            for write in statement.writes:
                last = "  after the last step" if write.last else ""
                yield f"{write.target} = expression({reads}){f' with state {states}' if states else ''}{last}"
        case Moments():
            over = ", ".join(f"{name} < {statement.extents[name]}" for name in statement.summed)
            samples = f", the first `{statement.argument}` samples" if statement.argument else ""
            if statement.mean.value:
                yield f"{statement.mean} = mean({statement.left})  over {over}{samples}"
            if statement.comoment.value:
                pair = (
                    f"variance({statement.left})"
                    if statement.variance
                    else (f"covariance({statement.left}, {statement.right})")
                )
                yield f"{statement.comoment} = {pair}  over {over}{samples}"
        case Window():
            over = ", ".join(f"{name} < {statement.extents[name]}" for name in statement.taps)
            scale = "" if statement.scale == 1.0 else f"{statement.scale!r} * "
            yield f"{statement.target} = {scale}{statement.kind}({statement.source})  over {over}"


def _mapping(stage: Stage) -> str:
    mapping = stage.mapping
    extents = ", ".join(f"{name} {extent}" for name, extent in stage.extents.items())
    text = f"{mapping.dataflow}; loops {extents or 'none'}; "
    if stage.behind:
        text += "a step behind; "
    if mapping.rings == 1:
        text += "single buffers; "
    if mapping.whole:
        text += f"all tiles of {' and '.join(f'{use} along {loop}' for use, loop in mapping.whole)} side by side; "
    if mapping.split is None:
        return f"{text}on core {stage.active[0]}{_context(stage)}"
    split, *further = mapping.parts.items()
    told = [
        f"{name} " + " ".join(dict.fromkeys(_share(shares[core]) for core in stage.active)) for name, shares in further
    ]
    shares = " ".join(dict.fromkeys(_share(split[1][core]) for core in stage.active))
    by = f"; each with {' and '.join(told)}" if told else ""
    if stage.gathers:
        adding = [core for core in stage.active if stage.completes(core)]
        by += f"; core{'s' * (len(adding) > 1)} {_cores(adding)} add{'s' * (len(adding) == 1)} up the sums of all"
    return f"{text}{split[0]} over cores {_cores(stage.active)}{_context(stage)}: {shares}{by}"


def _contexts(contexts: Sequence[int]) -> str:
    """Contexts by number."""
    return f"context{'s' * (len(contexts) > 1)} {' and '.join(map(str, contexts))}"


def _context(stage: Stage) -> str:
    """The context of its cores in which a stage runs, if it is not the first."""
    return f" in context {stage.context}" if stage.context else ""


def _share(share: tuple[int, int]) -> str:
    first, extent = share
    return f"{first}..{first + extent - 1}"


def _cores(active: Sequence[int]) -> str:
    """Cores by number, neighbours as ``first..last``."""
    runs: list[list[int]] = []
    for core in active:
        if runs and core == runs[-1][-1] + 1:
            runs[-1].append(core)
        else:
            runs.append([core])
    return " ".join(str(run[0]) if len(run) == 1 else f"{run[0]}..{run[-1]}" for run in runs)


def _tree(tree: Tree, tiles: object, depth: int) -> Iterator[str]:
    space = "  " * depth
    for child in tree:
        match child:
            case For():
                yield f"{space}for {child.loop} by {child.tile}"
                yield from _tree(child.body, tiles, depth + 1)
            case Step():
                reads, writes = ", ".join(child.reads), ", ".join(child.writes)
                arrow = " -> " if reads and writes else ""
                value = f"  {child.value}" if child.value else ""
                once = f", in the first turn of {' and '.join(child.once)}" if child.once else ""
                yield f"{space}{child.unit}: {child.kind} {reads}{arrow}{writes}{value}{once}"


def _buffers(buffers: tuple[Buffer, ...], target: Target | None) -> Iterator[str]:
    rows = [
        (
            buffer.name,
            f"{buffer.format}[{', '.join(map(str, buffer.extents))}]",
            f"{buffer.bytes} B" + (f" x {buffer.ring}" if buffer.ring > 1 else ""),
            f"{_memory(buffer.memory, target)} @ {buffer.address}" if buffer.memory >= 0 else "nowhere yet",
            buffer.role,
        )
        for buffer in buffers
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(4)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "buffer " + "  ".join([*cells, row[-1]])


def _memory(number: int, target: Target | None) -> str:
    return f"memory {number}" if target is None else target.memories[number].name


def _reasons(stage: Stage) -> Iterator[str]:
    why = stage.explanation
    measured = "" if why.objective == "dram" else f"{_takes(why)} and "
    rivals = why.rivals
    fit = f"{rivals.feasible} of {rivals.candidates} candidates fit"
    yield f"because {fit}, and this one {measured}moves {_bytes(why.dram)} of DRAM"
    if rivals.runner_up:
        yield f"  runner-up: {rivals.runner_up}, {cost_text(why.objective, rivals.runner_up_cost)}"
    if why.binds:
        yield f"  binds: {why.binds}"
    for each in stage.joined:
        if each.saves:
            yield f"  then {each.node}: costs {cost_text(why.objective, each.saves)} less than as a stage of its own"
    if stage.gating.skip:
        gate, shares = stage.gating, (("left", stage.gating.left), ("right", stage.gating.right))
        words = " and ".join(f"{share:.1%} on the {side}" for side, share in shares if share < 1.0)
        yield f"  skips empty words: {words} hold anything, {gate.taken:.1%} of the turns are taken (predicted)"
    if stage.inside:
        yield f"  stays on the core: {', '.join(sorted(stage.inside))}"


def _bound(found: Binding, turns: bool) -> Iterator[str]:
    """What binds, and what stands in the way of the roofline; of a stage that *turns* in a loop with others, a turn."""
    share = found.roofline / found.cycles if found.cycles else 1.0
    cycles = f"{found.cycles:,.0f} cycles{' a turn' if turns else ''} predicted"
    yield f"bound by the {found.resource}: {cycles}, the roofline is {share:.0%} of them"
    if found.why:
        yield "  in the way: " + ", ".join(f"{name} {more:,.0f}" for name, more in found.why)


def _takes(why: Explanation) -> str:
    """What the winner costs by the objective."""
    cost = cost_text(why.objective, why.cost)
    return f"takes {cost}" if why.objective == "cycles" else f"spends {cost}"


def cost_text(objective: str, amount: float) -> str:
    """A cost in the unit of its objective."""
    match objective:
        case "cycles":
            return f"{amount:,.0f} predicted cycles"
        case "energy":
            return f"{energy_text(amount)} ({UNCALIBRATED})"
        case _:
            return _bytes(int(amount))


def energy_text(picojoules: float) -> str:
    """Picojoules as a person reads them."""
    for unit, size in (("mJ", 1e9), ("uJ", 1e6), ("nJ", 1e3)):
        if picojoules >= size:
            return f"{picojoules / size:.1f} {unit}"
    return f"{picojoules:.1f} pJ"


def _bytes(amount: int) -> str:
    return f"{amount} B" if amount < KIBI else f"{amount / KIBI:.1f} KiB"
