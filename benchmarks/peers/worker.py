"""A peer's process: answers requests, a line of JSON each, on standard input and output.

    {"ask": "step", "batch": 3, "mode": {...}}  ->  {"wall": seconds, "processor": seconds, "loss": mean}
    {"ask": "report"}                           ->  {"versions": {...}, "spike_rates": {...}, "notes": "..."}

The first answer says that the peer is ready.  Where it cannot do what it is asked, the answer is {"refused": "why"}.
Imports, reading files and building the network are over before the first answer, and no part of any time.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, Protocol

from .job import Array, Job, Mode, load


class Refused(Exception):
    """What a peer cannot do, in words."""


class Peer(Protocol):
    """A network that can be trained and asked."""

    @property
    def versions(self) -> Mapping[str, str]:
        """Of what it is made of, by name."""
        ...

    @property
    def notes(self) -> str:
        """How it does what it does."""
        ...

    def step(self, images: Array, labels: Array, mode: Mode) -> float | None:
        """One batch (float32 images, integer labels): the mean loss before the update, None for inference.

        Refused: a mode that the peer does not have.
        """
        ...

    def spike_rates(self) -> Mapping[str, float]:
        """Fraction of ones by layer, in the last step; empty where the peer does not know."""
        ...


def serve(make: Callable[[Job, Path, Sequence[str]], Peer]) -> None:
    """Make the peer for the job in the folder that the command line names first, and answer until the input ends.

    *make* gets the job, its folder and what else the command line says.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is not an answer

    def answer(content: Mapping[str, Any]) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    folder = Path(sys.argv[1])
    job = load(folder)
    try:
        peer = make(job, folder, sys.argv[2:])
    except Refused as refused:
        return answer({"refused": str(refused)})
    answer({"ready": True})
    for line in sys.stdin:
        request = json.loads(line)
        if request["ask"] == "report":
            rates = {name: float(rate) for name, rate in peer.spike_rates().items()}
            answer({"versions": dict(peer.versions), "spike_rates": rates, "notes": peer.notes})
            continue
        given: dict[str, Any] = request["mode"]
        mode = Mode(**{field.name: given[field.name] for field in fields(Mode)})
        images, labels = job.images[request["batch"]], job.labels[request["batch"]]
        gc.collect()
        wall, processor = perf_counter(), process_time()
        try:
            loss = peer.step(images, labels, mode)
        except Refused as refused:
            answer({"refused": str(refused)})
            continue
        wall, processor = perf_counter() - wall, process_time() - processor
        answer({"wall": wall, "processor": processor, "loss": loss})
