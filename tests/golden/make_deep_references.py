"""References for law 2 that look at whole tensors over time: norms, dropped bits, recurrence, and narrow deep networks.

Run ``python tests/golden/make_deep_references.py`` (needs torch) to write ``tests/golden/references/deep.json``.  Each
case is a network in the language of networks beside a function that computes the same in PyTorch, float64, with
`torch.nn` modules where PyTorch has them; gradients come from automatic differentiation.  Nothing here comes from snnc.
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

REFERENCES = Path(__file__).parent / "references" / "deep.json"
Numbers = dict[str, Any]


@dataclass
class Run:
    """What a case's function makes: results ``[t, n, classes]``, spikes by name, and values that it tracks."""

    outputs: Any
    spikes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    tracked: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Deep:
    """A network (*lines* of its body), and *run*, its PyTorch twin: of input ``[t, n, ...]``, parameters, training."""

    lines: str
    run: Callable[[Any, Any, bool], Run]
    shapes: Mapping[str, tuple[int, ...]]
    shape: tuple[int, ...] = (2, 4, 4)
    timed: bool = True
    steps: int = 3
    batch: int = 4
    valid: int = 4
    scales: Mapping[str, float] = field(default_factory=dict[str, float])
    """Sizes of the random numbers of some parameters; others are drawn by their fan-in."""


def source(case: Deep) -> str:
    """The case in the language of networks."""
    extents = ", ".join((*(["t"] if case.timed else []), *map(str, case.shape)))
    body = "\n".join(f"    {line.strip()}" for line in case.lines.strip().splitlines())
    train = f"train {{\n    loss = cross_entropy()\n    optimizer = sgd(lr=0.1)\n    batch = {case.batch}\n}}\n"
    return f"network case(x: f16[{extents}]) steps {case.steps} {{\n{body}\n}}\n{train}"


def draw(case: Deep, seed: int) -> Numbers:
    """Inputs and parameters with three decimals."""
    rng = np.random.default_rng(seed)

    def some(scale: float, *shape: int) -> Any:
        return np.round(scale * rng.standard_normal(shape), 3)

    given: Numbers = {"x": some(1.0, *((case.steps,) if case.timed else ()), case.batch, *case.shape)}
    for name, shape in case.shapes.items():
        fan = math.prod(shape[1:])
        if name in case.scales:
            given[name] = some(case.scales[name], *shape)
        elif name.endswith(("gamma", "gain")):
            given[name] = np.round(1.0 + some(0.3, *shape), 3)
        else:
            given[name] = some(2.0 / math.sqrt(fan) if len(shape) > 1 and not name.endswith("beta") else 0.3, *shape)
    given["label"] = rng.integers(0, 3, case.batch).astype(np.float64)
    return given


def torch() -> Any:
    """PyTorch, where it is installed."""
    return import_module("torch")


def expected(case: Deep, given: Numbers) -> Numbers:
    """Spikes, loss of each sample, gradients ``d.NAME``, what is tracked (``NAME after``), and inferred logits."""
    pytorch = torch()
    pytorch.set_num_threads(1)
    parameters = {name: pytorch.tensor(given[name], dtype=pytorch.float64, requires_grad=True) for name in case.shapes}
    whole = pytorch.tensor(given["x"], dtype=pytorch.float64)
    whole = whole if case.timed else whole.expand(case.steps, *whole.shape)
    label = pytorch.tensor(given["label"]).long()
    run = case.run(whole[:, : case.valid], parameters, True)
    losses = pytorch.nn.functional.cross_entropy(run.outputs.mean(0), label[: case.valid], reduction="none")
    (losses.sum() / case.valid).backward()
    found: Numbers = {name: spikes.detach().numpy() for name, spikes in run.spikes.items()}
    found["loss"] = losses.detach().numpy()
    for name, parameter in parameters.items():
        found[f"d.{name}"] = np.zeros(parameter.shape) if parameter.grad is None else parameter.grad.numpy().copy()
    found |= {f"{name} after": value.detach().numpy().copy() for name, value in run.tracked.items()}
    with pytorch.no_grad():
        after = {name: parameter - 0.1 * pytorch.tensor(found[f"d.{name}"]) for name, parameter in parameters.items()}
        found["logits inferred"] = case.run(whole, {**after, **run.tracked}, False).outputs.mean(0).numpy()
    return found


# What cases are made of.


