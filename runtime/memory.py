"""Memory of the host: what one instruction's arrays leave is kept for those of the next.

The allocator of glibc gives the end of its heap back to the system when more than a few of the largest arrays are free,
and takes it again, page by page and cleared, for the arrays that follow: up to a tenth of the time of a training step.
"""

from __future__ import annotations

import ctypes
import sys
from functools import lru_cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_KEPT, _APART = 1 << 30, 1 << 25
"""Bytes that may be free at the end of the heap; the least size of arrays that do not lie in it, the most there is."""


@lru_cache(maxsize=1)
def keep_freed() -> bool:
    """From now on this process keeps memory that it has taken; false where the C library knows no such choice."""
    if not sys.platform.startswith("linux"):
        return False
    choose = getattr(ctypes.CDLL(None), "mallopt", None)
    return choose is not None and bool(choose(_TRIM_THRESHOLD, _KEPT) and choose(_MMAP_THRESHOLD, _APART))
