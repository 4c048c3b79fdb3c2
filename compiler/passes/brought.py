"""Parameters that a program brings along: those of the user's file, or of the network's own, held against the graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...catalog import unknown
from ...isa.program import Symbol, to_memory
from ...numerics.formats import encode, pack
from ...source import NOWHERE, DataError, Faults, Place
from ..ir.graph import Training, Variable


def check_weights(training: Training, weights: Mapping[str, Any], file: str = "") -> None:
    """DataError where *weights*, if there are any, are not those of the network; statistics may be left out.

    *file* is where they were read, if anywhere.
    """
    if not weights:
        return
    place = Place(file) if file else NOWHERE
    known = _lasting(training)
    with Faults(DataError) as faults:
        for name, variable in known.items():
            if name not in weights and variable.role == "parameter":
                faults.add(place, f"the weights have no {name}")
        for name, array in weights.items():
            if name not in known:
                faults.add(place, str(unknown("parameter", name, known)))
                continue
            type = known[name].type
            shape = ((training.steps,) if type.timed else ()) + type.shape
            if np.shape(array) != shape:
                faults.add(place, f"{name}: the network has {shape}, the weights {np.shape(array)}")
            elif not np.isfinite(array).all():
                faults.add(place, f"{name} has elements that are not finite")


def laid_out(training: Training, weights: Mapping[str, Any], symbols: Mapping[str, Symbol]) -> dict[str, bytes]:
    """Parameters and statistics as DRAM holds them: masters as they are, working copies rounded, by symbol."""
    check_weights(training, weights)
    data: dict[str, bytes] = {}
    known = _lasting(training)
    for name, array in weights.items():
        copies = [name] if known[name].role == "statistic" else [f"{name}.master", name]
        for symbol in (symbols[copy] for copy in copies):
            stored = encode(to_memory(symbol, np.asarray(array, np.float32)), symbol.kind)
            data[symbol.name] = pack(stored, symbol.kind).tobytes()
    return data


def _lasting(training: Training) -> dict[str, Variable]:
    """Parameters and statistics."""
    return {each.name: each for each in training.variables if each.role in ("parameter", "statistic")}
