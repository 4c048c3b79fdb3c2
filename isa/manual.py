"""The manual: pages of `docs/` that are read off the classes of instructions and the fields of target files.

``python -m snnc.isa.manual`` writes them anew in a checkout; a test tells when they are out of date.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .figure import TAGS, Figure
from .instruction import ENGINES, OPCODE_BITS, UNITS, WORD_BITS, Bits, Instruction
from .instructions import __all__ as families
from .target import ROLES, TARGETS, Target, fields_of, load_target

FOLDER = Path(__file__).parent.parent / "docs"

_REGISTERS = {
    "v": "view register",
    "l": "loop register",
    "m": "space: 0 DRAM, 1.. scratchpads, 63 the identity",
    "s": "semaphore",
    "c": "core",
    "e": "element program",
}
_NOTE = "<!-- Written by `python -m snnc.isa.manual`; change the classes, not this page. -->"


def instructions_page() -> str:
    """`docs/instructions.md`: what each instruction is and does."""
    return "\n".join(_instructions())


def _instructions() -> Iterator[str]:
    yield from ("# Instructions", "", _NOTE, "")
    yield f"An instruction is a word of {WORD_BITS} bits, little-endian; bits 0 to {OPCODE_BITS - 1} are its opcode."
    yield "Bits that no operand owns are zero; a word with one of them set is refused.  In assembly, a register carries"
    yield "the letter of its file and a number carries its name; every operand is written."
    yield from ("", "| letter | register file |", "|---|---|")
    yield from (f"| `{letter}` | {meaning} |" for letter, meaning in _REGISTERS.items())
    yield from ("", "| opcode | instruction | units |", "|---|---|---|")
    kinds = sorted(Instruction.by_opcode.items())
    for opcode, kind in kinds:
        yield f"| `{opcode:#04x}` | [`{kind.mnemonic}`](#{kind.mnemonic}) | {_units(kind)} |"
    for family in sorted(families, key=lambda name: min(kind.opcode for _, kind in kinds if _family(kind) == name)):
        members = [kind for _, kind in kinds if _family(kind) == family]
        module = inspect.getmodule(members[0])
        yield from ("", f"## {family.capitalize()}", "", _prose(inspect.getdoc(module) or ""))
        for kind in members:
            yield from _instruction(kind)
    yield ""


def _instruction(kind: type[Instruction]) -> Iterator[str]:
    operands = ", ".join(_syntax(name, place) for name, place in kind.layout.items())
    yield from ("", f"### {kind.mnemonic}", "", "```", f"{kind.mnemonic:8}{operands}".rstrip(), "```", "")
    yield _prose(inspect.getdoc(kind) or "")
    yield from ("", f"Opcode `{kind.opcode:#04x}`; units: {_units(kind)}.")
    if kind.layout:
        yield from ("", "| bits | operand | holds |", "|---|---|---|")
        yield from (
            f"| {place.low}..{place.high} | `{name}` | {_holds(place)} |" for name, place in kind.layout.items()
        )


def _syntax(name: str, place: Bits) -> str:
    return f"{place.prefix}<{name}>" if place.prefix else f"{name}=<{name}>"


def _holds(place: Bits) -> str:
    if place.coding == "float":
        return "f32"
    limits = f"{place.minimum} to {place.maximum}"
    return f"{_REGISTERS[place.prefix].split(':')[0]}, {limits}" if place.prefix else f"{place.coding}, {limits}"


def _family(kind: type[Instruction]) -> str:
    return kind.__module__.rsplit(".", 1)[-1]


def _units(kind: type[Instruction]) -> str:
    return "all" if kind.units == UNITS else ", ".join(kind.units)


def _prose(docstring: str) -> str:
    """A docstring as markdown: its ``code`` in single backquotes, its equations unharmed."""
    return docstring.replace("``", "`").replace("*\n", "* \n")


def targets_page() -> str:
    """`docs/targets.md`: the fields of a target file, and the machines that come with snnc."""
    return "\n".join(_targets())


def _targets() -> Iterator[str]:
    yield from ("# Target files", "", _NOTE, "")
    yield "A target file describes a machine in TOML.  `snnc init-target` writes a commented one to start from, and"
    yield "`--target FILE.toml` compiles for it.  A figure is written `{ value = ..., tag = ..., source = ... }`,"
    yield "where the tag says how well it is known:"
    yield from ("", "| tag | meaning |", "|---|---|")
    yield from (f"| `{tag}` | {meaning} |" for tag, meaning in TAGS.items())
    yield from ("", "## Fields", "")
    yield "`NAME` is what a memory is called.  Every field must be there; another one is refused."
    yield from ("", "| field | a figure | must be | meaning |", "|---|---|---|---|")
    for path, figure in _figures():
        yield f"| `{path}` | {'yes' if figure.evidence else 'no'} | {figure.allowed} | {figure.meaning} |"
    yield from ("", "## Numbers", "")
    yield "Working copies of weights, membranes, activations and errors have the `working_format`; master weights,"
    yield "optimizer states and finished weight gradients are f32 on every machine.  `exact` accumulators take f16 and"
    yield "integers, and sums have no order; in `f32` and `f16` they are rounded term by term, in an order that no"
    yield "mapping changes.  What works in bf16 or f32 sums in `f32`, and has that format among the `left_formats` of"
    yield "its engines: `quad_bf16` is an example."
    yield from ("", "## Roles", "")
    yield "`holds` matches the role of a buffer, `PHASE.USE`, by shell globs.  A buffer goes into the first memory that"
    yield "holds its role and has room, so every role needs a memory:"
    yield from ("", ", ".join(f"`{role}`" for role in ROLES) + ".")
    yield from ("", "## Machines", "")
    names = list(TARGETS)
    machines = [load_target(name) for name in names]
    yield f"| figure | {' | '.join(f'`{name}`' for name in names)} |"
    yield "|---|" + "---|" * len(names)
    for path, figure in _figures():
        if figure.evidence and "NAME" not in path:
            for each in (path.replace("{fp,bp,wg}", unit) for unit in (("fp", "bp", "wg") if "{" in path else ("",))):
                yield f"| `{each}` | {' | '.join(_cell(machine, each, figure) for machine in machines)} |"
    for machine in machines:
        yield from ("", f"### {machine.name}", "", machine.description)
        yield from (
            "",
            "| memory | bytes | port bits | holds | tag of the size | source of the size |",
            "|---|---|---|---|---|---|",
        )
        for memory in machine.memories:
            size = machine.evidence[f"memories.{memory.name}.bytes"]
            holds = ", ".join(f"`{glob}`" for glob in memory.holds)
            yield f"| {memory.name} | {memory.bytes} | {memory.port_bits} | {holds} | {size.tag} | {size.source} |"
    yield ""


def _figures(kind: Any = Target, path: str = "") -> Iterator[tuple[str, Figure]]:
    """Every field of a target file with its path; NAME stands for a part of the user's naming."""
    for key, (shape, part) in fields_of(kind).items():
        if isinstance(part, Figure):
            yield path + key, part
        else:
            middle = ".NAME" if shape is tuple else f".{{{','.join(ENGINES)}}}" if shape is Mapping else ""
            yield from _figures(part, f"{path}{key}{middle}.")


def _cell(machine: Target, path: str, figure: Figure) -> str:
    value: Any = machine
    for part in path.split("."):
        value = machine.engines[part] if part in ENGINES else getattr(value, part)
    shown = " ".join(value) if figure.rule == "list" else f"{value}"
    return f"{shown} ({machine.evidence[path].tag})"


def pages() -> dict[Path, str]:
    """The text that each generated page should have."""
    return {FOLDER / "instructions.md": instructions_page(), FOLDER / "targets.md": targets_page()}


if __name__ == "__main__":
    assert (FOLDER.parent / "pyproject.toml").exists(), "the manual is written in a checkout only"
    FOLDER.mkdir(exist_ok=True)
    for page, text in pages().items():
        page.write_text(text, "utf-8")
