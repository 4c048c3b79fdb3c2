"""PyTorch's own operations (aten) as operators of ONNX: a table, one line an operation where one line serves.

Their names are those of aten without the variant, without the underscores around them and without ``_copy`` behind
them.  What is not here is told by its name.
"""

from __future__ import annotations

from ..compiler.frontends.onnx import WANTED
from .elementwise import ELEMENTWISE
from .layers import LAYERS
from .model import Write
from .places import PLACES

OPERATIONS: dict[str, Write] = {**ELEMENTWISE, **PLACES, **LAYERS}
"""By the name of the operation."""

_NORM = "batch normalization"
INSTEAD = {
    "native_layer_norm": _NORM,
    "native_group_norm": _NORM,
    **dict.fromkeys("elu celu leaky_relu prelu relu6 silu hardswish mish".split(), "relu"),
    "gelu": "relu, sigmoid or tanh",
    "hardsigmoid": "sigmoid",
    "softplus": "relu",
    "lstm": "spiking layers",
    "gru": "spiking layers",
    **dict.fromkeys("amax amin argmax argmin max min".split(), WANTED),
}
"""The nearest thing that there is for what is not there."""
