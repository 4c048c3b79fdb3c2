"""Training on rates: published numbers, independent constructions, identities, and what cannot be trained so."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from stored import records, script, trained

from snnc.compiler.cost.tape import tape_of
from snnc.compiler.evaluate import Accumulators, Oracle
from snnc.compiler.frontends import snn
from snnc.compiler.ir.types import Type
from snnc.compiler.ops.rate import Rate
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.source import SourceError

Array = NDArray[Any]
GOLDEN = Path(__file__).parent.parent / "golden"
FORMS = ("collapsed", "step")
RULES = {form: ("dsr", ("form", form)) for form in FORMS}


def gradients(oracle: Oracle) -> dict[str, Array]:
    """Those of all parameters."""
    names = [variable.name for variable in oracle.training.variables if variable.role == "parameter"]
    return {name: oracle.read(f"d.{name}") for name in names}


# Published numbers: section 8.2 of the reference of algorithms


@pytest.mark.parametrize("numerics", ["f64", "exact", "f32"])
@pytest.mark.parametrize("form", FORMS)
def test_a_small_net_has_the_gradients_of_the_reference_bit_for_bit(
    form: str, numerics: Accumulators, shared: Path
) -> None:
    """All numbers are dyadic; spikes fire from half of the threshold on, that is from a potential of as much."""
    golden = json.loads((shared / "reference" / "algorithms_golden.json").read_text("utf-8"))
    expected, net = golden["C_dsr_if"], golden["B_net"]
    assert (expected["theta"], expected["alpha"], expected["T"]) == (1.0, 0.5, 8)
    source = """network net(x: f16[2]) steps 8 {
        c = linear(x, out=3)
        s = if(c, threshold=1.0, initial=0.5, reset=soft)
        k = linear(s, out=2)
        return if(k, threshold=1.0, initial=0.5, reset=soft)
    } train { loss = cross_entropy; batch = 1 }"""
    weights = {"c.w": net["W1"], "c.b": net["b1"], "k.w": net["W2"], "k.b": net["b2"]}
    oracle = trained(source, {"x": expected["x"], "label": net["y"], **weights}, numerics, rule=RULES[form])
    assert oracle.read("s").mean(axis=0).tolist() == expected["r1"]
    assert oracle.read("if").mean(axis=0).tolist() == expected["r2"]
    for ours, theirs in (("c.w", "gW1"), ("c.b", "gb1"), ("k.w", "gW2"), ("k.b", "gb2")):
        assert oracle.read(f"d.{ours}").tolist() == expected[theirs], ours


# Independent constructions


def agree(source: str, given: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Spikes are equal, gradients to 1e-9."""
    oracle = trained(source, given)
    for name, value in expected.items():
        if name.startswith("d."):
            np.testing.assert_allclose(oracle.read(name), np.asarray(value), rtol=1e-9, atol=1e-11, err_msg=name)
        else:
            assert np.array_equal(oracle.read(name), np.asarray(value)), f"spikes of {name}"


@pytest.mark.parametrize("name", records("rates"))
def test_rates_are_what_their_construction_in_pytorch_says(name: str) -> None:
    agree(**records("rates")[name])


@pytest.mark.parametrize("name", records("rates"))
def test_rates_are_what_their_construction_in_pytorch_says_now(name: str) -> None:
    pytest.importorskip("torch", reason="needs PyTorch (pip install snnc[torch]); stored references are tested anyway")
    maker = script("make_rate_references")
    network, _, form = name.partition(", ")
    given = maker.draw(network, 991)
    agree(maker.source(network, form), given, maker.expected(network, form, given))


# Identities that hold exactly


