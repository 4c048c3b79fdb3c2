"""An entry that runs without its control gives the bits and the counts that it has with it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from functools import lru_cache, partial
from threading import current_thread, main_thread
from typing import Any

import numpy as np
import pytest
from laws import Bench, Case, cases, profiled

from snnc.isa.chip import ProgramFault
from snnc.isa.instruction import Instruction
from snnc.isa.kernels import drained, driven, momented, pooled
from snnc.isa.kernels.calls import Calls
from snnc.isa.routed import Routed
from snnc.runtime import unrolled as unrolled_module
from snnc.runtime import unrolling
from snnc.runtime.faults import ExecutionError
from snnc.runtime.recording import Recorder
from snnc.runtime.unrolled import Unrolled

pytestmark = pytest.mark.skipif(not Calls.possible(), reason="no calls of kernels can be noted here")

MOST_OTHERS = unrolling.ALONE


@pytest.fixture(autouse=True)
def threaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several threads, however little of it is quicker."""
    monkeypatch.setattr(unrolling, "ALONE", 1)


STEPS = 5
"""The third of its kind is noted, and those behind it run unrolled."""

CHOSEN = [
    Case("digits", "exact7", reset="soft"),
    Case("joined", "quad3"),
    Case("lenet", "tiny", "output_stationary"),
    Case("csnn", "li7"),
    Case("normed", "f32x3"),
    Case("recurrent", "quad3", training="rule = bptt(window=2); loss = cross_entropy_mse; optimizer = sgd", steps=4),
    Case("csnn", "quad3", reset="soft", training="rule = opzo; loss = cross_entropy_mse; optimizer = sgd"),
]
PARAMETERS = [pytest.param(case, id=str(case)) for case in CHOSEN] + [
    pytest.param(case, id=str(case), marks=pytest.mark.full) for case in cases(False)
]


def benches(case: Case, threads: int = 1, **options: Any) -> tuple[Bench, Bench]:
    """The same without its control, in so many threads, and with it, initialised."""
    both = Bench(case, oracle=False, threads=threads, **options), Bench(case, oracle=False, unrolls=False, **options)
    for bench in both:
        bench.run("init")
        bench.machine.counters.take()
    return both


def stepped(both: tuple[Bench, Bench], step: int, valid: int | None = None) -> None:
    """A training step on both, which have to agree in all."""
    seen: list[Any] = []
    for bench in both:
        bench.feed()
        bench.run("train_step", step, valid)
        links, units = bench.machine.counters.by_link(), bench.machine.counters.by_unit()
        runs = [stream.counts for stream in bench.machine.streams("train_step")]
        seen.append((bench.bits(), links, units, bench.machine.counters.take(), runs))
    assert seen[0] == seen[1], step


def unrolled(bench: Bench) -> list[Unrolled]:
    """What an interpreter keeps."""
    ways = bench.machine._ways  # pyright: ignore[reportPrivateUsage]
    return list(ways._unrolled.values())  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("case", PARAMETERS)
def test_neither_control_nor_threads_change_a_bit_or_a_count(case: Case, threads: int) -> None:
    both = benches(case, threads)
    for step in range(STEPS):
        stepped(both, step)
    (made,) = unrolled(both[0])
    assert len(made.parts) == min(threads, both[0].program.cores)
    for part in made.parts:
        assert len(part.moments) >= 2 * len(part.others)
        assert part.calls
    waits = [part.moments.count(None) for part in made.parts]
    assert all(waits) if len(made.parts) > 1 else waits == [0]


def test_tiles_that_are_not_added_go_from_core_to_core_by_calls() -> None:
    both = benches(Case("normed", "quad3"), 2)
    for step in range(STEPS):
        stepped(both, step)
    (made,) = unrolled(both[0])
    calls, others = instructions(made)
    assert {"multicast", "receive"} < set(calls)
    assert getattr(others["receive"], "add") == 1  # noqa: B009
    assert "multicast" not in others


