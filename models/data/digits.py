"""1,797 scans of handwritten digits, 8 x 8 with 17 levels of grey, that scikit-learn carries with it.

UCI Optical Recognition of Handwritten Digits (Alpaydin and Kaynak, 1998), test part.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from ...source import NOWHERE, DataError
from ._dataset import Dataset
from ._validation import assemble, divide
from .loader import Loader, Options

HELD_OUT = 360
SPLIT_SEED = 0
WHITE = 16


def read(argument: str, options: Options) -> Dataset:
    """1,437 scans to train on and 360 to test on: every class gives its share, drawn once and for all by `divide`."""
    try:
        datasets: Any = import_module("sklearn.datasets")
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        message = "which is not installed" if missing else f"which cannot be imported: {error}"
        hints = ["pip install 'snnc[data]'"]
        raise DataError.at(NOWHERE, f"digits needs scikit-learn, {message}", hints=hints) from error
    scans = datasets.load_digits()
    train, test = divide(scans.images.astype(np.uint8), scans.target, HELD_OUT, SPLIT_SEED)
    return assemble("digits", train, test, maximum=WHITE)


loader = Loader("1,797 real scans of digits, 8 x 8, from scikit-learn", read)
