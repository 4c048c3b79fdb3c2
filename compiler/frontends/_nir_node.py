"""What reading every kind of NIR node needs: its fields as numbers, one for all elements or one for each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from ...source import Place
from ..ir.graph import Setting, Settings
from ._building import Builder, Value
from ._nir_file import Written
from .frontend import Array

Number: TypeAlias = float | Array
"""A constant that is the same for all elements; or f64 in the shape of the elements, which are not all the same."""

WEIGHTS = frozenset({"Linear", "Affine"})


@dataclass
class Reading:
    """One way through a file: where nodes go, the time step, and what neurons are given that NIR does not say.

    *turned* takes square weights as ``[in, out]``; *fits* gathers how the weights fit that are not square, and *slow*
    the nodes whose state hardly moves in a step.
    """

    builder: Builder
    dt: float
    neuron: Settings
    turned: bool = False
    fits: set[Literal["straight", "turned"]] = field(default_factory=set[Literal["straight", "turned"]])
    slow: list[str] = field(default_factory=list[str])

    def place(self, node: Written) -> Place:
        """Where *node* is."""
        return self.builder.place(node.name)

    def repair(self, node: Written, message: str) -> None:
        """Something that has one meaning in spite of the file."""
        self.builder.note("repair", self.place(node), message)

    def assume(self, node: Written, message: str) -> None:
        """Something that the file does not say."""
        self.builder.note("assumption", self.place(node), message)

    def fault(self, node: Written, message: str, *hints: str) -> None:
        """Something that cannot be read."""
        self.builder.fault(self.place(node), message, *hints)

    def add(
        self,
        node: Written,
        op: str,
        operands: tuple[Value | None, ...],
        settings: Settings,
        part: str = "",
        parameters: Mapping[str, Array] | None = None,
    ) -> Value | None:
        """An operator called after the node, or after a *part* of it."""
        wanted = f"{node.name}.{part}" if part else node.name
        return self.builder.add(op, operands, settings, wanted, self.place(node), parameters)

    def array(self, node: Written, name: str, rank: int | None = None) -> Array | None:
        """A field that the node must have, in f64 and finite."""
        found = node.numbers.get(name)
        if found is None:
            self.fault(node, f"this {node.kind} has no {name}")
            return None
        if rank is not None and found.ndim != rank:
            self.fault(node, f"{name} of {node.kind} has {rank} axes, not {list(found.shape)}")
            return None
        if not (np.abs(found.astype(np.float64)) <= np.finfo(np.float32).max).all():
            self.fault(node, f"{name} has elements that are not finite")
            return None
        return found

    def constants(self, node: Written, x: Value, **wanted: float | None) -> dict[str, Number] | None:
        """Fields with a number for each element of *x*, by name; those that are left out have the value *wanted*.

        What is one number for all elements, or one for each channel, is spread; None where one of them cannot be had.
        """
        found: dict[str, Number] = {}
        alone: list[str] = []
        missing: list[str] = []
        for name, default in wanted.items():
            if name not in node.numbers and default is not None:
                found[name] = default
                missing.append(f"{name} ({default:g} is taken)")
                continue
            array = self.array(node, name)
            if array is None:
                continue
            values = array.astype(np.float64)
            if values.size == 1 and x.type.elements > 1:
                alone.append(name)
            spread = _spread(values, x.type.factors, x.type.shape)
            if spread is None:
                there, here = list(values.shape), list(x.type.shape)
                self.fault(node, f"{name} is {there}, and what comes in is {here}")
                continue
            found[name] = float(spread.flat[0]) if (spread == spread.flat[0]).all() else spread
        if missing:
            self.repair(node, f"has no {', '.join(missing)}")
        if alone:
            self.repair(node, f"{', '.join(alone)}: one number is taken for all elements")
        return found if len(found) == len(wanted) else None

    def share(self, node: Written, name: str, tau: Number) -> Number | None:
        """``dt / tau``, the part of the way to its rest that a state goes in a step of forward Euler."""
        if np.any(tau == 0):
            self.fault(node, f"{name} is 0")
            return None
        share = self.dt / tau
        if np.any(share > 1 + 1e-9):
            least = float(np.min(np.where(np.asarray(tau) > 0, tau, np.inf)))
            told = f"a step of {self.dt:g} is longer than {name} = {least:g}, so forward Euler overshoots"
            self.fault(node, told, f"--dt {least / 10:.1g}")
            return None
        if (count := int(np.sum(np.asarray(tau) < 0))) > 0:
            told = "its state would grow by itself" if isinstance(tau, float) else f"{count} states would grow"
            self.builder.note("warning", self.place(node), f"{name} is below 0: {told}; a decay of 1 is taken")
        if np.all(np.abs(share) < 1e-4 * (1 - 1e-9)):
            self.slow.append(node.name)
        return share

    def scaled(self, node: Written, x: Value | None, factor: Number, part: str, told: str = "") -> Value | None:
        """*x* times *factor*, which training changes; *told* says why it is there."""
        if x is None or (not isinstance(factor, np.ndarray) and factor == 1.0):
            return x
        if told:
            self.assume(node, f"{told}: a scale before it, which training changes")
        each, w = factors_of(factor, x)
        return self.add(node, "scale", (x,), {"each": each}, part, {"w": w})


Kind = Callable[[Reading, Written, Value], Value | None]
"""Adds what a node of one kind is to the network; None where that failed, and a fault says why."""


def retained(share: Number) -> Number:
    """The decay of a state: what is left of it after a step, never more than all."""
    return tidy(np.minimum(1.0 - share, 1.0))


def tidy(value: Number) -> Number:
    """To 12 digits: so 1 - 1e-4 / 1e-3 is 0.9, and files in f32 lose nothing."""
    if not isinstance(value, np.ndarray) or value.ndim == 0:
        return float(f"{float(value):.12g}")
    digits = 11 - np.floor(np.log10(np.where(value == 0, 1.0, np.abs(value))))
    unit = 10.0**-digits
    found: Array = np.round(value / unit) * unit
    first = found.flat[0]
    return float(first) if (found == first).all() else found


def factors_of(factor: Number, x: Value) -> tuple[str, Array]:
    """Who has a factor of its own, as a setting of `scale`, and the factors as its parameter."""
    if not isinstance(factor, np.ndarray):
        return "layer", np.asarray(factor)
    channels = channelwise(factor)
    return ("element", factor.reshape(x.type.shape)) if channels is None else ("channel", channels)


def channelwise(values: Array) -> Array | None:
    """The number of each channel, where all elements of a channel have the same."""
    channels = values.reshape(values.shape[0], -1)
    return channels[:, 0] if (channels == channels[:, :1]).all() else None


def initial(value: Number) -> float:
    """The setting beside learned constants: their mean."""
    return float(tidy(float(np.mean(value))))


def numbers(node: Written, name: str, default: int) -> tuple[int, ...] | None:
    """A field of whole numbers, one or more; None where it holds others."""
    found = node.numbers.get(name)
    if found is None:
        return (default,)
    values = np.ravel(found).tolist()
    if not values or any(not math.isfinite(value) or value != int(value) for value in values):
        return None
    return tuple(int(value) for value in values)


def setting(values: tuple[int, ...]) -> Setting:
    """Whole numbers as a setting."""
    return values[0] if len(values) == 1 else values


def _spread(values: Array, factors: tuple[int, ...], shape: tuple[int, ...]) -> Array | None:
    """*values* for each element in the shape *factors*; None where they fit neither elements nor channels."""
    count = math.prod(factors)
    if values.size == 1:
        return np.full(factors, values.reshape(-1)[0])
    if values.size == count:
        return values.reshape(factors)
    squeezed = tuple(extent for extent in values.shape if extent != 1)
    if squeezed == shape[:1]:
        return np.broadcast_to(values.reshape((-1, *(1,) * (len(shape) - 1))), shape).reshape(factors)
    return None
