"""A program does not grow with time steps or samples: under the same pins, and stages in turn on the same
cores, it has as many instructions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from laws import NETWORKS, Case, compiled

from snnc.isa.program import Program

PINS = ("*.*=tile.n=2,tile.t=2,split=batch",)


def lengths(program: Program) -> dict[tuple[str, int, str, str, str], int]:
    """Instructions by entry, core, unit, node and phase."""
    found: dict[tuple[str, int, str, str, str], int] = {}
    for entry in program.entries:
        for stream in entry.streams:
            for debug in stream.debug:
                key = entry.name, stream.core, stream.unit, debug.node, debug.phase
                found[key] = found.get(key, 0) + 1
    return found


@pytest.mark.parametrize(
    "machine", ["quad3", *(pytest.param(m, marks=pytest.mark.full) for m in ("tiny", "quad4", "exact1"))]
)
@pytest.mark.parametrize("network", NETWORKS)
def test_neither_steps_nor_batch_make_a_program_longer(network: str, machine: str) -> None:
    """From 4 to 32 steps and from 12 to 96 samples; each of 3 cores has no fewer samples than a tile of 2 holds, and in
    as many tiles, so that what all need is cast in any of them.  Tiles have 2 steps in each: how many are worth it
    would depend on how many there are, and other sizes on that."""
    base = Case(network, machine, pins=PINS, steps=4, batch=12, partition="in_turn")
    short = lengths(compiled(base).program)
    for other in (replace(base, steps=32), replace(base, batch=96)):
        long = lengths(compiled(other).program)
        assert {k: (short.get(k), long.get(k)) for k in short | long if short.get(k) != long.get(k)} == {}