DEEP = """network deep(image: f16[2, 6, 6]) steps 5 {
    c1 = conv2d(image, out=8, kernel=3, pad=1)
    s1 = lif(c1, decay=0.75, decay_input=true, threshold=0.25, amplitude=0.5, rest=0.125, reset=soft)
    c2 = conv2d(concat(s1, sum_pool2d(s1, kernel=3, stride=1, pad=1)), out=8, kernel=3, pad=1, stride=2)
    s2 = if(scale(c2, each=channel, factor=2), threshold=0.5, learn_threshold=layer, initial=0.25, reset=soft)
    both = add(upsample(s2, factor=2), dropout(s1, p=0.25))
    parts = concat(adaptive_avg_pool2d(both, out=[3, 1]), avg_pool2d(s2, kernel=[1, 3]))
    l3 = linear(flatten(global_avg_pool2d(parts)), out=6)
    s3 = lif(l3, decay=0.5, threshold=0.125, learn_threshold=channel, reset=soft)
    return vote(RESULT, size=2)
} train { loss = LOSS; batch = 3 }"""
"""Layers that keep means, with neurons of all kinds that have a rate."""


def deep(rule: Any, result: str = "linear(s3, out=6)", loss: str = "cross_entropy") -> Oracle:
    source = DEEP.replace("RESULT", result).replace("LOSS", loss)
    rng = np.random.default_rng(7)
    given: dict[str, Any] = {"image": rng.random((3, 2, 6, 6)), "label": [0, 2, 1]}
    for node in snn.read(source).nodes:
        if node.op == "parameter":
            low = 0.125 if node.results[0].endswith("theta") else -0.5
            given[node.results[0]] = rng.uniform(low, 0.625, node.types[0].shape)
    oracle = trained(source, given, rule=rule)
    assert all(0.02 < (oracle.read(name) > 0).mean() < 0.98 for name in ("s1", "s2", "s3"))
    return oracle


@pytest.mark.parametrize("result", ["linear(s3, out=6)", "s3"])
@pytest.mark.parametrize("loss", ["cross_entropy", "mse_rate"])
def test_once_for_all_steps_is_step_by_step(loss: str, result: str) -> None:
    once, by_step = (gradients(deep(RULES[form], result, loss)) for form in FORMS)
    assert once.keys() == by_step.keys() and all(np.any(value) for value in once.values())
    for name, value in once.items():
        np.testing.assert_allclose(value, by_step[name], rtol=1e-11, atol=1e-14, err_msg=name)


@pytest.mark.parametrize("form", FORMS)
def test_the_way_there_is_that_of_every_other_rule(form: str) -> None:
    rates, full = deep(RULES[form]), deep("bptt")
    for name in ("s1", "s2", "s3", "logits", "loss"):
        assert np.array_equal(rates.read(name), full.read(name)), name


def test_gradients_depend_on_spikes_through_their_counts_alone() -> None:
    """The same input in another order makes other spikes, as many of them, and the same gradients."""
    source = """network net(x: f16[t, 3]) steps 4 {
        s1 = if(x, threshold=1.0, reset=soft)
        s2 = if(linear(s1, out=4), threshold=1.0, reset=soft)
        return linear(s2, out=2)
    } train { loss = cross_entropy; batch = 1; rule = dsr }"""
    x = np.asarray([[1, 0, 1], [1, 1, 0], [0, 0, 1], [0, 0, 0]])[:, None, :]
    weights = {"s2.linear.w": np.linspace(0.25, 0.5, 12).reshape(4, 3), "s2.linear.b": [0.0] * 4}
    one, other = (
        trained(source, {"x": order, "label": [1], "linear.w": np.linspace(-1, 1, 8).reshape(2, 4), **weights})
        for order in (x, x[::-1])
    )
    for name in ("s1", "s2"):
        assert not np.array_equal(one.read(name), other.read(name)), name
        assert np.array_equal(one.read(name).sum(axis=0), other.read(name).sum(axis=0)), name
    assert gradients(one).keys() == {"s2.linear.w", "s2.linear.b", "linear.w", "linear.b"}
    for name, value in gradients(one).items():
        assert np.any(value)
        np.testing.assert_allclose(value, other.read(f"d.{name}"), rtol=1e-12, err_msg=name)


# Neurons


