"""``to_torch``: what was trained on the interpreter back into the module that the network came from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..runtime.checkpoint import Checkpoint
from ..runtime.weights import load, of_checkpoint
from ..source import DataError, Faults, Place
from .installed import torch
from .labels import AGAIN, Source, sources
from .neurons import frozen_diagonals
from .wording import named

Array = NDArray[Any]
Trained: TypeAlias = str | Path | Checkpoint | Mapping[str, Array]


def to_torch(trained: Trained, module: Any, *, strict: bool = True) -> Any:
    """Write the parameters and running statistics of *trained* into *module*, which is returned.

    *trained* is a checkpoint, or a file of weights (`.npz`, `.safetensors`), or either of them loaded.  The names that
    `from_torch` gave to parameters tell where each belongs.  DataError tells everything that does not fit, and the
    module then is as it was.  *strict* asks for all parameters of the module; without it, those that *trained* does not
    have stay as they are, and so does a diagonal that the module does not train.
    """
    framework = torch()
    place = Place(str(trained) if isinstance(trained, str | Path) else "<trained>")
    _check_arguments(trained, module, place)
    arrays = _arrays(trained)
    entries = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    state = {entry: value for entry, value in module.state_dict(keep_vars=True).items() if entry in entries}
    with Faults(DataError) as faults:
        found = placed(arrays, state, place, faults)
        _keep_diagonals(found, state, module, strict, place, faults)
        if strict:
            for entry in dict(module.named_parameters()):
                if entry not in found:
                    told = f"has nothing for {entry}, which is a parameter of the module"
                    faults.add(place, told, hints=("strict=False, which leaves it as it is",))
    with framework.no_grad():
        for entry, array in found.items():
            state[entry].copy_(framework.from_numpy(array).to(state[entry].dtype))
    return module


def _check_arguments(trained: Any, module: Any, place: Place) -> None:
    """DataError for what is neither trained parameters nor a module, or where they have changed places."""
    kind = torch().nn.Module
    if not isinstance(module, kind):
        hints = ("to_torch(trained, module)",) if isinstance(trained, kind) else ()
        raise DataError.at(place, f"goes into a torch.nn.Module, not into {named(module)}", hints=hints)
    if not isinstance(trained, str | Path | Checkpoint | Mapping):
        wanted = "a checkpoint, a file of weights (.npz, .safetensors), or either of them loaded"
        has_parameters = isinstance(getattr(trained, "parameters", None), Mapping)
        hints = ("its .parameters",) if has_parameters else ()
        raise DataError.at(place, f"is {named(trained)}; {wanted} is needed", hints=hints)


def _arrays(trained: Trained) -> Mapping[str, Array]:
    if isinstance(trained, str | Path):
        return load(trained)
    return of_checkpoint(trained) if isinstance(trained, Checkpoint) else trained


def placed(arrays: Mapping[str, Array], state: Mapping[str, Any], place: Place, faults: Faults) -> dict[str, Array]:
    """By entry of the state, what it becomes; everything that cannot be placed is a fault."""
    known = sources(state)
    found: dict[str, Array] = {}
    for name, array in arrays.items():
        first, once_more = _without_again(name) if name not in known else (name, False)
        candidates = known.get(first, ())
        if len(candidates) != 1:
            faults.add(place, _unplaced(name, candidates))
            continue
        (source,) = candidates
        shape = tuple(int(extent) for extent in state[source.entry].shape)
        single = _numbers(array)
        if single is None:
            faults.add(place, f"{name} is {named(array)}, and no array of numbers")
        elif single.size != int(np.prod(shape)) or (source.transposed and single.shape != shape[::-1]):
            faults.add(place, f"{name} is {list(single.shape)}, and {source.entry} of the module is {list(shape)}")
        elif not np.isfinite(single).all():
            faults.add(place, f"{name} has elements that are not finite")
        else:
            made = np.array(source.put_back(single, shape), order="C")
            if (once_more or source.entry in found) and not np.array_equal(found.get(source.entry, made), made):
                faults.add(place, f"{source.entry} is used in several places, which were trained apart")
            found[source.entry] = made
    return found


def _numbers(array: Any) -> Array | None:
    """*array* in float32; None where it is none."""
    try:
        return np.asarray(array, np.float32)
    except (TypeError, ValueError):
        return None


def _keep_diagonals(
    found: dict[str, Array], state: Mapping[str, Any], module: Any, strict: bool, place: Place, faults: Faults
) -> None:
    """Put the module's own diagonals in the place of those *found* that it does not train; faults where they differ."""
    for entry in frozen_diagonals(module):
        if entry not in found:
            continue
        own = state[entry].detach().cpu().numpy().diagonal()
        if strict and not np.array_equal(found[entry].diagonal(), own):
            told = f"the diagonal of {entry} was trained, and the module keeps its own (autapses=False)"
            hints = ("strict=False, which leaves the diagonal as it is", "autapses=True, in the module that is trained")
            faults.add(place, told, hints=hints)
        np.fill_diagonal(found[entry], own)


def _without_again(name: str) -> tuple[str, bool]:
    """The name of what is used once more, if *name* is that."""
    once_more = re.fullmatch(rf"(.+)\.{AGAIN}\d+", name)
    return (once_more[1], True) if once_more else (name, False)


def _unplaced(name: str, candidates: tuple[Source, ...]) -> str:
    """Why *name* belongs to no entry."""
    if candidates:
        return f"{name} may be any of {', '.join(source.entry for source in candidates)}"
    return f"{name} is no entry of the module's state, nor one that was moved: it was computed, or is of another module"
