"""Graphs: the network as the user wrote it, and the training graph that a learning rule makes of it.

Both are lists of nodes in the order of data; a value has one name and is made once.  The text of either is the
`.snn` language, see `text`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from ...source import NOWHERE, Place
from .types import Type
from .working import WORKING

Setting = bool | int | float | str | tuple["Setting", ...]
Settings = Mapping[str, Setting]
Sweep = Literal["once", "up", "down", "chosen"]
Phase = Literal["FP", "BP", "WG", "UP"]

WORKING_FORMAT = "working_format"
"""The setting of a training graph that names its working format; without it, that is `WORKING`."""


@dataclass(frozen=True)
class Port:
    """An input of the network: always batched; *timed* in its type where every step has its own.

    *sizes* names the setting of the network that an axis is as long as; "" for an axis that is a number.
    """

    name: str
    type: Type
    place: Place = field(default=NOWHERE, compare=False)
    sizes: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Node:
    """``results = op(operands, settings) : types``.

    *op* names a class of `compiler.ops`, or a facet of one after a dot (``conv2d.d_w``).  *layer* is the name of the
    user's node that this one serves, *phase* the family of work it belongs to (empty in networks).
    """

    results: tuple[str, ...]
    op: str
    operands: tuple[str, ...] = ()
    settings: Settings = field(default_factory=dict[str, Setting])
    types: tuple[Type, ...] = ()
    layer: str = ""
    phase: str = ""
    place: Place = field(default=NOWHERE, compare=False)


@dataclass(frozen=True)
class Network:
    """A network with every type known and every parameter explicit; what `--emit graph` shows.

    *train* holds the settings of the ``train { }`` section (loss, optimizer, schedule, rule, ...) as written;
    *places* tells where each of them stands (``schedule``), and each setting of a call (``schedule.every``).
    """

    name: str
    ports: tuple[Port, ...]
    steps: int
    nodes: tuple[Node, ...]
    results: tuple[str, ...]
    train: Settings = field(default_factory=dict[str, Setting])
    place: Place = field(default=NOWHERE, compare=False)
    places: Mapping[str, Place] = field(default_factory=dict[str, Place], compare=False)

    @property
    def types(self) -> dict[str, Type]:
        """Type of every value by name, ports included."""
        known = {port.name: port.type for port in self.ports}
        for node in self.nodes:
            known.update(zip(node.results, node.types, strict=True))
        return known

    def producer(self, value: str) -> Node | None:
        """The node that makes *value*; None for a port."""
        return next((node for node in self.nodes if value in node.results), None)


@dataclass(frozen=True)
class Region:
    """Nodes that run once, in every time step from first to last (``up``) or last to first (``down``), or in some.

    An ``up`` region may have its own number of *steps* (0: those of the training graph), and so do values made there.
    Nodes of a ``chosen`` region belong to the stepwise sweep upwards before it, and follow in *turns* of its steps,
    which the host chooses (see `chosen_words`).

    Inside a sweep, carried state belongs to the node that carries it (a neuron's membrane), starts afresh with the
    sweep and is gone after it.  A timed value made in one region and used in a later one is tape.  *stepwise* lets all
    nodes take a step of time before any takes the next, so that what no other step reads needs room for one step.

    Regions that follow one another and have the same *window*, other than 0, take so many steps together, all of these
    regions one after the other, before any of them takes the next so many.  The state of a sweep upwards goes on from
    window to window; a sweep downwards begins afresh in each, and what it would read of windows to come is 0.  What
    does not change with time is made anew in each window.
    """

    sweep: Sweep
    nodes: tuple[Node, ...]
    stepwise: bool = False
    turns: int = 0
    steps: int = 0
    window: int = 0


def chosen_words(steps: int) -> tuple[str, ...]:
    """The host's scalars that choose among *steps* steps: bit i of word k stands for step 32 k + i."""
    return tuple(f"chosen{word}" for word in range(-(-steps // 32)))


@dataclass(frozen=True)
class Procedure:
    """An entry point: *init*, *train_step* or *infer*; its inputs, regions in order, and results for the host."""

    name: str
    inputs: tuple[str, ...]
    regions: tuple[Region, ...]
    results: tuple[str, ...]

    @property
    def sweeps(self) -> Iterator[tuple[int, Region]]:
        """Every region with the number of the pass over time that it belongs to: a chosen one to that before it."""
        number = 0
        for region in self.regions:
            number += region.sweep != "chosen"
            yield number, region

    @property
    def windows(self) -> Iterator[tuple[int, tuple[Region, ...]]]:
        """Runs of regions that take windows of time together, with the steps of a window; others with 0."""
        for window, regions in groupby(self.regions, lambda region: region.window):
            yield window, tuple(regions)

    @property
    def nodes(self) -> Iterator[Node]:
        """Every node in order."""
        return (node for region in self.regions for node in region.nodes)


@dataclass(frozen=True)
class Variable:
    """A value that stays in DRAM from entry to entry: parameters, master weights, optimizer state; and host inputs.

    *role* is input, label, parameter, master, optimizer, statistic, feedback or constant.
    """

    name: str
    type: Type
    role: str
    layer: str = ""


@dataclass(frozen=True)
class Training:
    """The training graph: all entry points over one set of variables.  The oracle runs it, the compiler maps it.

    A node may write a variable (an optimizer writes new parameters): then its name is the variable's.  *arguments*
    are the host's scalars by name (``learning_rate`` ...) with their kind, f32 or u32.  *settings* are the resolved
    settings of the host (loss, optimizer, schedule, loss_scale, coding, rule).
    """

    name: str
    steps: int
    batch: int
    variables: tuple[Variable, ...]
    arguments: tuple[tuple[str, str], ...]
    procedures: tuple[Procedure, ...]
    settings: Settings = field(default_factory=dict[str, Setting])

    @property
    def working(self) -> str:
        """The working format, in which its types are."""
        return str(self.settings.get(WORKING_FORMAT, WORKING))

    @property
    def types(self) -> dict[str, Type]:
        """Type of every variable by name.  Values of a procedure: see `values`."""
        return {variable.name: variable.type for variable in self.variables}

    def values(self, procedure: Procedure) -> dict[str, Type]:
        """Type of everything that is visible in *procedure*."""
        known = self.types
        for node in procedure.nodes:
            known.update(zip(node.results, node.types, strict=True))
        return known

    def steps_of(self, region: Region) -> int:
        """Steps of time of *region*: its own, or those of all."""
        return region.steps or self.steps

    def procedure(self, name: str) -> Procedure:
        """The entry point called *name*; KeyError when there is none."""
        return {procedure.name: procedure for procedure in self.procedures}[name]

    @property
    def hash(self) -> str:
        """SHA-256 of the graph's text: equal hashes, equal mathematics."""
        from .text import print_training

        return hashlib.sha256(print_training(self).encode()).hexdigest()
