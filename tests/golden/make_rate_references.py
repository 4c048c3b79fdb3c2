"""References for training on rates (`dsr`), built in PyTorch in float64, in two ways that have nothing in common.

``collapsed``: a network of rates beside the one of spikes, with ``clamp`` in the place of neurons, whose values are
those that the spikes have; autograd does the rest.  ``step``: the whole sequence of spikes, where neurons have a
gradient of their own, as Meng et al. 2022 state it: with ``S = T * sum(w[t] * g[t]) / sum(w)`` every step's input
gets ``S * slope / T`` where its mean lies in the window.

Run ``python tests/golden/make_rate_references.py`` (needs torch) to write ``tests/golden/references/rates.json``.
Nothing here comes from snnc; `SOURCES` only spells the networks in its language.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

REFERENCES = Path(__file__).parent / "references" / "rates.json"
STEPS, BATCH = 6, 3


class Neuron(NamedTuple):
    """``h = decay * v + rho * x``, spikes worth *amplitude*, soft reset by the threshold."""

    decay: float
    rho: float
    threshold: float
    amplitude: float = 1.0
    initial: float = 0.0


NEURONS = {
    "if(threshold=0.5, amplitude=0.5, initial=0.25, reset=soft)": Neuron(1.0, 1.0, 0.5, 0.5, 0.25),
    "lif(decay=0.75, decay_input=true, threshold=0.25, amplitude=0.25, reset=soft)": Neuron(0.75, 0.25, 0.25, 0.25),
    "lif(decay=0.5, threshold=0.5, reset=soft)": Neuron(0.5, 1.0, 0.5),
    "if(threshold=0.75, learn_threshold=layer, reset=soft)": Neuron(1.0, 1.0, 0.75),
    "lif(decay=0.75, gain=0.5, threshold=0.5, learn_threshold=channel, reset=soft)": Neuron(0.75, 0.5, 0.5),
}
"""Neurons by how the language writes them, but for their operand."""

FIRST, LEAKY, PLAIN, LEARNED, CHANNELS = NEURONS


def _call(neuron: str, operand: str) -> str:
    word, settings = neuron.split("(", 1)
    return f"{word}({operand}, {settings}"


SOURCES = {
    "mlp": f"""network mlp(x: f16[t, 5]) steps {STEPS} {{
    c1 = linear(x, out=6)
    s1 = {_call(FIRST, "c1")}
    c2 = linear(s1, out=7)
    s2 = {_call(LEAKY, "c2")}
    c3 = linear(s2, out=3)
    return {_call(FIRST, "c3")}
}}""",
    "residual": f"""network residual(x: f16[1, 6, 6]) steps {STEPS} {{
    c1 = conv2d(x, out=3, kernel=3, pad=1)
    s1 = {_call(PLAIN, "c1")}
    p1 = avg_pool2d(s1, kernel=2)
    c2 = conv2d(p1, out=3, kernel=3, pad=1)
    s2 = {_call(LEAKY, "c2")}
    k2 = conv2d(s2, out=3, kernel=1)
    a2 = add(k2, p1)
    p2 = avg_pool2d(a2, kernel=3)
    y = linear(flatten(p2), out=3)
    return y
}}""",
    "learned": f"""network learned(x: f16[1, 6, 6]) steps {STEPS} {{
    V = parameter(init=constant(value=0.75)) : f32[]
    c1 = conv2d(x, out=3, kernel=3, pad=1)
    s1 = {_call(LEARNED, "c1, V")}
    v1 = scale(s1, w=V, each=layer)
    c2 = conv2d(avg_pool2d(v1, kernel=2), out=4, kernel=3, pad=1)
    s2 = {_call(CHANNELS, "c2")}
    y = linear(flatten(s2), out=3)
    return y
}}""",
    "normed": f"""network normed(x: f16[t, 1, 6, 6]) steps {STEPS} {{
    c1 = conv2d(x, out=3, kernel=3, pad=1, bias=false)
    n1 = batch_norm(c1, scope=window)
    s1 = {_call(LEAKY, "n1")}
    p1 = avg_pool2d(s1, kernel=2)
    c2 = conv2d(p1, out=4, kernel=3, pad=1)
    n2 = batch_norm(c2)
    s2 = {_call(PLAIN, "n2")}
    m2 = max_pool2d(s2, kernel=3)
    y = linear(flatten(m2), out=3)
    return y
}}""",
}
CONV1, CONV2 = {"c1.w": (3, 1, 3, 3), "c1.b": (3,)}, {"c2.w": (4, 3, 3, 3), "c2.b": (4,)}
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "mlp": {"c1.w": (6, 5), "c1.b": (6,), "c2.w": (7, 6), "c2.b": (7,), "c3.w": (3, 7), "c3.b": (3,)},
    "residual": {
        **CONV1, "c2.w": (3, 3, 3, 3), "c2.b": (3,), "k2.w": (3, 3, 1, 1), "k2.b": (3,), "y.w": (3, 3), "y.b": (3,),
    },
    "learned": {**CONV1, **CONV2, "y.w": (3, 36), "y.b": (3,), "V": (), "s2.theta": (4,)},
    "normed": {
        "c1.w": (3, 1, 3, 3), "n1.gamma": (3,), "n1.beta": (3,), **CONV2, "n2.gamma": (4,), "n2.beta": (4,),
        "y.w": (3, 4), "y.b": (3,),
    },
}  # fmt: skip
FORMS = {name: ("step",) if name == "normed" else ("collapsed", "step") for name in SOURCES}
"""Which forms a network can be trained in."""


def source(network: str, form: str) -> str:
    """The network with its training; with form=step a loss may have another error in each step."""
    loss = "cross_entropy_mse(lam=0.25)" if network == "normed" else "cross_entropy"
    train = f"rule = dsr(form={form}); loss = {loss}; optimizer = sgd; loss_scale = 1; batch = {BATCH}"
    return f"{SOURCES[network]}\ntrain {{ {train} }}"


def draw(network: str, seed: int) -> dict[str, Any]:
    """Input, labels and parameters."""
    rng = np.random.default_rng(seed)
    given: dict[str, Any] = {}
    for name, shape in SHAPES[network].items():
        positive = name in ("V", "s2.theta") or "gamma" in name
        given[name] = rng.uniform(0.4, 0.9, shape) if positive else rng.normal(0.05, 0.5, shape)
    timed = (STEPS,) if "f16[t" in SOURCES[network] else ()
    shape = (*timed, BATCH, 5) if network == "mlp" else (*timed, BATCH, 1, 6, 6)
    return {"x": rng.uniform(0, 1.5, shape), "label": rng.integers(0, 3, BATCH), **given}


def expected(network: str, form: str, given: dict[str, Any]) -> dict[str, Any]:
    """Spikes of every step, by what they are worth, and the gradient of every parameter."""
    torch: Any = import_module("torch")
    functional = torch.nn.functional
    parameters = {name: torch.tensor(given[name], requires_grad=True) for name in SHAPES[network]}
    spikes: dict[str, Any] = {}

    def fire(x: Any, theta: Any, neuron: Neuron) -> tuple[Any, Any]:
        """(spikes of every step, weighted mean of the input)."""
        v: Any = torch.full_like(x[0], neuron.initial)
        fired: list[Any] = []
        weights = [neuron.decay ** (STEPS - 1 - t) for t in range(STEPS)]
        for current in x:
            h = neuron.decay * v + neuron.rho * current
            fired.append((h >= theta).to(x.dtype))
            v = h - theta * fired[-1]
        mean: Any = sum(w * each for w, each in zip(weights, x, strict=True)) / sum(weights)
        return torch.stack(fired), mean

    class ByStep(torch.autograd.Function):
        """The spikes of a neuron in all steps, with the gradient of their rate."""

        @staticmethod
        def forward(ctx: Any, x: Any, theta: Any, neuron: Neuron) -> Any:
            fired, mean = fire(x, theta, neuron)
            ctx.neuron = neuron
            ctx.save_for_backward(mean, theta)
            return fired * neuron.amplitude

        @staticmethod
        def backward(ctx: Any, *errors: Any) -> Any:
            mean, theta = ctx.saved_tensors
            neuron = ctx.neuron
            weights = [neuron.decay ** (STEPS - 1 - t) for t in range(STEPS)]
            s: Any = STEPS * sum(w * g for w, g in zip(weights, errors[0], strict=True)) / sum(weights)
            window = ((neuron.rho * mean > 0) & (neuron.rho * mean < theta)).to(s.dtype)
            each = s * neuron.amplitude * neuron.rho / theta * window / STEPS
            of_theta = (-s * neuron.amplitude * neuron.rho * mean / theta**2 * window).sum_to_size(theta.shape)
            return each.expand(STEPS, *each.shape), of_theta, None

    by_step: Any = ByStep.apply

    def clamped(x: Any, rate: Any, theta: Any, neuron: Neuron) -> tuple[Any, Any]:
        """The spikes of all steps, and their rate, which autograd sees as that of a clamp."""
        with torch.no_grad():
            fired, mean = fire(x, theta, neuron)
        follows = neuron.amplitude * torch.clamp(neuron.rho * (mean + rate - rate.detach()) / theta, 0, 1)
        value = fired * neuron.amplitude
        return value, value.mean(0) + follows - follows.detach()

    def layer(function: Any, *values: Any) -> Any:
        """*function* of every step, and if collapsed of rates."""
        if form == "step":
            return torch.stack([function(*each) for each in zip(*values, strict=True)])
        sequences, rates = zip(*values, strict=True)
        with torch.no_grad():
            made = torch.stack([function(*each) for each in zip(*sequences, strict=True)])
        return made, function(*rates)

    def neuron(name: str, value: Any, spelled: str, theta: str = "") -> Any:
        settings = NEURONS[spelled]
        sequence = value if form == "step" else value[0]
        limit = parameters[theta] if theta else torch.tensor(settings.threshold, dtype=sequence.dtype)
        if limit.dim():
            limit = limit.reshape(1, -1, 1, 1)
        made: Any = by_step(value, limit, settings) if form == "step" else clamped(value[0], value[1], limit, settings)
        spikes[name] = (made if form == "step" else made[0]).detach().numpy()
        return made

    def weighed(name: str, value: Any, **more: Any) -> Any:
        weight, bias = parameters[f"{name}.w"], parameters.get(f"{name}.b")

        def sums(of: Any) -> Any:
            if weight.dim() == 2:
                return functional.linear(of.flatten(1), weight, bias)
            return functional.conv2d(of, weight, bias, **more)

        return layer(sums, value)

    def pooled(value: Any, kernel: int, pool: Any = functional.avg_pool2d) -> Any:
        def of(each: Any) -> Any:
            return pool(each, kernel)

        return layer(of, value)

    def normalised(name: str, of: Any) -> Any:
        gamma, beta = parameters[f"{name}.gamma"], parameters[f"{name}.beta"]
        return functional.batch_norm(of, None, None, gamma, beta, True, 0.1, 1e-5)

    def of_each_step(of: Any) -> Any:
        return normalised("n2", of)

    def scaled(of: Any) -> Any:
        return of * parameters["V"]

    x = torch.tensor(given["x"])
    x = x if "f16[t" in SOURCES[network] else x.expand(STEPS, *x.shape)
    x = x if form == "step" else (x, x.mean(0))
    match network:
        case "mlp":
            s1 = neuron("s1", weighed("c1", x), FIRST)
            s2 = neuron("s2", weighed("c2", s1), LEAKY)
            y = neuron("if", weighed("c3", s2), FIRST)
        case "residual":
            p1 = pooled(neuron("s1", weighed("c1", x, padding=1), PLAIN), 2)
            s2 = neuron("s2", weighed("c2", p1, padding=1), LEAKY)
            a2 = layer(torch.add, weighed("k2", s2), p1)
            y = weighed("y", pooled(a2, 3))
        case "learned":
            s1 = neuron("s1", weighed("c1", x, padding=1), LEARNED, "V")
            p1 = pooled(layer(scaled, s1), 2)
            y = weighed("y", neuron("s2", weighed("c2", p1, padding=1), CHANNELS, "s2.theta"))
        case _:
            c1 = weighed("c1", x, padding=1)
            n1 = normalised("n1", c1.flatten(0, 1)).reshape(c1.shape)  # over all steps and samples
            p1 = pooled(neuron("s1", n1, LEAKY), 2)
            n2 = layer(of_each_step, weighed("c2", p1, padding=1))
            s2 = neuron("s2", n2, PLAIN)
            y = weighed("y", pooled(s2, 3, functional.max_pool2d))
    labels = torch.tensor(given["label"])
    if network == "normed":
        wanted = functional.one_hot(labels, 3).to(y.dtype)
        each = [0.75 * functional.cross_entropy(of, labels) + 0.25 * functional.mse_loss(of, wanted) for of in y]
        loss: Any = sum(each) / STEPS
    else:
        loss = functional.cross_entropy(y.mean(0) if form == "step" else y[1], labels)
    loss.backward()
    return spikes | {f"d.{name}": weight.grad.numpy() for name, weight in parameters.items()}


def main() -> None:
    """Write the references anew: the first random numbers for which neurons fire, but not always, and all learn."""
    records: dict[str, Any] = {}
    for network, forms in FORMS.items():
        seed = next(seed for seed in range(500) if _telling(expected(network, forms[-1], draw(network, seed))))
        given = draw(network, seed)
        for form in forms:
            numbers = {name: value.tolist() for name, value in expected(network, form, given).items()}
            records[f"{network}, {form}"] = {
                "source": source(network, form),
                "given": {name: np.asarray(value).tolist() for name, value in given.items()},
                "expected": numbers,
            }
    lines = [f"{json.dumps(name)}: {json.dumps(record, separators=(',', ':'))}" for name, record in records.items()]
    REFERENCES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{REFERENCES}: {len(records)} cases, {REFERENCES.stat().st_size / 1024:.0f} KiB")


def _telling(found: dict[str, Any]) -> bool:
    """Whether neurons fire, but not always, and no parameter is without a gradient."""
    gradients = [value for name, value in found.items() if name.startswith("d.")]
    fired = [(value > 0).mean() for name, value in found.items() if not name.startswith("d.")]
    return all(0.1 < rate < 0.9 for rate in fired) and all(np.any(value) for value in gradients)


if __name__ == "__main__":
    main()
