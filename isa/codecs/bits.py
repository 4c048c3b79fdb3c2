"""Bits side by side: `raw` where an element is one bit."""

from .codec import FixedCodec

codec = FixedCodec(1, "eight elements in a byte, each at its place: spikes and masks")
