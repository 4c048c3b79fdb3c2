"""What the language says of a neuron that was measured: its operator, with settings and parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ..ir.graph import Setting
from ..ops.synaptic import weight_of_both
from ._onnx_constants import differs, one_a_channel, one_sample, rounded, uniform
from ._onnx_elements import Unknown
from ._onnx_model import Dual, Model
from .frontend import Array

_LOGARITHMS = 1e-5
"""What the difference of two logarithms in f32 may be off by, relatively."""


@dataclass(frozen=True)
class Said:
    """An operator and what stands in front of it.

    What drives it arrives *lag* steps late; *echo* is what its own spikes add to that, one number a neuron; both pass
    a current of *current_decay* first.  *varied* are parameters with a number a channel.  *bias* is a constant of the
    input, for the sum of products before to take over.
    """

    op: str
    settings: Mapping[str, Setting]
    varied: Mapping[str, Array] = field(default_factory=dict[str, Array])
    bias: Array | None = None
    current_decay: float | None = None
    lag: int = 0
    echo: Array | None = None
    begins: bool = False
    """Whether the file tells the potential before the first step."""

    def with_amplitude(self, worth: float) -> Said:
        """The same with spikes that are worth so much."""
        echo = None if self.echo is None else self.echo / worth
        return replace(self, settings={**self.settings, "amplitude": worth}, echo=echo)


def said_of_a_readout(model: Model) -> Said:
    """A leaky sum, or one that forgets nothing."""
    settings = _leak(model)
    op = "integrator" if settings is None else "li"
    decayed = None if model.current_decay is None else uniform(model.current_decay, "decay of its current")
    bias = _one_or_none(model.bias + model.eta / model.share)
    if bias is not None and model.lag:
        raise Unknown("its input is late, and has a constant added to it")
    return Said(op, settings or {}, {}, bias, decayed, model.lag)


def said(model: Model, beginning: Array | None) -> Said:
    """A neuron that fires; `Unknown` where the language has no words for it.

    *beginning* is its potential before the first step; None where the file does not tell.
    """
    varied: dict[str, Array] = {}
    if model.amount is not None:
        # The same neuron with potentials that are moved so far that the threshold is what a reset takes away.
        moved = model.amount - model.threshold
        model = replace(model, threshold=model.amount, eta=model.eta + (1 - model.decay) * moved)
        initial = uniform(moved + (0.0 if beginning is None else beginning), "potential before the first step")
    elif beginning is not None:
        initial = uniform(np.where(np.abs(beginning) < 1e-7, 0.0, beginning), "potential before the first step")
    else:
        initial = uniform(np.asarray(model.v_reset), "potential after a reset") if model.reset == "hard" else 0.0
    op, settings, in_front = _operator(model, varied)
    if differs(model.threshold):
        if op == "alif":
            raise Unknown("its threshold adapts, and differs from element to element")
        varied["theta"] = one_a_channel(model.threshold, "threshold")
        settings["learn_threshold"] = "channel"
    settings["threshold"] = rounded(float(model.threshold.flat[0]))
    settings["reset"] = model.reset
    settings["compare"] = "gt" if model.strict else "ge"
    if model.delayed:
        settings["reset_time"] = "delayed"
    if model.reset == "hard" and (v_reset := uniform(np.asarray(model.v_reset), "potential after a reset")):
        settings["v_reset"] = v_reset
    if initial and op == "alpha":
        raise Unknown("its currents do not begin at 0")
    if initial:
        settings["initial"] = initial
    bias = model.bias
    leaks = "decay" in settings and op != "plif"
    if leaks and np.any(model.eta) and not differs(model.eta) and uniform(model.decay, "decay") < 1:
        # A constant in every step is a potential to leak to, as a membrane that leaks to v_reset has it.
        settings["rest"] = rounded(float(model.eta.flat[0]) / (1 - uniform(model.decay, "decay")))
    elif np.any(model.eta) and model.current_decay is not None:
        raise Unknown("its membrane has a constant added to it behind a current, which differs from element to element")
    else:
        bias = bias + model.eta / model.share
    constant = _one_or_none(bias)
    if constant is not None and model.lag:
        raise Unknown("its input is late, and has a constant added to it")
    echo = (
        one_a_channel(np.asarray(model.echo), "weight with which its spikes come back") if np.any(model.echo) else None
    )
    lag = 0 if isinstance(model, Dual) else model.lag
    return Said(op, settings, varied, constant, in_front, lag, echo, beginning is not None)


def _operator(model: Model, varied: dict[str, Array]) -> tuple[str, dict[str, Setting], float | None]:
    """(operator, how it leaks and adapts, the decay of a current in front of it)."""
    if isinstance(model, Dual):
        return "alpha", _of_two_currents(model), None
    current = None if model.current_decay is None else uniform(model.current_decay, "decay of its current")
    leak: dict[str, Setting] = {"decay": 1.0}
    if model.period or np.any(model.rise) or np.any(model.jump) or np.any(model.coupling):
        leak |= _leak(model) or {}
        return *_adapting(model, leak), current
    if current is not None:
        return "cuba", {**leak, **(_leak(model) or {}), "current_decay": current}, None
    if differs(model.decay):
        varied["w"] = one_a_channel(model.decay, "decay")
        learned: dict[str, Setting] = {"form": "clamp", "each": "channel", "decay": float(varied["w"][0])}
        rest = 1 - model.decay
        if np.allclose(model.share, rest, rtol=1e-6):
            learned["decay_input"] = True
        elif not np.allclose(model.share, 1.0, rtol=1e-6):
            raise Unknown("its decay differs from element to element, and its input is scaled besides")
        return "plif", learned, None
    settings = _leak(model)
    return ("if", {}, None) if settings is None else ("lif", settings, None)


def _adapting(model: Model, leak: dict[str, Setting]) -> tuple[str, dict[str, Setting]]:
    """(operator, settings) of a neuron that waits after a spike, or that spikes make slower to spike."""
    if model.period:
        return "refractory_lif", {**leak, "period": model.period}
    if np.any(model.rise):
        leak["threshold_decay"] = uniform(np.asarray(model.fall), "decay of its threshold")
        return "alif", {**leak, "jump": uniform(np.asarray(model.rise), "rise of its threshold")}
    leak["current_decay"] = uniform(np.asarray(model.fading), "decay of its adaptation")
    if np.any(model.coupling):
        leak["coupling"] = uniform(np.asarray(model.coupling), "coupling of its adaptation")
    return "adaptive_lif", {**leak, "jump": uniform(np.asarray(model.jump), "growth of its adaptation")}


def _of_two_currents(model: Dual) -> dict[str, Setting]:
    """How both currents decay; a gain that is 1 but for the logarithms of its file is none."""
    slow = uniform(model.decay, "decay of its excitatory current")
    fast = uniform(np.asarray(model.inhibitory), "decay of its inhibitory current")
    settings: dict[str, Setting] = {"excitatory_decay": slow, "inhibitory_decay": fast}
    weight, usual = uniform(np.asarray(model.weight), "weight of its currents"), weight_of_both(slow, fast)
    if abs(weight - usual) > _LOGARITHMS * usual:
        raise Unknown(f"its membrane is {weight:g} times the sum of its currents, which is {usual:g} times in alpha")
    gain = uniform(model.share, "factor of its input")
    return settings if abs(gain - 1.0) <= _LOGARITHMS else {**settings, "gain": gain}


def _leak(model: Model) -> dict[str, Setting] | None:
    """Settings of how *model* leaks; None where it does not."""
    decay, share = uniform(model.decay, "decay"), uniform(model.share, "factor of its input")
    if abs(decay - 1.0) < 1e-12 and abs(share - 1.0) < 1e-9:
        return None
    settings: dict[str, Setting] = {"decay": decay}
    if not 0 <= decay <= 1:
        raise Unknown(f"its membrane is multiplied by {decay:g} in each step, which is not between 0 and 1")
    if decay < 1 and np.allclose(model.share, 1.0 - model.decay, rtol=1e-6, atol=0):
        settings["decay_input"] = True
    elif abs(share - 1.0) > 1e-9:
        settings["gain"] = rounded(share)
    return settings


def _one_or_none(values: Array | float) -> Array | None:
    """Of the first sample; None for zeros."""
    return one_sample(np.asarray(values)) if np.any(values) else None
