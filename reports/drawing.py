"""What all pictures share: how they look, and how a figure becomes the content of a file."""

from __future__ import annotations

import io
from collections.abc import Callable
from importlib import import_module
from typing import Any

from ..source import NOWHERE, DataError

LOOK = {"svg.hashsalt": "snnc", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
"""The salt makes the names inside of an .svg the same at every run."""

TIMELESS = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}}
"""Else a file would tell when it was made, and by which release."""

COLOURS = {"FP": "#4c72b0", "BP": "#c44e52", "WG": "#55a868", "UP": "#8172b3"}
PLAIN = "#4c72b0"

ROOM_FOR_LEGEND = 1.25


def drawing() -> Any:
    """The module ``matplotlib.figure``; DataError where it is not installed."""
    try:
        return import_module("matplotlib.figure")
    except ImportError:
        hints = ["pip install 'snnc[plots]'", "no --plot"]
        raise DataError.at(NOWHERE, "a picture is drawn by matplotlib, which is not installed", hints=hints) from None


def picture(figure: Callable[[], Any], suffix: str) -> bytes:
    """The content of a file that ends in *suffix*, .png or .svg; the same figures give the same bytes.

    *figure* makes the figure, in the look that all share.
    """
    drawing()
    content = io.BytesIO()
    matplotlib: Any = import_module("matplotlib")
    with matplotlib.rc_context(LOOK):
        figure().savefig(content, format=suffix[1:], dpi=120, metadata=TIMELESS[suffix])
    return content.getvalue()
