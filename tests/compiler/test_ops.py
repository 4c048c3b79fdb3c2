"""Operators: types, messages, and meanings against formulas; products and windows: see test_gather."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from random import Random

import pytest

from snnc.compiler.ir.expression import Expression
from snnc.compiler.ir.graph import Node, Setting, Sweep
from snnc.compiler.ir.statement import Contraction, Elementwise, Window
from snnc.compiler.ir.types import Type
from snnc.compiler.ops.initialisers import INITIALISERS
from snnc.compiler.ops.losses import LOSSES
from snnc.compiler.ops.op import OPS, SettingFault, ShapeFault, alias_of, called, lower
from snnc.compiler.ops.optimizers import OPTIMIZERS

LAYERS = [name for name, op in OPS.items() if op.family == "layer"]
IMAGE = Type.of("f16", 4, 7, 6, batched=True)


def test_sums_have_their_canonical_order_and_engines() -> None:
    x = IMAGE.with_(timed=True, scale=0.25, format="u4")
    sizes: dict[str, Setting] = {"out": 4, "kernel": 3, "bias": True}
    op = OPS["conv2d"].make(sizes)
    types = {"x": x, "y": op.infer(x)[0]} | {name: type for name, (type, _) in op.parameter_types(x).items()}
    types |= {"d.w": types["w"].with_(format="f32"), "d.b": types["b"].with_(format="f32"), "d.x": x}

    def one(facet: str, result: str, *operands: str, sweep: Sweep = "down") -> Contraction:
        (found,) = lower(Node((result,), f"conv2d{facet}", operands, sizes), types, 5, 2, sweep)
        assert isinstance(found, Contraction)
        return found

    forward = one("", "y", "x", "w", "b", sweep="up")
    assert (forward.engine, forward.summed, forward.blocked, forward.scale) == ("fp", ("c", "r", "s"), "c", 0.25)
    assert (str(forward.target), str(forward.bias)) == ("y[t, n, p, q, o]", "b[o]")
    error = one(".d_x", "d.x", "y", "w")
    assert (error.engine, error.summed, error.blocked, error.scale) == ("bp", ("o", "r", "s"), "o", 1.0)
    assert str(error.left) == "y[-t+4, n, p-r, q-s, o]"
    weight = one(".d_w", "d.w", "x", "y")
    assert (weight.engine, weight.summed, weight.blocked, weight.scale) == ("wg", ("t", "n", "p", "q"), None, 0.25)
    assert (str(weight.left), str(weight.right)) == ("x[-t+4, n, p+r, q+s, c]", "y[-t+4, n, p, q, o]")
    bias = one(".d_b", "d.b", "y")
    assert (bias.left, str(bias.target), bias.summed) == (None, "d.b[o]", ("t", "n", "p", "q"))


def test_a_linear_layer_behind_a_flattened_image_keeps_its_factors_apart() -> None:
    x = Type("spike", ((16, 5, 4),), True, True)
    op = OPS["linear"].make({"out": 10})
    weight, initialiser = op.parameter_types(x)["w"]
    assert (weight.axes, weight.memory, initialiser) == (((10,), (16, 5, 4)), (5, 4, 16, 10), "kaiming_uniform")
    types = {"x": x, "w": weight, "b": Type.of("f16", 10), "y": op.infer(x)[0]}
    (forward,) = lower(Node(("y",), "linear", ("x", "w", "b"), {"out": 10}), types, 3, 2, "up")
    assert isinstance(forward, Contraction)
    assert (str(forward.left), str(forward.right)) == ("x[t, n, k1, k2, k0]", "w[k1, k2, k0, o]")
    assert (forward.summed, forward.blocked) == (("k0", "k1", "k2"), "k0")


def test_pools_of_spikes_count_and_pools_of_floats_round() -> None:
    spikes = IMAGE.with_(format="spike")
    assert str(OPS["avg_pool2d"].make({"kernel": 2}).infer(spikes)[0]) == "u4[n, 4, 3, 3] * 0.25"
    assert str(OPS["avg_pool2d"].make({"kernel": 2}).infer(IMAGE)[0]) == "f16[n, 4, 3, 3]"
    pooled, tap = OPS["max_pool2d"].make({"kernel": 3, "stride": 2}).infer(spikes)
    assert (str(pooled), str(tap)) == ("spike[n, 4, 3, 2]", "u4[n, 4, 3, 2]")
    signal = Type.of("spike", 4, 9, batched=True)
    assert str(OPS["avg_pool1d"].make({"kernel": 3}).infer(signal)[0]) == f"u2[n, 4, 3] * {1 / 3!r}"
    assert [str(type) for type in OPS["max_pool1d"].make({"kernel": 4, "stride": 2}).infer(signal)] == [
        "spike[n, 4, 3]",
        "u2[n, 4, 3]",
    ]


@pytest.mark.parametrize(
    ("rows", "columns", "pooled"),
    [
        (15, 17, f"u8[n, 4, 1, 1] * {1 / 255!r}"),
        (16, 16, "f16[n, 4, 1, 1]"),
        (32, 32, "f16[n, 4, 1, 1]"),
    ],
)
def test_a_sum_that_no_engine_takes_as_counts_is_divided_at_once(rows: int, columns: int, pooled: str) -> None:
    spikes = Type.of("spike", 4, rows, columns, batched=True)
    assert str(OPS["global_avg_pool2d"].make().infer(spikes)[0]) == pooled
    assert str(OPS["avg_pool2d"].make({"kernel": (rows, columns)}).infer(spikes)[0]) == pooled
    (window,) = lower(Node(("y",), "global_avg_pool2d", ("x",)), {"x": spikes, "y": Type.of("f16", 4, 1, 1)}, 1, 2)
    assert isinstance(window, Window)
    assert window.scale == 1 / (rows * columns), "of numbers, the scale is in the statement"


def test_adaptive_pools_count_where_all_windows_are_alike() -> None:
    spikes = Type.of("spike", 4, 6, 8, batched=True)
    assert str(OPS["adaptive_avg_pool2d"].make({"out": (3, 4)}).infer(spikes)[0]) == "u4[n, 4, 3, 4] * 0.25"
    assert str(OPS["adaptive_avg_pool2d"].make({"out": (4, 4)}).infer(spikes)[0]) == "f16[n, 4, 4, 4]"
    largest = OPS["adaptive_max_pool2d"].make({"out": (4, 3)}).infer(spikes)
    assert [str(type) for type in largest] == ["spike[n, 4, 4, 3]", "u4[n, 4, 4, 3]"]


def side_by_side(a: tuple[str, int, float], b: tuple[str, int, float]) -> str:
    types = [Type.of(format, channels, batched=True).with_(scale=scale) for format, channels, scale in (a, b)]
    return str(OPS["concat"].make().infer(*types)[0])


@pytest.mark.parametrize(
    ("a", "b", "joined"),
    [
        (("spike", 8, 1.0), ("spike", 3, 1.0), "spike[n, 11]"),
        (("spike", 4, 1.0), ("spike", 8, 1.0), "u2[n, 12]"),
        (("spike", 6, 1.0), ("spike", 8, 1.0), "u4[n, 14]"),
        (("spike", 3, 1.0), ("spike", 8, 1.0), "u8[n, 11]"),
        (("spike", 8, 1.0), ("u4", 8, 0.25), "u4[n, 16] * 0.25"),
        (("u4", 8, 0.25), ("u4", 8, 1.0), "u8[n, 16] * 0.25"),
        (("u8", 8, 0.25), ("u4", 8, 1.0), "u8[n, 16] * 0.25"),
        (("u8", 8, 1.0), ("u4", 8, 0.25), "f16[n, 16]"),
        (("u4", 8, 0.25), ("u4", 8, 1 / 9), "f16[n, 16]"),
        (("spike", 8, 1.0), ("f16", 8, 1.0), "f16[n, 16]"),
        (("f16", 3, 1.0), ("f16", 5, 1.0), "f16[n, 8]"),
    ],
)
def test_spikes_and_counts_side_by_side_are_the_narrowest_counts_that_begin_at_a_byte(
    a: tuple[str, int, float], b: tuple[str, int, float], joined: str
) -> None:
    assert side_by_side(a, b) == joined


def test_counts_of_another_scale_are_multiplied_into_the_smaller_one() -> None:
    lead = {"batched": True}
    types = {"a": Type.of("spike", 8, **lead), "b": Type.of("u4", 8, **lead).with_(scale=0.25)}
    types["y"] = OPS["concat"].make().infer(types["a"], types["b"])[0]
    first, second = lower(Node(("y",), "concat", ("a", "b")), types, 1, 2)
    assert isinstance(first, Elementwise)
    assert isinstance(second, Elementwise)
    assert [str(part.writes[0].target) for part in (first, second)] == ["y[n, c]", "y[n, c+8]"]
    assert [number(part.writes[0].expression, {"x": 3.0}) for part in (first, second)] == [12.0, 3.0]


def test_flattened_images_of_equal_rows_and_columns_stand_side_by_side() -> None:
    flat = Type("f16", ((4, 3, 5),), True, True)
    (y,) = OPS["concat"].make().infer(flat, flat.with_(axes=((2, 3, 5),), timed=False))
    assert (str(y), y.memory) == ("f16[t, n, 6*3*5]", (3, 5, 6))


def test_a_group_of_one_channel_has_no_loop_over_its_channels() -> None:
    """So the groups of a depthwise convolution are its channels: what tiles and splits cut."""
    x = Type.of("spike", 16, 6, 6, batched=True)
    for out, target in ((16, "y[n, p, q, g]"), (32, "y[n, p, q, 2*g+o]")):
        op = OPS["conv2d"].make(given := {"out": out, "kernel": 3, "groups": 16, "bias": False})
        types = {"x": x, "w": op.parameter_types(x)["w"][0], "y": op.infer(x)[0]}
        (forward,) = lower(Node(("y",), "conv2d", ("x", "w"), given), types, 1, 2)
        assert isinstance(forward, Contraction)
        assert (str(forward.target), str(forward.left)) == (target, "x[n, p+r, q+s, g]")
        assert (forward.summed, forward.blocked) == (("r", "s"), None)


def near(found: Iterable[float], expected: Iterable[float], tolerance: float = 1e-9) -> bool:
    return all(math.isclose(f, e, rel_tol=tolerance, abs_tol=1e-12) for f, e in zip(found, expected, strict=True))


def number(expression: Expression, leaves: Mapping[str, float]) -> float:
    """The value of an expression in Python's numbers; edges do not round here."""
    args = [number(arg, leaves) for arg in expression.args]
    match expression.op:
        case "constant":
            return expression.value
        case "input" | "state" | "argument" | "uniform" | "normal":
            return leaves[expression.name]
        case "edge":
            return args[0]
        case "add":
            return args[0] + args[1]
        case "sub":
            return args[0] - args[1]
        case "mul":
            return args[0] * args[1]
        case "div":
            return args[0] / args[1]
        case "abs":
            return abs(args[0])
        case "sqrt":
            return math.sqrt(args[0])
        case "exp":
            return math.exp(args[0])
        case "max":
            return max(args)
        case "ge":
            return float(args[0] >= args[1])
        case "gt":
            return float(args[0] > args[1])
        case "lt":
            return float(args[0] < args[1])
        case "select":
            return args[1] if args[0] else args[2]
        case op:
            raise AssertionError(op)


