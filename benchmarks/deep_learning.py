"""Trains a model on the interpreter and in plain PyTorch, from the same parameters in the same order of samples.

    python -m benchmarks.deep_learning --model srnn --data events:FILE --epochs 5 --steps 10 --set hidden=128

After every epoch it prints losses and accuracies of both.  Nothing is judged here.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np
from click import ClickException

import snnc
from snnc.cli._options import read_choice, read_rule
from snnc.cli._program import load_data
from snnc.compiler.ir.graph import Setting
from snnc.compiler.pipeline import Compilation, Options
from snnc.isa.program import Program
from snnc.models.data import Dataset, Samples
from snnc.numerics import random
from snnc.runtime.feeding import batch_count, batches
from snnc.runtime.host import initialise, train
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.schedules import Moment
from snnc.runtime.settings import Settings
from snnc.runtime.weights import exported
from snnc.source import SnncError

from .graphs import graph_of
from .machine import machine
from .peers.lesson import Array, Lesson
from .problem import settings_of
from .workers import HERE, environment, python_of

PEERS = ("pytorch", "snnc")


@dataclass(frozen=True)
class Epoch:
    """Mean *loss* of the steps of an epoch, accuracies on what was trained (as it was seen) and on what is tested."""

    loss: float
    train: float
    test: float
    seconds: float
    test_seconds: float


class Training:
    """A compiled model, its data and how it is to be trained."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        train_settings: dict[str, Setting] = {}
        for name in ("optimizer", "loss", "clip"):
            if (text := getattr(chosen, name)) is not None:
                train_settings[name] = read_choice(text, f"--{name}")
        if chosen.rule is not None:
            train_settings["rule"] = read_rule(chosen.rule)
        sizes = settings_of(chosen.set)
        options = Options(chosen.target, chosen.cores, chosen.batch, chosen.steps, settings=sizes, train=train_settings)
        compilation = Compilation(chosen.model, options)
        began = perf_counter()
        self.program: Program = compilation.program
        self.compile_seconds = perf_counter() - began
        self.graph = graph_of(compilation.network, compilation.training_options)
        self.settings = Settings.of(
            self.program.settings, seed=chosen.seed, epochs=chosen.epochs, learning_rate=chosen.lr
        )
        whole = load_data(chosen.data, self.program)
        self.data: Dataset = replace(
            whole, train=_first(whole.train, chosen.train), test=_first(whole.test, chosen.test)
        )
        self.steps = batch_count(len(self.data.train), self.program.batch)

    def lesson(self) -> Lesson:
        """The same for a peer."""
        interpreter = Interpreter(self.program)
        initialise(interpreter, self.settings)
        settings, count, size = self.settings, len(self.data.train), self.program.batch
        order = [
            np.concatenate(list(batches(count, size, settings.seed, epoch, settings.shuffle, 0)))
            for epoch in range(settings.epochs)
        ]
        rates = [
            [
                settings.schedule.rate(
                    settings.learning_rate, Moment(epoch * self.steps + step, epoch, settings.epochs, self.steps)
                )
                for step in range(self.steps)
            ]
            for epoch in range(settings.epochs)
        ]
        first = exported(interpreter) | {name: interpreter.values(name) for name in self.graph.statistics}
        parts = (*_whole(self.data.train), *_whole(self.data.test))
        return Lesson(self.graph, size, first, *parts, np.array(order), np.array(rates), self._chosen())

    def _chosen(self) -> Array:
        """``[epoch][step][t]``: whether errors follow."""
        steps, turns = self.program.steps, self.settings.turns or self.program.steps
        return np.array(
            [
                [
                    np.isin(range(steps), random.choice(turns, steps, self.settings.seed, epoch * self.steps + step))
                    for step in range(self.steps)
                ]
                for epoch in range(self.settings.epochs)
            ]
        )

    def on_the_interpreter(self) -> Iterator[Epoch]:
        """Epoch after epoch, each from the checkpoint of the one before."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "training.ckpt"
            for number in range(self.settings.epochs):
                settings = replace(self.settings, max_steps=(number + 1) * self.steps)
                before = path if number else None
                watch = _Watch()
                ended = train(
                    Interpreter(self.program), self.data, settings, checkpoint=path, resume=before, watcher=watch
                )
                assert ended.test is not None and ended.test.accuracy is not None and ended.train_accuracy is not None
                losses = self._of_epoch(ended.loss, number)
                seconds = watch.trained - watch.began
                yield Epoch(losses, ended.train_accuracy, ended.test.accuracy, seconds, ended.seconds - seconds)

    def _of_epoch(self, losses: tuple[float, ...], epoch: int) -> float:
        """The mean over samples; the last batch may be partial."""
        count, size = len(self.data.train), self.program.batch
        valid = [min(size, count - step * size) for step in range(self.steps)]
        return float(np.average(losses[epoch * self.steps : (epoch + 1) * self.steps], weights=valid))


class _Watch:
    """Notes when the last training step was done."""

    def __init__(self) -> None:
        self.began = self.trained = perf_counter()

    def step(self, epoch: int, epochs: int, batch: int, batches: int, losses: Sequence[float]) -> None:
        """A step is done."""
        self.trained = perf_counter()

    def evaluated(self, done: int, of: int) -> None:
        """Some samples are."""


@contextmanager
def in_pytorch(lesson: Lesson) -> Generator[tuple[Mapping[str, str], Iterator[Epoch]]]:
    """(versions, epochs) of the peer, in its own environment."""
    with tempfile.TemporaryDirectory() as folder:
        lesson.save(Path(folder))
        command = [str(python_of("pytorch")), "-m", "benchmarks.peers.with_pytorch", folder]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, cwd=HERE.parent, env=environment()
        ) as process:
            assert process.stdout is not None
            lines = iter(process.stdout)
            first = next(lines, None)
            if first is not None:
                yield json.loads(first), (Epoch(**json.loads(line)) for line in lines)
            if process.wait():
                sys.exit(f"pytorch: exit status {process.returncode}; what it said is above")


def _first(samples: Samples, count: int | None) -> Samples:
    """At most *count* samples."""
    return samples if count is None else samples.first(min(count, len(samples)))


def _whole(samples: Samples) -> tuple[Array, Array]:
    """All images, as bytes where they are whole numbers below 256 (frames of events), and labels."""
    images, labels = samples.batch(np.arange(len(samples)))
    small = images.astype(np.uint8)
    return (small if np.array_equal(small, images) else images), labels


def show(results: Mapping[str, list[Epoch]]) -> None:
    """A row an epoch."""
    heads = ["epoch"]
    for peer in PEERS:
        heads += [f"{peer} loss", "train", "test", "seconds"]
    rows = [[*heads, "difference"]]
    for number, epochs in enumerate(zip(*(results[peer] for peer in PEERS), strict=True)):
        row = [str(number + 1)]
        for epoch in epochs:
            row += [f"{epoch.loss:.4f}", f"{epoch.train:.2%}", f"{epoch.test:.2%}", f"{epoch.seconds:.1f}"]
        rows.append([*row, f"{100 * (epochs[1].test - epochs[0].test):+.2f} points"])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.deep_learning", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--model", required=True, help="a name or a .snn file")
    parser.add_argument("--data", required=True, help="as `snnc train` takes it: cifar10:DIR,normalise=true")
    parser.add_argument("--train", type=int, metavar="N", help="samples to train on, at most; default: all")
    parser.add_argument("--test", type=int, metavar="N", help="samples to test on, at most; default: all")
    parser.add_argument("--epochs", type=int, default=5, help="default: 5")
    parser.add_argument("--batch", type=int, help="default: the model's")
    parser.add_argument("--steps", type=int, help="time steps; default: the model's")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings such as width=32")
    parser.add_argument("--rule", help="such as sltt_k:K=2; default: the model's")
    parser.add_argument("--loss", help="such as 'cross_entropy_mse(lam=0.0)'; default: the model's")
    parser.add_argument("--clip", help="such as 'value(LIMIT)'; default: the model's")
    parser.add_argument("--optimizer", help="such as 'adam(lr=1e-3)'; default: the model's")
    parser.add_argument("--lr", type=float, help="default: the optimizer's")
    parser.add_argument("--target", default="quad", help="default: quad")
    parser.add_argument("--cores", type=int, help="default: all of the target")
    parser.add_argument("--seed", type=int, default=0, help="of parameters and of the order; default: 0")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    chosen = parser.parse_args()
    facts = machine()
    try:
        training = Training(chosen)
    except (SnncError, ClickException, ValueError) as error:
        sys.exit(error.format_message() if isinstance(error, ClickException) else str(error))
    program, data, settings = training.program, training.data, training.settings
    sizes = settings_of(chosen.set)
    about = {
        "network": program.network,
        "settings": dict(sizes),
        "target": program.target,
        "cores": program.cores,
        "batch": program.batch,
        "steps": program.steps,
        "data": data.name,
        "train": len(data.train),
        "test": len(data.test),
        "epochs": settings.epochs,
        "rule": dict(training.graph.rule),
        "loss": dict(training.graph.loss),
        "optimizer": dict(training.graph.optimizer),
        "learning_rate": settings.learning_rate,
        "schedule": asdict(settings.schedule),
        "seed": settings.seed,
        "compile_seconds": training.compile_seconds,
    }
    print(f"{facts['processor']}, {facts['processors']} processors, load {facts['load']:.1f}")
    given = "".join(f", {name}={value}" for name, value in sizes.items())
    print(
        f"{program.network}{given}, {program.steps} steps, batch {program.batch}, {program.cores} cores of "
        f"{program.target}; {data.name}: {len(data.train)} to train on, {len(data.test)} to test on; "
        f"{training.graph.rule['name']}, {training.graph.optimizer['name']}, learning rate {settings.learning_rate:g}, "
        f"{settings.schedule.name}",
        flush=True,
    )
    found: dict[str, list[Epoch]] = {peer: [] for peer in PEERS}
    versions = {"snnc": {"python": platform.python_version(), "snnc": snnc.__version__, "numpy": np.__version__}}

    def note(peer: str, epoch: Epoch) -> None:
        found[peer].append(epoch)
        print(
            f"  {peer}, epoch {len(found[peer])} of {settings.epochs}: loss {epoch.loss:.4f}, test {epoch.test:.2%}, "
            f"{epoch.seconds:.1f} s and {epoch.test_seconds:.1f} s to test",
            file=sys.stderr,
            flush=True,
        )

    with in_pytorch(training.lesson()) as (told, epochs):
        versions["pytorch"] = dict(told)
        for epoch in epochs:
            note("pytorch", epoch)
    for epoch in training.on_the_interpreter():
        note("snnc", epoch)
    for peer, parts in versions.items():
        print(f"  {peer}: {', '.join(f'{name} {value}' for name, value in parts.items())}")
    show(found)
    if chosen.json is not None:
        listed = {peer: [asdict(epoch) for epoch in epochs] for peer, epochs in found.items()}
        whole = {"machine": facts, "versions": versions, **about, "results": listed}
        chosen.json.write_text(json.dumps(whole, indent=2) + "\n")


if __name__ == "__main__":
    main()
