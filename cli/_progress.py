"""How far a run has come: a bar on a terminal, a line an epoch elsewhere; and tensors shown on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from ._output import Output

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress, TaskID

Step = Callable[[int], None]
"""Told of every training step that is done, by its number from 1."""


class ProgressBar:
    """A `runtime.host.Watcher` that shows a run to people, and tells *steps* of every training step.

    *total* is the number of training steps that the run will take, as far as one knows.
    """

    def __init__(self, output: Output, total: int, steps: Step | None = None) -> None:
        self._output, self._total, self._steps = output, total, steps
        self._stack = ExitStack()
        self._bar: Progress | None = None
        self._training: TaskID | None = None
        self._testing: TaskID | None = None
        self.done = 0
        """Training steps of this run."""

    def __enter__(self) -> Self:
        if self._output.console.is_terminal:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
            )
            self._bar = self._stack.enter_context(Progress(*columns, console=self._output.console))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def step(self, epoch: int, epochs: int, batch: int, batches: int, losses: Sequence[float]) -> None:
        """A training step is done."""
        self.done += 1
        number = (epoch - 1) * batches + batch
        if self._bar is not None:
            if self._training is None:
                self._training = self._bar.add_task("training", total=self._total, note="")
            note = f"epoch {epoch} of {epochs}" + (f", loss {losses[-1]:.4f}" if losses else "")
            self._bar.update(self._training, completed=number, note=note)
        elif batch == batches:
            mean = f": mean loss {sum(losses) / len(losses):.4f}" if losses else ""
            self._output.say(f"epoch {epoch} of {epochs}{mean}")
        if self._steps is not None:
            self._steps(number)

    def evaluated(self, done: int, of: int) -> None:
        """*done* samples of an evaluation are done."""
        if self._bar is None:
            return
        if self._testing is None:
            self._testing = self._bar.add_task("testing", total=of, note="")
        self._bar.update(self._testing, completed=done)
