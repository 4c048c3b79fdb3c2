"""Runs and trains the graph of a network in plain PyTorch; gradients are those of autograd.

Nothing in it comes from snnc but the graph: operators are those of torch.nn.functional, neurons the equations of
`torch_neurons`.  Nodes run over all time steps at once, but for those of a cycle, which take each step together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from importlib import import_module
from typing import Any

import numpy as np

from . import torch_neurons, torch_operators
from .graph import Graph, Node

SETTINGS = {
    "batch_norm": {"scope", "eps", "momentum", "affine", "shift", "frozen"},
    "delay": {"steps"},
    "dropout": {"p", "mask"},
    "if": {*torch_neurons.LIF, "threshold", "surrogate", "tape"} - {"decay_input", "rest", "gain"},
    "li": {"decay", "decay_input", "gain", "initial", "rest"},
    "lif": {*torch_neurons.LIF, "decay", "threshold", "surrogate", "tape"},
    "parameter": {"init"},
    "poisson": set[str](),
    "scale": {"each", "factor"},
    "standardise": {"eps", "learn_gain"},
    **{name: known for name, (_, known) in torch_operators.OPERATORS.items()},
    **{name: set[str]() for name in torch_operators.JOINING},
}
"""Every operator, and the settings that it is written for."""


def check(graph: Graph) -> None:
    """ValueError for an operator or a setting that the peer does not know."""
    for node in graph.nodes:
        if node.op not in SETTINGS:
            raise ValueError(f"{node.results[0]}: the PyTorch peer has no {node.op}")
        if strange := sorted(set(node.settings) - SETTINGS[node.op]):
            raise ValueError(f"{node.results[0]}: the PyTorch peer has no {node.op} with {', '.join(strange)}")


@dataclass(frozen=True)
class Pass:
    """What a forward pass made: every value by name, timed ones as ``[t, n, ...]``, and the result as such."""

    values: Mapping[str, Any]
    result: Any

    @property
    def logits(self) -> Any:
        """The mean over time."""
        return self.result.mean(0)


class Network:
    """*parameters* by name as arrays, running statistics among them; ValueError for what the peer cannot do."""

    def __init__(self, graph: Graph, parameters: Mapping[str, Any], dtype: str = "float32") -> None:
        check(graph)
        self._torch: Any = import_module("torch")
        self.graph = graph
        self._type: Any = getattr(self._torch, dtype)
        self.statistics: dict[str, Any] = {name: self.tensor(parameters[name]) for name in graph.statistics}
        self.parameters: dict[str, Any] = {
            name: self.tensor(parameters[name]).requires_grad_() for name in graph.learned
        }
        self.groups = list(_groups(graph))
        self.neurons: dict[str, Callable[[Any], Any]] = {}
        """Neurons of a framework by the value that they fire: spikes of currents, both over all steps."""
        self.matrices: dict[str, Any] = {}
        """Those that bring errors straight to layers, by what the layer fires; where a rule has some."""

    def tensor(self, array: Any) -> Any:
        """A copy of an array in the network's format."""
        return self._torch.tensor(np.asarray(array), dtype=self._type)

    def run(self, inputs: Any, training: bool, drawn: Mapping[str, Any] | None = None) -> Pass:
        """Forward over *inputs*, ``[t, n, ...]`` or, where they are the same in all steps, ``[n, ...]``.

        *drawn* has, by the name of the result, spikes of `poisson` and masks of `dropout` (what is kept, as bool), of
        each step or of all; what is not there is drawn by PyTorch.
        """
        return Run(self, training, drawn or {}).all_steps(inputs)

    def losses(self, made: Pass, labels: Any) -> Any:
        """The loss of each sample."""
        functional: Any = self._torch.nn.functional
        given, y = self.graph.loss, made.result
        one_hot = functional.one_hot(labels, y.shape[-1]).to(y.dtype)
        match given["name"]:
            case "cross_entropy":
                return functional.cross_entropy(made.logits, labels, reduction="none")
            case "mse_rate":
                return (made.logits - one_hot).square().mean(1)
            case "cross_entropy_mse":
                entropy = self._torch.stack([functional.cross_entropy(each, labels, reduction="none") for each in y])
                wanted = one_hot if given["target"] == "onehot" else given["level"]
                square = (y - wanted).square().mean(2)
                return ((1 - given["lam"]) * entropy + given["lam"] * square).mean(0)
            case other:
                raise ValueError(f"the PyTorch peer has no loss {other}")

    def optimizer(self, **how: Any) -> Any:
        """The graph's, over all parameters; *how* PyTorch does it (``fused``)."""
        given = dict(self.graph.optimizer)
        name, decay = given.pop("name"), given.pop("weight_decay")
        spares = given.pop("decay_on") == "weights"
        groups: dict[float, list[Any]] = {}
        for parameter, tensor in self.parameters.items():
            decays = not spares or self.graph.values[parameter].weight
            groups.setdefault(decay if decays else 0.0, []).append(tensor)
        listed = [{"params": tensors, "weight_decay": each} for each, tensors in groups.items()]
        optim: Any = self._torch.optim
        if name == "sgd":
            return optim.SGD(listed, lr=given["lr"], momentum=given["momentum"], **how)
        kinds = {"adam": optim.Adam, "adamw": optim.AdamW}
        if name not in kinds:
            raise ValueError(f"the PyTorch peer has no optimizer {name}")
        betas = given["beta1"], given["beta2"]
        return kinds[name](listed, lr=given["lr"], betas=betas, eps=given["eps"], **how)

    def clip(self) -> None:
        """Clip gradients as the graph says."""
        clipping: Any = self._torch.nn.utils
        match self.graph.clip["name"]:
            case "norm":
                clipping.clip_grad_norm_(self.parameters.values(), self.graph.clip["limit"])
            case "value":
                clipping.clip_grad_value_(self.parameters.values(), self.graph.clip["limit"])
            case _:
                pass


