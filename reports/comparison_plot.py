"""The comparison of learning rules as a picture: losses, accuracies, memory, traffic, work and cycles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .comparison import Comparison, Memory, Trial
from .drawing import COLOURS, PLAIN, ROOM_FOR_LEGEND, drawing
from .tables import MEANING, PHASES

INCHES = (13.5, 7.5)
LETTERS_BELOW = 40
"""More letters than these do not stand below a panel side by side."""


@dataclass(frozen=True)
class _Part:
    """A part of every bar: its name, its amount, and how it is drawn."""

    name: str
    amount: Callable[[Trial], float]
    colour: str = PLAIN
    hatch: str = ""


@dataclass(frozen=True)
class _Panel:
    """Bars, one a rule, of parts one on top of the other."""

    title: str
    unit: str
    parts: tuple[_Part, ...]


def figure(comparison: Comparison) -> Any:
    """Six panels over the rules that were trained; what became of the others stands below."""
    made = drawing().Figure(figsize=INCHES, layout="constrained")
    made.suptitle(comparison.title)
    trials = [trial for trial in comparison.trials if trial.run is not None]
    first, *others = made.subplots(2, 3).flat
    _losses(first, trials)
    for axes, panel in zip(others, _panels(), strict=True):
        _bars(axes, panel, trials)
    if left := [f"{trial.rule} {trial.outcome}" for trial in comparison.trials if trial.run is None]:
        made.supxlabel(", ".join(left))
    return made


def _panels() -> tuple[_Panel, ...]:
    """Every figure with its basis and unit."""
    phases = tuple(_Part(f"{phase} {MEANING[phase]}", _traffic(phase), COLOURS[phase]) for phase in PHASES)
    work = tuple(
        part
        for phase in PHASES
        for part in (
            _Part(f"{phase} multiply-adds", _multiply(phase), COLOURS[phase]),
            _Part(f"{phase} gated additions", _gated(phase), COLOURS[phase], "///"),
        )
    )
    memory = (
        _Part("tape", _memory(lambda memory: memory.tape), COLOURS["BP"]),
        _Part("carried from step to step", _memory(lambda memory: memory.carried), COLOURS["WG"]),
        _Part("all else", _memory(lambda memory: memory.footprint - memory.tape - memory.carried), "#c7c7c7"),
    )
    return (
        _Panel("test accuracy, measured", "%", (_Part("", _accuracy),)),
        _Panel("DRAM of the program, allocated", "KiB", memory),
        _Panel("DRAM traffic of a training step, counted", "KiB", phases),
        _Panel("work of a training step, counted", "millions", work),
        _Panel("cycles of a training step, modelled", "thousands", (_Part("", _cycles),)),
    )


def _losses(axes: Any, trials: Sequence[Trial]) -> None:
    """The loss of every training step, a line a rule."""
    for trial in trials:
        loss = () if trial.run is None else trial.run.loss
        axes.plot(range(1, len(loss) + 1), loss, label=trial.rule)
    axes.set_title("training loss, measured")
    axes.set_xlabel("training step")
    if trials:
        axes.legend(frameon=False)


def _bars(axes: Any, panel: _Panel, trials: Sequence[Trial]) -> None:
    """One panel; parts that no rule has are left out."""
    names = [trial.rule for trial in trials]
    below = [0.0] * len(trials)
    for part in panel.parts:
        heights = [part.amount(trial) for trial in trials]
        if any(heights):
            drawn = {"color": part.colour, "hatch": part.hatch, "edgecolor": "white", "linewidth": 0.0}
            axes.bar(names, heights, bottom=below, label=part.name, width=0.6, **drawn)
            below = [base + height for base, height in zip(below, heights, strict=True)]
    axes.set_title(panel.title)
    axes.set_ylabel(panel.unit)
    if sum(map(len, names)) > LETTERS_BELOW:
        axes.tick_params(axis="x", labelrotation=20)
    if len(panel.parts) > 1 and any(below):
        axes.set_ylim(0, ROOM_FOR_LEGEND * max(below))
        axes.legend(frameon=False, fontsize=7, ncols=2, loc="upper left")


def _accuracy(trial: Trial) -> float:
    """Per cent."""
    accuracy = None if trial.run is None else trial.run.test_accuracy
    return 100 * (accuracy or 0.0)


def _cycles(trial: Trial) -> float:
    cycles = None if trial.run is None else trial.run.cycles
    return (cycles or 0) / 1e3


def _memory(size: Callable[[Memory], int]) -> Callable[[Trial], float]:
    """Bytes in KiB."""
    return lambda trial: 0.0 if trial.memory is None else size(trial.memory) / 1024


def _traffic(phase: str) -> Callable[[Trial], float]:
    """DRAM bytes in KiB."""
    return lambda trial: trial.counted(phase).dram / 1024


def _multiply(phase: str) -> Callable[[Trial], float]:
    return lambda trial: trial.counted(phase).multiply / 1e6


def _gated(phase: str) -> Callable[[Trial], float]:
    return lambda trial: trial.counted(phase).gated / 1e6
