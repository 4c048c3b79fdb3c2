"""The host: calls the entries of a program with data, epoch after epoch, and keeps what it needs to go on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..isa.program import Program
from ..isa.traffic import Traffic
from ..source import NOWHERE, DataError, Place
from . import checkpoint as checkpoints
from . import weights
from .checkpoint import Checkpoint, Progress
from .facts import facts_of
from .feeding import Call, Dataset, Outcome, Samples, batch_count, batches
from .finite import first_not_finite, lasting
from .interpreter import Interpreter
from .interruption import Interruption
from .labelling import Assigned, assign, seen_last, unlabelled
from .modelled import Modelled
from .recording import Record, Recorder
from .replay import Timing, replay
from .scaling import LEAST_SCALE, Scale
from .settings import Settings

TRAIN, INFER, INIT = "train_step", "infer", "init"
"""The entries that the host knows."""


class Watcher(Protocol):
    """Is shown how far a run has come; the command line draws it."""

    def step(self, epoch: int, epochs: int, batch: int, batches: int, losses: Sequence[float]) -> None:
        """A training step is done; *epoch* and *batch* count from 1.

        *losses* are those of the steps of this epoch, of which an earlier run may have done some.
        """
        ...

    def evaluated(self, done: int, of: int) -> None:
        """*done* samples of an evaluation are done."""
        ...


@dataclass(frozen=True)
class Evaluation:
    """*accuracy* is a fraction, *loss* a mean over samples; None where the entry answers no such thing."""

    samples: int
    accuracy: float | None
    loss: float | None
    logits: NDArray[np.float32] | None


@dataclass(frozen=True)
class Training:
    """What came of a run.

    *loss* has one mean a step, steps before a resume included.  *train_accuracy* is that of the last epoch, seen while
    training.  *counted* and *modelled* are of all that this call ran (modelled: its training steps), *counted_step* and
    *modelled_step* of its first training step, which *record* and *timing* replay; None where no step ran.
    *skipped* of the steps changed nothing, since a gradient was not finite; *loss_scale* would be that of a next step.
    *assigned* are the classes of outputs that have learned without labels.
    """

    loss: tuple[float, ...]
    train_accuracy: float | None
    test: Evaluation | None
    steps: int
    seconds: float
    interrupted: bool
    counted: Traffic
    counted_step: Traffic | None
    modelled: Traffic | None
    modelled_step: Traffic | None
    record: Record | None
    timing: Timing | None
    spike_rates: Mapping[str, float]
    skipped: int
    loss_scale: float
    assigned: Assigned | None = None


def evaluate(
    interpreter: Interpreter,
    samples: Samples,
    settings: Settings,
    watcher: Watcher | None = None,
    logits: bool = False,
    assigned: Assigned | None = None,
) -> Evaluation:
    """Run the `infer` entry over all *samples*, in order; with *logits* they are kept, a row a sample.

    Where outputs are no classes, *assigned* tells which they stand for; without, there is no accuracy.
    """
    call = Call(interpreter, INFER, samples, None if assigned is None else assigned.correct)
    outcomes: list[Outcome] = []
    done = 0
    for number, indices in enumerate(batches(len(samples), interpreter.program.batch, 0, 0, False, 0)):
        facts = {"seed": settings.seed, "step": number, "loss_scale": settings.loss_scale}
        outcomes.append(call(samples, indices, facts, logits))
        done += len(indices)
        if watcher is not None:
            watcher.evaluated(done, len(samples))
    right = [outcome.correct for outcome in outcomes if outcome.correct is not None]
    losses = [outcome.losses for outcome in outcomes if outcome.losses is not None]
    rows = [outcome.logits for outcome in outcomes if outcome.logits is not None]
    return Evaluation(
        done,
        sum(right) / done if right else None,
        float(np.concatenate(losses).sum() / done) if losses else None,
        np.concatenate(rows) if logits and rows else None,
    )


def initialise(interpreter: Interpreter, settings: Settings) -> None:
    """Run the `init` entry, where there is one: it draws the parameters from the seed, but for those that the program
    brings along."""
    program = interpreter.program
    entry = next((entry for entry in program.entries if entry.name == INIT), None)
    if entry is None:
        return
    facts: dict[str, float | int] = {"seed": settings.seed, "step": 0, "valid": 0, "loss_scale": settings.loss_scale}
    missing = [name for name in entry.arguments if name not in facts]
    if missing:
        raise DataError.at(NOWHERE, f"init takes {', '.join(missing)}, which this host does not know")
    interpreter.run(INIT, {name: facts[name] for name in entry.arguments})
    interpreter.chip.lay(program.data)


def train(
    interpreter: Interpreter,
    data: Dataset,
    settings: Settings,
    *,
    checkpoint: str | Path | None = None,
    resume: str | Path | None = None,
    initial: str | Path | None = None,
    watcher: Watcher | None = None,
    test: bool = True,
) -> Training:
    """Train from the beginning, from *initial* weights, or from a checkpoint to *resume*; then test.

    A checkpoint is written before the first step (so that an unwritable path shows at once), after every epoch, and at
    the end; Ctrl-C lets the step end first, a second one does not.  DataError: data that does not fit, a checkpoint of
    another program or made with other settings, a loss or parameter that is not finite (named is where that began).
    """
    return _Run(interpreter, data, settings, checkpoint, watcher).run(resume, initial, test)


class _Run:
    """A training run: the program, the data, and where it stands."""

    def __init__(
        self,
        interpreter: Interpreter,
        data: Dataset,
        settings: Settings,
        path: str | Path | None,
        watcher: Watcher | None,
    ) -> None:
        self._interpreter, self._data, self._settings = interpreter, data, settings
        self._path, self._watcher = path, watcher
        self._program: Program = interpreter.program
        self._length = batch_count(len(data.train), self._program.batch)
        self._progress = Progress()
        self._losses: list[float] = []
        self._saved = 0
        self._accuracy: float | None = None
        self._valid = 0
        self._first: tuple[Traffic, Traffic, Record | None] | None = None
        self._before: Traffic | None = None

    def run(self, resume: str | Path | None, initial: str | Path | None, test: bool) -> Training:
        """All of it."""
        began = perf_counter()
        self._begin(resume, initial)
        self._save()
        start = self._progress.step
        with Interruption() as interruption:
            self._train(interruption)
        self._save()
        rates = spike_rates(self._interpreter, self._valid) if self._valid else {}
        evaluation: Evaluation | None = None
        assigned = None if interruption.asked else self._assigned()
        if test and not interruption.asked and any(entry.name == INFER for entry in self._program.entries):
            evaluation = evaluate(self._interpreter, self._data.test, self._settings, self._watcher, assigned=assigned)
        counted = self._interpreter.counters.take()
        if self._before is not None:
            counted = self._before + counted
        step, modelled, record = self._first if self._first is not None else (None, None, None)
        return Training(
            loss=tuple(self._losses),
            train_accuracy=self._accuracy,
            test=evaluation,
            steps=self._progress.step,
            seconds=perf_counter() - began,
            interrupted=interruption.asked,
            counted=counted,
            counted_step=step,
            modelled=None if modelled is None else modelled * (self._progress.step - start),
            modelled_step=modelled,
            record=record,
            timing=None if record is None else replay(record, self._interpreter.target),
            spike_rates=rates,
            skipped=self._progress.skipped,
            loss_scale=self._scale.value,
            assigned=assigned,
        )

    def _assigned(self) -> Assigned | None:
        """Classes for the outputs, where nothing else gives them any; the checkpoint gets to know them."""
        if not unlabelled(self._program, INFER):
            return None
        samples, size = self._data.train, self._program.batch
        chosen = seen_last(len(samples), size, self._settings, self._progress)
        watch = None if self._watcher is None else self._watcher.evaluated
        found = assign(self._interpreter, INFER, samples, chosen, self._settings, watch)
        self._progress = replace(self._progress, classes=found.classes, labelled=found.samples)
        self._save()
        return found

    def _begin(self, resume: str | Path | None, initial: str | Path | None) -> None:
        """Parameters: drawn, taken over, or as they were."""
        if resume is not None:
            held = checkpoints.load(resume)
            self._check_settings(held, str(resume))
            self._progress = checkpoints.restore(held, self._program, self._interpreter.chip.dram, str(resume))
            self._losses = list(held.progress.losses)
            answers = self._program.entry(TRAIN).results
            judged = ("correct" in answers or "logits" in answers) and not unlabelled(self._program, TRAIN)
            if self._progress.seen and judged:
                self._accuracy = self._progress.correct / self._progress.seen
            return
        initialise(self._interpreter, self._settings)
        if initial is not None:
            weights.take_over(self._interpreter, weights.load(initial), str(initial))
        if (symbol := lasting(self._interpreter)) is not None:
            raise DataError.at(NOWHERE, f"{symbol.name} is not finite before the first step", hints=["another init"])

    def _train(self, interruption: Interruption) -> None:
        """Steps, until they are done or somebody interrupts."""
        settings = self._settings
        call = Call(self._interpreter, TRAIN, self._data.train)
        while self._progress.epoch < settings.epochs:
            epoch, size = self._progress.epoch, self._program.batch
            data = self._data.train
            for indices in batches(len(data), size, settings.seed, epoch, settings.shuffle, self._progress.batch):
                if interruption.asked or (settings.max_steps is not None and self._progress.step >= settings.max_steps):
                    return
                self._step(call, indices)
                if self._watcher is not None:
                    position = epoch + 1, settings.epochs, self._progress.batch, self._length
                    interruption.guard(self._watcher.step, *position, self._losses[-self._progress.batch :])
            self._progress = replace(self._progress, epoch=epoch + 1, batch=0)
            self._save()

    @property
    def _scale(self) -> Scale:
        """The loss scale of the next step."""
        progress = self._progress
        return self._settings.scale if progress.scale is None else Scale(progress.scale, progress.good)

    def _step(self, call: Call, indices: NDArray[np.int64]) -> Outcome:
        """One training step; the first one is also recorded and modelled."""
        progress, settings, scale = self._progress, self._settings, self._scale
        facts = facts_of(settings, progress.updates, progress.epoch, self._length, scale, self._program.steps)
        if self._first is None:
            outcome = self._first_step(call, indices, facts)
        else:
            outcome = call(self._data.train, indices, facts)
        self._valid = outcome.valid
        if settings.scaling is not None:
            scale = settings.scaling.after(scale, outcome.overflow)
        self._check(outcome, scale)
        before, since = (progress.correct, progress.seen) if progress.batch else (0, 0)
        correct, seen = before + (outcome.correct or 0), since + outcome.valid
        if outcome.correct is not None:
            self._accuracy = correct / seen
        if outcome.loss is not None:
            self._losses.append(outcome.loss)
        self._progress = Progress(
            progress.step + 1,
            progress.epoch,
            progress.batch + 1,
            correct,
            seen,
            skipped=progress.skipped + outcome.overflow,
            scale=None if settings.scaling is None else scale.value,
            good=scale.good,
        )
        return outcome

    def _check(self, outcome: Outcome, scale: Scale) -> None:
        """DataError that names where it began, if the step left anything that training cannot go on with.

        That is a loss or a lasting word that is not finite, or gradients that overflow under every scale.
        """
        loss = outcome.loss
        if loss is not None and not isfinite(loss):
            what = f"the loss is {loss}"
        elif outcome.overflow and scale.value < LEAST_SCALE:
            what = f"gradients are not finite with the loss scale {self._scale.value:g}"
        elif (symbol := lasting(self._interpreter)) is not None:
            what = f"{symbol.name} is not finite"
        else:
            return
        progress = self._progress
        at = f"in step {progress.step + 1} (epoch {progress.epoch + 1}, batch {progress.batch + 1})"
        found = first_not_finite(self._interpreter, self._program.entry(TRAIN))
        place, began = (NOWHERE, "") if found is None else (found.place, f"; it began in {found}")
        hints = self._remedies(
            forward=loss is not None and not isfinite(loss), phase="" if found is None else found.phase
        )
        raise DataError.at(place, f"{what} {at}{began}", hints=hints)

    def _remedies(self, forward: bool, phase: str) -> list[str]:
        """What may keep numbers finite that are not on the way there (*forward*) or in *phase*, and is not done yet."""
        settings, step = self._settings, self._progress.step
        found: list[str] = []
        if step or (phase == "UP" and not forward):
            found.append("a lower learning rate")
            if settings.clip is None:
                found.append("clip = norm(1.0) in the train section, or --clip")
        if not step and forward:
            found.append("first values of the parameters, or samples, that are smaller")
        if not forward and phase != "UP" and settings.scaling is None:
            found.append("a lower loss scale, or loss_scale = dynamic")
        if self._saved:
            found.append(f"--weights {self._path}, the parameters after step {self._saved}, with what is changed")
        return found

    def _first_step(self, call: Call, indices: NDArray[np.int64], facts: Mapping[str, float | int]) -> Outcome:
        """A step that is counted by itself."""
        interpreter = self._interpreter
        modelled, recorder = Modelled(self._program, interpreter.target), Recorder(interpreter.target)
        self._before = interpreter.counters.take()
        interpreter.listen(modelled)
        interpreter.listen(recorder)
        try:
            outcome = call(self._data.train, indices, facts)
        finally:
            interpreter.ignore(modelled)
            interpreter.ignore(recorder)
        counted = interpreter.counters.take()
        self._before = self._before + counted
        self._first = counted, modelled.take(), recorder.record
        return outcome

    def _save(self) -> None:
        """Write the checkpoint, where one is wanted."""
        if self._path is not None:
            written = {**self._settings.to_json(), "samples": len(self._data.train)}
            progress = replace(self._progress, losses=tuple(self._losses))
            held = checkpoints.capture(self._program, self._interpreter.chip.dram, progress, written)
            checkpoints.save(held, self._path)
            self._saved = progress.step

    def _check_settings(self, checkpoint: Checkpoint, file: str) -> None:
        """DataError where going on would not be bit for bit; more epochs or steps are all right."""
        held = checkpoint.settings
        now: dict[str, Any] = json.loads(json.dumps({**self._settings.to_json(), "samples": len(self._data.train)}))
        free = ("epochs", "max_steps")
        other = [name for name in now if name not in free and held.get(name) != now[name]]
        if other:
            told = ", ".join(f"{name} = {held.get(name)} (now {now[name]})" for name in other)
            hints = checkpoints.weights_alone(checkpoint, self._program, file)
            raise DataError.at(Place(file), f"the run that wrote it had other settings: {told}", hints=hints)


def spike_rates(interpreter: Interpreter, valid: int) -> dict[str, float]:
    """Fraction of ones by layer, over the first *valid* samples of the spikes that the last entry left in DRAM.

    Spikes of which DRAM holds one step only are passed over: the last step does not stand for all.
    """
    ones: dict[str, list[int]] = {}
    for symbol in interpreter.program.symbols:
        whole = symbol.steps in (0, interpreter.program.steps)
        if symbol.format == "spike" and symbol.role in ("tape", "value") and symbol.samples and whole:
            spikes = interpreter.values(symbol.name)
            spikes = spikes[:, :valid] if symbol.steps else spikes[:valid]
            found = ones.setdefault(symbol.layer, [0, 0])
            found[0] += int(np.count_nonzero(spikes))
            found[1] += spikes.size
    return {layer: count / size for layer, (count, size) in ones.items() if size}
