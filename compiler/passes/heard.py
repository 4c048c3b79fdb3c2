"""Pins that are followed: each speaks of a stage, and every choice of it is one that such a stage can follow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from ...source import NOWHERE, Fault, Faults, SourceError
from ..ir.graph import Node, Training
from ..ops.op import alias_of
from .admission import Unmet, unmet
from .pins import Pin
from .request import Request


@dataclass
class Heard:
    """What nobody could follow of the *pins*, among the requests that were told."""

    pins: Sequence[Pin]
    _left: dict[str, dict[str, tuple[Request, Unmet]]] = field(
        default_factory=dict[str, dict[str, tuple[Request, Unmet]]]
    )
    """Of the text of a pin that speaks of a stage, the choices that no stage could follow yet, and the first such."""

    def tell(self, node: Node, request: Request) -> None:
        """This stage of *node* is there."""
        for pin in self.pins:
            if pin.matches(node.layer, node.phase):
                found = {each.choice: (request, each) for each in unmet(request, pin)}
                known = self._left.setdefault(pin.text, found)
                self._left[pin.text] = {
                    choice: (first, _either(each, found[choice][1]))
                    for choice, (first, each) in known.items()
                    if choice in found
                }

    def check(self, training: Training) -> None:
        """SourceError for pins that speak of no stage, and for what no stage that they speak of can follow."""
        with Faults(SourceError) as faults:
            for pin in self.pins:
                if pin.text not in self._left:
                    there = ", ".join(sorted(set(_named(training))))
                    faults.add(NOWHERE, f"--pin {pin.text}: no stage matches; there are {there}")
            faults.extend(_fault(pin, *each) for pin in self.pins for each in self._left.get(pin.text, {}).values())


def _either(one: Unmet, other: Unmet) -> Unmet:
    """The same choice, with what could stand there in either of two stages."""
    return one._replace(loops=one.loops | other.loops, most=max(one.most, other.most))


def _fault(pin: Pin, request: Request, found: Unmet) -> Fault:
    """What of *pin* cannot be followed: by the stage that it names, or by any that match."""
    if pin.exact:
        return Fault(request.place, f"--pin {pin.text}: {request.layer}.{request.phase.lower()} {found.why}")
    told = f"--pin {pin.text}: no stage that matches can follow {found.choice}"
    if found.most:
        told += f"; the most that one of them has there is {found.most}"
    elif found.loops:
        told += f"; loops that can are {', '.join(sorted(found.loops))}"
    return Fault(NOWHERE, told)


def _named(training: Training) -> Iterator[str]:
    """Stages by the names that a pin has for them."""
    for procedure in training.procedures:
        for node in procedure.nodes:
            if node.layer and alias_of(node) is None:
                yield f"{node.layer}.{node.phase.lower()}"
