"""Work of learning rules on the engines, counted: what going backwards through weights costs, and what goes without."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from laws import Compilation, Options

from snnc.compiler.ir.graph import Setting
from snnc.isa.traffic import Amounts
from snnc.runtime.interpreter import Interpreter

ARGUMENTS: dict[str, float] = {
    "valid": 1, "learning_rate": 0.01, "loss_scale": 1024.0, "seed": 3, "step": 0,
}  # fmt: skip


@cache
def worked(rule: str, *settings: Setting) -> dict[str, Amounts]:
    """By phase, what a training step of a narrow `vgg11` was counted to do; the compiler predicted its bytes."""
    train = {"loss": ("cross_entropy_mse", ("lam", 0.05)), "rule": (rule, *settings)}
    narrow = {"size": 16, "width": 32}
    program = Compilation("vgg11", Options("li2024_exact", 4, 1, 2, train=train, settings=narrow)).program
    machine = Interpreter(program)
    for entry in ("init", "train_step"):
        machine.counters.take()
        machine.write("image", np.random.default_rng(0).random((1, 3, 16, 16), np.float32))
        machine.run(entry, {name: ARGUMENTS[name] for name in program.entry(entry).arguments})
    traffic = machine.counters.take()
    assert traffic.to_json()["dram"] == program.predicted["train_step"]["dram"]
    return traffic.by_phase()


def operations(of: Amounts) -> float:
    """Those that an engine does, or passes over since a factor is zero."""
    return of.gated + of.multiply + of.skipped


@pytest.mark.parametrize("feedback", ["learned", "dfa"])
def test_matrices_that_lead_straight_to_a_layer_cost_little_beside_weights_read_backwards(feedback: str) -> None:
    """A word a neuron and class: under 2 % of what BPTT does there, in operations and in those that are done."""
    full, direct = worked("bptt"), worked("opzo", ("feedback", feedback))
    neurons = 32 * (16 * 16 * (1 + 2) + 8 * 8 * (4 + 4) + 4 * 4 * (8 + 8) + 2 * 2 * (8 + 8))
    assert operations(direct["BP"]) == 10 * neurons * 2, "classes times neurons, in each of two steps"
    assert operations(direct["BP"]) < 0.02 * operations(full["BP"])
    assert direct["BP"].multiply < 0.02 * full["BP"].multiply
    assert operations(direct["FP"]) == operations(full["FP"])


def test_without_a_matrix_the_engine_of_errors_does_nothing() -> None:
    assert operations(worked("opzo", ("feedback", "zo"))["BP"]) == 0


def test_noise_behind_the_neurons_takes_the_bits_from_the_layers_that_read_them() -> None:
    after, before = worked("opzo", ("feedback", "learned")), worked("opzo", ("perturb", "before"))
    assert after["FP"].gated == 0 < before["FP"].gated
    assert before["FP"].multiply < after["FP"].multiply


STATIC = """
network still(image: f16[1, 6, 6]) steps 4 {
    c = conv2d(image, out=4, kernel=3)
    s = lif(c, reset=soft)
    return linear(flatten(s), out=3)
}
"""


@pytest.mark.parametrize(("rule", "times"), [("bptt", 1), ("sltt", 1), ("ottt_a", 1), ("ottt_o", 4)])
def test_a_layer_that_reads_the_same_in_every_step_works_once_unless_its_weights_change(
    rule: str, times: int, tmp_path: Path
) -> None:
    """Section 8.2, T-E: its sums are made once, and so is the gradient of its weights."""
    path = tmp_path / "still.snn"
    path.write_text(STATIC, encoding="utf-8")
    train = {"loss": ("cross_entropy_mse", ("lam", 0.05)), "rule": rule, "optimizer": "sgd"}
    program = Compilation(str(path), Options("tiny", 1, 2, train=train)).program
    machine = Interpreter(program)
    for entry in ("init", "train_step"):
        machine.counters.take()
        machine.write("image", np.random.default_rng(0).random((2, 1, 6, 6), np.float32))
        machine.run(entry, {name: ARGUMENTS[name] for name in program.entry(entry).arguments})
    found: dict[str, float] = {}
    for key, amounts in machine.counters.take().rows.items():
        if key.layer == "c":
            found[key.phase] = found.get(key.phase, 0.0) + operations(amounts)
    sums = 2 * 4 * 4 * 4 * 9  # samples, channels, places, taps
    of_bias = 2 * 4 * 4 * 4
    assert (found["FP"], found["WG"]) == (times * sums, times * (sums + of_bias))
