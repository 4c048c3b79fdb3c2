"""What a user should know of how a module was read: what was recovered, assumed, left out, or cannot go back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compiler.frontends.frontend import Note, Unsaid
from ..compiler.ir.values import text_of_setting
from ..source import Place
from .drops import drops_otherwise
from .labels import Source
from .neurons import STATISTICS, Neuron, frozen_diagonals, refractory_periods

LARGEST = 65504.0


def rounding(parameters: Mapping[str, NDArray[Any]], place: Place) -> Iterator[Note]:
    """Notes of values that f16 does not hold: how many are rounded, and each parameter that overflows or vanishes."""
    changed = count = 0
    furthest = 0.0
    for name, array in parameters.items():
        single = np.asarray(array, np.float32)
        with np.errstate(over="ignore", under="ignore"):
            half = single.astype(np.float16).astype(np.float32)
        beyond = ~np.isfinite(half)
        if beyond.any():
            yield Note(
                "warning", place, f"{name} has {int(beyond.sum()):,} elements beyond f16, which ends at {LARGEST:g}"
            )
        differs = ~beyond & (half != single)
        count += single.size
        changed += int(differs.sum())
        if differs.any():
            furthest = max(furthest, float(np.abs(half - single)[differs].max()))
    if changed:
        told = f"machines that work in f16 round {changed:,} of {count:,} elements of the parameters, by at most "
        yield Note("assumption", place, f"{told}{furthest:.2g}; masters, and what goes back, keep float32")


def of_modules(module: Any, found: list[Neuron], unsaid: Unsaid, place: Place) -> Iterator[Note]:
    """What the neurons said of themselves, and what of the module is left out."""
    for neuron in found:
        where = _node(place, neuron.path)
        shown: list[str] = []
        if unsaid.surrogate is None and neuron.surrogate is not None:
            shown.append(f"surrogate={text_of_setting(neuron.surrogate)}")
        if unsaid.detach_reset is None and neuron.detach_reset is not None:
            shown.append(f"detach_reset={str(neuron.detach_reset).lower()}")
        if shown:
            yield Note("recovered", where, f"{', '.join(shown)}, as {neuron.framework} computes it")
        if unsaid.surrogate is None and neuron.surrogate is None:
            yield Note("warning", where, "its surrogate is none of those that there are (see docs/surrogates.md)")
    for path in refractory_periods(module):
        told = "Norse's gradient also passes through the counter of how long it waits, and here it does not"
        yield Note("warning", _node(place, path), told)
    for path, inner in module.named_modules():
        if drops_otherwise(inner):
            yield Note("warning", _node(place, path), f"{type(inner).__name__} is left out: nothing is dropped here")


def of_parameters(
    named: Mapping[str, tuple[str, Source]], parameters: Iterable[str], state: Iterable[str], module: Any, place: Place
) -> Iterator[Note]:
    """What of the *state* does not go in, or would not go back; *parameters* are those that were read."""
    computed = [name for name in parameters if name not in named]
    taken = {source.entry for _, source in named.values()}
    own = dict(module.named_parameters())
    for _, source in named.values():
        if source.entry not in own and source.entry.rpartition(".")[2] not in STATISTICS:
            told = f"{source.entry} differs from element to element: it is trained here, and a constant of the module"
            yield Note("assumption", place, told)
    for entry in state:
        if entry in own and entry not in taken and not computed:
            told = f"{entry} is a parameter of the module and a constant here: it is not trained"
            yield Note("assumption", place, told)
    for entry in frozen_diagonals(module):
        if entry in taken:
            told = f"the diagonal of {entry} is not trained in Norse (autapses=False), and is here"
            yield Note("warning", place, told)
    for name in computed:
        told = f"{name} is computed from the state of the module: it is trained, and cannot go back"
        yield Note("warning", place, told)
    for name, source in named.values():
        if name != source.name:
            told = f"{source.entry} is used in several places, which are trained apart: it cannot go back"
            yield Note("warning", place, told)


def _node(place: Place, path: str) -> Place:
    return Place(f"{place.file}, node {path}") if path else place
