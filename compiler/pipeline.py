"""The stages in order: source -> network -> training graph -> schedule -> program.

`Compilation` makes each on demand and keeps it, so that `--emit` stops anywhere and `inspect` shows any of them.
"""

from __future__ import annotations

import gc
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import Any, cast

from ..catalog import FileCatalog, UnknownName, unknown
from ..isa.array import STATIONARY
from ..isa.program import Argument, Entry, Program, Symbol
from ..isa.target import Target, canonical, load_target, with_mesh
from ..source import NOWHERE, DataError, Fault, Faults, Place, SourceError, TargetError, line_of
from .cost.bound import bounds
from .cost.density import Densities, densities_of
from .cost.predict import predict
from .cost.room import CARRY, aliases_of
from .dataflows.dataflow import DATAFLOWS
from .frontends.frontend import Imported, Note, Unsaid, read_before, read_model
from .frontends.frontend import Options as FrontendOptions
from .ir.graph import Network, Setting, Settings, Training, chosen_words
from .ir.schedule import Schedule, Stage
from .ir.statement import Elementwise, Moments
from .ops.op import called
from .passes.arrange import OVERLAP, PARTITIONS
from .passes.borders import contexts_of
from .passes.brought import check_weights, laid_out
from .passes.build_schedule import MappingOptions, build_schedule
from .passes.coding import parse_codecs
from .passes.differentiate import build_training, untaught
from .passes.elements import Lowered, TooLong, lower_elements
from .passes.emit import emit_entry
from .passes.instructions import FEWER
from .passes.interface import interface
from .passes.layout import DramValue, place_symbols, roles, seen_as
from .passes.objectives import OBJECTIVES
from .passes.pins import parse_pins
from .passes.representable import check_representable, saturating, steps_in_vain, vanishing
from .passes.signs import TERNARY, with_signs
from .passes.training_options import TrainingOptions, show_call
from .passes.working_format import in_working_format
from .passes.writer import Semaphores


@dataclass(frozen=True)
class Options:
    """What the user asked for beside the source; None leaves it to the file, then to the default.

    *density* is that of all that can be sparse, or a profile of it (a file); *codecs* are those of values in DRAM,
    ``NAME=CODEC``, where densities are not to decide; one of them, or one of *pins*, may come as it is.
    *mesh* (columns, rows) has a core on every place, and stands in for the target's.
    *settings* are those of the network, by name; *section* are settings of a ``train`` section in a file of its own,
    written at *places* there; *unsaid* is what files of other tools do not say; *train* overrides single settings of
    the ``train`` section; *weights* are initial parameters by symbol name in their logical (framework's) shapes,
    *weights_file* the file that they were read from.
    """

    target: str = "quad"
    cores: int | None = None
    batch: int | None = None
    steps: int | None = None
    rule: Setting | None = None
    dataflow: str = "auto"
    partition: str = "chosen"
    pins: tuple[str, ...] = ()
    density: float | str = 1.0
    codecs: tuple[str, ...] = ()
    fusion: str = "auto"
    mesh: tuple[int, int] | None = None
    objective: str = "dram"
    overlap: str = "auto"
    skipping: str = "auto"
    settings: Mapping[str, Setting] = field(default_factory=dict[str, Setting])
    train: Mapping[str, Setting] = field(default_factory=dict[str, Setting])
    weights: Mapping[str, Any] | None = None
    weights_file: str = ""
    section: Mapping[str, Setting] = field(default_factory=dict[str, Setting])
    unsaid: Unsaid = field(default_factory=Unsaid)
    places: Mapping[str, Place] = field(default_factory=dict[str, Place])

    def __post_init__(self) -> None:
        """One pin or codec may come without a tuple; TargetError: numbers of cores that are none."""
        for name in ("pins", "codecs"):
            given: object = getattr(self, name)
            if isinstance(given, str):
                object.__setattr__(self, name, (given,))
        with Faults(TargetError) as faults:
            if self.cores is not None and not _is_whole(self.cores):
                faults.add(NOWHERE, f"cores is a whole number, not {self.cores!r}")
            mesh: object = self.mesh
            if mesh is not None and not _is_pair(mesh):
                faults.add(NOWHERE, f"mesh is two whole numbers, (columns, rows), not {mesh!r}")


