"""A whole training as a peer is asked for it: graph, first parameters, data, and the order of samples, as files.

Read in environments without snnc, so this file needs NumPy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import graph
from .graph import Graph

Array = NDArray[Any]


@dataclass(frozen=True)
class Lesson:
    """*order* ``[epoch][sample]`` and *rates* ``[epoch][step]``, the learning rates, are those of the host of snnc.

    *chosen* ``[epoch][step][t]`` says in which steps of time errors follow.
    Images have the sample first, and then the time step where they have one.
    """

    graph: Graph
    batch: int
    parameters: Mapping[str, Array]
    train_images: Array
    train_labels: Array
    test_images: Array
    test_labels: Array
    order: Array
    rates: Array
    chosen: Array

    def save(self, folder: Path) -> None:
        """Write to *folder*."""
        self.graph.save(folder / "graph.json")
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name))
        np.save(folder / "batch.npy", np.array(self.batch))
        parameters: dict[str, Any] = {**self.parameters}
        np.savez(folder / "parameters.npz", **parameters)


_ARRAYS = ("train_images", "train_labels", "test_images", "test_labels", "order", "rates", "chosen")


def load(folder: Path) -> Lesson:
    """What `Lesson.save` wrote; images stay in their files until a batch is asked for."""
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in _ARRAYS}
    with np.load(folder / "parameters.npz") as archive:
        parameters = {name: archive[name] for name in archive.files}
    return Lesson(graph.load(folder / "graph.json"), int(np.load(folder / "batch.npy")), parameters, **arrays)
