"""Counter-based noise keyed by (seed, purpose, participant, problem): the same number whatever the order.

Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011), vectorised
over arrays of counters. Each word of noise is a pure function of its key, so a simulation gives the same bytes
for any block size, number of processes or order, and adding a participant or problem changes no other response.

`philox` is the generator as published; `words` is the same for counters (participant, block, 0), in place, for
arrays that fit the processor's cache; `uniforms` and `normals` are made from it chunk by chunk.

Shapes: R keys, n draws per key.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

U32 = np.uint32
U64 = np.uint64
Words = NDArray[np.uint64]
# 0-dimensional arrays: NumPy takes them as they are, where a scalar would be converted in every call
_M0, _M1 = np.array(0xD2511F53, dtype=U64), np.array(0xCD9E8D57, dtype=U64)
_W0, _W1 = np.array(0x9E3779B9, dtype=U64), np.array(0xBB67AE85, dtype=U64)
LOW_WORD = np.array(0xFFFFFFFF, dtype=U64)
_SHIFT = np.array(32, dtype=U64)
CHUNK = 1 << 14
ROUNDS = 10


def philox(counter_4R: NDArray[np.uint32], key: tuple[NDArray[np.uint32], NDArray[np.uint32]]) -> NDArray[np.uint32]:
    """Philox4x32 with ten rounds: (4, R) counters and two key words of shape (R,) or () to (4, R) random words."""
    c0, c1, c2, c3 = (counter_4R[i].astype(U64) for i in range(4))
    k0, k1 = key[0].astype(U64), key[1].astype(U64)
    for round_ in range(ROUNDS):
        if round_:
            k0, k1 = (k0 + _W0) & LOW_WORD, (k1 + _W1) & LOW_WORD
        p0, p1 = c0 * _M0, c2 * _M1
        c0, c1, c2, c3 = (p1 >> _SHIFT) ^ c1 ^ k0, p1 & LOW_WORD, (p0 >> _SHIFT) ^ c3 ^ k1, p0 & LOW_WORD
    return np.stack([c0, c1, c2, c3]).astype(U32)


@dataclass(frozen=True)
class Counters:
    """Participants' keys as counters, with the first multiplication of Philox, which no problem enters, done.

    product: of the low half of the key; product_high: its high half.
    """

    high: Words
    product_high: Words
    product: Words

    @staticmethod
    def of(participant: Words) -> Counters:
        product = (participant & LOW_WORD) * _M0
        return Counters(participant >> _SHIFT, product >> _SHIFT, product)


def problem_keys(seed: int, purpose: str, problem: Words) -> tuple[Words, Words]:
    """The two Philox key words of each problem, each below 2**32."""
    base = seed_words(seed, purpose)
    return (problem & LOW_WORD) ^ U64(base & 0xFFFFFFFF), (problem >> _SHIFT) ^ U64(base >> 32)


def words(
    counters: Counters, keys: tuple[Words, Words], block: Words, work: tuple[Words, ...], only_first: bool = False
) -> tuple[Words, ...]:
    """The four words of Philox4x32-10 (only the first if so asked) of counters (participant, block, 0).

    counters, keys and block broadcast to the shape of the six arrays of `work`, which are overwritten and partly
    returned. Only the low 32 bits of what is returned are the words; the high ones are whatever they are.
    """
    a, b, p1, p0, next1, next0 = work
    k0, k1 = keys[0].copy(), keys[1].copy()
    # first round: c0 = low, c1 = high, c2 = block, c3 = 0
    product = block * _M1
    np.bitwise_xor(counters.high, k0 ^ (product >> _SHIFT), a)
    np.bitwise_xor(counters.product_high, k1, b)
    before1, before0 = product, counters.product
    for round_ in range(1, ROUNDS):
        np.add(k0, _W0, k0)
        np.add(k1, _W1, k1)
        last = round_ == ROUNDS - 1
        np.multiply(b, _M1, p1)
        if not (last and only_first):
            np.multiply(a, _M0, p0)
            _fold(p0, before0, k1, b, clean=not last)
        if not (only_first and round_ == ROUNDS - 2):
            _fold(p1, before1, k0, a, clean=not last)
        before1, before0 = p1, p0
        p1, p0, next1, next0 = next1, next0, p1, p0
    return (a,) if only_first else (a, before1, b, before0)


def _fold(product: Words, before: Words, key: Words, out: Words, clean: bool) -> None:
    """out = high half of the product, xor the low half of the product a round before, xor the key."""
    np.right_shift(product, _SHIFT, out)
    np.bitwise_xor(out, before, out)
    np.bitwise_xor(out, key, out)
    if clean:
        np.bitwise_and(out, LOW_WORD, out)


def seed_words(seed: int, purpose: str) -> int:
    """A 64-bit key from the seed and the purpose, so that two purposes never share noise."""
    digest = hashlib.blake2b(f"{seed}\x1f{purpose}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def stable_keys(ids: ArrayLike) -> NDArray[np.uint64]:
    """64-bit keys of text ids, the same in every process and on every machine; shape (R,)."""
    texts = [str(i) for i in np.asarray(ids, dtype=object).ravel()]  # NumPy's own texts would lose NULs at their ends
    hashed = {t: int.from_bytes(hashlib.blake2b(t.encode(), digest_size=8).digest(), "little") for t in set(texts)}
    return np.fromiter((hashed[t] for t in texts), dtype=U64, count=len(texts))


def uniforms(
    seed: int, purpose: str, participant_R: NDArray[np.uint64], problem_R: NDArray[np.uint64], n: int = 1
) -> NDArray[np.float64]:
    """(R, n) numbers strictly between 0 and 1, keyed by (seed, purpose, participant, problem).

    The problem enters the Philox key, the participant and the draw number its counter; each uniform has 32 random
    bits, centred in its cell so that 0 and 1 never occur.
    """
    participant_R, problem_R = np.asarray(participant_R, dtype=U64), np.asarray(problem_R, dtype=U64)
    rows = len(participant_R)
    if problem_R.size != 1:
        problem_R = np.broadcast_to(problem_R, participant_R.shape)
    out = np.empty((rows, n))
    buffers = [aligned(min(rows, CHUNK), U64) for _ in range(6)]
    for start in range(0, rows, CHUNK):
        stop = min(start + CHUNK, rows)
        counters = Counters.of(participant_R[start:stop])
        keys = problem_keys(seed, purpose, problem_R.reshape(1) if problem_R.size == 1 else problem_R[start:stop])
        work: tuple[Words, ...] = tuple(buffer[: stop - start] for buffer in buffers)
        for block in range(-(-n // 4)):
            for lane, word in enumerate(
                words(counters, keys, np.full(1, block, dtype=U64), work, only_first=n - 4 * block == 1)
            ):
                if 4 * block + lane < n:
                    centred(word, out[start:stop, 4 * block + lane])
    return out


def centred(word: Words, out: NDArray[np.float64]) -> None:
    """out = (low 32 bits of the word + 1/2) / 2**32; overwrites the word."""
    np.bitwise_and(word, LOW_WORD, word)
    np.copyto(out, word.view(np.int64))
    np.add(out, 0.5, out)
    np.multiply(out, 2.0**-32, out)


def normals(
    seed: int, purpose: str, participant_R: NDArray[np.uint64], problem_R: NDArray[np.uint64], n: int = 1
) -> NDArray[np.float64]:
    """(R, n) standard normal numbers, keyed as in `uniforms` (inverse distribution function)."""
    from scipy.special import ndtri

    return ndtri(uniforms(seed, purpose, participant_R, problem_R, n))


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A NumPy generator for sequential work such as splits and bootstraps, keyed by (seed, purpose)."""
    return np.random.Generator(np.random.Philox(key=seed_words(seed, purpose)))


def aligned(size: int, dtype: DTypeLike) -> NDArray[Any]:
    """An empty array that starts where a cache line does: arithmetic on it is a tenth faster."""
    bytes_ = size * np.dtype(dtype).itemsize
    raw = np.empty(bytes_ + 64, dtype=np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + bytes_].view(dtype)
