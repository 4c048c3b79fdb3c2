"""From the training graph to a schedule: every statement of every node becomes a stage, in the order of data."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ...isa.target import Target
from ...source import Faults, TargetError
from ..cost.density import Densities
from ..cost.gating import gated
from ..cost.room import aliases_of, held
from ..cost.windows import statements_of, window_rooms
from ..ir.cycles import together
from ..ir.graph import Node, Training
from ..ir.overlap import Overlap
from ..ir.schedule import Schedule, Stage
from ..ir.statement import Elementwise
from ..ir.stored import Stored
from ..ir.types import Type
from ..ops.op import alias_of
from .arrange import PARTITIONS, Room
from .build_stage import build_stage
from .coding import Force
from .drawn import Taken, drawn_in, operands_of
from .fusion import fused
from .heard import Heard
from .mapping import Mapped, Mapper
from .objectives import OBJECTIVES
from .pins import Pin, combined
from .pipelined import ROOMS, with_rooms
from .request import Request
from .ways import Planned
from .weighed import weighed


@dataclass(frozen=True)
class MappingOptions:
    """What bears on the mapping: the machine, cores in use, the dataflow asked for (or ``auto``), pins; densities of
    values, and codecs that are asked for; whether stages may have epilogues, how they share the cores, what mappings
    are chosen by, when steps of time overlap, and whether engines leave out what is zero."""

    target: Target
    cores: int
    dataflow: str = "auto"
    pins: tuple[Pin, ...] = ()
    densities: Densities = field(default_factory=Densities)
    codecs: tuple[Force, ...] = ()
    fusion: bool = True
    partition: str = "chosen"
    objective: str = "dram"
    overlap: str = "auto"
    skipping: bool = True


def build_schedule(training: Training, options: MappingOptions) -> Schedule:
    """Every stage of every entry; all that does not fit is told together."""
    mapper = Mapper(OBJECTIVES[options.objective])
    if mapper.objective is not None:
        mapper.objective.check(options.target)

    def mapped(stored: Mapping[str, Stored]) -> Schedule:
        return _mapped_with(training, options, stored, mapper)

    def as_dense() -> Schedule:
        dense = _mapped_with(training, replace(options, densities=Densities()), {}, mapper)
        if not options.skipping:
            return dense
        known = options.target, options.densities
        entries = {name: tuple(gated(stage, *known) for stage in stages) for name, stages in dense.entries.items()}
        return replace(dense, entries=entries)

    return weighed(training, options.target, options.densities, options.codecs, mapped, as_dense)


def _mapped_with(training: Training, options: MappingOptions, stored: Mapping[str, Stored], mapper: Mapper) -> Schedule:
    """Every stage of every entry, where values lie in DRAM as *stored* says, all others as they are."""
    aliases, momentary, rooms = aliases_of(training), held(training), window_rooms(training)
    entries: dict[str, tuple[Stage, ...]] = {}
    overlaps: dict[str, tuple[Overlap, ...]] = {}
    touched: dict[str, Type] = {}
    heard = Heard(options.pins)
    with Faults(TargetError) as faults:
        for procedure in training.procedures:
            types = training.values(procedure)
            taken: list[Taken] = []
            cycles = 0
            for region in procedure.regions:
                for cluster in together(region):
                    cycles += len(cluster) > 1 and region.sweep != "chosen"
                    for node in cluster:
                        if alias_of(node) is not None:
                            continue
                        cycle = cycles if len(cluster) > 1 or region.sweep == "chosen" else 0
                        statements = statements_of(training, node, region, types, bool(cycle), momentary, rooms)
                        taken.append(Taken(node, region, statements, cycle))
            kept = {*training.types, *procedure.results, *aliases.values()}
            drawn = {value: (node, made) for value, node, made in drawn_in(taken, kept)}
            mapped: Sequence[Mapped] = []
            for each in taken:
                if each.node.results[0] in drawn:
                    continue
                pin = combined(options.pins, each.node.layer, each.node.phase)
                try:
                    mapped += [*_mapped(training, each, types, options, stored, pin, heard, rooms, drawn, mapper)]
                except TargetError as error:
                    faults.extend(error.faults)
            if options.fusion:
                mapped = _fused(mapped, {*training.types, *procedure.results}, aliases, mapper)
            planned = [Planned(each.request, build_stage(each), mapper) for each in mapped]
            room = Room(aliases, momentary)
            arranged = PARTITIONS[options.partition](planned, room, options.cores, options.overlap)
            entries[procedure.name], overlaps[procedure.name] = arranged.stages, arranged.overlaps
            used = {access.value for stage in entries[procedure.name] for _, access in stage.accesses}
            used = {aliases.get(value, value) for value in used}
            touched |= {
                name: type for name, type in types.items() if name in used
            }  # in an order that no mapping changes
    heard.check(training)
    handed = {name for found in overlaps.values() for overlap in found for name in overlap.handed}
    entries = {name: tuple(with_rooms(stage, handed, aliases) for stage in own) for name, own in entries.items()}
    rooms = dict.fromkeys(momentary, 1) | dict.fromkeys(handed, ROOMS) | rooms
    return Schedule(training.name, entries, touched, rooms, overlaps=overlaps)


def _fused(
    mapped: Sequence[Mapped], lasting: Collection[str], aliases: Mapping[str, str], mapper: Mapper
) -> Sequence[Mapped]:
    """The stages of an entry with epilogues: those that the objective finds one after the other, or those that bytes
    find, each mapped by the objective, where all of these together cost less.

    So nothing that is asked for costs more than what the fewest bytes have of it.
    """
    found = fused(mapped, lasting, aliases, mapper)
    if mapper.objective is None:
        return found
    by_bytes = Mapper()
    others = fused([by_bytes.choose(each.request) for each in mapped], lasting, aliases, by_bytes)
    remapped = [mapper.choose(_untold(each.request)) for each in others]
    return min((found, remapped), key=_total)


def _untold(request: Request) -> Request:
    """*request* without what those that have joined it save, which is told in bytes."""
    beside = tuple(replace(each, saves=0) for each in request.beside)
    return replace(request, beside=beside, epilogue=tuple(replace(each, saves=0) for each in request.epilogue))


def _total(mapped: Sequence[Mapped]) -> float:
    return math.fsum(each.explanation.cost for each in mapped)


def _mapped(
    training: Training,
    taken: Taken,
    types: dict[str, Type],
    options: MappingOptions,
    stored: Mapping[str, Stored],
    pin: Pin,
    heard: Heard,
    rooms: Mapping[str, int],
    drawn: Mapping[str, tuple[Node, Elementwise]],
    mapper: Mapper,
) -> Iterator[Mapped]:
    """The stages of a node, mapped each alone; *rooms* see `window_rooms`, *drawn* `drawn_in`."""
    node = taken.node
    for number, statement in enumerate(taken.statements):
        name = node.results[0] or next(result for result in node.results if result)
        if len(taken.statements) > 1:
            name = f"{name}#{number}"
        request = Request(
            name,
            node.layer or name,
            node.phase or "FP",
            statement,
            types,
            options.target,
            options.cores,
            training.steps_of(taken.region),
            training.batch,
            options.dataflow,
            pin,
            node.place,
            taken.cycle,
            taken.region.turns,
            rooms,
            operands_of(statement, drawn),
            op=node.op,
            densities=options.densities if options.skipping else Densities(),
            stored=stored,
        )
        heard.tell(node, request)
        yield mapper.choose(request)
