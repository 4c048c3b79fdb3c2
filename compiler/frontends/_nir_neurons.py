"""NIR's neurons in discrete time, by forward Euler.

``tau dv/dt = v_leak - v + r x`` becomes ``v += share * (v_leak - v + r x)`` with ``share = dt / tau``, so the decay is
``1 - share`` and the gain of the input ``share * r``; a neuron fires where v is above its threshold, and resets at
once.  A synaptic current, ``tau_syn di/dt = -i + w_in x``, is taken before the membrane that it drives.  Equations:
Pedersen et al. 2024, Neuromorphic intermediate representation.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..ir.graph import Setting
from ..ir.types import Type
from ._building import Value
from ._nir_file import Written
from ._nir_node import Kind, Number, Reading, channelwise, initial, retained, tidy
from .frontend import Array


def _lif(reading: Reading, node: Written, x: Value) -> Value | None:
    c = reading.constants(node, x, tau=None, r=None, v_threshold=None, v_leak=0.0, v_reset=0.0)
    share = reading.share(node, "tau", c["tau"]) if c else None
    if c is None or share is None:
        return None
    return _fire(reading, node, x, retained(share), tidy(share * c["r"]), c)


def _if(reading: Reading, node: Written, x: Value) -> Value | None:
    c = reading.constants(node, x, r=None, v_threshold=None, v_reset=0.0)
    if c is None:
        return None
    gain = tidy(reading.dt * c["r"])
    if np.all(np.abs(gain) < 1e-4 * np.abs(c["v_threshold"])):
        reading.slow.append(node.name)
    return _fire(reading, node, x, 1.0, gain, c)


def _threshold(reading: Reading, node: Written, x: Value) -> Value | None:
    c = reading.constants(node, x, threshold=None)
    if c is None:
        return None
    return _fire(reading, node, x, 0.0, 1.0, {"v_threshold": c["threshold"]}, "none")


def _li(reading: Reading, node: Written, x: Value) -> Value | None:
    c = reading.constants(node, x, tau=None, r=None, v_leak=0.0)
    share = reading.share(node, "tau", c["tau"]) if c else None
    if c is None or share is None:
        return None
    return _leak(reading, node, x, retained(share), tidy(share * c["r"]), "tau", c["v_leak"])


def _i(reading: Reading, node: Written, x: Value) -> Value | None:
    c = reading.constants(node, x, r=None)
    return _leak(reading, node, x, 1.0, tidy(reading.dt * c["r"]), "r") if c else None


def _cuba_li(reading: Reading, node: Written, x: Value) -> Value | None:
    c = reading.constants(node, x, tau_syn=None, tau_mem=None, r=None, w_in=1.0, v_leak=0.0)
    if c is None or (shares := _shares(reading, node, c)) is None:
        return None
    of_current, of_membrane = shares
    current = _leak(reading, node, x, retained(of_current), tidy(of_current * c["w_in"]), "tau_syn", part="i")
    if current is None:
        return None
    return _leak(reading, node, current, retained(of_membrane), tidy(of_membrane * c["r"]), "tau_mem", c["v_leak"])


def _cuba_lif(reading: Reading, node: Written, x: Value) -> Value | None:
    c = reading.constants(
        node, x, tau_syn=None, tau_mem=None, r=None, v_threshold=None, w_in=1.0, v_leak=0.0, v_reset=0.0
    )
    if c is None or (shares := _shares(reading, node, c)) is None:
        return None
    of_current, of_membrane = shares
    fades, decay = retained(of_current), retained(of_membrane)
    gain = tidy(of_membrane * c["r"] * of_current * c["w_in"])
    if not isinstance(fades, np.ndarray) and not isinstance(decay, np.ndarray):
        # Both are linear, so one factor of the input does for the two.
        return _fire(reading, node, x, decay, gain, c, op="cuba", more={"current_decay": fades})
    current = _leak(reading, node, x, fades, tidy(of_current * c["w_in"]), "tau_syn", part="i")
    return None if current is None else _fire(reading, node, current, decay, tidy(of_membrane * c["r"]), c)


def _shares(reading: Reading, node: Written, c: Mapping[str, Number]) -> tuple[Number, Number] | None:
    """Of the current, and of the membrane."""
    found = [reading.share(node, name, c[name]) for name in ("tau_syn", "tau_mem")]
    return None if found[0] is None or found[1] is None else (found[0], found[1])


def _fire(
    reading: Reading,
    node: Written,
    x: Value | None,
    decay: Number,
    gain: Number,
    c: Mapping[str, Number],
    reset: str = "",
    op: str = "lif",
    more: Mapping[str, Setting] | None = None,
) -> Value | None:
    """A neuron that spikes; constants that differ become learned ones, where it has such."""
    settings: dict[str, Setting] = {**reading.neuron, **(more or {})}
    if reset:
        settings["reset"] = reset
    parameters: dict[str, Array] = {}
    known: dict[str, float] = {}
    fits = True
    for name in ("v_leak", "v_reset"):
        value = c.get(name, 0.0)
        if isinstance(value, np.ndarray):
            reading.fault(node, f"{name} differs between elements, and a neuron of snnc has one for all of them")
            fits = False
        else:
            known[name] = value
    theta = c["v_threshold"]
    settings["threshold"] = initial(theta) if isinstance(theta, np.ndarray) else theta
    if isinstance(theta, np.ndarray):
        reading.assume(node, "v_threshold differs between elements: learned thresholds, which training changes")
        settings["learn_threshold"] = "channel"
        fits = _learned(reading, node, theta, "v_threshold", "theta", parameters) and fits
    if isinstance(decay, np.ndarray):
        reading.assume(node, "its decay differs between elements: a learned one each, which training changes")
        op = "plif"
        settings |= {"form": "clamp", "each": "channel"}
        of = "tau" if "tau" in node.numbers else "tau_mem"
        fits = _learned(reading, node, decay, of, "w", parameters) and fits
    if not fits:
        return None
    if settings.get("reset") != "none":
        settings["v_reset"] = known["v_reset"]
    settings |= {"decay": initial(decay), "rest": known["v_leak"]}
    if isinstance(decay, np.ndarray) and isinstance(gain, np.ndarray) and np.array_equal(gain, tidy(1.0 - decay)):
        settings["decay_input"] = True
    elif isinstance(gain, np.ndarray):
        x = reading.scaled(node, x, gain, "scale", "the gain of its input differs between elements")
    elif op == "plif":
        x = reading.scaled(node, x, gain, "scale", "its input has a gain")
    elif gain != 1.0:
        settings |= _gains(gain, decay)
    elif op == "lif" and decay == 1.0:
        op = "if"
        del settings["decay"], settings["rest"]
    return reading.add(node, op, (x,), settings, "", parameters)


def _learned(
    reading: Reading, node: Written, values: Array, name: str, parameter: str, parameters: dict[str, Array]
) -> bool:
    """Whether *values*, the field *name*, are those of a learned *parameter* with one number a channel."""
    each = channelwise(values)
    if each is None:
        reading.fault(node, f"{name} differs within a channel, and a neuron of snnc has one a channel")
        return False
    parameters[parameter] = each
    return True


def _gains(gain: float, decay: float | Array) -> dict[str, Setting]:
    """A gain as settings: that of the input alone where it is 1, so that r = 1 says `decay_input`."""
    share = tidy(1.0 - decay)
    if share and gain == share:
        return {"decay_input": True}
    return {"gain": gain}


def _leak(
    reading: Reading, node: Written, x: Value, decay: Number, gain: Number, of: str, rest: Number = 0.0, part: str = ""
) -> Value | None:
    """A state that leaks and is read as it is; with a decay for each element it is put together from operators."""
    if isinstance(rest, np.ndarray) or (rest and isinstance(decay, np.ndarray)):
        least = "v_leak differs" if isinstance(rest, np.ndarray) else f"v_leak is not 0, and {of} differs"
        reading.fault(node, f"{least} between elements; a read-out of snnc has one for all of them")
        return None
    inner = f"{part}." if part else ""
    told = "the gain of its input differs between elements" if isinstance(gain, np.ndarray) else "its input has a gain"
    if not isinstance(decay, np.ndarray):
        if isinstance(gain, np.ndarray):
            driven = reading.scaled(node, x, gain, f"{inner}scale", told)
            return reading.add(node, "li", (driven,), {"decay": decay, "rest": rest}, part)
        if gain == 1.0 and decay == 1.0:
            return reading.add(node, "integrator", (x,), {}, part)
        gains = {} if gain == 1.0 else _gains(gain, decay)
        return reading.add(node, "li", (x,), {"decay": decay, "rest": rest, **gains}, part)
    reading.assume(node, f"{of} differs between elements: its state is a sum with what a learned scale leaves of it")
    driven = reading.scaled(node, x, gain, f"{inner}scale", told)
    back = reading.builder.later(Type("f16", x.type.axes), f"{node.name}.{inner}before", reading.place(node))
    kept = reading.scaled(node, back, decay, f"{inner}kept")
    state = reading.add(node, "add", (driven, kept), {}, part)
    reading.builder.close(back, state)
    return state


KINDS: Mapping[str, tuple[Kind, frozenset[str]]] = {
    "LIF": (_lif, frozenset({"tau", "r", "v_leak", "v_threshold", "v_reset"})),
    "IF": (_if, frozenset({"r", "v_threshold", "v_reset"})),
    "Threshold": (_threshold, frozenset({"threshold"})),
    "LI": (_li, frozenset({"tau", "r", "v_leak"})),
    "I": (_i, frozenset({"r"})),
    "CubaLI": (_cuba_li, frozenset({"tau_syn", "tau_mem", "r", "v_leak", "w_in"})),
    "CubaLIF": (_cuba_lif, frozenset({"tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"})),
}
"""How nodes of each kind are read, and the fields that they have."""
