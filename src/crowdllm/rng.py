"""Counter-based noise keyed by (seed, purpose, participant, problem): the same number whatever the order.

Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011), vectorised
over arrays of counters. Each word of noise is a pure function of its key, so a simulation gives the same bytes
for any block size, number of processes or order, and adding a participant or problem changes no other response.

Shapes: R keys, n draws per key.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import ArrayLike, NDArray

U32 = np.uint32
U64 = np.uint64
_M0, _M1 = U64(0xD2511F53), U64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW = U64(0xFFFFFFFF)
_SHIFT = U64(32)


def philox(counter_4R: NDArray[np.uint32], key: tuple[NDArray[np.uint32], NDArray[np.uint32]]) -> NDArray[np.uint32]:
    """Philox4x32 with ten rounds: (4, R) counters and two key words of shape (R,) or () to (4, R) random words."""
    c0, c1, c2, c3 = (counter_4R[i].astype(U64) for i in range(4))
    k0, k1 = key[0].astype(U64), key[1].astype(U64)
    for round_ in range(10):
        if round_:
            k0, k1 = (k0 + U64(_W0)) & _LOW, (k1 + U64(_W1)) & _LOW
        p0, p1 = c0 * _M0, c2 * _M1
        c0, c1, c2, c3 = (p1 >> _SHIFT) ^ c1 ^ k0, p1 & _LOW, (p0 >> _SHIFT) ^ c3 ^ k1, p0 & _LOW
    return np.stack([c0, c1, c2, c3]).astype(U32)


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
    participant_R = np.asarray(participant_R, dtype=U64)
    problem_R = np.broadcast_to(np.asarray(problem_R, dtype=U64), participant_R.shape)
    base = seed_words(seed, purpose)
    k0 = ((problem_R & _LOW) ^ U64(base & 0xFFFFFFFF)).astype(U32)
    k1 = ((problem_R >> _SHIFT) ^ U64(base >> 32)).astype(U32)
    low, high = (participant_R & _LOW).astype(U32), (participant_R >> _SHIFT).astype(U32)
    rows, blocks = len(participant_R), -(-n // 4)
    out = np.empty((rows, blocks * 4))
    for block in range(blocks):
        counter = np.stack([low, high, np.full(rows, block, dtype=U32), np.zeros(rows, dtype=U32)])
        words = philox(counter, (k0, k1))
        out[:, 4 * block : 4 * block + 4] = ((words.astype(np.float64) + 0.5) * 2.0**-32).T
    return out[:, :n]


def normals(
    seed: int, purpose: str, participant_R: NDArray[np.uint64], problem_R: NDArray[np.uint64], n: int = 1
) -> NDArray[np.float64]:
    """(R, n) standard normal numbers, keyed as in `uniforms` (inverse distribution function)."""
    from scipy.special import ndtri

    return ndtri(uniforms(seed, purpose, participant_R, problem_R, n))


def generator(seed: int, purpose: str) -> np.random.Generator:
    """A NumPy generator for sequential work such as splits and bootstraps, keyed by (seed, purpose)."""
    return np.random.Generator(np.random.Philox(key=seed_words(seed, purpose)))