class Run:
    """A forward pass in the making."""

    def __init__(self, network: Network, training: bool, drawn: Mapping[str, Any]) -> None:
        self._torch: Any = import_module("torch")
        self._network, self._graph = network, network.graph
        self._training, self._drawn = training, drawn
        self._states: dict[str, dict[str, Any]] = {}
        self.values: dict[str, Any] = {}

    def all_steps(self, inputs: Any) -> Pass:
        """Forward over *inputs*, node after node, but for those of a cycle."""
        network, graph = self._network, self._graph
        self.values = {**network.statistics, **network.parameters, graph.port: inputs}
        for group, cyclic in network.groups:
            if cyclic:
                self.cycle(group)
            else:
                (node,) = group
                self.keep(node, self.outcome(node, 0, graph.steps))
        result = self.values[graph.result]
        return Pass(self.values, result if self._timed(graph.result) else result.expand(graph.steps, *result.shape))

    def keep(self, node: Node, results: Sequence[Any]) -> None:
        """Give results their names."""
        self.values.update(zip(node.results, results, strict=False))

    def cycle(self, nodes: Sequence[Node]) -> None:
        """All of *nodes* in one step, then all in the next."""
        made: dict[str, list[Any]] = {name: [] for node in nodes for name in node.results}
        outer = self.values
        delays = [node for node in nodes if node.op == "delay"]
        port = self._graph.port
        samples = outer[port].shape[1 if self._timed(port) else 0]
        histories = {node.results[0]: self._silence(node, samples) for node in delays}
        for step in range(self._graph.steps):
            self.values = {name: self._at(name, value, step) for name, value in outer.items()}
            for node in nodes:
                if node.op == "delay":
                    self.keep(node, [histories[node.results[0]][:1]])
                else:
                    self.keep(node, self.outcome(node, step, 1))
            for node in delays:
                past = histories[node.results[0]]
                histories[node.results[0]] = self._torch.cat([past[1:], self.values[node.operands[0]]])
            for name, parts in made.items():
                if name in self.values:
                    parts.append(self.values[name])
        self.values = outer | {name: self._torch.cat(parts) for name, parts in made.items() if parts}

    def outcome(self, node: Node, first: int, count: int) -> Sequence[Any]:
        """The results of a node in *count* steps from *first* on, which its operands hold."""
        operands = [self.values[name] for name in node.operands]
        states = self._states.setdefault(node.results[0], {})
        given = node.settings
        if node.op == "parameter":
            return [self.values[node.results[0]]]
        if node.op == "standardise":
            return [torch_operators.standardise(operands, given)]
        if node.op in torch_operators.OPERATORS:
            operator, _ = torch_operators.OPERATORS[node.op]
            if not self._timed(node.operands[0]):
                return [operator(operands, given)]
            x = operands[0]
            return [operator([x.flatten(0, 1), *operands[1:]], given).unflatten(0, x.shape[:2])]
        data = [self._lifted(name, count) for name in node.operands if self._graph.values[name].batched]
        made = self._timed_outcome(node, data, operands, states, first)
        return [each if self._timed(name) else each[0] for name, each in zip(node.results, made, strict=False)]

    def _timed_outcome(
        self, node: Node, data: Sequence[Any], operands: Sequence[Any], states: dict[str, Any], first: int
    ) -> Sequence[Any]:
        """The results of an operator that looks at steps; *data* are its operands that are no parameters, over time."""
        given, name = node.settings, node.results[0]
        if name in self._network.neurons:
            return [self._network.neurons[name](data[0])]
        match node.op:
            case "lif":
                return torch_neurons.lif(data[0], given, states, *operands[1:])
            case "if":
                return torch_neurons.lif(data[0], {**given, "decay": 1.0}, states, *operands[1:])
            case "li":
                return [torch_neurons.li(data[0], given, states)]
            case "delay":
                silence = self._silence(node, data[0].shape[1])
                return [self._torch.cat([silence, data[0]])[: len(data[0])]]
            case "batch_norm":
                return [torch_operators.batch_norm(data[0], operands[1:], given, self._training, first)]
            case "scale":
                return [torch_operators.scale(data[0], operands[1], given, first)]
            case "dropout":
                kept = self._drawn.get(name)
                if kept is not None and given["mask"] == "step":
                    kept = kept[first : first + len(data[0])]
                return [torch_operators.dropout(data[0], given, kept) if self._training else data[0]]
            case "poisson":
                drawn = self._drawn.get(name)
                return [(self._torch.rand(data[0].shape) < data[0]).to(data[0].dtype) if drawn is None else drawn]
            case op:
                return [torch_operators.JOINING[op](*data)]

    def _timed(self, name: str) -> bool:
        return self._graph.values[name].timed

    def _lifted(self, name: str, count: int) -> Any:
        """A value as ``[t, n, ...]``, also where it is the same in all steps."""
        value = self.values[name]
        return value if self._timed(name) else value.expand(count, *value.shape)

    def _at(self, name: str, value: Any, step: int) -> Any:
        """What a value is in a step; a parameter with a time axis stays whole."""
        declared = self._graph.values[name]
        return value[step : step + 1] if declared.timed and declared.batched else value

    def _silence(self, node: Node, samples: int) -> Any:
        """What a delay answers before there is anything."""
        shape = node.settings["steps"], samples, *self._graph.values[node.results[0]].shape
        return self._network.tensor(0.0).expand(shape)


def _groups(graph: Graph) -> Iterator[tuple[list[Node], bool]]:
    """Nodes in an order in which each finds its operands; those of a cycle together, and whether they are one."""
    maker = {name: place for place, node in enumerate(graph.nodes) for name in node.results}
    reads = [{maker[name] for name in node.operands if name in maker} for node in graph.nodes]

    def behind(place: int) -> set[int]:
        """All nodes that *place* depends on."""
        found, waiting = set[int](), list(reads[place])
        while waiting:
            each = waiting.pop()
            if each not in found:
                found.add(each)
                waiting += reads[each]
        return found

    needs = [behind(place) for place in range(len(graph.nodes))]
    leader = [
        min((other for other in needs[place] if place in needs[other]), default=place)
        for place in range(len(graph.nodes))
    ]
    order = TopologicalSorter({place: set[int]() for place in sorted(set(leader))})
    for place, operands in enumerate(reads):
        order.add(leader[place], *sorted({leader[each] for each in operands} - {leader[place]}))
    for first in order.static_order():
        members = [place for place in range(len(graph.nodes)) if leader[place] == first]
        yield [graph.nodes[place] for place in members], any(place in needs[place] for place in members)
