"""Other views of the same memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..ir.types import Type
from .op import Adjoint, Op


@dataclass(frozen=True, kw_only=True)
class Flatten(Op):
    """All axes as one, ``[16, 5, 5]`` as ``[16*5*5]``: an alias.

    The factors stay, and with them the canonical layout, so nothing moves; weights behind it have the same factors.
    """

    name: ClassVar = "flatten"
    operands: ClassVar = ("x",)
    adjoints: ClassVar = (Adjoint("d_x", "x", ("error",), "BP"),)
    aliases: ClassVar = {"": 0, "d_x": 0}

    def result_types(self, *operands: Type) -> tuple[Type, ...]:
        """One axis of all factors."""
        (x,) = operands
        return (x.with_(axes=(x.factors,)),)
