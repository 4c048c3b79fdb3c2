"""Time templates: the sweeps of a training step, and what stands in each of them.

The builder makes the parts of a training step, and the rule names the template that puts them in order (see
`training.rule.Rule.sweeps`).  A template is a function here and its entry in `TEMPLATES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from ..ir.graph import Node, Region
from ..training.rule import Rule
from .settled import Settled


@dataclass(frozen=True)
class Parts:
    """What a training step of so many *steps* under a *rule* is made of.

    The way there: what runs once (*static*), a sweep *up*, and what runs once *behind* it.  What follows in *each*
    step: errors, or what weights learn without any; *sums* of it behind each window; what runs *once* behind all.  The
    *updates* of all that lasts; *late* ones come behind the last step wherever the others stand.  *parameters* are
    those that learn, *means* what is known of all steps together before errors are.
    """

    rule: Rule
    steps: int
    static: Region
    up: Region
    behind: Region
    each: tuple[Node, ...] = ()
    sums: tuple[Node, ...] = ()
    once: tuple[Node, ...] = ()
    updates: tuple[Node, ...] = ()
    late: tuple[Node, ...] = ()
    parameters: frozenset[str] = frozenset()
    means: tuple[Node, ...] = ()

    @property
    def window(self) -> int:
        """Steps of a window, if time is cut into any."""
        return self.rule.window_of(self.steps)

    @property
    def last(self) -> Region:
        """What runs once behind all sweeps."""
        return Region("once", (*self.once, *self.updates, *self.late))


Template = Callable[[Parts], tuple[Region, ...]]


def two_sweeps(parts: Parts) -> tuple[Region, ...]:
    """Up, and down again; without errors of each step (those of rates) there is nothing to go down for."""
    return parts.static, parts.up, parts.behind, Region("down", parts.each), parts.last


def single_sweep(parts: Parts) -> tuple[Region, ...]:
    """Upwards, and what follows in each step with it."""
    return parts.static, _along(parts.up, parts.each), parts.behind, parts.last


def updating_sweep(parts: Parts) -> tuple[Region, ...]:
    """The same, with all updates in each step: the next one reads new parameters."""
    return parts.static, _along(parts.up, (*parts.each, *parts.updates)), Region("once", parts.late)


def chosen_steps(parts: Parts) -> tuple[Region, ...]:
    """A sweep upwards, and what follows in those of its steps that the host chooses."""
    turns = parts.rule.turns(parts.steps)
    return parts.static, parts.up, Region("chosen", parts.each, True, turns), parts.last


def windows(parts: Parts) -> tuple[Region, ...]:
    """A window after the other: up and down, and then sums of what is updated behind all."""
    down, sums = Region("down", parts.each, window=parts.window), Region("once", parts.sums, window=parts.window)
    return parts.static, parts.up, down, sums, parts.last


def updating_windows(parts: Parts) -> tuple[Region, ...]:
    """A window after the other: up and down, and then an update.

    What is made of parameters alone is made in each window, since these change in each.
    """
    changing = set(parts.parameters)
    kept: list[Node] = []
    made: list[Node] = []
    for node in parts.static.nodes:
        changes = not changing.isdisjoint(node.operands)
        (made if changes else kept).append(node)
        changing |= set(node.results) if changes else set()
    window = parts.window
    renewed, down = Region("once", tuple(made), window=window), Region("down", parts.each, window=window)
    return Region("once", tuple(kept)), renewed, parts.up, down, replace(parts.last, window=window)


def double_sweep(parts: Parts) -> tuple[Region, ...]:
    """Up; then errors settle in a sweep of their own; then weights learn, once."""
    settling = parts.rule.settling
    assert settling is not None, f"{parts.rule.name} has no sweep in which errors settle"
    settled = Settled(parts.once, settling)
    before = Region("once", (*parts.means, *settled.before))
    last = replace(parts, once=settled.after).last
    return parts.static, parts.up, before, settled.sweep, last


def _along(up: Region, nodes: Iterable[Node]) -> Region:
    """*up* with more *nodes* in each step."""
    return replace(up, nodes=(*up.nodes, *nodes))


TEMPLATES: Mapping[str, Template] = {
    template.__name__: template
    for template in (
        two_sweeps,
        single_sweep,
        updating_sweep,
        chosen_steps,
        windows,
        updating_windows,
        double_sweep,
    )
}
"""Every template by its name."""
