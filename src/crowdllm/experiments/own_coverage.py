"""The coverage curve of a user's own study: half of each problem's people are asked again, all of them are the truth.

The same count as `crowdllm study run coverage` makes on published data, from the evidence that the estimates rest on.
It tells whether intervals hold on this study's kind of answers, for half as many people as there are; it cannot tell
whether the people who answered stand for the population. With survey weights the truth is the weighted one, and people
are drawn without regard to their weight, as they answered.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from crowdllm.estimation.estimate import Evidence
from crowdllm.experiments.studies.coverage import summarise
from crowdllm.experiments.studies.coverage_population import Population, means, medians
from crowdllm.experiments.studies.coverage_replay import replay

LEVELS = (0.5, 0.8, 0.9, 0.95)
LEAST_PEOPLE = 6
PROBLEM_DRAWS = 600
MOST_DRAWS = 60


def own_coverage(evidence: Evidence, seed: int = 0) -> pd.DataFrame | None:
    """Columns of `coverage.csv`; None where fewer than six people answered the usual problem."""
    asked = evidence.asked
    people_T = np.bincount(asked.problem_R, minlength=asked.count)
    answered = people_T[people_T > 0]
    if not len(answered) or np.median(answered) < LEAST_PEOPLE:
        return None
    half = max(3, int(np.median(answered)) // 2)
    draws = int(np.clip(PROBLEM_DRAWS // len(answered), 1, MOST_DRAWS))
    table = replay(_population(evidence), (half, half), (half, half), draws, LEVELS, seed)
    return summarise(table.assign(dataset="this study"))


def _population(evidence: Evidence) -> Population:
    asked, count = evidence.asked, evidence.asked.count
    assert asked.participant_R is not None
    truth_TC = means(asked.answer_RC, asked.problem_R, count, asked.weight_R)
    scale = len(evidence.twin_R) > 0
    return Population(
        columns=evidence.columns,
        finite=True,
        count=count,
        participant_R=asked.participant_R,
        problem_R=asked.problem_R,
        answer_RC=asked.answer_RC,
        expected_RC=asked.above_RC,
        truth_TC=truth_TC,
        median_T=medians(truth_TC, evidence.columns),
        crowd_TC=evidence.held_out_TC,
        group_R=np.full(len(asked.problem_R), -1),
        group_truth_T=np.full(count, np.nan),
        twin_R=evidence.twin_R if scale else np.full(len(asked.problem_R), np.nan),
        crowd_mean_T=evidence.crowd_TC[:, 0],
        bias_T=evidence.between_TC[:, 0],
        llm_T=evidence.llm_T,
        weight_R=asked.weight_R,
    )
