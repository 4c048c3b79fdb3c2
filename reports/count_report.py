"""What a program counts without data, entry by entry: as a table, and as plain JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..isa.traffic import Traffic
from .json_report import SCHEMA_VERSION, program_facts, versions
from .tables import bytes_text, count_text

if TYPE_CHECKING:
    from rich.table import Table

    from ..isa.program import Program


@dataclass(frozen=True)
class CountedEntry:
    """One call of an entry: what was *counted*, what zeros decide and is *predicted*, the *cycles* of its replay."""

    name: str
    instructions: int
    counted: Traffic
    predicted: Traffic
    cycles: int


@dataclass(frozen=True)
class CountReport:
    """All entries of a program, its tensors as full as *density* says."""

    program: Program
    density: float | str
    entries: Sequence[CountedEntry]

    def compiled(self, entry: CountedEntry) -> float:
        """Bytes of DRAM that the compiler predicted for an entry."""
        return self.program.predicted[entry.name]["dram"]["total"]


def count_table(report: CountReport) -> Table:
    """A row an entry."""
    from rich.table import Table

    table = Table(title="one call of each entry, without data")
    table.add_column("entry")
    columns = (
        "instructions",
        "DRAM, counted",
        "blocks, predicted",
        "by the compiler",
        "network",
        "scratchpads",
        "cycles",
    )
    for name in columns:
        table.add_column(name, justify="right")
    for entry in report.entries:
        total = entry.counted.total
        table.add_row(
            entry.name,
            count_text(entry.instructions),
            bytes_text(total.dram),
            bytes_text(entry.predicted.total.dram),
            bytes_text(report.compiled(entry)),
            bytes_text(total.network),
            bytes_text(total.scratchpad_read + total.scratchpad_write),
            count_text(entry.cycles),
        )
    return table


def count_text_of(report: CountReport) -> str:
    """Whether what was counted is what the compiler predicted, and what zeros save."""
    lines: list[str] = []
    for entry in report.entries:
        moved, compiled, work = entry.counted.total.dram, report.compiled(entry), entry.predicted.total
        coded = work.dram
        if coded:
            told = f"{moved:.0f} bytes counted and {coded:.0f} predicted of blocks; the compiler says {compiled:.0f}"
        elif moved == compiled:
            told = f"{moved:.0f} bytes counted, as the compiler predicted"
        else:
            told = f"{moved:.0f} bytes counted; the compiler predicted {compiled:.0f}"
        lines.append(f"{entry.name:11} DRAM: {told}")
        done = work.gated + work.multiply
        if done:
            lines.append(
                f"{'':11} products: {count_text(done)} done, {count_text(work.skipped)} saved by zeros (predicted)"
            )
    return "\n".join(lines)


def count_json(report: CountReport) -> dict[str, Any]:
    """The same as plain JSON values."""
    program = report.program
    entries = {
        entry.name: {
            "instructions": entry.instructions,
            "counted": entry.counted.to_json(),
            "predicted": entry.predicted.to_json(),
            "compiler": {"dram": program.predicted[entry.name]["dram"]},
            "cycles": entry.cycles,
        }
        for entry in report.entries
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "run --count-only",
        "network": program.network,
        "target": program.target,
        "cores": program.cores,
        "batch": program.batch,
        "time_steps": program.steps,
        "density": report.density,
        "entries": entries,
        "program": program_facts(program),
        "versions": versions(),
    }
