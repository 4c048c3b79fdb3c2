"""What law 2 shares for whole models: numbers to begin from, and what the oracle makes of them in float64."""

from __future__ import annotations

import math
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, cast

import numpy as np
from laws import NARROW
from numpy.typing import NDArray

from snnc.compiler.evaluate import Numerics, Oracle
from snnc.compiler.ir.graph import Network, Node
from snnc.compiler.pipeline import Compilation, Options
from snnc.numerics import random

Array = NDArray[Any]
Numbers = dict[str, Array]

ROOT = Path(__file__).parents[2]
BATCH, VALID, LOSS_SCALE, SEED = 4, 3, 8.0, 11
MARGIN = 1e-9
"""A membrane that is nearer to its threshold than this would make a spike a matter of rounding."""

TELLING = 64
"""Elements of a gradient that a stored reference keeps."""


def benchmarks() -> Any:
    """The package of that name beside the tests, which is not installed: its peers are references."""
    if "benchmarks" not in sys.modules:
        folder = ROOT / "benchmarks"
        spec = spec_from_file_location("benchmarks", folder / "__init__.py", submodule_search_locations=[str(folder)])
        assert spec is not None and spec.loader is not None
        sys.modules["benchmarks"] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules["benchmarks"])
    return sys.modules["benchmarks"]


@dataclass(frozen=True)
class Narrow:
    """A narrow version of a model; recurrence shows after a few *steps* only."""

    name: str
    steps: int = 3

    @cached_property
    def compilation(self) -> Compilation:
        settings: dict[str, Any] = {"classes": 10, **NARROW[self.name]}
        return Compilation(self.name, Options(batch=BATCH, steps=self.steps, settings=settings))

    @property
    def network(self) -> Network:
        return self.compilation.network

    @property
    def parameters(self) -> list[Node]:
        return [node for node in self.network.nodes if node.op == "parameter"]

    @property
    def statistics(self) -> list[str]:
        """Running means and variances."""
        return [name for node in self.network.nodes if node.op == "batch_norm" for name in node.operands[1:3]]

    @property
    def neurons(self) -> list[Node]:
        return [node for node in self.network.nodes if node.op == "lif"]

    def drawn(self, seed: int) -> Numbers:
        """Inputs, labels, parameters and statistics: no first values, so that every path is alive."""
        found: Numbers = {}
        for node in self.parameters:
            (name,), (type,) = node.results, node.types
            shape = ((self.steps,) if type.timed else ()) + type.shape
            spread = some(name, shape, seed)
            if type.weight:
                found[name] = spread * (2.5 / math.sqrt(math.prod(type.shape[1:])))
            elif name.endswith("running_var"):
                found[name] = 1.0 + 0.5 * spread
            elif name.endswith("gain"):
                found[name] = 2.0 + 0.6 * spread
            elif name.endswith("gamma") or node_of(self.network, name).op == "scale":
                found[name] = 1.0 + 0.3 * spread
            else:
                found[name] = 0.3 * spread
        (port,) = self.network.ports
        lead = ((self.steps,) if port.type.timed else ()) + (BATCH,)
        numbers = some(port.name, lead + port.type.shape, seed)
        if port.type.format == "spike":
            found[port.name] = (numbers > 0.5).astype(np.float64)
        elif self.compilation.training_options.coding == "poisson":
            found[port.name] = (numbers + 1) / 2
        else:
            found[port.name] = math.sqrt(3) * numbers
        found["label"] = np.floor((some("label", (BATCH,), seed) + 1) / 2 * 10)
        return found

    def oracle(self, given: Mapping[str, Array]) -> Oracle:
        """In float64, with *given* as the values of its variables."""
        oracle = Oracle(self.compilation.training, Numerics("f64"))
        oracle.run("init", self.arguments | {"valid": 1})
        variables = {variable.name for variable in oracle.training.variables}
        for name, value in given.items():
            for each in {name, f"{name}.master"} & variables:
                oracle.write(each, value)
        return oracle

    @property
    def arguments(self) -> dict[str, float]:
        """The host's scalars."""
        known = {name for name, _ in self.compilation.training.arguments}
        given = {"valid": VALID, "learning_rate": 0.01, "loss_scale": LOSS_SCALE, "seed": SEED, "step": 2}
        given |= {"correction1": 0.1, "correction2": 0.001}
        return {name: value for name, value in given.items() if name in known}

    def random(self, given: Mapping[str, Array]) -> Numbers:
        """Spikes of coded inputs ``[t, n, ...]`` and what dropout keeps ``[n, ...]``, by name.

        They are made of the numbers that are said to be drawn: by seed, tensor, training step and logical element.
        """
        found: Numbers = {}
        step = int(self.arguments["step"])

        def uniform(name: str, shape: tuple[int, ...]) -> Array:
            index = np.arange(math.prod(shape)).reshape(shape)
            return random.uniform(index, SEED, random.stream_of(name), step)

        for node in self.network.nodes:
            if node.op == "dropout":
                (name,), (type,) = node.results, node.types
                assert node.settings["mask"] == "batch"
                found[name] = uniform(name, (BATCH, *type.shape)) >= np.float64(cast(float, node.settings["p"]))
        if self.compilation.training_options.coding == "poisson":
            (port,) = self.network.ports
            name = f"{port.name}.spikes"
            found[name] = (uniform(name, (self.steps, BATCH, *port.type.shape)) < given[port.name]).astype(np.float64)
        return found


