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


_SCALES = (1.0, 3.0, 10.0)
"""How large the random input is made until every neuron fires: zeros that are compared with zeros tell nothing."""
_FEW = 0.01


@dataclass(frozen=True)
class Proof:
    """*compared* elements of the result, of which *different* differ, the first of them in time *step* (from 1).

    *nonzero* of them are not zero, and the neurons that are *silent* never fired.  *each_step* says that the result was
    compared in every step, and not its mean or sum over time alone; *by* is what it was compared with.
    """

    samples: int
    steps: int
    compared: int
    different: int
    step: int | None = None
    nonzero: int = 0
    silent: tuple[str, ...] = ()
    each_step: bool = True
    by: str = "the file itself"

    def __str__(self) -> str:
        where = f"in {self.steps} steps" if self.each_step else f"for all {self.steps} steps together"
        what = f"{self.compared:,} elements of the result {where}, on {self.samples} random samples"
        if not self.different:
            told = f"{self.by} gives the same {what}"
        else:
            first = f"; the first in step {self.step}" if self.step is not None else ""
            told = f"{self.by} gives {self.different:,} others among {what}{first}"
        if not self.nonzero:
            return f"{told}; warning: all are zero, for nothing fired: the comparison tells nothing"
        if self.nonzero < _FEW * self.compared:
            told += f"; warning: only {self.nonzero:,} are not zero"
        if self.silent:
            told += f"; warning: {', '.join(self.silent)} never fired, of which the comparison tells little"
        return told


def prove(imported: Imported) -> Proof | None:
    """The comparison in float64 with the file in its own float32; None where the file cannot be run.

    `NotRunnable` where what executes the file refuses it.

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
    neurons = [node.results[0] for node in network.nodes if "surrogate" in node.settings]
    neurons = [name for name in neurons if name in made]

    def run(x: Any) -> list[str]:
        """The neurons that are silent for the input *x*."""
        oracle.write(port.name, x.astype(np.float64))
        oracle.run("infer", arguments)
        return [name for name in neurons if not oracle.read(name).any()]

    rng = np.random.default_rng(0)
    shape = (*port.type.lead(network.steps, batch), *port.type.shape)
    trials = [rng.random(shape, np.float32) for _ in range(TRIALS)]
    scale = next((scale for scale in _SCALES if not any(run(np.float32(scale) * x) for x in trials)), _SCALES[-1])
    compared = different = nonzero = 0
    first: int | None = None
    silent, each_step = set(neurons), True
    for x in trials:
        x = np.float32(scale) * x
        silent &= set(run(x))
        ours = oracle.read(result)
        theirs = np.asarray(imported.run.compute(x), np.float64)
        if theirs.shape[1:] == ours.shape:  # the same in every step, once nothing is dropped
            ours = np.broadcast_to(ours, theirs.shape)
        if theirs.shape == ours.shape[1:]:
            ours, each_step = _over_time(ours, theirs), False
        elif theirs.shape != ours.shape:
            theirs = np.broadcast_to(np.nan, ours.shape)
        near = np.abs(ours - theirs) <= _TOLERANCE * (1 + np.abs(theirs))
        compared += near.size
        different += int((~near).sum())
        nonzero += int(np.count_nonzero(theirs))
        if first is None and each_step and not near.all():
            first = int(np.argwhere(~near)[0][0]) + 1
    told = tuple(name for name in neurons if name in silent)
    return Proof(TRIALS * batch, network.steps, compared, different, first, nonzero, told, each_step)


def _over_time(ours: Any, theirs: Any) -> Any:
    """The mean or the sum over time of *ours*, whichever is nearer to *theirs*."""
    return min((ours.mean(0), ours.sum(0)), key=lambda made: float(np.abs(made - theirs).max()))
