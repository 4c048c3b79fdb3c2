"""Whether a rule can train a network, and whether the options go with it: told before anything is built."""

from __future__ import annotations

from collections.abc import Collection

from ...source import NOWHERE, Faults, SourceError
from ..ir.graph import Network
from ..ops.losses import OF_EACH_STEP
from ..ops.op import SettingFault
from ..training.rule import Rule
from .direct import check_feedback
from .frozen import learning
from .settled import check_settling
from .training_options import TrainingOptions
from .update import check_updates


def check_rule(network: Network, rule: Rule, options: TrainingOptions, frozen: Collection[str]) -> None:
    """SourceError for a network that *rule* cannot train, and for a number of steps that it cannot have."""
    asked = options.asked("rule", rule.name)
    with Faults(SourceError) as faults:
        for reason in rule.admits(learning(network, frozenset(frozen))):
            told = f"{asked} cannot train {network.name}: {reason.message}"
            faults.add(reason.place, told, hints=reason.hints)
        try:
            rule.turns(options.steps)
            rule.window_of(options.steps)
        except SettingFault as fault:
            place = options.place(network, "rule")
            faults.add(place, fault.message if place != NOWHERE else f"--rule: {fault.message}")


def check_options(network: Network, rule: Rule, options: TrainingOptions, asked: str) -> None:
    """SourceError for all options that do not go with *rule*, which messages call *asked*."""
    with Faults(SourceError) as faults:
        _check_loss(network, rule, options, asked, faults)
        check_feedback(network, rule, options, faults)
        check_settling(network, rule, options, faults)
        check_updates(network, rule, options, faults)


def _check_loss(network: Network, rule: Rule, options: TrainingOptions, asked: str, faults: Faults) -> None:
    """A loss that knows its error too late, or another one in each step."""
    loss = options.the_loss
    place, word = options.place(network, "loss", network.place), options.asked("loss", loss.name)
    if (rule.template == "up" or rule.window_of(options.steps)) and not loss.online:
        told = f"{asked} needs the error of a step in that step, and {word} knows it after the last"
        faults.add(place, told, hints=(f"loss = {OF_EACH_STEP}, the loss of each step",))
    if rule.collapsed and not loss.steady:
        told = f"{asked} needs an error that is the same in every step, and {word} has one for each"
        faults.add(place, told, hints=("loss = cross_entropy, the loss of the mean over time", *rule.instead))
