"""Back-propagation through time with surrogate derivatives, full adjoint; truncated, where a window is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from .rule import Rule


@dataclass(frozen=True, kw_only=True)
class BPTT(Rule):
    """Errors pass through layers, and through the states of neurons from each step to the one before.

    With a *window* they pass no further back than to its first step: so many steps are gone up, and down again, before
    the next so many, and the state of neurons goes on from window to window.  Parameters change behind each window
    (*update* = window), or by the sum of all gradients of a batch.
    """

    name: ClassVar = "bptt"
    title: ClassVar = "back-propagation through time; window=K truncates it, K steps at a time"
    source: ClassVar = "Wu et al. 2018 (STBP); Williams and Peng 1990 (truncated)"
    needs: ClassVar = "an adjoint of every operator; with a window also a loss of each step"
    stores: ClassVar = "a tape of all steps, or of those of a window"

    window: int = 0
    # A setting of this rule is what other rules answer once and for all.
    update: Literal["window", "batch"] = "window"  # pyright: ignore[reportIncompatibleVariableOverride]

    def __post_init__(self) -> None:
        self.require(self.window >= 0, "window", "at least 0")
        super().__post_init__()

    @property
    def unused(self) -> Mapping[str, str]:
        """Without a window there is one update a batch."""
        return {} if self.window else {"update": "without a window"}

    def sweeps(self, steps: int) -> str:
        """All steps at once, or window by window."""
        if not self.window_of(steps):
            return super().sweeps(steps)
        return "updating_windows" if self.update == "window" else "windows"

    def window_of(self, steps: int) -> int:
        """The window that is asked for; one of all steps is none."""
        fitting = [str(count) for count in range(1, steps + 1) if steps % count == 0]
        wanted = f"one that divides {steps} steps: {', '.join(fitting)}"
        self.require(not self.window or steps % self.window == 0, "window", wanted)
        return self.window if self.window < steps else 0
