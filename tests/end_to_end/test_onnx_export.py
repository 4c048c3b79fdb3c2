"""Written ONNX files: any runtime makes the same spikes of them as the oracle, and they come back as they were."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from laws import CORNERS, NARROW, NETWORKS, source_of
from numpy.typing import NDArray
from onnx import helper, inliner, numpy_helper
from onnx.reference import ReferenceEvaluator

from snnc.compiler.evaluate import Numerics, Oracle
from snnc.compiler.exports.export import Options, Written
from snnc.compiler.exports.onnx import write
from snnc.compiler.frontends import frontend, snn
from snnc.compiler.frontends.frontend import Imported, read_model
from snnc.compiler.ir.graph import Network, Setting
from snnc.compiler.ir.text import print_network
from snnc.compiler.ir.values import text_of_setting
from snnc.compiler.ops.neuron import Neuron
from snnc.compiler.ops.op import OPS, SettingFault
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.compiler.pipeline import models
from snnc.compiler.proof import prove
from snnc.source import SourceError

Array = NDArray[Any]
Runtime = Callable[[bytes, dict[str, Array]], list[Array]]

SAMPLES = 3
NEURONS = {name for name, op in OPS.items() if issubclass(op, Neuron)}


def onnxruntime(content: bytes, inputs: dict[str, Array]) -> list[Array]:
    """The file under ONNX Runtime."""
    runtime: Any = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"]).run(None, inputs)


def reference(content: bytes, inputs: dict[str, Array]) -> list[Array]:
    """The file under ONNX's own reference."""
    evaluator: Any = ReferenceEvaluator(onnx.load_model_from_string(content))
    return evaluator.run(None, inputs)


def numbers(network: Network) -> dict[str, Array]:
    """Parameters: weights that keep what passes them as large as it is, all else between 1/8 and 7/8."""
    rng = np.random.default_rng(8)
    made: dict[str, Array] = {}
    for node in network.nodes:
        if node.op == "parameter":
            (type,) = node.types
            shape = (*((network.steps,) if type.timed else ()), *type.shape)
            fan_in = np.prod(type.shape[1:]) if type.weight else 1
            drawn = rng.normal(0.0, np.sqrt(2 / fan_in), shape) if type.weight else rng.uniform(0.125, 0.875, shape)
            made[node.results[0]] = drawn.astype(np.float32)
    return made


def sample(network: Network, batch: int = SAMPLES) -> Array:
    """Something to see: bits where the port has them."""
    (port,) = network.ports
    shape = (*port.type.lead(network.steps, batch), *port.type.shape)
    x = np.random.default_rng(9).random(shape, np.float32)
    return (x < 0.25).astype(np.float32) if port.type.format == "spike" else x


def looked_at(network: Network) -> Network:
    """The network that returns all that somebody reads of its neurons, besides what it returns anyway."""
    read = {name for node in network.nodes for name in node.operands}
    made = [node.results[0] for node in network.nodes if node.op in NEURONS and node.results[0] in read]
    return replace(network, results=tuple(dict.fromkeys([*made, *network.results])))


def by_oracle(network: Network, parameters: Mapping[str, Array], x: Array) -> dict[str, Array]:
    """Values of ``infer`` in float64, by the names of the network."""
    options = TrainingOptions.resolve(
        replace(network, train={}), {"batch": x.shape[-1 - len(network.ports[0].type.axes)]}
    )
    oracle = Oracle(build_training(network, options), Numerics("f64"))
    arguments: dict[str, float] = {name: 0 if kind == "u32" else 1.0 for name, kind in oracle.training.arguments}
    arguments["valid"] = options.batch
    oracle.run("init", arguments)
    variables = {variable.name for variable in oracle.training.variables}
    for name, value in parameters.items():
        for each in {name, f"{name}.master"} & variables:
            oracle.write(each, value.astype(np.float64))
    oracle.write(network.ports[0].name, x.astype(np.float64))
    oracle.run("infer", arguments)
    found = {record.name: record for record in oracle.records()}
    return {name.removesuffix(".infer"): record.elements * record.type.scale for name, record in found.items()}


