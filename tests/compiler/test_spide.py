"""Errors at equilibrium: published numbers, independent constructions, laws of conservation, and what cannot be so."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from stored import records, script, trained

from snnc.compiler.evaluate import Accumulators, Oracle
from snnc.compiler.frontends import snn
from snnc.compiler.ir.settings import SettingFault
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.compiler.pipeline import Compilation
from snnc.compiler.training.rule import RULES
from snnc.source import SourceError

Array = NDArray[Any]
GOLDEN = Path(__file__).parent.parent / "golden"


def rule(solver: str = "spikes", steps: int = 250) -> Any:
    return "spide", ("solver", solver), ("steps", steps)


# Published numbers: test case T-D of the reference of algorithms


RING = """network ring(x: f16[2]) steps STEPS {
    back = delay(s) : spike[2]
    f = linear(x, out=2)
    w = linear(back, out=2, bias=false)
    s = if(add(f, w), threshold=2.0, initial=1.0, reset=soft)
    return scale(s, each=element)
} train { loss = cross_entropy; batch = 1; optimizer = sgd }"""
"""Fires from 1 on and goes down by 2: a potential that is 1 higher begins at 1, fires from 2 on, and goes down by 2."""


@cache
def golden(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "reference" / "algorithms_golden.json").read_text("utf-8"))["D_spide"]


def ring(numbers: Mapping[str, Any], solver: str, steps: int, time: int = 30, x: Any = None) -> Oracle:
    """The ring of the reference, with a read-out whose error is the one of the reference."""
    assert (numbers["Vth"], numbers["u_rest"]) == (1.0, -1.0)
    weights = {"f.w": numbers["F"], "f.b": numbers["b"], "w.w": numbers["Wfb"]}
    given = {"x": [numbers["x"] if x is None else x], "label": [1], **weights}
    source = RING.replace("STEPS", str(time))
    rates = trained(source, given | {"scale.w": [1.0, 1.0]}, rule=rule(solver, 1)).read("s").mean(axis=(0, 1))
    wanted = np.asarray(numbers["grad"])  # = w * [p, -p], p = softmax(w * rates)[0]
    low, high = 1e-3, 1.0
    p = low
    for _ in range(200):
        p = (low + high) / 2
        logits = np.abs(wanted) / p * rates
        found = 1 / (1 + np.exp(logits[1] - logits[0]))
        low, high = (p, high) if found > p else (low, p)
    oracle = trained(source, given | {"scale.w": np.abs(wanted) / p}, rule=rule(solver, steps))
    np.testing.assert_allclose(oracle.read("d.s.part1")[0], wanted, rtol=1e-12)
    return oracle


def beta(oracle: Oracle) -> Array:
    """What settles at the spikes: the error of the input is half of it, since a spike takes 2 away."""
    assert oracle.read("s.between").all()
    return 2.0 * oracle.read("d.s.add")[0]


def test_rates_and_errors_are_those_of_the_reference(shared: Path) -> None:
    numbers = golden(shared)
    oracle = ring(numbers, "spikes", 250)
    np.testing.assert_allclose(oracle.read("s").mean(axis=(0, 1)), numbers["a_T30"], rtol=0, atol=5e-11)
    np.testing.assert_allclose(beta(oracle), numbers["beta_T250"], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("steps", "within"), [(250, 0.01), (1000, 0.002), pytest.param(10000, 0.0002, marks=pytest.mark.full)]
)
def test_spikes_come_as_near_to_the_equilibrium_as_the_reference_says(steps: int, within: float, shared: Path) -> None:
    numbers = golden(shared)
    exact = np.asarray(numbers["beta_exact"])
    found = beta(ring(numbers, "spikes", steps))
    assert 0 < np.max(np.abs(found - exact)) / np.max(np.abs(exact)) < within


def test_a_fixed_point_is_the_equilibrium(shared: Path) -> None:
    numbers = golden(shared)
    oracle = ring(numbers, "fixed_point", 100)
    jacobian = np.asarray(numbers["Wfb"]) / 2.0
    exact: Any = np.linalg.solve(np.eye(2) - jacobian.T, np.asarray(numbers["grad"]))
    np.testing.assert_allclose(exact, numbers["beta_exact"], rtol=0, atol=5e-11)
    np.testing.assert_allclose(beta(oracle), exact, rtol=1e-12)
    rates = oracle.read("s").mean(axis=(0, 1))
    np.testing.assert_allclose(oracle.read("d.w.w"), np.outer(exact, rates) / 2, rtol=1e-12)
    np.testing.assert_allclose(oracle.read("d.f.w"), np.outer(exact, numbers["x"]) / 2, rtol=1e-12)
    np.testing.assert_allclose(oracle.read("d.f.b"), exact / 2, rtol=1e-12)


def test_after_many_steps_rates_and_gradients_are_those_of_the_equilibrium(shared: Path) -> None:
    numbers = golden(shared)
    oracle = ring(numbers, "fixed_point", 100, time=2000)
    np.testing.assert_allclose(oracle.read("s").mean(axis=(0, 1)), numbers["a_eq"], rtol=0, atol=1e-3)
    np.testing.assert_allclose(oracle.read("d.w.w"), numbers["gWfb_exact"], rtol=0, atol=5e-4)
    np.testing.assert_allclose(oracle.read("d.f.w"), numbers["gF_exact"], rtol=0, atol=5e-4)


def test_where_a_neuron_is_saturated_no_error_passes_it(shared: Path) -> None:
    """The mask of the reference: with it the gradient is another one here, while above it changes nothing."""
    numbers = golden(shared)
    oracle = ring(numbers, "fixed_point", 100, x=[2.0, 0.9])
    assert oracle.read("s.between")[0].tolist() == [0, 1] and oracle.read("s").mean(axis=0)[0, 0] == 1
    jacobian = np.asarray(numbers["Wfb"]) / 2.0
    grad, mask = np.asarray(numbers["grad"]), np.diag([0.0, 1.0])
    exact = mask @ np.linalg.solve(np.eye(2) - jacobian.T @ mask, grad) / 2
    np.testing.assert_allclose(oracle.read("d.s.add")[0], exact, rtol=1e-12)
    unmasked = np.linalg.solve(np.eye(2) - jacobian.T, grad) / 2
    assert np.max(np.abs(exact - unmasked)) > 0.1
    fired = ring(numbers, "spikes", 1000, x=[2.0, 0.9]).read("d.s.add")[0]
    assert fired[0] == 0 and abs(fired[1] - exact[1]) < 1e-3


# Independent constructions


def agree(source: str, given: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Spikes are equal, gradients to 1e-9."""
    oracle = trained(source, given)
    for name, value in expected.items():
        if name.startswith("d."):
            np.testing.assert_allclose(oracle.read(name), np.asarray(value), rtol=1e-9, atol=1e-11, err_msg=name)
        else:
            assert np.array_equal(oracle.read(name), np.asarray(value)), f"spikes of {name}"


