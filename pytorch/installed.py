"""PyTorch, where it is installed: it is asked for when a module comes in or gets its parameters back."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..source import NOWHERE, SourceError


def torch() -> Any:
    """The package; SourceError where it is not installed."""
    return torch_part("torch")


def torch_part(name: str) -> Any:
    """A module of the package."""
    try:
        return import_module(name)
    except ImportError:
        hints = ("pip install 'snnc[torch]'",)
        raise SourceError.at(
            NOWHERE, "PyTorch is not installed, and only PyTorch can run a module", hints=hints
        ) from None


def several(made: object) -> bool:
    """Whether *made*, by torch or by a module, is a row of values."""
    return isinstance(made, tuple | list)
