"""Neurons in plain PyTorch, a step after the other, with surrogates as derivatives of an autograd function."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

Settings = Mapping[str, Any]
States = dict[str, Any]
"""What a neuron carries from step to step, by name; empty before the first."""

SURROGATES: dict[str, Callable[[Any, Settings], Any]] = {
    "rect": lambda x, p: p["alpha"] * (x.abs() < 0.5 / p["alpha"]),
    "rect_of_height_1": lambda x, p: 1.0 * (x.abs() < p["w"]),
    "triangle": lambda x, p: (p["alpha"] - p["alpha"] ** 2 * x.abs()).clamp(min=0),
    "norse_triangle": lambda x, p: p["alpha"] * (1 - x.abs()).clamp(min=0),
    "sigmoid": lambda x, p: p["alpha"] * (p["alpha"] * x).sigmoid() * (-p["alpha"] * x).sigmoid(),
    "atan": lambda x, p: p["alpha"] / 2 / (1 + (math.pi / 2 * p["alpha"] * x).square()),
    "fast_sigmoid": lambda x, p: (1 + p["k"] * x.abs()).pow(-2),
    "super_spike": lambda x, p: p["alpha"] * (1 + x.abs()).pow(-2),
    "soft_sign": lambda x, p: p["alpha"] / 2 * (1 + p["alpha"] * x.abs()).pow(-2),
    "erf": lambda x, p: p["alpha"] / math.sqrt(math.pi) * (-(p["alpha"] * x).square()).exp(),
    "piecewise_exp": lambda x, p: p["alpha"] / 2 * (-p["alpha"] * x.abs()).exp(),
    "straight_through": lambda x, p: x.new_ones(()).expand_as(x),
}
"""Derivative of the spike by ``x = h - threshold``."""

LIF: Settings = {
    "decay_input": False,
    "rest": 0.0,
    "gain": 1.0,
    "amplitude": 1.0,
    "reset": "hard",
    "v_reset": 0.0,
    "reset_time": "immediate",
    "compare": "ge",
    "detach_reset": False,
    "initial": 0.0,
    "learn_threshold": "none",
}
"""What `lif` does where its settings do not say otherwise."""


def spike(distance: Any, fires: Any, surrogate: Settings) -> Any:
    """*fires* (bool) as numbers, with the surrogate's derivative by *distance*."""
    torch: Any = import_module("torch")
    slope = SURROGATES.get(surrogate["name"])
    if slope is None:
        raise ValueError(f"the PyTorch peer has no surrogate {surrogate['name']}")

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return fires.to(x.dtype)

        @staticmethod
        def backward(ctx: Any, *errors: Any) -> Any:
            (x,) = ctx.saved_tensors
            return errors[0] * slope(x, surrogate)

    return Spike.apply(distance)


def lif(current: Any, given: Settings, states: States, theta: Any = None) -> tuple[Any, Any]:
    """(emitted, membrane before the reset) of a leaky integrate-and-fire neuron, over ``[t, n, ...]``.

    *theta* is a learned threshold, one number or one a channel.
    """
    torch: Any = import_module("torch")
    given = {**LIF, **given}
    decay = given["decay"]
    rho = given["gain"] * (1 - decay if given["decay_input"] else 1.0)
    threshold = given["threshold"] if theta is None else _by_channel(theta, current[0])
    delayed = given["reset_time"] == "delayed" and given["reset"] != "none"

    def after_reset(potential: Any, s: Any) -> Any:
        match given["reset"]:
            case "none":
                return potential
            case "soft":
                return potential - threshold * s
            case _:
                return (1 - s) * potential + s * given["v_reset"]

    v = states.get("v", torch.full_like(current[0], given["initial"]))
    waiting = states.get("waiting", torch.zeros_like(current[0]))
    emitted: list[Any] = []
    membranes: list[Any] = []
    for x in current:
        h = decay * v + rho * x + (1 - decay) * given["rest"]
        if delayed:
            h = after_reset(h, waiting)
        distance = h - threshold
        s = spike(distance, distance >= 0 if given["compare"] == "ge" else distance > 0, given["surrogate"])
        seen = s.detach() if given["detach_reset"] else s
        v = h if delayed else after_reset(h, seen)
        waiting = seen
        emitted.append(given["amplitude"] * s if given["amplitude"] != 1.0 else s)
        membranes.append(h)
    states |= {"v": v, "waiting": waiting}
    return torch.stack(emitted), torch.stack(membranes)


def li(current: Any, given: Settings, states: States) -> Any:
    """A leaky read-out over ``[t, n, ...]``."""
    torch: Any = import_module("torch")
    decay = given["decay"]
    rho = given["gain"] * (1 - decay if given["decay_input"] else 1.0)
    v = states.get("v", torch.full_like(current[0], given["initial"]))
    found: list[Any] = []
    for x in current:
        v = decay * v + rho * x + (1 - decay) * given["rest"]
        found.append(v)
    states["v"] = v
    return torch.stack(found)


def _by_channel(parameter: Any, x: Any) -> Any:
    """A parameter of the layer, or of each channel of ``x[n, c, ...]``."""
    return parameter.reshape(parameter.shape + (1,) * (x.dim() - 2)) if parameter.dim() else parameter