@pytest.mark.parametrize("reset", ["hard", "soft"])
@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("decay_input", [False, True])
def test_the_adjoint_of_a_neuron_is_the_transpose_of_its_tangent(reset: str, detach: bool, decay_input: bool) -> None:
    """<error, J dI> = <J' error, dI>, J propagated forwards from the charge, fire and reset equations."""
    given: dict[str, Setting] = {"reset": reset, "detach_reset": detach, "decay_input": decay_input}
    given |= {"decay": 0.75, "threshold": 0.5, "v_reset": -0.125, "surrogate": "atan"}
    x, steps = Type.of("f16", 1, batched=True, timed=True), 6
    types = {"x": x, "s": x.with_(format="spike"), "h": x, "e": x, "d": x}
    (forward,) = lower(Node(("s", "h", ""), "lif", ("x",), given), types, steps, 1, "up")
    (backward,) = lower(Node(("d",), "lif.adjoint", ("e", "h"), given), types, steps, 1, "down")
    assert isinstance(forward, Elementwise)
    assert isinstance(backward, Elementwise)
    random = Random(1)
    current, tangent, error = ([random.uniform(-1, 1.5) for _ in range(steps)] for _ in range(3))
    rho, left, membranes = (0.25 if decay_input else 1.0), 0.0, list[float]()
    v = dv = 0.0
    for step in range(steps):
        h, dh = 0.75 * v + rho * current[step], 0.75 * dv + rho * tangent[step]
        leaves = {"x": current[step], "v": v}
        s = number(forward.writes[0].expression, leaves)
        assert near([number(forward.writes[1].expression, leaves)], [h])
        assert s == float(h >= 0.5)
        phi = 1.0 / (1 + (math.pi * (h - 0.5)) ** 2)
        ds = phi * dh
        left += error[step] * ds
        through = 0.0 if detach else ds
        v = number(forward.states[0].next, leaves)
        if reset == "soft":
            assert near([v], [h - 0.5 * s])
            dv = dh - 0.5 * through
        else:
            assert near([v], [-0.125 if s else h])
            dv = (1 - s) * dh + (-0.125 - h) * through
        membranes.append(h)
    right, gv = 0.0, 0.0
    for step in reversed(range(steps)):
        leaves = {"error": error[step], "h": membranes[step], "gv": gv}
        right += number(backward.writes[0].expression, leaves) * tangent[step]
        gv = number(backward.states[0].next, leaves)
    assert near([left], [right])


