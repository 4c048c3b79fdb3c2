"""Settings that mean nothing, or that no machine can hold, are told with their place before anything is compiled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from snnc.cli import main
from snnc.compiler.pipeline import Compilation, Options
from snnc.runtime.schedules import Schedule
from snnc.source import DataError, SourceError

NETWORK = """network small(image: f16[1, 8, 8], threshold=1.0, initial=0.0) steps 2 {
    y = linear(flatten(image), out=8)
    s = lif(y, threshold=threshold, initial=initial)
    return linear(s, out=10)
}
train { batch = 8; TRAIN }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the network `small.snn`, to work in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.snn").write_text(NETWORK.replace("TRAIN", ""))
    return tmp_path


def snnc(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


@pytest.mark.parametrize(
    ("train", "column", "message"),
    [
        ("schedule = steps(every=0)", 37, "every of steps is at least 1, not 0"),
        ("schedule = steps(factor=-5)", 37, "factor of steps is positive, not -5.0"),
        ("schedule = steps(factor=nan)", 37, "factor of steps is a finite number, not nan"),
        ("schedule = cosine(warmup=-1)", 38, "warmup of cosine is at least 0, not -1"),
        ("optimizer = sgd(lr=-1)", 36, "lr of sgd is at least 0, not -1.0"),
        ("optimizer = adamw(lr=nan)", 38, "lr of adamw is a finite number, not nan"),
        ("optimizer = adam(eps=1e39)", 37, "eps of adam is a number of at most 3.40282e+38, not 1e+39"),
        ("loss_scale = dynamic(initial=inf)", 41, "initial of dynamic is a number of at most 3.40282e+38, not inf"),
    ],
)
def test_a_setting_of_training_that_means_nothing_is_told_at_its_place(
    folder: Path, train: str, column: int, message: str
) -> None:
    line = f"train {{ batch = 8; {train} }}"
    (folder / "small.snn").write_text(NETWORK.replace("TRAIN", train))
    with pytest.raises(SourceError) as caught:
        _ = Compilation("small.snn").training_options
    assert str(caught.value) == f"small.snn:6:{column}: {message}\n  {line}\n  {' ' * (column - 1)}^"


def test_all_that_is_wrong_with_training_is_told_at_once(folder: Path) -> None:
    wrong = "optimiser = adam; epoch = 2; loss = crossentropy"
    (folder / "small.snn").write_text(NETWORK.replace("TRAIN", wrong))
    with pytest.raises(SourceError) as caught:
        _ = Compilation("small.snn").training_options
    assert [str(fault).splitlines()[0] for fault in caught.value.faults] == [
        "small.snn:6:20: no training setting is called 'optimiser'; did you mean optimizer?",
        "small.snn:6:38: no training setting is called 'epoch'; did you mean epochs?",
        "small.snn:6:49: no loss is called 'crossentropy'; did you mean cross_entropy?",
    ]


def test_a_train_section_in_a_file_of_its_own_is_where_its_faults_are(folder: Path) -> None:
    (folder / "other.snn").write_text("train {\n    schedule = steps(every=0)\n}\n")
    result = snnc("compile", "small.snn", "--train", "other.snn")
    assert result.exit_code == 1
    assert "other.snn:2:22: every of steps is at least 1, not 0\n      schedule = steps(every=0)\n" in result.output


@pytest.mark.parametrize("rate", ["-1", "nan", "inf"])
@pytest.mark.parametrize("command", [("train", "small.snn"), ("run", "small.snnb")])
def test_a_learning_rate_is_a_number(folder: Path, command: tuple[str, str], rate: str) -> None:
    result = snnc(*command, "--data", "digits", "--lr", rate)
    assert result.exit_code == 2
    assert f"Invalid value for '--lr': {rate} is no learning rate; it is a number of at least 0" in result.output


@pytest.mark.parametrize(
    ("name", "warmup", "options", "message"),
    [
        ("steps", 0, {"every": 0}, "every of steps is at least 1, not 0"),
        ("steps", 0, {"factor": -5.0}, "factor of steps is positive, not -5.0"),
        ("cosine", -1, {}, "warmup of cosine is at least 0, not -1"),
    ],
)
def test_the_host_refuses_such_a_schedule_too(name: str, warmup: int, options: dict[str, float], message: str) -> None:
    with pytest.raises(DataError) as caught:
        Schedule(name, warmup, options)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("setting", "column", "message"),
    [
        ({"initial": float("nan")}, 45, "initial of lif is a finite number, not nan"),
        (
            {"threshold": 1e6},
            9,
            "threshold of s is 1e+06, and f16, the format that this machine works in, ends at 65504",
        ),
        ({"initial": -7e4}, 9, "initial of s is -70000, and f16, the format that this machine works in, ends at 65504"),
    ],
)
def test_a_neuron_that_no_number_reaches_is_refused(
    folder: Path, setting: dict[str, float], column: int, message: str
) -> None:
    with pytest.raises(SourceError) as caught:
        _ = Compilation("small.snn", Options(settings=setting)).training
    line = "    s = lif(y, threshold=threshold, initial=initial)"
    assert str(caught.value) == f"small.snn:3:{column}: {message}\n  {line}\n  {' ' * (column - 1)}^"


