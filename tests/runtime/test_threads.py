"""Cores that work in threads: small programs in which it shows who waits for whom."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from snnc.isa.instructions.describe import View
from snnc.isa.kernels.calls import Calls
from snnc.isa.program import Program, Stream
from snnc.runtime.faults import ExecutionError
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.network import Rooms
from snnc.runtime.unrolled import Unrolled

if TYPE_CHECKING:
    from tests.runtime.conftest import Small

noted = pytest.mark.skipif(not Calls.possible(), reason="no calls of kernels can be noted here")


def unrolled(machine: Interpreter) -> Unrolled:
    (found,) = machine._ways._unrolled.values()  # pyright: ignore[reportPrivateUsage]
    return found


def ahead(self: Unrolled, last: bool) -> bool:
    """All parts in this thread; the first, or the last, is ahead as far as it need not wait."""
    at = [0 for _ in self.parts]
    self.parts[0].calls.stop[0] = 1  # who would have to wait says so
    numbers = range(len(at))[:: -1 if last else 1]
    while any(at[k] < len(self.parts[k].moments) for k in numbers):
        before = list(at)
        for k in numbers:
            at[k] = self.parts[k].calls.run(at[k], len(self.parts[k].moments))
            if at[k] > before[k]:
                break
        assert at != before, "every part waits for another one"
    return True


@noted
@pytest.mark.parametrize("last", [False, True])
def test_room_of_a_tile_is_used_again_when_the_tile_was_taken(
    small: Small, last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = Interpreter(small.relay(), threads=2)
    for step in range(6):
        if step > 2:
            monkeypatch.setattr(Unrolled, "_run", lambda self: ahead(self, last))  # pyright: ignore
        for k in range(4):
            machine.write(f"x{k}", np.arange(4) + 10 * k + 100 * step)
        machine.run("infer")
        for k in range(4):
            np.testing.assert_array_equal(machine.read(f"y{k}"), np.arange(4) + 10 * k + 100 * step)
    assert [part.moments.count(None) for part in unrolled(machine).parts] == [3, 4]


def test_room_is_free_when_all_have_taken_what_lies_there() -> None:
    rooms = Rooms()
    first = rooms.room(8)
    for _ in range(2):
        rooms.sent(first)
    rooms.taken(first, 3)
    assert rooms.room(8) is not first
    rooms.taken(first, 5)
    assert rooms.room(4) is not first
    assert rooms.before == set()
    assert rooms.room(8) is first
    assert rooms.before == {3, 5}
    rooms.before.clear()
    rooms.sent(first)
    rooms.taken(first, 2)
    assert rooms.room(8) is first
    assert rooms.before == {2}
    rooms.sent(np.zeros(8, np.uint8))  # what lies elsewhere has no room here
    rooms.taken(np.zeros(8, np.uint8), 1)


class Interrupted:
    """Workers of which the last one that is asked has begun when somebody interrupts."""

    def __init__(self, workers: Any, error: type[BaseException]) -> None:
        self._workers, self._error, self.begun = workers, error, list[Any]()

    def submit(self, *told: Any) -> Any:
        self.begun.append(self._workers.submit(*told))
        if len(self.begun) == 3:
            raise self._error("enough")
        return self.begun[-1]


@noted
@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_who_is_interrupted_leaves_nobody_waiting(small: Small, error: type[BaseException]) -> None:
    machine = Interpreter(small.pair(), threads=4)
    x = np.arange(8, dtype=np.float32) - 3.5
    machine.write("x", x)
    for _ in range(4):
        machine.run("infer")
    made = unrolled(machine)
    assert made.pool is not None
    interrupted = Interrupted(made.pool(), error)
    ways = machine._ways  # pyright: ignore[reportPrivateUsage]
    (way,) = ways._unrolled  # pyright: ignore[reportPrivateUsage]
    ways._unrolled[way] = replace(made, pool=lambda: interrupted)  # pyright: ignore
    with pytest.raises(error, match="enough"):
        machine.run("infer")
    for part in interrupted.begun:
        part.result(timeout=60)
    for step in range(3):
        machine.write("x", x + step)
        machine.run("infer")
        np.testing.assert_array_equal(machine.read("back"), (x + step) * 2)
    assert unrolled(machine) is not made


@noted
def test_a_process_that_was_forked_has_threads_of_its_own(small: Small, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Interpreter(small.pair(), threads=2)
    for _ in range(4):
        machine.run("infer")
    pool = unrolled(machine).pool
    assert pool is not None
    mine = pool()
    assert pool() is mine
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert pool() is not mine


@noted
def test_links_over_which_nothing_went_are_not_told(small: Small) -> None:
    for unrolls in (True, False):
        machine = Interpreter(small.chosen_send(), unrolls=unrolls)
        machine.write("x", np.zeros(4))
        for mask in (1, 0, 0, 0):
            machine.run("infer", {"mask": mask})
        assert machine.counters.by_link() == {(0, 1): 16}
        machine.counters.take()
        machine.run("infer", {"mask": 0})
        assert machine.counters.by_link() == {}


@pytest.mark.parametrize("watched", [True, False])
@pytest.mark.parametrize(("core", "space"), [(0, 0), (3, 0), (3, 63)])
def test_the_router_moves_scratchpads_alone(small: Small, watched: bool, core: int, space: int) -> None:
    def elsewhere(stream: Stream) -> Stream:
        if (stream.core, stream.unit) != (core, "router"):
            return stream
        moved = (replace(one, space=space) if isinstance(one, View) else one for one in stream.instructions)
        return replace(stream, instructions=tuple(moved))

    program: Program = small.pair()
    entries = tuple(replace(entry, streams=tuple(map(elsewhere, entry.streams))) for entry in program.entries)
    with pytest.raises(ExecutionError, match=f"core {core}, router stream"):
        Interpreter(replace(program, entries=entries), watched=watched).run("infer")


def test_there_is_a_thread(small: Small) -> None:
    for threads in (0, True):
        for unrolls in (True, False):
            with pytest.raises(ValueError, match=f"cores work in one thread or more, not in {threads}"):
                Interpreter(small.pair(), threads=threads, unrolls=unrolls)
    for wrong in (1.5, "2", None):
        with pytest.raises(TypeError, match="cannot be interpreted as an integer"):
            Interpreter(small.pair(), threads=wrong)  # pyright: ignore[reportArgumentType]
