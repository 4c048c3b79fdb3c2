"""The comparison with a GPU as a picture: DRAM bytes of the chip, and of each program for the GPU, a bar each."""

from __future__ import annotations

from typing import Any

from .drawing import COLOURS, PLAIN, drawing
from .gpu_comparison import MODEL, GpuComparison

MEBI = 2**20
INCHES = (9.0, 4.5)


def gpu_figure(comparison: GpuComparison) -> Any:
    """What the dead lines of a cache cost stands on top of what is moved where they vanish."""
    made = drawing().Figure(figsize=INCHES, layout="constrained")
    made.suptitle(comparison.title)
    axes = made.subplots()
    axes.bar([f"{comparison.chip},\n{comparison.basis}"], [comparison.moved / MEBI], color=COLOURS["WG"], width=0.6)
    names = [f"GPU {each.variant.name},\n{MODEL}" for each in comparison.models]
    least = [each.vanishing / MEBI for each in comparison.models]
    more = [(each.written_back - each.vanishing) / MEBI for each in comparison.models]
    axes.bar(names, least, color=PLAIN, width=0.6, label=f"dead values vanish from the cache, {MODEL}")
    axes.bar(names, more, bottom=least, color="#c7c7c7", width=0.6, label=f"they are written back, {MODEL}")
    axes.set_ylabel("MiB")
    axes.legend(frameon=False)
    return made
