"""From the training graph to a schedule: every statement of every node becomes a stage, in the order of data."""

from __future__ import annotations

from dataclasses import dataclass

from ...isa.target import Target
from ...source import NOWHERE, Fault, Faults, SourceError, TargetError
from ..ir.graph import Node, Procedure, Training
from ..ir.schedule import Schedule, Stage, accesses
from ..ir.types import Type
from ..ops.op import alias_of, lower
from .build_stage import build_stage
from .mapping import Request, pin_problem
from .pins import Pin, combined


@dataclass(frozen=True)
class MappingOptions:
    """What bears on the mapping: the machine, cores in use, the dataflow asked for (or ``auto``), and pins."""

    target: Target
    cores: int
    dataflow: str = "auto"
    pins: tuple[Pin, ...] = ()


def aliases_of(training: Training) -> dict[str, str]:
    """Values that are other values under another type (a flattened image), by the name of what lies in memory."""
    home: dict[str, str] = {}
    for procedure in training.procedures:
        for node in procedure.nodes:
            operand = alias_of(node)
            if operand is not None:
                source = node.operands[operand]
                home[node.results[0]] = home.get(source, source)
    return home


def build_schedule(training: Training, options: MappingOptions) -> Schedule:
    """Every stage of every entry; all that does not fit is told together."""
    aliases = aliases_of(training)
    entries: dict[str, tuple[Stage, ...]] = {}
    touched: dict[str, Type] = {}
    pinned: set[str] = set()
    refusals: dict[str, Fault | None] = {}
    with Faults(TargetError) as faults:
        for procedure in training.procedures:
            types = training.values(procedure)
            stages: list[Stage] = []
            for region in procedure.regions:
                for node in region.nodes:
                    if alias_of(node) is not None:
                        continue
                    pin = combined(options.pins, node.layer, node.phase)
                    pinned.update(p.text for p in options.pins if p.matches(node.layer, node.phase))
                    try:
                        stages += _stages(training, node, region.sweep, types, options, pin, refusals)
                    except TargetError as error:
                        faults.extend(error.faults)
            entries[procedure.name] = tuple(stages)
            for stage in stages:
                for _, access in accesses(stage.statement):
                    name = aliases.get(access.value, access.value)
                    touched.setdefault(name, types[name])
    _check_pins(options.pins, pinned, training, [fault for fault in refusals.values() if fault is not None])
    return Schedule(training.name, entries, touched)


def _stages(
    training: Training,
    node: Node,
    sweep: str,
    types: dict[str, Type],
    options: MappingOptions,
    pin: Pin,
    refusals: dict[str, Fault | None],
) -> list[Stage]:
    statements = lower(node, types, training.steps, training.batch, sweep)  # type: ignore[arg-type]
    stages: list[Stage] = []
    for number, statement in enumerate(statements):
        name = node.results[0] or next(result for result in node.results if result)
        if len(statements) > 1:
            name = f"{name}#{number}"
        request = Request(
            name,
            node.layer or name,
            node.phase or "FP",
            statement,
            types,
            options.target,
            options.cores,
            training.steps,
            training.batch,
            options.dataflow,
            pin,
            node.place,
        )
        problem = pin_problem(request)
        if problem is None:
            refusals[f"{request.layer}.{request.phase}"] = None
        else:
            refusals.setdefault(f"{request.layer}.{request.phase}", Fault(node.place, problem))
        stages.append(build_stage(request, node.op))
    return stages


def _check_pins(pins: tuple[Pin, ...], used: set[str], training: Training, refused: list[Fault]) -> None:
    """SourceError for pins that speak of no stage, and for those that no stage of their layer and phase can follow."""
    stages = [node for procedure in training.procedures for node in nodes_of(procedure) if node.layer]
    layers = sorted({f"{node.layer}.{node.phase.lower()}" for node in stages})
    with Faults(SourceError) as faults:
        faults.extend(refused)
        for pin in pins:
            if pin.text not in used:
                faults.add(NOWHERE, f"--pin {pin.text}: no stage matches; there are {', '.join(layers)}")


def nodes_of(procedure: Procedure) -> list[Node]:
    """Nodes of a procedure that become stages."""
    return [node for node in procedure.nodes if alias_of(node) is None]
