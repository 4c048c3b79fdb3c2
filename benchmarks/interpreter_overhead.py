"""What an instruction costs the interpreter beside its kernel: microseconds by class, and shares of a training step.

    python -m benchmarks.interpreter_overhead --model csnn --target quad --batch 4

A kernel is what touches data: a contraction, a lane program, a copy between memories, unpacked elements.  All else is
bookkeeping: decoding, loops, semaphores, addresses, counters.  A step without data has no kernels.  Training steps
warm up, one is timed as a whole, one instruction by instruction: what clocks of kernels take is measured, too, and
taken away, what the one of the instruction takes (0.1 us) is not.  All that is with control; what a step takes that is
unrolled (see `runtime.unrolling`), as those of a training are from the fourth on, is told beside it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, median
from time import perf_counter_ns, process_time
from typing import Any

import numpy as np

from snnc.compiler.pipeline import Compilation, Options
from snnc.isa import coded, computing, moving, port, routed, tile, vector
from snnc.isa.element import ElementProgram
from snnc.isa.instruction import Action
from snnc.isa.kernels import drained, element, momented, pooled
from snnc.isa.kernels.contract import Contraction
from snnc.isa.program import Program
from snnc.isa.state import Stream
from snnc.runtime.counted import full
from snnc.runtime.facts import facts_of
from snnc.runtime.feeding import Call
from snnc.runtime.host import TRAIN, initialise
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.listening import RunningStream
from snnc.runtime.settings import Settings
from snnc.runtime.unrolling import OFTEN

from .full_size import made_samples

CLASSES = {
    "control": ("loop", "choose", "within", "end", "halt"),
    "synchronise": ("post", "wait", "barrier"),
    "describe": ("view", "turn", "axis", "span", "coded", "grid"),
    "move": ("load", "store"),
    "route": ("send", "multicast", "receive"),
    "engine": ("gate", "dense", "outer"),
    "vector": ("drain", "run", "poolmax", "poolsum", "unpool", "mean", "comoment"),
}
CLASS_OF = {mnemonic: name for name, mnemonics in CLASSES.items() for mnemonic in mnemonics}
KERNELS: Mapping[Any, str] = {
    computing: "accumulated from_rows taken_of to_rows",
    vector: "comoment drain encode mean pool_max pool_sum rounded_comoment unpool",
    drained.Plan: "done",
    element.Plan: "done",
    momented.Plan: "done",
    pooled.Plan: "done",
    port: "identity",
    tile.Whole: "write",
    tile.Packed: "read write",
    tile.Rows: "write",
    moving.Way: "copy",
    moving.CompiledWay: "copy",
    routed.Routed: "moved",
    coded: "load store",
    ElementProgram: "evaluate",
    Contraction: "add",
}
"""Functions that touch data, by where streams find them."""


class Clock:
    """Nanoseconds of instructions by class, those of their kernels apart."""

    def __init__(self) -> None:
        self.spent: dict[str, list[tuple[int, int]]] = {name: [] for name in CLASSES}
        self._inner = self._outer = 0
        self._inside = False

    def kernel(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed unless another kernel calls it: twice, one clock inside the other, so that what a
        clock takes is known where it takes it."""

        def inner(*given: Any) -> Any:
            began = perf_counter_ns()
            result = function(*given)
            self._inner += perf_counter_ns() - began
            return result

        def outer(*given: Any) -> Any:
            if self._inside:
                return function(*given)
            self._inside = True
            began = perf_counter_ns()
            result = inner(*given)
            self._outer += perf_counter_ns() - began
            self._inside = False
            return result

        return outer

    def action(self, mnemonic: str, function: Action) -> Action:
        """An action of a stream, timed; one that waits and is tried again counts each time."""
        spent = self.spent[CLASS_OF[mnemonic]]

        def timed() -> None:
            self._inner = self._outer = 0
            began = perf_counter_ns()
            function()
            took = perf_counter_ns() - began
            spent.append((took - 2 * self._outer + self._inner, self._inner))

        return timed

    def define(self, function: Callable[[Stream], int]) -> Callable[[Stream], int]:
        """`Stream.define`, which runs many definitions at once: each takes its part."""

        def timed(stream: Stream) -> int:
            began = perf_counter_ns()
            count = function(stream)
            took = perf_counter_ns() - began
            self.spent["describe"] += [(took // count, 0)] * count if count else []
            return count

        return timed


@contextmanager
def anew(streams: Sequence[RunningStream]) -> Generator[None]:
    """Inside, *streams* run one instruction after the other, and each of these begins anew.

    Instructions keep the kernels that they have called; so what is put in the place of a kernel is called then, too.
    """
    before = [list(stream.actions) for stream in streams]
    for stream in streams:
        stream.singly = True
        stream.actions[:] = [None] * len(stream.actions)
    try:
        yield
    finally:
        for stream, actions in zip(streams, before, strict=True):
            stream.actions[:] = actions
            stream.singly = False


@contextmanager
def timing(clock: Clock, streams: Sequence[RunningStream], step: Callable[[], None]) -> Generator[None]:
    """Inside, *clock* hears of all kernels, and of all instructions of *streams*, one by one, that run in a *step*."""
    targets = [(owner, name, clock.kernel) for owner, names in KERNELS.items() for name in names.split()]
    targets.append((Stream, "define", clock.define))
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in targets]
    for owner, name, wrap in targets:
        setattr(owner, name, wrap(getattr(owner, name)))
    try:
        with anew(streams):
            step()
            clock.spent = {name: [] for name in CLASSES}
            for stream in streams:
                for place, (word, action) in enumerate(zip(stream.instructions, stream.actions, strict=False)):
                    stream.actions[place] = action and clock.action(word.mnemonic, action)
            yield
    finally:
        for owner, name, function in before:
            setattr(owner, name, function)


def measure(program: Program, count_only: bool, seed: int = 0) -> dict[str, Any]:
    """A training step that warms up, one that is timed as a whole, and one that is timed by instruction."""
    machine = Interpreter(program, contents=full if count_only else None)
    unrolls, machine.unrolls = machine.unrolls, False
    settings = Settings.of(program.settings, seed=seed)
    facts = facts_of(settings, 0, 0, 1, settings.scale, program.steps) | {"valid": program.batch}
    if not count_only:
        (port,) = [symbol for symbol in program.symbols if symbol.role == "input"]
        initialise(machine, settings)
        Call(machine, TRAIN, samples := made_samples(program, port, seed))(samples, np.arange(program.batch), facts)
    given = {name: facts[name] for name in program.entry(TRAIN).arguments}
    machine.run(TRAIN, given)
    whole = _seconds(machine, given)
    clock = Clock()
    with timing(clock, machine.streams(TRAIN), lambda: machine.run(TRAIN, given)):
        machine.run(TRAIN, given)
    executed = machine.executed(TRAIN)
    machine.unrolls = unrolls
    unrolled = [_seconds(machine, given) for _ in range(OFTEN + 2)][-1] if unrolls else None
    kernels = sum(kernel for spent in clock.spent.values() for _, kernel in spent)
    everything = [own for spent in clock.spent.values() for own, _ in spent]
    share = kernels / (kernels + sum(everything))
    return {
        "count_only": count_only,
        "instructions": executed,
        "seconds": whole,
        "unrolled_seconds": unrolled,
        "kernel_share": share,
        "bookkeeping_us": whole * (1.0 - share) / executed * 1e6,
        "median_us": median(everything) / 1e3,
        "classes": {
            name: {
                "instructions": len(spent),
                "median_us": median(own for own, _ in spent) / 1e3,
                "mean_us": mean(own for own, _ in spent) / 1e3,
                "kernel_us": mean(kernel for _, kernel in spent) / 1e3,
            }
            for name, spent in clock.spent.items()
            if spent
        },
    }


def _seconds(machine: Interpreter, given: Mapping[str, float | int]) -> float:
    """Of processor time, for a training step."""
    began = process_time()
    machine.run(TRAIN, given)
    return process_time() - began


def show(found: dict[str, Any]) -> None:
    """One mode as text."""
    print(
        f"\n{'without data' if found['count_only'] else 'with data'}: {found['instructions']} instructions a step, "
        f"{found['seconds']:.3f} s, {found['kernel_share']:.0%} of them in kernels; bookkeeping "
        f"{found['bookkeeping_us']:.2f} us an instruction, median {found['median_us']:.2f} us"
    )
    if found["unrolled_seconds"] is not None:
        print(f"  unrolled: {found['unrolled_seconds']:.3f} s")
    print(f"  {'class':<12} {'tried':>9} {'median us':>10} {'mean us':>9} {'kernel us':>10}")
    for name, each in found["classes"].items():
        numbers = f"{each['median_us']:>10.2f} {each['mean_us']:>9.2f} {each['kernel_us']:>10.2f}"
        print(f"  {name:<12} {each['instructions']:>9} {numbers}")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.interpreter_overhead", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--model", default="csnn", help="a model that comes with snnc, or a file; default: csnn")
    parser.add_argument("--target", default="quad", help="default: quad")
    parser.add_argument("--batch", type=int, default=16, help="default: 16")
    parser.add_argument("--steps", type=int, default=4, help="default: 4")
    parser.add_argument("--count-only", action="store_true", help="without data alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    chosen = parser.parse_args()
    program = Compilation(chosen.model, Options(chosen.target, batch=chosen.batch, steps=chosen.steps)).program
    results = [measure(program, count_only) for count_only in ((True,) if chosen.count_only else (False, True))]
    print(f"{program.network}: batch {program.batch}, {program.steps} steps, {program.cores} cores of {program.target}")
    for found in results:
        show(found)
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
