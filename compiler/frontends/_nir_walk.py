"""From the nodes of a NIR file, in their order, to those of the network: types first, then everything."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from ..ir.types import Type
from ._building import MOST_ELEMENTS, Value
from ._nir_file import Edge, Written
from ._nir_graph import DELAY, INPUT, OUTPUT, Wiring
from ._nir_layers import KINDS as LAYERS
from ._nir_layers import check_delay
from ._nir_neurons import KINDS as NEURONS
from ._nir_node import WEIGHTS, Kind, Reading, numbers

KINDS: Mapping[str, tuple[Kind, frozenset[str]]] = {**LAYERS, **NEURONS}
"""How nodes of each kind are read, and the fields that they have."""


class Walk:
    """The nodes in their order; *types* are those of all results, as far as a first walk has found them."""

    def __init__(self, reading: Reading, wiring: Wiring, types: Mapping[str, Type]) -> None:
        self.reading = reading
        self.builder = reading.builder
        self.wiring = wiring
        self.known = types
        self.made: dict[str, Value | None] = {}
        self.later: dict[tuple[str, int], Value] = {}
        self.sums: dict[tuple[str, ...], Value] = {}

    def types(self) -> dict[str, Type]:
        """The type of each node's result: nodes are tried wherever one operand is known, until nothing new comes."""
        found: dict[str, Type] = {}
        waiting = list(self.wiring.nodes.values())
        while waiting:
            still: list[Written] = []
            for node in waiting:
                type = self._type_in(node, found)
                if type is None:
                    still.append(node)
                elif (made := self._apply(node, Value(node.name, type))) is not None:
                    found[node.name] = made.type
            if len(still) == len(waiting):
                # A cycle that no input reaches: some node of it says itself what it reads.
                node = next((node for node in still if _wanted(node) is not None), None)
                if node is None:
                    break
                still.remove(node)
                made = self._apply(node, Value(node.name, _floats(_wanted(node) or ())))
                if made is not None:
                    found[node.name] = made.type
            waiting = still
        return found

    def results(self) -> list[Value | None]:
        """The network's results, when everything has been added."""
        outputs: list[Value | None] = []
        for node in self.wiring.nodes.values():
            if node.kind == INPUT:
                self.made[node.name] = self._port(node)
            elif node.kind == OUTPUT:
                value = self.made[node.name] = self._operand(node)
                outputs.append(value)
                if value is not None:
                    self._check_output(node, value)
            else:
                late = any(target == node.name for _, target in self.wiring.late)
                self.made[node.name] = self._late(node) if late else self._made(node, self._operand(node))
        for (name, _), later in self.later.items():
            self.builder.close(later, self.made.get(name))
        return outputs

    def _made(self, node: Written, x: Value | None) -> Value | None:
        """The node on *x*; where that has failed, on what the node wants, so that its own faults are told as well."""
        if x is None and (shape := _wanted(node)) is not None:
            x = Value("", _floats(shape))
        return None if x is None else self._apply(node, x)

    def _apply(self, node: Written, x: Value) -> Value | None:
        if node.kind in (INPUT, OUTPUT):
            return x
        kind, _ = KINDS.get(node.kind, (None, None))
        return None if kind is None else kind(self.reading, node, x)

    def _type_in(self, node: Written, found: Mapping[str, Type]) -> Type | None:
        """The type of what a node reads, as far as it is known."""
        if node.kind == INPUT:
            shape = self._input_shape(node)
            return None if shape is None or math.prod(shape) > MOST_ELEMENTS else _floats(shape)
        sources = self.wiring.sources[node.name]
        known = [found[name] for name in sources if name in found]
        if not known:
            return None
        return known[0] if len(sources) == 1 else _floats(known[0].shape, known[0])

    def _input_shape(self, node: Written) -> tuple[int, ...] | None:
        """What an Input says, or else what its readers want."""
        said = numbers(node, next((key for key in node.numbers if key.startswith("shape")), "shape"), 0)
        if any(key.startswith("shape") for key in node.numbers) and said and min(said) >= 1:
            return said
        readers = [target for target, sources in self.wiring.sources.items() if node.name in sources]
        wanted = [shape for name in readers if (shape := _wanted(self.wiring.nodes[name])) is not None]
        return wanted[0] if wanted else None

    def _port(self, node: Written) -> Value | None:
        said = [(key, array) for key, array in node.numbers.items() if key.startswith("shape")]
        if said and (said[0][1].size == 0 or (said[0][1] < 1).any()):
            self.reading.fault(node, f"{said[0][0]} is {np.ravel(said[0][1]).tolist()}, which no value has")
            return None
        shape = self._input_shape(node)
        if shape is None:
            self.reading.fault(node, "this Input says no shape, and what reads it does not tell")
            return None
        if not any(key.startswith("shape") for key in node.numbers):
            self.reading.repair(node, f"has no shape; {list(shape)} is taken, as what reads it wants")
        port = self.builder.port(node.name, _floats(shape), self.reading.place(node))
        return port if port.type.elements <= MOST_ELEMENTS else None

    def _check_output(self, node: Written, value: Value) -> None:
        said = numbers(node, next((key for key in node.numbers if key.startswith("shape")), "shape"), 0)
        if any(key.startswith("shape") for key in node.numbers) and said != value.type.shape:
            self.reading.fault(node, f"shape is {list(said or ())}, and what comes in is {list(value.type.shape)}")

    def _late(self, node: Written) -> Value | None:
        """A Delay that reads what is made further on."""
        steps = check_delay(self.reading, node)
        if steps is None:
            return None
        values: list[Value | None] = []
        for name in self.wiring.sources[node.name]:
            if (name, node.name) in self.wiring.late:
                alone = len(self.wiring.sources[node.name]) == 1
                values.append(self._before(name, steps, node.name if alone else f"{name}.before", node))
            else:
                values.append(self.reading.add(node, "delay", (self.made.get(name),), {"steps": steps}, name))
        return self._sum(values, node)

    def _operand(self, node: Written) -> Value | None:
        """The sum of what leads into a node."""
        values: list[Value | None] = []
        for name in self.wiring.sources[node.name]:
            edge: Edge = (name, node.name)
            if edge in self.wiring.delayed:
                value = self._before(name, 1, f"{name}.before", node)
            else:
                value = self.made.get(name)
            values.append(value)
        return self._sum(values, node)

    def _sum(self, values: Sequence[Value | None], node: Written) -> Value | None:
        """The sum of *values*, which *node* reads, or is; the same sum is made once."""
        known = [value for value in values if value is not None]
        if len(known) < len(values) or not known:
            return None
        names = tuple(value.name for value in known)
        total: Value | None = self.sums.get(names, known[0])
        if names in self.sums:
            return total
        for number, value in enumerate(known[1:], 1):
            depth = ".add" * (len(known) - number)
            wanted = depth[1:] if node.kind == OUTPUT else f"{node.name}{depth}"
            total = self.builder.add("add", (total, value), {}, wanted, self.reading.place(node))
        if total is not None:
            self.sums[names] = total
        return total

    def _before(self, name: str, steps: int, wanted: str, node: Written) -> Value | None:
        """What node *name* made some steps before."""
        if name not in self.known:
            self.reading.fault(node, f"what {name} was in the step before cannot be told")
            return None
        if (name, steps) not in self.later:
            if node.kind != DELAY:
                told = f"the edge {name} -> {node.name} closes a cycle; it is delayed by one step"
                self.builder.note("assumption", self.reading.place(node), told)
            place = self.reading.place(node)
            self.later[name, steps] = self.builder.later(self.known[name], wanted, place, steps)
        return self.later[name, steps]


def _floats(shape: tuple[int, ...], like: Type | None = None) -> Type:
    """Numbers that change with time and sample; with the axes of *like*, where there is one."""
    axes = tuple((extent,) for extent in shape) if like is None else like.axes
    return Type("f16", axes, timed=True, batched=True)


def _wanted(node: Written) -> tuple[int, ...] | None:
    """The shape that a node itself says it reads; None where it says none."""
    weight = node.numbers.get("weight")
    if node.kind in WEIGHTS and weight is not None and weight.ndim == 2:
        return (weight.shape[1],)
    if node.kind in ("Conv1d", "Conv2d") and weight is not None and weight.ndim == 2 + int(node.kind[4]):
        extents, groups = numbers(node, "input_shape", 0), numbers(node, "groups", 1)
        if "input_shape" in node.numbers and extents and groups:
            return (weight.shape[1] * groups[0], *extents)
        return None
    if node.kind == "Flatten":
        return next((numbers(node, key, 0) for key in node.numbers if key.startswith("input_type")), None)
    if node.kind in NEURONS or node.kind in ("Scale", DELAY):
        shapes = [array.shape for array in node.numbers.values() if array.ndim and array.size > 1]
        return shapes[0] if shapes else None
    return None
