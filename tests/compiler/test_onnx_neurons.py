"""Neurons spelled out in ONNX, in several ways: their spikes are those of their equations, over many more steps.

Expected spikes come from NumPy, written out here after section 1 of `../shared/reference/algorithms.md` and the
equations of `docs/neurons.md`; nothing of the compiler computes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx_files import BATCH, INPUTS, NEURONS, Writer, weights
from test_onnx import neuron_of, outputs_of, told

from snnc.compiler.frontends.frontend import Imported, Options, read_model

Array = NDArray[Any]
States = dict[str, str]
Step = Callable[[Writer, str, States], str]
"""The spikes of one step from its input; states are read and replaced."""

STEPS = 6
LONG = 40


@dataclass(frozen=True)
class Case:
    """A neuron: how its step is spelled, what it is in numbers, and what must be found."""

    name: str
    step: Step
    numbers: Callable[[Array], Array]
    """Spikes of currents ``[t, n, 8]``."""

    op: str
    settings: Mapping[str, Any]
    states: tuple[str, ...] = ("v",)
    scale: float = 1.0
    """Of the input, which is random around 0.5."""

    warning: str = ""
    layers: tuple[str, ...] = ()
    """Operators between the first sum and the neuron."""

    begin: Mapping[str, float] = field(default_factory=dict[str, float])


def unrolled(path: Path, case: Case, steps: int = STEPS) -> Path:
    """The file: a sum, the neuron, and its spikes of all steps."""
    write = Writer()
    w, b = write.constant(weights()["w1"]), write.constant(weights()["b1"])
    states = {s: write.constant(np.full((BATCH, NEURONS), case.begin.get(s, 0.0))) for s in case.states}
    rows: list[str] = []
    for number in range(steps):
        x = write("Gather", "x", write.constant(number, np.int64), axis=0)
        s = case.step(write, write("Gemm", x, w, b, transB=1), states)
        rows.append(write("Unsqueeze", s, write.constant([0], np.int64)))
    return write.save(path, [steps, BATCH, INPUTS], [write("Concat", *rows, axis=0)])


def single(path: Path, case: Case) -> Path:
    """A file of one step, whose states are inputs and outputs."""
    write = Writer()
    w, b = write.constant(weights()["w1"]), write.constant(weights()["b1"])
    states = {s: s for s in case.states}
    s = case.step(write, write("Gemm", "x", w, b, transB=1), states)
    result = write("MatMul", s, write.constant(np.eye(NEURONS)))
    others = [states[name] for name in case.states]
    inputs = {"x": [BATCH, INPUTS], **{s: [BATCH, NEURONS] for s in case.states}}
    return write.save_with(path, inputs, [result, *others])


def currents(case: Case, steps: int = LONG) -> tuple[Array, Array]:
    """(input, what the first sum makes of it), both as 32-bit numbers are read."""
    x = np.random.default_rng(9).normal(0.5, 1, (steps, BATCH, INPUTS)) * case.scale
    x = x.astype(np.float32).astype(np.float64)
    return x, x @ weights()["w1"].astype(np.float64).T + weights()["b1"].astype(np.float64)


def long(imported: Imported, x: Array) -> Array:
    """The result in many more steps than the file spells out."""
    return outputs_of(replace(imported, network=replace(imported.network, steps=len(x))), x)


# Spellings


def above(w: Writer, value: str, threshold: str) -> str:
    return w("Cast", w("Greater", w("Sub", value, threshold), w.constant(0.0)), to=1)


def leak(w: Writer, v: str, x: str, decay: Any) -> str:
    return w("Add", w("Mul", v, w.constant(decay)), x)


def resetting_twice(zero: bool, where: bool = False, current: bool = False) -> Step:
    """snnTorch with ``reset_delay=False``: a comparison of what the step before left, and one of what is charged."""

    def step(w: Writer, x: str, states: States) -> str:
        one, threshold = w.constant(1.0), w.constant(1.0)
        again = above(w, states["v"], threshold)
        if current:
            states["i"] = x = leak(w, states["i"], x, 0.5)
        if zero:
            h = leak(w, w("Mul", w("Sub", one, again), states["v"]), x, 0.75)
        else:
            h = w("Sub", leak(w, states["v"], x, 0.75), w("Mul", again, threshold))
        s = above(w, h, threshold)
        more = w("Sub", s, again)
        if where:
            states["v"] = w("Where", w("Cast", more, to=9), w.constant(np.zeros((BATCH, NEURONS))), h)
        else:
            states["v"] = w("Sub", h, w("Mul", more, h if zero else threshold))
        return s

    return step


def synaptic(w: Writer, x: str, states: States) -> str:
    """snnTorch's Synaptic with ``reset_mechanism="zero"``, which takes 0 times the reset from its current."""
    reset = above(w, states["v"], w.constant(1.0))
    i = leak(w, states["i"], x, 0.5)
    h = leak(w, states["v"], i, 0.75)
    states["i"] = w("Sub", i, w("Mul", w.constant(0.0), reset))
    states["v"] = w("Sub", h, w("Mul", h, reset))
    return above(w, states["v"], w.constant(1.0))


