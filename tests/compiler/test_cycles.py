"""Nodes that wait for one another through a delay are found, and nothing else is joined."""

from __future__ import annotations

from snnc.compiler.frontends.snn import read
from snnc.compiler.ir.cycles import clusters, delays_first
from snnc.compiler.ir.graph import Node
from snnc.compiler.passes.differentiate import build_training
from snnc.compiler.passes.training_options import TrainingOptions


def named(nodes: list[Node]) -> list[tuple[str, ...]]:
    return [tuple(node.results[0] for node in cluster) for cluster in clusters(nodes)]


def node(result: str, *operands: str, op: str = "add") -> Node:
    return Node((result,), op, operands)


def test_without_a_cycle_every_node_is_alone() -> None:
    assert named([node("a", "x"), node("b", "a"), node("d", "b", op="delay"), node("c", "d")]) == [
        ("a",),
        ("b",),
        ("d",),
        ("c",),
    ]


def test_a_cycle_is_one_cluster_and_what_it_reads_comes_first() -> None:
    nodes = [node("d", "s", op="delay"), node("x", "in"), node("a", "x", "d"), node("s", "a"), node("y", "s")]
    assert named(nodes) == [("x",), ("d", "a", "s"), ("y",)]


def test_cycles_that_share_a_node_are_one_and_others_are_not() -> None:
    nodes = [
        node("d", "b", op="delay"),
        node("e", "a", op="delay"),
        node("a", "d", "e"),
        node("b", "a"),
        node("f", "c", op="delay.d_x"),
        node("c", "f", "b"),
    ]
    assert named(nodes) == [("d", "e", "a", "b"), ("f", "c")]


def test_who_reads_a_variable_that_changes_in_each_step_takes_the_step_with_its_maker() -> None:
    """Before the change as after it; what the change is made of, and what is made of the readers, stands alone."""
    nodes = [node("a", "x"), node("b", "a", "m"), node("m", "m", "a"), node("c", "m"), node("d", "c"), node("e", "a")]
    assert named(nodes) == [("a",), ("b", "m", "c"), ("d",), ("e",)]


def test_delays_come_before_what_they_bring_back_and_before_each_other() -> None:
    nodes = [node("a", "x"), node("d", "a", op="delay"), node("e", "d", op="delay"), node("b", "e"), node("f", "b")]
    assert [each.results[0] for each in delays_first(nodes)] == ["e", "d", "a", "b", "f"]
    around = [node("d", "e", op="delay"), node("a", "d"), node("e", "d", op="delay")]
    assert [each.results[0] for each in delays_first(around)] == ["d", "e", "a"], "a ring of delays alone"


def test_the_weight_gradient_of_a_recurrent_layer_stands_outside_of_its_cycle() -> None:
    """It needs the errors of all steps, and nobody waits for it: one statement for all of them."""
    network = read("""
    network a(x: f16[t, 4]) steps 3 {
        back = delay(s) : spike[6]
        r = linear(back, out=6)
        s = lif(add(r, linear(x, out=6)))
        return linear(s, out=2)
    }""")
    training = build_training(network, TrainingOptions.resolve(network))
    _, down, *_ = training.procedure("train_step").regions
    found = [[node.op for node in cluster] for cluster in clusters(down.nodes) if len(cluster) > 1]
    assert found == [["delay.d_x", "add", "lif.adjoint", "add.d_a", "linear.d_x"]]
