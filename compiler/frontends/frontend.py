"""What a frontend is: it reads one input language into a network, with the parameters that its file holds.

`frontends/NAME.py` holds ``frontend = Frontend(...)``; `read_model` chooses by the file's suffix.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

from numpy.typing import NDArray

from ...catalog import Catalog
from ...source import NOWHERE, Fault, Faults, Place, SourceError
from ..ir.graph import Network, Setting
from ._unsaid import unusable

Array: TypeAlias = NDArray[Any]

Kind = Literal["repair", "recovered", "assumption", "warning"]
"""What a note tells:

* ``repair``: the file is wrong in a way that has one meaning, and that was taken;
* ``recovered``: a neuron, or the repetition over time, was found in what the file spells out;
* ``assumption``: the file does not say it, and a default or an option says it instead;
* ``warning``: the file can be read, and most likely does not mean what its author wanted.
"""


@dataclass(frozen=True)
class Note:
    """One thing that a user should know of how the file was read."""

    kind: Kind
    place: Place
    message: str

    def __str__(self) -> str:
        return str(self.fault)

    @property
    def fault(self) -> Fault:
        """As errors are shown."""
        return Fault(self.place, f"{self.kind}: {self.message}")


class NotRunnable(Exception):
    """What executes the file itself refuses it; the text says why, on one line."""


@dataclass(frozen=True)
class Run:
    """A file that can be executed itself: *samples* is their number in the file, ``compute`` its result for an input.

    The input is ``[t][n]`` and the port's axes, as far as the port has them.  The result has the network's for every
    step, or their mean or sum over time.
    """

    samples: int
    compute: Callable[[Array], Array]


@dataclass(frozen=True)
class Imported:
    """A network with the *parameters* that its file holds, by name and in the shapes of their types, and *notes*.

    *run*, where it is there, executes the file itself, to be compared with; where it is not, *unlike* may tell what
    the file does that the network does not.  *spelled_out* is the number of time steps that the file spells out, where
    it does.
    """

    network: Network
    parameters: Mapping[str, Array] = field(default_factory=dict[str, Array])
    notes: tuple[Note, ...] = ()
    run: Run | None = None
    spelled_out: int | None = None
    unlike: str | None = None


def _silent(fault: Fault) -> None:
    """Warnings go nowhere unless somebody asks for them."""


@dataclass(frozen=True)
class Unsaid:
    """What files of other tools do not say, as the user says it; None leaves it to a default, of which a note tells.

    *dt* is the length of a time step in the unit of the file's time constants.  *surrogate*, *reset* and *detach_reset*
    are settings of every neuron that the file does not tell them of; *spiking* gives a neuron for each activation by
    its name (``relu=lif(decay=0.9)``).  *result* is the name of the one output, of several in the file, that is wanted.
    """

    dt: float | None = None
    surrogate: Setting | None = None
    reset: Literal["hard", "soft", "none"] | None = None
    detach_reset: bool | None = None
    spiking: Mapping[str, Setting] = field(default_factory=dict[str, Setting])
    result: str | None = None

    @property
    def said(self) -> tuple[str, ...]:
        """The options of the command line that say something here."""
        every = {"--dt": self.dt, "--surrogate": self.surrogate, "--reset": self.reset}
        every |= {"--detach-reset": self.detach_reset, "--spiking": self.spiking or None}
        every |= {"--result": self.result}
        return tuple(option for option, value in every.items() if value is not None)

    @property
    def call(self) -> Setting:
        """What is said as a setting, ``unsaid(dt=0.001)``, which `of` reads: so a program remembers it."""
        every = {"dt": self.dt, "surrogate": self.surrogate, "reset": self.reset, "detach_reset": self.detach_reset}
        every["result"] = self.result
        given = [(name, value) for name, value in every.items() if value is not None]
        neurons = [("spiking", ("neurons", *self.spiking.items()))] if self.spiking else []
        return ("unsaid", *given, *neurons)

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Unsaid:
        """The inverse of `call`, from its parameters by name."""
        _, *neurons = given.get("spiking", ("neurons",))
        every: dict[str, Any] = {**given, "spiking": dict(neurons)}
        return cls(**every)


@dataclass(frozen=True)
class Known:
    """What is known of a neuron beyond what its file spells out: *settings*, and *parameters* by their role."""

    settings: Mapping[str, Setting] = field(default_factory=dict[str, Setting])
    parameters: Mapping[str, Array] = field(default_factory=dict[str, Array])


@dataclass(frozen=True)
class Options:
    """What the user says beside the file.

    *steps* replaces the network's own; *settings* replace the defaults of the network's settings by name; *train*
    replaces settings of its ``train`` section, which are written at *places*; *warn* gets what is suspicious but not
    wrong.  *known* tells of neurons by the node that they are called after.
    """

    steps: int | None = None
    settings: Mapping[str, Setting] = field(default_factory=dict[str, Setting])
    train: Mapping[str, Setting] = field(default_factory=dict[str, Setting])
    unsaid: Unsaid = field(default_factory=Unsaid)
    places: Mapping[str, Place] = field(default_factory=dict[str, Place])
    warn: Callable[[Fault], None] = _silent
    known: Mapping[str, Known] = field(default_factory=dict[str, Known])


@dataclass(frozen=True)
class Frontend:
    """One input language.

    *read* takes a path, or the text itself as a string where the language is a text, and raises `SourceError` with
    everything that is wrong.
    """

    summary: str
    suffixes: tuple[str, ...]
    read: Callable[[Path | str, Options], Imported]
    complete: bool = False
    """Whether the language says everything itself, so that `Unsaid` has no place in it."""


FRONTENDS: Catalog[Frontend] = Catalog(__package__ or "", "frontend")


def read_model(path: Path, options: Options | None = None) -> Imported:
    """What the file *path* holds, by the frontend that knows its suffix."""
    options = options or Options()
    frontend = _frontend_of(path)
    if frontend.complete and options.unsaid.said:
        told = f"{path.suffix} files say themselves what {', '.join(options.unsaid.said)} would say"
        raise SourceError.at(Place(str(path)), told)
    with Faults(SourceError) as faults:
        for told in unusable(options.unsaid):
            faults.add(NOWHERE, told)
    return trained_as(frontend.read(path, options), options)


def _frontend_of(path: Path) -> Frontend:
    """The frontend that reads files which end as *path* does.

    Most are called as their files end, and then no other has to be imported.
    """
    suffix = path.suffix.lower()
    if suffix[1:] in FRONTENDS and suffix in FRONTENDS[suffix[1:]].suffixes:
        return FRONTENDS[suffix[1:]]
    by_suffix = {suffix: frontend for _, frontend in FRONTENDS.items() for suffix in frontend.suffixes}
    if suffix not in by_suffix:
        known = ", ".join(sorted(by_suffix))
        raise SourceError.at(
            Place(str(path)), f"no frontend reads files that end in {path.suffix!r}; there are: {known}"
        )
    return by_suffix[suffix]


def read_before(imported: Imported, options: Options) -> Imported:
    """*imported* under the *options* that a network which is read already may have."""
    said = [*options.unsaid.said, *(["--set"] if options.settings else [])]
    if said:
        told = f"the network was read before, and {', '.join(said)} would have been said then"
        raise SourceError.at(imported.network.place, told)
    network = imported.network
    if options.steps is not None:
        network = replace(network, steps=options.steps)
    return trained_as(replace(imported, network=network), options)


def trained_as(imported: Imported, options: Options) -> Imported:
    """*imported* with what *options* say of its ``train`` section."""
    if not options.train:
        return imported
    network = imported.network
    kept = {key: place for key, place in network.places.items() if key.partition(".")[0] not in options.train}
    train, places = {**network.train, **options.train}, {**kept, **options.places}
    return replace(imported, network=replace(network, train=train, places=places))


def read_text(path: Path) -> str:
    """The text of the user's file; `SourceError` where there is none."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise SourceError.at(Place(str(path)), f"cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise SourceError.at(Place(str(path)), f"is no UTF-8 text (byte {error.start})") from None
