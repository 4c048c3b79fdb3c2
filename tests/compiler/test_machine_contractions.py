"""Any legal mapping of a convolution and of its gradients gives the bits of a plain sum over taps.

The reference adds tap by tap in float64, where these sums are exact, and rounds once.
"""

from __future__ import annotations

import numpy as np
import pytest
from contractions import Case
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from snnc.compiler.dataflows.dataflow import DATAFLOWS
from snnc.runtime.interpreter import Interpreter
from snnc.runtime.orders import Shuffled
from snnc.source import TargetError


@st.composite
def cases(draw: st.DrawFn) -> Case:
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    kernel = draw(st.integers(1, 4))
    dilation = draw(st.integers(1, 2))
    reach = dilation * (kernel - 1) + 1
    pad = draw(st.integers(0, 2))
    return Case(
        steps=draw(st.integers(1, 3)),
        batch=draw(st.integers(1, 5)),
        inputs=groups * draw(st.sampled_from([1, 3, 8, 20, 130])),
        outputs=groups * draw(st.sampled_from([1, 5, 16, 40])),
        groups=groups,
        size=draw(st.integers(max(1, reach - 2 * pad), 9)),
        kernel=kernel,
        stride=draw(st.integers(1, 3)),
        pad=pad,
        dilation=dilation,
        left=draw(st.sampled_from(["spike", "u4", "f16"])),
        target=draw(st.sampled_from(["tiny", "quad", "li2024_exact"])),
        cores=draw(st.sampled_from([1, 2, 3, 7])),
        dataflow=draw(st.sampled_from(["auto", *DATAFLOWS])),
        tile=draw(st.sampled_from([0, 1, 2, 16])),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


def check(case: Case) -> None:
    try:
        program = case.program()
    except TargetError:
        assume(False)
        return
    given = case.operands()
    machine = Interpreter(program, watched=True, order=Shuffled(case.seed))
    for name, values in given.items():
        machine.write(name, values)
    machine.counters.take()
    machine.run("train_step")
    for name, expected in case.reference(given).items():
        np.testing.assert_array_equal(machine.values(name), expected, err_msg=name)
    total = machine.counters.take().total.to_json()
    counted = total["dram"]
    assert counted == program.predicted["train_step"]["dram"]
    assert total["scratchpad"] == program.predicted["train_step"]["scratchpad"]
    floor = program.bound["train_step"]["dram"]["floor"]
    assert counted["useful_read"] + counted["useful_write"] >= floor


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(cases())
def test_any_mapping_gives_the_bits_of_the_sum_and_moves_what_was_predicted(case: Case) -> None:
    check(case)


@pytest.mark.full
@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(cases())
def test_any_mapping_many_times(case: Case) -> None:
    check(case)
