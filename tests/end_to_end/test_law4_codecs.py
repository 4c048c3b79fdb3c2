"""Codecs under the laws: they change no bit, lose no byte, and move about what was predicted from a profile."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from laws import Bench, Case, compiled, profiled

from snnc.compiler.passes.coding import choose_codings
from snnc.compiler.passes.weighed import moved_by
from snnc.isa import assembly, binary
from snnc.isa.codecs.codec import CODECS
from snnc.isa.grid import ENTRY_BYTES
from snnc.isa.state import Stream
from snnc.reports.program_text import parts, parts_text
from snnc.reports.schedule_text import schedule_text
from snnc.runtime.listening import Listener
from snnc.source import SourceError

FORCED = [
    Case("lenet", "tiny", dataflow="time_parallel", codecs=("*=tiles",)),
    Case("joined", "quad3", codecs=("*=nonzero", "s?=events")),
    Case("csnn", "li7", dataflow="output_stationary", codecs=("*=nonzero", "p1=tiles")),
    *(
        pytest.param(case, marks=pytest.mark.full)
        for case in (
            Case("csnn", "exact7", codecs=("*=tiles", "s1=bits")),
            Case("hourglass", "f32x3", codecs=("*=tiles", "d.*=nonzero")),
            Case("recurrent", "quad3", reset="soft", codecs=("*=events", "d.*=tiles")),
            Case("normed", "bf16x3", codecs=("*=nonzero", "s?=tiles")),
            Case("signals", "tiny", codecs=("*=tiles",)),
        )
    ),
]
"""Networks whose values are all stored in blocks by force, where that can be."""


class Sides(Listener):
    """Both sides of every encoder and decoder, and what DRAM and scratchpads saw of the same instructions."""

    def __init__(self) -> None:
        self.totals: Counter[str] = Counter()
        self._coded = False

    def dram(self, stream: Stream, write: bool, address: int, useful: int, bursts: int) -> None:
        self._last = useful

    def coded(self, stream: Stream, write: bool, stored: int, plain: int) -> None:
        self.totals["useful"] += self._last
        self.totals["stored"] += stored
        self.totals["plain"] += plain
        self.totals["directory"] += self._last - stored
        self._coded = True

    def scratchpad(self, stream: Stream, write: bool, space: int, useful: int) -> None:
        self.totals["scratchpad"] += useful * self._coded
        self._coded = False


@pytest.mark.parametrize("case", FORCED, ids=str)
def test_no_codec_changes_a_bit_and_no_byte_is_lost(case: Case) -> None:
    """Encoded bytes that leave DRAM enter decoders; decoded ones are written to scratchpads, padding included."""
    bench = Bench(case, watched=case.machine == "quad3")
    stored = {symbol.name: symbol for symbol in bench.program.symbols if symbol.blocks}
    assert len(stored) >= 8
    sides = Sides()
    bench.machine.listen(sides)
    bench.run("init")
    for step, valid in enumerate((5, 3)):
        bench.feed()
        bench.run("train_step", step, valid)
        assert bench.difference() == ""
    bench.feed()
    bench.run("infer", 2)
    assert bench.difference() == ""
    counted = bench.machine.counters.take()
    rows = [row for key, row in counted.rows.items() if not CODECS[key.codec].fixed]
    assert {key.codec for key in counted.rows if key.tensor in stored} == {each.codec for each in stored.values()}
    assert sides.totals["useful"] == sum(row.useful_read + row.useful_write for row in rows) > 0
    assert sides.totals["stored"] == sides.totals["useful"] - sides.totals["directory"] > 0
    assert sides.totals["directory"] % ENTRY_BYTES == 0
    ports = sum(row.scratchpad_read + row.scratchpad_write for row in rows)
    assert sides.totals["plain"] == sides.totals["scratchpad"] <= ports


LENET = Case("lenet", "tiny", surrogate="rect(alpha=4)")
PROFILED = [
    LENET,
    pytest.param(Case("csnn", "quad3", surrogate="triangle(alpha=4)"), marks=pytest.mark.full),
    pytest.param(Case("hourglass", "exact7", surrogate="rect(alpha=4)"), marks=pytest.mark.full),
]

OTHER_TILES = Case("csnn", "f32x3", surrogate="rect(alpha=4)")
"""One whose tiles are others for the codecs that its values then have."""


def coded_bytes(traffic: dict[str, Any], names: set[str]) -> float:
    return sum(traffic["by_tensor"][name]["dram"]["total"] for name in names)


@pytest.mark.parametrize("case", PROFILED, ids=str)
@pytest.mark.parametrize("codecs", [(), ("*=tiles",), ("*=nonzero", "s*=events")], ids=str)
def test_what_codecs_move_is_predicted_from_a_profile(case: Case, codecs: tuple[str, ...]) -> None:
    """Within 5 % on the batch that was profiled, 10 % of each value, 15 % on another; other tensors to the byte."""
    known, _ = profiled(case)
    chosen = replace(known, codecs=codecs)
    bench = Bench(chosen, oracle=False)
    bench.run("init")
    bench.feed()
    bench.machine.counters.take()
    bench.run("train_step")
    counted, predicted = bench.machine.counters.take().to_json(), bench.program.predicted["train_step"]
    names = {symbol.name for symbol in bench.program.symbols if symbol.blocks} & set(counted["by_tensor"])
    for name in set(counted["by_tensor"]) - names - {""}:
        assert counted["by_tensor"][name]["dram"] == predicted["by_tensor"][name]["dram"], name
    assert names
    assert coded_bytes(predicted, names) == pytest.approx(coded_bytes(counted, names), rel=0.05)
    for name in names & set(compiled(known).densities.values):
        assert coded_bytes(predicted, {name}) == pytest.approx(coded_bytes(counted, {name}), rel=0.1), name
    bench.feed()
    bench.run("train_step", 1)
    another = bench.machine.counters.take().to_json()
    assert coded_bytes(predicted, names) == pytest.approx(coded_bytes(another, names), rel=0.15)


@pytest.mark.parametrize("case", PROFILED, ids=str)
def test_codecs_that_densities_choose_move_fewer_bytes(case: Case) -> None:
    known, plain = profiled(case)
    assert compiled(known).schedule.codings
    bench = Bench(known)
    bench.run("init")
    bench.feed()
    plain.machine.counters.take()
    bench.machine.counters.take()
    bench.run("train_step")
    assert bench.difference() == ""
    plain.run("train_step")
    assert bench.machine.counters.take().total.dram < plain.machine.counters.take().total.dram


@pytest.mark.parametrize("case", [*PROFILED, OTHER_TILES, Case("joined", "exact7", surrogate="rect(alpha=4)")], ids=str)
def test_codecs_weighed_beside_tiles_move_no_more_than_those_chosen_behind_them(case: Case) -> None:
    known, _ = profiled(case)
    found, plain = compiled(known), compiled(case).schedule
    training, target, densities = found.training, found.target, found.densities
    behind = replace(plain, codings=choose_codings(training, plain, target, densities, ()))
    assert behind.codings
    weighed = moved_by(training, found.schedule, target, densities)
    assert weighed == pytest.approx(found.program.predicted["train_step"]["dram"]["total"], abs=1)
    least = moved_by(training, behind, target, densities)
    assert weighed <= least
    if case == OTHER_TILES:
        assert weighed < least


def test_inputs_are_written_in_blocks_by_the_host() -> None:
    """Images of which a tenth is lit: the host writes, and the machine reads, fewer bytes than they would have."""
    known, plain = profiled(Case("lenet", "tiny"), lit=0.1)
    bench = Bench(known, lit=0.1)
    symbol = bench.program.symbol("image")
    assert symbol.blocks
    for each in (plain, bench):
        each.run("init")
        each.machine.counters.take()
        each.feed()
        each.run("train_step")
        assert each.difference() == ""
    before, counted = (each.machine.counters.take().to_json() for each in (plain, bench))
    for side, way in (("host", "write"), ("dram", "read")):
        assert counted["by_tensor"]["image"][side][way] < 0.5 * before["by_tensor"]["image"][side][way]
    predicted = bench.program.predicted["train_step"]["by_tensor"]["image"]["dram"]["total"]
    assert predicted == pytest.approx(counted["by_tensor"]["image"]["dram"]["total"], rel=0.05)
    bench.feed()
    bench.run("infer", 2)
    assert bench.difference() == ""


def test_without_densities_every_element_lies_at_its_place() -> None:
    program = compiled(Case("lenet", "tiny")).program
    assert {symbol.codec for symbol in program.symbols} == {"raw", "bits"}
    assert not any(symbol.blocks for symbol in program.symbols)


@pytest.mark.parametrize(
    ("codec", "message"),
    [
        ("s1", "--codec s1: expected NAME=CODEC, such as 'd.*=nonzero'"),
        ("s1=event", "--codec s1=event: no codec is called 'event'; did you mean events?"),
        ("d.s9=events", "--codec d.s9=events: no value in DRAM is called 'd.s9'; did you mean d.s2?"),
        ("c1.w=nonzero", "--codec c1.w=nonzero: c1.w stays as it is: its role is parameter"),
        ("logits=nonzero", "--codec logits=nonzero: logits stays as it is: its role is result"),
        ("d.s2=events", "--codec d.s2=events: events does not hold f16, the format of d.s2"),
    ],
)
def test_a_codec_that_cannot_be_is_told(codec: str, message: str) -> None:
    with pytest.raises(SourceError) as told:
        _ = Case("lenet", "tiny", codecs=(codec,)).compilation().schedule
    assert str(told.value) == message


def test_a_fixed_codec_keeps_a_value_as_it_is() -> None:
    known, _ = profiled(LENET)
    name = next(iter(compiled(known).schedule.codings))
    kept = replace(known, codecs=(f"{name}=raw",))
    assert name not in compiled(kept).schedule.codings


def test_what_is_stored_in_blocks_is_read_as_numbers() -> None:
    bench = Bench(Case("lenet", "tiny", codecs=("d.*=nonzero",)))
    bench.run("init")
    bench.feed()
    bench.run("train_step")
    assert bench.oracle is not None
    assert np.array_equal(bench.stored("d.c2"), bench.oracle.value("d.c2"))


def test_programs_with_blocks_come_back_from_text_and_bytes() -> None:
    program = compiled(Case("lenet", "tiny", codecs=("*=tiles",))).program
    assert any(symbol.blocks for symbol in program.symbols)
    assert assembly.from_text(assembly.to_text(program)) == program
    assert binary.from_bytes(binary.to_bytes(program)) == program


def test_a_schedule_tells_its_codecs_and_what_they_are_worth() -> None:
    known, _ = profiled(LENET)
    schedule = compiled(known).schedule
    lines = schedule_text(schedule).splitlines()
    assert lines[2] == "values in blocks, as a training step is predicted to move them"
    for line, (name, coding) in zip(lines[3:], schedule.codings.items(), strict=False):
        assert line.split()[:3] == [name, coding.codec, "x".join(map(str, coding.blocks))]
        assert line.endswith("with each element at its place")
        assert coding.dram < coding.plain


def test_the_map_of_dram_shows_blocks() -> None:
    program = compiled(Case("lenet", "tiny", codecs=("*=tiles",))).program
    symbol = next(symbol for symbol in program.symbols if symbol.name == "s1")
    (line,) = (line for line in parts_text(program).splitlines() if f" {symbol.name} " in line)
    assert line.endswith(f"  tiles in {'x'.join(map(str, symbol.blocks))}")
    (shown,) = (each for each in parts(program)["symbols"] if each["name"] == symbol.name)
    assert (shown["codec"], shown["blocks"]) == ("tiles", list(symbol.blocks))
