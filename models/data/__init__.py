"""Real data to train on: `load("digits")`, `load("idx:DIR")`, `load("npz:FILE")`, `load("events:PATH,steps=4")`.

One file a loader."""

from ._dataset import Dataset, Port, Samples, Split, batches, check_classes, check_shape
from .loader import LOADERS, Loader, load, usage

__all__ = [
    "LOADERS",
    "Dataset",
    "Loader",
    "Port",
    "Samples",
    "Split",
    "batches",
    "check_classes",
    "check_shape",
    "load",
    "usage",
]
