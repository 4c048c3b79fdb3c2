"""Law 2 for what reaches over time, samples and layers: in float64 the oracle is what PyTorch says.

References lie in ``tests/golden/references/deep.json`` (see ``make_deep_references.py``); where PyTorch is installed it
is asked live, on other random numbers.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from snnc.compiler.evaluate import Numerics, Oracle
from snnc.compiler.frontends import snn
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.training_options import TrainingOptions

GOLDEN = Path(__file__).parent.parent / "golden"
ARGUMENTS: dict[str, float] = {
    "learning_rate": 0.1, "loss_scale": 8.0, "seed": 0, "step": 0, "correction1": 1.0, "correction2": 1.0,
}  # fmt: skip


@cache
def references() -> dict[str, Any]:
    return json.loads((GOLDEN / "references" / "deep.json").read_text(encoding="utf-8"))


@cache
def maker() -> Any:
    """The script that makes the references: its PyTorch models serve live as well."""
    spec = importlib.util.spec_from_file_location("make_deep_references", GOLDEN / "make_deep_references.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def oracle_of(source: str, given: Mapping[str, Any]) -> Oracle:
    """The float64 oracle of a network with its inputs, parameters, and statistics as they begin."""
    network = snn.read(source)
    oracle = Oracle(build_training(network, TrainingOptions.resolve(network)), Numerics("f64"))
    oracle.run("init", ARGUMENTS | {"valid": 1})
    variables = {variable.name for variable in oracle.training.variables}
    for name, value in given.items():
        for each in {name, f"{name}.master"} & variables:
            oracle.write(each, np.asarray(value, np.float64))
    return oracle


def agree(source: str, valid: int, given: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """AssertionError where the oracle differs: in any spike, or in a number by more than 1e-9."""
    oracle = oracle_of(source, given)
    oracle.run("train_step", ARGUMENTS | {"valid": valid})
    for name, value in expected.items():
        wanted = np.asarray(value, np.float64)
        if name.startswith("d."):
            close(name, oracle.read(name) / 8.0, wanted)
        elif name == "loss":
            close(name, oracle.read(name)[:valid], wanted)
        elif name.endswith(" after"):
            close(name, oracle.read(name.removesuffix(" after")), wanted)
        elif name != "logits inferred":
            assert np.array_equal(oracle.read(name)[:, :valid], wanted), f"spikes of {name}"
    oracle.run("infer", ARGUMENTS | {"valid": len(given["label"])})
    close("logits inferred", oracle.read("logits"), np.asarray(expected["logits inferred"]))


def close(name: str, found: NDArray[Any], expected: NDArray[Any]) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("name", references())
def test_the_oracle_is_what_autograd_says(name: str) -> None:
    agree(**references()[name])


@pytest.mark.parametrize("name", references())
def test_the_oracle_is_what_pytorch_says_live(name: str) -> None:
    pytest.importorskip("torch")
    case = maker().cases()[name]
    given = maker().draw(case, 77)
    agree(maker().source(case), case.valid, given, maker().expected(case, given))


def test_the_references_are_those_of_the_script() -> None:
    cases = maker().cases()
    assert {name: record["source"] for name, record in references().items()} == {
        name: maker().source(case) for name, case in cases.items()
    }


@pytest.mark.parametrize("port", ["f16[t, 2]", "f16[2]"])
def test_a_single_sample_has_no_variance_to_follow(port: str) -> None:
    """The mean follows it, the variance stays, whether every step is followed or a static one as often."""
    source = f"""network a(x: {port}) steps 3 {{
        m = batch_norm(x, momentum=0.5)
        return linear(lif(m), out=2)
    }} train {{ batch = 4 }}"""
    oracle = oracle_of(source, {})
    oracle.write("x", np.full(oracle.value("x").shape, 2.0))
    oracle.run("train_step", ARGUMENTS | {"valid": 1})
    close("running_mean", oracle.read("m.running_mean"), np.full(2, 2.0 * (1 - 0.5**3)))
    close("running_var", oracle.read("m.running_var"), np.ones(2))
    oracle.run("train_step", ARGUMENTS | {"valid": 2})
    close("running_var", oracle.read("m.running_var"), np.full(2, 0.5**3))
