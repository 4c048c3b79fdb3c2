"""Surrogates: what frameworks compute, what their primitives say, and the same bits in a program and the oracle."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from snnc.compiler.evaluate import Accumulators, Numerics, Oracle, evaluate_statements
from snnc.compiler.frontends import snn
from snnc.compiler.ir.expression import read
from snnc.compiler.ir.graph import Node, Setting
from snnc.compiler.ir.statement import Access, Elementwise, Write, loop
from snnc.compiler.ir.text import parse_network, print_network
from snnc.compiler.ir.types import Type
from snnc.compiler.ops._surrogate_page import PAGE, page
from snnc.compiler.ops.op import OPS, SettingFault, lower
from snnc.compiler.ops.surrogates import SURROGATES, complete, derivative
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.elements import lower_elements
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.numerics import random as draws
from snnc.numerics.formats import FORMATS, decode
from snnc.source import SourceError

Array = NDArray[Any]
REFERENCES = json.loads((Path(__file__).parents[1] / "golden" / "references" / "surrogates.json").read_text("utf-8"))
NEEDED: dict[str, Setting] = {
    "heavi_erfc": ("heavi_erfc", ("k", 0.8)),
    "tanh": ("tanh", ("k", 1.5)),
    "circ": ("circ", ("alpha", 0.6)),
    "custom": ("custom", ("phi", "where(x > -w and x < w, uniform() / w, exp(-abs(x)))"), ("w", 0.75)),
}
CALLS: dict[str, Setting] = {name: NEEDED.get(name, name) for name in (*SURROGATES, "custom")}


def phi(call: Setting, x: ArrayLike, accumulators: Accumulators = "f64") -> Array:
    """The derivative at many points, computed by the oracle."""
    points = np.asarray(x, np.float64)
    at = Access("x", (loop("c"),))
    write = Write(Access("y", (loop("c"),)), derivative(complete(call), read("x")))
    statement = Elementwise((("c", len(points)),), 0, {"x": at}, (), (write,))
    types = {"x": Type.of("f32", len(points)), "y": Type.of("f32", len(points))}
    return evaluate_statements([statement], {"x": points}, types, Numerics(accumulators), {}, (1, 1))["y"]


@pytest.mark.parametrize("row", REFERENCES["phi"], ids=lambda row: f"{row['source']} {row['parameters']}")
def test_a_surrogate_is_what_the_framework_computes(row: dict[str, Any]) -> None:
    """Norse has the root of pi in f32."""
    found = phi((row["surrogate"], *row["parameters"].items()), REFERENCES["x"])
    np.testing.assert_allclose(found, row["phi"], rtol=1e-7 if "erfc" in row["source"] else 1e-9, atol=1e-12)


def test_every_surrogate_that_a_framework_has_was_asked_for() -> None:
    of_papers = {"rect_of_height_1", "stochastic"}
    assert {row["surrogate"] for row in REFERENCES["phi"]} == SURROGATES.keys() - of_papers


# The integral of each derivative from -x to x, from its primitive.
PRIMITIVES: dict[str, tuple[Setting, Callable[[float], float]]] = {
    "rect": (("rect", ("alpha", 2)), lambda x: 2 * min(2 * x, 0.5)),
    "rect_of_height_1": (("rect_of_height_1", ("w", 0.25)), lambda x: 2 * min(x, 0.25)),
    "triangle": (("triangle", ("alpha", 2)), lambda x: 1.0 if x >= 0.5 else 4 * x - 4 * x * x),
    "norse_triangle": ("norse_triangle", lambda x: 0.3 if x >= 1 else 0.3 * (2 * x - x * x)),
    "snntorch_triangular": ("snntorch_triangular", lambda x: 0.0),
    "sigmoid": (("sigmoid", ("alpha", 2)), math.tanh),
    "atan": ("atan", lambda x: 2 * math.atan(math.pi * x) / math.pi),
    "fast_sigmoid": (("fast_sigmoid", ("k", 2)), lambda x: 2 * x / (1 + 2 * x)),
    "sparse_fast_sigmoid": (
        ("sparse_fast_sigmoid", ("k", 2), ("bound", 0.5)), lambda x: max(x / (1 + 2 * x) - 0.25, 0),
    ),
    "super_spike": (("super_spike", ("alpha", 2)), lambda x: 4 * x / (1 + x)),
    "soft_sign": ("soft_sign", lambda x: 2 * x / (1 + 2 * x)),
    "erf": ("erf", lambda x: math.erf(2 * x)),
    "heavi_erfc": (("heavi_erfc", ("k", 2)), lambda x: math.erf(2 * x)),
    "tanh": (("tanh", ("k", 2)), lambda x: math.tanh(2 * x)),
    "circ": (("circ", ("alpha", 2)), lambda x: 4 * x / math.hypot(x, 2)),
    "piecewise_exp": (("piecewise_exp", ("alpha", 2)), lambda x: 1 - math.exp(-2 * x)),
    "nonzero_sign_log_abs": (("nonzero_sign_log_abs", ("alpha", 2)), lambda x: 2 * math.log(1 + 2 * x)),
    "piecewise_leaky_relu": (
        ("piecewise_leaky_relu", ("w", 0.5), ("c", 0.25)), lambda x: 2 * x if x < 0.5 else 1 + (x - 0.5) / 2,
    ),
    "q_pseudo_spike": (("q_pseudo_spike", ("alpha", 3)), lambda x: 1 - 1 / (1 + x) ** 2),
    "leaky_k_relu": (("leaky_k_relu", ("leak", 0.25), ("k", 2)), lambda x: 2.25 * x),
    "log_tailed_relu": (
        ("log_tailed_relu", ("alpha", 0.25)), lambda x: 0.25 * x + (x if x < 1 else 1 + math.log(x)),
    ),
    "fake_numerical_gradient": (
        ("fake_numerical_gradient", ("alpha", 2)), lambda x: 4 * x if x < 0.5 else 2 + 2 * math.log(2 * x),
    ),
    "s2nn": (("s2nn", ("alpha", 2)), lambda x: math.tanh(x) / 2 + math.log(1 + x)),
    "squarewave_fourier": (
        ("squarewave_fourier", ("n", 3), ("period", 4)),
        lambda x: 4 / math.pi * (math.sin(math.pi * x / 2) + math.sin(3 * math.pi * x / 2) / 3),
    ),
    "straight_through": ("straight_through", lambda x: 2 * x),
    "spike_rate_escape": (
        ("spike_rate_escape", ("beta", 2), ("k", 3)),
        lambda x: 1.5 * (2 * (x > 1) + math.copysign(math.exp(-2 * abs(x - 1)), 1 - x) - math.exp(-2 * (x + 1))),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in SURROGATES if name != "stochastic"])
@pytest.mark.parametrize("x", [0.1, 0.4, 2.0])
def test_a_surrogate_is_the_derivative_of_its_primitive(name: str, x: float) -> None:
    call, primitive = PRIMITIVES[name]
    cells = 4000
    middles = -x + 2 * x * (np.arange(cells) + 0.5) / cells
    assert abs(phi(call, middles).sum() * 2 * x / cells - primitive(x)) < 2e-3


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("reset", ["hard", "soft"])
def test_the_adjoint_of_a_neuron_is_the_same_in_a_program_and_the_oracle(name: str, reset: str) -> None:
    """Bit for bit, near and far from the threshold, carried over three steps."""
    steps, samples, channels = 3, 2, 40
    x = Type.of("f16", channels, batched=True, timed=True)
    types = {"e": x, "s.h": x, "d": x}
    settings: dict[str, Setting] = {"surrogate": complete(CALLS[name]), "reset": reset, "threshold": 0.75}
    settings["tape"] = "membrane"
    read = {"error": "e", "h": "s.h"}
    (adjoint,) = OPS["lif"].make(settings).gradients()
    operands = tuple(read[role] for role in adjoint.reads)
    (statement,) = lower(Node(("d",), "lif.adjoint", operands, settings), types, steps, samples, "down")
    assert isinstance(statement, Elementwise)
    rng = np.random.default_rng(0)
    scale = np.repeat([0.01, 0.5, 2.0, 100.0], channels // 4)
    values = {
        "e": rng.standard_normal((steps, samples, channels)).astype(np.float16),
        "s.h": (0.75 + scale * rng.standard_normal((steps, samples, channels))).astype(np.float16),
    }
    values["s.h"][:, :, 0] = 0.75
    arguments = {"seed": 5, "step": 7}
    singles = {key: value.astype(np.float32) for key, value in values.items()}
    extents = steps, samples
    expected = evaluate_statements([statement], singles, types, Numerics("exact"), arguments, extents)["d"]
    lowered = lower_elements(statement, name, {"seed": 0, "step": 1}, frozenset(arguments))
    f16 = FORMATS["f16"]
    carried = np.zeros((samples, channels), np.float16)
    elements = np.arange(samples * channels).reshape(samples, channels)
    for step in reversed(range(steps)):
        given = {"error": values["e"][step], "h": values["s.h"][step], "state.gv": carried}
        given["random:s.h"] = step * samples * channels + elements
        operands = [given.get(use) for use in lowered.uses]
        made = lowered.program.evaluate(
            operands, [f16] * len(operands), np.array([5, 7], np.uint32), step == steps - 1, (samples, channels)
        )
        carried = made[lowered.uses.index("state.gv")]
        found = decode(made[lowered.uses.index("out0")], f16)
        assert found.tobytes() == expected[step].astype(np.float32).tobytes()
    assert np.isfinite(expected).all() and np.any(expected)


@pytest.mark.parametrize("accumulators", ["f64", "exact"])
def test_random_numbers_of_a_surrogate_belong_to_the_step_sample_and_element_of_h(accumulators: Accumulators) -> None:
    """Without a carry dL/dI is dL/ds times phi; the input is static, its gradient summed, but no draw is repeated."""
    network = snn.read(
        """network net(x: f16[3]) steps 4 {
            a = linear(x, out=5)
            s = lif(a, decay=0, reset=soft, detach_reset=true, surrogate=stochastic(mean=0.25, variance=2))
            return linear(s, out=3)
        }
        train { loss = cross_entropy_mse; batch = 2 }"""
    )
    oracle = Oracle(build_training(network, TrainingOptions.resolve(network)), Numerics(accumulators))
    rng = np.random.default_rng(1)
    for name, shape in (("x", (2, 3)), ("a.w", (5, 3)), ("linear.w", (3, 5))):
        oracle.write(name, rng.standard_normal(shape))
    given = {"valid": 2, "learning_rate": 0.1, "loss_scale": 1.0, "correction1": 1.0, "correction2": 1.0}
    oracle.run("train_step", {**given, "seed": 7, "step": 2})
    drawn = draws.uniform(np.arange(4 * 2 * 5), 7, draws.stream_of("s.h"), 2).reshape(4, 2, 5)
    expected = np.where(oracle.read("s.h") > 1, 1.0, (drawn - 0.5 + 0.25) * 2)
    total = (oracle.read("d.s") * expected).sum(0)
    np.testing.assert_allclose(oracle.read("d.a"), total, rtol=1e-9 if accumulators == "f64" else 1e-3)
    assert len(np.unique(drawn)) == drawn.size


def test_a_call_is_completed_with_defaults() -> None:
    assert complete("atan") == ("atan", ("alpha", 2.0))
    assert complete(("piecewise_leaky_relu", ("c", 1))) == ("piecewise_leaky_relu", ("w", 1.0), ("c", 1.0))
    assert complete(("straight_through",)) == ("straight_through",)
    assert complete(("squarewave_fourier", ("n", 3))) == ("squarewave_fourier", ("n", 3), ("period", 8.0))
    with pytest.raises(SettingFault, match="no surrogate is called 'atn'; did you mean atan"):
        OPS["lif"].make({"surrogate": "atn"})


def written(surrogate: str) -> str:
    return f"network a(image: f16[8], slope=2.5) steps 3 {{\ns = lif(image, surrogate={surrogate})\nreturn s\n}}"


@pytest.mark.parametrize(
    ("surrogate", "dumped"),
    [
        ("atan", "atan(alpha=2.0)"),
        ("straight_through", "straight_through()"),
        ("atan(alpha=slope * 2)", "atan(alpha=5.0)"),
        ('custom(phi="a / (1 + abs(x))", a=slope)', 'custom(phi="a / (1 + abs(x))", a=2.5)'),
        (r'custom(phi="1 /\n x\u005e2")', r'custom(phi="1 /\n x^2")'),
    ],
)
def test_a_dump_names_every_parameter_and_reads_back(surrogate: str, dumped: str) -> None:
    network = snn.read(written(surrogate))
    dump = print_network(network)
    assert f"surrogate={dumped}, " in dump
    assert parse_network(dump) == network
    assert snn.read(dump) == network


def test_a_block_takes_a_surrogate_as_a_setting() -> None:
    text = """block layer(x, surrogate=atan(alpha=3)) { return lif(x, surrogate=surrogate) }
    network a(image: f16[8]) steps 3 { s = layer(image); return layer(s, surrogate=tanh(k=2)) }"""
    found = [node.settings["surrogate"] for node in snn.read(text).nodes]
    assert found == [("atan", ("alpha", 3.0)), ("tanh", ("k", 2.0))]


def test_a_call_without_operands_is_a_setting_though_a_layer_has_its_name() -> None:
    text = """block layer(x, surrogate) { return lif(x, surrogate=surrogate) }
    network a(image: f16[8]) steps 3 { return layer(image, surrogate=li(decay=0.5)) }"""
    with pytest.raises(SourceError, match="<text>:1:53: no surrogate is called 'li'; there are: atan, circ, custom"):
        snn.read(text)


@pytest.mark.parametrize(
    ("surrogate", "column", "message"),
    [
        ("atn", 26, "no surrogate is called 'atn'; did you mean atan?"),
        ("custm(phi=x)", 26, "no surrogate is called 'custm'; did you mean custom?"),
        ("4", 26, "expected a surrogate and its parameters by name, such as atan or atan(alpha=2.0), not 4"),
        ("atan(3)", 26,
         "expected a surrogate and its parameters by name, such as atan or atan(alpha=2.0), not [atan, 3]"),
        ("atan(alfa=3)", 31, "no parameter of atan is called 'alfa'; did you mean alpha?"),
        ("atan(alpha=wide)", 31, "alpha of atan is a number, not 'wide'"),
        ("atan(alpha=0)", 31, "alpha of atan is above 0, not 0.0"),
        ("atan(alpha=1, alpha=2)", 40, "alpha is given twice"),
        ("leaky_k_relu(k=2, leak=nan)", 44, "leak of leaky_k_relu is a finite number, not nan"),
        ("q_pseudo_spike(alpha=1)", 41, "alpha of q_pseudo_spike is above 1, not 1.0"),
        ("squarewave_fourier(n=2.5)", 45, "n of squarewave_fourier is a whole number, not 2.5"),
        ("squarewave_fourier(n=60)", 26,
         "squarewave_fourier(n=60, period=8.0): the formula has more than 128 operations"),
        ("rect(alpha=1e-39)", 26, "rect(alpha=1e-39): the number is too large"),
        ("tanh", 26, "tanh needs the parameter k"),
        ("custom", 26, 'custom needs its formula: custom(phi="1 / (1 + abs(x))")'),
        ("custom(phi=3)", 33, "phi of custom is a formula in quotes, not 3"),
        ('custom(phi="x", a=3)', 42, "the formula does not name a"),
        ('custom(phi="a", a=nan)', 42, "a of custom is a finite number, not nan"),
        ('custom(pi=3, phi="x")', 33, "pi cannot be the name of a number in a formula"),
        ('custom(phi="1 / (1 + bas(x))")', 47, "no function is called 'bas'; did you mean abs?"),
        (r'custom(phi="\u0031 / (1 + slop)", slope=2)', 52, "no value is called 'slop'; did you mean slope?"),
        ('custom(phi="1 / (2 - 2)")', 40, "division by zero"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_surrogate_is_told_where_it_stands(surrogate: str, column: int, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        snn.read(written(surrogate))
    (fault,) = caught.value.faults
    assert (fault.place.line, fault.place.column, fault.message) == (2, column, message)


def test_the_example_of_the_page_reads() -> None:
    (example,) = re.findall(r"```snn\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert parse_network(print_network(snn.read(example))) == snn.read(example)


def test_the_page_of_surrogates_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == page(), "python -m snnc.compiler.ops._surrogate_page writes it anew"
