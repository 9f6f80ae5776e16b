"""`zero-shot`: the bare LLM. Each simulated person repeats one of its draws, or draws from the distribution it gave.

Where several sources are combined, their distributions are averaged. A problem that no source answered in a legal
form gets no response, and is counted as such.
"""

from __future__ import annotations

import numpy as np

from crowdllm.belief.items import widest
from crowdllm.data.problems import Problems
from crowdllm.data.study import Study
from crowdllm.errors import MismatchError
from crowdllm.methods.protocol import Progress
from crowdllm.methods.shares import SharesSimulator, extra_parameters
from crowdllm.reference import References
from crowdllm.responses.protocol import Array


def fit(
    train: Study, references: References | None, embedding: str, seed: int, progress: Progress | None = None
) -> SharesSimulator:
    """Raises MismatchError when there are no references."""
    if references is None or not references.sources:
        raise MismatchError("the method 'zero-shot' needs reference decisions; name some with --references")
    kind = train.response_type

    def predict(problems: Problems, given: References | None) -> Array:
        aligned = (given or references).aligned(problems)
        most = widest(problems, kind)
        stack = np.stack([source.summary(kind, most) for source in aligned.sources])
        known = ~np.isnan(stack)
        total = np.where(known, stack, 0).sum(axis=0)
        return np.where(known.any(axis=0), total / np.maximum(known.sum(axis=0), 1), np.nan)

    return SharesSimulator(kind, predict, extra_parameters(kind, train.responses))
