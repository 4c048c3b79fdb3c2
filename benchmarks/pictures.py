"""Pictures of a contest: what snnc takes in units of SpikingJelly, by network and spike rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from snnc.reports.drawing import drawing, picture

from .contest import Timed, peer_of, ratio
from .tables import base_of, rate_of


def draw(found: Sequence[Timed], suffix: str) -> bytes:
    """Training steps on one thread: a panel a network, a line a program and surrogate, with bf16 beside them."""
    steps = [each for each in found if each.case.entry == "training" and each.threads == 1]
    return picture(lambda: _figure(steps), suffix)


def _figure(found: Sequence[Timed]) -> Any:
    models = list(dict.fromkeys(each.case.model for each in found))
    figure = drawing().Figure(figsize=(3.6 * max(len(models), 1), 3.2), layout="constrained")
    colours = {label: f"C{place % 10}" for place, label in enumerate(lines(found))}
    panels = figure.subplots(1, max(len(models), 1), squeeze=False, sharey=True).flat
    for axes, model in zip(panels, models, strict=False):
        members = [each for each in found if each.case.model == model]
        places = list(dict.fromkeys(rate_of(each.case) for each in members))
        for label, line in lines(members).items():
            points = {rate_of(each.case): ratio(each, base)[0] for each, base in line}
            axes.plot([places.index(rate) for rate in points], list(points.values()), marker="o", color=colours[label])
        axes.axhline(1.0, linestyle=":", color="#8c8c8c")
        axes.set_xticks(range(len(places)), labels=places)
        axes.set(title=model, xlabel="spikes", ylim=(0, None))
    if models:
        figure.axes[0].set_ylabel("time / SpikingJelly f32")
        for label, colour in colours.items():
            figure.axes[0].plot([], [], marker="o", color=colour, label=label)
        figure.legend(loc="outside right center", frameon=False)
    return figure


def lines(members: Sequence[Timed]) -> dict[str, list[tuple[Timed, Timed]]]:
    """What is drawn as a line: contestants that have a base to be compared with, by label."""
    found: dict[str, list[tuple[Timed, Timed]]] = {}
    for each in members:
        base = base_of(each, members)
        if base is not None and base is not each:
            numbers = "" if peer_of(each.peer) == "snnc" else f" {each.precision}"
            found.setdefault(f"{each.peer}{numbers}, {each.case.surrogate.partition('(')[0]}", []).append((each, base))
    return found
