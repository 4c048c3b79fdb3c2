"""Neurons: law 2 for each in every setting, the tape in its smallest form, and what is told about wrong settings.

References lie in ``tests/golden/references/neurons.json`` (see ``make_neurons.py``).
"""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Mapping
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from snnc.compiler.cost.tape import Kept
from snnc.compiler.cost.tape import tape_of as table
from snnc.compiler.evaluate import Accumulators, Numerics, Oracle
from snnc.compiler.frontends import snn
from snnc.compiler.ir.expression import read
from snnc.compiler.ir.graph import Setting
from snnc.compiler.ir.types import Type
from snnc.compiler.ops.neuron import Neuron
from snnc.compiler.ops.op import OPS, Otherwise, SettingFault, ShapeFault
from snnc.compiler.ops.surrogates import SURROGATES, complete, two_values
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.compiler.training.rule import RULES, Rule

GOLDEN = Path(__file__).parent.parent / "golden"
ARGUMENTS: dict[str, float] = {
    "valid": 2, "learning_rate": 0.1, "loss_scale": 8.0, "seed": 0, "step": 0, "correction1": 1.0, "correction2": 1.0,
}  # fmt: skip
PAGE = (Path(__file__).parents[2] / "docs" / "neurons.md").read_text(encoding="utf-8")
FULL, ONLINE = RULES["bptt"].make(), RULES["sltt"].make()
NEURONS = [name for name, op in OPS.items() if issubclass(op, Neuron)]


class Cut(type(FULL)):
    """Two sweeps, without the gradients that states carry from step to step."""

    carry = "none"


@cache
def references() -> dict[str, Any]:
    return json.loads((GOLDEN / "references" / "neurons.json").read_text(encoding="utf-8"))


def oracle_of(source: str, given: Mapping[str, Any], numerics: Accumulators = "f64", rule: Rule = FULL) -> Oracle:
    """The oracle of a network with its inputs and parameters, after a training step."""
    network = snn.read(source)
    oracle = Oracle(build_training(network, TrainingOptions.resolve(network), rule), Numerics(numerics))
    oracle.run("init", ARGUMENTS)
    variables = {variable.name for variable in oracle.training.variables}
    for name, value in given.items():
        for each in {name, f"{name}.master"} & variables:
            oracle.write(each, np.asarray(value, np.float64))
    oracle.run("train_step", ARGUMENTS)
    return oracle


@pytest.mark.parametrize("name", references())
def test_a_neuron_is_what_autograd_says(name: str) -> None:
    record = references()[name]
    compare(oracle_of(record["source"], record["given"]), record)


BOUND = re.compile(r"delay\(|= (li|integrator)\(")
FREE = [name for name, record in references().items() if not BOUND.search(record["source"])]
"""References of neurons that spike, and do not wait for their own spikes."""


@pytest.mark.parametrize(("name", "every"), [(name, (2, 3, 6)[k % 3]) for k, name in enumerate(FREE)])
def test_steps_that_are_computed_again_are_what_autograd_says(name: str, every: int) -> None:
    record = references()[name]
    neuron = r"(= \w+\(\w+, )(?=.*(threshold|surrogate|reset))"
    source, count = re.subn(neuron, rf"\1tape=recompute(every={every}), ", record["source"])
    assert count
    compare(oracle_of(source, record["given"]), record)


def compare(oracle: Oracle, record: Mapping[str, Any]) -> None:
    """Spikes are equal, all else is to 1e-9; when inferring too."""
    for value, expected in record["expected"].items():
        wanted = np.asarray(expected, np.float64)
        if value == "s":
            assert np.array_equal(oracle.read("s"), wanted), "spikes"
        elif value.startswith("d."):
            np.testing.assert_allclose(oracle.read(value) / 8.0, wanted, rtol=1e-9, atol=1e-9, err_msg=value)
        elif value == "loss":
            np.testing.assert_allclose(oracle.read(value), wanted, rtol=1e-9, atol=1e-9)
    oracle.run("infer", ARGUMENTS)
    np.testing.assert_allclose(oracle.read("logits"), record["expected"]["logits inferred"], rtol=1e-9, atol=1e-9)


