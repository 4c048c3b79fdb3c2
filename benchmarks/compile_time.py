"""How long compiling takes, training graph included, stage by stage, beside ZigZag, and how it grows.

    benchmarks/peers/zigzag.sh
    python -m benchmarks.compile_time --repeat 3 --peer zigzag --growth --json compile.json --plot compile.svg

Every compilation is one of a process of its own that has compiled a small network before, so that nothing is imported
in it; the first, cold one is told too.  The processes take turns, A B C A B C.  Nothing is judged.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, cast

from snnc.compiler.pipeline import Compilation, Options

from .growth import Asked, Grown, draw, growing, grown
from .machine import machine, words
from .peak import peak_bytes
from .workers import environment, python_of

STAGES = ("imported", "training", "schedule", "program")
"""Reading, training graph, mapping, and streams with their predicted traffic."""

Told = dict[str, Any]
"""What a process says of its one compilation: seconds, peak memory, and how much it made."""


def one(asked: Asked) -> Told:
    """What the process of a measurement does: `digits` warms it up, then it compiles what is *asked*."""
    _ = Compilation("digits", Options("quad")).program
    compilation = Compilation(asked.model, asked.options())
    begun, worked = perf_counter(), process_time()
    stages: dict[str, float] = {}
    for stage in STAGES:
        before = perf_counter()
        getattr(compilation, stage)
        stages[stage] = perf_counter() - before
    wall, processor = perf_counter() - begun, process_time() - worked
    operators = sum(len(stage.nodes) for stage in compilation.schedule.entries["train_step"])
    made = {"instructions": compilation.program.instruction_count, "operators": operators}
    return {"stages": stages, "wall": wall, "processor": processor, "peak_bytes": peak_bytes(), **made}


def measured(asked: Asked) -> Told:
    """One compilation in a process of its own."""
    return _told([sys.executable, "-m", "benchmarks.compile_time", "--one", json.dumps(asdict(asked))])


def peer(name: str) -> Told:
    """What a peer takes for its own network, in a process of its own."""
    return _told([str(python_of(name)), "-m", f"benchmarks.peers.with_{name}"])


def _told(command: Sequence[str]) -> Told:
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment())
    if ended.returncode:
        sys.exit(f"{' '.join(command)}: exit status {ended.returncode}; what it said is above")
    return json.loads(ended.stdout)


def table(rows: Sequence[tuple[Asked, Sequence[Told]]]) -> Iterator[str]:
    """The measurements side by side: wall seconds of the quickest run, stage by stage, and processor seconds of all."""
    head = (*STAGES, "wall s", "cpu s")
    yield (
        f"{'model':10} {'cores':>5} {'steps':>5} {'batch':>5} {'operators':>9} {'words':>8} "
        + " ".join(f"{name:>8}" for name in head)
        + f" {'(least..most)':>14} {'peak MB':>8}"
    )
    for asked, runs in rows:
        options, best = asked.options(), min(runs, key=lambda run: run["wall"])
        seconds = (*(best["stages"][name] for name in STAGES), best["wall"])
        size = f"{asked.cores or 'all':>5} {options.steps or '-':>5} {options.batch or '-':>5}"
        made = f"{best['operators']:9} {best['instructions']:8}"
        stages = " ".join(f"{second:8.3f}" for second in seconds)
        yield f"{Path(asked.model).stem:10} {size} {made} {stages}{_of_all(runs)}"


def _of_all(runs: Sequence[Told]) -> str:
    """Processor seconds (median, least and most) and the peak of memory of all runs."""
    seconds = [run["processor"] for run in runs]
    spread = f"({min(seconds):.2f}..{max(seconds):.2f})"
    return f" {median(seconds):8.3f} {spread:>14} {max(run['peak_bytes'] for run in runs) / 1e6:8.0f}"


def beside(rows: Sequence[tuple[Asked, Sequence[Told]]], name: str, runs: Sequence[Told]) -> Iterator[str]:
    """A peer's own network, and how many times as long it takes as each of ours."""
    yield f"\n{name} {runs[0]['version']}, {runs[0]['what']}:   cpu s (least..most), peak MB" + _of_all(runs)
    theirs = median(run["processor"] for run in runs)
    for asked, ours in rows:
        ratio = theirs / median(run["processor"] for run in ours)
        yield f"    {ratio:6.1f} times the processor seconds of {Path(asked.model).stem} here"


def main() -> None:
    """Measure, print, write and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["mlp", "vgg11", "resnet18"])
    parser.add_argument("--target", default="li2024_exact")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--peer", choices=("zigzag",), help="Beside another mapper, see benchmarks/peers.")
    parser.add_argument("--growth", action="store_true", help="Also with more cores, layers and time steps.")
    parser.add_argument("--json", type=Path, help="Write what was measured.")
    parser.add_argument("--plot", type=Path, help="Draw the growth (.svg or .png; needs `pip install 'snnc[plots]'`).")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(one(Asked(**json.loads(chosen.one)))))
        return
    if chosen.plot:
        draw([])  # a picture that cannot be drawn is told before anything is measured
    where = machine()
    print(words(where))
    begun = perf_counter()
    subprocess.run([sys.executable, "-m", "snnc", "compile", "mlp", "--json", "-"], check=True, capture_output=True)
    print(f"`snnc compile mlp`, cold: {perf_counter() - begun:.2f} s\n")
    rows: list[tuple[Asked, list[Told]]] = [
        (Asked(model, chosen.target), []) for model in cast(list[str], chosen.models)
    ]
    peers: list[Told] = []
    for _ in range(chosen.repeat):
        for asked, runs in rows:
            runs.append(measured(asked))
        peers += [peer(chosen.peer)] if chosen.peer else []
    print("\n".join(table(rows)))
    if peers:
        print("\n".join(beside(rows, chosen.peer, peers)))
    growth: list[Grown] = []
    if chosen.growth or chosen.plot:
        with tempfile.TemporaryDirectory() as folder:
            for name, every in growing(chosen.target, Path(folder)):
                found = [(asked, [measured(asked) for _ in range(chosen.repeat)]) for asked in every]
                growth.append(grown(name, found))
                print("\n".join((f"\nMore {name}:", *table(found), growth[-1].words)))
    if chosen.plot:
        chosen.plot.write_bytes(draw(growth, chosen.plot.suffix))
    if chosen.json:
        told = [{"asked": asdict(asked), "runs": runs} for asked, runs in rows]
        written = {"machine": where, "models": told, "peers": {chosen.peer: peers} if peers else {}}
        chosen.json.write_text(json.dumps(written | {"growth": [asdict(each) for each in growth]}, indent=1) + "\n")


if __name__ == "__main__":
    main()
