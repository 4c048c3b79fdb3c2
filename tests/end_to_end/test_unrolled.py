"""An entry that runs without its control gives the bits and the counts that it has with it."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from laws import Bench, Case, cases, profiled

from snnc.isa.kernels import drained, driven, momented, pooled
from snnc.isa.kernels.calls import Calls
from snnc.runtime import unrolled as unrolled_module
from snnc.runtime import unrolling
from snnc.runtime.recording import Recorder
from snnc.runtime.unrolled import Unrolled

pytestmark = pytest.mark.skipif(not Calls.possible(), reason="no calls of kernels can be noted here")

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


def benches(case: Case, **options: Any) -> tuple[Bench, Bench]:
    """The same with and without its control, initialised."""
    both = Bench(case, oracle=False, **options), Bench(case, oracle=False, unrolls=False, **options)
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


@pytest.mark.parametrize("case", PARAMETERS)
def test_control_changes_no_bit_and_no_count(case: Case) -> None:
    both = benches(case)
    for step in range(STEPS):
        stepped(both, step)
    (made,) = unrolled(both[0])
    assert len(made.calls) >= len(made.others)
    assert made.calls


def test_what_the_network_carries_runs_between() -> None:
    both = benches(Case("csnn", "li7"))
    for step in range(STEPS):
        stepped(both, step)
    (made,) = unrolled(both[0])
    others = Counter(
        made.streams[one.moment.place[0]].instructions[one.moment.place[1]].mnemonic for one in made.others
    )
    assert others["receive"] and others["send"] + others["multicast"]


def test_engines_that_look_for_zeros_run_between() -> None:
    case, _ = profiled(Case("csnn", "li7"), lit=0.1)
    both = benches(case, lit=0.1)
    for step in range(STEPS):
        stepped(both, step)


def test_it_trains_as_the_oracle_does() -> None:
    bench = Bench(Case("digits", "quad3"))
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


def test_what_no_kernel_serves_for_runs_as_it_does_with_control() -> None:
    """Exact sums of what is not finite are NumPy's; the way is unrolled anew then, without them."""
    both = benches(Case("digits", "exact7"))
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
    assert len(after.others) > len(before.others)


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


def caches() -> Iterator[Any]:
    """Those of plans for kernels."""
    for module in (drained, driven, momented, pooled):
        for value in vars(module).values():
            if isinstance(value, type(lru_cache(lambda: None))):
                yield value
