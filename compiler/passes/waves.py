"""Waves: a stage once for some samples, then for the next.

What is searched for is a mapping of one wave; the others do the same with samples further on.  One that treats each
sample by itself does so without more.  One that sums over samples (a weight gradient) leaves what its accumulators
hold in DRAM, and the next wave goes on with it: two places, of which one is read while the other is written.  That
needs sums without an order, and is done where what moves for it is little beside the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from ...isa.target import Target
from ...source import TargetError
from ..cost.duration import duration
from ..ir.accesses import made_by
from ..ir.decision import Decision, Shares
from ..ir.schedule import Stage
from ..ir.statement import Access, Contraction, Moments, Statement
from .build_stage import build_stage
from .mapping import Mapped, Mapper
from .operands import accumulator_format
from .parted import cast_of, is_legal, part_of
from .request import Request
from .split import shares
from .ways import Planned

SAMPLES = "n"
"""The loop that is cut."""

WORTH_LEFT = 2
"""What a sum leaves between waves must take the channel so many times less than all of its work takes."""

PARTIAL = ".partial."
"""What stands between a value and 0 or 1, in the name of the place where its sum lies between two waves."""


@dataclass(frozen=True)
class Wave:
    """A stage on the samples of wave *number*; what takes all samples at once belongs to the last."""

    stage: Stage
    number: int


Better: TypeAlias = Callable[[Planned], Planned]
"""Makes another stage of one that is planned, if that is quicker."""


def in_waves(planned: Sequence[Planned], count: int, target: Target, better: Better) -> list[Wave]:
    """All stages, those that can be in so many waves, in an order in which they may run; mapped for *target*, which has
    less room than theirs, wherever it has enough, and made *better*."""
    found: list[Wave] = []
    for each in planned:
        part = replace(each, request=replace(each.request, target=target))
        stages = _stages(part, count, better) or [better(each).stage]
        found += [Wave(stage, count - len(stages) + number) for number, stage in enumerate(stages)]
    return found


def _stages(planned: Planned, count: int, better: Better) -> list[Stage]:
    """The stage in so many waves, or in one for all samples; none where there is no room for it."""
    request = planned.request
    try:
        if count > 1 and _may_be_cut(request, count):
            waves = (_cut if _is_apart(request) else _gone_on_with)(planned, count, better)
            if waves is not None:
                return waves
        return [_mapped(request, planned.mapper, better).stage]
    except TargetError:
        return []


def _may_be_cut(request: Request, count: int) -> bool:
    """Whether there are samples for so many waves, and nobody has said how cores share them."""
    extents = request.extents
    return (
        not request.shared
        and request.pin.split is None
        and 0 not in extents.values()
        and extents.get(SAMPLES, 0) >= count
    )


def _is_apart(request: Request) -> bool:
    """Whether a stage treats each sample by itself."""
    return all(map(_of_samples, request.statements))


def _of_samples(statement: Statement) -> bool:
    """Whether all that a statement makes it makes for each sample."""
    made = [access for _, access in made_by(statement)]
    return not isinstance(statement, Moments) and all(SAMPLES in access.loops for access in made)


def _mapped(request: Request, mapper: Mapper, better: Better) -> Planned:
    """The best stage of *request*."""
    return better(Planned(request, build_stage(mapper.choose(request)), mapper))


def _cut(planned: Planned, count: int, better: Better) -> list[Stage] | None:
    """The stage in so many waves; None where they move what a machine cannot move."""
    request = planned.request
    waves = shares(request.extents[SAMPLES], count, 1)
    found = _mapped(_first(request, waves), planned.mapper, better).stage
    decisions = [_further_on(request, found.mapping, wave) for wave in waves]
    if not _are_legal(request, decisions, waves):
        return None
    return [build_stage(Mapped(request, decision, found.explanation)) for decision in decisions]


def _gone_on_with(planned: Planned, count: int, better: Better) -> list[Stage] | None:
    """A stage that sums over samples, in so many waves: each goes on with what the one before has left, and the last
    has all that is made of the whole sum.  None where sums have an order, or what is left costs more than it is worth.
    """
    request = planned.request
    sums = [request.statement, *(each.statement for each in request.beside)]
    if request.rounds or request.drawn or not all(isinstance(s, Contraction) and SAMPLES in s.summed for s in sums):
        return None
    waves = shares(request.extents[SAMPLES], count, 1)
    requests = [_part(request, number, count) for number in range(count)]
    most = count - 1
    left = sum(request.types[each.target.value].bytes(1, 1) for each in _sums(requests[0]))
    moved = 2 * most * left * 8 / request.target.dram.bits_per_cycle
    if not _others(request) or WORTH_LEFT * moved > duration(planned.stage, request.target).core:
        return None
    found = {number: _alone(_first(requests[number], waves), planned.mapper, better) for number in {most - 1, most}}
    stages: list[Stage] = []
    for number, (own, wave) in enumerate(zip(requests, waves, strict=True)):
        chosen = found[most if number == most else most - 1]
        decision = _further_on(own, chosen.mapping, wave)
        if own.adds(decision.split) or not _are_legal(own, [decision], waves):
            return None
        stages.append(build_stage(Mapped(own, decision, chosen.explanation)))
    return stages


def _alone(request: Request, mapper: Mapper, better: Better) -> Stage:
    """The best stage of *request* of those in which no cores share a sum."""
    found = _mapped(request, mapper, better).stage
    return build_stage(mapper.choose(request)) if found.gathers else found


def _sums(request: Request) -> Iterator[Contraction]:
    """The sums of a stage."""
    for statement in (request.statement, *(each.statement for each in request.beside)):
        assert isinstance(statement, Contraction), request.name
        yield statement


def _part(request: Request, number: int, count: int) -> Request:
    """*request* in the wave with that *number*."""
    last = number == count - 1

    def part(statement: Statement) -> Contraction:
        assert isinstance(statement, Contraction), request.name
        index, value = statement.target.index, statement.target.value
        homes = [Access(f"{value}{PARTIAL}{place}", index) for place in range(2)]
        kind = accumulator_format(request.target, statement, request.types).name
        for home in homes:
            request.types[home.value] = request.types[value].with_(format=kind, scale=1.0)
        before = homes[(number - 1) % 2] if number else None
        if last:
            return replace(statement, onto=before)
        return replace(statement, target=homes[number % 2], onto=before, partial=True, bias=None, scale=1.0)

    beside = tuple(replace(each, statement=part(each.statement)) for each in request.beside)
    epilogue = request.epilogue if last else ()
    inside = request.inside if last else frozenset[str]()
    return replace(request, statement=part(request.statement), beside=beside, epilogue=epilogue, inside=inside)


def _first(request: Request, waves: Shares) -> Request:
    """*request* on as many samples as the largest of *waves* has."""
    return part_of(request, {SAMPLES: max(extent for _, extent in waves)})


def _are_legal(request: Request, decisions: Sequence[Decision], waves: Shares) -> bool:
    """Whether a machine can do what was decided for *waves*."""
    cut = {SAMPLES: waves}
    held = any(loop == SAMPLES for decision in decisions for _, loop in decision.whole)
    return not held and all(is_legal(request, decision, cut) for decision in decisions)


def _further_on(request: Request, decision: Decision, wave: tuple[int, int]) -> Decision:
    """What was decided for the first samples, for those of a *wave*: cores do not share them more than before."""
    low, extent = wave
    parts = dict(decision.parts)
    cores, idle = len(decision.shares), (0, 0)
    others = _others(request)
    if not parts and others:  # all on one core
        parts[others[0]] = tuple((0, request.extents[others[0]]) if share else idle for _, share in decision.shares)
    if SAMPLES in parts:
        parts[SAMPLES] = tuple(_clipped(parts[SAMPLES], wave))
    else:
        parts[SAMPLES] = tuple((low, extent) if share else idle for _, share in decision.shares)
    working = [all(shares[core][1] for shares in parts.values()) for core in range(cores)]
    parts = {
        name: tuple(share if works else idle for share, works in zip(shares, working, strict=True))
        for name, shares in parts.items()
    }
    (split, shares), *further = parts.items()
    decision = replace(decision, split=split, shares=shares, further=tuple(further))
    return replace(decision, cast=cast_of(request, decision))


def _others(request: Request) -> list[str]:
    """Loops of a stage beside samples, and those that it sums over."""
    summed = getattr(request.statement, "summed", ())
    return [name for name in request.extents if name != SAMPLES and name not in summed]


def _clipped(shares: Shares, wave: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """The shares of the samples of a wave, which may have fewer than the first."""
    low, extent = wave
    for first, own in shares:
        left = max(0, min(own, extent - first))
        yield (low + first, left) if left else (0, 0)
