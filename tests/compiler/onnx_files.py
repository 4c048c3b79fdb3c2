"""Small ONNX files for tests: a layer of neurons between two sums, with its time steps spelled out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

INPUTS, NEURONS, OUTPUTS, BATCH = 5, 8, 3, 2


@dataclass
class Writer:
    """Nodes and initializers of a graph in the making."""

    nodes: list[onnx.NodeProto] = field(default_factory=list[onnx.NodeProto])
    tensors: list[onnx.TensorProto] = field(default_factory=list[onnx.TensorProto])
    count: int = 0

    def __call__(self, op: str, *args: str, **attributes: Any) -> str:
        """The result of a node."""
        self.count += 1
        name = f"v{self.count}"
        self.nodes.append(helper.make_node(op, list(args), [name], f"{op}_{self.count}", **attributes))
        return name

    def constant(self, value: Any, dtype: Any = np.float32) -> str:
        """An initializer."""
        self.count += 1
        name = f"c{self.count}"
        self.tensors.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def save(self, path: Path, shape: list[Any], outputs: list[str], opset: int = 18) -> Path:
        """The file, whose input is ``x``."""
        return self.save_with(path, {"x": shape}, outputs, opset)

    def save_with(self, path: Path, inputs: dict[str, list[Any]], outputs: list[str], opset: int = 18) -> Path:
        """The file with these inputs."""
        graph = helper.make_graph(
            self.nodes,
            "test",
            [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name, shape in inputs.items()],
            [helper.make_empty_tensor_value_info(name) for name in outputs],
            self.tensors,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        path.write_bytes(model.SerializeToString())
        return path


@dataclass(frozen=True)
class Neuron:
    """A neuron and how it is spelled; *spelling* picks one of the ways to write the same."""

    decay: Any = 0.75
    """One number, or one a neuron."""

    decay_input: bool = False
    threshold: Any = 1.0
    v_reset: float = 0.0
    reset: str = "hard"
    delayed: bool = False
    strict: bool = True
    current_decay: float | None = None
    spelling: int = 0
    recurrent: bool = False
    """Whether its spikes come back to it through a sum of their own."""


def step(write: Writer, neuron: Neuron, x: str, states: dict[str, str]) -> str:
    """The spikes of one step; *states* become those after it."""
    v, s = states["v"], states["s"]
    if neuron.current_decay is not None:
        states["i"] = x = write("Add", write("Mul", states["i"], write.constant(neuron.current_decay)), x)
    rest = (1 - neuron.decay) * neuron.v_reset
    if neuron.decay_input and neuron.spelling == 0:  # v + (x - (v - v_reset)) / tau
        away = write("Sub", v, write.constant(neuron.v_reset)) if neuron.v_reset else v
        h = write("Add", v, write("Div", write("Sub", x, away), write.constant(1 / (1 - neuron.decay))))
    else:
        drive = write("Mul", x, write.constant(1 - neuron.decay)) if neuron.decay_input else x
        h = write("Add", write("Mul", v, write.constant(neuron.decay)), drive)
        if states.get("more"):
            h = write("Add", h, states["more"])
        if neuron.v_reset and neuron.decay_input:
            h = write("Add", h, write.constant(rest))
    theta = write.constant(neuron.threshold)
    if neuron.delayed and neuron.reset == "soft":
        h = write("Sub", h, write("Mul", s, theta))
    elif neuron.delayed and neuron.reset == "hard":
        h = write("Mul", h, write("Sub", write.constant(1.0), s))
    states["s"] = s = spike(write, neuron, h, theta)
    states["v"] = h if neuron.delayed or neuron.reset == "none" else after(write, neuron, h, s, theta)
    return s


def spike(write: Writer, neuron: Neuron, h: str, theta: str) -> str:
    """Where h reaches the threshold, in one of three spellings."""
    op = "Greater" if neuron.strict else "GreaterOrEqual"
    match neuron.spelling:
        case 0:
            return write("Cast", write(op, h, theta), to=1)
        case 1:
            return write("Cast", write(op, write("Sub", h, theta), write.constant(0.0)), to=1)
        case _:
            less = "Less" if neuron.strict else "LessOrEqual"
            return write("Where", write(less, theta, h), write.constant(1.0), write.constant(0.0))


def after(write: Writer, neuron: Neuron, h: str, s: str, theta: str) -> str:
    """The potential after a reset at once."""
    if neuron.reset == "soft":
        return write("Sub", h, write("Mul", s, theta))
    if neuron.spelling == 2:
        return write("Where", write("Cast", s, to=9), write.constant(neuron.v_reset), h)
    kept = write("Mul", h, write("Sub", write.constant(1.0), s))
    return write("Add", kept, write("Mul", s, write.constant(neuron.v_reset))) if neuron.v_reset else kept


def weights(seed: int = 3) -> dict[str, NDArray[np.float32]]:
    """Both sums; the first ones are large enough to make neurons fire."""
    rng = np.random.default_rng(seed)
    shapes = {"w1": (NEURONS, INPUTS), "b1": (NEURONS,), "w2": (OUTPUTS, NEURONS), "b2": (OUTPUTS,)}
    shapes["back"] = (NEURONS, NEURONS)
    return {name: rng.normal(0.25, 1.0, shape).astype(np.float32) for name, shape in shapes.items()}


def network(path: Path, neuron: Neuron, steps: int = 6, static: bool = False, readout: bool = False) -> Path:
    """An unrolled network; *static*: its input is one sample for all steps; *readout*: a leaky sum at the end."""
    write = Writer()
    known = {name: write.constant(value) for name, value in weights().items() if name != "back" or neuron.recurrent}
    zeros = write.constant(np.zeros((BATCH, NEURONS)))
    states = {"s": zeros, "i": zeros, "v": write.constant(np.full((BATCH, NEURONS), neuron.v_reset))}
    sums = write.constant(np.zeros((BATCH, OUTPUTS)))
    made: list[str] = []
    for number in range(steps):
        x = "x" if static else write("Gather", "x", write.constant(number, np.int64), axis=0)
        current = write("Gemm", x, known["w1"], known["b1"], transB=1)
        if neuron.recurrent:
            back = write("MatMul", states["s"], known["back"])
            current = write("Add", current, back) if neuron.spelling else current
            states["more"] = "" if neuron.spelling else back
        fired = step(write, neuron, current, states)
        y = write("Gemm", fired, known["w2"], known["b2"], transB=1)
        if readout:
            y = sums = write("Add", write("Mul", sums, write.constant(0.9)), y)
        made.append(write("Unsqueeze", y, write.constant([0], np.int64)))
    shape: list[Any] = [BATCH, INPUTS] if static else [steps, BATCH, INPUTS]
    return write.save(path, shape, [write("Concat", *made, axis=0)])
