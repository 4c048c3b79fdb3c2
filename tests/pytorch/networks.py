"""Modules as users of each framework write them, and how they run them: by hand, without anything of snnc."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import pytest

CLASSES = 5


@dataclass(frozen=True)
class Case:
    """*make* gives a module, *run* its result in every step as its user has it; *options* are for `from_torch`."""

    framework: str
    make: Callable[[], Any]
    run: Callable[[Any, Any], Any]
    shape: tuple[int, ...]
    steps: int
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    timed: bool = False
    neurons: tuple[str, ...] = ()
    """Paths of the neurons that fire, in order."""

    def built(self) -> Any:
        """The module, always with the same parameters; the test is skipped where its framework is not installed."""
        torch = framework("torch")
        framework(self.framework)
        torch.manual_seed(3)
        module = self.make()
        with torch.no_grad():  # large enough to fire
            for entry, parameter in module.named_parameters():
                if parameter.dim() > 1:
                    parameter.mul_(3.0)
                elif entry.endswith("bias"):
                    parameter.add_(0.4)
        return module

    def input(self, samples: int = 4, seed: int = 1) -> Any:
        """What the user gives the module in training."""
        torch = framework("torch")
        generator = torch.Generator().manual_seed(seed)
        x = torch.rand(
            (self.steps, samples, *self.shape) if self.timed else (samples, *self.shape), generator=generator
        )
        return x.transpose(0, 1).contiguous() if self.options.get("time_axis") == 1 else x


def framework(name: str) -> Any:
    """The package; the test is skipped where it is not installed."""
    return pytest.importorskip(name, reason=f"needs {name}, an optional package")


def each_step(module: Any, x: Any, steps: int, timed: bool) -> list[Any]:
    """One call a step; of several values that a call gives, the first."""
    rows = [module(x[step] if timed else x) for step in range(steps)]
    return [row[0] if isinstance(row, tuple) else row for row in rows]


# snnTorch


def hidden(reset: str = "subtract") -> Any:
    torch, snntorch = framework("torch"), framework("snntorch")
    return torch.nn.Sequential(
        torch.nn.Linear(20, 16),
        snntorch.Leaky(beta=0.9, init_hidden=True, reset_mechanism=reset),
        torch.nn.Linear(16, CLASSES),
        snntorch.Leaky(beta=0.8, init_hidden=True, output=True, threshold=0.75),
    )


def alphas(reset: str) -> Any:
    """Neurons with two currents, the first with a threshold that is learned."""
    torch, snntorch = framework("torch"), framework("snntorch")
    settings: dict[str, Any] = {"init_hidden": True, "reset_mechanism": reset}
    return torch.nn.Sequential(
        torch.nn.Linear(20, 16),
        snntorch.Alpha(alpha=0.9, beta=0.7, threshold=0.3, learn_threshold=True, **settings),
        torch.nn.Linear(16, CLASSES),
        snntorch.Alpha(alpha=0.85, beta=0.6, threshold=0.25, output=True, **settings),
    )


def run_hidden(steps: int, timed: bool) -> Callable[[Any, Any], Any]:
    def run(module: Any, x: Any) -> Any:
        framework("snntorch.utils").reset(module)
        return framework("torch").stack(each_step(module, x, steps, timed))

    return run


def loop(style: str) -> Any:
    """The network of snnTorch's tutorials, which walks through time itself."""
    torch, snntorch = framework("torch"), framework("snntorch")
    surrogate = framework("snntorch.surrogate")

    base: Any = torch.nn.Module

    class Net(base):
        def __init__(self) -> None:
            base.__init__(self)
            self.fc1 = torch.nn.Linear(20, 16)
            self.lif1 = snntorch.Leaky(beta=0.9, learn_beta=True, learn_threshold=True)
            self.fc2 = torch.nn.Linear(16, CLASSES)
            self.lif2 = snntorch.Leaky(beta=0.8, spike_grad=surrogate.fast_sigmoid(slope=10))

        def step(self, x: Any, mem1: Any, mem2: Any) -> Any:
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            return spk2, mem1, mem2

        def forward(self, x: Any, mem1: Any = None, mem2: Any = None) -> Any:
            if style == "carried":
                return self.step(x, mem1, mem2)
            mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
            rows: list[Any] = []
            record = torch.zeros(x.shape[0], x.shape[1], CLASSES)
            for step in range(6):
                now = {"static": x, "record": x[step % len(x)], "second": x[:, step % x.shape[1]]}[style]
                spikes, mem1, mem2 = self.step(now, mem1, mem2)
                rows.append(spikes)
                if style == "record":
                    record[step] = spikes
            return record if style == "record" else torch.stack(rows, 1 if style == "second" else 0)

    return Net()


