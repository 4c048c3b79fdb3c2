"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from ..source import DataError, Place


def write_whole(path: Path, content: bytes) -> None:
    """Write *content*, so that *path* holds either what it held before or all of it; DataError where that fails."""
    unfinished: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            unfinished = Path(file.name)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        unfinished.chmod(0o666 & ~umask)
        unfinished.replace(path)
    except OSError as error:
        raise DataError.at(Place(str(path)), f"cannot be written: {error.strerror}") from None
    finally:
        if unfinished is not None:
            unfinished.unlink(missing_ok=True)


def read_whole(path: Path) -> bytes:
    """The content of a file; DataError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError.at(Place(str(path)), f"cannot be read: {error.strerror}") from None