def coming_back(weight: Any, reset: str, current: bool = False, fixed: bool = False) -> Step:
    """Spikes times a weight among the input of the next step."""

    def step(w: Writer, x: str, states: States) -> str:
        x = w("Add", x, w("Mul", states["s"], w.constant(weight)))
        if current:
            states["i"] = x = leak(w, states["i"], x, 0.5)
        h = leak(w, states["v"], x, 0.75)
        if reset == "delayed":
            again = above(w, states["v"], w.constant(1.0)) if fixed else states["s"]
            h = w("Sub", h, w("Mul", again, w.constant(1.0)))
        states["s"] = s = above(w, h, w.constant(1.0))
        states["v"] = w("Sub", h, s) if reset == "soft" else h
        return s

    return step


def behind_a_bias(spelling: int) -> Step:
    def step(w: Writer, x: str, states: States) -> str:
        h = leak(w, states["v"], x, 0.75)
        h = w("Add", h, w.constant(0.125)) if spelling else w("Sub", h, w.constant(-0.125))
        if spelling:
            s = w("Where", w("Less", h, w.constant(1.0)), w.constant(0.0), w.constant(1.0))
            states["v"] = w("Sub", h, s)
        else:
            s = w("Cast", w("GreaterOrEqual", h, w.constant(1.0)), to=1)
            states["v"] = w("Where", w("Cast", s, to=9), w("Sub", h, w.constant(1.0)), h)
        return s

    return step


def by_another_amount(w: Writer, x: str, states: States) -> str:
    h = leak(w, states["v"], x, 0.75)
    s = w("Cast", w("Greater", h, w.constant(1.0)), to=1)
    states["v"] = w("Sub", h, w("Mul", s, w.constant(1.5)))
    return s


def lsnn(w: Writer, x: str, states: States) -> str:
    """Norse: the membrane reads the current of the step before, the threshold falls back by itself."""
    v = w("Add", states["v"], w("Mul", w("Sub", states["i"], states["v"]), w.constant(0.25)))
    i = w("Sub", states["i"], w("Mul", states["i"], w.constant(0.5)))
    b = w("Add", states["b"], w("Mul", w("Sub", w.constant(1.0), states["b"]), w.constant(0.125)))
    s = w("Cast", w("Greater", w("Sub", v, b), w.constant(0.0)), to=1)
    states["v"] = w("Mul", w("Sub", w.constant(1.0), s), v)
    states["b"] = w("Add", b, w("Mul", s, w.constant(0.5)))
    states["i"] = w("Add", i, x)
    return s


def bellec(w: Writer, x: str, states: States) -> str:
    """The threshold is ``1 + 0.25 a``, where a is a trace of the spikes."""
    h = leak(w, states["v"], x, 0.75)
    s = w("Cast", w("Greater", h, w("Add", w.constant(1.0), w("Mul", states["a"], w.constant(0.25)))), to=1)
    states["v"] = w("Mul", h, w("Sub", w.constant(1.0), s))
    states["a"] = w("Add", w("Mul", states["a"], w.constant(0.875)), s)
    return s


