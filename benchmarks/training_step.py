"""Times one training step (forward, backward, optimizer) of snnc's interpreter, SpikingJelly and plain NumPy.

    python -m benchmarks.training_step --repeat 10 --json step.json

Every peer is a process of its own with one thread; the steps alternate, A B C A B C.  No time is judged here.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from types import TracebackType
from typing import Any, Self

from .peers.job import Job
from .problem import TARGET, Wanted, job_of

HERE = Path(__file__).parent
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
PEERS = ("snnc", "spikingjelly", "numpy")


def python_of(peer: str) -> Path:
    """The interpreter of a peer's environment; snnc runs in this one."""
    if peer == "snnc":
        return Path(sys.executable)
    python = HERE / ".peers" / peer / "bin" / "python"
    if not python.exists():
        sys.exit(f"{peer} is not installed: run benchmarks/peers/{peer}.sh, or leave it out with --peers")
    return python


def environment() -> dict[str, str]:
    """Of a worker: one thread."""
    return {**os.environ, **ONE_THREAD}


class Worker:
    """A peer's process, see `peers.worker`."""

    def __init__(self, peer: str, job: Path) -> None:
        self.peer = peer
        command = [str(python_of(peer)), "-m", f"benchmarks.peers.with_{peer}", str(job)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, stdin=pipe, stdout=pipe, text=True, cwd=HERE.parent, env=environment()
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait()

    def answer(self) -> dict[str, Any]:
        """The next line."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            sys.exit(f"{self.peer} ended with exit status {self._process.wait()}; what it said is above")
        return json.loads(line)

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and wait for its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return self.answer()


@dataclass(frozen=True)
class Timed:
    """What was measured of a peer: seconds of every repetition, and losses from the first warm-up on."""

    peer: str
    wall: tuple[float, ...]
    processor: tuple[float, ...]
    losses: tuple[float, ...]
    spike_rates: Mapping[str, float]
    versions: Mapping[str, str]
    notes: str


def measure(job: Job, peers: Sequence[str], warm_up: int, repeat: int) -> list[Timed]:
    """Steps of all peers in turn; the first *warm_up* rounds are not timed."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        job.save(folder)
        workers = [stack.enter_context(Worker(peer, folder)) for peer in peers]
        for worker in workers:
            worker.answer()
        answers: dict[str, list[dict[str, Any]]] = {peer: [] for peer in peers}
        for batch in range(warm_up + repeat):
            for worker in workers:
                answers[worker.peer].append(worker.ask(ask="step", batch=batch))
        found: list[Timed] = []
        for worker in workers:
            given = answers[worker.peer]
            wall, processor = (tuple(each[key] for each in given[warm_up:]) for key in ("wall", "processor"))
            losses = tuple(each["loss"] for each in given)
            found.append(Timed(worker.peer, wall, processor, losses, **worker.ask(ask="report")))
        return found


def ratios(timed: Timed, base: Timed) -> tuple[float, float, float]:
    """Median of *timed* over median of *base*, and the least and greatest ratio in a round."""
    rounds = [a / b for a, b in zip(timed.wall, base.wall, strict=True)]
    return median(timed.wall) / median(base.wall), min(rounds), max(rounds)


def show(job: Job, found: Sequence[Timed], data: str) -> None:
    """The table of one network."""
    print(f"\n{job.network}: batch {job.batch}, {job.steps} steps, {data}, {len(found[0].wall)} repetitions")
    base = next((timed for timed in found if timed.peer == "snnc"), found[0])
    heads = ["", "wall ms", "min", "max", "CPU ms", f"ratio to {base.peer}", "loss first", "last", "spike rates"]
    rows = [heads]
    for timed in found:
        ratio, low, high = ratios(timed, base)
        milliseconds = [1e3 * each for each in (median(timed.wall), min(timed.wall), max(timed.wall))]
        row = [timed.peer, *(f"{each:.1f}" for each in milliseconds), f"{1e3 * median(timed.processor):.1f}"]
        row += [f"{ratio:.3f} ({low:.3f}-{high:.3f})", f"{timed.losses[0]:.4f}", f"{timed.losses[-1]:.4f}"]
        rows.append([*row, " ".join(f"{name} {rate:.1%}" for name, rate in timed.spike_rates.items())])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if place in (0, 8) else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(cells).rstrip())


