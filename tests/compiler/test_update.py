"""What is said of all gradients together, word by word beside plain loops; and where it stands in the graph."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from snnc.compiler.evaluate import Numerics, Oracle
from snnc.compiler.frontends import snn
from snnc.compiler.ir.graph import Node, Training
from snnc.compiler.ir.text import parse_training, print_training
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.source import SourceError

Singles = NDArray[np.float32]
ARGUMENTS: dict[str, float] = {
    "valid": 1, "learning_rate": 0.5, "loss_scale": 4.0, "seed": 0, "step": 0, "correction1": 1.0, "correction2": 1.0,
}  # fmt: skip


def training(train: str, inputs: int = 4, name: str = "y") -> Training:
    """A layer whose gradient is chosen by the input: d.y.w is the outer product of coefficient and x."""
    text = (
        f"network net(x: f16[t, {inputs}]) steps 1 {{ {name} = linear(x, out=3); return {name} }} train {{ {train} }}"
    )
    network = snn.read(text)
    return build_training(network, TrainingOptions.resolve(network))


def nodes(graph: Training) -> dict[str, Node]:
    """Nodes of a training step by their first result."""
    return {node.results[0]: node for node in graph.procedure("train_step").nodes}


def ran(train: str, inputs: int = 4, x: Any = None, times: float = 1.0, **arguments: float) -> Oracle:
    """After a training step in f32; *x* stands in for the random input, and the loss is so many *times* larger."""
    oracle = Oracle(training(f"loss = weighted_sum; optimizer = sgd; batch = 1; {train}", inputs), Numerics("f32"))
    rng = np.random.default_rng(inputs)
    oracle.write("x", rng.standard_normal((1, 1, inputs)) if x is None else np.reshape(x, (1, 1, inputs)))
    oracle.write("coefficient", times * rng.standard_normal((1, 1, 3)))
    for name in ("y.w", "y.b"):
        drawn = rng.standard_normal(oracle.value(name).shape).astype(np.float16)
        oracle.write(name, drawn)
        oracle.write(f"{name}.master", drawn)
    oracle.run("train_step", ARGUMENTS | arguments)
    return oracle


def by_hand(gradients: list[Singles]) -> list[Singles]:
    """Sums of squares, level by level: blocks of 64 of each gradient, then 64 at a time, one word after the other."""

    def summed(words: Singles) -> Singles:
        blocks: list[np.float32] = []
        for first in range(0, len(words), 64):
            total = np.float32(0)
            for word in words[first : first + 64]:
                total = total + word
            blocks.append(total)
        return np.array(blocks, np.float32)

    squares = [(gradient * np.float32(0.25)) ** 2 for gradient in gradients]
    levels = [np.concatenate([summed(words) for words in squares])]
    while len(levels[-1]) > 1:
        levels.append(summed(levels[-1]))
    return levels


@pytest.mark.parametrize("inputs", [1, 21, 22, 64, 1344, 1366, 30000])
def test_the_norm_is_a_fixed_tree_over_blocks_of_64_words(inputs: int) -> None:
    """3 * 21 words are less than a block, 3 * 22 more; 3 * 1344 and the biases are more than 64 blocks."""
    oracle = ran("clip = norm(1e-3)", inputs, clip=1e-3)
    gradients = [oracle.value("d.y.w").T.reshape(-1), oracle.value("d.y.b")]  # as they lie in memory: outputs last
    levels = by_hand(gradients)
    np.testing.assert_array_equal(oracle.value("gradients.squares"), levels[0])
    for depth, level in enumerate(levels[1:-1], 2):
        np.testing.assert_array_equal(oracle.value(f"gradients.squares.{depth}"), level)
    factor = np.float32(1e-3) / (np.sqrt(levels[-1][0]) + np.float32(1e-6))
    np.testing.assert_array_equal(oracle.value("gradients.factor"), min(factor, np.float32(1)))


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize(("inputs", "place"), [(4, 0), (22, 21), (3000, 1500), (3000, 2999)])
def test_one_word_that_is_not_finite_is_found_wherever_it_is(inputs: int, place: int, bad: float) -> None:
    x = np.ones(inputs)
    assert not ran("loss_scale = dynamic", inputs, x).value("overflow")
    x[place] = bad
    assert ran("loss_scale = dynamic", inputs, x).value("overflow") == 1


def test_large_gradients_overflow_no_flag() -> None:
    """Their squares do, so that a norm would: the step is not skipped for it."""
    train = "loss_scale = dynamic; clip = norm(1.0)"
    oracle = ran(train, 4, np.full(4, 6e4), times=2.0**110, clip=1.0, loss_scale=2.0**-110)
    assert np.isinf(oracle.value("gradients.squares")).any() and not oracle.value("overflow")
    assert oracle.value("gradients.factor") == 0


def test_values_are_clipped_after_unscaling() -> None:
    before, after = (ran("clip = value(0.125)", clip=0.125, learning_rate=rate) for rate in (0.0, 0.5))
    gradient = after.value("d.y.w") / np.float32(4)
    assert np.abs(gradient).min() < 0.125 < np.abs(gradient).max()
    moved = np.clip(gradient, -0.125, 0.125) * np.float32(0.5)
    np.testing.assert_array_equal(after.value("y.w.master"), before.value("y.w.master") - moved)


def test_a_static_scale_without_clipping_adds_nothing() -> None:
    graph = training("optimizer = adam")
    assert graph.procedure("train_step").results == ("loss", "correct", "logits")
    assert not {node.op for node in nodes(graph).values()} & {"row", "gradient_blocks", "block_max", "clip_factor"}
    assert "clip" not in dict(graph.arguments)


def test_only_what_is_asked_for_is_computed() -> None:
    dynamic, clipped = training("loss_scale = dynamic"), training("clip = norm(1.0)")
    assert dynamic.procedure("train_step").results == ("loss", "correct", "logits", "overflow")
    assert clipped.procedure("train_step").results == ("loss", "correct", "logits")
    results = [next(n.results for n in g.procedure("train_step").nodes if n.op == "gradient_blocks")
               for g in (dynamic, clipped)]  # fmt: skip
    assert results == [("", "gradients.overflow"), ("gradients.squares", "")]
    assert nodes(dynamic)["y.w"].operands == ("y.w.master", "d.y.w", "y.w.m", "y.w.v", "overflow")
    assert nodes(clipped)["y.w"].operands == ("y.w.master", "d.y.w", "y.w.m", "y.w.v", "gradients.factor")
    assert dict(clipped.arguments)["clip"] == "f32" and "clip" not in dict(dynamic.arguments)
    assert nodes(training("clip = value(1.0)"))["y.b"].op == "adam.clipped"


@pytest.mark.parametrize("train", ["loss_scale = dynamic", "clip = norm(1.0)", "clip = value(0.5)"])
def test_graphs_come_back_from_their_text(train: str) -> None:
    graph = training(train)
    assert parse_training(print_training(graph)) == graph


@pytest.mark.parametrize(
    ("optimizer", "weight", "bias"),
    [
        ("sgd(weight_decay=0.1)", {"weight_decay": 0.1}, {"weight_decay": 0.1}),
        ("sgd(weight_decay=0.1, decay_on=weights)", {"weight_decay": 0.1}, {}),
        ("adamw", {}, {}),
        ("adamw(decay_on=weights)", {}, {"weight_decay": 0.0}),
    ],
)
def test_decay_spares_what_is_no_weight_where_asked(
    optimizer: str, weight: dict[str, float], bias: dict[str, float]
) -> None:
    found = nodes(training(f"optimizer = {optimizer}"))
    assert (found["y.w"].settings, found["y.b"].settings) == (weight, bias)


def test_names_that_the_update_needs_are_refused_only_then() -> None:
    for name in ("overflow", "gradients.y"):
        text = (
            f"network net(x: f16[t, 4]) steps 1 {{ {name} = linear(x, out=3); return {name} }}"
            if "." not in name
            else (
                "block inner(x) { y = linear(x, out=3); return linear(y, out=3) } "
                "network net(x: f16[t, 4]) steps 1 { gradients = inner(x); return gradients }"
            )
        )
        network = snn.read(text)
        build_training(network, TrainingOptions.resolve(network))
        with pytest.raises(
            SourceError,
            match=f"a value may not be called {name.partition('.')[0]}: with this loss_scale, or this clip, it belongs",
        ):
            build_training(network, TrainingOptions.resolve(network, {"loss_scale": ("dynamic",)}))
