"""The page of NIR says what works: its blocks are executed; its tables name what there is."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from snnc.cli import main
from snnc.compiler.exports._nir_network import LAYERS
from snnc.compiler.frontends.frontend import Unsaid
from snnc.compiler.frontends.nir import KINDS
from snnc.compiler.ops.op import called

PAGE = (Path(__file__).parents[2] / "docs" / "nir.md").read_text("utf-8")

UNSAYABLE = """network net(x: f16[t, 4]) steps 2 {
    s = lif(linear(x, out=4), reset=soft, compare=gt)
    return linear(s, out=2)
}"""


def export(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["export", *arguments])


def test_the_blocks_of_the_page_work(shell: Callable[[list[str], Path], str], tmp_path: Path) -> None:
    blocks = re.findall(r"```(sh|python)\n(.*?)```", PAGE, re.DOTALL)
    assert [language for language, _ in blocks] == ["python", "sh"]
    printed = [
        shell(["sh", "-euc", block] if language == "sh" else [sys.executable, "-c", block], tmp_path)
        for language, block in blocks
    ][-1]
    assert "node lif1: has no v_reset (0 is taken)" in printed
    assert "DRAM, predicted" in printed
    said = ["--steps", "8", "--dt", "2e-4", "--surrogate", "atan(alpha=3)", "--detach-reset"]
    more = ["--data", "npz:data.npz", "--batch", "16", "--max-steps", "1", "--compare-oracle"]
    assert "equal, bit for bit" in shell(["snnc", "train", "net.nir", *said, *more], tmp_path)
    assert "network trained(input: f16[t, n, 20]) steps 8 {" in printed


@pytest.mark.parametrize(
    "unsaid",
    [
        Unsaid(),
        Unsaid(0.5, "atan", "soft", False),
        Unsaid(result="spikes"),
        Unsaid(spiking={"relu": ("lif", ("decay", 0.5), ("surrogate", ("atan", ("alpha", 3.0)))), "tanh": "if"}),
    ],
)
def test_what_is_said_beside_a_file_comes_back_from_a_program(unsaid: Unsaid) -> None:
    name, given = called(unsaid.call)
    assert (name, Unsaid.of(given)) == ("unsaid", unsaid)


def test_the_page_names_every_primitive_and_every_operator_that_is_written() -> None:
    tables, _, written = PAGE.partition("## What cannot be said")
    for kind in filter(None, KINDS):
        assert f"`{kind}`" in tables, kind
    for op in (*LAYERS, "add", "lif", "if", "plif", "cuba", "li", "integrator"):
        assert f"`{op}`" in written, op


def test_what_cannot_be_said_is_one_message_and_status_1(tmp_path: Path) -> None:
    model, weights, out = tmp_path / "net.snn", tmp_path / "w.npz", tmp_path / "net.nir"
    model.write_text(UNSAYABLE)
    shapes = {"s.linear.w": (4, 4), "s.linear.b": (4,), "linear.w": (2, 4), "linear.b": (2,)}
    arrays: dict[str, Any] = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    np.savez(weights, **arrays)
    refused = export(str(model), "--to", "nir", "--weights", str(weights), "-o", str(out))
    assert (refused.exit_code, refused.stdout, out.exists()) == (1, "", False)
    assert "net.snn:2:9: NIR cannot say reset=soft of lif" in refused.stderr
    assert "try: --lossy reset; readers then take reset=hard" in refused.stderr
    done = export(
        str(model), "--to", "nir", "--weights", str(weights), "-o", str(out), "--lossy", "reset", "--dt", "1e-3"
    )
    assert done.exit_code == 0 and out.exists()
    assert "reset of s is not in the file, which means reset=hard" in done.stderr


def test_parameters_and_formats_must_be_there(tmp_path: Path) -> None:
    model = tmp_path / "net.snn"
    model.write_text(UNSAYABLE)
    bare = export(str(model), "--to", "nir", "-o", str(tmp_path / "net.nir"))
    assert bare.exit_code == 2
    assert "the model holds no parameters of its own; give --weights" in bare.stderr
    unknown = export(str(model), "--to", "nirr", "-o", str(tmp_path / "net.nir"))
    assert unknown.exit_code == 1
    assert "no export is called 'nirr'; did you mean nir?" in unknown.stderr