@pytest.mark.parametrize(
    "name", ["mlp, spikes", "mlp, fixed_point", "convolutional, spikes", "convolutional, fixed_point"]
)
def test_gradients_are_what_their_construction_in_pytorch_says(name: str) -> None:
    agree(**records("equilibrium")[name])


@pytest.mark.parametrize("network", ["mlp", "convolutional"])
@pytest.mark.parametrize("solver", ["spikes", "fixed_point"])
def test_gradients_are_what_their_construction_in_pytorch_says_now(network: str, solver: str) -> None:
    pytest.importorskip("torch", reason="needs PyTorch (pip install snnc[torch]); stored references are tested anyway")
    maker = script("make_equilibrium_references")
    given = maker.telling(network, 991)
    agree(maker.source(network, solver), given, maker.expected(network, solver, given))


@pytest.mark.parametrize("name", ["threshold", "worth"])
def test_what_neurons_fire_by_means_nothing_where_errors_pass_as_they_are(name: str) -> None:
    told = f"{name} of spide means nothing with solver=fixed_point"
    with pytest.raises(SettingFault, match=re.escape(told)):
        RULES["spide"].make({"solver": "fixed_point", name: 3.0})


# Conservation


def test_what_came_in_went_out_as_spikes_or_is_left_of_the_potential(shared: Path) -> None:
    """``threshold * sum of spikes = sum of input + initial - v`` after the last step; and so it is with errors."""
    oracle = ring(golden(shared), "spikes", 250)
    spikes, reads = oracle.read("s")[:, 0], oracle.read("s.add")[:, 0]
    left = 1.0 + reads.sum(axis=0) - 2.0 * spikes.sum(axis=0)
    assert np.all((-2.0 < left) & (left < 2.0))
    h = 1.0 + np.cumsum(reads, axis=0) - 2.0 * (np.cumsum(spikes, axis=0) - spikes)
    assert np.array_equal(spikes, h >= 2.0)
    errors, passed = oracle.read("d.s.turn")[:, 0], oracle.read("d.s.add.turn")[:, 0]
    left = errors.sum(axis=0) - 2.0 * passed.sum(axis=0)
    assert errors.shape == (250, 2) and np.all(np.abs(left) < 0.5 + np.abs(errors).max())
    np.testing.assert_allclose(oracle.read("d.s.add")[0], passed.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(2.0 * passed.mean(axis=0) + left / 250, errors.mean(axis=0), rtol=1e-12)
    assert set(np.unique(passed)) == {-0.5, 0.0, 0.5}, "a spike of 1 brings half of it to what the neuron reads"


# Identities


CHAIN = """network chain(image: f16[2, 4, 4]) steps 160 {
    c1 = conv2d(image, out=8, kernel=3, pad=1)
    s1 = if(c1, threshold=1.25, amplitude=0.5, initial=0.625, reset=soft)
    c2 = conv2d(concat(s1, sum_pool2d(s1, kernel=3, stride=1, pad=1)), out=8, kernel=3, pad=1, stride=2)
    s2 = if(scale(c2, each=channel, factor=2), threshold=0.5, initial=0.25, reset=soft)
    both = add(upsample(s2, factor=2), dropout(s1, p=0.25))
    parts = concat(adaptive_avg_pool2d(both, out=[2, 1]), avg_pool2d(s2, kernel=[1, 2]))
    s3 = if(linear(flatten(global_avg_pool2d(parts)), out=6), threshold=0.5, initial=0.25, reset=soft)
    return RESULT
} train { loss = LOSS; batch = 3 }"""
"""Layers that keep means, and no ring."""


def given_of(source: str, seed: int, samples: int = 3, classes: int = 3) -> dict[str, Any]:
    """Random numbers for everything that is read."""
    network, rng = snn.read(source), np.random.default_rng(seed)
    (port,) = network.ports
    given: dict[str, Any] = {port.name: rng.random(port.type.lead(network.steps, samples) + port.type.shape)}
    for node in network.nodes:
        if node.op == "parameter":
            given[node.results[0]] = rng.uniform(-0.5, 0.625, node.types[0].shape)
    return given | {"label": rng.integers(0, classes, samples)}


def gradients(oracle: Oracle) -> dict[str, Array]:
    names = [variable.name for variable in oracle.training.variables if variable.role == "parameter"]
    return {name: oracle.read(f"d.{name}") for name in names}


@pytest.mark.parametrize(("result", "seed"), [("linear(s3, out=6)", 13), ("vote(s3, size=2)", 13)])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse_rate"])
@pytest.mark.parametrize("numerics", ["f64", "exact"])
def test_without_a_ring_a_fixed_point_is_what_dsr_finds_bit_for_bit(
    numerics: Accumulators, loss: str, result: str, seed: int
) -> None:
    """Where both let the same errors pass: dsr by the mean input, spide by the spikes that came of it."""
    source = CHAIN.replace("RESULT", result).replace("LOSS", loss)
    given = given_of(source, seed)
    dsr, once, thrice = (
        trained(source, given, numerics, rule=of) for of in ("dsr", rule("fixed_point", 1), rule("fixed_point", 3))
    )
    assert all(np.array_equal(dsr.read(f"{name}.window"), once.read(f"{name}.between")) for name in ("s1", "s2", "s3"))
    for name, value in gradients(dsr).items():
        assert np.any(value), name
        assert np.array_equal(value, gradients(once)[name]) and np.array_equal(value, gradients(thrice)[name]), name


@pytest.mark.parametrize("port", ["f16[t, 2, 4, 4]", "f16[2, 4, 4]"])
@pytest.mark.parametrize("solver", ["spikes", "fixed_point"])
def test_weights_learn_the_same_before_a_delay_and_behind_it(solver: str, port: str) -> None:
    """What they read behind it is the mean of what it brings back, over all steps."""
    source = """network net(x: PORT) steps 9 {
        FIRST
        far = conv2d(upsample(avg_pool2d(k, kernel=2), factor=2), out=4, kernel=1)
        s = if(add(conv2d(x, out=4, kernel=1), dropout(far, p=0.25)), threshold=0.5, initial=0.25, reset=soft)
        LAST
        return linear(flatten(s), out=3)
    } train { loss = cross_entropy; batch = 2 }""".replace("PORT", port)
    layer = "conv2d(OF, out=2, kernel=1, bias=false)"
    behind = source.replace("FIRST", "back = delay(s) : spike[4, 4, 4]; k = " + layer.replace("OF", "back"))
    before = source.replace("FIRST", "k = delay(c) : f16[2, 4, 4]")
    before = before.replace("LAST", "c = " + layer.replace("OF", "s"))
    given = given_of(before, 5, samples=2)
    found = [
        trained(text, given | {"k.w": given["c.w"]}, rule=rule(solver, 40))
        for text in (before, behind.replace("LAST", ""))
    ]
    spikes, same = (oracle.read("s") for oracle in found)
    assert np.array_equal(spikes, same) and 0.1 < spikes.mean() < 0.9
    one, other = map(gradients, found)
    assert one["c.w"].shape == other["k.w"].shape and len(one) == len(other)
    for name, value in one.items():
        assert np.any(value), name
        np.testing.assert_allclose(other["k.w" if name == "c.w" else name], value, rtol=1e-9, atol=1e-13, err_msg=name)


@pytest.mark.parametrize(
    "layers",
    [
        "m = max_pool2d(back, kernel=2)",
        "m = relu(conv2d(back, out=3, kernel=1))",
        "m = dropout(back, mask=step)",
        "m = avg_pool2d(max_pool2d(back, kernel=2), kernel=2)",
    ],
)
def test_what_keeps_no_means_has_its_own_behind_a_delay_too(layers: str) -> None:
    """Only where layers are frozen may there be such; weights behind them learn from what they have read."""
    source = f"""network net(x: f16[2, 4, 4]) steps 8 {{
        first = lif(conv2d(x, out=3, kernel=3, pad=1), threshold=0.25)
        back = delay(first)
        {layers}
        s = if(linear(flatten(m), out=5), threshold=0.25, reset=soft)
        return linear(s, out=2)
    }} train {{ rule = spide; loss_scale = 2; batch = 2; freeze = "*conv2d" }}"""
    oracle = trained(source, given_of(source, 4, samples=2, classes=2))
    of_each_step = oracle.read("m").reshape(8, 2, -1)
    assert len({str(step) for step in of_each_step}) > 2
    found = oracle.read("s.linear.flatten.rate")
    np.testing.assert_allclose(found, of_each_step.mean(axis=0), rtol=1e-9, atol=1e-12)


# What cannot be trained so


BY_BPTT = ("rule = bptt, whose errors pass these layers step by step",)


@pytest.mark.parametrize(
    ("body", "told", "hints"),
    [
        ("s = if(linear(x, out=3)); return linear(s, out=2)",
         "s: its rate does not follow its input: with reset=hard it loses what lies above the threshold when it fires",
         ("reset=soft",)),
        ("s = alif(linear(x, out=3)); return linear(s, out=2)",
         "s: the rate of alif is not defined, that of lif and if is", ()),
        ("s = if(linear(x, out=3), learn_threshold=layer, reset=soft); return linear(s, out=2)",
         "s: its threshold would learn from the mean of its input, which is not kept", ("learn_threshold=none",)),
        ("s = if(batch_norm(linear(x, out=3)), reset=soft); return linear(s, out=2)",
         "s.batch_norm: the gradient of batch_norm reads each step, not the mean over time", BY_BPTT),
        ("s = if(dropout(linear(x, out=3), mask=step), reset=soft); return linear(s, out=2)",
         "s.dropout: dropout(mask=step) leaves out other elements in each step", ("mask=batch", *BY_BPTT)),
        ("s = if(linear(x, out=3), reset=soft); y = li(linear(s, out=2)); return y",
         "y: the mean of li over time is not li of the mean", BY_BPTT),
        ("back = delay(a) : f16[3]; a = add(linear(x, out=3), back); return linear(if(a, reset=soft), out=2)",
         "back: comes back to itself, and no neuron on its way bounds it", ()),
    ],
)  # fmt: skip
def test_what_comes_to_no_equilibrium_is_told(body: str, told: str, hints: tuple[str, ...]) -> None:
    network = snn.read(f"network net(x: f16[t, 4]) steps 3 {{ {body} }} train {{ loss = cross_entropy }}")
    with pytest.raises(SourceError) as error:
        build_training(network, TrainingOptions.resolve(network, {"rule": "spide"}))
    (fault,) = error.value.faults
    assert (fault.message, fault.hints) == (f"--rule spide cannot train net: {told}", hints)


def test_maxima_are_told() -> None:
    network = snn.read("""network net(x: f16[2, 4, 4]) steps 3 {
        s = if(conv2d(x, out=3, kernel=1), reset=soft)
        m = max_pool2d(s, kernel=2)
        return linear(flatten(m), out=2)
    } train { rule = spide }""")
    with pytest.raises(SourceError) as error:
        build_training(network, TrainingOptions.resolve(network))
    (fault,) = error.value.faults
    told = "spide cannot train net: m: the mean of max_pool2d over time is not max_pool2d of the mean"
    assert (fault.message, fault.place.line, fault.hints) == (told, 3, BY_BPTT)


SMALL = """network net(x: f16[4]) steps 3 {
    s = if(linear(x, out=3), reset=soft)
    return linear(s, out=2)
}
train { rule = spide; TRAIN }"""


@pytest.mark.parametrize(
    ("train", "told", "hints"),
    [
        ("loss = cross_entropy_mse",
         "spide needs an error that is the same in every step, and cross_entropy_mse has one for each",
         ("loss = cross_entropy, the loss of the mean over time", "rule = bptt, which takes any loss")),
        ("loss_scale = dynamic",
         "spide fires errors, which saturate long before a dynamic loss scale finds one that overflows",
         ("loss_scale = 64.0", "rule = spide(solver=fixed_point)")),
    ],
)  # fmt: skip
def test_losses_and_scales_that_do_not_settle_are_told(train: str, told: str, hints: tuple[str, ...]) -> None:
    network = snn.read(SMALL.replace("TRAIN", train))
    with pytest.raises(SourceError) as error:
        build_training(network, TrainingOptions.resolve(network))
    (fault,) = error.value.faults
    assert (fault.message, fault.place.line, fault.hints) == (told, 5, hints)


def test_a_single_step_in_which_no_error_would_pass_is_told() -> None:
    network = snn.read(SMALL.replace("TRAIN", "").replace("steps 3", "steps 1"))
    with pytest.raises(SourceError) as error:
        build_training(network, TrainingOptions.resolve(network))
    (fault,) = error.value.faults
    told = "spide passes an error where a neuron fires in some steps and rests in others, and there is one step"
    assert (fault.message, fault.place.line) == (told, 5)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("steps=0", "steps of spide is at least 1, not 0"),
        ("threshold=0", "threshold of spide is positive, not 0.0"),
        ("worth=-1", "worth of spide is positive, not -1.0"),
        ("solver=broyden", "no solver of spide is called 'broyden'; there are: fixed_point, spikes"),
    ],
)
def test_settings_out_of_range_are_told(given: str, told: str) -> None:
    with pytest.raises(SourceError) as error:
        TrainingOptions.resolve(snn.read(SMALL.replace("rule = spide; TRAIN", f"rule = spide({given})")))
    (fault,) = error.value.faults
    assert (fault.message, fault.place.line) == (told, 5)


