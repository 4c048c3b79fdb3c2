"""Errors on their way back: how many reach a value, what they are called, and where they are added."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..ir.graph import Node, Phase
from ..ir.types import Type
from ..ops.op import WORKING


@dataclass
class Errors:
    """Errors on their way: *readers* tells how many reach a value; nodes of every step, and of once.

    Where steps follow one another (*stepwise*), what does not change with time gets an error from each of them, and
    these are added in f32 as they come; else a node may sum over time by itself.  Where parameters change in each step
    (*updating*), nothing is added: the error of each step is used in that step.  Where each window of time makes them
    anew (*windowed*), they are added behind it, by nodes of every window.
    """

    types: Mapping[str, Type]
    readers: Mapping[str, int]
    stepwise: bool = False
    updating: bool = False
    windowed: bool = False
    steps: list[Node] = field(default_factory=list[Node])
    windows: list[Node] = field(default_factory=list[Node])
    once: list[Node] = field(default_factory=list[Node])
    arrived: dict[str, list[str]] = field(default_factory=dict[str, list[str]])

    def name(self, value: str) -> str:
        """A name for the error of *value* from the last of its readers that has none yet."""
        count, known = self.readers[value], self.arrived.setdefault(value, [])
        known.insert(0, f"d.{value}" if count == 1 else f"d.{value}.part{count - len(known)}")
        return known[0]

    def add(
        self,
        served: Sequence[tuple[str, str]],
        node: Node,
        sums: bool,
        timed: bool,
        terms: Mapping[str, Type] | None = None,
    ) -> None:
        """Errors by (value, name), both "" where nobody wants one, which *node* makes in every step (*timed*).

        *sums* says that the node sums over time by itself where a value does not change with time; of the values in
        *terms* it makes terms of these types, which remain to be summed.
        """
        names: list[str] = []
        types: list[Type] = []
        totals: list[Node] = []
        later: list[Node] = []
        for value, name in served:
            if not value:
                names.append("")
                types.append(Type.of("f32"))
                continue
            type = self.types[value]
            error = self._type(value)
            if self.windowed and timed and not error.timed:
                of_one = f"{name}.window"
                self.windows.append(
                    Node((name,), "window_sum", (of_one,), {}, (error,), node.layer, node.phase, node.place)
                )
                name = of_one
            if terms and value in terms:
                names.append(f"{name}.terms")
                types.append(terms[value].with_(timed=error.timed))
                total = Node((name,), "term_sum", (names[-1],), {}, (error,), node.layer, "WG", node.place)
                (later if self.stepwise and not error.timed else totals).append(total)
            elif timed and (type.batched or self.stepwise) and not error.timed and not sums:
                names.append(f"{name}.steps")
                types.append(error.with_(timed=True))
                total = Node((name,), "time_sum", (names[-1],), {}, (error,), node.layer, node.phase, node.place)
                totals.append(total)
            else:
                names.append(name)
                types.append(error)
        node = replace(node, results=(*names, *node.results), types=(*types, *node.types))
        (self.steps if timed else self.once).extend((node, *totals))
        self.once += later

    def total(self, value: str, node: Node) -> str:
        """The name of the whole error of *value*; several are added two by two, rounded each time."""
        names = self.arrived[value]
        done, layer = names[0], node.layer or owner_of(node)
        type = self._type(value)
        phase: Phase = "BP" if type.batched else "WG"
        for number, name in enumerate(names[1:], 2):
            result = f"d.{value}" if number == len(names) else f"d.{value}.sum{number}"
            (self.steps if type.timed else self.once).append(
                Node((result,), "add", (done, name), {}, (type,), layer, phase, node.place)
            )
            done = result
        return done

    def over_time(self, value: str, error: str, node: Node) -> str:
        """The name of the whole *error* of *value* in all steps together, which the neuron of *node* makes here."""
        result, types = f"d.{value}.total", (error_type(self.types[value]).with_(timed=False),)
        made = replace(node, results=(result,), op=f"{node.op}.total", operands=(error,), types=types, phase="BP")
        self.steps.append(made)
        return result

    def _type(self, value: str) -> Type:
        """The type of the error of *value*, of each step where that is what is wanted."""
        error = error_type(self.types[value])
        return error.with_(timed=error.timed or self.updating)


def error_type(type: Type) -> Type:
    """The type of the error of a value (f16, of every sample) or of the gradient of a parameter (f32)."""
    return type.with_(format=WORKING if type.batched else "f32", scale=1.0)


def owner_of(node: Node) -> str:
    """The layer that a parameter belongs to: ``c1`` of ``c1.w``."""
    name = node.results[0]
    return node.layer or name.rpartition(".")[0] or name
