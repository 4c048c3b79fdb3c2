"""Dropout leaves out what a number keyed by step, sample and element says, the same forwards and backwards."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from snnc.compiler.evaluate import Numerics, Oracle
from snnc.compiler.frontends import snn
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.training_options import TrainingOptions

ARGUMENTS: dict[str, float] = {
    "valid": 6, "learning_rate": 0.1, "loss_scale": 1.0, "seed": 5, "step": 0, "correction1": 1.0, "correction2": 1.0,
}  # fmt: skip
SOURCE = """
network dropped(x: {port}[t, 40]) steps 4 {{
    {before}
    r = dropout(a, p=0.25, mask={mask})
    y = linear(r, out=3)
    return y
}}
train {{ batch = 6; optimizer = sgd(lr=0.1) }}
"""


def oracle_of(mask: str, port: str = "f16", before: str = "a = linear(x, out=30)") -> Oracle:
    network = snn.read(SOURCE.format(mask=mask, port=port, before=before))
    oracle = Oracle(build_training(network, TrainingOptions.resolve(network)), Numerics("f64"))
    oracle.run("init", ARGUMENTS)
    rng = np.random.default_rng(1)
    shape = oracle.value("x").shape
    oracle.write("x", rng.integers(0, 2, shape) if port == "spike" else rng.standard_normal(shape))
    oracle.write("label", rng.integers(0, 3, 6))
    return oracle


def kept(oracle: Oracle) -> NDArray[Any]:
    """Which elements are left, where there was something."""
    return oracle.read("r") != 0


@pytest.mark.parametrize("mask", ["batch", "step"])
def test_the_way_back_meets_the_mask_of_the_way_there(mask: str) -> None:
    oracle = oracle_of(mask)
    oracle.run("train_step", ARGUMENTS)
    np.testing.assert_allclose(oracle.read("r"), np.where(kept(oracle), oracle.read("a") / 0.75, 0.0), rtol=1e-12)
    np.testing.assert_allclose(oracle.read("d.a"), np.where(kept(oracle), oracle.read("d.r") / 0.75, 0.0), rtol=1e-12)
    assert np.any(oracle.read("d.a"))


def test_a_mask_lasts_for_a_batch_or_for_a_step() -> None:
    for mask, equal in (("batch", True), ("step", False)):
        oracle = oracle_of(mask)
        oracle.run("train_step", ARGUMENTS)
        left = kept(oracle)
        assert bool((left == left[0]).all()) is equal
        assert abs(left.mean() - 0.75) < 0.1
        assert not np.array_equal(left[0, 0], left[0, 1]), "samples differ"
        oracle.run("train_step", ARGUMENTS | {"step": 1})
        assert not np.array_equal(kept(oracle), left), "training steps differ"


def test_bits_stay_bits_and_get_a_scale() -> None:
    oracle = oracle_of("batch", "spike", "a = flatten(x)")
    oracle.run("train_step", ARGUMENTS)
    assert set(np.unique(oracle.value("r"))) == {0.0, 1.0}
    assert str(oracle.training.values(oracle.training.procedure("train_step"))["r"]) == f"spike[t, n, 40] * {1 / 0.75}"


def test_nothing_is_dropped_when_inferring() -> None:
    oracle = oracle_of("step")
    oracle.run("infer", ARGUMENTS)
    weight, bias = oracle.read("y.w"), oracle.read("y.b")
    np.testing.assert_allclose(oracle.read("y"), oracle.read("a") @ weight.T + bias, rtol=1e-12)


JUDGED = {"cross_entropy": (1.0, 0.0), "cross_entropy_mse(lam=0.25)": (0.75, 0.25), "mse_rate": (0.0, 1.0)}
"""How much of each loss is the cross entropy of an answer, and how much its mean squared distance from the label."""


@pytest.mark.parametrize("loss", JUDGED)
def test_an_answer_that_dropout_alone_lets_move_is_judged_as_one_when_inferring(loss: str) -> None:
    network = snn.read(f"""
    network moved(x: f16[40]) steps 4 {{
        return linear(dropout(x, p=0.25, mask=step), out=3)
    }}
    train {{ batch = 6; loss = {loss} }}""")
    oracle = Oracle(build_training(network, TrainingOptions.resolve(network)), Numerics("f64"))
    oracle.run("init", ARGUMENTS)
    rng = np.random.default_rng(2)
    oracle.write("x", rng.standard_normal((6, 40)))
    labels = rng.integers(0, 3, 6)
    oracle.write("label", labels)
    oracle.run("infer", ARGUMENTS)
    answer = oracle.read("x") @ oracle.read("linear.w").T + oracle.read("linear.b")
    entropy = np.log(np.exp(answer).sum(1)) - answer[np.arange(6), labels]
    square = ((answer - np.eye(3)[labels]) ** 2).mean(1)
    np.testing.assert_allclose(oracle.read("logits"), answer, rtol=1e-6)
    np.testing.assert_allclose(oracle.read("loss"), JUDGED[loss][0] * entropy + JUDGED[loss][1] * square, rtol=1e-5)


def test_a_cycle_through_dropout_remembers_plain_spikes_when_inferring() -> None:
    """Not those times 1 / (1 - p): h[t] = 0.5 * v[t-1] + x[t] + 2 * s[t-1], worked out by hand."""
    network = snn.read("""
    network cycle(x: f16[t, 1]) steps 3 {
        back = delay(kept) : spike[1] * 2.0
        s = lif(add(x, scale(back, w=parameter(init=constant(value=2)))), threshold=1.0)
        kept = dropout(s, p=0.5)
        y = linear(kept, out=2)
        return y
    }
    train { batch = 1 }""")
    oracle = Oracle(build_training(network, TrainingOptions.resolve(network)), Numerics("f64"))
    oracle.run("init", ARGUMENTS | {"valid": 1})
    oracle.write("x", [[[1.5]], [[0.0]], [[-2.5]]])
    oracle.run("infer", ARGUMENTS | {"valid": 1})
    assert oracle.read("s").ravel().tolist() == [1.0, 1.0, 0.0]
    assert oracle.read("back.infer").ravel().tolist() == [0.0, 1.0, 1.0]
