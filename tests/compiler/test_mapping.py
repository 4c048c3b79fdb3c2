"""Mapping: what fits is found, what is pinned is done, and what cannot be is told in numbers."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnc.catalog import UnknownName
from snnc.compiler.dataflows.dataflow import DATAFLOWS
from snnc.compiler.ir.schedule import Stage
from snnc.compiler.ir.statement import Contraction
from snnc.compiler.passes.pins import parse_pins
from snnc.compiler.passes.split import CHANNEL_GRAIN, shares, splits, splittable
from snnc.compiler.pipeline import Compilation, Options
from snnc.isa.target import TARGETS
from snnc.source import SourceError, TargetError

SOURCE = """network net(image: f16[1, 12, 12]) steps 2 {
    c1 = conv2d(image, out=24, kernel=3, pad=1)
    s1 = lif(c1)
    p1 = avg_pool2d(s1, kernel=2)
    c2 = conv2d(p1, out=40, kernel=3, stride=2)
    s2 = lif(c2)
    y = linear(flatten(s2), out=10)
    return y
}
train { batch = 6; optimizer = sgd }
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("mapping") / "net.snn"
    path.write_text(SOURCE)
    return str(path)


def machine(folder: Path, base: str = "tiny", memory: int | None = None, dram: int | None = None) -> str:
    """The path of a target like *base* with other capacities in bytes."""
    text = re.sub(r'^name = "\w+"', 'name = "small"', TARGETS[base].read_text(), count=1, flags=re.M)
    for head, size in ((r'name = "scratch"\n', memory), (r"\[dram\]\n", dram)):
        if size is not None:
            text, count = re.subn(rf"({head}bytes = {{ value = )\d+", rf"\g<1>{size}", text)
            assert count == 1
    path = folder / "small.toml"
    path.write_text(text)
    return str(path)


def stages(model: str, *pins: str, cores: int = 1, target: str = "quad", dataflow: str = "auto") -> dict[str, Stage]:
    """Stages of a training step by ``layer.phase``, the first of several; each statement is one of its own."""
    given = Options(target=target, cores=cores, pins=pins, dataflow=dataflow, fusion="off")
    schedule = Compilation(model, given).schedule
    found: dict[str, Stage] = {}
    for stage in schedule.entries["train_step"]:
        found.setdefault(f"{stage.layer}.{stage.phase.lower()}", stage)
    return found


# What cannot be.


def test_a_tile_that_cannot_fit_is_told_with_numbers_and_levers(model: str, tmp_path: Path) -> None:
    with pytest.raises(TargetError) as caught:
        stages(model, "c2.fp=tile.o=40", target=machine(tmp_path, memory=2048), dataflow="weight_stationary")
    faults = {str(fault.place).rpartition("/")[2] + " " + fault.message: fault for fault in caught.value.faults}
    (told,) = [text for text in faults if " of c2 (FP) " in text]
    assert told.startswith("net.snn:5:10 the smallest tile of c2 (FP) needs ")
    found = re.search(
        r"needs ([\d.]+) KiB; a core of `small` has 2\.0 KiB for it in `scratch` \(short by ([\d.]+) KiB\)$", told
    )
    assert found is not None, told
    assert float(found[1]) - 2.0 == pytest.approx(float(found[2]), abs=0.11)
    assert tuple(faults[told].hints) == (
        "a smaller --batch",
        "--dataflow auto",
        "without --pin c2.fp=tile.o=40",
        "a target with more memory (see `snnc list targets`)",
    )
    others = {text.split(" of ")[1].split(" needs")[0] for text in faults}
    assert others == {"c2 (FP)"}


def test_what_is_told_is_enough(model: str, tmp_path: Path) -> None:
    """A target with the memory that the faults demand takes the network."""
    size = 512
    for _ in range(20):
        try:
            stages(model, target=machine(tmp_path, memory=size))
            break
        except TargetError as error:
            told = re.findall(r"needs ([\d.]+) (B|KiB)", str(error))
            assert told, error
            demands = [float(number) * (1 if unit == "B" else 1024) for number, unit in told]
            wanted = int(max(demands) + 52) // 8 * 8
            assert wanted > size
            size = wanted
    else:
        pytest.fail("never enough")
    assert size > 512


def test_a_dram_that_is_too_small_is_told(model: str, tmp_path: Path) -> None:
    compilation = Compilation(model, Options(target=machine(tmp_path, dram=65536)))
    with pytest.raises(TargetError, match=r"DRAM") as caught:
        _ = compilation.program
    assert re.search(r"short by [\d.]+ [KM]iB", str(caught.value)), caught.value


