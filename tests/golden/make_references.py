"""Small references for law 2, computed with PyTorch's automatic differentiation in float64.

Run ``python tests/golden/make_references.py`` (needs torch) to write ``tests/golden/references/mathematics.json``.
The tests compare the oracle with that file, so that they need no PyTorch; where it is installed they also call
`expected` on other random numbers.  Nothing here comes from snnc: neurons, surrogates and losses are written after
their papers, and `source` only spells a case in the language of networks.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

REFERENCES = Path(__file__).parent / "references" / "mathematics.json"
Numbers = dict[str, np.ndarray[Any, np.dtype[np.float64]]]
Settings = dict[str, Any]


@dataclass(frozen=True)
class Surrogate:
    """``name(settings)``."""

    name: str
    settings: Settings = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Layer:
    """``name = op(inputs, settings)``; *shapes* are those of its parameters, as PyTorch has them."""

    name: str
    op: str
    inputs: tuple[str, ...]
    settings: Settings = field(default_factory=dict[str, Any])
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict[str, tuple[int, ...]])


@dataclass(frozen=True)
class Case:
    """A network with its training; the last layer is the result.  *shape* and *timed* are those of the input."""

    layers: tuple[Layer, ...]
    shape: tuple[int, ...] = (3,)
    timed: bool = True
    steps: int = 4
    batch: int = 2
    valid: int = 2
    loss: tuple[str, Settings] = ("cross_entropy", {})
    optimizer: tuple[str, Settings] = ("sgd", {"lr": 0.1})
    updates: int = 1
    loss_scale: float = 1.0
    fixed: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Values instead of random ones."""

    @property
    def classes(self) -> int:
        """Extent of the result."""
        return next(layer.settings["out"] for layer in reversed(self.layers) if "out" in layer.settings)


def source(case: Case) -> str:
    """The case in the language of networks."""
    extents = ", ".join((*(["t"] if case.timed else []), *map(str, case.shape)))
    lines = [f"network case(x: f16[{extents}]) steps {case.steps} {{"]
    for layer in case.layers:
        lines.append(f"    {layer.name} = {_call(layer.op, layer.inputs, layer.settings)}")
    lines += [f"    return {case.layers[-1].name}", "}", "train {"]
    lines += [f"    loss = {_call(case.loss[0], (), case.loss[1])}"]
    lines += [f"    optimizer = {_call(case.optimizer[0], (), case.optimizer[1])}", f"    batch = {case.batch}", "}"]
    return "\n".join(lines) + "\n"


def training(case: Case) -> Settings:
    """What the host of a case does."""
    name, settings = case.optimizer
    chosen = {"optimizer": name, "lr": 0.1, "beta1": 0.9, "beta2": 0.999} | settings
    kept = {key: chosen[key] for key in ("optimizer", "lr", "beta1", "beta2")}
    return kept | {"valid": case.valid, "updates": case.updates, "loss_scale": case.loss_scale}


def _call(op: str, inputs: tuple[str, ...], settings: Settings) -> str:
    return f"{op}({', '.join((*inputs, *(f'{name}={_word(value)}' for name, value in settings.items())))})"


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Surrogate):
        return _call(value.name, (), value.settings) if value.settings else value.name
    if isinstance(value, tuple):
        return f"[{', '.join(map(_word, value))}]"  # type: ignore[arg-type]
    return str(value)


def draw(case: Case, seed: int) -> Numbers:
    """Inputs and parameters with three decimals, which print short and meet no threshold."""
    rng = np.random.default_rng(seed)

    def some(scale: float, *shape: int) -> Any:
        return np.round(scale * rng.standard_normal(shape), 3)

    given: Numbers = {"x": some(1.0, *((case.steps,) if case.timed else ()), case.batch, *case.shape)}
    for layer in case.layers:
        for name, shape in layer.shapes.items():
            fan = math.prod(shape[1:])
            given[f"{layer.name}.{name}"] = some(2.0 / math.sqrt(fan) if name == "w" else 0.3, *shape)
    given["label"] = rng.integers(0, case.classes, case.batch).astype(np.float64)
    if case.loss[0] == "weighted_sum":
        given["coefficient"] = some(1.0, case.steps, case.batch, case.classes)
    given |= {name: np.asarray(value, np.float64) for name, value in case.fixed.items()}
    return given


# The same in PyTorch.


def _torch() -> Any:
    """PyTorch, where it is installed."""
    return import_module("torch")