def some(name: str, shape: tuple[int, ...], seed: int) -> Array:
    """Numbers that are evenly spread from -1 to 1."""
    index = np.arange(math.prod(shape)).reshape(shape)
    return 2.0 * random.uniform(index, seed, random.stream_of(name), 0).astype(np.float64) - 1.0


def node_of(network: Network, parameter: str) -> Node:
    """The first node that reads *parameter*."""
    return next(node for node in network.nodes if parameter in node.operands)


def of_oracle(model: Narrow, given: Mapping[str, Array]) -> Numbers:
    """What the oracle makes: inferred logits, then of a training step loss, spikes, gradients and statistics."""
    oracle = model.oracle(given)
    oracle.run("infer", model.arguments | {"valid": BATCH})
    found: Numbers = {"logits inferred": oracle.read("logits")}
    oracle.run("train_step", model.arguments)
    found["loss"] = oracle.read("loss")[:VALID]
    made = {record.name for record in oracle.records()}
    for node in model.neurons:
        found[f"{node.results[0]} fires"] = oracle.value(node.results[0])[:, :VALID] != 0
    for node in model.parameters:
        (name,) = node.results
        if name in model.statistics:
            found[f"{name} after"] = oracle.read(name)
        else:
            # A bias before a batch norm has no gradient to speak of, and the compiler may leave it out.
            shape = given[name].shape
            found[f"d.{name}"] = oracle.read(f"d.{name}") / LOSS_SCALE if f"d.{name}" in made else np.zeros(shape)
    return found


def of_pytorch(model: Narrow, given: Mapping[str, Array]) -> Numbers:
    """The same from the PyTorch peer; AssertionError where these numbers tell too little, see `check_telling`."""
    torch: Any = import_module("torch")
    torch.set_num_threads(1)
    benchmarks()
    peer: Any = import_module("benchmarks.peers.torch_network")
    graph: Any = import_module("benchmarks.graphs").graph_of(model.network, model.compilation.training_options)
    network = peer.Network(graph, given, "float64")
    (port,) = model.network.ports
    samples = 1 if port.type.timed else 0

    def first(array: Array, axis: int, count: int) -> Any:
        return torch.tensor(np.take(array, range(count), axis))

    def drawn(count: int) -> Numbers:
        return {name: first(array, array.ndim - array_of[name], count) for name, array in random.items()}

    random = model.random(given)
    array_of = {name: len(graph.values[name].shape) + 1 for name in random}
    with torch.no_grad():
        inferred = network.run(first(given[port.name], samples, BATCH), False, drawn(BATCH)).logits.numpy()
    found: Numbers = {"logits inferred": inferred}
    made = network.run(first(given[port.name], samples, VALID), True, drawn(VALID))
    losses = network.losses(made, torch.tensor(given["label"][:VALID]).long())
    losses.mean().backward()
    found["loss"] = losses.detach().numpy()
    for node in model.neurons:
        spikes, membrane = (made.values[name].detach().numpy() for name in node.results[:2])
        found[f"{node.results[0]} fires"] = spikes != 0
        margin = float(np.abs(membrane - cast(float, node.settings["threshold"])).min())
        assert margin > MARGIN, f"{node.results[0]}: a membrane is {margin} from its threshold"
    for name, value in network.statistics.items():
        found[f"{name} after"] = value.numpy()
    for name, value in network.parameters.items():
        found[f"d.{name}"] = value.grad.numpy()
    check_telling(model, found)
    return found


def check_telling(model: Narrow, numbers: Mapping[str, Array]) -> None:
    """AssertionError unless every layer of neurons fires, but not always, and every weight has a gradient."""
    for node in model.neurons:
        rate = numbers[f"{node.results[0]} fires"].mean()
        assert 0.01 < rate < 0.99, f"{node.results[0]} fires in {rate:.2%}"
    for node in model.parameters:
        (name,), (type,) = node.results, node.types
        assert not type.weight or np.abs(numbers[f"d.{name}"]).max() > 1e-6, f"{name} has no gradient"


def summary(numbers: Mapping[str, Array]) -> dict[str, Any]:
    """What of *numbers* a stored reference keeps: spikes as count and checksum, long arrays as norm and samples."""
    kept: dict[str, Any] = {}
    for name, array in numbers.items():
        if name.endswith(" fires"):
            bits = np.packbits(array.reshape(-1))
            kept[name] = [int(np.count_nonzero(array)), zlib.crc32(bits.tobytes())]
        else:
            flat = np.asarray(array, np.float64).reshape(-1)
            chosen = flat[:: max(1, -(-len(flat) // TELLING))]
            kept[name] = [float(f"{number:.13g}") for number in (float(np.linalg.norm(flat)), *chosen.tolist())]
    return kept


def stored() -> dict[str, tuple[int, int]]:
    """Models of which references are kept, each with its time steps and the seed of its numbers."""
    return {"srnn": (6, 2), "vgg11": (2, 2), "vgg11_dvs": (3, 2), "resnet18": (2, 2)}
