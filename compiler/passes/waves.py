"""Waves: a stage once for some samples, then for the next.

What is searched for is a mapping of one wave; the others do the same with samples further on.  One that treats each
sample by itself does so without more.  One that sums over samples (a weight gradient) leaves what its accumulators
hold in DRAM, and the next wave goes on with it: two places, of which one is read while the other is written.  That
needs sums without an order, and is done where what moves for it is little beside the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
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

Better: TypeAlias = Callable[[Planned], Planned]
"""Makes another stage of one that is planned, if that is quicker."""


def in_waves(planned: Sequence[Planned], count: int, target: Target, better: Better) -> list[Stage]:
    """All stages, those that can be in so many waves, in an order in which they may run; mapped for *target*, which has
    less room than theirs, wherever it has enough, and made *better*."""
    found: list[Stage] = []
    for each in planned:
        part = replace(each, request=replace(each.request, target=target))
        found += _stages(part, count, better) or [better(each).stage]
    return found


def _stages(planned: Planned, count: int, better: Better) -> list[Stage]:
    """The stage in so many waves, or in one for all samples; none where there is no room for it."""
    request = planned.request
    try:
        if count > 1 and _may_be_cut(request, count):
            waves = shares(request.extents[SAMPLES], count, 1)
            stages = (_cut if _is_apart(request) else _gone_on_with)(planned, waves, better)
            if stages is not None:
                return stages
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


def _cut(planned: Planned, waves: Shares, better: Better) -> list[Stage] | None:
    """The stage in *waves*; None where they move what a machine cannot move."""
    request = planned.request
    found = {extent: _mapped(_first(request, extent), planned.mapper, better).stage for _, extent in waves}
    stages: list[Stage] = []
    for wave in waves:
        chosen = found[wave[1]]
        decision = _further_on(request, chosen.mapping, wave)
        if not _is_legal(request, decision, wave):
            return None
        stages.append(build_stage(Mapped(request, decision, chosen.explanation)))
    return stages


def _gone_on_with(planned: Planned, waves: Shares, better: Better) -> list[Stage] | None:
    """A stage that sums over samples, in *waves*: each goes on with what the one before has left, and the last
    has all that is made of the whole sum.  None where sums have an order, or what is left costs more than it is worth.
    """
    request = planned.request
    sums = [request.statement, *(each.statement for each in request.beside)]
    if request.rounds or request.drawn or not all(isinstance(s, Contraction) and SAMPLES in s.summed for s in sums):
        return None
    most = len(waves) - 1
    requests = [_part(request, number, len(waves)) for number in range(len(waves))]
    left = sum(request.types[each.target.value].bytes(1, 1) for each in _sums(requests[0]))
    moved = 2 * most * left * 8 / request.target.dram.bits_per_cycle
    if not _others(request) or WORTH_LEFT * moved > duration(planned.stage, request.target).core:
        return None
    found: dict[tuple[int, bool], Stage] = {}
    stages: list[Stage] = []
    for number, (own, wave) in enumerate(zip(requests, waves, strict=True)):
        key = wave[1], number == most
        if key not in found:
            like = own if number == most else requests[most - 1]
            found[key] = _mapped(_first(like, wave[1]), planned.mapper, better).stage
        decision = _further_on(own, found[key].mapping, wave)
        if not _is_legal(own, decision, wave):
            return None
        stages.append(build_stage(Mapped(own, decision, found[key].explanation)))
    return stages


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


def _first(request: Request, samples: int) -> Request:
    """*request* on its first samples, so many."""
    return part_of(request, {SAMPLES: samples})


def _is_legal(request: Request, decision: Decision, wave: tuple[int, int]) -> bool:
    """Whether a machine can do what was decided for a *wave*."""
    held = any(loop == SAMPLES for _, loop in decision.whole)
    return not held and is_legal(request, decision, {SAMPLES: (wave,)})


def _further_on(request: Request, decision: Decision, wave: tuple[int, int]) -> Decision:
    """What was decided for the first samples, for those of a *wave* of as many."""
    low, extent = wave
    parts = dict(decision.parts)
    idle = (0, 0)
    others = _others(request)
    if not parts and others:  # all on one core
        parts[others[0]] = tuple((0, request.extents[others[0]]) if share else idle for _, share in decision.shares)
    if SAMPLES in parts:
        parts[SAMPLES] = tuple((low + first, own) if own else idle for first, own in parts[SAMPLES])
    else:
        parts[SAMPLES] = tuple((low, extent) if share else idle for _, share in decision.shares)
    (split, shares), *further = parts.items()
    decision = replace(decision, split=split, shares=shares, further=tuple(further))
    return replace(decision, cast=cast_of(request, decision))


def _others(request: Request) -> list[str]:
    """Loops of a stage beside samples, and those that it sums over."""
    summed = getattr(request.statement, "summed", ())
    return [name for name in request.extents if name != SAMPLES and name not in summed]
