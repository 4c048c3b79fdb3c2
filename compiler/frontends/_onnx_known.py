"""Neurons that were recognised, of which more is known than their file says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..ops.op import OPS
from ._onnx_elements import Unknown
from ._onnx_neurons import Found
from .frontend import Array, Known


def known_as(found: Found, known: Known) -> Found:
    """*found* with the settings and the learned parameters that are *known*; `Unknown` where it has none of these."""
    said = found.said
    possible = OPS[said.op].settings().keys() - {"form", "each"}  # a read-out has no surrogate and no reset
    settings = {
        **said.settings,
        **{key: value for key, value in known.settings.items() if key in possible},
    }
    given = {role: np.asarray(value) for role, value in known.parameters.items()}
    op = said.op
    if "theta" in given:
        settings["learn_threshold"] = _extent(given["theta"])
    if "w" in given:
        if op not in ("if", "lif", "plif") or "gain" in settings:
            raise Unknown("its decay is learned, which only a membrane without a current has, whose input has no gain")
        op = "plif"
        settings = {"decay": 1.0, **settings, "form": known.settings.get("form", "clamp"), "each": _extent(given["w"])}
    varied = {**said.varied, **{role: _flat(value) for role, value in given.items()}}
    return replace(found, said=replace(said, op=op, settings=settings, varied=varied))


def _extent(parameter: Array) -> str:
    """Whether there is one number a layer, or one a channel."""
    return "layer" if parameter.size == 1 else "channel"


def _flat(parameter: Array) -> Array:
    return parameter.reshape(()) if parameter.size == 1 else parameter.reshape(-1)
