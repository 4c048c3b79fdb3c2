"""Steps of snnc and of all peers in turn: one job, several modes, seconds and spike rates."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, cast

import numpy as np

from snnc.compiler.exports.export import Options as ExportOptions
from snnc.compiler.exports.onnx import write
from snnc.compiler.ir.graph import Setting
from snnc.compiler.ir.values import text_of_setting
from snnc.compiler.pipeline import Compilation

from .graphs import call_of
from .peers.job import Array, Entry, Job, Mode
from .problem import Problem
from .workers import Worker, installed, python_of, told

HERE = Path(__file__).parent
OURS = {"snnc f32": "edge512", "snnc exact": str(HERE / "edge512_exact.toml")}
"""Programs for the same core, with accumulators that round and with exact ones."""

CORES = 2
PAIRS = {f"{name}, {CORES} cores": target for name, target in OURS.items()}
"""Programs for so many such cores on a chip, which work in as many threads as are asked for."""

FRAMEWORKS = "spikingjelly", "snntorch", "norse"
OTHERS = "numpy", "onnxruntime"
CONTESTANTS = (*OURS, *PAIRS, *FRAMEWORKS, *OTHERS)
THREADED = (*PAIRS, *FRAMEWORKS, "onnxruntime")
"""Who is asked for several threads, and keeps to one where it is told to; all others get no more than one."""

FIRST = {"mlp": 30, "csnn": 10, "vgg11": 5, "resnet18": 5}
"""Batches that parameters have seen: with norms a network fires from the beginning as it does later."""

BASE = "spikingjelly"
"""What ratios are to."""


@dataclass(frozen=True)
class Case:
    """A network at a spike *rate*: one at which it was calibrated, or "trained", with thresholds as the model has them.

    *open* is the mean share of surrogate windows that let errors pass, where it was calibrated.
    """

    model: str
    rate: str
    surrogate: str
    steps: int
    batch: int
    entry: str
    open: float | None = None


@dataclass(frozen=True)
class Timed:
    """What a contestant took for a case in a mode: seconds of every repetition."""

    case: Case
    peer: str
    precision: str
    threads: int
    wall: tuple[float, ...]
    processor: tuple[float, ...]
    loss: float | None
    spike_rates: Mapping[str, float] = field(default_factory=dict[str, float])
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    notes: str = ""

    @property
    def seconds(self) -> tuple[float, ...]:
        """What counts: processor seconds of one thread, wall seconds of several."""
        return self.processor if self.threads == 1 else self.wall

    @property
    def fired(self) -> float | None:
        """The mean spike rate of all layers."""
        rates = self.spike_rates.values()
        return sum(rates) / len(rates) if rates else None


@dataclass(frozen=True)
class Plan:
    """What is asked for; *rates* are numbers, or "trained"."""

    models: Sequence[str]
    rates: Sequence[str]
    surrogates: Sequence[Setting]
    entries: Sequence[str]
    precisions: Sequence[str]
    threads: Sequence[int]
    peers: Sequence[str]
    repeat: int
    warm_up: int
    train_first: int | None = None
    steps: int | None = None
    batch: int | None = None
    data: str | None = None
    settings: Mapping[str, Setting] = field(default_factory=dict[str, Setting])
    compile: bool = False

    @property
    def modes(self) -> list[tuple[str, int]]:
        """Precisions and threads."""
        return [(precision, threads) for threads in self.threads for precision in self.precisions]


@dataclass(frozen=True)
class Prepared:
    """A problem with parameters that have seen *first* batches, and what was found about thresholds at each rate."""

    problem: Problem
    parameters: Mapping[str, Array]
    first: int
    found: Mapping[str, Any]

    def job(self, rate: str, entry: str, surrogate: Setting, learning: float = 0.0) -> Job:
        """What peers run.  Where a spike rate was asked for, the learning rate is *learning*: 0, so that it stays."""
        if rate == "trained":
            return self.problem.job(self.parameters, self.first, surrogate=surrogate)
        thresholds = self.found[rate][entry]["thresholds"]
        return self.problem.job(self.parameters, self.first, thresholds, surrogate, learning)

    def open(self, rate: str, entry: str, surrogate: Setting) -> float | None:
        """The mean share of open surrogate windows over all layers, where it was calibrated."""
        if rate == "trained":
            return None
        shares = self.found[rate][entry]["open"][text_of_setting(surrogate)].values()
        return sum(shares) / len(shares)


def prepare(plan: Plan, model: str) -> Prepared:
    """Parameters that have seen some batches and thresholds; the exit of this process where nobody can find them."""
    rates = [rate for rate in plan.rates if rate != "trained"]
    first = FIRST.get(model, 10) if plan.train_first is None else plan.train_first
    count = first + 2
    problem = Problem(model, count, plan.steps, plan.batch, plan.data, plan.settings)
    if not rates and not first:
        return Prepared(problem, problem.parameters, 0, {})
    torch = next((peer for peer in (*FRAMEWORKS, "pytorch") if installed(peer)), None)
    if torch is None:
        sys.exit("training first and calibrating take PyTorch: run benchmarks/peers/spikingjelly.sh")
    with tempfile.TemporaryDirectory() as folder:
        problem.job(problem.parameters).save(Path(folder))
        command = [str(python_of(torch)), "-m", "benchmarks.peers.prepare", folder, str(first)]
        surrogates = {text_of_setting(each): call_of(each) for each in plan.surrogates}
        found = told([*command, json.dumps(surrogates), *rates])
        return Prepared(problem, load_parameters(Path(folder)), first, found)


def load_parameters(folder: Path) -> Mapping[str, Array]:
    """Those that lie in a job's folder."""
    with np.load(folder / "parameters.npz") as archive:
        return {name: archive[name] for name in archive.files}


