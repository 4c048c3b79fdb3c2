"""A sweep may have its own number of time steps, whatever that of the network is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from snnc.compiler.evaluate import Oracle
from snnc.compiler.ir.graph import Region, Training
from snnc.compiler.ir.text import parse_training, print_training
from snnc.compiler.ir.types import Type
from snnc.compiler.passes.build_schedule import MappingOptions
from snnc.compiler.pipeline import assemble
from snnc.isa.program import Program
from snnc.isa.target import load_target
from snnc.runtime.interpreter import Interpreter
from snnc.source import SourceError

TEXT = """training geometric steps 3 batch 2 {
    input x : f16[n, 5]

    entry train_step(x) {
        sweep t up 7 stepwise {
            back = delay(total) : f16[t:7, n, 5] @ BP(total)
            total = add(x, back) : f16[t:7, n, 5] @ BP(total)
            sum = time_sum(total) : f16[n, 5] @ BP(total)
        }
        return sum
    }
}
"""
"""Every step adds x to what the step before has left: in seven steps that is 1 + 2 + ... + 7 times x."""


def program(training: Training, cores: int) -> Program:
    return assemble(training, MappingOptions(load_target("quad"), cores))


def test_such_a_graph_is_printed_as_it_is_read() -> None:
    training = parse_training(TEXT)
    (region,) = training.procedure("train_step").regions
    assert (region.sweep, region.steps, region.stepwise, region.turns) == ("up", 7, True, 0)
    assert region.nodes[0].types == (Type.of("f16", 5, timed=True, batched=True).with_(steps=7),)
    assert print_training(training) == TEXT and parse_training(print_training(training)) == training


@pytest.mark.parametrize(
    ("words", "region"),
    [
        ("up", Region("up", ())),
        ("up stepwise", Region("up", (), True)),
        ("up 9", Region("up", (), steps=9)),
        ("chosen 2", Region("chosen", (), True, 2)),
        ("down", Region("down", ())),
    ],
)
def test_numbers_and_words_of_a_sweep_are_told_apart(words: str, region: Region) -> None:
    text = f"training a steps 3 batch 1 {{ entry train_step() {{ sweep t {words} {{ }} }} }}"
    assert parse_training(text).procedures[0].regions == (region,)


def test_only_time_has_steps_of_its_own() -> None:
    with pytest.raises(SourceError) as caught:
        parse_training("training a steps 3 batch 1 { input x : f16[n:250, 5] }", "a.snn")
    assert caught.value.faults[0].message == "only t has steps of its own: f16[t:250, n, 128]"


def test_all_of_its_steps_are_taken_on_the_oracle() -> None:
    oracle = Oracle(parse_training(TEXT))
    x = np.arange(10.0).reshape(2, 5) / 4
    oracle.write("x", x)
    oracle.run("train_step")
    assert oracle.value("total").shape == (7, 2, 5)
    assert np.array_equal(oracle.read("total"), np.arange(1, 8)[:, None, None] * x)
    assert np.array_equal(oracle.read("sum"), 28 * x)


@pytest.mark.parametrize("cores", [1, 4])
def test_all_of_its_steps_are_taken_on_the_machine_in_the_room_of_one(cores: int) -> None:
    made = program(parse_training(TEXT), cores)
    assert {symbol.name: symbol.steps for symbol in made.symbols if symbol.steps} == {"back": 1, "total": 1}
    machine = Interpreter(made)
    x: Any = np.arange(10.0).reshape(2, 5) / 4
    machine.write("x", x)
    machine.run("train_step")
    assert np.array_equal(machine.values("sum"), 28 * x)
    assert np.array_equal(machine.values("total"), 7 * x[None])


def test_neither_memory_nor_program_grows_with_its_steps() -> None:
    seven, many = program(parse_training(TEXT), 4), program(parse_training(TEXT.replace("7", "50")), 4)
    assert (seven.dram_bytes, seven.instruction_count) == (many.dram_bytes, many.instruction_count)
