"""Ctrl-C while a run is under way: the step that is being taken ends first."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self


class Interruption:
    """Ctrl-C asks for an end between two steps; a second one ends at once."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._asked)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def guard(self, call: Any, *facts: Any) -> None:
        """Call somebody else's code between two steps, where a KeyboardInterrupt does no harm."""
        try:
            call(*facts)
        except KeyboardInterrupt:
            self.asked = True

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
