"""What a loader is, and how the words after `--data` name one: `NAME`, `NAME:ARGUMENT`, then `,key=value` as needed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ...catalog import Catalog, UnknownName, unknown
from ...source import NOWHERE, DataError, Faults, Place
from ._dataset import Dataset, Port, Samples

LARGEST_OPTION_DIGITS = 9


@dataclass(frozen=True)
class Choice:
    """An option that is one of a few words; `values` begins with the one that holds where nothing is said."""

    meaning: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Options:
    """The options of one loader, and the input that the samples are for, where it is known.

    numbers: those that were given, all of them whole numbers of at least 1.
    words: the word of every `Choice`, given or not.
    """

    numbers: Mapping[str, int]
    words: Mapping[str, str]
    port: Port | None = None

    def number(self, name: str) -> int | None:
        """The number that was given for `name`, if any."""
        return self.numbers.get(name)


@dataclass(frozen=True)
class Loader:
    """One way to come by data.

    summary: a line for `snnc list data`.
    read: takes the argument and the loader's own options, and gives the whole data set; raises DataError.
    argument: what stands after the colon, as shown in a usage line: `DIR`; empty where nothing does.
    options: its own options that are numbers and what each means, beside those of every loader (`EVERY_LOADER`).
    choices: its own options that are words.
    """

    summary: str
    read: Callable[[str, Options], Dataset]
    argument: str = ""
    options: Mapping[str, str] = field(default_factory=dict[str, str])
    choices: Mapping[str, Choice] = field(default_factory=dict[str, Choice])


LOADERS: Catalog[Loader] = Catalog("snnc.models.data", "loader")

EVERY_LOADER: Mapping[str, str] = {
    "train": "take only the first N samples to train on",
    "test": "take only the first N samples to test on",
}


def load(spec: str, port: Port | None = None) -> Dataset:
    """The data set that `spec` names, checked: `digits`, `idx:data/mnist`, `npz:mine.npz,train=1000,test=100`.

    A loader whose samples can be made to measure (frames of events) makes them for `port`.
    Raises DataError: an unknown loader or option (with the nearest name), a file that is missing or damaged, values
    that cannot be trained on.
    """
    name, _, rest = spec.partition(":")
    if ":" in spec:
        argument, words = _trailing_options(rest)
    else:
        name, *words = spec.split(",")
        argument = ""
    loader = _loader(name, spec)
    numbers, chosen = _options(words, spec, {**loader.options, **EVERY_LOADER}, loader.choices)
    if loader.argument and not argument:
        raise DataError.at(NOWHERE, f"{name} needs a {loader.argument}", hints=[usage(name)])
    if argument and not loader.argument:
        raise DataError.at(NOWHERE, f"{name} takes no argument, but has {argument!r}", hints=[usage(name)])
    own = {key: value for key, value in numbers.items() if key in loader.options}
    defaults = {key: choice.values[0] for key, choice in loader.choices.items()}
    dataset = loader.read(argument, Options(own, defaults | chosen, port))
    return _limited(dataset, numbers)


def usage(name: str) -> str:
    """How the loader `name` is called for: `idx:DIR[,maximum=N][,train=N][,test=N]`."""
    loader = LOADERS[name]
    argument = f":{loader.argument}" if loader.argument else ""
    words = [f"[,{key}={'|'.join(choice.values)}]" for key, choice in loader.choices.items()]
    own, every = ([f"[,{key}=N]" for key in keys] for keys in (loader.options, EVERY_LOADER))
    return name + argument + "".join([*own, *words, *every])


def _trailing_options(text: str) -> tuple[str, list[str]]:
    """Cuts the words `,key=value` off the end of `text`; commas before them belong to the argument."""
    argument, *words = text.split(",")
    while words and not all(re.fullmatch(r"[A-Za-z_]\w*=[^/\\]*", word) for word in words):
        argument += "," + words.pop(0)
    return argument, words


def _loader(name: str, spec: str) -> Loader:
    try:
        return LOADERS[name]
    except UnknownName as error:
        raise DataError.at(NOWHERE, f"{error}", hints=_what_a_path_is(spec)) from None


def _what_a_path_is(spec: str) -> list[str]:
    """A hint for who gave a path alone."""
    path = Path(spec)
    if spec and path.is_dir():
        return [f"idx:{spec}"]
    return [f"npz:{spec}"] if path.suffix == ".npz" and path.is_file() else []


def _options(
    words: list[str], spec: str, known: Mapping[str, str], choices: Mapping[str, Choice]
) -> tuple[dict[str, int], dict[str, str]]:
    """The numbers and the words that were given."""
    numbers: dict[str, int] = {}
    chosen: dict[str, str] = {}
    with Faults(DataError) as faults:
        for word in words:
            key, equals, value = word.partition("=")
            if not equals:
                faults.add(NOWHERE, f"{word!r} in {spec!r} is not of the form key=value")
            elif key not in known and key not in choices:
                faults.add(NOWHERE, str(unknown("option", key, [*known, *choices])))
            elif key in numbers or key in chosen:
                faults.add(NOWHERE, f"{key} is given twice in {spec!r}")
            elif key in choices:
                if value not in choices[key].values:
                    faults.add(NOWHERE, f"{key}={value}: {' or '.join(choices[key].values)} is needed")
                chosen[key] = value
            elif not re.fullmatch(r"[0-9]+", value) or len(value) > LARGEST_OPTION_DIGITS or int(value) < 1:
                faults.add(NOWHERE, f"{key}={value}: a whole number of at least 1 is needed")
            else:
                numbers[key] = int(value)
    return numbers, chosen


def _limited(dataset: Dataset, options: Mapping[str, int]) -> Dataset:
    with Faults(DataError) as faults:
        for part, split in (("train", dataset.train), ("test", dataset.test)):
            if options.get(part, 0) > len(split):
                faults.add(Place(dataset.name), f"{part}={options[part]} asks for more than the {len(split)} there are")
    return replace(
        dataset, train=_first(dataset.train, options.get("train")), test=_first(dataset.test, options.get("test"))
    )


def _first(split: Samples, count: int | None) -> Samples:
    return split if count is None else split.first(count)
