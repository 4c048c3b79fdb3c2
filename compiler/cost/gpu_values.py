"""What a framework on a GPU keeps of the values of a training graph, and the kernels that read and write it.

Every value that moves is a tensor of floats, spikes among them; only which tap of a window was largest, and labels,
are integers of 8 bytes, as in PyTorch.  Weights, their gradients, statistics and the words of an optimizer are f32; in
mixed precision sums of products read a copy of a weight in 2 bytes, which is cast from the f32 word (for nothing).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..ir.graph import Node, Training
from ..ir.statement import Access, Statement, Window
from ..ops.op import alias_of, lower
from .room import aliases_of

WORD = 4
"""Bytes of f32."""

INTEGER = 8
"""Bytes of an index or a label in PyTorch."""

LASTING = ("parameter", "master", "optimizer", "statistic", "feedback", "constant")
"""Roles of what stays from step to step; each is f32."""


@dataclass(frozen=True)
class Part:
    """A tensor at one step of time, or one that has none (step 0); its bytes."""

    tensor: str
    step: int
    bytes: int


@dataclass(frozen=True)
class Kernel:
    """One kernel: each part that it reads and writes once."""

    operation: str
    layer: str
    phase: str
    reads: tuple[Part, ...]
    writes: tuple[Part, ...]

    @property
    def bytes(self) -> int:
        """All that it moves, without a cache."""
        return sum(part.bytes for part in (*self.reads, *self.writes))


def kernel(operation: str, node: Node, reads: Iterable[Part], writes: Iterable[Part]) -> Kernel:
    """A kernel that serves *node*; what it names twice it moves once."""
    return Kernel(operation, node.layer, node.phase, tuple(dict.fromkeys(reads)), tuple(dict.fromkeys(writes)))


class Values:
    """The values of a training step, with activations of *width* bytes."""

    def __init__(self, training: Training, width: int) -> None:
        procedure = training.procedure("train_step")
        self.training = training
        self.steps = training.steps
        self.width = width
        self.types = training.values(procedure)
        self._aliases = aliases_of(training)
        self._roles = {variable.name: variable.role for variable in training.variables}
        self.statements: list[tuple[Node, tuple[Statement, ...]]] = [
            (node, lower(node, self.types, training.steps, training.batch, region.sweep, training.working))
            for region in procedure.regions
            for node in region.nodes
            if alias_of(node) is None
        ]
        every = (statement for _, statements in self.statements for statement in statements)
        self._taps = {each.tap.value for each in every if isinstance(each, Window) and each.tap is not None}

    @property
    def lasting(self) -> frozenset[str]:
        """Tensors that stay from training step to training step."""
        return frozenset(self.tensor(name) for name, role in self._roles.items() if role in LASTING)

    def tensor(self, value: str) -> str:
        """The tensor that holds *value*: that of an alias, or of the f32 words of which a parameter is a rounding."""
        home = self._aliases.get(value, value)
        if self._roles.get(home) == "parameter" and f"{home}.master" in self._roles:
            return f"{home}.master" if self.width == WORD else f"{home}.cast"
        return home

    def is_cast(self, value: str) -> bool:
        """Whether *value* is a copy of a weight that nobody writes."""
        return self.tensor(value) == f"{value}.cast"

    def bytes(self, value: str) -> int:
        """Bytes of one step."""
        type = self.types[value]
        count = type.elements * (self.training.batch if type.batched else 1)
        role = self._roles.get(value, "")
        if role == "label" or self.tensor(value) in self._taps:
            return count * INTEGER
        lasts = not self.is_cast(value) and (role in LASTING or type.weight)
        return count * (WORD if lasts else self.width)

    def parts(self, value: str) -> tuple[Part, ...]:
        """All steps of *value*."""
        type, tensor, size = self.types[value], self.tensor(value), self.bytes(value)
        turns = type.lead(self.steps, 1)[0] if type.timed else 1
        return tuple(Part(tensor, step, size) for step in range(turns))

    def at(self, access: Access, turn: int) -> Part:
        """What *access* meets in a turn of the loop over time."""
        parts = self.parts(access.value)
        if not self.types[access.value].timed:
            return parts[0]
        time = access.index[0]
        return parts[time.offset + time.coefficient("t") * turn]

    def beside(self, name: str, value: str) -> tuple[Part, ...]:
        """A tensor of the framework's own, as large as one of all steps of *value*."""
        size = self.bytes(value)
        return tuple(Part(name, step, size) for step in range(self.steps))

    def all_of(self, accesses: Iterable[Access]) -> Sequence[Part]:
        """All steps of everything that is met, but for copies of weights that a cast writes."""
        return [part for access in accesses for part in self.parts(access.value)]