def test_a_cut_carry_leaves_the_spatial_error_alone() -> None:
    x = Type.of("f16", 1, batched=True, timed=True)
    node = Node(("d",), "lif.adjoint_local", ("e", "h"), {"decay_input": True, "surrogate": "rect"})
    (backward,) = lower(node, {"e": x, "h": x, "d": x}, 4, 1, "up")
    assert isinstance(backward, Elementwise)
    assert backward.states == ()
    assert number(backward.writes[0].expression, {"error": 3.0, "h": 1.25}) == 1.5


def test_the_error_of_a_static_input_is_summed_over_time_and_written_once() -> None:
    moving = Type.of("f16", 3, batched=True, timed=True)
    types = {"e": moving, "h": moving, "d": moving.with_(timed=False)}
    (backward,) = lower(Node(("d",), "lif.adjoint", ("e", "h"), {}), types, 4, 2, "down")
    assert isinstance(backward, Elementwise)
    assert [(write.last, str(write.target)) for write in backward.writes] == [(True, "d[n, c]")]
    assert [state.name for state in backward.states] == ["gv", "sum"]
    assert str(backward.reads["h"]) == "h[-t+3, n, c]"


def test_a_result_that_is_not_wanted_is_not_written() -> None:
    x = Type.of("f16", 3, batched=True, timed=True)
    (forward,) = lower(Node(("s", "", ""), "lif", ("x",), {}), {"x": x, "s": x.with_(format="spike")}, 4, 2, "up")
    assert isinstance(forward, Elementwise)
    assert [write.target.value for write in forward.writes] == ["s"]


