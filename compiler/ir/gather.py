"""Gather form: a scatter ``x[p*stride + r*dilation - pad] += ...`` turned into loops over the elements of ``x``.

Where several (p, r) meet the same element, a loop over p and r cannot write it once.  The element's residue modulo
the stride decides which taps can reach it, so each residue class is one statement without any inserted zeros
(machine.md section 6): with ``g = gcd(stride, dilation)`` and class ``rho``,

    x = stride*j + rho        r = r0 + (stride/g)*i        p = j + (rho + pad - r0*dilation)/stride - (dilation/g)*i

where ``r0`` is the first tap that reaches the class; without any, ``i`` has the extent 0 and the sum is zero.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

from .notation import Equation
from .statement import Index


@dataclass(frozen=True)
class Residue:
    """One class of one axis: the loops *output* and *tap* keep their names and get new meanings and extents.

    *position* is the element that is written, *output_index* and *tap_index* are what took the loops' places.
    """

    output: str
    tap: str
    position: Index
    output_index: Index
    tap_index: Index
    positions: int
    taps: int

    @property
    def first(self) -> int:
        """The lowest tap of the class."""
        return self.tap_index.offset

    @property
    def step(self) -> int:
        """Taps from one to the next."""
        return self.tap_index.coefficient(self.tap)

    @property
    def changes(self) -> dict[str, Index]:
        """What the loops became."""
        return {self.output: self.output_index, self.tap: self.tap_index}

    @property
    def extents(self) -> dict[str, int]:
        """Their new extents."""
        return {self.output: self.positions, self.tap: self.taps}


def residues(index: Index, output: str, tap: str, taps: int, extent: int) -> tuple[Residue, ...]:
    """The classes of an axis of *extent* elements that ``index = output*stride + tap*dilation + offset`` walks.

    Classes without any element are left out.
    """
    stride, dilation, offset = index.coefficient(output), index.coefficient(tap), index.offset
    assert stride > 0 and dilation > 0 and len(index.terms) == 2, f"not a window: {index}"
    common = math.gcd(stride, dilation)
    step = stride // common
    found: list[Residue] = []
    for rho in range(min(stride, extent)):
        reach = [r for r in range(min(step, taps)) if (rho - offset - r * dilation) % stride == 0]
        first = reach[0] if reach else 0
        shift = (rho - offset - first * dilation) // stride if reach else 0
        found.append(
            Residue(
                output,
                tap,
                Index(((output, stride),), rho),
                Index(((output, 1), (tap, -(dilation // common))), shift),
                Index(((tap, step),), first),
                -(-(extent - rho) // stride),
                -(-(taps - first) // step) if reach else 0,
            )
        )
    return tuple(found)


def gather(
    equation: Equation, extents: Mapping[str, int], shape: tuple[int, ...]
) -> Iterator[tuple[Equation, dict[str, int]]]:
    """Equations whose targets (of *shape*) never meet, that together are *equation*; with their loops' extents.

    An axis of the target is a window where it adds a loop of one operand alone to a loop of the other alone
    (``p`` of the error, ``r`` of the weights); others, as ``g*C + c``, are injective and stay.
    """
    assert equation.left is not None, f"nothing to gather in {equation}"
    axes: list[int] = []
    windows: list[tuple[Residue, ...]] = []
    for axis, (index, extent) in enumerate(zip(equation.target.index, shape, strict=True)):
        if (found := _window(index, equation)) is not None:
            axes.append(axis)
            windows.append(residues(index, *found, extents[found[1]], extent))
    for classes in product(*windows):
        changes = {loop: index for residue in classes for loop, index in residue.changes.items()}
        new = equation.substitute(changes)
        written = list(new.target.index)
        for axis, residue in zip(axes, classes, strict=True):
            written[axis] = residue.position
        new = replace(new, target=replace(new.target, index=tuple(written)))
        sizes = dict(extents) | {loop: size for residue in classes for loop, size in residue.extents.items()}
        yield new, {loop: sizes[loop] for loop in new.loops}


def _window(index: Index, equation: Equation) -> tuple[str, str] | None:
    """(output loop, tap loop) of a window index; None for any other."""
    assert equation.left is not None
    loops = [loop for loop, _ in index.terms]
    outputs = [loop for loop in loops if loop in equation.left.loops and loop not in equation.right.loops]
    taps = [loop for loop in loops if loop in equation.right.loops and loop not in equation.left.loops]
    if len(outputs) == len(taps) == 1 and len(loops) == 2:
        return outputs[0], taps[0]
    assert len(loops) < 2 or not (outputs and taps), f"no gather form for {index}"
    return None