def expected(case: Case, given: Numbers) -> Numbers:
    """Spikes ``NAME``, loss of each sample, gradients ``d.NAME`` of the first update, and parameters after all."""
    torch = _torch()

    torch.set_num_threads(1)
    parameters = {
        f"{layer.name}.{name}": torch.tensor(given[f"{layer.name}.{name}"], dtype=torch.float64, requires_grad=True)
        for layer in case.layers
        for name in layer.shapes
    }
    name, settings = case.optimizer
    rate: Any = {key: value for key, value in settings.items() if not key.startswith("beta")}
    if name != "sgd":
        rate["betas"] = (settings.get("beta1", 0.9), settings.get("beta2", 0.999))
    kind: Any = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    optimizer = kind(list(parameters.values()), **rate)
    found: Numbers = {}
    for update in range(case.updates):
        optimizer.zero_grad()
        spikes, outputs = _forward(case, given, parameters)
        losses = _losses(case, outputs, given)
        total = losses[: case.valid].sum()
        (total if case.loss[0] == "weighted_sum" else total / case.valid).backward()
        if update == 0:
            found |= {name: torch.stack(raster).detach().numpy() for name, raster in spikes.items()}
            found["loss"] = losses.detach().numpy() * (np.arange(case.batch) < case.valid)
            found |= {
                f"d.{name}": torch.zeros_like(p).numpy() if p.grad is None else p.grad.numpy().copy()
                for name, p in parameters.items()
            }
        optimizer.step()
    return found | {f"{name} after": p.detach().numpy().copy() for name, p in parameters.items()}


def _forward(case: Case, given: Numbers, parameters: Any) -> tuple[dict[str, list[Any]], Any]:
    """(spikes of each lif by step, results [t, n, classes])."""
    torch = _torch()

    x = torch.tensor(given["x"], dtype=torch.float64)
    carried: dict[str, Any] = {}
    spikes: dict[str, list[Any]] = {layer.name: [] for layer in case.layers if layer.op == "lif"}
    outputs: list[Any] = []
    for step in range(case.steps):
        known: dict[str, Any] = {"x": x[step] if case.timed else x}
        for layer in case.layers:
            operands = [known[name] for name in layer.inputs]
            weights = [parameters[f"{layer.name}.{name}"] for name in layer.shapes]
            known[layer.name] = _layer(layer, operands, weights, carried)
            if layer.op == "lif":
                spikes[layer.name].append(known[layer.name])
        outputs.append(known[case.layers[-1].name])
    return spikes, torch.stack(outputs)


def _layer(layer: Layer, operands: list[Any], weights: list[Any], carried: dict[str, Any]) -> Any:
    torch = _torch()
    functional = torch.nn.functional

    x, s = operands[0], layer.settings
    match layer.op:
        case "linear":
            return functional.linear(x, *weights)
        case "conv1d" | "conv2d" | "conv_transpose2d":
            more = {new: s[old] for old, new in _CONV.items() if old in s}
            return getattr(functional, layer.op)(x, *weights, **more)
        case "avg_pool1d" | "avg_pool2d" | "max_pool1d" | "max_pool2d":
            return getattr(functional, layer.op)(x, s["kernel"], s.get("stride", s["kernel"]), s.get("pad", 0))
        case "vote":
            return x.unflatten(-1, (-1, s["size"])).mean(-1)
        case "sum_pool2d":
            more = {"divisor_override": 1}
            return functional.avg_pool2d(x, s["kernel"], s.get("stride", s["kernel"]), s.get("pad", 0), **more)
        case "adaptive_avg_pool2d" | "adaptive_max_pool2d":
            return getattr(functional, layer.op)(x, s["out"])
        case "global_avg_pool2d":
            return x.mean((2, 3), keepdim=True)
        case "global_max_pool2d":
            return functional.max_pool2d(x, x.shape[2:])
        case "upsample":
            return torch.nn.Upsample(scale_factor=s["factor"], mode="nearest")(x)
        case "relu" | "sigmoid" | "tanh":
            return getattr(torch, layer.op)(x)
        case "flatten":
            return torch.flatten(x, 1)
        case "add":
            return operands[0] + operands[1]
        case "concat":
            return torch.cat(operands, 1)
        case "li":
            decay = s.get("decay", 0.5)
            v = carried.get(layer.name, torch.full_like(x, s.get("initial", 0.0)))
            carried[layer.name] = decay * v + (1 - decay if s.get("decay_input") else 1) * x
            return carried[layer.name]
        case _:
            return _lif(layer.name, x, s, carried)


_CONV = {
    "stride": "stride", "pad": "padding", "output_pad": "output_padding", "dilation": "dilation", "groups": "groups",
}  # fmt: skip


def _lif(name: str, x: Any, s: Settings, carried: dict[str, Any]) -> Any:
    """Charge, fire, reset (Fang et al., SpikingJelly), detached where asked for."""
    torch = _torch()

    decay, threshold = s.get("decay", 0.5), s.get("threshold", 1.0)
    v = carried.get(name, torch.full_like(x, s.get("initial", 0.0)))
    h = decay * v + (1 - decay if s.get("decay_input") else 1) * x + (1 - decay) * s.get("rest", 0.0)
    spike = _spike(h - threshold, s.get("compare", "ge"), s.get("surrogate", Surrogate("triangle")))
    fired = spike.detach() if s.get("detach_reset") else spike
    if s.get("reset", "hard") == "soft":
        carried[name] = h - threshold * fired
    else:
        carried[name] = (1 - fired) * h + fired * s.get("v_reset", 0.0)
    return spike


