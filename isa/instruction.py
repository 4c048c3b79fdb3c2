"""What every instruction is: a frozen record of bit fields that can print, parse, pack and run itself.

An instruction says each of its facts once, in its class: the opcode, the mnemonic, the units that may run it,
where each operand lies in the 128-bit word, and what it does.  Encoding, decoding, assembly, disassembly and the
manual page are all read off that declaration, so they cannot disagree.
"""

from __future__ import annotations

import struct
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, dataclass_transform

from ..catalog import unknown

if TYPE_CHECKING:
    from .state import Stream
    from .straight import Line

WORD_BITS = 128
WORD_BYTES = WORD_BITS // 8
OPCODE_BITS = 8
FIRST_TOUCHING = 0x20
"""Opcodes below it steer: they are of instructions that touch neither memories nor the network."""

Action: TypeAlias = Callable[[], None]

Coding = Literal["unsigned", "signed", "float"]

UNITS: tuple[str, ...] = ("load", "store", "fp", "bp", "wg", "vector", "router")
"""The units of a core, in the order of their numbers; each has an instruction stream of its own."""

ENGINES: tuple[str, ...] = ("fp", "bp", "wg")
"""The units that hold a multiply or gate array and accumulators."""

COMPUTING: tuple[str, ...] = (*ENGINES, "vector")
"""Units of which a core has one for all of its contexts; each context has moves of its own under way."""


@dataclass(frozen=True)
class Bits:
    """Where an operand lies in the word (both ends inclusive), how it is coded, and the letter of its register file.

    *prefix* is empty for numbers, which print as ``name=value``; a register prints as ``v3``.
    """

    low: int
    high: int
    prefix: str = ""
    coding: Coding = "unsigned"

    @property
    def width(self) -> int:
        """Bits that the operand occupies."""
        return self.high - self.low + 1

    @property
    def minimum(self) -> int:
        """Smallest value that the operand can hold."""
        return -(1 << (self.width - 1)) if self.coding == "signed" else 0

    @property
    def maximum(self) -> int:
        """Largest value that the operand can hold."""
        return (1 << (self.width - 1)) - 1 if self.coding == "signed" else (1 << self.width) - 1

    def pack(self, value: int | float) -> int:
        """The operand's bits, shifted into place."""
        raw = struct.unpack("<I", struct.pack("<f", value))[0] if self.coding == "float" else int(value)
        return (raw & ((1 << self.width) - 1)) << self.low

    def unpack(self, word: int) -> int | float:
        """The operand's value in *word*."""
        raw = word >> self.low & ((1 << self.width) - 1)
        if self.coding == "float":
            return struct.unpack("<f", struct.pack("<I", raw))[0]
        if self.coding == "signed" and raw >> (self.width - 1):
            return raw - (1 << self.width)
        return raw

    def text(self, name: str, value: int | float) -> str:
        """The operand as assembly writes it."""
        return f"{self.prefix}{value}" if self.prefix else f"{name}={value!r}"

    def value(self, name: str, text: str) -> int | float:
        """The operand read back from assembly; ValueError when it is not of this kind or carries another name."""
        if self.prefix:
            if not text.startswith(self.prefix) or not text[len(self.prefix) :].isdecimal():
                raise ValueError(f"{name} is a register {self.prefix}N, not {text!r}")
            return int(text[len(self.prefix) :])
        written, equals, number = text.partition("=")
        if not equals or written.strip() != name:
            raise ValueError(f"expected {name}=NUMBER, found {text!r}")
        try:
            return float(number) if self.coding == "float" else int(number, 0)
        except ValueError:
            raise ValueError(f"{name}={number.strip()} is not a number") from None


def bits(low: int, high: int, prefix: str = "", coding: Coding = "unsigned", default: Any = ...) -> Any:
    """Declare an operand in bits *low* to *high*, both inclusive.  A *default* only serves those who write code."""
    metadata = {"bits": Bits(low, high, prefix, coding)}
    return field(metadata=metadata) if default is ... else field(metadata=metadata, default=default)


