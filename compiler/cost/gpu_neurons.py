"""The kernels of a neuron on a GPU: one an operation of each step, or one over all steps.

*Eager* is a neuron that is written in Python, as SpikingJelly's torch backend runs it: every step of time by itself,
every element-wise operation a kernel that reads and writes whole tensors.  A spike is a difference, a comparison and a
cast; a reset blends, ``(1 - s) * h + s * v``, in four kernels, and the mask ``1 - s`` waits for the way back.  The
spikes of all steps are stacked at the end.  On the way back each step gives a gradient of the input at all steps that
is zero but at its own (what autograd makes of ``x[t]``), and these are added up.

*Fused* is a kernel over all steps, as SpikingJelly's cupy backend has it: it reads x and writes what was charged, the
spikes and the states; the one back reads errors, charge, spikes and a gradient of the states that is all zeros.  Every
tensor is filled with zeros before it is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from ..ir.accesses import made_by, read_by
from ..ir.expression import Expression
from ..ir.graph import Node
from ..ir.statement import Elementwise
from .gpu_values import Kernel, Part, Values, kernel

BOOLEAN: Final = ("ge", "gt", "le", "lt", "eq", "ne", "and", "or", "not")
SCALARS: Final = ("constant", "argument", "index", "unknown")

SCALAR: Final = "scalar"
"""What is one number for all elements, and takes no kernel."""

ABSENT: Final = "absent"
"""A gradient that there is not yet: that of the states behind the last step."""

Made = Part | str


def eager(node: Node, statement: Elementwise, values: Values, back: bool) -> Iterator[Kernel]:
    """The kernels of all steps, one an operation; *back* says whether of the way back."""
    steps = _Steps(node, statement, values, back)
    return steps.kernels()


def fused(node: Node, statement: Elementwise, values: Values, forward: Node | None) -> Iterator[Kernel]:
    """Two kernels a tensor that is made: one that fills it with zeros, and the one of all steps.

    On the way back, *forward* is the node that made what is read again.
    """
    own = node.layer
    reads = values.all_of(access for _, access in read_by(statement))
    made = values.all_of(access for _, access in made_by(statement))
    if forward is None:
        like = node.results[0]
        names = (f"{own}.charged", *(f"{own}.state.{state.name}" for state in statement.states))
        filled = [values.parts(like), *(values.beside(name, like) for name in names)]
        made = [part for tensor in filled for part in tensor]
    else:
        like = forward.results[0]
        filled = [values.parts(name) for name in node.results if name]
        zeros = [values.beside(f"{own}.zeros.{name}", like) for name in _carried(statement)]
        filled += zeros
        kept = set(forward.results)
        reads = [*values.all_of(a for _, a in read_by(statement) if a.value not in kept), *values.parts(like)]
        reads += [*values.beside(f"{own}.charged", like), *(part for tensor in zeros for part in tensor)]
    for tensor in filled:
        yield kernel("zeros", node, (), tensor)
    yield kernel(node.op, node, reads, made)


def _carried(statement: Elementwise) -> Sequence[str]:
    """The states that a step hands on in its own format: not the sums of what does not change with time."""
    return [state.name for state in statement.states if not state.name.startswith("sum")]


class _Steps:
    """An eager neuron: its operations in order, walked once a step."""

    def __init__(self, node: Node, statement: Elementwise, values: Values, back: bool) -> None:
        self._node, self._statement, self._values, self._back = node, statement, values, back
        self._own = f"{node.layer}.{node.op}"
        self._size = values.bytes(next(filter(None, node.results)))
        roots = [write.expression for write in statement.writes] + [state.next for state in statement.states]
        self._order = list({id(part): part for root in roots for part in root.walk()}.values())
        numbered = (part for part in self._order if part.op not in BOOLEAN)
        tested = {id(arg) for part in numbered for arg in part.args[1 if part.op == "select" else 0 :]}
        tested |= {id(arg) for part in self._order if part.op in BOOLEAN for arg in part.args}
        self._untested = frozenset(id(part) for part in self._order if part.op in BOOLEAN and id(part) not in tested)
        """Comparisons that only choose: on the way back their mask is known."""

        self._written = {id(write.expression) for write in statement.writes if not write.last}

    def kernels(self) -> Iterator[Kernel]:
        """All steps, and what puts them together."""
        states: dict[str, Made] = {}
        for state in self._statement.states:
            first = Part(f"{self._own}.first.{state.name}", 0, self._size)
            states[state.name] = ABSENT if self._back else first
            if not self._back:
                yield kernel("fill", self._node, (), [first])
        stacked: list[Part] = []
        gradient: Sequence[Part] = ()
        for turn in range(self._statement.steps):
            made: dict[int, Made] = {}
            for number, part in enumerate(self._order):
                yield from self._operation(part, made, states, turn, number)
            states = {state.name: made[id(state.next)] for state in self._statement.states}
            for write in self._statement.writes:
                source = made[id(write.expression)]
                if write.target.value != self._node.results[0] or write.last or not isinstance(source, Part):
                    continue
                if self._back:
                    one = self._values.at(write.target, turn)
                    kernels, gradient = self._added(source, one, gradient, turn)
                    yield from kernels
                else:
                    stacked.append(source)
        if stacked:
            yield kernel("stack", self._node, stacked, self._values.parts(self._node.results[0]))

    def _added(
        self, source: Part, one: Part, before: Sequence[Part], turn: int
    ) -> tuple[Sequence[Kernel], Sequence[Part]]:
        """The gradient of one step at its place among zeros, added to those of the steps *before*; the sum of them."""
        whole = self._values.parts(self._node.results[0])
        last = turn + 1 == self._statement.steps
        zeros = tuple(Part(f"{self._own}.zeros.{turn}", part.step, part.bytes) for part in whole)
        zeros = whole if last and not before else zeros
        found = [kernel("zeros", self._node, (), zeros), kernel("copy", self._node, [source], [zeros[one.step]])]
        if not before:
            return found, zeros
        total = whole if last else tuple(Part(f"{self._own}.sum.{turn}", part.step, part.bytes) for part in whole)
        return [*found, kernel("accumulate", self._node, [*before, *zeros], total)], total

    def _operation(
        self, part: Expression, made: dict[int, Made], states: Mapping[str, Made], turn: int, number: int
    ) -> Iterator[Kernel]:
        """The kernels of one operation; what it made is then in *made*."""
        args = [made[id(arg)] for arg in part.args]
        tensors = [arg for arg in args if isinstance(arg, Part)]
        out = self._out(part, turn, number)
        made[id(part)] = out
        match part.op:
            case "input":
                made[id(part)] = self._values.at(self._statement.reads[part.name], turn)
            case "state":
                made[id(part)] = states[part.name]
            case "edge":
                made[id(part)] = args[0]
            case op if op in SCALARS:
                made[id(part)] = SCALAR
            case "uniform" | "normal":
                yield kernel(part.op, self._node, (), [out])
            case _ if not tensors:
                made[id(part)] = ABSENT if ABSENT in args else SCALAR
            case "select":
                yield from self._chosen(part, args, made, turn, out)
            case op if op in BOOLEAN:
                yield from self._compared(part, tensors, made, out)
            case "add" | "sub" if ABSENT in args and args[0] != ABSENT:
                made[id(part)] = tensors[0]
            case _ if ABSENT in args and part.op != "add" and part.op != "sub":
                made[id(part)] = ABSENT
            case _:
                yield kernel(part.op, self._node, tensors, [out])

    def _out(self, part: Expression, turn: int, number: int) -> Part:
        """Where an operation writes: what others read of the neuron has its own name."""
        if not self._back and id(part) in self._written:
            for write in self._statement.writes:
                if write.expression is part and write.target.value != self._node.results[0]:
                    return self._values.at(write.target, turn)
        for write in self._statement.writes:
            if write.last and turn + 1 == self._statement.steps and write.expression is part:
                return self._values.at(write.target, turn)
        return Part(f"{self._own}.{part.op}{number}", turn, self._size)

    def _compared(
        self, part: Expression, tensors: Sequence[Part], made: dict[int, Made], out: Part
    ) -> Iterator[Kernel]:
        """A comparison makes a byte an element; a spike is a number, and what was compared is kept as a difference."""
        byte = Part(f"{out.tensor}.mask", out.step, out.bytes // self._values.width)
        if not self._back and id(part) in self._written:
            difference = Part(f"{out.tensor}.difference", out.step, out.bytes)
            yield kernel("sub", self._node, tensors, [difference])
            yield kernel(part.op, self._node, [difference], [byte])
            yield kernel("cast", self._node, [byte], [out])
        elif self._back and id(part) in self._untested:
            made[id(part)] = SCALAR
        else:
            yield kernel(part.op, self._node, tensors, [byte])
            made[id(part)] = byte

    def _chosen(
        self, part: Expression, args: Sequence[Made], made: dict[int, Made], turn: int, out: Part
    ) -> Iterator[Kernel]:
        """A choice by spikes blends; on the way back it is a product with the mask that is kept of that."""
        condition, yes, no = args
        branches = [each for each in (yes, no) if isinstance(each, Part)]
        step = self._values.steps - 1 - turn if self._back else turn
        mask = Part(f"{self._node.layer}.mask", step, self._size)
        if ABSENT in (yes, no):
            made[id(part)] = branches[0] if branches else ABSENT
        elif self._back:
            yield kernel("mul", self._node, [mask, *branches], [out])
        elif not isinstance(condition, Part):
            made[id(part)] = branches[-1]
        else:
            rest, kept, new = (mask, *(Part(f"{out.tensor}.{name}", turn, self._size) for name in ("rest", "new")))
            yield kernel("rsub", self._node, [condition], [rest])
            yield kernel("mul", self._node, [rest, *(each for each in (no,) if isinstance(each, Part))], [kept])
            yield kernel("mul", self._node, [condition, *(each for each in (yes,) if isinstance(each, Part))], [new])
            yield kernel("add", self._node, [kept, new], [out])