def test_flatten_is_the_same_memory() -> None:
    node = Node(("y",), "flatten", ("x",))
    (flat,) = OPS["flatten"].make().infer(IMAGE)
    assert (str(flat), flat.memory) == ("f16[n, 4*7*6]", IMAGE.memory)
    assert alias_of(node) == 0
    assert lower(node, {"x": IMAGE, "y": flat}, 4, 2) == ()
    assert alias_of(Node(("d",), "flatten.d_x", ("e",))) == 0
    assert alias_of(Node(("y",), "add", ("x", "x"))) is None


@pytest.mark.parametrize(
    ("op", "given", "operands", "message", "operand"),
    [
        ("linear", {"out": 2}, [IMAGE], "linear reads one axis, not f16[n, 4, 7, 6]; flatten() makes it one", 0),
        ("linear", {"out": 2}, [], "linear takes 1 operand, not 0", None),
        ("conv2d", {"out": 2, "kernel": 3}, [Type.of("f16", 4, batched=True)],
         "conv2d reads [channels, rows, columns], not f16[n, 4]", 0),
        ("conv2d", {"out": 2, "kernel": 9}, [IMAGE],
         "a window of 9 does not fit into 7 rows or columns (f16[n, 4, 7, 6], pad=0)", 0),
        ("conv2d", {"out": 3, "kernel": 1, "groups": 3}, [IMAGE], "4 channels do not fall into groups=3", 0),
        ("conv2d", {"out": 2, "kernel": 1}, [IMAGE, Type.of("f16", 2, 3, 1, 1, weight=True), Type.of("f16", 2)],
         "w of conv2d must be weight f16[2, 4, 1, 1], not weight f16[2, 3, 1, 1]", 1),
        ("add", {}, [IMAGE, Type.of("f16", 4, batched=True)],
         "add takes equal shapes, not f16[n, 4, 7, 6] and f16[n, 4]", None),
        ("concat", {}, [IMAGE, Type.of("f16", 4, batched=True)],
         "concat takes values that differ in nothing but their channels, not f16[n, 4, 7, 6] and f16[n, 4]", None),
        ("concat", {}, [IMAGE, IMAGE.with_(axes=((4,), (7,), (5,)), batched=False)],
         "concat reads a value of every sample, not f16[4, 7, 5]", 1),
        ("concat", {}, [Type("f16", ((4, 3),), batched=True), Type("f16", ((4, 2),), batched=True)],
         "concat takes values that differ in nothing but their channels, not f16[n, 4*3] and f16[n, 4*2]", None),
        ("conv1d", {"out": 2, "kernel": 3}, [IMAGE], "conv1d reads [channels, length], not f16[n, 4, 7, 6]", 0),
        ("conv1d", {"out": 2, "kernel": 3, "dilation": 4}, [Type.of("f16", 4, 7, batched=True)],
         "a window of 9 does not fit into 7 positions (f16[n, 4, 7], pad=0)", 0),
        ("avg_pool1d", {"kernel": 8}, [Type.of("f16", 4, 7, batched=True)],
         "a window of 8 does not fit into 7 positions (f16[n, 4, 7], pad=0)", 0),
        ("max_pool1d", {"kernel": 2}, [IMAGE], "max_pool1d reads [channels, length], not f16[n, 4, 7, 6]", 0),
        ("conv_transpose2d", {"out": 2, "kernel": 1, "pad": 3}, [Type.of("f16", 4, 7, 6, batched=True)],
         "pad=3 leaves nothing of 6 rows or columns (f16[n, 4, 7, 6])", 0),
        ("conv_transpose2d", {"out": 2, "kernel": 1, "groups": 2}, [Type.of("f16", 3, 7, 6, batched=True)],
         "3 channels do not fall into groups=2", 0),
        ("conv_transpose2d", {"out": 2, "kernel": 1}, [IMAGE, Type.of("f16", 2, 4, 1, 1, weight=True)],
         "conv_transpose2d takes 3 operands (x, w, b), not 2", None),
        ("conv_transpose2d", {"out": 2, "kernel": 1, "bias": False}, [IMAGE, Type.of("f16", 2, 4, 1, 1, weight=True)],
         "w of conv_transpose2d must be weight f16[4, 2, 1, 1], not weight f16[2, 4, 1, 1]", 1),
        ("upsample", {"factor": 2}, [Type.of("f16", 4, 7, batched=True)],
         "upsample reads [channels, rows, columns], not f16[n, 4, 7]", 0),
        ("adaptive_avg_pool2d", {"out": 2}, [Type.of("f16", 4, batched=True)],
         "adaptive_avg_pool2d reads [channels, rows, columns], not f16[n, 4]", 0),
        ("global_max_pool2d", {}, [Type.of("f16", 4, 7, batched=True)],
         "global_max_pool2d reads [channels, rows, columns], not f16[n, 4, 7]", 0),
        ("lif", {}, [Type.of("f16", 4)], "lif reads a value of every sample, not f16[4]", 0),
        ("sgd", {}, [IMAGE], "sgd is an optimizer, not a layer", None),
    ],
)  # fmt: skip
def test_types_that_do_not_meet_are_told(
    op: str, given: dict[str, Setting], operands: list[Type], message: str, operand: int | None
) -> None:
    with pytest.raises(ShapeFault) as fault:
        OPS[op].make(given).infer(*operands)
    assert (fault.value.message, fault.value.operand) == (message, operand)


