"""How a network is to be trained: what the command line says, else the file's train section, else a default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, cast

from ...catalog import UnknownName, unknown
from ...source import NOWHERE, Faults, Place, SourceError
from ..ir.graph import Network, Setting
from ..ir.values import text_of_setting
from ..ops.losses import LOSSES, Loss
from ..ops.op import SettingFault, SettingField, called
from ..ops.optimizers import OPTIMIZERS, Optimizer
from ..training.rule import RULES, Rule

Origin = Literal["command line", "file", "rule", "default"]

_WARMUP = SettingField("warmup", "int", 0)
SCHEDULES: Mapping[str, tuple[SettingField, ...]] = {
    "constant": (_WARMUP,),
    "cosine": (SettingField("per", "str", "epoch", ("epoch", "step")), _WARMUP),
    "steps": (SettingField("every", "int", 30), SettingField("factor", "float", 0.1), _WARMUP),
}
"""Learning-rate schedules, which the host computes, by name: *warmup* optimizer steps rise linearly first; ``cosine``
falls to 0 over all epochs (by epoch or by step), ``steps`` multiplies by *factor* after *every* epochs."""

DYNAMIC = (
    SettingField("initial", "float", 65536.0),
    SettingField("growth", "float", 2.0),
    SettingField("backoff", "float", 0.5),
    SettingField("interval", "int", 2000),
)
"""Dynamic loss scaling, which the host does: from *initial*, times *growth* after *interval* good steps in a row, times
*backoff* after each step whose gradients overflow.  The defaults are those of torch.amp.GradScaler."""

CLIPS = ("value", "norm")
"""Ways to clip gradients at a limit: every word by itself, or all of them as one vector."""

CODINGS = ("direct", "poisson")


@dataclass(frozen=True)
class TrainingOptions:
    """The resolved options; calls (*rule*, *loss*, *optimizer*, *schedule*) carry all of their settings.

    *batch* samples and *steps* time steps an entry; *epochs* and *seed* are the host's, as is *schedule*.  *loss_scale*
    is a number or a call of ``dynamic``, *clip* is ``none`` or a call of one of `CLIPS`.  *freeze* has names of layers
    that stay as they are, or patterns of such.
    """

    batch: int = 64
    steps: int = 0
    rule: Setting = "bptt"
    loss: Setting = "cross_entropy"
    optimizer: Setting = "adam"
    schedule: Setting = "constant"
    loss_scale: Setting = 1024.0
    clip: Setting = "none"
    freeze: tuple[str, ...] = ()
    coding: str = "direct"
    epochs: int = 1
    seed: int = 0
    origins: Mapping[str, Origin] = field(default_factory=dict[str, Origin], compare=False)

    @classmethod
    def resolve(cls, network: Network, command: Mapping[str, Setting | None] | None = None) -> TrainingOptions:
        """Options for *network*; None in *command* means that the command line is silent.  Raises SourceError.

        What the rule implies comes before a default, and before a file that was written with another rule in mind.
        """
        known = [entry.name for entry in fields(cls) if entry.name != "origins"]
        spoken = {name: value for name, value in (command or {}).items() if value is not None}
        values: dict[str, Setting] = {}
        origins: dict[str, Origin] = dict.fromkeys(known, "default")
        layers: tuple[tuple[Origin, Mapping[str, Setting]], ...] = (("file", network.train), ("command line", spoken))
        faults = Faults(SourceError)
        for origin, layer in layers:
            for name, value in layer.items():
                values[name], origins[name] = value, origin
                if name not in known:
                    place = NOWHERE if origin == "command line" else _place(network, name)
                    faults.add(place, str(unknown("training setting", name, known)))
        if not values.get("steps"):
            values["steps"] = network.steps
            origins["steps"] = "file"
        for name, value in _implied(values.get("rule", cls.rule)).items():
            if origins[name] == "default" or (origins[name], origins["rule"]) == ("file", "command line"):
                values[name], origins[name] = value, "rule"
        checked: dict[str, Any] = {}
        with faults:
            for name in known:
                try:
                    checked[name] = _CHECKS[name](values.get(name, cast(Setting, getattr(cls, name))))
                except (UnknownName, SettingFault) as error:
                    if origins[name] == "command line":
                        faults.add(NOWHERE, f"--{name.replace('_', '-')}: {error}")
                    else:
                        part = error.name if isinstance(error, SettingFault) else ""
                        faults.add(_place(network, name, part), str(error))
        return cls(**checked, origins=origins)

    @property
    def the_rule(self) -> Rule:
        """The learning rule."""
        name, given = called(self.rule)
        return RULES[name].make(given)

    @property
    def the_loss(self) -> Loss:
        """The loss."""
        name, given = called(self.loss)
        return LOSSES[name].make(given)

    @property
    def the_optimizer(self) -> Optimizer:
        """The optimizer."""
        name, given = called(self.optimizer)
        return OPTIMIZERS[name].make(given)

    def asked(self, setting: str, word: str) -> str:
        """What a message calls the choice *word* of a setting: ``--rule sltt`` where the command line says it.

        Such a message points at the network, where nobody could find the choice.
        """
        return f"--{setting} {word}" if self.origins.get(setting) == "command line" else word

    @property
    def dynamic(self) -> bool:
        """Whether the loss scale is, so that steps may be skipped."""
        return not isinstance(self.loss_scale, float)

    @property
    def clipping(self) -> str | None:
        """The one of `CLIPS` that is asked for, if any is."""
        name, _ = called(self.clip)
        return None if name == "none" else name

    @property
    def settings(self) -> dict[str, Setting]:
        """By name, for `Training.settings` and the program; what is frozen, where anything is.

        Of the rule, settings that mean something beside the others.
        """
        known = [entry.name for entry in fields(self) if entry.name != "origins"]
        found: dict[str, Setting] = {name: getattr(self, name) for name in known if name != "freeze"}
        name, given = called(self.rule)
        found["rule"] = (name, *((key, value) for key, value in given.items() if key not in self.the_rule.unused))
        match self.freeze:
            case ():
                pass
            case (name,):
                found["freeze"] = name
            case names:
                found["freeze"] = names
        return found

    @property
    def shown(self) -> dict[str, str]:
        """By name, as a person writes them."""
        return {key: show_call(value) for key, value in self.settings.items()}

    def said(self, name: str) -> str:
        """What a message begins with that speaks of the option *name*, if it cannot point at it: ``--freeze: ``."""
        return f"--{name}: " if self.origins.get(name) == "command line" else ""

    def place(self, network: Network, name: str, otherwise: Place = NOWHERE) -> Place:
        """Where the option *name* is written; *otherwise* for one of the command line, or a default."""
        return _place(network, name) if self.origins.get(name) == "file" else otherwise

    def __str__(self) -> str:
        """One option a line, with its origin."""
        shown = self.shown
        width = max(map(len, shown.values()))
        return "\n".join(
            f"{name:<10} = {text:<{width}}  # {self.origins.get(name, 'default')}" for name, text in shown.items()
        )


def _implied(rule: Setting) -> Mapping[str, Setting]:
    """The options that follow from a rule; nothing for what is no rule, which its own check tells."""
    try:
        name, _ = called(rule)
        return RULES[name].implies
    except (UnknownName, SettingFault):
        return {}


def _place(network: Network, name: str, part: str = "") -> Place:
    """Where setting *name* of ``train`` is written, or the setting *part* of its call."""
    places = network.places
    return places.get(f"{name}.{part}") or places.get(name) or Place(network.place.file)


def _complete(value: Setting, make: Callable[[str, Mapping[str, Setting]], Any]) -> Setting:
    """The call *value* with every setting that it has."""
    name, given = called(value)
    parts = value[1:] if isinstance(value, tuple) else ()
    for key in given:
        if sum(part[0] == key for part in parts if isinstance(part, tuple)) > 1:
            raise SettingFault(f"{key} of {name} is given twice", key)
    return name, *asdict(make(name, given)).items()


def _filled(name: str, given: Mapping[str, Setting], known: tuple[SettingField, ...]) -> Setting:
    """The call *name* with every setting that it has; SettingFault for one that it has not."""
    entries = {entry.name: entry for entry in known}
    for key in given:
        if key not in entries:
            raise SettingFault(str(unknown(f"setting of {name}", key, entries)), key)
    return name, *(
        (key, entry.check(given.get(key, cast(Setting, entry.default)), name)) for key, entry in entries.items()
    )


def _schedule(value: Setting) -> Setting:
    name, given = called(value)
    if name not in SCHEDULES:
        raise unknown("schedule", name, SCHEDULES)
    filled = _filled(name, given, SCHEDULES[name])
    found = cast(dict[str, float], called(filled)[1])
    _require(found["warmup"] >= 0, f"warmup of {name} is at least 0", found["warmup"])
    if name == "steps":
        _require(found["every"] >= 1, "every of steps is at least 1", found["every"])
        _require(found["factor"] > 0, "factor of steps is positive", found["factor"])
    return filled


def show_call(value: Setting) -> str:
    """A setting as a person writes it: ``adam(lr=0.001)``."""
    try:
        name, given = called(value)
    except SettingFault:
        return text_of_setting(value)
    inside = ", ".join(f"{key}={show_call(part)}" for key, part in given.items())
    return f"{name}({inside})" if inside else name


def show_rule(rule: Setting) -> str:
    """A rule with those of its settings that are not its defaults: ``opzo``, ``sltt_k(K=2)``."""
    name, given = called(rule)
    known = RULES[name].settings()
    return show_call((name, *((key, value) for key, value in given.items() if value != known[key].default)))


def _whole(name: str, least: int) -> Callable[[Setting], Setting]:
    """A check for a whole number of at least *least*."""

    def check(value: Setting) -> Setting:
        number = cast(int, SettingField(name, "int", None).check(value, "train"))
        if number < least:
            raise SettingFault(f"{name} of train is at least {least}, not {number}", name)
        return number

    return check


def _loss_scale(value: Setting) -> Setting:
    if isinstance(value, (str, tuple)):
        name, given = called(value)
        if name != "dynamic":
            raise SettingFault(f"loss_scale of train is a number or dynamic, not {name}", "loss_scale")
        filled = _filled(name, given, DYNAMIC)
        found = cast(dict[str, float], called(filled)[1])
        _require(found["initial"] > 0, "initial of dynamic is positive", found["initial"])
        _require(found["growth"] > 1, "growth of dynamic is above 1", found["growth"])
        _require(0 < found["backoff"] < 1, "backoff of dynamic is between 0 and 1", found["backoff"])
        _require(found["interval"] >= 1, "interval of dynamic is at least 1", found["interval"])
        return filled
    scale = cast(float, SettingField("loss_scale", "float", None).check(value, "train"))
    _require(scale > 0, "loss_scale of train is positive", scale)
    return scale


def _clip(value: Setting) -> Setting:
    """``none``, ``value(1.0)`` or ``norm(1.0)``; the limit may have its name before it."""
    match value:
        case (str(word), int() | float() as number) if not isinstance(number, bool):
            value = word, ("limit", number)
        case _:
            pass
    try:
        name, given = called(value)
    except SettingFault:
        written = text_of_setting(value)
        raise SettingFault(f"clip of train is none, value(LIMIT) or norm(LIMIT), not {written}", "clip") from None
    if name not in ("none", *CLIPS):
        raise unknown("clip", name, ("none", *CLIPS))
    if name == "none" and not given:
        return name
    if name != "none" and not given:
        raise SettingFault(f"clip of train needs a limit, such as {name}(1.0)", "clip")
    filled = _filled(name, given, () if name == "none" else (SettingField("limit", "float", None),))
    limit = cast(float, called(filled)[1]["limit"])
    _require(limit > 0, f"limit of {name} is positive", limit)
    return filled


def names_of(value: Setting) -> tuple[str, ...]:
    """The names that *freeze* has: one, or a list of them; those that hold a pattern are written in quotes."""
    listed = value if isinstance(value, tuple) else (value,)
    names = tuple(name for name in listed if isinstance(name, str) and name)
    if len(names) < len(listed):
        wanted = 'names of layers, such as conv1 or [conv1, "norm*"]'
        raise SettingFault(f"freeze of train has {wanted}, not {text_of_setting(value)}", "freeze")
    return names


def _require(holds: bool, wanted: str, value: float) -> None:
    """SettingFault unless *holds*; *wanted* begins with the name of the setting."""
    if not holds:
        raise SettingFault(f"{wanted}, not {value}", wanted.partition(" ")[0])


_CHECKS: Mapping[str, Callable[[Setting], Setting]] = {
    "batch": _whole("batch", 1),
    "steps": _whole("steps", 1),
    "rule": lambda value: _complete(value, lambda name, given: RULES[name].make(given)),
    "loss": lambda value: _complete(value, lambda name, given: LOSSES[name].make(given)),
    "optimizer": lambda value: _complete(value, lambda name, given: OPTIMIZERS[name].make(given)),
    "schedule": _schedule,
    "loss_scale": _loss_scale,
    "clip": _clip,
    "freeze": names_of,
    "coding": lambda value: SettingField("coding", "str", None, CODINGS).check(value, "train"),
    "epochs": _whole("epochs", 1),
    "seed": _whole("seed", 0),
}
"""What each option must be, and its value in full; raises UnknownName or SettingFault."""
