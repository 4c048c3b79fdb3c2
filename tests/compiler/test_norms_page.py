"""The page of norms: its networks can be trained, and its tables have every setting and choice."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from snnc.compiler.frontends import snn
from snnc.compiler.ops.op import OPS
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.training_options import TrainingOptions

PAGE = (Path(__file__).parents[2] / "docs" / "norms.md").read_text("utf-8")
EXAMPLES = re.findall(r"```snn\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.split()[1].partition("(")[0])
def test_examples_can_be_trained(example: str) -> None:
    network = snn.read(example)
    training = build_training(network, TrainingOptions.resolve(network))
    trained = {variable.name for variable in training.variables if variable.role == "master"}
    updated = {name for node in training.procedure("train_step").nodes for name in node.results if node.phase == "UP"}
    assert trained and trained <= updated


@pytest.mark.parametrize("name", ["batch_norm", "standardise", "scale", "dropout"])
def test_every_setting_and_choice_is_there(name: str) -> None:
    for field in OPS[name].settings().values():
        assert re.search(rf"[`*]{field.name}\b", PAGE), field.name
        for choice in field.choices:
            assert f"`{choice}`" in PAGE, choice


def test_what_the_page_says_of_shapes_is_so() -> None:
    network = snn.read(EXAMPLES[0])
    types = {name: str(type) for name, type in network.types.items()}
    assert types["s3.batch_norm.running_mean"] == "f32[t, 8]" and "s3.batch_norm.beta" not in types
    assert types["s2.batch_norm.gamma"] == "f32[8]" == types["s2.batch_norm.mean"]
    assert types["s3.batch_norm.mean"] == "f32[t, 8]"
    assert types["d"] == "spike[t, n, 8, 12, 12] * 1.25"
