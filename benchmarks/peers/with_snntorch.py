"""snnTorch as a peer, on PyTorch's CPU build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .graph import Node
from .job import Job
from .neurons import leaky, scaled
from .torch_neurons import SURROGATES
from .torch_step import Neuron, TorchStep
from .worker import Refused, serve

OWN = {"atan": ("atan", "alpha"), "sigmoid": ("sigmoid", "slope")}
"""Its own surrogates of the same derivative, and what they call its setting; others are its custom ones."""


class SnnTorch:
    """`Leaky`, a call a step, without its resets: those are delayed where a membrane stays above the threshold.

    The reset that follows a spike at once, and that errors pass, is an operation behind the call.
    """

    ways = ("single steps",)

    def __init__(self) -> None:
        self.versions: Mapping[str, str] = {"snntorch": version("snntorch")}

    def neuron(self, node: Node, way: str) -> Neuron:
        """See `torch_step.Framework`."""
        torch: Any = import_module("torch")
        snntorch: Any = import_module("snntorch")
        wanted = leaky(node)
        module: Any = snntorch.Leaky(
            beta=wanted.decay,
            threshold=wanted.threshold,
            spike_grad=_surrogate(wanted.surrogate),
            reset_mechanism="none",
        )

        def run(currents: Any) -> Any:
            membrane = torch.zeros_like(currents[0])
            found: list[Any] = []
            for current in currents:
                spikes, membrane = module(current, membrane)
                spikes = spikes.to(current.dtype)  # it answers in f32
                membrane = membrane - wanted.threshold * spikes if wanted.soft else membrane - spikes * membrane
                found.append(spikes)
            return scaled(torch.cat(found).unflatten(0, currents.shape[:2]), wanted.amplitude)

        return run


def _surrogate(given: Mapping[str, Any]) -> Any:
    surrogates: Any = import_module("snntorch.surrogate")
    name = given["name"]
    if name in OWN:
        called, setting = OWN[name]
        return getattr(surrogates, called)(**{setting: given["alpha"]})
    if name not in SURROGATES:
        raise Refused(f"snnTorch has no surrogate {name}")
    slope = SURROGATES[name]

    def passed(x: Any, errors: Any, _: Any) -> Any:
        return errors * slope(x, given)

    return surrogates.custom_surrogate(passed)


FRAMEWORK = SnnTorch


def make(job: Job, _: Path, options: Sequence[str]) -> TorchStep:
    """The peer."""
    return TorchStep(job, FRAMEWORK(), compile="compile" in options)


if __name__ == "__main__":
    serve(make)
