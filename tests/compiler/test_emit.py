"""Emission: what can be seen of streams without running them."""

from __future__ import annotations

from collections import Counter
from functools import cache

import pytest

from snnc.compiler.pipeline import compile
from snnc.isa.instruction import UNITS
from snnc.isa.instructions.control import Barrier, End, Halt, Loop, Post, Wait
from snnc.isa.program import Entry, Program, Stream

CORES = (1, 3, 7)


@cache
def program(cores: int) -> Program:
    return compile("digits", target="quad" if cores <= 4 else "li2024_exact", cores=cores, batch=8)


def executed(stream: Stream) -> Counter[tuple[type, int, int]]:
    """How often posts (core, semaphore) and waits (own core, semaphore) run: loops multiply."""
    times = [1]
    found: Counter[tuple[type, int, int]] = Counter()
    for word in stream.instructions:
        match word:
            case Loop():
                times.append(times[-1] * -(-word.total // word.tile))
            case End():
                times.pop()
            case Post():
                found[Post, word.core, word.semaphore] += times[-1]
            case Wait():
                found[Wait, stream.core, word.semaphore] += times[-1]
            case _:
                pass
    assert times == [1], "every loop is closed"
    return found


@pytest.fixture(params=[(cores, name) for cores in CORES for name in ("init", "train_step", "infer")], ids=str)
def entry(request: pytest.FixtureRequest) -> Entry:
    cores, name = request.param
    return program(cores).entry(name)


def test_every_post_has_its_wait(entry: Entry) -> None:
    total: Counter[tuple[type, int, int]] = Counter()
    for stream in entry.streams:
        total += executed(stream)
    posts = {(core, number): count for (kind, core, number), count in total.items() if kind is Post}
    waits = {(core, number): count for (kind, core, number), count in total.items() if kind is Wait}
    assert posts == waits
    assert posts


def test_streams_are_in_order_and_end_once(entry: Entry) -> None:
    keys = [(stream.core, UNITS.index(stream.unit)) for stream in entry.streams]
    assert keys == sorted(set(keys))
    for stream in entry.streams:
        assert [pc for pc, word in enumerate(stream.instructions) if isinstance(word, Halt)] == [
            len(stream.instructions) - 1
        ]
        assert len(stream.debug) == len(stream.instructions)


def test_all_cores_meet_equally_often_for_the_same_stages(entry: Entry) -> None:
    """In `init` nothing waits for anything else, so nobody meets.  Store units meet where something stores late."""
    met: dict[str, dict[int, list[str]]] = {"load": {}, "store": {}}
    for stream in entry.streams:
        for word, debug in zip(stream.instructions, stream.debug, strict=True):
            if isinstance(word, Barrier):
                met[stream.unit].setdefault(stream.core, []).append(debug.node)
    cores = {stream.core for stream in entry.streams}
    for unit, nodes_of in met.items():
        assert len({tuple(nodes) for nodes in nodes_of.values()}) <= 1
        assert set(nodes_of) in (cores, set())
        assert nodes_of or unit == "store" or len(cores) == 1 or entry.name == "init"


def test_a_semaphore_has_one_poster_and_one_waiter_in_the_whole_program() -> None:
    users: dict[tuple[type, int, int], set[tuple[int, str]]] = {}
    for entry in program(3).entries:
        for stream in entry.streams:
            for key in executed(stream):
                users.setdefault(key, set()).add((stream.core, stream.unit))
    assert all(len(units) == 1 for units in users.values())


def test_every_instruction_but_halt_says_what_it_is_for() -> None:
    places: set[str] = set()
    for stream in program(1).entry("train_step").streams:
        for word, debug in zip(stream.instructions, stream.debug, strict=True):
            if not isinstance(word, Halt):
                assert debug.node and debug.phase in ("FP", "BP", "WG", "UP"), word
                places.add(debug.place.file.rpartition("/")[2])
    assert "digits.snn" in places
