"""References for law 2 of neurons: every one, in every setting that changes its mathematics.

Run ``python tests/golden/make_neurons.py`` to write ``tests/golden/references/neurons.json``; it needs torch, and
snntorch, spikingjelly and norse, whose own modules are asked where they define the neuron.  The settings that are ours
are written after the equations of `docs/neurons.md` in PyTorch; gradients come from automatic differentiation, in
float64.  Nothing here comes from snnc.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from make_deep_references import Deep, Numbers, Run, draw, expected, lists, source, torch

REFERENCES = Path(__file__).parent / "references" / "neurons.json"
WIDTH = 4


@dataclass(frozen=True)
class Case:
    """``s = call``, which reads ``c``, beside *run*: of currents ``[t, n, 4]`` and parameters, what s is.

    *before* are lines that stand before it.
    """

    call: str
    run: Callable[[Any, Any], Any]
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    spiking: bool = True
    before: str = ""

    @property
    def deep(self) -> Deep:
        """Between two layers."""

        def run(x: Any, p: Any, training: bool) -> Run:
            linear = torch().nn.functional.linear
            s = self.run(linear(x, p["c.w"], p["c.b"]), p)
            return Run(linear(s, p["y.w"], p["y.b"]), {"s": s} if self.spiking else {})

        lines = ["c = linear(x, out=4)", self.before, f"s = {self.call}", "y = linear(s, out=3)", "return y"]
        shapes = {"c.w": (WIDTH, 3), "c.b": (WIDTH,), "y.w": (3, WIDTH), "y.b": (3,)}
        shapes |= {name: np.shape(value) for name, value in self.parameters.items()}
        return Deep("\n".join(filter(None, lines)), run, shapes, (3,), steps=6, batch=2, valid=2)

    def draw(self, seed: int) -> Numbers:
        """Random numbers; parameters of neurons are what the case says."""
        return draw(self.deep, seed) | {name: np.asarray(value, float) for name, value in self.parameters.items()}


# The canonical neuron in PyTorch.


def spike(distance: Any, compare: str, phi: Callable[[Any], Any]) -> Any:
    """A step with this derivative."""

    class Spike(torch().autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return (x >= 0 if compare == "ge" else x > 0).to(x.dtype)

        @staticmethod
        def backward(ctx: Any, *errors: Any) -> Any:
            return errors[0] * phi(ctx.saved_tensors[0])

    return Spike.apply(distance)


PHI: dict[str, Callable[[Any], Any]] = {
    "triangle": lambda x: (1 - x.abs()).clamp(min=0),
    "rect": lambda x: (x.abs() < 0.5).to(x.dtype),
    "atan": lambda x: 1 / (1 + (np.pi * x) ** 2),
    "piecewise_leaky_relu": lambda x: 0.01 + 0.49 * (x.abs() < 1).to(x.dtype),
    "straight_through": lambda x: torch().ones_like(x),
}


def canonical(
    *,
    decay: float = 0.5,
    rho: float = 1.0,
    eta: float = 0.0,
    threshold: float = 1.0,
    reset: str = "hard",
    v_reset: float = 0.0,
    delayed: bool = False,
    compare: str = "ge",
    detach: bool = False,
    initial: float = 0.0,
    surrogate: str = "triangle",
    period: int = 0,
    adapt: tuple[float, float] | None = None,
    against: tuple[float, float, float, float] | None = None,
    current_decay: float | None = None,
) -> Callable[[Any, Any], Any]:
    """Charge, fire, reset, over ``[t, n, 4]``.

    A parameter ``s.theta`` replaces the threshold, ``s.w`` makes the decay ``1 - sigmoid(w)``, and ``r.w`` are weights
    of spikes that come back to their own neuron in the next step.  *adapt* are decay
    and jump of an adaptive threshold; *against* decay, coupling, jump and rest of an adaptive current.
    """

    def run(currents: Any, p: Any) -> Any:
        pytorch = torch()
        theta = p.get("s.theta", threshold)
        kappa = 1 - p["s.w"].sigmoid() if "s.w" in p else decay
        share = 1 - kappa if rho != 1.0 else 1.0
        zero = pytorch.zeros_like(currents[0])
        v, r, i, w, wait = zero + initial, zero, zero, zero, zero
        b, found = zero + threshold, list[Any]()

        def after(potential: Any, s: Any) -> Any:
            match reset:
                case "soft":
                    return potential - theta * s
                case "hard":
                    return (1 - s) * potential + s * v_reset
                case _:
                    return potential

        for x in currents:
            if "r.w" in p and found:
                x = x + p["r.w"] * found[-1]
            if current_decay is not None:
                i = current_decay * i + x
                x = i
            h = kappa * v + share * (x - w) + eta * (1 - kappa)
            h = after(h, r) if delayed else h
            ready = (wait == 0).to(x.dtype)
            h = pytorch.where(ready > 0, h, v)
            level = theta
            if adapt is not None:
                level = b = adapt[0] * b + (1 - adapt[0]) * threshold
            s = ready * spike(h - level, compare, PHI[surrogate])
            fed = s.detach() if detach else s
            r, v = fed, h if delayed else after(h, fed)
            if adapt is not None:
                b = b + adapt[1] * fed
            if against is not None:
                w = against[0] * w + (1 - against[0]) * against[1] * (h - against[3]) + against[2] * fed
            wait = pytorch.where(s.detach() > 0, zero + period, (wait - 1).clamp(min=0))
            found.append(s)
        return pytorch.stack(found)

    return run


def dual(
    *,
    gain: float = 1.0,
    decays: tuple[float, float] = (0.875, 0.5),
    reset: str = "hard",
    detach: bool = False,
    surrogate: str = "triangle",
) -> Callable[[Any, Any], Any]:
    """Two currents of these *decays* that work against each other, threshold 0.5 or ``s.theta``, over ``[t, n, 4]``."""

    def run(currents: Any, p: Any) -> Any:
        theta = p.get("s.theta", 0.5)
        slow, fast = decays
        tau = np.log(slow) / (np.log(fast) - np.log(slow)) + 1 if fast else 1.0
        e = i = r = torch().zeros_like(currents[0])
        found = list[Any]()
        for x in currents:
            excited, inhibited = slow * e + gain * x, fast * i - gain * x
            h = tau * (excited + inhibited)
            match reset:
                case "soft":
                    h, e, i = h + r * i, excited - r * theta, inhibited - r * inhibited
                case "hard":
                    h, e, i = h - r * h, excited - r * excited, inhibited - r * inhibited
                case _:
                    e, i = excited, inhibited
            s = spike(h - theta, "ge", PHI[surrogate])
            r = s.detach() if detach else s
            found.append(s)
        return torch().stack(found)

    return run


def _settings() -> Iterator[tuple[str, Case]]:
    """The settings of lif, in combinations."""
    for surrogate in ("triangle", "rect"):
        for reset in ("hard", "soft", "none"):
            for time in ("immediate", "delayed"):
                for detach in (False, True):
                    if reset == "none" and (time == "delayed" or detach):
                        continue
                    call = f"lif(c, decay=0.75, threshold=0.5, reset={reset}, v_reset=-0.25, reset_time={time}, "
                    call += f"detach_reset={str(detach).lower()}, surrogate={surrogate})"
                    run = canonical(
                        decay=0.75, threshold=0.5, reset=reset, v_reset=-0.25, delayed=time == "delayed",
                        detach=detach, surrogate=surrogate,
                    )  # fmt: skip
                    yield f"lif, {reset}, {time}, detached {detach}, {surrogate}", Case(call, run)
    more: dict[str, Any] = {
        "decay": 0.75,
        "threshold": 0.5,
        "rho": 0.25,
        "eta": 0.125,
        "initial": 0.25,
        "compare": "gt",
    }
    call = "lif(c, decay=0.75, threshold=0.5, decay_input=true, rest=0.125, initial=0.25, compare=gt, surrogate=atan)"
    yield "lif, decayed input, rest, initial, gt", Case(call, canonical(**more, surrogate="atan"))
    for reset, surrogate in (("soft", "piecewise_leaky_relu"), ("hard", "straight_through")):
        call = f"lif(c, threshold=0.5, reset={reset}, detach_reset=true, surrogate={surrogate})"
        run = canonical(threshold=0.5, reset=reset, detach=True, surrogate=surrogate)
        yield f"lif, {surrogate}", Case(call, run)
    for reset, time, each, detach, surrogate in (
        ("soft", "immediate", "layer", False, "triangle"),
        ("soft", "immediate", "channel", True, "rect"),
        ("hard", "immediate", "channel", False, "rect"),
        ("hard", "immediate", "layer", True, "rect"),
        ("soft", "delayed", "layer", False, "rect"),
        ("soft", "delayed", "channel", True, "atan"),
        ("hard", "delayed", "layer", False, "triangle"),
    ):
        call = f"lif(c, learn_threshold={each}, reset={reset}, reset_time={time}, "
        call += f"detach_reset={str(detach).lower()}, surrogate={surrogate})"
        run = canonical(reset=reset, delayed=time == "delayed", detach=detach, surrogate=surrogate)
        theta = 0.625 if each == "layer" else [0.5, 0.625, 0.75, 0.875]
        yield (
            f"learned threshold, {each}, {reset}, {time}, detached {detach}, {surrogate}",
            Case(call, run, {"s.theta": theta}),
        )
    for reset, time, each, decay_input, detach in (
        ("hard", "immediate", "layer", True, False),
        ("hard", "immediate", "channel", False, False),
        ("soft", "immediate", "channel", True, True),
        ("soft", "delayed", "layer", True, False),
        ("hard", "delayed", "channel", True, False),
        ("none", "immediate", "layer", True, False),
    ):
        call = f"plif(c, each={each}, reset={reset}, reset_time={time}, decay_input={str(decay_input).lower()}, "
        call += f"detach_reset={str(detach).lower()}, threshold=0.5, v_reset=-0.25, rest=0.25, initial=0.125)"
        run = canonical(
            reset=reset, delayed=time == "delayed", detach=detach, threshold=0.5, v_reset=-0.25, eta=0.25,
            initial=0.125, rho=0.0 if decay_input else 1.0,
        )  # fmt: skip
        w = -0.5 if each == "layer" else [-0.5, 0.25, 1.0, -1.5]
        yield (
            f"plif, {each}, {reset}, {time}, decayed input {decay_input}, detached {detach}",
            Case(call, run, {"s.w": w}),
        )
    call = "plif(c, each=channel, learn_threshold=layer, reset=soft, surrogate=rect)"
    yield (
        "plif with a learned threshold",
        Case(call, canonical(reset="soft", surrogate="rect"), {"s.w": [-0.5, 0.25, 1.0, -1.5], "s.theta": 0.625}),
    )


def _others() -> Iterator[tuple[str, Case]]:
    """Neurons with further states."""
    for reset in ("hard", "soft"):
        for detach in (False, True):
            for surrogate in ("atan", "rect"):
                shared = f"decay=0.75, threshold=0.5, reset={reset}, detach_reset={str(detach).lower()}, "
                shared += f"surrogate={surrogate})"
                same: dict[str, Any] = {"decay": 0.75, "threshold": 0.5, "reset": reset, "detach": detach}
                same["surrogate"] = surrogate
                told = f"{reset}, detached {detach}, {surrogate}"
                yield (
                    f"refractory_lif, {told}",
                    Case(f"refractory_lif(c, period=2, {shared}", canonical(**same, period=2)),
                )
                yield (
                    f"alif, {told}",
                    Case(f"alif(c, threshold_decay=0.75, jump=0.25, {shared}", canonical(**same, adapt=(0.75, 0.25))),
                )
                yield (
                    f"adaptive_lif, {told}",
                    Case(
                        f"adaptive_lif(c, current_decay=0.75, coupling=0.5, jump=0.25, {shared}",
                        canonical(**same, against=(0.75, 0.5, 0.25, 0.0)),
                    ),
                )
                yield (
                    f"cuba, {told}",
                    Case(f"cuba(c, current_decay=0.25, {shared}", canonical(**same, current_decay=0.25)),
                )
    back = "before = delay(s) : spike[4]\nr = scale(before, each=element)\nd = add(c, r)"
    given = {"r.w": [0.5, -0.75, 1.0, 0.25], "s.w": [-0.5, 0.25, 1.0, -1.5], "s.theta": 0.625}
    call = "plif(d, each=channel, learn_threshold=layer, decay_input=true)"
    yield "plif that spikes at itself", Case(call, canonical(rho=0.0), given, before=back)
    states: list[tuple[str, str, dict[str, Any]]] = [
        ("cuba", "current_decay=0.25, reset=hard, v_reset=-0.25", {"current_decay": 0.25, "v_reset": -0.25}),
        ("cuba", "current_decay=0.25, reset=soft", {"current_decay": 0.25, "reset": "soft"}),
        ("alif", "threshold_decay=0.75, jump=0.25, reset=hard", {"adapt": (0.75, 0.25)}),
        ("adaptive_lif", "current_decay=0.75, coupling=0.5, reset=soft",
         {"against": (0.75, 0.5, 0.1, 0.0), "reset": "soft"}),
        ("if", "reset=hard, v_reset=-0.25", {"decay": 1.0, "v_reset": -0.25}),
    ]  # fmt: skip
    for kind, settings, more in states:
        run = canonical(threshold=0.5, delayed=True, **more)
        yield f"{kind}, delayed, {settings}", Case(f"{kind}(c, threshold=0.5, reset_time=delayed, {settings})", run)
    call = "cuba(c, current_decay=0.25, decay=0.75, decay_input=true, learn_threshold=channel, threshold=0.5)"
    run = canonical(current_decay=0.25, decay=0.75, rho=0.25)
    yield "cuba with a learned threshold", Case(call, run, {"s.theta": [0.125, 0.25, 0.375, 0.5]})
    yield (
        "adaptive_lif, rest",
        Case(
            "adaptive_lif(c, rest=0.25, decay_input=true, coupling=0.5, threshold=0.25)",
            canonical(rho=0.5, eta=0.25, threshold=0.25, against=(0.5, 0.5, 0.1, 0.25)),
        ),
    )
    yield (
        "if with a learned threshold",
        Case("if(c, learn_threshold=layer, reset=soft)", canonical(decay=1.0, reset="soft"), {"s.theta": 0.75}),
    )

    def summed(currents: Any, p: Any) -> Any:
        return torch().cumsum(currents, 0) + 0.25

    yield "integrator", Case("integrator(c, initial=0.25)", summed, spiking=False)


# The neurons of frameworks.


def unrolled(module: Any, spikes: Callable[[Any], Any] = lambda made: made) -> Callable[[Any, Any], Any]:
    """A module with hidden state, step by step."""
    return lambda currents, p: torch().stack([spikes(module(x)) for x in currents])


def _spikingjelly() -> Iterator[tuple[str, Case]]:
    """https://spikingjelly.readthedocs.io, activation_based.neuron."""

    def of(kind: str, **settings: Any) -> Callable[[Any, Any], Any]:
        def run(currents: Any, p: Any) -> Any:
            neuron: Any = import_module("spikingjelly.activation_based.neuron")
            surrogate: Any = import_module("spikingjelly.activation_based.surrogate")
            module = getattr(neuron, kind)(surrogate_function=surrogate.ATan(), **settings).double()
            if "s.w" in p:
                del module.w
                module.w = p["s.w"]
            return unrolled(module)(currents, p)

        return run

    for soft in (False, True):
        reset = "reset=soft" if soft else "v_reset=-0.25, initial=-0.25, rest=-0.25"
        v_reset = {"v_reset": None if soft else -0.25, "v_threshold": 0.5}
        same = f"{reset}, threshold=0.5, surrogate=atan"
        told = "soft" if soft else "hard"
        without_rest = same.replace(", rest=-0.25", "")
        yield f"SpikingJelly IFNode, {told}", Case(f"if(c, {without_rest})", of("IFNode", **v_reset))
        yield (
            f"SpikingJelly LIFNode, {told}",
            Case(f"lif(c, decay=0.75, decay_input=true, {same})", of("LIFNode", tau=4.0, **v_reset)),
        )
        yield (
            f"SpikingJelly LIFNode, {told}, input as it is, detached",
            Case(
                f"lif(c, decay=0.75, detach_reset=true, {same})",
                of("LIFNode", tau=4.0, decay_input=False, detach_reset=True, **v_reset),
            ),
        )
        for decay_input in (True, False):
            yield (
                f"SpikingJelly ParametricLIFNode, {told}, decayed input {decay_input}",
                Case(
                    f"plif(c, decay_input={str(decay_input).lower()}, {same})",
                    of("ParametricLIFNode", init_tau=4.0, decay_input=decay_input, **v_reset),
                    {"s.w": -0.75},
                ),
            )
    yield (
        "SpikingJelly CUBALIFNode",
        Case(
            "cuba(c, current_decay=0.25, decay=0.75, threshold=0.5, surrogate=atan)",
            of("CUBALIFNode", c_decay=0.25, v_decay=0.75, v_threshold=0.5),
        ),
    )

    def adapting(currents: Any, p: Any) -> Any:
        neuron: Any = import_module("spikingjelly.activation_based.neuron")
        step = neuron.AdaptBaseNode.jit_neuronal_adaptation
        v = w = torch().zeros_like(currents[0])
        found: list[Any] = []
        for x in currents:
            h = 0.75 * v + (x - w)
            w = step(w, 4.0, 0.5, 0.0, h)
            s = spike(h - 0.5, "ge", PHI["atan"])
            v, w = (1 - s) * h, w + 0.25 * s
            found.append(s)
        return torch().stack(found)

    call = "adaptive_lif(c, decay=0.75, current_decay=0.75, coupling=0.5, jump=0.25, threshold=0.5, surrogate=atan)"
    yield "SpikingJelly AdaptBaseNode's adaptation", Case(call, adapting)


