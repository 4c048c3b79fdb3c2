"""Optimizers that count their updates, where there are several in a batch: the graph counts, and not the host."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from stored import ARGUMENTS, given_to, records, script

from snnc.compiler.frontends import snn
from snnc.compiler.ir.graph import Training
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.source import SourceError

RECORDS = records("corrections")


def graph(source: str, **command: Any) -> Training:
    network = snn.read(source)
    return build_training(network, TrainingOptions.resolve(network, command))


@pytest.mark.parametrize("name", RECORDS)
def test_updates_are_those_of_pytorch_from_batch_to_batch(name: str) -> None:
    record = RECORDS[name]
    given = {value: array for value, array in record["given"].items() if "." in value}
    oracle = given_to(graph(record["source"]), given)
    for batch in range(2):
        oracle.write("x", np.asarray(record["given"]["x"][batch]))
        oracle.write("label", np.asarray(record["given"]["label"][batch]))
        wrong = {"correction1": np.nan, "correction2": np.nan}  # what the host would say is nowhere read
        oracle.run("train_step", ARGUMENTS | wrong | {"learning_rate": 0.05, "valid": 2, "step": batch})
        for parameter, expected in record["expected"].items():
            found = oracle.read(f"{parameter}.master")
            np.testing.assert_allclose(found, expected[batch], rtol=0, atol=1e-9, err_msg=parameter)


def test_the_references_are_those_of_their_script() -> None:
    made = script("make_correction_references")
    assert list(RECORDS) == [f"{rule}, {optimizer}" for rule in made.RULES for optimizer in made.OPTIMIZERS]
    for rule in made.RULES:
        for optimizer in made.OPTIMIZERS:
            written = made.SOURCE.replace("OPTIMIZER", f"optimizer = {optimizer}; rule = {rule}")
            assert RECORDS[f"{rule}, {optimizer}"]["source"] == written


@pytest.mark.parametrize("name", RECORDS)
def test_what_corrects_an_update_is_what_its_number_says(name: str) -> None:
    """``1 - beta**k`` behind k updates, from the first on; in f32 to its last digits, also for the smallest k."""
    record = RECORDS[name]
    updates = 4 if name.startswith("ottt_o") else 2
    betas = (0.8, 0.99) if "beta1" in name else (0.9, 0.999)
    oracle = given_to(graph(record["source"]), {}, "exact")
    oracle.write("x", np.zeros((4, 2, 5)))
    for batch in range(3):
        oracle.run("train_step", ARGUMENTS | {"valid": 2, "step": batch})
        for number, beta in enumerate(betas, start=1):
            found = float(oracle.read(f"gradients.correction{number}"))
            assert found == pytest.approx(1 - beta ** ((batch + 1) * updates), rel=1e-6)


SOURCE = """network net(x: f16[t, 4]) steps 6 { NAME = linear(lif(linear(x, out=3)), out=2); return NAME }
train { loss = cross_entropy_mse; optimizer = OPTIMIZER; rule = RULE }"""


@pytest.mark.parametrize(
    ("rule", "optimizer", "kept"),
    [
        ("ottt_o", "adam", True),
        ("bptt(window=3)", "adamw", True),
        ("bptt(window=3, update=batch)", "adam", False),
        ("ottt_a", "adam", False),
        ("ottt_o", "sgd(momentum=0.9)", False),
    ],
)
def test_the_host_corrects_where_there_is_one_update_a_batch(rule: str, optimizer: str, kept: bool) -> None:
    training = graph(SOURCE.replace("NAME", "y").replace("RULE", rule).replace("OPTIMIZER", optimizer))
    names = {variable.name: variable.role for variable in training.variables if variable.layer == "gradients"}
    assert names == (dict.fromkeys(("gradients.correction1", "gradients.correction2"), "optimizer") if kept else {})
    updates = [node for node in training.procedure("train_step").nodes if node.op in ("adam", "adamw")]
    assert bool(updates) == ("adam" in optimizer)
    assert all(set(names) <= set(node.operands) for node in updates)


def test_no_value_may_be_called_as_what_corrects() -> None:
    source = SOURCE.replace("NAME", "gradients.correction2").replace("RULE", "ottt_o").replace("OPTIMIZER", "adam")
    with pytest.raises(SourceError) as error:
        graph(source)
    (fault,) = error.value.faults
    told = "a value may not be called gradients.correction2: that is what adam corrects its updates by"
    assert (fault.place.line, fault.message) == (1, told)
    assert graph(source, optimizer="sgd")
