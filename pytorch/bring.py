"""``from_torch``: a module of PyTorch as a network, with its parameters under the names that they have there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..compiler.frontends.frontend import Imported, Known, Options, Run, Unsaid
from ..compiler.frontends.onnx import read_graph
from ..compiler.ir.graph import Network, Setting
from ..compiler.ir.text import print_network
from ..compiler.proof import Proof, prove
from ..isa.files import write_whole
from ..runtime.weights import archive
from ..source import DataError, Place, SourceError
from .arguments import check_module, checked
from .drops import mask_of
from .installed import torch
from .labels import AGAIN, Labels, Source
from .neurons import STATISTICS, Neuron, neurons, step_modes
from .notes import of_modules, of_parameters, rounding
from .tracing import Call, Recording, Unrolled, copied, prepared, recorded
from .uses import labelled
from .wording import WAYS, in_python, told_in_python
from .writing import written

Array = NDArray[Any]

SPELLED_OUT = 5
"""Time steps that are run to see what they repeat: three tell it, and two before them begin."""
_SAMPLES = 2


@dataclass(frozen=True)
class Brought(Imported):
    """A network that was a module; `compile` takes it."""

    def __repr__(self) -> str:
        """Name, inputs, steps, and how much there is of what else it holds."""
        network = self.network
        ports = ", ".join(f"{port.name}: {port.type}" for port in network.ports)
        elements = sum(array.size for array in self.parameters.values())
        held = f"{len(self.parameters)} parameters of {elements:,} elements, {len(self.notes)} notes"
        return f"<network {network.name}({ports}) steps {network.steps}: {held}>"

    def prove(self) -> Proof | None:
        """Whether both give the same result for a random input; None where `spiking` made something else of it."""
        found = prove(self)
        return None if found is None else replace(found, by="the module")

    def save(self, path: str | Path, *, overwrite: bool = False) -> None:
        """Write the network to *path*, a `.snn` file, and its parameters beside it, to a `.npz` of the same name.

        DataError where either is there already, since nobody named the second; *overwrite* replaces both.
        """
        path = Path(path)
        if path.suffix != ".snn":
            raise DataError.at(Place(str(path)), "a network is written as .snn, and its parameters beside it as .npz")
        there = [each.name for each in (path, path.with_suffix(".npz")) if each.exists()]
        if there and not overwrite:
            told = f"{' and '.join(there)} {'is' if len(there) == 1 else 'are'} there already; nothing was written"
            hints = ("another name", "overwrite=True, which replaces the .snn and the .npz beside it")
            raise DataError.at(Place(str(path)), told, hints=hints)
        write_whole(path, print_network(self.network, places=False).encode())
        write_whole(path.with_suffix(".npz"), archive(self.parameters))


def from_torch(
    module: Any,
    example_input: Any,
    steps: int,
    *,
    time_axis: Literal[0, 1] | None = None,
    call: Call | None = None,
    surrogate: Setting | None = None,
    detach_reset: bool | None = None,
    spiking: Mapping[str, Setting] | None = None,
    train: Mapping[str, Setting] | None = None,
) -> Brought:
    """The network that *module* is, over so many time *steps*; SourceError with everything that is wrong.

    *example_input* is what the module is given in training: ``[n, ...]`` where it stays the same in all time steps, or
    with a *time_axis* where each step has its own.  *call* says what one call of the module does: a single ``step``,
    with the states of its neurons carried on, or ``all`` of them (then the time axis is handed in, or the module
    repeats a static input itself).  Unless said, it is what SpikingJelly's ``step_mode`` tells, else ``step``.

    *surrogate* and *detach_reset* stand in the place of what the neurons of snnTorch, SpikingJelly and Norse say of
    themselves; other neurons have them from here only.  *spiking* makes neurons of activations
    (``{"relu": "lif(decay=0.9)"}``); *train* holds settings of the ``train`` section.  All of them may be text of the
    language.  The module stays as it was, down to its hidden states.
    """
    place = Place(type(module).__name__)
    check_module(module, example_input, place)
    arguments = checked(
        place,
        steps=steps,
        time_axis=time_axis,
        call=call,
        surrogate=surrogate,
        detach_reset=detach_reset,
        spiking=spiking,
        train=train,
    )
    steps, unsaid = arguments.steps, arguments.unsaid
    unrolled = _unrolled(module, steps, time_axis, call, place)
    found = list(neurons(unrolled.module))
    state = _state(unrolled.module, found)
    real = {entry: np.asarray(value.detach().numpy(), np.float32) for entry, value in state.items()}
    labels = Labels({entry: value.shape for entry, value in real.items()})
    known = {neuron.called: _known(neuron, unsaid, labels) for neuron in found} | _masks(unrolled.module)
    options = Options(steps, train=arguments.train, unsaid=unsaid, known=known)

    def read(unrolled: Unrolled) -> tuple[Imported, Callable[[], Imported]]:
        """The network with labels for weights, and a way to the one with their values."""
        recording = _run(unrolled, state, x, place)
        worn = labelled(recording) - {entry for neuron in found for entry in neuron.learned.values()}
        values = {entry: labels.of(entry) if entry in worn else real[entry] for entry in state}
        return _read(recording, values, options, place), lambda: _read(recording, real, options, place)

    x = _input(example_input, unrolled, steps, time_axis, place)
    imported, with_values = read(unrolled)
    if not any(type.timed for type in imported.network.types.values()):  # no neuron: a single call tells as much
        imported, with_values = read(replace(unrolled, call="all"))
    _check_steps(imported, unrolled, steps, place)
    named = _named(imported, labels)
    parameters = _parameters(imported, named, real, with_values)
    network = replace(_renamed(imported.network, {old: name for old, (name, _) in named.items()}), train=options.train)
    notes = [
        replace(note, message=in_python(note.message))
        for note in imported.notes
        if not note.message.startswith("one time step out of")
    ]
    notes += of_modules(unrolled.module, found, unsaid, place)
    notes += of_parameters(named, imported.parameters, real, unrolled.module, place)
    notes += rounding(parameters, place)
    same = not unsaid.spiking
    run = _executed(replace(unrolled, timed=network.ports[0].type.timed, steps=steps)) if same else None
    return Brought(network, parameters, tuple(notes), run)


def _read(recording: Recording, values: Mapping[str, Array], options: Options, place: Place) -> Imported:
    """The network in a recording with these *values* of the state."""
    with told_in_python():
        return read_graph(written(recording, values, place), place.file, str(place), options)


def _parameters(
    imported: Imported,
    named: Mapping[str, tuple[str, Source]],
    real: Mapping[str, Array],
    with_values: Callable[[], Imported],
) -> dict[str, Array]:
    """Every parameter by its new name; those that were computed from the state, from its values."""
    computed = [old for old in imported.parameters if old not in named]
    again: Mapping[str, Array] = with_values().parameters if computed else {}
    lost = [old for old in computed if old not in again]
    if lost:
        told = f"{', '.join(lost)} are computed from weights in a way that depends on their values"
        raise SourceError.at(imported.network.place, told)
    found: dict[str, Array] = {}
    for old, labelled_array in imported.parameters.items():
        if old in named:
            name, source = named[old]
            found[name] = source.taken_out(real[source.entry], labelled_array.shape)
        else:
            found[old] = again[old]
    return found


def _unrolled(module: Any, steps: int, time_axis: int | None, call: Call | None, place: Place) -> Unrolled:
    """The module as it is run; SourceError where that is not clear."""
    modes = step_modes(module)
    if call is None and len(modes) > 1:
        told = "has neurons of step_mode 's' and of step_mode 'm': a call may do one time step, or all of them"
        raise SourceError.at(place, told, hints=("call='step' or call='all'",))
    chosen: Call = call or ("all" if "m" in modes else "step")
    counted = steps if chosen == "all" and (steps >= 3 or time_axis is None) else SPELLED_OUT
    return Unrolled(prepared(module), chosen, time_axis is not None, counted, time_axis == 1, place)


def _state(module: Any, found: list[Neuron]) -> dict[str, Any]:
    """The entries of the state that are trained here, running statistics among them."""
    learned = {entry for neuron in found for entry in neuron.learned.values()}
    buffers = {n: b for n, b in module.named_buffers() if n in learned or n.rpartition(".")[2] in STATISTICS}
    return {**dict(module.named_parameters()), **buffers}


def _input(example: Any, unrolled: Unrolled, steps: int, time_axis: int | None, place: Place) -> Any:
    """An input of the shape of the *example*, with time along the first axis, for a few samples."""
    framework = torch()
    if not isinstance(example, framework.Tensor) or not example.is_floating_point():
        raise SourceError.at(place, "example_input is a tensor of floating point, as the module is given in training")
    x = example.detach().to("cpu", framework.float32)
    wanted = 1 if time_axis is None else 2
    if x.ndim <= wanted:
        axes = "[n, ...]" if time_axis is None else "[T, n, ...]" if time_axis == 0 else "[n, T, ...]"
        raise SourceError.at(place, f"example_input is {list(x.shape)}, and {axes} is needed: samples have an axis")
    if time_axis is not None:
        x = x.movedim(time_axis, 0)
        if x.shape[0] != steps:
            told = f"axis {time_axis} of example_input has {x.shape[0]} time steps, and steps says {steps}"
            raise SourceError.at(place, told)
        x = x[framework.arange(unrolled.steps) % steps]
    samples = wanted - 1
    return x.index_select(samples, framework.arange(_SAMPLES) % x.shape[samples])


def _run(unrolled: Unrolled, state: Mapping[str, Any], x: Any, place: Place) -> Recording:
    """What happens in a run; SourceError where the module refuses it, or gives something else than it should."""
    given = list(x.shape[1:] if unrolled.timed and unrolled.call == "step" else x.shape)
    try:
        recording = recorded(unrolled, state, x)
    except SourceError:
        raise
    except Exception as error:  # the user's code
        told = f"fails on an input of {given}: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        raise SourceError.at(place, told, hints=WAYS) from error
    shape = recording.shape
    good = shape[1:2] == (_SAMPLES,) if unrolled.call == "step" else _SAMPLES in shape[:2]
    if not good:
        told = f"gives {list(shape[1:] if unrolled.call == 'step' else shape)} for an input of {given}"
        wanted = "one result a sample" if unrolled.call == "step" else "one result a step and a sample, or their mean"
        raise SourceError.at(place, f"{told}; {wanted} was expected", hints=WAYS)
    return recording


def _check_steps(imported: Imported, unrolled: Unrolled, steps: int, place: Place) -> None:
    """SourceError where a module that repeats its input itself does so for another number of steps."""
    if unrolled.call == "all" and imported.spelled_out not in (None, unrolled.steps):
        told = f"a call does {imported.spelled_out} time steps, and steps says {steps}"
        raise SourceError.at(place, told)


def _known(neuron: Neuron, unsaid: Unsaid, labels: Labels) -> Known:
    """What a neuron says of itself, as far as the user does not say otherwise."""
    settings: dict[str, Setting] = {}
    if neuron.surrogate is not None and unsaid.surrogate is None:
        settings["surrogate"] = neuron.surrogate
    if unsaid.detach_reset is None and neuron.detach_reset is not None:
        settings["detach_reset"] = neuron.detach_reset
    if "w" in neuron.learned:
        settings["form"] = neuron.form
    return Known(settings, {role: labels.of(entry) for role, entry in neuron.learned.items()})


def _masks(module: Any) -> dict[str, Known]:
    """How long the elements that a dropout leaves out stay out, by its path."""
    found = {path: mask for path, inner in module.named_modules() if (mask := mask_of(inner)) is not None}
    return {path: Known({"mask": mask}) for path, mask in found.items() if path}


def _named(imported: Imported, labels: Labels) -> dict[str, tuple[str, Source]]:
    """By the name of a parameter, what it will be called and where it came from, unless it was computed."""
    found = {old: source for old, array in imported.parameters.items() if (source := labels.read(array)) is not None}
    taken = imported.network.types.keys() - found.keys()
    named: dict[str, tuple[str, Source]] = {}
    for old, source in found.items():
        name, number = source.name, 1
        while name in taken:
            name, number = f"{source.name}.{AGAIN}{number}", number + 1
        taken.add(name)
        named[old] = name, source
    return named


def _renamed(network: Network, names: Mapping[str, str]) -> Network:
    """*network*, whose parameters have other *names*."""
    nodes = [
        replace(
            node,
            results=tuple(names.get(name, name) for name in node.results),
            operands=tuple(names.get(name, name) for name in node.operands),
        )
        for node in network.nodes
    ]
    return replace(network, nodes=tuple(nodes))


def _executed(unrolled: Unrolled) -> Run:
    """The module itself, to be compared with."""

    def compute(x: Array) -> Array:
        framework = torch()
        with framework.no_grad():
            made = replace(unrolled, module=copied(unrolled.module))(
                framework.from_numpy(np.ascontiguousarray(x, np.float32))
            )
        return np.asarray(made.numpy())

    return Run(_SAMPLES, compute)
