"""The plain NumPy implementation as a peer."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from .job import Array, Job, Mode
from .plain_numpy import Network
from .worker import Refused, serve


class PlainNumpy(Network):
    """`plain_numpy.Network` in float32."""

    notes = "float32, whole tensors, BPTT by hand; the first sum is computed once, as snnc does"

    def __init__(self, job: Job, folder: Path, options: Sequence[str]) -> None:
        super().__init__(job)
        configuration = cast("dict[str, Any]", np.show_config(mode="dicts"))
        blas = configuration["Build Dependencies"]["blas"]
        self.versions: Mapping[str, str] = {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "blas": f"{blas['name']} {blas['version']}",
        }

    def step(self, images: Array, labels: Array, mode: Mode) -> float | None:
        """A training step, or the way there."""
        if mode.precision != "f32" or mode.threads != 1:
            raise Refused("plain NumPy is asked for f32 and one thread")
        if mode.entry == "inference":
            self.logits(images).argmax(1)
            return None
        return self.train(images, labels)


if __name__ == "__main__":
    serve(PlainNumpy)
