"""References for the end of a training step, computed with PyTorch's own GradScaler, clipping and optimizers.

Run ``python tests/golden/make_update_references.py`` (needs torch) to write ``tests/golden/references/updates.json``.
A case trains ``y = linear(x)`` on the loss ``sum of coefficient * y``, so that the coefficients are the gradient's
source: where one is inf or NaN, the scaler skips the step.  Nothing here comes from snnc.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

REFERENCES = Path(__file__).parent / "references" / "updates.json"
STEPS, BATCH, INPUTS, CLASSES = 2, 2, 4, 3
Settings = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """An optimizer, clipping with its limit, a dynamic scale (None: none), and *bad* coefficients by update."""

    optimizer: tuple[str, Settings]
    clip: tuple[str, float] | None = None
    scale: Settings | None = None
    bad: dict[int, float] = field(default_factory=dict[int, float])
    updates: int = 8


SCALE = {"initial": 1024.0, "growth": 4.0, "backoff": 0.25, "interval": 2}
BAD = {1: math.inf, 2: math.nan, 6: -math.inf}
CASES = {
    "skipped steps, momentum": Case(("sgd", {"lr": 0.1, "momentum": 0.9}), None, SCALE, BAD),
    "skipped steps, adam": Case(("adam", {"lr": 0.05, "weight_decay": 0.01}), None, SCALE, BAD),
    "skipped steps, clipped norm": Case(("adam", {"lr": 0.05}), ("norm", 0.5), SCALE, BAD),
    "skipped steps, clipped values": Case(("sgd", {"lr": 0.1, "momentum": 0.5}), ("value", 0.25), SCALE, BAD),
    "a scale that only falls": Case(("sgd", {"lr": 0.1}), None, SCALE, dict.fromkeys(range(8), math.inf)),
    "a scale that only grows": Case(("sgd", {"lr": 0.1}), None, SCALE),
    "clipped norm": Case(("sgd", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}), ("norm", 0.5)),
    "a norm within its limit": Case(("sgd", {"lr": 0.1}), ("norm", 1000.0)),
    "clipped values": Case(("adamw", {"lr": 0.05, "weight_decay": 0.1}), ("value", 0.25)),
    "weights decay, sgd": Case(("sgd", {"lr": 0.1, "weight_decay": 0.1, "decay_on": "weights"})),
    "weights decay, adam": Case(("adam", {"lr": 0.05, "weight_decay": 0.1, "decay_on": "weights"})),
    "weights decay, adamw": Case(("adamw", {"lr": 0.05, "decay_on": "weights"})),
}


def train_section(case: Case) -> str:
    """The case in the language of networks."""
    lines = ["loss = weighted_sum", f"optimizer = {_call(*case.optimizer)}", f"batch = {BATCH}"]
    lines.append(f"loss_scale = {1.0 if case.scale is None else _call('dynamic', case.scale)}")
    if case.clip is not None:
        lines.append(f"clip = {case.clip[0]}({case.clip[1]})")
    return "; ".join(lines)


def _call(name: str, settings: Settings) -> str:
    return f"{name}({', '.join(f'{key}={value}' for key, value in settings.items())})"


def draw(seed: int) -> dict[str, Any]:
    """Inputs, parameters and coefficients (of every update) with three decimals."""
    rng = np.random.default_rng(seed)

    def some(*shape: int) -> Any:
        return np.round(rng.standard_normal(shape), 3)

    return {
        "x": some(STEPS, BATCH, INPUTS),
        "y.w": some(CLASSES, INPUTS),
        "y.b": some(CLASSES),
        "coefficient": some(8, STEPS, BATCH, CLASSES),
    }


def expected(case: Case, given: dict[str, Any]) -> list[dict[str, Any]]:
    """After every update: the loss scale, and the parameters."""
    torch: Any = import_module("torch")

    x, coefficients = torch.tensor(given["x"]), torch.tensor(given["coefficient"])
    w, b = (torch.tensor(given[name], requires_grad=True) for name in ("y.w", "y.b"))
    name, settings = case.optimizer
    rate = {key: value for key, value in settings.items() if key != "decay_on"}
    spared: Settings = {"weight_decay": 0.0} if settings.get("decay_on") == "weights" else {}
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    optimizer = kind([{"params": [w]}, {"params": [b], **spared}], **rate)
    scale = case.scale or {"initial": 1.0, "growth": 2.0, "backoff": 0.5, "interval": 2000}
    scaler = torch.amp.GradScaler(
        "cpu",
        init_scale=scale["initial"],
        growth_factor=scale["growth"],
        backoff_factor=scale["backoff"],
        growth_interval=scale["interval"],
        enabled=case.scale is not None,
    )
    found: list[dict[str, Any]] = []
    for update in range(case.updates):
        optimizer.zero_grad()
        coefficient = coefficients[update].clone()
        if update in case.bad:
            coefficient[0, 0, 0] = case.bad[update]
        scaler.scale((coefficient * torch.nn.functional.linear(x, w, b)).sum()).backward()
        scaler.unscale_(optimizer)
        if case.clip is not None and case.clip[0] == "norm":
            torch.nn.utils.clip_grad_norm_([w, b], case.clip[1])
        if case.clip is not None and case.clip[0] == "value":
            torch.nn.utils.clip_grad_value_([w, b], case.clip[1])
        scaler.step(optimizer)
        scaler.update()
        parameters = {"y.w": w.detach().numpy().tolist(), "y.b": b.detach().numpy().tolist()}
        found.append({"scale": scaler.get_scale(), **parameters})
    return found


def main() -> None:
    """Write the references anew."""
    records: dict[str, Any] = {}
    for seed, (name, case) in enumerate(CASES.items()):
        given = draw(seed)
        records[name] = {
            "train": train_section(case),
            "bad": {str(update): str(value) for update, value in case.bad.items()},
            "given": {key: value.tolist() for key, value in given.items()},
            "expected": expected(case, given),
        }
    lines = [f"{json.dumps(name)}: {json.dumps(record, separators=(',', ':'))}" for name, record in records.items()]
    REFERENCES.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    print(f"{REFERENCES}: {len(records)} cases, {REFERENCES.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