@pytest.mark.parametrize(
    ("neuron", "passes"),
    [
        ("if(c, threshold=0.5, reset=soft)", [0, 1, 1, 1, 0]),
        ("lif(c, decay=0.5, threshold=0.5, reset=soft)", [0, 0, 1, 0, 0]),
        ("lif(c, decay=0.5, gain=0.5, threshold=0.5, reset=soft)", [0, 0, 1, 1, 1]),
        ("lif(c, decay=0.5, decay_input=true, threshold=0.5, reset=soft)", [0, 0, 1, 1, 1]),
        ("if(c, threshold=0.5, learn_threshold=layer, reset=soft)", [0, 1, 1, 1, 0]),
    ],
)
@pytest.mark.parametrize("port", ["f16[5]", "f16[t, 5]"])
@pytest.mark.parametrize("form", FORMS)
def test_an_error_passes_where_the_mean_input_lies_in_the_window(
    form: str, port: str, neuron: str, passes: list[int]
) -> None:
    """The borders belong to it of `if`, as clamp has it, and not of `lif`: both as published."""
    source = f"""network net(x: {port}) steps 4 {{
        c = scale(x, each=element)
        return {neuron}
    }} train {{ loss = cross_entropy; batch = 1 }}"""
    x = np.asarray([[-0.25, 0.0, 0.25, 0.5, 0.75]])
    timed = np.stack([3 * x, 0 * x, -x, 2 * x])  # x in the mean, also where steps count 1/8, 1/4, 1/2 and 1
    given = {"x": timed if "t" in port else x, "label": [4], "c.w": np.ones(5), "if.theta": 0.5}
    oracle = trained(source, given, rule=RULES[form])
    error = oracle.read(f"d.{neuron.partition('(')[0]}")
    assert np.all(error)
    assert (oracle.read("d.c") != 0).reshape(-1, 5)[0].tolist() == [bool(each) for each in passes]


@pytest.mark.parametrize("form", FORMS)
def test_an_error_of_each_step_counts_as_much_as_its_input(form: str) -> None:
    """A leaky neuron weighs both, 1/8 to 1; where errors are the same in every step, weights are nothing to them."""
    source = """network net(x: f16[t, 1]) steps 4 {
        return lif(scale(x, each=layer), decay=0.5, threshold=8.0, reset=soft)
    } train { loss = LOSS; batch = 1 }"""
    x = np.full((4, 1, 1), 1.0)
    if form == "collapsed":
        with pytest.raises(SourceError, match="dsr needs an error that is the same in every step"):
            trained(source.replace("LOSS", "weighted_sum"), {}, rule=RULES[form])
        return
    coefficient = np.reshape([1.0, -2.0, 4.0, 0.5], (4, 1, 1))
    given = {"x": x, "lif.scale.w": 1.0, "coefficient": coefficient}
    oracle = trained(source.replace("LOSS", "weighted_sum"), given, rule=RULES[form])
    together = 4 * (1.0 * 0.125 - 2.0 * 0.25 + 4.0 * 0.5 + 0.5) / 1.875
    np.testing.assert_allclose(oracle.read("d.lif.scale").ravel(), [together / 8.0 / 4] * 4, rtol=1e-12)


# What is kept


