"""The published way to share the cores out, to compare with: layers are cut into fragments of output channels, in
multiples of 16, and consecutive fragments fill one core after the other, each with as much work.

That is what the workloads of NeuroMC show: fragments of convolutions by output channels and by nothing else, whose work
fills cores in the order of the layers.  How its cores take turns is not known.  Here every stage of a layer (its sums,
errors, weight gradient and update) runs on the cores that hold the layer's fragments.  Where it makes as many channels
as the layer has outputs each core makes its own, else they are shared out evenly, again in multiples of 16.  What has
no output channels of its own runs on the cores of the layer before it.  Stages that follow one another and wait for
nothing of one another run side by side.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ...source import TargetError
from ..cost.duration import duration
from ..ir.schedule import Stage
from ..ir.statement import Contraction
from .build_stage import build_stage
from .dependencies import touches, waits
from .request import Request
from .split import CHANNEL_GRAIN, named, shareable, shares
from .ways import Planned, Way


@dataclass(frozen=True)
class Layer:
    """A layer with so many fragments, each of the same *work*; of which the last may have fewer channels."""

    fragments: int
    work: int


@dataclass(frozen=True)
class Group:
    """Neighbouring cores, the *first* of them by its number, and how many fragments of a layer each holds."""

    first: int
    fragments: tuple[int, ...]

    @property
    def cores(self) -> int:
        """How many they are."""
        return len(self.fragments)


def filled(layers: Sequence[Layer], capacity: int) -> list[Group]:
    """Fragments in order, on cores that each take as much work as *capacity*, one filled after the other."""
    found: list[Group] = []
    core, load = 0, 0
    for layer in layers:
        first, held = core, [0]
        for _ in range(layer.fragments):
            if load and load + layer.work > capacity:
                core, load = core + 1, 0
                held.append(0)
            held[-1] += 1
            load += layer.work
        skipped = 0 if held[0] else 1  # its first core had no room
        found.append(Group(first + skipped, tuple(held[skipped:])))
    return found


def packed(layers: Sequence[Layer], cores: int) -> list[Group]:
    """Fragments in order on so many *cores*, filled to the least capacity with which there are enough of them."""
    least = max((layer.work for layer in layers), default=0)
    most = sum(layer.fragments * layer.work for layer in layers)
    while least < most:
        capacity = (least + most) // 2
        if _used(filled(layers, capacity)) <= cores:
            most = capacity
        else:
            least = capacity + 1
    return filled(layers, least)


def _used(groups: Sequence[Group]) -> int:
    return max(group.first + group.cores for group in groups)


def placed(planned: Sequence[Planned], aliases: Mapping[str, str], cores: int) -> Iterator[Stage]:
    """The stages of an entry in the order in which they were *planned*, each on the cores of its layer."""
    stages = [_on_group(each, group, cores) for each, group in zip(planned, _groups(planned, cores), strict=True)]
    before = waits([tuple(touches(stage, aliases)) for stage in stages])
    team, begins = 1, 0
    for number, stage in enumerate(stages):
        apart = _together(stage) != _together(stages[begins]) or any(other >= begins for other in before[number])
        team, begins = (team + 1, number) if apart else (team, begins)
        yield replace(stage, team=team)


def _together(stage: Stage) -> object:
    """What stages of one team have in common: the loops that they share with others."""
    return stage.windows, stage.cycle, stage.turns


def _groups(planned: Sequence[Planned], cores: int) -> Iterator[Group | None]:
    """The cores of each; None for all that comes before any layer."""
    layers: dict[str, Layer] = {}
    for each in planned:
        request = each.request
        if request.phase == "FP" and isinstance(request.statement, Contraction) and request.layer not in layers:
            outputs = _channels(request)[1]
            fragments = -(-outputs // CHANNEL_GRAIN)
            products = math.prod(request.statement.extents.values())
            layers[request.layer] = Layer(fragments, -(-products // fragments))
    groups = dict(zip(layers, packed(tuple(layers.values()), cores), strict=True)) if layers else {}
    last = None
    for each in planned:
        last = groups.get(each.request.layer, last)
        yield last


def _channels(request: Request) -> tuple[str, int]:
    """The loop of output channels and its extent; one channel where there is none."""
    loop = named(request.statement, "channels") or ""
    return loop, request.extents.get(loop, 1)


def _on_group(planned: Planned, group: Group | None, cores: int) -> Stage:
    """The stage on its cores; as it was planned where it has none, or can be mapped there in no way."""
    request = planned.request
    if group is None:
        return planned.stage
    on = request.on(group.cores)
    found = [on] if request.pin.split is not None else [*_by_channels(on, group), on]
    for each in found:
        try:
            stage = build_stage(planned.mapper.choose(each))
        except TargetError:
            continue
        held = replace(stage, mapping=stage.mapping.working)
        return Way(held, duration(held, request.target)).on(group.first, cores)
    return planned.stage


def _by_channels(request: Request, group: Group) -> Iterator[Request]:
    """The request with its channels shared out: as the layer's fragments are, or evenly."""
    loop, channels = _channels(request)
    grain = math.lcm(CHANNEL_GRAIN, shareable(request.leading, not request.rounds).get(loop, 0))
    if not grain or group.cores == 1:
        return
    if -(-channels // CHANNEL_GRAIN) == sum(group.fragments):
        ends = [min(channels, CHANNEL_GRAIN * sum(group.fragments[: k + 1])) for k in range(group.cores)]
        parts = tuple((begin, end - begin) for begin, end in zip([0, *ends], ends, strict=False))
    else:
        parts = shares(channels, group.cores, grain)
    if all(begin % grain == 0 for begin, _ in parts):
        yield replace(request, parts=parts)