def _spike(x: Any, compare: str, surrogate: Surrogate) -> Any:
    """A step whose derivative is replaced."""
    torch = _torch()

    defaults, phi = PHI[surrogate.name]
    given = [value for value in surrogate.settings.values() if not isinstance(value, str)]
    first, second, *_ = (*(given or defaults), 0.0, 0.0)

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return (x >= 0 if compare == "ge" else x > 0).to(x.dtype)

        @staticmethod
        def backward(ctx: Any, *errors: Any) -> Any:
            (x,) = ctx.saved_tensors
            return errors[0] * phi(x, first, second)

    return Spike.apply(x)


def _chosen(condition: Any, yes: Any, no: Any) -> Any:
    """*yes* where the condition holds, else *no*, each a number or a tensor."""
    torch = _torch()
    chosen = (torch.as_tensor(value, dtype=torch.float64) for value in (yes, no))
    return torch.where(condition, *chosen)


def _bell(x: Any, a: float) -> Any:
    y = (a * x).sigmoid()
    return a * y * (1 - y)


def _square_wave(x: Any, n: float, period: float) -> Any:
    total = (2 * math.pi / period * x).cos()
    for i in range(2, int(n)):
        total = total + (2 * math.pi * (2 * i - 1) / period * x).cos()
    return 4 / period * total


def _gauss(x: Any, k: float) -> Any:
    return (-((k * x) ** 2)).exp() / math.sqrt(math.pi)


PHI: dict[str, tuple[tuple[float, ...], Callable[[Any, float, float], Any]]] = {
    "rect": ((1.0,), lambda x, a, _: a * (x.abs() < 0.5 / a).to(x.dtype)),
    "rect_of_height_1": ((0.5,), lambda x, w, _: (x.abs() < w).to(x.dtype)),
    "triangle": ((1.0,), lambda x, a, _: (a - a * a * x.abs()).clamp(min=0)),
    "norse_triangle": ((0.3,), lambda x, a, _: a * (1 - x.abs()).clamp(min=0)),
    "snntorch_triangular": ((1.0,), lambda x, threshold, _: _chosen(x < 0, threshold, -threshold)),
    "sigmoid": ((4.0,), lambda x, a, _: _bell(x, a)),
    "atan": ((2.0,), lambda x, a, _: a / 2 / (1 + (math.pi / 2 * a * x) ** 2)),
    "fast_sigmoid": ((25.0,), lambda x, k, _: 1 / (k * x.abs() + 1) ** 2),
    "sparse_fast_sigmoid": ((25.0, 1.0), lambda x, k, bound: (x > bound).to(x.dtype) / (k * x.abs() + 1) ** 2),
    "super_spike": ((1.0,), lambda x, a, _: a * (x.abs() + 1) ** -2),
    "soft_sign": ((2.0,), lambda x, a, _: 1 / (2 * a * (1 / a + x.abs()) ** 2)),
    "erf": ((2.0,), lambda x, a, _: a * _gauss(x, a)),
    "heavi_erfc": ((), lambda x, k, _: 2 * _gauss(x, k)),
    "tanh": ((), lambda x, k, _: 1 / (k * x).cosh() ** 2),
    "circ": ((), lambda x, a, _: a**3 * (a**2 + x**2) ** -1.5),
    "piecewise_exp": ((1.0,), lambda x, a, _: a / 2 * (-a * x.abs()).exp()),
    "nonzero_sign_log_abs": ((1.0,), lambda x, a, _: a / (1 + a * x.abs())),
    "piecewise_leaky_relu": ((1.0, 0.01), lambda x, w, c: _chosen(x.abs() < w, 0.5 / w, c)),
    "q_pseudo_spike": ((2.0,), lambda x, a, _: (1 + 2 * x.abs() / (a - 1)) ** -a),
    "leaky_k_relu": ((0.0, 1.0), lambda x, leak, k: _chosen(x < 0, leak, k)),
    "log_tailed_relu": ((0.0,), lambda x, a, _: _chosen(x <= 0, a, 1 / x.clamp(min=1))),
    "fake_numerical_gradient": ((0.3,), lambda x, a, _: (1 / x.abs()).clamp(max=a)),
    "s2nn": ((4.0, 1.0), lambda x, a, b: _chosen(x < 0, _bell(x, a), b / (x.abs() + 1))),
    "squarewave_fourier": ((2, 8.0), _square_wave),
    "straight_through": ((), lambda x, _, __: 0 * x + 1),
    "spike_rate_escape": ((1.0, 25.0), lambda x, b, k: k / (b * (x - 1).abs()).exp()),
    "custom": ((), lambda x, slope, _: slope * (1 - (slope * x).tanh() ** 2)),
}
"""Defaults and derivative of every surrogate without random numbers, and of a ``custom`` one."""

