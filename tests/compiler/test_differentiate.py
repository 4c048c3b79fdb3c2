"""Training graphs: which nodes there are, in which region, under which names; and what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snnc.compiler.frontends.snn import read
from snnc.compiler.ir.graph import Network, Node, Port, Procedure, Setting, Training
from snnc.compiler.ir.types import Type
from snnc.compiler.ops.op import OPS, lower
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.prune import prune
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.compiler.training.rule import RULES
from snnc.source import Place, SourceError

STATIC = Type.of("f16", 2, 6, 6, batched=True)
MOVING = STATIC.with_(timed=True)
PLACE = Place("net.snn", 1)

Layer = tuple[str, str, dict[str, Setting], tuple[str, ...]]


def network(image: Type, *layers: Layer, train: dict[str, Setting] | None = None) -> Network:
    """Each layer is (name, op, settings, operands); its parameters are made beside it."""
    nodes: list[Node] = []
    known = {"image": image}
    for name, op, settings, operands in layers:
        made = OPS[op].make(settings)
        parameters = made.parameter_types(*(known[value] for value in operands))
        for key, (type, init) in parameters.items():
            nodes.append(Node((f"{name}.{key}",), "parameter", (), {"init": init}, (type,), place=PLACE))
            known[f"{name}.{key}"] = type
        reads = (*operands, *(f"{name}.{key}" for key in parameters))
        types = made.infer(*(known[value] for value in reads))
        results = tuple(f"{name}.{suffix}" if suffix else name for suffix in made.results)
        nodes.append(Node(results, op, reads, settings, types, place=PLACE))
        known.update(zip(results, types, strict=True))
    return Network("net", (Port("image", image),), 4, tuple(nodes), (layers[-1][0],), train or {}, PLACE)


def layered(image: Type, **train: Setting) -> Network:
    return network(
        image,
        ("c", "conv2d", {"out": 3, "kernel": 3, "bias": False}, ("image",)),
        ("s", "lif", {}, ("c",)),
        ("p", "max_pool2d", {"kernel": 2}, ("s",)),
        ("f", "flatten", {}, ("p",)),
        ("y", "linear", {"out": 5, "bias": False}, ("f",)),
        train=train,
    )


def build(network: Network, **command: Setting) -> Training:
    return build_training(network, TrainingOptions.resolve(network, command))


def regions(procedure: Procedure) -> list[tuple[str, list[str]]]:
    return [
        (region.sweep, [f"{' '.join(name or '_' for name in node.results)} = {node.op}" for node in region.nodes])
        for region in procedure.regions
    ]


def test_bptt_runs_up_then_down_then_updates() -> None:
    assert regions(build(layered(MOVING), optimizer="sgd").procedure("train_step")) == [
        ("up", [
            "c = conv2d", "s s.h _ = lif", "p p.tap = max_pool2d", "f = flatten", "y = linear",
            "logits loss correct loss.seed = cross_entropy",
        ]),
        ("down", [
            "d.y = cross_entropy.error", "d.f = linear.d_x", "d.y.w = linear.d_w", "d.p = flatten.d_x",
            "d.s = max_pool2d.d_x", "d.c = lif.adjoint", "d.c.w = conv2d.d_w",
        ]),
        ("once", ["c.w c.w.master = sgd", "y.w y.w.master = sgd"]),
    ]  # fmt: skip


def test_what_does_not_change_with_time_runs_once_and_its_error_is_summed() -> None:
    training = build(layered(STATIC), optimizer="sgd")
    step = regions(training.procedure("train_step"))
    assert step[0] == ("once", ["c = conv2d"])
    assert step[3] == ("once", ["d.c.w = conv2d.d_w", "c.w c.w.master = sgd", "y.w y.w.master = sgd"])
    values = training.values(training.procedure("train_step"))
    assert (str(values["d.c"]), str(values["d.s"])) == ("f16[n, 3, 4, 4]", "f16[t, n, 3, 4, 4]")


def test_infer_keeps_no_tape() -> None:
    assert regions(build(layered(MOVING)).procedure("infer")) == [
        ("up", [
            "c = conv2d", "s _ _ = lif", "p _ = max_pool2d", "f = flatten", "y = linear",
            "logits loss correct _ = cross_entropy",
        ]),
    ]  # fmt: skip


def test_init_draws_masters_and_clears_the_optimizer() -> None:
    training = build(layered(MOVING), optimizer=("sgd", ("momentum", 0.9)))
    assert regions(training.procedure("init")) == [
        ("once", ["c.w c.w.master = kaiming_uniform", "c.w.m = zeros", "y.w y.w.master = kaiming_uniform",
                  "y.w.m = zeros"]),
    ]  # fmt: skip
    assert [(v.name, v.role, v.type.format, v.layer) for v in training.variables[:5]] == [
        ("image", "input", "f16", ""),
        ("label", "label", "u16", ""),
        ("c.w", "parameter", "f16", "c"),
        ("c.w.master", "master", "f32", "c"),
        ("c.w.m", "optimizer", "f32", "c"),
    ]


def residual(image: Type) -> Network:
    return network(
        image,
        ("c", "conv2d", {"out": 2, "kernel": 1, "bias": False}, ("image",)),
        ("a", "lif", {}, ("c",)),
        ("b", "lif", {}, ("c",)),
        ("m", "add", {}, ("a", "b")),
        ("k", "add", {}, ("m", "c")),
        ("f", "flatten", {}, ("k",)),
        ("y", "linear", {"out": 5, "bias": False}, ("f",)),
    )


def test_errors_of_several_readers_are_added_in_their_order() -> None:
    training = build(residual(MOVING))
    adds = [node for node in training.procedure("train_step").nodes if node.op == "add" and node.phase == "BP"]
    assert [(node.results, node.operands) for node in adds] == [
        (("d.c.sum2",), ("d.c.part1", "d.c.part2")),
        (("d.c",), ("d.c.sum2", "d.c.part3")),
    ]
    made = {node.results[0]: node for node in training.procedure("train_step").nodes}
    assert [made[f"d.c.part{k}"].layer for k in (1, 2, 3)] == ["a", "b", "k"]


def test_a_static_value_beside_a_moving_one_gets_the_sum_of_its_errors() -> None:
    step = build(residual(STATIC)).procedure("train_step")
    found = dict(regions(step)[1:])
    assert "d.c.part3.steps = add.d_b" in found["down"]
    assert "d.c.part3 = time_sum" in found["down"]
    assert found["once"][:3] == ["d.c.sum2 = add", "d.c = add", "d.c.w = conv2d.d_w"]


@pytest.mark.parametrize("image", [STATIC, MOVING], ids=["static", "moving"])
@pytest.mark.parametrize("loss", ["cross_entropy", "cross_entropy_mse", "mse_rate", "weighted_sum"])
def test_every_node_of_a_training_graph_can_be_lowered_and_every_name_is_made_once(image: Type, loss: str) -> None:
    for made in (layered(image), residual(image)):
        training = build(made, loss=loss)
        for procedure in training.procedures:
            values = training.values(procedure)
            names = [name for node in procedure.nodes for name in node.results if name]
            assert len(names) == len(set(names))
            for region in procedure.regions:
                for node in region.nodes:
                    assert node.phase in ("FP", "BP", "WG", "UP")
                    assert set(node.operands) <= set(values)
                    for statement in lower(node, values, training.steps, training.batch, region.sweep):
                        assert all(extent >= 0 for extent in statement.extents.values())


def test_a_rule_without_carry_and_with_one_sweep_needs_no_tape() -> None:
    made = layered(MOVING, loss="cross_entropy_mse", optimizer="sgd")
    options = TrainingOptions.resolve(made)
    online = RULES["sltt"].make()
    sweeps = regions(build_training(made, options, online).procedure("train_step"))
    assert [sweep for sweep, _ in sweeps] == ["up", "once"]
    assert sweeps[0][1][5:8] == [
        "logits loss correct = cross_entropy_mse", "d.y = cross_entropy_mse.error", "d.f = linear.d_x",
    ]  # fmt: skip
    assert "d.c = lif.adjoint_local" in sweeps[0][1]
    with pytest.raises(SourceError, match="sltt needs the error of a step in that step, and cross_entropy knows it"):
        build_training(made, replace(options, loss="cross_entropy"), online)


def test_only_what_leads_to_the_result_is_built() -> None:
    made = layered(MOVING)
    unused = Node(("z",), "add", ("c", "c"), {}, (made.types["c"],))
    training = build(replace(made, nodes=(*made.nodes, unused)))
    assert training == build(made)


def test_poisson_coding_makes_spikes_of_static_images() -> None:
    training = build(layered(STATIC, coding="poisson"))
    up = training.procedure("train_step").regions[0]
    assert (up.sweep, up.nodes[0].op, up.nodes[0].operands, up.nodes[1].operands[0]) == (
        "up", "poisson", ("image",), "image.spikes",
    )  # fmt: skip
    (statement,) = lower(up.nodes[0], training.values(training.procedure("train_step")), 4, 64, "up")
    assert statement.extents == {"t": 4, "n": 64, "p": 6, "q": 6, "c": 2}


def test_prune_keeps_what_writes_a_variable() -> None:
    training = build(layered(MOVING))
    step = training.procedure("train_step")
    assert prune(step, training.types) == step
    assert [node.op for node in prune(replace(step, results=()), set()).nodes] == []


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (network(STATIC, ("c", "conv2d", {"out": 2, "kernel": 1}, ("image",)), ("s", "poisson", {}, ("c",)),
                 ("f", "flatten", {}, ("s",)), ("y", "linear", {"out": 2}, ("f",))),
         "net.snn:1: bptt cannot train net: s: no error passes poisson, behind which c is trained"),
        (network(MOVING, ("c", "conv2d", {"out": 2, "kernel": 1}, ("image",)), ("s", "lif", {}, ("c",)),
                 ("f", "flatten", {}, ("s.h",)), ("y", "linear", {"out": 2}, ("f",))),
         "net.snn:1: bptt cannot train net: f: no error passes back into s.h"),
        (network(STATIC, ("f", "flatten", {}, ("image",)), ("y", "linear", {"out": 2}, ("f",))),
         "net.snn:1: y does not change with time: a network needs a neuron, or a timed port"),
        (network(MOVING, ("s", "lif", {}, ("image",))),
         "net.snn:1: cross_entropy reads one axis of classes, not spike[t, n, 2, 6, 6]"),
        (network(MOVING, ("f", "flatten", {}, ("image",)), ("loss", "linear", {"out": 2}, ("f",))),
         "net.snn:1: a value may not be called loss: that is what training answers, the loss"),
    ],
)  # fmt: skip
def test_networks_that_cannot_be_trained_are_told_why(made: Network, message: str) -> None:
    with pytest.raises(SourceError) as error:
        build(made)
    assert str(error.value) == message


def test_an_initialiser_that_does_not_fit_its_parameter_is_told_where_it_stands() -> None:
    made = network(MOVING, ("f", "flatten", {}, ("image",)), ("y", "linear", {"out": 2}, ("f",)))
    nodes = [replace(n, settings={"init": "xavier_normal"}) if n.results == ("y.b",) else n for n in made.nodes]
    with pytest.raises(SourceError) as error:
        build(replace(made, nodes=tuple(nodes)))
    assert str(error.value) == "net.snn:1: xavier_normal needs a weight with a fan-in, not f16[2]"


def test_the_command_line_beats_the_file_which_beats_the_default() -> None:
    made = layered(MOVING, batch=16, optimizer=("adam", ("lr", 0.01)), loss_scale=8)
    options = TrainingOptions.resolve(made, {"batch": 32, "steps": None})
    assert (options.batch, options.steps, options.loss_scale) == (32, 4, 8.0)
    lines = [" ".join(line.split()) for line in str(options).splitlines()]
    assert lines[0] == "batch = 32 # command line"
    assert (
        "optimizer = adam(lr=0.01, beta1=0.9, beta2=0.999, eps=1e-08, weight_decay=0.0, decay_on=all) # file" in lines
    )
    assert "rule = bptt(window=0) # default" in lines
    assert TrainingOptions.resolve(made, {"steps": 7}).steps == 7


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"optimiser": "sgd"}, "no training setting is called 'optimiser'; did you mean optimizer?"),
        ({"optimizer": "adamm"}, "no optimizer is called 'adamm'; did you mean adam?"),
        ({"optimizer": ("sgd", ("momentun", 0.9))},
         "no setting of sgd is called 'momentun'; did you mean momentum?"),
        ({"loss": "mse_rates"}, "no loss is called 'mse_rates'; did you mean mse_rate?"),
        ({"rule": "bpt"}, "no rule is called 'bpt'; did you mean bptt?"),
        ({"schedule": "cosin"}, "no schedule is called 'cosin'; did you mean cosine?"),
        ({"schedule": ("steps", ("evry", 2))}, "no setting of steps is called 'evry'; did you mean every?"),
        ({"batch": 0}, "batch of train is at least 1, not 0"),
        ({"loss_scale": 0.0}, "loss_scale of train is positive, not 0.0"),
        ({"loss_scale": "dynamik"}, "loss_scale of train is a number or dynamic, not dynamik"),
        ({"loss_scale": ("dynamic", ("growht", 2.0))},
         "no setting of dynamic is called 'growht'; did you mean growth?"),
        ({"loss_scale": ("dynamic", ("initial", 0))}, "initial of dynamic is positive, not 0.0"),
        ({"loss_scale": ("dynamic", ("growth", 1.0))}, "growth of dynamic is above 1, not 1.0"),
        ({"loss_scale": ("dynamic", ("backoff", 1.0))}, "backoff of dynamic is between 0 and 1, not 1.0"),
        ({"loss_scale": ("dynamic", ("interval", 0))}, "interval of dynamic is at least 1, not 0"),
        ({"clip": "norms"}, "no clip is called 'norms'; did you mean norm?"),
        ({"clip": "norm"}, "clip of train needs a limit, such as norm(1.0)"),
        ({"clip": ("norm", 1.0, 2.0)}, "clip of train is none, value(LIMIT) or norm(LIMIT), not [norm, 1.0, 2.0]"),
        ({"clip": ("value", -1)}, "limit of value is positive, not -1.0"),
        ({"clip": ("norm", ("limits", 1.0))}, "no setting of norm is called 'limits'; did you mean limit?"),
        ({"optimizer": ("sgd", ("decay_on", "weight"))},
         "no decay_on of sgd is called 'weight'; did you mean weights?"),
        ({"coding": "poison"}, "no coding of train is called 'poison'; did you mean poisson?"),
    ],
)  # fmt: skip
def test_options_that_do_not_exist_are_told(train: dict[str, Setting], message: str) -> None:
    with pytest.raises(SourceError) as error:
        TrainingOptions.resolve(layered(MOVING, **train))
    assert str(error.value) == f"net.snn: {message}"


NORMED = """
network normed(x: f16[t, 4]) steps 3 {
    back = delay(s) : spike[6]
    c = linear(x, out=6)
    m = batch_norm(c, scope=window)
    r = batch_norm(linear(back, out=6), scope=window)
    s = lif(add(m, r))
    return linear(s, out=2)
}
train { loss = cross_entropy_mse }
"""


def test_statistics_over_all_steps_are_refused_where_steps_follow_one_another() -> None:
    network = read(NORMED)
    options = TrainingOptions.resolve(network)
    window = "takes statistics over all time steps"
    cycle = (6, f"r {window}, and its own result comes back to it through back: scope=step does not wait")
    with pytest.raises(SourceError) as fault:
        build_training(network, options)
    assert [(f.place.line, f.message) for f in fault.value.faults] == [cycle]
    online = RULES["sltt"].make()
    with pytest.raises(SourceError) as fault:
        build_training(network, options, online)
    assert [(f.place.line, f.message) for f in fault.value.faults] == [
        (5, f"m {window}, and sltt learns in each step: scope=step does not wait"),
        (6, f"r {window}, and sltt learns in each step: scope=step does not wait"),
        cycle,
    ]


AGAIN = """
network again(x: f16[t, 4]) steps 6 {
    back = delay(s) : spike[6]
    r = lif(linear(back, out=6), tape=recompute(every=4))
    s = lif(add(linear(x, out=6), r), tape=recompute(every=3))
    u = lif(linear(s, out=6), tape=recompute(every=5))
    return linear(u, out=2)
}
train { loss = cross_entropy_mse }
"""


def test_steps_that_cannot_be_computed_again_at_once_are_refused() -> None:
    network = read(AGAIN)
    options = TrainingOptions.resolve(network)
    cycle = "steps again at once, and its own result comes back to it through back: tape=auto does not wait"
    divide = "which do not divide 6 steps: 2 or 3 or 6 would"
    told = [
        (4, f"r keeps states every 4 steps, {divide}"),
        (4, f"r computes 4 {cycle}"),
        (5, f"s computes 3 {cycle}"),
        (6, f"u keeps states every 5 steps, {divide}"),
    ]
    with pytest.raises(SourceError) as fault:
        build_training(network, options)
    assert [(f.place.line, f.message) for f in fault.value.faults] == told
    online = RULES["sltt"].make()
    with pytest.raises(SourceError) as fault:
        build_training(network, options, online)
    learns = "steps again at once, and sltt learns in each step: tape=auto does not wait"
    assert (6, f"u computes 5 {learns}") in [(f.place.line, f.message) for f in fault.value.faults]


def test_a_result_that_no_error_passes_into_is_refused() -> None:
    network = read("""network a(x: f16[4]) steps 2 {
    s = lif(linear(x, out=3))
    return s.h
    }""")
    with pytest.raises(SourceError) as fault:
        build_training(network, TrainingOptions.resolve(network))
    (told,) = fault.value.faults
    assert told.message == "s.h cannot be trained: no error passes back into it, only into s"
    assert told.place.line == 2
