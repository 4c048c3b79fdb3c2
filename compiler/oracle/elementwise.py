"""An expression at every element, with states that are carried over time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...numerics import elementary, random
from ..ir.expression import Expression
from ..ir.statement import Elementwise, loop
from .layout import Array, Loops, Types, number_of, place, seen
from .numbers import Numerics
from .stepping import in_step

Function = Callable[[Array], Array]


def _mask(found: NDArray[np.bool_]) -> Array:
    """1.0 where found, else 0.0."""
    return found.astype(np.float32)


def _smaller(left: Array, right: Array) -> Array:
    """The first of equals; NaN where either is."""
    return np.where(np.isnan(left) | (left <= right), left, right)


def _larger(left: Array, right: Array) -> Array:
    """The first of equals; NaN where either is."""
    return np.where(np.isnan(left) | (left >= right), left, right)


_BINARY: dict[str, Callable[[Array, Array], Array]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "min": _smaller,
    "max": _larger,
    "ge": lambda left, right: _mask(left >= right),
    "gt": lambda left, right: _mask(left > right),
    "le": lambda left, right: _mask(left <= right),
    "lt": lambda left, right: _mask(left < right),
    "eq": lambda left, right: _mask(left == right),
    "ne": lambda left, right: _mask(left != right),
    "and": lambda left, right: _mask((left != 0) & (right != 0)),
    "or": lambda left, right: _mask((left != 0) | (right != 0)),
}
_PLAIN: dict[str, Function] = {
    "neg": np.negative,
    "abs": np.abs,
    "floor": np.floor,
    "rint": np.rint,
    "not": lambda value: _mask(value == 0),
}
_MATHEMATICAL: dict[str, Function] = {
    "exp": np.exp,
    "log": np.log,
    "tanh": np.tanh,
    "cos": np.cos,
    "sqrt": np.sqrt,
}


@dataclass
class Moment:
    """What leaves of an expression mean in one step."""

    inputs: Mapping[str, Array]
    states: Mapping[str, Array]
    arguments: Mapping[str, float]
    random: Mapping[str, Array]
    indices: Mapping[str, Array]


@dataclass(frozen=True)
class Evaluator:
    """Computes expressions over arrays of one axis a loop; reductions run over the last ones, of extents *reduced*."""

    numerics: Numerics
    reduced: tuple[int, ...]

    def values(self, order: Iterable[Expression], moment: Moment) -> dict[int, Array]:
        """The value of each expression by its identity, arguments before their users."""
        known: dict[int, Array] = {}
        with np.errstate(all="ignore"):
            for expression in order:
                known[id(expression)] = self._value(expression, [known[id(arg)] for arg in expression.args], moment)
        return known

    def _value(self, expression: Expression, args: list[Array], moment: Moment) -> Array:
        """One operation, rounded once."""
        lane = self.numerics.lane
        match expression.op:
            case "constant":
                return np.asarray(expression.value, lane)
            case "input":
                return moment.inputs[expression.name].astype(lane, copy=False)
            case "state":
                return moment.states[expression.name].astype(lane, copy=False)
            case "argument":
                return np.asarray(moment.arguments[expression.name], lane)
            case "index":
                return moment.indices[expression.name].astype(lane, copy=False)
            case "edge":
                return self.numerics.edge(args[0], expression.name).astype(lane, copy=False)
            case "uniform" | "normal":
                draw = random.uniform if expression.op == "uniform" else random.normal
                seed, step = int(moment.arguments["seed"]), int(moment.arguments["step"])
                drawn = draw(moment.random[expression.name], seed, random.stream_of(expression.name), step)
                return drawn.astype(lane, copy=False)
            case "select":
                return np.where(args[0] != 0, args[1], args[2])
            case "rsum" | "rmax" | "rmin":
                return self._reduced(expression.op, args[0])
            case op if op in _BINARY:
                return np.asarray(_BINARY[op](args[0], args[1])).astype(lane, copy=False)
            case op if op in _PLAIN:
                return np.asarray(_PLAIN[op](args[0])).astype(lane, copy=False)
            case op if op in _MATHEMATICAL:
                return _MATHEMATICAL[op](args[0]) if self.numerics.mathematical else elementary.FUNCTIONS[op](args[0])
            case op:
                raise ValueError(f"there is no operation {op!r}")

    def _reduced(self, op: str, value: Array) -> Array:
        """Over the last axes, ascending, the last one fastest; a sum begins at +0."""
        axes = len(self.reduced)
        outer = value.shape[: max(value.ndim - axes, 0)]
        full = np.broadcast_to(value, outer + self.reduced).reshape(*outer, -1)
        kept = (*outer, *(1 for _ in self.reduced))
        if op == "rsum":
            total = np.zeros(outer, self.numerics.lane)
            for place in range(full.shape[-1]):
                total = total + full[..., place]
            return total.reshape(kept)
        pick = _larger if op == "rmax" else _smaller
        result = full[..., 0]
        for place in range(1, full.shape[-1]):
            result = pick(result, full[..., place])
        return result.reshape(kept)


def run(
    statement: Elementwise,
    values: Mapping[str, Array],
    targets: Mapping[str, Array],
    types: Types,
    numerics: Numerics,
    arguments: Mapping[str, float],
    chosen: Sequence[int] | None = None,
) -> None:
    """Write every target of the statement.

    A statement without states has no before and after: its time is one more loop of the element.  One that has passes
    through the *chosen* steps only, where there are such.
    """
    if statement.steps and not statement.states and not any(write.last for write in statement.writes):
        loops: Loops = (("t", statement.steps), *statement.loops)
        _step(statement, loops, 0, {}, values, targets, types, numerics, arguments, final=True)
        return
    states = begin(statement, numerics)
    steps = chosen if chosen is not None and statement.steps else range(max(statement.steps, 1))
    for step in steps:
        final = step == steps[-1]
        states = advance(statement, step, states, values, targets, types, numerics, arguments, final)


def begin(statement: Elementwise, numerics: Numerics) -> dict[str, Array]:
    """The carried states before the first step."""
    shape = (1,) * len(statement.loops)
    return {
        state.name: numerics.edge(np.full(shape, state.initial, numerics.lane), state.format)
        for state in statement.states
    }


def advance(
    statement: Elementwise,
    step: int,
    states: Mapping[str, Array],
    values: Mapping[str, Array],
    targets: Mapping[str, Array],
    types: Types,
    numerics: Numerics,
    arguments: Mapping[str, float],
    final: bool,
) -> dict[str, Array]:
    """Take one step of time from *states*, of all the *final* one or not; the states after it."""
    now = in_step(statement, step) if statement.steps else statement
    assert isinstance(now, Elementwise)
    return _step(now, now.loops, step, states, values, targets, types, numerics, arguments, final)


def _step(
    statement: Elementwise,
    loops: Loops,
    step: int,
    states: Mapping[str, Array],
    values: Mapping[str, Array],
    targets: Mapping[str, Array],
    types: Types,
    numerics: Numerics,
    arguments: Mapping[str, float],
    final: bool,
) -> dict[str, Array]:
    """One step: everything is read, then all is written; the states after it."""
    shape = tuple(extent for _, extent in loops)
    writes = [write for write in statement.writes if final or not write.last]
    roots = [state.next for state in statement.states] + [write.expression for write in writes]
    order = list({id(part): part for root in roots for part in root.walk()}.values())
    keys = {name: number_of(index, loops) for name, index in statement.random.items()}
    moment = Moment(
        inputs={name: seen(values[access.value], access, loops) for name, access in statement.reads.items()},
        states=states,
        arguments=arguments,
        random=keys,
        indices={"t": np.asarray(step)} | {name: number_of(loop(name), loops) for name, _ in loops},
    )
    reduced = shape[len(shape) - statement.over :] if shape else (1,)
    known = Evaluator(numerics, reduced).values(order, moment)
    rank = len(shape)
    for write in writes:
        rounded = numerics.edge(known[id(write.expression)], types[write.target.value].format)
        window = place(targets[write.target.value], write.target, loops)
        full = np.broadcast_to(rounded, shape)
        window[...] = full[tuple(slice(0, 1) if window.shape[k] < shape[k] else slice(None) for k in range(rank))]
    return {state.name: numerics.edge(known[id(state.next)], state.format) for state in statement.states}
