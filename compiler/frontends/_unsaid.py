"""What is wrong with what the user says beside a file, whatever the file holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ...catalog import unknown
from ..ops.op import OPS, SettingFault, called
from ..ops.surrogates import complete

if TYPE_CHECKING:
    from .frontend import Unsaid


def neurons() -> list[str]:
    """The operators that fire."""
    return [name for name, op in OPS.items() if op.family == "layer" and "surrogate" in op.settings()]


def unusable(unsaid: Unsaid) -> Iterator[str]:
    """What no neuron can take, one sentence for each option that says it."""
    if unsaid.surrogate is not None:
        try:
            complete(unsaid.surrogate)
        except SettingFault as fault:
            yield f"--surrogate: {fault.message}"
    known = neurons()
    for activation, neuron in unsaid.spiking.items():
        try:
            name, settings = called(neuron)
            if name in known:
                OPS[name].make(settings)
            else:
                yield f"--spiking {activation}: {unknown('neuron', name, known)}"
        except SettingFault as fault:
            yield f"--spiking {activation}: {fault.message}"
