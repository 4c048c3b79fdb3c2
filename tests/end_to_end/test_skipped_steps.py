"""The host under a dynamic loss scale: what it hands in after skipped steps, how it goes on, when it gives up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from snnc.cli import main
from snnc.compiler.pipeline import compile
from snnc.isa.program import Program
from snnc.models.data import Dataset, Split
from snnc.runtime import checkpoint as checkpoints
from snnc.runtime.host import Training, train
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.settings import Settings
from snnc.source import DataError

NETWORK = """
network small(image: f16[1, 4, 4]) steps 2 {
    y = linear(flatten(image), out=5)
    s = lif(y, threshold=0.25)
    z = linear(s, out=3)
    return z
}
train { optimizer = adam(lr=1e-2); schedule = constant(warmup=4); batch = 4; TRAIN }
"""
HUGE = 2.0**40


@cache
def program(folder: Path, text: str) -> Program:
    path = folder / "small.snn"
    path.write_text(NETWORK.replace("TRAIN", text))
    return compile(path, target="quad", cores=3)


def samples() -> Split:
    rng = np.random.default_rng(0)
    return Split(rng.random((20, 1, 4, 4), np.float32), rng.integers(0, 3, 20).astype(np.uint16))


def data() -> Dataset:
    return Dataset("noise", samples(), samples(), 3)


class Told(Interpreter):
    """Remembers the scalars of every training step, and what it left behind."""

    def __init__(self, program: Program) -> None:
        super().__init__(program)
        self.scalars: list[dict[str, float | int]] = []
        self.masters: list[bytes] = []

    def run(self, entry_name: str, arguments: Mapping[str, float | int] | None = None) -> None:
        super().run(entry_name, arguments)
        if entry_name == "train_step":
            self.scalars.append(dict(arguments or {}))
            self.masters.append(b"".join(self.values(name).tobytes() for name in ("y.w.master", "z.b.m", "z.w")))


DYNAMIC = f"loss_scale = dynamic(initial={HUGE}, backoff=0.00390625, interval=3); coding = poisson"


def run(folder: Path, text: str = DYNAMIC, **options: Any) -> tuple[Training, Told]:
    made = program(folder, text)
    told = Told(made)
    settings = replace(Settings.of(made.settings), epochs=2, max_steps=options.pop("max_steps", None))
    return train(told, data(), settings, **options), told


def test_skipped_steps_advance_nothing_but_the_data(tmp_path: Path) -> None:
    """Ten steps: the scale falls from 2^40 by 2^8 until gradients fit f16, then doubles after every third good step."""
    result, told = run(tmp_path)
    skipped = result.skipped
    assert result.steps == 10 and 2 <= skipped <= 4 and len(result.loss) == 10
    scales = [HUGE * 2.0 ** (-8 * step) for step in range(skipped + 1)]
    scales += [scales[-1] * 2.0 ** (good // 3) for good in range(1, 10 - skipped)]
    assert [given["loss_scale"] for given in told.scalars] == scales
    updates = [max(0, step - skipped) for step in range(10)]
    assert [given["step"] for given in told.scalars] == updates
    for name, beta in (("correction1", 0.9), ("correction2", 0.999)):
        assert [given[name] for given in told.scalars] == [1 - beta ** (step + 1) for step in updates]
    assert [given["learning_rate"] for given in told.scalars] == [1e-2 * min(1, (step + 1) / 4) for step in updates]
    assert len(set(told.masters[:skipped])) == 1 and len(set(told.masters)) == 11 - skipped
    assert result.loss_scale == scales[-1] * (2 if (10 - skipped) % 3 == 0 else 1)


@pytest.mark.parametrize("stop", [1, 3, 6, 8])
def test_a_run_goes_on_bit_for_bit_with_its_scale(tmp_path: Path, stop: int) -> None:
    whole, expected = run(tmp_path)
    path = tmp_path / "run.ckpt"
    first, _ = run(tmp_path, max_steps=stop, checkpoint=path)
    assert first.steps == stop
    held = checkpoints.load(path).progress
    assert (held.scale, held.skipped) == (first.loss_scale, first.skipped)
    second, other = run(tmp_path, resume=path)
    assert (second.loss, second.skipped, second.loss_scale) == (whole.loss, whole.skipped, whole.loss_scale)
    assert other.scalars == expected.scalars[stop:] and other.masters == expected.masters[stop:]


def test_another_scaling_is_not_taken_up(tmp_path: Path) -> None:
    made, path = program(tmp_path, DYNAMIC), tmp_path / "run.ckpt"
    settings = Settings.of(made.settings)
    train(Interpreter(made), data(), replace(settings, max_steps=1), checkpoint=path)
    assert settings.scaling is not None
    other = replace(settings, scaling=replace(settings.scaling, interval=4))
    with pytest.raises(DataError, match=r"other settings: scaling = \{.*'interval': 3\} \(now \{.*'interval': 4\}\)"):
        train(Interpreter(made), data(), other, resume=path)


class Overflowing(Interpreter):
    """Skips every step, whatever the scale."""

    def run(self, entry_name: str, arguments: Mapping[str, float | int] | None = None) -> None:
        super().run(entry_name, arguments)
        if entry_name == "train_step":
            self.write("overflow", 1)


def test_a_scale_that_cannot_help_ends_the_run(tmp_path: Path) -> None:
    made = program(tmp_path, "loss_scale = dynamic(initial=0.00000011920928955078125)")  # 2^-23
    with pytest.raises(DataError) as caught:
        train(Overflowing(made), data(), Settings.of(made.settings))
    assert str(caught.value).splitlines()[0] == (
        "gradients are not finite with the loss scale 5.96046e-08 in step 2 (epoch 1, batch 2)"
    )


def test_the_commands_tell_of_skipped_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.snn").write_text(NETWORK.replace("TRAIN", ""))
    split = samples()
    np.savez("data.npz", x_train=split.images, y_train=split.labels, x_test=split.images, y_test=split.labels)
    words = ["train", "small.snn", "--data", "npz:data.npz", "--cores", "1", "--json", "run.json", "--compare-oracle"]
    options = ["--loss-scale", f"dynamic(initial={HUGE}, backoff=0.00390625)", "--clip", "norm(0.5)"]
    result = CliRunner().invoke(main, [*words, *options])
    assert result.exit_code == 0, result.output
    report = json.loads(Path("run.json").read_text())
    skipped, scale = report["skipped_steps"], report["loss_scale"]
    assert 2 <= skipped <= 4 and scale == HUGE * 2.0 ** (-8 * skipped) and report["steps"] == 5
    assert f"loss scale        {scale:g} at the end; {skipped} of 5 steps skipped" in result.output
    assert report["settings"]["clip"] == {"value": {"name": "norm", "limit": 0.5}, "origin": "command line"}
    assert report["settings"]["loss_scale"]["value"]["interval"] == 2000
    plain = CliRunner().invoke(main, [*words, "--loss-scale", "64"])
    assert plain.exit_code == 0 and "steps skipped" not in plain.output
    report = json.loads(Path("run.json").read_text())
    assert (report["skipped_steps"], report["loss_scale"]) == (0, 64.0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--loss-scale", "-1"], "--loss-scale: loss_scale of train is positive, not -1.0"),
        (["--loss-scale", "dynamic(backoff=2)"], "--loss-scale: backoff of dynamic is between 0 and 1, not 2.0"),
        (["--loss-scale", "a b"], "Invalid value for --loss-scale: 'a b' is not a number, NAME or NAME(...)"),
        (["--clip", "norm"], "--clip: clip of train needs a limit, such as norm(1.0)"),
        (["--clip", "nrom(1)"], "--clip: no clip is called 'nrom'; did you mean norm?"),
    ],
)
def test_options_that_mean_nothing_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.snn").write_text(NETWORK.replace("TRAIN", ""))
    result = CliRunner().invoke(main, ["compile", "small.snn", *words])
    assert result.exit_code != 0 and message in result.output