def _is_pair(mesh: object) -> bool:
    """Whether it is two whole numbers."""
    numbers = list(cast("list[object]", mesh)) if isinstance(mesh, tuple | list) else []
    return len(numbers) == 2 and all(map(_is_whole, numbers))


def _is_whole(number: object) -> bool:
    """Whether it is a whole number, and no bool."""
    return not isinstance(number, bool) and isinstance(number, Integral)


FUSION = ("auto", "off")
"""Whether stages may have epilogues where that saves bytes, or each statement is a stage of its own."""


SKIPPING = ("auto", "off")
"""Whether engines leave out turns without anything where densities tell of some, or take all of them."""


def models() -> FileCatalog:
    """The networks that come with snnc."""
    return FileCatalog("snnc.models", ".snn", "model")


def find_model(name: str) -> Path:
    """The file of a model: a path that exists, ``digits``, or ``models/digits.snn`` from any directory."""
    path = Path(name)
    if path.is_file():
        return path
    known = models()
    if path.suffix in ("", ".snn") and path.parent.name in ("", "models") and path.stem in known:
        return known[path.stem]
    if path.suffix and path.parent != Path():
        raise SourceError.at(NOWHERE, f"there is no file {name}")
    missing = unknown("model", path.stem, known)
    raise SourceError.at(NOWHERE, f"there is no file {name}, and {missing}") if path.suffix else missing