def _of_snntorch(kind: str, **settings: Any) -> Callable[[Any, Any], Any]:
    """A neuron of snnTorch, whose surrogates make float32: it is given one that does not."""

    def run(currents: Any, p: Any) -> Any:
        found: Any = getattr(import_module("snntorch"), kind)
        with_slope = {"spike_grad": lambda x: spike(x, "gt", PHI["atan"]), "init_hidden": True}  # type: ignore[reportUnknownLambdaType]
        module = found(**{"threshold": 0.5} | settings, **with_slope).double()
        for name, parameter in (("threshold", "s.theta"), ("beta", "s.w")):
            if parameter in p:
                delattr(module, name)
                setattr(module, name, p[parameter])
        return unrolled(module)(currents, p)

    return run


def _snntorch() -> Iterator[tuple[str, Case]]:
    """https://snntorch.readthedocs.io."""

    same = "threshold=0.5, compare=gt, detach_reset=true, surrogate=atan"
    subtract, zero = "reset=soft, reset_time=delayed", "reset=hard, reset_time=delayed"
    for word, mechanism in ((subtract, "subtract"), ("reset=hard", "zero"), ("reset=none", "none")):
        yield (
            f"snnTorch Leaky, {mechanism}",
            Case(f"lif(c, decay=0.75, {word}, {same})", _of_snntorch("Leaky", beta=0.75, reset_mechanism=mechanism)),
        )
    for word, mechanism in ((subtract, "subtract"), (zero, "zero")):
        yield (
            f"snnTorch Lapicque, {mechanism}",
            Case(
                f"lif(c, decay=0.75, decay_input=true, {word}, {same})",
                _of_snntorch("Lapicque", R=1.0, C=4.0, time_step=1.0, reset_mechanism=mechanism),
            ),
        )
        yield (
            f"snnTorch Synaptic, {mechanism}",
            Case(
                f"cuba(c, current_decay=0.25, decay=0.75, {word}, {same})",
                _of_snntorch("Synaptic", alpha=0.25, beta=0.75, reset_mechanism=mechanism),
            ),
        )
    yield (
        "snnTorch Leaky, learned threshold",
        Case(
            f"lif(c, decay=0.75, {subtract}, {same}, learn_threshold=layer)",
            _of_snntorch("Leaky", beta=0.75),
            {"s.theta": 0.625},
        ),
    )
    for each, beta in (("layer", 0.625), ("channel", [0.25, 0.5, 0.75, 1.25])):
        yield (
            f"snnTorch Leaky, learned beta, {each}",
            Case(
                f"plif(c, form=clamp, each={each}, {subtract}, {same})", _of_snntorch("Leaky", beta=0.75), {"s.w": beta}
            ),
        )


