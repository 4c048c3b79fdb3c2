"""What all cores of a stage read, one loads and sends to the others: once over DRAM, and over every link of a tree.

That bits do not depend on it is law 1, that none reads what has not come is law 3; both have cases on many cores.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import pytest
from laws import Bench, Case, compiled

from snnc.isa.instructions.move import Load
from snnc.isa.instructions.route import Multicast
from snnc.isa.state import Stream
from snnc.runtime.listening import Listener

CASES = [Case("csnn", "exact20"), Case("normed", "quad3"), Case("recurrent", "exact7", partition="in_turn")]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bytes_over_the_mesh_are_those_predicted(case: Case) -> None:
    """What is cast, and what is gathered of a norm's sums."""
    bench = Bench(case, oracle=False)
    bench.run("init")
    bench.feed()
    bench.machine.counters.take()
    bench.run("train_step")
    counted = bench.machine.counters.take().to_json()
    predicted = compiled(case).program.predicted["train_step"]
    assert counted["network"] == predicted["network"] > 0
    assert {phase: row["network"] for phase, row in counted["by_phase"].items() if phase} == {
        phase: row["network"] for phase, row in predicted["by_phase"].items()
    }


@pytest.mark.parametrize("machine", ["quad4", "exact7", "exact20"])
def test_weights_that_all_cores_need_leave_dram_once_a_turn(machine: str) -> None:
    """Samples are shared out, so all cores need all weights: the bytes are those of one core."""
    fixed = Case("csnn", machine, pins=("c2.fp=split=batch",), partition="in_turn", fusion="off")
    many, one = fixed, replace(fixed, machine=machine.rstrip("0123456789") + "1")
    (stage,) = (stage for stage in compiled(many).schedule.entries["infer"] if stage.node == "c2")
    assert stage.mapping.split == "n" and "right" in stage.mapping.cast
    moved = [compiled(case).program.predicted["infer"]["by_tensor"]["c2.w"]["dram"]["read"] for case in (many, one)]
    assert moved[0] == moved[1]
    loads, sends = 0, 0
    for stream in compiled(many).program.entry("infer").streams:
        for instruction, debug in zip(stream.instructions, stream.debug, strict=True):
            if debug.node == "c2" and isinstance(instruction, Multicast):
                assert (stream.core, instruction.first, instruction.count) == (0, 0, len(stage.active))
                sends += 1
            loads += debug.node == "c2" and isinstance(instruction, Load)
    assert sends == len(stage.mapping.cast)
    assert loads == len(stage.active) + sends, "the image's tiles by each core, weights and bias by the first"


class Waiting(Listener):
    """The most tiles that are under way from one core to another on one channel."""

    def __init__(self) -> None:
        self.now: defaultdict[tuple[int, int, int], int] = defaultdict(int)
        self.most = 0

    def sync(self, stream: Stream, kind: str, core: int, number: int) -> None:
        if kind == "send":
            self.now[stream.core.number, core, number] += 1
            self.most = max(self.most, *self.now.values())
        elif kind == "receive":
            self.now[core, stream.core.number, number] -= 1


def test_no_tile_sets_out_for_which_there_is_no_room() -> None:
    """A host that lets the first core run as far as it can finds one tile a channel under way, not a queue of them."""
    bench = Bench(Case("csnn", "exact7", partition="in_turn"), oracle=False)
    waiting = Waiting()
    bench.machine.listen(waiting)
    bench.run("init")
    bench.feed()
    bench.run("train_step")
    assert waiting.most == 1
    assert not any(waiting.now.values())