def agree(network: Network, run: Runtime = onnxruntime) -> None:
    """Everything that the network returns is the oracle's: spikes exactly, numbers but for float32's rounding."""
    parameters, x = numbers(network), sample(network)
    written = write(looked_at(network), parameters, Options())
    checker: Any = onnx.checker
    checker.check_model(onnx.load_model_from_string(written.content), full_check=True)
    results = run(written.content, {network.ports[0].name: x})
    expected = by_oracle(network, parameters, x)
    spiked = 0.0
    for name, found in zip(looked_at(network).results, results, strict=True):
        wanted = expected[name]
        wanted = np.broadcast_to(wanted, found.shape) if wanted.ndim == found.ndim else wanted
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5, err_msg=name)
        spiked += float(np.abs(found).sum())
    assert spiked, "nothing happened"


def there_and_back(network: Network, folder: Path) -> tuple[Written, Imported]:
    """The file, and what is read of it."""
    written = write(network, numbers(network), Options())
    path = folder / "written.onnx"
    path.write_bytes(written.content)
    return written, read_model(path)


def same(network: Network, read: Imported) -> None:
    """The same text with the same ``train`` section, and the same parameters bit for bit."""
    assert print_network(read.network, places=False) == print_network(network, places=False)
    assert read.network == network
    for name, array in numbers(network).items():
        assert np.array_equal(read.parameters[name], array), name
    assert read.parameters.keys() == numbers(network).keys()
    assert read.notes == ()


def network_of(name: str, neuron: str = "reset=hard") -> Network:
    """A network of the laws."""
    return snn.read(Path(source_of(name, neuron)))


# What is written is what is computed


@pytest.mark.parametrize("name", [*NETWORKS, *CORNERS])
def test_every_operator_is_written_as_the_oracle_computes_it(name: str) -> None:
    agree(network_of(name))


@pytest.mark.parametrize("name", ["cells", "recurrent"])
@pytest.mark.parametrize("run", [reference])
def test_onnx_itself_agrees(name: str, run: Runtime) -> None:
    agree(network_of(name), run)


@pytest.mark.parametrize("name", sorted(models()))
def test_the_models_that_come_along_are_written_so(name: str, tmp_path: Path) -> None:
    network = snn.read(models()[name], frontend.Options(settings=NARROW.get(name, {})))
    agree(network)
    same(network, there_and_back(network, tmp_path)[1])


CHOICES: dict[str, list[Setting]] = {
    "decay": [0.0, 0.75, 0.9, 1.0],
    "decay_input": [False, True],
    "gain": [1.0, 2.5],
    "rest": [0.0, 0.1],
    "threshold": [0.3, 0.75],
    "reset": ["hard", "soft", "none"],
    "v_reset": [0.0, -0.3],
    "reset_time": ["immediate", "delayed"],
    "compare": ["ge", "gt"],
    "detach_reset": [True],
    "initial": [0.0, 0.2],
    "amplitude": [1.0, 1.7],
    "learn_threshold": ["none", "layer", "channel"],
    "form": ["sigmoid", "clamp"],
    "each": ["layer", "channel"],
    "current_decay": [0.6],
    "excitatory_decay": [0.95, 1.0],
    "inhibitory_decay": [0.0, 0.3],
    "coupling": [0.0, 0.3],
    "jump": [0.1],
    "threshold_decay": [0.8],
    "period": [1, 3],
    "surrogate": ["atan", ("sigmoid", ("alpha", 3.0))],
}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(data=st.data(), name=st.sampled_from(sorted(NEURONS)), image=st.booleans())
def test_neurons_with_any_settings_are_written_as_the_oracle_computes_them(
    data: st.DataObject, name: str, image: bool
) -> None:
    names = [key for key in OPS[name].settings() if key in CHOICES]
    chosen = {key: data.draw(st.sampled_from(CHOICES[key]), key) for key in names if data.draw(st.booleans())}
    try:
        OPS[name].make(chosen)
    except SettingFault:
        assume(False)
    written = "".join(f", {key}={text_of_setting(value)}" for key, value in chosen.items())
    shape = "[t, 4, 3, 2]" if image else "[t, 6]"
    network = snn.read(
        f"network one(x: f16{shape}) steps 6 {{ s = {name}(x{written}); return linear(flatten(s), out=2) }}"
    )
    parameters = {name: np.full(array.shape, 0.40625, np.float32) for name, array in numbers(network).items()}
    x = np.random.default_rng(3).integers(-40, 90, (6, SAMPLES, *network.ports[0].type.shape)).astype(np.float32) / 64
    found, _ = onnxruntime(write(looked_at(network), parameters, Options()).content, {"x": x})
    far = np.abs(found - by_oracle(network, parameters, x)["s"]) > 1e-5
    # A membrane within float32 of its threshold may tell a spike apart; then that element goes its own way.
    assert far.any(0).mean() <= 0.02, (chosen, far.any(0).mean())


