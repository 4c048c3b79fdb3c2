"""Laws 1, 3, 4 and 5, the host and its files, on machines that work in bf16 or in f32."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from laws import (
    NETWORKS,
    OTHER_FORMATS,
    TRAINING,
    Bench,
    Case,
    Model,
    Outcome,
    changed_target,
    compiled,
    outcome_of,
    source_of,
    target_of,
)

from snnc.cli import main
from snnc.compiler.ir.statement import Moments
from snnc.compiler.pipeline import Compilation, Options
from snnc.isa import assembly, binary
from snnc.numerics.formats import BF16, round_to
from snnc.runtime import weights
from snnc.runtime.interpreter import Interpreter
from snnc.source import TargetError

CASES: list[Case | Model] = [
    Case(name, machine, reset=("hard", "soft")[turn % 2], training=TRAINING[turn % len(TRAINING)])
    for k, name in enumerate(NETWORKS)
    for turn, machine in enumerate(OTHER_FORMATS, start=k)
    if turn % 2 == 0
] + [Model("srnn", "singlex1"), Model("resnet18", "bf16x3")]
SLOW = [case for case in CASES if str(case).startswith("resnet")]
PARAMETERS = [pytest.param(case, id=str(case), marks=[pytest.mark.full] if case in SLOW else []) for case in CASES]


@pytest.fixture(scope="module", params=PARAMETERS)
def outcome(request: pytest.FixtureRequest) -> Outcome:
    return outcome_of(request.param)


def test_the_program_is_the_oracle(outcome: Outcome) -> None:
    assert {run: told for run, told in outcome.differences.items() if told} == {}
    assert all(0 < loss < 10 for loss in outcome.losses)


def test_what_moves_is_predicted(outcome: Outcome) -> None:
    for entry, traffic in outcome.counted.items():
        assert traffic.to_json()["dram"] == outcome.program.predicted[entry]["dram"], entry


def test_a_program_has_the_format_of_its_machine_and_survives_text_and_bytes(outcome: Outcome) -> None:
    program = outcome.program
    working = program.settings["working_format"]
    formats = {symbol.format for symbol in program.symbols}
    assert working in formats and "f16" not in formats
    assert {s.format for s in program.symbols if s.role in ("master", "optimizer", "gradient")} == {"f32"}
    data = binary.to_bytes(program)
    assert binary.from_bytes(data) == program
    assert binary.to_bytes(assembly.from_text(assembly.to_text(program))) == data


def test_the_cases_cover_every_network_and_machine() -> None:
    made = [case for case in CASES if isinstance(case, Case)]
    assert {case.network for case in made} == set(NETWORKS)
    assert {case.machine for case in made} == set(OTHER_FORMATS)


@pytest.mark.parametrize("machine", OTHER_FORMATS)
def test_tiles_and_cores_change_no_bit_of_rounded_moments(machine: str) -> None:
    """Samples one by one and rows in pieces, in every phase: sums are cut where their order allows it, also those of a
    batch that is not full."""
    pins = ("*.*=tile.n=1,tile.p=3",)
    cut, whole = (Case("normed", machine, pins=given, fusion="off") for given in (pins, ()))
    stages = [s for s in compiled(cut).schedule.entries["train_step"] if isinstance(s.statement, Moments)]
    assert any((s.mapping.tiles.get("n"), s.mapping.tiles.get("p")) == (1, 3) for s in stages)
    benches = [Bench(cut), Bench(whole, oracle=False)]  # where bits are equal, one of them has to be the oracle's
    for bench in benches:
        bench.run("init")
    for step, valid in enumerate((whole.batch, whole.batch - 2)):
        for bench in benches:
            bench.feed()
            bench.run("train_step", step, valid)
        assert benches[0].difference() == ""
        assert benches[0].bits() == benches[1].bits()


def test_a_rounded_sum_of_moments_is_not_cut_out_of_order() -> None:
    case = Case("normed", "bf16x1", pins=("n1.fp=tile.n=2,tile.p=3",))
    with pytest.raises(TargetError) as caught:
        assert case.compilation().schedule
    assert "no tiling of n1 (FP) keeps whole bytes and whole sums together" in str(caught.value)
    assert "without --pin n1.fp=tile.n=2,tile.p=3" in str(caught.value)
    assert Case("normed", "f32x3", pins=case.pins).compilation().schedule  # moments of f16 are exact


@pytest.mark.parametrize("working", ["bf16", "f32"])
@pytest.mark.parametrize("accumulators", ["exact", "f16"])
def test_what_is_wider_than_f16_needs_f32_accumulators(accumulators: str, working: str) -> None:
    path = changed_target("quad", f"quad_{accumulators}_in_{working}", accumulators, working)
    with pytest.raises(TargetError) as caught:
        assert Compilation("digits", Options(path)).program
    message = f"accumulators: {accumulators} ones are for f16 and integers; what works in {working} sums in f32"
    assert str(caught.value) == f"{path}: {message}"


def test_an_engine_that_lacks_the_working_format_is_told(tmp_path: Path) -> None:
    path = tmp_path / "narrow.toml"
    text = Path(changed_target("quad", "narrow", "f32", "bf16")).read_text()
    path.write_text(text.replace('"u8", "bf16"]', '"u8"]'))
    with pytest.raises(TargetError) as caught:
        assert Compilation(source_of("digits"), Options(str(path))).schedule
    assert "the FP engine of `narrow` takes spike, u2, u4, u8 on its left, and hidden has bf16 there" in str(
        caught.value
    )


def test_a_graph_is_the_same_on_all_machines_that_work_in_its_format() -> None:
    source = source_of("csnn")
    hashes = [
        Compilation(source, Options(target_of(name))).training.hash
        for name in ("quad", "tiny", "quad_f32", "quad_bf16", "quad_f32_in_f32")
    ]
    assert hashes[0] == hashes[1] == hashes[2]
    assert len(set(hashes[2:])) == 3


MODEL = """
network small(image: f16[1, 4, 4]) steps 2 {
    hidden = linear(flatten(image), out=8)
    spikes = lif(batch_norm(hidden), decay=0.5, threshold=0.5)
    return linear(spikes, out=2)
}
train { loss = cross_entropy; optimizer = adam(lr=5e-2); schedule = constant; batch = 8; loss_scale = 64 }
"""


def invoke(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def done(*words: object) -> str:
    result = invoke(*words)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model, its program for a bf16 machine, and data whose classes are bright above and below."""
    monkeypatch.chdir(tmp_path)
    Path("small.snn").write_text(MODEL)
    rng = np.random.default_rng(1)
    labels = np.arange(44) % 2
    images = rng.uniform(0, 0.4, (44, 4, 4)).astype(np.float32)
    images[labels == 0, :2] += 0.6
    images[labels == 1, 2:] += 0.6
    np.savez("halves.npz", x_train=images[:28], y_train=labels[:28], x_test=images[28:], y_test=labels[28:])
    images[3, 1, 2] = -3.4e38  # f32 holds it
    np.savez("beyond.npz", images=images, labels=labels)
    done("compile", "small.snn", "--target", "quad_bf16", "--cores", "2", "-o", "small.snnb")
    return tmp_path


