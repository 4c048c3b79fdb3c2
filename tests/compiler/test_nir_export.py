"""Writing NIR files: what can be said comes back as it was, what cannot be said is refused by its name."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnc.compiler.exports._nir_network import LAYERS, write, write_nir
from snnc.compiler.exports.export import EXPORTS, Options
from snnc.compiler.frontends import snn
from snnc.compiler.frontends.frontend import Array, Imported, read_model
from snnc.compiler.ir.graph import Network
from snnc.compiler.ir.text import print_network
from snnc.compiler.ops.op import OPS
from snnc.source import SourceError

h5py: Any = import_module("h5py")


def numbers(network: Network) -> dict[str, Array]:
    """Parameters, each different; constants that lie between 0 and 1 do."""
    rng = np.random.default_rng(8)
    made: dict[str, Array] = {}
    for node in network.nodes:
        if node.op == "parameter":
            made[node.results[0]] = rng.uniform(0.125, 0.875, node.types[0].shape).astype(np.float32)
    return made


def there_and_back(source: str, folder: Path, dt: float = 1e-4, **options: Any) -> tuple[Network, Imported]:
    network = snn.read(source)
    path = folder / f"{network.name}.nir"
    write_nir(network, numbers(network), path, dt, **options)
    return network, read_model(path)


def same(one: Network, other: Imported) -> None:
    """The same text, and the same parameters, bit for bit."""
    assert print_network(other.network, places=False) == print_network(one, places=False)
    assert other.parameters.keys() == numbers(one).keys()
    for name, array in numbers(one).items():
        assert np.array_equal(other.parameters[name], array), name


EVERYTHING = """network everything(image: f16[t, 2, 12, 12]) steps 5 {
    c1 = conv2d(image, out=4, kernel=3, pad=1, stride=[1, 2], groups=2)
    s1 = lif(c1, decay=0.9, gain=0.3, threshold=0.7, compare=gt)
    p = sum_pool2d(s1, kernel=2)
    q = avg_pool2d(p, kernel=[1, 3], stride=1)
    k1 = scale(q)
    k2 = scale(k1, each=element)
    from_input = linear(flatten(scale(k2, each=layer)), out=12, bias=false)
    s2.before = delay(s2) : spike[12]
    rec = linear(s2.before, out=12)
    s2 = cuba(add(from_input, rec), decay=0.8, current_decay=0.3, v_reset=0.25, compare=gt)
    s3 = if(linear(s2, out=6), v_reset=-0.5, compare=gt)
    e = delay(s3, steps=3)
    s4 = lif(linear(e, out=6), decay=0.75, decay_input=true, rest=0.125, compare=gt, learn_threshold=channel)
    s5 = lif(linear(add(s3, s4), out=6), decay=0.0, reset=none, compare=gt)
    s6 = plif(linear(s5, out=6), decay=0.5, form=clamp, each=channel, decay_input=true, compare=gt)
    return li(integrator(linear(s6, out=6)), decay=0.9)
}"""


def test_a_network_that_nir_can_say_comes_back_as_it_was(tmp_path: Path) -> None:
    network, read = there_and_back(EVERYTHING, tmp_path)
    # The setting beside learned constants is where they begin if nobody gives them; NIR has the constants alone.
    told = print_network(read.network, places=False)
    for node in read.network.nodes:
        if node.op == "plif":
            told = told.replace(f"decay={node.settings['decay']!r}", "decay=0.5")
            told = told.replace(f"constant(value={node.settings['decay']!r})", "constant(value=0.5)")
        if node.settings.get("learn_threshold") == "channel":
            told = told.replace(f"threshold={node.settings['threshold']!r}", "threshold=1.0")
            told = told.replace(f"constant(value={node.settings['threshold']!r})", "constant(value=1.0)")
    assert told == print_network(network, places=False)
    for name, array in numbers(network).items():
        np.testing.assert_allclose(read.parameters[name], array, rtol=1e-6, err_msg=name)


def test_every_operator_that_is_written_is_tried() -> None:
    words = set(LAYERS) | {"lif", "if", "plif", "cuba", "li", "integrator", "add"}
    assert words - {"conv1d"} == {node.op for node in snn.read(EVERYTHING).nodes} - {"parameter"}


THOUSANDTHS = st.integers(1, 999).map(lambda number: number / 1000)
FLOATS = st.floats(-4, 4, allow_nan=False).map(lambda number: number + 0.0)


@st.composite
def leaks(draw: st.DrawFn) -> str:
    """decay, gain and rest of a neuron, as a reader writes them."""
    decay = draw(THOUSANDTHS)
    gain = draw(st.sampled_from(["", ", decay_input=true", f", gain={draw(THOUSANDTHS) + 1}"]))
    return f"decay={decay}{gain}, rest={draw(FLOATS)!r}"


@st.composite
def neurons(draw: st.DrawFn) -> str:
    """A call of a neuron, with x for its operand."""
    fires = f"threshold={draw(FLOATS)!r}, v_reset={draw(FLOATS)!r}, compare=gt"
    return draw(
        st.sampled_from(
            [
                f"lif(x, {draw(leaks())}, {fires})",
                f"if(x, {fires})",
                f"cuba(x, {draw(leaks())}, current_decay={draw(THOUSANDTHS)}, {fires})",
                f"lif(x, decay=0.0, reset=none, threshold={draw(FLOATS)!r}, compare=gt)",
                f"li(x, {draw(leaks())})",
                "integrator(x)",
                "scale(x, each=layer)",
                f"delay(x, steps={draw(st.integers(1, 5))})",
            ]
        )
    )


@st.composite
def networks(draw: st.DrawFn) -> str:
    """Chains of neurons with weights between them, some of which read their own past, or skip a layer."""
    lines = ["p1 = conv2d(x0, out=2, kernel=2)", "x1 = linear(flatten(p1), out=4)"]
    if draw(st.booleans()):
        lines[1] = "x1 = linear(flatten(avg_pool2d(p1, kernel=2)), out=4)"
    for layer in range(1, draw(st.integers(2, 5))):
        here = f"x{layer}"
        operand = here
        if layer > 1 and draw(st.booleans()):
            operand = f"add({here}, x{layer - 1})"
        call = draw(neurons())
        if draw(st.booleans()) and call.startswith(("lif", "if", "cuba")):
            lines.append(f"s{layer}.before = delay(s{layer}) : spike[4]")
            bias = draw(st.sampled_from(["", ", bias=false"]))
            lines.append(f"r{layer} = linear(s{layer}.before, out=4{bias})")
            operand = f"add({operand}, r{layer})"
        lines.append(f"s{layer} = {call.replace('(x', f'({operand}')}")
        lines.append(f"x{layer + 1} = linear(s{layer}, out=4)")
    last = lines[-1].partition(" ")[0]
    body = "\n".join(lines)
    return f"network drawn(x0: f16[t, 1, 5, 5]) steps {draw(st.integers(1, 40))} {{\n{body}\nreturn {last}\n}}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("drawn")


@settings(max_examples=30)
@given(networks(), st.sampled_from([1e-6, 1e-4, 1e-3, 0.3, 1.0]))
def test_what_is_drawn_comes_back_as_it_was(folder: Path, source: str, dt: float) -> None:
    same(*there_and_back(source, folder, dt))


def test_a_delay_that_a_reader_would_put_elsewhere_is_written_out(tmp_path: Path) -> None:
    """What passes a neuron without its past, and a current that is delayed behind its weights."""
    source = """network late(x: f16[t, 4]) steps 3 {
        back = delay(rec) : f16[4]
        s = lif(add(x, back), compare=gt)
        rec = linear(s, out=4)
        return s
    }"""
    network, read = there_and_back(source, tmp_path)
    same(network, read)
    with h5py.File(tmp_path / "late.nir") as file:
        assert list(file["node/nodes"]) == ["x", "back", "s", "rec", "output"]


def test_the_same_network_gives_the_same_bytes_and_they_say_step_and_steps(tmp_path: Path) -> None:
    network = snn.read(EVERYTHING)
    one, other = (write(network, numbers(network), Options(2e-3)) for _ in range(2))
    assert one.content == other.content
    there_and_back(EVERYTHING, tmp_path, 2e-3)
    with h5py.File(tmp_path / "everything.nir") as file:
        metadata: Mapping[str, Any] = file["node/metadata"]
        assert {name: value[()] for name, value in metadata.items()} == {"dt": 2e-3, "steps": 5}


def refused(source: str, *lossy: str) -> list[str]:
    network = snn.read(source)
    with pytest.raises(SourceError) as error:
        write(network, numbers(network), Options(lossy=frozenset(lossy)))
    return [str(fault).replace("<text>", "net.snn") for fault in error.value.faults]


UNSAYABLE = """network unsayable(image: f16[t, 1, 6, 6]) steps 4 {
    c = conv2d(image, out=4, kernel=3, bias=false)
    n = batch_norm(c)
    s = lif(n, decay=0.5, reset=soft, surrogate=atan)
    p = max_pool2d(s, kernel=2)
    y = linear(dropout(flatten(p)), out=4)
    m = scale(y, each=step)
    z = plif(add(m, m), detach_reset=true, initial=0.5, compare=gt)
    return relu(linear(z, out=3))
}"""


def test_what_nir_cannot_say_is_named_all_of_it() -> None:
    def setting(line: str, shown: str, op: str, taken: str) -> str:
        hint = f"try: --lossy {shown.partition('=')[0]}; readers then take {taken}"
        return f"net.snn:{line}: NIR cannot say {shown} of {op}\n  {hint}"

    assert refused(UNSAYABLE) == [
        "net.snn:3:9: NIR has no batch_norm",
        setting("4:9", "reset=soft", "lif", "reset=hard"),
        setting("4:9", "compare=ge", "lif", "compare=gt"),
        setting("4:9", "surrogate=atan(alpha=2.0)", "lif", "surrogate=triangle(alpha=1.0)"),
        "net.snn:5:9: NIR has no max_pool2d",
        "net.snn:6:16: NIR has no dropout\n  try: --lossy dropout, which leaves it out",
        "net.snn:7:9: NIR cannot say each=step of scale",
        setting("8:9", "initial=0.5", "plif", "initial=0.0"),
        setting("8:9", "detach_reset=true", "plif", "detach_reset=false"),
        setting("8:9", "form=sigmoid", "plif", "form=clamp"),
        setting("8:9", "each=layer", "plif", "a decay for each channel"),
        "net.snn:8:9: NIR has no word for the sum of a value with itself, which z reads",
        "net.snn:9:12: NIR has no relu",
    ]


def test_what_may_be_lost_is_told_once_it_is(tmp_path: Path) -> None:
    source = """network lost(image: f16[4]) steps 4 {
        s = lif(dropout(linear(image, out=4)), decay=0.5, reset=soft, surrogate=atan)
        return linear(s, out=3)
    } train { batch = 4 }"""
    network = snn.read(source)
    names = ("reset", "surrogate", "compare", "dropout")
    notes = write_nir(network, numbers(network), tmp_path / "lost.nir", lossy=names)
    assert [(note.kind, note.message) for note in notes] == [
        ("assumption", "image is the same in all steps; NIR's inputs have a value in each"),
        ("warning", "dropout of s.dropout is left out"),
        ("warning", "reset of s is not in the file, which means reset=hard"),
        ("warning", "compare of s is not in the file, which means compare=gt"),
        ("warning", "surrogate of s is not in the file, which means surrogate=triangle(alpha=1.0)"),
        ("assumption", "NIR has no train section; it stays behind (--train)"),
    ]
    kept = [node for node in read_model(tmp_path / "lost.nir").network.nodes if node.op != "parameter"]
    assert [node.op for node in kept] == ["linear", "lif", "linear"]
    assert (kept[1].settings["reset"], kept[1].settings["compare"]) == ("hard", "gt")


def test_what_may_not_be_lost_is_told() -> None:
    assert refused("network a(x: f16[t, 4]) steps 2 { return linear(x, out=2) }", "max_pool2d") == [
        "net.snn:1:9: NIR cannot do without max_pool2d; what may be lost: amplitude, compare, detach_reset, dropout, "
        "each, form, initial, learn_threshold, reset, reset_time, surrogate"
    ]


def test_a_membrane_that_is_read_and_numbers_that_are_missing() -> None:
    source = "network a(x: f16[t, 4]) steps 2 { s, h, m = lif(x, compare=gt); return linear(h, out=2) }"
    network = snn.read(source)
    with pytest.raises(SourceError) as error:
        write(network, {}, Options())
    assert [fault.message for fault in error.value.faults] == [
        "NIR has no word for h, beside the result of s",
        "the numbers of linear.w [2, 4] are missing: there are none",
        "the numbers of linear.b [2] are missing: there are none",
    ]


def test_constants_that_no_equation_has() -> None:
    source = "network a(x: f16[t, 4]) steps 2 { return cuba(x, current_decay=1.0, compare=gt) }"
    assert refused(source) == ["net.snn:1:42: NIR has no word for a current or membrane of cuba that does not decay"]


def test_learned_decays_are_written_as_the_time_constants_that_they_are(tmp_path: Path) -> None:
    source = "network a(x: f16[t, 4]) steps 2 { return plif(x, decay=0.75, compare=gt, each=channel) }"
    network = snn.read(source)
    w = np.log(1 / np.array([0.5, 0.75, 0.875, 0.9375]) - 1).astype(np.float32)
    write_nir(network, {"plif.w": w}, tmp_path / "a.nir", 1e-3, lossy=["form"])
    with h5py.File(tmp_path / "a.nir") as file:
        np.testing.assert_allclose(file["node/nodes/plif/tau"][()], [2e-3, 4e-3, 8e-3, 16e-3], rtol=1e-6)


def test_the_folder_is_the_list() -> None:
    assert EXPORTS["nir"].suffix == ".nir"
    assert set(LAYERS) <= set(OPS)