def test_once_for_all_steps_keeps_a_count_of_each_value_and_a_bit_of_each_neuron() -> None:
    source = """network net(x: f16[t, 6]) steps 8 {
        s1 = lif(linear(x, out=8), reset=soft)
        s2 = if(linear(s1, out=8), reset=soft, learn_threshold=layer)
        return linear(s2, out=2)
    } train { loss = cross_entropy; batch = 1; rule = dsr }"""
    network = snn.read(source)
    training = build_training(network, TrainingOptions.resolve(network))
    kept = {each.value: (str(each.type), each.bytes, each.reason) for each in tape_of(training)}
    assert kept == {
        "x.rate": ("f16[n, 6]", 12, "left operand of the weight gradient"),
        "s1.window": ("spike[n, 8]", 1, "an error passes where the mean input lies between 0 and the threshold"),
        "s1.rate": ("u4[n, 8] * 0.125", 4, "left operand of the weight gradient"),
        "s2.mean": (
            "f16[n, 8]", 16, "the gradient of the threshold reads the mean input, and it tells where errors pass",
        ),
        "s2.rate": ("u4[n, 8] * 0.125", 4, "left operand of the weight gradient"),
        "loss.seed": ("f16[n, 2]", 4, "cross_entropy reads it on the way back"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "format", "scale"),
    [(1, "spike", 1.0), (3, "u2", 1 / 3), (15, "u4", 1 / 15), (255, "u8", 1 / 255), (256, "f16", 1.0)],
)  # fmt: skip
def test_the_rate_of_spikes_is_a_count_as_long_as_engines_gate_with_it(steps: int, format: str, scale: float) -> None:
    made = Rate.type_of(Type.of("spike", 5, timed=True, batched=True), steps)
    assert (made.format, made.scale, made.timed, made.batched) == (format, scale, False, True)


# What cannot be trained on rates


STEP_BY_STEP = ("rule = dsr(form=step), whose errors pass these layers step by step",)
SETTLED = ("rule = spide, under which rates come to an equilibrium",)


@pytest.mark.parametrize(
    ("form", "body", "told", "hints"),
    [
        ("step", "s = lif(linear(x, out=3)); return linear(s, out=2)",
         "s: its rate does not follow its input: with reset=hard it loses what lies above the threshold when it fires",
         ("reset=soft",)),
        ("collapsed", "s = if(linear(x, out=3), reset=none); return linear(s, out=2)",
         "s: its rate does not follow its input: with reset=none it keeps its potential when it fires",
         ("reset=soft",)),
        ("step", "s = lif(linear(x, out=3), reset=soft, reset_time=delayed); return linear(s, out=2)",
         "s: its rate does not follow its input: a delayed reset takes the threshold from what has not decayed",
         ("reset_time=immediate",)),
        ("step", "s = plif(linear(x, out=3), reset=soft); return linear(s, out=2)",
         "s: the rate of plif is not defined, that of lif and if is", ()),
        ("step", "c = linear(x, out=3); s = lif(add(c, delay(c)), reset=soft); return linear(s, out=2)",
         "s.add.delay: a rate is that of an input which stays, and delay brings back what was", SETTLED),
        ("collapsed", "s = lif(batch_norm(linear(x, out=3)), reset=soft); return linear(s, out=2)",
         "s.batch_norm: the gradient of batch_norm reads each step, not the mean over time", STEP_BY_STEP),
        ("collapsed", "s = lif(dropout(linear(x, out=3), mask=step), reset=soft); return linear(s, out=2)",
         "s.dropout: dropout(mask=step) leaves out other elements in each step", ("mask=batch", *STEP_BY_STEP)),
        ("collapsed", "s = lif(scale(linear(x, out=3), each=step), reset=soft); return linear(s, out=2)",
         "s.scale: scale(each=step) has another factor in each step", STEP_BY_STEP),
        ("collapsed", "s = lif(relu(linear(x, out=3)), reset=soft); return linear(s, out=2)",
         "s.relu: the mean of relu over time is not relu of the mean", STEP_BY_STEP),
        ("collapsed", "s = lif(linear(x, out=3), reset=soft); y = li(linear(s, out=2)); return y",
         "y: the mean of li over time is not li of the mean", STEP_BY_STEP),
    ],
)  # fmt: skip
def test_what_has_no_rate_is_told(form: str, body: str, told: str, hints: tuple[str, ...]) -> None:
    network = snn.read(f"network net(x: f16[t, 4]) steps 3 {{ {body} }} train {{ loss = cross_entropy }}")
    with pytest.raises(SourceError) as error:
        build_training(network, TrainingOptions.resolve(network, {"rule": RULES[form]}))
    (fault,) = error.value.faults
    assert (fault.message, fault.hints) == (f"--rule dsr cannot train net: {told}", hints)
    assert fault.place.line == 1
    if hints == STEP_BY_STEP:
        assert build_training(network, TrainingOptions.resolve(network, {"rule": RULES["step"]}))


