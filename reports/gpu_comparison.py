"""One training step on a chip, beside a model of the same step on a GPU: bytes of DRAM.

Those of the chip are *counted* where the step was run, and *predicted* where not; those of the GPU are a *model*.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..compiler.cost.gpu import Modelled
from .json_report import SCHEMA_VERSION, versions
from .tables import bytes_text

if TYPE_CHECKING:
    from rich.table import Table

MODEL = "model"
"""What every figure of a GPU is."""


DEAD_VANISH = "DRAM,\ndead vanish"
DEAD_WRITTEN = "DRAM, dead\nwritten back"


@dataclass(frozen=True)
class GpuComparison:
    """A training step of a network on a chip, in DRAM bytes *predicted* and, where it was run, *counted*; and all
    programs for a GPU with *cache_bytes* of L2."""

    network: str
    target: str
    cores: int
    batch: int
    time_steps: int
    predicted: int
    counted: int | None
    cache_bytes: int
    models: tuple[Modelled, ...]

    @property
    def basis(self) -> str:
        """Where the figure of the chip comes from."""
        return "predicted" if self.counted is None else "counted"

    @property
    def moved(self) -> int:
        """Bytes of the chip."""
        return self.predicted if self.counted is None else self.counted

    @property
    def chip(self) -> str:
        """The chip by name."""
        return f"snnc, {self.cores} core{'s' if self.cores > 1 else ''} of {self.target}"

    @property
    def title(self) -> str:
        """What is compared."""
        return f"{self.network}: DRAM bytes of one training step of {self.batch} samples, {self.time_steps} time steps"


def gpu_table(comparison: GpuComparison) -> Table:
    """A row the chip, and a row a program for the GPU, with what the chip moves for a byte of it."""
    from rich.table import Table

    table = Table(title=comparison.title, title_justify="left")
    table.add_column("")
    table.add_column("basis")
    for head in (DEAD_VANISH, "chip / GPU", DEAD_WRITTEN, "chip / GPU", "DRAM,\nno cache"):
        table.add_column(head, justify="right")
    moved = bytes_text(comparison.moved)
    table.add_row(comparison.chip, comparison.basis, moved, "", moved, "", "")
    table.add_section()
    for each in comparison.models:
        amounts = (each.vanishing, each.written_back)
        cells = [cell for amount in amounts for cell in (bytes_text(amount), f"{comparison.moved / amount:.2f}")]
        table.add_row(f"GPU, {each.variant.name}", MODEL, *cells, bytes_text(each.uncached))
    return table


def meanings_text(comparison: GpuComparison) -> str:
    """What the programs are, and what every figure of them is."""
    width = max(len(each.variant.name) for each in comparison.models)
    lines = [f"{each.variant.name:{width}}  {each.variant.meaning}" for each in comparison.models]
    cache = f"an L2 of {bytes_text(comparison.cache_bytes)} that forgets what was used longest ago"
    lines.append(f"figures of a GPU are a {MODEL}, and never measured: tensors of each operation through {cache}")
    return "\n".join(lines)


def gpu_report(comparison: GpuComparison) -> dict[str, Any]:
    """The same as plain JSON values."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "compare",
        "network": comparison.network,
        "target": comparison.target,
        "cores": comparison.cores,
        "batch": comparison.batch,
        "time_steps": comparison.time_steps,
        "predicted": {"dram": {"total": comparison.predicted}},
        "counted": None if comparison.counted is None else {"dram": {"total": comparison.counted}},
        "gpu": {
            "basis": MODEL,
            "cache_bytes": comparison.cache_bytes,
            "programs": [
                {
                    "program": each.variant.name,
                    "meaning": each.variant.meaning,
                    "activation_bytes": each.variant.width,
                    "kernels": each.kernels,
                    "dram": {
                        "dead_vanish": each.vanishing,
                        "dead_written_back": each.written_back,
                        "no_cache": each.uncached,
                    },
                }
                for each in comparison.models
            ],
        },
        "versions": versions(),
    }