@pytest.mark.parametrize("stores", [False, True])
def test_a_tile_is_carried_by_calls_all_the_way_or_not_at_all(stores: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """No kernel serves for what some cores send, or take."""
    moved, seen = Routed.moved, list[Routed]()

    def some(self: Routed, *told: Any) -> Any:
        if self not in seen:
            seen.append(self)
        return None if self.stores == stores and seen.index(self) % 3 == 0 else moved(self, *told)

    monkeypatch.setattr(Routed, "moved", some)
    both = benches(Case("csnn", "li7"), 2)
    for step in range(STEPS):
        stepped(both, step)
    (made,) = unrolled(both[0])
    calls, others = instructions(made)
    assert {"multicast", "receive"} <= set(others)
    assert {"multicast", "receive"} <= set(calls)


@pytest.mark.parametrize("order", ["first", "last", "random"])
@pytest.mark.parametrize("case", [Case("csnn", "li7"), Case("joined", "quad3"), Case("recurrent", "quad3")], ids=str)
def test_whichever_thread_is_ahead_of_the_others_the_bits_are_the_same(case: Case, order: str) -> None:
    """One is ahead as far as it need not wait; so what it does not wait for, it need not."""
    both = benches(case, 3)
    for step in range(3):
        stepped(both, step)
    (made,) = unrolled(both[0])
    random = np.random.default_rng(0)
    for step in range(3, STEPS):
        for bench in both:
            bench.feed()
        both[1].run("train_step", step)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Unrolled, "_run", partial(one_by_one, made, order, random))
            both[0].run("train_step", step)
        assert both[0].bits() == both[1].bits()
        assert both[0].machine.counters.take() == both[1].machine.counters.take()
    assert made is unrolled(both[0])[0]


def one_by_one(made: Unrolled, order: str, random: np.random.Generator) -> bool:
    """All parts of an entry in this thread: always the first, the last, or any part that need not wait."""
    at = [0] * len(made.parts)
    made.parts[0].calls.stop[0] = 1  # who would have to wait says so
    while todo := [number for number, part in enumerate(made.parts) if at[number] < len(part.moments)]:
        for number in {"first": todo, "last": todo[::-1], "random": random.permutation(todo).tolist()}[order]:
            part = made.parts[number]
            most = 1 if order == "random" else len(part.moments) - at[number]
            before, at[number] = at[number], part.calls.run(at[number], min(at[number] + most, len(part.moments)))
            if at[number] < len(part.moments) and at[number] in part.others:
                moment = part.moments[at[number]]
                assert moment is not None
                made._do(moment)  # pyright: ignore[reportPrivateUsage]
                at[number] = part.calls.run(at[number] + 1, at[number] + 1)
            if at[number] > before:
                break
        else:
            raise AssertionError("every part waits for another one")
    return True


@pytest.mark.parametrize("who", ["the first", "another"])
@pytest.mark.parametrize("wrong", [ExecutionError, KeyboardInterrupt])
def test_what_goes_wrong_in_one_thread_ends_all(who: str, wrong: type[BaseException]) -> None:
    both = benches(Case("csnn", "li7"), 3)
    for step in range(STEPS):
        stepped(both, step)
    do = Unrolled._do  # pyright: ignore[reportPrivateUsage]

    def does(self: Unrolled, moment: unrolled_module.Moment) -> None:
        if (current_thread() is main_thread()) == (who == "the first"):
            fault = ProgramFault(self.streams[moment.place[0]], moment.place[1], "is wrong")
            raise fault if wrong is ExecutionError else KeyboardInterrupt("is wrong")
        do(self, moment)

    for bench in both:
        bench.feed()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(wrong, match="is wrong"):
        patch.setattr(Unrolled, "_do", does)
        both[0].run("train_step", STEPS)
    both[1].run("train_step", STEPS)
    both[0].machine.chip.dram[:] = both[1].machine.chip.dram
    for bench in both:
        bench.machine.counters.take()
    for step in range(STEPS + 1, STEPS + 4):
        stepped(both, step)
    assert unrolled(both[0])


def test_a_single_thread_does_what_is_hardly_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unrolling, "ALONE", MOST_OTHERS)
    both = benches(Case("csnn", "li7"), 3)  # sums of f16 are NumPy's
    for step in range(STEPS):
        stepped(both, step)
    (made,) = unrolled(both[0])
    assert len(made.parts) == 1
    assert made.parts[0].others
    assert None not in made.parts[0].moments


def test_threads_are_no_more_than_cores() -> None:
    both = benches(Case("digits", "tiny"), 4)
    for step in range(STEPS):
        stepped(both, step)
    assert len(unrolled(both[0])[0].parts) == both[0].program.cores == 1


def test_engines_that_look_for_zeros_run_between() -> None:
    case, _ = profiled(Case("csnn", "li7"), lit=0.1)
    both = benches(case, lit=0.1)
    for step in range(STEPS):
        stepped(both, step)


