"""References for truncated back-propagation through time, built in PyTorch in float64: ``detach()`` between windows.

Run ``python tests/golden/make_window_references.py`` (needs torch) to write ``tests/golden/references/windows.json``.
The loss of the steps of a window goes backwards when the window is over; torch.optim.SGD takes a step then, or behind
the last window by the sum of all gradients.  Nothing here comes from snnc; `SOURCES` only spells the networks in its
language.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

REFERENCES = Path(__file__).parent / "references" / "windows.json"
STEPS, BATCH, RATE = 6, 2, 0.1
NEURON = "threshold=0.5, reset=soft, surrogate=atan(alpha=2)"
SOURCES = {
    "mlp": f"""network mlp(x: f16[t, 5]) steps {STEPS} {{
    s1 = lif(linear(x, out=6), decay=0.75, {NEURON})
    s2 = lif(linear(s1, out=7), decay=0.5, {NEURON})
    return linear(s2, out=3)
}}""",
    "residual": f"""network residual(x: f16[1, 6, 6]) steps {STEPS} {{
    n1 = batch_norm(conv2d(x, out=3, kernel=3, pad=1))
    s1 = lif(n1, decay=0.5, {NEURON})
    p1 = avg_pool2d(s1, kernel=2)
    n2 = batch_norm(conv2d(p1, out=3, kernel=3, pad=1, bias=false))
    s2 = lif(add(n2, p1), decay=0.75, {NEURON})
    return linear(flatten(s2), out=3)
}}""",
    "recurrent": f"""network recurrent(x: f16[t, 5]) steps {STEPS} {{
    back = delay(s1) : spike[6]
    s1 = lif(add(linear(x, out=6), linear(back, out=6, bias=false)), decay=0.75, {NEURON})
    older = delay(s1, steps=2)
    s2 = lif(add(linear(s1, out=7), linear(older, out=7, bias=false)), decay=0.5, {NEURON})
    return linear(s2, out=3)
}}""",
    "learned": f"""network learned(x: f16[t, 5]) steps {STEPS} {{
    s1 = plif(linear(x, out=6), decay=0.75, {NEURON})
    g1 = scale(s1, each=step)
    s2 = lif(linear(g1, out=7), decay=0.5, reset_time=delayed, {NEURON})
    s3 = lif(linear(s2, out=7), decay=0.5, learn_threshold=layer, {NEURON})
    return linear(s3, out=3)
}}""",
}
TRAIN = f"""train {{
    loss = cross_entropy_mse(lam=0.25); optimizer = sgd(lr={RATE}, momentum=0.9); loss_scale = 1; batch = {BATCH}
}}"""
WINDOWS = {"mlp": (1, 2, 3), "residual": (2, 3), "recurrent": (1, 2, 3), "learned": (2,)}
UPDATES = ("window", "batch")
OF_STEPS = {"g1.w"}
"""Parameters with a word for each step, which learns by itself."""


def source(network: str) -> str:
    """The network with its training."""
    return f"{SOURCES[network]}\n{TRAIN}"


SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "mlp": {
        "s1.linear.w": (6, 5), "s1.linear.b": (6,), "s2.linear.w": (7, 6), "s2.linear.b": (7,),
        "linear.w": (3, 7), "linear.b": (3,),
    },
    "residual": {
        "n1.conv2d.w": (3, 1, 3, 3), "n1.conv2d.b": (3,), "n1.gamma": (3,), "n1.beta": (3,),
        "n2.conv2d.w": (3, 3, 3, 3), "n2.gamma": (3,), "n2.beta": (3,), "linear.w": (3, 27), "linear.b": (3,),
    },
    "recurrent": {
        "s1.add.linear.w": (6, 5), "s1.add.linear.b": (6,), "s1.add.linear.1.w": (6, 6),
        "s2.add.linear.w": (7, 6), "s2.add.linear.b": (7,), "s2.add.linear.1.w": (7, 6),
        "linear.w": (3, 7), "linear.b": (3,),
    },
    "learned": {
        "s1.linear.w": (6, 5), "s1.linear.b": (6,), "s1.w": (), "g1.w": (STEPS,), "s2.linear.w": (7, 6),
        "s2.linear.b": (7,), "s3.linear.w": (7, 7), "s3.linear.b": (7,), "s3.theta": (),
        "linear.w": (3, 7), "linear.b": (3,),
    },
}  # fmt: skip


def draw(network: str, seed: int) -> dict[str, Any]:
    """Input, labels and parameters."""
    rng = np.random.default_rng(seed)
    given: dict[str, Any] = {name: rng.normal(0.1, 0.6, shape) for name, shape in SHAPES[network].items()}
    given |= {name: rng.uniform(0.25, 1.0, SHAPES[network][name]) for name in given.keys() & {"s3.theta", "g1.w"}}
    shape = (BATCH, 1, 6, 6) if network == "residual" else (STEPS, BATCH, 5)
    return {"x": rng.uniform(0, 1.5, shape), "label": rng.integers(0, 3, BATCH), **given}


def expected(network: str, window: int, update: str, given: dict[str, Any]) -> dict[str, Any]:
    """Spikes of every step; of every parameter what becomes of it, and the gradient of the last update."""
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
    weights: dict[str, Any] = {}
    for name in SHAPES[network]:
        if name in OF_STEPS:
            weights |= {f"{name}@{t}": torch.tensor(given[name][t], requires_grad=True) for t in range(STEPS)}
        else:
            weights[name] = torch.tensor(given[name], requires_grad=True)
    optimizer = torch.optim.SGD(weights.values(), lr=RATE, momentum=0.9)
    memory: dict[str, Any] = {}
    spikes: dict[str, list[Any]] = {"s1": [], "s2": []} | ({"s3": []} if network == "learned" else {})
    statistics = {name: (torch.zeros(3, dtype=x.dtype), torch.ones(3, dtype=x.dtype)) for name in ("n1", "n2")}

    def linear(of: Any, name: str) -> Any:
        return functional.linear(of, weights[f"{name}.w"], weights.get(f"{name}.b"))

    def normed(of: Any, name: str) -> Any:
        """By its own statistics, which are followed in every step."""
        affine = weights[f"{name}.gamma"], weights[f"{name}.beta"]
        return functional.batch_norm(of, *statistics[name], *affine, True, 0.1, 1e-5)

    def neuron(name: str, current: Any, decay: Any, theta: Any = 0.5, delayed: bool = False) -> Any:
        """Charge, fire, soft reset; a delayed one takes the threshold away when the next step charges."""
        h = decay * memory.get(name, torch.zeros_like(current)) + current
        if delayed:
            h = h - theta * memory.get(f"{name}.fired", torch.zeros_like(current))
        s = Spike.apply(h - theta)
        memory[name], memory[f"{name}.fired"] = (h if delayed else h - theta * s), s
        spikes[name].append(s)
        return s

    def before(name: str, steps: int, like: Any) -> Any:
        """What was fired so many steps ago, or nothing."""
        past = spikes[name]
        return past[-steps] if len(past) >= steps else torch.zeros_like(like)

    def answer(t: int) -> Any:
        """What the network says in step t."""
        if network == "residual":
            c1 = functional.conv2d(x, weights["n1.conv2d.w"], weights["n1.conv2d.b"], padding=1)
            p1 = functional.avg_pool2d(neuron("s1", normed(c1, "n1"), 0.5), 2)
            c2 = functional.conv2d(p1, weights["n2.conv2d.w"], padding=1)
            s2 = neuron("s2", normed(c2, "n2") + p1, 0.75).flatten(1)
        elif network == "recurrent":
            like = torch.zeros(BATCH, 6, dtype=x.dtype)
            current = linear(x[t], "s1.add.linear") + linear(before("s1", 1, like), "s1.add.linear.1")
            older = before("s1", 2, like)
            s1 = neuron("s1", current, 0.75)
            s2 = neuron("s2", linear(s1, "s2.add.linear") + linear(older, "s2.add.linear.1"), 0.5)
        elif network == "learned":
            kappa = 1 - torch.sigmoid(weights["s1.w"])
            s1 = neuron("s1", linear(x[t], "s1.linear"), kappa)
            s2 = neuron("s2", linear(s1 * weights[f"g1.w@{t}"], "s2.linear"), 0.5, delayed=True)
            s2 = neuron("s3", linear(s2, "s3.linear"), 0.5, weights["s3.theta"])
        else:
            s1 = neuron("s1", linear(x[t], "s1.linear"), 0.75)
            s2 = neuron("s2", linear(s1, "s2.linear"), 0.5)
        return linear(s2, "linear")

    optimizer.zero_grad()
    for first in range(0, STEPS, window):
        loss: Any = 0.0
        for t in range(first, first + window):
            y = answer(t)
            wanted = functional.one_hot(labels, 3).to(y.dtype)
            error = 0.75 * functional.cross_entropy(y, labels) + 0.25 * functional.mse_loss(y, wanted)
            loss = loss + error / STEPS
        if update == "window":
            optimizer.zero_grad()  # to None: a word of another step has no gradient, and stays
        loss.backward()
        if update == "window":
            optimizer.step()
        memory.update({name: value.detach() for name, value in memory.items()})
        spikes.update({name: [each.detach() for each in past] for name, past in spikes.items()})
    if update == "batch":
        optimizer.step()
    found: dict[str, Any] = {name: torch.stack(past).numpy() for name, past in spikes.items()}
    for name, (mean, variance) in statistics.items() if network == "residual" else ():
        found |= {f"{name}.running_mean": mean.numpy(), f"{name}.running_var": variance.numpy()}
    for name, shape in SHAPES[network].items():
        if name in OF_STEPS:
            found[f"{name}.master"] = np.stack([weights[f"{name}@{t}"].detach().numpy() for t in range(STEPS)])
            continue
        grad = weights[name].grad  # none where every error is cut on its way
        found[f"{name}.master"] = weights[name].detach().numpy()
        found[f"d.{name}"] = np.zeros(shape) if grad is None else grad.numpy()
    return found


def _fires(network: str, given: dict[str, Any]) -> bool:
    """Whether neurons fire, but not always."""
    found = expected(network, 2, "window", given)
    return all(0.1 < found[name].mean() < 0.9 for name in ("s1", "s2", "s3") if name in found)


def _lists(arrays: dict[str, Any]) -> dict[str, Any]:
    return {name: np.asarray(value).tolist() for name, value in arrays.items()}


def main() -> None:
    """Write the references anew: the first random numbers for which neurons fire, but not always."""
    records: dict[str, Any] = {}
    for network, windows in WINDOWS.items():
        given = next(given for given in (draw(network, seed) for seed in range(200)) if _fires(network, given))
        found = {
            f"window={window}, update={update}": expected(network, window, update, given)
            for window in windows
            for update in UPDATES
        }
        records[network] = {"source": source(network), "given": _lists(given)}
        records[network]["expected"] = {rule: _lists(numbers) for rule, numbers in found.items()}
    lines = [f"{json.dumps(name)}: {json.dumps(record, separators=(',', ':'))}" for name, record in records.items()]
    REFERENCES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{REFERENCES}: {len(records)} networks, {REFERENCES.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
