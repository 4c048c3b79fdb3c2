"""AEDAT 3.1: lines of text, then packets of events of one type each; of those, the polarity events.

A packet is a header of 28 bytes and as many events as it has capacity for. The header has type and source in 16 bits
each, then in 32 bits each: bytes an event, offset of the time in it, overflow of time, capacity, number of events, and
number of valid ones. A polarity event is a word and a time, 32 bits each: bit 0 says that it is valid, bit 1 is the
polarity (1: ON), bits 2 to 16 are the row, bits 17 to 31 the column, from the upper left. The overflow continues the 31
bits of the time upwards. All is little-endian and signed (iniVation, "AEDAT 3.1").
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...source import DataError, Faults, Place
from ._events import Events, check_order, check_pixels

VERSION = b"#!AER-DAT3.1"
HEADER_END = b"#!END-HEADER\r\n"
HEADER_LIMIT_BYTES = 1 << 16
PACKET = struct.Struct("<hhiiiiii")
POLARITY_TYPE = 1
POLARITY_BYTES = 8
TIME_OFFSET = 4
TIME_BITS = 31
VALID = 1
POLARITY, ROW, COLUMN = (1, 1), (2, 0x7FFF), (17, 0x7FFF)
"""How far a field is shifted in the word of an event, and what is then left of it."""

NO_EVENTS = "an empty sample, there are no events in that time"


@dataclass(frozen=True, eq=False)
class Packets:
    """Where the polarity packets of a file lie: an element each, in the order of the file.

    offset: of the first event, in bytes.
    count: of events.
    number: of the first event among the polarity events of the file.
    overflow: what the times in it continue, in units of 2^31 microseconds.
    begin, last: time of the first and the last event.
    """

    offset: NDArray[np.int64]
    count: NDArray[np.int64]
    number: NDArray[np.int64]
    overflow: NDArray[np.int64]
    begin: NDArray[np.int64]
    last: NDArray[np.int64]


@dataclass(frozen=True)
class AedatFile:
    """A recording of a sensor of `sensor` x `sensor` pixels; its packets are looked up once, when first needed."""

    path: Path
    sensor: int

    @property
    def place(self) -> Place:
        return Place(str(self.path))

    @cached_property
    def packets(self) -> Packets:
        """Raises DataError: no AEDAT 3.1, a truncated or damaged packet, packets that are not in the order of time."""
        try:
            with self.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return _packets(content, self.place)
        except (OSError, ValueError) as error:  # ValueError: an empty file cannot be mapped
            raise DataError.at(self.place, getattr(error, "strerror", None) or "the file is empty") from error

    def between(self, begin: int, end: int, what: str) -> Events:
        """The valid polarity events with a time in [begin, end); raises DataError, which calls the cut `what`."""
        packets = self.packets
        wanted = np.flatnonzero((packets.last >= begin) & (packets.begin < end))
        if not wanted.size:
            raise DataError.at(self.place, f"{what}: {NO_EVENTS}")
        chosen = slice(int(wanted[0]), int(wanted[-1]) + 1)
        words, time = self._events(chosen)
        first = int(packets.number[wanted[0]])
        inside = np.flatnonzero((words & VALID == VALID) & (time >= begin) & (time < end))
        x, y, polarity = (words[inside] >> shift & mask for shift, mask in (COLUMN, ROW, POLARITY))
        with Faults(DataError) as faults:

            def told(message: str) -> None:
                faults.add(self.place, f"{what}: {message}")

            if not inside.size:
                told(NO_EVENTS)
            check_pixels(x, y, self.sensor, lambda index: f"event {first + inside[index]}", told)
            # Of the packets' whole content: an event out of order may lie before or after the cut.
            check_order(time, lambda index: f"event {first + index}", told)
        return Events(x, y, polarity, time[inside], begin, end)

    def _events(self, chosen: slice) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Words and times of all events in a run of packets."""
        packets = self.packets
        offset, count = packets.offset[chosen].tolist(), packets.count[chosen].tolist()
        start, end = offset[0], offset[-1] + count[-1] * POLARITY_BYTES
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                content = file.read(end - start)
        except OSError as error:
            raise DataError.at(self.place, error.strerror or str(error)) from error
        if len(content) < end - start:
            raise DataError.at(self.place, "the file has become shorter while it was in use")
        pairs = np.concatenate(
            [
                np.frombuffer(content, "<u4", 2 * events, at - start).reshape(-1, 2)
                for at, events in zip(offset, count, strict=True)
            ]
        ).astype(np.int64)
        return pairs[:, 0], pairs[:, 1] | np.repeat(packets.overflow[chosen], count) << TIME_BITS


