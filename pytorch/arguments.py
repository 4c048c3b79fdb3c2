"""What `from_torch` is called with, checked as far as that goes before anything is run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from operator import index
from typing import Any, cast

from ..compiler.frontends.frontend import Unsaid, unusable
from ..compiler.ir.graph import Network, Setting
from ..compiler.ir.text import parse_setting
from ..compiler.passes.training_options import TrainingOptions
from ..source import Faults, Place, SourceError
from .installed import torch
from .wording import in_python, named


@dataclass(frozen=True)
class Arguments:
    """The number of *steps*, what is said in the place of the module, and settings of the ``train`` section."""

    steps: int
    unsaid: Unsaid
    train: dict[str, Setting]


def check_module(module: Any, example: Any, place: Place) -> None:
    """SourceError where *module* is none; *example* is what stands in the next place."""
    kind = torch().nn.Module
    if not isinstance(module, kind):
        hints = ("from_torch(module, example_input, steps)",) if isinstance(example, kind) else ()
        raise SourceError.at(place, "is no torch.nn.Module", hints=hints)


def checked(
    place: Place,
    *,
    steps: Any,
    time_axis: Any,
    call: Any,
    surrogate: Any,
    detach_reset: Any,
    spiking: Any,
    train: Any,
) -> Arguments:
    """The arguments, with what was text of the language read; SourceError with everything that is wrong with them."""
    with Faults(SourceError) as faults:
        said = _Said(place, faults)
        number = said.number_of_steps(steps)
        if time_axis not in (None, 0, 1):
            told = f"time_axis is {time_axis!r}; time runs along axis 0 or axis 1, or the input is static (None)"
            faults.add(place, told)
        if call not in (None, "step", "all"):
            faults.add(place, f"call is {call!r}; a call does a single 'step', or 'all' of them")
        if not isinstance(detach_reset, bool | None):
            faults.add(place, f"detach_reset is {detach_reset!r}; it is True, False, or None: as the neurons say")
        one = said.setting("surrogate", surrogate, "atan(alpha=2)") if surrogate is not None else None
        neurons = said.settings("spiking", spiking, ("relu", "lif(decay=0.5)"), "a neuron for each activation")
        unsaid = Unsaid(None, one, None, detach_reset, neurons)
        for told in unusable(unsaid):
            faults.add(place, in_python(told))
        settings = said.settings("train", train, ("optimizer", "adam(lr=1e-3)"), "a value for each setting")
        said.check_training(settings, number)
    return Arguments(number, unsaid, settings)


@dataclass(frozen=True)
class _Said:
    """Arguments of a call, each fault of which stands at *place* and begins with its keyword."""

    place: Place
    faults: Faults

    def number_of_steps(self, steps: Any) -> int:
        """*steps* as a whole number; 1 where it is none."""
        try:
            number = None if isinstance(steps, bool) else index(steps)
        except TypeError:
            number = None
        if number is None:
            self.faults.add(self.place, f"steps is {_shown(steps)}; it is the number of time steps, such as 4")
        elif number < 1:
            self.faults.add(self.place, f"steps is {number}; a network runs for at least one")
        return max(number or 1, 1)

    def settings(self, keyword: str, given: Any, example: tuple[str, str], what: str) -> dict[str, Setting]:
        """A mapping from names to settings; those that cannot be read are left out."""
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            told = f"{keyword} is {_shown(given)}; it gives {what}, by name"
            name, value = example
            self.faults.add(self.place, told, hints=(f'{keyword}={{"{name}": "{value}"}}',))
            return {}
        pairs = cast(Mapping[str, Any], given).items()
        read = {str(name): self.setting(f"{keyword}[{name!r}]", value, example[1]) for name, value in pairs}
        return {name: value for name, value in read.items() if value is not None}

    def setting(self, keyword: str, given: Any, example: str) -> Setting | None:
        """A setting, which may be text of the language; None where it is neither."""
        if isinstance(given, str):
            try:
                return parse_setting(given)
            except SourceError as error:
                (fault,) = error.faults
                column = f" in column {fault.place.column}" if fault.place.column else ""
                self.faults.add(self.place, f"{keyword} is {given!r}: {fault.message}{column}")
                return None
        if isinstance(given, tuple | bool | int | float):
            return cast(Setting, given)
        self.faults.add(self.place, f"{keyword} is {_shown(given)}; it is text of the language, such as {example!r}")
        return None

    def check_training(self, train: Mapping[str, Setting], steps: int) -> None:
        """Faults for what the ``train`` section does not know."""
        places = {name: Place(f"train[{name!r}]") for name in train}
        try:
            TrainingOptions.resolve(Network("", (), steps, (), (), train, Place("train"), places))
        except SourceError as error:
            for fault in error.faults:
                self.faults.add(self.place, f"{fault.place}: {fault.message}", hints=fault.hints)
        if isinstance(train.get("steps"), int) and train["steps"] != steps:
            told = f"train['steps'] is {train['steps']}, and steps says {steps}"
            self.faults.add(self.place, told, hints=("steps alone, which says both",))


def _shown(given: Any) -> str:
    """A value that is no setting, on one line: itself where it is short, else what it is."""
    text = repr(given)
    return text if len(text) <= 40 and "\n" not in text else named(given)
