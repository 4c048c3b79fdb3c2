"""Errors that come straight to hidden layers: by matrices that noise has taught, fixed ones, or the loss itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from stored import given_to, records, script

from snnc.compiler.evaluate import Numerics, Oracle
from snnc.compiler.frontends import snn
from snnc.compiler.ir.graph import Training
from snnc.compiler.ir.settings import called
from snnc.compiler.passes.differentiate import build_training, untaught
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.compiler.training.rule import RULES
from snnc.numerics import random
from snnc.source import SourceError

Array = NDArray[Any]
GOLDEN = Path(__file__).parent.parent / "golden"
ARGUMENTS: dict[str, float] = {
    "valid": 2, "learning_rate": 0.1, "loss_scale": 1.0, "seed": 0, "step": 0, "correction1": 1.0, "correction2": 1.0,
}  # fmt: skip


def graph(source: str, rule: str = "opzo", settings: Mapping[str, Any] | None = None, **more: Any) -> Training:
    """The training graph under *rule* with these settings."""
    network = snn.read(source)
    chosen = (rule, *(settings or {}).items())
    return build_training(network, TrainingOptions.resolve(network, {"rule": chosen, "optimizer": "sgd", **more}))


def trained(
    source: str, given: Mapping[str, Any], rule: str = "opzo", settings: Mapping[str, Any] | None = None, **more: Any
) -> Oracle:
    """After one training step."""
    oracle = given_to(graph(source, rule, settings, **more), given)
    oracle.run("train_step", ARGUMENTS | {"valid": oracle.training.batch})
    return oracle


def ops(training: Training, entry: str = "train_step") -> dict[str, str]:
    """The operator that makes each value, with what it reads."""
    nodes = training.procedure(entry).nodes
    return {name: f"{node.op}({', '.join(node.operands)})" for node in nodes for name in node.results if name}


# What the reference of algorithms asks for: section 8.2, T-F


TWO = """network two(x: f16[t, 4]) steps STEPS {
    c = linear(x, out=6)
    s = lif(c, decay=0.5, reset=soft, surrogate=straight_through)
    return linear(s, out=3)
} train { loss = cross_entropy_mse(lam=0.25); loss_scale = 1; batch = BATCH }"""


def two(steps: int, batch: int) -> tuple[str, dict[str, Any]]:
    """The network, with input, labels, parameters and a matrix."""
    rng = np.random.default_rng(8)
    given = {
        "x": rng.normal(0.0, 1.5, (steps, batch, 4)), "label": rng.integers(0, 3, batch),
        "c.w": rng.normal(0, 0.8, (6, 4)), "c.b": rng.normal(0, 0.2, 6),
        "linear.w": rng.normal(0, 0.7, (3, 6)), "linear.b": rng.normal(0, 0.2, 3),
        "s.feedback": rng.normal(0, 0.5, (3, 6)),
    }  # fmt: skip
    return TWO.replace("STEPS", str(steps)).replace("BATCH", str(batch)), given


@pytest.mark.parametrize("inverse", [True, False])
def test_an_update_of_a_matrix_is_its_formula(inverse: bool) -> None:
    """``M <- lam M + (1 - lam) mean of z o^T / alpha``, element by element; o is that of the disturbed network."""
    source, given = two(1, 4)
    settings = {"momentum": 0.875, "alpha": 0.25, "inverse_alpha": inverse}
    oracle = trained(source, given, settings=settings)
    z = np.where(random.uniform(np.arange(24).reshape(4, 6), 0, random.stream_of("s"), 0) >= 0.5, 1.0, -1.0)
    s, o = oracle.read("s")[0], oracle.read("linear")[0]
    np.testing.assert_allclose(o, (s + 0.25 * z) @ given["linear.w"].T + given["linear.b"], rtol=1e-12)
    factor = 4.0 if inverse else 1.0
    wanted = 0.875 * given["s.feedback"] + 0.125 * np.mean(o[:, :, None] * z[:, None, :], axis=0) * factor
    np.testing.assert_allclose(oracle.read("s.feedback.master"), wanted, rtol=1e-12)
    np.testing.assert_allclose(oracle.read("d.s")[0], oracle.read("d.linear")[0] @ wanted, rtol=1e-12)


@pytest.mark.parametrize("numerics", ["f64", "exact"])
def test_with_the_weights_of_the_readout_a_matrix_brings_the_error_of_back_propagation(numerics: Any) -> None:
    source, given = two(4, 3)
    deltas: list[Array] = []
    for rule, settings in (("opzo", {"feedback": "dfa"}), ("sltt", {})):
        oracle = Oracle(graph(source, rule, settings), Numerics(numerics))
        for name, value in (given | {"s.feedback": given["linear.w"]}).items():
            for each in {name, f"{name}.master"} & oracle.training.types.keys():
                oracle.write(each, value)
        oracle.run("train_step", ARGUMENTS | {"valid": 3})
        deltas.append(oracle.read("d.c"))
        assert 0.1 < oracle.read("s").mean() < 0.9
    assert np.any(deltas[0]) and np.array_equal(deltas[0], deltas[1])


@pytest.mark.parametrize(
    "settings",
    [
        {"antithetic": False},
        {"antithetic": True, "noise": "gaussian"},
        {"feedback_update": "batch", "momentum": 0.95, "noise": "uniform"},
    ],
)
def test_a_matrix_finds_the_weights_that_the_answer_follows_by(settings: Mapping[str, Any]) -> None:
    source, given = two(4, 32)
    oracle = given_to(graph(source, settings={"momentum": 0.995, **settings}), given | {"s.feedback": np.zeros((3, 6))})
    for step in range(60):
        arguments = ARGUMENTS | {"valid": 32, "learning_rate": 0.0, "seed": 5, "step": step}
        oracle.run("train_step", arguments)
    found, wanted = oracle.read("s.feedback.master").ravel(), given["linear.w"].ravel()
    assert found @ wanted / np.linalg.norm(found) / np.linalg.norm(wanted) > 0.9


# Which layers are hidden, and where an error stops


BLOCK = """network block(x: f16[2, 4, 4]) steps 4 {
    c1 = conv2d(x, out=3, kernel=3, pad=1)
    s1 = lif(c1)
    c2 = conv2d(s1, out=3, kernel=3, pad=1)
    n2 = batch_norm(c2)
    both = add(scale(n2, each=channel), s1)
    s2 = lif(both)
    s3 = lif(s2)
    c4 = linear(flatten(dropout(add(s3, s1), p=0.25)), out=4)
    return vote(lif(c4), size=2)
} train { loss = cross_entropy_mse }"""
VARIANTS: tuple[Mapping[str, Any], ...] = ({}, {"perturb": "before"}, {"feedback": "dfa"}, {"feedback": "zo"})


@pytest.mark.parametrize("settings", VARIANTS)
def test_no_error_passes_weights_nor_into_hidden_spikes(settings: Mapping[str, Any]) -> None:
    """What lies between weights and neurons passes it on: norms, scales, sums, and neurons that read neurons."""
    training = graph(BLOCK, settings=settings)
    made = ops(training)
    zo, after = settings.get("feedback") == "zo", settings in ({}, {"feedback": "zo"})
    for layer in ("s1", "s3"):
        wanted = "single_point(loss.value)" if zo else f"linear.d_x(d.vote, {layer}.feedback)"
        assert made[f"d.{layer}"] == wanted
    straight = {f"d.{layer}" for layer in ("s1", "s3")}
    passed = {name for name, op in made.items() if re.match(r"(linear|conv2d)\.d_x", op)}
    assert passed == (set() if zo else straight), "no weight is read backwards"
    both = "d.both.noisy" if after else "d.both"
    assert made["d.both.scale"] == f"add.d_a({both})" and "add.d_b" not in " ".join(made.values())
    assert made["d.c2"] == "batch_norm.adjoint(d.n2, c2, n2.mean, n2.var, n2.gamma)"
    assert made["d.c4"] == "lif.adjoint_local(d.vote.lif, vote.lif.h)", "neurons of the result have the loss itself"
    assert "dropout.d_x" not in " ".join(made.values()) and "flatten.d_x" not in " ".join(made.values())
    assert not list(untaught(snn.read(BLOCK), training))


def test_matrices_last_and_have_a_master_where_they_learn() -> None:
    def feedback(**settings: Any) -> dict[str, str]:
        variables = graph(BLOCK, settings=settings).variables
        return {variable.name: str(variable.type) for variable in variables if variable.role == "feedback"}

    plain = {"s1.feedback": "f16[2, 3, 4, 4]", "s3.feedback": "f16[2, 3, 4, 4]"}
    assert feedback(feedback="dfa") == plain
    assert feedback() == plain | {f"{name}.master": "f32[2, 3, 4, 4]" for name in plain}
    assert feedback(feedback="zo") == {}


@pytest.mark.parametrize(
    ("body", "layers"),
    [
        ("s = lif(linear(x, out=5)); return linear(s, out=2)", ["s"]),
        ("s = lif(x); r = lif(linear(s, out=5)); return linear(r, out=2)", ["r"]),
        ("return lif(linear(x, out=2))", []),
        ("s = lif(linear(x, out=4)); return vote(s, size=2)", []),
        ("s = lif(linear(x, out=5)); return li(linear(s, out=2))", ["s"]),
        ("s = lif(linear(x, out=2)); return add(linear(s, out=2), s)", ["s"]),
        ("b = delay(s) : spike[2]; s = lif(add(linear(x, out=2), linear(b, out=2))); return s", []),
        ("s = lif(linear(x, out=5)); r = lif(delay(linear(s, out=5))); return linear(r, out=2)", []),
    ],
)
def test_hidden_are_spikes_that_weights_read_and_behind_which_something_learns(body: str, layers: list[str]) -> None:
    training = graph(f"network net(x: f16[t, 4]) steps 3 {{ {body} }} train {{ loss = cross_entropy_mse }}")
    variables = [variable.name for variable in training.variables if variable.role == "feedback"]
    assert [name.removesuffix(".feedback") for name in variables if not name.endswith(".master")] == layers


# Noise


def test_inference_has_no_noise() -> None:
    made = [ops(graph(BLOCK, "ottt_a"), "infer"), *(ops(graph(BLOCK, settings=each), "infer") for each in VARIANTS)]
    assert made[0] and all(other == made[0] for other in made)


@pytest.mark.parametrize("settings", VARIANTS[:2])
def test_a_trace_is_one_of_spikes_whatever_disturbs_them(settings: Mapping[str, Any]) -> None:
    oracle = trained(BLOCK, {"x": np.full((16, 2, 4, 4), 3.0), "c1.b": np.full(3, 1.5)}, settings=settings, batch=16)
    s, trace = oracle.read("s1"), np.zeros((16, 3, 4, 4))
    assert s.any()
    for t in range(4):
        trace = 0.5 * trace + s[t]
        np.testing.assert_array_equal(oracle.read("s1.trace")[t], trace)
    away = oracle.read("s1.noisy") - (s if settings == {} else oracle.read("c1"))
    np.testing.assert_allclose(np.abs(away), 0.2, atol=1e-12)
    assert abs(np.sign(away).mean()) < 0.1


@pytest.mark.parametrize("noise", ["rademacher", "gaussian", "uniform"])
def test_noise_has_mean_0_and_variance_1(noise: str) -> None:
    settings = {"noise": noise, "alpha": 1.0, "perturb": "before"}
    source = "network net(x: f16[200]) steps 4 { s = lif(linear(x, out=200)); return linear(s, out=2) }"
    oracle = trained(source, {"x": np.zeros((32, 200))}, settings=settings, batch=32, loss="cross_entropy_mse")
    z = oracle.read("s.noisy")
    assert abs(z.mean()) < 0.01 and abs(z.var() - 1) < 0.02
    assert len(np.unique(z)) == 2 if noise == "rademacher" else len(np.unique(z)) > 1000
    assert (np.abs(z).max() <= np.sqrt(3)) == (noise != "gaussian")
    steps = z.reshape(4, -1)
    assert np.abs(np.corrcoef(steps) - np.eye(4)).max() < 0.1


@pytest.mark.parametrize("noise", ["rademacher", "gaussian", "uniform"])
def test_antithetic_noise_changes_its_sign_from_step_to_step(noise: str) -> None:
    settings = {"noise": noise, "perturb": "before", "antithetic": True}
    source = "network net(x: f16[8]) steps 5 { s = lif(linear(x, out=9)); return linear(s, out=2) }"
    oracle = trained(source, {"x": np.zeros((3, 8))}, settings=settings, batch=3, loss="cross_entropy_mse")
    z = oracle.read("s.noisy")
    assert np.unique(np.abs(z[0])).size > (1 if noise != "rademacher" else 0)
    for t in range(1, 5):
        np.testing.assert_array_equal(z[t], -z[t - 1])


def test_layers_samples_and_training_steps_have_noise_of_their_own() -> None:
    source = """network net(x: f16[8]) steps 2 {
        s = lif(linear(x, out=64)); r = lif(linear(s, out=64)); return linear(r, out=2)
    } train { loss = cross_entropy_mse; batch = 3 }"""
    oracle = given_to(graph(source), {"x": np.zeros((3, 8))})
    drawn: list[Array] = []
    for step in range(2):
        oracle.run("train_step", ARGUMENTS | {"valid": 3, "step": step})
        drawn += [oracle.read(f"{name}.noisy") - oracle.read(name) for name in ("s", "r")]
    rows = np.concatenate([noise.reshape(6, 64) for noise in drawn]) / 0.2
    assert np.abs(rows @ rows.T / 64 - np.eye(24)).max() < 0.6


def test_samples_that_do_not_count_teach_a_matrix_nothing() -> None:
    source, given = two(4, 4)
    training = graph(source, settings={"momentum": 0.5})
    found: list[Array] = []
    for last in (0.0, 100.0):
        given["x"][:, 3] = last
        oracle = given_to(training, given)
        oracle.run("train_step", ARGUMENTS | {"valid": 3})
        found.append(oracle.read("s.feedback.master"))
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], given["s.feedback"])


@pytest.mark.parametrize("skipped", [False, True])
def test_a_skipped_step_leaves_a_matrix_as_it_was(skipped: bool) -> None:
    source, given = two(4, 3)
    training = graph(source, settings={"feedback_update": "batch", "momentum": 0.5}, loss_scale="dynamic")
    oracle = given_to(training, given)
    oracle.run("train_step", ARGUMENTS | {"valid": 3, "loss_scale": np.inf if skipped else 1.0})
    assert oracle.read("overflow") == skipped
    for name in ("s.feedback", "s.feedback.master"):
        assert np.array_equal(oracle.read(name), given["s.feedback"]) == skipped


@pytest.mark.parametrize("loss", ["cross_entropy_mse(lam=0.25)", "weighted_sum"])
def test_single_points_are_noise_times_the_loss_of_the_step(loss: str) -> None:
    """Of each sample; over all steps it is the loss, of which the host takes the mean."""
    source, given = two(4, 3)
    source = source.replace("cross_entropy_mse(lam=0.25)", loss).replace("loss_scale = 1", "loss_scale = 8")
    given["coefficient"] = np.random.default_rng(3).normal(size=(4, 3, 3))
    oracle = given_to(graph(source, settings={"feedback": "zo", "alpha": 0.5}), given)
    oracle.run("train_step", ARGUMENTS | {"valid": 2, "loss_scale": 8.0})
    value, z = oracle.read("loss.value"), (oracle.read("s.noisy") - oracle.read("s")) / 0.5
    np.testing.assert_allclose(oracle.read("d.s"), z * value[:, :, None] / 0.5, rtol=1e-12)
    scaled = oracle.read("loss") * 8.0 / (1 if loss == "weighted_sum" else 2)
    np.testing.assert_allclose(value.sum(axis=0)[:2], scaled[:2], rtol=1e-12)
    assert not value[:, 2].any() and value[:, :2].all()


# What is refused


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("opzo(alpha=0)", "alpha of opzo is positive, not 0.0"),
        ("opzo(momentum=1)", "momentum of opzo is at least 0 and below 1, not 1.0"),
        ("opzo(feedback=learnt)", "no feedback of opzo is called 'learnt'; did you mean learned?"),
        ("opzo(noise=sign)", "no noise of opzo is called 'sign'; there are: gaussian, rademacher, uniform"),
        ("opzo(init=kaiming)", "no initialiser is called 'kaiming'; did you mean kaiming_"),
        ("opzo(init=normal(deviation=1))", "no setting of normal is called 'deviation'; there are: std"),
    ],
)
def test_settings_that_cannot_be_are_told(rule: str, told: str) -> None:
    source = f"""network net(x: f16[t, 4]) steps 3 {{ return linear(lif(linear(x, out=3)), out=2) }}
    train {{ loss = cross_entropy_mse
        rule = {rule} }}"""
    with pytest.raises(SourceError) as error:
        TrainingOptions.resolve(snn.read(source))
    (fault,) = error.value.faults
    assert fault.message.startswith(told) and fault.place.line == 3


def test_matrices_that_change_in_each_step_cannot_be_skipped() -> None:
    source = "network net(x: f16[t, 4]) steps 3 { return linear(lif(linear(x, out=3)), out=2) }\n"
    network = snn.read(f"{source}train {{ loss = cross_entropy_mse; rule = opzo; loss_scale = dynamic }}")
    with pytest.raises(SourceError) as error:
        build_training(network, TrainingOptions.resolve(network))
    (fault,) = error.value.faults
    assert (fault.place.line, fault.message) == (
        2, "opzo changes its matrices in each step, and a dynamic loss scale skips whole batches",
    )  # fmt: skip
    assert fault.hints == ("loss_scale = 1024.0", "rule = opzo(feedback_update=batch)")
    for settings in ({"feedback": "dfa"}, {"feedback": "zo"}, {"feedback_update": "batch"}):
        graph(source, settings=settings, loss_scale="dynamic", loss="cross_entropy_mse")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("s.feedback", "that is the matrix through which errors come to s"),
        ("s.feedback.sum", "that is the matrix through which errors come to s"),
        ("s.noise", "that is the noise of s"),
        ("s.noisy", "that is s with noise"),
        ("s.p.noisy", "that is s.p with noise"),
        ("loss.answers", "that is the answer that noise is compared with"),
    ],
)
def test_a_name_that_the_rule_needs_is_refused(name: str, told: str) -> None:
    source = f"""network net(x: f16[t, 1, 4, 4]) steps 3 {{
        s = lif(conv2d(x, out=3, kernel=1)); s.p = avg_pool2d(s, kernel=2)
        {name} = linear(flatten(s.p), out=2)
        return {name}
    }} train {{ loss = cross_entropy_mse }}"""
    with pytest.raises(SourceError) as error:
        graph(source)
    (fault,) = error.value.faults
    assert (fault.place.line, fault.message) == (3, f"a value may not be called {name}: {told}")


def test_names_that_a_setting_does_without_are_free() -> None:
    source = """network net(x: f16[t, 4]) steps 3 {
        s = lif(linear(x, out=5)); s.noise = lif(linear(s, out=5)); loss.answers = linear(s.noise, out=2)
        return loss.answers
    } train { loss = cross_entropy_mse }"""
    graph(source, settings={"feedback": "dfa"})


@pytest.mark.parametrize(
    ("feedback", "settings"),
    [
        ("dfa", {"feedback", "init"}),
        ("zo", {"feedback", "noise", "perturb", "alpha", "antithetic"}),
    ],
)
def test_the_graph_tells_the_settings_that_mean_something(feedback: str, settings: set[str]) -> None:
    _, given = called(graph(BLOCK, settings={"feedback": feedback}).settings["rule"])
    assert set(given) == settings


def test_what_lies_between_spikes_and_weights_and_learns_is_refused() -> None:
    source = """network net(x: f16[t, 4]) steps 3 {
        s = lif(linear(x, out=3))
        return linear(scale(s, each=element), out=2)
    } train { loss = cross_entropy_mse; rule = opzo }"""
    network = snn.read(source)
    with pytest.raises(SourceError) as error:
        build_training(network, TrainingOptions.resolve(network))
    (fault,) = error.value.faults
    assert fault.place.line == 3 and fault.message == (
        "opzo cannot train net: linear reads linear.scale: "
        "scale makes linear.scale, and a trace is one of spikes, or of sums of them"
    )


# Independent constructions


def agree(
    source: str, rule: str, settings: Mapping[str, Any], given: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
    """Spikes are equal, gradients and matrices to 1e-9."""
    oracle = trained(source, given, rule, settings)
    for name, value in expected.items():
        if name.startswith("d.") or name.endswith(".master"):
            np.testing.assert_allclose(oracle.read(name), np.asarray(value), rtol=1e-9, atol=1e-9, err_msg=name)
            assert np.any(value), name
        else:
            assert np.array_equal(oracle.read(name), np.asarray(value)), f"spikes of {name}"


@pytest.mark.parametrize("name", records("direct_rules"))
def test_a_rule_is_what_its_construction_in_pytorch_says(name: str) -> None:
    agree(**records("direct_rules")[name])


@pytest.mark.parametrize("name", records("direct_rules"))
def test_a_rule_is_what_its_construction_in_pytorch_says_now(name: str) -> None:
    pytest.importorskip("torch", reason="needs PyTorch (pip install snnc[torch]); stored references are tested anyway")
    maker = script("make_direct_references")
    network, _, case = name.partition(", ")
    given, settings = maker.prepared(network, 991), maker.CASES[case]
    agree(maker.source(network), "opzo", settings, given, maker.expected(network, settings, given))


def test_every_setting_of_a_rule_makes_a_difference() -> None:
    for network in ("mlp", "residual"):
        found = [
            record["expected"]["d.c1.w"] for name, record in records("direct_rules").items() if name.startswith(network)
        ]
        assert len({str(each) for each in found}) == len(found) == 5


# The page about them


SECTIONS = (GOLDEN.parents[1] / "docs" / "rules.md").read_text("utf-8").split("\n## ")
PAGE = next(section for section in SECTIONS if section.startswith("Errors that come straight to a layer"))


def test_the_page_has_every_setting_with_its_default() -> None:
    told = dict(re.findall(r"^\| `(\w+) = ([\w.]+)` \|", PAGE, re.MULTILINE))
    wanted: dict[str, str] = {}
    for name, field in RULES["opzo"].settings().items():
        assert field.default is not None
        wanted[name] = str(called(field.default)[0] if field.kind == "call" else field.default).lower()
    assert told == wanted


def test_the_network_of_the_page_is_trained_by_its_rule() -> None:
    (text,) = re.findall(r"```snn\n(network direct.*?)```", PAGE, re.DOTALL)
    network = snn.read(text)
    made = ops(build_training(network, TrainingOptions.resolve(network)))
    assert made["d.s"] == "linear.d_x(d.linear, s.feedback)"