def test_the_references_are_those_of_the_script() -> None:
    spec = importlib.util.spec_from_file_location("make_neurons", GOLDEN / "make_neurons.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    assert {name: record["source"] for name, record in references().items()} == {
        name: module.source(case.deep) for name, case in module.cases().items()
    }


def tape_of(op: str, **settings: Setting) -> tuple[str, ...]:
    """What the way back reads, but for the error; spikes are ``s``."""
    (adjoint,) = OPS[op].make(settings).gradients()
    return tuple(role or "s" for role in adjoint.reads if role != "error")


RECT: Setting = ("rect", ("alpha", 1.0))


@pytest.mark.parametrize(
    ("op", "settings", "tape"),
    [
        ("lif", {}, ("h",)),
        ("lif", {"reset": "soft"}, ("h",)),
        ("lif", {"surrogate": RECT, "reset": "soft"}, ("mask",)),
        ("lif", {"surrogate": RECT, "reset": "soft", "detach_reset": True}, ("mask",)),
        ("lif", {"surrogate": RECT, "reset": "hard", "detach_reset": True}, ("s", "mask")),
        ("lif", {"surrogate": RECT, "reset": "hard"}, ("h",)),
        ("lif", {"surrogate": RECT, "reset": "none"}, ("mask",)),
        ("lif", {"surrogate": RECT, "reset": "soft", "reset_time": "delayed"}, ("mask",)),
        ("lif", {"surrogate": RECT, "reset": "soft", "tape": "membrane"}, ("h",)),
        ("lif", {"surrogate": "piecewise_leaky_relu", "reset": "soft"}, ("mask",)),
        ("lif", {"surrogate": "straight_through", "reset": "soft", "detach_reset": True}, ()),
        ("lif", {"surrogate": "straight_through", "detach_reset": True}, ("s",)),
        ("lif", {"surrogate": ("custom", ("phi", "uniform()")), "reset": "none"}, ("h",)),
        ("lif", {"surrogate": RECT, "reset": "soft", "learn_threshold": "layer"}, ("theta", "s", "mask")),
        ("plif", {"surrogate": RECT, "reset": "soft"}, ("w", "h")),
        ("plif", {"decay_input": True}, ("x", "w", "h")),
        ("if", {"surrogate": RECT, "reset": "soft"}, ("mask",)),
        ("cuba", {"surrogate": RECT, "reset": "soft"}, ("mask",)),
        ("alpha", {"detach_reset": True}, ("h",)),
        ("alpha", {"surrogate": RECT, "reset": "soft", "detach_reset": True}, ("s", "mask")),
        ("alpha", {"surrogate": RECT, "reset": "hard", "detach_reset": True}, ("s", "mask")),
        ("alpha", {"surrogate": RECT, "reset": "none"}, ("mask",)),
        ("alpha", {"surrogate": RECT, "reset": "soft"}, ("x", "s", "mask", "i")),
        ("alpha", {"surrogate": RECT, "reset": "hard"}, ("x", "s", "mask", "e", "i")),
        ("alpha", {"reset": "hard"}, ("x", "h", "e", "i")),
        ("refractory_lif", {"surrogate": RECT, "reset": "soft"}, ("mask", "ready")),
        ("refractory_lif", {}, ("h", "ready")),
        ("alif", {}, ("h", "b")),
        ("alif", {"surrogate": RECT, "reset": "soft"}, ("mask",)),
        ("adaptive_lif", {"surrogate": RECT, "reset": "hard", "detach_reset": True}, ("s", "mask")),
        ("li", {}, ()),
        ("integrator", {}, ()),
    ],
)  # fmt: skip
def test_the_tape_has_what_the_adjoint_needs_and_no_more(
    op: str, settings: dict[str, Setting], tape: tuple[str, ...]
) -> None:
    assert tape_of(op, **settings) == tape


