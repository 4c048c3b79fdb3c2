"""Learning rules in plain PyTorch, beside back-propagation through time, which is autograd's.

Online rules: a network that takes one step of time after the other, cut where a rule cuts.

Nothing passes back into the step before: what neurons and delays carry is detached.  Truncated back-propagation
detaches it between two windows of steps.  Under OTTT a weight learns from
the trace of the spikes that it reads: an operation whose value is that of the spikes, and whose gradient is that of
their trace.

Under OPZO nothing passes back through weights: noise is added to what is read of spikes, and the error of the result
comes to the spikes of every `lif` through a matrix, which follows what the result says to that noise.

Under DSR all steps go at once, and the error of spikes passes back by their rate: 1 over the threshold where the mean
input lies between 0 and the threshold.  Under SPIDE errors settle, see `torch_equilibrium`.

Tandem learning runs the spiking network without gradients first, and then another one on means, which takes one step:
neurons are a relu there, whose value is the mean of the spikes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from typing import Any

from . import torch_operators
from .graph import Node
from .torch_equilibrium import learn_at_equilibrium
from .torch_network import Network, Pass, Run

ONLINE = ("sltt", "sltt_k", "ottt_a", "ottt_o", "opzo")
RULES = (*ONLINE, "dsr", "spide", "tandem")
"""What `learn` can do."""

WEIGHING = {"linear", "conv1d", "conv2d", "conv_transpose2d"}
"""Operators whose weight gradient reads a trace."""

PASSING = {"flatten", "avg_pool1d", "avg_pool2d", "sum_pool2d", "adaptive_avg_pool2d", "global_avg_pool2d", "upsample"}
"""Operators of one value whose result has the trace that they make of that of their operand."""


class Online(Run):
    """A pass that stops after every step; nothing passes back over the border of a *window* of steps."""

    def __init__(self, network: Network, traced: bool, window: int = 1) -> None:
        super().__init__(network, training=True, drawn={})
        self._traced = traced
        self._window = window
        self._traces: dict[str, Any] = {}
        self._past: dict[str, list[Any]] = {}

    def step(self, inputs: Any, number: int) -> Any:
        """The result of step *number*, ``[1, n, ...]``; nothing passes back into the windows before."""
        network, graph = self._network, self._graph
        if number % self._window == 0:
            for states in self._states.values():
                states.update({name: value.detach() for name, value in states.items()})
            self._past = {name: [value.detach() for value in values] for name, values in self._past.items()}
        here = inputs[number : number + 1] if self._timed(graph.port) else inputs
        self.values = {**network.statistics, **network.parameters, graph.port: here}
        for node in graph.nodes:
            self.keep(node, self._delayed(node, here) if node.op == "delay" else self._traced_outcome(node, number))
        for node in graph.nodes:
            if node.op == "delay":
                self._past[node.results[0]].append(self.values[node.operands[0]])
                if self._traced and node.operands[0] in self._traces:
                    self._past.setdefault(f"{node.results[0]}.trace", []).append(self._traces[node.operands[0]])
        result = self.values[graph.result]
        return result if self._timed(graph.result) else result[None]

    def _delayed(self, node: Node, here: Any) -> Sequence[Any]:
        """What was there some steps ago, or silence."""
        name, steps = node.results[0], node.settings["steps"]
        past = self._past.setdefault(name, [])
        silence = self._silence(node, here.shape[1 if self._timed(self._graph.port) else 0])[:1]
        traces = self._past.get(f"{name}.trace", [])
        if self._traced:
            self._traces[name] = traces[-steps] if len(traces) >= steps else silence
        return [past[-steps] if len(past) >= steps else silence]

    def _traced_outcome(self, node: Node, number: int) -> Sequence[Any]:
        """The results of a node in this step; its trace follows."""
        if node.op == "dropout" and node.settings["mask"] == "batch" and node.results[0] not in self._drawn:
            x = self._lifted(node.operands[0], 1)
            kept = self._torch.rand(x.shape[1:]) >= node.settings["p"]
            self._drawn = {**self._drawn, node.results[0]: kept}
        traces = [self._traces.get(name) for name in node.operands]
        if node.op in WEIGHING and traces[0] is not None:
            return [self._weighed(node, traces[0])]
        made = self.outcome(node, number, 1)
        if self._traced:
            self._follow(node, made, traces, number)
        return made

    def _weighed(self, node: Node, trace: Any) -> Any:
        """The value of what is read, weighed; weights learn from its *trace*, and a bias reads nothing at all."""
        operator, _ = torch_operators.OPERATORS[node.op]
        x, *parameters = (self.values[name] for name in node.operands)
        held = [parameter.detach() for parameter in parameters]
        value = operator([x.flatten(0, 1), *held], node.settings).unflatten(0, x.shape[:2])
        learns = operator([trace.flatten(0, 1), *parameters], node.settings).unflatten(0, x.shape[:2])
        return value + learns - learns.detach()

    def _follow(self, node: Node, made: Sequence[Any], traces: Sequence[Any], number: int) -> None:
        """The trace of what a node has made, where it has one."""
        name = node.results[0]
        if node.op == "lif":
            before = self._traces.get(name)
            spikes = made[0].detach()
            self._traces[name] = spikes if before is None else node.settings["decay"] * before + spikes
        elif node.op in PASSING and traces[0] is not None:
            operator, _ = torch_operators.OPERATORS[node.op]
            self._traces[name] = operator([traces[0].flatten(0, 1)], node.settings).unflatten(0, traces[0].shape[:2])
        elif node.op in torch_operators.JOINING and all(trace is not None for trace in traces):
            self._traces[name] = torch_operators.JOINING[node.op](*traces)
        elif node.op == "dropout" and traces[0] is not None:
            kept = self._drawn.get(name)
            self._traces[name] = torch_operators.dropout(traces[0], node.settings, kept)


class Direct(Online):
    """Online, but errors come straight to spikes; matrices stay with the network from batch to batch."""

    def __init__(self, network: Network) -> None:
        super().__init__(network, traced=True)
        self._given = network.graph.rule
        wanted = {"perturb": "after", "antithetic": False, "feedback_update": "step", "noise": "rademacher"}
        if strange := sorted(name for name, value in wanted.items() if self._given.get(name, value) != value):
            raise ValueError(f"the PyTorch peer has no opzo with another {', '.join(strange)}")
        self._noisy = self._given["feedback"] != "dfa"
        self._spikes: dict[str, Any] = {}
        self._noise: dict[str, Any] = {}

    def keep(self, node: Node, results: Sequence[Any]) -> None:
        """What others read of spikes is disturbed, and takes no error back."""
        if node.op == "lif":
            name, spikes = node.results[0], results[0]
            self._spikes[name] = spikes
            z = self._torch.randint(0, 2, spikes.shape).to(spikes.dtype) * 2 - 1
            self._noise[name] = z
            results = [spikes.detach() + self._given["alpha"] * z * self._noisy, *results[1:]]
        super().keep(node, results)

    def arriving(self, y: Any, losses: Any, scale: float) -> Any:
        """A sum whose gradient by the spikes of a layer is the error that comes to it; the matrices follow before."""
        torch, given, matrices = self._torch, self._given, self._network.matrices
        (error,) = torch.autograd.grad(losses.mean() * scale, y, retain_graph=True)
        total: Any = 0.0
        for name, spikes in self._spikes.items():
            z, flat = self._noise[name][0].flatten(1), spikes[0].flatten(1)
            if given["feedback"] == "zo":
                total = total + (flat * z * (losses[:, None].detach() * scale / len(losses) / given["alpha"])).sum()
                continue
            if name not in matrices:
                matrices[name] = torch.empty(y.shape[-1], flat.shape[1]).uniform_(-1, 1) / flat.shape[1] ** 0.5
            if given["feedback"] == "learned":
                told = y[0].detach().T @ z / len(z) / (given["alpha"] if given["inverse_alpha"] else 1.0)
                matrices[name] = given["momentum"] * matrices[name] + (1 - given["momentum"]) * told
            total = total + (flat * (error[0] @ matrices[name])).sum()
        return total


class ByRates(Run):
    """A pass in which spikes pass errors back by their rates."""

    def _timed_outcome(
        self, node: Node, data: Sequence[Any], operands: Sequence[Any], states: dict[str, Any], first: int
    ) -> Sequence[Any]:
        """The spikes of `lif` are those that it fires; their gradient is that of a clamp of the weighted mean."""
        made = super()._timed_outcome(node, data, operands, states, first)
        if node.op != "lif":
            return made
        given = node.settings
        weights = data[0].new_tensor([given["decay"] ** (len(data[0]) - 1 - step) for step in range(len(data[0]))])
        shares = (weights / weights.sum()).reshape(-1, *(1,) * (data[0].dim() - 1))
        rho = given["gain"] * (1 - given["decay"] if given["decay_input"] else 1.0)
        return [_passed_by_rate(data[0], made[0].detach(), shares, rho, given), *made[1:]]


def _passed_by_rate(current: Any, spikes: Any, shares: Any, rho: float, given: Mapping[str, Any]) -> Any:
    """*spikes*, whose errors reach *current* by their rate: all of a sample together, and each step gets its part."""
    torch: Any = import_module("torch")
    mean = rho * (shares * current.detach()).sum(0)
    slope = given["amplitude"] * rho / given["threshold"] * ((mean > 0) & (mean < given["threshold"])).to(mean.dtype)

    class ByRate(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return spikes.clone()

        @staticmethod
        def backward(ctx: Any, *errors: Any) -> Any:
            return ((shares * errors[0]).sum(0) * slope).expand_as(errors[0])

    return ByRate.apply(current)


class ByCounts(Run):
    """A pass over means of what spikes, with statistics of the batch; spikes have seen the running ones before."""

    def all_steps(self, inputs: Any) -> Pass:
        """The one step that there is."""
        network, graph = self._network, self._graph
        with self._torch.no_grad():
            spikes = Run(network, training=False, drawn=self._drawn).all_steps(inputs).values
        image = inputs.mean(0, keepdim=True) if self._timed(graph.port) else inputs
        self.values = {**network.statistics, **network.parameters, graph.port: image}
        for node in graph.nodes:
            if node.op == "lif":
                name, given = node.results[0], node.settings
                gain = given["amplitude"] * given["gain"] / given["threshold"]
                answer: Any = gain * self._lifted(node.operands[0], 1).relu()
                self.values[name] = answer + (spikes[name].mean(0, keepdim=True) - answer).detach()
            elif node.op in ("dropout", "poisson"):
                raise ValueError(f"{node.results[0]}: the PyTorch peer draws no {node.op} twice")
            else:
                self.keep(node, self.outcome(node, 0, 1))
        return Pass(self.values, self.values[graph.result])


RUNS: Mapping[str, type[Run]] = {"bptt": Run, "dsr": ByRates, "tandem": ByCounts}
"""The pass of each rule under which all steps go before any error comes back."""


def learn(
    network: Network, optimizer: Any, inputs: Any, labels: Any, chosen: Collection[int], scale: float = 1.0
) -> tuple[Any, Any]:
    """Train on a batch under the rule of the network's graph: (loss of each sample, logits).

    Errors follow in the *chosen* steps; gradients are those of the mean loss times *scale*, and are left behind.
    """
    graph = network.graph
    rule, steps = str(graph.rule["name"]), graph.steps
    if rule == "spide":
        optimizer.zero_grad()
        losses, logits = learn_at_equilibrium(network, inputs, labels)
        network.clip()
        optimizer.step()
        return losses, logits
    window = 1 if rule in ONLINE else int(graph.rule.get("window", 0)) % steps
    if not window:
        made = RUNS[rule](network, training=True, drawn={}).all_steps(inputs)
        losses = network.losses(made, labels)
        optimizer.zero_grad()
        (losses.mean() * scale).backward()
        network.clip()
        optimizer.step()
        return losses.detach(), made.logits.detach()
    online = Direct(network) if rule == "opzo" else Online(network, rule.startswith("ottt"), window)
    often = rule == "ottt_o" or (rule == "bptt" and graph.rule["update"] == "window")
    losses, logits = 0.0, 0.0
    waiting: list[Any] = []
    optimizer.zero_grad()
    for step in range(steps):
        y = online.step(inputs, step)
        loss = network.losses(Pass(online.values, y), labels) / steps
        losses, logits = losses + loss.detach(), logits + y.detach()[0] / steps
        if step in chosen:
            straight = online.arriving(y, loss, scale) if isinstance(online, Direct) else 0.0
            waiting.append(loss.mean() * scale + straight)
        if waiting and (step + 1) % window == 0:
            if often:
                optimizer.zero_grad()
            total: Any = sum(waiting)
            total.backward()
            waiting.clear()
            if often:
                network.clip()
                optimizer.step()
    if not often:
        network.clip()
        optimizer.step()
    return losses, logits
