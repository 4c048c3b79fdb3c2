"""The command line: help, exit statuses, messages, and where results go."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from snnc.cli import commands, main
from snnc.cli._manual import PAGE, page
from snnc.cli.list import KINDS, first_sentence
from snnc.compiler.ops.op import OPS
from snnc.isa import assembly, binary
from snnc.isa.program import Argument, Entry, Program, Stream, Symbol
from snnc.isa.target import canonical, load_target, parse

COMMANDS = [name.replace("_", "-") for name in commands]
ISSUE = [
    "asm",
    "check",
    "compare",
    "compile",
    "disasm",
    "eval",
    "export",
    "init-target",
    "inspect",
    "list",
    "predict",
    "profile",
    "run",
    "train",
]


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


def refused(*arguments: str, status: int = 1) -> str:
    """What a command that fails says on standard error; it says nothing else and shows no traceback."""
    result = invoke(*arguments)
    assert (result.exit_code, result.stdout) == (status, ""), result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.stderr
    return result.stderr


@pytest.fixture
def program() -> Program:
    """A program that computes nothing: one entry without instructions, one tensor."""
    target = load_target("tiny")
    image = Symbol("image", "f16", (1, 2, 2), (1, 2, 2), (1, 2, 0), 0, 4, "input", "", 0)
    weight = Symbol("fc.w", "f16", (2, 4), (2, 4), (1, 0), 0, 0, "parameter", "fc", 64)
    halt = assembly.Instruction.parse("halt")
    stream = Stream(0, "vector", (halt,), (assembly.Debug(),))
    entry = Entry("train_step", (stream,), ("learning_rate",), ("image",), ())
    return Program(
        network="nothing",
        target="tiny",
        target_text=canonical(target),
        target_hash=target.fingerprint,
        graph_hash="0" * 64,
        cores=1,
        steps=1,
        batch=4,
        entries=(entry,),
        elements=(),
        symbols=(image, weight),
        arguments=(Argument("learning_rate", "f32"),),
        dram_bytes=128,
    )


@pytest.fixture
def snnb(program: Program, tmp_path: Path) -> Path:
    path = tmp_path / "nothing.snnb"
    binary.save(program, path)
    return path


def test_every_command_of_the_design_is_there() -> None:
    assert set(ISSUE) <= set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example_that_calls_the_command(name: str) -> None:
    result = invoke(name, "--help")
    assert result.exit_code == 0
    _, _, example = result.output.partition("Example:\n")
    assert f"snnc {name}" in example.partition("\n\n")[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_can_write_json(name: str) -> None:
    assert "--json FILE" in invoke(name, "--help").output


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_imports_no_numerical_library(name: str) -> None:
    code = f"""
