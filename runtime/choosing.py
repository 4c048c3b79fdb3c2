"""Steps of time that a training step draws, in which errors follow; the others go forward only."""

from __future__ import annotations

from ..numerics import random

WORD = 32
"""Steps that an argument has bits for."""


def drawn(turns: int, steps: int, seed: int, update: int) -> dict[str, int]:
    """Arguments that choose *turns* of *steps* steps in training step *update*: bit i of word k is step 32 k + i."""
    words = [0] * -(-steps // WORD)
    for step in random.choice(turns, steps, seed, update).tolist():
        words[step // WORD] |= 1 << step % WORD
    return {f"chosen{place}": word for place, word in enumerate(words)}
