"""What `from_torch` and `to_torch` are called with: everything that is wrong with it is told before anything is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from networks import framework

from snnc.pytorch.bring import from_torch
from snnc.pytorch.give_back import to_torch
from snnc.source import DataError, SnncError, SourceError


def torch() -> Any:
    return framework("torch")


def made() -> Any:
    nn = torch().nn
    return nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 5))


def told(error: pytest.ExceptionInfo[SnncError]) -> list[str]:
    return str(error.value).splitlines()


def refused(steps: Any = 4, **options: Any) -> list[str]:
    with pytest.raises(SourceError) as error:
        from_torch(made(), torch().rand(3, 20), steps, **options)
    return told(error)


NEURONS = "there are: adaptive_lif, alif, cuba, if, lif, plif, refractory_lif"

SPIKING: list[tuple[Any, list[str]]] = [
    ({"gelu": "lif"}, ["spiking['gelu']: the module has no such activation; there are: relu"]),
    (
        {"gelu": "lif", "relu": "lif", "tanh": "if"},
        [
            "spiking['gelu']: the module has no such activation; there are: relu",
            "Sequential: spiking['tanh']: the module has no such activation; there are: relu",
        ],
    ),
    (
        "lif",
        [
            "spiking is 'lif'; it gives a neuron for each activation, by name",
            '  try: spiking={"relu": "lif(decay=0.5)"}',
        ],
    ),
    ({"relu": "linear"}, [f"spiking['relu']: no neuron is called 'linear'; {NEURONS}"]),
    ({"relu": "lfi"}, ["spiking['relu']: no neuron is called 'lfi'; did you mean lif?"]),
    ({"relu": "lif(decy=0.5)"}, ["spiking['relu']: no setting of lif is called 'decy'; did you mean decay?"]),
    ({"relu": "lif("}, ["spiking['relu'] is 'lif(': expected a value or ')' in column 5"]),
    ({"relu": None}, ["spiking['relu'] is None; it is text of the language, such as 'lif(decay=0.5)'"]),
]


@pytest.mark.parametrize(("spiking", "expected"), SPIKING)
def test_neurons_for_activations_that_there_are(spiking: Any, expected: list[str]) -> None:
    first, *others = expected
    assert refused(spiking=spiking) == [f"Sequential: {first}", *others]


@pytest.mark.parametrize("steps", ["4", 4.0, 4.5, None, True])
def test_steps_are_a_whole_number(steps: Any) -> None:
    assert refused(steps) == [f"Sequential: steps is {steps!r}; it is the number of time steps, such as 4"]


def test_whole_numbers_of_other_packages_are_whole_numbers() -> None:
    for steps in [np.int64(4), torch().tensor(4)]:
        found = from_torch(made(), torch().rand(3, 20), cast(Any, steps))
        assert type(found.network.steps) is int and found.network.steps == 4


TRAIN: list[tuple[Any, list[str]]] = [
    (
        "adam",
        ["train is 'adam'; it gives a value for each setting, by name", '  try: train={"optimizer": "adam(lr=1e-3)"}'],
    ),
    ({"lossy": "cross_entropy"}, ["train['lossy']: no training setting is called 'lossy'; did you mean loss?"]),
    ({"optimizer": "adan"}, ["train['optimizer']: no optimizer is called 'adan'; did you mean adam?"]),
    ({"optimizer": "adam(lrr=1)"}, ["train['optimizer']: no setting of adam is called 'lrr'; did you mean lr?"]),
    ({"optimizer": "adam(lr=1"}, ["train['optimizer'] is 'adam(lr=1': expected ',' or ')' in column 10"]),
    ({"loss": dict[str, float]()}, ["train['loss'] is {}; it is text of the language, such as 'adam(lr=1e-3)'"]),
    (
        {"batch": 0, "rule": "bpt"},
        [
            "train['batch']: batch of train is at least 1, not 0",
            "Sequential: train['rule']: no rule is called 'bpt'; did you mean bptt?",
        ],
    ),
    ({"steps": 9}, ["train['steps'] is 9, and steps says 4", "  try: steps alone, which says both"]),
]


@pytest.mark.parametrize(("train", "expected"), TRAIN)
def test_settings_of_training_are_checked_at_once(train: Any, expected: list[str]) -> None:
    first, *others = expected
    assert refused(train=train) == [f"Sequential: {first}", *others]


def test_settings_of_training_are_text_or_values() -> None:
    train = {"optimizer": "adam(lr=0.01)", "batch": "16", "epochs": 3, "loss_scale": 1024.0, "steps": 4}
    found = from_torch(made(), torch().rand(3, 20), 4, train=train)
    assert found.network.train == {**train, "optimizer": ("adam", ("lr", 0.01)), "batch": 16}


def test_all_arguments_are_told_together() -> None:
    assert refused("4", surrogate="atann", detach_reset="yes", spiking="lif", train={"batch": 0}) == [
        "Sequential: steps is '4'; it is the number of time steps, such as 4",
        "Sequential: detach_reset is 'yes'; it is True, False, or None: as the neurons say",
        "Sequential: spiking is 'lif'; it gives a neuron for each activation, by name",
        '  try: spiking={"relu": "lif(decay=0.5)"}',
        "Sequential: surrogate: no surrogate is called 'atann'; did you mean atan?",
        "Sequential: train['batch']: batch of train is at least 1, not 0",
    ]


def test_a_module_in_the_place_of_the_input_is_told() -> None:
    with pytest.raises(SourceError) as error:
        from_torch(torch().rand(3, 20), made(), 4)
    assert told(error) == ["Tensor: is no torch.nn.Module", "  try: from_torch(module, example_input, steps)"]


# What comes back


def not_given_back(trained: Any, module: Any) -> list[str]:
    with pytest.raises(DataError) as error:
        to_torch(trained, module, strict=False)
    return told(error)


def test_what_is_trained_and_what_takes_it_are_not_mixed_up() -> None:
    found = from_torch(made(), torch().rand(3, 20), 4)
    swapped = "  try: to_torch(trained, module)"
    assert not_given_back(made(), found.parameters) == [
        "<trained>: goes into a torch.nn.Module, not into a dict",
        swapped,
    ]
    assert not_given_back(made(), "net.npz") == ["<trained>: goes into a torch.nn.Module, not into a str", swapped]
    assert not_given_back("net.npz", torch().nn.Linear) == [
        "net.npz: goes into a torch.nn.Module, not into the class Linear"
    ]
    wanted = "a checkpoint, a file of weights (.npz, .safetensors), or either of them loaded is needed"
    assert not_given_back(None, made()) == [f"<trained>: is None; {wanted}"]
    assert not_given_back(found, made()) == [f"<trained>: is a Brought; {wanted}", "  try: its .parameters"]


def test_what_is_no_array_of_numbers_is_told_by_its_name() -> None:
    module = made()
    before = module[0].bias.detach().clone()
    given = {"n0.bias": np.ones(16), "n0.weight": "abc", "n2.bias": [1.0, [2.0]]}
    assert not_given_back(given, module) == [
        "<trained>: n0.weight is a str, and no array of numbers",
        "<trained>: n2.bias is a list, and no array of numbers",
    ]
    assert torch().equal(module[0].bias, before)


# What came


def test_a_network_shows_itself_on_one_line() -> None:
    found = from_torch(made(), torch().rand(3, 20), 4, spiking={"relu": "lif"})
    assert repr(found) == (
        f"<network Sequential(input: f16[n, 20]) steps 4: 4 parameters of 421 elements, {len(found.notes)} notes>"
    )


def test_what_is_there_already_is_replaced_on_demand_only(tmp_path: Path) -> None:
    found = from_torch(made(), torch().rand(3, 20), 4)
    network, parameters = tmp_path / "net.snn", tmp_path / "net.npz"
    parameters.write_bytes(b"somebody's data")
    hints = ["  try: another name", "  try: overwrite=True, which replaces the .snn and the .npz beside it"]
    with pytest.raises(DataError) as error:
        found.save(network)
    assert told(error) == [f"{network}: net.npz is there already; nothing was written", *hints]
    assert parameters.read_bytes() == b"somebody's data" and not network.exists()
    found.save(network, overwrite=True)
    with np.load(parameters) as held:
        assert np.array_equal(held["n0.weight"], found.parameters["n0.weight"])
    with pytest.raises(DataError) as error:
        found.save(str(network))
    assert told(error) == [f"{network}: net.snn and net.npz are there already; nothing was written", *hints]
