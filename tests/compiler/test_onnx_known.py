"""What is known of neurons beyond their file is in the network; dropout of a file that is trained stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_files import NEURONS, Neuron, Writer, network

from snnc.compiler.frontends.frontend import Imported, Known, Options, read_model
from snnc.compiler.ir.graph import Node
from snnc.source import SourceError


def neuron_of(found: Imported) -> Node:
    return next(node for node in found.network.nodes if "reset" in node.settings)


def origin_of(path: Path) -> str:
    """The node of the file that its neuron is called after."""
    return neuron_of(read_model(path)).place.file.rpartition("node ")[2]


def test_a_known_surrogate_is_that_of_its_neuron_alone(tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", Neuron())
    known = Known({"surrogate": ("atan", ("alpha", 3.0)), "detach_reset": True})
    found = read_model(path, Options(known={origin_of(path): known, "elsewhere": Known({"threshold": 9.0})}))
    settings = neuron_of(found).settings
    assert (settings["surrogate"], settings["detach_reset"]) == (("atan", ("alpha", 3.0)), True)
    assert not any("surrogate" in note.message for note in found.notes)
    assert neuron_of(read_model(path)).settings == {
        **settings,
        "surrogate": ("triangle", ("alpha", 1.0)),
        "detach_reset": False,
    }


@pytest.mark.parametrize(("size", "extent"), [(1, "layer"), (NEURONS, "channel")])
def test_a_decay_that_is_known_to_be_learned_is_a_parameter(size: int, extent: str, tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", Neuron())
    w, theta = np.linspace(-1, 1, size, dtype=np.float32), np.linspace(0.5, 1, size, dtype=np.float32)
    origin, before = origin_of(path), neuron_of(read_model(path))
    found = read_model(path, Options(known={origin: Known({"form": "sigmoid"}, {"w": w, "theta": theta})}))
    neuron = neuron_of(found)
    assert (neuron.op, neuron.settings["form"], neuron.settings["each"]) == ("plif", "sigmoid", extent)
    assert (neuron.settings["learn_threshold"], neuron.settings["decay"]) == (extent, before.settings["decay"])
    shape = () if size == 1 else (size,)
    for role, value in (("w", w), ("theta", theta)):
        assert np.array_equal(found.parameters[f"{neuron.results[0]}.{role}"], value.reshape(shape))
    assert not any("becomes a parameter" in note.message for note in found.notes)


def test_a_learned_decay_needs_a_neuron_that_has_one(tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", Neuron(current_decay=0.875))
    origin = origin_of(path)
    with pytest.raises(SourceError) as error:
        read_model(path, Options(known={origin: Known({}, {"w": np.array(0.5)})}))
    assert str(error.value) == (
        f"{path}, node {origin}: carries state from step to step, and is no neuron that there is: its decay is "
        "learned, which only a membrane without a current has, whose input has no gain\n"
        "  try: a neuron of docs/neurons.md in its place"
    )


@pytest.mark.parametrize(("training", "ratio", "expected"), [(True, 0.25, [0.25]), (False, 0.25, []), (True, 0.0, [])])
def test_elements_drop_where_the_file_is_in_training(
    training: bool, ratio: float, expected: list[float], tmp_path: Path
) -> None:
    write = Writer()
    w, zero = write.constant(np.eye(5)), write.constant(np.zeros(1), np.int64)
    rows: list[str] = []
    for step in range(4):
        row = write("Gather", "x", write.constant(np.array(step), np.int64), axis=0)
        drops = write.constant(np.array(ratio)), write.constant(np.array(training), np.bool_)
        made = write("Dropout", write("MatMul", row, w), *drops)
        rows.append(write("Unsqueeze", write("MatMul", made, w), zero))
    path = write.save(tmp_path / "net.onnx", [4, 2, 5], [write("Concat", *rows, axis=0)])
    found: Any = [node.settings["p"] for node in read_model(path).network.nodes if node.op == "dropout"]
    assert found == expected


def test_a_read_out_has_no_surrogate_even_where_one_is_known(tmp_path: Path) -> None:
    """snnTorch's Leaky without reset, whose potential is read: its module has a surrogate all the same."""
    write = Writer()
    weights = write.constant(np.linspace(-1, 1, 6).reshape(3, 2))
    half, axis = write.constant(0.5), write.constant([0], np.int64)
    rows: list[str] = []
    potential = ""
    for step in range(4):
        row = write("Gather", "x", write.constant(step, np.int64), axis=0)
        current = write("MatMul", row, weights)
        potential = write("Add", write("Mul", potential, half), current) if potential else current
        rows.append(write("Unsqueeze", potential, axis))
    path = write.save(tmp_path / "net.onnx", [4, 2, 3], [write("Concat", *rows, axis=0)])
    (readout,) = [node for node in read_model(path).network.nodes if node.op == "li"]
    origin = readout.place.file.rpartition("node ")[2]
    known = Known({"surrogate": ("atan", ("alpha", 3.0)), "detach_reset": True})
    assert read_model(path, Options(known={origin: known})).network == read_model(path).network