def _norse() -> Iterator[tuple[str, Case]]:
    """https://norse.github.io, with dt = 1 ms."""

    def stepped(step: str, parameters: str, state: str, states: str, **given: float) -> Callable[[Any, Any], Any]:
        def run(currents: Any, p: Any) -> Any:
            functional: Any = import_module(step.rpartition(".")[0])
            numbers = {name: torch().tensor(value, dtype=torch().float64) for name, value in given.items()}
            made = getattr(functional, parameters)(**numbers, method="triangle", alpha=0.3)
            zero = torch().zeros_like(currents[0])
            beginning = {"b": zero + given.get("v_th", 0.0)}
            carried = getattr(functional, state)(**{name: beginning.get(name, zero) for name in states})
            found: list[Any] = []
            for x in currents:
                s, carried = getattr(functional, step.rpartition(".")[2])(x, carried, made, dt=0.001)
                found.append(s)
            return torch().stack(found)

        return run

    box = "norse.torch.functional.lif_box.lif_box_feed_forward_step"
    same = "decay_input=true, threshold=0.25, compare=gt, surrogate=norse_triangle"
    leak: dict[str, float] = {"tau_mem_inv": 250.0, "v_leak": 0.125, "v_th": 0.25, "v_reset": -0.25}
    yield (
        "Norse LIFBox",
        Case(
            f"lif(c, decay=0.75, rest=0.125, v_reset=-0.25, {same})",
            stepped(box, "LIFBoxParameters", "LIFBoxFeedForwardState", "v", **leak),
        ),
    )
    yield "Norse LIF", Case(
        f"cuba(c, current_decay=0.5, decay=0.75, rest=0.125, v_reset=-0.25, {same})",
        stepped(
            "norse.torch.functional.lif.lif_feed_forward_step",
            "LIFParameters", "LIFFeedForwardState", "vi", tau_syn_inv=500.0, **leak,
        ),
    )  # fmt: skip
    yield "Norse LSNN", Case(
        f"alif(d, decay=0.75, threshold_decay=0.875, jump=0.25, {same})",
        stepped(
            "norse.torch.functional.lsnn.lsnn_feed_forward_step",
            "LSNNParameters", "LSNNFeedForwardState", "vib",
            tau_syn_inv=500.0, tau_mem_inv=250.0, tau_adapt_inv=125.0, v_th=0.25, beta=0.25,
        ),
        before="i = li(c, decay=0.5)\nd = delay(i)",
    )  # fmt: skip

    def leaking(currents: Any, p: Any) -> Any:
        module: Any = import_module("norse.torch.functional.leaky_integrator_box")
        numbers = {name: torch().tensor(leak[name], dtype=torch().float64) for name in ("tau_mem_inv", "v_leak")}
        carried = module.LIBoxState(torch().zeros_like(currents[0]))
        found: list[Any] = []
        for x in currents:
            v, carried = module.li_box_feed_forward_step(x, carried, module.LIBoxParameters(**numbers), dt=0.001)
            found.append(v)
        return torch().stack(found)

    yield "Norse LIBox", Case("li(c, decay=0.75, decay_input=true, rest=0.125)", leaking, spiking=False)

    def refractory(currents: Any, p: Any) -> Any:
        """Ours for the gradients, which Norse takes through the counter; its spikes must be the same."""
        module: Any = import_module("norse.torch.functional.lif_refrac")
        numbers = {name: torch().tensor(value, dtype=torch().float64) for name, value in leak.items()}
        lif = module.LIFParameters(
            **numbers, tau_syn_inv=torch().tensor(1000.0), method="triangle", alpha=torch().tensor(0.3)
        )
        parameters = module.LIFRefracParameters(lif, torch().tensor(2.0))
        zero = torch().zeros_like(currents[0])
        state = module.LIFRefracFeedForwardState(module.LIFFeedForwardState(zero, zero), zero)
        run = canonical(
            decay=0.75, rho=0.25, eta=0.125, threshold=0.25, v_reset=-0.25, compare="gt", period=2, surrogate="rect"
        )
        found = run(currents, p)
        for x, s in zip(currents, found, strict=True):
            theirs, state = module.lif_refrac_feed_forward_step(x, state, parameters, dt=0.001)
            assert bool((theirs == s).all()), "Norse spikes otherwise"
        return found

    yield (
        "Norse LIFRefrac",
        Case(
            "refractory_lif(c, period=2, decay=0.75, rest=0.125, v_reset=-0.25, decay_input=true, threshold=0.25, "
            "compare=gt, surrogate=rect)",
            refractory,
        ),
    )


