"""A network that was a module does what the module does: spikes step by step, gradients, and the whole way round."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from networks import CASES, CLASSES, Case, framework
from numpy.typing import NDArray

from snnc.compiler.evaluate import Numerics, Oracle
from snnc.compiler.frontends.frontend import Imported, read_model
from snnc.compiler.ir.text import parse_network, print_network
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.compiler.proof import prove
from snnc.pytorch.bring import from_torch
from snnc.pytorch.give_back import to_torch

Array = NDArray[Any]
ARGUMENTS: dict[str, float] = {
    "learning_rate": 0.1, "loss_scale": 1.0, "seed": 0, "step": 0, "correction1": 1.0, "correction2": 1.0, "valid": 4,
}  # fmt: skip

pytestmark = pytest.mark.parametrize("name", CASES)


def brought(case: Case, module: Any) -> Any:
    return from_torch(module, case.input(), case.steps, **case.options)


def oracle_of(found: Imported, case: Case) -> Oracle:
    """The network in float64 on the input of the case."""
    network = replace(found.network, train={"batch": 4, "loss": "cross_entropy", "optimizer": "sgd"})
    oracle = Oracle(build_training(network, TrainingOptions.resolve(network)), Numerics("f64"))
    oracle.run("init", ARGUMENTS)
    names = {variable.name for variable in oracle.training.variables}
    for parameter, value in found.parameters.items():
        for each in {parameter, f"{parameter}.master"} & names:
            oracle.write(each, np.asarray(value, np.float64))
    x = case.input()
    x = x.transpose(0, 1) if case.options.get("time_axis") == 1 else x
    oracle.write(network.ports[0].name, x.numpy().astype(np.float64))
    oracle.write("label", labels().numpy())
    return oracle


def labels() -> Any:
    return framework("torch").arange(4) % CLASSES


def spikes_of(case: Case, module: Any) -> Mapping[str, Array]:
    """What every neuron of the module gives in every step, and what the module gives."""
    torch = framework("torch")
    rows: dict[str, list[Any]] = {path: [] for path in case.neurons}

    def hear(path: str) -> Any:
        def called(_: Any, __: Any, made: Any) -> None:
            rows[path].append(made[0] if isinstance(made, tuple) else made)

        return called

    handles = [module.get_submodule(path).register_forward_hook(hear(path)) for path in case.neurons]
    with torch.no_grad():
        result = case.run(module.eval(), case.input())
    for handle in handles:
        handle.remove()
    heard = {path: made[0] if len(made) == 1 else torch.stack(made) for path, made in rows.items()}
    return {"": result.numpy(), **{path: each.numpy() for path, each in heard.items()}}


def named(path: str) -> str:
    """A path as the name of a value."""
    return f"n{path}" if path[0].isdigit() else path


def fired_by(path: str, found: Imported) -> str:
    """The value that holds the spikes of the neuron at *path*."""
    return next(
        node.results[0]
        for node in found.network.nodes
        if f"{node.results[0]}.".startswith(f"{named(path)}.")
        and node.op != "delay"
        and str(node.types[0]).startswith("spike")
    )


def test_every_neuron_fires_as_in_the_module(name: str) -> None:
    case = CASES[name]
    module = case.built()
    oracle = oracle_of(found := brought(case, module), case)
    oracle.run("infer", ARGUMENTS)
    theirs = spikes_of(case, module)
    assert case.neurons
    for path in case.neurons:
        ours = oracle.read(fired_by(path, found))
        assert 0.02 < ours.mean() < 0.98, f"{path} tells nothing"
        assert np.array_equal(ours, theirs[path].reshape(ours.shape)), path
    np.testing.assert_allclose(oracle.read(found.network.results[0]), theirs[""], atol=1e-5)
    proof = prove(found)
    assert proof is not None and proof.different == 0 and proof.compared >= 80


def test_gradients_are_those_of_autograd_with_the_surrogate_of_the_module(name: str) -> None:
    case = CASES[name]
    module = case.built()
    oracle = oracle_of(brought(case, module), case)
    oracle.run("train_step", ARGUMENTS)
    torch = framework("torch")
    logits = case.run(module.train(), case.input()).mean(0)
    loss = torch.nn.functional.cross_entropy(logits, labels())
    loss.backward()
    assert float(np.mean(oracle.read("loss"))) == pytest.approx(loss.item(), rel=1e-5)
    trained = {entry: value.grad.numpy() for entry, value in module.named_parameters()}
    assert trained
    for entry, gradient in trained.items():
        ours = oracle.read(f"d.{named(entry)}")
        size = float(np.abs(gradient).max())
        assert size > 0, f"{entry} tells nothing"
        assert float(np.abs(ours.reshape(gradient.shape) - gradient).max()) <= 2e-5 * size, entry


def test_the_module_stays_as_it_was_down_to_its_hidden_states(name: str) -> None:
    """Also in the middle of training, where states hang on a graph."""
    torch = framework("torch")
    case = CASES[name]
    module = case.built().train()
    case.run(module, case.input(seed=5))

    def everything() -> dict[str, Any]:
        found: dict[str, Any] = {}
        for path, inner in module.named_modules():
            every: dict[str, Any] = {**vars(inner), **getattr(inner, "_memories", {}), **inner._buffers}
            for key, held in every.items():
                found[f"{path}.{key}"] = held.clone() if torch.is_tensor(held) else repr(held)
            found |= {
                f"{path}.{key}:grad": value.requires_grad
                for key, value in inner._parameters.items()
                if value is not None
            }
        return found

    generator = torch.get_rng_state()
    before = everything()
    brought(case, module)
    after = everything()
    assert before.keys() == after.keys()
    for key, held in before.items():
        same = torch.equal(held, after[key]) if torch.is_tensor(held) else held == after[key]
        assert same, key
    assert torch.equal(generator, torch.get_rng_state())


def test_the_text_of_the_network_says_all_of_it(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    found = brought(case, case.built())
    assert parse_network(print_network(found.network)) == found.network
    found.save(tmp_path / "net.snn")
    assert read_model(tmp_path / "net.snn").network.nodes == found.network.nodes
    with np.load(tmp_path / "net.npz") as archive:
        assert {key: archive[key].tolist() for key in archive.files} == {
            key: value.tolist() for key, value in found.parameters.items()
        }


def test_what_comes_in_goes_back_element_by_element(name: str) -> None:
    """Into a module with other parameters, all of which become those that came in."""
    case = CASES[name]
    module, other = case.built(), case.make()
    found = brought(case, module)
    to_torch(found.parameters, other)
    kept = module.state_dict()
    for entry, value in other.named_parameters():
        assert framework("torch").equal(value, kept[entry]), entry
