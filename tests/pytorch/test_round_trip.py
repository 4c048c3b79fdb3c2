"""From a module to the machine, and back: what was trained on the interpreter computes the same in the module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from networks import CASES, CLASSES, framework
from numpy.typing import NDArray

from snnc.cli import main
from snnc.compiler.frontends.frontend import Unsaid
from snnc.compiler.pipeline import compile as compile_network
from snnc.pytorch.bring import from_torch
from snnc.pytorch.give_back import to_torch
from snnc.runtime import checkpoint, weights
from snnc.runtime.interpreter import Interpreter
from snnc.source import SourceError

SAMPLES = 24


def shell(*arguments: str) -> str:
    result = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("name", ["snntorch_recorded_loop", "spikingjelly_all", "spikingjelly_step", "norse_current"])
def test_after_an_epoch_the_module_has_the_logits_of_the_interpreter(name: str, tmp_path: Path) -> None:
    torch = framework("torch")
    case = CASES[name]
    module = case.built()
    net, trained, kept = (str(tmp_path / file) for file in ("net.snn", "trained.npz", "kept.ckpt"))
    found = from_torch(
        module, case.input(), case.steps, train={"loss": "cross_entropy", "optimizer": "adam(lr=0.02)"}, **case.options
    )
    found.save(net)
    x = case.input(SAMPLES, seed=8)
    images = x.transpose(0, 1) if case.timed else x
    labels = torch.arange(SAMPLES) % CLASSES
    np.savez(tmp_path / "data.npz", images=images.numpy(), labels=labels.numpy())
    data = f"npz:{tmp_path / 'data.npz'}"
    common = ["--batch", "8", "--target", "quad"]
    said = shell(
        "train", net, "--weights", f"{tmp_path / 'net.npz'}", "--data", data, "--epochs", "1", *common,
        "--save-weights", trained, "--checkpoint", kept,
    )  # fmt: skip
    assert "DRAM" in said
    before = {entry: value.clone() for entry, value in module.state_dict().items()}
    assert to_torch(trained, module) is module
    from_checkpoint = to_torch(checkpoint.load(kept), case.make())
    for entry, value in module.named_parameters():
        assert not torch.equal(value, before[entry]), f"{entry} was not trained"
        assert torch.equal(value, from_checkpoint.get_parameter(entry)), entry
    ours = inferred(compile_network(found, target="quad", batch=SAMPLES), trained, images.numpy())
    with torch.no_grad():
        theirs = case.run(rounded(module).eval(), halved(x)).mean(0).numpy()
    # Membranes are rounded to f16 by the machine, and not by the module.
    np.testing.assert_allclose(ours, theirs, atol=2e-3 * (1 + np.abs(theirs).max()))


def inferred(program: Any, trained: str, images: NDArray[Any]) -> NDArray[Any]:
    """The logits of the interpreter with the trained parameters."""
    machine = Interpreter(program)
    machine.run("init", {"seed": 0, "step": 0})
    weights.take_over(machine, weights.load(trained))
    port = next(symbol for symbol in program.symbols if symbol.role == "input")
    machine.write(port.name, images.swapaxes(0, 1) if port.steps else images)
    machine.run("infer", {"valid": len(images)})
    return np.asarray(machine.values("logits"))


def rounded(module: Any) -> Any:
    """The module with its weights rounded as working copies are."""
    torch = framework("torch")
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter.half().float())
    return module


def halved(x: Any) -> Any:
    return x.half().float()


def test_the_oracle_rebuilds_the_graph_from_the_text(tmp_path: Path) -> None:
    case = CASES["spikingjelly_soft"]
    found = from_torch(case.built(), case.input(), case.steps)
    found.save(tmp_path / "net.snn")
    x = case.input(16, seed=8)
    np.savez(tmp_path / "data.npz", images=x.numpy(), labels=np.arange(16) % CLASSES)
    said = shell(
        "train", str(tmp_path / "net.snn"), "--weights", str(tmp_path / "net.npz"), "--data",
        f"npz:{tmp_path / 'data.npz'}", "--batch", "8", "--max-steps", "2", "--compare-oracle",
    )  # fmt: skip
    assert "equal, bit for bit" in said


def test_a_network_that_was_read_is_compiled_as_its_text_is(tmp_path: Path) -> None:
    case = CASES["snntorch_hidden"]
    found = from_torch(case.built(), case.input(), case.steps)
    found.save(tmp_path / "net.snn")
    options: dict[str, Any] = {"target": "tiny", "batch": 4, "steps": 3}
    direct = compile_network(found, **options)
    read = compile_network(tmp_path / "net.snn", weights=weights.load(tmp_path / "net.npz"), **options)
    assert (direct.graph_hash, direct.steps) == (read.graph_hash, 3)
    assert direct.data == read.data != {}


def test_a_network_that_was_read_has_no_more_to_be_said() -> None:
    case = CASES["snntorch_hidden"]
    found = from_torch(case.built(), case.input(), case.steps)
    with pytest.raises(SourceError) as error:
        compile_network(found, unsaid=Unsaid(surrogate="atan"), settings={"width": 3})
    assert (
        str(error.value) == "Sequential: the network was read before, and --surrogate, --set would have been said then"
    )