class Compilation:
    """One compilation; every stage is made when it is first asked for.

    *source* is a file, the name of a model that comes with snnc, or a network that was read before.
    """

    def __init__(self, source: str | Path | Imported, options: Options | None = None) -> None:
        self.source = source
        self.options = options or Options()

    @cached_property
    def imported(self) -> Imported:
        """The network, the parameters of its file, and notes of how it was read."""
        chosen = self.options
        options = FrontendOptions(chosen.steps, chosen.settings, chosen.section, chosen.unsaid, chosen.places)
        if isinstance(self.source, Imported):
            return read_before(self.source, options)
        return read_model(find_model(str(self.source)), options)

    @property
    def network(self) -> Network:
        """The network with all types and parameters explicit."""
        return self.imported.network

    @property
    def doubts(self) -> tuple[Note, ...]:
        """What will most likely not go as the user wants, beside the notes of the file."""
        chosen, working = self.training_options, self.target.working_format
        scale = [tell(self.network, chosen, working) for tell in (steps_in_vain, vanishing)]
        found = [*scale, saturating(self.network, chosen), *untaught(self.network, self.training)]
        return tuple(Note("warning", fault.place, fault.message) for fault in found if fault is not None)

    @cached_property
    def training_options(self) -> TrainingOptions:
        """The settings of training, each with its origin."""
        given: dict[str, Setting] = dict(self.options.train)
        for key, value in (("batch", self.options.batch), ("rule", self.options.rule)):
            if value is not None:
                given[key] = value
        with lines_shown():
            return TrainingOptions.resolve(self.network, given)

    @cached_property
    def training(self) -> Training:
        """The training graph under the learning rule, in the formats of the machine.

        It remembers the settings that the network was given, and what was said in the place of its file.
        """
        with lines_shown(), Faults(SourceError) as faults:
            check_representable(self.network, self.training_options, self.target.working_format, faults)
            training = build_training(self.network, self.training_options)
        if self.options.settings:
            given = ("settings", *sorted(self.options.settings.items()))
            training = replace(training, settings={**training.settings, "network": given})
        if self.options.unsaid.said:
            training = replace(training, settings={**training.settings, "unsaid": self.options.unsaid.call})
        training = in_working_format(training, self.target.working_format)
        return with_signs(training) if TERNARY in self.target.engines["bp"].left_formats else training

    @cached_property
    def target(self) -> Target:
        """The machine, with the cores that are used."""
        try:
            target = load_target(self.options.target)
        except UnknownName as error:
            raise TargetError.at(NOWHERE, str(error)) from None
        if self.options.mesh is not None:
            target = with_mesh(target, *self.options.mesh)
        cores = self.options.cores
        if cores is None:
            return target
        if cores < 1:
            raise TargetError.at(NOWHERE, f"--cores {cores}: a program runs on at least one core")
        if cores > target.cores:
            message = f"--cores {cores}: `{target.name}` has {target.cores}"
            hints = ("--mesh COLUMNSxROWS, for a chip of another size", "a target file (see `snnc init-target`)")
            raise TargetError.at(NOWHERE, message, hints=hints)
        return target

    @property
    def cores(self) -> int:
        """Cores in use."""
        return self.options.cores or self.target.cores

    @cached_property
    def schedule(self) -> Schedule:
        """Every stage mapped."""
        flow = self.options.dataflow
        if flow != "auto" and flow not in DATAFLOWS:
            raise unknown("dataflow", flow, ["auto", *DATAFLOWS])
        fusion = self.options.fusion
        if fusion not in FUSION:
            raise unknown("fusion", fusion, FUSION)
        overlap = self.options.overlap
        if overlap not in OVERLAP:
            raise unknown("overlap", overlap, OVERLAP)
        skipping = self.options.skipping
        if skipping not in SKIPPING:
            raise unknown("skipping", skipping, SKIPPING)
        partition = self.options.partition
        if partition not in PARTITIONS:
            raise unknown("partition", partition, list(PARTITIONS))
        objective = self.options.objective
        if objective not in OBJECTIVES:
            raise unknown("objective", objective, list(OBJECTIVES))
        pins, codecs = parse_pins(self.options.pins), parse_codecs(self.options.codecs)
        options = replace(
            self.mapping_options,
            dataflow=flow,
            pins=pins,
            codecs=codecs,
            fusion=fusion == "auto",
            skipping=skipping == "auto",
            partition=partition,
            objective=objective,
            overlap=overlap,
        )
        training = self.training
        with lines_shown(), _keeping():
            return build_schedule(training, options)

    @property
    def mapping_options(self) -> MappingOptions:
        """What bears on the mapping beside the user's choices."""
        return MappingOptions(self.target, self.cores, densities=self.densities)

    @cached_property
    def densities(self) -> Densities:
        """How sparse values are, by their names in the training graph."""
        return self.said_densities.over(self.training)

    @cached_property
    def said_densities(self) -> Densities:
        """The same as they were given; DataError where they are those of another network."""
        return densities_of(self.options.density).checked(self.network.name)

    @property
    def resolved(self) -> list[tuple[str, str, str]]:
        """Every setting with its value and where it comes from."""
        chosen = self.training_options
        rows = [
            (name, text, chosen.origins.get(name, "default")) for name, text in chosen.shown.items() if name != "steps"
        ]
        defaults = Options()
        mapping = [
            ("target", self.options.target, self.options.target != defaults.target),
            ("mesh", f"{self.target.mesh.columns}x{self.target.mesh.rows}", self.options.mesh is not None),
            ("cores", str(self.cores), self.options.cores is not None),
            ("steps", str(self.network.steps), self.options.steps is not None),
            ("dataflow", self.options.dataflow, self.options.dataflow != defaults.dataflow),
            ("density", self.said_densities.source, self.options.density != defaults.density),
            ("fusion", self.options.fusion, self.options.fusion != defaults.fusion),
            ("objective", self.options.objective, self.options.objective != defaults.objective),
            ("skipping", self.options.skipping, self.options.skipping != defaults.skipping),
            ("partition", self.options.partition, self.options.partition != defaults.partition),
            ("overlap", self.options.overlap, self.options.overlap != defaults.overlap),
        ]
        rows += [(name, show_call(value), "command line") for name, value in self.options.settings.items()]
        origin = {"steps": "file"}
        rows += [
            (name, value, "command line" if given else origin.get(name, "default")) for name, value, given in mapping
        ]
        return rows

    @cached_property
    def program(self) -> Program:
        """The program."""
        check_weights(self.training, self.weights, self.options.weights_file)
        schedule = self.schedule
        with _keeping():
            return assemble(self.training, self.mapping_options, schedule, self.weights)

    @property
    def weights(self) -> Mapping[str, Any]:
        """First values of parameters, where somebody gave them; DataError where these are not arrays by name."""
        given: Any = self.options.weights
        if given is None or isinstance(given, Mapping):
            return cast("Mapping[str, Any] | None", given) or self.imported.parameters
        told = f"weights: {given!r} is not a mapping from names of parameters to arrays"
        raise DataError.at(NOWHERE, told, hints=("snnc.runtime.weights.load(FILE), which reads a file into one",))

    @cached_property
    def interface(self) -> Program:
        """What a host sees of the program; nothing is mapped for it."""
        return interface(self.training, self.target, settings_of(self.training), self.weights)


