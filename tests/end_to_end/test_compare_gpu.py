"""`snnc compare --gpu`: bytes of a training step beside a model of the same step on a GPU."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner, Result
from referencing import Registry, Resource

from snnc.cli import main

DOCS = Path(__file__).parents[2] / "docs"
MODEL = """
network small(image: f16[1, 8, 8]) steps 3 {
    s = lif(conv2d(image, out=16, kernel=3, pad=1), decay=0.5, threshold=0.25)
    return linear(flatten(s), out=10)
}
train { loss = cross_entropy; optimizer = sgd(lr=0.1); batch = 8 }
"""


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gpu") / "small.snn"
    path.write_text(MODEL)
    return path


@pytest.fixture(scope="module")
def told(model: Path) -> Result:
    result = invoke(model, "--gpu", "--data", "digits,train=16,test=16", "--json", model.parent / "gpu.json")
    assert result.exit_code == 0, result.output
    return result


def test_the_json_follows_the_schema(told: Result, model: Path) -> None:
    value = json.loads((model.parent / "gpu.json").read_text())
    schemas = {name: json.loads((DOCS / name).read_text()) for name in ("compare.schema.json", "run.schema.json")}
    registry: Registry[Any] = Registry()
    registry = registry.with_resource("run.schema.json", Resource.from_contents(schemas["run.schema.json"]))
    schema: dict[str, Any] = {"$id": "compare.schema.json", **schemas["compare.schema.json"]}
    validator: Any = jsonschema.Draft202012Validator(schema, registry=registry)
    validator.validate(value)
    assert value["counted"] == value["predicted"] != {"dram": {"total": 0}}
    assert value["gpu"]["cache_bytes"] == 40 * 2**20
    names = [each["program"] for each in value["gpu"]["programs"]]
    assert names == ["eager f32", "fused f32", "fused mixed", "ideal"]


def test_every_row_says_where_its_figures_come_from(told: Result, model: Path) -> None:
    table = told.stdout[told.stdout.index("small: DRAM bytes of one training step of 8 samples, 3 time steps") :]
    rows = [line for line in table.splitlines() if line.startswith("│")]
    assert [row.split("│")[2].strip() for row in rows] == ["", "basis", "counted", "model", "model", "model", "model"][
        2:
    ]
    assert "figures of a GPU are a model, and never measured" in table
    predicted = invoke(model, "--gpu", "--target", "tiny").stdout
    assert "snnc, 1 core of tiny │ predicted │" in predicted


def test_the_cache_is_as_large_as_asked(model: Path) -> None:
    result = invoke(model, "--gpu", "--target", "tiny", "--gpu-cache", "6", "--json", "-")
    value = json.loads(result.stdout)
    assert value["gpu"]["cache_bytes"] == 6 * 2**20 and value["counted"] is None
    assert "an L2 of 6 MiB that forgets" in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gpu", "--mappings"], "--mappings and --gpu are 2 comparisons"),
        (["--mappings", "--gpu-cache", "6"], "--gpu-cache says how large the cache of --gpu is"),
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
        assert f"{file}: the same as a picture" in invoke(model, "--gpu", "--plot", file).stdout
    one, two = (file.read_bytes() for file in files)
    assert one.startswith(b"<?xml") and one == two
