"""ONNX files with their time spelled out: the network in them is found, whatever the spelling, and is theirs."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import helper
from onnx.reference import ReferenceEvaluator
from onnx_files import BATCH, INPUTS, Neuron, Writer, network
from onnx_files import NEURONS as NEURON_COUNT

from snnc.compiler.evaluate import Numerics, Oracle
from snnc.compiler.frontends.frontend import Imported, Options, Unsaid, read_model
from snnc.compiler.ir.graph import Node
from snnc.compiler.ir.text import print_network
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.training_options import TrainingOptions
from snnc.source import SourceError

ARGUMENTS: dict[str, float] = {
    "valid": 2, "learning_rate": 0.1, "loss_scale": 1.0, "seed": 0, "step": 0, "correction1": 1.0, "correction2": 1.0,
}  # fmt: skip


def outputs_of(imported: Imported, x: NDArray[Any]) -> NDArray[Any]:
    """The result of the network in every step, in float64."""
    network = replace(imported.network, train={"batch": BATCH})
    oracle = Oracle(build_training(network, TrainingOptions.resolve(network)), Numerics("f64"))
    oracle.run("init", ARGUMENTS)
    names = {variable.name for variable in oracle.training.variables}
    for name, value in imported.parameters.items():
        for each in {name, f"{name}.master"} & names:
            oracle.write(each, np.asarray(value, np.float64))
    oracle.write(network.ports[0].name, np.asarray(x, np.float64))
    oracle.run("infer", ARGUMENTS)
    return oracle.read(network.results[0])


def as_onnx(path: Path, x: NDArray[Any]) -> NDArray[Any]:
    """The same by ONNX's own reference."""
    evaluator: Any = ReferenceEvaluator(onnx.load_model_from_string(path.read_bytes()))
    return np.asarray(evaluator.run(None, {"x": x.astype(np.float32)})[0])


def neuron_of(imported: Imported) -> Node:
    """The one neuron."""
    (node,) = [node for node in imported.network.nodes if "reset" in node.settings]
    return node


NEURONS = [
    Neuron(reset=reset, delayed=delayed, strict=strict, decay_input=decay_input, spelling=spelling)
    for (reset, delayed), strict, decay_input, spelling in product(
        [("hard", False), ("soft", False), ("none", False), ("soft", True), ("hard", True)],
        (True, False),
        (True, False),
        (0, 1, 2),
    )
] + [
    Neuron(decay=1.0, reset="soft"),
    Neuron(decay=1.0, reset="hard", threshold=0.625),
    Neuron(current_decay=0.5, reset="hard"),
    Neuron(current_decay=0.5, reset="soft", delayed=True, decay=0.875),
    Neuron(current_decay=0.25, reset="soft", decay_input=True, strict=False),
    Neuron(threshold=0.3, decay=0.95, decay_input=True),
]