import sys
from snnc.cli import main
main([{name!r}, "--help"], standalone_mode=False)
print("imported:", sorted({{"numpy", "lark", "h5py", "onnx", "rich", "networkx"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("imported: []")


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_list_imports_no_library_but_numpy_and_no_machine_or_compiler_that_it_does_not_name(kind: str) -> None:
    code = f"""
import sys
from snnc.cli import main
main(["list", {kind!r}], standalone_mode=False)
rooms = {{"snnc.compiler.frontends", "snnc.compiler.pipeline", "snnc.runtime.interpreter", "snnc.reports"}}
print("imported:", sorted(({{"lark", "h5py", "onnx", "rich", "networkx", "matplotlib"}} | rooms) & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("imported: []")


def test_compiling_a_network_imports_nothing_that_reads_other_files(tmp_path: Path) -> None:
    code = f"""
import sys
from snnc.cli import main
main(["compile", "digits", "-o", {str(tmp_path / "digits.snnb")!r}], standalone_mode=False)
print("imported:", sorted({{"h5py", "nir", "onnx", "matplotlib"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("imported: []")


def test_the_page_of_commands_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == page(), "python -m snnc.cli._manual writes docs/commands.md anew"


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_list_has_a_line_a_part_and_a_description(kind: str) -> None:
    told = json.loads(invoke("list", kind, "--json", "-").stdout)
    assert told["kind"] == kind
    assert told["parts"]
    assert all(part["name"] and part["meaning"] for part in told["parts"])
    lines = invoke("list", kind).stdout.splitlines()
    assert [line.split()[0] for line in lines] == [part["name"].split()[0] for part in told["parts"]]


def test_lists_know_what_comes_with_snnc() -> None:
    def names(kind: str) -> set[str]:
        return {part["name"] for part in json.loads(invoke("list", kind, "--json", "-").stdout)["parts"]}

    assert {"tiny", "quad", "li2024", "li2024_exact"} <= names("targets")
    assert {"digits", "mlp", "lenet", "csnn"} <= names("models")
    assert {"weight_stationary", "output_stationary"} <= names("dataflows")
    assert {"linear", "conv2d", "lif", "li"} <= names("ops")
    assert {"cross_entropy", "mse_rate"} <= names("losses")
    assert names("optimizers") == {"sgd", "adam", "adamw"}
    assert names("schedules") == {"constant", "cosine", "steps"}
    assert {"kaiming_uniform", "zeros"} <= names("initialisers")


def test_the_list_of_operators_has_what_a_network_may_name_and_nothing_else() -> None:
    for part in json.loads(invoke("list", "ops", "--json", "-").stdout)["parts"]:
        assert OPS[part["name"]].family == "layer"
    assert not {"block_sum", "row", "adam", "zeros", "mse_rate"} & {
        part["name"] for part in json.loads(invoke("list", "ops", "--json", "-").stdout)["parts"]
    }


@pytest.mark.parametrize("kind", ["models", "ops", "losses", "optimizers", "schedules", "initialisers", "instructions"])
def test_a_description_is_a_whole_sentence(kind: str) -> None:
    for part in json.loads(invoke("list", kind, "--json", "-").stdout)["parts"]:
        meaning = part["meaning"].partition("  [")[0]
        assert meaning.endswith("."), part


def test_a_sentence_goes_over_the_end_of_a_line() -> None:
    text = "The mean of ``x`` (Ioffe et\nal. 2015), as PyTorch.  The *rest* is more.\n\nAnd more."
    assert first_sentence(text) == "The mean of x (Ioffe et al. 2015), as PyTorch."
    assert first_sentence(None) == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "modles"], "modles"),
        (["compile"], "MODEL"),
        (["train", "digits"], "--data"),
        (["run", "x.snnb", "--data", "digits", "--epochs", "0"], "--epochs"),
        (["train", "digits", "--data", "digits", "--cores", "none"], "--cores"),
        (["train", "digits", "--data", "digits", "--optimizer", "adam(1e-3"], "is not NAME or NAME(key=value, ...)"),
        (["train", "digits", "--data", "digits", "--optimizer", "adam(1e-3)"], "is not NAME or NAME(key=value, ...)"),
        (["train", "digits", "--data", "digits", "--dump", "fc.w"], "TENSOR@STEP"),
        (["train", "digits", "--data", "digits", "--dump", "fc.w@0"], "with steps from 1"),
        (["train", "digits", "--data", "digits", "--save-weights", "w.txt"], ".npz or .safetensors"),
        (["train", "digits", "--data", "digits", "--resume", "a", "--weights", "b"], "leave --weights out"),
        (
            ["train", "digits", "--data", "digits", "--threads", "2", "--check-races"],
            "--check-races looks at one instruction after the other; leave --threads out",
        ),
        (
            ["run", "x.snnb", "--data", "digits", "--threads", "2", "--compare-oracle", "digits"],
            "--compare-oracle looks at one instruction after the other; leave --threads out",
        ),
        (["compile", "digits", "-o", "-"], "name a file with -o"),
        (["predict", "x.snnb", "--data", "digits", "-o", "x.txt"], ".npz or .csv"),
        (["no-such"], "no command is called 'no-such'"),
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], message: str) -> None:
    assert message in " ".join(refused(*arguments, status=2).split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compile", "digtis"], "no model is called 'digtis'; did you mean digits?"),
        (["compile", "nowhere/net.snn"], "there is no file nowhere/net.snn"),
        (["run", "nowhere.snnb", "--data", "digits"], "nowhere.snnb: cannot be read: No such file or directory"),
        (["asm", "nowhere.s"], "nowhere.s: cannot be read: No such file or directory"),
        (["disasm", "nowhere.snnb"], "nowhere.snnb: cannot be read"),
        (["inspect", "nowhere.snnb"], "there is no file nowhere.snnb, and no model is called 'nowhere'"),
        (["train", "digts.snn", "--data", "digits"], "there is no file digts.snn, and no model is called 'digts'; did"),
        (["eval", "nowhere.snnb", "--data", "digits", "--weights", "w.npz"], "nowhere.snnb: cannot be read"),
    ],
)
def test_what_is_not_there_is_one_message_and_status_1(arguments: list[str], message: str) -> None:
    assert message in refused(*arguments)


@pytest.mark.parametrize("command", ["disasm", "inspect", "run", "eval", "predict"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "other"])
def test_a_damaged_program_is_refused_by_every_command(command: str, damage: str, snnb: Path, tmp_path: Path) -> None:
    data = bytearray(snnb.read_bytes())
    if damage == "truncated":
        del data[-10:]
    elif damage == "flipped":
        data[-1] ^= 1
    else:
        data[:] = b"something else altogether, and long enough to hold a head of a program"
    snnb.write_bytes(data)
    extra = [] if command in ("disasm", "inspect") else ["--data", "digits"]
    if command in ("eval", "predict"):
        extra += ["--weights", "w.npz"]
    if command == "predict":
        extra += ["-o", str(tmp_path / "x.csv")]
    words = {"truncated": "truncated", "flipped": "damaged", "other": "not a snnc program"}
    message = refused(command, str(snnb), *extra)
    assert message.startswith(f"{snnb}: ")
    assert words[damage] in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["compile", "digits", "-o", "{}/x.snnb"],
        ["compile", "digits", "--emit", "graph", "-o", "{}/x.txt"],
        ["compare", "digits", "--rules", "bptt", "--data", "digits", "--json", "{}/x.json"],
        ["compare", "digits", "--rules", "bptt", "--data", "digits", "--plot", "{}/x.png"],
        ["train", "digits", "--data", "digits", "--json", "{}/x.json"],
        ["train", "digits", "--data", "digits", "--checkpoint", "{}/x.ckpt"],
        ["train", "digits", "--data", "digits", "--save-weights", "{}/x.npz"],
        ["train", "digits", "--data", "digits", "--trace", "{}/x.json"],
        ["train", "digits", "--data", "digits", "--dump", "hidden.w@1={}/x.npy"],
        ["train", "digits", "--data", "digits", "-o", "{}/x.snnb"],
        ["asm", "x.s", "-o", "{}/x.snnb"],
        ["init-target", "{}/x.toml"],
    ],
)
def test_an_output_that_cannot_be_written_is_refused_before_the_work(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("work began")

    monkeypatch.setattr("snnc.isa.assembly.from_text", never)
    if arguments[0] in ("compare", "compile", "train"):
        monkeypatch.setattr("snnc.compiler.pipeline.Compilation", never)
    missing = tmp_path / "missing"
    message = refused(*(part.format(missing) for part in arguments))
    assert "cannot be written: No such file or directory" in message
    assert str(missing) in message


def test_a_folder_is_no_place_for_a_file(snnb: Path, tmp_path: Path) -> None:
    assert "cannot be written: it is a folder" in refused("disasm", str(snnb), "-o", str(tmp_path))


def test_assembly_and_program_are_each_others_inverse(program: Program, snnb: Path, tmp_path: Path) -> None:
    text, again = tmp_path / "nothing.s", tmp_path / "again.snnb"
    assert invoke("disasm", str(snnb), "-o", str(text)).exit_code == 0
    assert text.read_text() == assembly.to_text(program) == invoke("disasm", str(snnb)).stdout
    result = invoke("asm", str(text), "-o", str(again))
    assert result.exit_code == 0, result.output
    assert again.read_bytes() == snnb.read_bytes()


def test_faults_of_an_assembly_name_its_lines(snnb: Path, tmp_path: Path) -> None:
    text = tmp_path / "wrong.s"
    text.write_text(invoke("disasm", str(snnb)).stdout.replace("halt", "hatl"))
    message = refused("asm", str(text))
    assert "did you mean halt?" in message
    assert message.startswith(f"{text}:")
    assert not text.with_suffix(".snnb").exists()


def test_a_program_is_not_taken_for_an_assembly(snnb: Path) -> None:
    assert "not a text" in refused("asm", str(snnb), "-o", str(snnb.with_suffix(".again")))


def test_inspect_shows_streams_and_the_memory_map(program: Program, snnb: Path) -> None:
    shown = invoke("inspect", str(snnb)).stdout
    assert "entry train_step" in shown
    assert "fc.w" in shown
    told = json.loads(invoke("inspect", str(snnb), "--json", "-").stdout)
    assert told["program"]["sha256"] == binary.fingerprint(program)
    assert [symbol["name"] for symbol in told["symbols"]] == ["image", "fc.w"]
    (stream,) = told["entries"]["train_step"]["streams"]
    place = {"core": 0, "context": 0, "unit": "vector"}
    assert stream == {**place, "instructions": 1, "bytes": 16, "mnemonics": {"halt": 1}}


def test_a_program_holds_no_graph(snnb: Path) -> None:
    assert "holds no graph" in refused("inspect", str(snnb), "--emit", "graph")


def test_a_model_is_not_run_as_a_program(tmp_path: Path) -> None:
    model = tmp_path / "net.snn"
    model.write_text("network net() {}")
    assert f"try: snnc compile {model}" in refused("run", str(model), "--data", "digits")


def test_init_target_writes_a_target_that_is_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    assert invoke("init-target", str(path)).exit_code == 0
    assert parse(path.read_text()) == parse(invoke("init-target").stdout)
    assert "is there already" in refused("init-target", str(path))
    assert invoke("init-target", str(path), "--force").exit_code == 0


@pytest.mark.parametrize("command", ["list", "init-target", "disasm", "inspect", "asm"])
def test_json_on_standard_output_is_alone_there(command: str, snnb: Path, tmp_path: Path) -> None:
    text = tmp_path / "nothing.s"
    text.write_text(invoke("disasm", str(snnb)).stdout)
    arguments = {"list": ["targets"], "init-target": [], "asm": [str(text)]}.get(command, [str(snnb)])
    result = invoke(command, *arguments, "--json", "-")
    assert result.exit_code == 0, result.output
    assert isinstance(json.loads(result.stdout), dict)


def test_parameters_must_come_from_somewhere(snnb: Path) -> None:
    assert "has no entry infer" in refused("eval", str(snnb), "--data", "digits")
    both = ["--checkpoint", "a", "--weights", "b"]
    assert "not both" in refused("eval", str(snnb), "--data", "digits", *both, status=2)


@pytest.mark.parametrize(("status", "arguments"), [(0, ["list", "targets"]), (1, ["compile", "digtis"]), (2, ["list"])])
def test_the_status_reaches_the_shell(status: int, arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "snnc", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert "Traceback" not in done.stderr
