"""Votes: means of neighbours, and their way back."""

from __future__ import annotations

import numpy as np
import pytest

from snnc.compiler.evaluate import Numerics, Oracle
from snnc.compiler.frontends import snn
from snnc.compiler.ir.types import Type
from snnc.compiler.ops.op import OPS, SettingFault, ShapeFault
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.training_options import TrainingOptions


def test_groups_are_averaged_and_share_their_error() -> None:
    """The loss is cross entropy of the mean over time of the votes of ``x W^T``; its gradient is worked out by hand."""
    network = snn.read("""network a(x: f16[t, 5]) steps 2 {
        return vote(linear(x, out=12, bias=false), size=4)
    } train { batch = 3; loss_scale = 1 }""")
    oracle = Oracle(build_training(network, TrainingOptions.resolve(network)), Numerics("f64"))
    arguments = dict.fromkeys((name for name, _ in oracle.training.arguments), 1.0) | {"valid": 3, "seed": 0, "step": 0}
    oracle.run("init", arguments)
    rng = np.random.default_rng(2)
    x, labels = rng.normal(size=(2, 3, 5)), np.array([0, 2, 1])
    oracle.write("x", x)
    oracle.write("label", labels)
    (weight,) = [variable.name for variable in oracle.training.variables if variable.role == "parameter"]
    w = oracle.read(weight)
    oracle.run("train_step", arguments)
    votes = (x @ w.T).reshape(2, 3, 3, 4).mean(-1)
    np.testing.assert_allclose(oracle.read(network.results[0]), votes, rtol=1e-12)
    logits = votes.mean(0)
    softmax = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    error = np.repeat((softmax - np.eye(3)[labels]) / 3 / 2 / 4, 4, axis=-1)
    np.testing.assert_allclose(oracle.read(f"d.{weight}"), np.einsum("bo,tbi->oi", error, x), rtol=1e-9, atol=1e-12)


def test_votes_of_spikes_are_counts() -> None:
    spikes = Type.of("spike", 30, timed=True, batched=True)
    (votes,) = OPS["vote"].make({"size": 10}).infer(spikes)
    assert votes == Type.of("u4", 3, timed=True, batched=True).with_(scale=0.1)


def test_what_has_no_groups_is_told() -> None:
    with pytest.raises(ShapeFault, match="vote finds no groups of 4 in 30 elements"):
        OPS["vote"].make({"size": 4}).infer(Type.of("f16", 30, batched=True))
    with pytest.raises(ShapeFault, match=r"vote reads one axis, not f16\[n, 3, 4\]; linear\(\) makes it one"):
        OPS["vote"].make().infer(Type.of("f16", 3, 4, batched=True))
    with pytest.raises(SettingFault, match="size of vote is at least 1, not 0"):
        OPS["vote"].make({"size": 0})
