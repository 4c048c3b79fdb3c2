"""Modules of any kind: what is read of them, what is told, and what is refused with its place and a way out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from networks import CASES, framework, recurrent

from snnc.pytorch import installed
from snnc.pytorch.bring import from_torch
from snnc.pytorch.give_back import to_torch
from snnc.source import DataError, SnncError, SourceError


def torch() -> Any:
    return framework("torch")


def module(forward: Callable[[Any, Any], Any], **parts: Any) -> Any:
    """A module called Own, with parts and a forward."""
    base: Any = torch().nn.Module

    class Own(base):
        def __init__(self) -> None:
            base.__init__(self)
            for name, part in parts.items():
                setattr(self, name, part)

        def forward(self, x: Any) -> Any:
            return forward(self, x)

    return Own()


def fired(x: Any) -> Any:
    """A surrogate as one writes it by hand: a rectangle."""
    function: Any = torch().autograd.Function

    class Fire(function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return (x >= 0).float()

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            (x,) = ctx.saved_tensors
            return gradients[0] * (x.abs() < 0.5).float()

    return Fire.apply(x)


def leaky(self: Any, x: Any) -> Any:
    """A neuron without any framework, whose state is an attribute."""
    current = x @ self.w + self.b
    if self.v is None or self.v.shape != current.shape:
        self.v = torch().zeros_like(current)
    self.v = 0.8 * self.v + current
    spikes = fired(self.v - 1)
    self.v = self.v - spikes
    return self.fc(spikes)


def own() -> Any:
    nn = torch().nn
    torch().manual_seed(0)
    parameters = {"w": nn.Parameter(0.5 * torch().randn(20, 16)), "b": nn.Parameter(torch().rand(16))}
    return module(leaky, v=None, fc=nn.Linear(16, 5), **parameters)


def told(error: pytest.ExceptionInfo[SnncError]) -> list[str]:
    return str(error.value).splitlines()


def messages(found: Any, kind: str) -> list[str]:
    return [str(note.message) for note in found.notes if note.kind == kind]


def node(found: Any, op: str) -> Any:
    return next(node for node in found.network.nodes if node.op == op)


# What is read


def test_a_neuron_written_by_hand_is_found_and_its_weights_go_back_transposed() -> None:
    made = own()
    found = from_torch(made, torch().rand(3, 20), 6, surrogate="rect(alpha=1)", detach_reset=False)
    proof = found.prove()
    assert proof is not None and (proof.different, proof.compared) == (0, 120)
    lif = node(found, "lif")
    assert (lif.settings["decay"], lif.settings["reset"]) == (0.8, "soft")
    assert lif.settings["surrogate"] == ("rect", ("alpha", 1.0))
    assert list(found.parameters) == ["w.transposed", "b", "fc.weight", "fc.bias"]
    assert np.array_equal(found.parameters["w.transposed"], made.w.detach().numpy().T)
    changed = {name: 2 * value for name, value in found.parameters.items()}
    before = made.w.detach().clone()
    assert torch().equal(to_torch(changed, made).w, 2 * before)


def test_what_a_module_by_hand_does_not_say_is_told_in_keywords() -> None:
    found = from_torch(own(), torch().rand(3, 20), 6)
    assert messages(found, "assumption")[:2] == [
        "surrogate=triangle (the module says none; surrogate=)",
        "gradients pass through the reset (the module does not say; detach_reset=)",
    ]


def over_time(way: Callable[[Any], Any], size: float = 3.0) -> Any:
    """A module that returns something of the spikes of all its steps."""
    snntorch, nn = framework("snntorch"), torch().nn
    torch().manual_seed(1)
    made = module(
        lambda self, x: way(torch().stack([self.lif(self.fc(row)) for row in x])),
        fc=nn.Linear(20, 5),
        lif=snntorch.Leaky(0.9, init_hidden=True),
    )
    with torch().no_grad():
        for parameter in made.parameters():
            parameter.mul_(size)
    return from_torch(made, torch().rand(6, 3, 20), 6, call="all", time_axis=0)


OVER_TIME: list[tuple[Callable[[Any], Any], str]] = [
    (lambda spikes: spikes.sum(0), "the sum"),
    (lambda spikes: 4 * spikes.mean(0), "4 times the mean"),
    (lambda spikes: spikes.sum(0) * 0.5, "0.5 times the sum"),
]


@pytest.mark.parametrize(("way", "called"), OVER_TIME)
def test_a_result_that_is_not_the_mean_over_time_is_told(way: Callable[[Any], Any], called: str) -> None:
    assert messages(over_time(way), "warning") == [
        f"the result is {called} over time, and losses here see the mean: the network trains on other logits; return "
        "the mean, or scale the layer before"
    ]


def test_the_mean_over_time_is_told_and_compared_alone() -> None:
    means = over_time(lambda spikes: spikes.mean(0)), over_time(lambda spikes: spikes.sum(0) / 6)
    for found in means:
        assert "the result is the mean over time: here it has every step" in messages(found, "recovered")
        assert not messages(found, "warning")
        assert str(found.prove()) == (
            "the module gives the same 20 elements of the result for all 6 steps together, on 4 random samples"
        )
    assert not any("over time" in note.message for note in over_time(lambda spikes: spikes).notes)


def test_a_comparison_of_nothing_is_no_proof() -> None:
    """Inputs are scaled up until something fires, and where nothing does, that is said."""
    quiet = over_time(lambda spikes: spikes, 0.0).prove()
    assert (quiet.different, quiet.nonzero, quiet.silent) == (0, 0, ("lif",))
    assert str(quiet) == (
        "the module gives the same 120 elements of the result in 6 steps, on 4 random samples; warning: all are zero, "
        "for nothing fired: the comparison tells nothing"
    )
    faint = over_time(lambda spikes: spikes, 0.2).prove()
    assert faint.different == 0 and faint.nonzero > 0 and not faint.silent


def test_what_the_user_says_of_a_neuron_is_not_told_as_its_own() -> None:
    snntorch, nn = framework("snntorch"), torch().nn
    made = nn.Sequential(nn.Linear(20, 16), snntorch.Leaky(0.9, init_hidden=True))
    x = torch().rand(3, 20)

    def said(**options: Any) -> list[str]:
        return [each for each in messages(from_torch(made, x, 4, **options), "recovered") if "snnTorch" in each]

    assert said() == ["surrogate=atan(alpha=2.0), detach_reset=true, as snnTorch computes it"]
    assert said(detach_reset=False) == ["surrogate=atan(alpha=2.0), as snnTorch computes it"]
    assert said(surrogate="atan(alpha=3)") == ["detach_reset=true, as snnTorch computes it"]
    assert said(surrogate="atan(alpha=3)", detach_reset=True) == []


def test_an_ordinary_network_becomes_one_of_neurons() -> None:
    nn = torch().nn
    made = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.25), nn.Flatten(), nn.Linear(144, 7)
    )
    image = torch().rand(3, 1, 8, 8)
    found = from_torch(made, image, 4, spiking={"relu": "lif(decay=0.9)"}, train={"loss": "cross_entropy", "batch": 8})
    assert [node.op for node in found.network.nodes if node.op != "parameter"] == [
        "conv2d", "batch_norm", "lif", "dropout", "flatten", "linear",
    ]  # fmt: skip
    assert (node(found, "lif").settings["decay"], node(found, "dropout").settings["p"]) == (0.9, 0.25)
    assert node(found, "dropout").settings["mask"] == "step"
    assert found.network.train == {"loss": "cross_entropy", "batch": 8}
    assert set(found.parameters) == {f"n{entry}" for entry in made.state_dict() if "tracked" not in entry}
    assert found.network.steps == 4 and not found.network.ports[0].type.timed
    assert found.prove() is None  # it is another network than the module
    bare = from_torch(made, image, 1)
    assert messages(bare, "warning") == ['relu stays as it is; spiking={"relu": "lif(decay=0.5)"} makes neurons of it']
    proof = bare.prove()
    assert proof is not None and proof.different == 0


def test_elements_that_spikingjelly_drops_stay_out_in_all_steps() -> None:
    torch()
    layer, neuron = (framework(f"spikingjelly.activation_based.{name}") for name in ("layer", "neuron"))
    made = torch().nn.Sequential(layer.Linear(20, 10), neuron.LIFNode(), layer.Dropout(0.3), layer.VotingLayer(2))
    framework("spikingjelly.activation_based.functional").set_step_mode(made, "m")
    found = from_torch(made, torch().rand(4, 3, 20), 4, time_axis=0)
    assert node(found, "dropout").settings["mask"] == "batch"
    assert node(found, "vote").settings["size"] == 2


def test_constants_of_a_neuron_that_differ_are_trained_and_told() -> None:
    snntorch, nn = framework("snntorch"), torch().nn
    beta, threshold = torch().linspace(0.5, 0.9, 16), torch().linspace(0.4, 0.8, 16)
    made = nn.Sequential(nn.Linear(20, 16), snntorch.Leaky(beta, threshold=threshold, init_hidden=True))
    found = from_torch(made, torch().rand(3, 20), 5)
    assert np.array_equal(found.parameters["n1.beta"], beta.numpy())
    assert np.array_equal(found.parameters["n1.threshold"], threshold.numpy())
    assert (node(found, "plif").settings["each"], node(found, "plif").settings["learn_threshold"]) == ("channel",) * 2
    for entry in ("1.beta", "1.threshold"):
        expected = f"{entry} differs from element to element: it is trained here, and a constant of the module"
        assert expected in messages(found, "assumption")
    proof = found.prove()
    assert proof is not None and proof.different == 0


@pytest.mark.parametrize("kind", ["Synaptic", "Alpha"])
def test_a_learned_decay_behind_a_current_is_refused(kind: str) -> None:
    nn = torch().nn
    neuron = getattr(framework("snntorch"), kind)(alpha=0.9, beta=0.8, learn_beta=True, init_hidden=True)
    with pytest.raises(SourceError) as error:
        from_torch(nn.Sequential(nn.Linear(20, 16), neuron, nn.Linear(16, 5)), torch().rand(3, 20), 5)
    assert told(error) == [
        "Sequential, node 1: carries state from step to step, and is no neuron that there is: its decay is learned, "
        "which only a membrane without a current has, whose input has no gain",
        "  try: a neuron of docs/neurons.md in its place",
    ]


def test_a_learned_number_that_is_a_constant_here_is_told_and_asked_for_on_the_way_back() -> None:
    snntorch, nn = framework("snntorch"), torch().nn
    neuron = snntorch.Synaptic(alpha=0.8, beta=0.9, learn_alpha=True, init_hidden=True)
    made = nn.Sequential(nn.Linear(20, 16), neuron, nn.Linear(16, 5))
    found = from_torch(made, torch().rand(3, 20), 5)
    assert "1.alpha is a parameter of the module and a constant here: it is not trained" in messages(
        found, "assumption"
    )
    with pytest.raises(DataError) as error:
        to_torch(found.parameters, made)
    assert told(error) == [
        "<trained>: has nothing for 1.alpha, which is a parameter of the module",
        "  try: strict=False, which leaves it as it is",
    ]
    assert to_torch(found.parameters, made, strict=False) is made


def test_shared_weights_and_computed_ones_cannot_go_back() -> None:
    snntorch, nn = framework("snntorch"), torch().nn
    made = module(
        lambda self, x: self.out(self.two(self.fc(self.one(self.fc(x)))) @ self.v.abs()),
        fc=nn.Linear(16, 16),
        one=snntorch.Leaky(0.9, init_hidden=True),
        two=snntorch.Leaky(0.9, init_hidden=True),
        v=nn.Parameter(torch().randn(16, 4)),
        out=nn.Linear(4, 3),
    )
    found = from_torch(made, torch().rand(3, 16), 5)
    (computed,) = [name for name in found.parameters if name.endswith(".w")]
    assert np.array_equal(found.parameters[computed], made.v.detach().abs().numpy().T)
    warned = messages(found, "warning")
    assert warned == [
        f"{computed} is computed from the state of the module: it is trained, and cannot go back",
        "fc.weight is used in several places, which are trained apart: it cannot go back",
        "fc.bias is used in several places, which are trained apart: it cannot go back",
    ]
    before = {entry: value.clone() for entry, value in made.state_dict().items()}
    apart = {**found.parameters, "fc.weight.again1": found.parameters["fc.weight.again1"] + 1}
    with pytest.raises(DataError) as error:
        to_torch(apart, made)
    assert told(error) == [
        "<trained>: fc.weight is used in several places, which were trained apart",
        f"<trained>: {computed} is no entry of the module's state, nor one that was moved: it was computed, or is of "
        "another module",
        "<trained>: has nothing for v, which is a parameter of the module",
        "  try: strict=False, which leaves it as it is",
    ]
    assert all(torch().equal(value, before[entry]) for entry, value in made.state_dict().items())


def test_a_diagonal_that_norse_does_not_train_stays_as_it_is() -> None:
    framework("norse")
    made = recurrent(autapses=False)
    found = from_torch(made, torch().rand(3, 20), 5)
    assert messages(found, "warning") == [
        "the diagonal of 1.recurrent_weights is not trained in Norse (autapses=False), and is here"
    ]
    assert to_torch(found.parameters, made) is made
    changed = {**found.parameters, "n1.recurrent_weights": found.parameters["n1.recurrent_weights"] + 1}
    with pytest.raises(DataError) as error:
        to_torch(changed, made)
    assert told(error) == [
        "<trained>: the diagonal of 1.recurrent_weights was trained, and the module keeps its own (autapses=False)",
        "  try: strict=False, which leaves the diagonal as it is",
        "  try: autapses=True, in the module that is trained",
    ]
    weights = to_torch(changed, made, strict=False)[1].recurrent_weights.detach()
    assert not weights.diagonal().any()
    off = ~torch().eye(16, dtype=torch().bool)
    assert torch().equal(weights[off], torch().from_numpy(changed["n1.recurrent_weights"])[off])
    assert not messages(from_torch(recurrent(autapses=True), torch().rand(3, 20), 5), "warning")


def test_a_gradient_of_norse_that_there_is_not_here_is_told() -> None:
    framework("norse")
    case = CASES["norse_refractory"]
    found = from_torch(case.built(), case.input(), case.steps)
    assert "surrogate=norse_triangle(alpha=0.3), detach_reset=false, as Norse computes it" in messages(
        found, "recovered"
    )
    assert messages(found, "warning") == [
        "Norse's gradient also passes through the counter of how long it waits, and here it does not"
    ]


def test_numbers_beyond_f16_are_told() -> None:
    nn = torch().nn
    made = nn.Sequential(nn.Linear(4, 2))
    with torch().no_grad():
        made[0].weight.fill_(0.5)
        made[0].bias.copy_(torch().tensor([1e6, 0.1]))
    found = from_torch(made, torch().rand(3, 4), 1)
    assert messages(found, "warning") == ["n0.bias has 1 elements beyond f16, which ends at 65504"]
    assert messages(found, "assumption")[-1] == (
        "machines that work in f16 round 1 of 10 elements of the parameters, by at most 2.4e-05; masters, and what "
        "goes back, keep float32"
    )


@pytest.mark.parametrize("name", ["snntorch_hidden", "spikingjelly_all", "spikingjelly_soft"])
def test_the_number_of_steps_changes_nothing_but_the_number_of_steps(name: str) -> None:
    """Whether the run was shorter, as long, or longer than the network's time."""
    case = CASES[name]
    made = case.built()
    found: list[Any] = []
    for steps in (2, 4, 16):
        x = torch().rand((steps, 2, *case.shape) if case.timed else (2, *case.shape))
        found.append(from_torch(made, x, steps, **case.options))
    assert [each.network.steps for each in found] == [2, 4, 16]
    for each in found[1:]:
        assert replace(each.network, steps=2) == found[0].network
        assert all(np.array_equal(value, found[0].parameters[key]) for key, value in each.parameters.items())


