"""Training steps and inference of a graph in PyTorch, with the neurons of a framework: what its peers have in common.

Layers, loss and optimizer are those of `torch_network`; a framework brings its neurons.  Before anything is timed, the
ways in which a user may lay out tensors and call the framework are tried, and the fastest stays.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from statistics import median
from time import process_time
from typing import Any, Protocol

from .graph import Node
from .job import Array, Job, Mode
from .torch_network import Network, Pass
from .worker import Refused

Neuron = Callable[[Any], Any]
"""Spikes ``[t, n, ...]`` of currents ``[t, n, ...]``, from the initial state on."""

TRIALS, ENOUGH = 4, 2.0
"""Steps by which a way is judged, and seconds after which there are no more; the first of them is left out."""


class Framework(Protocol):
    """Where neurons come from.  *ways* are the names of the framework's own ways to run them over time."""

    @property
    def ways(self) -> Sequence[str]:
        """The first is taken where nobody asks for another."""
        ...

    @property
    def versions(self) -> Mapping[str, str]:
        """Of the framework, by name."""
        ...

    def neuron(self, node: Node, way: str) -> Neuron:
        """The neuron of an `if` or `lif` node; Refused where the framework has none that computes the same."""
        ...


@dataclass(frozen=True)
class Way:
    """*layout* of images and weights, the framework's *call* over time, and whether the forward pass is *compiled*."""

    layout: str
    call: str
    compiled: bool = False

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.layout, self.call, "torch.compile" if self.compiled else "")))


class TorchStep:
    """A network with a framework's neurons in the fastest of its ways, or in *way*."""

    def __init__(
        self, job: Job, framework: Framework, dtype: str = "float32", way: Way | None = None, compile: bool = False
    ) -> None:
        self._torch: Any = import_module("torch")
        self._job, self._framework, self._dtype = job, framework, dtype
        self._torch.set_num_threads(1)
        self._build(way or Way("channels_last", framework.ways[0]))
        told = ""
        if way is None:
            chosen, tried = self._fastest(compile)
            self._build(chosen)
            told = f" ({tried})"
        self.versions = {"python": platform.python_version(), "torch": str(self._torch.__version__)}
        self.versions |= framework.versions
        self.notes = f"{self._way}{told}; fused optimizer; the first sum is computed once, as snnc does"

    def _build(self, way: Way) -> None:
        """The network from its first parameters on."""
        torch, job = self._torch, self._job
        self._way = way
        self.network = Network(job.graph, job.parameters, self._dtype)
        if any(cyclic for _, cyclic in self.network.groups):
            raise Refused("frameworks run a neuron over all steps at once, which feedback does not allow")
        self.firing = job.graph.neurons
        for node in self.firing:
            self.network.neurons[node.results[0]] = self._framework.neuron(node, way.call)
        self._format: Any = getattr(torch, way.layout)
        for name, value in self.network.parameters.items():
            self.network.parameters[name] = self._laid_out(value.detach()).requires_grad_()
        self.optimizer: Any = self.network.optimizer(fused=True)
        for group in self.optimizer.param_groups:
            group["lr"] = job.rate
        self._forward: Any = torch.compile(self.network.run) if way.compiled else self.network.run
        self._spikes: dict[str, Any] = {}

    def _fastest(self, compile: bool) -> tuple[Way, str]:
        """The way whose training steps take least, and what all of them took."""
        images, labels = self._job.images[0], self._job.labels[0]
        taken: dict[Way, float] = {}
        failed: list[str] = []
        for way in self._ways(compile):
            try:
                self._build(way)
                self.step(images, labels, Mode())
                seconds: list[float] = []
                while len(seconds) < TRIALS and sum(seconds) < ENOUGH:
                    begun = process_time()
                    self.step(images, labels, Mode())
                    seconds.append(process_time() - begun)
            except Exception as error:  # what PyTorch cannot compile is run as it is, and told
                if not way.compiled:
                    raise
                failed.append(f"{way} fails: {type(error).__name__}")
                continue
            taken[way] = median(seconds)
        tried = "; ".join([*(f"{way} {1e3 * seconds:.0f} ms" for way, seconds in taken.items()), *failed])
        return min(taken, key=lambda way: taken[way]), f"tried: {tried}"

    def _ways(self, compile: bool) -> Iterator[Way]:
        flat = all(len(value.shape) < 4 for value in self._job.graph.values.values() if value.weight)
        for layout in ("contiguous_format",) if flat else ("channels_last", "contiguous_format"):
            for call in self._framework.ways:
                yield Way(layout, call)
        if compile:
            yield Way("contiguous_format" if flat else "channels_last", self._framework.ways[0], True)

    def _laid_out(self, value: Any) -> Any:
        return value.to(memory_format=self._format) if value.dim() == 4 else value

    def made(self, images: Array, training: bool, precision: str = "f32") -> Pass:
        """A forward pass."""
        torch, graph = self._torch, self._job.graph
        x: Any = torch.from_numpy(images).to(getattr(torch, self._dtype))
        x = x.reshape(len(images), *graph.values[graph.port].shape)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            made = self._forward(self._laid_out(x), training)
        self._spikes = {node.results[0]: made.values[node.results[0]].detach() for node in self.firing}
        return made

    def gradients(self, images: Array, labels: Array, precision: str = "f32") -> Any:
        """Forward and backward; the mean loss."""
        self.optimizer.zero_grad()
        made = self.made(images, True, precision)
        losses = self.network.losses(made, self._torch.from_numpy(labels.astype("int64")))
        loss = losses.float().mean() if precision == "bf16" else losses.mean()
        loss.backward()
        return loss

    def step(self, images: Array, labels: Array, mode: Mode) -> float | None:
        """One training step, or a forward pass with running statistics."""
        torch = self._torch
        if torch.get_num_threads() != mode.threads:
            torch.set_num_threads(mode.threads)
        if mode.entry == "inference":
            with torch.no_grad():
                self.made(images, False, mode.precision).logits.argmax(1).numpy()
            return None
        loss = self.gradients(images, labels, mode.precision)
        self.network.clip()
        self.optimizer.step()
        return float(loss.item())

    def spike_rates(self) -> Mapping[str, float]:
        """Of the last step."""
        return {name: float((spikes != 0).float().mean()) for name, spikes in self._spikes.items()}
