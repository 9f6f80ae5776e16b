"""Who answers what: phi_it ~ Bernoulli(p_it), or exactly n people per problem, from keyed noise.

Whether participant i answers problem t depends only on (seed, i, t) and p_it, so more participants, more
problems, another order or other blocks change nothing for the pairs already there. A larger p or n only adds
pairs.

Shapes: N participants, T problems, R pairs. Keys are 64-bit numbers (`crowdllm.rng.stable_keys` of the ids).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crowdllm.errors import ConfigError
from crowdllm.rng import uniforms

Keys = NDArray[np.uint64]
Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]
PURPOSE = "participation"
BLOCK = 1 << 18


def participation(
    probability: ArrayLike, participant_keys_N: Keys, problem_keys_T: Keys, seed: int
) -> NDArray[np.bool_]:
    """phi_NT, True where participant i answers problem t; CrowdLLM algorithm 1, phi_it ~ Bernoulli(p_it).

    probability: p_it as one number, or of shape (N, 1), (1, T) or (N, T).

    Raises ConfigError for another shape or a probability outside 0..1.
    """
    phi_NT = np.zeros((len(participant_keys_N), len(problem_keys_T)), dtype=bool)
    for participant_R, problem_R in pairs(probability, participant_keys_N, problem_keys_T, seed):
        phi_NT[participant_R, problem_R] = True
    return phi_NT


def pairs(
    probability: ArrayLike, participant_keys_N: Keys, problem_keys_T: Keys, seed: int, block: int = BLOCK
) -> Iterator[Pairs]:
    """Blocks of (participant_R, problem_R) positions with phi_it = 1, by problem, then participant.

    At most `block` candidate pairs are looked at at a time, so memory does not grow with N or T; the pairs
    are the same for any block size. Raises ConfigError as `participation` does, before the first block.
    """
    n, t = len(participant_keys_N), len(problem_keys_T)
    p_NT = np.broadcast_to(check_probability(probability, n, t), (n, t))
    return _blocks(p_NT, np.asarray(participant_keys_N), np.asarray(problem_keys_T), seed, max(1, block))


def n_per_problem(n: int, participant_keys_N: Keys, problem_keys_T: Keys, seed: int) -> NDArray[np.int64]:
    """(T, n) positions of the n participants who answer each problem: those with the smallest keyed noise.

    Rows are sorted by position. Every set of n is equally likely, problems are independent, and the n of a
    smaller crowd are among those of a larger one.

    Raises ConfigError when n is negative or above the number of participants.
    """
    if not 0 <= n <= len(participant_keys_N):
        raise ConfigError(
            f"{n} participants per problem were asked for, but there are {len(participant_keys_N)}; "
            "recruit more or ask for fewer"
        )
    out_Tn = np.empty((len(problem_keys_T), n), dtype=np.int64)
    for t, key in enumerate(np.asarray(problem_keys_T, dtype=np.uint64)):
        words = uniforms(seed, PURPOSE, np.asarray(participant_keys_N), np.full(1, key, dtype=np.uint64), 2)
        fine = words[:, 0] + (words[:, 1] - 0.5) * 2.0**-32  # 32 bits alone would tie in a crowd of a million
        chosen = np.argpartition(fine, n - 1)[:n] if n else np.zeros(0, dtype=np.int64)
        out_Tn[t] = np.sort(chosen)
    return out_Tn


def check_probability(probability: ArrayLike, n: int, t: int) -> NDArray[np.float64]:
    """p as an array that broadcasts to (N, T) without doubt; raises ConfigError."""
    p = np.asarray(probability, dtype=float)
    if p.ndim != 0 and (p.ndim != 2 or p.shape[0] not in (1, n) or p.shape[1] not in (1, t)):
        raise ConfigError(
            f"a participation probability of shape {p.shape} does not fit {n} participants x {t} problems; "
            f"give one number, p[:, None] per participant, p[None, :] per problem, or an array {(n, t)}"
        )
    if p.size and not np.all((p >= 0) & (p <= 1)):
        wrong = p[~((p >= 0) & (p <= 1))][0]
        raise ConfigError(f"a participation probability must lie between 0 and 1, not {wrong:g}")
    return p


def _blocks(p_NT: NDArray[np.float64], person_keys: Keys, problem_keys: Keys, seed: int, block: int) -> Iterator[Pairs]:
    n, total = len(person_keys), p_NT.size
    for start in range(0, total, block):
        cell_B = np.arange(start, min(start + block, total))
        problem_B, person_B = cell_B // n, cell_B % n
        u_B = uniforms(seed, PURPOSE, person_keys[person_B], problem_keys[problem_B])[:, 0]
        keep_B = u_B < p_NT[person_B, problem_B]
        yield person_B[keep_B], problem_B[keep_B]