# What is refused


def refused(make: Callable[[], Any], shape: tuple[int, ...], steps: int, **options: Any) -> list[str]:
    made = make()
    with pytest.raises(SourceError) as error:
        from_torch(made, torch().rand(shape), steps, **options)
    return told(error)


WAYS = [
    "  try: time_axis, which says whether and where example_input has time steps",
    "  try: call, which says whether a call of the module does a single 'step' or 'all' of them",
]


def test_what_is_said_of_time_must_fit_the_module_and_its_input() -> None:
    make = own
    assert refused(make, (3, 20), 0, time_axis=2, call="some") == [
        "Own: steps is 0; a network runs for at least one",
        "Own: time_axis is 2; time runs along axis 0 or axis 1, or the input is static (None)",
        "Own: call is 'some'; a call does a single 'step', or 'all' of them",
    ]
    assert refused(make, (20,), 4) == ["Own: example_input is [20], and [n, ...] is needed: samples have an axis"]
    assert refused(make, (3, 20), 4, time_axis=1) == [
        "Own: example_input is [3, 20], and [n, T, ...] is needed: samples have an axis"
    ]
    assert refused(make, (3, 7, 20), 4, time_axis=1) == [
        "Own: axis 1 of example_input has 7 time steps, and steps says 4"
    ]
    with pytest.raises(SourceError) as error:
        from_torch(own(), [1.0], 4)
    assert told(error) == ["Own: example_input is a tensor of floating point, as the module is given in training"]
    with pytest.raises(SourceError) as error:
        from_torch(len, torch().rand(3, 20), 4)
    assert told(error) == ["builtin_function_or_method: is no torch.nn.Module"]