@contextmanager
def lines_shown() -> Generator[None]:
    """What a stage behind the frontend finds wrong shows the line of the user's file, as the frontend does."""
    try:
        yield
    except (SourceError, TargetError) as error:
        raise type(error)(*map(with_line, error.faults)) from error.__cause__


@contextmanager
def _keeping() -> Generator[None]:
    """Nobody looks for garbage meanwhile: nearly all that is made stays, and would be looked at again and again.

    What was made counts as old afterwards, or the next small object would have all of it looked at.
    """
    looked = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if looked:
            gc.freeze()
            gc.unfreeze()
            gc.enable()


def with_line(fault: Fault) -> Fault:
    """*fault* with the line that it points at, where its file still has one."""
    place = fault.place
    if fault.source_line is not None or not place.line or not Path(place.file).is_file():
        return fault
    return replace(fault, source_line=line_of(Path(place.file).read_text("utf-8-sig"), place))


def compile(source: str | Path | Imported, **options: Any) -> Program:
    """Compile a model; the keywords are those of `Options`.

    *source* is a path, the name of a model that comes with snnc, or what `from_torch` gave.
    """
    return Compilation(source, Options(**options)).program


def assemble(
    training: Training,
    options: MappingOptions,
    schedule: Schedule | None = None,
    weights: Mapping[str, Any] | None = None,
) -> Program:
    """The program of a training graph on a machine; *schedule* is made where it is not given."""
    from .. import __version__

    schedule = schedule or build_schedule(training, options)
    target = options.target
    aliases = aliases_of(training)
    role = roles(training, aliases)
    layers = {n: node.layer for p in training.procedures for node in p.nodes for n in node.results}
    layers |= {variable.name: variable.layer for variable in training.variables}
    names = [variable.name for variable in training.variables]
    names += [name for name in schedule.types if name not in set(names)]
    layers |= {name: layers.get(name.partition(CARRY)[0], "") for name in names if CARRY in name}
    known = training.types | dict(schedule.types)
    codings = schedule.codings
    values = [
        DramValue(
            name,
            known[name],
            role.get(name, "value"),
            layers.get(name, ""),
            schedule.rooms.get(name),
            codings.get(name),
            name in schedule.handed,
        )
        for name in names
    ]
    symbols, dram_bytes = place_symbols(training, values, target)
    by_name = {symbol.name: symbol for symbol in symbols}
    types = {name: type for procedure in training.procedures for name, type in training.values(procedure).items()}
    by_name |= {alias: seen_as(by_name[home], types[alias]) for alias, home in aliases.items() if home in by_name}

    numbers = {name: place for place, (name, _) in enumerate(training.arguments)}
    unsigned = frozenset(name for name, kind in training.arguments if kind == "u32")
    programs: dict[int, tuple[int, Lowered]] = {}
    elements: dict[str, int] = {}
    code: list[Any] = []

    def element(stage: Stage, statement: Elementwise) -> tuple[int, tuple[str, ...]]:
        if id(statement) not in programs:
            op = next(op for op, made in stage.elements if made is statement)
            try:
                lowered = lower_elements(statement, op, numbers, unsigned)
            except TooLong as reason:
                raise TargetError.at(stage.place, f"{stage.node} {reason}", hints=(FEWER,)) from None
            key = lowered.program.content_hash + repr(lowered.program.operands)
            if key not in elements:
                elements[key] = len(code)
                code.append(lowered.program)
            programs[id(statement)] = elements[key], lowered
        number, lowered = programs[id(statement)]
        return number, lowered.uses

    inner = {unit: STATIONARY[engine.inner] for unit, engine in target.engines.items()}
    semaphores = Semaphores()
    entries: list[Entry] = []
    for procedure in training.procedures:
        stages = schedule.entries[procedure.name]
        streams = emit_entry(stages, by_name, element, options.cores, inner, numbers, semaphores)
        used = sorted(
            {
                a
                for s in stages
                for _, run in s.elements
                if id(run) in programs
                for a in _arguments(programs[id(run)][1])
            }
            | {
                numbers[s.statement.argument]
                for s in stages
                if isinstance(s.statement, Moments) and s.statement.argument
            }
        )
        if any(stage.turns for stage in stages):
            used = sorted({*used, *(numbers[word] for word in chosen_words(training.steps))})
        arguments = tuple(training.arguments[a][0] for a in used)
        results = tuple(by_name[name].name for name in procedure.results)
        entries.append(Entry(procedure.name, streams, arguments, procedure.inputs, results))
    if len(semaphores.numbers) > target.semaphores:
        raise TargetError.at(
            NOWHERE,
            f"{training.name} needs {len(semaphores.numbers)} semaphores a core; `{target.name}` has "
            f"{target.semaphores}",
            hints=("a target with more semaphores",),
        )
    predicted = {name: predict(stages, by_name, target, options.densities) for name, stages in schedule.entries.items()}
    return Program(
        network=training.name,
        target=target.name,
        target_text=canonical(target),
        target_hash=target.fingerprint,
        graph_hash=training.hash,
        cores=options.cores,
        contexts=max(map(contexts_of, schedule.entries.values())),
        steps=training.steps,
        batch=training.batch,
        entries=tuple(entries),
        elements=tuple(code),
        symbols=symbols,
        arguments=tuple(Argument(name, kind) for name, kind in training.arguments),
        dram_bytes=dram_bytes,
        settings=settings_of(training),
        predicted=predicted,
        bound=bounds(training, schedule, target, options.cores),
        layers=layers_of(schedule, by_name),
        data=laid_out(training, weights or {}, by_name),
        version=__version__,
    )


