"""What sparsity is worth: DRAM bytes counted and cycles replayed of one training step, decision by decision.

    python -m benchmarks.sparsity --models csnn srnn --after 40

Each network is trained for a while, the batch behind that is profiled, and the same batch, from the same parameters, is
run by programs that were compiled without densities and with them: with codecs alone, with empty words skipped alone,
and with both.  Every run is compared with the oracle, bit for bit.  A batch that was not profiled tells how the
prediction fares on others.  Networks are narrow, so that a step takes seconds.  Pictures are drawn here: strokes on an
empty ground, a few pixels from where their class has them.  Nothing is judged.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, cast

import numpy as np

from snnc.cli._oracle import ComparedInterpreter, OracleMachine
from snnc.cli._program import load_data
from snnc.compiler.cost.density import profile_of
from snnc.compiler.ir.graph import Setting
from snnc.compiler.pipeline import Compilation, Options
from snnc.compiler.profile import Profiler
from snnc.isa.program import Program, Symbol
from snnc.models.data import Split
from snnc.runtime.facts import facts_of
from snnc.runtime.feeding import Call, Machine, Samples
from snnc.runtime.host import TRAIN
from snnc.runtime.recording import Recorder
from snnc.runtime.replay import replay
from snnc.runtime.settings import Settings
from snnc.source import SnncError

from .pages import Row, show


@dataclass(frozen=True)
class Narrow:
    """A network so narrow that a training step takes a second: its settings, steps of time, samples of a batch."""

    settings: Mapping[str, Setting] = field(default_factory=dict[str, Setting])
    steps: int = 4
    batch: int = 8


NETWORKS: Mapping[str, Narrow] = {
    "digits": Narrow(),
    "mlp": Narrow(batch=32),
    "lenet": Narrow(),
    "csnn": Narrow(),
    "scnn_mnist": Narrow({"size": 12, "width": 16, "hidden": 32}),
    "vgg11": Narrow({"size": 16, "width": 8}, 2, 4),
    "vgg11_dvs": Narrow({"size": 32, "width": 4}, 2, 4),
    "resnet18": Narrow({"size": 16, "width": 8}, 2, 4),
    "resnet34": Narrow({"size": 32, "width": 4, "classes": 10}, 2, 4),
    "ms_resnet18": Narrow({"size": 32, "width": 4, "classes": 10, "stem": 3}, 2, 4),
    "nf_resnet34": Narrow({"size": 32, "width": 4, "classes": 10}, 2, 4),
    "sew_resnet18": Narrow({"size": 32, "width": 4, "classes": 10}, 2, 4),
    "srnn": Narrow({"size": 12, "hidden": 64}),
}
"""The networks that are measured."""

WORD = 16
"""Elements that an array takes in a turn, of those targets that come with snnc."""

WAYS: Mapping[str, Mapping[str, Any]] = {
    "dense": {"density": 1.0},
    "codecs": {"skipping": "off"},
    "skipping": {"codecs": ("*=raw",)},
    "both": {},
}
"""What is done with densities, by name: options of the compiler."""


@dataclass(frozen=True)
class Asked:
    """What is measured: steps of time and samples of a batch, and training steps *after* which it is."""

    model: str
    target: str
    steps: int
    batch: int
    after: int


@dataclass(frozen=True)
class Found:
    """One way: counted and predicted bytes, those of a batch that was not profiled, cycles, and work that was done."""

    way: str
    dram: float
    predicted: float
    other: float
    cycles: int
    done: float
    skipped: float
    coded: int
    """Values that lie in blocks."""


def drawn_samples(program: Program, port: Symbol, batches: int, seed: int) -> Split:
    """Strokes on an empty ground: each class has its own, moved by up to two pixels, in front of little noise."""
    random = np.random.default_rng(seed)
    classes = program.symbol("logits").shape[-1]
    count = program.batch * batches
    labels = random.integers(0, classes, count).astype(np.uint16)
    *outer, rows, columns = (1, *port.shape)[-3:]
    strokes = np.zeros((classes, *outer, rows, columns), np.float32)
    for of_class in strokes:
        for channel in of_class:
            for _ in range(3):
                row, column = random.integers(rows), random.integers(columns)
                if random.random() < 0.5:
                    channel[row, max(column - columns // 4, 0) : column + columns // 4] = 1.0
                else:
                    channel[max(row - rows // 4, 0) : row + rows // 4, column] = 1.0
    moves = random.integers(-1, 2, (count, 2))
    images = np.stack([np.roll(strokes[k], move, (-2, -1)) for k, move in zip(labels, moves, strict=True)])
    if port.steps:
        shown = images[:, None] > random.random((count, port.steps, *images.shape[1:])) + 0.25
        images = shown.astype(np.float32)
    else:
        images = (images * random.uniform(0.5, 1.0, images.shape)).astype(np.float32)
        images = images if outer == [1] else 3 * images - 0.5  # colours come with a mean of about 0
    return Split(images.reshape(count, *((port.steps,) if port.steps else ()), *port.shape), labels)


class Lesson:
    """A network as it is *after* some training: its parameters, the next batch, and a profile of it."""

    def __init__(self, asked: Asked, folder: str, data: str | None) -> None:
        settings = NETWORKS.get(asked.model, Narrow()).settings
        self.options = Options(asked.target, None, asked.batch, asked.steps, settings=settings)
        self.compilation = Compilation(asked.model, self.options)
        program = self.compilation.interface
        (port,) = (program.symbol(name) for name in program.entry(TRAIN).inputs if program.symbol(name).role == "input")
        self.samples: Samples = (
            drawn_samples(program, port, asked.after + 2, 0) if data is None else load_data(data, program).train
        )
        self.settings = Settings.of(program.settings, seed=0)
        self._steps, self._batch, self._after = asked.steps, asked.batch, asked.after
        machine = OracleMachine(program, self.compilation.training, self.compilation.target.accumulators)
        machine.initialise({"seed": 0, "loss_scale": self.settings.loss_scale})
        for number in range(asked.after):
            self.call(machine, number)
        self.variables = {name: machine.oracle.value(name).copy() for name in self.compilation.training.types}
        self.call(machine, asked.after)
        profiler = Profiler(machine.oracle)
        profiler.observe(asked.batch)
        self.densities = profiler.densities
        self.profile = str(Path(folder) / f"{asked.model}.profile.json")
        Path(self.profile).write_text(json.dumps(profile_of(self.densities, {})))

    def call(self, machine: Machine, number: int) -> None:
        """Training step *number*."""
        length = max(len(self.samples) // self._batch, 1)
        chosen = np.arange(self._batch, dtype=np.int64) + self._batch * (number % length)
        facts = facts_of(self.settings, number, 0, length, self.settings.scale, self._steps)
        Call(machine, TRAIN, self.samples)(self.samples, chosen, facts)

    def measured(self, way: str) -> Found:
        """The next batch, and the one behind it, by a program that was compiled in this *way*."""
        options = replace(self.options, **{"density": self.profile, **WAYS[way]})
        compilation = Compilation(self.compilation.source, options)
        program = compilation.program
        machine = ComparedInterpreter(program, compilation.training)
        for name, values in self.variables.items():
            if name in program.by_name:
                machine.write(name, values)
        recorder = Recorder(machine.target)
        machine.listen(recorder)
        machine.counters.take()
        self.call(machine, self._after)
        first = machine.counters.take().total
        machine.ignore(recorder)
        assert recorder.record is not None
        cycles = replay(recorder.record, machine.target).cycles
        self.call(machine, self._after + 1)
        other = machine.counters.take().total.dram
        predicted = program.predicted[TRAIN]["dram"]["total"]
        coded = sum(bool(symbol.blocks) for symbol in program.symbols)
        return Found(way, first.dram, predicted, other, cycles, first.gated + first.multiply, first.skipped, coded)


class Beside(NamedTuple):
    """What no program differs in: the share of windows that is closed, and of words of them that wholly are; products
    on the way back through strides, and about how many these were with zeros inserted."""

    windows: float
    words: float
    done: int
    inserted: int


def beside(lesson: Lesson) -> Beside:
    """Of a network at that moment."""
    windows = list(lesson.densities.windows.values())
    closed, words = (
        sum(1.0 - each for each in shares) / max(len(windows), 1)
        for shares in ([each.mean for each in windows], [each.word(WORD) for each in windows])
    )
    inserted = done = 0
    stages = {stage.node.partition("#")[0]: 0 for stage in lesson.compilation.schedule.entries[TRAIN]}
    for stage in lesson.compilation.schedule.entries[TRAIN]:
        stages[stage.node.partition("#")[0]] += prod(stage.statement.extents.values())
    for node in lesson.compilation.training.procedure(TRAIN).nodes:
        stride = prod(cast("tuple[int, ...]", node.settings.get("stride", ())) or (1,))
        if node.op in ("conv1d.d_x", "conv2d.d_x") and stride > 1:
            done, inserted = done + stages[node.results[0]], inserted + stages[node.results[0]] * stride
    return Beside(closed, words, done, inserted)


def means(lesson: Lesson) -> dict[str, float]:
    """The mean density of each kind of values."""
    kinds: dict[str, list[float]] = {}
    for density in lesson.densities.values.values():
        kinds.setdefault(density.kind, []).append(density.mean)
    return {kind: sum(found) / len(found) for kind, found in kinds.items()}


def table(asked: Asked, lesson: Lesson, rows: Sequence[Found]) -> Iterator[str]:
    """The ways side by side, each beside the dense one."""
    shown = ", ".join(f"{kind}s {mean:.1%}" for kind, mean in means(lesson).items())
    where = f"{asked.target}, T={asked.steps}, batch {asked.batch}, after {asked.after} training steps"
    yield f"{asked.model}: {where}; {shown}"
    alike = beside(lesson)
    if lesson.densities.windows:
        closed = f"{alike.words:.2%} of the words of {WORD} of them wholly"
        yield f"  windows   {alike.windows:.1%} of the windows are closed, {closed}"
    if alike.inserted:
        yield f"  strides   {alike.done:,} products go back through them; about {alike.inserted:,} with zeros inserted"
    heads = f"{'DRAM bytes':>20} {'predicted':>10} {'other batch':>11} {'cycles':>19} {'operations':>13}"
    yield f"  {'':8} {heads}"
    dense = rows[0]
    for row in rows:
        moved = f"{row.dram:12,.0f} {row.dram / dense.dram - 1:+7.1%}"
        errors = f"{row.predicted / row.dram - 1:+10.2%} {row.predicted / row.other - 1:+11.2%}"
        cycles = f"{row.cycles:11,} {row.cycles / dense.cycles - 1:+7.1%}"
        yield f"  {row.way:8} {moved} {errors} {cycles} {row.done:13,.0f}"


PAGE = (
    "network", "spikes / errors", "bytes at density 1", "codecs: bytes", "codecs: cycles", "empty words: cycles",
    "both: cycles", "words of closed windows", "products through strides", "bytes predicted, another batch",
)  # fmt: skip
"""The head of the table in docs/sparsity.md."""


def of_page(asked: Asked, lesson: Lesson, rows: Sequence[Found]) -> Row:
    """The row of a network there."""
    dense, codecs, skipping, both = ({row.way: row for row in rows}[way] for way in WAYS)
    kinds, alike = means(lesson), beside(lesson)
    cycles = (f"{row.cycles / dense.cycles - 1:+.1%}" for row in (codecs, skipping, both))
    cells = (
        *(f"`{asked.model}`", f"{kinds.get('spike', 0):.1%} / {kinds.get('error', 0):.1%}", f"{dense.dram:,.0f}"),
        *(f"{codecs.dram / dense.dram - 1:+.1%}", *cycles, f"{alike.words:.2%}"),
        f"{alike.done:,} of {alike.inserted:,}" if alike.inserted else "none",
        f"{codecs.predicted / codecs.other - 1:+.2%}",
    )
    return [cell.replace("%", " %") for cell in cells]


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", default=list(NETWORKS), metavar="MODEL")
    parser.add_argument("--target", default="edge512")
    parser.add_argument("--steps", type=int, metavar="T", help="unless given, few")
    parser.add_argument("--batch", type=int, metavar="N", help="unless given, few")
    parser.add_argument("--after", type=int, default=30, metavar="N", help="training steps before what is measured")
    parser.add_argument("--data", metavar="DATA", help="instead of what is drawn (`snnc list data`)")
    parser.add_argument("--json", metavar="FILE", help="write all that was measured")
    parser.add_argument("--page", type=Path, metavar="FILE", help="the page whose table is written anew")
    given = parser.parse_args()
    found: list[dict[str, Any]] = []
    shown: list[Row] = []
    try:
        for model in given.models:
            narrow = NETWORKS.get(model, Narrow())
            asked = Asked(model, given.target, given.steps or narrow.steps, given.batch or narrow.batch, given.after)
            with TemporaryDirectory() as folder:
                lesson = Lesson(asked, folder, given.data)
                rows = [lesson.measured(way) for way in WAYS]
            print("\n".join(table(asked, lesson, rows)), flush=True)
            found.append({**asdict(asked), "ways": [asdict(row) for row in rows]})
            shown.append(of_page(asked, lesson, rows))
    except SnncError as error:
        sys.exit(str(error))
    if given.page:
        show(PAGE, shown, given.page)
    if given.json:
        Path(given.json).write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
