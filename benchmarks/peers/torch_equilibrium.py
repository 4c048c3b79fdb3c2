"""Errors at equilibrium in plain PyTorch: spikes go forward without autograd, and errors back through their rates.

A neuron is cut out of that graph: what it reads is a function of the rates of others, and its own rate begins anew.
Errors then pass from what a neuron reads to the rates that it reads, in each turn of the sweep; those that come through
a delay are handed on in the turn after.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .graph import Node
from .torch_network import Network, Pass, Run
from .torch_neurons import LIF

FIRING = ("if", "lif")


class AtRates(Run):
    """A pass over means of time, in which rates of neurons, and what delays bring back of them, are leaves."""

    def __init__(self, network: Network, rates: dict[str, Any]) -> None:
        super().__init__(network, training=True, drawn={})
        self.now = {name: rate.clone().requires_grad_() for name, rate in rates.items()}
        self.back: dict[str, tuple[str, Any]] = {}
        """By the name of a delay: whose rate it brings back, and that rate."""

        self.currents: dict[str, Any] = {}
        """What each neuron reads."""

    def walk(self, inputs: Any) -> Any:
        """What the loss reads, *inputs* being means too."""
        network, graph = self._network, self._graph
        self.values = {**network.parameters, graph.port: inputs}
        for node in graph.nodes:
            if node.op == "delay":
                source = node.operands[0]
                if source not in self.now:
                    raise ValueError(f"{node.results[0]}: the PyTorch peer brings back spikes alone under spide")
                leaf = self.now[source].detach().clone().requires_grad_()
                self.back[node.results[0]] = source, leaf
                self.keep(node, [leaf])
            elif node.op in FIRING:
                self.currents[node.results[0]] = self.values[node.operands[0]]
                self.keep(node, [self.now[node.results[0]]])
            elif node.op == "dropout":
                raise ValueError(f"{node.results[0]}: the PyTorch peer has no dropout under spide")
            else:
                self.keep(node, self.outcome(node, 0, 1))
        return self.values[graph.result]


def learn_at_equilibrium(network: Network, inputs: Any, labels: Any) -> tuple[Any, Any]:
    """Leave behind the gradients of the mean loss; (loss of each sample, logits).

    Errors that are fired are those of each sample by itself, as with a loss scale of the batch.
    """
    torch: Any = import_module("torch")
    graph, given = network.graph, network.graph.rule
    with torch.no_grad():
        made = Run(network, training=True, drawn={}).all_steps(inputs)
    neurons = {node.results[0]: node for node in graph.nodes if node.op in FIRING}
    spikes = {name: made.values[name] for name in neurons}
    rested = {name: (of == 0).any(0) & (of != 0).any(0) for name, of in spikes.items()}
    run = AtRates(network, {name: of.mean(0, keepdim=True) for name, of in spikes.items()})
    answer = run.walk(inputs.mean(0, keepdim=True) if graph.values[graph.port].timed else inputs)
    logits = made.logits.detach().requires_grad_()
    losses = network.losses(Pass({}, logits[None]), labels)
    (of_answer,) = torch.autograd.grad(losses.sum(), logits)
    of_answer = of_answer[None]

    leaves = {**{name: (name, leaf) for name, leaf in run.now.items()}, **run.back}
    error = {name: torch.zeros_like(leaf) for name, leaf in run.now.items()}
    found = torch.autograd.grad(
        answer, [leaf for _, leaf in leaves.values()], of_answer, retain_graph=True, allow_unused=True
    )
    for (name, _), part in zip(leaves.values(), found, strict=True):
        error[name] = error[name] if part is None else error[name] + part

    gains = {name: _gain(node) * rested[name] for name, node in neurons.items()}
    settled = _sweep(run, neurons, error, gains, given)
    total = (answer * of_answer).sum()
    for name, current in run.currents.items():
        total = total + (current * settled[name]).sum()
    (total / len(labels)).backward()
    return losses.detach(), logits.detach()


def _gain(node: Node) -> float:
    """How much of an error of what spikes are worth comes to what the neuron reads."""
    given = {**LIF, "decay": 1.0, **node.settings}
    rho = given["gain"] * (1 - given["decay"] if given["decay_input"] else 1.0)
    return given["amplitude"] * rho / given["threshold"]


def _sweep(
    run: AtRates, neurons: dict[str, Node], error: dict[str, Any], gains: dict[str, Any], given: Any
) -> dict[str, Any]:
    """The error that settles at what each neuron reads."""
    torch: Any = import_module("torch")
    turns, fires = int(given["steps"]), given["solver"] == "spikes"
    threshold, worth = given["threshold"], given["worth"] * given["threshold"]
    potential = {name: torch.zeros_like(of) for name, of in error.items()}
    sums = {name: torch.zeros_like(of) for name, of in error.items()}
    late = {name: torch.zeros_like(of) for name, of in error.items()}

    def passed(leaves: list[Any], delta: dict[str, Any]) -> list[Any]:
        readers = list(delta)
        if not readers or not leaves:
            return [None for _ in leaves]
        currents = [run.currents[name] for name in readers]
        return list(
            torch.autograd.grad(currents, leaves, [delta[n] for n in readers], retain_graph=True, allow_unused=True)
        )

    for _ in range(turns):
        delta: dict[str, Any] = {}
        for name in reversed(neurons):
            amplitude = neurons[name].settings.get("amplitude", 1.0)
            (ahead,) = passed([run.now[name]], delta)
            arrived = error[name] + late[name] + (0 if ahead is None else ahead)
            if fires:
                potential[name] = potential[name] + amplitude * arrived
                s = (potential[name] >= threshold).to(arrived.dtype) - (potential[name] <= -threshold).to(arrived.dtype)
                potential[name] = potential[name] - worth * s
                arrived = worth * s / amplitude
            delta[name] = gains[name] * arrived
            sums[name] = sums[name] + delta[name] if fires else delta[name]
        late = {name: torch.zeros_like(of) for name, of in error.items()}
        found = passed([leaf for _, leaf in run.back.values()], delta)
        for (name, _), part in zip(run.back.values(), found, strict=True):
            late[name] = late[name] if part is None else late[name] + part
    return {name: of / turns if fires else of for name, of in sums.items()}
