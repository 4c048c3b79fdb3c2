"""Pins: decisions of the user's that the mapping must follow, ``c1.fp=output_stationary,tile.o=32,split=batch``.

``buffers=single`` or ``double`` says whether a buffer is filled again while it is used; without, they are double where
that fits.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from ...source import NOWHERE, Faults, SourceError
from ..dataflows.dataflow import DATAFLOWS

PHASES = ("fp", "bp", "wg", "up")
KEYS = "a dataflow, tile.LOOP=N, split=batch|rows|channels|LOOP, or buffers=single|double"
RINGS = {"single": 1, "double": 2}


@dataclass(frozen=True)
class Pin:
    """Decisions for every stage whose layer and phase match; later pins win.  None and {} leave the choice open."""

    layer: str
    phase: str
    dataflow: str | None = None
    split: str | None = None
    tiles: dict[str, int] = field(default_factory=dict[str, int])
    text: str = ""
    exact: bool = False
    """Whether it names one layer and phase, and not a pattern of them."""
    rings: int | None = None
    """Tiles of a buffer that is filled again while it is used."""

    def matches(self, layer: str, phase: str) -> bool:
        """Whether this pin speaks of *layer* (a pattern may hold * and ?) in *phase*."""
        return fnmatchcase(layer, self.layer) and fnmatchcase(phase.lower(), self.phase)


def parse_pins(texts: Iterable[str]) -> tuple[Pin, ...]:
    """Pins read from ``NAME.PHASE=CHOICE,...``; a SourceError tells of everything that is wrong with them."""
    pins: list[Pin] = []
    with Faults(SourceError) as faults:
        for text in texts:
            where, equals, choices = text.partition("=")
            layer, dot, phase = where.rpartition(".")
            if not equals or not dot or (phase not in PHASES and phase != "*"):
                faults.add(
                    NOWHERE, f"--pin {text}: expected NAME.PHASE=CHOICE with a phase of {', '.join(PHASES)} or *"
                )
                continue
            dataflow: str | None = None
            split: str | None = None
            rings: int | None = None
            tiles: dict[str, int] = {}
            for choice in choices.split(","):
                key, given, value = (part.strip() for part in choice.partition("="))
                if not given and key in DATAFLOWS:
                    dataflow = key
                elif key == "split" and value:
                    split = value
                elif key == "buffers" and value in RINGS:
                    rings = RINGS[value]
                elif key.startswith("tile.") and value.isdecimal() and int(value) > 0:
                    tiles[key.removeprefix("tile.")] = int(value)
                else:
                    flows = ", ".join(DATAFLOWS)
                    faults.add(NOWHERE, f"--pin {text}: {choice.strip()!r} is not {KEYS}; dataflows are {flows}")
            exact = not set("*?[") & set(layer + phase)
            pins.append(Pin(layer, phase, dataflow, split, tiles, text, exact, rings))
    return tuple(pins)


def combined(pins: Iterable[Pin], layer: str, phase: str) -> Pin:
    """All pins that speak of this stage as one."""
    dataflow: str | None = None
    split: str | None = None
    rings: int | None = None
    tiles: dict[str, int] = {}
    texts: list[str] = []
    exact = False
    for pin in pins:
        if pin.matches(layer, phase):
            exact = exact or pin.exact
            dataflow, split = pin.dataflow or dataflow, pin.split or split
            rings = pin.rings or rings
            tiles |= pin.tiles
            texts.append(pin.text)
    return Pin(layer, phase, dataflow, split, tiles, "; ".join(texts), exact, rings)
