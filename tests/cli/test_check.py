"""`snnc check`: everything at once, with exit statuses that a script can read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import helper, numpy_helper

from snnc.cli import main


def check(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["check", *arguments])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Six steps of neurons that integrate, fire above 1 and take 1 away, behind a sum."""
    rng = np.random.default_rng(1)
    weight = numpy_helper.from_array(rng.normal(0.5, 1, (4, 3)).astype(np.float32), "w")
    known = [
        weight,
        numpy_helper.from_array(np.zeros((2, 4), np.float32), "v0"),
        numpy_helper.from_array(np.array(1.0, np.float32), "one"),
        numpy_helper.from_array(np.zeros(1, np.int64), "front"),
    ]
    nodes: list[onnx.NodeProto] = []
    for t in range(6):
        known.append(numpy_helper.from_array(np.array(t, np.int64), f"t{t}"))
        nodes += [
            helper.make_node("Gather", ["x", f"t{t}"], [f"x{t}"], axis=0),
            helper.make_node("Gemm", [f"x{t}", "w"], [f"i{t}"], f"fc{t}", transB=1),
            helper.make_node("Add", [f"v{t}", f"i{t}"], [f"h{t}"]),
            helper.make_node("Greater", [f"h{t}", "one"], [f"b{t}"]),
            helper.make_node("Cast", [f"b{t}"], [f"s{t}"], f"fire{t}", to=1),
            helper.make_node("Sub", [f"h{t}", f"s{t}"], [f"v{t + 1}"]),
            helper.make_node("Unsqueeze", [f"s{t}", "front"], [f"u{t}"]),
        ]
    nodes.append(helper.make_node("Concat", [f"u{t}" for t in range(6)], ["y"], axis=0))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [6, 2, 3])],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [6, 2, 4])],
        known,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_a_clean_model_says_what_it_is() -> None:
    result = check("digits")
    assert (result.exit_code, result.output) == (
        0,
        "digits(image: f16[n, 1, 8, 8]), 4 time steps, 4 layers, 9,610 parameters\n",
    )


def test_what_was_recovered_is_told_and_proved(file: Path, tmp_path: Path) -> None:
    result = check(str(file), "--surrogate", "atan", "--json", str(tmp_path / "check.json"))
    assert result.exit_code == 0
    assert result.output.replace(str(file), "net.onnx") == (
        "net(x: f16[t, n, 3]), 6 time steps, 2 layers, 12 parameters\n"
        "\n"
        "recovered:\n"
        "  net.onnx: one time step out of 6 that the file spells out\n"
        "  net.onnx, node fire2: if(threshold=1, reset=soft, compare=gt)\n"
        "\n"
        "assumed:\n"
        "  net.onnx: gradients pass through the reset (ONNX does not say; --detach-reset)\n"
        "\n"
        "compared: the file itself gives the same 96 elements of the result in 6 steps, on 4 random samples\n"
    )
    facts = json.loads((tmp_path / "check.json").read_text())
    assert (facts["usable"], facts["steps"], facts["layers"]) == (True, 6, ["linear", "if"])
    assert facts["proof"]["different"] == 0
    assert [note["kind"] for note in facts["notes"]] == ["recovered", "recovered", "assumption"]


def test_a_file_that_cannot_be_used_is_refused_with_all_reasons(tmp_path: Path) -> None:
    path = tmp_path / "bad.snn"
    path.write_text("network a(x: f16[4]) steps 2 {\n    s = lif(x, decy=1)\n    return linear(s, out=zero)\n}\n")
    result = check(str(path), "--json", str(tmp_path / "check.json"))
    assert result.exit_code == 1
    assert "a.snn" not in result.output and result.output.count("bad.snn:") == 2
    facts = json.loads((tmp_path / "check.json").read_text())
    assert (facts["usable"], len(facts["faults"])) == (False, 2)


def test_remarks_have_a_status_of_their_own(file: Path) -> None:
    model = onnx.load_model_from_string(file.read_bytes())
    for node in model.graph.node:
        if node.op_type == "Add":  # every step begins afresh
            node.input[0] = "v0"
    file.write_bytes(model.SerializeToString())
    result = check(str(file))
    assert result.exit_code == 3
    assert "its state was lost when the file was made" in result.output


def test_wrong_usage_is_neither(file: Path) -> None:
    assert check(str(file), "--reset", "sometimes").exit_code == 2
    assert check("digits", "--surrogate", "atan").exit_code == 1
    assert check("digits", "--dt", "-1").exit_code == 2


