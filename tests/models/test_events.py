"""Event streams become the frames that plain arithmetic gives, and are read when needed; every fault is told."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from snnc.cli import main
from snnc.models.data import Dataset, Port, Samples, load, usage
from snnc.source import DataError

Event = tuple[int, int, int, int]
"""Column, row, polarity, microsecond."""

Trial = tuple[int, int, int]
"""Class, begin and end in microseconds, as a table of trials has them."""

DRAWN = np.random.default_rng(11)
ONE: list[Event] = [(3, 4, 1, 100)]


# Writers, independent of the readers


def bin_file(events: list[Event]) -> bytes:
    """N-MNIST: 40 bits an event, column, row, polarity, 23 bits of time, the highest first."""
    numbers = (x << 32 | y << 24 | polarity << 23 | time for x, y, polarity, time in events)
    return b"".join(number.to_bytes(5, "big") for number in numbers)


def packet(content: list[bytes], kind: int = 1, overflow: int = 0, **changes: int) -> bytes:
    """A packet of AEDAT 3.1; `changes` belie what its header says."""
    size = len(content[0]) if content else 8
    said = {"size": size, "offset": 4, "capacity": len(content), "number": len(content), **changes}
    header = struct.pack(
        "<hhiiiiii", kind, 1, said["size"], said["offset"], overflow, said["capacity"], said["number"], len(content)
    )
    return header + b"".join(content)


def polarity(event: Event, valid: int = 1) -> bytes:
    x, y, on, time = event
    return struct.pack("<II", x << 17 | y << 2 | on << 1 | valid, time)


HEADER = (
    b"#!AER-DAT3.1\r\n#Format: RAW\r\n#Source 1: DVS128\r\n"
    b"#Start-Time: 2016-06-14 10:00:00 (TZ+0000)\r\n#!END-HEADER\r\n"
)


def aedat(events: list[Event], each: int = 3) -> bytes:
    """A recording whose packets have `each` events, with a packet of another type before every one of them."""
    packets = [packet([polarity(event) for event in events[at : at + each]]) for at in range(0, len(events), each)]
    other = packet([b"\x23" * 12, bytes(12)], kind=0)
    return HEADER + b"".join(other + each for each in packets)


def write_nmnist(folder: Path, train: dict[str, list[Event]], test: dict[str, list[Event]]) -> str:
    """Files by their names below `Train` and `Test`: `5/00001.bin`."""
    for part, files in (("Train", train), ("Test", test)):
        for name, events in files.items():
            path = folder / part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bin_file(events))
    return f"events:{folder}"


def write_gestures(folder: Path, recordings: dict[str, tuple[bytes, list[Trial]]], test: str) -> str:
    """Recordings by their names; the one called `test` is to test on, the others to train."""
    for name, (content, trials) in recordings.items():
        (folder / f"{name}.aedat").write_bytes(content)
        rows = [f"{label},{begin},{end}\n" for label, begin, end in trials]
        (folder / f"{name}_labels.csv").write_text("class,startTime_usec,endTime_usec\n" + "".join(rows))
    (folder / "trials_to_train.txt").write_text("".join(f"{name}.aedat\n" for name in recordings if name != test))
    (folder / "trials_to_test.txt").write_text(f"{test}.aedat\n\n")
    return f"events:{folder}"


def archive_of(samples: list[list[Event]], labels: list[int]) -> dict[str, NDArray[Any]]:
    table = np.array([event for sample in samples for event in sample], np.int64)
    return {
        "x": table[:, 0].astype(np.uint8),
        "y": table[:, 1].astype(np.uint8),
        "p": table[:, 2].astype(np.uint8),
        "t_us": table[:, 3].astype(np.uint32),
        "offsets": np.cumsum([0, *map(len, samples)]),
        "labels": np.array(labels, np.uint8),
    }


def write_archive(folder: Path, arrays: dict[str, NDArray[Any]]) -> str:
    np.savez(folder / "events.npz", **arrays)  # type: ignore[arg-type]
    return f"events:{folder / 'events.npz'}"


# What is expected, event by event


def frames(
    events: list[Event],
    steps: int,
    size: int,
    sensor: int,
    split: str = "time",
    interval: tuple[int, int] | None = None,
) -> NDArray[np.float32]:
    """How many events fall to every `[step, polarity, row, column]`, by fractions."""
    found = np.zeros((steps, 2, size, size), np.float32)
    begin, end = interval or (events[0][3], events[-1][3] + 1)
    for number, (x, y, on, time) in enumerate(events):
        through = Fraction(number, len(events)) if split == "count" else Fraction(time - begin, end - begin)
        found[int(through * steps), on, int(Fraction(y * size, sensor)), int(Fraction(x * size, sensor))] += 1
    return found


def all_of(samples: Samples) -> NDArray[np.float32]:
    return samples.batch(np.arange(len(samples)))[0]


def fault(attempt: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        attempt()
    return str(caught.value)


def reading(spec: str) -> str:
    """What the user reads who asks for all samples of `spec`."""

    def attempt() -> None:
        found = load(spec)
        all_of(found.train)
        all_of(found.test)

    return fault(attempt)


def streams(sensor: int, largest_time: int) -> st.SearchStrategy[list[Event]]:
    """One to forty events in the order of time."""
    pixel = st.integers(0, sensor - 1)
    events = st.lists(st.tuples(pixel, pixel, st.integers(0, 1), st.integers(0, largest_time)), min_size=1, max_size=40)
    return events.map(lambda found: sorted(found, key=lambda event: event[3]))


DRAWING = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


# Formats


@given(
    events=streams(34, 2**23 - 1),
    steps=st.integers(1, 7),
    size=st.integers(1, 34),
    split=st.sampled_from(["time", "count"]),
)
@DRAWING
def test_an_nmnist_file_comes_back_as_the_frames_of_its_events(
    tmp_path: Path, events: list[Event], steps: int, size: int, split: str
) -> None:
    spec = write_nmnist(tmp_path, {"0/a.bin": events}, {"1/b.bin": ONE}) + f",steps={steps},size={size},split={split}"
    expected = frames(events, steps, size, 34, split)
    np.testing.assert_array_equal(all_of(load(f"{spec},counts=true").train)[0], expected)
    bits = all_of(load(spec).train)
    assert (bits.dtype, bits.shape) == (np.float32, (1, steps, 2, size, size))
    np.testing.assert_array_equal(bits[0], expected > 0)


def test_one_event_of_nmnist_is_the_five_bytes_that_its_publication_says(tmp_path: Path) -> None:
    spec = write_nmnist(tmp_path, {"0/a.bin": ONE}, {"0/b.bin": ONE})
    (tmp_path / "Train/0/a.bin").write_bytes(bytes([3, 33, 0b1000_0000, 0, 0, 3, 33, 0b0000_0001, 0, 0]))
    found = all_of(load(f"{spec},steps=2").train)
    assert np.argwhere(found).tolist() == [[0, 0, 1, 33, 3], [0, 1, 0, 33, 3]], "ON at 0, OFF at 65,536 microseconds"


def test_row_240_of_nmnist_says_that_time_has_passed(tmp_path: Path) -> None:
    spec = write_nmnist(tmp_path, {"0/a.bin": [(1, 1, 0, 5), (0, 240, 0, 6), (2, 2, 1, 5)]}, {"0/b.bin": ONE})
    found = all_of(load(f"{spec},steps=2").train)
    assert np.argwhere(found).tolist() == [[0, 0, 0, 1, 1], [0, 1, 1, 2, 2]], "8,192 microseconds later, not at once"
    (tmp_path / "Train/0/a.bin").write_bytes(bin_file([(0, 240, 0, 6)]))
    message = "an empty sample: there are no events in it, only overflows of time"
    assert reading(f"{spec},steps=2") == f"{tmp_path}/Train/0/a.bin: {message}"


@given(
    events=streams(128, 2**31 - 1),
    each=st.integers(1, 9),
    cut=st.tuples(st.integers(0, 39), st.integers(0, 39)),
    steps=st.integers(1, 5),
    split=st.sampled_from(["time", "count"]),
)
@DRAWING
def test_a_trial_comes_back_as_the_frames_of_the_events_in_its_time(
    tmp_path: Path, events: list[Event], each: int, cut: tuple[int, int], steps: int, split: str
) -> None:
    first, last = (events[position % len(events)][3] for position in sorted(cut))
    begin, end = min(first, last), max(first, last) + 1
    recordings = {"a": (aedat(events, each), [(1, begin, end)]), "b": (aedat(ONE), [(11, 0, 200)])}
    spec = write_gestures(tmp_path, recordings, test="b") + f",steps={steps},size=32,split={split},counts=true"
    inside = [event for event in events if begin <= event[3] < end]
    found = load(spec)
    np.testing.assert_array_equal(all_of(found.train)[0], frames(inside, steps, 32, 128, split, (begin, end)))
    assert (found.train.labels.tolist(), found.test.labels.tolist(), found.classes) == ([0], [10], 11)


def test_one_event_of_aedat_is_the_word_that_its_specification_says(tmp_path: Path) -> None:
    word = (0b000000001111111 << 17) | (0b000000000000101 << 2) | 0b11  # column 127, row 5, ON, valid
    content = HEADER + packet([struct.pack("<II", word, 7)])
    spec = write_gestures(tmp_path, {"a": (content, [(1, 0, 10)]), "b": (aedat(ONE), [(1, 0, 200)])}, test="b")
    assert np.argwhere(all_of(load(f"{spec},steps=10").train)).tolist() == [[0, 7, 1, 5, 127]]


def test_time_overflows_and_invalid_events_of_aedat_are_heeded(tmp_path: Path) -> None:
    content = HEADER + b"".join(
        [
            packet([polarity((1, 1, 1, 2**31 - 2)), polarity((9, 9, 1, 2**31 - 1), valid=0)]),
            packet([], kind=1),
            packet([polarity((2, 2, 0, 1))], overflow=1),
            packet([polarity((3, 3, 0, 2)), bytes(8)], overflow=1, number=1),
        ]
    )
    whole = 2**31 - 2, 2**31 + 3
    recordings = {"a": (content, [(1, *whole), (2, 2**31 + 2, 2**31 + 3)]), "b": (aedat(ONE), [(1, 0, 200)])}
    spec = write_gestures(tmp_path, recordings, test="b")
    found = all_of(load(f"{spec},steps=5").train)
    assert np.argwhere(found[0]).tolist() == [[0, 1, 1, 1], [3, 0, 2, 2], [4, 0, 3, 3]]
    assert np.argwhere(found[1]).tolist() == [[0, 0, 3, 3]]


def test_a_trial_ends_before_its_end(tmp_path: Path) -> None:
    content = aedat([(1, 1, 1, 5), (2, 2, 1, 9), (3, 3, 1, 10)])
    trials = [(1, 5, 10), (2, 6, 10), (3, 10, 11)]
    spec = write_gestures(tmp_path, {"a": (content, trials), "b": (aedat(ONE), [(1, 0, 200)])}, test="b")
    columns = [np.argwhere(image)[:, -1].tolist() for image in all_of(load(f"{spec},steps=1").train)]
    assert columns == [[1, 2], [2], [3]]


@given(
    samples=st.lists(streams(34, 400_000), min_size=4, max_size=6),
    steps=st.integers(1, 4),
    split=st.sampled_from(["time", "count"]),
)
@DRAWING
def test_an_archive_comes_back_as_the_frames_of_its_samples(
    tmp_path: Path, samples: list[list[Event]], steps: int, split: str
) -> None:
    arrays = archive_of(samples, list(range(len(samples))))
    ids = np.array([60_001, 1, 60_000, 60_002, 7, 8])[: len(samples)]
    found = load(write_archive(tmp_path, {**arrays, "ids": ids}) + f",steps={steps},split={split},counts=true")
    expected = np.stack([frames(events, steps, 34, 34, split) for events in samples])
    np.testing.assert_array_equal(all_of(found.test), expected[ids > 60_000])
    np.testing.assert_array_equal(all_of(found.train), expected[ids <= 60_000])
    assert found.test.labels.tolist() == [0, 3] and found.classes == len(samples)


@pytest.mark.parametrize("ids", [{}, {"ids": np.arange(1, 61)}, {"ids": np.arange(60_001, 60_061)}])
def test_an_archive_without_two_parts_gives_every_classs_sixth_to_test_on(
    tmp_path: Path, ids: dict[str, NDArray[Any]]
) -> None:
    samples: list[list[Event]] = [[(number % 34, number // 34, 0, 0)] for number in range(60)]
    spec = write_archive(tmp_path, {**archive_of(samples, [0] * 36 + [1] * 24), **ids}) + ",steps=1"
    found, again = load(spec), load(spec)
    assert np.bincount(found.test.labels).tolist() == [6, 4]
    np.testing.assert_array_equal(all_of(found.test), all_of(again.test))
    lit = np.concatenate([all_of(found.train), all_of(found.test)]).reshape(60, -1).argmax(axis=1)
    assert sorted(lit.tolist()) == list(range(60)), "every sample is in one part"


# Frames


def test_bins_of_time_meet_at_whole_microseconds_without_rounding(tmp_path: Path) -> None:
    times = [0, 3, 4, 6, 7, 9]  # ten microseconds in thirds: from 0, from 3 1/3, from 6 2/3
    spec = write_nmnist(tmp_path, {"0/a.bin": [(time, 0, 0, time) for time in times]}, {"0/b.bin": ONE})
    found = all_of(load(f"{spec},steps=3").train)[0]
    assert [np.flatnonzero(found[step, 0, 0]).tolist() for step in range(3)] == [[0, 3], [4, 6], [7, 9]]


def test_bins_of_count_hold_equally_many_however_time_goes(tmp_path: Path) -> None:
    events: list[Event] = [(number, 0, 1, time) for number, time in enumerate([0, 0, 0, 0, 1, 900])]
    spec = write_nmnist(tmp_path, {"0/a.bin": events}, {"0/b.bin": ONE}) + ",steps=3"
    found = all_of(load(f"{spec},split=count").train)[0]
    assert [np.flatnonzero(found[step, 1, 0]).tolist() for step in range(3)] == [[0, 1], [2, 3], [4, 5]]
    found = all_of(load(f"{spec},split=time").train)[0]
    assert [np.flatnonzero(found[step, 1, 0]).tolist() for step in range(3)] == [[0, 1, 2, 3, 4], [], [5]]


def test_fewer_events_than_steps_leave_steps_without_events(tmp_path: Path) -> None:
    spec = write_nmnist(tmp_path, {"0/a.bin": [(0, 0, 0, 5), (0, 0, 1, 5)]}, {"0/b.bin": ONE})
    assert all_of(load(f"{spec},steps=4,split=count").train).sum(axis=(2, 3, 4)).tolist() == [[1, 0, 1, 0]]
    assert all_of(load(f"{spec},steps=4,split=time").train).sum(axis=(2, 3, 4)).tolist() == [[2, 0, 0, 0]]


@pytest.mark.parametrize(("largest", "expected"), [(None, 7), (15, 7), (3, 3), (1, 1)])
def test_counts_end_at_what_the_port_holds(tmp_path: Path, largest: int | None, expected: int) -> None:
    spec = write_nmnist(tmp_path, {"0/a.bin": [(0, 0, 0, 5)] * 7}, {"0/b.bin": ONE})
    port = Port("events", (2, 34, 34), 1, True, largest)
    assert all_of(load(f"{spec},counts=true", port).train).max() == expected
    assert all_of(load(f"{spec},counts=false", port).train).max() == 1


# Order, and what is read when


def test_samples_are_sorted_by_name_so_that_the_first_few_are_of_all_classes(tmp_path: Path) -> None:
    train = {"1/00001.bin": ONE, "0/00002.bin": ONE, "1/00003.bin": ONE, "0/00004.bin": ONE, "0/00001.bin": ONE}
    spec = write_nmnist(tmp_path, train, {"3/1.bin": ONE})
    (tmp_path / "Train/0/notes.txt").write_text("no sample")
    (tmp_path / "Train/README").write_text("no class")
    found = load(f"{spec},steps=1")
    assert found.train.labels.tolist() == [0, 1, 0, 1, 0]
    assert (found.classes, found.name) == (4, spec)
    assert load(f"{spec},steps=1,classes=10").classes == 10
    limited = load(f"{spec},steps=1,train=2").train
    assert (len(limited), limited.labels.tolist(), len(all_of(limited))) == (2, [0, 1], 2)


def test_trials_are_sorted_by_recording_then_as_the_table_has_them(tmp_path: Path) -> None:
    recordings = {
        "c": (aedat(ONE), [(5, 0, 200), (4, 0, 150)]),
        "a": (aedat(ONE), [(2, 0, 200)]),
        "b": (aedat(ONE), [(1, 0, 200)]),
    }
    assert load(write_gestures(tmp_path, recordings, test="b") + ",steps=1").train.labels.tolist() == [1, 4, 3]


def test_a_batch_reads_its_own_samples_in_its_own_order(tmp_path: Path) -> None:
    events: list[list[Event]] = [[(number, 0, 0, 0)] for number in range(4)]
    spec = write_nmnist(tmp_path, {f"{k}/{k}.bin": events[k] for k in range(4)}, {"0/b.bin": ONE})
    found = load(f"{spec},steps=1").train
    (tmp_path / "Train/1/1.bin").unlink()
    images, labels = found.batch(np.array([3, 0, 3]))
    assert labels.tolist() == [3, 0, 3]
    assert images.reshape(3, -1).argmax(axis=1).tolist() == [3, 0, 3]
    assert fault(lambda: found.batch(np.array([0, 1]))) == f"{tmp_path}/Train/1/1.bin: No such file or directory"


def test_a_recording_that_becomes_shorter_is_told(tmp_path: Path) -> None:
    content = aedat([(1, 1, 1, time) for time in range(9)])
    spec = write_gestures(tmp_path, {"a": (content, [(1, 0, 9)]), "b": (aedat(ONE), [(1, 0, 200)])}, test="b")
    found = load(f"{spec},steps=1").train
    all_of(found)
    (tmp_path / "a.aedat").write_bytes(content[:-1])
    message = "the file has become shorter while it was in use"
    assert fault(lambda: all_of(found)) == f"{tmp_path}/a.aedat: {message}"


# The network's input


def test_steps_come_from_the_network(tmp_path: Path) -> None:
    spec = write_nmnist(tmp_path, {"0/a.bin": ONE}, {"1/b.bin": ONE})
    assert load(spec, Port("events", (2, 34, 34), 6, True, 1)).sample_shape == (6, 2, 34, 34)
    assert load(spec, Port("events", (2312,), 6, True, 1)).sample_shape == (6, 2, 34, 34)
    assert load(f"{spec},steps=1", Port("image", (2, 34, 34), 6, False, 1)).sample_shape == (1, 2, 34, 34)
    assert fault(lambda: load(spec)) == f"events need the number of frames: steps=N\n  try: {usage('events')}"


@pytest.mark.parametrize(
    ("options", "port", "message"),
    [
        (
            ",steps=5",
            Port("events", (2, 34, 34), 4, True, 1),
            "steps=5 makes 5 frames of a sample; the network has 4 time steps\n"
            "  try: steps=4, which is what holds without it\n"
            "  try: compile the network with --steps 5",
        ),
        (
            "",
            Port("image", (2, 34, 34), 4, False, 1),
            "the input image is the same in every step; 4 frames would need one that changes\n"
            "  try: image: spike[t, 2, 34, 34] in the network\n"
            "  try: steps=1",
        ),
        (
            "",
            Port("events", (2, 17, 17), 4, True, 1),
            "frames have the shape [2, 34, 34]; the network wants [2, 17, 17]\n  try: size=17",
        ),
        (
            ",size=17,steps=3",
            Port("events", (1, 28, 28), 4, True, 1),
            "steps=3 makes 3 frames of a sample; the network has 4 time steps\n"
            "  try: steps=4, which is what holds without it\n"
            "  try: compile the network with --steps 3\n"
            "frames have the shape [2, 17, 17]; the network wants [1, 28, 28]\n"
            "  try: give the network an input of [t, 2, 17, 17]",
        ),
        (
            ",size=35",
            Port("events", (2, 35, 35), 4, True, 1),
            "size=35 is more than the 34 pixels of the sensor in a row\n  try: size=34",
        ),
    ],
)
def test_frames_that_the_network_cannot_take_are_told_with_what_to_write(
    tmp_path: Path, options: str, port: Port, message: str
) -> None:
    spec = write_nmnist(tmp_path, {"0/a.bin": ONE}, {"1/b.bin": ONE})
    assert fault(lambda: load(spec + options, port)) == message


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (",split=both", "split=both: time or count is needed"),
        (",counts=yes", "counts=yes: false or true is needed"),
        (",split=time,split=count", "split is given twice in '{spec},split=time,split=count'"),
        (",splt=time", "no option is called 'splt'; did you mean split?"),
        (",steps=0", "steps=0: a whole number of at least 1 is needed"),
    ],
)
def test_a_wrong_option_is_told(tmp_path: Path, options: str, message: str) -> None:
    assert fault(lambda: load(f"events:{tmp_path}{options}")) == message.format(spec=f"events:{tmp_path}")


def test_usage_shows_words_with_the_default_first() -> None:
    assert usage("events") == (
        "events:PATH[,steps=N][,size=N][,sensor=N][,classes=N][,split=time|count][,counts=false|true][,train=N][,test=N]"
    )


# Damage


def test_damaged_files_of_nmnist_are_told_together_before_any_is_read(tmp_path: Path) -> None:
    spec = write_nmnist(tmp_path, {"0/a.bin": [], "1/b.bin": ONE, "x/c.bin": ONE}, {"11/d.bin": ONE}) + ",steps=1"
    (tmp_path / "Train/1/b.bin").write_bytes(bin_file(ONE * 3)[:-2])
    (tmp_path / "Train/1/gone.bin").symlink_to(tmp_path / "nowhere")
    assert fault(lambda: load(f"{spec},classes=10")) == (
        f"{tmp_path}/Test/11: names no class: the folder of a class is a number from 0 to 9\n"
        f"{tmp_path}/Train/0/a.bin: an empty sample: the file has no bytes\n"
        f"{tmp_path}/Train/1/b.bin: truncated: event 2 has 3 of its 5 bytes\n"
        f"{tmp_path}/Train/1/gone.bin: No such file or directory\n"
        f"{tmp_path}/Train/x: names no class: the folder of a class is a number from 0 to 9"
    )


def test_many_damaged_files_are_counted(tmp_path: Path) -> None:
    spec = write_nmnist(tmp_path, {f"0/{number:03}.bin": [] for number in range(50)}, {"0/a.bin": ONE})
    lines = fault(lambda: load(f"{spec},steps=1")).splitlines()
    assert len(lines) == 21
    assert lines[0] == f"{tmp_path}/Train: 30 more files are damaged like these"
    assert lines[20] == f"{tmp_path}/Train/0/019.bin: an empty sample: the file has no bytes"


def test_events_of_nmnist_that_cannot_be_are_told_with_file_and_event(tmp_path: Path) -> None:
    events: list[Event] = [(0, 0, 0, 9), (0, 240, 0, 9), (34, 2, 0, 9), (2, 200, 1, 9), (1, 1, 1, 8), (0, 0, 0, 7)]
    spec = write_nmnist(tmp_path, {"0/a.bin": events, "0/b.bin": [(0, 99, 0, 1)]}, {"1/c.bin": ONE}) + ",steps=1"
    assert reading(spec) == (
        f"{tmp_path}/Train/0/a.bin: 2 events lie outside of the sensor of 34 x 34 pixels, the first is event 2 at x=34,"
        " y=2\n"
        f"{tmp_path}/Train/0/a.bin: time runs backwards 2 times, first at event 4: 8200 microseconds after 8201\n"
        f"{tmp_path}/Train/0/b.bin: 1 event lies outside of the sensor of 34 x 34 pixels, the first is event 0 at x=0,"
        " y=99"
    )
    assert all_of(load(f"{spec},sensor=201,size=3").test).shape == (1, 1, 2, 3, 3)


def test_folders_that_are_no_event_data_are_told(tmp_path: Path) -> None:
    spec = f"events:{tmp_path},steps=1"
    assert fault(lambda: load(spec)) == (
        f"{tmp_path}: no events are known in it: neither folders Train and Test,"
        " nor a file trials_to_train.txt or trials_to_test.txt"
    )
    (tmp_path / "Train").mkdir()
    assert fault(lambda: load(spec)) == (
        f"{tmp_path}/Test: No such file or directory\n"
        f"{tmp_path}/Train: there are no samples: no files called CLASS/NAME.bin"
    )
    assert fault(lambda: load("events:nowhere.npz,steps=1")) == "nowhere.npz: No such file or directory"


def whole(events: list[Event] | None = None) -> bytes:
    return aedat(events or [(1, 1, 1, 5), (2, 2, 0, 6), (3, 3, 1, 7), (4, 4, 0, 8)], each=2)


FIRST_PACKET = len(HEADER) + 28 + 24  # behind the packet of another type


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it begins with b'', not with '#!AER-DAT3.1': no AEDAT 3.1"),
        (b"#!AER-DAT2.0\r\n", "it begins with b'#!AER-DAT2.0', not with '#!AER-DAT3.1': no AEDAT 3.1"),
        (HEADER[:-3], "its header has no end: no line '#!END-HEADER' is in it"),
        (HEADER.replace(b"RAW", b"PNG"), "its format is PNG; only RAW is read"),
    ],
)
def test_the_beginnings_of_recordings_are_looked_at_before_any_is_read(
    tmp_path: Path, content: bytes, message: str
) -> None:
    spec = write_gestures(tmp_path, {"a": (content, [(1, 0, 9)]), "b": (content, [(1, 0, 9)])}, test="b")
    assert fault(lambda: load(f"{spec},steps=1")) == f"{tmp_path}/a.aedat: {message}\n{tmp_path}/b.aedat: {message}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            whole()[: FIRST_PACKET + 27],
            f"truncated: packet 1 at byte {FIRST_PACKET} has 27 of the 28 bytes of its header",
        ),
        (
            whole()[: FIRST_PACKET + 28 + 15],
            f"truncated: packet 1 at byte {FIRST_PACKET} has 15 of the 16 bytes of its events",
        ),
        (
            HEADER + packet([polarity(ONE[0])], number=2),
            f"damaged: packet 0 at byte {len(HEADER)} says 2 events of 8 bytes, room for 1, overflow 0",
        ),
        (
            HEADER + packet([polarity(ONE[0])], size=-8),
            f"damaged: packet 0 at byte {len(HEADER)} says 1 events of -8 bytes, room for 1, overflow 0",
        ),
        (
            HEADER + packet([polarity(ONE[0])], overflow=-1),
            f"damaged: packet 0 at byte {len(HEADER)} says 1 events of 8 bytes, room for 1, overflow -1",
        ),
        (
            HEADER + packet([polarity(ONE[0])], offset=0),
            f"damaged: packet 0 at byte {len(HEADER)} has polarity events of 8 bytes with their time at 0;"
            " 8 and 4 are needed",
        ),
        (
            HEADER + packet([polarity(ONE[0])]) + packet([polarity((1, 1, 1, 99))]),
            "time runs backwards at event 1: 99 microseconds after 100",
        ),
    ],
)
def test_a_damaged_recording_is_told(tmp_path: Path, content: bytes, message: str) -> None:
    trials = [(1, 0, 500), (2, 500, 600)]
    spec = write_gestures(tmp_path, {"a": (content, trials), "b": (whole(), [(1, 0, 9)])}, test="b")
    assert reading(f"{spec},steps=1") == f"{tmp_path}/a.aedat: {message}", "once, though two trials need it"


def test_what_is_wrong_with_trials_is_told_with_trial_and_event(tmp_path: Path) -> None:
    events: list[Event] = [(0, 0, 0, 1), (130, 5, 1, 2), (0, 0, 0, 20), (0, 0, 0, 19), (0, 0, 0, 30), (5, 128, 0, 40)]
    trials = [(3, 0, 10), (4, 15, 25), (5, 50, 60), (6, 30, 31), (7, 21, 29)]
    spec = write_gestures(tmp_path, {"a": (aedat(events, each=2), trials), "b": (whole(), [(1, 0, 9)])}, test="b")
    found = load(f"{spec},steps=1").train
    assert fault(lambda: all_of(found)).splitlines() == [
        f"{tmp_path}/a.aedat: trial 0 (class 3, 0 to 10 microseconds): 1 event lies outside of the sensor of 128 x 128"
        " pixels, the first is event 1 at x=130, y=5",
        f"{tmp_path}/a.aedat: trial 1 (class 4, 15 to 25 microseconds): time runs backwards once, first at event 3:"
        " 19 microseconds after 20",
        f"{tmp_path}/a.aedat: trial 2 (class 5, 50 to 60 microseconds): an empty sample, there are no events in that"
        " time",
        f"{tmp_path}/a.aedat: trial 4 (class 7, 21 to 29 microseconds): an empty sample, there are no events in that"
        " time",
    ]
    assert found.batch(np.array([3]))[0].sum() == 1, "trial 3 is whole"


def test_time_that_runs_backwards_is_seen_beyond_the_cut_of_a_trial(tmp_path: Path) -> None:
    content = aedat([(0, 0, 0, 5), (0, 0, 0, 30), (0, 0, 0, 6)])
    spec = write_gestures(tmp_path, {"a": (content, [(1, 0, 10)]), "b": (whole(), [(1, 0, 9)])}, test="b")
    assert reading(f"{spec},steps=1") == (
        f"{tmp_path}/a.aedat: trial 0 (class 1, 0 to 10 microseconds): time runs backwards once, first at event 2:"
        " 6 microseconds after 30"
    )


def test_tables_and_lists_of_gestures_are_told_line_by_line(tmp_path: Path) -> None:
    spec = write_gestures(tmp_path, {"a": (whole(), [(12, 0, 9), (0, 0, 9), (1, 9, 9)]), "b": (whole(), [])}, test="b")
    with (tmp_path / "a_labels.csv").open("a") as table:
        table.write("1,2\n\n1,two,3\n1,0,9\n")
    with (tmp_path / "trials_to_train.txt").open("a") as names:
        names.write("a.aedat\nnone.txt\nc.aedat\n")
    (tmp_path / "a.aedat").rename(tmp_path / "c.aedat")
    assert fault(lambda: load(f"{spec},steps=1")).splitlines() == [
        f"{tmp_path}/a.aedat: No such file or directory",
        f"{tmp_path}/a_labels.csv:2: class 12; the classes are 1 to 11",
        "  try: classes=12",
        f"{tmp_path}/a_labels.csv:3: class 0; the classes are 1 to 11",
        f"{tmp_path}/a_labels.csv:4: a trial from 9 to 9 microseconds has no duration",
        f"{tmp_path}/a_labels.csv:5: '1,2': class, begin and end in microseconds are needed, three whole numbers",
        f"{tmp_path}/a_labels.csv:7: '1,two,3': class, begin and end in microseconds are needed, three whole numbers",
        f"{tmp_path}/b_labels.csv: no trials are in it",
        f"{tmp_path}/c_labels.csv: No such file or directory",
        f"{tmp_path}/trials_to_train.txt:2: a.aedat is listed twice",
        f"{tmp_path}/trials_to_train.txt:3: 'none.txt' is no recording; a name that ends in .aedat is needed",
    ]
    (tmp_path / "trials_to_test.txt").unlink()
    (tmp_path / "trials_to_train.txt").write_bytes(b"\xff\xfe\n")
    assert fault(lambda: load(f"{spec},steps=1")).splitlines() == [
        f"{tmp_path}/trials_to_test.txt: No such file or directory",
        f"{tmp_path}/trials_to_train.txt: this is no text",
    ]
    (tmp_path / "trials_to_train.txt").write_text("\n")
    assert fault(lambda: load(f"{spec},steps=1")).splitlines()[1] == (
        f"{tmp_path}/trials_to_train.txt: no recordings are listed"
    )


SAMPLES: list[list[Event]] = [[(1, 1, 0, 5), (2, 2, 1, 6)], [(3, 3, 0, 1)], [(4, 4, 1, 0), (5, 5, 0, 2)]]


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        (
            {"x": np.array([1, 34, 3, 4, 255]), "p": np.array([0, 1, 2, 0, 0]), "t_us": np.array([5, 4, 1, 0, 2])},
            [
                "1 event has a polarity that is neither 0 nor 1, the first is event 0 of sample 1: 2",
                "2 events lie outside of the sensor of 34 x 34 pixels, the first is event 1 of sample 0 at x=34, y=2",
                "time runs backwards once, first at event 1 of sample 0: 4 microseconds after 5",
            ],
        ),
        (
            {"y": np.array([1, 1, -1, 1, 1])},
            ["1 event lies outside of the sensor of 34 x 34 pixels, the first is event 0 of sample 1 at x=3, y=-1"],
        ),
        ({"offsets": np.array([0, 2, 2, 5])}, ["1 sample has no events, the first is sample 1: offsets 2 to 2"]),
        ({"offsets": np.array([0, 4, 1, 5])}, ["1 sample has no events, the first is sample 1: offsets 4 to 1"]),
        ({"offsets": np.array([0, 2, 3, 4])}, ["offsets run from 0 to 4; with 5 events, from 0 to 5 is needed"]),
        ({"offsets": np.array([0, 5])}, ["there are 3 labels, so 4 offsets are needed; there are 2"]),
        (
            {"y": np.zeros(4, int), "t_us": np.zeros(6, int), "ids": np.arange(2)},
            ["x has 5 events, y has 4", "x has 5 events, t_us has 6", "there are 3 labels and 2 ids"],
        ),
        (
            {"x": np.zeros(5), "labels": np.array([-1, 0, 1])},
            [
                "labels hold 1 number outside of 0 to 65534, the first -1 at [0]",
                "x is float64 of the shape [5]; a row of whole numbers is needed",
            ],
        ),
        ({"labels": np.zeros((3, 2), int)}, ["labels have the shape [3, 2]; one whole number a sample is needed"]),
    ],
)
def test_a_damaged_archive_of_events_is_told(
    tmp_path: Path, changes: dict[str, NDArray[Any]], messages: list[str]
) -> None:
    spec = write_archive(tmp_path, {**archive_of(SAMPLES, [0, 1, 2]), **changes})
    expected = [f"{tmp_path}/events.npz: {message}" for message in messages]
    assert fault(lambda: load(f"{spec},steps=1")).splitlines() == expected


def test_an_archive_of_something_else_is_told(tmp_path: Path) -> None:
    arrays = archive_of(SAMPLES, [0, 1, 2])
    del arrays["p"]
    spec = write_archive(tmp_path, arrays)
    path = tmp_path / "events.npz"
    assert fault(lambda: load(f"{spec},steps=1")) == (
        f"{path}: it holds labels, offsets, t_us, x, y; of an archive of events, p is missing\n"
        f"  try: npz:{path}, if it holds images"
    )
    write_archive(tmp_path, archive_of(SAMPLES[:1], [0]))
    assert fault(lambda: load(f"{spec},steps=1")) == (
        f"{path}: there is one sample; two or more are needed, to train on and to test on"
    )


@given(position=st.integers(0, 10_000), bit=st.integers(0, 7), length=st.integers(0, 10_000))
@DRAWING
def test_a_flipped_bit_or_a_lost_end_never_gets_past_as_another_error(
    tmp_path: Path, position: int, bit: int, length: int
) -> None:
    content = bytearray(whole())
    content[position % len(content)] ^= 1 << bit
    del content[len(content) - length % 40 :]
    spec = write_gestures(
        tmp_path, {"a": (bytes(content), [(1, 0, 9), (2, 0, 2**40)]), "b": (whole(), [(1, 0, 9)])}, test="b"
    )
    try:
        found = load(f"{spec},steps=2")
        images = all_of(found.train)
    except DataError as error:
        assert str(tmp_path / "a.aedat") in str(error)
    else:
        assert images.shape == (2, 2, 2, 128, 128) and 1 <= images[0].sum() <= 4


# The real ones


@pytest.fixture(scope="module")
def nmnist(shared: Path) -> str:
    path = shared / "data/nmnist_small/nmnist_small.npz"
    if not path.is_file():
        pytest.skip("needs shared/data/nmnist_small/nmnist_small.npz")
    return f"events:{path}"


def test_the_small_nmnist_is_read(nmnist: str) -> None:
    found: Dataset = load(f"{nmnist},steps=4,counts=true")
    assert (len(found.train), len(found.test), found.classes, found.sample_shape) == (1000, 100, 10, (4, 2, 34, 34))
    assert found.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4], "the order of MNIST"
    total = sum(int(found.train.batch(np.arange(first, first + 50))[0].sum()) for first in range(0, 1000, 50))
    assert total + int(all_of(found.test).sum()) == 4_518_827, "every event is in one frame"


NETWORK = """
network saccades(events: spike[t, 2, 34, 34]) steps 4 {
    c1 = conv2d(events, out=4, kernel=5, stride=2)
    s1 = lif(c1, decay=0.5, threshold=0.25, surrogate=triangle)
    y = linear(flatten(s1), out=10)
    return y
}
train { loss = cross_entropy; optimizer = adam(lr=5e-3); batch = 32 }
"""


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def losses_of(output: str) -> tuple[float, float]:
    (line,) = (line for line in output.splitlines() if line.startswith("loss  "))
    first, _, last, *_ = line.removeprefix("loss").split()
    return float(first), float(last)


def test_a_network_learns_from_real_events(nmnist: str, tmp_path: Path) -> None:
    model = tmp_path / "saccades.snn"
    model.write_text(NETWORK)
    output = run("train", str(model), "--data", f"{nmnist},train=256,test=32", "--max-steps", "24", "--epochs", "3")
    assert "256 samples of 4x2x34x34 to train on, 32 to test on" in output
    first, last = losses_of(output)
    assert 2.0 < first < 2.7 and last < 0.7 * first


@pytest.mark.parametrize(("form", "options"), [("u4", ",counts=true,size=17,split=count"), ("f16", ",size=17")])
def test_other_ports_are_fed_and_equal_the_oracle(tmp_path: Path, form: str, options: str) -> None:
    """The data is made, so that this also runs where there is no real data."""
    pixels = DRAWN.integers(0, 34, (12, 60, 2)).tolist()
    samples: list[list[Event]] = [
        [(x, y, number % 2, number * 50) for number, (x, y) in enumerate(sample)] for sample in pixels
    ]
    spec = write_archive(tmp_path, archive_of(samples, [0, 1] * 6))
    model = tmp_path / "other.snn"
    model.write_text(NETWORK.replace("spike[t, 2, 34, 34]", f"{form}[t, 2, 17, 17]").replace("steps 4", "steps 3"))
    output = run("train", str(model), "--data", spec + options, "--max-steps", "2", "--batch", "4", "--compare-oracle")
    assert "every tensor in DRAM of 4 calls is equal, bit for bit" in output
