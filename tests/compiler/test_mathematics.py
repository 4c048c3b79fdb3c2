"""Law 2: in float64 the oracle is what automatic differentiation of an independent framework says; spikes are equal.

References lie in ``tests/golden/references`` (see ``make_references.py``); where PyTorch is installed it is asked live,
on other random numbers.
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, cast, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from snnc.compiler.evaluate import Accumulators, Numerics, Oracle
from snnc.compiler.frontends import snn
from snnc.compiler.ir.expression import Expression, where
from snnc.compiler.ir.notation import Equation
from snnc.compiler.ops.activations import Relu
from snnc.compiler.ops.concat import Concat
from snnc.compiler.ops.convolution import Conv2d
from snnc.compiler.ops.losses import LOSSES, CrossEntropy
from snnc.compiler.ops.op import OPS
from snnc.compiler.ops.optimizers import OPTIMIZERS
from snnc.compiler.ops.spiking import LIF
from snnc.compiler.ops.surrogates import CUSTOM, SURROGATES
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.numerics import random as draws

Array = NDArray[Any]
GOLDEN = Path(__file__).parent.parent / "golden"
ARGUMENTS: dict[str, float] = {
    "valid": 1, "learning_rate": 0.1, "loss_scale": 1.0, "seed": 0, "step": 0, "correction1": 1.0, "correction2": 1.0,
}  # fmt: skip


@cache
def references() -> dict[str, Any]:
    return json.loads((GOLDEN / "references" / "mathematics.json").read_text(encoding="utf-8"))


@cache
def maker() -> Any:
    """The script that makes the references: its PyTorch models serve live as well."""
    spec = importlib.util.spec_from_file_location("make_references", GOLDEN / "make_references.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def oracle_of(source: str, given: Mapping[str, Any], accumulators: Accumulators = "f64") -> Oracle:
    """The oracle of a network with its inputs and parameters."""
    network = snn.read(source)
    oracle = Oracle(build_training(network, TrainingOptions.resolve(network)), Numerics(accumulators))
    masters = {variable.name for variable in oracle.training.variables if variable.role == "master"}
    for name, value in given.items():
        oracle.write(name, np.asarray(value, np.float64))
        if f"{name}.master" in masters:
            oracle.write(f"{name}.master", np.asarray(value, np.float64))
    return oracle


def agree(source: str, training: Mapping[str, Any], given: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """AssertionError where the oracle differs: in any spike, or in a number by more than 1e-9."""
    oracle = oracle_of(source, given)
    for update in range(training["updates"]):
        oracle.run(
            "train_step",
            ARGUMENTS
            | {
                "valid": training["valid"],
                "learning_rate": training["lr"],
                "loss_scale": training["loss_scale"],
                "correction1": 1 - training["beta1"] ** (update + 1),
                "correction2": 1 - training["beta2"] ** (update + 1),
            },
        )
        if update:
            continue
        for name, value in expected.items():
            if name.startswith("d."):
                close(name, oracle.read(name) / training["loss_scale"], value)
            elif name == "loss":
                close(name, oracle.read(name), value)
            elif not name.endswith(" after"):
                assert np.array_equal(oracle.read(name), np.asarray(value)), f"spikes of {name}"
    for name, value in expected.items():
        if name.endswith(" after"):
            close(name, oracle.read(name.removesuffix(" after")), value)
            close(name, oracle.read(name.removesuffix(" after") + ".master"), value)


def close(name: str, found: Array, expected: Any) -> None:
    np.testing.assert_allclose(found, np.asarray(expected), rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("name", references())
def test_the_oracle_is_what_autograd_says(name: str) -> None:
    agree(**references()[name])


@pytest.mark.parametrize("name", references())
def test_the_oracle_is_what_autograd_says_now(name: str) -> None:
    pytest.importorskip("torch", reason="needs PyTorch (pip install snnc[torch]); stored references are tested anyway")
    module = maker()
    case = module.cases()[name]
    given = module.draw(case, 77)
    agree(module.source(case), module.training(case), given, module.expected(case, given))


def test_the_references_are_those_of_the_script() -> None:
    module = maker()
    assert {name: module.source(case) for name, case in module.cases().items()} == {
        name: record["source"] for name, record in references().items()
    }


def test_every_operator_surrogate_loss_and_optimizer_has_a_reference() -> None:
    found = dict(references())
    for name in ("deep", "neurons", "kernels", "stdp"):
        found |= json.loads((GOLDEN / "references" / f"{name}.json").read_text(encoding="utf-8"))
    text = "\n".join(record["source"] for record in found.values())
    layers = {name for name in OPS if OPS[name].family == "layer"} - {"poisson", "dropout"}  # drawn, see their tests
    for name in (*layers, *({*LOSSES} - {"rates"}), *OPTIMIZERS):  # no loss: what a rule implies
        assert f"= {name}(" in text, f"add a case of {name} to tests/golden/make_references.py"
    for name in (*(SURROGATES.keys() - {"stochastic"}), CUSTOM):
        assert re.search(rf"surrogate={name}\b", text), f"add a case of {name} to tests/golden/make_references.py"


# The tests can fail: each mutation of the mathematics is caught.


def caught(name: str) -> bool:
    """Whether the reference notices."""
    try:
        agree(**references()[name])
    except (AssertionError, ValueError):
        return True
    return False


@pytest.mark.parametrize("left_out", ["nothing", "the step after", "the reset"])
def test_a_missing_adjoint_term_is_caught(left_out: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if left_out == "the step after":
        monkeypatch.setattr(LIF, "adjoint", LIF.adjoint_local)
    if left_out == "the reset":
        monkeypatch.setattr(LIF, "fed_back", lambda self, s: replace(s))  # type: ignore[reportUnknownLambdaType]
    assert caught("soft reset, detach False") == (left_out != "nothing")


def test_a_wrong_stride_in_a_gradient_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The forward pass stays right; the gradients walk the input with the strides of rows and columns exchanged."""
    equation, gradient = Conv2d.equation, Equation.gradient
    exchanged: dict[str, Equation] = {}

    def both(self: Conv2d, x: tuple[int, ...], y: tuple[int, ...]) -> tuple[Equation, dict[str, int]]:
        line, given = equation(self, x, y)
        exchanged[str(line)] = equation(replace(self, stride=self.stride[::-1]), x, y)[0]
        return line, given

    def wrong(self: Equation, of: str) -> Equation:
        return gradient(exchanged.get(str(self), self), of)

    monkeypatch.setattr(Conv2d, "equation", both)
    assert not caught("conv2d stride and pad"), "looking on changes nothing"
    monkeypatch.setattr(Equation, "gradient", wrong)
    assert caught("conv2d stride and pad")


