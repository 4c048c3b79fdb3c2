"""Densities: what is measured is what a count by hand finds, and what is not measured has a closed form."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import groupby, product
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from snnc.cli import main
from snnc.cli._oracle import OracleMachine
from snnc.compiler.cost.density import (
    DENSE,
    PARTS,
    Densities,
    Density,
    TileDensity,
    densities_of,
    parts_of,
    profile_of,
    read_densities,
    scattered,
    sparse_values,
    tiles_of,
)
from snnc.compiler.cost.measure import Measurement
from snnc.compiler.pipeline import Compilation, Options
from snnc.compiler.profile import Profiler
from snnc.runtime.interpreter import Interpreter
from snnc.source import DataError

SMALL = """
network small(image: f16[2, 6, 6]) steps 3 {
    c1 = conv2d(image, out=16, kernel=3, pad=1)
    s1 = lif(c1, threshold=0.5, surrogate=triangle(alpha=4), reset=soft)
    p1 = avg_pool2d(s1, kernel=2)
    c2 = conv2d(p1, out=20, kernel=3, pad=1)
    s2 = lif(c2, threshold=0.25, surrogate=rect(alpha=2), reset=soft)
    flat = flatten(s2)
    y  = linear(flat, out=10)
    return y
}
train { batch = 4 }
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("density") / "small.snn"
    path.write_text(SMALL)
    return str(path)


def test_tiles_grow_and_none_is_larger_than_the_limit() -> None:
    assert tiles_of((10,)) == ((10,),)
    assert tiles_of((300,)) == ((16,), (64,), (256,), (300,))
    assert tiles_of((6, 8, 16)) == ((1, 1, 16), (1, 8, 16), (3, 4, 16), (3, 8, 16), (6, 8, 16))
    assert tiles_of((7, 5, 6)) == ((1, 1, 6), (1, 5, 6), (7, 5, 6))
    assert (64, 64, 16) not in tiles_of((64, 64, 16))


def test_a_distribution_is_the_means_of_its_slices() -> None:
    """A quarter is 0, a half 2, a quarter 6."""
    found = parts_of(np.array([1.0, 0, 2, 0, 0, 0, 1]))
    assert found.tolist() == [0.0] * 8 + [2.0] * 16 + [6.0] * 8


@pytest.mark.parametrize(("mean", "units"), [(0.25, 16), (0.01, 900), (0.97, 64)])
def test_zeros_that_fall_anywhere_are_counted_by_the_binomial_distribution(mean: float, units: int) -> None:
    found = scattered(mean, units)
    assert found.mean() == pytest.approx(units * mean)
    square = sum(comb(units, k) * mean**k * (1 - mean) ** (units - k) * k**2 for k in range(units + 1))
    assert np.square(found).mean() == pytest.approx(square, rel=0.02)


def test_what_is_dense_is_there_and_what_is_empty_is_not() -> None:
    assert DENSE.counts((4, 4, 16)).tolist() == [256.0] * PARTS
    assert Density(0.0).counts((4, 4, 16)).tolist() == [0.0] * PARTS
    assert Density(0.5).empty((1, 2)) == 0.25
    assert Density(0.5).counts((1, 20), unit=8).mean() == pytest.approx(3 * (1 - 0.5**8))


def test_what_is_measured_is_what_a_count_by_hand_finds() -> None:
    memory, there = (6, 5, 20), np.random.default_rng(1).random((3, 7, 6, 5, 20)) < 0.05
    measured = Measurement("spike", memory)
    for part in (there[:, :4], there[:, 4:]):
        measured.add(part)
    density = measured.density
    assert density.mean == pytest.approx(there.mean(), rel=1e-5)
    assert density.steps == pytest.approx([step.mean() for step in there], rel=1e-5)
    assert density.channels == pytest.approx([there[..., :16].mean(), there[..., 16:].mean()], rel=1e-5)
    rows = [sample.ravel().tolist() for step in there for sample in step]
    for value, mean in ((False, density.zeros), (True, density.others)):
        runs = [len(list(run)) for row in rows for kind, run in groupby(row) if kind == value]
        assert mean == pytest.approx(np.mean(runs), rel=1e-5)
    for tile in tiles_of(memory):
        counts: dict[int, list[int]] = {1: [], 8: []}
        for t, n in product(range(3), range(7)):
            for corner in product(*(range(0, extent, size) for extent, size in zip(memory, tile, strict=True))):
                box = there[(t, n, *(slice(at, at + size) for at, size in zip(corner, tile, strict=True)))]
                counts[1].append(int(box.sum()))
                filled = np.pad(box, [(0, size - extent) for size, extent in zip(tile, box.shape, strict=True)]).ravel()
                counts[8].append(sum(bool(filled[at : at + 8].any()) for at in range(0, filled.size, 8)))
        assert density.empty(tile) == pytest.approx(counts[1].count(0) / len(counts[1]), rel=1e-5)
        for unit in density.tiles[tile].counts:
            assert density.counts(tile, unit).mean() == pytest.approx(np.mean(counts[unit]), rel=1e-5), (tile, unit)


