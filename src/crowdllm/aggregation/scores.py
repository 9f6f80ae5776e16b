"""Responses as numbers that can be averaged, and the crowd's shares: what mean and median have in common.

Shapes: R responses, T problems, D response width, M levels or options.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.responses import Responses
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import ResponseType

Floats = NDArray[np.float64]


def scores(responses: Responses, response_type: ResponseType) -> Floats:
    """(R, D) numbers: the points of an ordinal level; Borda points of a ranking; other responses as they are.

    Borda points are those of `Ranking.summarise`: with d options ranked, the r-th gets d + 1 - r and an
    unranked one 0, so that more is better, as for ballots and points.
    """
    values_RD = responses.values_RD
    if isinstance(response_type, Ordinal):
        return np.array(response_type.points)[values_RD.astype(np.int64)]
    if response_type.kind == "ranking":
        depth_R1 = values_RD.max(axis=1, keepdims=True, initial=0)
        return np.where(values_RD > 0, depth_R1 + 1 - values_RD, 0.0)
    return values_RD


def answer_weights(responses: Responses, problem_count: int) -> NDArray[np.int64] | Floats:
    """(T,) how many responses each problem has, or their survey weight."""
    return np.bincount(responses.problem_R, responses.weight_R, minlength=problem_count)


def answer_counts(responses: Responses, problem_count: int) -> NDArray[np.int64]:
    """(T,) how many responses each problem has."""
    return np.bincount(responses.problem_R, minlength=problem_count)


def level_counts(responses: Responses, response_type: ResponseType, problem_count: int) -> NDArray[np.int64] | Floats:
    """(T, M) how many ordinal responses gave each level, or their survey weight."""
    levels = response_type.summary_width()
    cell_R = responses.problem_R * levels + responses.values_RD[:, 0].astype(np.int64)
    return np.bincount(cell_R, responses.weight_R, minlength=problem_count * levels).reshape(problem_count, levels)


def sums(score_RD: Floats, problem_R: NDArray[np.int64], problem_count: int) -> Floats:
    """(T, D) sum of the scores of each problem."""
    sum_TD = np.zeros((problem_count, score_RD.shape[1]))
    for d in range(score_RD.shape[1]):
        sum_TD[:, d] = np.bincount(problem_R, weights=score_RD[:, d], minlength=problem_count)
    return sum_TD


def weighted(score_RD: Floats, responses: Responses) -> Floats:
    """The scores times the survey weights of who gave them, where there are weights."""
    return score_RD if responses.weight_R is None else score_RD * responses.weight_R[:, None]


def row_shares(weight_TM: Floats) -> Floats:
    """The rows divided by their sums; NaN where a row has no weight."""
    total_T1 = weight_TM.sum(axis=1, keepdims=True)
    shares_TM = np.full(weight_TM.shape, np.nan)
    return np.divide(weight_TM, total_T1, out=shares_TM, where=total_T1 > 0)


def crowd_shares(responses: Responses, response_type: ResponseType, problem_count: int) -> Floats | None:
    """(T, M) shares of the crowd, as `ResponseType.summarise` gives them; None for continuous responses."""
    if response_type.kind == "continuous":
        return None
    if isinstance(response_type, Ordinal):
        return row_shares(level_counts(responses, response_type, problem_count).astype(float))
    return row_shares(sums(weighted(scores(responses, response_type), responses), responses.problem_R, problem_count))