@pytest.mark.parametrize("neuron", NEURONS, ids=str)
def test_a_neuron_is_recognised_by_what_it_does(neuron: Neuron, tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", neuron)
    imported = read_model(path)
    found = neuron_of(imported)
    assert found.op == ("cuba" if neuron.current_decay is not None else "if" if neuron.decay == 1.0 else "lif")
    expected = {
        "threshold": neuron.threshold,
        "reset": neuron.reset,
        "reset_time": "delayed" if neuron.delayed else "immediate",
        "compare": "gt" if neuron.strict else "ge",
    }
    if found.op != "if":
        expected |= {"decay": neuron.decay, "decay_input": neuron.decay_input}
    if neuron.current_decay is not None:
        expected["current_decay"] = neuron.current_decay
    assert {name: found.settings[name] for name in expected} == expected
    x = np.random.default_rng(5).normal(0, 1, (6, BATCH, INPUTS))
    np.testing.assert_allclose(outputs_of(imported, x.astype(np.float32)), as_onnx(path, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("spelling", [0, 1])
def test_spikes_that_come_back_are_delayed(spelling: int, tmp_path: Path) -> None:
    """Through a sum that is added before the neuron, or inside of it."""
    path = network(tmp_path / "net.onnx", Neuron(reset="soft", spelling=spelling, recurrent=True))
    imported = read_model(path)
    layers = [node.op for node in imported.network.nodes if node.op != "parameter"]
    assert sorted(layers) == sorted(["linear", "delay", "linear", "add", "lif", "linear"])
    x = np.random.default_rng(5).normal(0, 1, (6, BATCH, INPUTS))
    np.testing.assert_allclose(outputs_of(imported, x.astype(np.float32)), as_onnx(path, x), rtol=1e-5, atol=1e-5)


def test_constants_that_differ_from_neuron_to_neuron_become_parameters(tmp_path: Path) -> None:
    decays, thresholds = np.linspace(0.25, 0.875, NEURON_COUNT), np.linspace(0.5, 1.375, NEURON_COUNT)
    path = network(tmp_path / "net.onnx", Neuron(decay=decays, threshold=thresholds, reset="soft", spelling=1))
    imported = read_model(path)
    found = neuron_of(imported)
    assert (found.op, found.settings["form"], found.settings["learn_threshold"]) == ("plif", "clamp", "channel")
    _, w, theta = found.operands
    np.testing.assert_allclose(imported.parameters[w], decays, rtol=1e-6)
    np.testing.assert_allclose(imported.parameters[theta], thresholds, rtol=1e-6)
    x = np.random.default_rng(5).normal(0, 1, (6, BATCH, INPUTS))
    np.testing.assert_allclose(outputs_of(imported, x.astype(np.float32)), as_onnx(path, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("static", [False, True])
def test_the_number_of_steps_that_are_spelled_out_changes_nothing_else(static: bool, tmp_path: Path) -> None:
    short, long = (read_model(network(tmp_path / "net.onnx", Neuron(), steps, static)) for steps in (4, 16))
    assert (short.network.steps, long.network.steps) == (4, 16)
    texts = [print_network(replace(each.network, steps=1)) for each in (short, long)]
    assert texts[0] == texts[1]
    for one, other in zip(short.parameters.values(), long.parameters.values(), strict=True):
        assert np.array_equal(one, other)


def test_an_input_that_is_the_same_in_every_step_is_static(tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", Neuron(spelling=1), static=True)
    imported = read_model(path)
    (port,) = imported.network.ports
    assert str(port.type) == f"f16[n, {INPUTS}]"
    x = np.random.default_rng(6).normal(0.5, 1, (BATCH, INPUTS))
    np.testing.assert_allclose(outputs_of(imported, x.astype(np.float32)), as_onnx(path, x), rtol=1e-5, atol=1e-5)


def test_a_leaky_sum_at_the_end_is_a_readout(tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", Neuron(reset="soft"), readout=True)
    imported = read_model(path)
    assert imported.network.nodes[-1].op == "li"
    assert imported.network.nodes[-1].settings["decay"] == 0.9
    x = np.random.default_rng(7).normal(0, 1, (6, BATCH, INPUTS))
    np.testing.assert_allclose(outputs_of(imported, x.astype(np.float32)), as_onnx(path, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("decay_input", [False, True])
def test_a_reset_to_another_potential(decay_input: bool, tmp_path: Path) -> None:
    """Where the input decays, the membrane leaks to that potential, too; it begins there, as the file tells."""
    neuron = Neuron(v_reset=-0.25, reset="hard", strict=False, decay_input=decay_input)
    path = network(tmp_path / "net.onnx", neuron)
    imported = read_model(path)
    settings = neuron_of(imported).settings
    assert (settings["v_reset"], settings["initial"]) == (-0.25, -0.25)
    assert settings["rest"] == pytest.approx(-0.25 if decay_input else 0.0)
    assert not any("begin at v_reset" in note.message for note in imported.notes)
    x = np.random.default_rng(5).normal(0, 1, (6, BATCH, INPUTS))
    np.testing.assert_allclose(outputs_of(imported, x.astype(np.float32)), as_onnx(path, x), rtol=1e-5, atol=1e-5)


def test_a_constant_that_no_sum_can_take_over_is_refused_and_not_lost(tmp_path: Path) -> None:
    write = Writer()
    weight, known = write.constant(np.eye(5)), write.constant(np.linspace(0.1, 0.5, 5))
    v = write.constant(np.zeros((BATCH, 5)))
    rows: list[str] = []
    for number in range(4):
        x = write("Gather", "x", write.constant(number, np.int64), axis=0)
        drive = write("Tanh", write("MatMul", x, weight))
        h = write("Add", write("Add", write("Mul", v, write.constant(0.5)), known), drive)
        s = write("Cast", write("Greater", h, write.constant(1.0)), to=1)
        v = write("Sub", h, s)
        rows.append(write("Unsqueeze", s, write.constant([0], np.int64)))
    path = write.save(tmp_path / "net.onnx", [4, BATCH, 5], [write("Concat", *rows, axis=0)])
    assert "adds a constant to its input in every step, which Tanh" in told(path)


def test_what_the_file_does_not_say_is_told(tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", Neuron())
    notes = [(note.kind, note.message) for note in read_model(path).notes]
    assert notes == [
        ("recovered", "one time step out of 6 that the file spells out"),
        ("recovered", "lif(decay=0.75, threshold=1, reset=hard, compare=gt)"),
        ("assumption", "surrogate=triangle (ONNX says none; --surrogate)"),
        ("assumption", "gradients pass through the reset (ONNX does not say; --detach-reset)"),
    ]
    said = Unsaid(surrogate=("atan", ("alpha", 2.0)), detach_reset=True)
    imported = read_model(path, Options(unsaid=said))
    assert [note.kind for note in imported.notes] == ["recovered", "recovered"]
    found = neuron_of(imported).settings
    assert (found["surrogate"], found["detach_reset"]) == (("atan", ("alpha", 2.0)), True)


def test_ordinary_networks_keep_their_activations_or_get_neurons(tmp_path: Path) -> None:
    write = Writer()
    hidden = write("Relu", write("Gemm", "x", write.constant(np.eye(4, 5)), transB=1))
    path = write.save(tmp_path / "net.onnx", ["batch", 5], [write("MatMul", hidden, write.constant(np.ones((4, 3))))])
    imported = read_model(path)
    assert [node.op for node in imported.network.nodes if node.op != "parameter"] == ["linear", "relu", "linear"]
    assert imported.network.steps == 1
    x = np.random.default_rng(8).normal(0, 1, (1, BATCH, 5))
    np.testing.assert_allclose(outputs_of(imported, x)[0], as_onnx(path, x[0]), rtol=1e-5)
    spiking = read_model(path, Options(steps=4, unsaid=Unsaid(spiking={"relu": ("lif", ("decay", 0.9))})))
    assert [node.op for node in spiking.network.nodes if node.op != "parameter"] == ["linear", "lif", "linear"]
    assert (spiking.network.steps, neuron_of(spiking).settings["decay"]) == (4, 0.9)


def test_what_speaks_of_neurons_where_there_are_none_is_told(tmp_path: Path) -> None:
    write = Writer()
    hidden = write("Tanh", write("MatMul", "x", write.constant(np.eye(5))))
    path = write.save(tmp_path / "net.onnx", [BATCH, 5], [hidden])
    said = Unsaid(surrogate="atan", detach_reset=True)
    warned = [note.message for note in read_model(path, Options(unsaid=said)).notes if note.kind == "warning"]
    assert warned == ["has no neuron of which --surrogate and --detach-reset could speak"]
    assert told(path, unsaid=Unsaid(spiking={"relu": "lif"})) == (
        "net.onnx: --spiking relu: the file has no such activation; there are: tanh"
    )


def test_why_a_file_cannot_be_compared_with_is_told(tmp_path: Path) -> None:
    """In training mode, with neurons in the place of activations, or over another number of steps."""

    def ordinary(drops: bool, normalises: bool) -> Path:
        write = Writer()
        hidden = write("Gemm", "x", write.constant(np.eye(4, 5)), transB=1)
        if normalises:
            statistics = [write.constant(np.full(4, value)) for value in (1.0, 0.0, 0.0, 1.0)]
            hidden = write("BatchNormalization", hidden, *statistics, training_mode=1)
        hidden = write("Relu", hidden)
        if drops:
            hidden = write("Dropout", hidden, write.constant(0.5), write.constant(True, np.bool_))
        result = write("MatMul", hidden, write.constant(np.ones((4, 3))))
        return write.save(tmp_path / "net.onnx", ["batch", 5], [result])

    trained = (
        "was exported in training mode, where dropout draws anew in each run and batch norm looks at its batch; "
        "export it after module.eval(), without training=, to have it compared"
    )
    for drops, normalises in ((True, False), (False, True), (True, True)):
        imported = read_model(ordinary(drops, normalises))
        assert (imported.run, imported.unlike) == (None, trained)
    imported = read_model(ordinary(False, False))
    assert imported.run is not None and imported.unlike is None
    neurons = Options(steps=4, unsaid=Unsaid(spiking={"relu": "lif"}))
    unlike = read_model(ordinary(False, False), neurons).unlike
    assert unlike == "has activations where neurons are now (--spiking)"
    unlike = read_model(network(tmp_path / "net.onnx", Neuron()), Options(steps=9)).unlike
    assert unlike == "spells out 6 time steps, and --steps says 9"


def told(path: Path, **options: Any) -> str:
    with pytest.raises(SourceError) as fault:
        read_model(path, Options(**options))
    return str(fault.value).replace(str(path), "net.onnx")


def test_steps_that_differ_are_no_repetition(tmp_path: Path) -> None:
    write = Writer()
    weight = write.constant(np.eye(5))
    v = write.constant(np.zeros((BATCH, 5)))
    rows: list[str] = []
    for number in range(4):
        x = write("Gather", "x", write.constant(number, np.int64), axis=0)
        v = write("Add", write("Mul", v, write.constant(0.5)), write("MatMul", x, weight))
        if number == 3:
            v = write("Tanh", v)
        rows.append(write("Unsqueeze", v, write.constant([0], np.int64)))
    path = write.save(tmp_path / "net.onnx", [4, BATCH, 5], [write("Concat", *rows, axis=0)])
    assert "net.onnx: time steps 3 and 4 differ: Tanh" in told(path)


def test_two_steps_do_not_tell_how_it_goes_on(tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", Neuron(), steps=2)
    assert told(path) == (
        "net.onnx: spells out 2 time steps; how it goes on is told by three or more\n"
        "  try: an export of three or more time steps"
    )


def test_a_state_that_is_no_neuron_is_refused_with_the_reason(tmp_path: Path) -> None:
    write = Writer()
    weight = write.constant(np.eye(5))
    v = write.constant(np.zeros((BATCH, 5)))
    rows: list[str] = []
    for number in range(4):
        x = write("Gather", "x", write.constant(number, np.int64), axis=0)
        v = write("Tanh", write("Add", write("Mul", v, write.constant(0.5)), write("MatMul", x, weight)))
        rows.append(write("Unsqueeze", v, write.constant([0], np.int64)))
    path = write.save(tmp_path / "net.onnx", [4, BATCH, 5], [write("Concat", *rows, axis=0)])
    assert "carries state from step to step, and is no neuron that there is" in told(path)


def test_all_operators_that_cannot_be_read_are_told_at_once(tmp_path: Path) -> None:
    write = Writer()
    one = write("LeakyRelu", write("Gemm", "x", write.constant(np.eye(5))))
    other = write("Erf", write("Gemm", "x", write.constant(np.eye(5))))
    path = write.save(tmp_path / "net.onnx", [BATCH, 5], [write("Add", one, other)])
    assert told(path) == (
        "net.onnx, node Erf_6: Erf: is no operator that can be read\n"
        "net.onnx, node LeakyRelu_3: LeakyRelu: is no operator that can be read\n"
        "  try: relu instead"
    )


@pytest.mark.parametrize(
    ("first", "rest", "message"),
    [
        (b"", 0.0, "net.onnx: is no ONNX file, or holds no network"),
        (b"", 0.5, "net.onnx: is no ONNX file, or is cut off"),
        (b"PK\x03\x04", 1.0, "net.onnx: is no ONNX file, or is cut off"),
    ],
    ids=["empty", "cut off", "a zip"],
)
def test_files_that_are_none_are_told(first: bytes, rest: float, message: str, tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", Neuron())
    raw = path.read_bytes()
    path.write_bytes(first + raw[: int(rest * len(raw))])
    assert told(path) == message


def changed(path: Path, change: Any) -> Path:
    model = onnx.load_model_from_string(path.read_bytes())
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def _negative(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = -1


def _huge(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].dims[0] = 1 << 40


def _short(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].raw_data = model.graph.initializer[0].raw_data[:-4]


def _unmade(model: onnx.ModelProto) -> None:
    model.graph.node[1].input[0] = "nowhere"


def _old(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 5


def _unversioned(model: onnx.ModelProto) -> None:
    del model.opset_import[:]


def _without_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = "nothing"


def _climbing(model: onnx.ModelProto) -> None:
    _external(model, "../../etc/passwd")


def _absent(model: onnx.ModelProto) -> None:
    _external(model, "weights.bin")


def _external(model: onnx.ModelProto, location: str) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_negative, "net.onnx, node c1: the tensor c1 has a negative extent"),
        (_huge, "net.onnx, node c1: the tensor c1 has 5,497,558,138,880 elements, more than are read"),
        (_old, "net.onnx: uses ONNX's operators of version 5; 9 to 24 are read"),
        (_unversioned, "net.onnx: does not say which version of ONNX's operators it uses"),
        (_without_output, "net.onnx, node nothing: the output is made by no node"),
        (
            _climbing,
            "net.onnx, tensor c1: its data lie in '../../etc/passwd'; they are read from beside the model only",
        ),
        (
            _absent,
            "net.onnx, tensor c1: its data lie in 'weights.bin', and there is no such file beside the model",
        ),
    ],
)
def test_damaged_files_are_told(damage: Any, message: str, tmp_path: Path) -> None:
    assert told(changed(network(tmp_path / "net.onnx", Neuron()), damage)) == message


def test_tensors_and_nodes_that_do_not_fit_name_their_place(tmp_path: Path) -> None:
    path = changed(network(tmp_path / "net.onnx", Neuron()), _short)
    assert told(path).startswith("net.onnx, node c1: the tensor c1 cannot be read: ")
    path = changed(network(tmp_path / "net.onnx", Neuron()), _unmade)
    assert told(path).splitlines()[0] == "net.onnx, node Gemm_10: reads nowhere, which nothing before it makes"


def test_names_that_are_no_text_are_told(tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx", Neuron())
    path.write_bytes(path.read_bytes().replace(b"Gemm_10", b"Gemm\xff10"))
    assert told(path) == "net.onnx: holds names that are no text"


def test_loops_without_end_are_bounded(tmp_path: Path) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"]), helper.make_node("Identity", ["s"], ["r"])],
        "body",
        [
            helper.make_tensor_value_info("i", onnx.TensorProto.INT64, []),
            helper.make_tensor_value_info("c", onnx.TensorProto.BOOL, []),
            helper.make_tensor_value_info("s", onnx.TensorProto.FLOAT, [BATCH, 5]),
        ],
        [helper.make_empty_tensor_value_info("d"), helper.make_empty_tensor_value_info("r")],
    )
    write = Writer()
    forever, going = write.constant(1 << 60, np.int64), write.constant(True, np.bool_)
    path = write.save(tmp_path / "net.onnx", [BATCH, 5], [write("Loop", forever, going, "x", body=body)])
    assert told(path) == "net.onnx: executes more than 200,000 operations"
