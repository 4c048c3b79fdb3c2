"""What compiling costs, counted instead of timed: searches, tables and calls of functions, while networks grow."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from snnc.compiler.cost import boxes
from snnc.compiler.cost.duration import Duration, duration
from snnc.compiler.ir.schedule import Axis, Stage
from snnc.compiler.passes import least, mapping, ways
from snnc.compiler.passes.objective import Objective
from snnc.compiler.passes.request import Request
from snnc.compiler.passes.seats import soonest
from snnc.compiler.pipeline import Compilation, Options
from snnc.isa.target import Mesh, Target, canonical, load_target

SOURCE = """
block layer(x) {
    s = lif(linear(x, out=32), threshold=0.5)
    return s
}

network deep(image: f16[1, 4, 4]) steps 4 {
    x = lif(linear(flatten(image), out=32), threshold=0.5)
    repeat COUNT {
        x = layer(x)
    }
    return linear(x, out=10)
}
train { batch = 8 }
"""


@pytest.fixture
def compiled(tmp_path: Path) -> Callable[..., Compilation]:
    """`compiled(layers, cores, steps)`: the program of so many layers, on a machine of so many cores."""

    def made(layers: int = 4, cores: int = 4, steps: int = 4) -> Compilation:
        model, target = tmp_path / f"deep{layers}.snn", tmp_path / f"machine{cores}.toml"
        model.write_text(SOURCE.replace("COUNT", str(layers)))
        machine = replace(load_target("li2024_exact"), name=f"machine{cores}", cores=cores, mesh=Mesh(cores, 1))
        target.write_text(canonical(machine))
        compilation = Compilation(model, Options(str(target), steps=steps))
        assert compilation.program.cores == cores
        return compilation

    return made


def calls(made: Callable[[], object]) -> int:
    """Functions that are called while something is *made*, Python's and those written in C."""
    count = 0

    def hear(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    gc.collect()
    before = sys.getprofile()
    sys.setprofile(hear)
    try:
        made()
    finally:
        sys.setprofile(before)
    return count


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """All requests of which the mapping is searched."""
    found: list[Request] = []
    choose = mapping.choose

    def counted(request: Request, objective: Objective | None = None) -> object:
        found.append(request)
        return choose(request, objective)

    monkeypatch.setattr(mapping, "choose", counted)
    return found


def test_layers_that_are_alike_are_searched_and_timed_once(
    compiled: Callable[..., Compilation], searches: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[Stage] = []
    narrow: list[Request] = []
    near = mapping.near

    def counted(stage: Stage, target: Target) -> Duration:
        timed.append(stage)
        return duration(stage, target)

    def heard(request: Request, wide: mapping.Mapped, objective: Objective | None = None) -> object:
        narrow.append(request)
        return near(request, wide, objective)

    monkeypatch.setattr(ways, "duration", counted)
    monkeypatch.setattr(mapping, "near", heard)
    counts: list[tuple[int, int, int]] = []
    for layers in (4, 8):
        for known in (searches, narrow, timed):
            known.clear()
        _ = compiled(layers=layers).schedule
        for known in (searches, narrow):
            assert len({request.likeness for request in known}) == len(known)
        counts.append((len(searches), len(narrow), len(timed)))
    assert counts[0] == counts[1]
    assert min(counts[0]) > 0


def test_tiles_of_an_axis_are_not_looked_at_one_by_one() -> None:
    def work(extent: int) -> int:
        axis = Axis((("p", 1),), -1, extent)
        return calls(lambda: boxes.along(axis, 16, (("p", boxes.Walk(3, ((0, extent),))),), 512))

    work(3 * 100)
    assert work(3 * 1000) == work(3 * 50000)


def test_fewer_cores_share_what_they_do_not_split_with_all(searches: list[Request]) -> None:
    """A search for a smaller group makes bounds of what it splits alone, and again none at all."""
    _ = Compilation("mlp", Options("li2024_exact")).schedule
    wide = next(each for each in searches if (each.layer, each.phase, each.cores) == ("hidden", "WG", 20))
    bounds = least._once  # pyright: ignore[reportPrivateUsage]

    def made(request: Request) -> int:
        before = bounds.cache_info().misses
        mapping.choose(request)
        return bounds.cache_info().misses - before

    bounds.cache_clear()
    first, narrow = made(wide), wide.on(10)
    assert 0 < made(narrow) < first
    assert made(narrow) == 0
    assert narrow.likeness != wide.likeness == wide.on(20).likeness


def test_work_grows_with_layers_no_faster_than_they_do(compiled: Callable[..., Compilation]) -> None:
    layers = (3, 6, 12)
    compiled(layers=layers[-1])  # what is remembered between programs is remembered by all that are counted
    few, some, many = (calls(lambda count=count: compiled(layers=count)) for count in layers)
    assert few < some < many
    assert (many - some) <= 1.1 * 2 * (some - few)


def test_work_grows_with_cores_no_faster_than_they_do(compiled: Callable[..., Compilation]) -> None:
    cores = (16, 32, 64)
    compiled(cores=cores[-1])
    few, some, many = (calls(lambda count=count: compiled(layers=1, cores=count)) for count in cores)
    assert few < some < many
    assert (many - some) <= 1.2 * 2 * (some - few)


def test_work_hardly_grows_with_time(compiled: Callable[..., Compilation]) -> None:
    steps = (4, 16, 64)
    compiled(steps=steps[-1])
    counted = [calls(lambda count=count: compiled(layers=1, steps=count)) for count in steps]
    assert all(more <= 1.05 * less for less, more in pairwise(counted))


@pytest.mark.parametrize("count", [1, 3, 8])
def test_the_run_of_cores_that_is_free_first(count: int) -> None:
    random = np.random.default_rng(count)
    for _ in range(50):
        free = random.integers(0, 6, 8).astype(float).tolist()
        begins = [max(free[first : first + count]) for first in range(len(free) - count + 1)]
        assert soonest(free, count) == (min(begins), begins.index(min(begins)))
