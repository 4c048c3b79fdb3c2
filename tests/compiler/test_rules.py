"""Learning rules: published numbers, identities between the rules that hold exactly, and what a rule refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from stored import given_to, records, script

from snnc.compiler.evaluate import Oracle
from snnc.compiler.frontends import snn
from snnc.compiler.ir.graph import Setting
from snnc.compiler.passes.differentiate import build_training, untaught
from snnc.compiler.passes.templates import TEMPLATES
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.compiler.pipeline import host_settings
from snnc.compiler.training.rule import RULES, Rule
from snnc.source import SourceError

Array = NDArray[Any]
GOLDEN = Path(__file__).parent.parent / "golden"
ONLINE = [name for name, rule in RULES.items() if rule.template == "up" and rule().plasticity is None]
BY_LAYERS = [name for name in ONLINE if RULES[name]().direct is None]
ARGUMENTS: dict[str, float] = {
    "valid": 2, "learning_rate": 0.1, "loss_scale": 1.0, "seed": 0, "step": 0, "correction1": 1.0, "correction2": 1.0,
}  # fmt: skip


def trained(
    source: str, given: Mapping[str, Any], rule: Any, rate: float = 0.1, chosen: Sequence[int] = (), **more: Any
) -> Oracle:
    """The float64 oracle after one training step under *rule*, which learns in *chosen* steps if it asks for any."""
    network = snn.read(source)
    options = TrainingOptions.resolve(network, {"rule": rule, "optimizer": ("sgd", ("momentum", 0.9)), **more})
    oracle = given_to(build_training(network, options), given)
    words = [name for name, _ in oracle.training.arguments if name.startswith("chosen")]
    choice = dict.fromkeys(words, 0) | ({"chosen0": sum(1 << step for step in chosen)} if words else {})
    oracle.run("train_step", ARGUMENTS | choice | {"valid": options.batch, "learning_rate": rate})
    return oracle


def gradients(oracle: Oracle) -> dict[str, Array]:
    """Those of all parameters; of a rule that updates in each step the sums over time."""
    names = [variable.name for variable in oracle.training.variables if variable.role == "parameter"]
    values = oracle.training.values(oracle.training.procedure("train_step"))
    return {name: oracle.read(f"d.{name}").sum(axis=(0,) if values[f"d.{name}"].timed else ()) for name in names}


def close(found: Any, expected: Any, what: str = "") -> None:
    np.testing.assert_allclose(found, np.asarray(expected), rtol=1e-9, atol=1e-12, err_msg=what)


# Published numbers: section 8.2 of the reference of algorithms


ONE = """network one(x: f16[t, 1]) steps 4 {
    c = linear(x, out=1, bias=false)
    return lif(c, decay=0.5, threshold=1.0, surrogate=triangle, NEURON)
} train { loss = weighted_sum; batch = 1 }"""


@pytest.mark.parametrize(
    ("rule", "neuron", "gradient"),
    [
        ("bptt", "reset=soft, detach_reset=true", 4.21875),
        ("bptt", "reset=soft", 3.2404413223),
        ("bptt", "reset=hard, detach_reset=true", 2.97265625),
        ("bptt", "reset=hard", 2.1399224382),
        ("sltt", "reset=soft", 3.171875),
        ("sltt", "reset=soft, detach_reset=true", 3.171875),
        ("ottt_a", "reset=soft", 3.171875),  # the input of the first layer has no trace
    ],
)
def test_one_neuron_by_hand(rule: str, neuron: str, gradient: float) -> None:
    x, c = [1.0, 0.0, 1.0, 1.0], [1.0, -1.0, 0.5, 2.0]
    given = {"x": np.reshape(x, (4, 1, 1)), "c.w": [[0.875]], "coefficient": np.reshape(c, (4, 1, 1))}
    oracle = trained(ONE.replace("NEURON", neuron), given, rule)
    np.testing.assert_allclose(oracle.read("d.c.w"), [[gradient]], rtol=1e-9)
    assert oracle.read("lif").ravel().tolist() == [0.0, 0.0, 1.0, 0.0]


def test_one_neuron_behind_spikes_learns_from_their_trace() -> None:
    """The same neuron, fed by one that fires as x says: OTTT is BPTT with a detached reset there."""
    source = ONE.replace("c = linear(x", "s = lif(x, decay=0.5, threshold=0.75)\n    c = linear(s").replace(
        "NEURON", "reset=soft, detach_reset=true"
    )
    x, c = [1.0, 0.0, 1.0, 1.0], [1.0, -1.0, 0.5, 2.0]
    given = {"x": np.reshape(x, (4, 1, 1)), "c.w": [[0.875]], "coefficient": np.reshape(c, (4, 1, 1))}
    oracle = trained(source, given, "ottt_a")
    assert oracle.read("s").ravel().tolist() == x
    assert oracle.read("s.trace").ravel().tolist() == [1.0, 0.5, 1.25, 1.625]
    close(oracle.read("d.c.w"), [[4.21875]])


NET = """network net(x: f16[t, 2]) steps 4 {
    c = linear(x, out=3)
    s = lif(c, decay=DECAY, threshold=1.0, reset=soft, SURROGATE)
    k = linear(s, out=2)
    return k
} train { loss = cross_entropy_mse(lam=0.0); batch = 1 }"""
CASES = {
    "bptt k=.5 tri detach": ("bptt", 0.5, "surrogate=triangle, detach_reset=true"),
    "bptt k=.5 tri nodetach": ("bptt", 0.5, "surrogate=triangle"),
    "sltt k=.125 tri": ("sltt", 0.125, "surrogate=triangle"),
    "sltt k=.5 tri": ("sltt", 0.5, "surrogate=triangle"),
    "sltt-2 k=.125 K={0,2}": (("sltt_k", ("K", 2)), 0.125, "surrogate=triangle"),
    "ottt_a k=.5 sigmoid4": ("ottt_a", 0.5, "surrogate=sigmoid(alpha=4)"),
}
"""Cases of the net 2-3-2 by the names that the reference gives them."""


@pytest.mark.parametrize("name", CASES)
def test_a_small_net_has_the_gradients_of_the_reference(name: str, shared: Path) -> None:
    golden = json.loads((shared / "reference" / "algorithms_golden.json").read_text("utf-8"))["B_net"]
    expected = golden["cases"][name]
    rule, decay, neuron = CASES[name]
    given = {
        "x": np.asarray(golden["X"]), "label": golden["y"],
        "c.w": golden["W1"], "c.b": golden["b1"], "k.w": golden["W2"], "k.b": golden["b2"],
    }  # fmt: skip
    source = NET.replace("DECAY", str(decay)).replace("SURROGATE", neuron)
    oracle = trained(source, given, rule, chosen=(0, 2))
    assert np.array_equal(oracle.read("s").reshape(-1), np.asarray(expected["s"]).reshape(-1))
    for ours, theirs in (("c.w", "gW1"), ("c.b", "gb1"), ("k.w", "gW2"), ("k.b", "gb2")):
        found, wanted = oracle.read(f"d.{ours}"), np.asarray(expected[theirs])
        np.testing.assert_allclose(found.reshape(-1), wanted.reshape(-1), rtol=1e-9, atol=1e-9, err_msg=ours)


# Identities that hold exactly


DEEP = """network deep(image: f16[1, 6, 6]) steps STEPS {
    c1 = conv2d(image, out=4, kernel=3, pad=1)
    s1 = lif(c1, decay=DECAY, threshold=0.5, NEURON)
    p1 = avg_pool2d(s1, kernel=2)
    c2 = conv2d(p1, out=4, kernel=3, pad=1)
    s2 = lif(batch_norm(c2), decay=DECAY, threshold=0.5, NEURON)
    both = add(s2, p1)
    s3 = lif(linear(flatten(both), out=8), decay=DECAY, threshold=0.5, NEURON)
    return linear(s3, out=3)
} train { loss = cross_entropy_mse(lam=0.25); batch = 2 }"""


def deep(rule: str, steps: int = 5, decay: float = 0.5, neuron: str = "reset=soft", rate: float = 0.1) -> Oracle:
    source = DEEP.replace("STEPS", str(steps)).replace("DECAY", str(decay)).replace("NEURON", neuron)
    network = snn.read(source)
    rng = np.random.default_rng(5)
    given: dict[str, Any] = {"image": rng.random((2, 1, 6, 6)), "label": [0, 2]}
    for node in network.nodes:
        if node.op == "parameter":
            given[node.results[0]] = rng.uniform(-0.5, 0.625, node.types[0].shape)
    oracle = trained(source, given, rule, rate)
    assert 0.02 < oracle.read("s3").mean() < 0.98
    return oracle


def equal(one: Oracle, other: Oracle) -> None:
    ours, theirs = gradients(one), gradients(other)
    assert ours.keys() == theirs.keys() and any(np.any(value) for value in ours.values())
    for name, value in ours.items():
        close(value, theirs[name], name)


@pytest.mark.parametrize("rule", BY_LAYERS)
def test_all_rules_are_one_in_a_single_step(rule: str) -> None:
    equal(deep(rule, steps=1), deep("bptt", steps=1))


@pytest.mark.parametrize("rule", ["bptt", "ottt_a"])
def test_without_memory_of_a_neuron_all_rules_are_sltt(rule: str) -> None:
    equal(deep(rule, decay=0.0), deep("sltt", decay=0.0))


def test_an_update_in_each_step_changes_nothing_where_nothing_is_learned() -> None:
    equal(deep("ottt_o", rate=0.0), deep("ottt_a", rate=0.0))
    with pytest.raises(AssertionError):
        equal(deep("ottt_o"), deep("ottt_a"))


@pytest.mark.parametrize("neuron", ["reset=soft, detach_reset=true", "reset=hard", "reset=none, compare=gt"])
def test_reset_and_detaching_are_nothing_to_a_rule_without_carry(neuron: str) -> None:
    """Only what the neuron computes: with the same forward pass the gradients are the same."""
    plain = neuron.replace(", detach_reset=true", "")
    equal(deep("sltt", neuron=neuron), deep("sltt", neuron=plain))
    if "soft" in neuron:
        with pytest.raises(AssertionError):
            equal(deep("bptt", neuron=neuron), deep("bptt", neuron=plain))


def test_all_steps_that_are_chosen_together_make_up_sltt() -> None:
    """K = T is SLTT, and the gradients of single steps add up to it."""
    source = DEEP.replace("STEPS", "40").replace("DECAY", "0.5").replace("NEURON", "reset=soft")
    rng = np.random.default_rng(5)
    given: dict[str, Any] = {"image": rng.random((2, 1, 6, 6)), "label": [0, 2]}
    for node in snn.read(source).nodes:
        if node.op == "parameter":
            given[node.results[0]] = rng.uniform(-0.5, 0.625, node.types[0].shape)
    whole = gradients(trained(source, given, "sltt"))
    equal(trained(source, given, ("sltt_k", ("K", 40))), trained(source, given, "sltt"))
    oracle = trained(source, given, ("sltt_k", ("K", 2)), chosen=(0, 1))
    sums = {name: np.zeros_like(value) for name, value in whole.items()}
    for first in range(0, 40, 2):
        words = {f"chosen{word}": (3 << first) >> 32 * word & 0xFFFFFFFF for word in range(2)}
        for name in sums:
            for each in (name, f"{name}.master"):
                oracle.write(each, given[name])
        oracle.run("train_step", ARGUMENTS | words)
        for name, value in gradients(oracle).items():
            sums[name] += value
    for name, value in whole.items():
        close(sums[name], value, name)


def test_more_chosen_steps_than_there_are_are_refused_where_they_are_written() -> None:
    source = """network net(x: f16[t, 4]) steps 3 { return linear(lif(x), out=2) }
    train { loss = cross_entropy_mse
    rule = sltt_k(K=4) }"""
    network = snn.read(source)
    with pytest.raises(SourceError) as error:
        build_training(network, TrainingOptions.resolve(network))
    (fault,) = error.value.faults
    assert (fault.place.line, fault.message) == (3, "K of sltt_k is at most the number of steps, 3, not 4")
    with pytest.raises(SourceError, match="K of sltt_k is at least 1, not 0"):
        TrainingOptions.resolve(network, {"rule": ("sltt_k", ("K", 0))})


def test_the_readout_learns_the_same_with_and_without_carry() -> None:
    online, full = gradients(deep("sltt")), gradients(deep("bptt"))
    for name in ("linear.w", "linear.b"):
        close(online[name], full[name], name)
    assert not np.allclose(online["c1.w"], full["c1.w"], rtol=1e-3)


def test_a_single_layer_of_spikes_learns_with_traces_what_the_whole_history_says() -> None:
    """OTTT is BPTT with a detached soft reset: weights, but not the bias, of which there is no trace."""
    source = """network single(x: f16[t, 4]) steps 6 {
        s = lif(x, decay=0.75, threshold=0.5)
        c = linear(s, out=5)
        return lif(c, decay=0.75, threshold=0.5, reset=soft, detach_reset=true, surrogate=atan)
    } train { loss = cross_entropy_mse(lam=0.25); batch = 2 }"""
    rng = np.random.default_rng(6)
    given = {"x": rng.random((6, 2, 4)), "label": [0, 3], "c.w": rng.normal(0, 0.6, (5, 4)), "c.b": np.full(5, 0.125)}
    online, full = (gradients(trained(source, given, rule)) for rule in ("ottt_a", "bptt"))
    close(online["c.w"], full["c.w"])
    assert not np.allclose(online["c.b"], full["c.b"], rtol=1e-3)


def test_weights_change_in_each_step_as_in_the_reference(shared: Path) -> None:
    golden = json.loads((shared / "reference" / "algorithms_golden.json").read_text("utf-8"))["B_net"]
    expected = golden["cases"]["ottt_o lr=.1 mom=.9"]
    given = {
        "x": np.asarray(golden["X"]), "label": golden["y"],
        "c.w": golden["W1"], "c.b": golden["b1"], "k.w": golden["W2"], "k.b": golden["b2"],
    }  # fmt: skip
    source = NET.replace("DECAY", "0.5").replace("SURROGATE", "surrogate=sigmoid(alpha=4)")
    oracle = trained(source, given, "ottt_o", loss_scale=1.0)
    assert oracle.read("s")[:, 0].tolist() == expected["s"]
    found = gradients(oracle)
    of = {"gW1": "c.w", "gb1": "c.b", "gW2": "k.w", "gb2": "k.b"}
    for name, value in of.items():
        np.testing.assert_allclose(found[value], expected[name], rtol=0, atol=1e-10)
    np.testing.assert_allclose(oracle.read("c.w.master"), expected["W1_after"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(oracle.read("k.w.master"), expected["W2_after"], rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("train", "told", "hint"),
    [
        ("optimizer = sgd; loss_scale = dynamic", "a dynamic loss scale skips whole batches", "loss_scale = 1024.0"),
        ("optimizer = sgd; clip = norm(1.0)", "norm is that of the gradients of a batch", "clip = value(LIMIT)"),
    ],
)  # fmt: skip
def test_what_sees_a_whole_batch_cannot_update_in_each_step(train: str, told: str, hint: str) -> None:
    source = f"""network net(x: f16[t, 4]) steps 3 {{ return linear(lif(x), out=2) }}
    train {{ loss = cross_entropy_mse; rule = ottt_o
    {train} }}"""
    network = snn.read(source)
    with pytest.raises(SourceError) as error:
        build_training(network, TrainingOptions.resolve(network))
    (fault,) = error.value.faults
    assert (fault.place.line, fault.message, fault.hints) == (3, f"ottt_o updates in each step, and {told}", (hint,))


def test_what_is_made_of_weights_alone_is_made_anew_where_they_change_in_each_step() -> None:
    """Standardised weights, and the first layer of an image that stays the same."""
    source = """network net(x: f16[4]) steps 3 {
        raw = parameter(init=kaiming_normal) : weight f16[5, 4]
        w = standardise(raw)
        c = linear(x, w=w, out=5)
        return linear(lif(c), out=2)
    } train { loss = cross_entropy_mse; optimizer = sgd }"""
    network = snn.read(source)
    timed = {
        rule: build_training(network, TrainingOptions.resolve(network, {"rule": rule})).procedure("train_step")
        for rule in ("ottt_a", "ottt_o")
    }
    first = {rule: [node.results[0] for node in entry.regions[0].nodes] for rule, entry in timed.items()}
    assert first["ottt_a"] == ["w", "c"]
    assert first["ottt_o"][:2] == ["w", "c"] and timed["ottt_o"].regions[0].sweep == "up"


@pytest.mark.parametrize("rule", ["ottt_a", "ottt_o", "opzo"])
@pytest.mark.parametrize("freeze", [(), ("raw", "w")])
def test_a_weight_that_is_made_of_others_learns_from_traces_unless_those_are_frozen(
    rule: str, freeze: tuple[str, ...]
) -> None:
    source = """network net(x: f16[t, 4]) steps 3 {
        raw = parameter(init=kaiming_normal) : weight f16[5, 4]
        w = standardise(raw)
        s = lif(x, decay=0.5)
        c = linear(s, w=w, out=5)
        return linear(lif(c), out=2)
    } train { loss = cross_entropy_mse; optimizer = sgd; batch = 2 }"""
    network = snn.read(source)
    chosen: dict[str, Any] = {"rule": rule, "freeze": freeze}
    training = build_training(network, TrainingOptions.resolve(network, chosen))
    nodes = list(training.procedure("train_step").nodes)
    read = [node.operands[0] for node in nodes if node.op == "linear.d_w" and node.results[0].startswith("d.w")]
    assert read == ([] if freeze else ["s.trace"])
    assert ("s.trace" in {name for node in nodes for name in node.results}) == (not freeze)


# What a rule refuses


@pytest.mark.parametrize(
    ("rule", "body", "told"),
    [
        (
            "ottt_a", "s = plif(linear(x, out=3)); return linear(s, out=2)",
            "linear reads s: the trace of spikes of plif is not defined, that of lif and if is",
        ),
        (
            "ottt_a", "s = lif(linear(x, out=3)); c = linear(linear(s, out=3), out=2); return c",
            "c reads c.linear: linear makes c.linear, and a trace is one of spikes, or of sums of them",
        ),
        (
            "ottt_a", "s = lif(x, decay=0.5); r = lif(x, decay=0.75); return linear(add(s, r), out=2)",
            "linear reads linear.add, whose parts have no trace in common: s (decay 0.5), r (decay 0.75)",
        ),
        (
            "ottt_a", "s = lif(x); return linear(concat(s, x), out=2)",
            "linear reads linear.concat, whose parts have no trace in common: s (decay 0.5), x (an input)",
        ),
        (
            "ottt_a", "s = dropout(lif(linear(x, out=3)), mask=step); return linear(s, out=2)",
            "linear reads s: dropout(mask=step) draws anew in each step, and a trace would keep what it left out",
        ),
        (
            "sltt_k", "s = lif(scale(linear(x, out=3), each=step)); return linear(s, out=2)",
            "s.scale.w has words of its own in each step, and --rule sltt_k learns in some of them only",
        ),
        (
            "ottt_o", "c = batch_norm(linear(still, out=3), scope=window); return linear(lif(c), out=2)",
            "c takes statistics over all time steps, and --rule ottt_o learns in each step: scope=step does not wait",
        ),
        (
            "sltt", "c = batch_norm(linear(x, out=3), scope=window); s = lif(c); return linear(s, out=2)",
            "c takes statistics over all time steps, and --rule sltt learns in each step: scope=step does not wait",
        ),
    ],
)  # fmt: skip
def test_what_a_rule_cannot_train_is_told(rule: str, body: str, told: str) -> None:
    port = "still: f16[4]" if "still" in body else "x: f16[t, 4]"
    network = snn.read(f"network net({port}) steps 3 {{ {body} }} train {{ loss = cross_entropy_mse }}")
    with pytest.raises(SourceError) as error:
        build_training(network, TrainingOptions.resolve(network, {"rule": rule}))
    (fault,) = error.value.faults
    assert fault.message.removeprefix(f"--rule {rule} cannot train net: ") == told
    assert fault.place.line == 1


def test_a_rule_and_a_loss_are_told_as_they_were_asked_for() -> None:
    """The place of such a fault is in the network, where nobody finds what the command line says."""
    written = "network net(x: f16[t, 4]) steps 3 { return linear(lif(x), out=2) }"

    def told(train: str, command: dict[str, Setting]) -> str:
        network = snn.read(f"{written} train {{ {train} }}")
        with pytest.raises(SourceError) as error:
            build_training(network, TrainingOptions.resolve(network, command))
        return str(error.value.faults[0].message)

    needs = "needs the error of a step in that step, and"
    assert told("rule = sltt", {}) == f"sltt {needs} cross_entropy knows it after the last"
    assert told("", {"rule": "sltt"}) == f"--rule sltt {needs} cross_entropy knows it after the last"
    assert told("rule = sltt", {"loss": "mse_rate"}) == f"sltt {needs} --loss mse_rate knows it after the last"


def test_what_was_made_of_inputs_alone_is_an_input() -> None:
    """Poisson spikes, and the largest pixels of a window, come from no neuron, and have no trace."""
    source = """network net(x: f16[1, 4, 4]) steps 3 {
        s = lif(linear(flatten(max_pool2d(x, kernel=2)), out=5))
        return linear(s, out=2)
    } train { loss = cross_entropy_mse; rule = ottt_a; coding = poisson }"""
    network = snn.read(source)
    training = build_training(network, TrainingOptions.resolve(network))
    assert [name for name in training.values(training.procedure("train_step")) if name.endswith(".trace")] == [
        "s.trace"
    ]


@pytest.mark.parametrize(
    ("rule", "late"), [*((rule, "lif(delay(k))") for rule in ONLINE), ("sltt", "alpha(k)"), ("sltt_k", "alpha(k)")]
)
def test_parameters_that_no_error_reaches_are_told(rule: str, late: str) -> None:
    source = f"""network net(x: f16[4]) steps 3 {{
        s = lif(linear(x, out=5))
        k = linear(s, out=5, bias=false)
        r = {late}
        return linear(r, out=2)
    }} train {{ loss = cross_entropy_mse; optimizer = sgd }}"""
    network = snn.read(source)
    training = build_training(network, TrainingOptions.resolve(network, {"rule": rule}))
    told = [(fault.place.line, fault.message.partition(":")[0]) for fault in untaught(network, training)]
    assert told == [(2, f"{name} learns nothing under {rule}") for name in ("s.linear.w", "s.linear.b")] + [
        (3, f"k.w learns nothing under {rule}")
    ]
    full = build_training(network, TrainingOptions.resolve(network, {"rule": "bptt"}))
    assert not list(untaught(network, full))


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (("sltt_k", ("K", 2), ("K", 3)), "K of sltt_k is given twice"),
        (("opzo", ("feedback", "dfa"), ("alpha", 0.9)), "alpha of opzo means nothing with feedback=dfa"),
        (("opzo", ("feedback", "zo"), ("init", "zeros")), "init of opzo means nothing with feedback=zo"),
    ],
)
def test_settings_that_would_be_passed_over_are_refused(written: Any, told: str) -> None:
    network = snn.read("network net(x: f16[t, 4]) steps 3 { return linear(lif(x), out=2) }")
    with pytest.raises(SourceError, match=re.escape(f"--rule: {told}")):
        TrainingOptions.resolve(network, {"rule": written})
    assert TrainingOptions.resolve(network, {"rule": ("opzo", ("feedback", "dfa"), ("alpha", 0.2))}).the_rule


def test_the_host_is_told_calls_within_calls() -> None:
    written = {"rule": ("opzo", ("alpha", 0.5), ("init", ("normal", ("std", 0.25)))), "batch": 4}
    init = {"name": "normal", "std": 0.25}
    assert host_settings(written) == {"rule": {"name": "opzo", "alpha": 0.5, "init": init}, "batch": 4}


def test_a_rule_that_leaves_out_what_every_rule_says_is_told() -> None:
    with pytest.raises(TypeError, match="the rule half does not say its title"):
        type("Half", (Rule,), {"name": "half"})
    with pytest.raises(TypeError, match="the rule half answers carry = 'ful'; it is one of full, none, rate, count"):
        type("Half", (type(RULES["sltt"].make()),), {"name": "half", "carry": "ful"})


@pytest.mark.parametrize("rule", ONLINE)
def test_a_loss_that_waits_for_the_last_step_is_refused(rule: str) -> None:
    network = snn.read(
        "network net(x: f16[t, 4]) steps 3 { return linear(lif(x), out=2) } train { loss = mse_rate; optimizer = sgd }"
    )
    with pytest.raises(SourceError, match=f"{rule} needs the error of a step in that step, and mse_rate knows it"):
        build_training(network, TrainingOptions.resolve(network, {"rule": rule}))


# Independent constructions


def agree(
    source: str, rule: str, given: Mapping[str, Any], expected: Mapping[str, Any], chosen: Sequence[int] = ()
) -> None:
    """Spikes are equal, gradients and new parameters to 1e-9."""
    oracle = trained(source, given, (rule, ("K", len(chosen))) if chosen else rule, chosen=chosen)
    for name, value in expected.items():
        if name.startswith("d.") or name.endswith(".master"):
            np.testing.assert_allclose(oracle.read(name), np.asarray(value), rtol=1e-9, atol=1e-9, err_msg=name)
        else:
            assert np.array_equal(oracle.read(name), np.asarray(value)), f"spikes of {name}"


@pytest.mark.parametrize("name", records("rules"))
def test_a_rule_is_what_its_construction_in_pytorch_says(name: str) -> None:
    agree(**records("rules")[name])


@pytest.mark.parametrize("name", records("rules"))
def test_a_rule_is_what_its_construction_in_pytorch_says_now(name: str) -> None:
    pytest.importorskip("torch", reason="needs PyTorch (pip install snnc[torch]); stored references are tested anyway")
    maker = script("make_rule_references")
    network, _, rule = name.partition(", ")
    given = maker.draw(network, 991)
    chosen = maker.CHOSEN if rule == "sltt_k" else ()
    agree(maker.source(network), rule, given, maker.expected(network, rule, given), chosen)


def test_every_rule_has_a_reference() -> None:
    """Rates and counts have others, so have errors that come straight, settle, or are none, and kernels."""
    others = {"dsr", "opzo", "spide", "tandem", "t2fsnn", "stdp"}
    assert {record["rule"] for record in records("rules").values()} | others == set(RULES)
    gradients_of = [record["expected"]["d.c1.w"] for name, record in records("rules").items() if name.startswith("mlp")]
    assert len({str(each) for each in gradients_of}) == len(RULES) - len(others)


# The page about them


PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text("utf-8")


def test_the_page_names_every_rule_in_its_tables() -> None:
    tables = [table.splitlines() for table in re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE)]
    words = [re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table[2:])) for table in tables[:2]]
    assert [sorted(found) for found in words] == [sorted(RULES)] * 2
    refusing = {name for line in tables[2][2:] for name in re.findall(r"`(\w+)`", line.split("|")[2])}
    assert refusing == {name for name in RULES if name != "bptt"}


def test_the_network_of_the_page_is_trained_by_its_rule() -> None:
    (text,) = re.findall(r"```snn\n(network mlp.*?)```", PAGE, re.DOTALL)
    network = snn.read(text)
    training = build_training(network, TrainingOptions.resolve(network))
    operands = [node.operands[0] for node in training.procedure("train_step").nodes if node.op == "linear.d_w"]
    assert operands == ["s.trace", "image"]


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_names_a_time_template(rule: str) -> None:
    assert RULES[rule]().sweeps(4) in TEMPLATES


@pytest.mark.parametrize(
    ("rule", "template", "sweeps"),
    [
        ("bptt", "two_sweeps", ["up", "down", "once"]),
        ("bptt(window=2)", "updating_windows", ["up", "down", "once"]),
        ("bptt(window=2, update=batch)", "windows", ["up", "down", "once", "once"]),
        ("bptt(window=4)", "two_sweeps", ["up", "down", "once"]),
        ("sltt", "single_sweep", ["up", "once"]),
        ("sltt_k(K=3)", "chosen_steps", ["up", "chosen", "once"]),
        ("sltt_k(K=4)", "single_sweep", ["up", "once"]),
        ("ottt_o", "updating_sweep", ["up"]),
        ("dsr", "two_sweeps", ["up", "once"]),
        ("spide(steps=9)", "double_sweep", ["up", "once", "up", "once"]),
    ],
)
def test_a_template_says_in_which_sweeps_a_training_step_goes(rule: str, template: str, sweeps: list[str]) -> None:
    loss = "cross_entropy" if rule.startswith(("dsr", "spide")) else "cross_entropy_mse"
    network = snn.read(f"""network net(x: f16[t, 4]) steps 4 {{
        return linear(if(linear(x, out=5), reset=soft), out=2)
    }}
    train {{ loss = {loss}; optimizer = sgd; rule = {rule} }}""")
    options = TrainingOptions.resolve(network)
    assert options.the_rule.sweeps(4) == template
    regions = build_training(network, options).procedure("train_step").regions
    assert [region.sweep for region in regions] == sweeps
