"""Profiling: the densities of inputs, spikes, counts, errors and surrogate windows in training steps of the oracle.

The oracle has every value of every step of time, also those of which a machine never keeps more than one step, or
that never leave a core; and what it computes is what every mapping computes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from .cost.density import Densities, sparse_values
from .cost.measure import Measurement
from .evaluate import Oracle, evaluate_statements
from .ir.graph import Node, Procedure, Region
from .ops.op import OPS, lower
from .oracle.layout import to_memory

TRAIN = "train_step"
_ALONE = "adjoint_local"
_ONES = "an error of one"
_PASSED = "what passes"


@dataclass
class Profiler:
    """Adds up what the training steps of *oracle* leave behind; `observe` looks at the latest one."""

    oracle: Oracle
    values: dict[str, Measurement] = field(default_factory=dict[str, Measurement])
    windows: dict[str, Measurement] = field(default_factory=dict[str, Measurement])

    def observe(self, valid: int) -> None:
        """Look at the first *valid* samples of the training step that has just run."""
        training = self.oracle.training
        procedure = training.procedure(TRAIN)
        made = {name for node in procedure.nodes for name in node.results}
        for name, kind in sparse_values(training).items():
            if name in made:
                self._add(self.values, name, kind, self._elements(name, procedure) != 0, valid)
        for variable in training.variables:
            if variable.role == "input" and variable.name in procedure.inputs:
                there = self._elements(variable.name, procedure) != 0
                self._add(self.values, variable.name, "input", there, valid)
        for region, node in _adjoints(procedure):
            passed = self._passed(procedure, region, node)
            if passed is not None:
                self._add(self.windows, node.layer, "window", passed, valid)

    @property
    def densities(self) -> Densities:
        """All that was seen."""
        values = {name: each.density for name, each in self.values.items()}
        windows = {name: each.density for name, each in self.windows.items()}
        return Densities(values, windows, network=self.oracle.training.name)

    def _add(self, into: dict[str, Measurement], name: str, kind: str, there: NDArray[np.bool_], valid: int) -> None:
        measured = into.setdefault(name, Measurement(kind, there.shape[2:]))
        measured.add(there[:, :valid])

    def _elements(self, name: str, procedure: Procedure) -> NDArray[np.generic]:
        """Elements as ``[t][n]`` and the axes of memory; what does not change with time has one step."""
        training = self.oracle.training
        type = training.values(procedure)[name]
        lead = type.lead(training.steps, training.batch)
        memory = to_memory(self.oracle.value(name), type, lead)
        return memory if type.timed else memory[None]

    def _passed(self, procedure: Procedure, region: Region, node: Node) -> NDArray[np.bool_] | None:
        """Where an error of one at every spike passes a neuron in its own step; None where errors pass otherwise.

        That is what the neuron's own way back makes of ones, without what the step after hands on.
        """
        training, oracle = self.oracle.training, self.oracle
        types = dict(training.values(procedure))
        error, x = types[node.operands[0]], node.types[0]
        if not node.results[0] or not error.timed:
            return None
        types[_ONES], types[_PASSED] = error, x.with_(timed=True)
        results = (_PASSED, *("" for _ in node.results[1:]))
        alone = replace(
            node,
            op=f"{node.op.partition('.')[0]}.{_ALONE}",
            operands=(_ONES, *node.operands[1:]),
            results=results,
            types=(types[_PASSED], *node.types[1:]),
        )
        extents = training.steps_of(region), training.batch
        values = {name: self._memory(name, procedure) for name in node.operands[1:]}
        values[_ONES] = np.ones(error.lead(*extents) + error.memory, np.float32)
        arguments = {name: 1.0 if kind == "f32" else 0 for name, kind in training.arguments}
        statements = lower(alone, types, *extents, region.sweep, training.working)
        made = evaluate_statements(statements, values, types, oracle.numerics, arguments, extents)
        return made[_PASSED] != 0

    def _memory(self, name: str, procedure: Procedure) -> NDArray[np.generic]:
        training = self.oracle.training
        type = training.values(procedure)[name]
        return to_memory(self.oracle.value(name), type, type.lead(training.steps, training.batch))


def _adjoints(procedure: Procedure) -> Iterator[tuple[Region, Node]]:
    """Nodes that hand errors back through a neuron, step by step."""
    for region in procedure.regions:
        for node in region.nodes:
            name, _, facet = node.op.partition(".")
            if facet in ("adjoint", _ALONE) and _ALONE in OPS[name].facets() and region.sweep != "once":
                yield region, node
