"""What every operator moves at least: worked by hand, and never above what the best mapping moves alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from snnc.cli import main
from snnc.compiler.pipeline import Compilation, Options

DENSE = """network dense(image: f16[1, 8, 8]) steps 4 {
    hidden = linear(flatten(image), out=48, bias=false)
    spikes = lif(hidden)
    y = linear(spikes, out=10, bias=false)
    return y
}
train { batch = 16; optimizer = sgd(lr=0.1) }
"""
NETWORKS = Path(__file__).parents[2] / "benchmarks" / "traffic"

PAGE = (Path(__file__).parents[2] / "docs" / "traffic.md").read_text("utf-8")


@pytest.fixture
def dense(tmp_path: Path) -> str:
    path = tmp_path / "dense.snn"
    path.write_text(DENSE)
    return str(path)


def test_operators_move_each_operand_once_in_either_direction(dense: str) -> None:
    bound = Compilation(dense, Options("edge512")).program.bound["train_step"]["by_stage"]
    steps, batch, inputs, hidden = 4, 16, 64, 48
    weights = inputs * hidden
    assert bound["FP hidden"] == 2 * (batch * inputs + weights + batch * hidden)
    assert bound["WG d.hidden.w"] == 2 * batch * (inputs + hidden) + 4 * weights
    # An update reads the gradient and the master, and writes the master and the working copy.
    assert bound["UP hidden.w"] == (4 + 4 + 4 + 2) * weights
    spikes = steps * batch * hidden
    assert bound["FP y"] == spikes // 8 + 2 * 10 * hidden + 2 * steps * batch * 10


@pytest.mark.parametrize(("target", "name"), [("tiny", "csnn"), ("edge512", "resnet18")])
def test_no_operator_moves_less_than_its_bound(target: str, name: str) -> None:
    compilation = Compilation(NETWORKS / f"{name}.snn", Options(target, fusion="off"))
    bound = compilation.program.bound["train_step"]["by_stage"]
    moved = compilation.program.predicted["train_step"]["by_stage"]
    assert set(bound) == set(moved)
    above = 0
    for operator, least in bound.items():
        assert 0 < least <= moved[operator]["total"], operator
        above += least < moved[operator]["total"]
    assert above > 5


@pytest.mark.parametrize(("name", "most"), [("csnn", 1.05), ("vgg11", 1.22), ("resnet18", 1.40)])
def test_a_training_step_of_known_networks_moves_little_more_than_its_operators_must(name: str, most: float) -> None:
    """One core with 512 KiB that sums in f32, 4 steps, 16 samples, double buffers; epilogues move less still."""
    program, fused = (
        Compilation(NETWORKS / f"{name}.snn", Options("edge512", fusion=fusion)).program for fusion in ("off", "auto")
    )
    assert (program.steps, program.batch) == (4, 16)
    moved, bound = program.predicted["train_step"]["dram"]["total"], program.bound["train_step"]["dram"]
    assert bound["floor"] < bound["layer"] <= moved <= most * bound["layer"]
    told = [f"{amount / 1e6:.1f} MB" for amount in (bound["floor"], bound["layer"], moved)]
    less = fused.predicted["train_step"]["dram"]["total"]
    assert fused.bound["train_step"]["dram"] == bound and bound["floor"] < less < bound["layer"]
    ratios = f"{moved / bound['layer']:.3f} | {less / 1e6:.1f} MB | {less / bound['layer']:.3f}"
    assert f"| {name} | {' | '.join(told)} | {ratios} |" in PAGE


@pytest.mark.parametrize(
    "name", ["csnn", pytest.param("vgg11", marks=pytest.mark.full), pytest.param("resnet18", marks=pytest.mark.full)]
)
def test_twenty_cores_with_epilogues_move_less_than_operators_that_stand_alone(name: str) -> None:
    """Although their accumulators are wide, and every core has a part of each operator: what all need is cast."""
    program = Compilation(NETWORKS / f"{name}.snn", Options("li2024_exact")).program
    assert (program.cores, program.steps, program.batch) == (20, 4, 16)
    moved, bound = program.predicted["train_step"]["dram"]["total"], program.bound["train_step"]["dram"]["layer"]
    assert moved <= bound
    assert f"| {name} | {bound / 1e6:.1f} MB | {moved / 1e6:.1f} MB | {moved / bound:.3f} |" in PAGE


def test_inspection_tells_what_a_step_moves_beside_what_it_must(dense: str, tmp_path: Path) -> None:
    program = str(tmp_path / "dense.snnb")
    assert CliRunner().invoke(main, ["compile", dense, "--target", "edge512", "-o", program]).exit_code == 0
    result = CliRunner().invoke(main, ["inspect", program, "--json", "-"])
    told = json.loads(result.stdout)
    predicted, bound = told["predicted"], told["bound"]
    assert set(predicted["dram"]) == {"read", "write", "total"}
    assert set(bound["dram"]) == {"floor", "layer"}
    for key in ("by_phase", "by_operator"):
        assert sum(part["total"] for part in predicted[key].values()) == predicted["dram"]["total"]
        assert sum(part["read"] for part in predicted[key].values()) == predicted["dram"]["read"]
        assert sum(bound[key].values()) == bound["dram"]["layer"]
    assert set(predicted["by_phase"]) == set(bound["by_phase"]) == {"FP", "BP", "WG", "UP"}
