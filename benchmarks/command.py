"""What the command line of the benchmark asks for, and in which order it runs.

python -m benchmarks --quick
python -m benchmarks training --models mlp csnn --rates 10 --threads 1 --repeat 5 --json out.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from click import ClickException

from snnc.catalog import UnknownName
from snnc.cli._options import read_choice
from snnc.compiler.ir.graph import Setting
from snnc.compiler.ops.surrogates import complete
from snnc.compiler.pipeline import Compilation, Options
from snnc.source import SnncError

from . import compile_time, footprint, roofline, startup
from .checking import check
from .contest import CONTESTANTS, OURS, PAIRS, Plan, Timed, contest, peer_of
from .growth import Asked
from .machine import machine, words
from .pictures import draw
from .problem import SIZES, model_file, settings_of
from .tables import of_contest
from .workers import installed

QUICK: Mapping[str, Any] = {
    "models": ["mlp", "csnn"],
    "rates": ["10"],
    "surrogates": ["triangle"],
    "precisions": ["f32"],
    "threads": [1],
    "repeat": 1,
}
"""What --quick stands for, where nothing else is said."""

WHOLE: Mapping[str, Any] = {
    "models": list(SIZES),
    "rates": ["trained", "5", "10", "20", "50"],
    "surrogates": ["triangle", "atan"],
    "precisions": ["f32", "bf16"],
    "threads": [1, 2],
    "repeat": 5,
}
"""The defaults."""


@dataclass
class Session:
    """What was measured so far; *save* is called whenever there is more, so that nothing is lost."""

    chosen: argparse.Namespace
    facts: dict[str, Any]
    timed: list[Timed]
    others: dict[str, Any]

    def save(self) -> None:
        """Write JSON where it is asked for."""
        if self.chosen.json is not None:
            steps = [asdict(each) for each in self.timed]
            told = {name: str(value) if isinstance(value, Path) else value for name, value in vars(self.chosen).items()}
            whole = {"machine": self.facts, "asked": told, "contest": steps, **self.others}
            self.chosen.json.write_text(json.dumps(whole, indent=1) + "\n")

    def keep(self, part: str, found: Any) -> None:
        """The results of another part."""
        self.others[part] = found
        self.save()


def parser() -> argparse.ArgumentParser:
    """All options; those that are None here are filled in by `complete_options`."""
    found = argparse.ArgumentParser(prog="python -m benchmarks", description="The benchmark, or some parts of it.")
    found.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all")
    found.add_argument("--quick", action="store_true", help="a small choice of everything, which takes minutes")
    found.add_argument("--models", nargs="+", help=f"names or .snn files; default: {' '.join(SIZES)}")
    found.add_argument("--rates", nargs="+", help="spike rates in percent, or: trained; default: trained 5 10 20 50")
    found.add_argument("--surrogates", nargs="+", help="as the language has them; default: triangle atan")
    found.add_argument("--precisions", nargs="+", choices=("f32", "bf16"), help="of frameworks; default: both")
    found.add_argument("--threads", nargs="+", type=int, help="of every contestant; default: 1 2")
    found.add_argument(
        "--peers", nargs="+", choices=CONTESTANTS, metavar="PEER", help="default: all that are installed"
    )
    found.add_argument("--repeat", type=int, help="timed steps; default: 5")
    found.add_argument("--warm-up", type=int, default=3, help="steps before those; default: 3")
    found.add_argument("--train-first", type=int, metavar="N", help="batches parameters have seen; default: 5 to 30")
    found.add_argument("--steps", type=int, help="time steps; default: those of the benchmark, else the model's")
    found.add_argument("--batch", type=int, help="samples; default: as for --steps")
    found.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings such as width=16")
    found.add_argument("--data", help="real images as `snnc train` takes them, such as idx:FOLDER; default: made ones")
    found.add_argument("--compile", action="store_true", help="frameworks also try torch.compile (slow to begin)")
    found.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    found.add_argument("--plot", type=Path, metavar="FILE", help="draw ratios (.svg or .png)")
    found.add_argument("--check", action="store_true", help="time nothing; hold the peers against autograd")
    return found


def options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What was asked for, with defaults filled in."""
    made = parser()
    chosen = made.parse_args(arguments)
    for part in chosen.parts:
        if part not in PARTS:
            made.error(f"there is no part {part}; there are {', '.join(PARTS)}")
    for name, value in (QUICK if chosen.quick else WHOLE).items():
        if getattr(chosen, name) is None:
            setattr(chosen, name, value)
    if chosen.peers is None:
        wide = max(chosen.threads) > 1
        chosen.peers = [name for name in CONTESTANTS if installed(peer_of(name)) and (wide or name not in PAIRS)]
    if chosen.repeat < 1 or chosen.warm_up < 0 or (chosen.train_first or 0) < 0 or min(chosen.threads) < 1:
        made.error("at least one repetition and one thread")
    try:
        chosen.rates = [rate if rate == "trained" else f"{float(rate) / 100:g}" for rate in chosen.rates]
    except ValueError:
        made.error("--rates takes numbers, in percent, and the word trained")
    return chosen


