"""ONNX files: spiking networks whose neurons and time are spelled out, ordinary networks, and domains with neurons.

A file of the domain ``ai.snnc`` says everything and is read as it stands (`_onnx_ours`).  Any other
is executed on shapes (`_onnx_trace`), the repetition over time is found (`_onnx_steps`), and what carries
state from step to step is recognised by what it does (`_onnx_neurons`).  What remains are layers, one to one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import onnx

from ...catalog import unknown
from ...source import Faults, Place, SourceError
from ._building import Builder
from ._onnx_clusters import clusters_of
from ._onnx_elements import Unknown
from ._onnx_file import inlined, load
from ._onnx_layers import Layers
from ._onnx_limits import MOST_IN_A_STEP
from ._onnx_named import of_sequences
from ._onnx_neurons import recognise
from ._onnx_ours import is_ours, read_ours
from ._onnx_readouts import WANTED, of_some_steps, without_the_first
from ._onnx_reference import executed
from ._onnx_steps import Body, body_of, over_time, rows_of, single_steps
from ._onnx_terms import Term
from ._onnx_trace import Trace
from .frontend import Array, Frontend, Imported, Options, Run

DEFAULT_STEPS = 8
"""Time steps of a network whose file says no number."""

_MOST_READINGS = 24
"""Ways to tell which output is which state that are tried."""


def read(source: Path | str, options: Options) -> Imported:
    """The network in the file; SourceError with everything that is wrong."""
    path = Path(source)
    whole = load(path)
    ours = is_ours(whole)
    _check_options(options, ours, Place(str(path)))
    if ours:
        return read_ours(whole, path, options)
    return read_graph(inlined(whole, path, of_sequences), path.stem, str(path), options)


def read_graph(model: onnx.ModelProto, name: str, file: str, options: Options) -> Imported:
    """The network called *name* in *model*; errors and notes say that it lies in *file*."""
    builder = Builder(name, file)
    with Faults(SourceError) as faults:
        trace = Trace(model, file, options.steps, faults)
    if not trace.outputs:
        raise SourceError.at(Place(file), "has no output")
    result_name, rows = _chosen(trace, options.unsaid.result, builder.place())
    outputs = [trace.outputs[result_name], *(term for other, term in trace.outputs.items() if other != result_name)]
    if rows:
        body = body_of(rows, builder.place())
        _check_readout(without_the_first(body, rows), trace.outputs[result_name], builder)
    else:
        _check_readout(of_some_steps(trace.outputs[result_name]), trace.outputs[result_name], builder)
        body = _recognised(single_steps(outputs, trace.inputs, builder.place()))
    if len(outputs) - len(body.states) > 1 and options.unsaid.result is None:
        others = ", ".join(other for other in trace.outputs if other != result_name)
        left = "is left out" if len(outputs) == 2 else "are left out"
        builder.note("assumption", builder.place(), f"the result is {result_name}; {others} {left} (--result)")
    if body.steps:
        _tell_of_time(trace.outputs[result_name], builder)
        builder.note("recovered", builder.place(), f"one time step out of {body.steps} that the file spells out")
    if len(body.order()) > MOST_IN_A_STEP:
        raise SourceError.at(builder.place(), f"has more than {MOST_IN_A_STEP:,} operations in a time step")
    layers = Layers(builder, body, clusters_of(body), options.unsaid, options.known)
    _check_neurons(layers, options, builder)
    steps = options.steps or body.steps
    if steps is None:
        steps = DEFAULT_STEPS if layers.spiking else 1
        builder.note("assumption", builder.place(), f"{steps} time steps (the file says no number; --steps)")
    result = layers.value(body.result)
    imported = replace(builder.finish([result], steps), spelled_out=body.steps)
    if steps != (body.steps or steps):
        layers.unlike[f"spells out {body.steps} time steps, and --steps says {steps}"] = None
    if layers.unlike:
        return replace(imported, unlike=" and ".join(layers.unlike))
    return replace(imported, run=_run(model, trace, result_name, body, steps))


def _check_options(options: Options, ours: bool, place: Place) -> None:
    """SourceError for options that an ONNX file has no place for; *ours* says more, and refuses more itself."""
    unsaid = options.unsaid
    with Faults(SourceError) as faults:
        if options.settings:
            faults.add(place, "an ONNX file has no settings: --set is for .snn files")
        if unsaid.dt is not None and not ours:
            faults.add(
                place, "an ONNX file spells out its time steps, and has no time constants: --dt is for NIR files"
            )
        if unsaid.reset is not None and not ours:
            faults.add(place, "an ONNX file spells out how its neurons reset: --reset is for NIR files")


def _check_neurons(layers: Layers, options: Options, builder: Builder) -> None:
    """Faults for activations that the file does not have, a warning for what speaks of neurons where there are none."""
    unsaid, place = options.unsaid, builder.place()
    known = sorted(layers.activations)
    there = f"there are: {', '.join(known)}" if known else "there is none"
    for word in unsaid.spiking:
        if word not in layers.activations:
            builder.fault(place, f"--spiking {word}: the file has no such activation; {there}")
    said = [option for option in unsaid.said if option in ("--surrogate", "--detach-reset")]
    if said and not layers.spiking:
        builder.note("warning", place, f"has no neuron of which {' and '.join(said)} could speak")


def _check_readout(made: str | None, result: Term, builder: Builder) -> None:
    """SourceError for a result that is *made* of time steps in a way that is not read."""
    if made is not None:
        raise SourceError.at(builder.place(result.origin), f"the result is {made}", hints=(WANTED,))


def _tell_of_time(output: Term, builder: Builder) -> None:
    """A note of a result that has no row a time step: here it has, and losses see the mean of them."""
    match over_time(output):
        case (made, True):
            builder.note("recovered", builder.place(), f"the result is {made} over time: here it has every step")
        case (made, False):
            told = f"the result is {made} over time, and losses here see the mean: the network trains on other logits; "
            builder.note("warning", builder.place(), told + "return the mean, or scale the layer before")
        case None:
            pass


def _chosen(trace: Trace, wanted: str | None, place: Place) -> tuple[str, list[Term] | None]:
    """The name of the result and its rows along time: the one that is wanted, else the first that has time."""
    if wanted is not None:
        if wanted not in trace.outputs:
            raise SourceError.at(place, f"--result: {unknown('result', wanted, trace.outputs)}")
        return wanted, rows_of(trace.outputs[wanted], trace.terms)
    for name, output in trace.outputs.items():
        rows = rows_of(output, trace.terms)
        if rows is not None:
            return name, rows
    return next(iter(trace.outputs)), None


def _recognised(steps: Iterator[Body]) -> Body:
    """The first of *steps* in which all that carries state is a neuron; the first of all where none is."""
    bodies = list(islice(steps, _MOST_READINGS))
    if len(bodies) == 1 or len(bodies[0].order()) > MOST_IN_A_STEP:
        return bodies[0]
    return next((body for body in bodies if _all_neurons(body)), bodies[0])


def _all_neurons(body: Body) -> bool:
    try:
        for cluster in clusters_of(body):
            recognise(cluster, body)
    except Unknown:
        return False
    return True


def _run(model: onnx.ModelProto, trace: Trace, name: str, body: Body, steps: int) -> Run:
    """The file under ONNX's own reference, step after step where it holds a single one."""
    states = {state.settings["name"]: state for state in body.states}
    free = [term for term in trace.inputs if term.settings["name"] not in states]
    read = {id(arg) for term in body.order() for arg in (term, *term.args)}
    data = next((term for term in free if id(term) in read), free[0])
    unread = {term.settings["name"]: np.zeros(term.shape, np.float32) for term in free if term is not data}
    made = {id(term): output for output, term in trace.outputs.items()}

    def compute(x: Array) -> Array:
        run = executed(model)
        if body.steps is not None or x.ndim == len(data.shape):
            return run([name], {data.settings["name"]: x, **unread})[0]
        carried = {each: np.zeros(term.shape, np.float32) for each, term in states.items()}
        nexts = {each: made[id(body.previous[id(term)])] for each, term in states.items()}
        rows: list[Array] = []
        for row in x[:steps]:
            row_out, *after = run([name, *nexts.values()], {data.settings["name"]: row, **unread, **carried})
            carried = dict(zip(nexts, after, strict=True))
            rows.append(row_out)
        return np.stack(rows)

    timed = body.steps is not None and any(term.op == "Row" for term in body.order())
    return Run(data.shape[1 if timed else 0], compute)


frontend = Frontend("ONNX: spiking networks spelled out by their exporter, and ordinary ones", (".onnx",), read)
