"""References for optimizers that count their updates, of which there are several in a batch, built in PyTorch.

Run ``python tests/golden/make_correction_references.py`` (needs torch) to write
``tests/golden/references/corrections.json``.  Two batches; behind each step (OTTT_O), or each window of two steps
(truncated BPTT), torch.optim takes a step, and nobody tells it which.  Nothing here comes from snnc; `SOURCE` only
spells the network in its language.
"""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

REFERENCES = Path(__file__).parent / "references" / "corrections.json"
STEPS, BATCH, BATCHES, DECAY = 4, 2, 2, 0.75
SHAPES = {"c.w": (6, 5), "c.b": (6,), "y.w": (3, 6), "y.b": (3,)}
SOURCE = f"""network mlp(x: f16[t, 5]) steps {STEPS} {{
    c = linear(x, out=6)
    s = lif(c, decay={DECAY}, threshold=0.5, reset=soft, surrogate=atan(alpha=2))
    y = linear(s, out=3)
    return y
}} train {{ loss = cross_entropy_mse(lam=0.25); loss_scale = 1; batch = {BATCH}; OPTIMIZER }}"""
OPTIMIZERS: dict[str, tuple[str, dict[str, Any]]] = {
    "adam(lr=0.05)": ("Adam", {}),
    "adam(lr=0.05, beta1=0.8, beta2=0.99, eps=1e-4, weight_decay=0.02)": (
        "Adam", {"betas": (0.8, 0.99), "eps": 1e-4, "weight_decay": 0.02},
    ),
    "adamw(lr=0.05, weight_decay=0.1)": ("AdamW", {"weight_decay": 0.1}),
}  # fmt: skip
RATE = 0.05
RULES = {"ottt_o": 1, "bptt(window=2)": 2}
"""Rules, with the steps that go by between two updates."""


def expected(rule: str, optimizer: str, given: dict[str, Any]) -> dict[str, Any]:
    """All parameters behind each batch."""
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

    weights = {name: torch.tensor(given[name], requires_grad=True) for name in SHAPES}
    kind, settings = OPTIMIZERS[optimizer]
    steps = getattr(torch.optim, kind)(weights.values(), lr=RATE, **{"weight_decay": 0.0, **settings})
    found: dict[str, list[Any]] = {name: [] for name in weights}
    window = RULES[rule]
    for number in range(BATCHES):
        x, labels = torch.tensor(given["x"][number]), torch.tensor(given["label"][number])
        v = trace = torch.zeros(BATCH, 6, dtype=torch.float64)
        total: Any = 0.0
        for t in range(STEPS):
            h = DECAY * (v if t % window else v.detach()) + functional.linear(x[t], weights["c.w"], weights["c.b"])
            s = Spike.apply(h - 0.5)
            v, trace = h - 0.5 * s, DECAY * trace + s.detach()
            y = functional.linear(s, weights["y.w"], weights["y.b"])
            if rule == "ottt_o":  # the weight learns from the trace, spikes get the error of the weights
                value = functional.linear(s, weights["y.w"].detach(), weights["y.b"].detach())
                learns = functional.linear(trace, weights["y.w"], weights["y.b"])
                y = value + learns - learns.detach()
            wanted = functional.one_hot(labels, 3).to(y.dtype)
            loss = 0.75 * functional.cross_entropy(y, labels) + 0.25 * functional.mse_loss(y, wanted)
            total = total + loss / STEPS
            if (t + 1) % window == 0:
                steps.zero_grad()
                total.backward()
                steps.step()
                total = 0.0
        for name, weight in weights.items():
            found[name].append(weight.detach().numpy().copy())
    return {name: np.stack(values) for name, values in found.items()}


def main() -> None:
    """Write the records."""
    records: dict[str, Any] = {}
    for number, rule in enumerate(RULES):
        for place, optimizer in enumerate(OPTIMIZERS):
            rng = np.random.default_rng(40 + 10 * number + place)
            given: dict[str, Any] = {name: rng.normal(0.1, 0.6, shape) for name, shape in SHAPES.items()}
            given |= {
                "x": rng.uniform(0, 1.5, (BATCHES, STEPS, BATCH, 5)),
                "label": rng.integers(0, 3, (BATCHES, BATCH)),
            }
            made = expected(rule, optimizer, given)
            records[f"{rule}, {optimizer}"] = {
                "source": SOURCE.replace("OPTIMIZER", f"optimizer = {optimizer}; rule = {rule}"),
                "given": {name: value.tolist() for name, value in given.items()},
                "expected": {name: value.tolist() for name, value in made.items()},
            }
    lines = ",\n".join(
        f"{json.dumps(name)}: {json.dumps(record, separators=(',', ':'))}" for name, record in records.items()
    )
    REFERENCES.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
