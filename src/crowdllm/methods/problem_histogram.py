"""`problem-histogram`: the training people's own responses to the same problem; nothing for unseen problems."""

from __future__ import annotations

import numpy as np

from crowdllm.data.study import Study
from crowdllm.methods.protocol import Progress
from crowdllm.methods.resampling import ResamplingSimulator
from crowdllm.reference import References


def fit(
    train: Study, references: References | None, embedding: str, seed: int, progress: Progress | None = None
) -> ResamplingSimulator:
    order = np.argsort(train.responses.problem_R, kind="stable")
    cuts = np.searchsorted(train.responses.problem_R[order], np.arange(len(train.problems) + 1))
    pools = {f"id:{i}": order[cuts[t] : cuts[t + 1]] for t, i in enumerate(train.problems.ids)}
    options = {f"id:{i}": o for i, o in zip(train.problems.ids, train.problems.options, strict=True)}
    return ResamplingSimulator(train.response_type, train.responses.values_RD, pools, options, train.responses.weight_R)
