"""The commands from a model to numbers, on a network so small that a run takes a second."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner, Result

from snnc.cli import main
from snnc.isa import binary
from snnc.runtime import interpreter
from snnc.runtime.chip import Chip
from snnc.runtime.counters import Counters
from snnc.runtime.unrolling import Ways

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs" / "run.schema.json").read_text())
MODEL = """
# Sixteen pixels, eight neurons, two classes.
network small(image: f16[1, 4, 4]) steps 2 {
    hidden = linear(flatten(image), out=8)
    spikes = lif(hidden, decay=0.5, threshold=0.5)
    answer = linear(spikes, out=2)
    return answer
}
train { loss = cross_entropy; optimizer = adam(lr=5e-2); schedule = constant; batch = 8; loss_scale = 64 }
"""


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def done(*arguments: str | Path) -> str:
    """What a command that succeeds says."""
    result = invoke(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*arguments: str | Path) -> str:
    """What a command says that ends with the user's error."""
    result = invoke(*arguments)
    assert result.exit_code == 1, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, and data whose two classes are bright above and bright below."""
    path = tmp_path_factory.mktemp("commands")
    (path / "small.snn").write_text(MODEL)
    rng = np.random.default_rng(1)
    labels = np.arange(44) % 2
    images = rng.uniform(0, 0.4, (44, 4, 4)).astype(np.float32)
    images[labels == 0, :2] += 0.6
    images[labels == 1, 2:] += 0.6
    np.savez(path / "halves.npz", x_train=images[:28], y_train=labels[:28], x_test=images[28:], y_test=labels[28:])
    np.savez(path / "wide.npz", images=np.zeros((44, 5, 5), np.float32), labels=labels)
    np.savez(path / "three.npz", images=images, labels=np.arange(44) % 3)
    return path


@pytest.fixture(scope="module")
def data(folder: Path) -> str:
    return f"npz:{folder / 'halves.npz'}"


@pytest.fixture(scope="module")
def program(folder: Path) -> Path:
    """The model, compiled for two cores."""
    path = folder / "small.snnb"
    done("compile", folder / "small.snn", "--cores", "2", "-o", path)
    return path


@pytest.fixture(scope="module")
def trained(folder: Path, program: Path, data: str) -> dict[str, Any]:
    """The JSON of a run that also wrote all that a run can write."""
    files = {"checkpoint": "small.ckpt", "save-weights": "small.npz", "trace": "trace.json", "json": "run.json"}
    options = [part for name, file in files.items() for part in (f"--{name}", str(folder / file))]
    dump = f"hidden.w@3={folder / 'w.npy'}"
    told = done("run", program, "--data", data, "--epochs", "6", "--seed", "3", "--dump", dump, *options)
    assert "DRAM, counted" in told
    assert "epoch 6 of 6" in told
    return json.loads((folder / "run.json").read_text())


def test_the_json_of_a_run_follows_the_schema(trained: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(trained, SCHEMA, cls=jsonschema.Draft202012Validator)


def test_a_run_learns_and_says_so(trained: dict[str, Any]) -> None:
    assert len(trained["loss"]) == trained["steps"] == 6 * 4
    assert trained["loss"][-1] < 0.5 * trained["loss"][0]
    assert trained["accuracy"]["test"] >= 0.9
    assert 0 < trained["spike_rates"]["spikes"] < 1
    assert trained["calls"] == {"init": 1, "train_step": 24, "infer": 2}


def test_threads_change_no_result(
    folder: Path, program: Path, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of `run`, `train`, `eval` and `predict`; unless asked for there are as many as there are processors."""
    asked: list[int] = []
    ways = interpreter.Ways

    def heard(chip: Chip, counters: Counters, threads: int) -> Ways:
        asked.append(threads)
        return ways(chip, counters, threads)

    monkeypatch.setattr(interpreter, "Ways", heard)
    monkeypatch.setattr("snnc.cli._options.os.sched_getaffinity", _three, raising=False)
    seen: list[Any] = []
    for threads in ("1", "2", None):
        with_threads = () if threads is None else ("--threads", threads)
        learned, answers = tmp_path / f"{threads}.ckpt", tmp_path / f"{threads}.csv"
        options = ("--data", data, "--json", "-", *with_threads)
        told = [done("run", program, *options, "--epochs", "2", "--checkpoint", learned)]
        told += [done("train", folder / "small.snn", *options, "--epochs", "2", "--target", "quad", "--cores", "2")]
        told += [done("eval", program, *options, "--checkpoint", learned)]
        told += [done("predict", program, *options, "--checkpoint", learned, "-o", answers)]
        assert asked == [{"1": 1, "2": 2, None: 2}[threads]] * 4
        asked.clear()
        assert all("counted" in json.loads(each) for each in told[:3])
        seen.append(([_results(json.loads(each)) for each in told], answers.read_text()))
    assert seen[0] == seen[1] == seen[2]