@pytest.mark.parametrize("threads", [1, 2])
def test_it_trains_as_the_oracle_does(threads: int) -> None:
    bench = Bench(Case("digits", "quad3"), threads=threads)
    bench.run("init")
    for step in range(STEPS):
        bench.feed()
        bench.run("train_step", step)
        assert not bench.difference(), step
    assert unrolled(bench)


def test_another_number_of_samples_is_another_way() -> None:
    both = benches(Case("normed", "quad3"))
    for step, valid in enumerate([None] * 4 + [3, None, 3, 3, 3] + [2] * 4 + [None] * 3 + [3, 2]):
        stepped(both, step, valid)
        assert len(unrolled(both[0])) <= 2
    assert len(unrolled(both[0])) == 2


def test_what_calls_are_told_stays() -> None:
    """Nobody else keeps it once caches forget."""
    both = benches(Case("csnn", "quad3"))
    for step in range(3):
        stepped(both, step)
    for cache in caches():
        cache.cache_clear()
    for stream in both[0].machine.streams("train_step"):
        stream.actions[:] = [None] * len(stream.actions)
    gc.collect()
    rubbish = [np.full(n, -1, np.int64) for n in range(1, 400)]
    for step in range(3, STEPS):
        stepped(both, step)
    assert rubbish


@pytest.mark.parametrize("threads", [1, 3])
def test_what_no_kernel_serves_for_runs_as_it_does_with_control(threads: int) -> None:
    """Exact sums of what is not finite are NumPy's; the way is unrolled anew then, without them."""
    both = benches(Case("digits", "exact7"), threads)
    for step in range(4):
        stepped(both, step)
    (before,) = unrolled(both[0])
    name = next(name for name in both[0].symbols if name.endswith(".w"))
    weights = both[0].stored(name)
    weights.flat[:3] = np.inf, -np.inf, np.nan
    for bench in both:
        bench.machine.write(name, weights)
    stepped(both, 4)
    assert not unrolled(both[0])
    for step in range(5, 8):
        stepped(both, step)
    (after,) = unrolled(both[0])
    assert len(after.parts[0].others) > len(before.parts[0].others)


def test_calls_are_made_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unrolled_module, "AT_ONCE", 7)
    both = benches(Case("digits", "exact7"))
    for step in range(STEPS):
        stepped(both, step)


def test_a_long_entry_keeps_its_control(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unrolling, "MOST", 50)
    both = benches(Case("digits", "exact7"))
    for step in range(STEPS):
        stepped(both, step)
    assert not unrolled(both[0])


def test_ways_that_never_come_again_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unrolling, "SEEN", 2)
    both = benches(Case("normed", "quad3"))
    for step, valid in enumerate([1, 2, 3, None, None, None, None]):
        stepped(both, step, valid)
    ways = both[0].machine._ways  # pyright: ignore[reportPrivateUsage]
    assert len(ways._taken) <= 2  # pyright: ignore[reportPrivateUsage]
    assert unrolled(both[0])


def test_who_listens_hears_of_all() -> None:
    both = benches(Case("digits", "quad3"))
    for step in range(4):
        stepped(both, step)
    heard: list[Recorder] = []
    for bench in both:
        recorder = Recorder(bench.machine.target)
        bench.machine.listen(recorder)
        bench.feed()
        bench.run("train_step", 4)
        bench.machine.ignore(recorder)
        bench.machine.counters.take()
        heard.append(recorder)
    assert heard[0].record is not None
    assert heard[0].record == heard[1].record
    stepped(both, 5)


def instructions(made: Unrolled) -> tuple[dict[str, Instruction], dict[str, Instruction]]:
    """By mnemonic, one of the instructions that are calls of kernels, and one of the others."""
    calls: dict[str, Instruction] = {}
    others: dict[str, Instruction] = {}
    for part in made.parts:
        for place, moment in enumerate(part.moments):
            if moment is not None:
                one = made.streams[moment.place[0]].instructions[moment.place[1]]
                (others if place in part.others else calls)[one.mnemonic] = one
    return calls, others


def caches() -> Iterator[Any]:
    """Those of plans for kernels."""
    for module in (drained, driven, momented, pooled):
        for value in vars(module).values():
            if isinstance(value, type(lru_cache(lambda: None))):
                yield value
