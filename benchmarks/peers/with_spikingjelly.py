"""SpikingJelly as a peer, on PyTorch's CPU build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .graph import Node
from .job import Job
from .neurons import leaky, scaled
from .torch_step import Neuron, TorchStep
from .worker import Refused, serve

SURROGATES = {"atan": "ATan", "erf": "Erf", "rect": "Rect", "sigmoid": "Sigmoid", "triangle": "PiecewiseQuadratic"}
"""Its names for the same derivatives; each takes alpha."""


class SpikingJelly:
    """`LIFNode` and `IFNode`, over all steps in one call or a call a step."""

    ways = "multi-step", "single steps"

    def __init__(self) -> None:
        self.versions: Mapping[str, str] = {"spikingjelly": version("spikingjelly")}

    def neuron(self, node: Node, way: str) -> Neuron:
        """See `torch_step.Framework`."""
        torch: Any = import_module("torch")
        neurons: Any = import_module("spikingjelly.activation_based.neuron")
        surrogates: Any = import_module("spikingjelly.activation_based.surrogate")
        wanted = leaky(node)
        name = wanted.surrogate["name"]
        if name not in SURROGATES:
            raise Refused(f"SpikingJelly has no surrogate {name}")
        settings: dict[str, Any] = {
            "v_threshold": wanted.threshold,
            "v_reset": None if wanted.soft else 0.0,
            "surrogate_function": getattr(surrogates, SURROGATES[name])(alpha=wanted.surrogate["alpha"]),
            "detach_reset": False,
            "step_mode": "m" if way == "multi-step" else "s",
        }
        if wanted.decay == 1.0:
            module = neurons.IFNode(**settings)
        else:
            module = neurons.LIFNode(tau=1 / (1 - wanted.decay), decay_input=False, **settings)

        def run(currents: Any) -> Any:
            module.reset()
            if way == "multi-step":
                spikes = module(currents)
            else:
                spikes = torch.cat([module(current) for current in currents]).unflatten(0, currents.shape[:2])
            return scaled(spikes, wanted.amplitude)

        return run


FRAMEWORK = SpikingJelly


def make(job: Job, _: Path, options: Sequence[str]) -> TorchStep:
    """The peer."""
    return TorchStep(job, FRAMEWORK(), compile="compile" in options)


if __name__ == "__main__":
    serve(make)
