"""References for frozen layers, built in PyTorch in float64: ``requires_grad = False``, and ``eval()`` of their norms.

Run ``python tests/golden/make_frozen_references.py`` (needs torch) to write ``tests/golden/references/frozen.json``.
Nothing here comes from snnc; `SOURCE` only spells the network in its language.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

REFERENCES = Path(__file__).parent / "references" / "frozen.json"
STEPS, BATCH = 4, 3

SOURCE = f"""network net(x: f16[t, 2, 4, 4]) steps {STEPS} {{
    c1 = conv2d(x, out=3, kernel=3, pad=1)
    n1 = batch_norm(c1)
    s1 = lif(n1, threshold=0.5)
    n2 = batch_norm(avg_pool2d(s1, kernel=2))
    s2 = lif(n2, threshold=0.5)
    c3 = conv2d(s2, out=4, kernel=1)
    n3 = batch_norm(c3, scope=window)
    s3 = lif(n3, threshold=0.5)
    y = linear(flatten(s3), out=3)
    return y
}}"""
FROZEN = {
    "[c1, n1]": ("c1.w", "c1.b", "n1"),
    '"n*"': ("n1", "n2", "n3"),
    "[c3, n2, y]": ("c3.w", "c3.b", "n2", "y.w", "y.b"),
    '"n?.running_*"': ("n1.running", "n2.running", "n3.running"),
    "[n3.gamma, c1.b]": ("n3.gamma", "c1.b"),
}
"""What the network's section says, with what that is here: ``n1`` is a norm with all that it has."""

NORMS = {"n1": 3, "n2": 3, "n3": 4}
SHAPES: dict[str, tuple[int, ...]] = {
    "c1.w": (3, 2, 3, 3), "c1.b": (3,), "c3.w": (4, 3, 1, 1), "c3.b": (4,), "y.w": (3, 16), "y.b": (3,),
    **{f"{name}.{part}": (count,) for name, count in NORMS.items() for part in ("gamma", "beta")},
}  # fmt: skip


def source(freeze: str) -> str:
    """The network with its training."""
    train = f"loss = cross_entropy; optimizer = sgd(lr=0.5); loss_scale = 1; batch = {BATCH}; freeze = {freeze}"
    return f"{SOURCE}\ntrain {{ {train} }}"


def draw(seed: int) -> dict[str, Any]:
    """Input, labels, parameters and statistics."""
    rng = np.random.default_rng(seed)
    given = {name: rng.normal(0.2 if name.endswith("gamma") else 0.1, 0.8, shape) for name, shape in SHAPES.items()}
    for name, count in NORMS.items():
        given |= {f"{name}.running_mean": rng.normal(0, 0.3, count), f"{name}.running_var": rng.uniform(0.1, 1, count)}
    return {"x": rng.normal(0.2, 1, (STEPS, BATCH, 2, 4, 4)), "label": rng.integers(0, 3, BATCH), **given}


def expected(freeze: str, given: dict[str, Any]) -> dict[str, Any]:
    """Spikes, gradients of what is not frozen, and all parameters and statistics after a step of gradient descent."""
    torch: Any = import_module("torch")
    functional = torch.nn.functional
    still = FROZEN[freeze]
    parameters = {name: torch.tensor(given[name], requires_grad=True) for name in SHAPES}
    for name, parameter in parameters.items():
        parameter.requires_grad_(name not in still and name.partition(".")[0] not in still)
    norms: dict[str, Any] = {}
    for name, count in NORMS.items():
        norms[name] = torch.nn.BatchNorm2d(count, affine=False).double()
        norms[name].running_mean = torch.tensor(given[f"{name}.running_mean"])
        norms[name].running_var = torch.tensor(given[f"{name}.running_var"])
        norms[name].train(name not in still and f"{name}.running" not in still)

    class Spike(torch.autograd.Function):
        """A step, with the derivative ``max(0, 1 - |x|)``."""

        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return (x >= 0).to(x.dtype)

        @staticmethod
        def backward(ctx: Any, *errors: Any) -> Any:
            return errors[0] * (1 - ctx.saved_tensors[0].abs()).clamp(min=0)

    spike: Any = Spike.apply
    spikes: dict[str, Any] = {}

    def lif(name: str, current: Any) -> Any:
        v: Any = torch.zeros_like(current[0])
        found: list[Any] = []
        for x in current:
            h = 0.5 * v + x
            found.append(spike(h - 0.5))
            v = (1 - found[-1]) * h
        spikes[name] = torch.stack(found)
        return spikes[name]

    def conv(name: str, x: Any, padding: int = 0) -> Any:
        weight, bias = parameters[f"{name}.w"], parameters[f"{name}.b"]
        return torch.stack([functional.conv2d(each, weight, bias, padding=padding) for each in x])

    def normed(name: str, x: Any, window: bool = False) -> Any:
        gamma, beta = (parameters[f"{name}.{part}"].reshape(-1, 1, 1) for part in ("gamma", "beta"))
        norm = norms[name]
        normal = norm(x.flatten(0, 1)).reshape(x.shape) if window else torch.stack([norm(each) for each in x])
        return normal * gamma + beta

    s1 = lif("s1", normed("n1", conv("c1", torch.tensor(given["x"]), 1)))
    pooled = torch.stack([functional.avg_pool2d(each, 2) for each in s1])
    s2 = lif("s2", normed("n2", pooled))
    s3 = lif("s3", normed("n3", conv("c3", s2), window=True))
    y = functional.linear(s3.flatten(2), parameters["y.w"], parameters["y.b"])
    functional.cross_entropy(y.mean(0), torch.tensor(given["label"])).backward()
    found = {name: each.detach().numpy() for name, each in spikes.items()}
    for name, parameter in parameters.items():
        change: Any = 0.0
        if parameter.requires_grad:
            found[f"d.{name}"] = parameter.grad.numpy()
            change = 0.5 * parameter.grad
        found[f"{name}.master"] = (parameter.detach() - change).numpy()
    for name, norm in norms.items():
        found |= {f"{name}.{part}": getattr(norm, part).numpy() for part in ("running_mean", "running_var")}
    return found


def main() -> None:
    """Write the references anew: the first random numbers for which neurons fire, but not always, and all learn."""
    records: dict[str, Any] = {}
    seed = next(seed for seed in range(500) if all(_telling(expected(freeze, draw(seed))) for freeze in FROZEN))
    given = draw(seed)
    for freeze in FROZEN:
        records[freeze] = {
            "source": source(freeze),
            "given": {name: np.asarray(value).tolist() for name, value in given.items()},
            "expected": {name: value.tolist() for name, value in expected(freeze, given).items()},
        }
    lines = [f"{json.dumps(name)}: {json.dumps(record, separators=(',', ':'))}" for name, record in records.items()]
    REFERENCES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{REFERENCES}: {len(records)} cases, {REFERENCES.stat().st_size / 1024:.0f} KiB")


def _telling(found: dict[str, Any]) -> bool:
    """Whether neurons fire, but not always, and no parameter but one before a norm is without a gradient."""
    gradients = [value for name, value in found.items() if name.startswith("d.") and not name.endswith(".b")]
    fired = [found[name].mean() for name in ("s1", "s2", "s3")]
    return all(0.1 < rate < 0.9 for rate in fired) and all(np.abs(value).max() > 1e-4 for value in gradients)


if __name__ == "__main__":
    main()
