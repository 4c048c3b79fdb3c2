"""Do the peers compute the same?  Plain NumPy and SpikingJelly against autograd, in float64: losses, gradients of the
first step, and parameters after all steps of the job.

    python -m benchmarks.training_step --check
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from .job import Array, Job, load
from .plain_numpy import Network
from .with_spikingjelly import SpikingJelly

TOLERANCE = 1e-9
"""Of the largest element, in float64."""


class Reference:
    """The equations of the neuron, one time step after the other, with torch's autograd and torch.optim.Adam."""

    def __init__(self, job: Job) -> None:
        self._torch: Any = import_module("torch")
        torch = self._torch
        self._job = job
        self.parameters: dict[str, Any] = {
            name: torch.tensor(value, dtype=torch.float64, requires_grad=True) for name, value in job.parameters.items()
        }
        given = job.optimizer
        self._optimizer: Any = torch.optim.Adam(
            list(self.parameters.values()), lr=given["lr"], betas=(given["beta1"], given["beta2"]), eps=given["eps"]
        )

    def gradients(self, images: Array, labels: Array) -> float:
        """The whole chain in every time step, the first layers too."""
        torch, potentials, total = self._torch, dict[str, Any](), 0.0
        self._optimizer.zero_grad()
        for _ in range(self._job.steps):
            x: Any = torch.tensor(images, dtype=torch.float64)
            for layer in self._job.layers:
                given = layer.settings
                w: Any = self.parameters.get(f"{layer.name}.w")
                b: Any = self.parameters.get(f"{layer.name}.b")
                if layer.kind == "linear":
                    x = x @ w.T + b
                elif layer.kind == "conv2d":
                    x = torch.nn.functional.conv2d(x, w, b, tuple(given["stride"]), tuple(given["pad"]))
                elif layer.kind == "avg_pool2d":
                    x = torch.nn.functional.avg_pool2d(x, tuple(given["kernel"]))
                elif layer.kind == "flatten":
                    x = x.flatten(1)
                else:
                    h = given["decay"] * potentials.get(layer.name, 0.0) + x
                    distance = h - given["threshold"]
                    inside = (distance.abs() < 1).double()
                    # An antiderivative of the triangle: its slope is the surrogate's, its value is taken away again.
                    slope = inside * (distance - 0.5 * distance * distance.abs())
                    x = (distance >= 0).double() + slope - slope.detach()
                    potentials[layer.name] = h * (1 - x)
            total = total + x
        loss: Any = torch.nn.functional.cross_entropy(total / self._job.steps, torch.tensor(labels.astype(np.int64)))
        loss.backward()
        return float(loss.item())

    def step(self, images: Array, labels: Array) -> float:
        """One training step."""
        loss = self.gradients(images, labels)
        self._optimizer.step()
        return loss

    def arrays(self, what: str) -> list[Array]:
        """The *parameters* or *gradients*."""
        return [(p.grad if what == "gradients" else p.detach()).numpy().copy() for p in self.parameters.values()]


def main() -> int:
    """0 where all agree."""
    job = load(Path(sys.argv[1]))
    reference, plain, peer = Reference(job), Network(job, np.float64), SpikingJelly(job, dtype="float64")

    def of_peer(what: str) -> list[Array]:
        parameters: list[Any] = list(peer.network.parameters())
        return [(p.grad if what == "gradients" else p.detach()).numpy().copy() for p in parameters]

    worst: dict[str, float] = {"numpy": 0.0, "spikingjelly": 0.0}

    def compare(expected: list[Array], found: Mapping[str, list[Array]]) -> None:
        for name, arrays in found.items():
            for one, other in zip(expected, arrays, strict=True):
                assert one.shape == other.shape, f"{name}: {one.shape}, {other.shape}"
                difference = float(np.abs(one - other).max()) / max(float(np.abs(one).max()), 1e-30)
                worst[name] = max(worst[name], difference)

    for number in range(len(job.images)):
        images, labels = job.images[number], job.labels[number]
        losses = [np.array(each.step(images, labels)) for each in (reference, plain, peer)]
        compare(losses[:1], {"numpy": losses[1:2], "spikingjelly": losses[2:]})
        for what in ("gradients", "parameters"):
            expected = reference.arrays(what)
            if what == "gradients":
                zero = [name for name, each in zip(job.parameters, expected, strict=True) if not each.any()]
                assert not zero, f"the gradient of {', '.join(zero)} is zero: the check says nothing"
            compare(expected, {"numpy": list(plain.arrays(what).values()), "spikingjelly": of_peer(what)})
    told = ", ".join(f"{name} differs by {value:.1e}" for name, value in worst.items())
    print(f"{job.network}: {len(job.images)} steps in float64; of autograd, {told} at most")
    return int(max(worst.values()) > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