def _alpha() -> Iterator[tuple[str, Case]]:
    """Two currents against each other: in our settings, and as snnTorch's module."""
    both = "alpha(c, excitatory_decay=0.875, inhibitory_decay=0.5"
    for reset in ("hard", "soft"):
        for detach in (False, True):
            for surrogate in ("atan", "rect"):
                call = f"{both}, threshold=0.5, reset={reset}, detach_reset={str(detach).lower()}"
                run = dual(reset=reset, detach=detach, surrogate=surrogate)
                yield f"alpha, {reset}, detached {detach}, {surrogate}", Case(f"{call}, surrogate={surrogate})", run)
    for reset, each, surrogate, theta in (
        ("soft", "channel", "rect", [0.25, 0.375, 0.5, 0.625]),
        ("soft", "layer", "triangle", 0.375),
        ("none", "layer", "rect", 0.375),
    ):
        call = f"{both}, gain=0.75, reset={reset}, learn_threshold={each}, surrogate={surrogate})"
        run = dual(gain=0.75, reset=reset, surrogate=surrogate)
        yield f"alpha, learned threshold, {each}, {reset}, {surrogate}", Case(call, run, {"s.theta": theta})
    call = "alpha(c, excitatory_decay=1.0, inhibitory_decay=0.0, threshold=0.5)"
    yield "alpha, decays of 1 and 0", Case(call, dual(decays=(1.0, 0.0)))
    same = "compare=gt, detach_reset=true, surrogate=atan"
    decays = {"alpha": 0.875, "beta": 0.5}
    for word, mechanism in (("soft", "subtract"), ("hard", "zero"), ("none", "none")):
        run = _of_snntorch("Alpha", **decays, reset_mechanism=mechanism)
        yield f"snnTorch Alpha, {mechanism}", Case(f"{both}, threshold=0.5, reset={word}, {same})", run)
    call = f"{both}, reset=soft, learn_threshold=layer, {same})"
    run = _of_snntorch("Alpha", **decays, reset_mechanism="subtract")
    yield "snnTorch Alpha, learned threshold", Case(call, run, {"s.theta": 0.375})