@pytest.mark.parametrize(
    ("op", "given", "message", "name"),
    [
        ("lif", {"treshold": 1.0}, "no setting of lif is called 'treshold'; did you mean threshold?", "treshold"),
        ("conv2d", {"out": 3}, "conv2d needs the setting kernel", "kernel"),
        ("conv2d", {"out": 3, "kernel": (3, 2, 1)},
         "kernel of conv2d is a whole number or two, such as 3 or [3, 2], not [3, 2, 1]", "kernel"),
        ("conv2d", {"out": 3, "kernel": 3, "bias": 1}, "bias of conv2d is true or false, not 1", "bias"),
        ("conv2d", {"out": 3, "kernel": 3, "stride": 0}, "stride of conv2d is at least 1, not [0, 0]", "stride"),
        ("conv2d", {"out": 3, "kernel": 3, "groups": 2}, "groups of conv2d is a divisor of out=3, not 2", "groups"),
        ("linear", {"out": 2.5}, "out of linear is a whole number, not 2.5", "out"),
        ("lif", {"decay": "much"}, "decay of lif is a number, not 'much'", "decay"),
        ("lif", {"reset": "sofd"}, "no reset of lif is called 'sofd'; did you mean soft?", "reset"),
        ("lif", {"surrogate": "atn"}, "no surrogate is called 'atn'; did you mean atan?", "surrogate"),
        ("max_pool2d", {"kernel": 2, "pad": 2}, "pad of max_pool2d is at most half of the kernel, not [2, 2]", "pad"),
        ("avg_pool1d", {"kernel": 2, "pad": 2}, "pad of avg_pool1d is at most half of the kernel, not 2", "pad"),
        ("max_pool1d", {"kernel": 0}, "kernel of max_pool1d is at least 1, not 0", "kernel"),
        ("conv1d", {"out": 2, "kernel": 3, "stride": (1, 2)},
         "stride of conv1d is a whole number, not [1, 2]", "stride"),
        ("conv_transpose2d", {"out": 2, "kernel": 3, "stride": 2, "output_pad": (1, 2)},
         "output_pad of conv_transpose2d is at least 0, and smaller than the stride or the dilation, not [1, 2]",
         "output_pad"),
        ("upsample", {"factor": 0}, "factor of upsample is at least 1, not [0, 0]", "factor"),
        ("adaptive_max_pool2d", {"out": (2, 0)}, "out of adaptive_max_pool2d is at least 1, not [2, 0]", "out"),
    ],
)  # fmt: skip
def test_settings_that_an_operator_cannot_take_are_told(
    op: str, given: dict[str, Setting], message: str, name: str
) -> None:
    with pytest.raises(SettingFault) as fault:
        OPS[op].make(given)
    assert (fault.value.message, fault.value.name) == (message, name)


