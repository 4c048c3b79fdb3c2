"""What every peer is asked to run: a network, parameters and batches, as files.

Read in environments without snnc, so this file needs NumPy only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from . import graph as graphs
from .graph import Graph

Array = NDArray[Any]
Entry = Literal["training", "inference"]


@dataclass(frozen=True)
class Mode:
    """How a step runs: forward, backward and optimizer or forward alone, numbers of f32 or bf16, on so many threads."""

    entry: Entry = "training"
    precision: str = "f32"
    threads: int = 1


@dataclass(frozen=True)
class Job:
    """*source* is the network in the language of snnc, *graph* the same for everybody else.

    *rate* is the learning rate of all steps.  *images* are ``[batch][sample]``, *labels* as many classes.
    """

    graph: Graph
    source: str
    batch: int
    rate: float
    parameters: Mapping[str, Array]
    images: Array
    labels: Array

    def save(self, folder: Path) -> None:
        """Write to *folder*."""
        self.graph.save(folder / "graph.json")
        (folder / "network.snn").write_text(self.source, "utf-8")
        (folder / "job.json").write_text(json.dumps({"batch": self.batch, "rate": self.rate}))
        parameters: dict[str, Any] = {**self.parameters}
        np.savez(folder / "parameters.npz", **parameters)
        np.savez(folder / "batches.npz", images=self.images, labels=self.labels)


def load(folder: Path) -> Job:
    """What `Job.save` wrote."""
    facts: dict[str, Any] = json.loads((folder / "job.json").read_text())
    with np.load(folder / "parameters.npz") as archive:
        parameters = {name: archive[name] for name in archive.files}
    with np.load(folder / "batches.npz") as archive:
        images, labels = archive["images"], archive["labels"]
    source = (folder / "network.snn").read_text("utf-8")
    return Job(graphs.load(folder / "graph.json"), source, **facts, parameters=parameters, images=images, labels=labels)
