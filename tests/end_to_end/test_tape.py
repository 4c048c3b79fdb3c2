"""The tape table says what is really written: its bytes are those that the interpreter counts for these tensors."""

from __future__ import annotations

from fractions import Fraction
from typing import cast

import pytest
from laws import NARROW, NETWORKS, Bench, Case, Model, compiled

from snnc.compiler.cost.tape import Kept, tape_of
from snnc.compiler.ir.graph import Network

Pair = tuple[int, int]

CASES = [Case(name, "quad1") for name in NETWORKS] + [Model(name, "quad1") for name in ("srnn", "vgg11_dvs")]
OTHERS = [pytest.param(Model(name, "quad1"), id=name, marks=pytest.mark.full) for name in NARROW]


@pytest.mark.parametrize("case", [*(pytest.param(case, id=str(case)) for case in CASES), *OTHERS])
def test_the_bytes_of_the_tape_are_those_that_are_counted(case: Case | Model) -> None:
    tape = tape_of(compiled(case).training)
    bench = Bench(case, oracle=False)
    bench.run("init")
    bench.feed()
    bench.machine.counters.take()
    bench.run("train_step")
    counted = bench.machine.counters.take().to_json()["by_tensor"]
    written = {name: amounts["dram"]["useful_write"] for name, amounts in counted.items()}
    assert tape
    assert {kept.value: kept.bytes for kept in tape} == {kept.value: written[kept.value] for kept in tape}
    read = {name: amounts["dram"]["useful_read"] for name, amounts in counted.items()}
    for kept in tape:
        if kept.type.timed:
            # The currents of `alpha` are read as they were before each step, those after the last step by nobody.
            last = kept.bytes // compiled(case).network.steps if kept.value.endswith((".e", ".i")) else 0
            passed = kept.bytes * rows_passed_over(compiled(case).network, kept)
            assert read[kept.value] >= kept.bytes - last - passed, kept.value


def rows_passed_over(network: Network, kept: Kept) -> Fraction:
    """The share of its last rows that nobody reads: those behind the last taps of the one strided convolution whose
    weight gradient it is kept for."""
    readers = [node for node in network.nodes if kept.readers == (f"WG of {node.results[0]}",)]
    for node in (node for node in readers if node.op == "conv2d"):
        (kernel, _), (stride, _), (pad, _) = (cast("Pair", node.settings[name]) for name in ("kernel", "stride", "pad"))
        rows, made = kept.type.memory[0], node.types[0].memory[0]
        return Fraction(max(rows - ((made - 1) * stride + kernel - pad), 0), rows)
    return Fraction(0)
