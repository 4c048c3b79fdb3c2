"""`snnc compare --mappings`: one network under several mappings, predicted and, with data, counted."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from snnc.cli import main
from snnc.isa.target import TARGETS

MODEL = """
network small(image: f16[1, 6, 6]) steps 3 {
    c = conv2d(image, out=16, kernel=3, pad=1)
    s = lif(c, decay=0.5, threshold=0.25)
    return linear(flatten(s), out=10)
}
train { loss = cross_entropy; optimizer = sgd(lr=0.1); batch = 8; epochs = 3 }
"""
DATA = "digits,train=16,test=16"


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mappings") / "small.snn"
    path.write_text(MODEL.replace("6, 6", "8, 8"))
    return path


@pytest.fixture(scope="module")
def told(model: Path) -> Result:
    result = invoke(model, "--mappings", "--data", DATA, "--target", "quad", "--json", model.parent / "mappings.json")
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def rows(told: Result, model: Path) -> dict[str, dict[str, Any]]:
    report = json.loads((model.parent / "mappings.json").read_text())
    assert (report["network"], report["target"], report["batch"], report["time_steps"]) == ("small", "quad", 8, 3)
    return {each["mapping"]: each for each in report["mappings"]}


def test_bytes_that_are_predicted_are_counted(rows: dict[str, dict[str, Any]]) -> None:
    for each in rows.values():
        assert each["counted"]["dram"]["total"] == each["predicted"]["dram"]["total"] > each["bound"]["floor"] > 0


def test_cycles_that_are_predicted_are_about_those_of_the_replay(rows: dict[str, dict[str, Any]]) -> None:
    for each in rows.values():
        assert each["predicted"]["cycles"] == pytest.approx(each["modelled"]["cycles"], rel=0.2), each["mapping"]


def test_each_decision_is_worth_something(rows: dict[str, dict[str, Any]]) -> None:
    assert list(rows) == ["untiled", "tiled", "fused", "1 core", "published", "patches", "chosen"]
    dram = {name: each["counted"]["dram"]["total"] for name, each in rows.items()}
    cycles = {name: each["modelled"]["cycles"] for name, each in rows.items()}
    assert dram["untiled"] > dram["tiled"] > dram["fused"] >= dram["chosen"]
    assert min(cycles["untiled"], cycles["tiled"], cycles["1 core"]) > cycles["chosen"]
    assert [each["cores"] for each in rows.values()] == [4, 4, 4, 1, 4, 4, 4]
    assert len({each["bound"]["layer"] for name, each in rows.items() if name != "1 core"}) == 1


def test_every_column_has_its_basis(told: Result) -> None:
    """Nothing is shown that does not say whether it was predicted, counted or modelled, or is a bound."""
    shown = told.stdout[told.stdout.index("small: one training step of 8 samples, 3 time steps, quad") :]
    for word, count in (("predicted", 6), ("counted", 1), ("modelled", 1), ("bound", 2), ("floor", 1)):
        head = shown[: shown.index("untiled")]
        assert head.count(word) == count, word
    assert "untiled    operator by operator, one sample at a time (*.*=tile.n=1)\n" in shown


def test_with_densities_dense_and_sparse_stand_side_by_side(model: Path) -> None:
    result = invoke(model, "--mappings", "--density", "0.02", "--target", "tiny", "--json", "-")
    assert result.exit_code == 0, result.output
    rows = {each["mapping"]: each for each in json.loads(result.stdout)["mappings"]}
    assert list(rows) == ["untiled", "tiled", "fused", "dense", "sparse"]
    assert rows["sparse"]["predicted"]["dram"]["total"] < rows["dense"]["predicted"]["dram"]["total"]
    assert all(each["counted"] is None and each["modelled"] is None for each in rows.values())


def test_where_nothing_fits_every_mapping_says_why(model: Path) -> None:
    text = re.sub(r'(name = "scratch"\nbytes = { value = )\d+', r"\g<1>96", TARGETS["tiny"].read_text())
    (path := model.parent / "less.toml").write_text(text)
    result = invoke(model, "--mappings", "--target", path, "--json", "-")
    assert result.exit_code == 1
    rows = {each["mapping"]: each for each in json.loads(result.stdout)["mappings"]}
    for name, each in rows.items():
        assert each["predicted"] is None
        assert "a core of `tiny` has 96 B for it in `scratch`" in each["faults"][0]["message"]
        assert f"{name} refused: {each['faults'][0]['message']}" in result.stderr
    assert result.stderr.endswith("small can be mapped in none of these ways\n")


def test_a_pin_that_means_nothing_is_told_as_elsewhere(model: Path) -> None:
    result = invoke(model, "--mappings", "--target", "quad", "--pin", "d.fp=tile.n=2")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "--pin d.fp=tile.n=2: no stage matches" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mappings", "--rules", "bptt"], "--rules and --mappings are 2 comparisons"),
        ([], "Missing option '--rules' (or '--mappings', or '--gpu')."),
        (["--rules", "bptt"], "Missing option '--data'."),
    ],
)
def test_wrong_usage_is_status_2(options: list[str], message: str, model: Path) -> None:
    result = invoke(model, *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"Error: {message}" in result.stderr


def test_a_picture_has_the_same_bytes_each_time(model: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib, which draws")
    files = [model.parent / f"{name}.svg" for name in ("one", "two")]
    for file in files:
        result = invoke(model, "--mappings", "--target", "tiny", "--plot", file)
        assert result.exit_code == 0 and f"{file}: the same as a picture" in result.stdout
    one, two = (file.read_bytes() for file in files)
    assert one.startswith(b"<?xml") and one == two