def test_the_number_of_a_tap_is_the_oracle_s() -> None:
    network = snn.read(
        """network taps(image: f16[2, 7, 9]) steps 2 {
            p, tap = max_pool2d(image, kernel=[3, 2], stride=[2, 3], pad=[1, 1])
            return linear(flatten(lif(p)), out=2)
        }"""
    )
    shown = replace(network, results=("tap",))
    x = sample(network)
    (found,) = onnxruntime(write(shown, numbers(network), Options()).content, {"image": x})
    windows = np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)], constant_values=-np.inf)
    for p in range(found.shape[2]):
        for q in range(found.shape[3]):
            window = windows[:, :, 2 * p : 2 * p + 3, 3 * q : 3 * q + 2].reshape(SAMPLES, 2, 6)
            assert np.array_equal(found[:, :, p, q], window.argmax(-1))


# What is written is read


@pytest.mark.parametrize("neuron", ["reset=hard", "reset=soft, surrogate=atan(alpha=2.5)"])
@pytest.mark.parametrize("name", [*NETWORKS])
def test_a_network_comes_back_as_it_was(name: str, neuron: str, tmp_path: Path) -> None:
    network = network_of(name, neuron)
    same(network, there_and_back(network, tmp_path)[1])


def test_settings_without_a_short_decimal_names_and_orders_come_back(tmp_path: Path) -> None:
    network = snn.read(
        """network odd(image: f16[1, 4, 4]) steps 3 {
            later = parameter(init=normal(std=0.1)) : weight f16[5, 1*4*4]
            spikes, membrane, bits = lif(conv2d(image, out=2, kernel=[3, 1]), decay=0.8187307530779818, threshold=1e-5)
            y = linear(flatten(image), w=later, out=5)
            back = delay(again, steps=3) : f16[5]
            again = li(add(y, back), decay=0.1)
            both = concat(again, linear(flatten(spikes), out=4))
            return linear(both, out=3)
        }
        train { optimizer = adamw(lr=3e-4, decay_on=weights); schedule = cosine(warmup=5); loss_scale = dynamic }"""
    )
    _, read = there_and_back(network, tmp_path)
    same(network, read)
    assert prove(read) is not None


def test_the_file_proves_what_was_read(tmp_path: Path) -> None:
    proof = prove(there_and_back(network_of("recurrent"), tmp_path)[1])
    assert proof is not None and proof.compared == 2 * 2 * 4 * 10 and proof.different == 0


def test_a_file_with_its_functions_spelled_out_is_recognised_like_any_other(tmp_path: Path) -> None:
    """The two ways in agree: by the names of the domain, and by what the nodes do."""
    network = network_of("csnn", "reset=soft, detach_reset=true")
    network = replace(network, steps=5)
    written, named = there_and_back(network, tmp_path)
    model = inliner.inline_local_functions(onnx.load_model_from_string(written.content))
    assert all(node.domain != "ai.snnc" for node in model.graph.node)
    path = tmp_path / "spelled.onnx"
    path.write_bytes(model.SerializeToString())
    spelled = read_model(path)
    assert [node.op for node in spelled.network.nodes if node.op in NEURONS] == ["lif", "lif"]
    x = sample(network)
    ours = by_oracle(named.network, named.parameters, x)[named.network.results[0]]
    theirs = by_oracle(spelled.network, spelled.parameters, x)[spelled.network.results[0]]
    np.testing.assert_allclose(theirs, ours, rtol=1e-12, atol=1e-12)


