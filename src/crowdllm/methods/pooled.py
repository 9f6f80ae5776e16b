"""`pooled`: the training responses to all problems together, the same for every problem."""

from __future__ import annotations

import numpy as np

from crowdllm.data.study import Study
from crowdllm.errors import MismatchError
from crowdllm.methods.protocol import Progress
from crowdllm.methods.resampling import ResamplingSimulator
from crowdllm.reference import References


def fit(
    train: Study, references: References | None, embedding: str, seed: int, progress: Progress | None = None
) -> ResamplingSimulator:
    """Raises MismatchError where problems have different options, so that a pooled response means nothing."""
    if train.response_type.has_options and len(set(train.problems.options)) > 1:
        raise MismatchError("the method 'pooled' needs the same options in every problem; leave it out for this study")
    pool = np.arange(len(train.responses))
    options = train.problems.options[0] if len(train.problems) else ()
    return ResamplingSimulator(
        train.response_type, train.responses.values_RD, {"": pool}, {"": options}, train.responses.weight_R
    )