def run_carried(module: Any, x: Any) -> Any:
    rows: list[Any] = []
    state: tuple[Any, ...] = module.lif1.init_leaky(), module.lif2.init_leaky()
    for _ in range(6):
        spikes, *state_now = module(x, *state)
        state = tuple(state_now)
        rows.append(spikes)
    return framework("torch").stack(rows)


# SpikingJelly


def convolutional(mode: str) -> Any:
    torch = framework("torch")
    base = "spikingjelly.activation_based"
    neuron, layer, surrogate = (framework(f"{base}.{name}") for name in ("neuron", "layer", "surrogate"))
    module = torch.nn.Sequential(
        layer.Conv2d(1, 4, 3, padding=1, bias=False),
        layer.BatchNorm2d(4),
        neuron.IFNode(surrogate_function=surrogate.ATan(alpha=3.0)),
        layer.MaxPool2d(2, 2),
        layer.Flatten(),
        layer.Linear(4 * 16, CLASSES),
        neuron.ParametricLIFNode(init_tau=3.0, detach_reset=True, v_threshold=0.5),
    )
    framework(f"{base}.functional").set_step_mode(module, mode)
    return module


def soft() -> Any:
    torch = framework("torch")
    neuron = framework("spikingjelly.activation_based.neuron")
    return torch.nn.Sequential(
        torch.nn.Linear(20, 16),
        neuron.LIFNode(tau=2.0, v_reset=None, decay_input=False),
        torch.nn.Linear(16, CLASSES),
        neuron.LIFNode(tau=1.5, v_threshold=0.3),
    )


def run_spikingjelly(steps: int, mode: str) -> Callable[[Any, Any], Any]:
    def run(module: Any, x: Any) -> Any:
        framework("spikingjelly.activation_based.functional").reset_net(module)
        return module(x) if mode == "m" else framework("torch").stack(each_step(module, x, steps, False))

    return run


# Norse


def boxes() -> Any:
    torch, norse = framework("torch"), framework("norse.torch")
    neuron = norse.LIFBoxCell(norse.LIFBoxParameters(tau_mem_inv=torch.tensor(300.0), v_th=torch.tensor(0.25)))
    return norse.SequentialState(torch.nn.Linear(20, 16), neuron, torch.nn.Linear(16, CLASSES), norse.LIBoxCell())


def currents() -> Any:
    torch, norse = framework("torch"), framework("norse.torch")
    parameters = norse.LIFParameters(v_th=torch.tensor(0.15), method="triangle", alpha=torch.tensor(0.3))
    layers = (torch.nn.Linear(20, 16), norse.LIFCell(parameters), torch.nn.Linear(16, CLASSES), norse.LICell())
    return norse.SequentialState(*layers)


def recurrent(autapses: bool) -> Any:
    """Cells whose reset is detached, unlike those of the others."""
    torch, norse = framework("torch"), framework("norse.torch")
    parameters = norse.LIFParameters(v_th=torch.tensor(0.15), method="triangle", alpha=torch.tensor(0.3))
    neuron = norse.LIFRecurrentCell(16, 16, parameters, autapses=autapses)
    return norse.SequentialState(torch.nn.Linear(20, 16), neuron, torch.nn.Linear(16, CLASSES), norse.LICell())


