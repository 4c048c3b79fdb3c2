"""Numbers of the user that the working format of the machine cannot hold.

An f16 ends at 65504.  A threshold beyond is never reached, an error beyond is infinite in every step: better told
before anything runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, log
from typing import cast

from ...numerics.formats import FORMATS, round_to
from ...source import NOWHERE, Fault, Faults, Place
from ..ir.graph import Network
from ..ops.op import LARGEST_NUMBER, OPS, called
from .training_options import TrainingOptions

LARGEST = {"f16": 65504.0, "bf16": (2.0 - 2.0**-7) * 2.0**127, "f32": LARGEST_NUMBER}
"""The largest number of each working format."""


def check_representable(network: Network, options: TrainingOptions, working: str, faults: Faults) -> None:
    """Faults for what values in the format *working* are set to, or compared with, that it cannot hold.

    A static loss scale is too large where the largest error of a full batch is: then no step could go on.
    """
    largest = LARGEST[working]
    for node in network.nodes:
        op = None if node.op == "parameter" else OPS[node.op].make(node.settings)
        for name in () if op is None else op.held:
            value = cast(float, getattr(op, name, 0.0))
            if abs(value) > largest:
                told = f"{name} of {node.results[0]} is {value:g}, and {working}, the format that this machine "
                faults.add(node.place, f"{told}works in, ends at {largest:g}")
    if isinstance(options.loss_scale, float):
        error = options.loss_scale * _largest_error(network, options)
        if error > largest:
            told = f"loss_scale {options.loss_scale:g} makes errors of {error:.3g} (a batch of {options.batch}, "
            told += f"{options.steps} steps), and {working}, the format that this machine works in, ends at "
            place, before = _loss_scale(network, options)
            faults.add(place, f"{before}{told}{largest:g}", hints=("loss_scale = dynamic",))


def steps_in_vain(network: Network, options: TrainingOptions, working: str) -> Fault | None:
    """What to tell of a dynamic loss scale that begins where a static one is refused: it skips steps until it fits."""
    if isinstance(options.loss_scale, float):
        return None
    given = cast(Mapping[str, float], called(options.loss_scale)[1])
    beyond = given["initial"] * _largest_error(network, options) / LARGEST[working]
    if beyond <= 1:
        return None
    steps = ceil(-log(beyond) / log(given["backoff"]))
    place, before = _loss_scale(network, options)
    many = "the first step is" if steps == 1 else f"the first {steps} steps are"
    return Fault(place, f"{before}{many} skipped, since errors of a scale of {given['initial']:g} overflow {working}")


def vanishing(network: Network, options: TrainingOptions, working: str) -> Fault | None:
    """What to tell of a loss scale, or one to begin with, that makes the largest error of a step 0 in *working*."""
    scale = options.loss_scale
    dynamic = not isinstance(scale, float)
    number = cast(Mapping[str, float], called(scale)[1])["initial"] if dynamic else scale
    largest = _largest_error(network, options)
    if largest == 0 or round_to(number * largest, FORMATS[working]) != 0:
        return None
    place, before = _loss_scale(network, options)
    told = f"a loss scale of {number:g} makes errors of at most {number * largest:.3g} (a batch of {options.batch}, "
    told += f"{options.steps} steps), which are all 0 in {working}: nothing is learned"
    return Fault(place, f"{before}{told}{' until it has grown' if dynamic else '; dynamic finds one that fits'}")


def saturating(network: Network, options: TrainingOptions) -> Fault | None:
    """What to tell of a static loss scale that makes errors larger than what spikes can bring back."""
    settling = options.the_rule.settling
    if settling is None or settling.solver != "spikes" or not isinstance(options.loss_scale, float):
        return None
    largest = _largest_error(network, options)
    if options.loss_scale * largest <= settling.worth:
        return None
    place, before = _loss_scale(network, options)
    told = f"loss_scale {options.loss_scale:g} makes errors of up to {options.loss_scale * largest:.3g} (a batch of "
    told += f"{options.batch}), and a spike brings back {settling.worth:g} of them: where weights do not make errors "
    told += f"smaller they saturate; with {settling.worth / largest:g} they cannot"
    return Fault(place, f"{before}{told}")


def _largest_error(network: Network, options: TrainingOptions) -> float:
    """The largest error of a step that an answer which is all wrong has in a full batch, without loss scale.

    Where errors of all steps go back together, it is theirs.
    """
    classes = network.types[network.results[0]].elements
    together = options.steps if options.the_rule.collapsed else 1
    return together * options.the_loss.largest_error(options.steps, classes) / options.batch


def _loss_scale(network: Network, options: TrainingOptions) -> tuple[Place, str]:
    """Where the loss scale is written, and what a message of it begins with."""
    if options.origins.get("loss_scale") == "command line":
        return NOWHERE, "--loss-scale: "
    return network.places.get("loss_scale") or Place(network.place.file), ""