def plan_of(chosen: argparse.Namespace, entry: str) -> Plan:
    """What `contest` is asked for."""
    surrogates: list[Setting] = [complete(read_choice(text, "--surrogates")) for text in chosen.surrogates]
    return Plan(
        models=chosen.models,
        rates=chosen.rates,
        surrogates=surrogates,
        entries=[entry],
        precisions=chosen.precisions,
        threads=chosen.threads,
        peers=chosen.peers,
        repeat=chosen.repeat,
        warm_up=chosen.warm_up,
        train_first=chosen.train_first,
        steps=chosen.steps,
        batch=chosen.batch,
        data=chosen.data,
        settings=settings_of(chosen.set),
        compile=chosen.compile,
    )


def _contest(session: Session, entry: str) -> Iterator[str]:
    found: list[Timed] = []
    for timed in contest(plan_of(session.chosen, entry)):
        found.append(timed)
        session.timed.append(timed)
        session.save()
    yield from of_contest(found)
    yield ""
    told = dict.fromkeys(f"{each.peer}, {each.case.model}: {each.notes}" for each in found if each.precision == "f32")
    yield from (f"- {words}" for words in told)
    versions = {name: value for each in found for name, value in each.versions.items()}
    yield f"- {', '.join(f'{name} {value}' for name, value in sorted(versions.items()))}"


def _training(session: Session) -> Iterator[str]:
    yield from _contest(session, "training")


def _inference(session: Session) -> Iterator[str]:
    yield from _contest(session, "inference")


def _memory(session: Session) -> Iterator[str]:
    found = [footprint.footprint(model, target) for model in session.chosen.models for target in OURS.values()]
    session.keep("memory", found)
    yield "\nPeak of memory of a training step:\n"
    yield footprint.show(found)


def _overhead(session: Session) -> Iterator[str]:
    found = [roofline.roof(model, name) for model in session.chosen.models for name in OURS]
    session.keep("overhead", found)
    yield "\nA training step, instruction by instruction, and the host's peak (NumPy, one thread):\n"
    yield roofline.show(found)
    yield ""
    yield roofline.kernels(found)


def _startup(session: Session) -> Iterator[str]:
    found = startup.started(session.chosen.repeat)
    session.keep("startup", found)
    yield "\nCommands that do next to nothing:\n"
    yield startup.show(found)


def _compile(session: Session) -> Iterator[str]:
    rows = [(Asked(model, "li2024_exact"), list[compile_time.Told]()) for model in ("mlp", "vgg11", "resnet18")]
    peers: list[compile_time.Told] = []
    with_peer = installed("zigzag") and not session.chosen.quick
    for _ in range(session.chosen.repeat):
        for asked, runs in rows:
            runs.append(compile_time.measured(asked))
        peers += [compile_time.peer("zigzag")] if with_peer else []
    session.keep(
        "compile", {"models": [{"asked": asdict(asked), "runs": runs} for asked, runs in rows], "zigzag": peers}
    )
    yield "\nCompilation:\n"
    yield from compile_time.table(rows)
    if peers:
        yield from compile_time.beside(rows, "zigzag", peers)


PARTS: Mapping[str, Callable[[Session], Iterator[str]]] = {
    "training": _training,
    "inference": _inference,
    "memory": _memory,
    "overhead": _overhead,
    "startup": _startup,
    "compile": _compile,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that are asked for, in order; the exit status."""
    try:
        return run(options(arguments))
    except (SnncError, UnknownName, ClickException) as error:
        print(error.format_message() if isinstance(error, ClickException) else error, file=sys.stderr)
        return 1


def run(chosen: argparse.Namespace) -> int:
    """What was asked for, with defaults filled in."""
    for model in chosen.models:  # one that cannot be read is told before anything is prepared
        _ = Compilation(model_file(model), Options()).network
    if chosen.check:
        return check(chosen.models, [peer for peer in chosen.peers if peer_of(peer) != "snnc"])
    if chosen.plot:
        draw([], chosen.plot.suffix)  # a picture that cannot be drawn is told before anything is measured
    session = Session(chosen, machine(), [], {})
    print(words(session.facts))
    for name, part in PARTS.items():
        if not chosen.parts or name in chosen.parts:
            for line in part(session):
                print(line, flush=True)
    session.save()
    if chosen.plot:
        chosen.plot.write_bytes(draw(session.timed, chosen.plot.suffix))
    return 0
