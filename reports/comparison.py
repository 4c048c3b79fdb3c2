"""Learning rules side by side: one network, trained under each from the same parameters on the same samples.

Every figure has its basis.  *Measured* is what training came to after all steps; *allocated* are bytes of DRAM that the
compiler gives a value; traffic and work are *counted* in the first training step, and cycles *modelled* by its replay,
for there all rules still have the same parameters and samples, and what differs is the rule's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..isa.traffic import Amounts
from ..source import NOWHERE, Fault
from .json_report import SCHEMA_VERSION, Resolved, Run, plain, predicted_traffic, run_report, versions
from .tables import MEANING, PHASES, bytes_text, count_text

if TYPE_CHECKING:
    from rich.table import Table

Outcome = Literal["trained", "interrupted", "refused", "failed"]
Basis = Literal["", "measured", "allocated", "counted", "predicted", "modelled"]


@dataclass(frozen=True)
class Memory:
    """Bytes of DRAM: of the tape, of the state that a step carries to the next, and of everything together.

    The last is the peak, too, for no two values of a program share a place.
    """

    tape: int
    carried: int
    footprint: int


@dataclass(frozen=True)
class Trial:
    """A rule, as one writes it without settings that are its defaults, and what came of it.

    A rule is refused for *faults* before anything runs, then it has no *memory*; it fails for them while it trains,
    then it has no *run*.
    """

    rule: str
    memory: Memory | None = None
    run: Run | None = None
    faults: tuple[Fault, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """How it went."""
        if self.run is not None:
            return "interrupted" if self.run.interrupted else "trained"
        return "refused" if self.memory is None else "failed"

    def counted(self, phase: str) -> Amounts:
        """What the first training step moved and did in *phase*; in all of them where that is empty."""
        traffic = None if self.run is None else self.run.counted_step
        if traffic is None:
            return Amounts()
        return traffic.by_phase().get(phase, Amounts()) if phase else traffic.total


@dataclass(frozen=True)
class Comparison:
    """All trials of a network.  *settings* are those that they share."""

    network: str
    target: str
    cores: int
    batch: int
    time_steps: int
    data: str
    settings: tuple[Resolved, ...]
    trials: tuple[Trial, ...]

    @property
    def steps(self) -> int:
        """Training steps of each rule that trained."""
        return max((trial.run.steps for trial in self.trials if trial.run is not None), default=0)

    @property
    def title(self) -> str:
        """What is compared."""
        cores = "1 core" if self.cores == 1 else f"{self.cores} cores"
        steps = "1 training step" if self.steps == 1 else f"{self.steps} training steps"
        return (
            f"{self.network}: {steps} of {self.batch} samples, {self.time_steps} time steps, {cores} of {self.target}"
        )


@dataclass(frozen=True)
class Figure:
    """A row of the table: its *text* for a trial, empty where there is none."""

    name: str
    basis: Basis
    text: Callable[[Trial], str]


def comparison_table(comparison: Comparison) -> Table:
    """A column a rule, a row a figure."""
    from rich.table import Table

    table = Table(title=comparison.title, title_justify="left")
    table.add_column("")
    table.add_column("basis")
    for trial in comparison.trials:
        table.add_column(trial.rule, justify="right")
    for group in (_OUTCOME, _MEMORY, _traffic(), _work(comparison.trials), _CYCLES):
        for figure in group:
            table.add_row(figure.name, figure.basis, *map(figure.text, comparison.trials))
        table.add_section()
    return table


def reasons_text(comparison: Comparison) -> str:
    """Why rules are refused or failed, below each other; empty where all went well."""
    return "\n".join(line for trial in comparison.trials for fault in trial.faults for line in _reason(trial, fault))


def _reason(trial: Trial, fault: Fault) -> Iterator[str]:
    where = "" if fault.place == NOWHERE else f"{fault.place}: "
    yield f"{trial.rule} {trial.outcome}: {where}{fault.message}"
    yield from (f"  try: {hint}" for hint in fault.hints)


def comparison_report(comparison: Comparison) -> dict[str, Any]:
    """The same as plain JSON values; of each rule that trained the report of its run."""
    return {
        "schema_version": SCHEMA_VERSION,
        "command": "compare",
        "network": comparison.network,
        "target": comparison.target,
        "cores": comparison.cores,
        "batch": comparison.batch,
        "time_steps": comparison.time_steps,
        "data": comparison.data,
        "settings": {each.name: {"value": plain(each.value), "origin": each.origin} for each in comparison.settings},
        "steps": comparison.steps,
        "rules": [_trial_report(trial) for trial in comparison.trials],
        "versions": versions(),
    }


def _trial_report(trial: Trial) -> dict[str, Any]:
    memory = trial.memory
    return {
        "rule": trial.rule,
        "outcome": trial.outcome,
        "faults": [
            {
                "place": None if fault.place == NOWHERE else str(fault.place),
                "message": fault.message,
                "hints": list(fault.hints),
            }
            for fault in trial.faults
        ],
        "allocated": None
        if memory is None
        else {"tape": memory.tape, "carried": memory.carried, "footprint": memory.footprint},
        "run": None if trial.run is None else run_report(trial.run),
    }


def _accuracy(trial: Trial) -> str:
    accuracy = None if trial.run is None else trial.run.test_accuracy
    return "" if accuracy is None else f"{100 * accuracy:.2f} %"


def _loss(trial: Trial) -> str:
    loss = () if trial.run is None else trial.run.loss
    return f"{loss[0]:.4g} -> {loss[-1]:.4g}" if loss else ""


def _allocated(size: Callable[[Memory], int]) -> Callable[[Trial], str]:
    return lambda trial: "" if trial.memory is None else bytes_text(size(trial.memory))


def _amount(show: Callable[[float], str], of: Callable[[Amounts], float], phase: str) -> Callable[[Trial], str]:
    """One of the amounts of a phase; nothing where there is none of it."""

    def text(trial: Trial) -> str:
        amount = of(trial.counted(phase))
        return show(amount) if amount else ""

    return text


def _predicted(trial: Trial) -> str:
    predicted = None if trial.run is None else predicted_traffic(trial.run.program).get("train_step")
    return "" if predicted is None else bytes_text(predicted["dram"]["total"])


def _cycles(trial: Trial) -> str:
    cycles = None if trial.run is None else trial.run.cycles
    return "" if cycles is None else count_text(cycles)


_OUTCOME = (
    Figure("", "", lambda trial: trial.outcome),
    Figure("test accuracy", "measured", _accuracy),
    Figure("training loss, first -> last", "measured", _loss),
)
_MEMORY = (
    Figure("tape", "allocated", _allocated(lambda memory: memory.tape)),
    Figure("carried from step to step", "allocated", _allocated(lambda memory: memory.carried)),
    Figure("DRAM of the program", "allocated", _allocated(lambda memory: memory.footprint)),
)
_CYCLES = (Figure("cycles of a training step", "modelled", _cycles),)


def _traffic() -> Iterator[Figure]:
    """DRAM bytes by phase, all of them, and what the compiler said before."""
    for phase in PHASES:
        yield Figure(f"DRAM traffic, {phase} {MEANING[phase]}", "counted", _amount(bytes_text, _dram, phase))
    yield Figure("DRAM traffic of a training step", "counted", _amount(bytes_text, _dram, ""))
    yield Figure("", "predicted", _predicted)


def _work(trials: Sequence[Trial]) -> Iterator[Figure]:
    """Multiply-adds and gated additions, of those phases in which any rule has some."""
    kinds: dict[str, Callable[[Amounts], float]] = {"multiply-adds": _multiply, "gated additions": _gated}
    for kind, of in kinds.items():
        for phase in PHASES:
            if any(of(trial.counted(phase)) for trial in trials):
                yield Figure(f"{kind}, {phase}", "counted", _amount(count_text, of, phase))


def _dram(amounts: Amounts) -> float:
    return amounts.dram


def _multiply(amounts: Amounts) -> float:
    return amounts.multiply


def _gated(amounts: Amounts) -> float:
    return amounts.gated
