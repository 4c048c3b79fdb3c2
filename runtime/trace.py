"""The timeline of a replay as Chrome trace JSON, for chrome://tracing and ui.perfetto.dev.

A process is a core, or a further context of one, a thread one of its units; a microsecond of the viewer is a cycle.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..isa.chip import named
from ..isa.files import write_whole
from ..isa.instruction import UNITS
from ..source import NOWHERE
from .recording import Record
from .replay import Timing


def trace(record: Record, timing: Timing) -> dict[str, Any]:
    """The trace as plain JSON values."""
    events: list[dict[str, Any]] = []
    for number in sorted({stream.core for stream in record.streams}):
        name = f"core {named(number, record.cores)}"
        events.append({"ph": "M", "name": "process_name", "pid": number, "args": {"name": name}})
    for stream in sorted(record.streams, key=lambda s: (s.core, UNITS.index(s.unit))):
        thread = {"ph": "M", "pid": stream.core, "tid": UNITS.index(stream.unit)}
        events.append({**thread, "name": "thread_name", "args": {"name": stream.unit}})
        events.append({**thread, "name": "thread_sort_index", "args": {"sort_index": UNITS.index(stream.unit)}})
    for span in timing.timeline:
        stream = record.streams[span.stream]
        deed = stream.deeds[span.deed]
        debug = stream.debug[deed.pc]
        facts: dict[str, Any] = {"instruction": deed.pc}
        if debug.phase:
            facts["phase"] = debug.phase
        if debug.place != NOWHERE:
            facts["place"] = str(debug.place)
        if deed.kind in ("dram", "send"):
            facts["bytes"] = deed.amount
        events.append(
            {
                "ph": "X",
                "name": f"{debug.node} {stream.names[deed.pc]}".strip(),
                "cat": debug.phase or stream.unit,
                "pid": stream.core,
                "tid": UNITS.index(stream.unit),
                "ts": span.start,
                "dur": span.end - span.start,
                "args": facts,
            }
        )
    return {
        "displayTimeUnit": "ns",
        "otherData": {"entry": record.entry, "cycles": timing.cycles},
        "traceEvents": events,
    }


def write_trace(record: Record, timing: Timing, path: str | Path) -> None:
    """Write the trace; DataError where that fails."""
    write_whole(Path(path), json.dumps(trace(record, timing), separators=(",", ":")).encode())
