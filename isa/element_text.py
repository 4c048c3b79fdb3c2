"""Element programs as text: a line an operation, operands by name.

element lif.step(x, v, s):
    r0 = load x
    r1 = carry v, 0.0
    r2 = add r0, r1
    store s, r2
"""

from __future__ import annotations

import re

import numpy as np

from .element import ElementProgram, Lane

_HEAD = re.compile(r"element\s+(\S*?)\(([^()]*)\):$")
_RANDOM = ("seed", "step", "stream")


def write(program: ElementProgram) -> str:
    """The text of *program*; `read` undoes it."""
    lines = [f"element {program.name}({', '.join(program.operands)}):"]
    lines += [f"    {_line(lane, program.operands)}" for lane in program.lanes]
    return "\n".join(lines)


def read(text: str) -> ElementProgram:
    """The program in *text*; blank lines and what follows ``;`` are skipped.  ValueError tells the line."""
    program: tuple[str, tuple[str, ...]] | None = None
    lanes: list[Lane] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.partition(";")[0].strip()
        if not line:
            continue
        try:
            if program is None:
                program = _head(line)
            else:
                lanes.append(_lane(line, program[1]))
        except (ValueError, LookupError) as problem:
            raise ValueError(f"line {number}: {problem}") from problem
    if program is None:
        raise ValueError("expected element NAME(OPERANDS):")
    return ElementProgram(*program, tuple(lanes))


def _line(lane: Lane, operands: tuple[str, ...]) -> str:
    """One operation as text."""
    match lane.operation.form:
        case "store":
            return f"store {operands[lane.b]}, r{lane.a}"
        case "load":
            rest = operands[lane.a]
        case "carry":
            rest = f"{operands[lane.a]}, {_number(lane.value)}"
        case "argument":
            rest = str(lane.a)
        case "const":
            rest = _number(lane.value)
        case "random":
            rest = f"{operands[lane.a]}, seed={lane.b}, step={lane.c}, stream={int(lane.value)}"
        case _:
            rest = ", ".join(f"r{register}" for register in lane.registers)
    return f"r{lane.dst} = {lane.op} {rest}"


def _number(value: float) -> str:
    """The shortest text that is this f32."""
    return str(np.float32(value))


def _head(line: str) -> tuple[str, tuple[str, ...]]:
    """(name, operands) of the first line."""
    found = _HEAD.match(line)
    if found is None:
        raise ValueError(f"expected element NAME(OPERANDS):, found {line!r}")
    return found[1], tuple(part.strip() for part in found[2].split(",") if part.strip())


def _lane(line: str, operands: tuple[str, ...]) -> Lane:
    """One operation read back."""
    target, equals, code = line.partition(" = ")
    dst, code = (_register(target.strip()), code.strip()) if equals else (0, line)
    op, _, rest = code.partition(" ")
    parts = [part.strip() for part in rest.split(",")] if rest.strip() else []
    form = Lane(op).operation.form
    if bool(equals) == (form == "store"):
        raise ValueError(f"{op} writes {'an operand, not a register' if equals else 'a register: rN = ...'}")
    wanted = {"carry": 2, "binary": 2, "select": 3, "random": 4, "store": 2}.get(form, 1)
    if len(parts) != wanted:
        raise ValueError(f"{op} takes {wanted} operands, found {len(parts)}")
    match form:
        case "store":
            return Lane(op, a=_register(parts[1]), b=_operand(parts[0], operands))
        case "load":
            return Lane(op, dst, _operand(parts[0], operands))
        case "carry":
            return Lane(op, dst, _operand(parts[0], operands), value=float(parts[1]))
        case "argument":
            return Lane(op, dst, int(parts[0]))
        case "const":
            return Lane(op, dst, value=float(parts[0]))
        case "random":
            seed, step, stream = (_named(name, part) for name, part in zip(_RANDOM, parts[1:], strict=True))
            return Lane(op, dst, _operand(parts[0], operands), seed, step, stream)
        case _:
            return Lane(op, dst, *(_register(part) for part in parts))


def _register(text: str) -> int:
    """N of ``rN``."""
    if not text.startswith("r") or not text[1:].isdecimal():
        raise ValueError(f"expected a register rN, found {text!r}")
    return int(text[1:])


def _operand(text: str, operands: tuple[str, ...]) -> int:
    """The number of the operand called *text*."""
    if text not in operands:
        raise ValueError(f"no operand is called {text!r}; there are: {', '.join(operands)}")
    return operands.index(text)


def _named(name: str, text: str) -> int:
    """N of ``name=N``."""
    written, equals, number = text.partition("=")
    if not equals or written.strip() != name or not number.strip().isdecimal():
        raise ValueError(f"expected {name}=NUMBER, found {text!r}")
    return int(number)
