"""References for rules whose errors come straight to hidden layers, built in PyTorch in float64.

Run ``python tests/golden/make_direct_references.py`` (needs torch) to write
``tests/golden/references/direct_rules.json``.  Everything is detached between a layer's spikes and the weights that
read them; the spikes are multiplied by the error that comes straight to them.  The noise is drawn here once more, with
Philox as its paper has it, which numbers elements and keys them by the CRC-32 of the layer's name.  Nothing here comes
from snnc.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from make_rule_references import BATCH, DECAYS, SHAPES, SOURCES, STEPS, draw, source

REFERENCES = Path(__file__).parent / "references" / "direct_rules.json"
HIDDEN: dict[str, dict[str, tuple[int, ...]]] = {
    "mlp": {"s1": (6,), "s2": (7,)},
    "residual": {"s1": (3, 6, 6), "s2": (4, 3, 3)},
}
"""Hidden layers and their shapes."""

Settings = Mapping[str, Any]
CASES: dict[str, Settings] = {
    "default": {"momentum": 0.75},
    "before": {
        "perturb": "before", "noise": "uniform", "alpha": 0.125, "inverse_alpha": False, "antithetic": True,
        "momentum": 0.5,
    },
    "once a batch": {"antithetic": True, "feedback_update": "batch", "momentum": 0.875},
    "dfa": {"feedback": "dfa"},
    "zo": {"feedback": "zo", "alpha": 0.25},
}  # fmt: skip
"""Settings of `opzo`."""


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x32-10 as Salmon et al. (2011) define it: four words of random bits."""
    for _ in range(10):
        first, second = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [
            (second >> 32) ^ counter[1] ^ key[0], second & 0xFFFFFFFF,
            (first >> 32) ^ counter[3] ^ key[1], first & 0xFFFFFFFF,
        ]  # fmt: skip
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return counter


