"""A machine: cores, engines, memories, links and picojoules, read from TOML with every field checked.

A target file is a list of figures, each ``{ value = ..., tag = ..., source = ... }``, so that nobody takes a guess
for a published number.  What a figure may be stands once, beside the field that holds it; the check, the canonical
text, the template of ``snnc init-target`` and the manual page are read off that.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from fnmatch import fnmatchcase
from functools import cache, cached_property
from math import isqrt
from pathlib import Path
from typing import Annotated, Any, cast, get_args, get_origin, get_type_hints

from ..catalog import FileCatalog, UnknownName, unknown
from ..numerics.formats import FORMATS
from ..source import NOWHERE, Faults, Place, TargetError
from .figure import TAGS, Evidence, Figure, as_list, shown
from .instruction import ENGINES

PHASES = ("fp", "bp", "wg", "up")
USES = ("left", "right", "acc", "out", "bias", "vector.bits", "vector.words")
ROLES = tuple(f"{phase}.{use}" for phase in PHASES for use in USES)
"""What a buffer may be for; the `holds` of some memory must match each of them."""

INNER = ("weight_stationary", "output_stationary")
ACCUMULATORS = ("exact", "f32", "f16")
WORKING_FORMATS = ("f16", "bf16", "f32")
LEFT_FORMATS = tuple(name for name, form in FORMATS.items() if form.kind != "fixed" and name != "f64")
MAXIMUM_MEMORIES = 62  # spaces are numbered in 6 bits; 0 is DRAM and 63 the identity


def _whole(meaning: str, minimum: int = 1, maximum: float = float("inf")) -> Figure:
    return Figure("whole number", meaning, minimum, maximum)


MOST_CORES = 4096
"""Cores of a chip, each counted as often as it has contexts: what instructions name."""


@dataclass(frozen=True)
class Mesh:
    """The grid that the cores stand on, row by row; routes go along the row first."""

    columns: Annotated[int, _whole("Columns of the mesh.", 1, MOST_CORES)]
    rows: Annotated[int, _whole("Rows of the mesh.", 1, MOST_CORES)]


@dataclass(frozen=True)
class Memory:
    """One scratchpad of every core."""

    name: Annotated[str, Figure("text", "What it is called in reports.", evidence=False)]
    bytes: Annotated[int, _whole("Size in bytes, in each core.")]
    port_bits: Annotated[int, _whole("Bits that its port moves in a cycle.")]
    holds: Annotated[tuple[str, ...], Figure("list", "Shell globs of the roles that may lie here.", evidence=False)]


@dataclass(frozen=True)
class Engine:
    """One of the three arrays of every core."""

    rows: Annotated[int, _whole("Rows of the array: reduction channels a cycle.")]
    columns: Annotated[int, _whole("Columns of the array: output channels a cycle.")]
    left_formats: Annotated[tuple[str, ...], Figure("list", "Formats of its left operand.", choices=LEFT_FORMATS)]
    inner: Annotated[str, Figure("choice", "The operand that stays in the array, by default.", choices=INNER)]
    lookahead: Annotated[
        int, _whole("Turns of the array that it looks ahead in a cycle, to skip empty ones; 0: none.", 0)
    ]


@dataclass(frozen=True)
class Dram:
    """The memory that all cores share."""

    bytes: Annotated[int, _whole("Size in bytes.", 1, 1 << 41)]
    bits_per_cycle: Annotated[int, _whole("Bits that its channel moves in a cycle of the cores.")]
    granule_bytes: Annotated[int, Figure("power of two", "Bytes of a burst: whole ones move and count.", 1)]
    latency_cycles: Annotated[int, _whole("Cycles from a request to its first burst.", 0)]


@dataclass(frozen=True)
class Link:
    """The links between neighbours on the mesh."""

    bits_per_cycle: Annotated[int, _whole("Bits that a link moves in a cycle, in each direction.")]
    hop_cycles: Annotated[int, _whole("Cycles that a hop takes.", 0)]


@dataclass(frozen=True)
class Energy:
    """Picojoules an event; reports multiply traffic and work by them and name the table."""

    gated_add: Annotated[float, Figure("number", "Picojoules of an addition that a spike gates.")]
    multiply_add: Annotated[float, Figure("number", "Picojoules of a multiplication and its addition.")]
    element_op: Annotated[float, Figure("number", "Picojoules of one operation of one lane of the vector unit.")]
    dram_bit: Annotated[float, Figure("number", "Picojoules of a bit that moves from or to DRAM.")]
    link_bit_hop: Annotated[float, Figure("number", "Picojoules of a bit that moves over one link.")]
    scratchpad_bit: Annotated[float, Figure("number", "Picojoules of a bit that passes a scratchpad port.")]


@dataclass(frozen=True)
class Target:
    """A machine.  Memory k is space k + 1 of the instructions (space 0 is DRAM)."""

    name: Annotated[str, Figure("text", "What the machine is called.", evidence=False)]
    description: Annotated[str, Figure("text", "What it is, in a sentence.", evidence=False)]
    cores: Annotated[int, _whole("Cores of the chip.", 1, MOST_CORES)]
    contexts: Annotated[
        int, _whole("Contexts of a core: sets of streams, which share its engines, vector unit and memories.", 1, 16)
    ]
    clock_hz: Annotated[int, _whole("Cycles in a second.")]
    vector_lanes: Annotated[int, _whole("Elements that the vector unit takes in a cycle.")]
    accumulators: Annotated[str, Figure("choice", "Arithmetic of its accumulators.", choices=ACCUMULATORS)]
    working_format: Annotated[
        str,
        Figure(
            "choice",
            "Weights, membranes, errors; other than f16 with accumulators = f32 only.",
            choices=WORKING_FORMATS,
        ),
    ]
    instruction_bytes: Annotated[int, _whole("Instruction memory of a core, in bytes.", 16)]
    semaphores: Annotated[int, _whole("Semaphores of a core.", 1, 1 << 16)]
    mesh: Mesh
    memories: Annotated[tuple[Memory, ...], Memory]
    engines: Annotated[Mapping[str, Engine], Engine] = field(hash=False)
    dram: Dram
    link: Link
    energy: Energy
    evidence: Mapping[str, Evidence] = field(hash=False)

    def memory_for(self, role: str) -> tuple[int, ...]:
        """Indices of the memories that may hold buffers of *role*, first choice first."""
        if role not in self._homes:
            holds = enumerate(memory.holds for memory in self.memories)
            self._homes[role] = tuple(k for k, globs in holds if any(fnmatchcase(role, glob) for glob in globs))
        return self._homes[role]

    @cached_property
    def _homes(self) -> dict[str, tuple[int, ...]]:
        """What `memory_for` has found: the mapping asks for each role thousands of times."""
        return {}

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that the machine does and costs: every figure, but no name, description or evidence."""
        figures = {key: value for key, value in asdict(self).items() if key not in ("name", "description", "evidence")}
        return hashlib.sha256(json.dumps(figures, sort_keys=True).encode()).hexdigest()


