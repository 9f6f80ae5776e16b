"""Decide a block: some people on some problems, in compact form, and which of those responses there are.

Whether a response is given (phi_it ~ Bernoulli(p), see `profiles.participation`) and whether it is in the sample that
is stored depend on (seed, participant, problem) alone, and on each other not at all.

Shapes: N people, T problems of the block, R responses that are there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdllm.profiles.participation import pairs
from crowdllm.rng import uniforms
from crowdllm.simulation.grid import (
    GridTerms,
    PeopleTerms,
    compact_dtype,
    compact_shape,
    decide_grid,
    decide_pairs,
)

Rows = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.generic]]
SAMPLE = "sample"
CHUNK = 1 << 16


@dataclass(frozen=True)
class Block:
    """Responses of N people to T problems.

    compact_NT: (N, T, ...) as `simulation.grid` gives them; zeros where there is none.
    present_NT: (N, T) where there is a response; None where everybody answered everything.
    """

    compact_NT: NDArray[np.generic]
    present_NT: NDArray[np.bool_] | None

    @property
    def responses(self) -> int:
        """How many responses there are."""
        n, t = self.compact_NT.shape[:2]
        return n * t if self.present_NT is None else int(self.present_NT.sum())


def decide_block(terms: GridTerms, people: PeopleTerms, seed: int, participation: float, threads: int = 1) -> Block:
    """The responses of these people to these problems."""
    if participation == 1:
        return Block(decide_grid(terms, people, seed, threads), None)
    n, t = len(people), len(terms)
    compact_NT = np.zeros((n, t, *compact_shape(terms)), dtype=compact_dtype(terms))
    present_NT = np.zeros((n, t), dtype=bool)
    for i, j in pairs(participation, people.key_N, terms.key_T, seed):
        compact_NT[i, j] = decide_pairs(terms, people, i, j, seed)
        present_NT[i, j] = True
    return Block(compact_NT, present_NT)


def rows_by_problem(block: Block) -> Rows:
    """(R,) people, (R,) problems and (R, ...) compact responses, by problem, then participant."""
    n, t = block.compact_NT.shape[:2]
    if block.present_NT is None:
        person_R, problem_R = np.tile(np.arange(n), t), np.repeat(np.arange(t), n)
        return person_R, problem_R, block.compact_NT.swapaxes(0, 1).reshape(n * t, *block.compact_NT.shape[2:])
    problem_R, person_R = np.nonzero(block.present_NT.T)
    return person_R, problem_R, block.compact_NT[person_R, problem_R]


def rows(block: Block, terms: GridTerms, people: PeopleTerms, seed: int, sample: float) -> Rows:
    """(R,) people, (R,) problems and (R, ...) compact responses of the sampled ones, by participant, then problem."""
    n, t = block.compact_NT.shape[:2]
    if block.present_NT is None and sample == 1:
        person_R, problem_R = np.repeat(np.arange(n), t), np.tile(np.arange(t), n)
        return person_R, problem_R, block.compact_NT.reshape(n * t, *block.compact_NT.shape[2:])
    keep_NT = np.ones((n, t), dtype=bool) if block.present_NT is None else block.present_NT
    if sample < 1:
        keep_NT = keep_NT & sampled(people.key_N, terms.key_T, seed, sample)
    person_R, problem_R = np.nonzero(keep_NT)
    return person_R, problem_R, block.compact_NT[person_R, problem_R]


def sampled(
    person_key_N: NDArray[np.uint64], problem_key_T: NDArray[np.uint64], seed: int, share: float
) -> NDArray[np.bool_]:
    """(N, T) whether a response belongs to the stored sample; the same for any blocks; a larger share only adds."""
    n, t = len(person_key_N), len(problem_key_T)
    out_TN = np.empty((t, n), dtype=bool)
    step = max(1, CHUNK // max(n, 1))
    for start in range(0, t, step):
        key_S = problem_key_T[start : start + step]
        draws = uniforms(seed, SAMPLE, np.tile(person_key_N, len(key_S)), np.repeat(key_S, n))
        out_TN[start : start + step] = (draws[:, 0] < share).reshape(len(key_S), n)
    return out_TN.T
