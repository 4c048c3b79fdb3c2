"""Norse as a peer, on PyTorch's CPU build."""

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


class Norse:
    """`lif_box_feed_forward_step`, a call a step.  It scales currents by ``1 - decay``, which is undone before it."""

    ways = ("single steps",)

    def __init__(self) -> None:
        self.versions: Mapping[str, str] = {"norse": version("norse")}

    def neuron(self, node: Node, way: str) -> Neuron:
        """See `torch_step.Framework`."""
        torch: Any = import_module("torch")
        box: Any = import_module("norse.torch.functional.lif_box")
        resets: Any = import_module("norse.torch.functional.reset")
        wanted = leaky(node)
        rate = 1 - wanted.decay
        if not rate:
            raise Refused("Norse's box without leak takes no input")
        settings: Any = box.LIFBoxParameters(
            tau_mem_inv=torch.as_tensor(rate, dtype=torch.float64),
            v_th=torch.as_tensor(wanted.threshold, dtype=torch.float64),
            reset_method=resets.reset_subtract if wanted.soft else resets.reset_value,
            **_surrogate(wanted.surrogate),
        )

        def run(currents: Any) -> Any:
            state: Any = box.LIFBoxFeedForwardState(v=torch.zeros_like(currents[0]))
            found: list[Any] = []
            for current in currents * (1 / rate):
                spikes, state = box.lif_box_feed_forward_step(current, state, settings, dt=1.0)
                found.append(spikes)
            return scaled(torch.cat(found).unflatten(0, currents.shape[:2]), wanted.amplitude)

        return run


def _surrogate(given: Mapping[str, Any]) -> dict[str, Any]:
    torch: Any = import_module("torch")
    match given["name"]:
        case "triangle" if given["alpha"] == 1:
            return {"method": "triangle", "alpha": torch.as_tensor(1.0)}
        case "norse_triangle":
            return {"method": "triangle", "alpha": torch.as_tensor(given["alpha"])}
        case "super_spike" if given["alpha"] == 1:
            return {"method": "super"}
        case name:
            raise Refused(f"Norse has no surrogate {name} with these settings")


FRAMEWORK = Norse


def make(job: Job, _: Path, options: Sequence[str]) -> TorchStep:
    """The peer."""
    return TorchStep(job, FRAMEWORK(), compile="compile" in options)


if __name__ == "__main__":
    serve(make)
