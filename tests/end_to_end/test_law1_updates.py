"""Laws 1, 4, 7 at the end of a training step: clipped, and skipped where a huge loss scale lets gradients overflow."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from laws import BATCH, Bench, Case
from numpy.typing import NDArray

from snnc.isa.traffic import Traffic
from snnc.runtime.checkpoint import persistent

HUGE = 2.0**120
"""A loss scale whose product with any error is beyond f16."""

TRAINING = {
    "dynamic": "optimizer = adam(lr=1e-2); loss_scale = dynamic",
    "norm": "optimizer = sgd(lr=1e-2, momentum=0.9, weight_decay=1e-3, decay_on=weights); clip = norm(0.05)",
    "value": "optimizer = adamw(lr=1e-2, decay_on=weights); clip = value(0.01)",
    "dynamic and norm": "optimizer = adam(lr=1e-2); loss_scale = dynamic(interval=1); clip = norm(0.05)",
    "dynamic and value": "optimizer = sgd(lr=1e-2, momentum=0.9); loss_scale = dynamic; clip = value(0.01)",
}
NETWORKS = ("joined", "csnn", "normed")
CASES = [
    (name, machine, NETWORKS[(row + column) % 3])
    for row, name in enumerate(TRAINING)
    for column, machine in enumerate(("tiny", "quad1", "quad3"))
] + [("dynamic and norm", "f32x3", "csnn"), ("dynamic and norm", "li7", "joined")]


@pytest.mark.parametrize(("training", "machine", "network"), CASES)
def test_updates_are_those_of_the_oracle(training: str, machine: str, network: str) -> None:
    bench = Bench(Case(network, machine, training=TRAINING[training]))
    scalars = {"clip": 0.05 if "norm" in training else 0.01} if "clip" in dict(bench.training.arguments) else {}
    bench.run("init", scalars=scalars)
    assert not bench.difference()
    bench.machine.counters.take()
    counted: list[Traffic] = []
    for step, scale in enumerate((1024.0, HUGE, 512.0)):
        overflows = scale == HUGE and "dynamic" in training
        if scale == HUGE and not overflows:
            continue  # a static scale would leave NaN behind, and the host would stop there
        bench.feed()
        before = lasting(bench)
        bench.run("train_step", step, BATCH - step, {**scalars, "loss_scale": scale})
        assert not bench.difference()
        if "dynamic" in training:
            assert bool(bench.stored("overflow")) == overflows
        changed = {name for name, held in lasting(bench).items() if not np.array_equal(held, before[name])}
        moving = {name for name in before if name.endswith((".w.master", ".running_mean"))}
        assert not changed if overflows else moving <= changed  # a bias before a norm has no gradient
        counted.append(bench.machine.counters.take())
    assert all(np.isfinite(held).all() for held in lasting(bench).values())
    predicted = bench.program.predicted["train_step"]["dram"]
    assert counted[0].to_json()["dram"] == predicted  # the first: a partial batch may move less
    assert predicted["total"] >= bench.program.bound["train_step"]["dram"]["floor"]


def lasting(bench: Bench) -> dict[str, NDArray[Any]]:
    """Everything that an update may change."""
    return {symbol.name: bench.stored(symbol.name) for symbol in persistent(bench.program)}


def test_clipping_binds() -> None:
    """The limits of the cases above are below the norms and values that they clip."""
    bench = Bench(Case("csnn", "quad1", training=TRAINING["dynamic and norm"]))
    bench.run("init", scalars={"clip": 0.05})
    bench.feed()
    bench.run("train_step", scalars={"clip": 0.05})
    assert 0 < float(bench.stored("gradients.factor")) < 1
    words = [bench.stored(symbol.name) for symbol in bench.program.symbols if symbol.role == "gradient"]
    length = np.sqrt(sum(np.sum((word.astype(np.float64) / 1024) ** 2) for word in words))
    np.testing.assert_allclose(bench.stored("gradients.factor"), 0.05 / (length + 1e-6), rtol=1e-6)
    assert max(np.abs(word).max() for word in words) / 1024 > 0.01


@pytest.mark.parametrize("training", ["loss_scale = 1024", "clip = value(0.01)"])
def test_what_nobody_asked_for_moves_nothing(training: str) -> None:
    """With a static scale, and clipped by value, a step moves as much as without: gradients are read once."""
    case = Case("csnn", "quad3", partition="in_turn")
    plain = Bench(replace(case, training="optimizer = adam(lr=1e-2)"), oracle=False).program
    other = Bench(replace(case, training=f"optimizer = adam(lr=1e-2); {training}"), oracle=False).program
    assert other.predicted["train_step"]["dram"] == plain.predicted["train_step"]["dram"]


def test_a_gradient_is_read_once_more_to_be_checked_and_measured() -> None:
    """One further read of each gradient serves the flag and the norm; what stands between is 64 times smaller."""
    case = Case("csnn", "quad1", fusion="off")
    programs = {
        name: Bench(replace(case, training=f"optimizer = adam(lr=1e-2); {added}"), oracle=False).program
        for name, added in {"plain": "loss_scale = 1024", "both": "loss_scale = dynamic; clip = norm(1.0)"}.items()
    }
    read = {name: p.predicted["train_step"]["dram"]["useful_read"] for name, p in programs.items()}
    words = [symbol.bytes for symbol in programs["both"].symbols if symbol.role == "gradient"]
    between = sum(5 * -(-size // 256) for size in words)  # a word and a flag a block of 64 words
    scalars = 5 * len(words)
    assert sum(words) < read["both"] - read["plain"] <= sum(words) + between * 1.1 + scalars
