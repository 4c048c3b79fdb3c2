"""`snnc compare`: one network under several rules, from the same parameters on the same samples, in one table."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from click.testing import CliRunner, Result
from referencing import Registry, Resource

from snnc.cli import main

DOCS = Path(__file__).parents[2] / "docs"
MODEL = """
# Sixteen pixels, eight neurons, two classes.
network small(image: f16[t, 1, 4, 4]) steps 3 {
    hidden = linear(flatten(image), out=8)
    spikes = lif(hidden, decay=0.5, threshold=0.5)
    answer = linear(spikes, out=2)
    return answer
}
train { loss = cross_entropy; optimizer = adam(lr=5e-2); batch = 8; epochs = 3; loss_scale = 64 }
"""
LOSS = "cross_entropy_mse(lam=0.25)"
RULES = ("bptt", "sltt", "ottt_a")


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model beside its data, whose two classes are bright above and bright below."""
    path = tmp_path_factory.mktemp("compare")
    (path / "small.snn").write_text(MODEL)
    rng = np.random.default_rng(1)
    labels = np.arange(44) % 2
    images = rng.uniform(0, 0.4, (44, 3, 1, 4, 4)).astype(np.float32)
    images[labels == 0, :, :, :2] += 0.6
    images[labels == 1, :, :, 2:] += 0.6
    np.savez(path / "halves.npz", x_train=images[:28], y_train=labels[:28], x_test=images[28:], y_test=labels[28:])
    return path / "small.snn"


@pytest.fixture(scope="module")
def data(model: Path) -> str:
    return f"npz:{model.parent / 'halves.npz'}"


@pytest.fixture(scope="module")
def told(model: Path, data: str) -> Result:
    """Three rules that all train."""
    file = model.parent / "compare.json"
    result = invoke(model, "--rules", ",".join(RULES), "--data", data, "--loss", LOSS, "--cores", "2", "--json", file)
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def report(told: Result, model: Path) -> dict[str, Any]:
    return json.loads((model.parent / "compare.json").read_text())


def valid(value: Any) -> None:
    """The value follows the schema, which takes that of a run for its parts."""
    schemas = {name: json.loads((DOCS / name).read_text()) for name in ("compare.schema.json", "run.schema.json")}
    schema: dict[str, Any] = {"$id": "compare.schema.json", **schemas["compare.schema.json"]}
    registry: Registry[Any] = Registry()
    registry = registry.with_resource("run.schema.json", Resource.from_contents(schemas["run.schema.json"]))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator: Any = jsonschema.Draft202012Validator(schema, registry=registry)
    validator.validate(value)


def test_the_table_has_every_figure_with_its_basis(told: Result, golden: Callable[[str, str], None]) -> None:
    """Losses and counts have the same bits on every machine, so the text is one."""
    first = told.stdout.index("small: 12 training steps")
    golden("text/compare.txt", told.stdout[first:])


def test_the_json_follows_the_schema(report: dict[str, Any]) -> None:
    valid(report)
    assert [trial["rule"] for trial in report["rules"]] == [f"{rule}" for rule in RULES]
    assert report["settings"]["loss"]["origin"] == "command line"
    assert "rule" not in report["settings"]


@pytest.mark.parametrize("rule", RULES)
def test_of_each_rule_it_tells_what_train_tells(rule: str, report: dict[str, Any], model: Path, data: str) -> None:
    """But for the time that it took, and for what is called a setting of the command line."""
    words = ["train", str(model), "--rule", rule, "--data", data, "--loss", LOSS, "--cores", "2", "--json", "-"]
    alone = json.loads(CliRunner().invoke(main, words).stdout)
    (trial,) = (trial for trial in report["rules"] if trial["rule"] == rule)
    among = trial["run"]
    assert {name for name in among if among[name] != alone[name]} <= {"command", "seconds"}
    assert (among["command"], alone["command"]) == ("compare", "train")