PARAMETERS: dict[str, Settings] = {
    "rect": {"alpha": 0.5},
    "rect_of_height_1": {"w": 0.8},
    "triangle": {"alpha": 0.7},
    "norse_triangle": {"alpha": 0.6},
    "snntorch_triangular": {"threshold": 0.75},
    "sigmoid": {"alpha": 3.0},
    "atan": {"alpha": 1.5},
    "fast_sigmoid": {"k": 10.0},
    "sparse_fast_sigmoid": {"k": 2.0, "bound": -0.5},
    "super_spike": {"alpha": 1.5},
    "soft_sign": {"alpha": 3.0},
    "erf": {"alpha": 1.25},
    "heavi_erfc": {"k": 0.8},
    "tanh": {"k": 1.5},
    "circ": {"alpha": 0.6},
    "piecewise_exp": {"alpha": 1.5},
    "nonzero_sign_log_abs": {"alpha": 2.5},
    "piecewise_leaky_relu": {"w": 0.6, "c": 0.05},
    "q_pseudo_spike": {"alpha": 2.5},
    "leaky_k_relu": {"leak": 0.1, "k": 0.9},
    "log_tailed_relu": {"alpha": 0.05},
    "fake_numerical_gradient": {"alpha": 1.2},
    "s2nn": {"alpha": 3.0, "beta": 0.7},
    "squarewave_fourier": {"n": 4, "period": 6.0},
    "spike_rate_escape": {"beta": 0.5, "k": 3.0},
    "custom": {"phi": '"y = tanh(slope * x); slope * (1 - y^2)"', "slope": 1.75},
}
"""Other parameters than the defaults."""


def _losses(case: Case, outputs: Any, given: Numbers) -> Any:
    """The loss of each sample, from results [t, n, classes]."""
    torch = _torch()
    functional = torch.nn.functional

    label = torch.tensor(given["label"]).long()
    wanted = functional.one_hot(label, case.classes).to(torch.float64)
    name, s = case.loss
    if name == "cross_entropy":
        return functional.cross_entropy(outputs.mean(0), label, reduction="none")
    if name == "mse_rate":
        return ((outputs.mean(0) - wanted) ** 2).mean(1)
    if name == "weighted_sum":
        return (torch.tensor(given["coefficient"]) * outputs).sum((0, 2))
    if s.get("target") == "constant":
        wanted = torch.full_like(wanted, s.get("level", 1.0))
    lam = s.get("lam", 0.05)
    steps = [
        (1 - lam) * functional.cross_entropy(o, label, reduction="none") + lam * ((o - wanted) ** 2).mean(1)
        for o in outputs
    ]
    return torch.stack(steps).mean(0)


# The cases.


def linear(name: str, of: str, inputs: int, out: int, bias: bool = True) -> Layer:
    """A fully connected layer."""
    shapes = {"w": (out, inputs)} | ({"b": (out,)} if bias else {})
    return Layer(name, "linear", (of,), {"out": out} | ({} if bias else {"bias": False}), shapes)


