"""Results that are made of several time steps in a way that is not read: what they are is told, not what led to them.

A network here has a result in every step, of which losses see the mean.  A file whose result is that of the last step
alone, or the largest over time, spells out as many steps as any other; without this, each neuron in them would be
blamed for not repeating itself.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence

from ._onnx_elements import COMPARISONS
from ._onnx_steps import Body, over_time
from ._onnx_terms import ELEMENTWISE, Term

WANTED = "a result for each time step (torch.stack of all of them), or their mean or sum"
"""The way out of all of these."""

EXTREMES = {
    "ReduceMax": "the largest",
    "ReduceMin": "the smallest",
    "ReduceProd": "the product",
    "ReduceL1": "the norm",
    "ReduceL2": "the norm",
    "ReduceLogSumExp": "the logarithm of summed exponentials",
    "ArgMax": "the step of the largest",
    "ArgMin": "the step of the smallest",
}
"""What operators make of all time steps, in words."""

_OF_NEURONS = (*COMPARISONS, "Mul", "Div")
_Mark = tuple[str, tuple[int, ...], tuple[int, ...]]
"""What a neuron does once a step: an operation (it fires, or leaks), the shape of its result, and its constants."""

_SOFTMAX = ("Softmax", "LogSoftmax")
_REPEATED = 3
"""How often what a neuron does once a step is done where time is spelled out: a single step may compare twice."""
_TOGETHER = 32
"""Neurons that lead to one another element by element which are told apart: a bound of the time that this takes."""


def of_some_steps(result: Term) -> str | None:
    """How a *result* without rows along time is made of time steps; None where none are spelled out."""
    if result.op in _SOFTMAX and (made := over_time(result.args[0])) is not None:
        return f"{result.op} of {made[0]} over time, and losses here take logits"
    if not _spells_out_time(result):
        return None
    inner = result
    while inner.op in ("Reshape", "Transpose") and inner.args:
        inner = inner.args[0]
    if inner.op in ("Stack", "Concat"):
        return "all time steps side by side"
    return f"made of single time steps, by {result.op}, as y[-1] and a sum with + are"


def without_the_first(body: Body, rows: Sequence[Term]) -> str | None:
    """What a result with these *rows*, three or more, is made of if it leaves out steps before them; else None."""
    of_later = any(
        term.op == "Row" and int(term.settings["number"]) > body.number and term.args[0].shape[0] > len(rows)
        for term in body.order()
    )
    a_step = _marks(body.order(), body.previous.keys())
    waited = any(count > a_step[mark] for mark, count in _marks(rows[0].walk()).items() if mark in a_step)
    return f"made of {len(rows)} time steps, without the first ones" if of_later or waited else None


def _spells_out_time(result: Term) -> bool:
    """Whether several rows of a tensor are read, or a neuron waits for what it did two steps before.

    A file of a single step has its states as further inputs.
    """
    terms = list(result.walk())
    if any(term.op == "Row" and term.args[0].shape[0] > 1 for term in terms):
        return True
    single = sum(term.op == "input" for term in terms) == 1
    return single and max(_marks(terms).values(), default=0) >= _REPEATED


def _marks(terms: Iterable[Term], before: Container[int] = ()) -> dict[_Mark, int]:
    """How often what neurons do once a step is done, each time waiting for the last, in *terms*, arguments first.

    What is done to those whose identity is in *before* does not count.
    """
    most: dict[_Mark, int] = {}
    made: dict[int, dict[_Mark, int]] = {}
    for term in terms:
        if term.op not in ELEMENTWISE or term.value is not None:
            continue
        so_far = made[id(term)] = dict[_Mark, int]()
        for arg in term.args:
            for mark, count in made.get(id(arg), {}).items() if id(arg) not in before else ():
                if mark in so_far or len(so_far) < _TOGETHER:
                    so_far[mark] = max(so_far.get(mark, 0), count)
        constants = tuple(id(arg) for arg in term.args if arg.value is not None)
        if constants and term.op in _OF_NEURONS:
            mark = term.op, term.shape, constants
            so_far[mark] = so_far.get(mark, 0) + 1
            most[mark] = max(most.get(mark, 0), so_far[mark])
    return most
