"""ONNX files of the domain ``ai.snnc``: every node is an operator of the language, and is read as a line of it.

Nodes of the graph are the same in all steps, those in the body of its one ``Scan`` are not.  The text that they make is
read as any other of the language; what is wrong in it is told of the node that the line came from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ...source import Fault, Faults, Place, SourceError
from ..ir.graph import Network
from ..ops.delay import Delay
from ..ops.neuron import Neuron
from ..ops.op import OPS
from . import snn
from ._onnx_domain import DOMAIN, body_of_scan, is_own, sequences_of
from ._onnx_lines import Lines
from ._onnx_reference import executed
from .frontend import Array, Imported, Note, Options, Run

SAMPLES = 2
"""Samples on which such a file, which leaves their number open, is compared."""


def is_ours(model: onnx.ModelProto) -> bool:
    """Whether *model* consists of nodes of the domain, beside what carries their states through time."""
    graph = model.graph
    scans = [node for node in graph.node if is_own(node, "Scan")]
    rest = [node for node in graph.node if node.domain != DOMAIN and not is_own(node, "Scan")]
    makers = {name: number for number, node in enumerate(rest) for name in node.output}
    begins: set[int] = set()
    ours = sum(node.domain == DOMAIN for node in graph.node)
    if len(scans) > 1:
        return False
    for scan in scans:
        body = body_of_scan(scan)
        ours += sum(node.domain == DOMAIN for node in body.node)
        copies = [node for node in body.node if node.domain != DOMAIN]
        if not all(is_own(node, "Identity") and len(node.input) == len(node.output) == 1 for node in copies):
            return False
        waiting = list(scan.input[: len(scan.input) - sequences_of(scan)])
        while waiting:
            number = makers.pop(waiting.pop(), None)
            if number is not None:
                begins.add(number)
                waiting += rest[number].input
    return ours > 0 and len(begins) == len(rest)


def read_ours(model: onnx.ModelProto, path: Path, options: Options) -> Imported:
    """The network in such a file, with its parameters; SourceError with all that is wrong."""
    file = str(path)
    if options.unsaid.said:
        raise SourceError.at(Place(file), f"the file says itself what {', '.join(options.unsaid.said)} would say")
    with Faults(SourceError) as faults:
        writing = Lines(model, file, faults)
    text = writing.text()
    warnings: list[Note] = []

    def warn(fault: Fault) -> None:
        warnings.append(Note("warning", writing.place(fault.place), fault.message))

    try:
        network = snn.read(text, replace(options, warn=warn))
    except SourceError as error:
        told = (replace(fault, place=writing.place(fault.place)) for fault in error.faults)
        raise SourceError(*told) from None
    if len(network.nodes) != len(writing.lines):
        raise SourceError.at(Place(file), "the texts of its tensors and attributes hold more than they name")
    if len(network.ports) != len(writing.ports):
        raise SourceError.at(Place(file), "the texts beside its inputs hold more than they name")
    network = replace(
        network,
        nodes=tuple(replace(node, place=writing.place(node.place)) for node in network.nodes),
        ports=tuple(replace(port, place=writing.place(port.place)) for port in network.ports),
        place=Place(file),
        places={key: writing.place(place) for key, place in network.places.items()},
    )
    with Faults(SourceError) as faults:
        _check_beginnings(network, writing.carries, faults)
        parameters = dict(_parameters(network, writing.arrays, faults))
    run = Run(SAMPLES, _executed(model)) if network.steps == writing.steps and _runs(model) else None
    return Imported(network, parameters, (*writing.notes, *warnings), run)


def _parameters(network: Network, arrays: Mapping[str, Array], faults: Faults) -> Iterator[tuple[str, Array]]:
    """Every parameter in float32; a fault where it has another shape than its type."""
    for node in network.nodes:
        if node.op != "parameter":
            continue
        (name,), (type,) = node.results, node.types
        shape = (*((network.steps,) if type.timed else ()), *type.shape)
        if name not in arrays:
            faults.add(node.place, f"the file has no {name}")
        elif arrays[name].shape != shape:
            faults.add(node.place, f"{name} is {list(shape)}, not {list(arrays[name].shape)}")
        elif not np.isfinite(array := arrays[name].astype(np.float32)).all():
            faults.add(node.place, f"{name} has elements that are not finite")
        else:
            yield name, array


def _runs(model: onnx.ModelProto) -> bool:
    """Whether every node of the domain has a function to be executed by."""
    there = {function.name for function in model.functions if function.domain == DOMAIN}
    scans = [body_of_scan(node).node for node in model.graph.node if is_own(node, "Scan")]
    nodes = [node for each in (model.graph.node, *scans) for node in each]
    return all(node.op_type in there for node in nodes if node.domain == DOMAIN)


def _check_beginnings(network: Network, carries: Mapping[str, list[float | None]], faults: Faults) -> None:
    """A fault for every state that begins otherwise than the operator says that carries it."""
    for node in network.nodes:
        if node.op == "parameter":
            continue
        op = OPS[node.op].make(node.settings)
        expected = [carried.initial for carried in op.carried().values()] if isinstance(op, Neuron) else []
        if isinstance(op, Delay):
            expected = [0.0] * op.steps
        found = carries[node.results[0]]
        if len(found) != len(expected):
            told = f"{node.op} carries {len(expected)} states with these settings, and not {len(found)}"
            faults.add(node.place, told)
            continue
        for begin, wanted in zip(found, expected, strict=True):
            if begin is None or not np.isclose(begin, wanted, rtol=1e-6, atol=0):
                there = "no number that all of it has" if begin is None else f"{begin:g}"
                faults.add(node.place, f"a state begins with {there}, and that of {node.op} with {wanted:g}")


def _executed(model: onnx.ModelProto) -> Any:
    """The file under ONNX's own reference."""

    def compute(x: Array) -> Array:
        return executed(model)([model.graph.output[0].name], {model.graph.input[0].name: x})[0]

    return compute
