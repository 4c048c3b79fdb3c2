"""The manual says what the classes say, and the pages in `docs/` are up to date."""

from __future__ import annotations

from pathlib import Path

import pytest

from snnc.isa import manual
from snnc.isa.instruction import Instruction
from snnc.isa.target import TARGETS


@pytest.mark.parametrize("page", manual.pages(), ids=lambda page: page.name)
def test_the_page_is_up_to_date(page: Path) -> None:
    assert page.read_text("utf-8") == manual.pages()[page], "run `python -m snnc.isa.manual`"


def test_every_instruction_is_told_with_its_operands() -> None:
    text = manual.instructions_page()
    for mnemonic, kind in Instruction.by_mnemonic.items():
        section = text.split(f"\n### {mnemonic}\n")[1].split("\n##")[0]
        assert f"Opcode `{kind.opcode:#04x}`" in section
        for name, place in kind.layout.items():
            assert f"| {place.low}..{place.high} | `{name}` |" in section


def test_every_machine_is_told() -> None:
    text = manual.targets_page()
    for name in TARGETS:
        assert f"\n### {name}\n" in text