def contest(plan: Plan) -> Iterator[Timed]:
    """All that is asked for, case after case."""
    for model in plan.models:
        prepared = prepare(plan, model)
        for entry in plan.entries:
            for rate in plan.rates:
                for surrogate in plan.surrogates if entry == "training" else plan.surrogates[:1]:
                    yield from _case(plan, prepared, model, rate, entry, surrogate)


def _case(plan: Plan, prepared: Prepared, model: str, rate: str, entry: str, surrogate: Setting) -> Iterator[Timed]:
    """One network at one rate."""
    job = prepared.job(rate, entry, surrogate)
    told, opened = text_of_setting(surrogate), prepared.open(rate, entry, surrogate)
    case = Case(model, rate, told, job.graph.steps, job.batch, entry, opened)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        job.save(folder)
        if entry == "inference" and "onnxruntime" in plan.peers:
            export(folder)
        workers: list[Worker] = []
        for name in plan.peers:
            peer = peer_of(name)
            options = ["compile"] if plan.compile and peer == name else []
            if peer == "snnc":
                options = [OURS[name]] if name in OURS else [PAIRS[name], str(CORES)]
            threads = max(plan.threads) if name in THREADED else 1
            workers.append(stack.enter_context(Worker(name, peer, folder, options, threads)))
            workers[-1].ready()  # one after the other: peers try ways of theirs before they are ready
        yield from _rounds(plan, case, workers, len(job.images))


def peer_of(contestant: str) -> str:
    """What a contestant runs in: the name of its `peers/with_NAME.py`."""
    return "snnc" if contestant in OURS or contestant in PAIRS else contestant


def export(folder: Path) -> None:
    """Write the network of a job as ONNX beside it."""
    network = Compilation(folder / "network.snn").network
    (folder / "network.onnx").write_bytes(write(network, load_parameters(folder), ExportOptions()).content)


def _rounds(plan: Plan, case: Case, workers: Sequence[Worker], batches: int) -> Iterator[Timed]:
    """Steps in turn; the first rounds are not timed."""
    said = {worker.name: worker.refused for worker in workers if worker.refused}
    for name, why in said.items():
        print(f"  {name}: {why}", file=sys.stderr)
    for precision, threads in plan.modes:
        mode = asdict(Mode(cast(Entry, case.entry), precision, threads))
        answers: dict[str, list[dict[str, Any]]] = {worker.name: [] for worker in workers if not worker.refused}
        for number in range(plan.warm_up + plan.repeat):
            for worker in workers:
                if worker.name in answers:
                    answer = worker.ask(ask="step", batch=number % batches, mode=mode)
                    if "refused" in answer:
                        answers.pop(worker.name)
                        continue
                    answers[worker.name].append(answer)
        for worker in workers:
            if worker.name in answers:
                given = answers[worker.name]
                wall, processor = (tuple(each[key] for each in given[plan.warm_up :]) for key in ("wall", "processor"))
                report, loss = worker.ask(ask="report"), given[0]["loss"]
                yield Timed(case, worker.name, precision, threads, wall, processor, loss, **report)


def ratio(timed: Timed, base: Timed) -> tuple[float, float, float]:
    """Median of *timed* over median of *base*, and the least and greatest ratio in a round."""
    rounds = [a / b for a, b in zip(timed.seconds, base.seconds, strict=True)]
    return median(timed.seconds) / median(base.seconds), min(rounds), max(rounds)
