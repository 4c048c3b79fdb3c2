"""Learning without labels, from the command: clusters get classes afterwards, and every command reports by them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner, Result

from snnc.cli import main

DOCS = Path(__file__).parents[2] / "docs"
MODEL = """
# Patterns of sixteen pixels; outputs are no classes, and there are fewer of them than numbers of classes.
network clusters(image: f16[16]) steps 6 {
    w = parameter(init=uniform(bound=0.5))
    c = linear(image, w=w, out=8, bias=false)
    return competing_lif(c, threshold=2, inhibition=20, jump=0.5, excess_decay=0.95)
}
train {
    rule = stdp(potentiation=0.25, depression=0.01, tau_pre=4, tau_post=4, normalise=4, label_samples=24)
    coding = poisson
    batch = 5
}
"""


def invoke(*arguments: str | int | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model beside its data: three kinds of samples, each bright in five pixels of its own, called 3, 7 and 11."""
    path = tmp_path_factory.mktemp("labels")
    (path / "clusters.snn").write_text(MODEL)
    rng = np.random.default_rng(2)
    kinds = np.arange(88) % 3
    images = rng.uniform(0, 0.1, (88, 16)).astype(np.float32)
    for kind in range(3):
        images[kinds == kind, 5 * kind : 5 * kind + 5] += 0.8
    labels = 3 + 4 * kinds
    np.savez(path / "kinds.npz", x_train=images[:58], y_train=labels[:58], x_test=images[58:], y_test=labels[58:])
    return path


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    """A run, with its program and its checkpoint beside it."""
    result = invoke(
        "train", folder / "clusters.snn", "--data", f"npz:{folder / 'kinds.npz'}", "--cores", 2, "--epochs", 2,
        "-o", folder / "clusters.snnb", "--checkpoint", folder / "clusters.ckpt", "--json", folder / "run.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    (folder / "told.txt").write_text(result.output)
    return json.loads((folder / "run.json").read_text())


def test_what_is_learned_without_labels_tells_classes_apart(report: dict[str, Any], folder: Path) -> None:
    assert report["accuracy"]["test"] > 0.9 and report["accuracy"]["train"] is None
    assert report["loss"] == [] and report["test_loss"] is None
    assert len(report["labels"]["outputs"]) == 8 and set(report["labels"]["outputs"]) <= {-1, 3, 7, 11}
    assert report["labels"]["samples"] == 24
    assert report["calls"] == {"init": 1, "train_step": 24, "infer": 5 + 6}
    counted, predicted = report["counted"]["run"]["dram"]["total"], report["predicted"]["run"]["dram"]["total"]
    assert counted == predicted, "what labels cost is counted, and predicted"
    jsonschema.validate(report, json.loads((DOCS / "run.schema.json").read_text()))
    told = (folder / "told.txt").read_text()
    assert "loss -> " not in told and "epoch 2 of 2\n" in told and "assigned on 24 training samples" in told


def test_weights_that_have_learned_nothing_tell_less(report: dict[str, Any], folder: Path) -> None:
    result = invoke(
        "train", folder / "clusters.snn", "--data", f"npz:{folder / 'kinds.npz'}", "--lr", 0, "--epochs", 2,
        "--json", folder / "still.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    still = json.loads((folder / "still.json").read_text())
    assert still["accuracy"]["test"] < report["accuracy"]["test"]


def test_neurons_that_never_fire_are_warned_of(folder: Path) -> None:
    (folder / "silent.snn").write_text(MODEL.replace("threshold=", "threshold=10"))
    data = f"npz:{folder / 'kinds.npz'}"
    result = invoke("train", folder / "silent.snn", "--data", data, "--max-steps", 2, "--cores", 1)
    assert result.exit_code == 0, result.output
    assert result.stderr.splitlines()[-1] == (
        "warning: none of the 8 outputs fired for any of 10 samples, and what does not fire learns nothing; "
        "lower thresholds, or larger weights to begin with, let neurons fire"
    )


def test_a_checkpoint_keeps_the_classes(report: dict[str, Any], folder: Path) -> None:
    common = (
        folder / "clusters.snnb",
        "--data",
        f"npz:{folder / 'kinds.npz'}",
        "--checkpoint",
        folder / "clusters.ckpt",
    )
    result = invoke("eval", *common, "--json", folder / "eval.json")
    assert result.exit_code == 0, result.output
    assert json.loads((folder / "eval.json").read_text())["accuracy"] == report["accuracy"]["test"]
    assert "assigned on 24 training samples" in result.output
    result = invoke("predict", *common, "-o", folder / "answers.csv")
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader((folder / "answers.csv").open()))
    right = [row["prediction"] == row["label"] for row in rows]
    assert sum(right) / len(right) == report["accuracy"]["test"] and {row["label"] for row in rows} == {"3", "7", "11"}


def test_with_weights_alone_the_training_samples_are_asked_again(report: dict[str, Any], folder: Path) -> None:
    result = invoke(
        "eval", folder / "clusters.snnb", "--data", f"npz:{folder / 'kinds.npz'}",
        "--weights", folder / "clusters.ckpt", "--json", folder / "weights.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    told = json.loads((folder / "weights.json").read_text())
    assert told["accuracy"] > 0.9
    with_labels = json.loads((folder / "eval.json").read_text())
    assert told["counted"] == with_labels["counted"], "what is asked for labels is not told of the samples"


def test_a_run_that_goes_on_knows_the_classes_of_its_end(report: dict[str, Any], folder: Path) -> None:
    common = (folder / "clusters.snnb", "--data", f"npz:{folder / 'kinds.npz'}", "--epochs", 2)
    first = invoke("run", *common, "--max-steps", 7, "--checkpoint", folder / "half.ckpt")
    assert first.exit_code == 0, first.output
    second = invoke("run", *common, "--resume", folder / "half.ckpt", "--json", folder / "resumed.json")
    assert second.exit_code == 0, second.output
    resumed = json.loads((folder / "resumed.json").read_text())
    assert (resumed["labels"], resumed["accuracy"]) == (report["labels"], report["accuracy"])


BOTH = """
network both(image: f16[16]) steps 4 {
    s = lif(linear(image, out=12, bias=false), threshold=0.5)
    return lif(linear(s, out=12, bias=false), threshold=0.25)
}
train { loss = mse_rate; optimizer = adam(lr=5e-2); batch = 8; coding = poisson }
"""


def test_a_comparison_has_a_column_without_a_loss(folder: Path) -> None:
    (folder / "both.snn").write_text(BOTH)
    result = invoke(
        "compare", folder / "both.snn", "--rules", "stdp(w_min=-1),bptt", "--data", f"npz:{folder / 'kinds.npz'}",
        "--loss", "mse_rate", "--clip", "norm(1.0)", "--cores", 2, "--json", folder / "compare.json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "stdp(w_min=-1.0) learns without a loss: --loss, --clip go to the other rules" in result.output
    stdp, bptt = json.loads((folder / "compare.json").read_text())["rules"]
    assert stdp["outcome"] == bptt["outcome"] == "trained"
    assert stdp["run"]["loss"] == [] and len(bptt["run"]["loss"]) == 8
    assert stdp["run"]["settings"]["loss"] == {"value": {"name": "rates"}, "origin": "rule"}
    assert stdp["run"]["accuracy"]["test"] is not None and bptt["run"]["labels"] is None
    assert "BP" not in stdp["run"]["counted"]["step"]["by_phase"]
    (row,) = (line for line in result.output.splitlines() if line.startswith("│ training loss"))
    assert [cell.strip() for cell in row.strip("│").split("│")][2] == ""


def test_scans_of_digits_are_told_apart_without_labels(tmp_path: Path) -> None:
    """Forty neurons that see each scan once; with the weights as they are drawn, 37 % are right."""
    pytest.importorskip("sklearn", reason="needs scikit-learn for the scans of digits")
    (tmp_path / "scans.snn").write_text("""
network scans(image: f16[64]) steps 8 {
    w = parameter(init=uniform(bound=0.3))
    c = linear(image, w=w, out=40, bias=false)
    return competing_lif(c, decay=0.9, threshold=4, inhibition=100, jump=2, excess_decay=0.98)
}
train {
    rule = stdp(potentiation=0.1, tau_pre=8, tau_post=8, trace=nearest, normalise=12, label_samples=600)
    coding = poisson; batch = 16
}""")
    machine = Path(__file__).parents[2] / "benchmarks" / "wide.toml"
    result = invoke(
        "train", tmp_path / "scans.snn", "--data", "digits", "--target", machine, "--json", tmp_path / "run.json"
    )
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "run.json").read_text())["accuracy"]["test"] > 0.6