def cases() -> dict[str, Case]:
    """All of them by name."""
    return dict((*_settings(), *_others(), *_spikingjelly(), *_snntorch(), *_norse(), *_alpha()))


def _telling(name: str, case: Case, seed: int) -> tuple[Numbers, Numbers]:
    """The first random numbers for which the neurons fire often, but not always, and every gradient is alive."""
    for trial in range(500):
        given = case.draw(seed + trial)
        found = expected(case.deep, given)
        rate = found["s"].mean() if case.spiking else 0.5
        alive = [(np.abs(value) > 1e-6).mean() for key, value in found.items() if key.startswith("d.")]
        if 0.08 < rate < 0.8 and min(alive) >= 0.5:
            return given, found
    raise AssertionError(f"{name}: no random numbers make this case tell anything")


def main() -> None:
    """Write the references anew."""
    records: dict[str, Any] = {}
    for number, (name, case) in enumerate(cases().items()):
        given, numbers = _telling(name, case, 1000 * number)
        records[name] = {"source": source(case.deep), "valid": 2, "given": lists(given), "expected": lists(numbers)}
    lines = [f"{json.dumps(name)}: {json.dumps(record, separators=(',', ':'))}" for name, record in records.items()]
    REFERENCES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{REFERENCES}: {len(records)} cases, {REFERENCES.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