TARGETS = FileCatalog(f"{__package__}.targets", ".toml", "target")
"""The machines that come with snnc: `list(TARGETS)` are their names."""


def load_target(name_or_path: str | Path) -> Target:
    """The target of that name, or in that file (its name ends in ``.toml``); TargetError tells all that is wrong."""
    path = Path(name_or_path)
    try:
        if path.suffix != ".toml":
            path = TARGETS[str(name_or_path)]
        text = path.read_text("utf-8")
    except UnknownName as error:
        raise TargetError.at(NOWHERE, str(error), hints=["a path that ends in .toml"]) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TargetError.at(Place(str(path)), f"cannot be read: {reason}") from None
    return parse(text, str(path))


def parse(text: str, file: str = "<target>") -> Target:
    """The target that *text* (TOML) describes; TargetError with every fault, each naming *file* and the key."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"^(.*) \(at line (\d+), column (\d+)\)$", str(error))
        message, line, column = found.groups() if found else (str(error), 0, 0)
        raise TargetError.at(Place(file, int(line), int(column)), f"not TOML: {message}", text) from None
    reader = _Reader(file)
    target = reader.part(Target, table, "")
    reader.faults.throw()
    reader.relations(target)
    reader.faults.throw()
    return target


_Fields = dict[str, tuple[type | None, Any]]
"""Fields of a table by name: their container (tuple, Mapping or None) and the `Figure` or dataclass that is in it."""

_EVIDENCE: _Fields = {
    "tag": (None, Figure("choice", "", choices=tuple(TAGS), evidence=False)),
    "source": (None, Figure("text", "", evidence=False)),
}


class _Reader:
    """Walks the fields of `Target` beside the tables of a file and notes what does not fit."""

    def __init__(self, file: str) -> None:
        self.place = Place(file)
        self.faults = Faults(TargetError)
        self.evidence: dict[str, Evidence] = {}

    def wrong(self, path: str, message: str) -> None:
        self.faults.add(self.place, f"{path}: {message}" if path else message)

    def part(self, kind: type, written: object, path: str) -> Any:
        """The dataclass *kind* that a table says."""
        values = self.fields(fields_of(kind), written, path)
        return values and (kind(**values, evidence=self.evidence) if kind is Target else kind(**values))

    def fields(self, known: _Fields, written: object, path: str, wanted: str = "a table") -> dict[str, Any] | None:
        """The values of the *known* fields in a table, None for the faulty ones; None where it is no table."""
        table = _table(written)
        if table is None:
            return self.wrong(path, f"expected {wanted}, found {shown(written)}")
        for key in table:
            if key not in known:
                self.wrong(path, str(unknown("field", key, known)))
        values: dict[str, Any] = {}
        for key, (container, kind) in known.items():
            inner, values[key] = f"{path}.{key}" if path else key, None
            if key not in table:
                self.wrong(inner, "is missing")
            elif isinstance(kind, Figure):
                values[key] = self.figure(kind, table[key], inner)
            elif container is tuple:
                values[key] = self.parts(kind, table[key], inner)
            elif container is Mapping:
                values[key] = self.fields(dict.fromkeys(ENGINES, (None, kind)), table[key], inner)
            else:
                values[key] = self.part(kind, table[key], inner)
        return values

    def parts(self, kind: type, written: object, path: str) -> Any:
        """As many of *kind* as an array of tables has; each is called by its name, or its number if it has none."""
        made: dict[str, Any] = {}
        array = as_list(written)
        if not array or len(array) > MAXIMUM_MEMORIES:
            found = f"{len(array)} of them" if array else shown(written)
            return self.wrong(path, f"expected 1 to {MAXIMUM_MEMORIES} times [[{path}]], found {found}")
        for number, table in enumerate(array):
            name = str((_table(table) or {}).get("name") or number)
            if name in made:
                self.wrong(path, f"two of them are called {name!r}")
            made[name] = self.part(kind, table, f"{path}.{name}")
        return tuple(made.values())

    def figure(self, figure: Figure, written: object, path: str) -> Any:
        """The value of a figure, whose evidence is noted."""
        if figure.evidence:
            known: _Fields = {"value": (None, replace(figure, evidence=False)), **_EVIDENCE}
            values = self.fields(known, written, path, "{ value, tag, source }") or dict.fromkeys(known)
            self.evidence[path] = Evidence(*(str(values[key]) for key in _EVIDENCE))
            return values["value"]
        wrong = figure.wrong(written)
        return self.wrong(path, wrong) if wrong else figure.value(written)

    def relations(self, target: Target) -> None:
        """What must hold between figures that are right one by one."""
        places = target.mesh.columns * target.mesh.rows
        if places < target.cores:
            self.wrong("mesh", f"{places} places are too few for {target.cores} cores")
        if (numbered := target.cores * target.contexts) > MOST_CORES:
            self.wrong("contexts", f"{numbered} of {target.cores} cores; instructions have numbers for {MOST_CORES}")
        for memory in target.memories:
            for glob in memory.holds:
                if not any(fnmatchcase(role, glob) for role in ROLES):
                    self.wrong(f"memories.{memory.name}.holds", f"{glob!r} matches none of {', '.join(ROLES)}")
        working = target.working_format
        if working != "f16" and target.accumulators != "f32":
            message = f"{target.accumulators} ones are for f16 and integers; what works in {working} sums in f32"
            self.wrong("accumulators", message)
        if working not in target.engines["bp"].left_formats:
            self.wrong("engines.bp.left_formats", f"without {working}, the working format, errors cannot go back")
        if homeless := [role for role in ROLES if not target.memory_for(role)]:
            self.wrong("memories", f"none holds {', '.join(homeless)}")


def canonical(target: Target, comments: bool = False) -> str:
    """The target as TOML, always the same for the same target; `parse` reads it back.  With *comments*, explained."""
    _write(target, "", "", target, lines := list[str](), comments)
    return "\n".join(lines) + "\n"


def _write(part: Any, path: str, header: str, target: Target, lines: list[str], comments: bool) -> None:
    lines += ["", header] if header else []
    nested: list[tuple[Any, str, str]] = []
    for key, (_, kind) in fields_of(part.__class__).items():
        value, inner = getattr(part, key), f"{path}.{key}" if path else key
        if isinstance(kind, Figure):
            lines += [f"# {kind.meaning}  ({kind.allowed})"] if comments else []
            written = _toml(value)
            if kind.evidence:
                evidence = target.evidence[inner]
                written = f"{{ value = {written}, tag = {_toml(evidence.tag)}, source = {_toml(evidence.source)} }}"
            lines.append(f"{key} = {written}")
        elif isinstance(value, tuple):
            nested += [(each, f"{inner}.{each.name}", f"[[{inner}]]") for each in cast(tuple[Any, ...], value)]
        elif isinstance(value, Mapping):
            nested += [(value[name], f"{inner}.{name}", f"[{inner}.{name}]") for name in ENGINES]
        else:
            nested.append((value, inner, f"[{inner}]"))
    for value, inner, head in nested:
        _write(value, inner, head, target, lines, comments)


def template() -> str:
    """A commented target file to start from: `quad` under another name."""
    words = [
        "# A machine for snnc; compile for it with --target FILE.toml.",
        "# Every figure says its value, how well it is known, and where it comes from.  Tags:",
        *(f"#   {tag:12} {meaning}" for tag, meaning in TAGS.items()),
        f"# Roles, which `holds` matches by shell globs, are PHASE.USE with PHASE in {', '.join(PHASES)}",
        f"# and USE in {', '.join(USES)}.",
        "# A buffer goes into the first memory that holds its role and has room.",
    ]
    chip = replace(load_target("quad"), name="my_chip", description="A chip of mine: four small cores, to be changed.")
    return "\n".join([*words, "", canonical(chip, comments=True)])


def with_cores(target: Target, cores: int) -> Target:
    """*target* with another number of cores, on a mesh as square as may be; TargetError outside of 1..4096."""
    if cores == target.cores:
        return target
    columns = isqrt(max(cores, 1) - 1) + 1
    return _on(target, cores, Mesh(columns, -(-cores // columns)))


def with_mesh(target: Target, columns: int, rows: int) -> Target:
    """*target* with a core on every place of another mesh; TargetError outside of 1..4096 columns, rows and cores."""
    for what, count in (("columns", columns), ("rows", rows), ("cores", columns * rows)):
        if not 1 <= count <= MOST_CORES:
            message = f"--mesh {columns}x{rows} has {count} {what}; a chip has 1 to {MOST_CORES}"
            raise TargetError.at(NOWHERE, message)
    return _on(target, columns * rows, Mesh(columns, rows))


def _on(target: Target, cores: int, mesh: Mesh) -> Target:
    if wrong := fields_of(Target)["cores"][1].wrong(cores):
        raise TargetError.at(NOWHERE, f"{target.name}: cores: {wrong}")
    said = Evidence("assumed", f"overridden: {cores} cores instead of {target.cores}")
    evidence = {**target.evidence, **dict.fromkeys(("cores", "mesh.columns", "mesh.rows"), said)}
    contexts = min(target.contexts, MOST_CORES // cores)
    if contexts < target.contexts:
        evidence["contexts"] = Evidence("assumed", f"no more of {cores} cores have numbers")
    return replace(target, cores=cores, contexts=contexts, mesh=mesh, evidence=evidence)


@cache
def fields_of(kind: type) -> _Fields:
    """What a table of the file says of a part of a machine."""
    found: _Fields = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if get_origin(hint) is Annotated:
            held, inside = get_args(hint)
            found[name] = (None if isinstance(inside, Figure) else get_origin(held), inside)
        elif is_dataclass(hint):
            found[name] = (None, hint)
    return found


def _table(value: object) -> dict[str, object] | None:
    return cast(dict[str, object], value) if isinstance(value, dict) else None


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, cast(tuple[object, ...], value)))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
