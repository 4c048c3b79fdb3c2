"""Where a thing was written, and the errors that point there.

A `Place` travels from the token in a `.snn` file to the debug entry of an instruction, so that even a fault at run
time names the user's line. A stage collects all that it finds wrong in a `Faults` and raises it at once, as the one
family of `SnncError` that says *whose* fault it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True, order=True)
class Place:
    """A point in a text: `line` and `column` count from 1; 0 means that it is not known."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """`lenet.snn:4:17`, leaving out what is not known."""
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}" if self.column else f"{self.file}:{self.line}"


NOWHERE = Place("<none>")
"""The place of what nobody wrote down: a default, a command-line option, a tensor that the compiler made."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong: where, what, the line of text that it stands in, and what would help.

    >>> print(Fault(Place("a.snn", 1, 5), "expected ')'", "y = (x"))
    a.snn:1:5: expected ')'
      y = (x
          ^
    """

    place: Place
    message: str
    source_line: str | None = None
    hints: tuple[str, ...] = ()

    @classmethod
    def at(cls, place: Place, message: str, text: str | None = None, hints: Iterable[str] = ()) -> Self:
        """A fault that shows the line of `place` out of `text`, the whole text of the file."""
        return cls(place, message, line_of(text, place), tuple(hints))

    def __str__(self) -> str:
        lines = [self.message if self.place == NOWHERE else f"{self.place}: {self.message}"]
        if self.source_line is not None:
            lines.append(f"  {self.source_line}".rstrip())
            if self.place.column:
                lines.append(f"  {_blank(self.source_line, self.place.column - 1)}^")
        lines += [f"  try: {hint}" for hint in self.hints]
        return "\n".join(lines)


def line_of(text: str | None, place: Place) -> str | None:
    """The line of `text` in which `place` lies; None where there is no text or no such line."""
    if text is None or not place.line:
        return None
    lines = text.split("\n")
    return lines[place.line - 1].removesuffix("\r") if place.line <= len(lines) else None


def _blank(line: str, width: int) -> str:
    """`width` characters of white space as wide as the start of `line`: tabs stay tabs, so the caret stays put."""
    return "".join("\t" if letter == "\t" else " " for letter in line[:width].ljust(width))


class SnncError(Exception):
    """What is wrong and not ours: a tuple of faults, shown one below the other.

    Only its families are raised. What *we* got wrong is an assertion.
    """

    def __init__(self, *faults: Fault) -> None:
        assert faults, "an error without a fault"
        super().__init__(*faults)
        self.faults = faults

    @classmethod
    def at(cls, place: Place, message: str, text: str | None = None, hints: Iterable[str] = ()) -> Self:
        """The error with a single fault; `text` is the whole text of the file."""
        return cls(Fault.at(place, message, text, hints))

    def __str__(self) -> str:
        return "\n".join(map(str, self.faults))


class SourceError(SnncError):
    """The user's network is at fault: it does not parse, its shapes do not meet, a name in it is unknown."""


class TargetError(SnncError):
    """The machine is at fault: its file is wrong, or the network does not fit it (demand, bound, short by, levers)."""


class DataError(SnncError):
    """What was handed to a finished program is at fault: samples, labels, weights, checkpoints, program files.

    A family of its own, because the network and the machine are both right when it is raised, and neither the `.snn`
    nor the target file is the place to mend it: an image of the wrong shape, a label out of range, a truncated
    `.snnb`, a checkpoint of another program. Its places name a file, or a sample in a file, rarely a line.
    """


class Faults:
    """All that one stage finds wrong, so that it is shown together and in the order of the text.

    >>> with Faults(SourceError) as faults:
    ...     faults.add(Place("a.snn", 3), "no such operator")
    Traceback (most recent call last):
    snnc.source.SourceError: a.snn:3: no such operator

    Leaving the block raises what was collected. An error of the same family that cuts the block short joins the
    others; any other exception passes through untouched.
    """

    def __init__(self, kind: type[SnncError] = SourceError, text: str | None = None) -> None:
        """`text`, the whole text of the file, is where `add` takes the lines from that it is not given."""
        self.kind = kind
        self.text = text
        self._found: dict[Fault, None] = {}

    def add(self, place: Place, message: str, source: str | None = None, hints: Iterable[str] = ()) -> None:
        """Note one fault; `source` is the whole text of its file, where that is not the collector's own."""
        self._found[Fault.at(place, message, self.text if source is None else source, hints)] = None

    def extend(self, faults: Iterable[Fault]) -> None:
        """Note the faults of another stage."""
        self._found.update(dict.fromkeys(faults))

    def __iter__(self) -> Iterator[Fault]:
        """In the order of file, line and column; the same fault is told once."""
        return iter(sorted(self._found, key=lambda fault: fault.place))

    def __len__(self) -> int:
        return len(self._found)

    def throw(self, kind: type[SnncError] | None = None) -> None:
        """Raise everything that was collected, if anything was."""
        if self._found:
            raise (kind or self.kind)(*self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.throw()
        elif isinstance(error, self.kind) and self._found:
            self.extend(error.faults)
            raise self.kind(*self) from error.__cause__
