"""The scalars that the host hands to a training step."""

from __future__ import annotations

from .choosing import drawn
from .scaling import Scale
from .schedules import Moment
from .settings import Settings


def facts_of(
    settings: Settings, update: int, epoch: int, length: int, scale: Scale, steps: int
) -> dict[str, float | int]:
    """All that an entry may ask of training step *update* (from 0) in *epoch*, but for ``valid``.

    An epoch has *length* training steps; a program has so many *steps* of time, of which some may be drawn.
    """
    moment = Moment(update, epoch, settings.epochs, length)
    first, second = settings.corrections(update)
    facts: dict[str, float | int] = {
        "learning_rate": settings.schedule.rate(settings.learning_rate, moment),
        "loss_scale": scale.value,
        "seed": settings.seed,
        "step": update,
        "correction1": first,
        "correction2": second,
    }
    if settings.clip is not None:
        facts["clip"] = settings.clip
    if settings.turns:
        facts |= drawn(settings.turns, steps, settings.seed, update)
    return facts
