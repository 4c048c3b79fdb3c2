"""What an export is: it says a network with its parameters in the format of another tool, or names what cannot be said.

`exports/NAME.py` holds ``export = Export(...)``; NAME is what ``snnc export --to`` calls the format.
What a file takes to be written is imported when one is, so that a list of exports is there at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ...catalog import Catalog

if TYPE_CHECKING:
    from ..frontends.frontend import Array, Note
    from ..ir.graph import Network


@dataclass(frozen=True)
class Options:
    """What the user says beside the network.

    *dt* is the length of a time step, in the unit of the file's time constants.  *lossy* names settings and operators
    that may be lost where the format cannot say them.
    """

    dt: float | None = None
    lossy: frozenset[str] = field(default_factory=frozenset[str])


@dataclass(frozen=True)
class Written:
    """The bytes of a file, and *notes* of what is not in it."""

    content: bytes
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Export:
    """One format.  *write* raises `SourceError` with everything that the format cannot say."""

    summary: str
    suffix: str
    write: Callable[[Network, Mapping[str, Array], Options], Written]


EXPORTS: Catalog[Export] = Catalog(__package__ or "", "export")
