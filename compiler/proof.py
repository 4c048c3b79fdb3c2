"""Whether an imported network computes what its file does: both are run on the same random input and compared."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .evaluate import Numerics, Oracle
from .frontends.frontend import Imported
from .passes.differentiate import build_training
from .passes.training_options import TrainingOptions

TRIALS = 2
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Proof:
    """*compared* elements of the result, of which *different* differ, the first of them in time *step* (from 1)."""

    samples: int
    steps: int
    compared: int
    different: int
    step: int | None = None

    def __str__(self) -> str:
        what = f"{self.compared:,} elements of the result in {self.steps} steps, on {self.samples} random samples"
        if not self.different:
            return f"the file itself gives the same {what}"
        return f"the file itself gives {self.different:,} others among {what}; the first in step {self.step}"


def prove(imported: Imported) -> Proof | None:
    """The comparison in float64 with the file in its own float32; None where the file cannot be run.

    What runs it is not ours, and refuses in many ways what others can run.

    Spikes whose membrane lies within rounding of the threshold may differ honestly.
    """
    if imported.run is None:
        return None
    network = imported.network
    batch = imported.run.samples
    options = TrainingOptions.resolve(replace(network, train={}), {"batch": batch})
    oracle = Oracle(build_training(network, options), Numerics("f64"))
    arguments: dict[str, float] = {name: 0 if kind == "u32" else 1.0 for name, kind in oracle.training.arguments}
    arguments["valid"] = batch
    oracle.run("init", arguments)
    names = {variable.name for variable in oracle.training.variables}
    for name, value in imported.parameters.items():
        for each in {name, f"{name}.master"} & names:
            oracle.write(each, np.asarray(value, np.float64))
    (port,), (result, *_) = network.ports, network.results
    made = {name for node in oracle.training.procedure("infer").nodes for name in node.results}
    result = result if result in made else f"{result}.infer"  # of another type, behind a dropout
    rng = np.random.default_rng(0)
    compared = different = 0
    first: int | None = None
    for _ in range(TRIALS):
        x = rng.random((*port.type.lead(network.steps, batch), *port.type.shape), np.float32)
        oracle.write(port.name, x.astype(np.float64))
        oracle.run("infer", arguments)
        ours = oracle.read(result)
        try:
            computed = np.asarray(imported.run.compute(x), np.float64)
        except Exception:
            return None
        if computed.shape[1:] == ours.shape:  # the same in every step, once nothing is dropped
            ours = np.broadcast_to(ours, computed.shape)
        theirs = _as_sequence(computed, ours)
        near = np.abs(ours - theirs) <= _TOLERANCE * (1 + np.abs(theirs))
        compared += near.size
        different += int((~near).sum())
        if first is None and not near.all():
            first = int(np.argwhere(~near)[0][0]) + 1
    return Proof(TRIALS * batch, network.steps, compared, different, first)


def _as_sequence(theirs: Any, ours: Any) -> Any:
    """*theirs* in every step; where the file has only the mean or the sum over time, ours moved by its difference."""
    if theirs.shape == ours.shape:
        return theirs
    if theirs.shape != ours.shape[1:]:
        return np.broadcast_to(np.nan, ours.shape)
    gaps = [total - theirs for total in (ours.mean(0), ours.sum(0))]
    return ours - min(gaps, key=lambda gap: float(np.abs(gap).max()))
