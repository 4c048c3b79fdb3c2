"""What a neuron is asked to keep for its way back: ``auto``, ``membrane``, or ``recompute(every=4)``."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from ...catalog import unknown
from ..ir.graph import Setting
from .op import SettingFault, called

MOST = 12
"""Steps that may be computed again at once: each has operands and registers of its own in one element program, and
of no neuron more than these fit into one."""

USUAL = 6
"""The most that is proposed: so many fit, of every neuron."""

_WORDS = ("auto", "membrane", "recompute")


def complete(call: Setting) -> Setting:
    """*call* if it is one of the three; SettingFault where it is none."""
    try:
        name, given = called(call)
    except SettingFault:
        name, given = "", {}
    if name not in _WORDS:
        raise SettingFault(str(unknown("tape", name or str(call), _WORDS)), "")
    every = given.pop("every", None)
    if name != "recompute" and every is not None:
        raise SettingFault(f"tape={name} takes no every; it is recompute(every=4) that does", "", "every")
    if given:
        strange = next(iter(given))
        raise SettingFault(str(unknown(f"parameter of {name}", strange, ["every"])), "", strange)
    if name != "recompute":
        return name
    if isinstance(every, bool) or not isinstance(every, int) or not 2 <= every <= MOST:
        told = f"recompute says how many steps are computed again at once, from 2 to {MOST}: recompute(every=4)"
        raise SettingFault(told, "", "every" if every is not None else "")
    return name, ("every", every)


TapeCall: TypeAlias = Annotated[Any, complete]
"""A setting such as ``membrane`` or ``recompute(every=4)``."""


def every_of(call: Setting) -> int:
    """How many steps a complete call computes again at once; 1 where it asks for no such thing."""
    every = called(call)[1].get("every", 1)
    assert isinstance(every, int)
    return every
