"""What a frontend is: it reads one input language into a `Network`.

`frontends/NAME.py` holds ``frontend = Frontend(...)``; `read_network` chooses by the file's suffix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...catalog import Catalog
from ...source import Fault, Place, SourceError
from ..ir.graph import Network, Setting


def _silent(fault: Fault) -> None:
    """Warnings go nowhere unless somebody asks for them."""


@dataclass(frozen=True)
class Options:
    """What the user says beside the file.

    *steps* replaces the network's own; *settings* replace the defaults of the network's settings by name; *warn* gets
    what is suspicious but not wrong.
    """

    steps: int | None = None
    settings: Mapping[str, Setting] = field(default_factory=dict[str, Setting])
    warn: Callable[[Fault], None] = _silent


@dataclass(frozen=True)
class Frontend:
    """One input language.

    *read* takes a path, or the text itself as a string where the language is a text, and raises `SourceError` with
    everything that is wrong.
    """

    summary: str
    suffixes: tuple[str, ...]
    read: Callable[[Path | str, Options], Network]


FRONTENDS: Catalog[Frontend] = Catalog(__package__ or "", "frontend")


def read_network(path: Path, options: Options | None = None) -> Network:
    """The network in the file *path*, by the frontend that knows its suffix."""
    by_suffix = {suffix: frontend for _, frontend in FRONTENDS.items() for suffix in frontend.suffixes}
    if path.suffix.lower() not in by_suffix:
        known = ", ".join(sorted(by_suffix))
        raise SourceError.at(
            Place(str(path)), f"no frontend reads files that end in {path.suffix!r}; there are: {known}"
        )
    return by_suffix[path.suffix.lower()].read(path, options or Options())


def read_text(path: Path) -> str:
    """The text of the user's file; `SourceError` where there is none."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SourceError.at(Place(str(path)), f"cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise SourceError.at(Place(str(path)), f"is no UTF-8 text (byte {error.start})") from None
