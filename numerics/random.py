"""Random numbers that depend on what they are for, not on when they are drawn.

Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11) turns a counter and a
key into four words. The counter is a tensor's *logical* element and the step, the key is the seed and the tensor, so
that no tiling, order or core shows in the numbers.
"""

from __future__ import annotations

import zlib
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .elementary import cos, log

Words: TypeAlias = NDArray[np.uint32]
Four: TypeAlias = tuple[Words, Words, Words, Words]

_ROUNDS = 10
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_WORD = 0xFFFFFFFF
_TWO_PI = np.float32(6.283185307179586)
_ULP = np.float32(2.0**-24)
_SHUFFLE, _CHOICE = 1, 2  # last counter word of shuffles and choices; numbers of tensors have 0


class Draw(Protocol):
    """A distribution: numbers for the logical elements `index` of tensor `stream` at `step`."""

    def __call__(self, index: ArrayLike, seed: int, stream: int, step: int) -> NDArray[np.float32]: ...


def philox(counter: tuple[ArrayLike, ArrayLike, ArrayLike, ArrayLike], key: tuple[int, int]) -> Four:
    """Four words of 32 random bits for each counter (four words that broadcast together) under `key`."""
    c0, c1, c2, c3 = (np.asarray(word, np.uint32) for word in np.broadcast_arrays(*counter))
    k0, k1 = _word(key[0], "key"), _word(key[1], "key")
    for _ in range(_ROUNDS):
        product0 = c0.astype(np.uint64) * _MULTIPLIERS[0]
        product1 = c2.astype(np.uint64) * _MULTIPLIERS[1]
        c0 = (product1 >> np.uint64(32)).astype(np.uint32) ^ c1 ^ np.uint32(k0)
        c2 = (product0 >> np.uint64(32)).astype(np.uint32) ^ c3 ^ np.uint32(k1)
        c1, c3 = product1.astype(np.uint32), product0.astype(np.uint32)
        k0, k1 = (k0 + _KEY_STEPS[0]) & _WORD, (k1 + _KEY_STEPS[1]) & _WORD
    return np.asarray(c0), np.asarray(c1), np.asarray(c2), np.asarray(c3)


def uniform(index: ArrayLike, seed: int, stream: int, step: int) -> NDArray[np.float32]:
    """Multiples of 2^-24, evenly spread over [0, 1), for the logical elements `index` (below 2^63).

    ValueError if seed, stream or step does not fit in 32 bits.
    """
    return (_words_of(index, seed, stream, step)[0] >> np.uint32(8)).astype(np.float32) * _ULP


def normal(index: ArrayLike, seed: int, stream: int, step: int) -> NDArray[np.float32]:
    """Standard normal numbers for the logical elements `index`: Box and Muller, every operation rounded to f32."""
    first, second, _, _ = _words_of(index, seed, stream, step)
    above_zero = ((first >> np.uint32(8)) + np.uint32(1)).astype(np.float32) * _ULP
    turn = (second >> np.uint32(8)).astype(np.float32) * _ULP
    return np.sqrt(np.float32(-2.0) * log(above_zero)) * cos(_TWO_PI * turn)


def stream_of(name: str) -> int:
    """The stream of the tensor called `name`: CRC-32 of its UTF-8 bytes."""
    return zlib.crc32(name.encode())


def permutation(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """The numbers 0..count-1 in the order of `epoch`: sorted by 64 random bits each, equal ones in order."""
    return _sorted(count, _SHUFFLE, seed, epoch)


def choice(count: int, of: int, seed: int, step: int) -> NDArray[np.int64]:
    """*count* of the numbers 0..of-1, ascending, which every training step draws anew."""
    return np.sort(_sorted(of, _CHOICE, seed, step)[:count])


def _sorted(count: int, purpose: int, seed: int, number: int) -> NDArray[np.int64]:
    """The numbers 0..count-1, sorted by 64 random bits each."""
    index = np.arange(count, dtype=np.uint64)
    first, second, _, _ = philox((*_halves(index), np.uint32(0), np.uint32(purpose)), (seed, number))
    bits = (first.astype(np.uint64) << np.uint64(32)) | second
    return np.argsort(bits, kind="stable").astype(np.int64)


def _words_of(index: ArrayLike, seed: int, stream: int, step: int) -> Four:
    """The four words of elements `index` of tensor `stream`."""
    return philox((*_halves(np.asarray(index)), np.uint32(_word(step, "step")), np.uint32(0)), (seed, stream))


def _halves(index: NDArray[np.integer]) -> tuple[Words, Words]:
    """Low and high 32 bits."""
    wide = index.astype(np.uint64)
    return (wide & np.uint64(_WORD)).astype(np.uint32), (wide >> np.uint64(32)).astype(np.uint32)


def _word(value: int, what: str) -> int:
    """`value` itself if it is an unsigned 32-bit word, else ValueError."""
    if not 0 <= value <= _WORD:
        raise ValueError(f"{what} {value} is not in 0..2^32-1")
    return int(value)
