"""A user's mistake costs nothing but a message: nothing is lost, and nothing wrong is trained."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from snnc.catalog import UnknownName
from snnc.cli import main
from snnc.compiler.pipeline import Compilation
from snnc.compiler.pipeline import compile as snnc_compile
from snnc.isa.binary import to_bytes
from snnc.source import DataError, TargetError

NETWORK = """
network small(image: f16[1, 4, 4]) steps 2 {
    y = linear(flatten(image), out=3)
    s = lif(y, threshold=0.25)
    z = linear(s, out=3)
    return z
}
train { optimizer = sgd(lr=0.1); batch = 4; epochs = 1 }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a network and data, to work in."""
    (tmp_path / "small.snn").write_text(NETWORK)
    rng = np.random.default_rng(0)
    split = {"x_train": rng.random((12, 4, 4)), "x_test": rng.random((4, 4, 4))}
    labels = {"y_train": np.arange(12) % 3, "y_test": np.arange(4) % 3}
    np.savez(tmp_path / "data.npz", **split, **labels)  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    return tmp_path


def snnc(*words: str) -> Result:
    return CliRunner().invoke(main, list(words))


@pytest.mark.parametrize(
    "words",
    [
        ("compile", "small.snn", "-o", "small.snn"),
        ("compile", "small.snn", "--json", "small.snn"),
        ("train", "small.snn", "--data", "npz:data.npz", "--trace", "small.snn"),
        ("train", "small.snn", "--data", "npz:data.npz", "--checkpoint", "small.snn"),
    ],
)
def test_a_result_never_replaces_what_is_read(folder: Path, words: tuple[str, ...]) -> None:
    result = snnc(*words)
    assert result.exit_code == 1
    assert "small.snn: is read by this command, and would be overwritten" in result.output
    assert (folder / "small.snn").read_text() == NETWORK


def test_two_results_never_share_a_file(folder: Path) -> None:
    result = snnc("train", "small.snn", "--data", "npz:data.npz", "--trace", "a", "--json", "a")
    assert result.exit_code == 1 and "a: two results would go to this file" in result.output


def test_more_cores_than_the_machine_has_are_refused(folder: Path) -> None:
    result = snnc("compile", "small.snn", "--cores", "9")
    assert result.exit_code == 1 and "--cores 9: `quad` has 4" in result.output
    assert "try: --mesh COLUMNSxROWS, for a chip of another size" in result.output
    assert not (folder / "small.snnb").exists()


def test_a_mesh_is_columns_and_rows(folder: Path) -> None:
    result = snnc("compile", "small.snn", "--mesh", "3")
    assert result.exit_code == 2 and "3 is no mesh; it is COLUMNSxROWS, such as 10x10" in result.output
    for mesh, has in (("100x100", "10000 cores"), ("0x2", "0 columns"), ("2x0", "0 rows"), ("1x5000", "5000 rows")):
        result = snnc("compile", "small.snn", "--mesh", mesh)
        assert result.exit_code == 1 and result.stderr == f"--mesh {mesh} has {has}; a chip has 1 to 4096\n"
    result = snnc("compile", "small.snn", "--mesh", "3x2", "--cores", "7")
    assert result.exit_code == 1 and "--cores 7: `quad` has 6" in result.output
    assert not (folder / "small.snnb").exists()
    done = snnc("compile", "small.snn", "--mesh", "3x2")
    assert done.exit_code == 0 and "for 6 cores of quad" in done.output, done.output
    assert snnc("run", "small.snnb", "--data", "npz:data.npz", "--max-steps", "1").exit_code == 0
    (folder / "small.snnb").unlink()


def test_a_wrong_option_is_not_blamed_on_the_file(folder: Path) -> None:
    result = snnc("compile", "small.snn", "--optimizer", "sgd(momentun=0.9)")
    assert result.exit_code == 1
    assert "--optimizer: no setting of sgd is called 'momentun'; did you mean momentum?" in result.output


def test_parameters_that_a_program_brings_are_those_that_it_trains(folder: Path) -> None:
    for name, seed in (("a.npz", "1"), ("b.npz", "2")):
        words = ["train", "small.snn", "--data", "npz:data.npz", "--max-steps", "1", "--seed", seed]
        assert snnc(*words, "--save-weights", name).exit_code == 0
    assert snnc("compile", "small.snn", "--weights", "a.npz", "-o", "with.snnb").exit_code == 0
    assert snnc("compile", "small.snn", "-o", "without.snnb").exit_code == 0
    one = ["--data", "npz:data.npz", "--max-steps", "1", "--save-weights"]
    assert snnc("run", "with.snnb", *one, "one.npz").exit_code == 0
    assert snnc("run", "without.snnb", "--weights", "a.npz", *one, "two.npz").exit_code == 0
    first, second, other = (np.load(folder / name) for name in ("one.npz", "two.npz", "b.npz"))
    for name in first.files:
        np.testing.assert_array_equal(first[name], second[name])
    assert any((first[name] != other[name]).any() for name in first.files)


def test_weights_with_gaps_or_nan_are_refused_before_compiling(folder: Path) -> None:
    np.savez(folder / "bad.npz", **{"y.w": np.full((3, 16), np.nan), "y.b": np.zeros(3)})  # type: ignore[arg-type]
    result = snnc("compile", "small.snn", "--weights", "bad.npz", "-o", "bad.snnb")
    assert result.exit_code == 1
    assert "bad.npz: y.w has elements that are not finite\n" in result.stderr
    assert "bad.npz: the weights have no z.w\n" in result.stderr


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"weights": "x.npz"},
            "weights: 'x.npz' is not a mapping from names of parameters to arrays\n  try: snnc.runtime",
        ),
        ({"weights": {"y.w": [[1.0]]}}, "y.w: the network has (3, 16), the weights (1, 1)"),
        ({"density": 3}, "density: 3 is no density; it is a number from 0 to 1, or the file of a profile\n  try: "),
        (
            {"density": None},
            "density: None is no density; it is a number from 0 to 1, or the file of a profile\n  try: ",
        ),
        ({"dataflow": "foo"}, "no dataflow is called 'foo'; there are: auto, membrane_stationary, output_stationary, "),
        ({"fusion": False}, "no fusion is called False; there are: auto, off"),
        (
            {"cores": "4", "mesh": "2x2"},
            "cores is a whole number, not '4'\nmesh is two whole numbers, (columns, rows), not '2x2'",
        ),
        ({"mesh": (True, 2)}, "mesh is two whole numbers, (columns, rows), not (True, 2)"),
    ],
)
def test_what_python_hands_in_is_told_by_its_name(folder: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises((DataError, TargetError, UnknownName)) as caught:
        snnc_compile("small.snn", **given)
    assert message in str(caught.value)


def test_one_pin_from_python_is_a_pin_and_no_row_of_letters(folder: Path) -> None:
    one, several = (snnc_compile("small.snn", pins=pins) for pins in ("*.fp=tile.n=1", ("*.fp=tile.n=1",)))
    assert to_bytes(one) == to_bytes(several) != to_bytes(snnc_compile("small.snn"))


def test_a_step_that_the_run_does_not_have_is_told_before_it_begins(folder: Path) -> None:
    words = ["train", "small.snn", "--data", "npz:data.npz", "--checkpoint", "x.ckpt"]
    result = snnc(*words, "--dump", "s@4=y.npy", "--dump", "s@9")
    assert result.exit_code == 1 and not (folder / "y.npy").exists() and not (folder / "x.ckpt").exists()
    told = "--dump s@4: the run has training steps 1 to 3\n--dump s@9: the run has training steps 1 to 3\n"
    assert result.stderr == told
    result = snnc(*words, "--max-steps", "1", "--dump", "s@2")
    assert result.stderr == "--dump s@2: the run has one training step, 1\n"
    assert snnc(*words, "--max-steps", "2").exit_code == 0
    result = snnc(*words, "--resume", "x.ckpt", "--dump", "s@2=y.npy", "--dump", "z@3=z.npy")
    assert result.exit_code == 0 and (folder / "z.npy").exists() and not (folder / "y.npy").exists()
    assert result.stderr == "warning: s@2 was not dumped: this run had step 3\n"


def test_what_stays_on_the_core_is_no_tensor_to_dump(folder: Path) -> None:
    result = snnc("train", "small.snn", "--data", "npz:data.npz", "--dump", "y@1=y.npy")
    assert result.exit_code == 1 and not (folder / "y.npy").exists()
    assert result.stderr.endswith(
        "y has no place in DRAM, since what reads it takes it on the core; --fusion off gives it one\n"
    )
    words = ["train", "small.snn", "--data", "npz:data.npz", "--max-steps", "1", "--fusion", "off"]
    assert snnc(*words, "--dump", "y@1=y.npy").exit_code == 0 and (folder / "y.npy").exists()


def test_weights_of_another_network_are_refused_before_anything_is_mapped(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unwanted(*_: object) -> None:
        raise AssertionError("the network is mapped")

    monkeypatch.setattr("snnc.compiler.pipeline.build_schedule", unwanted)
    np.savez(folder / "bad.npz", **{"y.w": np.zeros((3, 16)), "y.b": np.zeros(4)})  # type: ignore[arg-type]
    told = "bad.npz: y.b is [4]; the network has [3]\nbad.npz: has no z.w [3, 3]\nbad.npz: has no z.b [3]\n"
    data = ["--data", "npz:data.npz", "--weights", "bad.npz"]
    for words in (["train", "small.snn", *data], ["compare", "small.snn", "--rules", "dsr,bptt", *data]):
        result = snnc(*words)
        assert result.exit_code == 1 and result.stderr.endswith(told), result.stderr
    assert "the weights have no z.w" in snnc("compile", "small.snn", "--weights", "bad.npz").stderr


def test_a_port_of_counts_takes_no_other_values(folder: Path) -> None:
    (folder / "bits.snn").write_text(NETWORK.replace("f16[1", "spike[1"))
    result = snnc("train", "bits.snn", "--data", "npz:data.npz", "--max-steps", "1")
    assert result.exit_code == 1 and "the input image is spike and holds the integers 0..1" in result.output


def test_an_update_that_overflows_reaches_no_checkpoint(folder: Path) -> None:
    words = ["train", "small.snn", "--data", "npz:data.npz", "--lr", "1e30", "--max-steps", "1"]
    result = snnc(*words, "--checkpoint", "x.ckpt", "--json", "x.json")
    assert result.exit_code == 1
    assert re.search(
        r"small\.snn:\d+:\d+: [yz]\.[wb] is not finite in step 1 \(epoch 1, batch 1\); "
        r"it began in [yz]\.[wb] \(update of [yz]\): \d+ of \d+ elements are not finite",
        result.output,
    ), result.output
    good = snnc("train", "small.snn", "--data", "npz:data.npz", "--max-steps", "1", "--checkpoint", "y.ckpt")
    assert good.exit_code == 0


def test_steps_before_a_resume_count(folder: Path) -> None:
    words = ["train", "small.snn", "--data", "npz:data.npz"]
    assert snnc(*words, "--checkpoint", "x.ckpt").exit_code == 0  # 3 steps
    more = [*words, "--epochs", "2", "--resume", "x.ckpt", "--save-weights"]
    assert snnc(*more, "a.npz", "--max-steps", "2").exit_code == 0
    assert snnc(*words, "--save-weights", "b.npz").exit_code == 0
    first, second = np.load(folder / "a.npz"), np.load(folder / "b.npz")
    for name in first.files:
        np.testing.assert_array_equal(first[name], second[name])


def test_a_pin_that_no_stage_can_follow_is_refused(folder: Path) -> None:
    for pin, words in (
        ("s.fp=weight_stationary", "s.fp sums no products, so it has no dataflow"),
        ("y.fp=split=colums", "y.fp cannot be split by 'colums'"),
        ("y.fp=tile.x=2", "y.fp has no loop 'x'"),
    ):
        result = snnc("compile", "small.snn", "--pin", pin)
        assert result.exit_code == 1 and words in result.output, result.output


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("digitz", "no loader is called 'digitz'; did you mean digits?"),
        ("npz:dat.npz", "dat.npz: No such file or directory"),
        ("npz:data.npz,trian=4", "no option is called 'trian'; did you mean train?"),
        ("digits", "samples of digits have the shape [8, 8]; the network wants [1, 4, 4]"),
        ("npz:classes.npz", "npz:classes.npz has 4 classes; the network has 3 outputs"),
    ],
)
def test_data_that_cannot_be_trained_on_is_told_before_compiling(
    folder: Path, monkeypatch: pytest.MonkeyPatch, spec: str, message: str
) -> None:
    with np.load(folder / "data.npz") as held:
        np.savez(folder / "classes.npz", **{**held, "y_train": np.arange(12) % 4})  # type: ignore[arg-type]
    monkeypatch.setattr(Compilation, "schedule", property(lambda _: pytest.fail("the network was mapped")))
    result = snnc("train", "small.snn", "--data", spec)
    assert result.exit_code == 1 and message in result.output, result.output


def test_the_setting_that_makes_samples_fit_is_named(folder: Path) -> None:
    network = NETWORK.replace("f16[1, 4, 4]", "f16[1, size, size], size=6")
    (folder / "sized.snn").write_text(network)
    result = snnc("train", "sized.snn", "--data", "npz:data.npz", "--max-steps", "1")
    assert result.exit_code == 1
    assert result.output.endswith(
        "samples of npz:data.npz have the shape [4, 4]; the network wants [1, 6, 6]\n  try: --set size=4\n"
    )
    assert snnc("train", "sized.snn", "--data", "npz:data.npz", "--max-steps", "1", "--set", "size=4").exit_code == 0
    (folder / "other.snn").write_text(network.replace("f16[1, size, size], size=6", "f16[2, size, size], size=6"))
    result = snnc("train", "other.snn", "--data", "npz:data.npz", "--max-steps", "1")
    assert "try: give the network an input of [4, 4], or choose other data" in result.output


def test_the_mean_loss_of_a_resumed_epoch_is_that_of_all_its_steps(folder: Path) -> None:
    words = ["train", "small.snn", "--data", "npz:data.npz"]
    whole = snnc(*words).output
    told = re.findall("epoch 1 of 1: mean loss .*", whole)
    assert len(told) == 1
    stopped = snnc(*words, "--max-steps", "2", "--checkpoint", "x.ckpt").output
    assert "mean loss" not in stopped
    assert re.findall("epoch 1 of 1: mean loss .*", snnc(*words, "--resume", "x.ckpt").output) == told


@pytest.mark.parametrize("value", [-0.5, 1.25])
def test_poisson_coding_takes_probabilities(folder: Path, value: float) -> None:
    """Whoever normalises samples hands over what can be no probability."""
    (folder / "coded.snn").write_text(NETWORK.replace("epochs = 1", "coding = poisson"))
    words = ["train", "coded.snn", "--max-steps", "1", "--data"]
    assert snnc(*words, "npz:data.npz").exit_code == 0
    with np.load(folder / "data.npz") as held:
        images = held["x_train"].copy()
        images[7, 2, 1] = value
        np.savez(folder / "wrong.npz", **{**held, "x_train": images})  # type: ignore[arg-type]
    result = snnc(*words[:2], "--data", "npz:wrong.npz")
    assert result.exit_code == 1 and result.output.endswith(
        f"sample 7 has the value {value:g}; with coding = poisson the values of image are probabilities, from 0 to 1\n"
        "  try: values scaled to 0..1, not normalised (npz: maximum=N)\n  try: coding = direct\n"
    )


@pytest.mark.parametrize("command", [("compile", "dead.snn"), ("inspect", "dead.snn", "--tape")])
def test_a_layer_that_nothing_reads_is_told(folder: Path, command: tuple[str, ...]) -> None:
    (folder / "dead.snn").write_text(NETWORK.replace("    z = ", "    unread = linear(s, out=5)\n    z = "))
    result = snnc(*command)
    assert result.exit_code == 0
    assert result.stderr == (
        "dead.snn:5:14: warning: unread is never used\n      unread = linear(s, out=5)\n               ^\n"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "z = linear(s,",
            "z = linear(s.h,",
            "small.snn:5:9: bptt cannot train small: z: no error passes back into s.h",
        ),
        (
            "y = linear",
            "loss = linear",
            "small.snn:3:12: a value may not be called loss: that is what training answers",
        ),
    ],
)
def test_what_cannot_be_trained_is_shown_in_its_line(folder: Path, old: str, new: str, message: str) -> None:
    text = NETWORK.replace(old, new).replace("lif(y", "lif(loss" if "loss" in new else "lif(y")
    (folder / "small.snn").write_text(text)
    result = snnc("compile", "small.snn")
    place = re.match(r"small.snn:(\d+):(\d+)", message)
    assert place is not None
    line, column = text.splitlines()[int(place[1]) - 1], int(place[2])
    assert result.exit_code == 1 and message in result.stderr
    assert f"\n  {line}\n  {' ' * (column - 1)}^\n" in result.stderr
