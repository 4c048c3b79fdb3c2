"""Mappings side by side: one training step of a network under each, beside the floor and the bound of its operators.

Bytes and cycles are *predicted*; where there are data, bytes are *counted*, too, and cycles *modelled* by the replay.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..source import Fault
from .json_report import SCHEMA_VERSION, Run, plain, versions
from .tables import MEANING, PHASES, bytes_text, count_text

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Predicted:
    """What a training step moves: DRAM bytes by phase, its *floor* and the bound of its operators, and cycles."""

    phases: Mapping[str, float]
    floor: int
    layer: int
    cycles: float

    @property
    def dram(self) -> float:
        """All bytes."""
        return sum(self.phases.values())


@dataclass(frozen=True)
class Mapped:
    """A mapping: its *name*, what is different in it, and what came of it; *faults* where it cannot be."""

    name: str
    meaning: str
    cores: int
    predicted: Predicted | None = None
    run: Run | None = None
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True)
class MappingComparison:
    """All mappings of a network."""

    network: str
    target: str
    batch: int
    time_steps: int
    mappings: tuple[Mapped, ...]

    @property
    def title(self) -> str:
        """What is compared."""
        return f"{self.network}: one training step of {self.batch} samples, {self.time_steps} time steps, {self.target}"


def mapping_table(comparison: MappingComparison) -> Table:
    """A row a mapping."""
    from rich.table import Table

    table = Table(title=comparison.title, title_justify="left")
    table.add_column("mapping")
    table.add_column("cores", justify="right")
    for phase in PHASES:
        table.add_column(f"{phase}\npredicted", justify="right")
    for head in ("DRAM\npredicted", "of layer\nbound", "layer\nbound", "floor", "cycles\npredicted"):
        table.add_column(head, justify="right")
    counted = any(each.run is not None for each in comparison.mappings)
    if counted:
        table.add_column("DRAM\ncounted", justify="right")
        table.add_column("cycles\nmodelled", justify="right")
    for each in comparison.mappings:
        table.add_row(each.name, str(each.cores), *_cells(each), *(_run_cells(each) if counted else ()))
    return table


def _cells(each: Mapped) -> Sequence[str]:
    found = each.predicted
    if found is None:
        return ("", "", "", "", "refused", "", "", "", "")
    return (
        *(bytes_text(found.phases.get(phase, 0)) for phase in PHASES),
        bytes_text(found.dram),
        f"{found.dram / found.layer:.3f}",
        bytes_text(found.layer),
        bytes_text(found.floor),
        count_text(found.cycles),
    )


def _run_cells(each: Mapped) -> Sequence[str]:
    run = each.run
    if run is None or run.counted_step is None:
        return "", ""
    return bytes_text(run.counted_step.total.dram), "" if run.cycles is None else count_text(run.cycles)


def meanings_text(comparison: MappingComparison) -> str:
    """What each mapping is, and why one cannot be."""
    width = max(len(each.name) for each in comparison.mappings)
    lines = [f"{each.name:{width}}  {each.meaning}" for each in comparison.mappings]
    for each in comparison.mappings:
        for fault in each.faults:
            lines += [f"{each.name} refused: {fault.message}", *(f"  try: {hint}" for hint in fault.hints)]
    return "\n".join(lines)


def mapping_report(comparison: MappingComparison) -> dict[str, Any]:
    """The same as plain JSON values."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "compare",
        "network": comparison.network,
        "target": comparison.target,
        "batch": comparison.batch,
        "time_steps": comparison.time_steps,
        "mappings": [_mapped_report(each) for each in comparison.mappings],
        "versions": versions(),
    }


def _mapped_report(each: Mapped) -> dict[str, Any]:
    found, run = each.predicted, each.run
    counted = None if run is None or run.counted_step is None else run.counted_step
    return {
        "mapping": each.name,
        "meaning": each.meaning,
        "cores": each.cores,
        "faults": [{"message": fault.message, "hints": list(fault.hints)} for fault in each.faults],
        "predicted": None
        if found is None
        else {"dram": plain({**found.phases, "total": found.dram}), "cycles": found.cycles},
        "bound": None if found is None else {"floor": found.floor, "layer": found.layer},
        "counted": None if counted is None else {"dram": plain(counted.to_json()["dram"])},
        "modelled": None if run is None or run.cycles is None else {"cycles": run.cycles},
    }


def picture_title(phase: str) -> str:
    """What a part of a bar is."""
    return f"{phase} {MEANING[phase]}"