def test_training_in_bf16_learns_and_is_the_oracle(folder: Path) -> None:
    words = ["run", "small.snnb", "--data", "npz:halves.npz", "--epochs", "8", "--json", "run.json"]
    done(*words, "--compare-oracle", "small.snn", "--check-races")
    told = json.loads(Path("run.json").read_text())
    assert told["loss"][-1] < 0.5 * told["loss"][0]
    assert told["accuracy"]["test"] >= 0.9
    refused = invoke(*words, "--compare-oracle", "digits")
    assert refused.exit_code == 1 and "is not the program's" in refused.stderr


def test_files_of_a_run_in_bf16(folder: Path) -> None:
    """A resumed run has the bits of one that never stopped; a dump is on the grid of bf16, and weights are masters."""
    words = ["run", "small.snnb", "--data", "npz:halves.npz", "--epochs", "4"]
    done(*words, "--checkpoint", "whole.ckpt", "--save-weights", "whole.npz", "--dump", "hidden.w@16=w.npy")
    done(*words, "--max-steps", "7", "--checkpoint", "part.ckpt")
    done(*words, "--resume", "part.ckpt", "--save-weights", "resumed.npz")
    whole, resumed = weights.load("whole.npz"), weights.load("resumed.npz")
    assert set(whole) == set(resumed) >= {"hidden.w", "hidden.b"}
    assert all(np.array_equal(whole[name], resumed[name]) for name in whole)
    master, dumped = whole["hidden.w"], np.load("w.npy")
    assert np.array_equal(dumped, round_to(master, BF16))
    assert not np.array_equal(dumped, master)
    told = json.loads(
        done("eval", "small.snnb", "--checkpoint", "whole.ckpt", "--data", "npz:halves.npz", "--json", "-")
    )
    assert told["samples"] == 16

    loaded = Interpreter(binary.load("small.snnb"))
    weights.take_over(loaded, weights.load("whole.ckpt"))
    compiled_in = Interpreter(Compilation("small.snn", Options("quad_bf16", 2, weights=whole)).program)
    for machine in (loaded, compiled_in):
        assert np.array_equal(machine.values("hidden.w"), dumped)
        assert np.array_equal(machine.values("hidden.w.master"), master)


def test_data_beyond_bf16_is_told(folder: Path) -> None:
    refused = invoke("run", "small.snnb", "--data", "npz:beyond.npz", "--epochs", "1")
    assert refused.exit_code == 1
    message = "sample 3 has values beyond 3.38953e+38, the most that the bf16 input image holds"
    assert message in refused.stderr
