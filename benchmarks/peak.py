"""The most memory that a process of a benchmark has held."""

from __future__ import annotations

import sys
from pathlib import Path


def peak_bytes() -> int:
    """Of this process so far, in bytes.

    On Linux what `getrusage` tells begins with the peak of the process that started this one.
    """
    if sys.platform == "linux":
        (peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
        return int(peak.split()[1]) << 10
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
