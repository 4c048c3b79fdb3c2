"""Real NIR files import, and compute what the frameworks that wrote them did: spikes step by step, logits, gradients.

The files, inputs, outputs and gradients lie in ``../shared/models/nir``; its manifest says of each the time step, and
how the reference was computed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnc.compiler.evaluate import Numerics, Oracle
from snnc.compiler.frontends.frontend import Imported, Options, Unsaid, read_model
from snnc.compiler.ir.graph import Setting
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.source import SourceError

ATAN: Setting = ("atan", ("alpha", 2.0))
SURROGATES: dict[str, Setting] = {
    "hand_cuba": ATAN, "hand_if": ATAN, "hand_recurrent": ATAN, "hand_residual_scale": ATAN, "sinabs_lif": ATAN,
    "norse_box": ("super_spike", ("alpha", 1.0)), "sj_conv": ATAN, "snntorch_mlp_zero_vec": ATAN,
    "snntorch_synaptic": ATAN, "tp_nir__braille": ATAN, "tp_nir__braille_subtract": ATAN, "tp_nir__braille_v2a": ATAN,
    "tp_nir__cnn_sinabs": ATAN, "tp_nir__lif_norse": ATAN, "tp_nir__scnn_mnist": ATAN, "tp_nir__two_lif_neurons": ATAN,
    "tp_nirtorch__feedback_graph": ATAN,
}  # fmt: skip
"""The surrogate of each reference, which no NIR file says."""

WITHOUT = {"tp_nir__braille_v5", "tp_spyx__spyx_shd"}
"""Files without reference outputs: one is malformed, of the other the reference's own program failed."""

SCALE = 1024.0


@pytest.fixture(scope="session")
def folder(shared: Path) -> Path:
    return shared / "models" / "nir"


@pytest.fixture(scope="session")
def manifest(folder: Path) -> dict[str, Any]:
    entries = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["entries"]
    return {entry["name"]: entry for entry in entries}


def imported(folder: Path, entry: Mapping[str, Any], **options: Any) -> Imported:
    unsaid = Unsaid(entry["dt"], options.pop("surrogate", None))
    return read_model(folder / entry["file"], Options(unsaid=unsaid, **options))


def trained(read: Imported, x: Any, labels: Any) -> Oracle:
    """The oracle of *read* in f64 after a training step on *x*."""
    network, (steps, batch) = read.network, x.shape[:2]
    options = TrainingOptions.resolve(network, {"batch": batch, "loss_scale": SCALE})
    oracle = Oracle(build_training(network, options), Numerics("f64"))
    arguments = {"valid": batch, "learning_rate": 0.0, "loss_scale": SCALE, "seed": 0, "step": 0}
    arguments |= {"correction1": 1.0, "correction2": 1.0}
    oracle.run("init", arguments)
    (port,) = network.ports
    oracle.write(port.name, np.broadcast_to(x, (steps, batch, *port.type.shape)).astype(np.float64))
    oracle.write("label", labels)
    variables = {variable.name for variable in oracle.training.variables}
    for name, array in read.parameters.items():
        for each in {name, f"{name}.master"} & variables:
            oracle.write(each, np.asarray(array, np.float64))
    oracle.run("train_step", arguments)
    return oracle


def made_by(read: Imported, node: str, op: str = "") -> list[str]:
    """First results of what node *node* of the file became."""
    ends = (f"node {node}", f"node _{node}")
    return [n.results[0] for n in read.network.nodes if n.place.file.endswith(ends) and (not op or n.op == op)]


def test_every_file_of_the_folder_is_tried(folder: Path, manifest: dict[str, Any]) -> None:
    assert {path.name for path in folder.glob("*.nir")} == {entry["file"] for entry in manifest.values()}
    assert set(SURROGATES) | WITHOUT == set(manifest)