@dataclass_transform(frozen_default=True, field_specifiers=(bits,))
class Instruction:
    """One word of a stream.  Subclasses give ``opcode``, ``mnemonic``, ``units`` and their operands."""

    opcode: ClassVar[int]
    mnemonic: ClassVar[str]
    units: ClassVar[tuple[str, ...]]
    opens: ClassVar[bool] = False
    """Whether it opens a loop, which an ``end`` closes."""

    layout: ClassVar[dict[str, Bits]]
    limits: ClassVar[tuple[tuple[str, int, int], ...]]
    """Least and largest value of each operand that is a whole number; of programs with many words all are checked."""
    floats: ClassVar[tuple[str, ...]]
    by_opcode: ClassVar[dict[int, type[Instruction]]] = {}
    by_mnemonic: ClassVar[dict[str, type[Instruction]]] = {}

    def __init_subclass__(cls, *, opcode: int, mnemonic: str, units: tuple[str, ...] = UNITS) -> None:
        dataclass(frozen=True)(cls)
        cls.opcode, cls.mnemonic, cls.units = opcode, mnemonic, units
        cls.layout = {f.name: f.metadata["bits"] for f in fields(cls)}  # type: ignore[arg-type]
        whole = [(name, place) for name, place in cls.layout.items() if place.coding != "float"]
        cls.limits = tuple((name, place.minimum, place.maximum) for name, place in whole)
        cls.floats = tuple(name for name, place in cls.layout.items() if place.coding == "float")
        taken = [b for place in cls.layout.values() for b in range(place.low, place.high + 1)]
        assert len(taken) == len(set(taken)), f"{cls.__name__}: two operands share a bit"
        assert all(OPCODE_BITS <= b < WORD_BITS for b in taken), f"{cls.__name__}: an operand leaves the word"
        assert opcode not in Instruction.by_opcode, f"opcode {opcode:#04x} is taken"
        assert mnemonic not in Instruction.by_mnemonic, f"mnemonic {mnemonic} is taken"
        Instruction.by_opcode[opcode] = Instruction.by_mnemonic[mnemonic] = cls

    def __post_init__(self) -> None:
        for name, least, most in self.limits:
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"{self.mnemonic}: {name}={value} is outside {least}..{most}")
        for name in self.floats:
            object.__setattr__(self, name, struct.unpack("<f", struct.pack("<f", getattr(self, name)))[0])

    @abstractmethod
    def bind(self, stream: Stream) -> Action:
        """What the instruction does each time that *stream* comes to it: decoded once, called at every turn.

        An action changes the core as the hardware would, and tells the chip's observer what moved and what was
        computed.  The stream's program counter has already been advanced; control instructions may set it.
        """

    @property
    def steers(self) -> bool:
        """Whether it only leads its stream on, or defines a register, and touches neither memories nor the network."""
        return self.opcode < FIRST_TOUCHING

    @property
    def goes_on(self) -> bool:
        """Whether what stands behind it comes next, but for waits and turns of loops: see `straight`."""
        return True

    def written(self, line: Line, number: int) -> None:
        """Write into *line* what it does as instruction *number*: a call of its action, or the same without one."""
        line.call(number)

    def encode(self) -> bytes:
        """The instruction as its 16 bytes, little-endian."""
        word = self.opcode | sum(place.pack(getattr(self, name)) for name, place in self.layout.items())
        return word.to_bytes(WORD_BYTES, "little")

    @staticmethod
    def decode(data: bytes) -> Instruction:
        """The instruction in 16 bytes; ValueError for an opcode that is unknown or bits that no operand owns."""
        word = int.from_bytes(data, "little")
        kind = Instruction.by_opcode.get(word & ((1 << OPCODE_BITS) - 1))
        if kind is None:
            raise ValueError(f"no instruction has opcode {word & 0xFF:#04x}")
        made = kind(**{name: place.unpack(word) for name, place in kind.layout.items()})
        if made.encode() != data:
            raise ValueError(f"{kind.mnemonic}: bits are set that belong to no operand")
        return made

    def __str__(self) -> str:
        operands = ", ".join(place.text(name, getattr(self, name)) for name, place in self.layout.items())
        return f"{self.mnemonic:7} {operands}".rstrip()

    @staticmethod
    def parse(line: str) -> Instruction:
        """The instruction that *line* of assembly writes; ValueError or UnknownName tells what is wrong with it."""
        mnemonic, _, rest = line.strip().partition(" ")
        kind = Instruction.by_mnemonic.get(mnemonic)
        if kind is None:
            raise unknown("instruction", mnemonic, Instruction.by_mnemonic)
        texts = [part.strip() for part in rest.split(",")] if rest.strip() else []
        if len(texts) != len(kind.layout):
            wanted = ", ".join(kind.layout) or "none"
            raise ValueError(f"{mnemonic} takes {len(kind.layout)} operands ({wanted}), found {len(texts)}")
        operands = zip(kind.layout.items(), texts, strict=True)
        return kind(**{name: place.value(name, text) for (name, place), text in operands})
