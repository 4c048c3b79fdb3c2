"""ZigZag maps ResNet-18 for inference onto its TPU-like machine; both come with it.  Prints what that took, as JSON.

    benchmarks/.peers/zigzag/bin/python -m benchmarks.peers.with_zigzag

Imports are done before the clock starts.  Memory is that of the whole process.
"""

from __future__ import annotations

import json
import logging
import resource
import sys
import tempfile
from importlib import import_module
from importlib.metadata import version
from importlib.resources import files
from time import perf_counter, process_time
from typing import Any


def main() -> None:
    """Map once and print."""
    search: Any = import_module("zigzag.api").get_hardware_performance_zigzag
    inputs = files("zigzag") / "inputs"
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        begun, worked = perf_counter(), process_time()
        result: tuple[Any, ...] = search(
            workload=str(inputs / "workload" / "resnet18.onnx"),
            accelerator=str(inputs / "hardware" / "tpu_like.yaml"),
            mapping=str(inputs / "mapping" / "tpu_like.yaml"),
            dump_folder=folder,
            loma_show_progress_bar=False,
        )
        wall, processor = perf_counter() - begun, process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    what = "inference of ResNet-18 on its TPU-like machine, one core"
    told = {"wall": wall, "processor": processor, "peak_bytes": peak, "version": version("zigzag-dse"), "what": what}
    print(json.dumps(told | {"layers": len(result[-1])}))


if __name__ == "__main__":
    main()
