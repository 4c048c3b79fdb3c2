"""Results that are made of time steps in a way that is not read are named, and no neuron is blamed for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from onnx_files import BATCH, INPUTS, Neuron, Writer, network, step

from snnc.compiler.frontends.frontend import read_model
from snnc.compiler.proof import prove
from snnc.source import SourceError

WAY_OUT = "a result for each time step (torch.stack of all of them), or their mean or sum"
NEURONS = [
    Neuron(),
    Neuron(reset="soft", delayed=True),
    Neuron(reset="none", spelling=1),
    Neuron(current_decay=0.5, strict=False, decay_input=True),
    Neuron(spelling=2, recurrent=True),
]

Change = Callable[[str, Callable[..., str]], str]
"""From the name of all steps, ``[t, n, 3]``, and a way to add a node, to the name of the result."""


def ending(path: Path, change: Change) -> Path:
    """The file with another result."""
    model = onnx.load_model_from_string(path.read_bytes())
    graph = model.graph

    def node(op: str, *args: Any, **attributes: Any) -> str:
        number = len(graph.node)
        names: list[str] = []
        for arg in args:
            if not isinstance(arg, str):
                graph.initializer.append(numpy_helper.from_array(np.asarray(arg), f"k{number}.{len(names)}"))
                arg = graph.initializer[-1].name
            names.append(arg)
        graph.node.append(helper.make_node(op, names, [f"r{number}"], f"end{op}", **attributes))
        return f"r{number}"

    result = change(graph.output[0].name, node)
    del graph.output[:]
    graph.output.append(helper.make_empty_tensor_value_info(result))
    path.write_bytes(model.SerializeToString())
    return path


def told(path: Path) -> str:
    with pytest.raises(SourceError) as fault:
        read_model(path)
    return str(fault.value).replace(str(path), "net.onnx")


def last(y: str, node: Callable[..., str]) -> str:
    return node("Gather", y, np.array(-1), axis=0)


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("neuron", NEURONS, ids=str)
def test_a_result_of_the_last_step_alone(neuron: Neuron, static: bool, tmp_path: Path) -> None:
    message = told(ending(network(tmp_path / "net.onnx", neuron, static=static), last))
    place, _, what = message.partition(": ")
    assert place.startswith("net.onnx, node Gemm_")
    assert what == (
        f"the result is made of single time steps, by Gemm, as y[-1] and a sum with + are\n  try: {WAY_OUT}"
    )


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("neuron", NEURONS, ids=str)
def test_a_result_without_the_first_steps(neuron: Neuron, static: bool, tmp_path: Path) -> None:
    def later(y: str, node: Callable[..., str]) -> str:
        return node("ReduceMean", node("Slice", y, np.array([2]), np.array([9]), np.array([0])), np.array([0]))

    assert told(ending(network(tmp_path / "net.onnx", neuron, static=static), later)) == (
        f"net.onnx, node endReduceMean: the result is made of 4 time steps, without the first ones\n  try: {WAY_OUT}"
    )


ENDS: list[tuple[Change, str]] = [
    (
        lambda y, node: node("ReduceMax", y, np.array([0]), keepdims=0),
        f"node endReduceMax: ReduceMax: takes the largest over time\n  try: {WAY_OUT} instead",
    ),
    (
        lambda y, node: node("ReduceMin", y, np.array([-3]), keepdims=1),
        f"node endReduceMin: ReduceMin: takes the smallest over time\n  try: {WAY_OUT} instead",
    ),
    (
        lambda y, node: node("ArgMax", y, axis=0),
        f"node endArgMax: ArgMax: takes the step of the largest over time\n  try: {WAY_OUT} instead",
    ),
    (
        lambda y, node: node("Add", last(y, node), node("Gather", y, np.array(0), axis=0)),
        "node endAdd: the result is made of single time steps, by Add, as y[-1] and a sum with + are\n"
        f"  try: {WAY_OUT}",
    ),
    (
        lambda y, node: node("Reshape", node("Transpose", y, perm=[1, 0, 2]), np.array([2, 18])),
        f"node endReshape: the result is all time steps side by side\n  try: {WAY_OUT}",
    ),
    (
        lambda y, node: node("Softmax", node("ReduceSum", y, np.array([0]), keepdims=0), axis=-1),
        f"node endSoftmax: the result is Softmax of the sum over time, and losses here take logits\n  try: {WAY_OUT}",
    ),
]


@pytest.mark.parametrize(("change", "expected"), ENDS)
def test_a_result_of_all_steps_in_another_way(change: Change, expected: str, tmp_path: Path) -> None:
    assert told(ending(network(tmp_path / "net.onnx", Neuron()), change)) == f"net.onnx, {expected}"


def test_the_largest_of_something_else_is_an_operator_that_cannot_be_read(tmp_path: Path) -> None:
    path = ending(network(tmp_path / "net.onnx", Neuron()), lambda y, node: node("ReduceMax", y, np.array([2])))
    assert told(path) == "net.onnx, node endReduceMax: ReduceMax: is no operator that can be read"


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("neuron", NEURONS, ids=str)
def test_the_mean_over_time_is_read(neuron: Neuron, static: bool, tmp_path: Path) -> None:
    """The sibling of all of these: nothing of what they are told by is in it."""
    path = network(tmp_path / "net.onnx", neuron, static=static)
    ending(path, lambda y, node: node("ReduceMean", y, np.array([0]), keepdims=0))
    assert read_model(path).network.steps == 6


def test_two_neurons_behind_each_other_are_no_time(tmp_path: Path) -> None:
    """Equal ones, with nothing between them: each fires once a step, and the second waits for the first."""
    write = Writer()
    zeros = write.constant(np.zeros((BATCH, INPUTS)))
    first, second = ({"v": zeros, "s": zeros} for _ in range(2))
    rows: list[str] = []
    for number in range(4):
        x = write("Gather", "x", write.constant(number, np.int64), axis=0)
        y = step(write, Neuron(), step(write, Neuron(), x, first), second)
        rows.append(write("Unsqueeze", y, write.constant([0], np.int64)))
    path = write.save(tmp_path / "net.onnx", [4, BATCH, INPUTS], [write("Concat", *rows, axis=0)])
    assert [node.op for node in read_model(path).network.nodes] == ["lif", "lif"]


def test_an_input_with_samples_first_is_told_once(tmp_path: Path) -> None:
    """Some frameworks have time behind the samples: [n, T, ...]."""
    write = Writer()
    v = write.constant(np.zeros((BATCH, INPUTS)))
    rows: list[str] = []
    for number in range(4):
        x = write("Gather", "x", write.constant(number, np.int64), axis=1)
        v = write("Add", write("Mul", v, write.constant(0.5)), x)
        rows.append(write("Unsqueeze", v, write.constant([0], np.int64)))
    path = write.save(tmp_path / "net.onnx", [BATCH, 4, INPUTS], [write("Concat", *rows, axis=0)])
    assert told(path) == (
        "net.onnx, node x: is taken apart along its second axis; time is its first, [T, n, ...]\n"
        "  try: a module that takes time first, or from_torch(..., time_axis=1) instead"
    )


@pytest.mark.parametrize(("perm", "axis"), [([1, 0, 2], 1), ([1, 2, 0], 2)])
def test_a_mean_over_time_is_one_wherever_time_was_moved(perm: list[int], axis: int, tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", Neuron())
    ending(path, lambda y, node: node("ReduceMean", node("Transpose", y, perm=perm), np.array([axis]), keepdims=0))
    imported = read_model(path)
    assert imported.network.steps == 6
    proof = prove(imported)
    assert proof is not None and (proof.different, proof.each_step) == (0, False)