def check_header(path: Path) -> None:
    """A DataError unless the file at `path` begins as one of AEDAT 3.1 does; nothing more of it is read."""
    place = Place(str(path))
    try:
        with path.open("rb") as file:
            _content_start(file.read(HEADER_LIMIT_BYTES), place)
    except OSError as error:
        raise DataError.at(place, error.strerror or str(error)) from error


def _content_start(head: bytes, place: Place) -> int:
    """Where the packets begin in a file that starts with `head`."""
    if not head.startswith(VERSION):
        line = head[:16].split(b"\r")[0].split(b"\n")[0]
        raise DataError.at(place, f"it begins with {line!r}, not with {VERSION.decode()!r}: no AEDAT 3.1")
    end = head.find(HEADER_END)
    if end < 0:
        raise DataError.at(place, f"its header has no end: no line {HEADER_END.decode().strip()!r} is in it")
    for line in head[:end].split(b"\r\n"):
        name, _, form = line.partition(b":")
        if name == b"#Format" and form.strip() != b"RAW":
            raise DataError.at(place, f"its format is {form.strip().decode('ascii', 'replace')}; only RAW is read")
    return end + len(HEADER_END)


def _packets(content: mmap.mmap, place: Place) -> Packets:
    position = _content_start(content[:HEADER_LIMIT_BYTES], place)
    rows: list[tuple[int, int, int, int, int, int]] = []
    number = packet = 0
    while position < len(content):
        where = f"packet {packet} at byte {position}"
        if position + PACKET.size > len(content):
            there = len(content) - position
            raise DataError.at(place, f"truncated: {where} has {there} of the {PACKET.size} bytes of its header")
        kind, _, size, time_offset, overflow, capacity, count, _ = PACKET.unpack_from(content, position)
        if size < 1 or capacity < 0 or not 0 <= count <= capacity or overflow < 0:
            raise DataError.at(
                place,
                f"damaged: {where} says {count} events of {size} bytes, room for {capacity}, overflow {overflow}",
            )
        position += PACKET.size
        if position + size * capacity > len(content):
            there = len(content) - position
            raise DataError.at(place, f"truncated: {where} has {there} of the {size * capacity} bytes of its events")
        if kind == POLARITY_TYPE and count:
            if (size, time_offset) != (POLARITY_BYTES, TIME_OFFSET):
                raise DataError.at(
                    place,
                    f"damaged: {where} has polarity events of {size} bytes with their time at {time_offset};"
                    f" {POLARITY_BYTES} and {TIME_OFFSET} are needed",
                )
            first, last = (
                overflow << TIME_BITS | int.from_bytes(content[at + TIME_OFFSET : at + POLARITY_BYTES], "little")
                for at in (position, position + (count - 1) * size)
            )
            rows.append((position, count, number, overflow, first, last))
            number += count
        position += size * capacity
        packet += 1
    table = np.array(rows, np.int64).reshape(-1, 6)
    found = Packets(*(np.ascontiguousarray(column) for column in table.T))
    backwards = np.flatnonzero(found.begin[1:] < found.last[:-1])
    if backwards.size:
        before = int(backwards[0])
        raise DataError.at(
            place,
            f"time runs backwards at event {found.number[before + 1]}:"
            f" {found.begin[before + 1]} microseconds after {found.last[before]}",
        )
    return found
