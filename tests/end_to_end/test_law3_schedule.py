"""Law 3: any order in which ready streams are stepped gives the same bits and counts, and nothing races.

The mutations prove that the law can fail: programs from which a hand-over is missing, or in which a stride is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest
from laws import NETWORKS, Bench, Case, compiled

from snnc.isa.instructions.control import Barrier, Loop, Post, Wait
from snnc.isa.instructions.describe import Axis, Span, Turn, View
from snnc.isa.program import Stream
from snnc.runtime.faults import ExecutionError
from snnc.runtime.orders import Order, Reverse, RoundRobin, Shuffled
from snnc.runtime.recording import Recorder
from snnc.runtime.replay import replay

ORDERS: Mapping[str, Callable[[], Order]] = {
    "reverse": Reverse,
    "shuffled": lambda: Shuffled(1),
}
CHOSEN = [
    Case("digits", "exact7", reset="soft"),
    Case("joined", "quad3"),
    Case("lenet", "tiny", "output_stationary"),
    Case("csnn", "quad3", reset="soft", training="rule = opzo; loss = cross_entropy_mse; optimizer = sgd"),
    Case("recurrent", "quad3", training="rule = bptt(window=2); loss = cross_entropy_mse; optimizer = sgd", steps=4),
]
OTHERS = [
    Case(network, machine, dataflow)
    for network in NETWORKS
    for machine in ("tiny", "quad3", "quad4", "exact20", "li7")
    for dataflow in ("weight_stationary", "output_stationary")
]
PARAMETERS = [pytest.param(case, id=str(case)) for case in CHOSEN] + [
    pytest.param(case, id=str(case), marks=pytest.mark.full) for case in OTHERS if case not in CHOSEN
]


@dataclass(frozen=True)
class Seen:
    """What a run of `init` and `train_step` shows."""

    bits: str
    counts: Any
    links: Any
    cycles: int


def seen(case: Case, order: Order, watched: bool = False) -> Seen:
    bench = Bench(case, oracle=False, order=order, watched=watched)
    recorder = Recorder(bench.machine.target)
    bench.machine.listen(recorder)
    bench.run("init")
    bench.feed()
    bench.run("train_step", 0, 3)
    assert recorder.record is not None
    links = bench.machine.counters.by_link()
    counts = bench.machine.counters.take()
    return Seen(bench.bits(), counts, links, replay(recorder.record, bench.machine.target).cycles)


@cache
def plain(case: Case) -> Seen:
    """Round robin: what the others are compared with."""
    return seen(case, RoundRobin())


@pytest.mark.parametrize("case", PARAMETERS)
def test_no_order_changes_a_bit_or_a_count(case: Case) -> None:
    assert plain(case).cycles > 0
    for name, order in ORDERS.items():
        assert seen(case, order()) == plain(case), name


@pytest.mark.parametrize("case", PARAMETERS)
def test_nothing_races(case: Case) -> None:
    """Scratchpads hold garbage at the beginning, and every access to every byte is ordered."""
    assert seen(case, Shuffled(3), watched=True).bits == plain(case).bits


# Mutations.

SMALL = Case("digits", "quad3", steps=3, pins=("*.*=tile.n=1",))
Place = tuple[int, int]
"""A stream of `train_step`, and an instruction of it."""


def fate(case: Case, streams: tuple[Stream, ...]) -> str:
    """How a changed `train_step` is caught: the fault by name, ``other bits``, or nothing."""
    program = compiled(case).program
    entries = tuple(replace(e, streams=streams) if e.name == "train_step" else e for e in program.entries)
    bench = Bench(case, replace(program, entries=entries), oracle=False, watched=True, order=Shuffled(5))
    bench.run("init")
    bench.feed()
    try:
        bench.run("train_step", 0, 3)
    except ExecutionError as error:
        return type(error).__name__
    return "" if bench.bits() == plain(case).bits else "other bits"


def streams_of(case: Case) -> tuple[Stream, ...]:
    return compiled(case).program.entry("train_step").streams


def places(case: Case, *kinds: type) -> Iterator[tuple[Place, Any]]:
    """Every instruction of these kinds."""
    for number, stream in enumerate(streams_of(case)):
        for pc, instruction in enumerate(stream.instructions):
            if isinstance(instruction, kinds):
                yield (number, pc), instruction


def without(streams: tuple[Stream, ...], gone: set[Place]) -> tuple[Stream, ...]:
    """The streams less some instructions."""
    return tuple(
        replace(
            stream,
            instructions=tuple(i for pc, i in enumerate(stream.instructions) if (number, pc) not in gone),
            debug=tuple(d for pc, d in enumerate(stream.debug) if (number, pc) not in gone),
        )
        for number, stream in enumerate(streams)
    )


def changed(streams: tuple[Stream, ...], place: Place, **fields: int) -> tuple[Stream, ...]:
    """The streams with other operands in one instruction."""
    number, pc = place
    stream = streams[number]
    instruction = stream.instructions[pc]
    wanted = {name: getattr(instruction, name) for name in instruction.layout} | fields
    words = (*stream.instructions[:pc], type(instruction)(**wanted), *stream.instructions[pc + 1 :])
    return (*streams[:number], replace(stream, instructions=words), *streams[number + 1 :])


def one_a_unit(kind: type) -> list[Place]:
    """For each unit one instruction of a kind: the first, the middle one or the last, in turn, of another core."""
    by_unit: dict[str, dict[int, list[Place]]] = {}
    for place, _ in places(SMALL, kind):
        stream = streams_of(SMALL)[place[0]]
        by_unit.setdefault(stream.unit, {}).setdefault(stream.core, []).append(place)
    found: list[Place] = []
    for turn, cores in enumerate(by_unit.values()):
        of_core = list(cores.values())[turn % len(cores)]
        found.append(of_core[(0, len(of_core) // 2, -1)[turn % 3]])
    return found


@pytest.mark.parametrize("kind", [Post, Wait])
def test_a_dropped_post_or_wait_is_caught(kind: type) -> None:
    chosen = one_a_unit(kind)
    assert len(chosen) >= 4
    for place in chosen:
        assert fate(SMALL, without(streams_of(SMALL), {place})) in ("Deadlock", "RaceError", "ExecutionError"), place


@pytest.mark.full
@pytest.mark.parametrize("kind", [Post, Wait])
def test_any_dropped_post_or_wait_is_caught(kind: type) -> None:
    for place, _ in places(SMALL, kind):
        assert fate(SMALL, without(streams_of(SMALL), {place})) in ("Deadlock", "RaceError", "ExecutionError"), place


def hand_overs() -> dict[tuple[str, str], set[Place]]:
    """Posts and waits by (posting unit, waiting unit)."""
    semaphores: dict[tuple[int, int], tuple[list[Place], dict[str, str]]] = {}
    for place, instruction in places(SMALL, Post, Wait):
        stream = streams_of(SMALL)[place[0]]
        core = instruction.core if isinstance(instruction, Post) else stream.core
        there, units = semaphores.setdefault((core, instruction.semaphore), ([], {}))
        there.append(place)
        units[instruction.mnemonic] = stream.unit
    found: dict[tuple[str, str], set[Place]] = {}
    for there, units in semaphores.values():
        found.setdefault((units["post"], units["wait"]), set()).update(there)
    return found


HAND_OVERS = [("load", "fp"), ("fp", "vector"), ("vector", "store"), ("store", "load"), ("vector", "load")]


@pytest.mark.parametrize("pair", HAND_OVERS, ids="-".join)
def test_units_that_do_not_wait_for_each_other_race(pair: tuple[str, str]) -> None:
    """Posts and waits go together, so nothing is left over and nobody stands still: only the race checker can tell."""
    assert fate(SMALL, without(streams_of(SMALL), hand_overs()[pair])) == "RaceError"


@pytest.mark.full
def test_any_units_that_do_not_wait_for_each_other_race() -> None:
    found = hand_overs()
    del found["vector", "wg"]  # this network's sums of weight gradients are drained once a stage, into a fresh buffer
    assert set(HAND_OVERS) < set(found)
    fates = {pair: fate(SMALL, without(streams_of(SMALL), gone)) for pair, gone in found.items()}
    assert fates == dict.fromkeys(found, "RaceError")


def test_a_missing_barrier_is_a_race() -> None:
    barriers = [place for place, _ in places(SMALL, Barrier)]
    assert fate(SMALL, without(streams_of(SMALL), set(barriers))) == "RaceError"
    assert fate(SMALL, without(streams_of(SMALL), {barriers[0]})) == "Deadlock"


def strided(kind: type, dram: bool) -> list[Place]:
    """Words of views that matter: axes of several elements, loops of several turns; one a unit and phase."""
    chosen: dict[tuple[str, str], Place] = {}
    for (number, pc), word in places(SMALL, kind):
        stream = streams_of(SMALL)[number]
        before, behind = stream.instructions[:pc], stream.instructions[pc:]
        view = [other for other in before if isinstance(other, View) and other.view == word.view][-1]
        if (view.space == 0) != dram or stream.core != 1:
            continue
        if isinstance(word, Axis):
            several = word.extent > 1
        else:
            loop = next(other for other in behind if isinstance(other, Loop) and other.loop == word.loop)
            several = loop.total > loop.tile
        if several:
            chosen.setdefault((stream.unit, stream.debug[pc].phase), (number, pc))
    return list(chosen.values())


@pytest.mark.parametrize(
    ("kind", "field", "dram"), [(Axis, "stride", True), (Turn, "stride", False), (Span, "coefficient", True)]
)
def test_a_wrong_stride_is_caught(kind: type, field: str, dram: bool) -> None:
    """By other bits than those of the right program, which law 1 compares, or by a fault."""
    chosen = strided(kind, dram)
    assert len(chosen) >= 4
    for place in chosen:
        right: int = getattr(streams_of(SMALL)[place[0]].instructions[place[1]], field)
        assert fate(SMALL, changed(streams_of(SMALL), place, **{field: 2 * right})), place


def test_the_program_itself_is_at_no_fault() -> None:
    """What the mutations are compared with."""
    assert fate(SMALL, streams_of(SMALL)) == ""