def against_itself(coupling: float) -> Step:
    def step(w: Writer, x: str, states: States) -> str:
        h = leak(w, states["v"], w("Sub", x, states["w"]), 0.75)
        s = w("Cast", w("Greater", h, w.constant(1.0)), to=1)
        fed = w("Add", w("Mul", states["w"], w.constant(0.5)), w("Mul", s, w.constant(0.375)))
        states["w"] = w("Add", fed, w("Mul", h, w.constant(0.5 * coupling))) if coupling else fed
        states["v"] = w("Sub", h, s)
        return s

    return step


def waiting(w: Writer, x: str, states: States) -> str:
    busy = w("Greater", states["r"], w.constant(0.0))
    h = w("Where", busy, states["v"], leak(w, states["v"], x, 0.75))
    s = w("Cast", w("And", w("Greater", h, w.constant(1.0)), w("Not", busy)), to=1)
    states["v"] = w("Mul", h, w("Sub", w.constant(1.0), s))
    left = w("Relu", w("Sub", states["r"], w.constant(1.0)))
    states["r"] = w("Where", w("Cast", s, to=9), w.constant(3.0), left)
    return s


def late(w: Writer, x: str, states: States) -> str:
    """The membrane reads the current before it has seen the input."""
    h = leak(w, states["v"], states["i"], 0.75)
    states["i"] = leak(w, states["i"], x, 0.5)
    s = w("Cast", w("Greater", h, w.constant(1.0)), to=1)
    states["v"] = w("Mul", h, w("Sub", w.constant(1.0), s))
    return s


def worth(w: Writer, x: str, states: States) -> str:
    h = leak(w, states["v"], x, 0.75)
    s = w("Cast", w("Greater", h, w.constant(1.0)), to=1)
    states["v"] = w("Sub", h, s)
    return w("Mul", s, w.constant(0.5))


def plain(w: Writer, x: str, states: States) -> str:
    return w("Mul", worth(w, x, states), w.constant(2.0))


def late_and_read(w: Writer, x: str, states: States) -> str:
    """Its current is read in the step that makes it."""
    return w("Add", late(w, x, states), w("Relu", states["i"]))


TAU = float(np.log(0.875) / (np.log(0.5) - np.log(0.875)) + 1)


def alpha(reset: str, weight: float = TAU, factor: float = 1.0) -> Step:
    """snnTorch's Alpha: two currents that the same input, *factor* times, drives against each other."""

    def step(w: Writer, x: str, states: States) -> str:
        x = w("Mul", x, w.constant(factor)) if factor != 1 else x
        e = leak(w, states["e"], x, 0.875)
        i = w("Sub", w("Mul", states["i"], w.constant(0.5)), x)
        h = w("Mul", w("Add", e, i), w.constant(weight))
        if reset != "none":
            fired = above(w, states["h"], w.constant(1.0))
            if reset == "subtract":
                h = w("Sub", h, w("Mul", w("Neg", states["i"]), fired))
                e = w("Sub", e, w("Mul", w.constant(1.0), fired))
            else:
                h, e = (w("Sub", value, w("Mul", value, fired)) for value in (h, e))
            i = w("Sub", i, w("Mul", i, fired))
            states["h"] = h
        states["e"], states["i"] = e, i
        return above(w, h, w.constant(1.0))

    return step


# The same in numbers


def simulated(
    decay: float = 0.75,
    *,
    share: float = 1.0,
    bias: float = 0.0,
    begin: float = 0.0,
    reset: Callable[[Array, Array], Array] = lambda h, s: h,
    delayed: Callable[[Array, Array], Array] = lambda h, s: h,
    current: float | None = None,
    echo: Any = 0.0,
    late: bool = False,
    equal: bool = False,
    level: tuple[float, float] = (0.0, 0.0),
    against: tuple[float, float, float] = (0.0, 0.0, 0.0),
    period: int = 0,
) -> Callable[[Array], Array]:
    """Spikes of a neuron of threshold 1; *level* is (decay of the threshold, what a spike raises it by), *against*
    (decay of the current against the input, what a spike adds, what the membrane adds)."""

    def run(x: Array) -> Array:
        v, s, i, w = np.full(x.shape[1:], begin), *(np.zeros(x.shape[1:]) for _ in range(3))
        raised, wait = np.zeros(x.shape[1:]), np.zeros(x.shape[1:])
        found: list[Array] = []
        for number in range(len(x)):
            given = (x[number - 1] if number else 0 * x[0]) if late else x[number]
            given = given + echo * s
            i = given if current is None else current * i + given
            h = np.where(wait > 0, v, delayed(decay * v + share * (i - w) + bias, s))
            raised = level[0] * (raised + level[1] * s)
            s = (((h >= 1 + raised) if equal else (h > 1 + raised)) & (wait <= 0)).astype(float)
            w = against[0] * w + against[1] * s + against[2] * h
            wait = np.where(s > 0, period, np.maximum(wait - 1, 0))
            v = reset(h, s)
            found.append(s)
        return np.stack(found)

    return run


