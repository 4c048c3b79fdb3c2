"""Numbers of the user that the working format of the machine cannot hold.

An f16 ends at 65504.  A threshold beyond is never reached, an error beyond is infinite in every step: better told
before anything runs.
"""

from __future__ import annotations

from typing import cast

from ...source import NOWHERE, Faults, Place, SourceError
from ..ir.graph import Network
from ..ops.op import LARGEST_NUMBER, OPS
from .training_options import TrainingOptions

LARGEST = {"f16": 65504.0, "bf16": (2.0 - 2.0**-7) * 2.0**127, "f32": LARGEST_NUMBER}
"""The largest number of each working format."""


def check_representable(network: Network, options: TrainingOptions, working: str) -> None:
    """SourceError for what values in the format *working* are set to, or compared with, that it cannot hold.

    A static loss scale is too large where the largest error of a full batch is: then no step could go on.  (A dynamic
    one is lowered until it fits.)
    """
    largest = LARGEST[working]
    with Faults(SourceError) as faults:
        for node in network.nodes:
            op = None if node.op == "parameter" else OPS[node.op].make(node.settings)
            for name in () if op is None else op.held:
                value = cast(float, getattr(op, name, 0.0))
                if abs(value) > largest:
                    told = f"{name} of {node.results[0]} is {value:g}, and {working}, the format that this machine "
                    faults.add(node.place, f"{told}works in, ends at {largest:g}")
        classes = network.types[network.results[0]].elements
        error = options.the_loss.largest_error(options.steps, classes) / options.batch
        if isinstance(options.loss_scale, float) and options.loss_scale * error > largest:
            told = f"loss_scale {options.loss_scale:g} makes errors of {options.loss_scale * error:.3g} (a batch of "
            told += f"{options.batch}, {options.steps} steps), and {working}, the format that this machine works in, "
            place = network.places.get("loss_scale") or Place(network.place.file)
            if options.origins.get("loss_scale") == "command line":
                place, told = NOWHERE, f"--loss-scale: {told}"
            faults.add(place, f"{told}ends at {largest:g}", hints=("loss_scale = dynamic",))
