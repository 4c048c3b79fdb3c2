"""References for tandem learning (`tandem`), built in PyTorch in float64 as published: two networks side by side.

The spiking one runs under ``no_grad`` over whole sequences.  The other one reads counts, ``q = relu(norm(W c + T b))``
with the statistics of the batch; what it hands on is the count of the spiking one, by a function whose gradient goes
straight through to q.  All of it is in counts and not in means: a current counts in each of T steps, a spike for its
amplitude, and ``eps`` for T**2 times as much beside the variance of counts.

Run ``python tests/golden/make_count_references.py`` (needs torch) to write ``tests/golden/references/counts.json``.
Nothing here comes from snnc; `SOURCES` only spells the networks in its language.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

REFERENCES = Path(__file__).parent / "references" / "counts.json"
STEPS, BATCH, EPS, MOMENTUM = 5, 3, 1e-5, 0.1


class Neuron(NamedTuple):
    """``h = v + rho * x``; a spike is worth the amplitude, and takes the threshold away."""

    threshold: float
    amplitude: float = 1.0
    initial: float = 0.0
    rho: float = 1.0


NEURONS = {
    "if(threshold=0.5, amplitude=0.5, initial=0.25, reset=soft)": Neuron(0.5, 0.5, 0.25),
    "if(threshold=0.75, reset=soft)": Neuron(0.75),
    "lif(decay=1.0, gain=0.5, threshold=0.25, amplitude=0.75, reset=soft)": Neuron(0.25, 0.75, 0.0, 0.5),
}
"""Neurons by how the language writes them, but for their operand; they emit what they take away, or other words."""

HALF, PLAIN, GAIN = NEURONS


def _call(neuron: str, operand: str) -> str:
    word, settings = neuron.split("(", 1)
    return f"{word}({operand}, {settings}"


SOURCES = {
    "mlp": f"""network mlp(x: f16[t, 5]) steps {STEPS} {{
    s1 = {_call(HALF, "linear(x, out=6)")}
    s2 = {_call(GAIN, "linear(s1, out=7)")}
    s3 = {_call(PLAIN, "linear(s2, out=6)")}
    y = linear(s3, out=3)
    return y
}}""",
    "residual": f"""network residual(x: f16[1, 6, 6]) steps {STEPS} {{
    s1 = {_call(HALF, "conv2d(x, out=3, kernel=3, pad=1)")}
    p1 = avg_pool2d(s1, kernel=2)
    k2 = conv2d(p1, out=3, kernel=3, pad=1)
    s2 = {_call(PLAIN, "add(k2, p1)")}
    k3 = conv2d(s2, out=3, kernel=1)
    s3 = {_call(GAIN, "add(k3, s2)")}
    return linear(flatten(avg_pool2d(s3, kernel=3)), out=3)
}}""",
    "normed": f"""network normed(x: f16[1, 6, 6]) steps {STEPS} {{
    n1 = batch_norm(conv2d(x, out=3, kernel=3, pad=1))
    s1 = {_call(HALF, "n1")}
    p1 = avg_pool2d(s1, kernel=2)
    n2 = batch_norm(conv2d(p1, out=3, kernel=3, pad=1), scope=window)
    s2 = {_call(PLAIN, "add(n2, p1)")}
    s3 = {_call(GAIN, "linear(flatten(s2), out=6)")}
    y = batch_norm(linear(s3, out=3))
    return y
}}""",
}
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "mlp": {
        "s1.linear.w": (6, 5), "s1.linear.b": (6,), "s2.linear.w": (7, 6), "s2.linear.b": (7,),
        "s3.linear.w": (6, 7), "s3.linear.b": (6,), "y.w": (3, 6), "y.b": (3,),
    },
    "residual": {
        "s1.conv2d.w": (3, 1, 3, 3), "s1.conv2d.b": (3,), "k2.w": (3, 3, 3, 3), "k2.b": (3,),
        "k3.w": (3, 3, 1, 1), "k3.b": (3,), "linear.w": (3, 3), "linear.b": (3,),
    },
    "normed": {
        "n1.conv2d.w": (3, 1, 3, 3), "n1.conv2d.b": (3,), "n1.gamma": (3,), "n1.beta": (3,),
        "n2.conv2d.w": (3, 3, 3, 3), "n2.conv2d.b": (3,), "n2.gamma": (3,), "n2.beta": (3,),
        "s3.linear.w": (6, 27), "s3.linear.b": (6,), "y.linear.w": (3, 6), "y.linear.b": (3,),
        "y.gamma": (3,), "y.beta": (3,),
    },
}  # fmt: skip
NORMS = {"n1": 3, "n2": 3, "y": 3}
LAYERS = 3
SPIKING = ("all", "2", "1", "0")


def source(network: str, spiking: str) -> str:
    """The network with its training."""
    train = f"rule = tandem(spiking={spiking}); loss = cross_entropy; optimizer = sgd; loss_scale = 1; batch = {BATCH}"
    return f"{SOURCES[network]}\ntrain {{ {train} }}"


def draw(network: str, seed: int) -> dict[str, Any]:
    """Input, labels, parameters and statistics."""
    rng = np.random.default_rng(seed)
    given: dict[str, Any] = {}
    for name, shape in SHAPES[network].items():
        given[name] = rng.uniform(0.4, 0.9, shape) if "gamma" in name else rng.normal(0.08, 0.5, shape)
    if network == "normed":
        for name, count in NORMS.items():
            given[f"{name}.running_mean"] = rng.normal(0, 0.2, count)
            given[f"{name}.running_var"] = rng.uniform(0.2, 1, count)
    shape = (STEPS, BATCH, 5) if network == "mlp" else (BATCH, 1, 6, 6)
    return {"x": rng.uniform(0, 1.5, shape), "label": rng.integers(0, 3, BATCH), **given}


class Value(NamedTuple):
    """What spikes see in each step (None where nothing spikes any more), and what counts see, of all steps together."""

    steps: Any
    count: Any


def expected(network: str, spiking: str, given: dict[str, Any], training: bool = True) -> dict[str, Any]:
    """Spikes by what they are worth, logits, the gradient of every parameter, and statistics that follow.

    Where it infers (not *training*), the spiking network answers as far as it goes, and all statistics are running.
    """
    torch: Any = import_module("torch")
    functional = torch.nn.functional
    parameters = {name: torch.tensor(given[name], requires_grad=True) for name in SHAPES[network]}
    found: dict[str, Any] = {}
    layers = LAYERS if spiking == "all" else int(spiking)

    class Through(torch.autograd.Function):
        """The count of spikes in the place of what the other network says."""

        @staticmethod
        def forward(ctx: Any, q: Any, count: Any) -> Any:
            return count.clone()

        @staticmethod
        def backward(ctx: Any, *errors: Any) -> Any:
            return errors[0], None

    through: Any = Through.apply

    def neuron(name: str, value: Value, spelled: str) -> Value:
        of = NEURONS[spelled]
        q: Any = functional.relu(value.count * (of.rho / of.threshold * of.amplitude))
        if int(name[1]) > layers:
            return Value(None, q)
        with torch.no_grad():
            v: Any = torch.full_like(value.steps[0], of.initial)
            fired: list[Any] = []
            for x in value.steps:
                h = v + of.rho * x
                fired.append((h >= of.threshold).to(h.dtype))
                v = h - of.threshold * fired[-1]
            worth = torch.stack(fired) * of.amplitude
        found[name] = worth.numpy()
        return Value(worth, through(q, worth.sum(0)))

    def weighed(name: str, value: Value, **more: Any) -> Value:
        weight, bias = parameters[f"{name}.w"], parameters[f"{name}.b"]

        def sums(of: Any, times: float) -> Any:
            if weight.dim() == 2:
                return functional.linear(of.flatten(1), weight, times * bias)
            return functional.conv2d(of, weight, times * bias, **more)

        with torch.no_grad():
            steps = None if value.steps is None else torch.stack([sums(each, 1) for each in value.steps])
        return Value(steps, sums(value.count, STEPS))

    def pooled(value: Value, kernel: int) -> Value:
        steps = None if value.steps is None else torch.stack([functional.avg_pool2d(s, kernel) for s in value.steps])
        return Value(steps, functional.avg_pool2d(value.count, kernel))

    def added(a: Value, b: Value) -> Value:
        steps = None if a.steps is None or b.steps is None else a.steps + b.steps
        return Value(steps, a.count + b.count)

    def normed(name: str, value: Value) -> Value:
        """Counts are T times as large as means: so are their mean and deviation, and what the norm makes of them."""
        gamma, beta = parameters[f"{name}.gamma"], parameters[f"{name}.beta"]
        mean, var = (torch.tensor(given[f"{name}.{part}"]) for part in ("running_mean", "running_var"))
        with torch.no_grad():
            steps = None
            if value.steps is not None:
                steps = torch.stack(
                    [functional.batch_norm(s, mean, var, gamma, beta, False, 0.0, EPS) for s in value.steps]
                )
        means, variances = mean * STEPS, var * STEPS**2
        eps = EPS * STEPS**2
        count = functional.batch_norm(
            value.count, means, variances, gamma * STEPS, beta * STEPS, training, MOMENTUM, eps
        )
        found[f"{name}.running_mean"] = (means / STEPS).numpy()
        found[f"{name}.running_var"] = (variances / STEPS**2).numpy()
        return Value(steps, count)

    x: Any = torch.tensor(given["x"])
    x = x if network == "mlp" else x.expand(STEPS, *x.shape)
    value = Value(x, x.sum(0))
    match network:
        case "mlp":
            value = neuron("s1", weighed("s1.linear", value), HALF)
            value = neuron("s2", weighed("s2.linear", value), GAIN)
            y = weighed("y", neuron("s3", weighed("s3.linear", value), PLAIN))
        case "residual":
            p1 = pooled(neuron("s1", weighed("s1.conv2d", value, padding=1), HALF), 2)
            s2 = neuron("s2", added(weighed("k2", p1, padding=1), p1), PLAIN)
            y = weighed("linear", pooled(neuron("s3", added(weighed("k3", s2), s2), GAIN), 3))
        case _:
            p1 = pooled(neuron("s1", normed("n1", weighed("n1.conv2d", value, padding=1)), HALF), 2)
            s2 = neuron("s2", added(normed("n2", weighed("n2.conv2d", p1, padding=1)), p1), PLAIN)
            y = normed("y", weighed("y.linear", neuron("s3", weighed("s3.linear", s2), GAIN)))
    mean: Any = y.count / STEPS if training or y.steps is None else y.steps.mean(0)
    if not training:
        return {"logits": mean.detach().numpy()}
    functional.cross_entropy(mean, torch.tensor(given["label"])).backward()
    found["logits"] = mean.detach().numpy()
    return found | {f"d.{name}": weight.grad.numpy() for name, weight in parameters.items()}


def main() -> None:
    """Write the references anew: the first random numbers for which neurons fire, but not always, and all learn."""
    records: dict[str, Any] = {}
    for network in SOURCES:
        seed = next(seed for seed in range(2000) if _telling(expected(network, "all", draw(network, seed))))
        given = draw(network, seed)
        for spiking in SPIKING:
            numbers = {name: value.tolist() for name, value in expected(network, spiking, given).items()}
            records[f"{network}, {spiking}"] = {
                "source": source(network, spiking),
                "given": {name: np.asarray(value).tolist() for name, value in given.items()},
                "expected": numbers,
                "inferred": expected(network, spiking, given, training=False)["logits"].tolist(),
            }
    lines = [f"{json.dumps(name)}: {json.dumps(record, separators=(',', ':'))}" for name, record in records.items()]
    REFERENCES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{REFERENCES}: {len(records)} cases, {REFERENCES.stat().st_size / 1024:.0f} KiB")


def _telling(found: dict[str, Any]) -> bool:
    """Whether neurons fire, but not always, and no weight is without a gradient."""
    gradients = [value for name, value in found.items() if name.startswith("d.") and name.endswith(".w")]
    fired = [(value > 0).mean() for name, value in found.items() if name[0] == "s"]
    return all(0.1 < rate < 0.9 for rate in fired) and all(np.abs(value).max() > 1e-4 for value in gradients)


if __name__ == "__main__":
    main()
