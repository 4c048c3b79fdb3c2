"""Functions of ONNX in the making: nodes of standard operators, one behind the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ..frontends._onnx_domain import DOMAIN

OPSET = 18
"""The version of ONNX's own operators that is written, the first in which every reduction reads its axes."""


class Unwritable(ValueError):
    """What ONNX cannot say; its text continues "ONNX has no word for"."""


class Body:
    """The nodes of one function; every value is float32 but for those that a comment calls otherwise."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self._constants: dict[bytes, str] = {}

    def __call__(self, kind: str, *args: str, **attributes: Any) -> str:
        """The result of a standard operator."""
        return self.several(kind, args, 1, **attributes)[0]

    def several(self, kind: str, args: Sequence[str], results: int, **attributes: Any) -> list[str]:
        """The results of a standard operator that makes more than one."""
        names = [f"{kind}_{len(self.nodes)}{f'_{k}' if k else ''}" for k in range(results)]
        self.nodes.append(helper.make_node(kind, args, names, **attributes))
        return names

    def floats(self, value: Any) -> str:
        """Constants of float32."""
        return self._constant(np.asarray(value, np.float32))

    def integers(self, value: Any) -> str:
        """Constants of int64, such as shapes and axes."""
        return self._constant(np.asarray(value, np.int64))

    def _constant(self, value: Any) -> str:
        tensor = numpy_helper.from_array(value)
        key = tensor.SerializeToString()
        if key not in self._constants:
            self._constants[key] = self("Constant", value=tensor)
        return self._constants[key]

    def whole(self, value: str, like: str) -> str:
        """*value* as it is, or at all elements of *like* where it is a constant."""
        if value not in self._constants.values():
            return value
        return self("Expand", value, self("Shape", like))

    def function(
        self, name: str, inputs: Sequence[str], outputs: Sequence[str], made: Sequence[str]
    ) -> onnx.FunctionProto:
        """The function whose results are called *outputs*, and are the values *made*."""
        ends = [helper.make_node("Identity", [value], [output]) for value, output in zip(made, outputs, strict=True)]
        opsets = [helper.make_opsetid("", OPSET)]
        return helper.make_function(DOMAIN, name, inputs, outputs, [*self.nodes, *ends], opsets)