def dual(reset: str, weight: float = TAU, factor: float = 1.0) -> Callable[[Array], Array]:
    """Spikes of snnTorch's Alpha, of threshold 1."""

    def run(x: Array) -> Array:
        e = i = h = np.zeros(x.shape[1:])
        found: list[Array] = []
        for given in factor * x:
            fired = h > 1
            excited, inhibited, before = 0.875 * e + given, 0.5 * i - given, i
            h, e, i = weight * (excited + inhibited), excited, inhibited
            if reset == "subtract":
                h, e, i = h + fired * before, e - fired, np.where(fired, 0, i)
            elif reset == "zero":
                h, e, i = (np.where(fired, 0, value) for value in (h, e, i))
            found.append((h > 1).astype(float))
        return np.stack(found)

    return run


def to_zero(h: Array, s: Array) -> Array:
    return np.where(s > 0, 0.0, h)


def by(amount: float) -> Callable[[Array, Array], Array]:
    return lambda h, s: h - amount * s


SOFT = {"reset": "soft", "reset_time": "immediate", "decay": 0.75, "compare": "gt"}
HARD = {**SOFT, "reset": "hard", "v_reset": 0.0, "initial": 0.0}
LATER = {**SOFT, "reset_time": "delayed"}
NONE = {**SOFT, "reset": "none"}
EACH = np.linspace(-0.5, 0.5, NEURONS)
TWICE = (
    "taken as reset=soft: it is that while no potential exceeds twice the threshold; beyond, the file takes the "
    "threshold away once more in the next step"
)

