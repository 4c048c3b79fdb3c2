"""The parts of a program: its sizes, streams, DRAM map with a symbol a tensor, arguments and element programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ..isa.chip import named
from ..isa.instruction import WORD_BYTES
from ..isa.program import Entry, Program
from .json_report import plain, program_facts


def parts(program: Program) -> dict[str, Any]:
    """The parts as plain JSON values."""
    return {
        "network": program.network,
        "target": program.target,
        "cores": program.cores,
        "contexts": program.contexts,
        "batch": program.batch,
        "time_steps": program.steps,
        "graph_hash": program.graph_hash,
        "program": program_facts(program),
        "dram_bytes": program.dram_bytes,
        "element_programs": len(program.elements),
        "settings": plain(program.settings),
        "arguments": [{"name": each.name, "kind": each.kind} for each in program.arguments],
        "entries": {entry.name: _entry(entry, program.cores) for entry in program.entries},
        "symbols": [
            {
                "name": symbol.name,
                "role": symbol.role,
                "layer": symbol.layer,
                "format": symbol.format,
                "shape": list(symbol.shape),
                "steps": symbol.steps,
                "samples": symbol.samples,
                "address": symbol.address,
                "bytes": symbol.bytes,
                "codec": symbol.codec,
                "blocks": list(symbol.blocks),
            }
            for symbol in program.symbols
        ],
        "predicted": plain(program.predicted) | _predicted_step(program),
        "bound": plain(program.bound) | _bound_step(program),
    }


def _predicted_step(program: Program) -> dict[str, Any]:
    """DRAM bytes of one training step: in all, by phase and by operator."""
    step = program.predicted.get("train_step")
    if step is None:
        return {}
    phases = {phase: _moved(amounts["dram"]) for phase, amounts in step["by_phase"].items()}
    return {"dram": _moved(step["dram"]), "by_phase": phases, "by_operator": dict(step["by_stage"])}


def _moved(dram: Mapping[str, float]) -> dict[str, float]:
    return {way: dram[way] for way in ("read", "write", "total")}


def _bound_step(program: Program) -> dict[str, Any]:
    """What one training step moves at least; the updates of parameters and optimizer words are a phase, ``UP``."""
    step = program.bound.get("train_step")
    if step is None:
        return {}
    phases: Counter[str] = Counter()
    for operator, least in step["by_stage"].items():
        phases[operator.partition(" ")[0]] += least
    return {"dram": dict(step["dram"]), "by_phase": dict(phases), "by_operator": dict(step["by_stage"])}


def _entry(entry: Entry, cores: int) -> dict[str, Any]:
    return {
        "arguments": list(entry.arguments),
        "inputs": list(entry.inputs),
        "results": list(entry.results),
        "streams": [
            {
                "core": stream.core % cores,
                "context": stream.core // cores,
                "unit": stream.unit,
                "instructions": len(stream.instructions),
                "bytes": len(stream.instructions) * WORD_BYTES,
                "mnemonics": dict(Counter(each.mnemonic for each in stream.instructions).most_common()),
            }
            for stream in entry.streams
        ],
    }


def parts_text(program: Program) -> str:
    """The parts for people."""
    return "\n".join(_lines(program))


def _lines(program: Program) -> Iterator[str]:
    facts = program_facts(program)
    contexts = f", {program.contexts} contexts of each" if program.contexts > 1 else ""
    yield f"program {program.network} for {program.cores} cores of {program.target}{contexts}"
    yield f"  {program.steps} time steps, batch {program.batch}"
    yield f"  graph {program.graph_hash[:12]}, made by snnc {program.version}"
    yield f"  {facts['instructions']} instructions, {facts['bytes']} bytes, sha256 {facts['sha256']}"
    yield f"  {len(program.elements)} element programs, {program.dram_bytes} bytes of DRAM"
    for entry in program.entries:
        yield ""
        yield f"entry {entry.name}"
        yield f"  arguments {_names(entry.arguments)}; reads {_names(entry.inputs)}; answers {_names(entry.results)}"
        yield from (f"  {line}" for line in _streams(entry, program.cores))
    yield ""
    yield "DRAM map"
    width = max((len(symbol.name) for symbol in program.symbols), default=0)
    for symbol in sorted(program.symbols, key=lambda each: each.address):
        lead = [letter for letter, extent in (("t", symbol.steps), ("n", symbol.samples)) if extent]
        type_ = f"{symbol.format}[{', '.join([*lead, *map(str, symbol.shape)])}]"
        blocks = f"  {symbol.codec} in {'x'.join(map(str, symbol.blocks))}" if symbol.blocks else ""
        yield f"  {symbol.address:#010x}  {symbol.bytes:>10}  {symbol.name:{width}}  {symbol.role:10} {type_}{blocks}"


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"


def _streams(entry: Entry, of: int) -> Iterator[str]:
    """Instructions by unit (columns) and core (rows)."""
    units = list(dict.fromkeys(stream.unit for stream in entry.streams))
    cores = sorted({stream.core for stream in entry.streams})
    counts = {(stream.core, stream.unit): len(stream.instructions) for stream in entry.streams}
    width = max((len(named(core, of)) for core in cores), default=0)
    width = max(width, 4)
    yield f"{'core':{width}}  " + "  ".join(f"{unit:>7}" for unit in units)
    for core in cores:
        yield f"{named(core, of):>{width}}  " + "  ".join(f"{counts.get((core, unit), 0):>7}" for unit in units)