@pytest.mark.parametrize(
    ("pin", "message"),
    [
        (
            "c9.fp=tile.o=4",
            "--pin c9.fp=tile.o=4: no stage matches; there are c1.fp, c1.up, c1.wg, c2.bp, c2.fp, c2.up, c2.wg, loss",
        ),
        ("c1.fp=tile.z=4", "--pin c1.fp=tile.z=4: c1.fp has no loop 'z'; its loops are n, o, p, q, c, r, s"),
        (
            "c1.fp=sideways",
            "'sideways' is not a dataflow, tile.LOOP=N, split=batch|rows|channels|LOOP, or buffers=single|double; ",
        ),
        ("c1.fp=buffers=triple", "'buffers=triple' is not a dataflow"),
        ("c1.fp=time_parallel", "--pin c1.fp=time_parallel: c1.fp cannot take several steps of time in a tile"),
        ("c1.fp=tile.o=0", "'tile.o=0' is not a dataflow"),
        (
            "c?.fp=tile.z=4,split=batch",
            "--pin c?.fp=tile.z=4,split=batch: no stage that matches can follow tile.z=4; loops that can are c, n, o",
        ),
        ("*.*=tile.zz=3", "--pin *.*=tile.zz=3: no stage that matches can follow tile.zz=3; loops that can are "),
        ("*.*=tile.n=300", "no stage that matches can follow tile.n=300; the most that one of them has there is 6"),
        ("c1.fp=tile.n=7", "c1.fp has 6 of loop 'n', fewer than 7; tile.n=6 takes all of them"),
        ("c1.fp=tile.r=2", "c1.fp cannot cut loop 'r'; it can cut n, o, p, q"),
        ("*.up=split=batch", "no stage that matches can follow split=batch; loops that can are "),
        ("loss.*=output_stationary", "no stage that matches can follow output_stationary"),
        ("c1=tile.o=4", "--pin c1=tile.o=4: expected NAME.PHASE=CHOICE with a phase of fp, bp, wg, up or *"),
        ("c1.xx=tile.o=4", "expected NAME.PHASE=CHOICE"),
    ],
)
def test_a_pin_that_means_nothing_is_told(model: str, pin: str, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        stages(model, pin)
    assert message in str(caught.value)


def test_a_pattern_speaks_to_those_that_can(model: str) -> None:
    """Some have so many samples or channels; nobody has a loop zz, so 1 of it is what all have."""
    assert stages(model, "c?.*=tile.o=40", "*.*=tile.zz=1,tile.r=3")["c2.fp"].mapping.tiles["o"] == 40
    assert stages(model, "*.*=output_stationary", "s1.fp=tile.n=2")["s1.fp"].mapping.tiles["n"] == 2


def test_everything_that_a_pin_cannot_have_is_told(model: str) -> None:
    with pytest.raises(SourceError) as caught:
        stages(model, "c1.fp=tile.z=4,tile.n=7,time_parallel", "c9.fp=tile.o=4", "c?.fp=split=z")
    assert len(caught.value.faults) == 5


def test_all_wrong_pins_are_told_together() -> None:
    with pytest.raises(SourceError) as caught:
        parse_pins(["a.fp=what", "nothing", "b.fp=tile.n=x,split="])
    assert len(caught.value.faults) == 4


def test_an_unknown_dataflow_has_a_nearest_name(model: str) -> None:
    with pytest.raises(UnknownName, match="weight_stationary"):
        stages(model, dataflow="weight_stationery")


# What is pinned is done.


@pytest.mark.parametrize("dataflow", list(DATAFLOWS))
def test_a_pinned_dataflow_is_followed(model: str, dataflow: str) -> None:
    found = stages(model, f"c*.*={dataflow}")
    chosen = {n: s.mapping.dataflow for n, s in found.items() if isinstance(s.statement, Contraction) and n[0] == "c"}
    assert len(chosen) >= 5
    assert set(chosen.values()) == {dataflow}
    asked = stages(model, dataflow=dataflow)
    assert {s.mapping.dataflow for s in asked.values() if isinstance(s.statement, Contraction)} == {dataflow}


@pytest.mark.parametrize(("loop", "size"), [("n", 1), ("n", 5), ("o", 16), ("o", 8), ("p", 3)])
def test_a_pinned_tile_is_in_the_schedule(model: str, loop: str, size: int) -> None:
    pin = f"c1.fp=tile.{loop}={size}"
    stage = stages(model, pin)["c1.fp"]
    assert stage.mapping.tiles[loop] == size
    assert stage.explanation.binds == f"pinned: {pin}"
    assert stages(model)["c1.fp"].mapping.tiles[loop] != size or size == 1


def test_later_pins_win(model: str) -> None:
    assert stages(model, "*.*=tile.n=2", "c1.*=tile.n=3", "c1.fp=tile.n=1")["c1.fp"].mapping.tiles["n"] == 1
    assert stages(model, "c1.fp=tile.n=1", "*.*=tile.n=2")["c1.fp"].mapping.tiles["n"] == 2


@pytest.mark.parametrize(
    ("word", "loop", "expected"),
    [
        ("batch", "n", [2, 2, 2]),
        ("rows", "p", [4, 4, 4]),
        ("channels", "o", [16, 8, 0]),
        ("q", "q", [4, 4, 4]),
    ],
)
def test_a_pinned_split_is_followed(model: str, word: str, loop: str, expected: list[int]) -> None:
    mapping = stages(model, f"c1.fp=split={word}", cores=3)["c1.fp"].mapping
    assert mapping.split == loop
    assert [extent for _, extent in mapping.shares] == expected


# Shares.


@given(st.integers(1, 3000), st.integers(1, 64), st.sampled_from([1, 2, 8, CHANNEL_GRAIN]))
def test_shares_cover_all_and_never_overlap(extent: int, cores: int, grain: int) -> None:
    found = shares(extent, cores, grain)
    assert len(found) == cores
    end = 0
    for low, size in found:
        assert low == end
        assert size >= 0
        assert low % grain == 0 or low == extent
        end = low + size
    assert end == extent
    sizes = [-(-size // grain) for _, size in found]
    active = [size for size in sizes if size]
    assert max(active) - min(active) <= 1
    assert sizes == active + [0] * (cores - len(active)), "idle cores are the last ones"


@pytest.mark.parametrize("cores", [1, 2, 3, 7, 20])
def test_no_byte_of_a_packed_row_has_two_cores(model: str, cores: int) -> None:
    for entry in Compilation(
        model, Options(target="quad" if cores <= 4 else "li2024_exact", cores=cores)
    ).schedule.entries.values():
        for stage in entry:
            mapping, extents = stage.mapping, stage.statement.extents
            assert len(mapping.shares) == cores
            if mapping.split is None:
                assert sum(extent for _, extent in mapping.shares) == 1
                continue
            assert sum(extent for _, extent in mapping.shares) == extents[mapping.split]
            grain = splittable(stage.statement, True)[mapping.split]
            assert all(low % grain == 0 or not extent for low, extent in mapping.shares)
            for split in splits(stage.extents, splittable(stage.statement, True), cores):
                assert split.loop is None or split.loop in splittable(stage.statement, True)


def test_channels_are_split_in_sixteens(model: str) -> None:
    grains = splittable(stages(model)["c1.fp"].statement, True)
    assert grains == {"n": 1, "o": CHANNEL_GRAIN, "p": 1, "q": 1}


# The search.


@pytest.mark.parametrize("target", ["tiny", "quad", "li2024_exact"])
def test_no_pin_moves_fewer_bytes_than_the_search(model: str, target: str) -> None:
    best = stages(model, target=target)
    pins = [f"*.*=tile.{loop}={size}" for loop, size in [("n", 1), ("n", 6), ("o", 1), ("o", 16)]]
    pins += [f"*.*={dataflow}" for dataflow in DATAFLOWS]
    granule = 32
    for pin in pins:
        try:
            pinned = stages(model, pin, target=target)
        except TargetError:
            continue
        for name, stage in pinned.items():
            # A pinned tile may save moves, which the search weighs like a burst each.
            assert stage.explanation.dram >= best[name].explanation.dram - granule * 64, (pin, name)


def test_more_memory_never_moves_more(model: str, tmp_path: Path) -> None:
    moved: list[int] = []
    for size in (8192, 16384, 65536, 1 << 20):
        found = stages(model, target=machine(tmp_path, memory=size))
        moved.append(sum(stage.explanation.dram for stage in found.values()))
    assert moved == sorted(moved, reverse=True)
    assert moved[0] > moved[-1]


def test_a_stage_explains_itself(model: str) -> None:
    stage = stages(model, target="tiny")["c2.fp"]
    why = stage.explanation
    assert 0 < why.rivals.feasible < why.rivals.candidates
    assert why.rivals.runner_up and why.rivals.runner_up_cost >= why.dram
    assert re.fullmatch(r"`scratch`: \d+ of 32768 bytes \(\d+ %\)", why.binds)
    used = sum(buffer.bytes * buffer.ring for buffer in stage.buffers)
    assert why.binds.startswith(f"`scratch`: {used} of")
    places = sorted((b.address, b.address + b.bytes * b.ring) for b in stage.buffers)
    assert all(end <= start for (_, end), (start, _) in pairwise(places))
    assert places[-1][1] <= 32768


def test_a_sum_that_could_overflow_an_exact_accumulator_is_refused(tmp_path: Path) -> None:
    source = SOURCE.replace("batch = 6", "batch = 16384").replace("steps 2", "steps 16")
    path = tmp_path / "large.snn"
    path.write_text(source)
    with pytest.raises(TargetError, match=r"c2 \(WG\) sums \d+ terms of u\d; an exact accumulator of `quad` takes \d+"):
        stages(str(path))


def test_an_engine_without_a_multiplier_path_refuses_images(model: str) -> None:
    """`li2024` has one in both engines that read data; without it, images must be coded as spikes."""
    compilation = Compilation(model, Options(target="quad"))
    target = compilation.target
    engines = {
        name: replace(engine, left_formats=("spike", "u2", "u4", "u8")) for name, engine in target.engines.items()
    }
    compilation.__dict__["target"] = replace(target, engines=engines | {"bp": target.engines["bp"]})
    with pytest.raises(TargetError) as caught:
        _ = compilation.schedule
    assert "the FP engine of `quad` takes spike, u2, u4, u8 on its left, and c1 has f16 there" in str(caught.value)
    assert "a coding of the input as spikes" in str(caught.value)