CASES = [
    Case("zero at once", resetting_twice(True), simulated(reset=to_zero), "lif", HARD),
    Case("zero at once, where", resetting_twice(True, where=True), simulated(reset=to_zero), "lif", HARD),
    Case(
        "zero at once behind a current",
        resetting_twice(True, current=True),
        simulated(reset=to_zero, current=0.5),
        "cuba",
        {**HARD, "current_decay": 0.5},
        ("i", "v"),
    ),
    Case("subtract at once", resetting_twice(False), simulated(reset=by(1)), "lif", SOFT, scale=0.25, warning=TWICE),
    Case(
        "synaptic zero",
        synaptic,
        simulated(delayed=to_zero, current=0.5),
        "cuba",
        {**HARD, "reset_time": "delayed", "current_decay": 0.5},
        ("i", "v"),
    ),
    Case(
        "one to one",
        coming_back(0.5, "delayed", fixed=True),
        simulated(delayed=by(1), echo=0.5),
        "lif",
        LATER,
        ("s", "v"),
        layers=("delay", "scale", "add"),
    ),
    Case(
        "one to one, the reset from the same spikes",
        coming_back(0.5, "delayed"),
        simulated(delayed=by(1), echo=0.5),
        "lif",
        LATER,
        ("s", "v"),
        layers=("delay", "scale", "add"),
    ),
    Case(
        "one to one, each its own",
        coming_back(EACH, "delayed", fixed=True),
        simulated(delayed=by(1), echo=EACH.astype(np.float32).astype(float)),
        "lif",
        LATER,
        ("s", "v"),
        layers=("delay", "scale", "add"),
    ),
    Case(
        "one to one without a reset",
        coming_back(-0.5, "none"),
        simulated(echo=-0.5),
        "lif",
        NONE,
        ("s", "v"),
        layers=("delay", "scale", "add"),
    ),
    Case(
        "one to one through a current",
        coming_back(0.5, "delayed", current=True, fixed=True),
        simulated(delayed=by(1), echo=0.5, current=0.5),
        "cuba",
        {**LATER, "current_decay": 0.5},
        ("s", "i", "v"),
        scale=0.5,
        layers=("delay", "scale", "add"),
    ),
    *(
        Case(
            f"soft behind a bias, {k}",
            behind_a_bias(k),
            simulated(reset=by(1), bias=0.125, equal=True),
            "lif",
            {**SOFT, "compare": "ge", "rest": 0.5, "threshold": 1.0, "initial": 0.0},
        )
        for k in (0, 1)
    ),
    Case(
        "soft by another amount",
        by_another_amount,
        simulated(reset=by(1.5)),
        "lif",
        {**SOFT, "threshold": 1.5, "rest": 0.5, "initial": 0.5},
    ),
    Case(
        "lsnn",
        lsnn,
        simulated(share=0.25, reset=to_zero, current=0.5, late=True, level=(0.875, 0.5)),
        "alif",
        {**HARD, "decay_input": True, "threshold_decay": 0.875, "jump": 0.5},
        ("v", "i", "b"),
        scale=2.0,
        layers=("delay", "li"),
        begin={"b": 1.0},
    ),
    Case(
        "a trace raises the threshold",
        bellec,
        simulated(reset=to_zero, level=(0.875, 0.25 / 0.875)),
        "alif",
        {**HARD, "threshold_decay": 0.875},
        ("v", "a"),
    ),
    Case(
        "against itself",
        against_itself(0.0),
        simulated(reset=by(1), against=(0.5, 0.375, 0.0)),
        "adaptive_lif",
        {**SOFT, "current_decay": 0.5, "jump": 0.375, "coupling": 0.0},
        ("v", "w"),
    ),
    Case(
        "against itself, fed by the membrane",
        against_itself(0.25),
        simulated(reset=by(1), against=(0.5, 0.375, 0.125)),
        "adaptive_lif",
        {**SOFT, "current_decay": 0.5, "jump": 0.375, "coupling": 0.25},
        ("v", "w"),
    ),
    Case(
        "waiting",
        waiting,
        simulated(reset=to_zero, period=3),
        "refractory_lif",
        {**HARD, "period": 3},
        ("v", "r"),
    ),
    Case(
        "late",
        late,
        simulated(reset=to_zero, current=0.5, late=True),
        "cuba",
        {**HARD, "current_decay": 0.5},
        ("v", "i"),
        layers=("delay",),
    ),
    *(
        Case(
            f"alpha, {reset}, input times {factor:g}",
            alpha(reset, factor=factor),
            dual(reset, factor=factor),
            "alpha",
            {"reset": word, "compare": "gt", "excitatory_decay": 0.875, "inhibitory_decay": 0.5, "threshold": 1.0}
            | ({"gain": factor} if factor != 1 else {}),
            ("e", "i", "h") if reset != "none" else ("e", "i"),
        )
        for reset, word in (("none", "none"), ("zero", "hard"), ("subtract", "soft"))
        for factor in (1.0, 2.0)
    ),
    Case(
        "alpha without a reset, otherwise weighed",
        alpha("none", 1.5),
        dual("none", 1.5),
        "alpha",
        {"reset": "none", "gain": 1.5 / TAU},
        ("e", "i"),
    ),
    Case(
        "it begins elsewhere",
        plain,
        simulated(reset=by(1), begin=0.625),
        "lif",
        {**SOFT, "initial": 0.625},
        begin={"v": 0.625},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_spikes_are_those_of_the_equations(case: Case, tmp_path: Path) -> None:
    imported = read_model(unrolled(tmp_path / "net.onnx", case))
    found = neuron_of(imported)
    assert found.op == case.op
    assert {name: found.settings[name] for name in case.settings} == pytest.approx(dict(case.settings))
    between = [node.op for node in imported.network.nodes if node.op not in ("parameter", "linear", case.op)]
    assert sorted(between) == sorted(case.layers)
    assert [note.message for note in imported.notes if note.kind == "warning"] == [case.warning] * bool(case.warning)
    x, drive = currents(case)
    expected = case.numbers(drive)
    assert 0.02 < expected.mean() < 0.98
    assert np.array_equal(long(imported, x), expected)


AT_ONCE = [case for case in CASES if not case.begin and case.name not in ("a trace raises the threshold", "late")]


@pytest.mark.parametrize("case", AT_ONCE, ids=lambda case: case.name)
def test_states_that_are_inputs_and_outputs_carry_the_same_neuron(case: Case, tmp_path: Path) -> None:
    imported = read_model(single(tmp_path / "net.onnx", case), Options(steps=LONG))
    found = neuron_of(imported)
    assert found.op == case.op
    x, drive = currents(case)
    np.testing.assert_allclose(long(imported, x), case.numbers(drive), atol=1e-6)


def test_where_a_file_of_one_step_begins_is_assumed_and_told(tmp_path: Path) -> None:
    def step(w: Writer, x: str, states: States) -> str:
        h = leak(w, states["v"], x, 0.75)
        s = w("Cast", w("Greater", h, w.constant(1.0)), to=1)
        states["v"] = w("Where", w("Cast", s, to=9), w.constant(-0.25), h)
        return s

    case = Case("elsewhere", step, simulated(), "lif", {})
    imported = read_model(single(tmp_path / "net.onnx", case))
    assert (neuron_of(imported).settings["v_reset"], neuron_of(imported).settings["initial"]) == (-0.25, -0.25)
    assert "its potential is taken to begin at v_reset; snnc check compares with the file" in [
        note.message for note in imported.notes
    ]


def test_spikes_that_are_worth_more_or_less_stay_bits(tmp_path: Path) -> None:
    case = Case("worth", worth, simulated(reset=by(1)), "lif", {})
    imported = read_model(unrolled(tmp_path / "net.onnx", case))
    assert neuron_of(imported).settings["amplitude"] == 0.5
    x, drive = currents(case)
    assert np.array_equal(long(imported, x), 0.5 * case.numbers(drive))


def test_a_weight_of_spikes_that_only_gradients_see_is_told(tmp_path: Path) -> None:
    """snnTorch's RLeaky with ``reset_mechanism="zero"``: what comes back meets the reset of the same spike."""

    def step(w: Writer, x: str, states: States) -> str:
        h = w("Add", leak(w, states["v"], x, 0.75), w("Mul", states["s"], w.constant(0.5)))
        states["v"] = h = w("Sub", h, w("Mul", states["s"], h))
        states["s"] = s = above(w, h, w.constant(1.0))
        return s

    case = Case("unseen", step, simulated(delayed=to_zero), "lif", {}, ("s", "v"))
    imported = read_model(unrolled(tmp_path / "net.onnx", case))
    assert [note.message for note in imported.notes if note.kind == "warning"] == [
        "its spikes come back to it in the step whose input its reset discards: they change nothing, and the weight "
        "that only gradients would see is left out"
    ]
    x, drive = currents(case)
    assert np.array_equal(long(imported, x), case.numbers(drive))


# What cannot be read


def two_thresholds(w: Writer, x: str, states: States) -> str:
    h = leak(w, states["v"], x, 0.75)
    up, down = (w("Cast", w(op, h, w.constant(at)), to=1) for op, at in (("Greater", 1.0), ("Less", -1.0)))
    s = w("Sub", up, down)
    states["v"] = w("Sub", h, s)
    return s


def bounded(w: Writer, x: str, states: States) -> str:
    h = w("Max", leak(w, states["v"], x, 0.75), w.constant(-1.0))
    s = w("Cast", w("Greater", h, w.constant(1.0)), to=1)
    states["v"] = w("Sub", h, s)
    return s


def quadratic(w: Writer, x: str, states: States) -> str:
    v = states["v"]
    h = w("Add", w("Add", v, w("Mul", w("Mul", v, v), w.constant(0.25))), x)
    s = w("Cast", w("Greater", h, w.constant(1.0)), to=1)
    states["v"] = w("Mul", h, w("Sub", w.constant(1.0), s))
    return s


def halved(w: Writer, x: str, states: States) -> str:
    """A spike halves the potential."""
    h = leak(w, states["v"], x, 0.75)
    s = w("Cast", w("Greater", h, w.constant(1.0)), to=1)
    states["v"] = w("Mul", h, w("Sub", w.constant(1.0), w("Mul", s, w.constant(0.5))))
    return s


def currents_of_their_own(w: Writer, x: str, states: States) -> str:
    """Decays of the membrane that differ, behind a current."""
    states["i"] = i = leak(w, states["i"], x, 0.5)
    h = leak(w, states["v"], i, np.linspace(0.25, 0.875, NEURONS))
    s = w("Cast", w("Greater", h, w.constant(1.0)), to=1)
    states["v"] = w("Sub", h, s)
    return s


BOUNDS = (
    "what it charges is no sum of shares of its potential and its input "
    "(it is quadratic or exponential, or held within bounds)"
)


@pytest.mark.parametrize(
    ("step", "states", "reason"),
    [
        (two_thresholds, ("v",), BOUNDS),
        (bounded, ("v",), BOUNDS),
        (quadratic, ("v",), BOUNDS),
        (halved, ("v",), "its reset is none of hard, soft and none, at once or delayed"),
        (currents_of_their_own, ("v", "i"), "the decay differs from element to element (0.25 to 0.875)"),
        (
            alpha("subtract", 1.5),
            ("e", "i", "h"),
            f"its membrane is 1.5 times the sum of its currents, which is {TAU:g} times in alpha",
        ),
    ],
)
def test_what_is_no_neuron_is_refused_with_the_reason(
    step: Step, states: tuple[str, ...], reason: str, tmp_path: Path
) -> None:
    text = told(unrolled(tmp_path / "net.onnx", Case("none", step, simulated(), "", {}, states)))
    place, _, message = text.partition(": ")
    assert place.startswith("net.onnx, node ")
    assert message == (
        f"carries state from step to step, and is no neuron that there is: {reason}\n"
        "  try: a neuron of docs/neurons.md in its place"
    )


def test_an_input_that_is_late_and_the_same_in_every_step_is_refused(tmp_path: Path) -> None:
    write = Writer()
    x = write("Gemm", "x", write.constant(weights()["w1"]), write.constant(weights()["b1"]), transB=1)
    states = {name: write.constant(np.zeros((BATCH, NEURONS))) for name in ("v", "i")}
    rows = [write("Unsqueeze", late_and_read(write, x, states), write.constant([0], np.int64)) for _ in range(STEPS)]
    path = write.save(tmp_path / "net.onnx", [BATCH, INPUTS], [write("Concat", *rows, axis=0)])
    assert told(path).partition(": ")[2] == (
        "reads its input a step late, and that input is the same in every step, which no delay reads\n"
        "  try: an export whose input changes with time"
    )


@pytest.mark.parametrize("reset", ["none", "zero", "subtract"])
def test_two_currents_need_no_delay_before_an_input_that_stays_the_same(reset: str, tmp_path: Path) -> None:
    write = Writer()
    w, b = write.constant(weights()["w1"]), write.constant(weights()["b1"])
    states = {name: write.constant(np.zeros((BATCH, NEURONS))) for name in ("e", "i", "h")}
    x, step = write("Gemm", "x", w, b, transB=1), alpha(reset)
    rows = [write("Unsqueeze", step(write, x, states), write.constant([0], np.int64)) for _ in range(STEPS)]
    imported = read_model(write.save(tmp_path / "net.onnx", [BATCH, INPUTS], [write("Concat", *rows, axis=0)]))
    assert [node.op for node in imported.network.nodes if node.op != "parameter"] == ["linear", "alpha"]
    given, drive = currents(Case("still", step, dual(reset), "alpha", {}))
    expected = dual(reset)(np.broadcast_to(drive[0], (LONG, *drive[0].shape)))
    assert 0.02 < expected.mean() < 0.98
    assert np.array_equal(
        outputs_of(replace(imported, network=replace(imported.network, steps=LONG)), given[0]), expected
    )


def test_currents_that_do_not_begin_at_0_are_refused(tmp_path: Path) -> None:
    case = Case("elsewhere", alpha("zero"), simulated(), "alpha", {}, ("e", "i", "h"), begin={"e": 0.5})
    text = told(unrolled(tmp_path / "net.onnx", case))
    assert text.partition(": ")[2] == (
        "carries state from step to step, and is no neuron that there is: its currents do not begin at 0\n"
        "  try: a neuron of docs/neurons.md in its place"
    )