def test_all_rules_begin_with_the_same_parameters_and_samples(report: dict[str, Any]) -> None:
    runs = [trial["run"] for trial in report["rules"]]
    assert len({run["loss"][0] for run in runs}) == 1
    assert len({run["loss"][-1] for run in runs}) == len(runs)
    forward = [run["counted"]["step"]["by_phase"]["FP"]["work"] for run in runs]
    assert len({(work["gated"], work["multiply"]) for work in forward}) == 1


def test_tape_and_carried_state_have_the_bytes_of_the_network(report: dict[str, Any]) -> None:
    """8 samples of 8 membranes (f16), 8 spikes (bits), 2 answers (f16); state: membrane, two sums, 4 bits a trace."""
    found = {trial["rule"]: (trial["allocated"]["tape"], trial["allocated"]["carried"]) for trial in report["rules"]}
    membranes, spikes, answers, sums = 8 * 8 * 2, 8 * 1, 8 * 2 * 2, 8 * 2 * 4
    assert found == {
        "bptt": (3 * (membranes + spikes + answers), 0),
        "sltt": (membranes + spikes + answers, membranes + 2 * sums),
        "ottt_a": (membranes + answers, membranes + 8 * 8 * 4 // 8 + 2 * sums),
    }


def test_a_window_has_the_tape_of_its_steps(model: Path, data: str) -> None:
    """Windows of one step have the memory of `sltt`."""
    words = ("--rules", "bptt(window=1, update=batch),sltt", "--data", data, "--loss", LOSS, "--max-steps", "1")
    result = invoke(model, *words, "--json", "-")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    valid(report)
    windows, online = report["rules"]
    assert windows["rule"] == "bptt(update=batch, window=1)"
    for what in ("tape", "carried"):
        assert windows["allocated"][what] == online["allocated"][what] > 0


def test_work_is_counted_by_phase(report: dict[str, Any]) -> None:
    """3 steps, 8 samples, 16 pixels, 8 neurons, 2 answers; what is not done was skipped."""
    first, second, biases = 3 * 8 * 16 * 8, 3 * 8 * 8 * 2, 3 * 8 * (8 + 2)
    for trial in report["rules"]:
        phases = trial["run"]["counted"]["step"]["by_phase"]
        work = {phase: phases[phase]["work"] for phase in ("FP", "BP", "WG")}
        all_of = {phase: each["gated"] + each["multiply"] + each["skipped"] for phase, each in work.items()}
        assert all_of == {"FP": first + second, "BP": second, "WG": first + second + biases}
        assert work["BP"]["gated"] == 0 < work["BP"]["multiply"]


def test_a_rule_that_refuses_is_told_and_the_others_go_on(model: Path, data: str) -> None:
    words = ("--rules", "sltt,bptt", "--data", data, "--max-steps", "1", "--json", "-")
    result = invoke(model, *words)
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    valid(report)
    refused, trained = report["rules"]
    assert (refused["outcome"], trained["outcome"]) == ("refused", "trained")
    assert trained["run"]["steps"] == report["steps"] == 1
    message = "sltt needs the error of a step in that step, and cross_entropy knows it after the last"
    hint = "--loss 'cross_entropy_mse(lam=0.0)', for all rules alike"
    assert refused["faults"] == [{"place": f"{model}:9:9", "message": message, "hints": [hint]}]
    assert f"sltt refused: {model}:9:9: {message}\n  try: {hint}\n" in result.stderr
    assert re.search(r"basis +┃ +sltt +┃ +bptt ", result.stderr)
    assert re.search(r"│ +refused +│ +trained │", result.stderr)


def test_no_loss_is_offered_that_would_not_help(model: Path, data: str) -> None:
    other = model.parent / "learned.snn"
    other.write_text(MODEL.replace("lif(hidden, decay=0.5,", "plif(hidden,"))
    result = invoke(other, "--rules", "ottt_a", "--data", data, "--json", "-")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    valid(report)
    ((fault,),) = (trial["faults"] for trial in report["rules"])
    reason = "answer reads spikes: the trace of spikes of plif is not defined, that of lif and if is"
    assert fault == {"place": f"{other}:6:14", "message": f"ottt_a cannot train small: {reason}", "hints": []}
    assert result.stderr.endswith("small was trained under none of ottt_a\n")


def test_a_rule_that_wants_another_kind_of_loss_keeps_its_own_hints(model: Path, data: str) -> None:
    """What `dsr` asks for does not go away with the loss of each step, whatever loss the file names."""
    other = model.parent / "rates.snn"
    other.write_text(
        MODEL.replace("threshold=0.5", "threshold=0.5, reset=soft").replace("= cross_entropy", "= cross_entropy_mse")
    )
    report = json.loads(invoke(other, "--rules", "dsr", "--data", data, "--json", "-").stdout)
    ((fault,),) = (trial["faults"] for trial in report["rules"])
    assert fault["hints"] == [
        "loss = cross_entropy, the loss of the mean over time",
        "rule = dsr(form=step), which takes any loss",
    ]


def test_a_rule_without_a_loss_is_helped_by_none(model: Path, data: str) -> None:
    report = json.loads(invoke(model, "--rules", "stdp,bptt", "--data", data, "--max-steps", "1", "--json", "-").stdout)
    of_pixels, of_answers = report["rules"][0]["faults"]
    assert of_pixels["message"] == "stdp cannot train small: hidden reads hidden.flatten, which is f16 and no spikes"
    assert of_pixels["hints"] == of_answers["hints"] == []


def test_a_window_that_does_not_fit_is_told_of_the_rule_that_the_table_names(model: Path, data: str) -> None:
    words = ("--rules", "bptt(window=2),bptt", "--data", data, "--max-steps", "1", "--json", "-")
    ((fault,), _) = (trial.get("faults", []) for trial in json.loads(invoke(model, *words).stdout)["rules"])
    assert fault["message"] == "window of bptt is one that divides 3 steps: 1, 3, not 2"


def test_parameters_that_cannot_be_read_are_told_before_any_rule_is_tried(model: Path, data: str) -> None:
    missing = model.parent / "missing.npz"
    result = invoke(model, "--rules", "bptt,sltt", "--data", data, "--loss", LOSS, "--weights", missing)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"{missing}: cannot be read: No such file or directory\n"


def test_a_run_that_fails_is_told_as_such(model: Path, data: str) -> None:
    options = ("--loss", LOSS, "--lr", "1e38", "--max-steps", "3", "--json", "-")
    result = invoke(model, "--rules", "bptt,sltt", "--data", data, *options)
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    valid(report)
    for trial in report["rules"]:
        assert trial["outcome"] == "failed"
        assert "is not finite in step 1" in trial["faults"][0]["message"]
    assert "\nbptt failed: " in result.stderr and "\nsltt failed: " in result.stderr
    assert result.stderr.endswith("small was trained under none of bptt, sltt\n")


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("bptt,slt", "--rules: no rule is called 'slt'; did you mean sltt?"),
        ("ottt_a:K=2,sltt", "--rules: no setting of ottt_a is called 'K'; there are none"),
        ("bpt,sltt", "--rules: no rule is called 'bpt'; did you mean bptt?"),
    ],
)
def test_what_is_no_rule_is_told_before_anything_is_trained(rules: str, message: str, model: Path, data: str) -> None:
    result = invoke(model, "--rules", rules, "--data", data)
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", f"{message}\n")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rules", "bptt,K=2"], "Invalid value for --rules: 'K=2' is not NAME or NAME(key=value, ...)"),
        (["--rules", "bptt,sltt,bptt"], "Invalid value for --rules: bptt is given twice"),
        (["--rules", "bptt", "--plot", "x.pdf"], "Invalid value for --plot: x.pdf does not end in .png or .svg"),
        ([], "Missing option '--rules'"),
        (["--rules", "bptt", "--rule", "sltt"], "No such option '--rule'"),
    ],
)
def test_wrong_usage_is_status_2(options: list[str], message: str, model: Path, data: str) -> None:
    result = invoke(model, "--data", data, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_what_is_wrong_under_every_rule_is_told_once(model: Path, data: str) -> None:
    result = invoke(model, "--rules", "bptt,sltt", "--data", data, "--target", "tinny")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "no target is called 'tinny'; did you mean tiny?\n  try: a path that ends in .toml\n"


def test_a_picture_and_a_report_are_two_files(model: Path, data: str) -> None:
    same = model.parent / "same.png"
    result = invoke(model, "--rules", "bptt", "--data", data, "--json", same, "--plot", same)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"{same}: two results would go to this file\n  try: another file for one of them\n"


def test_without_matplotlib_nothing_is_trained(model: Path, data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = invoke(model, "--rules", "bptt", "--data", data, "--plot", model.parent / "x.png")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "a picture is drawn by matplotlib, which is not installed\n  try: pip install 'snnc[plots]'\n  try: no --plot\n"
    )


@pytest.mark.parametrize(("suffix", "begins"), [(".png", b"\x89PNG\r\n"), (".svg", b"<?xml")])
def test_a_picture_is_written_with_the_same_bytes_each_time(suffix: str, begins: bytes, model: Path, data: str) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib, which draws")
    files = [model.parent / f"{name}{suffix}" for name in ("one", "two")]
    for file in files:
        words = ("--rules", "bptt,sltt", "--data", data, "--loss", LOSS, "--max-steps", "2", "--plot", file)
        result = invoke(model, *words)
        assert result.exit_code == 0, result.output
        assert f"{file}: the same as a picture" in result.stdout
    one, two = (file.read_bytes() for file in files)
    assert one.startswith(begins) and one == two


def test_the_picture_shows_the_figures(model: Path, data: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bars on top of each other come to what the report says, and curves are the losses."""
    pytest.importorskip("matplotlib", reason="needs matplotlib, which draws")
    from snnc.reports import comparison_plot

    drawn: list[Any] = []
    plain = comparison_plot.figure

    def figure(comparison: Any) -> Any:
        drawn.append(plain(comparison))
        return drawn[-1]

    monkeypatch.setattr(comparison_plot, "figure", figure)
    words = ("--rules", "bptt,sltt", "--data", data, "--loss", LOSS, "--max-steps", "2")
    result = invoke(model, *words, "--plot", model.parent / "figures.png", "--json", "-")
    runs = {trial["rule"]: trial for trial in json.loads(result.stdout)["rules"]}
    losses, accuracy, memory, traffic, work, cycles = drawn[0].axes
    assert [line.get_ydata().tolist() for line in losses.lines] == [runs[rule]["run"]["loss"] for rule in runs]

    def tops(axes: Any) -> list[float]:
        return [max(bar.get_y() + bar.get_height() for bar in bars) for bars in zip(*axes.containers, strict=True)]

    step = [runs[rule]["run"]["counted"]["step"] for rule in runs]
    assert tops(accuracy) == [100 * runs[rule]["run"]["accuracy"]["test"] for rule in runs]
    assert tops(memory) == pytest.approx([runs[rule]["allocated"]["footprint"] / 1024 for rule in runs])
    assert tops(traffic) == pytest.approx([each["dram"]["total"] / 1024 for each in step])
    assert tops(work) == pytest.approx([(each["work"]["gated"] + each["work"]["multiply"]) / 1e6 for each in step])
    assert tops(cycles) == pytest.approx([runs[rule]["run"]["cycles"] / 1e3 for rule in runs])


def test_ctrl_c_ends_the_comparison_with_what_there_is(model: Path, data: str) -> None:
    file = model.parent / "interrupted.json"
    words = ["compare", str(model), "--rules", "bptt,sltt,ottt_a", "--data", data, "--loss", LOSS, "--json", str(file)]
    code = f"""
import os, signal
from snnc.cli import main
from snnc.cli._progress import ProgressBar
plain = ProgressBar.step
steps = 0
def step(self, *facts):
    global steps
    plain(self, *facts)
    steps += 1
    if steps == 12 + 5:
        os.kill(os.getpid(), signal.SIGINT)
ProgressBar.step = step
main({words!r})
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stderr
    assert ended.stderr == "interrupted after 5 training steps of sltt\n"
    report = json.loads(file.read_text())
    valid(report)
    found = [(trial["rule"], trial["outcome"], trial["run"]["steps"]) for trial in report["rules"]]
    assert found == [("bptt", "trained", 12), ("sltt", "interrupted", 5)]
