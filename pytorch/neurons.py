"""What the neurons of snnTorch, SpikingJelly and Norse say of themselves beyond what a run of them shows.

They are told by the class that they inherit from.  Each says its surrogate, whether it takes its reset as given, and
which entries of its state are learned; each has a way to begin anew.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..compiler.ir.graph import Setting
from .derivatives import own_functions, surrogate_of
from .installed import several, torch, torch_part

Framework = Literal["snnTorch", "SpikingJelly", "Norse"]

STATISTICS = ("running_mean", "running_var")
"""What norms call the running statistics in their state."""

ALONE = "neuron"
"""What a neuron is called that is the whole module, and has no path."""

_BASES: Mapping[tuple[str, str], Framework] = {
    ("snntorch", "SpikingNeuron"): "snnTorch",
    ("spikingjelly", "BaseNode"): "SpikingJelly",
}
"""By the package and the name of a class that a neuron inherits from."""


@dataclass(frozen=True)
class Neuron:
    """The neuron at *path* in its module.

    *learned* gives the entry of the state that is our parameter ``w`` or ``theta``, and *form* the form of ``w`` (see
    the operator plif).  *surrogate* is None where it is none of ours, *detach_reset* where it cannot be told.
    """

    path: str
    framework: Framework
    surrogate: Setting | None
    detach_reset: bool | None
    learned: Mapping[str, str] = field(default_factory=dict[str, str])
    form: Literal["clamp", "sigmoid"] = "clamp"

    @property
    def called(self) -> str:
        """What its operations are called after."""
        return self.path or ALONE


def framework_of(module: Any) -> Framework | None:
    """Whose neuron *module* is; None for everything that is no neuron."""
    for kind in type(module).__mro__:
        package = kind.__module__.partition(".")[0]
        if (package, kind.__name__) in _BASES:
            return _BASES[package, kind.__name__]
        if package == "norse" and _norse_constants(module) is not None:
            return "Norse"
    return None


def neurons(module: Any) -> Iterator[Neuron]:
    """All neurons in *module*, itself included; one that stands in two places, once."""
    for path, inner in module.named_modules():
        match framework_of(inner):
            case "snnTorch":
                yield _snntorch(path, inner)
            case "SpikingJelly":
                yield _spikingjelly(path, inner)
            case "Norse":
                yield _norse(path, inner)
            case None:
                pass


def step_modes(module: Any) -> set[str]:
    """What SpikingJelly's neurons take in a call: ``s``, a step, or ``m``, all of them."""
    return {
        str(inner.step_mode)
        for inner in module.modules()
        if framework_of(inner) == "SpikingJelly" and hasattr(inner, "step_mode")
    }


def frozen_diagonals(module: Any) -> list[str]:
    """Recurrent weights of Norse whose diagonal gets no gradient there, by a hook (``autapses=False``)."""
    return [
        _entry(path, "recurrent_weights")
        for path, inner in module.named_modules()
        if framework_of(inner) == "Norse" and getattr(inner, "autapses", True) is False
    ]


def refractory_periods(module: Any) -> list[str]:
    """Neurons of Norse that wait after a spike, and whose gradient passes through the counter of how long."""
    return [
        path
        for path, inner in module.named_modules()
        if framework_of(inner) == "Norse" and hasattr(inner.p, "rho_reset")
    ]


def begin_anew(module: Any) -> None:
    """Forget every hidden state."""
    for inner in module.modules():
        if hasattr(inner, "_memories") and hasattr(inner, "reset"):  # SpikingJelly, whatever has a memory
            inner.reset()
        elif framework_of(inner) == "snnTorch":
            for name in ("mem", "syn", "syn_exc", "syn_inh", "spk"):
                state: Any = getattr(inner, name, None)
                if hasattr(state, "new_zeros"):
                    setattr(inner, name, state.detach().new_zeros(0))


def registry() -> list[Any] | None:
    """snnTorch's list of all neurons that there are, through which ``utils.reset`` reaches them; None without it."""
    return getattr(getattr(sys.modules.get("snntorch"), "SpikingNeuron", None), "instances", None)


def _entry(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _snntorch(path: str, module: Any) -> Neuron:
    own = dict(module.named_parameters(recurse=False))
    state = {**own, **dict(module.named_buffers(recurse=False))}
    learned = {
        role: _entry(path, name)
        for role, name in (("w", "beta"), ("theta", "threshold"))
        if name in own or (name in state and state[name].numel() > 1)
    }
    # A reset that mem_reset gives is detached, whichever neuron it is.
    return Neuron(path, "snnTorch", surrogate_of(module.spike_grad), True, learned)


def _spikingjelly(path: str, module: Any) -> Neuron:
    own = dict(module.named_parameters(recurse=False))
    learned = {"w": _entry(path, "w")} if "w" in own else {}
    surrogate = surrogate_of(module.surrogate_function)
    return Neuron(path, "SpikingJelly", surrogate, bool(module.detach_reset), learned, "sigmoid")


def _norse(path: str, module: Any) -> Neuron:
    fire = torch_part("norse.torch.functional.threshold").threshold
    constants = _norse_constants(module)

    def function(x: Any) -> Any:
        return fire(x, constants.method, constants.alpha)

    return Neuron(path, "Norse", surrogate_of(function, {"alpha": constants.alpha}), _norse_detaches(module))


def _norse_constants(module: Any) -> Any:
    """What a neuron of Norse holds that says how it fires: its ``p``, or a part of it; None for everything else."""
    own: Any = getattr(module, "p", None)
    parts: tuple[Any, ...] = (own, *own) if several(own) else (own,)
    return next((part for part in parts if hasattr(part, "method")), None)


def _norse_detaches(module: Any) -> bool | None:
    """Whether its membrane takes a spike as given, by the graph that autograd keeps of one step.

    Cells of one framework differ here: those with recurrent weights detach what they reset by, and others do not.
    """
    framework = torch()
    x = framework.zeros(1, 1, int(getattr(module, "input_size", 1)))  # a step, a sample
    try:
        with framework.no_grad():
            _, state = module.forward(x, None)
        with framework.enable_grad():
            spikes, state = module.forward(x, _anew(state))
        fires = own_functions(spikes)
        membrane = getattr(state, "lif", state).v  # a refractory cell has the state of another inside
        return own_functions(membrane).isdisjoint(fires) if fires else None
    except Exception:  # a cell of another shape breaks wherever it likes
        return None


def _anew(state: Any) -> Any:
    """A *state*, which may hold another, without the past of its values."""
    if several(state):
        return state._make(_anew(value) for value in state)
    return state.detach().clone().requires_grad_()