def _three(process: int) -> set[int]:
    """The processors of a process."""
    return {0, 1, 2}


def _results(told: Any) -> dict[str, Any]:
    """Of what a command wrote all that is no time, file or version."""
    return {name: told[name] for name in told.keys() & {"loss", "accuracy", "counted", "modelled", "spike_rates"}}


def test_counted_predicted_and_bound_stand_in_their_order(trained: dict[str, Any]) -> None:
    for part in ("step", "run"):
        counted, predicted = trained["counted"][part]["dram"], trained["predicted"][part]["dram"]
        assert counted == predicted
    phases = trained["counted"]["step"]["by_phase"]
    assert {"FP", "BP", "WG", "UP"} <= set(phases)
    assert sum(row["dram"]["total"] for row in phases.values()) == trained["counted"]["step"]["dram"]["total"]
    assert trained["bound"]["train_step"]["dram"]["floor"] <= trained["counted"]["step"]["dram"]["total"]


def test_the_program_of_the_report_is_the_file(trained: dict[str, Any], program: Path) -> None:
    loaded = binary.load(program)
    facts = {"bytes": program.stat().st_size, "instructions": loaded.instruction_count}
    assert trained["program"] == {**facts, "sha256": binary.fingerprint(loaded)}


def test_a_dump_and_the_weights_are_files_of_logical_shape(trained: dict[str, Any], folder: Path) -> None:
    assert np.load(folder / "w.npy").shape == (8, 16)
    with np.load(folder / "small.npz") as weights:
        shapes = {name: weights[name].shape for name in weights.files}
    assert shapes == {"hidden.w": (8, 16), "hidden.b": (8,), "answer.w": (2, 8), "answer.b": (2,)}


def test_a_trace_is_a_timeline(trained: dict[str, Any], folder: Path) -> None:
    trace = json.loads((folder / "trace.json").read_text())
    assert trace["otherData"] == {"entry": "train_step", "cycles": trained["cycles"]}
    assert any(event["ph"] == "X" for event in trace["traceEvents"])


@pytest.mark.parametrize("source", ["--checkpoint", "--weights"])
def test_eval_gives_the_accuracy_of_the_run(source: str, trained: dict[str, Any], folder: Path, data: str) -> None:
    file = folder / ("small.ckpt" if source == "--checkpoint" else "small.npz")
    told = json.loads(done("eval", folder / "small.snnb", source, file, "--data", data, "--json", "-"))
    assert told["accuracy"] == trained["accuracy"]["test"]
    assert told["samples"] == 16


def test_predictions_agree_with_eval(trained: dict[str, Any], folder: Path, data: str) -> None:
    common = ["predict", folder / "small.snnb", "--weights", folder / "small.npz", "--data", data, "-o"]
    done(*common, folder / "answers.npz")
    done(*common, folder / "answers.csv")
    with np.load(folder / "answers.npz") as answers:
        prediction, label, logits = (answers[name] for name in ("prediction", "label", "logits"))
    assert np.mean(prediction == label) == trained["accuracy"]["test"]
    table = np.loadtxt(folder / "answers.csv", delimiter=",", skiprows=1)
    np.testing.assert_array_equal(table[:, 1:3], np.column_stack([prediction, label]))
    np.testing.assert_array_equal(table[:, 3:].astype(np.float32), logits)


def test_a_run_that_is_resumed_ends_with_the_same_bits(
    trained: dict[str, Any], folder: Path, program: Path, data: str
) -> None:
    half, whole = folder / "half.ckpt", folder / "whole.npz"
    common = ["run", program, "--data", data, "--epochs", "6", "--seed", "3"]
    done(*common, "--max-steps", "10", "--checkpoint", half)
    resumed = json.loads(done(*common, "--resume", half, "--save-weights", whole, "--json", "-"))
    assert resumed["loss"] == trained["loss"]
    assert whole.read_bytes() == (folder / "small.npz").read_bytes()
    assert resumed["calls"]["train_step"] == 14


def test_weights_are_where_a_run_begins(trained: dict[str, Any], folder: Path, program: Path, data: str) -> None:
    again = done("run", program, "--data", data, "--max-steps", "1", "--weights", folder / "small.npz", "--json", "-")
    assert json.loads(again)["loss"][0] < 0.5 * trained["loss"][0]


