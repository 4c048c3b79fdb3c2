"""Networks that real exporters wrote: spikes step by step, logits and gradients are those of the frameworks.

The files, with what PyTorch said of them, lie in ``../shared/models/onnx`` (see its README).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import external_data_helper, numpy_helper

from snnc.compiler.evaluate import Numerics, Oracle
from snnc.compiler.frontends.frontend import Imported, Options, Unsaid, read_model
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.training_options import TrainingOptions

ARGUMENTS: dict[str, float] = {
    "learning_rate": 0.1, "loss_scale": 1.0, "seed": 0, "step": 0, "correction1": 1.0, "correction2": 1.0,
}  # fmt: skip


@dataclass(frozen=True)
class Exported:
    """An entry, and the variants of its file whose gradients are those of the reference."""

    name: str
    variants: tuple[str, ...]
    surrogate: tuple[Any, ...] = ("atan", ("alpha", 2.0))
    detach_reset: bool | None = None
    gradients: str = "eval"
    """``eval``, or ``train`` where the reference takes statistics of the batch."""

    tolerance: float = 1e-5
    steps: int | None = None
    """Where the file leaves them open."""


FILES = (
    Exported("ann_lenet5", ("ts", "dyn", "ts_batch")),
    Exported("ann_resnet18_narrow", ("ts_train", "ts_preserve"), gradients="train"),
    Exported("custom_symbolic", ("ts", "dyn"), detach_reset=False),
    Exported("dyn_symbolic_op", ("dyn",), detach_reset=False),
    Exported("hop_scan", ("dyn",), detach_reset=False),
    Exported("norse_mlp", ("ts", "dyn"), surrogate=("fast_sigmoid", ("k", 1.0)), detach_reset=False),
    Exported("scripted_loop", ("ts", "ts_dynT", "dyn"), detach_reset=True, steps=6),
    Exported("sj14_mlp", ("ts", "dyn"), detach_reset=False),
    Exported("sj2_csnn_fmnist", ("ts_fallthrough", "dyn", "dyn_ext"), detach_reset=False, gradients="train"),
    Exported("sj2_lif_fc_mnist", ("ts_fallthrough", "dyn"), detach_reset=False),
    Exported("sj2_plif_mnistnet", ("ts_fallthrough", "dyn"), detach_reset=True, gradients="train"),
    Exported("sj2_spiking_resnet18_narrow", ("ts_fallthrough",), gradients="train"),
    Exported("snntorch_csnn_narrow", ("ts", "dyn"), surrogate=("fast_sigmoid", ("k", 25.0)), detach_reset=True),
    Exported("snntorch_mlp", ("ts", "ts_names", "dyn", "dynshape"), detach_reset=True),
    Exported("snntorch_mlp_step", ("ts", "dyn"), detach_reset=True, steps=10),
)
"""What the files do not say (surrogate, detach) is what the manifest says of the network that was exported."""

CASES = [pytest.param(file, variant, id=f"{file.name}.{variant}") for file in FILES for variant in file.variants]


@cache
def manifest(folder: Path) -> dict[str, Any]:
    entries = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["entries"]
    return {entry["name"]: entry for entry in entries}


def imported(path: Path, file: Exported) -> Imported:
    unsaid = Unsaid(surrogate=file.surrogate, detach_reset=file.detach_reset)
    return read_model(path, Options(steps=file.steps, unsaid=unsaid))


def oracle_of(found: Imported, x: NDArray[Any], labels: NDArray[Any]) -> Oracle:
    """The network in float64, with the input of the reference."""
    batch = len(labels)
    network = replace(found.network, train={"batch": batch, "loss": "cross_entropy", "optimizer": "sgd"})
    oracle = Oracle(build_training(network, TrainingOptions.resolve(network)), Numerics("f64"))
    oracle.run("init", {**ARGUMENTS, "valid": batch})
    names = {variable.name for variable in oracle.training.variables}
    for name, value in found.parameters.items():
        for each in {name, f"{name}.master"} & names:
            oracle.write(each, np.asarray(value, np.float64))
    port = network.ports[0]
    x = x[None] if port.type.timed and x.ndim == len(port.type.shape) + 1 else x
    oracle.write(port.name, x.astype(np.float64))
    oracle.write("label", labels)
    return oracle


@pytest.mark.parametrize(("file", "variant"), CASES)
def test_spikes_and_gradients_are_those_of_the_framework(file: Exported, variant: str, shared: Path) -> None:
    folder = shared / "models" / "onnx"
    entry = manifest(folder)[file.name]
    path = folder / entry["exports"][variant]["file"]
    found = imported(path, file)
    with np.load(folder / f"{file.name}.npz") as archive:
        known: dict[str, NDArray[Any]] = {name: archive[name] for name in archive.files}
    oracle = oracle_of(found, known["x"], known["y"])
    arguments = {**ARGUMENTS, "valid": len(known["y"])}
    if not variant.endswith("train"):
        oracle.run("infer", arguments)
        np.testing.assert_allclose(oracle.read("logits"), known["out/logits"], atol=1e-5)
        sequence = known.get("out/out_seq", known.get("out/spk_out"))
        if sequence is not None:
            np.testing.assert_allclose(oracle.read(found.network.results[0]), sequence, atol=1e-5)
        compare_spikes(oracle, found, entry, known)
    oracle.run("train_step", arguments)
    np.testing.assert_allclose(np.mean(oracle.read("loss")), known[f"{file.gradients}/loss"], atol=1e-6)
    compared = 0
    for name, gradient in gradients(oracle, found, entry["exports"][variant], path, known, file.gradients):
        size = float(np.abs(known[name]).max())
        assert float(np.abs(gradient - known[name]).max()) <= file.tolerance * max(size, 1e-12), name
        compared += 1
    assert compared


def compare_spikes(oracle: Oracle, found: Imported, entry: Mapping[str, Any], known: Mapping[str, Any]) -> None:
    """Every layer's spikes in every step, where the reference has them."""
    layers = [name.removeprefix("spk_bits/") for name in known if name.startswith("spk_bits/")]
    firing = [node.results[0] for node in found.network.nodes if "reset" in node.settings]
    if not layers:
        return
    for value, layer in zip(firing, layers, strict=True):
        shape = tuple(known[f"spk_shape/{layer}"])
        bits = np.unpackbits(known[f"spk_bits/{layer}"], count=int(np.prod(shape))).reshape(shape)
        assert np.array_equal(oracle.read(value), bits), f"{entry['name']}: {layer}"