def spike(x: Any) -> Any:
    """A step whose derivative is ``max(0, 1 - |x|)``."""
    pytorch = torch()

    class Spike(pytorch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return (x >= 0).to(x.dtype)

        @staticmethod
        def backward(ctx: Any, *errors: Any) -> Any:
            return errors[0] * (1 - ctx.saved_tensors[0].abs()).clamp(min=0)

    return Spike.apply(x)


def lif(current: Any, decay: float = 0.5, threshold: float = 0.5) -> Any:
    """Spikes of a leaky neuron with a hard reset to 0, over ``[t, ...]``."""
    v, found = torch().zeros_like(current[0]), list[Any]()
    for x in current:
        h = decay * v + x
        s = spike(h - threshold)
        v = (1 - s) * h
        found.append(s)
    return torch().stack(found)


def conv(x: Any, p: Any, name: str, **settings: Any) -> Any:
    """A convolution of every step."""
    bias = p.get(f"{name}.b")
    flat = torch().nn.functional.conv2d(x.flatten(0, 1), p[f"{name}.w"], bias, **settings)
    return flat.unflatten(0, x.shape[:2])


def linear(x: Any, p: Any, name: str) -> Any:
    """A fully connected layer of every step, whatever the shape of a sample."""
    return torch().nn.functional.linear(x.flatten(2), p[f"{name}.w"], p.get(f"{name}.b"))


def norm(p: Any, name: str, training: bool, count: int, step: int | None = None) -> Any:
    """PyTorch's batch norm with the parameters called *name*, or those of one step."""

    def of(value: Any) -> Any:
        return value if step is None else value[step]

    pytorch = torch()
    module = pytorch.nn.BatchNorm2d(count).double()
    state = {f"{name}.{key}": p[f"{name}.{key}"] for key in ("running_mean", "running_var") if f"{name}.{key}" in p}
    if state:
        module.running_mean = of(state[f"{name}.running_mean"]).detach().clone()
        module.running_var = of(state[f"{name}.running_var"]).detach().clone()
    module.train(training)
    del module.weight, module.bias
    module.weight = of(p[f"{name}.gamma"]) if f"{name}.gamma" in p else pytorch.ones(count, dtype=pytorch.float64)
    module.bias = of(p[f"{name}.beta"]) if f"{name}.beta" in p else pytorch.zeros(count, dtype=pytorch.float64)
    return module


def normed(x: Any, p: Any, name: str, scope: str, training: bool) -> tuple[Any, Numbers]:
    """(batch norm of ``[t, n, c, ...]``, its running statistics)."""
    pytorch, count = torch(), x.shape[2]
    image = x if x.dim() == 5 else x.flatten(2)[..., None, None]
    count = image.shape[2]
    if scope == "separate":
        modules = [norm(p, name, training, count, step) for step in range(len(x))]
        y = pytorch.stack([module(each) for module, each in zip(modules, image, strict=True)])
        tracked = {
            key: pytorch.stack([getattr(module, key) for module in modules]) for key in ("running_mean", "running_var")
        }
    else:
        module = norm(p, name, training, count)
        if scope == "window":
            y = module(image.flatten(0, 1)).unflatten(0, x.shape[:2])
        else:
            y = pytorch.stack([module(each) for each in image])
        tracked = {key: getattr(module, key) for key in ("running_mean", "running_var")}
    return y.reshape(x.shape), {f"{name}.{key}": value for key, value in tracked.items()}


# The cases.


def _norms() -> dict[str, Deep]:
    def image(scope: str, more: str = "") -> tuple[str, Callable[[Any, Any, bool], Run]]:
        lines = f"""
            c = conv2d(x, out=3, kernel=3, pad=1)
            m = batch_norm(c, scope={scope}{more})
            s = lif(m, threshold=0.5)
            y = linear(flatten(s), out=3)
            return y"""

        def run(x: Any, p: Any, training: bool) -> Run:
            m, tracked = normed(conv(x, p, "c", padding=1), p, "m", scope, training)
            s = lif(m)
            return Run(linear(s, p, "y"), {"s": s}, tracked)

        return lines, run

    convolution = {"c.w": (3, 2, 3, 3), "c.b": (3,)}
    affine = {"m.gamma": (3,), "m.beta": (3,)}
    last = {"y.w": (3, 48), "y.b": (3,)}
    found: dict[str, Deep] = {}
    for scope in ("step", "window"):
        found[f"batch_norm over a {scope}"] = Deep(*image(scope), convolution | affine | last)
        found[f"batch_norm over a {scope}, partial batch"] = Deep(
            *image(scope), convolution | affine | last, batch=5, valid=3
        )
        found[f"batch_norm over a {scope}, static"] = Deep(*image(scope), convolution | affine | last, timed=False)
    found["batch_norm, not affine"] = Deep(*image("step", ", affine=false"), convolution | last)
    each = {"m.gamma": (3, 3), "m.beta": (3, 3)}
    found["batch_norm, each step apart"] = Deep(*image("separate"), convolution | each | last, batch=5, valid=4)
    found["batch_norm, each step apart, no shift"] = Deep(
        *image("separate", ", shift=false"), convolution | {"m.gamma": (3, 3)} | last
    )

    def counts(x: Any, p: Any, training: bool) -> Run:
        pytorch = torch()
        s = lif(conv(x, p, "c", padding=1))
        pooled = pytorch.nn.functional.avg_pool2d(s.flatten(0, 1), 2, 2).unflatten(0, x.shape[:2])
        m, tracked = normed(pooled, p, "m", "step", training)
        r = lif(m)
        return Run(linear(r, p, "y"), {"s": s, "r": r}, tracked)

    found["batch_norm of counts"] = Deep(
        """
        c = conv2d(x, out=3, kernel=3, pad=1)
        s = lif(c, threshold=0.5)
        m = batch_norm(avg_pool2d(s, kernel=2))
        r = lif(m, threshold=0.5)
        y = linear(flatten(r), out=3)
        return y""",
        counts,
        convolution | affine | {"y.w": (3, 12), "y.b": (3,)},
        batch=5,
        valid=4,
    )

    def features(x: Any, p: Any, training: bool) -> Run:
        m, tracked = normed(linear(x, p, "c"), p, "m", "step", training)
        s = lif(m)
        k, further = normed(linear(s, p, "k"), p, "y", "window", training)
        return Run(k, {"s": s}, tracked | further)

    found["batch_norm of features and of logits"] = Deep(
        """
        c = linear(x, out=6)
        m = batch_norm(c)
        s = lif(m, threshold=0.5)
        k = linear(s, out=3)
        y = batch_norm(k, scope=window, momentum=0.1)
        return y""",
        features,
        {"c.w": (6, 4), "c.b": (6,), "m.gamma": (6,), "m.beta": (6,), "k.w": (3, 6), "k.b": (3,)}
        | {"y.gamma": (3,), "y.beta": (3,)},
        shape=(4,),
    )
    return found


def standardised(p: Any, name: str, gain: str = "") -> Any:
    """A weight by its mean and unbiased variance over the fan-in (Brock et al. 2021)."""
    w = p[name]
    variance, mean = torch().var_mean(w.flatten(1), dim=1, unbiased=True)
    shape = (-1,) + (1,) * (w.dim() - 1)
    count = w[0].numel()
    y = (w - mean.reshape(shape)) / torch().sqrt(variance * count + 1e-4).reshape(shape)
    return y * p[gain].reshape(shape) if gain else y


def _standardised() -> dict[str, Deep]:
    def run(x: Any, p: Any, training: bool) -> Run:
        weights = {"c.w": standardised(p, "k", "gain"), "c.b": p["c.b"]}
        s = lif(conv(x, weights, "c", padding=1))
        y = linear(s, {"y.w": standardised(p, "m")}, "y")
        return Run(y, {"s": s})

    lines = """
        k = parameter(init=kaiming_normal) : weight f16[3, 2, 3, 3]
        gain = parameter(init=ones) : f32[3]
        w = standardise(k, gain=gain)
        c = conv2d(x, w=w, out=3, kernel=3, pad=1)
        s = lif(c, threshold=0.5)
        m = parameter(init=kaiming_normal) : weight f16[3, 3*4*4]
        v = standardise(m, learn_gain=false)
        y = linear(flatten(s), w=v, out=3, bias=false)
        return y"""
    shapes = {"k": (3, 2, 3, 3), "gain": (3,), "c.b": (3,), "m": (3, 48)}
    return {"standardised weights": Deep(lines, run, shapes)}


def _scales() -> dict[str, Deep]:
    def run(each: str) -> Callable[[Any, Any, bool], Run]:
        shape = {"layer": (), "channel": (3, 1, 1), "element": (3, 4, 4), "step": (3, 1, 1, 1, 1)}[each]

        def of(x: Any, p: Any, training: bool) -> Run:
            s = lif(conv(x, p, "c", padding=1))
            g = s * p["g.w"].reshape(shape) * 1.5
            r = lif(g)
            return Run(linear(r, p, "y"), {"s": s, "r": r})

        return of

    factor = {"layer": (), "channel": (3,), "element": (3, 4, 4), "step": (3,)}
    return {
        f"scale of each {each}": Deep(
            f"""
            c = conv2d(x, out=3, kernel=3, pad=1)
            s = lif(c, threshold=0.5)
            g = scale(s, each={each}, factor=1.5)
            r = lif(g, threshold=0.5)
            y = linear(flatten(r), out=3)
            return y""",
            run(each),
            {"c.w": (3, 2, 3, 3), "c.b": (3,), "g.w": shape, "y.w": (3, 48), "y.b": (3,)},
            scales={"g.w": 0.8},
        )
        for each, shape in factor.items()
    }


def _amplified() -> dict[str, Deep]:
    def run(x: Any, p: Any, training: bool) -> Run:
        s = lif(0.75 * conv(x, p, "c", padding=1))
        pooled = torch().nn.functional.avg_pool2d(2.5 * s.flatten(0, 1), 2, 2).unflatten(0, x.shape[:2])
        r = lif(conv(pooled, p, "k", padding=1))
        return Run(linear(1.5 * r, p, "y"), {"spikes": 2.5 * s, "echoes": 1.5 * r})

    return {
        "spikes of an amplitude, of an input with a gain": Deep(
            """
            c = conv2d(x, out=3, kernel=3, pad=1)
            spikes = lif(c, threshold=0.5, gain=0.75, amplitude=2.5)
            k = conv2d(avg_pool2d(spikes, kernel=2), out=3, kernel=3, pad=1)
            echoes = lif(k, threshold=0.5, amplitude=1.5)
            y = linear(flatten(echoes), out=3)
            return y""",
            run,
            {"c.w": (3, 2, 3, 3), "c.b": (3,), "k.w": (3, 3, 3, 3), "k.b": (3,), "y.w": (3, 12), "y.b": (3,)},
        )
    }


class Membrane:
    """A leaky neuron with a hard reset to 0, a step at a time."""

    def __init__(self) -> None:
        self.v: Any = 0.0

    def __call__(self, x: Any, decay: float = 0.5, threshold: float = 0.5) -> Any:
        h = decay * self.v + x
        s = spike(h - threshold)
        self.v = (1 - s) * h
        return s


def _recurrent() -> dict[str, Deep]:
    def dense(x: Any, p: Any, training: bool) -> Run:
        pytorch = torch()
        neuron, s, found = Membrane(), pytorch.zeros(x.shape[1], 5, dtype=x.dtype), list[Any]()
        for each in x:
            recurrent = pytorch.nn.functional.linear(s, p["r.w"]) + s * p["g.w"]
            s = neuron(pytorch.nn.functional.linear(each, p["c.w"], p["c.b"]) + recurrent)
            found.append(s)
        spikes = pytorch.stack(found)
        return Run(linear(spikes, p, "y"), {"s": spikes})

    def convolved(x: Any, p: Any, training: bool) -> Run:
        pytorch, functional = torch(), torch().nn.functional
        first, second = Membrane(), Membrane()
        s, r = (pytorch.zeros(x.shape[1], 3, 4, 4, dtype=x.dtype) for _ in range(2))
        module = norm(p, "m", training, 3)
        spikes: dict[str, list[Any]] = {"s": [], "r": []}
        for each in x:
            back = functional.conv2d(r, p["k.w"], padding=1)
            s = first(functional.conv2d(each, p["c.w"], p["c.b"], padding=1) + module(back))
            r = second(functional.conv2d(s, p["l.w"], padding=1) + 0.0)
            spikes["s"].append(s)
            spikes["r"].append(r)
        stacked = {name: pytorch.stack(found) for name, found in spikes.items()}
        tracked = {f"m.{key}": getattr(module, key) for key in ("running_mean", "running_var")}
        return Run(linear(stacked["r"], p, "y"), stacked, tracked)

    def delayed(x: Any, p: Any, training: bool) -> Run:
        pytorch = torch()
        s = lif(linear(x, p, "c"))
        late = pytorch.cat([pytorch.zeros_like(s[:2]), s[:-2]])
        r = lif(linear(late, p, "k"))
        return Run(linear(r, p, "y"), {"s": s, "r": r})

    return {
        "recurrent, all to all and one to one": Deep(
            """
            back = delay(s) : spike[5]
            c = linear(x, out=5)
            r = linear(back, out=5, bias=false)
            g = scale(back, each=element)
            s = lif(add(add(c, r), g), threshold=0.5)
            y = linear(s, out=3)
            return y""",
            dense,
            {"c.w": (5, 4), "c.b": (5,), "r.w": (5, 5), "g.w": (5,), "y.w": (3, 5), "y.b": (3,)},
            shape=(4,),
            steps=6,
            scales={"g.w": 0.8},
        ),
        "feedback over two layers through a batch norm": Deep(
            """
            back = delay(r) : spike[3, 4, 4]
            c = conv2d(x, out=3, kernel=3, pad=1)
            k = conv2d(back, out=3, kernel=3, pad=1, bias=false)
            m = batch_norm(k)
            s = lif(add(c, m), threshold=0.5)
            l = conv2d(s, out=3, kernel=3, pad=1, bias=false)
            r = lif(l, threshold=0.5)
            y = linear(flatten(r), out=3)
            return y""",
            convolved,
            {"c.w": (3, 2, 3, 3), "c.b": (3,), "k.w": (3, 3, 3, 3), "m.gamma": (3,), "m.beta": (3,)}
            | {"l.w": (3, 3, 3, 3), "y.w": (3, 48), "y.b": (3,)},
            steps=4,
        ),
        "a delay of two steps": Deep(
            """
            c = linear(x, out=5)
            s = lif(c, threshold=0.5)
            k = linear(delay(s, steps=2), out=4)
            r = lif(k, threshold=0.5)
            y = linear(r, out=3)
            return y""",
            delayed,
            {"c.w": (5, 4), "c.b": (5,), "k.w": (4, 5), "k.b": (4,), "y.w": (3, 4), "y.b": (3,)},
            shape=(4,),
            steps=5,
        ),
    }


def cases() -> dict[str, Deep]:
    """All of them by name."""
    return {**_norms(), **_standardised(), **_scales(), **_amplified(), **_recurrent()}


def _telling(name: str, case: Deep, seed: int) -> tuple[Numbers, Numbers]:
    """The first random numbers for which every neuron layer fires, but not always, and every gradient is alive."""
    for trial in range(200):
        given = draw(case, seed + trial)
        numbers = expected(case, given)
        rates = [array.mean() for key, array in numbers.items() if "." not in key and " " not in key and key != "loss"]
        alive = all(np.abs(array).max() > 1e-6 for key, array in numbers.items() if _learns(key))
        if all(0.0 < rate < 1.0 for rate in rates) and alive:
            return given, numbers
    raise AssertionError(f"{name}: no random numbers make this case tell anything")


def _learns(key: str) -> bool:
    """Whether a gradient is not 0 by its nature: a batch norm takes the mean away, and with it the bias before it."""
    return key.startswith("d.") and not key.endswith(".b")


def main() -> None:
    """Write the references anew."""
    records: dict[str, Any] = {}
    for number, (name, case) in enumerate(cases().items()):
        given, numbers = _telling(name, case, 1000 * number)
        records[name] = {"source": source(case), "valid": case.valid, "given": lists(given), "expected": lists(numbers)}
    REFERENCES.parent.mkdir(exist_ok=True)
    lines = [f"{json.dumps(name)}: {json.dumps(record, separators=(',', ':'))}" for name, record in records.items()]
    REFERENCES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{REFERENCES}: {len(records)} cases, {REFERENCES.stat().st_size / 1024:.0f} KiB")


def lists(numbers: Numbers) -> dict[str, Any]:
    """Arrays as lists of numbers with 13 digits, whole ones without a point."""

    def short(value: Any) -> Any:
        if isinstance(value, list):
            return [short(part) for part in value]  # type: ignore[reportUnknownVariableType]
        number = float(f"{value:.13g}")
        return int(number) if number == int(number) else number

    return {name: short(array.tolist()) for name, array in numbers.items()}


if __name__ == "__main__":
    main()
