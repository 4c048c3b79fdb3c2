"""The page of ONNX says what works: the blocks about written files are executed."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner

from snnc.cli import main

PAGE = (Path(__file__).parents[2] / "docs" / "onnx.md").read_text("utf-8")


def test_what_is_written_is_checked_compiled_and_executed(
    shell: Callable[[list[str], Path], str], tmp_path: Path
) -> None:
    written = PAGE[PAGE.index("## Writing ONNX files") :]
    blocks = re.findall(r"```(sh|python)\n(.*?)```", written, re.DOTALL)
    assert [language for language, _ in blocks] == ["sh", "python"]
    (_, commands), (_, script) = blocks
    told = shell(["sh", "-euc", commands], tmp_path)
    assert "the file itself gives the same" in told
    assert shell([sys.executable, "-c", script], tmp_path) == "(4, 5, 10)\n"
    (promised,) = re.findall(r"print\(logits.shape\)  # .*: (.*)\n", script)
    assert promised == "(4, 5, 10)"


def test_a_model_without_numbers_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    target = tmp_path / "digits.onnx"
    told = CliRunner().invoke(main, ["export", "digits", "--to", "onnx", "-o", str(target)])
    assert told.exit_code == 2 and "the model holds no parameters of its own; give --weights" in told.output
    assert not target.exists()
