"""The comparison of mappings as a picture: DRAM bytes by phase with floor and bound, and cycles, a bar a mapping."""

from __future__ import annotations

from typing import Any

from .drawing import COLOURS, PLAIN, ROOM_FOR_LEGEND, drawing
from .mapping_comparison import MappingComparison, Predicted, picture_title
from .tables import PHASES

INCHES = (11.0, 5.0)


def mapping_figure(comparison: MappingComparison) -> Any:
    """Bars of all mappings that can be."""
    made = drawing().Figure(figsize=INCHES, layout="constrained")
    made.suptitle(comparison.title)
    found: list[tuple[str, Predicted]] = [
        (each.name, each.predicted) for each in comparison.mappings if each.predicted is not None
    ]
    names = [name for name, _ in found]
    bytes_, cycles = made.subplots(1, 2)
    below = [0.0] * len(found)
    for phase in PHASES:
        heights = [each.phases.get(phase, 0) / 1024 for _, each in found]
        bytes_.bar(names, heights, bottom=below, label=picture_title(phase), color=COLOURS[phase], width=0.6)
        below = [base + height for base, height in zip(below, heights, strict=True)]
    for text, marker, values in (
        ("bound of the operators", "_", [each.layer / 1024 for _, each in found]),
        ("floor", "x", [each.floor / 1024 for _, each in found]),
    ):
        bytes_.plot(names, values, marker, label=text, color="black")
    bytes_.set_title("DRAM traffic of a training step, predicted")
    bytes_.set_ylabel("KiB")
    bytes_.set_ylim(0, ROOM_FOR_LEGEND * max(below, default=1))
    bytes_.legend(frameon=False, fontsize=7, ncols=2, loc="upper left")
    cycles.bar(names, [each.cycles / 1e3 for _, each in found], color=PLAIN, width=0.6)
    cycles.set_title("cycles of a training step, predicted")
    cycles.set_ylabel("thousands")
    for axes in (bytes_, cycles):
        axes.tick_params(axis="x", labelrotation=20)
    return made
