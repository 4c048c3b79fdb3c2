"""SpikingJelly as a peer: multi-step modules on PyTorch's CPU build."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import version
from typing import Any

from .job import Array, Job, Layer
from .worker import serve


class SpikingJelly:
    """The chain in multi-step mode; layers in front of the first neuron see the image once (its `static_conv`).

    *channels_last* and *fused* (Adam) are the fastest of what was tried on CPUs; bfloat16 autocast, another number
    format, was not.
    """

    notes = (
        "multi-step, torch backend, float32, channels last, fused Adam; the first sum is computed once, as snnc does"
    )

    def __init__(self, job: Job, dtype: str = "float32", channels_last: bool = True, fused: bool = True) -> None:
        self._torch: Any = import_module("torch")
        self._functional: Any = import_module("spikingjelly.activation_based.functional")
        self._torch.set_num_threads(1)
        self._steps, self._once = job.steps, job.once
        self._type: Any = getattr(self._torch, dtype)
        parts = [_module(layer, "s" if place < job.once else "m") for place, layer in enumerate(job.layers)]
        self.network: Any = self._torch.nn.Sequential(*parts).to(self._type)
        self._channels_last = channels_last
        if channels_last:
            self.network = self.network.to(memory_format=self._torch.channels_last)
        with self._torch.no_grad():
            for layer, module in zip(job.layers, self.network, strict=True):
                if layer.kind in ("linear", "conv2d"):
                    module.weight.copy_(self._torch.from_numpy(job.parameters[f"{layer.name}.w"]))
                    module.bias.copy_(self._torch.from_numpy(job.parameters[f"{layer.name}.b"]))
        given = job.optimizer
        self._optimizer: Any = self._torch.optim.Adam(
            self.network.parameters(),
            lr=given["lr"],
            betas=(given["beta1"], given["beta2"]),
            eps=given["eps"],
            fused=fused,
        )
        self._names = {place: layer.name for place, layer in enumerate(job.layers) if layer.kind == "lif"}
        self._spikes: dict[str, Any] = {}
        self.versions: Mapping[str, str] = {
            "python": platform.python_version(),
            "torch": str(self._torch.__version__),
            "spikingjelly": version("spikingjelly"),
        }

    def gradients(self, images: Array, labels: Array) -> float:
        """Forward and backward; the mean loss."""
        torch = self._torch
        self._functional.reset_net(self.network)
        self._optimizer.zero_grad()
        x: Any = torch.from_numpy(images).to(self._type)
        if self._channels_last and x.dim() == 4:
            x = x.to(memory_format=torch.channels_last)
        for place, module in enumerate(self.network):
            if place == self._once:
                x = x.unsqueeze(0).expand(self._steps, *x.shape)
            x = module(x)
            if place in self._names:
                self._spikes[self._names[place]] = x.detach()
        loss: Any = torch.nn.functional.cross_entropy(x.mean(0), torch.from_numpy(labels).long())
        loss.backward()
        return float(loss.item())

    def step(self, images: Array, labels: Array) -> float:
        """One training step."""
        loss = self.gradients(images, labels)
        self._optimizer.step()
        return loss

    def spike_rates(self) -> Mapping[str, float]:
        """Of the last step."""
        return {name: float(spikes.mean()) for name, spikes in self._spikes.items()}


def _module(layer: Layer, mode: str) -> Any:
    """SpikingJelly's module in step mode *mode*; its parameters are set later."""
    modules: Any = import_module("spikingjelly.activation_based.layer")
    given = layer.settings
    match layer.kind:
        case "linear":
            return modules.Linear(given["inputs"], given["out"], step_mode=mode)
        case "conv2d":
            sizes = {"stride": tuple(given["stride"]), "padding": tuple(given["pad"])}
            return modules.Conv2d(given["inputs"], given["out"], tuple(given["kernel"]), **sizes, step_mode=mode)
        case "avg_pool2d":
            return modules.AvgPool2d(tuple(given["kernel"]), step_mode=mode)
        case "flatten":
            return modules.Flatten(step_mode=mode)
        case "lif":
            neuron: Any = import_module("spikingjelly.activation_based.neuron")
            surrogate: Any = import_module("spikingjelly.activation_based.surrogate")
            return neuron.LIFNode(
                tau=1 / (1 - given["decay"]),
                decay_input=False,
                v_threshold=given["threshold"],
                v_reset=0.0,
                surrogate_function=surrogate.PiecewiseQuadratic(alpha=1.0),  # the triangle of snnc
                detach_reset=False,
                step_mode=mode,
                backend="torch",
            )
        case kind:
            raise ValueError(f"no module for {kind}")


if __name__ == "__main__":
    serve(SpikingJelly)