def test_whole_numbers_are_good_floats_and_one_number_is_a_good_pair() -> None:
    assert getattr(OPS["lif"].make({"threshold": 1}), "threshold") == 1.0  # noqa: B009
    assert OPS["conv2d"].make({"out": 1, "kernel": 3}) == OPS["conv2d"].make({"out": 1, "kernel": (3, 3)})


def test_a_call_is_a_name_with_settings() -> None:
    assert called("adam") == ("adam", {})
    assert called(("adam", ("lr", 0.1))) == ("adam", {"lr": 0.1})
    with pytest.raises(SettingFault, match=r"expected a name, or a call such as adam\(lr=0.001\), not 3"):
        called(3)


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_says_what_it_is_and_has_good_defaults(name: str) -> None:
    op = OPS[name]
    assert op.__doc__
    needed: dict[str, Setting] = {key: 1 for key, entry in op.settings().items() if entry.required}
    made = op.make(needed)
    special = {"linear": Type.of("f16", 4, batched=True), "standardise": Type.of("f16", 4, 3, weight=True)}
    special |= {"delay": Type.of("spike", 4, batched=True, timed=True), "vote": Type.of("f16", 20, batched=True)}
    special |= {"ttfs_kernel": IMAGE.with_(timed=True)}
    x = special.get(name, IMAGE.with_(axes=IMAGE.axes[:2]) if name.endswith("1d") else IMAGE)
    operands = [x] * len(op.operands)
    assert len(made.infer(*operands)) == len(op.results)
    assert made.infer(*operands, *(type for type, _ in made.parameter_types(*operands).values()))


