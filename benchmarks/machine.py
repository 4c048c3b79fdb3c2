"""Where all this is measured: the processor, what else runs on it, and versions."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import numpy as np

import snnc
from snnc.isa.kernels import compiled


def machine() -> dict[str, Any]:
    """The machine, and the environment that snnc runs in."""
    return {
        "processor": processor(),
        "processors": os.cpu_count(),
        "system": platform.platform(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "numpy": np.__version__,
        "snnc": snnc.__version__,
        "kernels": compiled.vectors() or "NumPy",
    }


def processor() -> str:
    """What the processor is called."""
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        named = [line for line in facts.read_text().splitlines() if line.startswith("model name")]
        if named:
            return named[0].partition(":")[2].strip()
    return platform.processor() or platform.machine()


def words(facts: dict[str, Any]) -> str:
    """The machine in a line."""
    versions = ", ".join(f"{name} {facts[name]}" for name in ("python", "numpy", "snnc"))
    where = f"{facts['processor']}, {facts['processors']} processors, load {facts['load']:.1f}"
    return f"{where}; {versions} (kernels: {facts['kernels']})"
