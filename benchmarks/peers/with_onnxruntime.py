"""ONNX Runtime as a peer: inference of the file that `snnc export --to onnx` writes."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .job import Array, Job, Mode
from .worker import Refused, serve


class OnnxRuntime:
    """``network.onnx`` in the folder of the job."""

    def __init__(self, job: Job, folder: Path, options: Sequence[str]) -> None:
        self._runtime: Any = import_module("onnxruntime")
        self._file, self._job = folder / "network.onnx", job
        if not self._file.exists():
            raise Refused("ONNX Runtime answers what is exported, which is inference")
        self._sessions: dict[int, Any] = {}
        self.versions: Mapping[str, str] = {"python": platform.python_version(), "onnxruntime": version("onnxruntime")}
        self.notes = "the exported file, with all of its optimizations"

    def step(self, images: Array, labels: Array, mode: Mode) -> float | None:
        """Inference alone."""
        if mode.entry != "inference" or mode.precision != "f32":
            raise Refused("ONNX Runtime is asked for inference with the numbers of the file")
        session = self._session(mode.threads)
        (port,) = session.get_inputs()
        kind = "float16" if "float16" in port.type else "float32"
        shape = self._job.graph.values[self._job.graph.port].shape
        session.run(None, {port.name: images.reshape(len(images), *shape).astype(kind)})
        return None

    def _session(self, threads: int) -> Any:
        if threads not in self._sessions:
            options = self._runtime.SessionOptions()
            options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
            try:
                self._sessions[threads] = self._runtime.InferenceSession(
                    str(self._file), options, providers=["CPUExecutionProvider"]
                )
            except Exception as error:
                raise Refused(f"ONNX Runtime does not run it: {error}") from error
        return self._sessions[threads]

    def spike_rates(self) -> Mapping[str, float]:
        """Nobody asks the file."""
        return {}


if __name__ == "__main__":
    serve(OnnxRuntime)