def updated(name: str, given: dict[str, Setting], leaves: dict[str, float]) -> dict[str, float]:
    optimizer = OPTIMIZERS[name].make(given)
    results = ("w", "w.master", *optimizer.states)
    types = dict.fromkeys((*results, "g"), Type.of("f32", 1))
    node = Node(results, name, ("w.master", "g", *optimizer.states), given)
    (statement,) = lower(node, types, 1, 1)
    assert isinstance(statement, Elementwise)
    return {write.target.value: number(write.expression, leaves) for write in statement.writes}


def test_sgd_follows_its_formula() -> None:
    leaves = {"master": 2.0, "gradient": 24.0, "m": 4.0, "learning_rate": 0.5, "loss_scale": 8.0}
    assert updated("sgd", {}, leaves) == {"w": 0.5, "w.master": 0.5}
    found = updated("sgd", {"momentum": 0.5, "weight_decay": 0.25}, leaves)
    assert found == {"w": -0.75, "w.master": -0.75, "m": 5.5}


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_adam_follows_its_formula(name: str) -> None:
    leaves = {"master": 2.0, "gradient": 6.0, "m": 0.1, "v": 0.2, "learning_rate": 0.01, "loss_scale": 4.0}
    leaves |= {"correction1": 1 - 0.9**3, "correction2": 1 - 0.99**3}
    found = updated(name, {"weight_decay": 0.5, "beta2": 0.99}, leaves)
    g = 1.5 + (0.5 * 2.0 if name == "adam" else 0.0)
    w = 2.0 if name == "adam" else 2.0 * (1 - 0.01 * 0.5)
    m, v = 0.9 * 0.1 + 0.1 * g, 0.99 * 0.2 + 0.01 * g * g
    w -= 0.01 * (m / (1 - 0.9**3)) / (math.sqrt(v / (1 - 0.99**3)) + 1e-8)
    assert near([found["m"], found["v"], found["w"]], [m, v, w])


@pytest.mark.parametrize(
    ("name", "given", "at_one"),
    [
        ("kaiming_uniform", {}, 1 / math.sqrt(36)),
        ("kaiming_normal", {}, math.sqrt(2 / 36)),
        ("xavier_uniform", {}, math.sqrt(6 / (36 + 72))),
        ("xavier_normal", {"gain": 2.0}, 2 * math.sqrt(2 / (36 + 72))),
        ("uniform", {"bound": 0.5}, 0.5),
        ("normal", {"std": 3.0}, 3.0),
        ("constant", {"value": 0.25}, 0.25),
        ("zeros", {}, 0.0),
        ("ones", {}, 1.0),
    ],
)
def test_initialisers_scale_their_numbers(name: str, given: dict[str, Setting], at_one: float) -> None:
    weight = Type.of("f16", 8, 4, 3, 3, weight=True)
    node = Node(("w", "w.master"), name, (), given)
    (statement,) = lower(node, {"w": weight, "w.master": weight.with_(format="f32")}, 1, 1)
    assert isinstance(statement, Elementwise)
    assert near([number(write.expression, {"w": 1.0}) for write in statement.writes], [at_one, at_one])
    if INITIALISERS[name].random:
        assert dict(statement.random["w"].terms) == {"c": 4 * 9, "k": 9, "r": 3, "s": 1}
        assert str(statement.writes[0].target) == "w[r, s, k, c]"


def test_a_fan_in_needs_a_weight() -> None:
    with pytest.raises(SettingFault, match=r"kaiming_normal needs a weight with a fan-in, not f16\[8\]"):
        lower(Node(("b",), "kaiming_normal"), {"b": Type.of("f16", 8)}, 1, 1)


@pytest.mark.parametrize("name", list(LOSSES))
def test_a_loss_reads_one_axis_of_classes(name: str) -> None:
    loss = LOSSES[name].make()
    label = loss.inputs(Type.of("f16", 10, batched=True, timed=True)).get("label")
    assert label == (Type("u16", (), batched=True) if loss.judges else None)
    with pytest.raises(ShapeFault, match=rf"{name} reads one axis of classes, not f16\[n, 4, 7, 6\]"):
        loss.inputs(IMAGE)
