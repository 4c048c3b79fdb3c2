"""A peer's process: answers requests, a line of JSON each, on standard input and output.

    {"ask": "step", "batch": 3}  ->  {"wall": seconds, "processor": seconds, "loss": mean}
    {"ask": "report"}            ->  {"versions": {...}, "spike_rates": {...}, "notes": "..."}

Imports, reading files and building the network are over before the first answer, and no part of any time.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Protocol

from .job import Array, Job, load


class Peer(Protocol):
    """A network that can be trained."""

    versions: Mapping[str, str]
    notes: str

    def step(self, images: Array, labels: Array) -> float:
        """Forward, backward and optimizer on one batch (float32 images, integer labels); the mean loss before."""
        ...

    def spike_rates(self) -> Mapping[str, float]:
        """Fraction of ones by layer, in the last step."""
        ...


def serve(make: Callable[[Job], Peer]) -> None:
    """Make the peer for the job in the folder that the command line names, and answer until the input ends."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is not an answer

    def answer(content: Mapping[str, Any]) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    job = load(Path(sys.argv[1]))
    peer = make(job)
    answer({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        if request["ask"] == "report":
            rates = {name: float(rate) for name, rate in peer.spike_rates().items()}
            answer({"versions": dict(peer.versions), "spike_rates": rates, "notes": peer.notes})
            continue
        images, labels = job.images[request["batch"]], job.labels[request["batch"]]
        gc.collect()
        wall, processor = perf_counter(), process_time()
        loss = peer.step(images, labels)
        wall, processor = perf_counter() - wall, process_time() - processor
        answer({"wall": wall, "processor": processor, "loss": float(loss)})
