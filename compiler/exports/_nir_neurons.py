"""Neurons as NIR says them: constants of continuous time from those of a step, the reverse of forward Euler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..frontends.frontend import Array
from ..ir.graph import Setting
from ..ir.values import text_of_setting
from ..ops.neuron import Leak
from ..ops.op import Op
from ..ops.parametric import PLIF
from ..ops.readout import LI, Integrator
from ..ops.spiking import IF, LIF, Spiking
from ..ops.surrogates import TRIANGLE, complete
from ..ops.synaptic import CUBA

Fields = dict[str, Array | str]

SAID: Mapping[type[Op], Mapping[str, Setting]] = {
    Spiking: {
        "reset": "hard",
        "reset_time": "immediate",
        "compare": "gt",
        "initial": 0.0,
        "amplitude": 1.0,
        "surrogate": complete(TRIANGLE),
        "detach_reset": False,
    },
    LI: {"initial": 0.0},
    Integrator: {"initial": 0.0},
}
"""The one value of each setting that NIR means without saying it."""

SETTINGS = frozenset(name for settings in SAID.values() for name in settings) | {"learn_threshold", "form", "each"}


@dataclass(frozen=True)
class Unsaid:
    """A setting that NIR has no word for: its *name*, and what is written if it may be lost."""

    name: str
    instead: str


class Unwritable(ValueError):
    """Constants that no equation of NIR has; its text says which."""


def unsaid(op: Op) -> list[Unsaid]:
    """Settings of a neuron that a NIR file would lose."""
    found: list[Unsaid] = []
    for kind, settings in SAID.items():
        for name, value in settings.items() if isinstance(op, kind) else ():
            if getattr(op, name) != value and not (name == "reset" and _is_threshold(op)):
                found.append(Unsaid(name, f"{name}={text_of_setting(value)}"))
    if isinstance(op, Spiking) and op.learn_threshold == "layer":
        found.append(Unsaid("learn_threshold", "a constant"))
    if isinstance(op, PLIF):
        if op.form != "clamp":
            found.append(Unsaid("form", "form=clamp"))
        if op.each != "channel":
            found.append(Unsaid("each", "a decay for each channel"))
    return found


def fields_of(op: Op, parameters: Mapping[str, Array], shape: Sequence[int], dt: float) -> Fields:
    """The node of NIR that *op* is, on elements of *shape*; Unwritable where there is none."""

    def each(value: float | Array) -> Array:
        """A number for each element."""
        array = np.asarray(value, np.float64)
        if array.ndim == 1 and len(shape) > 1 and array.size == shape[0]:
            array = array.reshape(-1, *(1,) * (len(shape) - 1))
        elif array.ndim == 1 and array.size != shape[0] and shape[0] % array.size == 0:  # flattened channels
            array = np.repeat(array, shape[0] // array.size)
        return np.array(np.broadcast_to(array, shape))

    kind, constants = _equation(op, parameters, dt)
    return {"type": kind, **{name: each(value) for name, value in constants.items()}}


def _equation(op: Op, parameters: Mapping[str, Array], dt: float) -> tuple[str, dict[str, float | Array]]:
    """The primitive and its constants."""
    if isinstance(op, Integrator):
        return "I", {"r": 1.0 / dt}
    if isinstance(op, LI):
        if op.decay == 1.0:
            return "I", {"r": _gain(op) / dt}
        return "LI", {**_leak(op, dt), "v_leak": op.rest}
    assert isinstance(op, Spiking), op
    theta = parameters.get("theta", np.asarray(op.threshold))
    if _is_threshold(op):
        return "Threshold", {"threshold": theta}
    fires: dict[str, float | Array] = {"v_threshold": theta, "v_reset": op.v_reset}
    match op:
        case CUBA():
            if op.decay == 1.0 or op.current_decay == 1.0:
                raise Unwritable("a current or membrane of cuba that does not decay")
            share = 1.0 - op.current_decay
            leak = _leak(op, dt)
            leak["tau_mem"] = leak.pop("tau")
            return "CubaLIF", {**leak, "tau_syn": dt / share, "w_in": 1.0 / share, "v_leak": op.rest, **fires}
        case LIF() if op.decay != 1.0:
            return "LIF", {**_leak(op, dt), "v_leak": op.rest, **fires}
        case LIF():
            return "IF", {"r": _gain(op) / dt, **fires}
        case IF():
            return "IF", {"r": 1.0 / dt, **fires}
        case PLIF():
            w = parameters["w"].astype(np.float64)
            decay = np.clip(w, 0.0, 1.0) if op.form == "clamp" else 1.0 - 1.0 / (1.0 + np.exp(-w))
            if np.any(decay == 1.0):
                raise Unwritable("a membrane of plif that does not decay")
            r = np.ones_like(decay) if op.decay_input else 1.0 / (1.0 - decay)
            return "LIF", {"tau": dt / (1.0 - decay), "r": r, "v_leak": op.rest, **fires}
        case _:
            raise Unwritable(op.name)


def _leak(op: Leak, dt: float) -> dict[str, float | Array]:
    """tau and r of what leaks."""
    share = 1.0 - op.decay
    return {"tau": dt / share, "r": _gain(op) / share}


def _gain(op: Leak) -> float:
    """What the input is multiplied by in a step."""
    return (1.0 - op.decay) * op.gain if op.decay_input else op.gain


def _is_threshold(op: Op) -> bool:
    """Whether it forgets everything at once, and so only compares."""
    return isinstance(op, LIF) and op.decay == 0.0 and op.reset == "none" and _gain(op) == 1.0 and op.rest == 0.0


NEURONS: frozenset[str] = frozenset(kind.name for kind in (LIF, IF, PLIF, CUBA, LI, Integrator))
"""Operators that `fields_of` knows."""
