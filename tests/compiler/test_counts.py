"""Tandem learning: independent constructions, identities, what is kept, and what cannot be trained so."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from stored import records, script, trained

from snnc.compiler.cost.tape import tape_of
from snnc.compiler.evaluate import Oracle
from snnc.compiler.frontends import snn
from snnc.compiler.ir.graph import Training
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.source import SourceError

Array = NDArray[Any]
GOLDEN = Path(__file__).parent.parent / "golden"


# Independent constructions


def agree(source: str, given: Mapping[str, Any], expected: Mapping[str, Any], inferred: Any) -> None:
    """Spikes are equal; logits, gradients and statistics to 1e-9."""
    told = trained(source, given, entry="infer").read("logits")
    np.testing.assert_allclose(told, np.asarray(inferred), rtol=1e-9, atol=1e-11)
    oracle = trained(source, given)
    for name, value in expected.items():
        if name[0] == "s":
            assert np.array_equal(oracle.read(name), np.asarray(value)), f"spikes of {name}"
        else:
            np.testing.assert_allclose(oracle.read(name), np.asarray(value), rtol=1e-9, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("name", records("counts"))
def test_counts_are_what_their_construction_in_pytorch_says(name: str) -> None:
    agree(**records("counts")[name])


@pytest.mark.parametrize("name", records("counts"))
def test_counts_are_what_their_construction_in_pytorch_says_now(name: str) -> None:
    pytest.importorskip("torch", reason="needs PyTorch (pip install snnc[torch]); stored references are tested anyway")
    maker = script("make_count_references")
    network, _, spiking = name.partition(", ")
    given = maker.draw(network, 991)
    inferred = maker.expected(network, spiking, given, training=False)["logits"]
    agree(maker.source(network, spiking), given, maker.expected(network, spiking, given), inferred)


# What is published, and identities


def test_counts_follow_what_came_in_by_less_than_a_spike() -> None:
    """Of a random layer that reads the same in every step: what was fired is what is left of the clamp of all of it."""
    source = """network net(x: f16[12]) steps 16 {
        c = linear(x, out=40)
        return if(c, threshold=0.75, amplitude=0.75, reset=soft)
    } train { loss = cross_entropy; batch = 4; rule = tandem }"""
    rng = np.random.default_rng(20)
    given = {"x": rng.uniform(-1, 1, (4, 12)), "c.w": rng.normal(0, 0.3, (40, 12)), "c.b": rng.normal(0, 0.1, 40)}
    oracle = trained(source, {**given, "label": [0, 1, 2, 3]})
    counted = oracle.read("if").sum(axis=0)
    whole = 16 * (given["x"] @ given["c.w"].T + given["c.b"])
    assert (whole < 0).any() and (whole > 16 * 0.75).any() and (counted % 0.75 == 0).all()
    assert np.abs(counted - np.clip(whole, 0, 16 * 0.75)).max() < 0.75


@pytest.mark.parametrize("port", ["f16[5]", "f16[t, 5]"])
@pytest.mark.parametrize("norm", ["", "scale(batch_norm(c, affine=false, frozen=true), each=layer, w=one)"])
def test_an_error_passes_where_the_current_is_above_0_however_large(port: str, norm: str) -> None:
    source = f"""network net(x: {port}) steps 4 {{
        c = scale(x, each=element)
        one = parameter(init=ones) : f32[]
        s = if({norm or "c"}, threshold=0.5, reset=soft)
        return s
    }} train {{ loss = cross_entropy; batch = 1; rule = tandem }}"""
    x = np.asarray([[-0.25, 0.0, 0.25, 0.5, 0.75]])
    timed = np.stack([3 * x, 0 * x, -x, 2 * x])
    statistics = {"s.scale.batch_norm.running_var": np.ones(5)} if norm else {}
    given = {"x": timed if "t" in port else x, "label": [4], "c.w": np.ones(5), "one": 1.0, **statistics}
    oracle = trained(source, given)
    assert np.all(oracle.read("d.s"))
    assert (oracle.read("d.c") != 0).tolist() == [[False, False, True, True, True]]
    np.testing.assert_allclose(oracle.read("d.c")[0, 2:], 2 * oracle.read("d.s")[0, 2:], rtol=1e-5 if norm else 1e-12)


DEEP = """network deep(image: f16[2, 6, 6]) steps 6 {
    c1 = conv2d(image, out=8, kernel=3, pad=1)
    s1 = if(c1, threshold=0.75, amplitude=0.5, reset=soft)
    c2 = conv2d(concat(s1, dropout(s1, p=0.25)), out=8, kernel=3, pad=1, stride=2)
    s2 = if(add(scale(c2, each=channel, factor=0.5), avg_pool2d(s1, kernel=2)), threshold=1.0, initial=0.5, reset=soft)
    s3 = lif(linear(flatten(upsample(s2, factor=2)), out=6), decay=1.0, threshold=0.5, reset=soft)
    return linear(s3, out=4)
} train { loss = LOSS; batch = 3; rule = RULE }"""


def deep(rule: str, size: float, loss: str = "cross_entropy") -> tuple[Oracle, dict[str, Array]]:
    """A training step with weights of a *size*, and the gradients of all parameters."""
    source = DEEP.replace("LOSS", loss).replace("RULE", rule)
    rng = np.random.default_rng(5)
    given: dict[str, Any] = {"image": rng.random((3, 2, 6, 6)), "label": [0, 2, 1]}
    for node in snn.read(source).nodes:
        if node.op == "parameter":
            fan = np.prod(node.types[0].shape[1:]) if node.types[0].weight else 100.0
            given[node.results[0]] = rng.normal(0.2, 1.0, node.types[0].shape) * size / fan**0.5
    oracle = trained(source, given)
    return oracle, {name: oracle.read(f"d.{name}") for name in given if name not in ("image", "label")}


@pytest.mark.parametrize("loss", ["cross_entropy", "mse_rate"])
def test_where_no_neuron_fires_in_every_step_it_is_training_on_rates(loss: str) -> None:
    """The window of `dsr` has an upper border, where no neuron comes with small weights; with large ones some do."""
    (small, one), (_, other) = deep("tandem", 0.5, loss), deep("dsr", 0.5, loss)
    assert all(0.02 < (small.read(name) > 0).mean() < 0.9 for name in ("s1", "s2", "s3"))
    for name, value in one.items():
        assert np.any(value)
        np.testing.assert_allclose(value, other[name], rtol=1e-11, atol=1e-15, err_msg=name)
    (_, one), (_, other) = deep("tandem", 2.0, loss), deep("dsr", 2.0, loss)
    assert not np.allclose(one["c1.w"], other["c1.w"], rtol=1e-2)


def test_it_is_as_cheap_as_training_on_rates_where_no_norm_is() -> None:
    """As many nodes, and the same of each: nothing is made twice."""
    steps = {rule: deep(rule, 0.5)[0].training.procedure("train_step") for rule in ("tandem", "dsr")}
    made = {rule: [(node.op, node.results[0]) for node in step.nodes] for rule, step in steps.items()}
    renamed = [(op.replace("_rate", "_count"), name) for op, name in made["dsr"]]
    assert made["tandem"] == [tuple(word.replace("window", "above") for word in pair) for pair in renamed]
    assert not [name for _, name in made["tandem"] if "shadow" in name]


def test_gradients_depend_on_spikes_through_their_counts_alone() -> None:
    """The same input in another order: other spikes, as many of them, the same statistics and gradients."""
    source = """network net(x: f16[t, 3]) steps 4 {
        s1 = if(x, threshold=1.0, reset=soft)
        n2 = batch_norm(linear(s1, out=4))
        s2 = if(n2, threshold=2.0, reset=soft)
        return linear(s2, out=2)
    } train { loss = cross_entropy; batch = 2; rule = tandem }"""
    x = np.asarray([[[1, 0, 1], [0, 0, 1]], [[1, 1, 0], [1, 0, 0]], [[0, 0, 1], [1, 1, 1]], [[0, 0, 0], [0, 1, 0]]])
    weights = {"n2.linear.w": np.linspace(0.25, 0.5, 12).reshape(4, 3), "linear.w": np.linspace(-1, 1, 8).reshape(2, 4)}
    weights |= {"n2.running_var": np.ones(4), "n2.gamma": np.ones(4), "n2.beta": np.ones(4)}
    one, other = (trained(source, {"x": order, "label": [1, 0], **weights}) for order in (x, x[::-1]))
    assert not np.array_equal(one.read("s1"), other.read("s1"))
    names = [f"d.{variable.name}" for variable in one.training.variables if variable.role == "master"]
    names = [name.removesuffix(".master") for name in names]
    assert "d.n2.gamma" in names and np.any(one.read("d.n2.gamma"))
    for name in (*names, "n2.running_mean", "n2.running_var"):
        np.testing.assert_allclose(one.read(name), other.read(name), rtol=1e-12, err_msg=name)


# What is made, and what is kept


NORMED = """network net(x: f16[t, 6]) steps 8 {
    n1 = batch_norm(linear(x, out=8))
    s1 = if(n1, threshold=0.5, reset=soft)
    l2 = linear(s1, out=8)
    s2 = if(l2, threshold=0.5, amplitude=0.5, reset=soft)
    return linear(s2, out=2)
} train { loss = cross_entropy; batch = 1; MORE }"""


def training_of(more: str, **command: Any) -> Any:
    network = snn.read(NORMED.replace("MORE", more))
    return build_training(network, TrainingOptions.resolve(network, command))


def test_what_is_kept_are_counts_bits_and_what_statistics_are_taken_of() -> None:
    kept = {each.value: (str(each.type), each.bytes, each.reason) for each in tape_of(training_of("rule = tandem"))}
    again = "normalised again, since f16 of the result would lose its mean and variance"
    assert kept == {
        "x.rate": ("f16[n, 6]", 12, "left operand of the weight gradient"),
        "s1.rate": ("u4[n, 8] * 0.125", 4, "left operand of the weight gradient"),
        "s2.above": ("spike[n, 8]", 1, "an error passes where the mean input is above 0"),
        "s2.rate": ("u4[n, 8] * 0.0625", 4, "left operand of the weight gradient"),
        "loss.seed": ("f16[n, 2]", 4, "cross_entropy reads it on the way back"),
        "n1.linear.shadow": ("f16[n, 8]", 16, again),
        "n1.mean.shadow": ("f32[8]", 32, "to normalise again"),
        "n1.var.shadow": ("f32[8]", 32, "to normalise again"),
        "s1.above": ("spike[n, 8]", 1, "an error passes where the mean input is above 0"),
    }


def test_only_what_lies_between_two_neurons_with_a_norm_is_made_twice() -> None:
    nodes = list(training_of("rule = tandem").procedure("train_step").nodes)
    assert [node.results[0] for node in nodes if node.phase == "FP" and "shadow" in node.results[0]] == [
        "n1.linear.shadow", "n1.shadow",
    ]  # fmt: skip
    spiking = next(node for node in nodes if node.results[0] == "n1")
    assert spiking.settings["frozen"] is True and len(spiking.results) == 1
    tracking = [node for node in nodes if node.op == "batch_norm.track_once"]
    assert [node.results for node in tracking] == [("n1.running_mean", "n1.running_var")]


def test_inference_of_a_network_that_spikes_everywhere_is_that_of_every_rule() -> None:
    full, tandem = training_of("rule = bptt").procedure("infer"), training_of("rule = tandem").procedure("infer")
    assert list(full.nodes) == list(tandem.nodes)


def test_layers_that_do_not_spike_take_no_steps() -> None:
    """With the first layer frozen its norm has no shadow, and what learns is an ordinary network of counts."""
    training = training_of("rule = tandem(spiking=1); freeze = n1")
    for entry in ("train_step", "infer"):
        regions = training.procedure(entry).regions
        moving = [node.results[0] for region in regions if region.sweep == "up" for node in region.nodes]
        assert moving == ["n1.linear", "n1", "s1", "s1.rate"]
    made = [node.results[0] for node in training.procedure("infer").regions[-1].nodes]
    assert made == ["l2.shadow", "s2.shadow", "linear.shadow", "logits"]
    served = [node.results[0] for node in training.procedure("train_step").nodes if node.phase in ("BP", "WG")]
    assert served == ["d.linear.shadow", "d.s2.shadow", "d.linear.w", "d.linear.b", "d.l2.shadow", "d.l2.w", "d.l2.b"]


def test_a_frozen_beginning_may_have_what_counts_do_not_follow() -> None:
    source = NORMED.replace("if(n1, threshold=0.5, reset=soft)", "plif(max_pool1d(n1, kernel=1), threshold=0.5)")
    source = source.replace("batch_norm(linear(x, out=8))", "batch_norm(conv1d(x, out=2, kernel=3))")
    source = source.replace("f16[t, 6]", "f16[t, 1, 6]").replace("linear(s1", "linear(flatten(s1)")
    network = snn.read(source.replace("MORE", "rule = tandem"))
    with pytest.raises(SourceError):
        build_training(network, TrainingOptions.resolve(network))
    training = build_training(network, TrainingOptions.resolve(network, {"freeze": ("n1", "s1")}))
    assert [node.op for node in training.procedure("train_step").nodes][:4] == [
        "conv1d",
        "batch_norm",
        "max_pool1d",
        "plif",
    ]


# What it cannot train


FOLLOWS = "its count does not follow its input"


@pytest.mark.parametrize(
    ("body", "told", "hints"),
    [
        ("s = if(linear(x, out=3)); return linear(s, out=2)",
         f"s: {FOLLOWS}: with reset=hard it loses what lies above the threshold when it fires", ("reset=soft",)),
        ("s = if(linear(x, out=3), reset=soft, reset_time=delayed); return linear(s, out=2)",
         f"s: {FOLLOWS}: a delayed reset takes the threshold from what has not decayed", ("reset_time=immediate",)),
        ("s = lif(linear(x, out=3), reset=soft); return linear(s, out=2)",
         f"s: {FOLLOWS}: what leaks away is never fired", ("if(x, reset=soft)",)),
        ("s = lif(linear(x, out=3), decay=1.0, decay_input=true, reset=soft); return linear(s, out=2)",
         f"s: {FOLLOWS}: 0 of it comes in", ("if(x, reset=soft)",)),
        ("s = if(linear(x, out=3), reset=soft, learn_threshold=layer); return linear(s, out=2)",
         "s: counts teach no threshold", ("learn_threshold=none",)),
        ("s = plif(linear(x, out=3), reset=soft); return linear(s, out=2)",
         "s: the count of plif does not follow its input, that of if does", ()),
        ("c = linear(x, out=3); s = if(add(c, delay(c)), reset=soft); return linear(s, out=2)",
         "s.add.delay: a rate is that of an input which stays, and delay brings back what was", ()),
        ("s = if(batch_norm(linear(x, out=3), scope=separate), reset=soft); return linear(s, out=2)",
         "s.batch_norm: batch_norm(scope=separate) has other statistics in each step, and counts are of all of them",
         ("scope=step",)),
        ("s = if(dropout(linear(x, out=3), mask=step), reset=soft); return linear(s, out=2)",
         "s.dropout: dropout(mask=step) leaves out other elements in each step", ("mask=batch",)),
        ("s = if(scale(linear(x, out=3), each=step), reset=soft); return linear(s, out=2)",
         "s.scale: scale(each=step) has another factor in each step", ()),
        ("s = if(relu(linear(x, out=3)), reset=soft); return linear(s, out=2)",
         "s.relu: the mean of relu over time is not relu of the mean", ()),
        ("s = if(linear(x, out=3), reset=soft); y = li(linear(s, out=2)); return y",
         "y: the mean of li over time is not li of the mean", ()),
    ],
)  # fmt: skip
def test_what_counts_do_not_follow_is_told(body: str, told: str, hints: tuple[str, ...]) -> None:
    network = snn.read(f"network net(x: f16[t, 4]) steps 3 {{ {body} }} train {{ loss = cross_entropy }}")
    with pytest.raises(SourceError) as error:
        build_training(network, TrainingOptions.resolve(network, {"rule": "tandem"}))
    (fault,) = error.value.faults
    assert (fault.message, fault.hints) == (f"--rule tandem cannot train net: {told}", hints)
    assert fault.place.line == 1


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("tandem(spiking=3)", "spiking of tandem is at most the number of neuron layers, 2 (s1, s2), not 3"),
        ("tandem(spiking=few)", "spiking of tandem is all, or a number of neuron layers from 0 on, not 'few'"),
        ("tandem(spiking=-1)", "spiking of tandem is all, or a number of neuron layers from 0 on, not -1"),
        ("tandem(spiking=true)", "spiking of tandem is all, or a number of neuron layers from 0 on, not true"),
    ],
)
def test_how_many_layers_spike_is_checked(rule: str, told: str) -> None:
    with pytest.raises(SourceError) as error:
        training_of(f"rule = {rule}")
    assert [fault.message.removeprefix("tandem cannot train net: ") for fault in error.value.faults] == [told]


def test_what_only_spikes_have_cannot_be_read_of_a_layer_that_does_not_spike() -> None:
    network = snn.read("""network net(x: f16[t, 4]) steps 3 {
        s1 = if(x, reset=soft)
        return linear(add(s1, s1.h), out=2)
    } train { rule = tandem(spiking=0) }""")
    with pytest.raises(SourceError) as error:
        build_training(network, TrainingOptions.resolve(network))
    (fault,) = error.value.faults
    assert (fault.place.line, fault.message) == (
        3,
        "tandem cannot train net: linear.add reads s1.h, and s1 does not spike",
    )


@pytest.mark.parametrize(
    ("between", "told"),
    [
        ("m = max_pool1d(s1, kernel=2)", "m: the mean of max_pool1d over time is not max_pool1d of the mean"),
        ("m = delay(s1)", "m: a rate is that of an input which stays, and delay brings back what was"),
        ("c = add(s1, s1); m = relu(c)", "m: the mean of relu over time is not relu of the mean"),
    ],
)
def test_what_counts_cannot_pass_is_no_better_behind_a_frozen_layer_that_does_not_spike(
    between: str, told: str
) -> None:
    """With it the layer would fire after all; where it fires anyway, frozen layers may be anything."""
    network = snn.read(f"""network net(x: f16[t, 2, 4]) steps 3 {{
        s1 = if(conv1d(x, out=3, kernel=1), reset=soft)
        {between}
        s2 = if(linear(flatten(m), out=3), reset=soft)
        return linear(s2, out=2)
    }} train {{ freeze = s1 }}""")

    def training(spiking: int) -> Training:
        rule = "tandem", ("spiking", spiking)
        return build_training(network, TrainingOptions.resolve(network, {"rule": rule}))

    with pytest.raises(SourceError) as error:
        training(0)
    (fault,) = error.value.faults
    assert (fault.place.line, fault.message) == (3, f"--rule tandem cannot train net: {told}")
    assert "s1" in {name for node in training(1).procedure("train_step").nodes for name in node.results}


def test_a_loss_with_an_error_of_each_step_is_refused() -> None:
    with pytest.raises(SourceError) as error:
        training_of("rule = tandem", loss="cross_entropy_mse")
    (fault,) = error.value.faults
    needs = "tandem needs an error that is the same in every step"
    assert fault.message == f"{needs}, and --loss cross_entropy_mse has one for each"
    assert fault.hints == ("loss = cross_entropy, the loss of the mean over time",)


def test_no_value_of_the_network_is_called_as_a_shadow_is() -> None:
    network = snn.read(NORMED.replace("l2", "n1.shadow").replace("MORE", "rule = tandem"))
    with pytest.raises(SourceError) as error:
        build_training(network, TrainingOptions.resolve(network))
    assert [str(fault.message) for fault in error.value.faults] == [
        "a value may not be called n1.shadow: that is the shadow of n1"
    ]
