"""NIR, the neuromorphic intermediate representation: graphs of continuous-time neurons in HDF5 files (`.nir`).

A file says equations and constants; the length of a time step, the number of steps and the surrogate come from options,
from the file's metadata, or from defaults of which notes tell.  What several edges bring is summed; a cycle without a
Delay is closed over one step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ...catalog import unknown
from ..ir.graph import Setting
from ..ir.values import text_of_setting
from ..ops.op import OPS
from ._building import Builder
from ._nir_apart import read_apart
from ._nir_file import GRAPH, WrittenGraph
from ._nir_graph import INPUT, OUTPUT, SPIKING, Wiring, wired
from ._nir_layers import steps_of
from ._nir_node import Reading
from ._nir_walk import KINDS, Walk
from .frontend import Frontend, Imported, Options

DT = 1e-4
"""The time step where nobody says one: that of NIR's exporters of snnTorch and SpikingJelly."""

STEPS = 16
"""Time steps where nobody says how many."""


def read(source: Path | str, options: Options) -> Imported:
    """The network in the file *source*, with its parameters; SourceError with everything that is wrong."""
    path = Path(source)
    builder = Builder(path.stem, str(path))
    if options.settings:
        builder.fault(builder.place(), f"a NIR file has no settings such as {next(iter(options.settings))}")
    graph, report = read_apart(path)
    for node, message in report.faults:
        builder.fault(builder.place(node), message)
    for node, message in report.repairs:
        builder.note("repair", builder.place(node), message)
    if graph is None:
        builder.faults.throw()
    assert graph is not None, "a file without a graph has faults"
    dt = _dt(builder, graph, options)
    wiring = wired(graph, builder, lambda node: (steps_of(node, dt) or 0) >= 1)
    reading = Reading(builder, dt, _neuron(builder, wiring, options))
    _check_fields(reading, wiring)
    types = Walk(Reading(Builder(path.stem, str(path)), dt, reading.neuron, fits=reading.fits), wiring, {}).types()
    reading.turned = reading.fits == {"turned"}
    results = Walk(reading, wiring, types).results()
    _tell_slow(reading)
    return builder.finish(results, _steps(builder, graph, options))


def _dt(builder: Builder, graph: WrittenGraph, options: Options) -> float:
    """The length of a step: said by the user, by the file's metadata, or by nobody.

    Where nobody says it, and the usual step is longer than a time constant, a power of ten below half of that is taken.
    """
    if options.unsaid.dt is not None:
        return options.unsaid.dt
    place = builder.place()
    said = graph.metadata.get("dt")
    if isinstance(said, float) and 0 < said < float("inf"):
        builder.note("assumption", place, f"a time step is {said:g} long, as the metadata say (--dt)")
        return said
    shortest = min(_time_constants(graph), default=DT)
    if shortest >= DT:
        builder.note("assumption", place, f"a time step is {DT:g} long, which NIR does not say (--dt)")
        return DT
    dt = 10.0 ** math.floor(math.log10(shortest / 2))
    told = f"a time step is {dt:g} long, which NIR does not say (--dt)"
    builder.note("warning", place, f"{told}; the usual {DT:g} is longer than a time constant of {shortest:.3g}")
    return dt


def _time_constants(graph: WrittenGraph) -> Iterator[float]:
    """The shortest time constant above 0 of every node."""
    for node in graph.nodes.values():
        if node.inside is not None:
            yield from _time_constants(node.inside)
        for name in ("tau", "tau_mem", "tau_syn"):
            values = node.numbers.get(name)
            if values is not None and (positive := values[(values > 0) & np.isfinite(values)]).size:
                yield float(positive.min())


def _steps(builder: Builder, graph: WrittenGraph, options: Options) -> int:
    """Time steps, from the same places."""
    if options.steps is not None:
        return options.steps
    said = graph.metadata.get("steps")
    if isinstance(said, float) and 1 <= said < 2**31 and said.is_integer():
        builder.note("assumption", builder.place(), f"there are {int(said)} time steps, as the metadata say (--steps)")
        return int(said)
    builder.note("assumption", builder.place(), f"there are {STEPS} time steps, which NIR does not say (--steps)")
    return STEPS


def _neuron(builder: Builder, wiring: Wiring, options: Options) -> dict[str, Setting]:
    """Settings of every neuron that spikes, of which NIR does not say but the hard reset."""
    fires = any(node.kind in SPIKING for node in wiring.nodes.values())
    unsaid, place = options.unsaid, builder.place()
    settings: dict[str, Setting] = {"compare": "gt"}
    if unsaid.surrogate is None and fires:
        surrogate = OPS["lif"].settings()["surrogate"].default
        assert isinstance(surrogate, tuple)
        builder.note(
            "assumption", place, f"the surrogate is {text_of_setting(surrogate)}, which NIR does not say (--surrogate)"
        )
    elif unsaid.surrogate is not None:
        settings["surrogate"] = unsaid.surrogate
    if unsaid.reset not in (None, "hard"):
        settings["reset"] = unsaid.reset
        if fires:
            builder.note("assumption", place, f"the reset is {unsaid.reset}, where NIR means a hard one (--reset)")
    if unsaid.detach_reset is None and fires:
        told = "gradients pass through the reset, of which NIR says nothing (--detach-reset)"
        builder.note("assumption", place, told)
    elif unsaid.detach_reset is not None:
        settings["detach_reset"] = unsaid.detach_reset
    if unsaid.result is not None:
        builder.fault(place, "every Output of a NIR file is a result: --result is for ONNX files")
    said = [option for option in unsaid.said if option in ("--surrogate", "--reset", "--detach-reset")]
    if said and not fires:
        builder.note("warning", place, f"has no neuron that fires, of which {' and '.join(said)} could speak")
    if unsaid.spiking:
        builder.fault(place, "a NIR file has no activations that --spiking could replace")
    return settings


def _check_fields(reading: Reading, wiring: Wiring) -> None:
    """Kinds and fields that NIR does not have."""
    for node in wiring.nodes.values():
        if node.kind in (INPUT, OUTPUT):
            continue
        if node.kind not in KINDS:
            known = [kind for kind in KINDS if kind] + [INPUT, OUTPUT, GRAPH]
            reading.fault(node, str(unknown("primitive of NIR", node.kind, known)))
            continue
        _, fields = KINDS[node.kind]
        for name in sorted({*node.numbers, *node.words}):
            if name.partition("/")[0] not in fields:
                told = f"a {node.kind} of NIR has no {name}; it is passed over"
                reading.builder.note("warning", reading.place(node), told)


def _tell_slow(reading: Reading) -> None:
    """A time step that is far too short for the file's constants was most likely not meant."""
    if reading.slow:
        first, more = reading.slow[0], len(reading.slow) - 1
        others = f" (and {more} more)" if more else ""
        told = f"a step of {reading.dt:g} takes {first}{others} less than 1/10000 of its way"
        message = f"{told}; files with such constants are often written for --dt 1"
        reading.builder.note("warning", reading.builder.place(), message)


frontend = Frontend("NIR, the neuromorphic intermediate representation", (".nir",), read)
