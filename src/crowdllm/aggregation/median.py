"""Median: the middle response, on the points of the scale; of ballots, points and rankings, per option.

Of an even number of responses it is the midpoint of the two in the middle, as in NumPy, so that on an ordinal
scale the decision may lie between two levels. Rankings count by Borda points (see `scores`). With survey weights it is
the response with half of all weight at or below it, or the midpoint of two where that is exactly half.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowdllm.aggregation.result import Aggregate
from crowdllm.aggregation.scores import answer_counts, crowd_shares, level_counts, scores
from crowdllm.data.responses import Responses
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import ResponseType

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

HALF = 1e-9  # of the weight: sums of weights round


def median(
    responses: Responses,
    response_type: ResponseType,
    problem_count: int,
    participant_count: int,
    option_counts: Ints | None = None,
) -> Aggregate:
    """The median of every problem; arguments, shapes and errors as in `aggregate`."""
    if responses.weight_R is not None:
        median_TD = weighted_median(
            scores(responses, response_type), responses.problem_R, responses.weight_R, problem_count
        )
        return Aggregate("median", median_TD, crowd_shares(responses, response_type, problem_count))
    count_T = answer_counts(responses, problem_count)
    shares_TM = crowd_shares(responses, response_type, problem_count)
    if isinstance(response_type, Ordinal):
        below_TM = np.cumsum(level_counts(responses, response_type, problem_count), axis=1).astype(np.int64, copy=False)
        median_TD = level_median(below_TM, count_T, np.array(response_type.points))
    else:
        median_TD = sorted_median(scores(responses, response_type), responses.problem_R, count_T)
    return Aggregate("median", median_TD, shares_TM)


def level_median(below_TM: Ints, count_T: Ints, points_M: Floats) -> Floats:
    """(T, 1) median from the number of responses at or below each level, with no sorting."""
    low_T, high_T = ((below_TM <= rank_T[:, None]).sum(axis=1) for rank_T in ((count_T - 1) // 2, count_T // 2))
    median_T1 = np.full((len(count_T), 1), np.nan)
    known = count_T > 0
    median_T1[known, 0] = (points_M[low_T[known]] + points_M[high_T[known]]) / 2
    return median_T1


def sorted_median(score_RD: Floats, problem_R: Ints, count_T: Ints) -> Floats:
    """(T, D) median of each problem and column."""
    known = count_T > 0
    start_T = (np.cumsum(count_T) - count_T)[known]
    low_T, high_T = start_T + (count_T[known] - 1) // 2, start_T + count_T[known] // 2
    median_TD = np.full((len(count_T), score_RD.shape[1]), np.nan)
    for d in range(score_RD.shape[1]):
        ordered_R = score_RD[np.lexsort((score_RD[:, d], problem_R)), d]
        median_TD[known, d] = (ordered_R[low_T] + ordered_R[high_T]) / 2
    return median_TD


def weighted_median(score_RD: Floats, problem_R: Ints, weight_R: Floats, problem_count: int) -> Floats:
    """(T, D) weighted median of each problem and column; NaN for a problem without responses."""
    count_T = np.bincount(problem_R, minlength=problem_count)
    total_T = np.bincount(problem_R, weight_R, minlength=problem_count)
    known = count_T > 0
    first_T, last_T = (np.cumsum(count_T) - count_T)[known], (np.cumsum(count_T) - 1)[known]
    median_TD = np.full((problem_count, score_RD.shape[1]), np.nan)
    for d in range(score_RD.shape[1]):
        order = np.lexsort((score_RD[:, d], problem_R))
        ordered_R, at_R = score_RD[order, d], problem_R[order]
        # the share of its problem's weight at or below each response: from 0 to 1 within each problem
        share_R = np.cumsum(weight_R[order] / total_T[at_R]) - (np.cumsum(known) - 1)[at_R]
        ends = []
        for half in (0.5 - HALF, 0.5 + HALF):
            below_T = np.bincount(at_R[share_R < half], minlength=problem_count)[known]
            ends.append(ordered_R[np.minimum(first_T + below_T, last_T)])
        median_TD[known, d] = (ends[0] + ends[1]) / 2
    return median_TD
