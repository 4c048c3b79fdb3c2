"""Runs of instructions that define view registers: the same registers every time, made once and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .instruction import Instruction
from .registers import ViewRegister


@dataclass
class Definitions:
    """Instructions up to *end* that define the view registers *numbers*; once they have run, what came of them."""

    end: int
    numbers: set[int] = field(default_factory=set[int])
    registers: list[tuple[int, ViewRegister]] = field(default_factory=list[tuple[int, ViewRegister]])


def definitions_of(instructions: Sequence[Instruction]) -> dict[int, Definitions]:
    """Runs of instructions that define view registers, each register from its ``view`` on, by the first's number."""
    found: dict[int, Definitions] = {}
    run: Definitions | None = None
    for place, instruction in enumerate(instructions):
        if instruction.mnemonic not in ("view", "turn", "axis", "span", "coded", "grid"):
            run = None
            continue
        number = int(getattr(instruction, "view"))  # noqa: B009, its class imports what imports this module
        if instruction.mnemonic == "view":
            if run is None:
                run = found[place] = Definitions(place)
            run.numbers.add(number)
        elif run is not None and number not in run.numbers:
            run = None
        if run is not None:
            run.end = place + 1
    return found
