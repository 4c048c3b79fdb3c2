"""The plain NumPy implementation as a peer."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from .job import Job
from .plain_numpy import Network
from .worker import serve


class PlainNumpy(Network):
    """`plain_numpy.Network` in float32."""

    notes = "float32, whole tensors, BPTT by hand; the first sum is computed once, as snnc does"

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        configuration = cast("dict[str, Any]", np.show_config(mode="dicts"))
        blas = configuration["Build Dependencies"]["blas"]
        self.versions: Mapping[str, str] = {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "blas": f"{blas['name']} {blas['version']}",
        }


if __name__ == "__main__":
    serve(PlainNumpy)
