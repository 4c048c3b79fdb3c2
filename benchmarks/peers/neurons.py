"""What a node of neurons says, as frameworks need it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .graph import Node
from .torch_neurons import LIF
from .worker import Refused


@dataclass(frozen=True)
class Leaky:
    """``h = decay * v + x``; a spike of *amplitude* where h reaches the *threshold*; then v is 0.

    A *soft* reset takes the threshold off h instead.  The *surrogate* is a call as `graph` has them.
    """

    decay: float
    threshold: float
    soft: bool
    amplitude: float
    surrogate: Mapping[str, Any]


SAME = "decay_input", "rest", "gain", "v_reset", "reset_time", "compare", "detach_reset", "initial", "learn_threshold"
"""Settings that must be the defaults."""


def leaky(node: Node) -> Leaky:
    """The neuron of an `if` or `lif` node; Refused for what no framework is asked for here."""
    given = {**LIF, **node.settings}
    if strange := [name for name in SAME if given[name] != LIF[name]]:
        raise Refused(f"{node.results[0]}: frameworks are not asked for neurons with {', '.join(strange)}")
    if given["reset"] not in ("hard", "soft"):
        raise Refused(f"{node.results[0]}: frameworks are not asked for neurons with reset={given['reset']}")
    decay = given["decay"] if node.op == "lif" else 1.0
    return Leaky(decay, given["threshold"], given["reset"] == "soft", given["amplitude"], given["surrogate"])


def scaled(spikes: Any, amplitude: float) -> Any:
    """Spikes of an amplitude."""
    return spikes if amplitude == 1.0 else amplitude * spikes
