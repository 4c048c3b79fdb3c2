"""From recorded operations to an ONNX model.

The model is read by the frontend of ONNX files: time, neurons and layers are found there, as in a file of any exporter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import onnx
from numpy.typing import NDArray

from ..source import Faults, Place, SourceError
from .installed import several
from .model import INPUT, KINDS, Operation, Unwritable, Writer, Written
from .operations import INSTEAD, OPERATIONS
from .tracing import Recording
from .uses import name_of

Array = NDArray[Any]


def written(recording: Recording, values: Mapping[str, Array], place: Place) -> onnx.ModelProto:
    """The model of *recording*, with these *values* of the state's entries.

    SourceError with every operation that cannot be written, each with the module that it serves.
    """
    writer = Writer()
    known: dict[Any, Any] = {}
    entries = iter(recording.entries)
    faults = Faults(SourceError)
    result: Any = None
    for node in recording.graph.nodes:
        writer.scope = recording.scopes.get(node.name, "")
        if node.op == "placeholder":
            entry = next(entries, None)
            if entry is None:
                known[node] = writer.input(INPUT, _shape_of(node))
            else:
                known[node] = writer.constant(values[entry], np.float32, entry)
        elif node.op == "get_attr":
            constant: Any = getattr(recording.constants, node.target)
            known[node] = writer.constant(constant.detach().cpu().numpy())
        elif node.op == "output":
            result = _looked_up(node.args[0], known)
        elif node.op == "call_function":
            known[node] = _executed(node, writer, known, faults, place)
    result = result[0] if several(result) else result
    if result is None and not len(faults):
        faults.add(place, "its result depends on no operation")
    faults.throw()
    return writer.model(cast(Written, result))


def _executed(node: Any, writer: Writer, known: Mapping[Any, Any], faults: Faults, place: Place) -> Any:
    """What *node* makes; None where it, or something before it, cannot be written."""
    name = name_of(node)
    args, kwargs = _looked_up(node.args, known), _looked_up(node.kwargs, known)
    if name == "getitem":
        made, number = args
        return cast(tuple[Any, ...], made)[number] if made is not None and number < len(made) else None
    where = replace(place, file=f"{place.file}, node {writer.scope}") if writer.scope else place
    write = OPERATIONS.get(name)
    if write is None:
        hints = (f"{INSTEAD[name]} instead",) if name in INSTEAD else ()
        faults.add(where, f"{node.target} is no operation that is read", hints=hints)
        return None
    if any(known[each] is None for each in node.all_input_nodes):
        return None  # told where it began
    try:
        return write(Operation(writer, name, args, kwargs, _shape_of(node), _kind_of_node(node)))
    except Unwritable as reason:
        faults.add(where, f"{node.target} {reason}")
        return None


def _looked_up(given: Any, known: Mapping[Any, Any]) -> Any:
    """*given* with what was written for each node in it."""
    if isinstance(given, Mapping):
        return {key: _looked_up(value, known) for key, value in cast(Mapping[str, Any], given).items()}
    if several(given):
        return tuple(_looked_up(each, known) for each in cast(Sequence[Any], given))
    if hasattr(given, "all_input_nodes"):
        return known[given]
    return given


def _shape_of(node: Any) -> tuple[int, ...]:
    value = node.meta.get("val")
    value = value[0] if several(value) else value
    return tuple(int(extent) for extent in getattr(value, "shape", ()))


def _kind_of_node(node: Any) -> Any:
    value = node.meta.get("val")
    value = value[0] if several(value) else value
    return KINDS.get(str(getattr(value, "dtype", "")), np.float32)
