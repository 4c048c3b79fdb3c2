"""Parameters that have seen some batches, and thresholds at which every layer fires as often as is asked for.

    python -m benchmarks.peers.prepare FOLDER TRAIN SURROGATES RATE ...

A network as it is drawn hardly fires, so the job's first TRAIN batches are trained on, in plain PyTorch.  Then, for
each rate, layer after layer gets the threshold at which it fires at that rate in the next batch, with those before it
as they were just set; once as in training and once as in inference.  SURROGATES is a JSON object of calls, of each of
which it is told which windows are open then.  Prints JSON, and writes parameters.npz in the folder anew.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import numpy as np

from . import torch_neurons
from .bisection import threshold_for
from .graph import Node
from .job import Array, Entry, Mode, load
from .torch_step import Neuron, TorchStep, Way

Call = Mapping[str, Any]
"""Of a surrogate, as `graph` has it."""


class Plain:
    """The equations of `torch_neurons`, for autograd."""

    ways = ("single steps",)
    versions: Mapping[str, str] = {}

    def neuron(self, node: Node, way: str) -> Neuron:
        """See `torch_step.Framework`."""
        return lambda currents: torch_neurons.lif(currents, _settings(node), {})[0]


def _settings(node: Node) -> dict[str, Any]:
    return {"decay": 1.0, **node.settings}


class Calibrated:
    """A neuron that looks for the threshold at which it fires at a *rate*, and fires with that."""

    def __init__(self, node: Node, rate: float, surrogates: Mapping[str, Call]) -> None:
        self._node, self._rate, self._surrogates = node, rate, surrogates
        self.threshold = self.fired = 0.0
        self.open: dict[str, float] = {}

    def __call__(self, currents: Any) -> Any:
        """*threshold*, the rate that it gives (*fired*), and the share of open windows of each surrogate."""
        given = _settings(self._node)

        def run(threshold: float) -> tuple[Any, Any]:
            return torch_neurons.lif(currents, {**given, "threshold": threshold}, {})

        def rate_of(threshold: float) -> float:
            return float((run(threshold)[0] != 0).float().mean())

        self.threshold, self.fired = threshold_for(rate_of, self._rate, given["threshold"])
        spikes, membranes = run(self.threshold)
        for told, call in self._surrogates.items():
            slope = torch_neurons.SURROGATES[call["name"]](membranes - self.threshold, call)
            self.open[told] = float((slope != 0).float().mean())
        return spikes


def calibrate(
    step: TorchStep, images: Array, rate: float, entry: Entry, surrogates: Mapping[str, Call]
) -> dict[str, dict[str, Any]]:
    """Thresholds and the rates that they give, by layer, and open windows by surrogate and layer."""
    neurons = {node.results[0]: Calibrated(node, rate, surrogates) for node in step.firing}
    step.network.neurons.update(neurons)
    _look(step, images, entry)
    return {
        "thresholds": {name: each.threshold for name, each in neurons.items()},
        "rates": {name: each.fired for name, each in neurons.items()},
        "open": {told: {name: each.open[told] for name, each in neurons.items()} for told in surrogates},
    }


def _look(step: TorchStep, images: Array, entry: Entry) -> None:
    """A forward pass that leaves nothing behind, running statistics included."""
    statistics = step.network.statistics
    before = {name: value.clone() for name, value in statistics.items()}
    with import_module("torch").no_grad():
        step.made(images, entry == "training")
    for name, value in before.items():
        statistics[name].copy_(value)


def main() -> None:
    """See the module."""
    folder, train, surrogates = Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])
    rates = [float(each) for each in sys.argv[4:]]
    job = load(folder)
    step = TorchStep(job, Plain(), way=Way("channels_last", Plain.ways[0]))
    losses = [step.step(job.images[number], job.labels[number], Mode()) for number in range(train)]
    parameters: dict[str, Any] = {**step.network.statistics, **step.network.parameters}
    np.savez(folder / "parameters.npz", **{name: value.detach().numpy() for name, value in parameters.items()})
    images = job.images[train]
    found: dict[str, Any] = {"losses": losses, "rates": {}}
    for entry in get_args(Entry):
        _look(step, images, entry)
        found["rates"][entry] = dict(step.spike_rates())
    for rate in rates:
        found[f"{rate:g}"] = {entry: calibrate(step, images, rate, entry, surrogates) for entry in get_args(Entry)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
