"""The host's settings: what the program's settings say, unless the caller says otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

from .scaling import Scale, Scaling
from .schedules import Schedule, called


@dataclass(frozen=True)
class Settings:
    """How to train.  *max_steps* ends training early; *beta1* and *beta2* are Adam's, for its bias corrections.

    *loss_scale* is that of every step, unless *scaling* changes it; *clip* is the limit that gradients are clipped at.
    *turns* time steps of a training step are drawn in which errors follow; 0 where a program does not ask.
    *label_samples* samples give classes to the outputs of a network that learns without labels.
    """

    epochs: int = 1
    max_steps: int | None = None
    seed: int = 0
    shuffle: bool = True
    learning_rate: float = 1e-3
    loss_scale: float = 1.0
    beta1: float = 0.9
    beta2: float = 0.999
    schedule: Schedule = field(default_factory=Schedule)
    scaling: Scaling | None = None
    clip: float | None = None
    turns: int = 0
    label_samples: int = 1000

    @classmethod
    def of(cls, written: Mapping[str, Any], **overrides: Any) -> Self:
        """Settings as a program writes them, then *overrides* that are not None.

        Read are the keys that the fields are called; ``learning_rate`` (or ``lr``), ``beta1`` and ``beta2`` also from
        the options of the call under ``optimizer``, ``label_samples`` from those under ``rule``; ``schedule`` is a name
        or a call (`schedules.called`), as are ``clip`` and a ``loss_scale`` that is no number.
        """
        inner = _options(written, "optimizer")
        rule = {key: value for key, value in _options(written, "rule").items() if key == "label_samples"}
        values: dict[str, Any] = {}
        for name in (part.name for part in fields(cls)):
            for source in (inner, rule, written, overrides):
                if source.get(name) is not None:
                    values[name] = source[name]
        if "learning_rate" not in values and inner.get("lr", written.get("lr")) is not None:
            values["learning_rate"] = inner.get("lr", written.get("lr"))
        if not isinstance(values.get("schedule"), Schedule):
            values["schedule"] = Schedule.of(values.get("schedule"))
        if (scaling := Scaling.of(values.get("loss_scale"))) is not None:
            values |= {"scaling": scaling, "loss_scale": scaling.initial}
        if values.get("clip") is not None and not isinstance(values["clip"], float):
            values["clip"] = called(values["clip"])[1].get("limit")
        return cls(**values)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {**asdict(self), "schedule": asdict(self.schedule)}

    @property
    def scale(self) -> Scale:
        """The loss scale before the first step."""
        return Scale(self.loss_scale) if self.scaling is None else self.scaling.begin

    def corrections(self, step: int) -> tuple[float, float]:
        """Adam's bias corrections 1 - beta^t in step number *step* from 0, so t = step + 1, in float64."""
        first, second = (1.0 - beta ** (step + 1) for beta in (self.beta1, self.beta2))
        return first, second


def _options(written: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Those of the call that stands under *name*, if one does."""
    return {} if written.get(name) is None else called(written[name])[1]
