"""The tape as people read it: a line for each value that the way back finds again, and what else could be kept.

What each time step carries to the next is no tape, and stands in a table of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..compiler.cost.carried import NEXT, NEXT_WINDOW, Carried
from ..compiler.cost.tape import Kept
from ..source import NOWHERE
from .tables import bytes_text


def tape_text(tape: Sequence[Kept], network: str, carried: Sequence[Carried] = ()) -> str:
    """The table, its total, and for each value why it is kept and the alternatives; then what is *carried*."""
    total = sum(kept.bytes for kept in tape)
    rows = [("layer", "value", "stored", "bits", "bytes", "read by")]
    rows += [
        (kept.layer, kept.value, _stored(kept), str(kept.bits), bytes_text(kept.bytes), ", ".join(kept.readers))
        for kept in tape
    ]
    rows.append(("all", "", "", "", bytes_text(total), ""))
    anew: list[str] = []
    for room in sorted({kept.room for kept in tape if kept.room}):
        size = sum(kept.bytes for kept in tape if kept.room == room)
        of = "one time step, written anew in each" if room == 1 else f"{room} time steps, written anew in each window"
        anew.append(f"; {size} of them are the room of {of}")
    told = f"{total} bytes, written once and read by the way back{''.join(anew)}"
    lines = [f"tape of a training step of {network}: {told}"]
    for number, line in enumerate(_lines(rows)):
        lines.append(line)
        if 0 < number <= len(tape):
            lines += [f"      {reason}" for reason in _reasons(tape[number - 1])]
    return "\n".join([*lines, *_carried_lines(carried)])


def _carried_lines(carried: Sequence[Carried]) -> Iterator[str]:
    """The table of carried state, where there is any."""
    if not carried:
        return
    total = sum(state.bytes for state in carried)
    often = ("time step", NEXT), ("window", NEXT_WINDOW)
    each = " or ".join(word for word, reader in often if any(reader in state.readers for state in carried))
    yield f"carried state: {total} bytes, written anew in each {each} and no part of the tape"
    rows = [("layer", "value", "stored", "bits", "bytes", "read by")]
    rows += [
        (
            state.layer,
            state.value,
            str(state.type),
            str(state.type.kind.bits),
            bytes_text(state.bytes),
            ", ".join(state.readers),
        )
        for state in carried
    ]
    yield from _lines([*rows, ("all", "", "", "", bytes_text(total), "")])


def _lines(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Rows as lines, their cells below each other; bits and bytes to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [
            cell.rjust(width) if column in (3, 4) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  " + "  ".join(cells).rstrip()


def tape_json(tape: Sequence[Kept], carried: Sequence[Carried] = ()) -> dict[str, Any]:
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
                "room": kept.room or None,
                "readers": list(kept.readers),
                "reason": kept.reason,
                "alternatives": [
                    {"what": other.what, "bytes": other.bytes, "why": other.why} for other in kept.alternatives
                ],
                "place": None if kept.place == NOWHERE else str(kept.place),
            }
            for kept in tape
        ],
        "carried": {
            "bytes": sum(state.bytes for state in carried),
            "values": [
                {
                    "value": state.value,
                    "layer": state.layer,
                    "type": str(state.type),
                    "bits": state.type.kind.bits,
                    "bytes": state.bytes,
                    "readers": list(state.readers),
                }
                for state in carried
            ],
        },
    }


def _stored(kept: Kept) -> str:
    """The type, and for how many steps there is room where others take their place."""
    if not kept.room:
        return str(kept.type)
    return f"{kept.type}, one step" if kept.momentary else f"{kept.type}, {kept.room} steps"


def _reasons(kept: Kept) -> list[str]:
    lines = [f"kept: {kept.reason}"]
    for other in kept.alternatives:
        size = "not exact" if other.bytes is None else bytes_text(other.bytes)
        lines.append(f"else: {other.what}, {size}{': ' if other.why else ''}{other.why}")
    return lines
