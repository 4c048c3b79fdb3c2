"""Layers that learn in turn: each run begins with the parameters of the one before, and freezes other layers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from snnc.cli import main
from snnc.runtime import checkpoint, weights

NETWORK = """network turns(image: f16[1, 8, 8], threshold=0.5) steps 3 {
    n1 = batch_norm(linear(flatten(image), out=24))
    s1 = lif(n1, threshold=threshold, reset=soft)
    y = linear(s1, out=10)
    return y
}
train { optimizer = adam(lr=1e-2) }
"""


def call(*words: object) -> tuple[int, str]:
    outcome = CliRunner().invoke(main, [str(word) for word in words])
    return outcome.exit_code, outcome.output


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network, a checkpoint of its first run, and the parameters that came of it."""
    folder = tmp_path_factory.mktemp("turns")
    (folder / "turns.snn").write_text(NETWORK, "utf-8")
    status, told = trained(folder, "first", "--freeze", "y")
    assert status == 0, told
    return folder


def trained(folder: Path, name: str, *more: object) -> tuple[int, str]:
    """A short run; what it learned is in NAME.ckpt and NAME.npz."""
    common = ("train", folder / "turns.snn", "--data", "digits", "--batch", 32, "--cores", 1, "--max-steps", 6)
    return call(*common, "--checkpoint", folder / f"{name}.ckpt", "--save-weights", folder / f"{name}.npz", *more)


def test_other_layers_learn_from_where_the_run_before_has_left_them(folder: Path) -> None:
    """With another threshold, too; masters of frozen layers have lost nothing, running statistics stay in f32."""
    status, told = trained(
        folder, "second", "--freeze", "n1", "--weights", folder / "first.ckpt", "--set", "threshold=0.75"
    )
    assert status == 0 and "learns nothing" not in told, told
    first, second = weights.load(folder / "first.npz"), weights.load(folder / "second.npz")
    same = {name for name in first if np.array_equal(first[name], second[name])}
    assert same == {name for name in first if name.startswith("n1.")} and second.keys() - same == {"y.w", "y.b"}
    assert np.any(first["n1.running_mean"]) and not np.array_equal(
        first["n1.linear.w"], first["n1.linear.w"].astype(np.float16)
    )
    held = checkpoint.load(folder / "second.ckpt")
    assert {each.name for each in held.symbols if each.role == "optimizer"} == {"y.w.m", "y.w.v", "y.b.m", "y.b.v"}


def test_to_go_on_with_other_layers_frozen_is_refused_with_the_way_out(folder: Path) -> None:
    path = folder / "first.ckpt"
    status, told = trained(folder, "third", "--freeze", "n1", "--resume", path)
    assert status == 1
    assert re.search(rf"{path}: a checkpoint of another program\s+try: --weights {path}", told), told
    assert trained(folder, "third", "--freeze", "y", "--resume", path)[0] == 0


def test_layers_may_be_named_one_by_one_or_at_once(folder: Path) -> None:
    told = call("check", folder / "turns.snn", "--freeze", "nope,y", "--freeze", "n1")
    assert told == call("check", folder / "turns.snn", "--freeze", "nope,y,n1")
    assert "no layer with parameters is called 'nope'" in told[1] and "every parameter of turns is frozen" in told[1]
