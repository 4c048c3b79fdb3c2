"""How long commands take that do next to nothing: `snnc --help` and `snnc list KIND`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from statistics import median
from time import perf_counter
from typing import Any

from .tables import table
from .workers import environment

COMMANDS: Sequence[tuple[str, ...]] = (("--help",), ("list", "models"), ("list", "kernels"))


def started(repeat: int) -> list[dict[str, Any]]:
    """Wall and processor seconds of every command, which take turns; the first round is left out."""
    names = (" ".join(("snnc", *each)) for each in COMMANDS)
    found: list[dict[str, Any]] = [{"command": name, "wall": [], "processor": []} for name in names]
    for number in range(repeat + 1):
        for command, each in zip(COMMANDS, found, strict=True):
            before, begun = os.times(), perf_counter()
            subprocess.run([sys.executable, "-m", "snnc", *command], check=True, capture_output=True, env=environment())
            wall, after = perf_counter() - begun, os.times()
            if number:
                each["wall"].append(wall)
                spent = after.children_user + after.children_system - before.children_user - before.children_system
                each["processor"].append(spent)
    return found


def show(found: Sequence[dict[str, Any]]) -> str:
    """A row a command."""

    def seconds(values: Sequence[float]) -> tuple[str, str]:
        return f"{median(values):.3f}", f"{min(values):.3f}..{max(values):.3f}"

    head = "command", "wall s", "(least..most)", "processor s", "(least..most)"
    return table(head, [(each["command"], *seconds(each["wall"]), *seconds(each["processor"])) for each in found])