def test_a_swapped_operand_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Softmax minus label is not label minus softmax."""
    right = CrossEntropy.verdict

    def wrong(self: CrossEntropy, steps: int, classes: int, y: Expression, total: Expression) -> Any:
        verdict = right(self, steps, classes, y, total)
        assert verdict.seed is not None
        return verdict._replace(seed=0.0 - verdict.seed)

    monkeypatch.setattr(CrossEntropy, "verdict", wrong)
    assert caught("loss cross_entropy")


def test_a_wrong_surrogate_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = replace(SURROGATES["atan"], formula=SURROGATES["sigmoid"].formula)
    monkeypatch.setitem(SURROGATES, "atan", wrong)
    assert caught("surrogate atan")


def test_the_error_of_the_wrong_channels_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Concat, "d_b", Concat.d_a)
    assert caught("concat of spikes off the byte")


def test_an_error_that_passes_relu_at_0_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(self: Relu, error: Expression, y: Expression) -> Expression:
        return where(y >= 0.0, error, 0.0)

    monkeypatch.setattr(Relu, "slope", wrong)
    assert caught("relu at 0")


# Worked out by hand: one neuron, and a network of 2, 3 and 2, over four steps.


class TA:
    """One neuron: x = [1, 0, 1, 1], w = 0.875, kappa = 0.5, theta = 1, triangle(1), L = sum of c * s."""

    given: ClassVar = {
        "x": [[[1.0]], [[0.0]], [[1.0]], [[1.0]]],
        "i.w": [[0.875]],
        "label": [0],
        "coefficient": [[[1.0]], [[-1.0]], [[0.5]], [[2.0]]],
    }
    cases: ClassVar = {
        ("soft", True): ([0.875, 0.4375, 1.09375, 0.921875], 4.21875),
        ("soft", False): ([0.875, 0.4375, 1.09375, 0.921875], 3.2404413223),
        ("hard", True): ([0.875, 0.4375, 1.09375, 0.875], 2.97265625),
        ("hard", False): ([0.875, 0.4375, 1.09375, 0.875], 2.1399224382),
    }

    @staticmethod
    def source(reset: str, detach: bool) -> str:
        return f"""network neuron(x: f16[t, 1]) steps 4 {{
            i = linear(x, out=1, bias=false)
            s = lif(i, decay=0.5, reset={reset}, detach_reset={str(detach).lower()}, surrogate=triangle)
            return s
        }}
        train {{ loss = weighted_sum; optimizer = sgd; batch = 1 }}"""


@pytest.mark.parametrize(("reset", "detach"), TA.cases)
@pytest.mark.parametrize("accumulators", ["f64", "exact"])
def test_one_neuron_has_its_published_gradient(reset: str, detach: bool, accumulators: Accumulators) -> None:
    membrane, gradient = TA.cases[reset, detach]
    oracle = oracle_of(TA.source(reset, detach), TA.given, accumulators)
    oracle.run("train_step", ARGUMENTS)
    assert oracle.read("s.h").ravel().tolist() == membrane
    assert oracle.read("s").ravel().tolist() == [0.0, 0.0, 1.0, 0.0]
    found = float(oracle.read("d.i.w")[0, 0])
    if accumulators == "exact":
        assert abs(found - gradient) < 2e-3
    elif detach:
        assert found == gradient
    else:
        assert abs(found - gradient) < 1e-10, "the reference has ten decimals"


class TB:
    """2-3-2 over four steps, cross-entropy of every step, kappa = 0.5, triangle(1), soft reset."""

    given: ClassVar = {
        "x": [[[1.0, 0.5]], [[0.25, 1.25]], [[0.75, 0.75]], [[1.5, -0.25]]],
        "a.w": [[0.875, -0.375], [0.25, 0.75], [-0.625, 1.125]],
        "a.b": [0.125, 0.0, 0.25],
        "y.w": [[0.75, -0.5, 0.375], [-0.25, 0.625, 0.875]],
        "y.b": [0.0, 0.125],
        "label": [1],
    }
    membrane: ClassVar = [
        [0.8125, 0.625, 0.1875],
        [0.28125, 1.3125, 1.59375],
        [0.640625, 0.90625, 0.921875],
        [1.8515625, 0.640625, -0.5078125],
    ]
    spikes: ClassVar = [[0, 0, 0], [0, 1, 1], [0, 0, 0], [1, 0, 0]]
    logits: ClassVar = [[0.0, 0.125], [-0.125, 1.625], [0.0, 0.125], [0.75, -0.125]]
    read_out: ClassVar = {
        "d.y.w": [[0.176446257, 0.0370117995, 0.0370117995], [-0.176446257, -0.0370117995, -0.0370117995]],
        "d.y.b": [0.4478533698, -0.4478533698],
    }
    gradients: ClassVar[dict[bool, dict[str, Any]]] = {
        True: {
            "d.a.w": [
                [0.241514425, 0.1889411448],
                [-0.5005754183, -0.3269544662],
                [-0.0773991909, -0.0978018651],
            ],
            "d.a.b": [0.2913355867, -0.5728808178, -0.116800704],
        },
        False: {
            "d.a.w": [
                [0.2077841122, 0.1515885502],
                [-0.3883378464, -0.1683023157],
                [-0.0669611374, -0.0802382427],
            ],
            "d.a.b": [0.2439469818, -0.3922876696, -0.0981329201],
        },
    }

    @staticmethod
    def source(detach: bool) -> str:
        return f"""network net(x: f16[t, 2]) steps 4 {{
            a = linear(x, out=3)
            s = lif(a, decay=0.5, reset=soft, detach_reset={str(detach).lower()}, surrogate=triangle)
            y = linear(s, out=2)
            return y
        }}
        train {{ loss = cross_entropy_mse(lam=0); optimizer = sgd; batch = 1 }}"""


@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("accumulators", get_args(Accumulators))
def test_a_small_net_has_its_published_gradients(detach: bool, accumulators: Accumulators) -> None:
    oracle = oracle_of(TB.source(detach), TB.given, accumulators)
    oracle.run("train_step", ARGUMENTS)
    assert oracle.read("s.h")[:, 0].tolist() == TB.membrane
    assert oracle.read("s")[:, 0].tolist() == TB.spikes
    assert oracle.read("y")[:, 0].tolist() == TB.logits
    tolerance = 1e-9 if accumulators == "f64" else 2e-3
    for name, value in (TB.gradients[detach] | TB.read_out).items():
        np.testing.assert_allclose(oracle.read(name), np.asarray(value), rtol=0, atol=tolerance, err_msg=name)


# What the host sees of an oracle.


def test_init_draws_the_same_masters_in_every_numerics_and_rounds_working_copies() -> None:
    masters: list[Array] = []
    for accumulators in ("exact", "f64"):
        oracle = oracle_of(TB.source(True), {}, cast(Accumulators, accumulators))
        oracle.run("init", ARGUMENTS | {"seed": 3})
        masters.append(oracle.read("a.w.master"))
        working = oracle.read("a.w")
        if accumulators == "exact":
            assert np.array_equal(working, masters[0].astype(np.float16).astype(np.float64))
    np.testing.assert_allclose(masters[0], masters[1], rtol=1e-6)
    assert len(set(masters[0].ravel().tolist())) == masters[0].size


@pytest.mark.parametrize("accumulators", ["exact", "f64"])
def test_poisson_spikes_are_drawn_by_step_sample_and_logical_element(accumulators: Accumulators) -> None:
    source = """network coded(x: f16[2, 3, 4]) steps 5 {
            y = linear(flatten(x), out=2)
            return y
        }
        train { loss = cross_entropy; coding = poisson; batch = 3 }"""
    rates = np.random.default_rng(1).integers(0, 9, (3, 2, 3, 4)) / 8
    oracle = oracle_of(source, {"x": rates}, accumulators)
    oracle.run("infer", ARGUMENTS | {"seed": 7, "step": 2})
    drawn = draws.uniform(np.arange(5 * 3 * 24), 7, draws.stream_of("x.spikes"), 2).reshape(5, 3, 2, 3, 4)
    assert np.array_equal(oracle.read("x.spikes"), drawn < rates)


def test_variables_stay_from_run_to_run() -> None:
    oracle = oracle_of(TB.source(True), TB.given, "exact")
    oracle.run("train_step", ARGUMENTS)
    once = oracle.read("a.w.master")
    oracle.run("infer", ARGUMENTS)
    assert np.array_equal(oracle.read("a.w.master"), once)
    oracle.run("train_step", ARGUMENTS)
    assert not np.array_equal(oracle.read("a.w.master"), once)
    names = [record.name for record in oracle.records()]
    assert names.index("s") < names.index("y") < names.index("d.a.w")


def test_what_the_host_gets_wrong_is_told() -> None:
    oracle = oracle_of(TB.source(True), TB.given)
    with pytest.raises(ValueError, match=r"missing \['valid'\], unknown \['rate'\]"):
        oracle.run("train_step", {name: value for name, value in ARGUMENTS.items() if name != "valid"} | {"rate": 1})
    with pytest.raises(ValueError, match="seed = -1 is not an unsigned 32-bit integer"):
        oracle.run("train_step", ARGUMENTS | {"seed": -1})
    with pytest.raises(LookupError, match=r"a\.w"):
        oracle.write("a.ww", [0.0])
    with pytest.raises(ValueError, match=r"has shape \(3, 2\), not \(2, 3\)"):
        oracle.write("a.w", np.zeros((2, 3)))