def by_hand(**changes: Any) -> onnx.ModelProto:
    """A file that another tool could have written: no functions, no texts, numbers in its own spelling."""
    lif = helper.make_node("lif", ["fc/out", "v"], ["s/out", "v2"], "lif", domain="ai.snnc", decay=0.9, reset="soft")
    for name, value in changes.get("lif", {}).items():
        lif.attribute.append(helper.make_attribute(name, value))
    step = [
        helper.make_node("flatten", ["row"], ["flat"], domain="ai.snnc"),
        helper.make_node("linear", ["flat", "fc.weight", "fc.bias"], ["fc/out"], "fc", domain="ai.snnc", out=3),
        lif,
    ]
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        step,
        "body",
        [value("v", 1, ["N", 3]), value("row", 1, ["N", 2, 2])],
        [value("v2", 1, None), value("s/out", 1, None)],
    )
    scan = helper.make_node("Scan", ["zero", "x"], ["end", "y"], "time", num_scan_inputs=1, body=body)
    weights = np.linspace(-0.5, 1, 12).reshape(3, 4)
    graph = helper.make_graph(
        [helper.make_node("Constant", [], ["zero"], value=numpy_helper.from_array(np.zeros((2, 3), np.float32))), scan],
        "by hand",
        [value("x", 1, [5, 2, 2, 2])],
        [value("y", 1, None)],
        [
            numpy_helper.from_array(weights, "fc.weight"),
            numpy_helper.from_array(np.full(3, 0.25, np.float16), "fc.bias"),
        ],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.snnc", 1)]
    return helper.make_model(graph, opset_imports=opsets)


def read_by_hand(folder: Path, **changes: Any) -> Imported:
    path = folder / "hand.onnx"
    path.write_bytes(by_hand(**changes).SerializeToString())
    return read_model(path)


def test_a_file_by_hand_needs_no_more_than_the_names_of_the_domain(tmp_path: Path) -> None:
    read = read_by_hand(tmp_path)
    assert print_network(read.network, places=False) == print_network(
        snn.read(
            """network by_hand(x: f16[t, 2, 2]) steps 5 {
                fc.weight = parameter()
                fc.bias = parameter()
                flat = flatten(x)
                fc.out = linear(flat, w=fc.weight, b=fc.bias, out=3)
                s.out = lif(fc.out, decay=0.9, reset=soft)
                return s.out
            }"""
        ),
        places=False,
    )
    assert read.parameters["fc.bias"].dtype == np.float32 and read.parameters["fc.bias"].tolist() == [0.25] * 3


def test_what_is_wrong_is_told_of_its_node(tmp_path: Path) -> None:
    with pytest.raises(SourceError) as error:
        read_by_hand(tmp_path, lif={"treshold": 1.0})
    assert str(error.value) == (
        f"{tmp_path}/hand.onnx, node lif: no setting of lif is called 'treshold'; did you mean threshold?\n"
        "  s.out = lif(fc.out, decay=0.9, reset=soft, treshold=1.0)"
    )
    with pytest.raises(SourceError, match=r"node lif: the attribute threshold is no setting: a number, numbers or a"):
        read_by_hand(tmp_path, lif={"threshold": [0.5, 0.25]})


def test_a_network_without_its_numbers_is_refused() -> None:
    network = network_of("digits")
    with pytest.raises(SourceError, match=r"the numbers of hidden.b \[40\] are missing: there are none"):
        write(network, {}, Options())
    with pytest.raises(SourceError, match="nothing is lost in ONNX, and --lossy has no place here"):
        write(network, numbers(network), Options(lossy=frozenset({"surrogate"})))


def test_what_training_alone_makes_is_refused_by_its_name() -> None:
    network = network_of("normed")
    with pytest.raises(SourceError, match=r"ONNX has no word for n1\.mean, which batch_norm makes in training only"):
        write(replace(network, results=("n1", "n1.mean")), numbers(network), Options())


@pytest.mark.parametrize("damage", ["order", "steps", "train", "text", "state", "operator", "cycle", "shape", "result"])
def test_a_file_of_the_domain_that_is_damaged_is_refused_with_its_place(damage: str, tmp_path: Path) -> None:
    network = network_of("recurrent")
    model = onnx.load_model_from_string(write(network, numbers(network), Options()).content)
    metadata = {entry.key: entry for entry in model.metadata_props}
    scan = next(node for node in model.graph.node if node.op_type == "Scan")
    body = next(each.g for each in scan.attribute if each.name == "body")
    nodes = {node.name: node for node in [*model.graph.node, *body.node]}
    path = tmp_path / "net.onnx"
    told = {
        "order": None,
        "steps": None,
        "train": f"{path}, snnc.train:1:9: expected a name or '}}'\n  train {{ \"loss=\": }}\n          ^",
        "text": f"{path}, node c1.w: expected a name\n  c1.w = parameter() : weight 3",
        "state": f"{path}, node b1: what a delay makes last is carried to the next step, and this is not",
        "operator": f"{path}, node s1: no operator of ai.snnc is called 'liff'; did you mean lif?",
        "cycle": f"{path}, node c1: ",
        "shape": f"{path}, node c1.b: c1.b is [18], not [3, 6]",
        "result": f"{path}, node nowhere: the output is made by no node",
    }[damage]
    match damage:
        case "order":
            metadata["snnc.order"].value = "y " + metadata["snnc.order"].value
        case "steps":
            metadata["snnc.steps"].value = "many"
        case "train":
            metadata["snnc.train"].value = 'train { "loss=": }'
        case "text":
            next(each for each in model.graph.initializer if each.name == "c1.w").doc_string = "parameter() : weight 3"
        case "state":
            nodes["b1"].output[0] = "elsewhere"
        case "operator":
            nodes["s1"].op_type = "liff"
        case "cycle":
            nodes["c1"].input[0] = "r1@t"
        case "shape":
            next(each for each in model.graph.initializer if each.name == "c1.b").dims[:] = [3, 6]
        case _:
            model.graph.output[0].name = "nowhere"
    path.write_bytes(model.SerializeToString())
    if told is None:
        read_model(path)
        return
    with pytest.raises(SourceError) as error:
        read_model(path)
    assert str(error.value).startswith(told), str(error.value)


# Neurons of the domain among nodes of other domains


def mixed(folder: Path, spell: str = "lif", outputs: int = 1, function: bool = False, **settings: Any) -> Path:
    """Sums of ONNX's own, and a neuron of the domain over the whole sequence ``[T, N, 4]``."""
    rng = np.random.default_rng(4)
    first, second = (rng.normal(0, 0.6, shape).astype(np.float32) for shape in ((3, 4), (4, 2)))
    theta = np.array([0.5, 0.75, 1.0, 0.25], np.float32)
    names = ["s", "v"][:outputs]
    lif = helper.make_node(spell, ["c", "theta"], names, "lif", domain="ai.snnc", **settings)
    nodes = [helper.make_node("MatMul", ["x", "w1"], ["c"]), lif, helper.make_node("MatMul", ["s", "w2"], ["y"])]
    value = helper.make_tensor_value_info
    tensors = [numpy_helper.from_array(a, n) for a, n in ((first, "w1"), (second, "w2"), (theta, "theta"))]
    graph = helper.make_graph(nodes, "mixed", [value("x", 1, [5, 2, 3])], [value("y", 1, None)], tensors)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.snnc", 1)]
    body = [helper.make_node("Relu", ["x"], ["s"])]  # what a runtime would do, which no reader believes
    functions = [helper.make_function("ai.snnc", "lif", ["x", "theta"], ["s"], body, opsets[:1])] if function else []
    path = folder / "mixed.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, functions=functions).SerializeToString())
    return path


@pytest.mark.parametrize("function", [False, True])
def test_a_neuron_of_the_domain_among_other_nodes_is_what_it_says(function: bool, tmp_path: Path) -> None:
    chosen: dict[str, Any] = {
        "decay": 0.75,
        "reset": "soft",
        "learn_threshold": "channel",
        "surrogate": "atan(alpha=3.0)",
    }
    read = read_model(mixed(tmp_path, function=function, **chosen))
    (neuron,) = [node for node in read.network.nodes if node.op == "lif"]
    expected = chosen | {"surrogate": ("atan", ("alpha", 3.0))}
    assert {name: neuron.settings[name] for name in chosen} == expected
    (theta,) = neuron.operands[1:]
    assert read.parameters[theta].tolist() == [0.5, 0.75, 1.0, 0.25]
    assert [node.op for node in read.network.nodes if node.op != "parameter"] == ["linear", "lif", "linear"]
    assert read.network.steps == 5


def test_a_neuron_of_the_domain_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    def told(**changes: Any) -> str:
        with pytest.raises(SourceError) as error:
            read_model(mixed(tmp_path, **changes))
        return str(error.value).replace(f"{tmp_path}/", "")

    at = "mixed.onnx, node lif: "
    assert told(spell="liff") == f"{at}ai.snnc::liff: no neuron of ai.snnc is called 'liff'; did you mean lif?"
    assert told(outputs=2) == (
        f"{at}lif: hands on its own states, and the file has no function that says how\n"
        "  try: a file of nodes of ai.snnc alone, or the neuron over the whole sequence instead"
    )
    numbers = "its attribute decay is no setting: a number, numbers or a text"
    assert told(decay=[0.5, 0.25]) == f"{at}ai.snnc::lif: {numbers}"
    misspelled = "no setting of lif is called 'treshold'; did you mean threshold?"
    assert told(treshold=1.0) == f"{at}ai.snnc::lif: {misspelled}"


# What a file says of its beginnings, of its direction, and of nothing else


FURTHER = {
    "a result far behind the last window": """network a(image: f16[2, 3, 3]) steps 2 {
        c = conv_transpose2d(image, out=6, kernel=[2, 3], stride=1, pad=[1, 0], output_pad=[1, 2], dilation=[2, 3])
        s = lif(conv_transpose2d(c, out=2, kernel=2, stride=2, output_pad=[1, 1], dilation=3, bias=false))
        return linear(flatten(s), out=3)
    }""",
    "no state at all": "network a(image: f16[t, 4]) steps 3 { return linear(relu(image), out=3) }",
    "a number that each step has": """network a(image: f16[t, 4]) steps 3 {
        return linear(scale(image, each=step), out=3)
    }""",
}


@pytest.mark.parametrize("name", FURTHER)
def test_further_networks_are_executed_and_come_back(name: str, tmp_path: Path) -> None:
    network = snn.read(FURTHER[name])
    agree(network)
    same(network, there_and_back(network, tmp_path)[1])


def test_a_parameter_that_no_node_reads_comes_back_too(tmp_path: Path) -> None:
    network = snn.read(
        """network a(image: f16[6]) steps 3 {
            w = parameter(init=kaiming_normal) : weight f16[4, 6]
            return lif(linear(image, out=4))
        }"""
    )
    _, read = there_and_back(network, tmp_path)
    assert [note.message for note in read.notes] == ["w is never used"]
    same(network, replace(read, notes=()))


def test_a_file_without_functions_is_read_and_not_run(tmp_path: Path) -> None:
    read = read_by_hand(tmp_path)
    assert read.run is None and prove(read) is None


def test_coding_is_told_for_no_runtime_knows_of_it() -> None:
    network = snn.read(
        """network a(image: f16[4]) steps 3 { return linear(lif(image), out=3) }
        train { coding = poisson }"""
    )
    (note,) = write(network, numbers(network), Options()).notes
    assert str(note) == (
        "<text>:2:17: warning: coding = poisson stands in the train section alone: runtimes see samples as they are"
    )


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("backwards", "node time: scan_input_directions other than 0 cannot be read"),
        ("another beginning", "node s1: a state begins with 0.5, and that of lif with 0"),
        ("no beginning", "node s1: a state begins with no number that all of it has, and that of lif with 0"),
        ("a state too many", "node s1: lif carries 1 states with these settings, and not 2"),
        ("another input", "the texts beside its inputs hold more than they name"),
        ("many digits", None),
        ("results that are a number", "node s1: no setting of lif is called 'results'; did you mean rest?"),
        ("a comment", "node s1: the attribute surrogate is no setting: a number, numbers or a text"),
    ],
)
def test_what_a_file_says_otherwise_than_its_operators_is_refused(
    damage: str, told: str | None, tmp_path: Path
) -> None:
    network = network_of("recurrent")
    model = onnx.load_model_from_string(write(network, numbers(network), Options()).content)
    scan = next(node for node in model.graph.node if node.op_type == "Scan")
    body = next(each.g for each in scan.attribute if each.name == "body")
    nodes = {node.name: node for node in [*model.graph.node, *body.node]}
    place = [value.name for value in body.input].index("s1:v@t-1")
    match damage:
        case "backwards":
            scan.attribute.append(helper.make_attribute("scan_input_directions", [1]))
        case "another beginning":
            begin = next(node for node in model.graph.node if node.output[0] == scan.input[place])
            begin.attribute[0].t.CopyFrom(numpy_helper.from_array(np.array([0.5], np.float32)))
        case "no beginning":
            scan.input[place] = "image"
        case "a state too many":
            nodes["s1"].input.append(body.input[1 - place].name if place < 2 else body.input[0].name)
            nodes["s1"].input[-1] = next(v.name for v in body.input if v.name.startswith("s2:"))
        case "another input":
            model.graph.input[0].doc_string += ", other: f16[3]"
        case "many digits":
            next(entry for entry in model.metadata_props if entry.key == "snnc.steps").value = "9" * 5000
        case "results that are a number":
            nodes["s1"].attribute.append(helper.make_attribute("results", 3))
        case _:
            next(each for each in nodes["s1"].attribute if each.name == "surrogate").s = b"atan) # "
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    if told is None:
        assert read_model(path).network.steps == 1
        return
    with pytest.raises(SourceError) as error:
        read_model(path)
    assert told in str(error.value)