def test_a_module_that_fails_or_answers_otherwise_is_told_with_the_ways_to_say_it() -> None:
    assert refused(own, (3, 19), 4) == [
        "Own: fails on an input of [2, 19]: RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x19 and 20x16)",
        *WAYS,
    ]
    assert refused(lambda: CASES["snntorch_static_loop"].built(), (3, 20), 6) == [
        "Net: gives [6, 2, 5] for an input of [2, 20]; one result a sample was expected",
        *WAYS,
    ]
    assert refused(lambda: CASES["snntorch_static_loop"].built(), (3, 20), 9, call="all") == [
        "Net: a call does 6 time steps, and steps says 9"
    ]


def test_operations_that_are_not_read_are_told_together() -> None:
    nn = torch().nn

    def make() -> Any:
        parts = {"fc": nn.Linear(20, 16), "ln": nn.LayerNorm(16), "act": nn.GELU()}
        return module(lambda self, x: self.act(self.ln(self.fc(x))).flip(1), **parts)

    assert refused(make, (3, 20), 4) == [
        "Own: aten.flip.default is no operation that is read",
        "Own, node act: aten.gelu.default is no operation that is read",
        "  try: relu, sigmoid or tanh instead",
        "Own, node ln: aten.native_layer_norm.default is no operation that is read",
        "  try: batch normalization instead",
    ]


