"""Mean: the average response, on the points of the scale; of ballots, points and rankings, per option.

A ballot's mean is the share of voters who picked the option, a ranking's its Borda points (see `scores`). With survey
weights it is the weighted mean, which estimates the population's.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowdllm.aggregation.result import Aggregate
from crowdllm.aggregation.scores import answer_weights, crowd_shares, level_counts, scores, sums, weighted
from crowdllm.data.responses import Responses
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import ResponseType


def mean(
    responses: Responses,
    response_type: ResponseType,
    problem_count: int,
    participant_count: int,
    option_counts: NDArray[np.int64] | None = None,
) -> Aggregate:
    """The mean of every problem; arguments, shapes and errors as in `aggregate`."""
    problem_R = responses.problem_R
    if isinstance(response_type, Ordinal):
        sum_TD = level_counts(responses, response_type, problem_count) @ np.array(response_type.points)[:, None]
    else:
        score_RD = weighted(scores(responses, response_type), responses)
        if response_type.kind == "continuous":
            # A floating-point sum depends on its order, and the order of the responses must not matter.
            order = np.lexsort((score_RD[:, 0], problem_R))
            score_RD, problem_R = score_RD[order], problem_R[order]
        sum_TD = sums(score_RD, problem_R, problem_count)
    count_T1 = answer_weights(responses, problem_count)[:, None]
    mean_TD = np.divide(sum_TD, count_T1, out=np.full(sum_TD.shape, np.nan), where=count_T1 > 0)
    return Aggregate("mean", mean_TD, crowd_shares(responses, response_type, problem_count))
