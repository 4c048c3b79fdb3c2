"""Law 2 for the models that come with snnc, narrow: in float64 the oracle is what autograd says.

Where PyTorch is installed it is asked live, by the peer of `benchmarks`, for every model; for some of them references
lie in ``tests/golden/references/models.json`` (see ``make_model_references.py``).
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from float64 import ROOT, Narrow, Numbers, benchmarks, of_oracle, of_pytorch, stored, summary
from laws import NARROW

STEPS = {"srnn": 6}
"""Of models in which less time would show too little."""


def narrow(name: str) -> Narrow:
    return Narrow(name, STEPS.get(name, 3))


@cache
def references() -> dict[str, Any]:
    return json.loads((ROOT / "tests" / "golden" / "references" / "models.json").read_text(encoding="utf-8"))


def agree(found: Numbers, expected: Numbers) -> None:
    """AssertionError where a spike differs, or a number by more than 1e-9."""
    assert found.keys() == expected.keys()
    for name, wanted in expected.items():
        if name.endswith(" fires"):
            assert np.array_equal(found[name], wanted), f"{np.count_nonzero(found[name] != wanted)} of {name}"
        else:
            np.testing.assert_allclose(found[name], wanted, rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("name", NARROW)
def test_a_model_is_what_pytorch_says_live(name: str) -> None:
    pytest.importorskip("torch")
    model = narrow(name)
    given = model.drawn(1)
    agree(of_oracle(model, given), of_pytorch(model, given))


@pytest.mark.parametrize("name", stored())
def test_a_model_is_what_autograd_said(name: str) -> None:
    record = references()[name]
    model = Narrow(name, record["steps"])
    found, expected = summary(of_oracle(model, model.drawn(record["seed"]))), record["expected"]
    assert found.keys() == expected.keys()
    for key, wanted in expected.items():
        if key.endswith(" fires"):
            assert found[key] == wanted, f"spikes (count, checksum) of {key.removesuffix(' fires')}"
        else:
            np.testing.assert_allclose(found[key], wanted, rtol=1e-9, atol=1e-9, err_msg=key)


def test_the_references_are_those_of_the_script() -> None:
    assert {name: (record["steps"], record["seed"]) for name, record in references().items()} == stored()


def graph_of(name: str) -> Any:
    """The graph that the peer reads."""
    benchmarks()
    model = narrow(name)
    return import_module("benchmarks.graphs").graph_of(model.network, model.compilation.training_options)


def test_a_graph_comes_back_from_its_file(tmp_path: Path) -> None:
    graph = graph_of("srnn")
    graph.save(tmp_path / "graph.json")
    assert import_module("benchmarks.peers.graph").load(tmp_path / "graph.json") == graph


def test_what_the_peer_cannot_do_is_told() -> None:
    graph = graph_of("srnn")
    check: Any = import_module("benchmarks.peers.torch_network").check
    first = next(node for node in graph.nodes if node.op == "lif")
    for changed, message in (
        (replace(first, op="izhikevich"), "spikes: the PyTorch peer has no izhikevich"),
        (replace(first, settings={**first.settings, "noise": 1}), "spikes: the PyTorch peer has no lif with noise"),
    ):
        with pytest.raises(ValueError) as caught:
            check(replace(graph, nodes=(changed,)))
        assert str(caught.value) == message
