"""The tape as people read it: a line for each value that the way back finds again, and what else could be kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..compiler.cost.tape import Kept
from ..source import NOWHERE
from .tables import bytes_text


def tape_text(tape: Sequence[Kept], network: str) -> str:
    """The table, its total, and for each value why it is kept and the alternatives."""
    total = sum(kept.bytes for kept in tape)
    rows = [("layer", "value", "stored", "bits", "bytes", "read by")]
    rows += [
        (kept.layer, kept.value, _stored(kept), str(kept.bits), bytes_text(kept.bytes), ", ".join(kept.readers))
        for kept in tape
    ]
    rows.append(("all", "", "", "", bytes_text(total), ""))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [f"tape of a training step of {network}: {total} bytes, written once and read by the way back"]
    for number, row in enumerate(rows):
        cells = [
            cell.rjust(width) if column in (3, 4) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  " + "  ".join(cells).rstrip())
        if 0 < number <= len(tape):
            lines += [f"      {line}" for line in _reasons(tape[number - 1])]
    return "\n".join(lines)


def tape_json(tape: Sequence[Kept]) -> dict[str, Any]:
    """The same as plain JSON values."""
    return {
        "bytes": sum(kept.bytes for kept in tape),
        "values": [
            {
                "value": kept.value,
                "layer": kept.layer,
                "type": str(kept.type),
                "bits": kept.bits,
                "bytes": kept.bytes,
                "one_step": kept.momentary,
                "readers": list(kept.readers),
                "reason": kept.reason,
                "alternatives": [
                    {"what": other.what, "bytes": other.bytes, "why": other.why} for other in kept.alternatives
                ],
                "place": None if kept.place == NOWHERE else str(kept.place),
            }
            for kept in tape
        ],
    }


def _stored(kept: Kept) -> str:
    """The type, and whether there is room for one step of it."""
    return f"{kept.type}, one step" if kept.momentary else str(kept.type)


def _reasons(kept: Kept) -> list[str]:
    lines = [f"kept: {kept.reason}"]
    for other in kept.alternatives:
        size = "not exact" if other.bytes is None else bytes_text(other.bytes)
        lines.append(f"else: {other.what}, {size}{': ' if other.why else ''}{other.why}")
    return lines
