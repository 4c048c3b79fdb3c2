"""Codecs: how the bytes of a tensor lie in DRAM, one a file; the file name is the codec's."""
