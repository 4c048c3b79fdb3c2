"""Tell everything that would stop or change a model, without compiling it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from ._options import compiled, compiling, json_option, model_argument, rate
from ._output import Output, check_writable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..compiler.frontends.frontend import Imported, Note
    from ..compiler.pipeline import Compilation
    from ..source import Fault

UNUSABLE, REMARKS = 1, 3
HEADS = {
    "repair": "repaired",
    "recovered": "recovered",
    "assumption": "assumed",
    "warning": "warnings",
}


@click.command()
@model_argument
@compiling
@rate
@click.option("--fit", is_flag=True, help="See, too, whether all layers fit the machine; takes as long as compiling.")
@click.option("--prove/--no-prove", default=True, help="Run the file itself beside what was read, where that can be.")
@json_option
def command(model: str, fit: bool, prove: bool, json_to: str | None, **chosen: Any) -> None:
    """Tell all that is wrong with MODEL, and what was repaired, recovered or assumed to read it.

    Read are .snn, and files of other tools. Exit status 0: clean; 3: it can be used, with repairs or warnings; 1: it
    cannot; 2: wrong usage.

    \b
    Example:
        snnc check network.onnx --surrogate 'atan(alpha=2)'
    """
    check_writable([json_to])
    output = Output(json_to)
    compilation, faults = _tried(model, chosen, fit)
    if compilation is None or faults:
        for fault in faults:
            output.say(str(fault))
        output.value({"model": model, "usable": False, "faults": [_fault(fault) for fault in faults]})
        sys.exit(UNUSABLE)
    proof = _proof(compilation.imported) if prove else None
    notes = (*compilation.imported.notes, *compilation.doubts)
    _show(output, compilation, notes, proof)
    output.value(_facts(model, compilation, notes, proof))
    if any(note.kind in ("repair", "warning") for note in notes) or (proof and proof["different"]):
        sys.exit(REMARKS)


def _tried(model: str, chosen: dict[str, Any], fit: bool) -> tuple[Compilation | None, list[Fault]]:
    """The compilation, with all that would stop it: in model and machine first, then in training one on the other."""
    from ..source import SnncError

    found: list[Fault] = []
    try:
        compilation = compiled(model, chosen)
    except SnncError as error:  # a train section, which is read at once
        return None, list(error.faults)
    for stages in (("imported", "target"), ("training",), ("schedule",) if fit else ()):
        for stage in stages:
            try:
                getattr(compilation, stage)
            except SnncError as error:
                found += error.faults
        if found:
            break
    return compilation, found


def _proof(imported: Imported) -> dict[str, Any] | None:
    """The comparison with the file itself, or why there is none; None for what cannot be run at all."""
    from dataclasses import asdict

    from ..compiler.frontends.frontend import NotRunnable
    from ..compiler.proof import prove

    if imported.unlike is not None:
        return {"different": 0, "not_run": f"the file {imported.unlike}"}
    try:
        found = prove(imported)
    except NotRunnable as reason:
        return {"different": 0, "not_run": f"ONNX's own reference does not run the file: {reason}"}
    return None if found is None else {**asdict(found), "text": str(found)}


def _show(output: Output, compilation: Compilation, told: Sequence[Note], proof: dict[str, Any] | None) -> None:
    imported = compilation.imported
    network = imported.network
    layers = [node.op for node in network.nodes if node.op != "parameter"]
    ports = ", ".join(f"{port.name}: {port.type}" for port in network.ports)
    count = sum(node.types[0].elements for node in network.nodes if node.op == "parameter")
    output.say(f"{network.name}({ports}), {network.steps} time steps, {len(layers)} layers, {count:,} parameters")
    notes: dict[str, list[Note]] = {}
    for note in told:
        notes.setdefault(note.kind, []).append(note)
    for kind, head in HEADS.items():
        if kind in notes:
            output.say(f"\n{head}:")
            for note in notes[kind]:
                output.say(f"  {_shown(note)}")
    if proof is not None and "not_run" in proof:
        output.say(f"\nnot compared: {proof['not_run']}")
    elif proof is not None:
        output.say(f"\ncompared: {proof['text']}")
    elif imported.parameters:
        output.say("\nnot compared: nothing here executes such a file")


def _shown(note: Note) -> str:
    from ..source import NOWHERE

    return note.message if note.place == NOWHERE else f"{note.place}: {note.message}"


def _facts(model: str, compilation: Compilation, notes: Sequence[Note], proof: dict[str, Any] | None) -> dict[str, Any]:
    imported = compilation.imported
    return {
        "model": model,
        "usable": True,
        "steps": imported.network.steps,
        "layers": [node.op for node in imported.network.nodes if node.op != "parameter"],
        "notes": [{"kind": n.kind, "place": str(n.place), "message": n.message} for n in notes],
        "proof": proof,
    }


def _fault(fault: Fault) -> dict[str, Any]:
    return {"place": str(fault.place), "message": fault.message, "hints": list(fault.hints)}