def machine() -> dict[str, Any]:
    """The processor and what else runs on it."""
    model = platform.processor() or platform.machine()
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        named = [line for line in facts.read_text().splitlines() if line.startswith("model name")]
        model = named[0].partition(":")[2].strip() if named else model
    return {
        "processor": model,
        "processors": os.cpu_count(),
        "system": platform.platform(),
        "load": os.getloadavg()[0],
        "threads_per_peer": 1,
    }


def check(job: Job) -> None:
    """NumPy and SpikingJelly against autograd in float64, in SpikingJelly's environment."""
    with tempfile.TemporaryDirectory() as folder:
        job.save(Path(folder))
        command = [str(python_of("spikingjelly")), "-m", "benchmarks.peers.check", folder]
        if subprocess.run(command, cwd=HERE.parent, env=environment(), check=False).returncode:
            sys.exit(f"{job.network}: the peers do not compute the same")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training_step", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--models", nargs="+", default=["mlp", "csnn"], help="names or .snn files; default: mlp csnn")
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS, help="default: all")
    parser.add_argument("--data", help="real images as `snnc train` takes them, such as idx:FOLDER; default: made ones")
    parser.add_argument("--repeat", type=int, default=10, help="timed steps of every peer; default: 10")
    parser.add_argument("--warm-up", type=int, default=2, help="steps before those; default: 2")
    parser.add_argument("--batch", type=int, help="default: the model's")
    parser.add_argument("--steps", type=int, help="time steps; default: the model's")
    parser.add_argument(
        "--train-first",
        type=int,
        default=50,
        metavar="N",
        help="""batches that the parameters have
        seen before (by the NumPy peer, not timed), so that the networks fire; default: 50""",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument("--check", action="store_true", help="time nothing; hold the peers against autograd")
    chosen = parser.parse_args()
    if chosen.repeat < 1 or chosen.warm_up < 0:
        parser.error("at least one repetition")
    if chosen.check:
        for model in chosen.models:
            check(
                job_of(Wanted(model, 3, chosen.data, chosen.batch or 32, chosen.steps, train_first=chosen.train_first))
            )
        return
    count = chosen.warm_up + chosen.repeat
    data = chosen.data or "made images"
    facts = machine()
    print(f"{facts['processor']}, {facts['processors']} processors, load {facts['load']:.1f}; one thread a peer")
    networks: list[dict[str, Any]] = []
    for number, model in enumerate(chosen.models):
        job = job_of(Wanted(model, count, chosen.data, chosen.batch, chosen.steps, train_first=chosen.train_first))
        found = measure(job, chosen.peers, chosen.warm_up, chosen.repeat)
        if number == 0:
            for timed in found:
                print(f"  {timed.peer}: {', '.join(f'{name} {value}' for name, value in timed.versions.items())}")
        show(job, found, data)
        for timed in found:
            print(f"  {timed.peer}: {timed.notes}")
        about = {"network": job.network, "batch": job.batch, "steps": job.steps, "data": data, "target": TARGET}
        about["train_first"] = chosen.train_first
        networks.append({**about, "optimizer": job.optimizer, "peers": [asdict(timed) for timed in found]})
    if chosen.json is not None:
        whole = {"machine": facts, "warm_up": chosen.warm_up, "repeat": chosen.repeat, "networks": networks}
        chosen.json.write_text(json.dumps(whole, indent=2) + "\n")


if __name__ == "__main__":
    main()
