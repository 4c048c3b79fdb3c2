"""Neurons that a file calls by their names: operators of domains that are known to hold some."""

from __future__ import annotations

import numpy as np
import onnx

from ...catalog import unknown
from ..ir.graph import Setting
from ..ir.text import parse_setting
from ..ops.neuron import Neuron
from ..ops.op import OPS
from ._onnx_domain import DOMAIN, operator, setting_text
from ._onnx_terms import Term


class Wrong(Exception):
    """A term that no layer is."""


_SPIKINGJELLY = {"lif": ("tau", "decay_input"), "if": (), "plif": ("w", "decay_input")}
_SURROGATES = {0: "sigmoid", 1: "atan"}


def named(term: Term) -> tuple[str, dict[str, Setting]]:
    """Operator and settings of a custom node; `Wrong` for one that is not known."""
    domain, _, name = term.op.partition("::")
    if domain == DOMAIN:
        return _ours(name, term)
    if domain.startswith("sj_") and domain[3:] in _SPIKINGJELLY and name == "forward":
        return _spikingjelly(domain[3:], term)
    if (domain, name) == ("snn", "LIF"):
        given = term.settings
        tau = float(given.get("tau", 2.0))
        settings: dict[str, Setting] = {
            "decay": 1.0 - 1.0 / tau,
            "decay_input": True,
            "threshold": float(given.get("threshold", 1.0)),
            "reset": str(given.get("reset", "hard")),
        }
        if "surrogate" in given:
            settings["surrogate"] = (str(given["surrogate"]), ("alpha", float(given.get("alpha", 2.0))))
        return "lif", settings
    raise Wrong("no neuron that is known has this name")


def of_sequences(function: onnx.FunctionProto) -> bool:
    """Whether *function* is a neuron of this language over the whole sequence: it hands on no state."""
    op = operator(function.name)
    neuron = op in OPS and issubclass(OPS[op], Neuron)
    return function.domain == DOMAIN and neuron and len(function.output) == 1


def _ours(name: str, term: Term) -> tuple[str, dict[str, Setting]]:
    """A neuron of this language over the whole sequence: attributes are its settings."""
    op = operator(name)
    if op not in OPS or not issubclass(OPS[op], Neuron):
        neurons = [name for name, kind in OPS.items() if issubclass(kind, Neuron)]
        raise Wrong(str(unknown(f"neuron of {DOMAIN}", op, neurons)))
    settings: dict[str, Setting] = {}
    for key, value in term.attributes:
        if key == "of":  # which sequence this is a step of
            continue
        text = setting_text(op, key, value)
        if text is None:
            raise Wrong(f"its attribute {key} is no setting: a number, numbers or a text")
        settings[key] = parse_setting(text)
    return op, settings


def _spikingjelly(kind: str, term: Term) -> tuple[str, dict[str, Setting]]:
    """The operands of SpikingJelly's multi-step functions: input, first potential, constants, surrogate."""
    names = ("v_init", *_SPIKINGJELLY[kind], "threshold", "v_reset", "detach_reset", "alpha", "soft", "surrogate")
    values: dict[str, float] = {}
    for name, arg in zip(names, term.args[1:], strict=False):
        if arg.value is None:
            raise Wrong(f"its {name} changes with the data")
        values[name] = float(np.asarray(arg.value).flat[0]) if arg.value.size else 0.0
    settings: dict[str, Setting] = {
        "threshold": short(values["threshold"]),
        "reset": "soft" if values.get("soft") else "hard",
        "detach_reset": bool(values["detach_reset"]),
    }
    if values["v_reset"]:
        settings["v_reset"] = short(values["v_reset"])
    if "tau" in values:
        settings["decay"] = 1.0 - 1.0 / values["tau"]
    if "decay_input" in values:
        settings["decay_input"] = bool(values["decay_input"])
    if "w" in values:
        settings["w"] = values["w"]
    word = _SURROGATES.get(int(values.get("surrogate", -1)))
    if word is not None:
        settings["surrogate"] = (word, ("alpha", short(values["alpha"])))
    return kind, settings


def short(value: float) -> float:
    """The short number that was rounded to f32."""
    short = float(f"{value:.6g}")
    return short if abs(short - value) <= 1e-6 * abs(value) else value