def test_train_is_compile_and_run(trained: dict[str, Any], folder: Path, program: Path, data: str) -> None:
    kept = folder / "again.snnb"
    told = done(
        *("train", folder / "small.snn", "--cores", "2", "--data", data, "--epochs", "6", "--seed", "3"),
        *("-o", kept, "--json", "-"),
    )
    report = json.loads(told)
    jsonschema.validate(report, SCHEMA, cls=jsonschema.Draft202012Validator)
    assert report["loss"] == trained["loss"]
    assert report["settings"]["epochs"] == {"value": 6, "origin": "command line"}
    assert report["settings"]["optimizer"]["origin"] == "file"
    assert kept.stat().st_size > 0


def test_the_oracle_agrees_with_the_program(folder: Path, program: Path, data: str) -> None:
    model = folder / "small.snn"
    done("run", program, "--data", data, "--max-steps", "2", "--compare-oracle", model, "--check-races")
    other = folder / "other.snn"
    other.write_text(MODEL.replace("threshold=0.5", "threshold=0.25"))
    message = refused("run", program, "--data", data, "--max-steps", "2", "--compare-oracle", other)
    assert "is not the program's" in message


def test_running_statistics_go_with_the_weights(folder: Path) -> None:
    """A network with norms infers the same from a checkpoint, from its weights, and from weights compiled in."""
    model = folder / "normed.snn"
    normed = "linear(flatten(image), out=8)\n    normed = batch_norm(hidden, scope=separate)"
    model.write_text(MODEL.replace("linear(flatten(image), out=8)", normed).replace("lif(hidden", "lif(normed"))
    model.write_text(model.read_text().replace("image: f16[1", "image: f16[t, 1"))
    rng = np.random.default_rng(4)
    labels = np.arange(24) % 2
    moving = rng.uniform(0, 1, (24, 2, 1, 4, 4)).astype(np.float32) + labels[:, None, None, None, None]
    np.savez(folder / "moving.npz", x_train=moving, y_train=labels, x_test=moving, y_test=labels)
    data, program = f"npz:{folder / 'moving.npz'}", folder / "normed.snnb"
    kept = ["--checkpoint", folder / "normed.ckpt", "--save-weights", folder / "normed.npz"]
    done("train", model, "--data", data, "--epochs", "3", "-o", program, *kept)
    with np.load(folder / "normed.npz") as arrays:
        assert arrays["normed.running_mean"].shape == (2, 8)
        assert np.any(arrays["normed.running_mean"]) and np.all(arrays["normed.running_var"] != 1)
        assert arrays["normed.gamma"].shape == (2, 8)
    done("compile", model, "--weights", folder / "normed.npz", "-o", folder / "laid.snnb")
    answers = [
        json.loads(done("eval", path, "--data", data, *options, "--json", "-"))
        for path, *options in (
            (program, "--checkpoint", folder / "normed.ckpt"),
            (program, "--weights", folder / "normed.npz"),
            (folder / "laid.snnb",),
        )
    ]
    facts = [{name: told[name] for name in ("accuracy", "loss", "samples")} for told in answers]
    assert facts[0] == facts[1] == facts[2]


def test_a_setting_of_the_network_is_set_and_remembered(folder: Path) -> None:
    model, data = folder / "wide.snn", f"npz:{folder / 'halves.npz'}"
    model.write_text(MODEL.replace("4]) steps", "4], width=8) steps").replace("out=8", "out=width"))
    program = folder / "wide.snnb"
    told = json.loads(done("compile", model, "--set", "width=12", "-o", program, "--json", "-"))
    assert told["settings"]["width"] == {"value": 12, "origin": "command line"}
    assert binary.load(program).symbol("hidden.w").shape == (12, 16)
    done("run", program, "--data", data, "--max-steps", "1", "--compare-oracle", model)
    assert (
        refused("compile", model, "--set", "widht=12") == "no setting of small is called 'widht'; did you mean width?\n"
    )
    for wrong, reason in (("width", "'width' is not NAME=VALUE"), ("width=", "'width=' is not NAME=VALUE")):
        result = invoke("compile", model, "--set", wrong)
        assert result.exit_code == 2
        assert f"Invalid value for --set: {reason}" in result.output
    twice = invoke("compile", model, "--set", "width=1", "--set", "width=2")
    assert twice.exit_code == 2
    assert "Invalid value for --set: width is given twice" in twice.output


