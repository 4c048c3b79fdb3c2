"""Element programs from element expressions: one lane operation an expression node, in the order of arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...isa.element import REGISTERS, ElementProgram, Lane
from ...numerics.formats import FORMATS, round_to
from ...numerics.random import stream_of
from ..ir.expression import Expression
from ..ir.statement import Elementwise


@dataclass(frozen=True)
class Lowered:
    """An element program and what its operands are: buffers by use, or ``index:LOOP`` and ``random:TENSOR``."""

    program: ElementProgram
    uses: tuple[str, ...]


class TooLong(Exception):
    """An expression for which there are not enough registers."""


class _Registers:
    """Lane code under construction; equal operations on equal registers share one."""

    def __init__(self, uses: tuple[str, ...], arguments: Mapping[str, int]) -> None:
        self.uses = list(uses)
        self.arguments = arguments
        self.lanes: list[Lane] = []
        self.done: dict[int, int] = {}
        self.known: dict[tuple[object, ...], int] = {}

    def operand(self, use: str) -> int:
        if use not in self.uses:
            self.uses.append(use)
        return self.uses.index(use)

    def emit(self, op: str, a: int = 0, b: int = 0, c: int = 0, value: float = 0.0) -> int:
        key = (op, a, b, c, repr(value))
        if key not in self.known:
            if len(self.known) == REGISTERS:
                raise TooLong(f"takes more than the {REGISTERS} registers that an element program has")
            self.known[key] = len(self.known)
            self.lanes.append(Lane(op, self.known[key], a, b, c, value))
        return self.known[key]

    def put(self, root: Expression, initial: Mapping[str, float], unsigned: frozenset[str]) -> int:
        for node in root.walk():
            if id(node) not in self.done:
                self.done[id(node)] = self._node(node, initial, unsigned)
        return self.done[id(root)]

    def _node(self, node: Expression, initial: Mapping[str, float], unsigned: frozenset[str]) -> int:
        registers = [self.done[id(arg)] for arg in node.args]
        match node.op:
            case "constant":
                return self.emit("const", value=node.value)
            case "input":
                return self.emit("load", self.operand(node.name))
            case "state":
                return self.emit("carry", self.operand(f"state.{node.name}"), value=initial[node.name])
            case "argument":
                op = "uscalar" if node.name in unsigned else "scalar"
                return self.emit(op, self.arguments[node.name])
            case "index":
                return self.emit("load", self.operand(f"index:{node.name}"))
            case "edge":
                return registers[0] if node.name == "f32" else self.emit(f"to_{node.name}", registers[0])
            case "uniform" | "normal":
                where = self.operand(f"random:{node.name}")
                seed, step = self.arguments["seed"], self.arguments["step"]
                return self.emit(node.op, where, seed, step, stream_of(node.name))
            case "select":
                condition, yes, no = registers
                return self.emit("select", yes, no, condition)
            case _:
                return self.emit(node.op, *registers)


def lower_elements(
    statement: Elementwise, name: str, arguments: Mapping[str, int], unsigned: frozenset[str]
) -> Lowered:
    """The element program of *statement*; its operands are reads, states and writes, then indices.

    *arguments* are the numbers of the host's scalars, *unsigned* those that are whole numbers.  States are written
    after everything has been read, so a step sees what the step before left.
    """
    writes = tuple(f"out{number}" for number in range(len(statement.writes)))
    states = tuple(f"state.{state.name}" for state in statement.states)
    moved = tuple(f"out.{state.name}" for state in statement.states if state.home is not None)
    code = _Registers((*statement.reads, *states, *writes, *moved), arguments)
    initial = {
        state.name: float(round_to(np.float64(state.initial), FORMATS[state.format])) for state in statement.states
    }
    values = [code.put(write.expression, initial, unsigned) for write in statement.writes]
    carried = [code.put(state.next, initial, unsigned) for state in statement.states]
    stores = list(zip(values, writes, strict=True))
    for register, use, state in zip(carried, states, statement.states, strict=True):
        if state.home is None or state.stays:
            stores.append((register, use))
        if state.home is not None:
            stores.append((register, f"out.{state.name}"))
    for register, use in stores:
        code.lanes.append(Lane("store", 0, register, code.operand(use)))
    return Lowered(ElementProgram(name, tuple(code.uses), tuple(code.lanes)), tuple(code.uses))
