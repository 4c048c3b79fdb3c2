"""Every element at its place."""

from .codec import FixedCodec

codec = FixedCodec(0, "every element at its place")
