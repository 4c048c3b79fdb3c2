"""References that lie in ``tests/golden/references``, the scripts that make them, and an oracle with what they give."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from snnc.compiler.evaluate import Accumulators, Numerics, Oracle
from snnc.compiler.frontends import snn
from snnc.compiler.ir.graph import Training
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.training_options import TrainingOptions

GOLDEN = Path(__file__).parent.parent / "golden"
ARGUMENTS: dict[str, float] = {
    "learning_rate": 0.1, "loss_scale": 1.0, "seed": 0, "step": 0, "correction1": 1.0, "correction2": 1.0,
}  # fmt: skip


@cache
def records(name: str) -> dict[str, Any]:
    """The records of a file of references, by their names."""
    return json.loads((GOLDEN / "references" / f"{name}.json").read_text("utf-8"))


def script(name: str) -> Any:
    """The module of a script of ``tests/golden``."""
    spec = importlib.util.spec_from_file_location(name, GOLDEN / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def given_to(training: Training, given: Mapping[str, Any], numerics: Accumulators = "f64") -> Oracle:
    """The oracle of a training graph with what is given of its variables, masters like their parameters."""
    oracle = Oracle(training, Numerics(numerics))
    for name, value in given.items():
        for each in {name, f"{name}.master"} & training.types.keys():
            oracle.write(each, np.asarray(value, np.float64))
    return oracle


def trained(
    source: str, given: Mapping[str, Any], numerics: Accumulators = "f64", entry: str = "train_step", **command: Any
) -> Oracle:
    """The oracle of a network after one training step, or another *entry*."""
    network = snn.read(source)
    options = TrainingOptions.resolve(network, command)
    oracle = given_to(build_training(network, options), given, numerics)
    oracle.run(entry, ARGUMENTS | {"valid": options.batch})
    return oracle
