"""What `snnc run` and `snnc train` share: run a program on data, tell what came of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..source import NOWHERE, DataError, Faults
from ._options import Dump, read_choice, read_dumps, threads_of
from ._output import Output, check_writable

if TYPE_CHECKING:
    from ..isa.program import Program
    from ..models.data import Dataset
    from ..reports.json_report import Resolved, Run
    from ..runtime.host import Training
    from ..runtime.interpreter import Interpreter
    from ..runtime.settings import Settings

DUMP_SUFFIX = ".npy"
WEIGHT_SUFFIXES = (".npz", ".safetensors")


@dataclass
class Execution:
    """How a program is to be run: the values of the options that `running` gives a command."""

    command: str
    output: Output
    data: str
    epochs: int | None = None
    max_steps: int | None = None
    seed: int | None = None
    lr: float | None = None
    schedule: str | None = None
    checkpoint: str | None = None
    resume: str | None = None
    weights: str | None = None
    save_weights: str | None = None
    dumps: tuple[str, ...] = ()
    threads: int | None = None
    trace: str | None = None
    check_races: bool = False
    compare_oracle: str | None = None
    resolved: tuple[Resolved, ...] = ()
    wanted: tuple[Dump, ...] = field(init=False)

    def __post_init__(self) -> None:
        self.wanted = read_dumps(self.dumps)
        for dump in self.wanted:
            if dump.file is not None and Path(dump.file).suffix != DUMP_SUFFIX:
                raise click.BadParameter(f"a tensor is written as {DUMP_SUFFIX}, not {dump.file}", param_hint="--dump")
        if self.save_weights is not None and Path(self.save_weights).suffix not in WEIGHT_SUFFIXES:
            wanted = " or ".join(WEIGHT_SUFFIXES)
            raise click.BadParameter(f"{self.save_weights} does not end in {wanted}", param_hint="--save-weights")
        if self.resume is not None and self.weights is not None:
            raise click.UsageError("--resume takes the parameters from its checkpoint; leave --weights out")
        looked_at = "--check-races" if self.check_races else "--compare-oracle" if self.compare_oracle else None
        if looked_at is not None and self.threads not in (None, 1):
            raise click.UsageError(f"{looked_at} looks at one instruction after the other; leave --threads out")
        files = (dump.file for dump in self.wanted)
        check_writable([self.output.json_to, self.checkpoint, self.save_weights, self.trace, *files])

    def run(self, program: Program, dataset: Dataset | None = None) -> None:
        """Train and test, then tell and write everything that was asked for; *dataset* where it is read already."""
        from ..reports.json_report import run_report
        from ._program import load_data

        dataset = dataset or load_data(self.data, program)
        self.say(dataset)
        interpreter, training, report = self.perform(program, dataset)
        if self.save_weights is not None:
            from ..runtime import weights

            weights.save(interpreter, self.save_weights)
        if self.trace is not None:
            self._write_trace(training)
        self._tell(report)
        if self.compare_oracle is not None:
            last = max(symbol.last_steps for symbol in program.symbols)
            held = "one time step: the last" if last == 1 else f"{last} time steps: the last"
            of = f" (where DRAM holds {held})" if last else ""
            calls = sum(report.calls.values())
            self.output.say(f"oracle            every tensor in DRAM of {calls} calls is equal, bit for bit{of}")
        if self.check_races:
            self.output.say("races             none: every access is ordered by a hand-over")
        if report.labels and max(report.labels) < 0:
            told = f"none of the {len(report.labels)} outputs fired for any of {report.labelled} samples"
            lever = "lower thresholds, or larger weights to begin with, let neurons fire"
            click.echo(f"warning: {told}, and what does not fire learns nothing; {lever}", err=True)
        self.output.value(run_report(report))
        if training.interrupted:
            left = f"; --resume {self.checkpoint} goes on" if self.checkpoint else ""
            raise DataError.at(NOWHERE, f"interrupted after {training.steps} training steps{left}")

    def perform(self, program: Program, dataset: Dataset) -> tuple[Interpreter, Training, Run]:
        """Train and test: the machine as it stands behind that, what came of it, and what is to be reported."""
        settings = self._settings(program)
        interpreter = self._interpreter(program)
        training, calls = self._train(interpreter, dataset, settings)
        return interpreter, training, self._report(program, training, calls)

    def say(self, dataset: Dataset) -> None:
        """What there is to train on, and, where kernels are slow, why."""
        from ..isa.kernels.compiled import why_none

        shape = "x".join(map(str, dataset.sample_shape))
        self.output.say(
            f"data: {dataset.name}, {len(dataset.train)} samples of {shape} to train on, {len(dataset.test)} to test on"
        )
        if reason := why_none():
            self.output.say(f"kernels are NumPy's, which are slower: {reason}")

    def _settings(self, program: Program) -> Settings:
        """The host's settings: command line over program over default."""
        from ..runtime.schedules import Schedule
        from ..runtime.settings import Settings

        schedule = None
        if self.schedule is not None:
            choice = read_choice(self.schedule, "--schedule")
            name, *rest = choice if isinstance(choice, tuple) else (choice,)
            schedule = Schedule.of({"name": name, **dict(rest)})  # type: ignore[arg-type]
        given: dict[str, Any] = {
            "epochs": self.epochs,
            "max_steps": self.max_steps,
            "seed": self.seed,
            "learning_rate": self.lr,
            "schedule": schedule,
        }
        return Settings.of(program.settings, **given)

    def _interpreter(self, program: Program) -> Interpreter:
        from ..runtime.interpreter import Interpreter

        if self.wanted:
            from ..catalog import UnknownName, unknown
            from ..runtime.finite import stored_by
            from ..runtime.host import TRAIN

            known = stored_by(program, program.entry(TRAIN))
            for dump in self.wanted:
                if dump.tensor in known:
                    continue
                if dump.tensor in program.layers or dump.tensor in program.by_name:
                    told = f"{dump.tensor} has no place in DRAM, since what reads it takes it on the core"
                    raise UnknownName(f"{told}; --fusion off gives it one")
                raise unknown("tensor in DRAM", dump.tensor, known)
        if self.compare_oracle is None:
            return Interpreter(program, watched=self.check_races, threads=threads_of(self.threads))
        from ._oracle import ComparedInterpreter, training_of

        return ComparedInterpreter(program, training_of(program, self.compare_oracle), watched=self.check_races)

    def _train(self, interpreter: Interpreter, dataset: Dataset, settings: Settings) -> tuple[Training, dict[str, int]]:
        from ..runtime.feeding import batch_count
        from ..runtime.host import INFER, INIT, TRAIN, train
        from ._progress import ProgressBar

        size = interpreter.program.batch
        total = settings.epochs * batch_count(len(dataset.train), size)
        if settings.max_steps is not None:
            total = min(total, settings.max_steps)
        with Faults(DataError) as faults:
            for each in self.wanted:
                if each.step > total:
                    told = "one training step, 1" if total == 1 else f"training steps 1 to {total}"
                    faults.add(NOWHERE, f"--dump {each.tensor}@{each.step}: the run has {told}")
        pending = list(self.wanted)

        def dump(step: int) -> None:
            for each in [each for each in pending if each.step == step]:
                pending.remove(each)
                self._dump(interpreter, each)

        with ProgressBar(self.output, total, dump) as bar:
            training = train(
                interpreter,
                dataset,
                settings,
                checkpoint=self.checkpoint,
                resume=self.resume,
                initial=self.weights,
                watcher=bar,
            )
        for each in pending:  # of steps before a checkpoint, or behind an interruption
            first, last = training.steps - bar.done + 1, training.steps
            had = f"the steps {first} to {last}" if first < last else f"step {last}" if bar.done else "no training step"
            click.echo(f"warning: {each.tensor}@{each.step} was not dumped: this run had {had}", err=True)
        calls = {INIT: int(self.resume is None), TRAIN: bar.done}
        counts = [0 if training.test is None else training.test.samples]
        counts += [0 if training.assigned is None else training.assigned.samples]
        calls[INFER] = sum(batch_count(count, size) for count in counts)
        entries = {entry.name for entry in interpreter.program.entries}
        return training, {name: count for name, count in calls.items() if name in entries}

    def _dump(self, interpreter: Interpreter, dump: Dump) -> None:
        """Show a tensor, or write it."""
        import io

        import numpy as np

        values = interpreter.values(dump.tensor)
        if dump.file is not None:
            from ..isa.files import write_whole

            content = io.BytesIO()
            np.lib.format.write_array(content, np.ascontiguousarray(values), allow_pickle=False)
            write_whole(Path(dump.file), content.getvalue())
            return
        symbol = interpreter.program.symbol(dump.tensor)
        count = symbol.last_steps
        last = {0: "", 1: ", its last time step"}.get(count, f", its last {count} time steps")
        self.output.say(f"{dump.tensor} after step {dump.step}{last}: {symbol.format}{list(values.shape)}")
        self.output.say(np.array2string(values, precision=5, threshold=200))

    def _write_trace(self, training: Training) -> None:
        from ..runtime.trace import write_trace

        assert self.trace is not None
        if training.record is None or training.timing is None:
            self.output.say(f"{self.trace} was not written: the run had no training step")
            return
        write_trace(training.record, training.timing, self.trace)

    def _report(self, program: Program, training: Training, calls: dict[str, int]) -> Run:
        from ..reports.json_report import Run

        timing, test = training.timing, training.test
        return Run(
            self.command,
            program,
            self.resolved,
            self.data,
            training.loss,
            training.train_accuracy,
            None if test is None else test.accuracy,
            None if test is None else test.loss,
            training.steps,
            training.seconds,
            training.interrupted,
            training.counted,
            training.counted_step,
            training.modelled,
            training.modelled_step,
            None if timing is None else timing.cycles,
            {} if timing is None else timing.utilisation,
            training.spike_rates,
            calls,
            training.skipped,
            training.loss_scale,
            () if training.assigned is None else training.assigned.classes,
            0 if training.assigned is None else training.assigned.samples,
        )

    def _tell(self, run: Run) -> None:
        from ..reports.tables import headline_text, layer_table

        if run.counted_step is not None:
            self.output.show(layer_table(run))
        self.output.say(headline_text(run))
