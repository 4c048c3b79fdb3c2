"""From a schedule to streams: every unit of every core walks its own part of each stage's tree.

Hand-over of a buffer.  The producer waits for a *free* tile, fills it, posts *full*; each consumer waits for *full*,
uses it, posts *free*.  Both do so in the loop body in which the buffer is filled anew, so the k-th wait meets the k-th
post whatever loops turn inside.  Consumers grant the ring's tiles when a stage begins and the producer collects them
when it ends: every semaphore is left as it was found.

A tile that is cast.  Where cores read the same, the first of them loads it and sends it to the others, whose routers
fill their buffers in its place.  Each says that it has room before it takes a tile, and the first waits for all, so
none is under way for which there is no room.  None says so before the load unit of its own core has begun with the
stage: until then the buffers are those of the stage before.  So it is with all that fills a buffer and waits for none.

Stages follow one another through DRAM: a core's store unit tells its load unit that its last burst has landed, the
load units of all cores meet, and only then does anything of the next stage move. Stages of a team need nothing of one
another: a core that has several of them begins the next when its own part of the one before has landed, and only
behind the team do all cores meet. Where one overwrites what others read, the store units of all cores meet once more:
behind what the others store, before anything of it is stored. Of a core that works on several stages at once, each
context is like a core of its own: it has streams and semaphores, and a number.

Where the turns of a loop over time overlap, a turn does the step of some stages and the step before of others.  Each
holds its step in a register of its own, and does nothing in the turn for which it has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...isa.instruction import UNITS, Instruction
from ...isa.instructions.control import Barrier, Choose, Halt, Loop, Post, Within
from ...isa.program import Debug, Stream, Symbol
from ..ir.graph import chosen_words
from ..ir.on_core import CHOSEN, STEP, OnCore
from ..ir.schedule import Buffer, For, Stage, Step, Tree, teams, together, windowed
from ..ir.statement import Elementwise
from .borders import Border, contexts_of, land, landed, meet_behind, numbered_as, own_last
from .instructions import StepWriter
from .writer import Semaphores, Writer, debug_of, debugs_of, made_end, made_post, made_wait


@dataclass(frozen=True)
class Link:
    """A buffer between its producer and one of its consumers, with its two semaphores."""

    buffer: Buffer
    producer: str
    consumer: str
    full: int
    free: int


def emit_entry(
    stages: Sequence[Stage],
    symbols: Mapping[str, Symbol],
    programs: Callable[[Stage, Elementwise], tuple[int, tuple[str, ...]]],
    cores: int,
    inner: Mapping[str, int],
    arguments: Mapping[str, int],
    semaphores: Semaphores,
) -> tuple[Stream, ...]:
    """The streams of one entry on so many *cores*, in as many contexts of them as its *stages* have.

    *symbols* gives the symbol of every value (aliases resolved), *programs* the number and operands of an element
    program of a stage, *inner* the dataflow inside each engine's array, *arguments* the number of each host scalar.
    """
    numbered = cores * contexts_of(stages)
    stages = [numbered_as(stage, cores, numbered) for stage in stages]
    writers = {(core, unit): Writer(core, unit) for core in range(numbered) for unit in UNITS}
    lanes = any(stage.awaits is not None for stage in stages)

    def meet(stage: Stage, before: Sequence[Stage]) -> None:
        for core in range(numbered):
            meet_behind(writers[core, "load"], debug_of(stage), before, numbered, semaphores)

    def steps_on(on: OnCore) -> StepWriter:
        return StepWriter(on, symbols, programs, inner, arguments, _ready(on.stage, cores, semaphores))

    def begin() -> dict[tuple[int, str], int]:
        return {key: len(writer.instructions) for key, writer in writers.items()}

    def side_by_side(team: Sequence[Stage]) -> None:
        team = [*(stage for stage in team if not stage.late), *(stage for stage in team if stage.late)]
        first_late = next((number for number, stage in enumerate(team) if stage.late), None)
        streams = [StageWriter(stage, semaphores, steps_on) for stage in team]
        for core in range(numbered):
            last: Stage | None = None
            for number, (stage, stream) in enumerate(zip(team, streams, strict=True)):
                if number == first_late and numbered > 1:
                    writers[core, "store"].put(debug_of(stage), Barrier(numbered))
                if not stage.works(core):
                    continue
                if last is not None:
                    land(writers[core, "load"], debug_of(stage), last, semaphores)
                late = UNITS if stage.behind is not None else ()
                begun = {unit: len(writers[core, unit].instructions) for unit in late}
                stream.put(core, writers)
                for unit, first in begun.items():
                    _in_its_turns(writers[core, unit], first, stage, arguments)
                over = landed(stage, core, semaphores)
                writers[core, stage.ends_with(core)].put(debug_of(stage), made_post(over, core))
                last = stage

    def behind_each_other(lane: Sequence[Stage]) -> None:
        """The stages of one context."""
        context = lane[0].context
        before: Stage | None = None
        for stage in lane:
            assert stage.awaits is not None, f"{stage.node} is in no lane"
            border = Border(stage, before, cores, semaphores)
            for core in range(context * cores, (context + 1) * cores):
                border.put(writers[core, "load"])
            side_by_side((stage,))
            before = stage
        for core in range(context * cores, (context + 1) * cores):
            Border(lane[-1], before, cores, semaphores, last=True).put(writers[core, "load"])

    before: Sequence[Stage] = ()
    for context in range(numbered // cores if lanes else 0):
        if lane := [stage for stage in stages if stage.context == context]:
            behind_each_other(lane)
    for group in windowed(() if lanes else stages):
        meet(group[0], before)
        before, opened = (), begin() if group[0].windows else {}
        for run in together(group):
            meet(run[0], before)
            begun = begin() if run[-1].cycle else {}
            chosen: dict[tuple[int, str], int] = {}
            overlapped = run[0].behind is not None
            before = ()
            for team in teams(run):
                meet(team[0], before)
                if team[0].turns and not overlapped and not chosen:
                    chosen = begin()  # what the border before them waits for has happened in every step
                side_by_side(team)
                before = team
            if run[-1].cycle:
                meet(run[-1], before)
                turns = run[-1].statement.extents["t"] + max(stage.behind or 0 for stage in run)
                for key, writer in writers.items():
                    if chosen:
                        writer.turn(chosen[key], Choose(CHOSEN, 0, arguments[chosen_words(1)[0]]))
                    writer.turn(begun[key], Loop(run[-1].shared.index("t"), 1, turns))
                before = ()
        if group[0].windows:
            meet(group[-1], before)
            for key, writer in writers.items():
                writer.turn(opened[key], Loop(0, 1, group[0].windows))
            before = ()
    nobody, halt = Debug(), Halt()
    for (core, unit), writer in writers.items():
        if unit == "load":
            for stage in own_last(before, core):
                land(writer, debug_of(stage), stage, semaphores)
        if writer.instructions:
            writer.put(nobody, halt)
    return tuple(
        Stream(writer.core, writer.unit, tuple(writer.instructions), tuple(writer.debug))
        for writer in writers.values()
        if writer.instructions
    )


def _in_its_turns(writer: Writer, first: int, stage: Stage, arguments: Mapping[str, int]) -> None:
    """All that follows instruction *first* is what a unit does in *stage* of a loop whose turns overlap: it does so in
    the turns that take one of its steps.

    That the stage has landed is told in every turn.
    """
    assert stage.behind is not None, f"{stage.node}: each turn of its loop is one of its steps"
    if stage.turns:
        writer.turn(first, Choose(CHOSEN, STEP, arguments[chosen_words(1)[0]]))
    writer.turn(first, Within(STEP, stage.shared.index("t"), stage.behind, stage.statement.extents["t"]))


@dataclass(frozen=True)
class Part:
    """What one unit does in a stage on every core with as large a share: all is the same but where the share begins.

    *described* are the view registers, which come first, with the step that they are of where they differ from core to
    core; *words* are all that follows, of which at *posts* there are posts to the own core, and at *answers* those to
    the core that casts a buffer.
    """

    unit: str
    described: tuple[tuple[Step | None, Debug, Sequence[Instruction]], ...]
    words: tuple[Instruction, ...]
    debug: tuple[Debug, ...]
    posts: tuple[int, ...]
    answers: tuple[tuple[int, str], ...]


class StageWriter:
    """Writes a stage on one core after the other; what cores do alike is made once."""

    def __init__(self, stage: Stage, semaphores: Semaphores, steps: Callable[[OnCore], StepWriter]) -> None:
        self._stage = stage
        self._semaphores = semaphores
        self._steps = steps
        self._parts: dict[object, tuple[StepWriter, tuple[Part, ...]]] = {}

    def put(self, core: int, writers: Mapping[tuple[int, str], Writer]) -> None:
        """What the units of *core* do."""
        stage = self._stage
        # Where cores share the samples of moments, the first of them has more to do, and all must know their samples;
        # who casts names those that it sends to, and they name it.  Sums beside are formed by some alone.
        on, leaders = OnCore(stage, core), stage.leaders(core)
        alone = core if stage.gathers or core in leaders else -1
        key = on.share, stage.role(core), leaders, alone
        if key not in self._parts:
            steps = self._steps(on)
            self._parts[key] = steps, tuple(_parts(steps, self._semaphores))
        like, parts = self._parts[key]
        steps = like.beside(core)
        for part in parts:
            writer = writers[core, part.unit]
            for step, debug, words in part.described:
                if step is not None and steps is not like:
                    words = steps.described(part.unit, step, words, like.on.core)
                writer.put(debug, *words)
            first = len(writer.instructions)
            writer.instructions += part.words
            writer.debug += part.debug
            for place in part.posts:
                post = part.words[place]
                assert isinstance(post, Post)
                writer.instructions[first + place] = made_post(post.semaphore, core)
            for place, use in part.answers:
                leader = stage.fellows(use, core)[0]
                writer.instructions[first + place] = made_post(steps.ready[use, core], leader)


def _parts(steps: StepWriter, semaphores: Semaphores) -> Iterator[Part]:
    """What the units of one core do in one stage."""
    stage, core = steps.on.stage, steps.on.core
    debugs = debugs_of(stage)
    debug = debugs[0]
    flat = [step for _, step in stage.steps_on(core)]
    links = _links(stage, flat, semaphores)
    answering = {steps.ready[use, core]: use for use in stage.mapping.cast if (use, core) in steps.ready}
    told = {unit: semaphores.number("load", unit, "begun", 0) for unit in _unprompted(flat)}
    for unit in UNITS:
        own = [step for step in flat if step.unit == unit]
        if not own and not (told and unit == "load"):
            continue
        described = tuple(
            (step if steps.differs(step) else None, debugs[step.part], steps.describe(unit, step)) for step in own
        )
        writer = Writer(core, unit)
        if unit == "load":
            writer.put(debug, *(made_post(begun, core) for begun in told.values()))
        if unit in told:
            writer.put(debug, made_wait(told[unit]))
        for link in links:
            if link.consumer == unit:
                writer.put(debug, *[made_post(link.free, core)] * link.buffer.ring)
        tree = stage.tree_on(core)
        for _ in stage.shared:  # the outermost loops, which it turns together with other stages
            (loop,) = (child for child in tree if isinstance(child, For))
            tree = loop.body
        _walk(tree, len(stage.shared), unit, steps, links, writer, debugs)
        for link in links:
            if link.producer == unit:
                writer.put(debug, *[made_wait(link.free)] * link.buffer.ring)
        posted = [(place, word) for place, word in enumerate(writer.instructions) if isinstance(word, Post)]
        posts = tuple(place for place, post in posted if post.core == core)
        answers = tuple((place, answering[post.semaphore]) for place, post in posted if post.core != core)
        yield Part(unit, described, tuple(writer.instructions), tuple(writer.debug), posts, answers)


def _unprompted(flat: Sequence[Step]) -> list[str]:
    """Units that fill a buffer before another unit of their core has handed them any: nothing but the load unit tells
    them that the stage before has ended, whose buffers they fill."""
    steps = [step for step in flat if step.unit != "load"]
    makers = {name: step.unit for step in reversed(flat) for name in step.writes}
    waits = [any(makers.get(name, step.unit) != step.unit for name in step.reads) for step in steps]
    return list(dict.fromkeys(step.unit for step, waiting in zip(steps, waits, strict=True) if not waiting))


def _links(stage: Stage, flat: Sequence[Step], semaphores: Semaphores) -> tuple[Link, ...]:
    """Every hand-over of a stage inside a core that takes these steps, in the order of its buffers."""
    links: list[Link] = []
    counts: dict[tuple[str, str], int] = {}
    for buffer in stage.buffers:
        producers = dict.fromkeys(step.unit for step in flat if buffer.name in step.writes)
        readers = dict.fromkeys(step.unit for step in flat if buffer.name in step.reads)
        for rank, producer in enumerate(producers):  # what one has filled, the next may change: a sum that goes on
            for consumer in dict.fromkeys((*list(producers)[rank + 1 :], *readers)):
                if consumer in list(producers)[: rank + 1]:
                    continue
                place = counts.get((producer, consumer), 0)
                counts[producer, consumer] = place + 1
                full = semaphores.number(producer, consumer, "full", place)
                free = semaphores.number(consumer, producer, "free", place)
                links.append(Link(buffer, producer, consumer, full, free))
    return tuple(links)


def _ready(stage: Stage, cores: int, semaphores: Semaphores) -> dict[tuple[str, int], int]:
    """The semaphores by which the core that casts an operand learns that another has room for the next tile."""
    if not stage.mapping.cast:
        return {}
    return {
        (use, core): semaphores.number("router", "router", "ready", place * cores + core % cores)
        for place, use in enumerate(stage.mapping.cast)
        for core in stage.active
        if stage.fellows(use, core)[0] != core
    }


def _walk(
    tree: Tree,
    depth: int,
    unit: str,
    steps: StepWriter,
    links: tuple[Link, ...],
    writer: Writer,
    debugs: tuple[Debug, ...],
) -> None:
    """The instructions of *unit* in *tree*: loops that hold steps of its own, and the hand-overs around them."""
    debug = debugs[0]
    on = steps.on
    touched, written = [child.touched.get(unit) for child in tree], [child.written.get(unit) for child in tree]
    home = [link for link in links if link.buffer.depth == depth and unit in (link.producer, link.consumer)]
    for place, child in enumerate(tree):
        if touched[place] is None:
            continue
        for link in home:
            if _first(touched, link.buffer.name) == place:
                writer.put(debug, made_wait(link.free if link.producer == unit else link.full))
        if isinstance(child, For):
            writer.put(debug, steps.loop(child))
            _walk(child.body, depth + 1, unit, steps, links, writer, debugs)
            writer.put(debug, made_end(on.register(child.loop)))
        else:
            writer.put(debugs[child.part], *steps.instructions(child))
        for link in home:
            made = link.producer == unit  # what its maker reads of it afterwards may go on beside the consumers
            if _last(written if made else touched, link.buffer.name) == place:
                writer.put(debug, made_post(link.full if made else link.free, on.core))


def _first(touched: Sequence[frozenset[str] | None], name: str) -> int:
    return next((place for place, names in enumerate(touched) if names and name in names), -1)


def _last(touched: Sequence[frozenset[str] | None], name: str) -> int:
    return max((place for place, names in enumerate(touched) if names and name in names), default=-1)
