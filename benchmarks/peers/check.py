"""Does a peer compute the same?  Its steps against those of plain PyTorch in float64: losses, gradients, parameters.

    python -m benchmarks.peers.check FOLDER PEER

The reference has the neurons of `torch_neurons` and autograd; a framework is checked in each of its ways.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from .job import Array, Job, Mode, load
from .plain_numpy import Network
from .prepare import Plain
from .torch_step import TorchStep, Way
from .worker import Refused

TOLERANCE, SMALL = 1e-3, 1e-3
"""Of the largest element of an array, or of so small a share of the largest of all: the gradient of a bias before a
norm is nothing but rounding.  snnTorch's spikes are float32, and so are the errors that pass them."""

Step = Callable[[Array, Array], tuple[float, Mapping[str, Array], Mapping[str, Array]]]
"""One training step: the loss, gradients and the parameters after it, by name."""


def reference(job: Job) -> Step:
    """Plain PyTorch."""
    return _of_torch(TorchStep(job, Plain(), "float64", Way("contiguous_format", Plain.ways[0])))


def peers(job: Job, name: str) -> Iterator[tuple[str, Step]]:
    """The peer in each of its ways."""
    if name == "numpy":
        plain = Network(job, np.float64)

        def step(images: Array, labels: Array) -> tuple[float, Mapping[str, Array], Mapping[str, Array]]:
            loss = plain.train(images, labels)
            return loss, plain.arrays("gradients"), plain.arrays("parameters")

        yield name, step
        return
    framework: Any = import_module(f".with_{name}", __package__).FRAMEWORK()
    for way in framework.ways:
        yield f"{name}, {way}", _of_torch(TorchStep(job, framework, "float64", Way("channels_last", way)))


def _of_torch(peer: TorchStep) -> Step:
    def step(images: Array, labels: Array) -> tuple[float, Mapping[str, Array], Mapping[str, Array]]:
        loss = peer.step(images, labels, Mode())
        assert loss is not None
        parameters: dict[str, Any] = peer.network.parameters
        gradients = {name: each.grad.numpy().copy() for name, each in parameters.items()}
        return loss, gradients, {name: each.detach().numpy().copy() for name, each in parameters.items()}

    return step


def difference(job: Job, expected: Step, found: Step) -> float:
    """The largest, over all steps of the job, in the unit of `TOLERANCE`.

    AssertionError where a gradient is zero, so that nothing would be said.
    """
    worst = 0.0
    for images, labels in zip(job.images, job.labels, strict=True):
        one, other = expected(images, labels), found(images, labels)
        for name, gradient in one[1].items():
            assert gradient.any(), f"the gradient of {name} is zero: the check says nothing"
        losses = [{"loss": np.array(each[0])} for each in (one, other)]
        for mine, theirs in ((losses[0], losses[1]), *zip(one[1:], other[1:], strict=True)):
            least = SMALL * max(float(np.abs(array).max()) for array in mine.values())
            for name, array in mine.items():
                assert array.shape == theirs[name].shape, f"{array.shape}, {theirs[name].shape}"
                unit = max(float(np.abs(array).max()), least)
                worst = max(worst, float(np.abs(array - theirs[name]).max()) / unit)
    return worst


def main() -> int:
    """0 where all ways agree."""
    job, name = load(Path(sys.argv[1])), sys.argv[2]
    worst = 0.0
    try:
        for told, step in peers(job, name):
            found = difference(job, reference(job), step)
            print(f"{job.graph.network}, {told}: {len(job.images)} steps differ by {found:.1e} from autograd at most")
            worst = max(worst, found)
    except Refused as refused:
        print(f"{job.graph.network}, {name}: {refused}")
    return int(worst > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