def layers_of(schedule: Schedule, symbols: Mapping[str, Symbol]) -> dict[str, str]:
    """The layer of each node of a stage that has no symbol of its name."""
    stages = [stage for entry in schedule.entries.values() for stage in entry]
    made = [each for stage in stages for each in (stage, *stage.joined)]
    return {each.node: each.layer for each in made if each.node not in symbols}


def host_settings(settings: Settings) -> dict[str, Any]:
    """The resolved settings as plain JSON values: a call ``adam(lr=0.001)`` as ``{"name": "adam", "lr": 0.001}``."""
    plain = {key: _plain(value) for key, value in settings.items()}
    optimizer = plain.get("optimizer")
    if isinstance(optimizer, dict) and "lr" in optimizer:
        plain["learning_rate"] = optimizer["lr"]
    return plain


def _plain(value: Setting) -> Any:
    """A setting; a call as an object, and so the calls among its own settings; a list of words as it is."""
    words = isinstance(value, tuple) and len(value) > 1 and isinstance(value[-1], str)
    if isinstance(value, tuple) and value and isinstance(value[0], str) and not words:
        name, given = called(value)
        return {"name": name, **{key: _plain(part) for key, part in given.items()}}
    return value


def settings_of(training: Training) -> dict[str, Any]:
    """The resolved settings of the host.

    With them, how many steps it draws in which errors follow, and how many a window has, where there are such.
    """
    regions = [region for procedure in training.procedures for region in procedure.regions]
    found = {"turns": max(region.turns for region in regions), "window": max(region.window for region in regions)}
    return host_settings(training.settings) | {key: count for key, count in found.items() if count}


def _arguments(lowered: Lowered) -> set[int]:
    found: set[int] = set()
    for lane in lowered.program.lanes:
        if lane.operation.form == "argument":
            found.add(lane.a)
        elif lane.operation.form == "random":
            found |= {lane.b, lane.c}
    return found
