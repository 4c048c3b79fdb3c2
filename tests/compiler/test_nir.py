"""Reading NIR files: every primitive against Euler steps written out here, what is repaired, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from snnc.compiler.evaluate import Numerics, Oracle
from snnc.compiler.frontends import _nir_apart, nir
from snnc.compiler.frontends.frontend import FRONTENDS, Imported, Options, Unsaid, read_model
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.source import SourceError

Array = NDArray[np.float64]
WriteNir = Callable[..., Path]
h5py: Any = import_module("h5py")

DT, STEPS, BATCH = 1e-3, 12, 3
RNG = np.random.default_rng(4)
X = RNG.normal(size=(STEPS, BATCH, 4))
IN: dict[str, Any] = {"type": "Input", "shape": np.array([4])}
OUT: dict[str, Any] = {"type": "Output", "shape": np.array([4])}


def read(path: Path, **options: Any) -> Imported:
    said: dict[str, Any] = {"dt": DT}
    said |= {
        name: options.pop(name)
        for name in ("dt", "surrogate", "reset", "detach_reset", "spiking", "result")
        if name in options
    }
    every: dict[str, Any] = {"steps": STEPS, **options}
    return read_model(path, Options(unsaid=Unsaid(**said), **every))


def run(imported: Imported, x: Array) -> Array:
    """What the network makes of *x*, step by step, in f64."""
    network = imported.network
    source = TrainingOptions.resolve(network, {"batch": x.shape[1]})
    oracle = Oracle(build_training(network, source), Numerics("f64"))
    arguments = {"valid": x.shape[1], "learning_rate": 0.0, "loss_scale": 1.0, "seed": 0, "step": 0}
    arguments |= {"correction1": 1.0, "correction2": 1.0}
    oracle.run("init", arguments)
    (port,) = network.ports
    oracle.write(port.name, x)
    oracle.write("label", np.zeros(x.shape[1]))
    for name, array in imported.parameters.items():
        for each in {name, f"{name}.master"} & {variable.name for variable in oracle.training.variables}:
            oracle.write(each, np.asarray(array, np.float64))
    oracle.run("infer", arguments)
    return oracle.read(network.results[0])


def told(imported: Imported, *kinds: str) -> list[str]:
    """Notes as ``node: message``, but for those of the whole file."""
    notes = [note for note in imported.notes if not kinds or note.kind in kinds]
    return [f"{note.place.file.rpartition('node ')[2]}: {note.message}" for note in notes if "node " in note.place.file]


def faults(path: Path, **options: Any) -> list[str]:
    with pytest.raises(SourceError) as error:
        read(path, **options)
    return [str(fault).removeprefix(f"{path}, ").removeprefix(f"{path}: ") for fault in error.value.faults]


# Euler steps, as the specification of NIR has the equations


def euler(step: Callable[[Array, dict[str, Array]], Array], x: Array, *states: str) -> Array:
    held = {name: np.zeros(x.shape[1:]) for name in states}
    return np.stack([step(now, held) for now in x])


def fire(v: Array, held: dict[str, Array], threshold: Any, v_reset: Any = 0.0) -> Array:
    spikes = (v > threshold).astype(np.float64)
    held["v"] = np.where(spikes > 0, v_reset, v)
    return spikes


def lif(x: Array, p: Mapping[str, Any]) -> Array:
    def step(now: Array, held: dict[str, Array]) -> Array:
        v = held["v"] + DT / p["tau"] * (p.get("v_leak", 0.0) - held["v"] + p["r"] * now)
        return fire(v, held, p["v_threshold"], p.get("v_reset", 0.0))

    return euler(step, x, "v")


def li(x: Array, p: Mapping[str, Any]) -> Array:
    def step(now: Array, held: dict[str, Array]) -> Array:
        held["v"] = held["v"] + DT / p["tau"] * (p.get("v_leak", 0.0) - held["v"] + p["r"] * now)
        return held["v"]

    return euler(step, x, "v")


def integrate(x: Array, p: Mapping[str, Any]) -> Array:
    return np.cumsum(DT * p["r"] * x, axis=0)


def integrate_and_fire(x: Array, p: Mapping[str, Any]) -> Array:
    def step(now: Array, held: dict[str, Array]) -> Array:
        return fire(held["v"] + DT * p["r"] * now, held, p["v_threshold"], p.get("v_reset", 0.0))

    return euler(step, x, "v")


def current(x: Array, p: Mapping[str, Any]) -> Array:
    return li(x, {"tau": p["tau_syn"], "r": p.get("w_in", 1.0)})


def cuba_li(x: Array, p: Mapping[str, Any]) -> Array:
    return li(current(x, p), {"tau": p["tau_mem"], "r": p["r"], "v_leak": p.get("v_leak", 0.0)})


def cuba_lif(x: Array, p: Mapping[str, Any]) -> Array:
    return lif(current(x, p), {**p, "tau": p["tau_mem"]})


def threshold(x: Array, p: Mapping[str, Any]) -> Array:
    return (x > p["threshold"]).astype(np.float64)


def delay(x: Array, p: Mapping[str, Any]) -> Array:
    steps = round(float(np.ravel(p["delay"])[0]) / DT)
    return np.concatenate([np.zeros((steps, *x.shape[1:])), x])[: len(x)]


VARIED = np.array([2.0, 3.0, 5.0, 9.0])
FOUR = np.ones(4)

NEURONS: dict[str, tuple[Callable[[Array, Mapping[str, Any]], Array], dict[str, Any]]] = {
    "LIF": (lif, {"tau": FOUR * 5e-3, "r": FOUR * 6, "v_leak": FOUR * 0.25, "v_threshold": FOUR * 0.5,
                  "v_reset": FOUR * -0.125}),
    "LIF of r = 1": (lif, {"tau": 2e-3 * FOUR, "r": FOUR, "v_leak": 0 * FOUR, "v_threshold": FOUR * 0.25}),
    "LIF of many taus": (lif, {"tau": VARIED * 1e-3, "r": FOUR * 3, "v_leak": FOUR * 0.25, "v_threshold": FOUR * 0.5}),
    "LIF of many everything": (lif, {"tau": VARIED * 1e-3, "r": VARIED, "v_leak": 0 * FOUR, "v_threshold": VARIED / 6}),
    "IF": (integrate_and_fire, {"r": FOUR * 1000, "v_threshold": FOUR * 1.5, "v_reset": FOUR * 0.25}),
    "IF with a gain": (integrate_and_fire, {"r": FOUR * 300, "v_threshold": FOUR * 0.75}),
    "IF of many r": (integrate_and_fire, {"r": VARIED * 100, "v_threshold": FOUR * 0.75}),
    "LI": (li, {"tau": FOUR * 4e-3, "r": FOUR * 2, "v_leak": FOUR * 0.5}),
    "LI of many taus": (li, {"tau": VARIED * 1e-3, "r": VARIED, "v_leak": FOUR * 0}),
    "I": (integrate, {"r": FOUR * 1000}),
    "I of many r": (integrate, {"r": VARIED * 30}),
    "CubaLI": (cuba_li, {"tau_syn": FOUR * 2e-3, "tau_mem": FOUR * 5e-3, "r": FOUR * 4, "v_leak": FOUR * 0.125,
                         "w_in": FOUR * 2}),
    "CubaLI of many taus": (cuba_li, {"tau_syn": VARIED * 1e-3, "tau_mem": VARIED[::-1] * 2e-3, "r": FOUR,
                                      "v_leak": FOUR * 0, "w_in": VARIED}),
    "CubaLIF": (cuba_lif, {"tau_syn": FOUR * 2e-3, "tau_mem": FOUR * 5e-3, "r": FOUR * 8, "v_leak": FOUR * 0.125,
                           "v_threshold": FOUR * 0.5, "w_in": FOUR * 2, "v_reset": FOUR * 0.0625}),
    "CubaLIF of many taus": (cuba_lif, {"tau_syn": VARIED * 1e-3, "tau_mem": VARIED[::-1] * 1e-3, "r": VARIED,
                                        "v_leak": FOUR * 0, "v_threshold": FOUR * 0.5}),
    "CubaLIF of many weights": (cuba_lif, {"tau_syn": FOUR * 2e-3, "tau_mem": FOUR * 3e-3, "r": FOUR,
                                           "v_leak": FOUR * 0, "v_threshold": VARIED / 8, "w_in": VARIED}),
    "Threshold": (threshold, {"threshold": FOUR * 0.3}),
    "Threshold of many": (threshold, {"threshold": VARIED / 5}),
    "Delay": (delay, {"delay": FOUR * 3 * DT}),
}  # fmt: skip


@pytest.mark.parametrize("name", NEURONS)
def test_what_moves_in_time_is_what_euler_steps_give(name: str, write_nir: WriteNir) -> None:
    law, fields = NEURONS[name]
    kind = name.partition(" ")[0]
    path = write_nir({"input": IN, "n": {"type": kind, **fields}, "output": OUT}, "input n output")
    found, wanted = run(read(path), X), law(X, fields)
    if set(np.unique(wanted)) <= {0.0, 1.0}:
        assert np.array_equal(found, wanted) and 0.02 < wanted.mean() < 0.98
    np.testing.assert_allclose(found, wanted, rtol=1e-6, atol=1e-7)


def test_every_primitive_of_nir_is_read() -> None:
    """Those of NIR 1.0.8, its graph and its ends left out."""
    primitives = (
        "Affine AvgPool2d Conv1d Conv2d CubaLI CubaLIF Delay Flatten I IF LI LIF Linear Scale SumPool2d Threshold"
    )
    assert sorted(kind for kind in nir.KINDS if kind) == primitives.split()
    assert FRONTENDS["nir"].suffixes == (".nir",)


IMAGE = RNG.normal(size=(STEPS, BATCH, 2, 6, 5))


def windows(x: Array, kernel: tuple[int, int], stride: tuple[int, int], pad: tuple[int, int]) -> Array:
    """``[t, n, c, p, q, r, s]``: the windows of *x* with zeros around."""
    padded = np.pad(x, ((0, 0), (0, 0), (0, 0), (pad[0],) * 2, (pad[1],) * 2))
    found = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(3, 4))
    return found[:, :, :, :: stride[0], :: stride[1]]


def test_layers_are_what_their_words_say(write_nir: WriteNir) -> None:
    w, b = RNG.normal(size=(4, 1, 3, 2)), RNG.normal(size=4)
    v = RNG.normal(size=(3, 4 * 2 * 2))
    nodes = {
        "input": {"type": "Input", "shape": np.array([2, 6, 5])},
        "c": {"type": "Conv2d", "input_shape": np.array([6, 5]), "weight": w, "bias": b, "stride": np.array([1, 2]),
              "padding": np.array([1, 0]), "dilation": np.array([1, 1]), "groups": 2},
        "s": {"type": "SumPool2d", "kernel_size": np.array([2, 1]), "stride": np.array([2, 1]),
              "padding": np.array([0, 0])},
        "a": {"type": "AvgPool2d", "kernel_size": np.array([2, 1]), "stride": np.array([1, 1]),
              "padding": np.array([0, 0])},
        "k": {"type": "Scale", "scale": np.array([1.0, 2.0, 3.0, 4.0]).reshape(4, 1, 1)},
        "f": {"type": "Flatten", "start_dim": 0, "end_dim": -1, "input_type": np.array([4, 2, 2])},
        "y": {"type": "Linear", "weight": v},
        "output": {"type": "Output", "shape": np.array([3])},
    }  # fmt: skip
    x = windows(IMAGE, (3, 2), (1, 2), (1, 0))
    x = np.concatenate(
        [np.einsum("tnpqrs,ors->tnopq", x[:, :, g], w[2 * g : 2 * g + 2, 0]) for g in range(2)], axis=2
    ) + b.reshape(4, 1, 1)
    x = windows(x, (2, 1), (2, 1), (0, 0)).sum((5, 6))
    x = windows(x, (2, 1), (1, 1), (0, 0)).mean((5, 6)) * np.array([1.0, 2.0, 3.0, 4.0]).reshape(4, 1, 1)
    wanted = x.reshape(STEPS, BATCH, -1) @ v.T
    np.testing.assert_allclose(
        run(read(write_nir(nodes, "input c s a k f y output")), IMAGE), wanted, rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(("padding", "extent"), [("same", 6), ("valid", 4), (2, 8)])
def test_a_signal_is_convolved(padding: str | int, extent: int, write_nir: WriteNir) -> None:
    w = RNG.normal(size=(3, 2, 3))
    nodes = {
        "input": {"type": "Input", "shape": np.array([2, 6])},
        "c": {"type": "Conv1d", "input_shape": 6, "weight": w, "bias": np.zeros(3), "stride": 1, "padding": padding,
              "dilation": 1, "groups": 1},
        "f": {"type": "Flatten", "start_dim": 0, "end_dim": -1, "input_type": np.array([3, extent])},
        "y": {"type": "Linear", "weight": np.eye(3 * extent)},
        "output": {"type": "Output", "shape": np.array([3 * extent])},
    }  # fmt: skip
    x = RNG.normal(size=(STEPS, BATCH, 2, 6))
    pad = {"same": 1, "valid": 0, "2": 2}[str(padding)]
    padded = np.pad(x, ((0, 0), (0, 0), (0, 0), (pad, pad)))
    view = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=3)
    wanted = np.einsum("tncpr,ocr->tnop", view, w).reshape(STEPS, BATCH, -1)
    np.testing.assert_allclose(run(read(write_nir(nodes, "input c f y output")), x), wanted, rtol=1e-5, atol=1e-6)


# Graphs

A: dict[str, Any] = {"type": "Affine", "weight": RNG.normal(size=(4, 4)), "bias": RNG.normal(size=4)}
W: dict[str, Any] = {"type": "Linear", "weight": RNG.normal(size=(4, 4))}
N: dict[str, Any] = {
    "type": "LIF",
    "tau": FOUR * 4e-3,
    "r": FOUR * 4,
    "v_leak": FOUR * 0,
    "v_threshold": FOUR * 0.5,
    "v_reset": 0 * FOUR,
}


def test_several_edges_are_summed_and_one_value_serves_many(write_nir: WriteNir) -> None:
    nodes = {"input": IN, "a": A, "w": W, "n": N, "output": OUT}
    path = write_nir(nodes, "input a n output,input w n,input output")
    wanted = lif(X @ A["weight"].T + A["bias"] + X @ W["weight"].T, N) + X
    np.testing.assert_allclose(run(read(path), X), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("back", [W, A])
def test_a_cycle_reads_what_a_neuron_said_in_the_step_before(back: dict[str, Any], write_nir: WriteNir) -> None:
    imported = read(write_nir({"input": IN, "w": W, "n": N, "rec": back, "output": OUT}, "input w n output,n rec n"))
    before, held, wanted = np.zeros((BATCH, 4)), {"v": np.zeros((BATCH, 4))}, list[Array]()
    for now in X:
        drive = now @ W["weight"].T + before @ back["weight"].T + back.get("bias", 0.0)
        before = fire(held["v"] + 0.25 * (4 * drive - held["v"]), held, 0.5)
        wanted.append(before)
    assert np.array_equal(run(imported, X), np.stack(wanted)) and 0.02 < np.mean(wanted) < 0.98
    assert told(imported) == ["rec: the edge n -> rec closes a cycle; it is delayed by one step"]
    (delay,) = [node for node in imported.network.nodes if node.op == "delay"]
    assert delay.types[0].format == "spike", "what is remembered are bits"


def test_a_delay_closes_its_cycle_itself(write_nir: WriteNir) -> None:
    nodes = {"input": IN, "n": N, "d": {"type": "Delay", "delay": FOUR * 2 * DT}, "rec": A, "output": OUT}
    imported = read(write_nir(nodes, "input n output,n d rec n"))
    assert told(imported) == []
    history, held, wanted = [np.zeros((BATCH, 4))] * 2, {"v": np.zeros((BATCH, 4))}, list[Array]()
    for now in X:
        drive = now + history[-2] @ A["weight"].T + A["bias"]
        wanted.append(fire(held["v"] + 0.25 * (4 * drive - held["v"]), held, 0.5))
        history.append(wanted[-1])
    assert np.array_equal(run(imported, X), np.stack(wanted)) and 0.02 < np.mean(wanted) < 0.98


def test_a_neuron_that_reads_itself_and_feedback_to_a_layer_below(write_nir: WriteNir) -> None:
    nodes = {"input": IN, "n1": N, "up": W, "n2": N, "down": A, "output": OUT}
    imported = read(write_nir(nodes, "input n1 up n2 output,n2 down n1,n1 n1"))
    one, two = np.zeros((BATCH, 4)), np.zeros((BATCH, 4))
    first, second, wanted = {"v": one}, {"v": two}, list[Array]()
    for now in X:
        drive = now + two @ A["weight"].T + A["bias"] + one
        one = fire(first["v"] + 0.25 * (4 * drive - first["v"]), first, 0.5)
        two = fire(second["v"] + 0.25 * (4 * (one @ W["weight"].T) - second["v"]), second, 0.5)
        wanted.append(two)
    assert np.array_equal(run(imported, X), np.stack(wanted)) and 0.02 < np.mean(wanted) < 0.98


def test_what_others_read_too_is_not_delayed_for_them(write_nir: WriteNir) -> None:
    imported = read(write_nir({"input": IN, "n": N, "a": A, "output": OUT}, "input n a output,a n"))
    assert told(imported) == ["n: the edge a -> n closes a cycle; it is delayed by one step"]


def test_a_graph_in_a_graph_is_one_graph(write_nir: WriteNir) -> None:
    inner = {"type": "NIRGraph", "nodes": {"in": IN, "lif": N, "w_rec": W, "out": OUT},
             "edges": "in lif out, lif w_rec lif"}  # fmt: skip
    flat = {"input": IN, "a": A, "cell": N, "cell_rec": W, "output": OUT}
    nested = read(write_nir({"input": IN, "a": A, "cell": inner, "output": OUT}, "input a cell output"))
    assert [node.results[0] for node in nested.network.nodes if node.op == "lif"] == ["cell.lif"]
    wanted = run(read(write_nir(flat, "input a cell output, cell cell_rec cell")), X)
    assert np.array_equal(run(nested, X), wanted) and 0.02 < wanted.mean() < 0.98


def test_a_graph_has_as_many_inputs_and_outputs_as_it_says(write_nir: WriteNir) -> None:
    other = {"type": "Input", "shape": np.array([3])}
    wide = {"type": "Linear", "weight": RNG.normal(size=(4, 3))}
    nodes = {"one": IN, "two": other, "w": wide, "n": N, "spikes": OUT, "drive": OUT}
    network = read(write_nir(nodes, "one n spikes, two w n, w drive")).network
    assert [(port.name, str(port.type)) for port in network.ports] == [("one", "f16[t, n, 4]"), ("two", "f16[t, n, 3]")]
    assert network.results == ("w", "n")


# Repairs, each with one meaning


def without(fields: Mapping[str, Any], *names: str, **more: Any) -> dict[str, Any]:
    return {name: value for name, value in {**fields, **more}.items() if name not in names}


REPAIRS: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "numbers for all": (
        {"input": IN, "n": without(N, tau=4e-3, r=4.0, v_leak=0.0, v_threshold=0.5, v_reset=0.0), "output": OUT},
        "input n output",
        ["n: tau, r, v_threshold, v_leak, v_reset: one number is taken for all elements"],
    ),
    "nothing of the rest": (
        {"input": IN, "n": without(N, "v_reset", "v_leak"), "output": OUT}, "input n output",
        ["n: has no v_leak (0 is taken), v_reset (0 is taken)"],
    ),
    "an axis of one": (
        {"input": IN, "n": without(N, tau=FOUR.reshape(1, 4) * 4e-3), "output": OUT}, "input n output", [],
    ),
    "an input without a shape": (
        {"input": {"type": "Input"}, "n": N, "output": OUT}, "input n output",
        ["input: has no shape; [4] is taken, as what reads it wants"],
    ),
    "an affine without a bias": (
        {"input": IN, "a": without(A, "bias"), "n": N, "output": OUT}, "input a n output",
        ["a: has no bias; none is added"],
    ),
    "a linear with one": (
        {"input": IN, "a": without(A, type="Linear"), "n": N, "output": OUT}, "input a n output",
        ["a: this Linear has a bias; it is taken for an Affine"],
    ),
    "a delay of nothing": (
        {"input": IN, "d": {"type": "Delay", "delay": 0.0 * FOUR}, "output": OUT}, "input d output",
        ["d: a delay of no step is left out"],
    ),
    "a delay between steps": (
        {"input": IN, "d": {"type": "Delay", "delay": 2.25 * DT * FOUR}, "output": OUT}, "input d output",
        ["d: a delay of 2.25 steps is taken for 2"],
    ),
    "what nobody reads": (
        {"input": IN, "n": N, "probe": N, "output": OUT}, "input n output, n probe",
        ["probe: no output depends on this LIF; it is left out"],
    ),
    "a field of another tool": (
        {"input": IN, "n": without(N, colour=np.ones(2)), "output": OUT}, "input n output",
        ["n: a LIF of NIR has no colour; it is passed over"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REPAIRS)
def test_what_has_one_meaning_is_repaired_and_told(name: str, write_nir: WriteNir) -> None:
    nodes, edges, notes = REPAIRS[name]
    imported = read(write_nir(nodes, edges))
    assert told(imported) == notes
    assert run(imported, X).shape == (STEPS, BATCH, 4)


def test_weights_for_what_is_flattened_say_so(write_nir: WriteNir) -> None:
    nodes = {"input": {"type": "Input", "shape": np.array([2, 2, 1])}, "w": W, "n": N, "output": OUT}
    imported = read(write_nir(nodes, "input w n output"))
    assert told(imported) == ["w: what comes in is [2, 2, 1]; it is flattened for weights of 4"]
    assert np.array_equal(run(imported, X.reshape(STEPS, BATCH, 2, 2, 1)), lif(X @ W["weight"].T, N))


@pytest.mark.parametrize(
    ("fields", "repair"),
    [
        ({"start_dim": 1, "end_dim": -1, "input_type": np.array([2, 2, 1])},
         "start_dim=1 counts an axis of samples; all axes are flattened"),
        ({"start_dim": 0, "end_dim": 2}, "has no input_type; what comes in says it"),
        ({"start_dim": 0, "end_dim": -1, "input_type": {"input": np.array([2, 2, 1])}}, ""),
    ],
)  # fmt: skip
def test_flatten_is_read_in_its_versions(fields: dict[str, Any], repair: str, write_nir: WriteNir) -> None:
    shape = np.array([2, 2, 1])
    nodes = {"input": {"type": "Input", "shape": shape}, "f": {"type": "Flatten", **fields}, "n": N}
    nodes |= {"y": {"type": "Linear", "weight": np.eye(4)}, "output": OUT}
    imported = read(write_nir(nodes, "input f n y output"))
    assert told(imported) == ([f"f: {repair}"] if repair else [])
    assert np.array_equal(run(imported, X.reshape(STEPS, BATCH, 2, 2, 1)), lif(X, N))


def test_one_number_a_channel_is_spread(write_nir: WriteNir) -> None:
    def images(value: float | Array) -> dict[str, Any]:
        fields = {"tau": np.reshape(value, (-1, 1, 1)) * np.ones((2, 2, 1)) * 1e-3, "r": 3.0, "v_leak": 0.0}
        return {"type": "LIF", **fields, "v_threshold": np.array([0.25, 0.5]), "v_reset": 0.0}

    tau = np.array([2.0, 5.0])
    nodes = {"input": {"type": "Input", "shape": np.array([2, 2, 1])}, "n": images(tau), "output": OUT}
    nodes |= {"y": {"type": "Linear", "weight": np.eye(4)}}
    each = {"tau": tau.reshape(2, 1, 1) * 1e-3, "r": 3.0, "v_threshold": np.array([0.25, 0.5]).reshape(2, 1, 1)}
    x = X.reshape(STEPS, BATCH, 2, 2, 1)
    found = run(read(write_nir(nodes, "input n y output")), x)
    assert np.array_equal(found, lif(x, each).reshape(STEPS, BATCH, 4)) and 0.02 < found.mean() < 0.98


def test_texts_may_be_bytes_and_a_version_missing(tmp_path: Path) -> None:
    path = tmp_path / "old.nir"
    with h5py.File(path, "w") as file:
        nodes = file.create_group("node/nodes")
        file["node/type"] = np.bytes_(b"NIRGraph")
        file["node/edges"] = np.array([[b"input", b"n"], [b"n", b"output"], [b"n", b"output"]])
        for name, fields in (("input", IN), ("n", N), ("output", OUT)):
            for key, value in fields.items():
                nodes[f"{name}/{key}"] = np.array([value.encode()]) if isinstance(value, str) else value
            nodes[f"{name}/metadata/author"] = "somebody"
    imported = read(path)
    assert [note.message for note in imported.notes if note.kind == "repair"] == [
        "says no version of NIR; it is read as 1.0",
        "1 of the edges stand here twice, and count once",
    ]
    assert np.array_equal(run(imported, X), lif(X, N))


def test_a_node_alone_and_open_ends_get_an_input_and_an_output(tmp_path: Path, write_nir: WriteNir) -> None:
    wanted = lif(X, N)
    open_ends = read(write_nir({"n": N}, []))
    assert np.array_equal(run(open_ends, X), wanted)
    assert [note.message for note in open_ends.notes if note.kind == "repair"] == [
        "has no Input; one is put at n, as nothing leads into it",
        "has no Output; one is put at n, as it leads nowhere",
        "has no shape; [4] is taken, as what reads it wants",
    ]
    path = tmp_path / "alone.nir"
    with h5py.File(path, "w") as file:
        file["version"] = "1.0"
        for key, value in N.items():
            file[f"node/{key}"] = value
    assert np.array_equal(run(read(path), X), wanted)


# What NIR does not say


def test_what_nir_does_not_say_is_assumed_and_told(write_nir: WriteNir) -> None:
    path = write_nir({"input": IN, "n": N, "output": OUT}, "input n output")
    imported = read_model(path)
    assert [(note.kind, note.message) for note in imported.notes] == [
        ("assumption", "a time step is 0.0001 long, which NIR does not say (--dt)"),
        ("assumption", "the surrogate is triangle(alpha=1.0), which NIR does not say (--surrogate)"),
        ("assumption", "gradients pass through the reset, of which NIR says nothing (--detach-reset)"),
        ("assumption", "there are 16 time steps, which NIR does not say (--steps)"),
    ]
    assert imported.network.steps == 16
    (neuron,) = [node for node in imported.network.nodes if node.op == "lif"]
    assert neuron.settings["decay"] == 0.975 and neuron.settings["compare"] == "gt"


def test_what_the_user_says_comes_first_and_the_metadata_second(write_nir: WriteNir) -> None:
    nodes = {"input": IN, "n": N, "output": OUT}
    path = write_nir(nodes, "input n output", metadata={"dt": 1e-3, "steps": 7})
    said = read_model(path)
    assert [note.message for note in said.notes if "metadata" in note.message] == [
        "a time step is 0.001 long, as the metadata say (--dt)",
        "there are 7 time steps, as the metadata say (--steps)",
    ]
    assert said.network.steps == 7 and said.network.nodes[-1].settings["decay"] == 0.75
    imported = read(path, dt=2e-3, surrogate="atan", reset="soft", detach_reset=True)
    settings = imported.network.nodes[-1].settings
    assert (settings["decay"], settings["reset"], settings["detach_reset"]) == (0.5, "soft", True)
    assert settings["surrogate"] == ("atan", ("alpha", 2.0))
    assert [note.message for note in imported.notes] == ["the reset is soft, where NIR means a hard one (--reset)"]


def test_a_step_that_hardly_moves_anything_is_suspicious(write_nir: WriteNir) -> None:
    slow = without(N, tau=FOUR * 20)
    path = write_nir({"input": IN, "n": slow, "w": W, "m": slow, "output": OUT}, "input n w m output")
    (warning,) = [note.message for note in read_model(path).notes if note.kind == "warning"]
    assert warning == (
        "a step of 0.0001 takes n (and 1 more) less than 1/10000 of its way; "
        "files with such constants are often written for --dt 1"
    )


# What is refused, with all of it told

FAULTS: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "all at once": (
        {"input": IN, "a": without(A, weight=np.ones((3, 5))), "n": without(N, "tau"), "m": without(N, type="LIFF"),
         "output": OUT}, "input a n output, input n, input m output, m nowhere",
        ["edge m -> nowhere: no node is called 'nowhere'; there are: a, input, m, n, output",
         "node a: weight is [3, 5], and what comes in is [4]",
         "node m: no primitive of NIR is called 'LIFF'; did you mean LIF?",
         "node n: this LIF has no tau"],
    ),
    "constants that no neuron has": (
        {"input": IN, "n": without(N, v_leak=VARIED, v_reset=VARIED), "output": OUT}, "input n output",
        ["node n: v_leak differs between elements, and a neuron of snnc has one for all of them",
         "node n: v_reset differs between elements, and a neuron of snnc has one for all of them"],
    ),
    "a time constant that is shorter than a step": (
        {"input": IN, "n": without(N, tau=FOUR * 5e-4), "output": OUT}, "input n output",
        ["node n: a step of 0.001 is longer than tau = 0.0005, so forward Euler overshoots\n  try: --dt 5e-05"],
    ),
    "no time constant": (
        {"input": IN, "n": without(N, tau=FOUR * 0), "output": OUT}, "input n output", ["node n: tau is 0"],
    ),
    "what is not finite": (
        {"input": IN, "n": without(N, r=FOUR * np.nan), "w": without(W, weight=np.full((4, 4), np.inf)), "output": OUT},
        "input w n output",
        ["node n: r has elements that are not finite", "node w: weight has elements that are not finite"],
    ),
    "shapes that do not fit": (
        {"input": IN, "n": without(N, tau=np.ones(5)), "output": {"type": "Output", "shape": np.array([3])}},
        "input n output",
        ["node n: tau is [5], and what comes in is [4]"],
    ),
    "an output of another shape": (
        {"input": IN, "n": N, "output": {"type": "Output", "shape": np.array([3])}}, "input n output",
        ["node output: shape is [3], and what comes in is [4]"],
    ),
    "sums of different shapes": (
        {"input": IN, "w": without(W, weight=np.ones((3, 4))), "n": N, "output": OUT}, "input w n output, input n",
        ["node n: add takes equal shapes, not f16[t, n, 3] and f16[t, n, 4]"],
    ),
    "delays that differ": (
        {"input": IN, "d": {"type": "Delay", "delay": VARIED}, "output": OUT}, "input d output",
        ["node d: delay differs between elements, and a delay of snnc is one for all"],
    ),
    "an edge into the input": (
        {"input": IN, "n": N, "output": OUT}, "input n output, n input",
        ["node input: edge n -> input: no edge leads into an Input"],
    ),
    "nothing before a node": (
        {"input": IN, "n": N, "m": N, "output": OUT}, "input n output, m output",
        ["node m: nothing leads into this LIF"],
    ),
    "an input of no shape": (
        {"input": {"type": "Input"}, "s": {"type": "Scale", "scale": 2.0}, "output": OUT}, "input s output",
        ["node input: this Input says no shape, and what reads it does not tell"],
    ),
    "a graph with two ends": (
        {"input": IN, "g": {"type": "NIRGraph", "nodes": {"a": IN, "b": IN, "n": N, "out": OUT},
                            "edges": "a n out, b n"}, "output": OUT}, "input g output",
        ["edge input -> g: the graph g has 2 nodes Input, and one is meant"],
    ),
    "words for numbers": (
        {"input": IN, "n": without(N, "r", r="many"), "output": OUT}, "input n output", ["node n: this LIF has no r"],
    ),
    "part of the axes": (
        {"input": {"type": "Input", "shape": np.array([2, 2, 1])},
         "f": {"type": "Flatten", "start_dim": 0, "end_dim": 1, "input_type": np.array([2, 2, 1])}, "output": OUT},
        "input f output", ["node f: axes 0 to 1 alone of [2, 2, 1] cannot be flattened"],
    ),
    "convolutions": (
        {"input": {"type": "Input", "shape": np.array([2, 6, 5])},
         "c": {"type": "Conv2d", "input_shape": np.array([6, 6]), "weight": np.ones((4, 2, 3, 3)), "bias": np.ones(4),
               "stride": 1, "padding": 0, "dilation": 1, "groups": 1},
         "d": {"type": "Conv2d", "weight": np.ones((4, 3, 3, 3)), "bias": np.ones(4), "stride": np.array([1, 2, 3]),
               "padding": 0, "dilation": 1, "groups": 1},
         "e": {"type": "Conv2d", "weight": np.ones((4, 2, 2, 2)), "bias": np.ones(4), "stride": 1, "padding": "same",
               "dilation": 1, "groups": 1}, "output": OUT},
        "input c output, input d output, input e output",
        ["node c: input_shape is [6, 6], and what comes in is [2, 6, 5]",
         "node d: stride of Conv2d is one or two whole numbers",
         "node e: padding='same' is no number, `valid`, or `same` with odd kernels and a stride of 1"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_what_is_wrong_is_told_all_together(name: str, write_nir: WriteNir) -> None:
    nodes, edges, messages = FAULTS[name]
    assert faults(write_nir(nodes, edges)) == messages


def test_options_that_a_nir_file_has_no_place_for(write_nir: WriteNir) -> None:
    path = write_nir({"input": IN, "n": N, "output": OUT}, "input n output")
    assert faults(path, settings={"width": 3}, spiking={"relu": "lif"}, result="output") == [
        "a NIR file has no settings such as width",
        "every Output of a NIR file is a result: --result is for ONNX files",
        "a NIR file has no activations that --spiking could replace",
    ]


def test_what_speaks_of_neurons_where_none_fires_is_told(write_nir: WriteNir) -> None:
    path = write_nir({"input": IN, "a": A, "output": OUT}, "input a output")
    warned = [note.message for note in read(path, reset="soft", detach_reset=False).notes if note.kind == "warning"]
    assert warned == ["has no neuron that fires, of which --reset and --detach-reset could speak"]


# Files that are not what they say


def test_a_file_that_is_none(tmp_path: Path) -> None:
    assert faults(tmp_path / "none.nir") == ["cannot be read: there is no such file"]
    (tmp_path / "text.nir").write_text("network a { }")
    assert faults(tmp_path / "text.nir") == ["is no HDF5 file, which every NIR file is"]
    with h5py.File(tmp_path / "other.nir", "w") as file:
        file["version"] = "1.0"
        file["weights"] = np.ones(3)
    assert faults(tmp_path / "other.nir") == ["has no group `node`, so it is no NIR file"]


def test_a_file_cut_off_anywhere_is_told_and_nothing_else(write_nir: WriteNir, tmp_path: Path) -> None:
    whole = write_nir({"input": IN, "a": A, "n": N, "output": OUT}, "input a n output").read_bytes()
    cut = tmp_path / "cut.nir"
    for length in range(0, len(whole), 997):
        cut.write_bytes(whole[:length])
        (message,) = faults(cut)
        assert message.startswith(("is damaged: ", "is no HDF5 file, which every NIR file is")), message


def test_links_and_data_elsewhere_are_not_followed(write_nir: WriteNir, tmp_path: Path) -> None:
    nodes = {"input": IN, "a": A, "n": N, "m": N, "output": OUT}
    path = write_nir(nodes, "input a n m output")
    with h5py.File(path, "r+") as file:
        del file["node/nodes/a/weight"]
        file["node/nodes/a/weight"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "w")
        del file["node/nodes/n/tau"]
        file["node/nodes/n/tau"] = h5py.SoftLink("/node/nodes/m/tau")
        del file["node/nodes/m/r"]
        (tmp_path / "raw").write_bytes(bytes(64))
        file["node/nodes/m"].create_dataset("r", (4,), "f8", external=[(str(tmp_path / "raw"), 0, 32)])
    assert faults(path) == [
        "node a: weight is a link to somewhere else, which is not followed",
        "node a: this Affine has no weight",
        "node m: the data of r lie in another file, which is not read",
        "node m: this LIF has no r",
        "node n: tau is a link to somewhere else, which is not followed",
        "node n: this LIF has no tau",
    ]


def test_an_array_that_is_too_large_is_never_read(write_nir: WriteNir) -> None:
    path = write_nir({"input": IN, "a": without(A, "weight"), "output": OUT}, "input a output")
    with h5py.File(path, "r+") as file:
        file["node/nodes/a"].create_dataset("weight", (1 << 20, 1 << 20), "f4", chunks=True)  # takes no space
    assert (
        "node a: weight is [1048576, 1048576] of float32, and with it the arrays of the file take more than 1024 MiB"
        in (faults(path))
    )


def test_a_graph_that_contains_itself(write_nir: WriteNir) -> None:
    inner = {"type": "NIRGraph", "nodes": {"in": IN, "n": N, "out": OUT}, "edges": "in n out"}
    path = write_nir({"input": IN, "g": inner, "output": OUT}, "input g output")
    with h5py.File(path, "r+") as file:
        file["node/nodes/g/nodes/again"] = file["node/nodes/g"]
    assert faults(path) == ["node g/again: this graph contains itself"]


@pytest.mark.parametrize("many", [pytest.param(300, marks=pytest.mark.full), 40])
def test_random_damage_gives_words_and_never_a_traceback_or_a_hang(
    many: int, write_nir: WriteNir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes of a good file are changed: it is read, or refused in words.  One of the tries keeps HDF5 busy for ever."""
    monkeypatch.setattr(_nir_apart, "SECONDS", 1)
    nodes = {"input": IN, "a": A, "n": N, "rec": W, "output": OUT}
    whole = bytearray(write_nir(nodes, "input a n output, n rec n").read_bytes())
    damaged = tmp_path / "damaged.nir"
    refused: list[str] = []
    for attempt in [*range(many), 242]:
        rng = np.random.default_rng(attempt)
        data = bytearray(whole)
        for at in rng.integers(0, len(data), int(rng.integers(1, 12))):
            data[at] = rng.integers(256)
        damaged.write_bytes(data)
        try:
            read(damaged)
        except SourceError as error:
            refused.append(str(error))
    assert len(refused) > many // 20
    assert all(message.startswith(str(damaged)) for message in refused)


def test_what_keeps_the_library_busy_is_ended(write_nir: WriteNir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_nir_apart, "SECONDS", 0)
    path = write_nir({"input": IN, "n": N, "output": OUT}, "input n output")
    assert faults(path) == ["is damaged: reading it took more than 0 s or 3072 MiB, or ended in the middle"]
