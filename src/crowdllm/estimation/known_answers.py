"""How well single answers are predicted from a person's other answers: a bound on human noise.

Nobody can predict noise, so the mean squared error of any prediction of an answer that does not use that answer is at
least eta^2. The digital twin that knows what the person answered elsewhere is the best prediction at hand.

Shapes: N people, T problems, R responses.
"""

from __future__ import annotations

import numpy as np

from crowdllm.belief.crowd_model import CrowdModel
from crowdllm.data.study import Study
from crowdllm.estimation.estimands import make_columns
from crowdllm.estimation.predictions import expected_columns
from crowdllm.estimation.twin_pairs import fitted_items
from crowdllm.evaluation.histograms import numbers
from crowdllm.reference import References
from crowdllm.responses.protocol import Array


def errors_from_others(model: CrowdModel, study: Study, references: References | None, seed: int = 0) -> Array:
    """(R,) squared error of every answer's prediction from the same person's answers to other problems.

    The model must not have been fitted on these people. Raises MismatchError for responses that are no numbers.
    """
    value_R = numbers(study.responses, study.response_type)
    columns = make_columns(model.response_type, study.problems, study.responses)
    items = fitted_items(model, study.problems, references)
    expected_NT = np.full((len(study.profiles), len(study.problems)), np.nan)
    for rows, problems, expected in expected_columns(model, items, study.profiles, study.responses, columns, seed):
        expected_NT[np.ix_(rows, problems)] = expected[:, :, 0]
    return np.asarray((value_R - expected_NT[study.responses.participant_R, study.responses.problem_R]) ** 2)