@pytest.mark.parametrize(
    ("op", "settings", "role", "kept", "otherwise"),
    [
        ("lif", {}, "h", "the surrogate has more than two values, which follow from the membrane",
         ("a mask", None, "the surrogate has more than two values, which follow from the membrane")),
        ("lif", {"surrogate": RECT}, "h", "the gradient of a hard reset reads the membrane",
         ("a mask", None, "the gradient of a hard reset reads the membrane")),
        ("plif", {"surrogate": RECT, "reset": "soft"}, "h",
         "the gradient of what is learned reads the membrane",
         ("a mask", None, "the gradient of what is learned reads the membrane")),
        ("lif", {"surrogate": RECT, "reset": "soft", "tape": "membrane"}, "h", "tape=membrane asks for it",
         ("a mask", "spike", "tape=auto keeps it; gradients have the same bits")),
        ("if", {"surrogate": RECT, "reset": "soft"}, "mask",
         "the surrogate has two values, and the mask of the rounded membrane tells them apart",
         ("the membrane", "f16", "tape=membrane keeps it; gradients have the same bits")),
    ],
)  # fmt: skip
def test_a_neuron_says_why_it_keeps_what_and_what_else_it_could(
    op: str, settings: dict[str, Setting], role: str, kept: str, otherwise: tuple[str, str | None, str]
) -> None:
    made = OPS[op].make(settings)
    assert made.keeping(role) == kept
    what, format, why = otherwise
    assert made.otherwise(role, 35) == (
        Otherwise(what, None if format is None else (format,), why),
        Otherwise("states every 5 steps", ("f16",), AGAIN.format(5), 5),
    )
    assert [other.every for other in made.otherwise(role, 60)] == [1, 6]
    assert len(made.otherwise(role, 11)) == 1, "no number of steps up to 6 divides 11"


AGAIN = "tape=recompute(every={}) keeps them, and reads x again; gradients have the same bits"


def test_what_is_computed_again_says_so() -> None:
    made = OPS["cuba"].make({"tape": ("recompute", ("every", 3)), "reset_time": "delayed"})
    assert made.suffixes == ("", "h", "mask", "i", "v.kept", "r.kept", "i.kept")
    assert made.keeping("x") == "3 steps at once are computed again from it"
    assert made.keeping("v.kept") == "3 steps at once are computed again from the states before them"
    assert [other.formats for other in made.otherwise("v.kept", 6)] == [("f16",), None]
    kept = Type("f16", ((4,),), True, True, every=3)
    assert made.infer(Type.of("f16", 4, timed=True, batched=True))[4:] == (kept, kept.with_(format="spike"), kept)
    assert kept.bytes(6, 5) == 2 * 5 * 4 * 2


def test_the_states_of_two_currents_stand_for_their_masks() -> None:
    made = OPS["alpha"].make({"tape": ("recompute", ("every", 3)), "surrogate": RECT, "detach_reset": True})
    assert made.suffixes == ("", "h", "mask", "e", "i", "e.kept", "i.kept", "r.kept")
    assert [other.formats for other in made.otherwise("e.kept", 6)] == [("f16",), ("spike",)]
    assert not made.otherwise("i.kept", 6)


def test_states_every_so_many_steps_are_listed_with_their_bytes() -> None:
    source = SOURCE.format(call="cuba(c, reset_time=delayed)")
    membrane, *_ = [kept for kept in tape_table(source) if kept.value == "s.h"]
    assert membrane.bytes == 6 * 2 * 4 * 2
    other = membrane.alternatives[-1]
    assert (other.what, other.bytes) == ("states every 6 steps", 2 * (4 * 2 + 1 + 4 * 2))
    again = tape_table(source.replace("delayed", "delayed, tape=recompute(every=2)"))
    words, bits = 2 * 4 * 2, 2
    assert {kept.value: kept.bytes for kept in again if kept.layer == "s" or kept.value == "c"} == {
        "c": 6 * words, "s": 6 * bits, "s.v.kept": 3 * words, "s.r.kept": 3 * bits, "s.i.kept": 3 * words,
    }  # fmt: skip


def tape_table(source: str) -> tuple[Kept, ...]:
    """What is on tape of *source*."""
    network = snn.read(source)
    return table(build_training(network, TrainingOptions.resolve(network)))


