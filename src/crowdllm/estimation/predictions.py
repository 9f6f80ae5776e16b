"""What a fitted crowd expects of given people: the mean of every column of their answers, given what else they
answered.

The belief of a person whose answers to *other* problems are known is the digital twin's, a normal distribution; that of
anybody else is the prior, given the profile. Its noise is integrated out: exactly for ordinal scales,

    P(y_it <= m) = Phi( (tau_tm spread_t - beta_t . c_i) / sqrt(1 + beta_t' S_i beta_t) ),

with c_i and S_i the mean and covariance of the person's attitude, and by simulated answers for other response types.

A person's answer to a problem never enters the prediction for it: problems are dealt into blocks, and those of a block
are predicted from the answers outside it, for everybody alike. (If only those who had answered were predicted with one
answer less, they would differ from the rest by more than their answers.)

Shapes: N participants, T problems, C columns, Z belief width, P parameters, J draws.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from crowdllm.belief.crowd_model import CrowdModel
from crowdllm.belief.items import Items
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.estimation.estimands import Columns
from crowdllm.methods.twins import twin_posterior
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import Array, as_torch
from crowdllm.rng import generator, normals, seed_words, stable_keys
from crowdllm.simulation.decide import simulate_pairs

if TYPE_CHECKING:
    from crowdllm.belief.posterior import Posterior

BLOCKS = 5
CHUNK = 2_000_000
DECISIONS = 10_000_000
DRAWS = (8, 64)


def problem_blocks(count: int, blocks: int, seed: int) -> NDArray[np.int64]:
    """(T,) the block of each problem; each problem its own where there are no more problems than blocks."""
    blocks = min(blocks, count)
    return np.asarray(generator(seed, "estimation:blocks").permutation(count) % max(blocks, 1), dtype=np.int64)


def expected_columns(
    model: CrowdModel, items: Items, people: Profiles, known: Responses, columns: Columns, seed: int,
    block_T: NDArray[np.int64] | None = None,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], Array]]:  # fmt: skip
    """For parts of the people and problems: positions of both, and the expected columns (n, t, C) of their answers.

    known: answers of these people to the items' problems, which the model must not have been fitted on. block_T: the
    blocks that are predicted from the answers outside them; drawn when None.
    """
    count = len(items.problems)
    block_T = problem_blocks(count, BLOCKS, seed) if block_T is None else block_T
    for block in np.unique(block_T):
        problems = np.flatnonzero(block_T == block)
        others = known.take(block_T[known.problem_R] != block)
        posterior = twin_posterior(model, items, people, others) if len(others) else prior_belief(model, people)
        step = max(1, CHUNK // (len(problems) * len(columns)))
        for start in range(0, len(people), step):
            rows = np.arange(start, min(start + step, len(people)))
            yield rows, problems, _expected(model, items, people, posterior, rows, problems, columns, seed)


def prior_belief(model: CrowdModel, people: Profiles) -> Posterior:
    """The belief of people of whom nothing is known but the profile: N(0, I), as the posterior of no answers."""
    import torch

    from crowdllm.belief.posterior import Posterior

    width = model.config.belief_width
    mean_NZ = torch.zeros(len(people), width, dtype=torch.float64)
    return Posterior(mean_NZ, torch.eye(width, dtype=torch.float64).expand(len(people), width, width), mean_NZ.sum(1))


def _expected(
    model: CrowdModel, items: Items, people: Profiles, posterior: Posterior, rows: NDArray[np.int64],
    problems: NDArray[np.int64], columns: Columns, seed: int,
) -> Array:  # fmt: skip
    if isinstance(model.response_type, Ordinal):
        share = _level_shares(model, items, people.take(rows), _taken(posterior, rows), problems)
        return np.concatenate([share @ np.asarray(model.response_type.points)[:, None], share], axis=2)
    return _simulated(model, items, people.take(rows), _taken(posterior, rows), problems, columns, seed)


def _taken(posterior: Posterior, rows: NDArray[np.int64]) -> Posterior:
    return type(posterior)(posterior.mean_NZ[rows], posterior.factor_NZZ[rows], posterior.log_det_N[rows])


def _level_shares(
    model: CrowdModel, items: Items, people: Profiles, posterior: Posterior, problems: NDArray[np.int64]
) -> Array:
    """(n, t, M) exact probabilities of the levels."""
    loadings_IZ, base_TP, spread_T = model.item_terms(items)
    loading_tZ = loadings_IZ[items.item_TU[problems, 0]]
    shift_nt = model.attitudes(people, posterior.mean_NZ.numpy()) @ loading_tZ.T
    if loading_tZ.shape[1]:
        spun = np.einsum("nzy,tz->nty", posterior.factor_NZZ.numpy(), loading_tZ)
        variance_nt = (spun**2).sum(axis=2)
    else:
        variance_nt = np.zeros(shift_nt.shape)
    cut_tP = base_TP[problems] * spread_T[problems, None]
    below = ndtr((cut_tP - shift_nt[:, :, None]) / np.sqrt(1 + variance_nt)[:, :, None])
    return np.diff(below, axis=2, prepend=0.0, append=1.0)


def _simulated(
    model: CrowdModel, items: Items, people: Profiles, posterior: Posterior, problems: NDArray[np.int64],
    columns: Columns, seed: int,
) -> Array:  # fmt: skip
    """(n, t, C) means over draws of the person's noise, and of the answer given the noise."""
    n, t = len(people), len(problems)
    draws = int(np.clip(DECISIONS // max(n * t, 1), *DRAWS))
    participant_R, problem_R = np.repeat(np.arange(n), t), np.tile(problems, n)
    keys, width = stable_keys(people.ids), posterior.mean_NZ.shape[1]
    total = np.zeros((n * t, len(columns)))
    for j in range(draws):
        noise = normals(seed, f"estimation:{j}", keys, np.zeros(n, dtype=np.uint64), max(width, 1))[:, :width]
        noise_NZ = posterior.draw(as_torch(noise)).numpy()
        own = seed_words(seed, f"estimation:{j}") % 2**31
        total += columns.encode(simulate_pairs(model, items, people, participant_R, problem_R, own, noise_NZ=noise_NZ))
    return (total / draws).reshape(n, t, len(columns))


def crowd_columns(
    model: CrowdModel, items: Items, crowd: Profiles, columns: Columns, seed: int, weights_N: Array | None = None
) -> tuple[Array, Array]:
    """(T, C) the crowd's mean of every column, and (T, C) the variance between its people's expected columns."""
    count = len(items.problems)
    nobody = np.zeros(0, dtype=np.int64)
    width = model.response_type.width(items.item_TU.shape[1])
    known = Responses(nobody, nobody, np.zeros((0, width)))
    weight_N = np.ones(len(crowd)) if weights_N is None else weights_N
    first, second = np.zeros((count, len(columns))), np.zeros((count, len(columns)))
    one_block = np.zeros(count, dtype=np.int64)
    for rows, problems, expected in expected_columns(model, items, crowd, known, columns, seed, one_block):
        first[problems] += np.einsum("n,ntc->tc", weight_N[rows], expected)
        second[problems] += np.einsum("n,ntc->tc", weight_N[rows], expected**2)
    mean_TC = first / weight_N.sum()
    return mean_TC, np.maximum(second / weight_N.sum() - mean_TC**2, 0.0)
