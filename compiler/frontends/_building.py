"""A network in the making, for frontends of files that hold graphs: names, types, parameters, and all that is wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from ...source import Faults, Place, SourceError
from ..ir.cycles import clusters
from ..ir.graph import Network, Node, Port, Setting, Settings
from ..ir.types import Type
from ..ir.values import is_name
from ..ops.op import OPS, SettingFault, ShapeFault, called
from .frontend import Array, Imported, Kind, Note

MOST_ELEMENTS = 1 << 24
"""Elements of a value in one step of one sample: no layer that there is has as many."""


@dataclass(frozen=True)
class Value:
    """A value of the network and its type."""

    name: str
    type: Type


class Builder:
    """Nodes are added in the order of data; each fault is collected, and what depends on it is passed over in silence.

    A method that makes a value gives None where that failed, and takes None for an operand that failed before.
    """

    def __init__(self, name: str, file: str) -> None:
        self.file = file
        self.faults = Faults(SourceError)
        self.notes: list[Note] = []
        self.parameters: dict[str, Array] = {}
        self._name = spelled(name) or "network"
        self._ports: list[Port] = []
        self._nodes: list[Node] = []
        self._taken: set[str] = set()

    def place(self, node: str = "") -> Place:
        """Where *node* of the file is, as errors and notes name it."""
        return Place(f"{self.file}, node {node}" if node else self.file)

    def note(self, kind: Kind, place: Place, message: str) -> None:
        """Tell the user; the same is told once."""
        note = Note(kind, place, message)
        if note not in self.notes:
            self.notes.append(note)

    def fault(self, place: Place, message: str, *hints: str) -> None:
        """Something that cannot be read."""
        self.faults.add(place, message, hints=hints)

    def claim(self, wanted: str) -> str:
        """A name of the language like *wanted*, which nothing else has."""
        name = spelled(wanted) or "value"
        if name.startswith("d."):  # what gradients are called
            name = f"x{name}"
        free, number = name, 0
        while free in self._taken:
            number += 1
            free = f"{name}.{number}"
        self._taken.add(free)
        return free

    def port(self, wanted: str, type: Type, place: Place) -> Value:
        """An input of the network."""
        self._check_size(type, place)
        name = self.claim(wanted)
        self._ports.append(Port(name, type.with_(batched=True), place))
        return Value(name, self._ports[-1].type)

    def add(
        self,
        op: str,
        operands: Sequence[Value | None],
        settings: Settings,
        wanted: str,
        place: Place,
        parameters: Mapping[str, Array] | None = None,
    ) -> Value | None:
        """The first result of an operator; *parameters* by the names that the operator gives them.

        Those that the file does not have take the constant with which the operator begins; without one it is a fault.
        Settings that the file does not say are the operator's defaults.
        """
        if any(operand is None for operand in operands):
            return None
        known = [cast(Value, operand) for operand in operands]
        kind = OPS[op]
        try:
            made = kind.make(settings)
            roles = made.parameter_types(*(value.type for value in known))
            types = made.infer(*(value.type for value in known))
            if not all(self._check_size(type, place) for type in types):
                return None
        except (SettingFault, ShapeFault) as fault:
            self.fault(place, fault.message)
            return None
        given = dict(parameters or {})
        for role, (type, init) in roles.items():
            if role not in given and (value := _constant(init)) is not None:
                given[role] = np.full(type.shape, value, np.float32)
        unfit = False
        for role in roles.keys() - given.keys():
            self.fault(place, f"the file has no {role} of {op}")
            unfit = True
        for role, array in given.items():
            if role not in roles:
                self.fault(place, f"{op} has no parameter {role} with these settings")
                unfit = True
            elif array.shape != roles[role][0].shape:
                self.fault(place, f"{role} of {op} is {list(roles[role][0].shape)}, not {list(array.shape)}")
                unfit = True
            elif not np.isfinite(array).all():
                self.fault(place, f"{role} of {op} has elements that are not finite")
                unfit = True
        if unfit:
            return None
        name = self.claim(wanted)
        names = [self._parameter(name, role, *told, given[role], place) for role, told in roles.items()]
        results = (name, *(self.claim(f"{name}.{suffix}") for suffix in made.suffixes[1:]))
        explicit = {key: cast(Setting, getattr(made, key)) for key in kind.settings()}
        self._nodes.append(Node(results, op, (*(v.name for v in known), *names), explicit, types, place=place))
        return Value(name, types[0])

    def later(self, type: Type, wanted: str, place: Place, steps: int = 1) -> Value:
        """What a value that is made further on was in the step before, or some *steps* before; `close` says which."""
        name = self.claim(wanted)
        type = type.with_(timed=True, batched=True)
        self._nodes.append(Node((name,), "delay", (), {"steps": steps}, (type,), place=place))
        return Value(name, type)

    def close(self, later: Value, value: Value | None) -> None:
        """*later* is the delay of *value*."""
        if value is None:
            return
        number = next(k for k, node in enumerate(self._nodes) if node.results == (later.name,))
        if value.type != later.type:
            self.fault(self._nodes[number].place, f"{later.name} is {later.type}, and {value.name} is {value.type}")
        self._nodes[number] = replace(self._nodes[number], operands=(value.name,))

    def finish(self, results: Sequence[Value | None], steps: int, train: Settings | None = None) -> Imported:
        """The network; SourceError with everything that was wrong."""
        if not results:
            self.fault(self.place(), "the network has no result")
        if not len(self.faults):
            for cluster in clusters(self._nodes):
                if len(cluster) > 1 and not any(node.op == "delay" for node in cluster):
                    self.fault(cluster[0].place, "values wait for one another in a cycle without a delay")
        self.faults.throw()
        names = tuple(cast(Value, result).name for result in results)
        network = Network(
            self._name, tuple(self._ports), steps, tuple(self._nodes), names, dict(train or {}), self.place()
        )
        return Imported(network, self.parameters, tuple(self.notes))

    def _check_size(self, type: Type, place: Place) -> bool:
        """Whether *type* is none of a value that is too large, which is a fault."""
        if type.elements > MOST_ELEMENTS:
            self.fault(place, f"makes a value of {type.elements:,} elements; up to {MOST_ELEMENTS:,} are read")
        return type.elements <= MOST_ELEMENTS

    def _parameter(self, name: str, role: str, type: Type, init: Setting, array: Array, place: Place) -> str:
        full = self.claim(f"{name}.{role}")
        self._nodes.append(Node((full,), "parameter", (), {"init": init}, (type,), place=place))
        self.parameters[full] = np.asarray(array, np.float32)
        return full


def _constant(init: Setting) -> float | None:
    """The number that an initialiser gives everywhere; None where it draws."""
    name, given = called(init)
    if name in ("zeros", "ones"):
        return float(name == "ones")
    value = given.get("value")
    return float(value) if name == "constant" and isinstance(value, int | float) else None


def spelled(wanted: str) -> str:
    """*wanted* with what no name may have left out: ``/layer1/conv.0`` is ``layer1.conv.0``."""
    parts = [re.sub(r"\W+", "_", part, flags=re.ASCII).strip("_") for part in re.split(r"[/.:]+", wanted)]
    parts = [part for part in parts if part]
    if parts and not re.match(r"[A-Za-z_]", parts[0]):
        parts[0] = f"n{parts[0]}"
    name = ".".join(parts)
    return name if not name or is_name(name) else f"{name}_"
