"""The repetition over time in what a file spells out: one step, and which of its values it reads of the step before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice
from math import isclose

from ...source import Place, SourceError
from ._onnx_terms import ELEMENTWISE, Term, Terms

_LATEST = 5
"""The last step, counted from 0, that may be the first to repeat the one before it."""


@dataclass(frozen=True)
class Body:
    """One step: *result* from inputs of the step and from values of the step before.

    *previous* gives, by the identity of a term that stands for a value of the step before, the term that makes this
    value in this step.  *steps* is how often the file repeats it; None where it holds a single step.
    """

    result: Term
    previous: Mapping[int, Term] = field(default_factory=dict[int, Term])
    steps: int | None = None
    states: tuple[Term, ...] = ()
    """Inputs of the file that are states."""

    number: int = 0
    """Which of the steps of the file it is, counted from 0."""

    first: Mapping[int, Term] = field(default_factory=dict[int, Term])
    """By the identity of a term, what stands in its place in the first step, where that is known."""

    def maker(self, term: Term) -> Term:
        """What makes *term* in this step, or what it is of a step before, which may be the second before this."""
        once = self.previous.get(id(term), term)
        return self.previous.get(id(once), once)

    def order(self) -> list[Term]:
        """Every term of the step, arguments first; what the step before made is not followed."""
        found: list[Term] = []
        seen: set[int] = set()
        roots = [self.result]
        while roots:
            stack = [(roots.pop(), False)]
            while stack:
                term, ready = stack.pop()
                if id(term) in seen:
                    continue
                if ready:
                    seen.add(id(term))
                    found.append(term)
                    continue
                if id(term) in self.previous:
                    seen.add(id(term))
                    roots.append(self.previous[id(term)])
                    continue
                stack.append((term, True))
                stack.extend((arg, False) for arg in reversed(term.args))
        return found


def rows_of(output: Term, terms: Terms) -> list[Term] | None:
    """The rows of an output that has one a time step, or their mean or sum; None for an output without time."""
    inner = output
    while (scaled := _scaled(inner)) is not None:
        inner = scaled
    if inner.op in ("ReduceMean", "ReduceSum") and inner.settings["axes"] == (0,):
        (inner,) = inner.args
    if inner.op != "Stack" and (len(inner.shape) < 3 or inner.shape[0] not in _times(inner)):
        return None
    return [terms.row(inner, number) for number in range(inner.shape[0])]


def over_time(output: Term) -> tuple[str, bool] | None:
    """How an output without a row a time step is made of them, and whether that is their mean, which losses see."""
    inner, scale = output, 1.0
    while (scaled := _scaled(inner)) is not None:
        number = float(next(arg.value.item() for arg in inner.args if arg.value is not None))
        scale, inner = (scale * number if inner.op == "Mul" else scale / number), scaled
    if inner.op not in ("ReduceMean", "ReduceSum") or inner.settings["axes"] != (0,):
        return None
    count = inner.args[0].shape[0] if inner.op == "ReduceSum" else 1
    if isclose(scale * count, 1, rel_tol=1e-6):
        return "the mean", True
    name = "the mean" if inner.op == "ReduceMean" else "the sum"
    return (name if scale == 1 else f"{scale:g} times {name}"), False


def _scaled(term: Term) -> Term | None:
    """What *term* is a multiple of, by one constant number."""
    if term.op not in ("Mul", "Div"):
        return None
    left, right = term.args
    for kept, other in ((left, right), (right, left)):
        number = other.value is not None and other.value.size == 1 and (other is right or term.op == "Mul")
        if kept.value is None and number:
            return kept
    return None


def _times(term: Term) -> set[int]:
    """How many rows there are of what is taken apart, or put together, on the way to *term*."""
    found: set[int] = set()
    for each in term.walk():
        if each.op == "Stack" or "::" in each.op:
            found.add(each.shape[0])
        elif each.op == "Row":
            found.add(next(iter(each.args)).shape[0])
    return found


def body_of(rows: Sequence[Term], place: Place) -> Body:
    """The step that *rows* repeat; SourceError where they are no repetition."""
    steps = len(rows)
    if steps < 3:
        message = f"spells out {steps} time steps; how it goes on is told by three or more"
        raise SourceError.at(place, message, hints=("an export of three or more time steps",))
    level: dict[int, int] = {}
    for number, row in enumerate(rows):
        stack = [row]
        while stack:
            term = stack.pop()
            if id(term) not in level:
                level[id(term)] = number
                stack.extend(term.args)
    # The first steps may differ: they see what states begin with, and what a step leaves may be read two steps later.
    last = min(steps - 1, _LATEST)
    for first in range(2, last + 1):
        try:
            found = _Matching(level, first, place)
            found.pair(rows[first], rows[first - 1])
            before = _Matching(level, first - 1, place)
            before.pair(rows[first - 1], rows[first - 2], strictly=False)
            for number in range(first + 1, steps):
                _Matching(level, number, place).pair(rows[number], rows[number - 1])
            return Body(
                rows[first], found.previous(before), steps, number=first, first=_in_the_first(rows, first, level)
            )
        except SourceError as error:
            if first == last:
                raise error
    raise AssertionError("one of them was returned or raised")


def _in_the_first(rows: Sequence[Term], number: int, level: Mapping[int, int]) -> dict[int, Term]:
    """What stands in the first step where a term of step *number* stands; constants that were folded end the search."""
    found = {id(term): term for term in rows[number].walk()}
    for step in range(number, 0, -1):
        pairs: dict[int, Term] = {}
        stack = [(rows[step], rows[step - 1])]
        while stack:
            one, other = stack.pop()
            if id(one) in pairs:
                continue
            pairs[id(one)] = other
            if one is not other and level[id(one)] == step and _alike(one, other):
                stack.extend(zip(one.args, other.args, strict=True))
        found = {key: pairs[id(term)] for key, term in found.items() if id(term) in pairs}
    return found


class _Matching:
    """Which term of a step is which of the step before."""

    def __init__(self, level: Mapping[int, int], number: int, place: Place) -> None:
        self._level = level
        self._number = number
        self._place = place
        self._pairs: dict[int, Term] = {}
        self._later: dict[int, Term] = {}
        self._states: list[Term] = []

    def pair(self, last: Term, before: Term, strictly: bool = True) -> None:
        """Both are the same in two steps; SourceError where they are not, if they are taken *strictly*."""
        stack = [(last, before)]
        while stack:
            one, other = stack.pop()
            if one is other:
                continue
            known = self._pairs.get(id(one))
            if known is not None:
                if known is not other and strictly:
                    self._fail(one, other)
                continue
            self._pairs[id(one)] = other
            if self._level[id(one)] < self._number:
                self._states.append(one)
                continue
            self._later[id(other)] = one
            if not _alike(one, other):
                if strictly:
                    self._fail(one, other)
                continue
            stack.extend(zip(one.args, other.args, strict=True))

    def previous(self, before: _Matching) -> dict[int, Term]:
        """By the identity of what a step reads of the step before, what makes it.

        What it reads of two steps before is made by what it would read of one step before; *before* has those pairs.
        """
        found: dict[int, Term] = {}
        for state in self._states:
            maker = self._later.get(id(state))
            if maker is None and id(state) in before._later and id(before._later[id(state)]) in self._later:
                maker = before._later[id(state)]
                found[id(maker)] = self._later[id(maker)]
            if maker is None:
                told = f"{state.origin} is read in a later step, and no step makes it anew"
                raise SourceError.at(self._place, told)
            found[id(state)] = maker
        return found

    def _fail(self, one: Term, other: Term) -> None:
        told = f"time steps {self._number} and {self._number + 1} differ: {one.op} ({one.origin}) stands where"
        told += f" {other.op} ({other.origin}) stood"
        raise SourceError.at(self._place, told)


def _alike(one: Term, other: Term) -> bool:
    """The same operation, one step apart."""
    if one.op != other.op or len(one.args) != len(other.args) or one.shape != other.shape:
        return False
    if one.op == "Row":
        return one.args[0] is other.args[0] and one.settings["number"] == other.settings["number"] + 1
    return one.value is None and other.value is None and one.attributes == other.attributes


_MOST_ORDERS = 10_000
"""Ways of giving outputs to states that are looked at: twenty outputs and three states have as many as 1140."""


def single_steps(outputs: Sequence[Term], inputs: Sequence[Term], place: Place) -> Iterator[Body]:
    """A step whose states are inputs and outputs of the file, or a network without time.

    Where more than one output may be what an input is in the next step, each way in which both stand in the same order
    is a step; those that a network returns last come first.
    """
    result, *others = outputs
    known = {id(state) for state in inputs}
    reached = [known.intersection(map(id, other.walk())) for other in others]
    makers = {
        id(state): [k for k, other in enumerate(others) if other.shape == state.shape and id(state) in reached[k]]
        for state in inputs
    }
    if all(len(found) < 2 for found in makers.values()):
        yield _single_step(outputs, inputs, place)
        return
    given = [state for state in inputs[1:] if makers[id(state)]]
    found = False
    for chosen in islice(combinations(reversed(range(len(others))), len(given)), _MOST_ORDERS):
        pairs = list(zip(given, reversed(chosen), strict=True))
        if all(k in makers[id(state)] for state, k in pairs):
            found = True
            yield Body(result, {id(state): others[k] for state, k in pairs}, None, tuple(given))
    if not found:
        yield _single_step(outputs, inputs, place)


def _single_step(outputs: Sequence[Term], inputs: Sequence[Term], place: Place) -> Body:
    """The one step where each input has at most one output that it is carried on to."""
    result, *others = outputs
    readers: dict[int, set[str]] = {}
    for term in {id(term): term for output in outputs for term in output.walk()}.values():
        for arg in term.args:
            readers.setdefault(id(arg), set()).add(term.op)
    carried = [(other, _carried(other)) for other in others]
    previous: dict[int, Term] = {}
    states: list[Term] = []
    for state in inputs:
        if id(state) not in readers or readers[id(state)] - ELEMENTWISE:
            continue
        makers = [other for other, inside in carried if other.shape == state.shape and id(state) in inside]
        if len(makers) == 1:
            previous[id(state)] = makers[0]
            states.append(state)
        elif makers:
            told = f"the input {state.origin} may be the state of {' or of '.join(m.origin for m in makers)}"
            raise SourceError.at(place, told)
    return Body(result, previous, None, tuple(states))


def _carried(output: Term) -> set[int]:
    """The identities of *output* and of all that is carried on to it element by element."""
    stack = [output]
    seen: set[int] = set()
    while stack:
        term = stack.pop()
        if id(term) not in seen:
            seen.add(id(term))
            if term.op in ELEMENTWISE:
                stack.extend(term.args)
    return seen
