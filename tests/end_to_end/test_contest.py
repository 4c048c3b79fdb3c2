"""The benchmark: what it asks all contestants for is the same, and what it says of them is so; no time is judged."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from float64 import ROOT, benchmarks

from snnc.compiler.frontends import snn
from snnc.compiler.pipeline import compile


def module(name: str) -> Any:
    """A module of the benchmarks."""
    benchmarks()
    return import_module(f"benchmarks.{name}")


@pytest.mark.parametrize("wanted", [0.05, 0.1, 0.5, 0.95])
@pytest.mark.parametrize("first", [1.0, -3.0, 40.0])
def test_a_threshold_is_found_at_which_so_many_fire(wanted: float, first: float) -> None:
    values = np.linspace(-2, 2, 4001)

    def share(threshold: float) -> float:
        return float(np.mean(values >= threshold))

    threshold, rate = module("peers.bisection").threshold_for(share, wanted, first)
    assert threshold == pytest.approx(2 - 4 * wanted, abs=0.01)
    assert rate == share(threshold)
    assert abs(rate - wanted) <= 0.001
    assert threshold == np.float16(threshold), "both sides hold the same number"


def test_where_no_threshold_gives_a_rate_the_nearest_is_taken() -> None:
    """A third fires or nobody does."""

    def share(threshold: float) -> float:
        return (threshold < 0.7) / 3

    find = module("peers.bisection").threshold_for
    assert find(share, 0.25, 1.0)[1] == 1 / 3
    assert find(share, 0.1, 1.0)[1] == 0


NETWORK = """
network small(image: f16[6]) steps 3 {
    a = lif(linear(image, out=8), threshold=0.5)
    b = lif(linear(a, out=8), threshold=2.0, surrogate=rect(alpha=3))
    return linear(b, out=2)
}
"""


def test_thresholds_and_surrogates_of_neurons_change_and_nothing_else() -> None:
    network = snn.read(NETWORK)
    found = module("problem").fitted(network, {"a": 0.25}, ("atan", ("alpha", 2.0)))
    before = {node.results[0]: node for node in network.nodes}
    after = {node.results[0]: node for node in found.nodes}
    assert [after[name].settings["threshold"] for name in "ab"] == [0.25, 2.0]
    assert {after[name].settings["surrogate"] for name in "ab"} == {("atan", ("alpha", 2.0))}
    for name, node in before.items():
        changed = {"threshold", "surrogate"} if name in "ab" else set[str]()
        rest = {key: value for key, value in after[name].settings.items() if key not in changed}
        assert rest == {key: value for key, value in node.settings.items() if key not in changed}
        assert replace(after[name], settings=node.settings) == node


def job_of(model: str, folder: Path, count: int = 3) -> Any:
    """A narrow job, saved and read again."""
    problem = module("problem").Problem(model, count, steps=2, batch=4)
    problem.job(problem.parameters).save(folder)
    return module("peers.job").load(folder)


def test_the_interpreter_and_plain_numpy_train_alike(tmp_path: Path) -> None:
    """Of the network of the benchmark, from the same files: losses and spike rates differ by what f16 rounds."""
    job = job_of("mlp", tmp_path)
    mode = module("peers.job").Mode()
    ours = module("peers.with_snnc").Snnc(job, tmp_path, ["edge512"])
    theirs = module("peers.with_numpy").PlainNumpy(job, tmp_path, [])
    for images, labels in zip(job.images, job.labels, strict=True):
        losses = ours.step(images, labels, mode), theirs.step(images, labels, mode)
        assert losses[0] == pytest.approx(losses[1], abs=2e-3)
    rates = ours.spike_rates(), theirs.spike_rates()
    assert rates[0].keys() == rates[1].keys() == {"s"}
    assert rates[0]["s"] == pytest.approx(rates[1]["s"], abs=0.01)


def test_contestants_say_what_they_do_not_do(tmp_path: Path) -> None:
    normed = NETWORK.replace("linear(a, out=8)", "batch_norm(linear(a, out=8))")
    job = job_of(str(write(tmp_path, normed)), tmp_path, count=1)
    refused = module("peers.worker").Refused
    with pytest.raises(refused, match="there is no batch_norm among the layers of a chain"):
        module("peers.with_numpy").PlainNumpy(job, tmp_path, [])
    with pytest.raises(refused, match="answers what is exported"):
        module("peers.with_onnxruntime").OnnxRuntime(job, tmp_path, [])


def test_what_is_exported_for_onnx_runtime_runs_there(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    job = job_of("mlp", tmp_path, count=1)
    module("contest").export(tmp_path)
    peer = module("peers.with_onnxruntime").OnnxRuntime(job, tmp_path, [])
    assert peer.step(job.images[0], job.labels[0], module("peers.job").Mode("inference")) is None
    with pytest.raises(module("peers.worker").Refused):
        peer.step(job.images[0], job.labels[0], module("peers.job").Mode("training"))


def test_layers_are_calibrated_one_after_the_other(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    job = job_of(str(write(tmp_path, NETWORK)), tmp_path)
    prepare, steps = module("peers.prepare"), module("peers.torch_step")
    step = steps.TorchStep(job, prepare.Plain(), way=steps.Way("contiguous_format", "single steps"))
    found = prepare.calibrate(step, job.images[0], 0.25, "training", {"all": {"name": "atan", "alpha": 2.0}})
    assert found["open"] == {"all": {"a": 1.0, "b": 1.0}}
    assert found["thresholds"].keys() == {"a", "b"}
    assert found["rates"] == pytest.approx({"a": 0.25, "b": 0.25}, abs=0.02), "of 64 spikes"


def write(folder: Path, text: str) -> Path:
    path = folder / "small.snn"
    path.write_text(text)
    return path


def test_a_table_is_aligned_and_ratios_are_of_medians() -> None:
    told = module("tables").table(("a", "much"), [("name", "1"), ("b", "22.5")])
    assert told.splitlines() == ["| a    | much |", "| ---- | ---: |", "| name |    1 |", "| b    | 22.5 |"]
    contest = module("contest")
    case = contest.Case("mlp", "0.1", "triangle", 8, 128, "training")
    ours = contest.Timed(case, "snnc f32", "f32", 1, (9.0, 9.0, 9.0), (1.0, 2.0, 6.0), 2.3, {"s": 0.1, "t": 0.3})
    base = contest.Timed(case, "spikingjelly", "f32", 1, (1.0, 1.0, 1.0), (4.0, 4.0, 3.0), 2.3)
    assert contest.ratio(ours, base) == (0.5, 0.25, 2.0)
    assert contest.ratio(replace(ours, threads=2), replace(base, threads=2)) == (9.0, 9.0, 9.0), "wall time of several"
    slow = [replace(each, threads=2) for each in (ours, base)]
    lines = list(module("tables").of_contest([ours, base, *slow, ours, base]))
    assert [line for line in lines if "step" in line] == [
        "\nA training step, 1 thread:\n",
        "\nA training step, 2 threads:\n",
    ]
    cells = [cell.strip() for cell in lines[1].splitlines()[2].split("|")][1:-1]
    assert cells[:5] == ["mlp", "10%", "triangle", "snnc f32", "f16"]
    assert cells[5:] == ["2000.0", "1000.0..6000.0", "0.50", "0.25..2.00", "20.0%", ""]


def test_shares_of_kernels_and_work_are_told(tmp_path: Path) -> None:
    """What is added and what zeros save are together what dense operands take, by hand of a network of two layers."""
    roofline = module("roofline")
    text = "network two(image: f16[6]) steps 3 { s = lif(linear(image, out=8)) return linear(s, out=2) }"
    step = roofline.TrainingStep(compile(str(write(tmp_path, text)), target="tiny", batch=4))
    found = roofline.work(step)
    once, timed = 4 * 6 * 8, 4 * 3 * 8 * 2
    forward, errors, biases = once + timed, timed, 4 * 8 + 4 * 3 * 2
    gradients = once + timed + biases
    assert found["dense_macs"] == forward + errors + gradients > found["added_macs"] > 0
    kernels = roofline.by_kernel(step)
    assert 0 < sum(kernels.values()) < 1
    assert all(share > 0 for share in kernels.values())
    assert "Contraction.add" in kernels  # also where it was kept before anybody listened


def test_ratios_are_drawn_by_network_and_rate() -> None:
    pytest.importorskip("matplotlib")
    contest, draw = module("contest"), module("pictures").draw
    found = [
        contest.Timed(
            contest.Case("mlp", rate, "atan(alpha=2.0)", 8, 128, "training"), peer, "f32", 1, seconds, seconds, 2.0
        )
        for rate in ("0.05", "0.1")
        for peer, seconds in (("snnc f32", (2.0, 1.0)), ("spikingjelly", (3.0, 4.0)))
    ]
    drawn = draw(found, ".svg")
    assert drawn == draw(found, ".svg")
    for word in (b"mlp", b"5%", b"10%", b"snnc f32, atan"):
        assert word in drawn


def test_options_have_defaults_and_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    options = module("command").options
    chosen = options(["training", "--models", "mlp", "csnn", "--rates", "10", "2.5", "trained", "--threads", "1"])
    assert (chosen.parts, chosen.models, chosen.threads) == (["training"], ["mlp", "csnn"], [1])
    assert chosen.rates == ["0.1", "0.025", "trained"]
    assert chosen.surrogates == ["triangle", "atan"]
    assert options(["--quick", "--repeat", "7"]).repeat == 7
    assert options(["--quick"]).models == ["mlp", "csnn"]
    for wrong, told in (
        (["trainign"], "there is no part trainign; there are training, inference"),
        (["--repeat", "0"], "at least one repetition"),
        (["--rates", "many"], "--rates takes numbers, in percent, and the word trained"),
    ):
        with pytest.raises(SystemExit):
            options(wrong)
        assert told in capsys.readouterr().err


def test_one_command_runs_parts_and_writes_what_it_measured(tmp_path: Path) -> None:
    """Of our own programs alone: who is not asked, or refuses a mode, has no row."""
    written = tmp_path / "out.json"
    command = [sys.executable, "-m", "benchmarks", "training", "inference", "--models", "digits"]
    command += ["--rates", "trained", "--train-first", "0", "--surrogates", "rect", "--threads", "1", "2"]
    command += ["--batch", "4", "--steps", "2", "--repeat", "2", "--peers", "snnc f32", "snnc f32, 2 cores"]
    command += ["--json", str(written)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not ended.returncode, ended.stderr
    found = json.loads(written.read_text())
    rows = [
        (each["case"]["entry"], each["case"]["surrogate"].partition("(")[0], each["peer"], each["threads"])
        for each in found["contest"]
    ]
    asked = [("snnc f32", 1), ("snnc f32, 2 cores", 1), ("snnc f32, 2 cores", 2)]
    assert rows == [(entry, "rect", *row) for entry in ("training", "inference") for row in asked]
    for each in found["contest"]:
        assert (each["precision"], len(each["processor"])) == ("f32", 2)
        assert min(each["processor"]) > 0
    assert "| digits  | trained | rect(" in ended.stdout


def test_memory_of_a_step_is_told_beside_its_bound() -> None:
    found = module("footprint").footprint("digits", "edge512")
    assert found["scratchpad_bytes"] == 524288
    assert found["bound_bytes"] == round(1.5 * (found["dram_bytes"] + 524288) + 150e6)
    assert 10e6 < found["before_bytes"] <= found["peak_bytes"] < 1e9


def test_a_mistake_ends_the_benchmark_with_its_words() -> None:
    command = [sys.executable, "-m", "benchmarks", "training", "--models", "digist", "--peers", "snnc f32"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "digist" in ended.stderr
    assert "Traceback" not in ended.stderr
