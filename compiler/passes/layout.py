"""The DRAM map: a symbol for every value that a stage or the host touches, in canonical layouts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ...isa.grid import Grid
from ...isa.program import Symbol
from ...isa.target import Target
from ...source import NOWHERE, TargetError
from ..ir.graph import Training
from ..ir.schedule import Coding
from ..ir.types import Type
from .waves import PARTIAL

ALIGNMENT = 64
"""Bytes on which every symbol begins: a whole number of granules of common DRAM."""


@dataclass(frozen=True)
class DramValue:
    """A value at home in DRAM: its type, role (see `Symbol`) and the layer that it belongs to."""

    name: str
    type: Type
    role: str
    layer: str
    room: int | None = None
    """For how many steps of time there is room; None for all."""

    coding: Coding | None = None
    """The codec and its blocks, where it is not one that stores each element at its place."""

    apart: bool = False
    """Whether each step begins where a symbol might: whichever it is, it moves as many bursts."""


def place_symbols(training: Training, values: Iterable[DramValue], target: Target) -> tuple[tuple[Symbol, ...], int]:
    """Symbols in the order given, one behind the other, and the bytes of the whole image.

    TargetError where the image is larger than the machine's DRAM: demand, bound, and what would help.
    """
    address = 0
    symbols: list[Symbol] = []
    for value in values:
        symbol = symbol_of(value, training.steps, training.batch, address, target.dram.granule_bytes)
        symbols.append(symbol)
        address += -(-symbol.bytes // ALIGNMENT) * ALIGNMENT
    if address > target.dram.bytes:
        mib = 1 << 20
        largest = sorted(symbols, key=lambda symbol: -symbol.bytes)[:3]
        named = ", ".join(f"{symbol.name} {symbol.bytes / mib:.1f} MiB" for symbol in largest)
        raise TargetError.at(
            NOWHERE,
            f"{training.name} needs {address / mib:.1f} MiB of DRAM; `{target.name}` has "
            f"{target.dram.bytes / mib:.1f} MiB (short by {(address - target.dram.bytes) / mib:.1f} MiB); "
            f"largest: {named}",
            hints=("a smaller --batch", "fewer --steps", "a target with more DRAM", *_without_partial_sums(symbols)),
        )
    return tuple(symbols), address


def _without_partial_sums(symbols: Sequence[Symbol]) -> Iterator[str]:
    """What would need no room for sums that waves leave to one another, if there are any."""
    left = sum(symbol.bytes for symbol in symbols if PARTIAL in symbol.name)
    if left:
        yield f"--partition patches, which leaves no sums from wave to wave ({left / (1 << 20):.1f} MiB)"


def symbol_of(value: DramValue, steps: int, batch: int, address: int, granule: int) -> Symbol:
    """The symbol of *value* at *address*; slots of blocks are whole bursts."""
    type = value.type
    kind = type if value.room is None else type.with_(steps=0)
    lead = list(kind.lead(steps if value.room is None else value.room, batch))
    gone = type.lead(steps, batch)[0] - lead[0] if type.timed else 0
    symbol = Symbol(
        value.name,
        type.format,
        type.shape,
        type.factors,
        type.order,
        lead.pop(0) if type.timed else 0,
        lead.pop(0) if type.batched else 0,
        value.role,
        value.layer,
        address,
        type.scale,
        "bits" if type.format == "spike" else "raw",
        gone=gone,
    )
    if value.coding is None and value.apart:
        return replace(symbol, pitch=-(-symbol.bytes // symbol.steps // ALIGNMENT) * ALIGNMENT)
    if value.coding is None:
        return symbol
    codec, blocks = value.coding.codec, value.coding.blocks
    slot = Grid.of(codec, symbol.kind, symbol.extents, blocks, granule).slot
    return replace(symbol, codec=codec, blocks=blocks, slot=slot)


def seen_as(symbol: Symbol, type: Type) -> Symbol:
    """The memory of *symbol* with the axes of *type*: what an alias is to the machine, counted under the same name."""
    steps, samples = symbol.steps if type.timed else 0, symbol.samples if type.batched else 0
    return replace(symbol, shape=type.shape, factors=type.factors, order=type.order, steps=steps, samples=samples)


def roles(training: Training, aliases: Mapping[str, str]) -> dict[str, str]:
    """Role of every value that a procedure makes: tape where a later region needs a timed one, result for the host."""
    found: dict[str, str] = {}
    parameters = {variable.name for variable in training.variables if variable.role == "parameter"}
    for procedure in training.procedures:
        made: dict[str, int] = {}
        for place, region in procedure.sweeps:
            for node in region.nodes:
                for operand in node.operands:
                    name = aliases.get(operand, operand)
                    if name in made and made[name] != place and found.get(name) == "value":
                        found[name] = "tape"
                for result in node.results:
                    name = aliases.get(result, result)
                    if result and name not in made:
                        made[name] = place
                        parameter = name.removeprefix("d.").removesuffix(".window")
                        kind = "gradient" if name != parameter and parameter in parameters else "value"
                        found.setdefault(name, kind)
        for result in procedure.results:
            found[aliases.get(result, result)] = "result"
    for variable in training.variables:
        found[variable.name] = variable.role
    return found