def refractory() -> Any:
    """Neurons that wait after a spike; their parameters hold those of a LIF."""
    torch, norse = framework("torch"), framework("norse.torch")
    lif = norse.LIFParameters(v_th=torch.tensor(0.15), method="triangle", alpha=torch.tensor(0.3))
    neuron = norse.LIFRefracCell(norse.LIFRefracParameters(lif=lif, rho_reset=torch.tensor(2.0)))
    return norse.SequentialState(torch.nn.Linear(20, 16), neuron, torch.nn.Linear(16, CLASSES), norse.LICell())


def run_norse(module: Any, x: Any) -> Any:
    rows: list[Any] = []
    state: Any = None
    for _ in range(10):
        made, state = module(x, state)
        rows.append(made)
    return framework("torch").stack(rows)


def run_refractory(module: Any, x: Any) -> Any:
    """Without the gradient through the counter of how long a neuron waits, which ours does not have."""

    def waiting(rho: Any, *_: Any) -> Any:
        return (rho > 0).to(rho.dtype)

    with patch.object(framework("norse.torch.functional.lif_refrac"), "threshold", waiting):
        return run_norse(module, x)


VECTOR, IMAGE = (20,), (1, 8, 8)
TIMED = {"time_axis": 0}
LOOP = ("lif1", "lif2")
CASES: Mapping[str, Case] = {
    "snntorch_hidden": Case("snntorch", hidden, run_hidden(7, False), VECTOR, 7, neurons=("1", "3")),
    "snntorch_zero_timed": Case(
        "snntorch", lambda: hidden("zero"), run_hidden(7, True), VECTOR, 7, TIMED, True, neurons=("1", "3")
    ),
    **{
        f"snntorch_alpha_{reset}": Case(
            "snntorch", lambda reset=reset: alphas(reset), run_hidden(8, False), VECTOR, 8, neurons=("1", "3")
        )
        for reset in ("subtract", "none")
    },
    "snntorch_alpha_zero_timed": Case(
        "snntorch", lambda: alphas("zero"), run_hidden(8, True), VECTOR, 8, TIMED, True, neurons=("1", "3")
    ),
    "snntorch_carried": Case("snntorch", lambda: loop("carried"), run_carried, VECTOR, 6, neurons=LOOP),
    "snntorch_static_loop": Case(
        "snntorch", lambda: loop("static"), lambda m, x: m(x), VECTOR, 6, {"call": "all"}, neurons=LOOP
    ),
    "snntorch_recorded_loop": Case(
        "snntorch", lambda: loop("record"), lambda m, x: m(x), VECTOR, 6, {"call": "all", **TIMED}, True, LOOP
    ),
    "snntorch_samples_first": Case(
        "snntorch",
        lambda: loop("second"),
        lambda m, x: m(x).transpose(0, 1),
        VECTOR,
        6,
        {"call": "all", "time_axis": 1},
        True,
        LOOP,
    ),
    "spikingjelly_step": Case(
        "spikingjelly", lambda: convolutional("s"), run_spikingjelly(4, "s"), IMAGE, 4, neurons=("2", "6")
    ),
    "spikingjelly_all": Case(
        "spikingjelly", lambda: convolutional("m"), run_spikingjelly(4, "m"), IMAGE, 4, TIMED, True, ("2", "6")
    ),
    "spikingjelly_soft": Case("spikingjelly", soft, run_spikingjelly(8, "s"), VECTOR, 8, neurons=("1", "3")),
    "norse_box": Case("norse", boxes, run_norse, VECTOR, 10, neurons=("1",)),
    "norse_current": Case("norse", currents, run_norse, VECTOR, 10, neurons=("1",)),
    "norse_refractory": Case("norse", refractory, run_refractory, VECTOR, 10, neurons=("1",)),
    "norse_recurrent": Case("norse", lambda: recurrent(True), run_norse, VECTOR, 10, neurons=("1",)),
}
