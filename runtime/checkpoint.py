"""Checkpoints: all that lasts from step to step, so that a run goes on bit for bit where it stopped.

The file is a head of 56 bytes, a JSON description, and the bytes of the persistent symbols one behind the other
(integers little-endian):

    magic    8 bytes    89 53 4e 4e 43 0d 0a 1a
    version  u32        of the format
    header   u32        bytes of the description
    length   u64        of the whole file
    digest   32 bytes   SHA-256 of everything else
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..isa.binary import fingerprint
from ..isa.files import read_whole, write_whole
from ..isa.program import Program, Symbol
from ..source import DataError, Place
from . import tensors
from .network import Bytes

MAGIC = b"\x89SNNC\r\n\x1a"
CHECKPOINT_VERSION = 1
PERSISTENT = ("parameter", "master", "optimizer", "statistic", "feedback", "state")
"""Roles of the symbols that last from entry to entry."""

_HEAD = struct.Struct("<8sIIQ")
_DIGEST = slice(_HEAD.size, _HEAD.size + 32)


@dataclass(frozen=True)
class Progress:
    """Where a run stands: *step* steps are done, and the next batch is number *batch* of *epoch* (all from 0).

    *losses* has the mean loss of every step; *correct* of *seen* samples of the latest epoch that began were right.
    *skipped* of the steps changed nothing, since their gradients were not finite; *scale* is the loss scale of the next
    step (None: the one of the settings), and *good* steps in a row did well with it.  *classes* are those of the
    outputs of a network that has learned without labels, from *labelled* samples.
    """

    step: int = 0
    epoch: int = 0
    batch: int = 0
    correct: int = 0
    seen: int = 0
    losses: tuple[float, ...] = ()
    skipped: int = 0
    scale: float | None = None
    good: int = 0
    classes: tuple[int, ...] = ()
    labelled: int = 0

    @property
    def updates(self) -> int:
        """Steps that changed parameters: the counter of schedules, of Adam's bias corrections, and of all random
        numbers but those of shuffling, whose counter is *epoch*."""
        return self.step - self.skipped


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds.  *program* is the SHA-256 of the `.snnb`; *contents* the bytes of each symbol."""

    program: str
    graph_hash: str
    settings: Mapping[str, Any]
    progress: Progress
    symbols: tuple[Symbol, ...]
    contents: Mapping[str, bytes] = field(repr=False)

    def tensor(self, name: str) -> Any:
        """What the elements of symbol *name* mean, in its logical shape."""
        symbol = next(symbol for symbol in self.symbols if symbol.name == name)
        image = np.frombuffer(self.contents[name], np.uint8)
        return tensors.values(replace(symbol, address=0), image)


def persistent(program: Program) -> tuple[Symbol, ...]:
    """The symbols that a checkpoint holds, in the order of their addresses."""
    found = (symbol for symbol in program.symbols if symbol.role in PERSISTENT)
    return tuple(sorted(found, key=lambda symbol: symbol.address))


def capture(program: Program, dram: Bytes, progress: Progress, settings: Mapping[str, Any]) -> Checkpoint:
    """The state of a run, copied."""
    symbols = persistent(program)
    contents = {symbol.name: tensors.bytes_of(symbol, dram).tobytes() for symbol in symbols}
    return Checkpoint(fingerprint(program), program.graph_hash, dict(settings), progress, symbols, contents)


def restore(checkpoint: Checkpoint, program: Program, dram: Bytes, file: str = "<checkpoint>") -> Progress:
    """Put the state back; DataError unless it was this very program's."""
    if checkpoint.program != fingerprint(program):
        same = checkpoint.graph_hash == program.graph_hash
        message = "a checkpoint of the same network, compiled otherwise" if same else "a checkpoint of another program"
        raise DataError.at(Place(file), message, hints=weights_alone(checkpoint, program, file))
    for symbol in persistent(program):
        tensors.bytes_of(symbol, dram)[...] = np.frombuffer(checkpoint.contents[symbol.name], np.uint8)
    return checkpoint.progress


