"""The end of a training step: what is asked of all gradients together, and new parameters from each.

* Dynamic loss scaling: ``overflow`` tells whether any gradient has inf or NaN.  All that lasts, running statistics
  too, selects by it between new and old words, so that the step is skipped on the machine; the host reads it and
  changes the scale.
* ``clip = norm``: ``gradients.factor`` makes all gradients together no longer than the host's limit.

Both read each gradient once more than its update does; with a static scale and without clipping none of it is there.

Where parameters change several times a batch, the numbers of updates correct an optimizer by a state of the graph:
``gradients.correction1``, made anew before each update.  The host, which counts batches, does not know it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from ...source import NOWHERE, Faults, Place
from ..ir.graph import Network, Node, Settings
from ..ir.types import Type
from ..ops.gradients import BLOCK, blocks
from ..ops.optimizers import Correction
from ..training.rule import Rule
from .training_options import TrainingOptions

OVERFLOW = "overflow"
"""The result that tells the host of a skipped step."""

LAYER = "gradients"
"""The layer of what belongs to all parameters together, and the beginning of the names of its values."""

SQUARES, OVERFLOWS, FACTOR = (f"{LAYER}.{name}" for name in ("squares", "overflow", "factor"))


@dataclass(frozen=True)
class Trained:
    """A parameter that has a gradient, called ``d.NAME``."""

    name: str
    layer: str
    type: Type
    place: Place = NOWHERE

    def words(self, steps: int) -> int:
        """Words of the gradient: a parameter may have its own in each of the time steps."""
        return self.type.elements * (steps if self.type.timed else 1)


def several_updates(rule: Rule, steps: int) -> bool:
    """Whether *rule* changes parameters by errors several times in a batch of so many *steps*."""
    in_windows = rule.update == "window" and bool(rule.window_of(steps))
    return rule.plasticity is None and (rule.update == "step" or in_windows)


def check_updates(network: Network, rule: Rule, options: TrainingOptions, faults: Faults) -> None:
    """Faults for options that see all steps of a batch at once, where parameters change within it."""
    if not several_updates(rule, options.steps):
        return

    def refuse(setting: str, told: str, instead: str) -> None:
        message = f"{rule.name} updates in each {rule.update}, and {told}"
        window = rule.window_of(options.steps)
        others = (f"rule = {rule.name}(window={window}, update=batch)",) if window else ()
        faults.add(options.place(network, setting, network.place), message, hints=(instead, *others))

    if options.dynamic:
        refuse("loss_scale", "a dynamic loss scale skips whole batches", "loss_scale = 1024.0")
    if options.clipping == "norm":
        refuse("clip", "norm is that of the gradients of a batch", "clip = value(LIMIT)")


def update_arguments(options: TrainingOptions) -> tuple[tuple[str, str], ...]:
    """The host's scalars that only these options need."""
    return () if options.clipping is None else (("clip", "f32"),)


def update_results(options: TrainingOptions) -> tuple[str, ...]:
    """What only these options answer the host."""
    return (OVERFLOW,) if options.dynamic else ()


def update_names(options: TrainingOptions, name: str) -> bool:
    """Whether *name* is one that these options need for values of their own."""
    own = options.dynamic or options.clipping is not None
    return own and (name == OVERFLOW or name.startswith(f"{LAYER}."))


def corrections(options: TrainingOptions) -> dict[str, float]:
    """What the graph keeps to correct updates by, where there are several a batch, with the beta of each."""
    return {f"{LAYER}.{name}": beta for name, beta in options.the_optimizer.corrections.items()}


def updates(
    trained: Sequence[Trained],
    trackings: Sequence[Node],
    options: TrainingOptions,
    settings: Settings,
    several: bool = False,
) -> tuple[Node, ...]:
    """Nodes that run once, after all gradients: *trackings* (of statistics) and an update of each parameter.

    *settings* are those of the optimizer that are not its defaults.  There may be *several* updates a batch.
    """
    kept = corrections(options) if trained and several else {}
    word = (Type("f32", ()),)
    common = [Node((name,), Correction.name, (name,), {"beta": beta}, word, LAYER, "UP") for name, beta in kept.items()]
    factor: tuple[str, ...] = tuple(kept)
    overflow: tuple[str, ...] = ()
    if trained and (options.dynamic or options.clipping == "norm"):
        common += _rows(trained, options.steps)
        count = sum(blocks(each.words(options.steps)) for each in trained)
        if options.dynamic:
            common += _tree(OVERFLOWS, OVERFLOW, count, "u8", "block_max", "block_max")
            overflow = (OVERFLOW,)
        if options.clipping == "norm":
            common += _tree(SQUARES, FACTOR, count, "f32", "block_sum", "clip_factor")
            factor += (FACTOR,)
    return (
        *common,
        *(replace(node, operands=(*node.operands, *overflow)) for node in trackings),
        *(_update(each, options, settings, (*factor, *overflow)) for each in trained),
    )


def _rows(trained: Sequence[Trained], steps: int) -> Iterator[Node]:
    """Every gradient on one axis, and what is known of each of their blocks."""
    names = tuple(f"d.{each.name}.row" for each in trained)
    for each, name in zip(trained, names, strict=True):
        type = Type("f32", ((each.words(steps),),))
        yield Node((name,), "row", (f"d.{each.name}",), {}, (type,), each.layer, "UP", each.place)
    count = sum(blocks(each.words(steps)) for each in trained)
    types = (Type("f32", ((count,),)), Type("u8", ((count,),)))
    yield Node((SQUARES, OVERFLOWS), "gradient_blocks", names, {}, types, LAYER, "UP")


def _tree(leaves: str, root: str, count: int, format: str, level: str, last: str) -> Iterator[Node]:
    """The scalar *root*, made by *last* from the *count* words of *leaves*, once *level* has left no more than 64."""
    value, depth = leaves, 1
    while count > BLOCK:
        count, depth = blocks(count), depth + 1
        name = f"{leaves}.{depth}"
        yield Node((name,), level, (value,), {}, (Type(format, ((count,),)),), LAYER, "UP")
        value = name
    yield Node((root,), last, (value,), {}, (Type(format, ()),), LAYER, "UP")


def _update(trained: Trained, options: TrainingOptions, settings: Settings, shared: tuple[str, ...]) -> Node:
    """New words of one parameter."""
    optimizer = options.the_optimizer
    given = {key: value for key, value in settings.items() if key not in ("lr", "decay_on")}
    if optimizer.decay_on == "weights" and not trained.type.weight:
        given.pop("weight_decay", None)
        if optimizer.settings()["weight_decay"].default:
            given["weight_decay"] = 0.0
    name, master = trained.name, trained.type.with_(format="f32")
    states = tuple(f"{name}.{state}" for state in optimizer.states)
    return Node(
        (name, f"{name}.master", *states),
        optimizer.name + (".clipped" if options.clipping == "value" else ""),
        (f"{name}.master", f"d.{name}", *states, *shared),
        given,
        (trained.type, *(master for _ in ("master", *states))),
        trained.layer,
        "UP",
        trained.place,
    )
