"""References for networks that tell values by first spikes, and for the steps of their kernels, in PyTorch, in float64.

Run ``python tests/golden/make_kernel_references.py`` (needs torch) to write ``tests/golden/references/kernels.json``.
Every layer is simulated step by step; the steps of tau and delay are derivatives that autograd takes of the three
squares of Park et al. (2020), with activations and spike times as constants.  Nothing here comes from snnc.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

REFERENCES = Path(__file__).parent / "references" / "kernels.json"
BATCH = 3

MLP = """network mlp(image: f16[6]) steps 26 {
    tau0 = parameter(init=constant(value=1.0)) : f32[]
    delay0 = parameter(init=constant(value=0.0)) : f32[]
    tau1 = parameter(init=constant(value=1.0)) : f32[]
    delay1 = parameter(init=constant(value=0.0)) : f32[]
    s0 = ttfs(image, tau0, delay0, start=0, window=10)
    c1 = linear(s0, out=8, bias=false)
    i1 = ttfs_kernel(c1, tau0, delay0, start=0, window=10)
    s1 = ttfs(i1, tau1, delay1, start=8, window=12)
    c2 = linear(s1, out=3, bias=false)
    y = ttfs_kernel(c2, tau1, delay1, start=8, window=12)
    return y
} train { rule = t2fsnn; loss = cross_entropy; loss_scale = 8; batch = 3; optimizer = sgd(lr=1.0) }"""

CONVOLUTION = """network convolution(image: f16[2, 8, 8]) steps 24 {
    tau = parameter(init=constant(value=1.0)) : f32[]
    delay = parameter(init=constant(value=0.0)) : f32[]
    tau1 = parameter(init=constant(value=1.0)) : f32[]
    delay1 = parameter(init=constant(value=0.0)) : f32[]
    c0 = conv2d(image, out=5, kernel=3, pad=1, bias=false)
    s0 = ttfs(c0, tau, delay, start=0, window=8)
    c1 = conv2d(avg_pool2d(s0, kernel=2), out=6, kernel=3, pad=1, bias=false)
    s1 = ttfs(ttfs_kernel(c1, tau, delay, start=0, window=8), tau1, delay1, start=8, window=8)
    c2 = linear(flatten(avg_pool2d(s1, kernel=2)), out=7, bias=false)
    s2 = ttfs(ttfs_kernel(c2, tau1, delay1, start=8, window=8), tau, delay, start=16, window=8)
    c3 = linear(s2, out=3, bias=false)
    y = ttfs_kernel(c3, tau, delay, start=16, window=8)
    return y
} train { rule = t2fsnn; loss = mse_rate; loss_scale = 4; batch = 3; optimizer = sgd(lr=1.0) }"""
"""The first layer and the last share a kernel; the first reads an image as it is."""

SOURCES = {"mlp": MLP, "convolution": CONVOLUTION}
SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "mlp": {"c1.w": (8, 6), "c2.w": (3, 8)},
    "convolution": {"c0.w": (5, 2, 3, 3), "c1.w": (6, 5, 3, 3), "c2.w": (7, 24), "c3.w": (3, 7)},
}


def prepared(network: str, seed: int) -> dict[str, Any]:
    """Image, labels, weights and kernels."""
    rng = np.random.default_rng(seed)
    shape = (BATCH, 6) if network == "mlp" else (BATCH, 2, 8, 8)
    given: dict[str, Any] = {"image": rng.uniform(0, 1.2, shape), "label": rng.integers(0, 3, BATCH)}
    for name, of in SHAPES[network].items():
        read = np.prod(of[1:])
        given[name] = rng.normal(0.3 / read, 1.0 / np.sqrt(read), of)
    names = ("tau0", "tau1") if network == "mlp" else ("tau", "tau1")
    for name in names:
        given[name] = rng.uniform(2.5, 5.0)
        given[name.replace("tau", "delay")] = rng.uniform(-0.5, 1.0)
    return given


def expected(network: str, given: dict[str, Any]) -> dict[str, Any]:
    """Spikes and results of every step, activations, and the gradients of the kernels."""
    torch: Any = import_module("torch")
    functional = torch.nn.functional
    weights = {name: torch.tensor(given[name]) for name in SHAPES[network]}
    found: dict[str, Any] = {}
    gradients: dict[str, Any] = {}

    def fire(name: str, currents: Any, kernel: str, start: int, window: int, still: bool) -> Any:
        """All spikes of a layer whose potential is the sum of *currents*, or in each step the current itself."""
        tau, delay = (torch.tensor(given[f"{word}{kernel}"], dtype=torch.float64) for word in ("tau", "delay"))
        u, fired = torch.zeros_like(currents[0]), torch.zeros_like(currents[0])
        train: list[Any] = []
        for t, current in enumerate(currents):
            u = current if still else u + current
            s = torch.zeros_like(u)
            if start <= t < start + window:
                s = ((u >= torch.exp(-(t - start - delay) / tau)) & (fired == 0)).to(u.dtype)
            fired = fired + s
            train.append(s)
        found[name] = torch.stack(train)
        return found[name]

    def decode(train: Any, kernel: str, start: int, window: int) -> Any:
        tau, delay = (torch.tensor(given[f"{word}{kernel}"], dtype=torch.float64) for word in ("tau", "delay"))
        steps = torch.arange(len(train), dtype=torch.float64) - start
        worth = torch.where((steps >= 0) & (steps < window), torch.exp(-(steps - delay) / tau), 0.0)
        return train * worth.reshape(-1, *(1 for _ in train.shape[1:]))

    def match(name: str, x: Any, kernel: str, start: int, window: int) -> None:
        """Adds the gradients of the kernel that fired *name*, whose activations are *x*."""
        tau = torch.tensor(given[f"tau{kernel}"], dtype=torch.float64, requires_grad=True)
        delay = torch.tensor(given[f"delay{kernel}"], dtype=torch.float64, requires_grad=True)
        train = found[name]
        fired = train.sum(0) > 0
        time = train.argmax(0).to(torch.float64) - start
        each = tau.expand_as(x)
        guess = torch.where(fired, torch.exp(-(time - delay) / each), 0.0)
        (slopes,) = torch.autograd.grad((0.5 * (x - guess) ** 2).sum(), each)
        upwards = -slopes[slopes < 0]
        smallest = x.clamp(min=0).flatten(1).amin(1).mean()
        (end,) = torch.autograd.grad(0.5 * (smallest - torch.exp(-(window - delay) / tau)) ** 2, tau)
        earliest = torch.where(fired, time, 1e5).flatten(1).amin(1)
        largest = torch.exp(-(earliest - delay) / tau).detach()
        (begin,) = torch.autograd.grad((0.5 * (largest - torch.exp(delay / tau)) ** 2).mean(), delay)
        of_tau = end - (upwards.mean() if len(upwards) else 0.0)
        for word, gradient in (("tau", of_tau), ("delay", begin)):
            gradients[f"d.{word}{kernel}"] = gradients.get(f"d.{word}{kernel}", 0.0) + float(gradient)

    def same(function: Callable[[Any], Any], train: Any) -> Any:
        return torch.stack([function(step) for step in train])

    image, steps = torch.tensor(given["image"]), 26 if network == "mlp" else 24
    if network == "mlp":
        s0 = fire("s0", image.expand(steps, *image.shape), "0", 0, 10, True)
        s1 = fire("s1", decode(s0, "0", 0, 10) @ weights["c1.w"].T, "1", 8, 12, False)
        found["y"] = decode(s1, "1", 8, 12) @ weights["c2.w"].T
        x0 = image.clamp(min=0)
        x1 = (x0 @ weights["c1.w"].T).clamp(min=0)
        match("s0", x0, "0", 0, 10)
        match("s1", x1, "1", 8, 12)
        activations = {"s0": x0, "s1": x1}
    else:
        c0 = functional.conv2d(image, weights["c0.w"], padding=1)
        s0 = fire("s0", c0.expand(steps, *c0.shape), "", 0, 8, True)

        def first(value: Any) -> Any:
            return functional.conv2d(functional.avg_pool2d(value, 2), weights["c1.w"], padding=1)

        def second(value: Any) -> Any:
            return functional.avg_pool2d(value, 2).flatten(1) @ weights["c2.w"].T

        s1 = fire("s1", decode(same(first, s0), "", 0, 8), "1", 8, 8, False)
        s2 = fire("s2", decode(same(second, s1), "1", 8, 8), "", 16, 8, False)
        found["y"] = decode(s2 @ weights["c3.w"].T, "", 16, 8)
        x0 = c0.clamp(min=0)
        x1 = first(x0).clamp(min=0)
        x2 = second(x1).clamp(min=0)
        for name, x, kernel, start in (("s0", x0, "", 0), ("s1", x1, "1", 8), ("s2", x2, "", 16)):
            match(name, x, kernel, start, 8)
        activations = {"s0": x0, "s1": x1, "s2": x2}
    numbers = {name: value.numpy() for name, value in found.items()}
    numbers |= {f"{name}.activation": x.numpy() for name, x in activations.items()}
    return numbers | {name: np.asarray(value) for name, value in gradients.items()}


def worth(numbers: dict[str, Any]) -> bool:
    """Whether in every layer neurons fire, but not all, at several times."""
    trains = [value.reshape(len(value), -1) for name, value in numbers.items() if name in ("s0", "s1", "s2")]
    return all(0.2 < train.sum(0).mean() < 1.0 and (train.sum(1) > 0).sum() > 2 for train in trains)


def main() -> None:
    """Write the references anew: the first random numbers of which there is something to tell."""
    records: dict[str, Any] = {}
    for network, source in SOURCES.items():
        seed = next(seed for seed in range(1000) if worth(expected(network, prepared(network, seed))))
        given = prepared(network, seed)
        numbers = {name: value.tolist() for name, value in expected(network, given).items()}
        lists = {name: np.asarray(value).tolist() for name, value in given.items()}
        records[network] = {"source": source, "given": lists, "expected": numbers}
    lines = [f"{json.dumps(name)}: {json.dumps(record, separators=(',', ':'))}" for name, record in records.items()]
    REFERENCES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{REFERENCES}: {len(records)} cases, {REFERENCES.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