def test_what_a_machine_can_hold_it_takes(folder: Path) -> None:
    """65504 is the last number of f16; bf16 goes as far as f32."""
    assert Compilation("small.snn", Options(settings={"threshold": 65504.0})).training
    wide = Options(settings={"threshold": 1e6}, target="quad_bf16", train={"loss_scale": 1e9})
    assert Compilation("small.snn", wide).training.working == "bf16"


def test_a_dynamic_loss_scale_that_begins_too_high_is_told_to_skip_steps(folder: Path) -> None:
    """Errors of 1e9 / (8 * 2) are 62.5 million: 10 halvings until 65504 holds them, and the machine then goes on."""
    words = ["train", "small.snn", "--data", "digits,train=96", "--json", "run.json"]
    result = snnc(*words, "--loss-scale", "dynamic(initial=1e9)")
    told = "warning: --loss-scale: the first 10 steps are skipped, since errors of a scale of 1e+09 overflow f16\n"
    assert result.exit_code == 0 and told in result.stderr
    assert json.loads((folder / "run.json").read_text())["skipped_steps"] >= 10
    fitting = snnc("compile", "small.snn", "--loss-scale", "dynamic(initial=65536)")
    assert fitting.exit_code == 0 and not fitting.stderr


def test_a_loss_scale_under_which_no_step_could_go_on_is_refused(folder: Path) -> None:
    """Cross entropy: an answer that is all wrong has the error 1/T, over the batch of 8, times the scale."""
    least = 65504.0 * 8 * 2
    assert Compilation("small.snn", Options(train={"loss_scale": least})).training
    with pytest.raises(SourceError) as caught:
        _ = Compilation("small.snn", Options(train={"loss_scale": 1e9})).training
    assert str(caught.value) == (
        "--loss-scale: loss_scale 1e+09 makes errors of 6.25e+07 (a batch of 8, 2 steps), and f16, the format that "
        "this machine works in, ends at 65504\n  try: loss_scale = dynamic"
    )


def test_a_loss_scale_under_which_all_errors_are_zero_is_told(folder: Path) -> None:
    """The largest error is 1/T over the batch of 8, times the scale; half of the least f16, 2**-24, rounds to 0."""
    just = 2.0**-25 * 8 * 2
    told = snnc("check", "small.snn", "--loss-scale", str(just))
    assert told.exit_code == 3
    assert (
        "warnings:\n  --loss-scale: a loss scale of 4.76837e-07 makes errors of at most 2.98e-08 "
        "(a batch of 8, 2 steps), which are all 0 in f16: nothing is learned; dynamic finds one that fits\n"
    ) in told.stdout
    for scale, target, doubts in ((just * 1.01, "quad", 0), (just, "quad_bf16", 0), (1e-45, "quad_bf16", 1)):
        assert len(Compilation("small.snn", Options(train={"loss_scale": scale}, target=target)).doubts) == doubts
    begins = Options(train={"loss_scale": ("dynamic", ("initial", 1e-30))})
    assert "nothing is learned until it has grown" in Compilation("small.snn", begins).doubts[0].message


def test_errors_of_all_steps_together_fit_less_of_a_loss_scale(folder: Path) -> None:
    """Trained on rates, the two steps of the network have one error."""
    (folder / "rates.snn").write_text(NETWORK.replace("initial=initial", "reset=soft").replace("TRAIN", "rule = dsr"))
    least = 65504.0 * 8
    assert Compilation("rates.snn", Options(train={"loss_scale": least})).training
    with pytest.raises(SourceError) as caught:
        _ = Compilation("rates.snn", Options(train={"loss_scale": 2 * least})).training
    assert caught.value.faults[0].message == (
        "--loss-scale: loss_scale 1.04806e+06 makes errors of 1.31e+05 (a batch of 8, 2 steps), and f16, the format "
        "that this machine works in, ends at 65504"
    )
