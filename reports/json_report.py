"""What a run says of itself as JSON: `docs/run.schema.json` has the shape, `docs/run-json.md` the meaning."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from math import isfinite
from typing import Any, cast

from .. import __version__
from ..isa.binary import fingerprint, to_bytes
from ..isa.program import Program
from ..isa.traffic import Traffic

SCHEMA_VERSION = 1
ENTRIES = ("init", "train_step", "infer")
"""The entries that the host calls, in the order in which a run does."""


@dataclass(frozen=True)
class Resolved:
    """A setting, its value, and where that came from: command line, model, default ..."""

    name: str
    value: Any
    origin: str


@dataclass(frozen=True)
class Run:
    """All that is reported of a run.  Accuracies are fractions; *loss* has one mean a training step.

    *counted* and *modelled* are of all that ran, *counted_step* and *modelled_step* of one training step; *cycles* and
    *utilisation* come from the replay of that step.  *calls* says how often each entry was called.  *skipped_steps*
    changed nothing, since a gradient was not finite; *loss_scale* is the one that a next step would have.  *labels* are
    the classes that outputs got after learning without any, and *labelled* the samples that tell.
    """

    command: str
    program: Program
    resolved: tuple[Resolved, ...]
    data: str
    loss: tuple[float, ...]
    train_accuracy: float | None
    test_accuracy: float | None
    test_loss: float | None
    steps: int
    seconds: float
    interrupted: bool
    counted: Traffic
    counted_step: Traffic | None = None
    modelled: Traffic | None = None
    modelled_step: Traffic | None = None
    cycles: int | None = None
    utilisation: Mapping[str, float] = field(default_factory=dict[str, float])
    spike_rates: Mapping[str, float] = field(default_factory=dict[str, float])
    calls: Mapping[str, int] = field(default_factory=dict[str, int])
    skipped_steps: int = 0
    loss_scale: float = 1.0
    labels: tuple[int, ...] = ()
    labelled: int = 0

    @property
    def predicted_run(self) -> dict[str, Any] | None:
        """The prediction for all calls of this run, as JSON; None where the program holds none."""
        parts = [
            _scaled(traffic, self.calls[entry])
            for entry, traffic in predicted_traffic(self.program).items()
            if self.calls.get(entry)
        ]
        return reduce(_added, parts) if parts else None


def predicted_traffic(program: Program) -> dict[str, dict[str, Any]]:
    """What the compiler predicted by entry, in the shape of `Traffic.to_json`."""
    found: dict[str, dict[str, Any]] = {}
    for entry, written in program.predicted.items():
        traffic = Traffic.from_rows(written).to_json() if "rows" in written else written
        found[entry] = _only_predicted(cast(Mapping[str, Any], plain(traffic)))
    return found


def _only_predicted(traffic: Mapping[str, Any]) -> dict[str, Any]:
    """Traffic with None for what the compiler does not predict: there a 0 would look like a prediction.

    What is skipped it predicts from densities alone, and then it is something.
    """
    shown = {key: part for key, part in traffic.items() if key != "by_stage"}
    for name in ("by_phase", "by_tensor", "by_codec"):
        if name in shown:
            shown[name] = {key: _only_predicted(inner) for key, inner in shown[name].items()}
    shown["fetch"] = None
    shown["host"] = dict.fromkeys(("read", "write", "total"))
    shown["work"] = {**shown["work"], "element": None, "skipped": shown["work"]["skipped"] or None}
    return shown


def _scaled(value: Any, factor: int) -> Any:
    """Every number times *factor*."""
    if isinstance(value, Mapping):
        return {key: _scaled(inner, factor) for key, inner in cast(Mapping[str, Any], value).items()}
    return None if value is None else value * factor


def _added(left: Any, right: Any) -> Any:
    """Number by number; what one of both lacks counts as zero."""
    if isinstance(left, Mapping):
        ours, theirs = cast(Mapping[str, Any], left), cast(Mapping[str, Any], right)
        names = [*ours, *(name for name in theirs if name not in ours)]
        return {
            n: _added(ours[n], theirs[n]) if n in ours and n in theirs else ours.get(n, theirs.get(n)) for n in names
        }
    return None if left is None or right is None else left + right


def program_facts(program: Program) -> dict[str, Any]:
    """Size and identity of a program."""
    return {
        "bytes": len(to_bytes(program)),
        "instructions": program.instruction_count,
        "sha256": fingerprint(program),
    }


def versions() -> dict[str, str]:
    """Versions of what made a result."""
    import numpy

    return {"snnc": __version__, "python": platform.python_version(), "numpy": numpy.__version__}


def run_report(run: Run) -> dict[str, Any]:
    """The run as plain JSON values that follow the schema."""
    program = run.program
    return {
        "schema_version": SCHEMA_VERSION,
        "command": run.command,
        "network": program.network,
        "target": program.target,
        "cores": program.cores,
        "batch": program.batch,
        "time_steps": program.steps,
        "data": run.data,
        "settings": {each.name: {"value": plain(each.value), "origin": each.origin} for each in run.resolved},
        "loss": [number if isfinite(number) else None for number in run.loss],
        "accuracy": {"train": run.train_accuracy, "test": run.test_accuracy},
        "labels": {"outputs": list(run.labels), "samples": run.labelled} if run.labels else None,
        "test_loss": run.test_loss if run.test_loss is not None and isfinite(run.test_loss) else None,
        "steps": run.steps,
        "skipped_steps": run.skipped_steps,
        "loss_scale": run.loss_scale,
        "seconds": run.seconds,
        "interrupted": run.interrupted,
        "counted": _both(run.counted_step, run.counted),
        "modelled": _both(run.modelled_step, run.modelled),
        "predicted": {"step": predicted_traffic(program).get("train_step"), "run": run.predicted_run},
        "bound": plain(program.bound),
        "cycles": run.cycles,
        "utilisation": dict(run.utilisation),
        "spike_rates": dict(run.spike_rates),
        "calls": dict(run.calls),
        "program": program_facts(program),
        "versions": versions(),
    }


def _both(step: Traffic | None, run: Traffic | None) -> dict[str, Any]:
    """Traffic of one training step and of the whole run; null where there is none."""
    return {
        "step": None if step is None else step.to_json(),
        "run": None if run is None else run.to_json(),
    }


def plain(value: Any) -> Any:
    """*value* with tuples as lists and mappings as objects, as JSON has it."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in cast(Mapping[str, Any], value).items()}
    if isinstance(value, (tuple, list)):
        return [plain(inner) for inner in cast(Sequence[Any], value)]
    return value
