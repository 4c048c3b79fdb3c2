"""The pictures of `snnc compare`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ._output import Output


def draw(output: Output, plot: str, figure: Callable[[], Any]) -> None:
    """Write what *figure* makes as the picture *plot*, .png or .svg, and say so."""
    from ..isa.files import write_whole
    from ..reports.drawing import picture

    write_whole(Path(plot), picture(figure, Path(plot).suffix))
    output.say(f"{plot}: the same as a picture")