def profiler_of(compilation: Compilation) -> tuple[Profiler, dict[str, Any]]:
    """One training step, on random images; the same images and labels by their names."""
    machine = OracleMachine(compilation.interface, compilation.training, "exact")
    machine.initialise({"seed": 3})
    draw = np.random.default_rng(0)
    given = {"image": draw.random((4, 2, 6, 6), np.float32), "label": draw.integers(0, 10, 4)}
    for name, values in given.items():
        machine.write(name, values)
    profiler = Profiler(machine.oracle)
    machine.run("train_step", {"seed": 3, "valid": 4, "loss_scale": 1024.0})
    profiler.observe(4)
    return profiler, given


def test_a_profile_has_what_the_oracle_computes(small: str) -> None:
    """Windows by the formulas of the surrogates: a triangle ends at 1/alpha; of a rectangle a mask is kept."""
    compilation = Compilation(small)
    profiler, _ = profiler_of(compilation)
    oracle, found = profiler.oracle, profiler.densities
    kinds = {name: density.kind for name, density in found.values.items() if density.kind != "error"}
    assert kinds == {"image": "input", "s1": "spike", "p1": "count", "s2": "spike", "s2.mask": "spike"}
    assert {name for name in found.values if name not in kinds} >= {"d.c2", "d.p1", "d.s1", "d.c1"}
    for name, density in found.values.items():
        assert density.mean == pytest.approx(np.count_nonzero(oracle.value(name)) / oracle.value(name).size, rel=1e-5)
    assert 0 < found.of("d.c1").mean < 1
    h = oracle.value("s1.h").astype(np.float64)
    assert found.windows["s1"].mean == pytest.approx(np.mean(np.abs(h - 0.5) < 0.25), rel=1e-5)
    assert found.windows["s2"].mean == pytest.approx(oracle.value("s2.mask").mean(), rel=1e-5)
    assert 0 < found.windows["s2"].mean < 1


def test_samples_that_a_batch_lacks_are_not_measured(small: str) -> None:
    profiler, _ = profiler_of(Compilation(small))
    whole = profiler.oracle.value("s1")
    profiler.values.clear()
    profiler.observe(3)
    assert profiler.densities.of("s1").mean == pytest.approx(whole[:, :3].mean(), rel=1e-5)


def test_skipped_work_is_predicted_from_a_profile(small: str, tmp_path: Path) -> None:
    """Zeros are in as many products as others but for the borders; padding is in none."""
    profiler, given = profiler_of(Compilation(small))
    path = tmp_path / "small.profile.json"
    path.write_text(json.dumps(profile_of(profiler.densities, {})))
    program = Compilation(small, Options("tiny", density=str(path))).program
    machine = Interpreter(program)
    machine.run("init", {"seed": 3, "step": 0})
    for name, values in given.items():
        machine.write(name, values)
    machine.counters.take()
    facts = {"valid": 4, "loss_scale": 1024.0, "learning_rate": 1e-3, "correction1": 0.1, "correction2": 0.001}
    entry = program.entry("train_step")
    machine.run("train_step", {name: {"seed": 3, "step": 0, **facts}[name] for name in entry.arguments})
    counted = machine.counters.take().to_json()["by_phase"]
    predicted = program.predicted["train_step"]["by_phase"]
    for phase in ("BP", "WG"):
        for kind in ("gated", "multiply", "skipped"):
            assert predicted[phase]["work"][kind] == pytest.approx(counted[phase]["work"][kind], rel=0.05), (
                phase,
                kind,
            )
    assert counted["WG"]["work"]["skipped"] > 0


def test_one_number_is_for_all_that_can_be_sparse(small: str) -> None:
    compilation = Compilation(small, Options(density=0.125))
    known = compilation.densities
    assert {name: known.of(name).mean for name in sparse_values(compilation.training)} == dict.fromkeys(
        sparse_values(compilation.training), 0.125
    )
    assert known.of("flat").mean == 0.125  # another name of s2
    assert known.of("c1") == known.of("c1.w") == DENSE
    assert Compilation(small).densities == Densities()


