"""Majority vote: the level or option that most of the crowd gave.

A tie goes to the lowest of the tied levels (the first of the tied options), whatever the order of the
responses; crowd-kit 1.4.2 breaks it by which level stands first in the table. The distribution holds the
shares of the crowd; with survey weights a response counts by its weight. A participant's skill is the share of their
own responses that agree with the majority.
"""

from __future__ import annotations

import numpy as np

from crowdllm.aggregation.labels import Ints, decide, label_aggregate, read_labels
from crowdllm.aggregation.result import Aggregate
from crowdllm.data.responses import Responses
from crowdllm.responses.protocol import ResponseType


def majority_vote(
    responses: Responses,
    response_type: ResponseType,
    problem_count: int,
    participant_count: int,
    option_counts: Ints | None = None,
) -> Aggregate:
    """Majority vote over ordinal or choice responses; arguments, shapes and errors as in `aggregate`."""
    labels = read_labels(responses, response_type, problem_count, participant_count, option_counts, in_order=False)
    counts_TM = labels.counts_TM() if responses.weight_R is None else labels.weights_TM(responses.weight_R)
    share_TM = counts_TM / counts_TM.sum(axis=1, keepdims=True)
    agrees_R = decide(share_TM)[labels.problem_R] == labels.level_R
    skill_N = np.bincount(labels.participant_R, weights=agrees_R) / np.bincount(labels.participant_R)
    return label_aggregate(labels, response_type, "majority_vote", share_TM, skill_N)
