"""The peak of memory of some training steps, in a process that reads a program and runs it, beside its bound.

python -m benchmarks memory --models mlp csnn
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snnc.isa.binary import from_bytes, to_bytes
from snnc.isa.target import parse

from .peak import peak_bytes
from .step import TrainingStep, program_of
from .tables import table
from .workers import told

SHARE, BESIDE = 1.5, 150 * 10**6
"""A step is to take so many times what DRAM and scratchpads of the machine hold, and so many bytes beside."""

STEPS = 4
"""Those behind the third run unrolled, which takes room, too."""


def footprint(model: str, target: str) -> dict[str, Any]:
    """Of a model at the size of the benchmark: bytes of the machine, of the process before it had one, and at most."""
    program = program_of(model, target)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.snnb"
        path.write_bytes(to_bytes(program))
        process = told([sys.executable, "-m", "benchmarks.footprint", str(path)])
    machine = parse(program.target_text, program.target)
    scratchpads = program.cores * sum(memory.bytes for memory in machine.memories)
    held = program.dram_bytes + scratchpads
    return {
        "model": model,
        "target": machine.name,
        "dram_bytes": program.dram_bytes,
        "scratchpad_bytes": scratchpads,
        "bound_bytes": round(SHARE * held + BESIDE),
        **process,
    }


def one(path: Path) -> dict[str, int]:
    """What the process of a measurement does."""
    program = from_bytes(path.read_bytes())
    before = peak_bytes()
    step = TrainingStep(program)
    for _ in range(STEPS):
        step()
    return {"before_bytes": before, "peak_bytes": peak_bytes()}


def show(found: Sequence[dict[str, Any]]) -> str:
    """A row a network."""
    head = "network", "machine", "DRAM image MB", "scratchpads MB", "peak MB", f"{SHARE} x both + 150 MB", "of that"
    names = "dram_bytes", "scratchpad_bytes", "peak_bytes", "bound_bytes"
    rows = [
        (
            each["model"],
            each["target"],
            *(f"{each[name] / 1e6:.1f}" for name in names),
            f"{each['peak_bytes'] / each['bound_bytes']:.0%}",
        )
        for each in found
    ]
    return table(head, rows, left=2)


if __name__ == "__main__":
    print(json.dumps(one(Path(sys.argv[1]))))