@pytest.mark.parametrize(
    ("train", "told"),
    [
        ("batch = 64", ["loss_scale 1024 makes errors of up to 16 (a batch of 64), and a spike brings back 1 of them: "
                        "where weights do not make errors smaller they saturate; with 64 they cannot"]),
        ("batch = 64; loss_scale = 64", []),
        ("batch = 64; rule = spide(threshold=8)", []),
        ("batch = 64; rule = spide(solver=fixed_point)", []),
    ],
)  # fmt: skip
def test_a_loss_scale_with_which_errors_may_saturate_is_told(train: str, told: list[str], tmp_path: Path) -> None:
    path = tmp_path / "net.snn"
    source = SMALL.replace("rule = spide; TRAIN", train if "rule" in train else f"rule = spide; {train}")
    path.write_text(source, "utf-8")
    assert [note.message for note in Compilation(path).doubts] == told


# The page about it


SECTIONS = (GOLDEN.parents[1] / "docs" / "rules.md").read_text("utf-8").split("\n## ")
PAGE = next(section for section in SECTIONS if section.startswith("Errors at equilibrium"))


def test_the_page_has_every_setting_with_its_default() -> None:
    told = dict(re.findall(r"^\| `(\w+) = ([\w.]+)` \|", PAGE, re.MULTILINE))
    assert told == {name: str(field.default) for name, field in RULES["spide"].settings().items()}


def test_the_network_of_the_page_is_trained_by_its_rule() -> None:
    (text,) = re.findall(r"```snn\n(.*?)```", PAGE, re.DOTALL)
    network = snn.read(text)
    training = build_training(network, TrainingOptions.resolve(network))
    sweep = next(region for region in training.procedure("train_step").regions if region.steps)
    assert [node.op for node in sweep.nodes] == ["delay", "add", "settle", "add.d_b", "linear.d_x"]
