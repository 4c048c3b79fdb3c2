"""Processes of peers, each in an environment of its own, that take turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HERE = Path(__file__).parent
THREADS = "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment; snnc runs in this one."""
    if peer == "snnc":
        return Path(sys.executable)
    python = _python(peer)
    if not python.exists():
        sys.exit(f"{peer} is not installed: run benchmarks/peers/{peer}.sh, or leave it out with --peers")
    return python


def installed(peer: str) -> bool:
    """Whether a peer's environment is there."""
    return peer == "snnc" or _python(peer).exists()


def _python(peer: str) -> Path:
    return HERE / ".peers" / peer / "bin" / "python"


def environment(threads: int = 1) -> dict[str, str]:
    """Of a process that may have so many threads."""
    return {**os.environ, **dict.fromkeys(THREADS, str(threads))}


class Worker:
    """The process of a *peer* that answers as `peers.worker` says; *name* is what it is called in tables.

    *refused* says why there is no more of it, where it has refused the job.
    """

    def __init__(self, name: str, peer: str, folder: Path, options: Sequence[str] = (), threads: int = 1) -> None:
        self.name = name
        command = [str(python_of(peer)), "-m", f"benchmarks.peers.with_{peer}", str(folder), *options]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, text=True, cwd=HERE.parent, env=environment(threads)
        )
        self.refused = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()

    def answer(self) -> dict[str, Any]:
        """The next line; the exit of this process where there is none."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{self.name} ended with exit status {self._process.wait()}; what it said is above")
        return json.loads(line)

    def ready(self) -> None:
        """Wait until it has built its network."""
        self.refused = self.answer().get("refused", "")

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self.answer()


def told(command: Sequence[str], threads: int = 1) -> Any:
    """What a process prints as JSON; the exit of this one where it fails."""
    ended = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, cwd=HERE.parent, check=False, env=environment(threads)
    )
    if ended.returncode:
        sys.exit(f"{' '.join(command)}: exit status {ended.returncode}; what it said is above")
    return json.loads(ended.stdout)