@pytest.mark.parametrize("op", NEURONS)
def test_every_combination_of_settings_has_a_way_back(op: str) -> None:
    """Or says in words that it has none; what it reads, it can read."""
    kinds = OPS[op].settings().values()
    choices = {field.name: field.choices or (False, True) for field in kinds if field.kind in ("str", "bool")}
    choices |= {"surrogate": (RECT, "atan")} if "surrogate" in OPS[op].settings() else {}
    made = 0
    for values in product(*choices.values()):
        try:
            (adjoint,) = OPS[op].make(dict(zip(choices, values, strict=True))).gradients()
        except SettingFault:
            continue
        made += 1
        assert set(adjoint.reads) <= {"error", *OPS[op].operands, *OPS[op].parameters, *OPS[op].results}
        for role in set(adjoint.reads) - {"error", *OPS[op].parameters}:
            assert "on the way back" not in OPS[op].make().keeping(role), f"{op} says nothing of {role}"
    assert made


def exact(source: str, rule: Rule = FULL) -> dict[str, NDArray[Any]]:
    """Every gradient and error of a training step with the machine's numbers, by name."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((6, 2, 3))
    given = {"x": x if "[t, 3]" in source else x[0], "label": [0, 2], "c.w": rng.standard_normal((4, 3))}
    oracle = oracle_of(source, given, "exact", rule)
    return {record.name: record.elements for record in oracle.records() if record.name.startswith("d.")}


SOURCE = """network a(x: f16[t, 3]) steps 6 {{
    c = linear(x, out=4)
    s = {call}
    y = linear(s, out=3)
    return y
}} train {{ batch = 2 }}"""


@pytest.mark.parametrize("every", [2, 3, 6])
@pytest.mark.parametrize(
    ("call", "carry"),
    [
        ("lif(c, threshold=0.5)", "full"),
        ("lif(c, threshold=0.5, surrogate=rect, amplitude=2.5, initial=0.25)", "none"),
        ("if(c, threshold=0.5, reset_time=delayed)", "full"),
        ("plif(c, each=channel, learn_threshold=layer, decay_input=true, threshold=0.5)", "full"),
        ("plif(c, form=clamp, learn_threshold=channel, threshold=0.5, reset=soft)", "none"),
        ("cuba(c, threshold=0.5, reset_time=delayed, learn_threshold=channel)", "full"),
        ("alpha(c, threshold=0.25)", "full"),
        ("alpha(c, threshold=0.25, reset=soft, surrogate=atan, learn_threshold=channel)", "full"),
        ("alif(c, threshold=0.5, surrogate=atan)", "full"),
        ("adaptive_lif(c, threshold=0.5, coupling=0.25)", "full"),
        ("refractory_lif(c, threshold=0.5, period=1)", "full"),
    ],
)
@pytest.mark.parametrize("x", ["f16[t, 3]", "f16[3]"])
def test_steps_that_are_computed_again_give_the_gradients_of_the_membrane(
    call: str, carry: Any, every: int, x: str
) -> None:
    cut, source = FULL if carry == "full" else Cut(), SOURCE.replace("f16[t, 3]", x)
    words = exact(source.format(call=call.replace("(c,", "(c, tape=membrane,")), cut)
    again = exact(source.format(call=call.replace("(c,", f"(c, tape=recompute(every={every}),")), cut)
    assert again.keys() == words.keys()
    assert np.any(again["d.c.w"])
    for name, value in again.items():
        assert np.array_equal(value, words[name]) and np.array_equal(np.signbit(value), np.signbit(words[name])), name


DEEP = """network a(x: f16[t, 3]) steps 6 {{
    c = linear(x, out=4)
    s = {call}
    k = linear(s, out=5)
    r = lif(k, threshold=0.3, reset=soft, surrogate=atan)
    return linear(r, out=3)
}} train {{ batch = 2 }}"""
"""Behind a second layer that spikes, errors differ from step to step."""


@pytest.mark.parametrize("every", [2, 3, 6])
@pytest.mark.parametrize(
    "call",
    [
        "lif(c, threshold=0.3, reset=soft, surrogate=atan)",
        "lif(c, threshold=0.3, initial=0.07, v_reset=0.1, rest=0.1, surrogate=sigmoid)",
        "plif(c, threshold=0.3, initial=0.07, each=channel, learn_threshold=layer)",
        "cuba(c, threshold=0.3, initial=0.3, reset=soft, current_decay=0.7, surrogate=atan)",
        "alpha(c, threshold=0.3, gain=0.7, reset=soft, surrogate=atan)",
        "alif(c, threshold=0.3, jump=0.07, reset=soft, surrogate=atan)",
        "adaptive_lif(c, threshold=0.3, coupling=0.3, reset=soft, surrogate=atan)",
        "refractory_lif(c, threshold=0.3, period=1, reset=soft, surrogate=atan)",
    ],
)
def test_numbers_that_f16_rounds_are_rounded_again_alike(call: str, every: int) -> None:
    """Nothing here is exact in f16: thresholds, first potentials, what a reset leaves."""
    words = exact(DEEP.format(call=call.replace("(c,", "(c, tape=membrane,")))
    again = exact(DEEP.format(call=call.replace("(c,", f"(c, tape=recompute(every={every}),")))
    assert len(np.unique(words["d.s"][:, 0, 0])) > 2, "errors that are alike would not show an error of another step"
    for name, value in again.items():
        assert np.array_equal(value, words[name]) and np.array_equal(np.signbit(value), np.signbit(words[name])), name


def test_only_what_can_be_done_is_proposed() -> None:
    recurrent = """network a(x: f16[t, 3]) steps 4 {
        back = delay(s) : spike[4]
        s = lif(add(linear(x, out=4), linear(back, out=4)))
        return linear(s, out=3)
    } train { batch = 2 }"""
    sources = (recurrent, SOURCE.format(call="lif(c, surrogate=stochastic)"))
    for source in sources:
        (membrane,) = [kept for kept in tape_table(source) if kept.value == "s.h"]
        assert [other.what for other in membrane.alternatives] == ["a mask"]


@pytest.mark.parametrize("carry", ["full", "none"])
@pytest.mark.parametrize(
    "call",
    [
        f"{op}(c, threshold=0.5, {more})"
        for op in ("lif", "if", "cuba", "alif", "adaptive_lif", "refractory_lif")
        for more in (
            "surrogate=rect(alpha=0.6), reset=soft",
            "surrogate=rect_of_height_1, reset=hard, detach_reset=true",
            "surrogate=piecewise_leaky_relu(w=0.3), reset=none, compare=gt",
        )
    ]
    + [
        "lif(c, threshold=0.5, reset=soft, reset_time=delayed, surrogate=rect, learn_threshold=channel)",
        "lif(c, reset=hard, reset_time=delayed, detach_reset=true, surrogate=leaky_k_relu(leak=0.1))",
        "cuba(c, reset=soft, surrogate=rect, learn_threshold=layer)",
    ],
)
def test_bits_on_the_tape_give_the_gradients_of_the_membrane(call: str, carry: Any) -> None:
    cut = FULL if carry == "full" else Cut()
    bits = exact(SOURCE.format(call=call), cut)
    words = exact(SOURCE.format(call=call.replace("(c,", "(c, tape=membrane,")), cut)
    assert bits.keys() == words.keys()
    assert np.any(bits["d.c.w"])
    for name, value in bits.items():
        assert np.array_equal(value, words[name]) and np.array_equal(np.signbit(value), np.signbit(words[name])), name


def test_a_mask_is_made_of_the_rounded_membrane() -> None:
    """h = 1.5 + 2**-12 lies beyond the window, but rounds into it."""
    source = """network a(x: f32[t, 1]) steps 1 {
        s, h, mask = lif(x, threshold=1.0, surrogate=custom(phi="where(x <= 0.5, 1, 0)"))
        y = add(mask, s)
        return y
    } train { batch = 1; loss = mse_rate }"""
    network = snn.read(source)
    oracle = Oracle(build_training(network, TrainingOptions.resolve(network)), Numerics("exact"))
    oracle.write("x", [[[1.5 + 2.0**-12]]])
    oracle.run("infer", ARGUMENTS | {"valid": 1})
    assert oracle.read("mask").item() == 1.0
    oracle.write("x", [[[1.5 + 2.0**-9]]])
    oracle.run("infer", ARGUMENTS | {"valid": 1})
    assert oracle.read("mask").item() == 0.0


@pytest.mark.parametrize(
    "call",
    [
        "alpha(c, threshold=0.25, reset=soft, surrogate=rect(alpha=0.6), detach_reset=true)",
        "alpha(c, threshold=0.25, surrogate=piecewise_leaky_relu(w=0.3), learn_threshold=channel)",
        "alpha(c, threshold=0.25, reset=none, compare=gt, surrogate=rect)",
    ],
)
def test_bits_stand_for_the_sum_of_two_currents(call: str) -> None:
    bits = exact(SOURCE.format(call=call))
    words = exact(SOURCE.format(call=call.replace("(c,", "(c, tape=membrane,")))
    assert np.any(bits["d.c.w"])
    for name, value in bits.items():
        assert np.array_equal(value, words[name]) and np.array_equal(np.signbit(value), np.signbit(words[name])), name


def test_what_an_alpha_neuron_does_after_a_spike() -> None:
    """Worked by hand: tau is 1 where the inhibitory current is gone at once, so h[t] = e[t-1]; it fires in step 1."""
    source = """network a(x: f16[t, 1]) steps 4 {{
        s, h, mask, e, i = alpha(x, excitatory_decay=1.0, inhibitory_decay=0.0, threshold=1.0, reset={reset})
        return flatten({value})
    }} train {{ batch = 1; loss = mse_rate }}"""
    wanted = {
        "hard": {"h": [0, 2, 0, 0], "e": [2, 2.5, 0, 0.25], "i": [-2, -0.5, 0, -0.25]},
        "soft": {"h": [0, 2, 2, 2.5], "e": [2, 2.5, 2.5, 1.75], "i": [-2, -0.5, 0, 0]},
        "none": {"h": [0, 2, 2.5, 3.5], "e": [2, 2.5, 3.5, 3.75], "i": [-2, -0.5, -1, -0.25]},
    }
    for reset, values in wanted.items():
        for value, expected in values.items():
            network = snn.read(source.format(reset=reset, value=value))
            oracle = Oracle(build_training(network, TrainingOptions.resolve(network)), Numerics("exact"))
            oracle.write("x", np.reshape([2.0, 0.5, 1.0, 0.25], (4, 1, 1)))
            oracle.run("infer", ARGUMENTS | {"valid": 1})
            assert oracle.read(value).ravel().tolist() == expected, (reset, value)


@pytest.mark.parametrize("rule", [Cut(), ONLINE], ids=["up_down", "up"])
def test_a_rule_without_carry_learns_thresholds_and_decays_of_each_step_alone(rule: Rule) -> None:
    """The gradient of sum_t error[t] * h[t] with v[t-1] held, worked out step by step."""
    call = "plif(c, learn_threshold=layer, decay_input=true, reset=soft, surrogate=atan, initial=0.25)"
    source = SOURCE.format(call=call).replace("batch = 2", "batch = 2; loss = cross_entropy_mse")
    rng = np.random.default_rng(3)
    given = {"x": rng.standard_normal((6, 2, 3)), "label": [0, 2], "s.w": -0.5, "s.theta": 0.75}
    oracle = oracle_of(source, given, "f64", rule)
    share, v, of_w, of_theta = 1 / (1 + np.exp(0.5)), np.full((2, 4), 0.25), 0.0, 0.0
    for t in range(6):
        current, error = oracle.read("c")[t], oracle.read("d.s")[t]
        h = (1 - share) * v + share * current
        gh = error / (1 + (np.pi * (h - 0.75)) ** 2)
        of_w += float((gh * (current - v)).sum()) * share * (1 - share)
        of_theta -= float(gh.sum())
        np.testing.assert_allclose(oracle.read("d.c")[t], share * gh, rtol=1e-9, atol=1e-12)
        v = h - 0.75 * (h >= 0.75)
    np.testing.assert_allclose(oracle.read("d.s.w"), of_w, rtol=1e-9)
    np.testing.assert_allclose(oracle.read("d.s.theta"), of_theta, rtol=1e-9)


def test_a_static_input_gets_the_errors_of_all_steps_at_once() -> None:
    """The same input in every step, given once or six times."""
    rng = np.random.default_rng(9)
    x, given = rng.standard_normal((2, 3)), {"label": [0, 2], "s.w": [-0.5, 0.0, 0.5, 1.0]}
    source = SOURCE.format(call="plif(c, each=channel, decay_input=true, learn_threshold=layer, threshold=0.5)")
    moving = oracle_of(source, given | {"x": np.broadcast_to(x, (6, 2, 3))})
    static = oracle_of(source.replace("f16[t, 3]", "f16[3]"), given | {"x": x})
    for name in ("d.s.w", "d.s.theta", "d.c.w"):
        np.testing.assert_allclose(static.read(name), moving.read(name), rtol=1e-9)
    np.testing.assert_allclose(static.read("d.c"), moving.read("d.c").sum(0), rtol=1e-9)


def test_a_threshold_that_two_layers_share_gets_the_gradients_of_both() -> None:
    body = """
    {theta}
    c = linear(x, out=4)
    s = lif(c, learn_threshold=layer, threshold=0.5{shared})
    k = linear(s, out=4)
    r = lif(k, learn_threshold=layer, threshold=0.5{shared})
    y = linear(r, out=3)
    return y
}} train {{ batch = 2 }}"""
    head = "network a(x: f16[t, 3]) steps 6 {"
    rng = np.random.default_rng(1)
    weights = {f"{name}.w": rng.standard_normal((4, 3 + (name == "k"))) for name in "ck"}
    given = {"x": rng.standard_normal((6, 2, 3)), "label": [0, 2], "y.w": rng.standard_normal((3, 4)), **weights}
    apart = oracle_of(head + body.format(theta="", shared=""), given)
    theta = "theta = parameter(init=constant(value=0.5))"
    shared = oracle_of(head + body.format(theta=theta, shared=", theta=theta"), given)
    assert apart.read("d.s.theta") != 0
    np.testing.assert_allclose(shared.read("d.theta"), apart.read("d.s.theta") + apart.read("d.r.theta"), rtol=1e-9)


def test_learned_numbers_begin_where_the_settings_say() -> None:
    x = Type.of("f16", 6, 4, 4, batched=True)
    types = OPS["plif"].make({"decay": 0.75, "each": "channel", "learn_threshold": "layer"}).parameter_types(x)
    assert types["w"] == (Type.of("f32", 6), ("constant", ("value", pytest.approx(-np.log(4.0 - 1.0)))))  # tau = 4
    assert types["theta"] == (Type("f32", ()), ("constant", ("value", 1.0)))
    clamped = OPS["plif"].make({"form": "clamp", "decay": 0.75}).parameter_types(x)["w"]
    assert clamped == (Type("f32", ()), ("constant", ("value", 0.75)))


@pytest.mark.parametrize(
    ("op", "settings", "message", "name"),
    [
        ("lif", {"decay": 1.5}, "decay of lif is between 0 and 1, not 1.5", "decay"),
        ("li", {"decay": -0.5}, "decay of li is between 0 and 1, not -0.5", "decay"),
        ("plif", {"decay": 1.0}, "decay of plif is between 0 and 1, and neither of them, not 1.0", "decay"),
        ("plif", {"decay": 1.5, "form": "clamp"}, "decay of plif is between 0 and 1, not 1.5", "decay"),
        ("plif", {"each": "neuron"}, "no each of plif is called 'neuron'; there are: channel, layer", "each"),
        ("lif", {"learn_threshold": "chanel"},
         "no learn_threshold of lif is called 'chanel'; did you mean channel?", "learn_threshold"),
        ("lif", {"reset": "zero"}, "no reset of lif is called 'zero'; there are: hard, none, soft", "reset"),
        ("lif", {"reset_time": "later"},
         "no reset_time of lif is called 'later'; there are: delayed, immediate", "reset_time"),
        ("lif", {"tape": "mask"}, "no tape is called 'mask'; there are: auto, membrane, recompute", "tape"),
        ("lif", {"tape": "recomputes"}, "no tape is called 'recomputes'; did you mean recompute?", "tape"),
        ("lif", {"tape": 4}, "no tape is called '4'; there are: auto, membrane, recompute", "tape"),
        ("lif", {"tape": "recompute"},
         "recompute says how many steps are computed again at once, from 2 to 12: recompute(every=4)", "tape"),
        ("lif", {"tape": ("recompute", ("every", 1))},
         "recompute says how many steps are computed again at once, from 2 to 12: recompute(every=4)", "tape"),
        ("lif", {"tape": ("recompute", ("evry", 2))}, "no parameter of recompute is called 'evry'; did you mean every?",
         "tape"),
        ("lif", {"tape": ("membrane", ("every", 2))},
         "tape=membrane takes no every; it is recompute(every=4) that does", "tape"),
        ("if", {"tape": ("recompute", ("every", 2)), "surrogate": "stochastic"},
         "if cannot compute steps again whose surrogate draws random numbers", "tape"),
        ("cuba", {"current_decay": 2.0}, "current_decay of cuba is between 0 and 1, not 2.0", "current_decay"),
        ("alpha", {"inhibitory_decay": 1.0}, "inhibitory_decay of alpha is at least 0 and below 1, not 1.0",
         "inhibitory_decay"),
        ("alpha", {"excitatory_decay": 0.5, "inhibitory_decay": 0.75},
         "excitatory_decay of alpha is above inhibitory_decay, which is 0.75, and at most 1, not 0.5",
         "excitatory_decay"),
        ("alpha", {"excitatory_decay": 1.5},
         "excitatory_decay of alpha is above inhibitory_decay, which is 0.8, and at most 1, not 1.5",
         "excitatory_decay"),
        ("alpha", {"v_reset": 0.25}, "v_reset of alpha is 0, which a reset leaves of both currents, not 0.25",
         "v_reset"),
        ("alpha", {"initial": 0.25}, "initial of alpha is 0, since its currents begin at 0, not 0.25", "initial"),
        ("alpha", {"reset_time": "immediate"},
         "no reset_time of alpha is called 'immediate'; there are: delayed", "reset_time"),
        ("adaptive_lif", {"current_decay": -1.0},
         "current_decay of adaptive_lif is between 0 and 1, not -1.0", "current_decay"),
        ("alif", {"threshold_decay": 1.25}, "threshold_decay of alif is between 0 and 1, not 1.25", "threshold_decay"),
        ("alif", {"learn_threshold": "layer"},
         "learn_threshold of alif is none where the threshold adapts, not 'layer'", "learn_threshold"),
        ("adaptive_lif", {"reset_time": "delayed"},
         "detach_reset of adaptive_lif is true where a hard reset is delayed, not false", "detach_reset"),
        ("refractory_lif", {"period": 0}, "period of refractory_lif is between 1 and 2048, not 0", "period"),
        ("refractory_lif", {"reset_time": "delayed"},
         "reset_time of refractory_lif is immediate where there is a refractory period, not 'delayed'", "reset_time"),
    ],
)  # fmt: skip
def test_settings_that_a_neuron_cannot_take_are_told(
    op: str, settings: dict[str, Setting], message: str, name: str
) -> None:
    with pytest.raises(SettingFault) as fault:
        OPS[op].make(settings)
    assert (fault.value.message, fault.value.name) == (message, name)


@pytest.mark.parametrize("op", ["plif", "lif", "cuba"])
def test_what_is_flattened_and_more_has_no_channels(op: str) -> None:
    settings: dict[str, Setting] = {"each": "channel"} if op == "plif" else {"learn_threshold": "channel"}
    strange = Type("f16", ((4, 3), (5,)), True, True)
    with pytest.raises(ShapeFault) as fault:
        OPS[op].make(settings).infer(strange)
    assert (fault.value.message, fault.value.operand) == (f"{op} finds no channels in f16[t, n, 4*3, 5]", 0)


def test_the_examples_of_the_page_are_networks() -> None:
    examples = re.findall(r"```snn\n(.*?)```", PAGE, re.S)
    assert len(examples) == 1
    for text in examples:
        assert snn.read(text).nodes


def test_the_page_tells_which_surrogates_one_bit_tells() -> None:
    (told,) = re.findall(r"A surrogate has two values where .*?: (.*?), and a `custom`", PAGE, re.S)
    found: set[str] = set()
    for name, surrogate in SURROGATES.items():
        needed = [(parameter.name, 1.0) for parameter in surrogate.parameters if parameter.default is None]
        if two_values(complete((name, *needed)), read("x")):
            found.add(name)
    assert set(re.findall(r"`(\w+)`", told)) == found


@pytest.mark.parametrize("op", NEURONS)
def test_every_neuron_has_its_section_on_the_page(op: str) -> None:
    assert f"| `{op}` |" in PAGE
    for setting in OPS[op].settings():
        assert f"`{setting}`" in PAGE, f"{setting} of {op} is not told"