def conv(name: str, of: str, inputs: int, out: int, kernel: int | tuple[int, int], **settings: Any) -> Layer:
    """A convolution over rows and columns, or (*kernel* is one number) over a signal."""
    taps = (kernel,) if isinstance(kernel, int) else kernel
    shapes = {"w": (out, inputs // settings.get("groups", 1), *taps)}
    shapes |= {} if settings.get("bias") is False else {"b": (out,)}
    return Layer(name, f"conv{len(taps)}d", (of,), {"out": out, "kernel": kernel, **settings}, shapes)


def transposed(name: str, of: str, inputs: int, out: int, kernel: tuple[int, int], **settings: Any) -> Layer:
    """A transposed convolution."""
    shapes = {"w": (inputs, out // settings.get("groups", 1), *kernel)}
    shapes |= {} if settings.get("bias") is False else {"b": (out,)}
    return Layer(name, "conv_transpose2d", (of,), {"out": out, "kernel": kernel, **settings}, shapes)


def lif(name: str, of: str, **settings: Any) -> Layer:
    """A neuron."""
    return Layer(name, "lif", (of,), settings)


def dense(settings: Settings, **others: Any) -> Case:
    """Two neurons' layers, so that errors pass through one into the other."""
    layers = (linear("a", "x", 3, 5), lif("s", "a", **settings), linear("b", "s", 5, 4), lif("r", "b", **settings))
    return Case((*layers, linear("y", "r", 4, 3)), **others)


def image(*layers: Layer, features: int, **others: Any) -> Case:
    """Layers over an image [2, 6, 5], the last of them called z, and a classifier behind."""
    last = (Layer("f", "flatten", ("z",)), linear("y", "f", features, 3))
    settings: Settings = {"shape": (2, 6, 5), "timed": False, "steps": 3} | others
    return Case((*layers, *last), **settings)


def cases() -> dict[str, Case]:
    """Every operator, neuron setting, surrogate, loss and optimizer at least once."""
    found: dict[str, Case] = {}
    for reset in ("soft", "hard"):
        for detach in (False, True):
            found[f"{reset} reset, detach {detach}"] = dense({"reset": reset, "detach_reset": detach})
    for name in ("rect", "triangle", "sigmoid", "atan", "fast_sigmoid"):
        found[f"surrogate {name}"] = dense({"surrogate": Surrogate(name)})
    for name in PHI:
        surrogate = Surrogate(name, PARAMETERS.get(name, {}))
        found[f"surrogate {_word(surrogate)}"] = dense({"surrogate": surrogate, "reset": "soft"})
    found |= {
        "decayed input": dense({"decay": 0.25, "decay_input": True, "threshold": 0.4}),
        "undecayed": dense({"decay": 1.0, "reset": "soft", "threshold": 0.8}),
        "initial state": dense({"initial": 0.375, "reset": "soft"}),
        "rest and reset": dense({"v_reset": -0.25, "rest": 0.125, "threshold": 0.7}),
        "static input": dense({"reset": "soft"}, timed=False, steps=5),
        "partial batch": dense({}, batch=3, valid=2),
        "loss scale": dense({}, loss_scale=1024.0),
    }
    tie = {"x": [[[1.0]], [[1.0]], [[1.0]]], "a.w": [[0.5]], "y.w": [[1.0], [-0.5]], "y.b": [0.0, 0.25], "label": [1]}
    for compare in ("ge", "gt"):
        layers = (linear("a", "x", 1, 1, False), lif("s", "a", threshold=0.75, compare=compare), linear("y", "s", 1, 2))
        found[f"a tie under {compare}"] = Case(layers, (1,), steps=3, batch=1, valid=1, fixed=tie)
    losses: list[tuple[str, Settings]] = [
        ("cross_entropy", {}),
        ("cross_entropy_mse", {"lam": 0.3}),
        ("cross_entropy_mse", {"lam": 0.3, "target": "constant", "level": 0.5}),
        ("mse_rate", {}),
        ("weighted_sum", {}),
    ]
    for name, settings in losses:
        found[" ".join(("loss", name, *map(str, settings.values())))] = dense({}, loss=(name, settings))
    on_spikes = (linear("a", "x", 3, 5), lif("s", "a"), linear("b", "s", 5, 3), lif("y", "b", threshold=0.5))
    found["mse_rate of spikes"] = Case(on_spikes, loss=("mse_rate", {}))
    optimizers: list[tuple[str, Settings]] = [
        ("sgd", {"lr": 0.1}),
        ("sgd", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}),
        ("adam", {"lr": 0.01}),
        ("adam", {"lr": 0.01, "beta1": 0.8, "beta2": 0.99, "eps": 1e-4, "weight_decay": 0.02}),
        ("adamw", {"lr": 0.01, "weight_decay": 0.1}),
    ]
    for name, settings in optimizers:
        label = " ".join((name, *(f"{key}={value}" for key, value in settings.items())))
        found[label] = dense({}, optimizer=(name, settings), updates=4)
    voting = (linear("a", "x", 3, 12), lif("s", "a"), Layer("v", "vote", ("s",), {"size": 4}), linear("b", "v", 3, 6))
    found["votes of spikes and of currents"] = Case((*voting, Layer("y", "vote", ("b",), {"size": 2})))
    for decay_input in (False, True):
        read_out = Layer("y", "li", ("b",), {"decay": 0.75, "initial": 0.25, "decay_input": decay_input})
        layers = (linear("a", "x", 3, 5), lif("s", "a"), linear("b", "s", 5, 3), read_out)
        found[f"li, decayed input {decay_input}"] = Case(layers, loss=("cross_entropy_mse", {"lam": 0.1}))
    stem = conv("c", "x", 2, 4, (3, 2), stride=(2, 1), pad=(1, 0))
    deep = conv("k", "s", 4, 4, (2, 2), dilation=(2, 1), pad=(1, 1), groups=2, bias=False)
    found |= {
        "conv2d": image(conv("c", "x", 2, 3, (3, 3)), lif("z", "c"), features=36),
        "conv2d stride and pad": image(stem, lif("z", "c"), features=48),
        "conv2d dilation and groups": image(stem, lif("s", "c", threshold=0.5), deep, lif("z", "k"), features=60),
        "conv2d stride beyond kernel": image(
            conv("c", "x", 2, 3, (2, 2)), lif("s", "c"), conv("k", "s", 3, 3, (1, 2), stride=(2, 3)), lif("z", "k"),
            features=9,
        ),
        "avg_pool2d": image(
            conv("c", "x", 2, 3, (3, 2)), lif("s", "c"), Layer("p", "avg_pool2d", ("s",), {"kernel": 2}),
            conv("k", "p", 3, 4, (2, 2)), lif("z", "k", threshold=0.3), features=4,
        ),
        "avg_pool2d, flattened": image(
            conv("c", "x", 2, 3, (3, 2)), lif("s", "c"), Layer("z", "avg_pool2d", ("s",), {"kernel": 2}), features=12
        ),
        "max_pool2d of spikes": image(
            conv("c", "x", 2, 3, (3, 2)), lif("s", "c"), Layer("z", "max_pool2d", ("s",), {"kernel": 2}), features=12
        ),
        "max_pool2d of currents": image(
            conv("c", "x", 2, 3, (3, 2)), Layer("p", "max_pool2d", ("c",), {"kernel": 2}), lif("z", "p"), features=12
        ),
        "avg_pool2d of currents, overlapping": image(
            conv("c", "x", 2, 2, (3, 2)), Layer("p", "avg_pool2d", ("c",), {"kernel": 3, "stride": (2, 1), "pad": 1}),
            lif("z", "p", threshold=0.4), features=16,
        ),
        "max_pool2d, overlapping": image(
            conv("c", "x", 2, 2, (3, 2)), Layer("p", "max_pool2d", ("c",), {"kernel": 3, "stride": (2, 1), "pad": 1}),
            lif("z", "p"), features=16,
        ),
        "counts of counts": image(
            conv("c", "x", 2, 2, (3, 2)), lif("s", "c"), Layer("p", "avg_pool2d", ("s",), {"kernel": 2, "stride": 1}),
            Layer("q", "avg_pool2d", ("p",), {"kernel": (1, 2), "stride": 1}),
            Layer("m", "max_pool2d", ("q",), {"kernel": 2, "stride": 1}), lif("z", "m", threshold=0.5), features=4,
        ),
        "add of currents": image(
            conv("c", "x", 2, 2, (3, 3), pad=(1, 1)), lif("s", "c"), conv("k", "s", 2, 2, (3, 3), pad=(1, 1)),
            Layer("e", "add", ("c", "k")), lif("z", "e"), features=60,
        ),
        "add of spikes": image(
            conv("c", "x", 2, 2, (3, 3), pad=(1, 1)), lif("s", "c"), conv("k", "s", 2, 2, (3, 3), pad=(1, 1)),
            lif("u", "k"), Layer("z", "add", ("s", "u")), features=60,
        ),
    }  # fmt: skip
    return found | _shortcuts() | _convolutions() | _pools() | _joins() | _activations() | _sums()


def _shortcuts() -> dict[str, Case]:
    """Residual blocks: what is added to the current of the last convolution (see `add`)."""
    stem = (conv("c", "x", 2, 2, (3, 3), pad=(1, 1)), lif("s", "c"))
    same = conv("k", "s", 2, 2, (3, 3), pad=(1, 1))
    down = conv("k", "s", 2, 4, (3, 3), pad=(1, 1), stride=(2, 2))
    return {
        "shortcut of spikes": image(
            *stem, same, lif("u", "k"), conv("l", "u", 2, 2, (3, 3), pad=(1, 1)),
            Layer("e", "add", ("l", "s")), lif("z", "e"), features=60,
        ),
        "shortcut of the membrane's input": image(
            *stem, same, Layer("e", "add", ("k", "c")), lif("u", "e"), conv("l", "u", 2, 2, (3, 3), pad=(1, 1)),
            Layer("g", "add", ("l", "e")), lif("z", "g"), features=60,
        ),
        "shortcut behind the neuron, down-sampled": image(
            *stem, down, lif("u", "k"), conv("l", "u", 4, 4, (3, 3), pad=(1, 1)),
            conv("j", "s", 2, 4, (1, 1), stride=(2, 2), bias=False), Layer("e", "add", ("l", "j")), lif("z", "e"),
            features=36,
        ),
    }  # fmt: skip


def _convolutions() -> dict[str, Case]:
    """Depthwise and grouped, along a signal, and transposed."""
    stem = (conv("c", "x", 2, 4, (3, 2), stride=(2, 1), pad=(1, 0)), lif("s", "c", threshold=0.5))
    signal = (conv("c", "x", 3, 4, 3, pad=1), lif("s", "c", threshold=0.5))
    return {
        "conv2d depthwise": image(
            *stem, conv("k", "s", 4, 4, (3, 2), pad=(1, 1), groups=4), lif("z", "k", threshold=0.4), features=60
        ),
        "conv2d depthwise, multiplier 2, strided": image(
            *stem, conv("k", "s", 4, 8, (2, 3), stride=(1, 2), groups=4), lif("z", "k", threshold=0.4), features=16
        ),
        "conv2d, groups with one output each": image(
            *stem, conv("k", "s", 4, 2, (2, 2), stride=(2, 1), dilation=(1, 2), groups=2),
            lif("z", "k", threshold=0.4), features=4,
        ),
        "conv1d": image(
            *signal, conv("k", "s", 4, 6, 3, stride=2, dilation=2, pad=2, groups=2), lif("z", "k"),
            shape=(3, 9), features=30,
        ),
        "conv1d depthwise": image(
            *signal, conv("k", "s", 4, 4, 2, stride=3, groups=4, bias=False), lif("z", "k", threshold=0.3),
            shape=(3, 9), features=12,
        ),
        "conv_transpose2d": image(*stem, transposed("k", "s", 4, 2, (2, 3)), lif("z", "k"), features=48),
        "conv_transpose2d, everything": image(
            *stem,
            transposed("k", "s", 4, 4, (3, 2), stride=(2, 3), pad=(1, 2), output_pad=(1, 2), dilation=(2, 1), groups=2),
            lif("z", "k", threshold=0.4), features=288,
        ),
        "conv_transpose2d, stride beyond kernel": image(
            *stem, transposed("k", "s", 4, 1, (1, 2), stride=(2, 3)), lif("z", "k", threshold=0.4), features=55
        ),
        "conv_transpose2d depthwise, of currents": image(
            conv("c", "x", 2, 3, (3, 2), stride=(2, 2)),
            transposed("k", "c", 3, 3, (2, 2), stride=(2, 1), groups=3, bias=False), lif("z", "k"), features=36,
        ),
    }  # fmt: skip


def _pools() -> dict[str, Case]:
    """Pools along a signal, over windows that tile, adaptive and global."""
    stem = (conv("c", "x", 2, 3, (3, 2), pad=(1, 0)), lif("s", "c"))
    signal = (conv("c", "x", 3, 4, 3, pad=1), lif("s", "c", threshold=0.5))

    def pool(op: str, of: str, **settings: Any) -> Layer:
        return Layer("p", op, (of,), settings)

    def behind(features: int, layer: Layer) -> Case:
        return image(*stem, layer, conv("k", "p", 3, 2, (1, 1)), lif("z", "k", threshold=0.3), features=features)

    found = {
        "avg_pool1d": image(
            *signal, pool("avg_pool1d", "s", kernel=2), conv("k", "p", 4, 3, 2), lif("z", "k", threshold=0.3),
            shape=(3, 8), features=9,
        ),
        "avg_pool1d of currents, overlapping": image(
            signal[0], pool("avg_pool1d", "c", kernel=3, stride=2, pad=1), lif("z", "p", threshold=0.3),
            shape=(3, 8), features=16,
        ),
        "max_pool1d": image(
            *signal, pool("max_pool1d", "s", kernel=4), conv("k", "p", 4, 3, 1), lif("z", "k", threshold=0.3),
            shape=(3, 8), features=6,
        ),
        "max_pool1d of currents, overlapping": image(
            signal[0], pool("max_pool1d", "c", kernel=3, stride=2, pad=1), lif("z", "p"), shape=(3, 8), features=16
        ),
        "max_pool2d of currents, tiling": image(
            stem[0], pool("max_pool2d", "c", kernel=(3, 2)), lif("z", "p"), features=12
        ),
        "adaptive_avg_pool2d, even": behind(12, pool("adaptive_avg_pool2d", "s", out=(3, 2))),
        "adaptive_avg_pool2d": behind(24, pool("adaptive_avg_pool2d", "s", out=(4, 3))),
        "adaptive_avg_pool2d to more": behind(56, pool("adaptive_avg_pool2d", "s", out=(4, 7))),
        "adaptive_avg_pool2d of currents": image(
            stem[0], pool("adaptive_avg_pool2d", "c", out=(4, 2)), lif("z", "p", threshold=0.2), features=24
        ),
        "adaptive_max_pool2d": behind(24, pool("adaptive_max_pool2d", "s", out=(4, 3))),
        "adaptive_max_pool2d of currents": image(
            stem[0], pool("adaptive_max_pool2d", "c", out=(4, 3)), lif("z", "p"), features=36
        ),
        "global_avg_pool2d": image(*stem, Layer("z", "global_avg_pool2d", ("s",)), features=3),
        "global_avg_pool2d of more than counts hold": image(
            *stem, pool("avg_pool2d", "s", kernel=2, stride=1, pad=1), Layer("z", "global_avg_pool2d", ("p",)),
            features=3,
        ),
        "global_max_pool2d of currents": image(
            stem[0], pool("global_max_pool2d", "c"), lif("z", "p"), features=3
        ),
    }  # fmt: skip
    return found


def _joins() -> dict[str, Case]:
    """Values side by side, and enlarged ones."""

    def two(first: int, second: int, *others: Layer, **more: Any) -> Case:
        one = (conv("c", "x", 2, first, (3, 3), pad=(1, 1)), lif("s", "c"))
        other = (conv("k", "s", first, second, (3, 3), pad=(1, 1)), lif("u", "k"))
        return image(*one, *other, *others, **more)

    mixed = conv("l", "e", 5, 2, (2, 2))
    pooled = Layer("p", "avg_pool2d", ("u",), {"kernel": 3, "stride": 1, "pad": 1})
    other = Layer("q", "avg_pool2d", ("s",), {"kernel": (2, 1), "stride": 1, "pad": (1, 0)})
    less = Layer("r", "avg_pool2d", ("q",), {"kernel": (2, 1), "stride": 1})
    return {
        "concat of spikes": image(
            conv("c", "x", 2, 8, (3, 2), stride=(2, 2)), lif("s", "c"), conv("k", "s", 8, 3, (1, 1)), lif("u", "k"),
            Layer("e", "concat", ("s", "u")), conv("l", "e", 11, 2, (1, 2)), lif("z", "l"), features=4,
        ),
        "concat of spikes off the byte": two(
            3, 2, Layer("e", "concat", ("s", "u")), mixed, lif("z", "l"), features=40
        ),
        "concat of currents": image(
            conv("c", "x", 2, 2, (3, 2)), lif("s", "c"), conv("k", "s", 2, 1, (3, 3), pad=(1, 1)),
            Layer("e", "concat", ("k", "c")), lif("z", "e"), features=48,
        ),
        "concat of spikes and their counts": two(
            3, 2, pooled, Layer("e", "concat", ("s", "p")), mixed, lif("z", "l"), features=40
        ),
        "concat of counts that have no scale together": two(
            3, 2, pooled, other, less, Layer("e", "concat", ("p", "r")), mixed, lif("z", "l"), features=40
        ),
        "concat of three, flattened": image(
            conv("c", "x", 2, 2, (3, 2)), lif("s", "c"), Layer("a", "flatten", ("s",)),
            Layer("b", "concat", ("a", "a")), Layer("d", "flatten", ("c",)), Layer("z", "concat", ("b", "d")),
            features=96,
        ),
        "concat of what is static and what moves": two(
            2, 3, Layer("e", "concat", ("x", "u")), mixed, lif("z", "l"), features=40
        ),
        "upsample": image(
            conv("c", "x", 2, 3, (3, 2)), lif("s", "c"), Layer("p", "upsample", ("s",), {"factor": (2, 3)}),
            conv("k", "p", 3, 2, (2, 2), stride=(3, 3)), lif("z", "k", threshold=0.4), features=24,
        ),
        "upsample of currents": image(
            conv("c", "x", 2, 1, (3, 2)), Layer("p", "upsample", ("c",), {"factor": 2}), lif("z", "p"), features=64
        ),
    }  # fmt: skip


def _activations() -> dict[str, Case]:
    """Element-wise activations between currents, behind counts, and before the first neuron."""
    found: dict[str, Case] = {}
    for name in ("relu", "sigmoid", "tanh"):
        layers = (linear("a", "x", 3, 5), Layer("e", name, ("a",)), linear("b", "e", 5, 4), lif("r", "b"))
        found[name] = Case((*layers, linear("y", "r", 4, 3)))
        found[f"{name} of counts"] = image(
            conv("c", "x", 2, 3, (3, 2)), lif("s", "c"), Layer("p", "avg_pool2d", ("s",), {"kernel": 2}),
            Layer("z", name, ("p",)), features=12,
        )  # fmt: skip
    flat = {"x": [[[1.0, -1.0]], [[1.0, 1.0]]], "a.w": [[1.0, 1.0], [0.5, 0.25]], "y.w": [[1.0, 1.0], [-0.5, 0.5]]}
    zero = (linear("a", "x", 2, 2, False), Layer("e", "relu", ("a",)), linear("y", "e", 2, 2, False))
    found["relu at 0"] = Case(zero, (2,), steps=2, batch=1, valid=1, fixed={**flat, "label": [1]})
    return found


def _sums() -> dict[str, Case]:
    """Sums of windows: of spikes, of currents, and of what is counted already."""
    return {
        "sum_pool2d": image(
            conv("c", "x", 2, 3, (3, 2)), lif("s", "c"), Layer("p", "sum_pool2d", ("s",), {"kernel": 2}),
            conv("k", "p", 3, 4, (2, 2)), lif("z", "k", threshold=0.3), features=4,
        ),
        "sum_pool2d of currents, overlapping": image(
            conv("c", "x", 2, 2, (3, 2)), Layer("p", "sum_pool2d", ("c",), {"kernel": 3, "stride": (2, 1), "pad": 1}),
            lif("z", "p", threshold=0.4), features=16,
        ),
        "sum_pool2d of counts": image(
            conv("c", "x", 2, 2, (3, 2)), lif("s", "c"), Layer("p", "avg_pool2d", ("s",), {"kernel": 2, "stride": 1}),
            Layer("z", "sum_pool2d", ("p",), {"kernel": (1, 2), "stride": 1}), features=12,
        ),
    }  # fmt: skip


def main() -> None:
    """Write the references anew."""
    records: dict[str, Any] = {}
    for number, (name, case) in enumerate(cases().items()):
        given, numbers = _telling(name, case, 1000 * number)
        kept = {
            key: value
            for key, value in numbers.items()
            if not key.endswith(" after") or case.updates > 1 or key == f"{case.layers[0].name}.w after"
        }
        records[name] = {
            "source": source(case),
            "training": training(case),
            "given": _lists(given),
            "expected": _lists(kept),
        }
    REFERENCES.parent.mkdir(exist_ok=True)
    lines = [f"{json.dumps(name)}: {json.dumps(record, separators=(',', ':'))}" for name, record in records.items()]
    REFERENCES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{REFERENCES}: {len(records)} cases, {REFERENCES.stat().st_size / 1024:.0f} KiB")


def _telling(name: str, case: Case, seed: int) -> tuple[Numbers, Numbers]:
    """The first random numbers for which every neuron layer fires, but not always, and every gradient is alive."""
    for trial in range(200):
        given = draw(case, seed + trial)
        numbers = expected(case, given)
        rates = [numbers[layer.name].mean() for layer in case.layers if layer.op == "lif"]
        if all(0.0 < rate < 1.0 for rate in rates) and all(
            np.any(array) for key, array in numbers.items() if key.startswith("d.")
        ):
            return given, numbers
    raise AssertionError(f"{name}: no random numbers make this case tell anything")


def _lists(numbers: Numbers) -> dict[str, Any]:
    """Arrays as lists of numbers with 13 digits, whole ones without a point."""

    def short(value: Any) -> Any:
        if isinstance(value, list):
            return [short(part) for part in value]  # type: ignore[reportUnknownVariableType]
        number = float(f"{value:.13g}")
        return int(number) if number == int(number) else number

    return {name: short(array.tolist()) for name, array in numbers.items()}


if __name__ == "__main__":
    main()
