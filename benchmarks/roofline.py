"""How much of the host's peak a training step reaches, and what it spends beside its kernels.

The peak is what one thread of NumPy's BLAS makes of square matrices in the same run, in multiply-adds a second.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter_ns, process_time
from typing import Any

import numpy as np

from snnc.runtime.host import TRAIN

from .contest import OURS
from .interpreter_overhead import KERNELS, anew, measure
from .step import TrainingStep, program_of
from .tables import table
from .workers import told

SIDE, TURNS = 1024, 5


def peaks() -> dict[str, float]:
    """Multiply-adds a processor second of sgemm and dgemm, the median of some turns."""
    found: dict[str, float] = {}
    for name, kind in (("sgemm", np.float32), ("dgemm", np.float64)):
        left, right = np.random.default_rng(0).random((2, SIDE, SIDE)).astype(kind)
        out = left @ right
        seconds: list[float] = []
        for _ in range(TURNS):
            begun = process_time()
            np.matmul(left, right, out=out)
            seconds.append(process_time() - begun)
        found[name] = SIDE**3 / median(seconds)
    return found


def work(step: TrainingStep) -> dict[str, float]:
    """Multiply-adds of a step: all of them, as if operands were *dense*, and those that were *added*."""
    step.machine.counters.take()
    step()
    done = step.machine.counters.take().total
    added = done.gated + done.multiply
    return {"added_macs": added, "dense_macs": added + done.skipped}


def by_kernel(step: TrainingStep) -> dict[str, float]:
    """The share of a step with control that each kernel takes, those apart that other kernels call; clocks included."""
    machine = step.machine
    unrolls, machine.unrolls = machine.unrolls, False
    spent: Counter[str] = Counter()
    inside = [False]

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if inside[0]:
                return function(*given, **named)
            inside[0], begun = True, perf_counter_ns()
            try:
                return function(*given, **named)
            finally:
                spent[name] += perf_counter_ns() - begun
                inside[0] = False

        return call

    found = [(owner, name, getattr(owner, name)) for owner, names in KERNELS.items() for name in names.split()]
    for owner, name, function in found:
        setattr(owner, name, timed(f"{owner.__name__.rpartition('.')[2]}.{name}", function))
    try:
        with anew(machine.streams(TRAIN)):
            step()
            spent.clear()
            begun = perf_counter_ns()
            step()
            whole = perf_counter_ns() - begun
    finally:
        for owner, name, function in found:
            setattr(owner, name, function)
        machine.unrolls = unrolls
    return {name: nanoseconds / whole for name, nanoseconds in spent.items()}


def one(model: str, target: str) -> dict[str, Any]:
    """Overhead and work of a training step, and the peaks, in a process with one thread."""
    program = program_of(model, target)
    step = TrainingStep(program)
    told = {"peaks": peaks(), **work(step), "kernels": by_kernel(step)}
    return {**told, **measure(program, count_only=False)}


def roof(model: str, name: str) -> dict[str, Any]:
    """`one` in a process of its own, for the program that a contest calls *name*."""
    found = told([sys.executable, "-m", "benchmarks.roofline", model, OURS[name]])
    return {"model": model, "peer": name, **found}


def show(found: Sequence[dict[str, Any]]) -> str:
    """Shares of a step, and of the peak: all products of dense operands, and those that were really added."""
    head = (
        "network", "", "instructions", "ms", "unrolled ms", "in kernels", "us beside, median", "mean",
        "GMAC, dense", "added", "GMAC/s, dense", "of sgemm", "of dgemm", "added, of sgemm",
    )  # fmt: skip
    rows: list[tuple[str, ...]] = []
    for each in found:
        dense, added = each["dense_macs"], each["added_macs"]
        seconds = each["unrolled_seconds"] or each["seconds"]
        peak = each["peaks"]
        rows.append(
            (
                each["model"],
                each["peer"],
                str(each["instructions"]),
                f"{1e3 * each['seconds']:.0f}",
                f"{1e3 * seconds:.0f}",
                f"{each['kernel_share']:.0%}",
                f"{each['median_us']:.2f}",
                f"{each['bookkeeping_us']:.2f}",
                f"{dense / 1e9:.2f}",
                f"{added / 1e9:.2f}",
                f"{dense / seconds / 1e9:.1f}",
                *(f"{dense / seconds / peak[kind]:.0%}" for kind in ("sgemm", "dgemm")),
                f"{added / seconds / peak['sgemm']:.0%}",
            )
        )
    return table(head, rows, left=2)


def kernels(found: Sequence[dict[str, Any]], most: int = 6) -> str:
    """Where the time of kernels goes: the *most* costly of each, as shares of the step."""
    rows: list[tuple[str, ...]] = []
    for each in found:
        spent = sorted(each["kernels"].items(), key=lambda pair: -pair[1])
        shares = ", ".join(f"{name} {share:.0%}" for name, share in spent[:most])
        rows.append((each["model"], each["peer"], f"{shares}; bookkeeping {1 - sum(each['kernels'].values()):.0%}"))
    return table(("network", "", "share of the step"), rows, left=3)


if __name__ == "__main__":
    print(json.dumps(one(*sys.argv[1:])))
