"""How well a simulated election comes out: votes per option, and each held-out voter's own ballot.

As many simulated voters as human ones stand for election, so that counts are compared like with like; counts
of a crowd of another size (or expected frequencies) are scaled to that number first by `vote_counts`.

Shapes: N voters, M options, D = M entries of a ballot (1 where picked; points or Borda points for other
types).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crowdllm.errors import ConfigError, MismatchError
from crowdllm.evaluation import distances
from crowdllm.evaluation.metrics import decision_metrics
from crowdllm.responses.protocol import Array


@dataclass(frozen=True)
class VoteMetrics:
    """Over options: mae and rmse of the counts, in votes; cosine of the counts; wd_heights, in votes."""

    mae: float
    rmse: float
    cosine: float
    wd_heights: float


def vote_counts(values_ND: Array, voters: int | None = None, weight_N: Array | None = None) -> Array:
    """(D,) votes per option of these ballots, scaled to `voters` voters where given.

    weight_N: survey weights of the voters, whose ballots then count by weight, in all as many as there are voters.

    Raises ConfigError where there are no ballots to scale.
    """
    if weight_N is not None and len(values_ND):
        values_ND = values_ND * (weight_N / weight_N.mean())[:, None]
    if voters is None:
        return values_ND.sum(axis=0)
    if not len(values_ND):
        raise ConfigError("no ballots: an election needs at least one voter")
    return values_ND.sum(axis=0) * (voters / len(values_ND))


def vote_metrics(human_D: Array, simulated_D: Array) -> VoteMetrics:
    """Compare votes per option; `wd_heights` is Wasserstein-1 between the two sets of counts as samples.

    Raises MismatchError for different numbers of options.
    """
    errors = decision_metrics(human_D, simulated_D)
    p_1D, q_1D = np.asarray(human_D, dtype=float)[None], np.asarray(simulated_D, dtype=float)[None]
    return VoteMetrics(
        errors.mae,
        errors.rmse,
        float(distances.cosine(p_1D, q_1D)[0]),
        float(distances.wasserstein_heights(p_1D, q_1D)[0]),
    )


def recall_at_k(score_NM: Array, ballot_NM: Array, k: int = 5, weight_N: Array | None = None) -> float:
    """Mean share of a voter's own picks that are among the k options with that voter's highest scores.

    score_NM: expected utility or probability of each option for each held-out voter (one row repeated for a
    prediction that knows no person); -inf for an option that is not there. Options that tie for the last
    places count by their chance of being taken when ties are broken at random, so the order of options does
    not matter. Voters without a pick are left out. weight_N: the voters' survey weights.

    Raises MismatchError for different shapes or a score that is NaN, ConfigError for k < 1.
    """
    if score_NM.shape != ballot_NM.shape:
        raise MismatchError(f"scores of shape {score_NM.shape} for ballots of shape {ballot_NM.shape}")
    if np.isnan(score_NM).any():
        raise MismatchError(f"the scores of voter {int(np.isnan(score_NM).any(axis=1).argmax())} contain NaN")
    if k < 1:
        raise ConfigError(f"k must be at least 1, not {k}")
    k = min(k, score_NM.shape[1])
    last_N1 = -np.sort(-score_NM, axis=1)[:, k - 1 : k]
    above_NM, tied_NM = score_NM > last_N1, score_NM == last_N1
    places_N1 = k - above_NM.sum(axis=1, keepdims=True)
    taken_NM = above_NM + tied_NM * places_N1 / tied_NM.sum(axis=1, keepdims=True)
    picked_NM = ballot_NM > 0
    picks_N = picked_NM.sum(axis=1)
    hits_N = (taken_NM * picked_NM).sum(axis=1)[picks_N > 0]
    if not len(hits_N):
        return np.nan
    return float(np.average(hits_N / picks_N[picks_N > 0], weights=None if weight_N is None else weight_N[picks_N > 0]))