def noise(layer: str, shape: tuple[int, ...], settings: Settings) -> Any:
    """That of a layer in every time step of training step 0, with seed 0."""
    antithetic = settings.get("antithetic", False)
    lead = (BATCH, *shape) if antithetic else (STEPS, BATCH, *shape)
    stream = zlib.crc32(layer.encode())
    words = [philox([number, 0, 0, 0], [0, stream])[0] for number in range(int(np.prod(lead)))]
    even = np.reshape([(word >> 8) / 2**24 for word in words], lead)
    drawn = (2 * even - 1) * np.sqrt(3.0) if settings.get("noise") == "uniform" else np.where(even >= 0.5, 1.0, -1.0)
    return np.stack([drawn, -drawn] * (STEPS // 2)) if antithetic else drawn


def prepared(network: str, seed: int) -> dict[str, Any]:
    """Input, labels, parameters and matrices."""
    given, rng = draw(network, seed), np.random.default_rng(seed)
    return given | {f"{name}.feedback": rng.normal(0, 0.6, (3, *of)) for name, of in HIDDEN[network].items()}


def expected(network: str, settings: Settings, given: dict[str, Any]) -> dict[str, Any]:
    """Spikes of every step, the gradient of every parameter, and the matrices after the batch."""
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

    feedback, alpha = settings.get("feedback", "learned"), settings.get("alpha", 0.2)
    before, after = (feedback != "dfa" and settings.get("perturb", "after") == where for where in ("before", "after"))
    share = (1 - settings.get("momentum", 0.0)) / BATCH / (alpha if settings.get("inverse_alpha", True) else 1.0)
    x, labels = torch.tensor(given["x"]), torch.tensor(given["label"])
    weights = {name: torch.tensor(given[name], requires_grad=True) for name in SHAPES[network]}
    matrices = {name: torch.tensor(given[f"{name}.feedback"]) for name in HIDDEN[network]}
    drawn = {name: torch.tensor(noise(name, shape, settings)) for name, shape in HIDDEN[network].items()}
    memory: dict[str, Any] = {}
    fired: dict[str, list[Any]] = {name: [] for name in HIDDEN[network]}
    told: dict[str, list[Any]] = {name: [] for name in HIDDEN[network]}
    total: Any = 0.0

    def neuron(name: str, current: Any, decay: float, t: int) -> tuple[Any, Any]:
        """What others read of the spikes, and their trace; neither lets an error pass."""
        if before:
            current = current + alpha * drawn[name][t]
        h = decay * memory.get(name, torch.zeros_like(current)).detach() + current
        s = Spike.apply(h - 0.5)
        fired[name].append(s)
        memory[name] = h - 0.5 * s
        memory[f"{name}.trace"] = decay * memory.get(f"{name}.trace", torch.zeros_like(s)) + s.detach()
        return s.detach() + alpha * drawn[name][t] if after else s.detach(), memory[f"{name}.trace"]

    def weigh(of: Any, trace: Any, function: Any, *parameters: Any) -> Any:
        """``function(of, parameters)``, whose weight gradient reads the trace."""
        value = function(of, *(parameter.detach() for parameter in parameters))
        learns = function(trace, *parameters)
        return value + learns - learns.detach()

    def padded(of: Any, *parameters: Any) -> Any:
        return functional.conv2d(of, *parameters, padding=1)

    first, second = DECAYS[network]
    for t in range(STEPS):
        if network == "mlp":
            o1, a1 = neuron("s1", functional.linear(x[t], weights["c1.w"], weights["c1.b"]), first, t)
            o2, a2 = neuron("s2", weigh(o1, a1, functional.linear, weights["c2.w"], weights["c2.b"]), second, t)
        else:
            o1, a1 = neuron("s1", padded(x, weights["c1.w"], weights["c1.b"]), first, t)
            o1, a1 = functional.avg_pool2d(o1, 2), functional.avg_pool2d(a1, 2)
            c2 = weigh(o1, a1, padded, weights["c2.w"])
            n2 = functional.batch_norm(c2, None, None, weights["n2.gamma"], weights["n2.beta"], True, 0.1, 1e-5)
            o2, a2 = neuron("s2", n2 + weigh(o1, a1, functional.conv2d, weights["k2.w"], weights["k2.b"]), second, t)
            o2, a2 = functional.avg_pool2d(o2, 3).flatten(1), functional.avg_pool2d(a2, 3).flatten(1)
        y = weigh(o2, a2, functional.linear, weights["y.w"], weights["y.b"])
        wanted = functional.one_hot(labels, 3).to(y.dtype)
        entropy = functional.cross_entropy(y, labels, reduction="none")
        each = (0.75 * entropy + 0.25 * ((y - wanted) ** 2).mean(1)) / (STEPS * BATCH)
        (error,) = torch.autograd.grad(each.sum(), y, retain_graph=True)
        total = total + each.sum()
        for name in HIDDEN[network]:
            z, s = drawn[name][t], fired[name][t]
            told[name].append(share * torch.einsum("nk,n...->k...", y.detach(), z))
            if feedback == "learned" and settings.get("feedback_update", "step") == "step":
                matrices[name] = settings["momentum"] * matrices[name] + told[name][t]
            if feedback == "zo":
                arrived = z * each.detach().reshape(BATCH, *(1 for _ in s.shape[1:])) / alpha
            else:
                arrived = torch.einsum("nk,k...->n...", error, matrices[name])
            total = total + (s * arrived).sum()
    total.backward()
    found = {name: torch.stack(steps).detach().numpy() for name, steps in fired.items()}
    found |= {f"d.{name}": weight.grad.numpy() for name, weight in weights.items()}
    if settings.get("feedback_update") == "batch":
        for name in matrices:
            matrices[name] = settings["momentum"] * matrices[name] + sum(told[name]) / STEPS
    if feedback == "learned":
        found |= {f"{name}.feedback.master": matrix.numpy() for name, matrix in matrices.items()}
    return found


def main() -> None:
    """Write the references anew: the first random numbers for which neurons fire, but not always."""
    records: dict[str, Any] = {}
    for network in SOURCES:
        seed = next(
            seed
            for seed in range(200)
            if all(
                0.1 < expected(network, settings, prepared(network, seed))[name].mean() < 0.9
                for settings in CASES.values()
                for name in HIDDEN[network]
            )
        )
        given = prepared(network, seed)
        lists = {name: np.asarray(value).tolist() for name, value in given.items()}
        for case, settings in CASES.items():
            numbers = {name: value.tolist() for name, value in expected(network, settings, given).items()}
            records[f"{network}, {case}"] = {
                "source": source(network), "rule": "opzo", "settings": settings, "given": lists, "expected": numbers,
            }  # fmt: skip
    lines = [f"{json.dumps(name)}: {json.dumps(record, separators=(',', ':'))}" for name, record in records.items()]
    REFERENCES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{REFERENCES}: {len(records)} cases, {REFERENCES.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
