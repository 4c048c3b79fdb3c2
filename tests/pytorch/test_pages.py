"""The pages of PyTorch and of each framework say what works: their blocks are executed, one after the other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from networks import CASES, framework

from snnc.pytorch.bring import from_torch
from snnc.pytorch.give_back import to_torch
from snnc.runtime import checkpoint

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {"pytorch": "torch", "snntorch": "snntorch", "spikingjelly": "spikingjelly", "norse": "norse"}


def blocks_of(page: str) -> list[tuple[str, str]]:
    return re.findall(r"```(sh|python)\n(.*?)```", (DOCS / f"{page}.md").read_text("utf-8"), re.DOTALL)


def executed(language: str, block: str, folder: Path) -> str:
    """What a block prints; `snnc` is the command of this checkout."""
    command = folder / "snnc"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m snnc "$@"\n')
    command.chmod(0o755)
    words = ["sh", "-euc", block] if language == "sh" else [sys.executable, "-c", block]
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=folder, env=environment)
    assert done.returncode == 0, f"{block}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_the_page_work(page: str, tmp_path: Path) -> None:
    framework("torch")
    framework(PAGES[page])
    blocks = blocks_of(page)
    assert [language for language, _ in blocks] == (
        ["python", "sh", "python"] if page == "pytorch" else ["python", "sh"]
    )
    printed = [executed(language, block, tmp_path) for language, block in blocks]
    assert "DRAM, predicted" in printed[1]
    if page == "pytorch":
        assert printed[2] == "went back: 826 elements\n"
        return
    assert "as " + {"snntorch": "snnTorch", "spikingjelly": "SpikingJelly", "norse": "Norse"}[page] in printed[0]
    assert "gives the same" in printed[0] and "warning" not in printed[0]
    entries = {symbol.name for symbol in checkpoint.load(tmp_path / "trained.ckpt").symbols}
    assert any(name.endswith(("weight", "weights")) for name in entries)


def test_a_checkpoint_and_its_parameters_say_the_same(tmp_path: Path) -> None:
    """Whether it was loaded before, and whichever file it is."""
    torch = framework("torch")
    case = CASES["spikingjelly_soft"]
    found = from_torch(case.built(), case.input(), case.steps)
    found.save(tmp_path / "net.snn")
    made = [to_torch(what, case.make()) for what in (str(tmp_path / "net.npz"), tmp_path / "net.npz", found.parameters)]
    for module in made[1:]:
        for entry, value in module.state_dict().items():
            assert torch.equal(value, made[0].state_dict()[entry])


@pytest.mark.parametrize("page", PAGES)
def test_every_page_has_its_blocks(page: str) -> None:
    """Also where no framework is installed."""
    text = (DOCS / f"{page}.md").read_text("utf-8")
    assert "snnc.from_torch(" in text and "snnc.to_torch(" in text and "snnc train net.snn --weights net.npz" in text
    for _, block in blocks_of(page):
        assert block.strip()
