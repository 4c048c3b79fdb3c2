"""`snnc run --count-only`: a program is counted without data, and what zeros decide is labelled as predicted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from snnc.cli import main


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("count") / "digits.snnb")
    assert invoke("compile", "digits", "--target", "tiny", "-o", path).exit_code == 0
    return path


def test_every_entry_is_counted_as_it_is_with_data(program: str, tmp_path: Path) -> None:
    without, with_data, trace = (str(tmp_path / name) for name in ("without.json", "with.json", "trace.json"))
    counted = invoke("run", program, "--count-only", "--trace", trace, "--json", without)
    assert counted.exit_code == 0, counted.output
    assert counted.output.count("bytes counted, as the compiler predicted") == 3
    ran = invoke("run", program, "--data", "digits,train=64,test=32", "--max-steps", "1", "--json", with_data)
    assert ran.exit_code == 0, ran.output
    found, run = (json.loads(Path(path).read_text()) for path in (without, with_data))
    assert list(found["entries"]) == ["init", "train_step", "infer"]
    step, data = found["entries"]["train_step"], run["counted"]["step"]
    for amount in ("dram", "network", "scratchpad", "fetch"):
        assert step["counted"][amount] == data[amount], amount
    assert step["counted"]["dram"] == step["compiler"]["dram"] and step["cycles"] > 0
    done, of = step["predicted"]["work"], data["work"]
    assert done["gated"] + done["multiply"] == of["gated"] + of["multiply"] + of["skipped"]
    assert done["skipped"] == step["predicted"]["dram"]["total"] == 0 and step["counted"]["work"]["gated"] == 0
    assert json.loads(Path(trace).read_text())["otherData"] == {"entry": "train_step", "cycles": step["cycles"]}


def test_densities_decide_what_is_saved(program: str) -> None:
    found = json.loads(invoke("run", program, "--count-only", "--density", "0.1", "--json", "-").stdout)
    work = found["entries"]["infer"]["predicted"]["work"]
    assert found["density"] == 0.1 and work["skipped"] > work["gated"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--count-only", "--data", "digits"], "--count-only runs each entry once, without data, and takes no --data"),
        (["--count-only", "--check-races", "--dump", "y@1"], "and takes no --check-races, --dump"),
        (["--data", "digits", "--density", "0.1"], "--density is for --count-only; with data, zeros are counted"),
        ([], "Missing option '--data'"),
    ],
)
def test_what_means_nothing_is_wrong_usage(program: str, arguments: list[str], message: str) -> None:
    result = invoke("run", program, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_a_profile_of_another_network_is_refused(program: str, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"profile": 1, "network": "lenet", "values": {}, "windows": {}}))
    result = invoke("run", program, "--count-only", "--density", str(other))
    assert result.exit_code == 1 and "is a profile of lenet; digits needs one of its own" in result.stderr
