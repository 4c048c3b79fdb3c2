"""What every peer is asked to train: layers in order, settings, initial parameters and batches, as files.

Read in environments without snnc, so this file needs NumPy only.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Layer:
    """One layer of a chain: *kind* is linear, conv2d, avg_pool2d, flatten or lif; *settings* are snnc's.

    Its parameters are called ``NAME.w`` and ``NAME.b`` and have PyTorch's shapes.
    """

    kind: str
    name: str
    settings: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Job:
    """*layers* in front of the first lif see the image once; what follows runs in every one of *steps* time steps.

    *optimizer* holds Adam's lr, beta1, beta2, eps.  The loss is the cross entropy of the result's mean over time.
    """

    network: str
    model: str
    target: str
    steps: int
    batch: int
    optimizer: dict[str, float]
    layers: tuple[Layer, ...]
    parameters: dict[str, Array]
    images: Array
    labels: Array

    @property
    def once(self) -> int:
        """How many layers stand in front of the first lif."""
        return next(place for place, layer in enumerate(self.layers) if layer.kind == "lif")

    def save(self, folder: Path) -> None:
        """Write to *folder*."""
        facts = {name: getattr(self, name) for name in ("network", "model", "target", "steps", "batch", "optimizer")}
        facts["layers"] = [asdict(layer) for layer in self.layers]
        (folder / "job.json").write_text(json.dumps(facts))
        parameters: dict[str, Any] = {**self.parameters}
        np.savez(folder / "parameters.npz", **parameters)
        np.savez(folder / "batches.npz", images=self.images, labels=self.labels)


def load(folder: Path) -> Job:
    """What `Job.save` wrote."""
    facts: dict[str, Any] = json.loads((folder / "job.json").read_text())
    layers = tuple(Layer(**layer) for layer in facts.pop("layers"))
    with np.load(folder / "parameters.npz") as archive:
        parameters = {name: archive[name] for name in archive.files}
    with np.load(folder / "batches.npz") as archive:
        images, labels = archive["images"], archive["labels"]
    return Job(**facts, layers=layers, parameters=parameters, images=images, labels=labels)