@pytest.mark.parametrize("name", SURROGATES)
def test_a_file_computes_what_its_framework_did(name: str, folder: Path, manifest: dict[str, Any]) -> None:
    entry = manifest[name]
    reference = np.load(folder / entry["npz"]["file"])
    x = reference["x"]
    read = imported(folder, entry, steps=len(x), surrogate=SURROGATES[name])
    oracle = trained(read, x, reference["y"])
    (result,) = read.network.results
    outputs = reference["euler/out_seq" if "euler/out_seq" in reference else "out/out_seq"]
    if bool(np.isin(outputs, (0.0, 1.0)).all()):
        assert np.array_equal(oracle.read(result), outputs), "spikes"
    np.testing.assert_allclose(oracle.read(result), outputs, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(oracle.read("logits"), reference["out/logits"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.mean(oracle.read("loss")), reference["grad/loss"], rtol=1e-6)
    for node, rate in entry["spike_rates"].items():
        (spikes,) = (made for op in ("lif", "if", "cuba") for made in made_by(read, node, op))
        assert abs(float(np.mean(oracle.read(spikes))) - rate) < 6e-6, f"spikes of {node}"
    compared = 0
    for key in (key for key in reference.files if key.startswith("grad/") and key != "grad/loss"):
        node, parameter = key.removeprefix("grad/").removeprefix("net.").replace("::", ".").rsplit(".", 1)
        suffix = {"weight": ".w", "bias": ".b"}[parameter]
        made = [made for made in made_by(read, node.replace("__", "."), "parameter") if made.endswith(suffix)]
        found, wanted = oracle.read(f"d.{made[0]}") / SCALE, reference[key]
        worst = np.abs(found - wanted).max()
        assert worst <= 1e-5 * np.abs(wanted).max(), f"{key}: {worst}"
        compared += 1
    assert compared >= 2


def test_a_malformed_file_is_refused_with_all_of_its_faults(folder: Path, manifest: dict[str, Any]) -> None:
    malformed = [entry for entry in manifest.values() if entry["malformed"]]
    assert [entry["name"] for entry in malformed] == ["tp_nir__braille_v5"]
    (entry,) = malformed
    with pytest.raises(SourceError) as error:
        imported(folder, entry)
    parts = "no node is called 'lif1', but parts of it are there: lif1.input, lif1.lif, lif1.output, lif1.w_rec"
    assert [fault.message for fault in error.value.faults] == [
        f"edge lif1 -> fc2: {parts}",
        f"edge lif1 -> lif1: {parts}",
        f"edge fc1 -> lif1: {parts}",
        "weight is [38, 12], and what comes in is [256, 12]",
    ]
    assert error.value.faults[-1].place.file.endswith("nir__braille_v5.nir, node fc1")


def test_weights_of_another_convention_are_turned_all_together(folder: Path, manifest: dict[str, Any]) -> None:
    read = imported(folder, manifest["tp_spyx__spyx_shd"], steps=4)
    shapes = {node: read.parameters[f"{node}.w"].shape for node in ("linear", "linear_1", "linear_2")}
    assert shapes == {"linear": (64, 128), "linear_1": (64, 64), "linear_2": (20, 64)}
    repairs = {note.place.file.rpartition(" ")[2]: note.message for note in read.notes if "transposed" in note.message}
    assert repairs["linear_1"] == "weight is [64, 64] and is taken as [in, out], as others fit; it is transposed"


def test_a_file_whose_constants_are_shorter_than_the_usual_step_gets_a_shorter_one(
    folder: Path, manifest: dict[str, Any]
) -> None:
    entry = manifest["norse_box"]
    read = read_model(folder / entry["file"], Options(steps=8))
    (warning,) = [note.message for note in read.notes if note.kind == "warning"]
    told = "a time step is 1e-06 long, which NIR does not say (--dt)"
    assert warning == f"{told}; the usual 0.0001 is longer than a time constant of 5e-06"
    said = imported(folder, entry, steps=8)
    assert [node.settings for node in read.network.nodes] == [node.settings for node in said.network.nodes]