def gradients(
    oracle: Oracle,
    found: Imported,
    export: Mapping[str, Any],
    path: Path,
    known: Mapping[str, NDArray[Any]],
    kind: str,
) -> list[tuple[str, NDArray[Any]]]:
    """(name in the reference, our gradient) of every parameter that is alone in having its elements."""
    model = onnx.load_model_from_string(path.read_bytes())
    external_data_helper.load_external_data_for_model(model, str(path.parent))
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    pairs: list[tuple[str, NDArray[Any]]] = []
    for name in known:
        if not name.startswith(f"{kind}/grad/"):
            continue
        parameter = name.removeprefix(f"{kind}/grad/")
        source = export.get("param_to_initializer", {}).get(parameter) or [parameter]
        array = arrays.get(source[0], arrays.get(f"m.{source[0]}"))
        if array is None:
            continue
        same = [
            own
            for own, elements in found.parameters.items()
            if elements.shape == known[name].shape
            and (np.array_equal(elements, array) or (array.ndim == 2 and np.array_equal(elements, array.T)))
        ]
        if len(same) == 1:
            pairs.append((name, oracle.read(f"d.{same[0]}")))
    return pairs


@pytest.mark.parametrize("variant", ["ts", "dyn"])
def test_a_state_that_was_lost_is_a_warning(variant: str, shared: Path) -> None:
    path = shared / "models" / "onnx" / f"snntorch_csnn_narrow_onestep_hidden.{variant}.onnx"
    notes = read_model(path).notes
    warned = [note.message for note in notes if note.kind == "warning"]
    assert len(warned) == 3
    assert all("nothing is carried to the next step: its state was lost" in message for message in warned)


@pytest.mark.parametrize("variant", ["ts", "dyn"])
def test_a_current_in_front_of_the_membrane(variant: str, shared: Path) -> None:
    """The reference's loss reads a membrane, through which nothing can be trained: spikes are compared."""
    folder = shared / "models" / "onnx"
    found = imported(folder / f"snntorch_syn.{variant}.onnx", Exported("snntorch_syn", (), detach_reset=True))
    with np.load(folder / "snntorch_syn.npz") as archive:
        known: dict[str, NDArray[Any]] = {name: archive[name] for name in archive.files}
    oracle = oracle_of(found, known["x"], known["y"])
    oracle.run("infer", {**ARGUMENTS, "valid": len(known["y"])})
    compare_spikes(oracle, found, {"name": "snntorch_syn"}, known)
    (told,) = [note.message for note in found.notes if "left out" in note.message]
    assert told.startswith("the result is ")


def test_norms_in_inference_form_are_told(shared: Path) -> None:
    notes = read_model(shared / "models" / "onnx" / "sj2_csnn_fmnist.dyn_train.onnx").notes
    warned = [note.message for note in notes if note.kind == "warning"]
    assert warned == [
        "batch norm stands here in inference form; it is trained again from its running statistics (scope=window)"
    ]
