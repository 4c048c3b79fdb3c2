"""Which C files the kernels are made of: what compiles them writes their digest down, what loads them compares it.

A library that was compiled from other files than those beside it takes other arguments, and a wrong one ends Python.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path


def digest(folder: Path) -> int | None:
    """64 bits of the names and the bytes of all C files in *folder*; None where there are none, as in a wheel."""
    files = sorted((path for path in folder.glob("_*.[ch]")), key=lambda path: path.name)
    if not files:
        return None
    found = sha256()
    for path in files:
        found.update(f"{path.name}\n".encode())
        found.update(sha256(path.read_bytes()).digest())
    return int.from_bytes(found.digest()[:8], "little")
