"""Modules whose result is made of time steps in a way that is not read: it is named, and no neuron is blamed."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from networks import framework

from snnc.pytorch.bring import from_torch
from snnc.source import SourceError

WAY_OUT = "  try: a result for each time step (torch.stack of all of them), or their mean or sum"
WAYS = [
    "  try: time_axis, which says whether and where example_input has time steps",
    "  try: call, which says whether a call of the module does a single 'step' or 'all' of them",
]


def net(way: Callable[[Any], Any], time_axis: int = 0) -> Any:
    snntorch, torch = framework("snntorch"), framework("torch")
    base: Any = torch.nn.Module

    class Net(base):
        def __init__(self) -> None:
            base.__init__(self)
            self.fc = torch.nn.Linear(20, 5)
            self.lif = snntorch.Leaky(0.9, init_hidden=True)

        def forward(self, x: Any) -> Any:
            return way(torch.stack([self.lif(self.fc(row)) for row in x.unbind(time_axis)]))

    return Net()


READOUTS: list[tuple[Callable[[Any], Any], str, str]] = [
    (
        lambda y: y[-1],
        "Net, node lif: the result is made of single time steps, by Cast, as y[-1] and a sum with + are",
        "",
    ),
    (lambda y: y.amax(0), "Net: aten.amax.default is no operation that is read", " instead"),
    (lambda y: y.max(0)[0], "Net: aten.max.dim is no operation that is read", " instead"),
    (lambda y: y[2:].mean(0), "Net, node reducemean: the result is made of 4 time steps, without the first ones", ""),
]


@pytest.mark.parametrize(("way", "message", "end"), READOUTS)
def test_a_result_of_time_steps_that_is_not_read_is_named(way: Callable[[Any], Any], message: str, end: str) -> None:
    with pytest.raises(SourceError) as error:
        from_torch(net(way), framework("torch").rand(6, 3, 20), 6, call="all", time_axis=0)
    told = re.sub(r"(?<=[a-z])_\d+:", ":", str(error.value))  # nodes of the recording are counted
    assert told.splitlines() == [message, WAY_OUT + end, *([] if end else WAYS)]


def test_time_behind_the_samples_is_said_by_its_axis() -> None:
    """As Sinabs has it: [n, T, ...]."""
    made, x = net(lambda y: y.transpose(0, 1), time_axis=1), framework("torch").rand(3, 6, 20)
    found = from_torch(made, x, 6, call="all", time_axis=1)
    assert str(found.network.ports[0].type) == "f16[t, n, 20]"
    proof = found.prove()
    assert proof is not None and proof.different == 0
    with pytest.raises(SourceError) as error:
        from_torch(made, x, 6)
    assert str(error.value).splitlines()[-2:] == WAYS
