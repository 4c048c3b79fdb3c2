"""Neurons in what a step spells out, told by what they do and not by how they are written.

Element-wise terms that wait for one another through the step before are the inside of a neuron.  It is tried out with
inputs that tell its constants apart: how it answers an impulse, where it fires, what is left after a spike.  What is
found is held against it on random inputs for many steps; only a neuron that gives the same spikes and the same membrane
to within rounding is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from ._onnx_clusters import Cluster, read_outside
from ._onnx_constants import rounded
from ._onnx_elements import COMPARISONS, SHIFTED, Compared, Unknown, compared, is_bit
from ._onnx_model import Dual, Model, Reset
from ._onnx_probe import NO_SUM, Probe
from ._onnx_settings import Said, said, said_of_a_readout
from ._onnx_steps import Body
from ._onnx_terms import Term
from .frontend import Array

LONGEST_PERIOD = 16
"""Steps that a neuron may wait after a spike, if it is to be recognised."""

_RESETS: tuple[tuple[Reset, bool], ...] = (
    ("soft", False), ("hard", False), ("none", False), ("soft", True), ("hard", True),
)  # fmt: skip
_TWICE = (
    "taken as reset=soft: it is that while no potential exceeds twice the threshold; beyond, the file takes the "
    "threshold away once more in the next step"
)
_UNSEEN = (
    "its spikes come back to it in the step whose input its reset discards: they change nothing, and the weight that "
    "only gradients would see is left out"
)


@dataclass(frozen=True)
class Found:
    """A neuron: *said* is what the language says of it, *roles* which member is which of its results.

    *roles* gives, by identity, the suffix of the result that a member is ("" spikes, ``h`` the membrane), and the
    factor by which it is more.  A *warning* tells where it is not what the file spells out.
    """

    said: Said
    roles: Mapping[int, tuple[str, float]]
    warning: str = ""

    @property
    def op(self) -> str:
        """The operator."""
        return self.said.op


def recognise(cluster: Cluster, body: Body) -> Found:
    """The neuron that *cluster* is; `Unknown` with the reason where it is none."""
    if not cluster.drives:
        raise Unknown("nothing drives it")
    probe = Probe(cluster, body)
    if not any(term.op in COMPARISONS for term in cluster.members):
        return _readout(probe)
    if cluster.stateless:
        raise Unknown("it carries nothing from step to step")
    return _spiking(probe)


def _readout(probe: Probe) -> Found:
    """A neuron without spikes: its last value is what is read."""
    cluster, body = probe.cluster, probe.body
    made = {id(body.previous[id(state)]) for state in cluster.states}
    outside = [term for term in cluster.members if read_outside(term, cluster, body)]
    carried = [term for term in cluster.members if id(term) in made]
    if not outside and not carried:
        raise Unknown("nothing of it is read")
    of = (outside or carried)[-1]
    what = Compared(of, np.asarray(np.inf), True)
    for model in probe.linear(what):
        if probe.agrees(what, model):
            return Found(_in_full(probe, said_of_a_readout(model)), probe.roles(model, {"h": ""}))
    raise Unknown("it is linear, and carries more than a membrane and a current")


def _spiking(probe: Probe) -> Found:
    """A neuron that fires: constants from its answers, then the reset that explains them."""
    reasons: list[Unknown] = []
    bases: list[tuple[Compared, Model]] = []
    for term in reversed(probe.cluster.members):
        for what in _compared_now(probe, term) if term.op in COMPARISONS else ():
            try:
                bases += [(what, base) for base in probe.linear(_at_rest(probe, what))]
            except Unknown as reason:
                reasons.append(reason)
    bases.sort(key=lambda pair: pair[1].lag)
    for explained in _EXPLANATIONS:
        for what, base in bases:
            for model in explained(probe, what, base):
                if probe.agrees(what, model):
                    found = _found(probe, what, model)
                    if not model.period or any(suffix == "" for suffix, _ in found.roles.values()):
                        return replace(found, warning=_UNSEEN) if _discards_spikes(probe, model) else found
    for explained in (_plain, _echoing):
        for what, base in bases:
            for model in explained(probe, what, base):
                # A comparison of the potential after the reset resets again only where that is still above it.
                if model.reset == "soft" and not model.delayed and probe.agrees(what, model, most=1.9):
                    return replace(_found(probe, what, model, 1.9), warning=_TWICE)
    if not bases:
        raise reasons[0] if reasons else Unknown("it compares nothing that it charges")
    if any(probe.agrees(what, base, most=0.9) for what, base in bases):
        raise Unknown("its reset is none of hard, soft and none, at once or delayed")
    raise Unknown(NO_SUM)


def _discards_spikes(probe: Probe, model: Model) -> bool:
    """Whether spikes come back with the input that a reset discards, so that none of it shows in a potential."""
    return model.delayed and model.reset == "hard" and not np.any(model.echo) and _come_back(probe)


def _compared_now(probe: Probe, term: Term) -> list[Compared]:
    """What a comparison compares; a potential that is compared one step later is compared as it is made."""
    made = probe.body.previous
    found = [what for what in compared(term) if probe.knows(what)]
    return [replace(what, of=made.get(id(what.of), what.of)) for what in found]


def _at_rest(probe: Probe, what: Compared) -> Compared:
    """*what* with the threshold that it has while nothing fires."""
    if what.moving is None:
        return what
    probe.settle(what.moving)
    level, *later = probe.answers(what.moving, [np.zeros(probe.shape)] * 3)
    if not all(np.allclose(level, each, rtol=1e-9, atol=1e-12) for each in later):
        raise Unknown("its threshold changes with its input")
    return replace(what, threshold=level + what.threshold)


# Explanations of what is left after a spike


def _plain(probe: Probe, what: Compared, base: Model) -> Iterator[Model]:
    """Resets, and a threshold that spikes raise."""
    if what.moving is not None:
        base = _rising(probe, what, base)
    for reset, delayed in _RESETS:
        model = replace(base, reset=reset, delayed=delayed)
        if reset == "hard":
            model = replace(model, v_reset=_solved(probe, what, model, "v_reset", 1))
            if np.abs(model.v_reset).max() > 1e-9 and _come_back(probe):
                continue  # spikes that come back do the same: see `_to_another_potential`
        yield model


def _to_another_potential(probe: Probe, what: Compared, base: Model) -> Iterator[Model]:
    """A hard reset to a potential other than 0, of a neuron whose next step reads its spikes as well."""
    for delayed in (False, True):
        model = replace(base, reset="hard", delayed=delayed)
        yield replace(model, v_reset=_solved(probe, what, model, "v_reset", 1))


def _rising(probe: Probe, what: Compared, base: Model) -> Model:
    assert what.moving is not None
    inputs, _ = probe.after_a_spike(what, base, 3)
    moved = probe.answers(what.moving, inputs)[base.lag :]
    first, second = (each + what.threshold - base.threshold for each in moved[1:3])
    if (first == 0).any() or (second == 0).any():
        return base
    return replace(base, rise=first**2 / second, fall=second / first)


def _echoing(probe: Probe, what: Compared, base: Model) -> Iterator[Model]:
    """Resets beside spikes that come back, each to its own neuron, as input of the next step."""
    reads = _readings_of_spikes(probe)
    if what.moving is not None or not _come_back(probe):
        return
    resets = [pair for pair in _RESETS if reads > 1 or pair == ("none", False)]
    carried = {id(probe.body.previous[id(state)]) for state in probe.cluster.states}
    if id(what.of) in carried:  # what it was compared with is carried on: no reset stands between
        resets.sort(key=lambda pair: not pair[1])
    for reset, delayed in resets:
        model = replace(base, reset=reset, delayed=delayed)
        for step in (1, 2):
            echo = _solved(probe, what, model, "echo", step)
            if echo.any():
                yield replace(model, echo=echo)
                break


def _come_back(probe: Probe) -> bool:
    """Whether spikes of the step before are added to what is driven, and not only to what is carried."""
    cluster, body = probe.cluster, probe.body
    fired = {id(state) for state in cluster.states if is_bit(body.previous[id(state)])}
    driven = {id(drive) for drive in cluster.drives}
    for term in cluster.members:
        args = [arg for arg in term.args if arg.value is None]
        from_spikes = [id(arg) in fired for arg in args]
        if any(id(arg) in driven for arg in args):
            if any(from_spikes) and term.op in SHIFTED:
                return True
            driven.add(id(term))
        elif args and all(from_spikes):
            fired.add(id(term))
    return False


def _readings_of_spikes(probe: Probe) -> int:
    """How often the next step reads spikes, or compares what the step before left."""
    cluster, body = probe.cluster, probe.body
    bits = {id(state) for state in cluster.states if is_bit(body.previous[id(state)])}
    comparisons = [term for term in cluster.members if term.op in COMPARISONS]
    again = sum(any(what.of in cluster.states for what in compared(term)) for term in comparisons)
    return again + sum(id(arg) in bits for term in cluster.members for arg in term.args)


def _taking_another_amount(probe: Probe, what: Compared, base: Model) -> Iterator[Model]:
    """A soft reset at once that takes away another amount than the threshold."""
    model = replace(base, reset="soft", amount=np.asarray(base.threshold))
    if what.moving is None:
        yield replace(model, amount=_solved(probe, what, model, "amount", 1))


def _against_itself(probe: Probe, what: Compared, base: Model) -> Iterator[Model]:
    """Resets beside a current that spikes make grow."""
    if what.moving is not None or base.current_decay is not None:
        return
    for reset, delayed in (("hard", False), ("soft", False), ("none", False), ("soft", True)):
        model = replace(base, reset=reset, delayed=delayed)
        model = replace(model, jump=_solved(probe, what, model, "jump", 1))
        if not np.any(base.fading):
            model = replace(model, fading=_solved(probe, what, model, "fading", 2))
        yield model


def _waiting(probe: Probe, what: Compared, base: Model) -> Iterator[Model]:
    """Steps after a spike in which nothing is charged."""
    for period in range(1, LONGEST_PERIOD + 1) if what.moving is None else ():
        for reset in ("hard", "soft"):
            model = replace(base, reset=reset, period=period)
            if reset == "hard":
                model = replace(model, v_reset=_solved(probe, what, model, "v_reset", period + 1))
            yield model


def _of_two_currents(probe: Probe, what: Compared, base: Model) -> Iterator[Model]:
    """A membrane that is the sum of two currents, which work against each other."""
    dual = Dual.of(base) if what.moving is None else None
    if dual is None:
        return
    yield dual
    yield replace(dual, reset="hard")
    # A soft reset adds one of the currents to the membrane, which tells how much of the input that takes.
    inputs, seen = probe.after_a_spike(what, dual, 2)
    less, more = (replace(dual, reset="soft").driven(np.full(probe.shape, k)).run(inputs)[2].h for k in (1.0, 2.0))
    share = 1.0 + np.divide(seen[2] - less, more - less, out=np.zeros(probe.shape), where=np.abs(more - less) > 1e-12)
    if share.all():
        yield replace(dual.driven(share), reset="soft")


_EXPLANATIONS: tuple[Callable[[Probe, Compared, Model], Iterator[Model]], ...] = (
    _of_two_currents,
    _plain,
    _echoing,
    _to_another_potential,
    _taking_another_amount,
    _against_itself,
    _waiting,
)


def _solved(probe: Probe, what: Compared, model: Model, name: str, step: int) -> Array:
    """What *name* must be for *model* to be right about a *step* after a spike; 0 where nothing depends on it."""
    inputs, seen = probe.after_a_spike(what, replace(model, reset="none", delayed=False, period=0), step + 1)
    none = np.zeros(probe.shape)
    without, with_one = (replace(model, **{name: none + k}).run(inputs)[model.lag + step].h for k in (0, 1))
    slope = with_one - without
    return np.divide(seen[model.lag + step] - without, slope, out=none, where=np.abs(slope) > 1e-12)


def _found(probe: Probe, what: Compared, model: Model, most: float = 3.0) -> Found:
    names = {"s": ""}
    if model.amount is None:
        names["h"] = "h"
    told = _in_full(probe, said(model, probe.beginning(what, model)))
    if told.op in ("cuba", "alpha"):
        names["i"] = "i"
    if told.op == "alpha":
        names["e"] = "e"
    if told.op == "alif":
        names["b"] = "b"
    roles = probe.roles(model, names, most)
    outside = {
        roles[id(term)][1]
        for term in probe.cluster.members
        if id(term) in roles and roles[id(term)][0] == "" and read_outside(term, probe.cluster, probe.body)
    }
    if len(outside) == 1 and (worth := outside.pop()) > 0 and worth != 1.0:
        told = told.with_amplitude(worth)
        roles = {
            key: (suffix, rounded(factor / worth) if suffix == "" else factor)
            for key, (suffix, factor) in roles.items()
        }
    return Found(told, roles)


def _in_full(probe: Probe, told: Said) -> Said:
    """*told* with a constant for each element."""
    return told if told.bias is None else replace(told, bias=np.broadcast_to(told.bias, probe.whole[1:]))
