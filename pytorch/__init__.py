"""Modules of PyTorch in, and what was trained back into them: the only room that knows torch."""
