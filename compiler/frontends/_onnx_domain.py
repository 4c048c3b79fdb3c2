"""The domain ``ai.snnc``: what its files call things, whoever writes or reads them."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx

from ..ops.op import OPS

DOMAIN, VERSION = "ai.snnc", 1

STEPS, ORDER, TRAIN = "snnc.steps", "snnc.order", "snnc.train"
"""Keys of a file's metadata: time steps, the order in which the network has its values, and its ``train`` section."""

RESULTS = "results"
"""The attribute with the names of a node's results, where those are not the ones that the language gives."""

STEP = "@t"
"""What ends the name of a value in one step of time."""


def variant(op: str, number: int) -> str:
    """What a node of the operator *op* is called that has the function *number* of all that there are, from 1 on."""
    return op if number == 1 else f"{op}_{number}"


def operator(kind: str) -> str:
    """The inverse of `variant`."""
    return kind if kind in OPS else re.sub(r"_\d+\Z", "", kind)


def setting_text(op: str, name: str, value: Any) -> str | None:
    """An attribute as the language writes it; None where it is no setting."""
    known = OPS[op].settings().get(name)
    match value:
        case int() if known is not None and known.kind == "bool":
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return repr(float(str(np.float32(value))))  # the shortest number that is this float32
        case bytes() | str():
            return line_of_text(value) or None
        case [*_] if all(isinstance(part, int) for part in value):
            return str(list(value))
        case _:
            return None


def line_of_text(value: bytes | str) -> str:
    """A text on one line; "" for one with a comment in it, which would hide what follows on that line."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return "" if "#" in text else " ".join(text.split())


def origin_of(node: onnx.NodeProto) -> str:
    """What errors call a node."""
    return node.name or (node.output[0] if node.output else node.op_type)


def is_own(node: onnx.NodeProto, kind: str) -> bool:
    """Whether *node* is that operator of ONNX's own."""
    return node.op_type == kind and node.domain in ("", "ai.onnx")


def body_of_scan(scan: onnx.NodeProto) -> onnx.GraphProto:
    """What a Scan does in a step."""
    return next((each.g for each in scan.attribute if each.name == "body"), onnx.GraphProto())


def sequences_of(scan: onnx.NodeProto) -> int:
    """How many inputs of a Scan are walked."""
    return next((each.i for each in scan.attribute if each.name == "num_scan_inputs"), 0)