def test_what_the_compiler_would_say_is_told_too(tmp_path: Path) -> None:
    """A scale that skips steps is a warning; what the format cannot hold and what cannot be trained is told at once."""
    result = check("digits", "--loss-scale", "dynamic(initial=1e9)")
    assert result.exit_code == 3
    told = "  --loss-scale: the first 6 steps are skipped, since errors of a scale of 1e+09 overflow f16\n"
    assert result.output.endswith(f"\nwarnings:\n{told}")
    path = tmp_path / "bad.snn"
    path.write_text(
        "network bad(x: f16[4]) steps 2 {\n"
        "    s, membrane, mask = lif(linear(x, out=4), threshold=1e6)\n"
        "    return linear(membrane, out=2)\n"
        "}\n"
    )
    result = check(str(path))
    assert (result.exit_code, result.output.replace(str(path), "bad.snn")) == (
        1,
        "bad.snn:2:25: threshold of s is 1e+06, and f16, the format that this machine works in, ends at 65504\n"
        "      s, membrane, mask = lif(linear(x, out=4), threshold=1e6)\n"
        "                          ^\n"
        "bad.snn:3:12: bptt cannot train bad: linear: no error passes back into membrane\n"
        "      return linear(membrane, out=2)\n"
        "             ^\n",
    )
    result = check(str(path), "--target", "nowhere")
    assert result.exit_code == 1 and result.output.startswith("no target is called 'nowhere'; there are: ")


def test_options_that_a_file_has_no_place_for_are_refused(file: Path) -> None:
    result = check(str(file), "--dt", "0.1", "--reset", "soft", "--set", "width=3")
    assert (result.exit_code, result.output.replace(str(file), "net.onnx")) == (
        1,
        "net.onnx: an ONNX file has no settings: --set is for .snn files\n"
        "net.onnx: an ONNX file spells out its time steps, and has no time constants: --dt is for NIR files\n"
        "net.onnx: an ONNX file spells out how its neurons reset: --reset is for NIR files\n",
    )
    result = check(str(file), "--spiking", "relu=lif")
    assert (result.exit_code, result.output.replace(str(file), "net.onnx")) == (
        1,
        "net.onnx: --spiking relu: the file has no such activation; there is none\n",
    )
    result = check(str(file), "--surrogate", "atn", "--spiking", "relu=linear", "--spiking", "tanh=lif(decy=1)")
    assert (result.exit_code, result.output) == (
        1,
        "--surrogate: no surrogate is called 'atn'; did you mean atan?\n"
        "--spiking relu: no neuron is called 'linear'; there are: adaptive_lif, alif, alpha, cuba, if, lif, plif, "
        "refractory_lif\n"
        "--spiking tanh: no setting of lif is called 'decy'; did you mean decay?\n",
    )
    assert check("digits", "--result", "y").output.endswith("files say themselves what --result would say\n")


def test_one_of_several_results_is_chosen_by_its_name(file: Path) -> None:
    model = onnx.load_model_from_string(file.read_bytes())
    model.graph.node.append(helper.make_node("Concat", [f"i{t}" for t in range(6)], ["drive"], axis=0))
    model.graph.output.append(helper.make_empty_tensor_value_info("drive"))
    file.write_bytes(model.SerializeToString())
    notes = check(str(file)).output.replace(str(file), "net.onnx")
    assert "  net.onnx: the result is y; drive is left out (--result)\n" in notes
    assert "left out" not in check(str(file), "--result", "y").output
    result = check(str(file), "--result", "z")
    assert (result.exit_code, result.output.replace(str(file), "net.onnx")) == (
        1,
        "net.onnx: --result: no result is called 'z'; there are: drive, y\n",
    )


def test_whether_all_layers_fit_is_told_where_it_is_asked_for() -> None:
    assert check("vgg11_dvs", "--target", "tiny").exit_code == 0
    result = check("vgg11_dvs", "--target", "tiny", "--fit")
    assert result.exit_code == 1
    assert "s2.c (WG) sums 737280 terms of u4; an exact accumulator of `tiny` takes 559240\n" in result.output


def test_why_a_file_is_not_compared_is_told(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(model: onnx.ModelProto) -> None:
        raise NotImplementedError("Scan is not implemented\nfor this")

    monkeypatch.setattr("snnc.compiler.frontends._onnx_reference.evaluator_of", refuses)
    told = tmp_path / "told.json"
    result = check(str(file), "--json", str(told))
    assert result.exit_code == 0
    assert "not compared: ONNX's own reference does not run the file: Scan is not implemented\n" in result.output
    refused = "ONNX's own reference does not run the file: Scan is not implemented"
    assert json.loads(told.read_text())["proof"] == {"different": 0, "not_run": refused}
    result = check(str(file), "--steps", "9", "--json", str(told))
    assert result.exit_code == 0
    unlike = "the file spells out 6 time steps, and --steps says 9"
    assert result.output.endswith(f"\nnot compared: {unlike}\n")
    assert json.loads(told.read_text())["proof"] == {"different": 0, "not_run": unlike}