def weights_alone(checkpoint: Checkpoint, program: Program, file: str) -> list[str]:
    """The hint that the parameters alone can be taken over; none where they do not fit, since all of them have to."""
    kinds = ("parameter", "statistic")
    held = {symbol.name: (symbol.steps, symbol.shape) for symbol in checkpoint.symbols if symbol.role in kinds}
    wanted = {symbol.name: (symbol.steps, symbol.shape) for symbol in program.symbols if symbol.role in kinds}
    return [f"--weights {file}, which begins anew with its parameters"] if held == wanted else []


def to_bytes(checkpoint: Checkpoint) -> bytes:
    """The file's bytes; equal checkpoints have equal bytes."""
    description = {
        "program": checkpoint.program,
        "graph_hash": checkpoint.graph_hash,
        "settings": dict(checkpoint.settings),
        "progress": asdict(checkpoint.progress),
        "symbols": [asdict(symbol) for symbol in checkpoint.symbols],
    }
    header = json.dumps(description, sort_keys=True, separators=(",", ":")).encode()
    body = header + b"".join(checkpoint.contents[symbol.name] for symbol in checkpoint.symbols)
    head = _HEAD.pack(MAGIC, CHECKPOINT_VERSION, len(header), _DIGEST.stop + len(body))
    return head + hashlib.sha256(head + body).digest() + body


def from_bytes(data: bytes, file: str = "<checkpoint>") -> Checkpoint:
    """The checkpoint in *data*; DataError, naming *file*, unless every bit is as it was written."""
    place = Place(file)
    if not data or data[: len(MAGIC)] != MAGIC[: len(data)]:
        raise DataError.at(place, "not a snnc checkpoint")
    if len(data) < _DIGEST.stop:
        raise DataError.at(place, f"truncated: {len(data)} bytes, less than a head")
    _, version, header, length = _HEAD.unpack_from(data)
    if version != CHECKPOINT_VERSION:
        raise DataError.at(place, f"checkpoint version {version}; this snnc reads {CHECKPOINT_VERSION}")
    if len(data) != length:
        wrong = f"truncated: {len(data)} of {length} bytes" if len(data) < length else f"longer than its {length} bytes"
        raise DataError.at(place, wrong)
    if hashlib.sha256(data[: _HEAD.size] + data[_DIGEST.stop :]).digest() != data[_DIGEST]:
        raise DataError.at(place, "damaged: its checksum does not match its content")
    try:
        return _parsed(data[_DIGEST.stop :], header)
    except (ValueError, LookupError, TypeError) as error:
        raise DataError.at(place, f"its checksum is right but its content is no checkpoint: {error}") from None


def save(checkpoint: Checkpoint, path: str | Path) -> None:
    """Write the file, whole or not at all; DataError where that fails."""
    write_whole(Path(path), to_bytes(checkpoint))


def load(path: str | Path) -> Checkpoint:
    """The checkpoint in a file; DataError tells what is wrong with it."""
    return from_bytes(read_whole(Path(path)), str(path))


def _parsed(body: bytes, header: int) -> Checkpoint:
    """The checkpoint in what follows the head."""
    description: dict[str, Any] = json.loads(body[:header])
    symbols = tuple(_symbol(written) for written in description["symbols"])
    contents: dict[str, bytes] = {}
    at = header
    for symbol in symbols:
        contents[symbol.name] = body[at : at + symbol.bytes]
        at += symbol.bytes
    if at != len(body):
        raise ValueError(f"{at} bytes described, {len(body)} there")
    written: dict[str, Any] = description["progress"]
    written |= {name: tuple(written.get(name, ())) for name in ("losses", "classes")}
    progress = Progress(**written)
    return Checkpoint(
        description["program"], description["graph_hash"], description["settings"], progress, symbols, contents
    )


def _symbol(written: Mapping[str, Any]) -> Symbol:
    values: dict[str, Any] = dict(written)
    for key in ("shape", "factors", "order"):
        values[key] = tuple(values[key])
    return Symbol(**values)