def test_a_past_that_cannot_be_forgotten_is_refused() -> None:
    def make() -> Any:
        made = own()
        with torch().no_grad():
            made(torch().ones(2, 20))
        return made

    assert refused(make, (2, 20), 4) == [
        "Own: v holds what an earlier run has left, and is carried on from step to step",
        "  try: a module whose states were reset",
    ]


def test_neurons_of_both_step_modes_are_ambiguous() -> None:
    torch()
    layer, neuron = (framework(f"spikingjelly.activation_based.{name}") for name in ("layer", "neuron"))

    def make() -> Any:
        first, second = neuron.LIFNode(step_mode="m"), neuron.LIFNode(step_mode="s")
        return torch().nn.Sequential(first, layer.MultiStepContainer(second))

    assert refused(make, (4, 3, 20), 4, time_axis=0) == [
        "Sequential: has neurons of step_mode 's' and of step_mode 'm': a call may do one time step, or all of them",
        "  try: call='step' or call='all'",
    ]
    found = from_torch(make(), torch().rand(4, 3, 20), 4, time_axis=0, call="all")
    assert [node.op for node in found.network.nodes] == ["lif", "lif"]


def test_states_that_forward_does_not_take_back_are_refused() -> None:
    base: Any = torch().nn.Module

    class Two(base):
        def forward(self, x: Any, state: Any = None) -> Any:
            return x, x, x

    assert refused(Two, (3, 4), 4) == [
        "Two: a call gives 2 values beside its result, and forward takes 1 beside its input",
        "  try: a forward that takes back the states that it gives",
    ]


def test_networks_are_written_as_text_of_the_language_only(tmp_path: Any) -> None:
    found = from_torch(own(), torch().rand(3, 20), 4)
    with pytest.raises(DataError) as error:
        found.save(tmp_path / "net.onnx")
    assert told(error) == [
        f"{tmp_path / 'net.onnx'}: a network is written as .snn, and its parameters beside it as .npz"
    ]


def test_without_pytorch_there_is_one_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(installed, "import_module", missing)
    for call in (lambda: from_torch(None, None, 1), lambda: to_torch({}, None)):
        with pytest.raises(SourceError) as error:
            call()
        assert told(error) == [
            "PyTorch is not installed, and only PyTorch can run a module",
            "  try: pip install 'snnc[torch]'",
        ]