def test_the_command_line_comes_before_the_file(folder: Path) -> None:
    options = ["--batch", "4", "--lr", "0.5", "--schedule", "cosine(warmup=2)", "--pin", "hidden.fp=output_stationary"]
    told = json.loads(done("compile", folder / "small.snn", *options, "-o", folder / "b4.snnb", "--json", "-"))
    assert told["settings"]["batch"] == {"value": 4, "origin": "command line"}
    assert told["settings"]["optimizer"]["value"]["lr"] == 0.5
    loaded = binary.load(folder / "b4.snnb")
    assert (loaded.batch, loaded.settings["learning_rate"]) == (4, 0.5)


@pytest.mark.parametrize("stage", ["graph", "training", "schedule", "assembly"])
def test_every_stage_can_be_shown(stage: str, folder: Path) -> None:
    file = folder / f"{stage}.txt"
    done("compile", folder / "small.snn", "--emit", stage, "-o", file)
    shown = file.read_text()
    assert shown == done("inspect", folder / "small.snn", "--emit", stage)
    assert "small" in shown


def test_the_schedule_says_what_was_decided_and_why(folder: Path) -> None:
    shown = done("compile", folder / "small.snn", "--emit", "schedule")
    for words in ("entry train_step", "buffer ", "because ", "candidates fit", "binds: ", "small.snn:4"):
        assert words in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target", "tinny"], "did you mean tiny?"),
        (["--rule", "bpt"], "did you mean bptt?"),
        (["--dataflow", "weight-stationery"], "did you mean weight_stationary?"),
        (["--optimizer", "adamm"], "did you mean adam"),
        (["--loss", "cross_entropi"], "did you mean cross_entropy"),
        (["--pin", "hidden.xx=split=batch"], "expected NAME.PHASE=CHOICE"),
    ],
)
def test_a_wrong_name_gets_the_nearest(arguments: list[str], message: str, folder: Path) -> None:
    told = refused("compile", folder / "small.snn", *arguments, "-o", folder / "never.snnb")
    assert message in told
    assert not (folder / "never.snnb").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("steps 2 {", "steps 2 ("), "small.snn:3:"),
        (("lif(hidden", "liff(hidden"), "did you mean lif?"),
        (("decay=0.5", "decya=0.5"), "did you mean decay?"),
    ],
)
def test_a_fault_in_a_model_is_told_with_its_place(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    model = tmp_path / "small.snn"
    model.write_text(MODEL.replace(*change))
    told = refused("compile", model, "-o", tmp_path / "never.snnb")
    assert message in told
    assert "^" in told


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wide.npz", "samples of npz:{} have the shape [5, 5]; the network wants [1, 4, 4]"),
        ("three.npz", "has 3 classes; the network has 2 outputs"),
        ("missing.npz", "No such file or directory"),
    ],
)
def test_data_that_does_not_fit_is_refused(name: str, message: str, folder: Path, program: Path) -> None:
    path = folder / name
    assert message.format(path) in refused("run", program, "--data", f"npz:{path}")


def test_a_checkpoint_of_another_program_is_refused(trained: dict[str, Any], folder: Path, data: str) -> None:
    other = folder / "one.snnb"
    done("compile", folder / "small.snn", "--cores", "1", "-o", other)
    message = refused("run", other, "--data", data, "--seed", "3", "--resume", folder / "small.ckpt")
    assert "compiled otherwise" in message
    assert "--weights" in message
    done("eval", other, "--data", data, "--weights", folder / "small.ckpt")


def test_an_unknown_tensor_to_dump_gets_the_nearest(program: Path, data: str) -> None:
    assert "did you mean hidden.w?" in refused("run", program, "--data", data, "--dump", "hiden.w@1")


def test_ctrl_c_leaves_a_checkpoint_that_goes_on(folder: Path, program: Path, data: str) -> None:
    checkpoint = folder / "interrupted.ckpt"
    code = f"""
import os, signal, sys
from snnc.cli import main
from snnc.cli._progress import ProgressBar
plain = ProgressBar.step
def step(self, *facts):
    plain(self, *facts)
    if self.done == 5:
        os.kill(os.getpid(), signal.SIGINT)
ProgressBar.step = step
main(["run", {str(program)!r}, "--data", {data!r}, "--epochs", "3", "--checkpoint", {str(checkpoint)!r}])
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stderr
    assert "interrupted after 5 training steps" in ended.stderr
    assert "Traceback" not in ended.stderr
    resumed = done("run", program, "--data", data, "--epochs", "3", "--resume", checkpoint, "--json", "-")
    assert json.loads(resumed)["steps"] == 12