def test_a_profile_comes_back_as_it_was_written(small: str, tmp_path: Path) -> None:
    profiler, _ = profiler_of(Compilation(small))
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(profile_of(profiler.densities, {"batch": 4})))
    assert read_densities(str(path)) == Densities(
        profiler.densities.values, profiler.densities.windows, network="small", file=str(path)
    )


HINT = "\n  try: snnc profile MODEL --data DATA -o FILE writes one"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("so", "is no profile: it is not JSON"),
        ("[]", "is no profile"),
        ('{"loss": 1}', "is no profile"),
        ('{"profile": 7}', "is a profile of version 7; this snnc reads 1"),
        ('{"profile": 1}', "is a damaged profile: KeyError('values')"),
        (
            json.dumps({"profile": 1, "network": "a", "windows": {}, "values": {"a": DENSE.to_json() | {"mean": 2}}}),
            "is a damaged profile: ValueError('2 is no density')",
        ),
    ],
)
def test_what_is_no_profile_is_told(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(DataError) as told:
        read_densities(str(path))
    assert str(told.value) == f"{path}: {message}{HINT}"


def test_a_profile_that_is_not_there_is_told_before_anything_else(small: str) -> None:
    told = invoke("compile", small, "--density", "none.json")
    assert (told.exit_code, told.stdout) == (1, "")
    other = "\n  try: --density 0.1, a number from 0 to 1 for all that can be sparse\n"
    assert told.stderr == f"none.json: cannot be read: No such file or directory{HINT}{other}"


def test_a_profile_of_another_network_is_refused(small: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(json.dumps(profile_of(Densities(network="large"), {})))
    with pytest.raises(DataError) as told:
        _ = Compilation(small, Options(density=str(path))).resolved
    assert str(told.value) == f"{path}: is a profile of large; small needs one of its own{HINT}"


@pytest.mark.parametrize("number", ["-0.1", "1.5", "nan"])
def test_a_number_that_is_no_density_is_wrong_usage(small: str, number: str) -> None:
    told = invoke("compile", small, "--density", number)
    assert told.exit_code == 2
    wanted = f"{number} is no density; it is a number from 0 to 1, or a file"
    assert f"Invalid value for '--density': {wanted}\n" in told.stderr
    with pytest.raises(DataError, match="is no density; it is a number from 0 to 1, or the file of a profile"):
        densities_of(float(number))


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def test_the_command_writes_what_it_shows(small: str, tmp_path: Path) -> None:
    data, path = tmp_path / "data.npz", tmp_path / "small.profile.json"
    draw = np.random.default_rng(0)
    images, labels = draw.random((10, 2, 6, 6), np.float32), draw.integers(0, 10, 10)
    np.savez(data, x_train=images, y_train=labels, x_test=images, y_test=labels)
    done = invoke("profile", small, "--data", f"npz:{data}", "--batches", "9", "-o", str(path), "--json", "-")
    assert done.exit_code == 0, done.stderr
    written = json.loads(done.stdout)
    assert written == json.loads(path.read_text())
    assert (written["network"], written["batches"], written["batch"], written["steps"]) == ("small", 3, 4, 3)
    assert "small: 3 training steps of 4 samples, 3 time steps" in done.stderr
    assert set(read_densities(str(path)).windows) == {"s1", "s2"}


def test_sums_of_no_terms_are_no_work(tmp_path: Path) -> None:
    """A kernel of one tap and a stride of two: three of four residue classes of the way back sum nothing."""
    path = tmp_path / "strided.snn"
    path.write_text(SMALL.replace("kernel=3, pad=1)\n    s2", "kernel=1, stride=2)\n    s2"))
    found = Compilation(str(path), Options("tiny", density=0.5)).program.predicted["train_step"]["by_phase"]
    dense = Compilation(str(path), Options("tiny")).program.predicted["train_step"]["by_phase"]
    assert found["BP"]["work"]["multiply"] == dense["BP"]["work"]["multiply"] / 2 > 0


def test_words_are_as_measured_or_follow_the_runs_of_zeros() -> None:
    """Zeros that fall anywhere have runs of 1 / mean, and long runs make empty words."""
    chance = Density(0.25)
    assert chance.word(16) == pytest.approx(1 - 0.75**16)
    assert replace(chance, zeros=4.0).word(16) == pytest.approx(chance.word(16))
    assert replace(chance, zeros=30.0).word(16) == pytest.approx(1 - 0.75 * (29 / 30) ** 15)
    measured = replace(chance, tiles={(1, 1, 16): TileDensity(0.5, {}), (1, 4, 16): TileDensity(0.125, {})})
    assert measured.word(16) == 0.5
    assert DENSE.word(16) == 1.0
