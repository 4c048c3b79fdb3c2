"""A program without instructions: what a host sees of one, for a training graph that is run by other means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...isa.program import Argument, Entry, Program
from ...isa.target import Target, canonical
from ..ir.graph import Training
from .brought import laid_out
from .layout import DramValue, place_symbols


def interface(training: Training, target: Target, settings: Mapping[str, Any], weights: Mapping[str, Any]) -> Program:
    """Symbols of all variables and results, entries with what goes in and out, *settings* of the host as they are.

    Every entry takes all arguments.
    """
    values = [DramValue(each.name, each.type, each.role, each.layer) for each in training.variables]
    known = {value.name for value in values}
    for procedure in training.procedures:
        types = training.values(procedure)
        values += [DramValue(name, types[name], "result", "") for name in procedure.results if name not in known]
        known.update(procedure.results)
    symbols, size = place_symbols(training, values, target)
    arguments = tuple(name for name, _ in training.arguments)
    entries = (Entry(each.name, (), arguments, each.inputs, each.results) for each in training.procedures)
    return Program(
        network=training.name,
        target=target.name,
        target_text=canonical(target),
        target_hash=target.fingerprint,
        graph_hash=training.hash,
        cores=1,
        steps=training.steps,
        batch=training.batch,
        entries=tuple(entries),
        elements=(),
        symbols=symbols,
        arguments=tuple(Argument(name, kind) for name, kind in training.arguments),
        dram_bytes=size,
        settings=settings,
        data=laid_out(training, weights, {symbol.name: symbol for symbol in symbols}),
    )
