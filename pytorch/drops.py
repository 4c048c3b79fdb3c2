"""Dropout, which is nothing in the mode of inference in which modules are recorded: it leaves a mark instead."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Literal

from .installed import torch


def mask_of(module: Any) -> Literal["step", "batch"] | None:
    """How long an element stays out: drawn in every step, or once for all steps; None for what drops no elements."""
    if type(module).__name__ != "Dropout" or not getattr(module, "p", 0):
        return None
    return "batch" if type(module).__module__.startswith("spikingjelly") else "step"


def drops_otherwise(module: Any) -> bool:
    """Whether *module* drops something that is left out here: whole channels, connections."""
    kind = type(module).__name__
    return "Drop" in kind and mask_of(module) is None and bool(getattr(module, "p", 0))


@contextmanager
def marked(module: Any) -> Generator[None]:
    """Within, each dropout in *module* drops, and draws from a generator that is put back afterwards."""
    framework = torch()
    before: dict[int, tuple[Any, Any]] = {}
    for inner in module.modules():
        if mask_of(inner) is not None:
            before[id(inner)] = inner, inner.__dict__.get("forward")
            inner.forward = _dropping(float(inner.p))
    try:
        with framework.random.fork_rng(devices=[]):
            yield
    finally:
        for inner, forward in before.values():
            if forward is None:
                del inner.forward
            else:
                inner.forward = forward


def _dropping(p: float) -> Any:
    def forward(x: Any) -> Any:
        return torch().ops.aten.native_dropout.default(x, p, True)[0]

    return forward
