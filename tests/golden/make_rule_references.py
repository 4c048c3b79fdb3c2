"""References for learning rules, built in PyTorch as their authors do, in float64: ``v.detach()`` where a rule cuts.

Run ``python tests/golden/make_rule_references.py`` (needs torch) to write ``tests/golden/references/rules.json``.
OTTT's weight gradient comes from an operation of two operands: its value is that of the spikes, its gradient that of
their trace; OTTT_O is followed by torch.optim.SGD in each step; SLTT-K has the losses of its steps only.  Nothing here
comes from snnc; `SOURCES` only spells the networks in its language.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

REFERENCES = Path(__file__).parent / "references" / "rules.json"
STEPS, BATCH, RATE = 4, 2, 0.1
CHOSEN = (1, 3)
"""The steps in which SLTT-2 learns."""

NEURON = "threshold=0.5, reset=soft, surrogate=atan(alpha=2)"
SOURCES = {
    "mlp": f"""network mlp(x: f16[t, 5]) steps {STEPS} {{
    c1 = linear(x, out=6)
    s1 = lif(c1, decay=0.75, {NEURON})
    c2 = linear(s1, out=7)
    s2 = lif(c2, decay=0.5, {NEURON})
    y = linear(s2, out=3)
    return y
}}""",
    "residual": f"""network residual(x: f16[1, 6, 6]) steps {STEPS} {{
    c1 = conv2d(x, out=3, kernel=3, pad=1)
    s1 = lif(c1, decay=0.5, {NEURON})
    p1 = avg_pool2d(s1, kernel=2)
    c2 = conv2d(p1, out=4, kernel=3, pad=1, bias=false)
    n2 = batch_norm(c2)
    k2 = conv2d(p1, out=4, kernel=1)
    s2 = lif(add(n2, k2), decay=0.5, {NEURON})
    p2 = avg_pool2d(s2, kernel=3)
    y = linear(flatten(p2), out=3)
    return y
}}""",
}
OPTIMIZER = "sgd(momentum=0.9)"
TRAIN = f"train {{ loss = cross_entropy_mse(lam=0.25); optimizer = {OPTIMIZER}; loss_scale = 1; batch = {BATCH} }}"
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "mlp": {"c1.w": (6, 5), "c1.b": (6,), "c2.w": (7, 6), "c2.b": (7,), "y.w": (3, 7), "y.b": (3,)},
    "residual": {
        "c1.w": (3, 1, 3, 3), "c1.b": (3,), "c2.w": (4, 3, 3, 3), "n2.gamma": (4,), "n2.beta": (4,),
        "k2.w": (4, 3, 1, 1), "k2.b": (4,), "y.w": (3, 4), "y.b": (3,),
    },
}  # fmt: skip
DECAYS = {"mlp": (0.75, 0.5), "residual": (0.5, 0.5)}


def source(network: str) -> str:
    """The network with its training."""
    return f"{SOURCES[network]}\n{TRAIN}"


def draw(network: str, seed: int) -> dict[str, Any]:
    """Input, labels and parameters."""
    rng = np.random.default_rng(seed)
    given: dict[str, Any] = {name: rng.normal(0.1, 0.6, shape) for name, shape in SHAPES[network].items()}
    shape = (STEPS, BATCH, 5) if network == "mlp" else (BATCH, 1, 6, 6)
    return {"x": rng.uniform(0, 1.5, shape), "label": rng.integers(0, 3, BATCH), **given}


def expected(network: str, rule: str, given: dict[str, Any]) -> dict[str, Any]:
    """Spikes of every step, and of every parameter its gradient, or those of all steps and what becomes of it."""
    torch: Any = import_module("torch")
    functional = torch.nn.functional

    class Spike(torch.autograd.Function):
        """1 where the membrane is at the threshold or above; the derivative of the arc tangent."""

        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return (x >= 0).to(x.dtype)

        @staticmethod
        def backward(ctx: Any, *errors: Any) -> Any:
            (x,) = ctx.saved_tensors
            return errors[0] / (1 + (torch.pi * x) ** 2)

    x, labels = torch.tensor(given["x"]), torch.tensor(given["label"])
    weights = {name: torch.tensor(given[name], requires_grad=True) for name in SHAPES[network]}
    memory: dict[str, Any] = {}
    spikes: dict[str, list[Any]] = {"s1": [], "s2": []}

    def neuron(name: str, current: Any, decay: float) -> Any:
        """Charge, fire, soft reset; the online rules cut what comes from the step before."""
        before = memory.get(name, torch.zeros_like(current))
        h = decay * (before if rule == "bptt" else before.detach()) + current
        s = Spike.apply(h - 0.5)
        memory[name] = h - 0.5 * s
        trace = decay * memory.get(f"{name}.trace", torch.zeros_like(s)) + s.detach()
        memory[f"{name}.trace"] = trace
        spikes[name].append(s.detach())
        return s, trace

    def weigh(of: Any, trace: Any, function: Any, *parameters: Any) -> Any:
        """``function(of, parameters)``, whose weight gradient reads the trace under OTTT."""
        if rule not in ("ottt_a", "ottt_o") or trace is None:
            return function(of, *parameters)
        value = function(of, *(parameter.detach() for parameter in parameters))
        learns = function(trace, *parameters)  # the trace in the weight's gradient; a bias reads no operand at all
        return value + learns - learns.detach()

    def padded(of: Any, *parameters: Any) -> Any:
        return functional.conv2d(of, *parameters, padding=1)

    total: Any = 0.0
    optimizer = torch.optim.SGD(weights.values(), lr=RATE, momentum=0.9)
    each: dict[str, list[Any]] = {name: [] for name in weights}
    first, second = DECAYS[network]
    for t in range(STEPS):
        if network == "mlp":
            s1, a1 = neuron("s1", functional.linear(x[t], weights["c1.w"], weights["c1.b"]), first)
            current = weigh(s1, a1, functional.linear, weights["c2.w"], weights["c2.b"])
            s2, a2 = neuron("s2", current, second)
        else:
            s1, a1 = neuron("s1", padded(x, weights["c1.w"], weights["c1.b"]), first)
            p1, q1 = functional.avg_pool2d(s1, 2), functional.avg_pool2d(a1, 2)
            c2 = weigh(p1, q1, padded, weights["c2.w"])
            n2 = functional.batch_norm(c2, None, None, weights["n2.gamma"], weights["n2.beta"], True, 0.1, 1e-5)
            k2 = weigh(p1, q1, functional.conv2d, weights["k2.w"], weights["k2.b"])
            s2, a2 = neuron("s2", n2 + k2, second)
            s2, a2 = functional.avg_pool2d(s2, 3).flatten(1), functional.avg_pool2d(a2, 3).flatten(1)
        y = weigh(s2, a2, functional.linear, weights["y.w"], weights["y.b"])
        wanted = functional.one_hot(labels, 3).to(y.dtype)
        loss = 0.75 * functional.cross_entropy(y, labels) + 0.25 * functional.mse_loss(y, wanted)
        if rule != "sltt_k" or t in CHOSEN:
            total = total + loss / STEPS
        if rule == "ottt_o":
            optimizer.zero_grad()
            (loss / STEPS).backward()
            for name, weight in weights.items():
                each[name].append(weight.grad.clone())
            optimizer.step()
    found = {name: torch.stack(steps).numpy() for name, steps in spikes.items()}
    if rule == "ottt_o":
        after = {f"{name}.master": weight.detach().numpy() for name, weight in weights.items()}
        return found | {f"d.{name}": torch.stack(steps).numpy() for name, steps in each.items()} | after
    total.backward()
    return found | {f"d.{name}": weight.grad.numpy() for name, weight in weights.items()}


def main() -> None:
    """Write the references anew: the first random numbers for which neurons fire, but not always."""
    records: dict[str, Any] = {}
    for network in SOURCES:
        seed = next(
            seed
            for seed in range(200)
            if all(0.1 < expected(network, "bptt", draw(network, seed))[name].mean() < 0.9 for name in ("s1", "s2"))
        )
        given = draw(network, seed)
        lists = {name: np.asarray(value).tolist() for name, value in given.items()}
        for rule in ("bptt", "sltt", "sltt_k", "ottt_a", "ottt_o"):
            numbers = {name: value.tolist() for name, value in expected(network, rule, given).items()}
            records[f"{network}, {rule}"] = {
                "source": source(network), "rule": rule, "given": lists, "expected": numbers,
            }  # fmt: skip
            if rule == "sltt_k":
                records[f"{network}, {rule}"]["chosen"] = CHOSEN
    lines = [f"{json.dumps(name)}: {json.dumps(record, separators=(',', ':'))}" for name, record in records.items()]
    REFERENCES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{REFERENCES}: {len(records)} cases, {REFERENCES.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
