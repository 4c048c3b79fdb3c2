"""ONNX files: opened with bounds, external data from beside them only, and everything that is wrong told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError
from onnx import external_data_helper, inliner, numpy_helper

from ...source import Place, SourceError
from ._onnx_limits import LARGEST_FILE, LARGEST_TENSOR, MOST_ELEMENTS, MOST_ENDS
from .frontend import Array

OPSETS = (9, 24)
"""Versions of ONNX's own operators that are read, first and last."""


def load(path: Path) -> onnx.ModelProto:
    """The model in the file, with external data in it; SourceError where there is none."""
    place = Place(str(path))
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise SourceError.at(place, f"has {size:,} bytes; files up to {LARGEST_FILE:,} are read")
        model = onnx.load_model_from_string(path.read_bytes())
    except OSError as error:
        raise SourceError.at(place, f"cannot be read: {error.strerror or error}") from None
    except DecodeError:
        raise SourceError.at(place, "is no ONNX file, or is cut off") from None
    if not model.graph.node:
        raise SourceError.at(place, "is no ONNX file, or holds no network")
    _check_versions(model, place)
    _check_ends(model.graph, place)
    told = [text for entry in model.metadata_props for text in (entry.key, entry.value)]
    if not all(isinstance(name, str) for name in (*told, *_names(model.graph))):
        raise SourceError.at(place, "holds names that are no text")
    _embed(model, path)
    return model


def inlined(model: onnx.ModelProto, path: Path, stays: Callable[[onnx.FunctionProto], bool]) -> onnx.ModelProto:
    """*model* with the nodes of its functions in the place of their calls; SourceError where that cannot be.

    Calls of a function that *stays* are left as they are: its name says more than its nodes.
    """
    if not model.functions:
        return model
    stay = [(each.domain, each.name) for each in model.functions if stays(each)]
    try:
        return inliner.inline_selected_functions(model, stay, exclude=True)
    except Exception as error:  # the C++ side raises what it likes
        raise SourceError.at(Place(str(path)), f"its functions cannot be inlined: {_first_line(error)}") from None


def array_of(tensor: onnx.TensorProto, place: Place) -> Array:
    """The elements of a tensor; SourceError where its data do not fit its shape."""
    count = 1
    for extent in tensor.dims:
        if extent < 0:
            raise SourceError.at(place, f"the tensor {tensor.name} has a negative extent")
        count *= extent
    if count > MOST_ELEMENTS:
        raise SourceError.at(place, f"the tensor {tensor.name} has {count:,} elements, more than are read")
    named = f"the tensor {tensor.name or 'of a constant'}"
    if tensor.data_type not in onnx.TensorProto.DataType.values():
        raise SourceError.at(place, f"{named} has elements of the type {tensor.data_type}, which ONNX does not have")
    if tensor.data_type in (onnx.TensorProto.STRING, onnx.TensorProto.UNDEFINED):
        raise SourceError.at(place, f"{named} holds no numbers")
    try:
        found: Array = numpy_helper.to_array(tensor)
    except Exception as error:  # wrong lengths and types surface in many ways
        raise SourceError.at(place, f"{named} cannot be read: {_first_line(error)}") from None
    return found


def _check_versions(model: onnx.ModelProto, place: Place) -> None:
    """SourceError for operators that are older or newer than what is read."""
    least, most = OPSETS
    versions = [each.version for each in model.opset_import if each.domain in ("", "ai.onnx")]
    if not versions:
        raise SourceError.at(place, "does not say which version of ONNX's operators it uses")
    if not least <= versions[0] <= most:
        raise SourceError.at(place, f"uses ONNX's operators of version {versions[0]}; {least} to {most} are read")


def _check_ends(graph: onnx.GraphProto, place: Place) -> None:
    """SourceError for more inputs or outputs than a network has; old files list their initializers as inputs, too."""
    known = {tensor.name for tensor in graph.initializer}
    inputs = sum(value.name not in known for value in graph.input)
    for what, count in (("inputs", inputs), ("outputs", len(graph.output))):
        if count > MOST_ENDS:
            raise SourceError.at(place, f"has {count:,} {what}; up to {MOST_ENDS} are read")


def _embed(model: onnx.ModelProto, path: Path) -> None:
    """Read external data, which must lie beside the model."""
    folder = path.resolve().parent
    for tensor in _tensors(model.graph):
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        place = Place(f"{path}, tensor {tensor.name}")
        info = {entry.key: entry.value for entry in tensor.external_data}
        location = info.get("location", "")
        beside = (folder / location).resolve()
        if not location or Path(location).is_absolute() or beside.parent != folder:
            raise SourceError.at(place, f"its data lie in {location!r}; they are read from beside the model only")
        if not beside.is_file():
            raise SourceError.at(place, f"its data lie in {location!r}, and there is no such file beside the model")
        try:
            offset, length = int(info.get("offset", 0)), int(info.get("length", -1))
        except ValueError:
            raise SourceError.at(place, "the place of its data is no number") from None
        size = beside.stat().st_size
        if offset < 0 or length > LARGEST_TENSOR or offset + max(length, 0) > size:
            raise SourceError.at(place, f"its data end behind the end of {location!r}")
        try:
            external_data_helper.load_external_data_for_tensor(tensor, str(folder))
        except Exception as error:  # onnx's own checks
            raise SourceError.at(place, f"its data cannot be read: {_first_line(error)}") from None
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]


def _tensors(graph: onnx.GraphProto) -> list[onnx.TensorProto]:
    """All tensors of a graph and of the graphs inside it."""
    found = list(graph.initializer)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                found.append(attribute.t)
            elif attribute.type == onnx.AttributeProto.GRAPH:
                found += _tensors(attribute.g)
    return found


def _names(graph: onnx.GraphProto) -> Iterator[object]:
    """All names and texts in a graph and the graphs inside it; protobuf gives bytes for those that are no UTF-8."""
    yield graph.name
    for value in (*graph.input, *graph.output, *graph.initializer):
        yield from (value.name, value.doc_string)
    for value in graph.input:
        yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)
    for node in graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        for attribute in node.attribute:
            yield attribute.name
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from _names(attribute.g)


def _first_line(error: Any) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