def test_a_loss_of_each_step_is_refused_where_errors_pass_once_for_all() -> None:
    body = "return linear(lif(linear(x, out=3), reset=soft), out=2)"
    network = snn.read(f"network net(x: f16[t, 4]) steps 3 {{ {body} }} train {{ loss = cross_entropy_mse }}")
    with pytest.raises(SourceError) as error:
        build_training(network, TrainingOptions.resolve(network, {"rule": "dsr"}))
    (fault,) = error.value.faults
    assert fault.message == (
        "--rule dsr needs an error that is the same in every step, and cross_entropy_mse has one for each"
    )
    assert fault.hints == (
        "loss = cross_entropy, the loss of the mean over time",
        "rule = dsr(form=step), which takes any loss",
    )
    assert build_training(network, TrainingOptions.resolve(network, {"rule": RULES["step"]}))


def test_what_no_error_passes_and_what_stays_the_same_may_be_anything() -> None:
    """Spikes of the input, statistics and maxima of an image that does not change."""
    source = """network net(image: f16[1, 4, 4], events: spike[t, 16]) steps 3 {
        c = batch_norm(conv2d(max_pool2d(image, kernel=2), out=4, kernel=1))
        s = lif(relu(c), reset=soft, threshold=0.5)
        e = cuba(delay(events), threshold=0.5)
        return add(linear(flatten(s), out=2), linear(e, out=2))
    } train { loss = cross_entropy; rule = dsr }"""
    network = snn.read(source)
    assert build_training(network, TrainingOptions.resolve(network))


def test_names_of_what_is_made_beside_the_network_are_reserved() -> None:
    source = """network net(x: f16[t, 4]) steps 3 {
        s = lif(linear(x, out=3), reset=soft)
        s.rate = relu(x)
        s.window = relu(x)
        return linear(concat(s, concat(s.rate, s.window)), out=2)
    } train { loss = cross_entropy; rule = dsr }"""
    network = snn.read(source)
    with pytest.raises(SourceError) as error:
        build_training(network, TrainingOptions.resolve(network))
    assert [(fault.place.line, fault.message) for fault in error.value.faults] == [
        (4, "a value may not be called s.window: that is what an error of s passes by"),
    ]


# What is behind it


@pytest.mark.parametrize("current", [-0.5, 0.03125, 0.25, 0.40625, 0.5, 0.875])
@pytest.mark.parametrize(
    "neuron",
    [
        "if(c, threshold=0.5, initial=0.25, reset=soft)",
        "lif(c, decay=0.9375, decay_input=true, threshold=0.5, reset=soft)",
        "lif(c, decay=0.875, gain=0.125, threshold=0.5, rest=0.125, initial=0.125, reset=soft)",
    ],
)
def test_spikes_follow_the_mean_input_but_for_what_is_left_of_the_potential(neuron: str, current: float) -> None:
    """The weighted mean of the spikes is a clamp of that of the input, within one spike of the last step."""
    steps = 64
    source = f"""network net(x: f16[1]) steps {steps} {{
        c = scale(x, each=element)
        s = {neuron}
        return s
    }} train {{ loss = cross_entropy; batch = 1; rule = dsr }}"""
    oracle = trained(source, {"x": [[current]], "label": [0], "c.w": [1.0]})
    found = re.search(r"decay=([0-9.]+)", neuron)
    decay = 1.0 if found is None else float(found[1])
    rho = 1.0 if found is None else 1 - decay
    weights = decay ** np.arange(steps - 1.0, -1.0, -1.0)
    rate = weights @ oracle.read("s").ravel() / weights.sum()
    assert abs(rate - np.clip(rho * current / 0.5, 0.0, 1.0)) <= 1 / weights.sum()
