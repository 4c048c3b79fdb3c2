"""Interchangeable parts, looked up by name: the folder is the list.

Adding a file to a folder adds its name to the command line, to `snnc list` and to the parametrised tests; nothing is
written down twice. There are three kinds of folder: one part a file (`Catalog`), many classes a file
(`ClassCatalog`), and data (`FileCatalog`). A wrong name gets the nearest right one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import cached_property
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from pkgutil import iter_modules
from typing import Generic, TypeVar

Part = TypeVar("Part")


class UnknownName(LookupError):
    """A name that no part has; its text is a sentence for the user."""


def unknown(kind: str, name: str, known: Iterable[str], beside: Iterable[str] = ()) -> UnknownName:
    """The error for a mistyped name: "no rule is called 'bpt'; did you mean bptt?"

    Where nothing is near, the sentence lists what there is.  Names *beside* are of another kind, which may have been
    meant and is not listed.
    """
    known = sorted(known)
    near = _nearest(str(name), sorted({*known, *beside}))  # from Python, anything may be given
    if near is not None:
        hint = f"did you mean {near}?"
    elif known:
        hint = f"there are: {', '.join(known)}"
    else:
        hint = "there are none"
    return UnknownName(f"no {kind} is called {name!r}; {hint}")


def _nearest(name: str, known: list[str]) -> str | None:
    """The known name that differs in a few letters, or the only one that begins alike; case and `-` do not count."""
    plain = {_plain(candidate): candidate for candidate in known}
    if close := get_close_matches(_plain(name), plain, n=1):
        return plain[close[0]]
    begins = [candidate for candidate in plain if name and candidate.startswith(_plain(name))]
    return plain[begins[0]] if len(begins) == 1 else None


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


class _Names(ABC, Generic[Part]):
    """Parts by name, read from their folder when first asked for, in alphabetical order."""

    kind: str
    """What a part is called in a sentence: `rule`, `dataflow`, `target`."""

    @abstractmethod
    def _names(self) -> Iterable[str]:
        """Every name, in any order."""

    @abstractmethod
    def _part(self, name: str) -> Part:
        """The part of that name, which is known to exist."""

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._names()))

    def __len__(self) -> int:
        return len(list(self._names()))

    def __contains__(self, name: object) -> bool:
        return name in set(self._names())

    @cached_property
    def _found(self) -> dict[str, Part]:
        """Parts that were asked for before: the folder is not listed again for them."""
        return {}

    def __getitem__(self, name: str) -> Part:
        """The part of that name; raises `UnknownName`."""
        if name not in self._found:
            if name not in self:
                raise unknown(self.kind, name, self)
            self._found[name] = self._part(name)
        return self._found[name]

    def items(self) -> Iterator[tuple[str, Part]]:
        """Every name with its part, which is loaded on the way."""
        return ((name, self[name]) for name in self)


class Catalog(_Names[Part]):
    """One part a file: file `NAME.py` of `package` holds it under the name `kind`.

    The file `kind.py`, which says what a part is, and files that begin with an underscore are no parts. A part's
    module is imported when the part is asked for, not before.
    """

    def __init__(self, package: str, name: str) -> None:
        self.package = package
        self.kind = name

    def _names(self) -> Iterable[str]:
        return (name for name in _modules(self.package) if name != self.kind)

    def _part(self, name: str) -> Part:
        module = import_module(f"{self.package}.{name}")
        assert hasattr(module, self.kind), f"{module.__file__} defines no `{self.kind}`"
        return getattr(module, self.kind)


class ClassCatalog(_Names[type[Part]]):
    """Many classes a file: the subclasses of `base` in `package` that say their own `name`.

    `key` is the class variable that holds the name. A class that only inherits one is a step on the way to others,
    not a part. All modules of the folder are imported at the first question.
    """

    def __init__(self, package: str, base: type[Part], kind: str, key: str = "name") -> None:
        self.package = package
        self.base = base
        self.kind = kind
        self.key = key

    @cached_property
    def _classes(self) -> Mapping[str, type[Part]]:
        found: dict[str, type[Part]] = {}
        for module in _modules(self.package):
            for thing in vars(import_module(f"{self.package}.{module}")).values():
                if not isinstance(thing, type) or not issubclass(thing, self.base):
                    continue
                name = vars(thing).get(self.key)
                if isinstance(name, str):
                    other = found.setdefault(name, thing)
                    assert other is thing, f"two classes are called {name!r}: {other} and {thing}"
        return found

    def _names(self) -> Iterable[str]:
        return self._classes

    def _part(self, name: str) -> type[Part]:
        return self._classes[name]


class FileCatalog(_Names[Path]):
    """Data files: `NAME.suffix` in the folder of `package`, found from any working directory after any installation."""

    def __init__(self, package: str, suffix: str, kind: str) -> None:
        self.package = package
        self.suffix = suffix
        self.kind = kind

    def _names(self) -> Iterable[str]:
        return (path.stem for path in self._folder().iterdir() if path.suffix == self.suffix)

    def _part(self, name: str) -> Path:
        return self._folder() / f"{name}{self.suffix}"

    def _folder(self) -> Path:
        folder = files(self.package)
        assert isinstance(folder, Path), f"{self.package} is not a folder of files"
        return folder


def _modules(package: str) -> Iterator[str]:
    """The modules of a package that do not begin with an underscore, without importing them."""
    folder = import_module(package).__path__
    return (module.name for module in iter_modules(folder) if not module.name.startswith("_"))
