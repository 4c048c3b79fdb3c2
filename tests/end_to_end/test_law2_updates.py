"""Law 2 for the end of a training step: scaled, skipped, clipped and decayed as PyTorch's own parts do it.

The graph runs in float64 under the host's rule for the scale; `golden/make_update_references.py` made the references.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from snnc.compiler.evaluate import Numerics, Oracle
from snnc.compiler.frontends import snn
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.compiler.pipeline import host_settings
from snnc.runtime.checkpoint import Progress
from snnc.runtime.settings import Settings

REFERENCES = json.loads(
    (Path(__file__).parent.parent / "golden" / "references" / "updates.json").read_text(encoding="utf-8")
)


def oracle_of(record: dict[str, Any]) -> tuple[Oracle, Settings]:
    network = snn.read(
        f"network net(x: f16[t, 4]) steps 2 {{ y = linear(x, out=3); return y }} train {{ {record['train']} }}"
    )
    oracle = Oracle(build_training(network, TrainingOptions.resolve(network)), Numerics("f64"))
    for name in ("y.w", "y.b"):
        oracle.write(name, record["given"][name])
        oracle.write(f"{name}.master", record["given"][name])
    oracle.write("x", record["given"]["x"])
    return oracle, Settings.of(host_settings(oracle.training.settings))


@pytest.mark.parametrize("name", REFERENCES)
def test_updates_are_those_of_pytorch(name: str) -> None:
    record = REFERENCES[name]
    oracle, settings = oracle_of(record)
    scale, updates = settings.scale, 0
    for number, expected in enumerate(record["expected"]):
        coefficient = np.array(record["given"]["coefficient"][number])
        if str(number) in record["bad"]:
            coefficient[0, 0, 0] = float(record["bad"][str(number)])
        oracle.write("coefficient", coefficient)
        first, second = settings.corrections(updates)
        given = {"valid": 2, "learning_rate": settings.learning_rate, "loss_scale": scale.value, "seed": 0}
        given |= {"step": updates, "correction1": first, "correction2": second}
        oracle.run("train_step", given if settings.clip is None else given | {"clip": settings.clip})
        overflow = settings.scaling is not None and bool(oracle.value("overflow"))
        assert overflow == (str(number) in record["bad"])
        if settings.scaling is not None:
            scale = settings.scaling.after(scale, overflow)
        updates += not overflow
        assert scale.value == expected["scale"]
        for parameter in ("y.w", "y.b"):
            for copy in (parameter, f"{parameter}.master"):
                np.testing.assert_allclose(oracle.read(copy), expected[parameter], rtol=1e-9, atol=1e-9, err_msg=copy)


def test_every_way_to_clip_and_to_decay_has_a_reference() -> None:
    from snnc.compiler.ops.optimizers import OPTIMIZERS
    from snnc.compiler.passes.training_options import CLIPS

    text = "\n".join(record["train"] for record in REFERENCES.values())
    assert all(f"clip = {name}(" in text for name in CLIPS)
    assert all(f"optimizer = {name}(" in text for name in OPTIMIZERS)
    assert "decay_on=weights" in text and "loss_scale = dynamic" in text


def test_counters_of_a_run_leave_skipped_steps_out() -> None:
    assert Progress(step=7, skipped=3).updates == 4
