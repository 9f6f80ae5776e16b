"""`random`: every level or option is as likely as any other.

Ballots: every number of picks is equally likely, then every choice of so many options. Points: every way to spread them
(where all problems have as many options). Numbers: uniform between the bounds, or the extremes seen in training.
"""

from __future__ import annotations

import numpy as np

from crowdllm.belief.items import widest
from crowdllm.data.problems import Problems
from crowdllm.data.study import Study
from crowdllm.errors import MismatchError
from crowdllm.methods.protocol import Progress
from crowdllm.methods.shares import SharesSimulator, uniform_shares
from crowdllm.reference import References
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.continuous import QUANTILES, Continuous
from crowdllm.responses.points import Points
from crowdllm.responses.protocol import Array


def fit(
    train: Study, references: References | None, embedding: str, seed: int, progress: Progress | None = None
) -> SharesSimulator:
    """Uniform; raises MismatchError where a scale has an open end and there is no training response to close it."""
    kind = train.response_type
    if isinstance(kind, Continuous) and None in (kind.low, kind.high) and not len(train.responses):
        raise MismatchError("the method 'random' needs bounds of the scale, or training responses to take them from")

    def predict(problems: Problems, _: References | None) -> Array:
        if isinstance(kind, Continuous):
            seen = train.responses.values_RD[:, 0]
            low = kind.low if kind.low is not None else float(seen.min())
            high = kind.high if kind.high is not None else float(seen.max())
            return np.tile(np.linspace(low, high, QUANTILES), (len(problems), 1))
        return uniform_shares(problems.option_counts, kind.summary_width(widest(problems, kind)))

    extras = np.zeros(0)
    if isinstance(kind, Ballot):
        extras = np.zeros(kind.max_picks - kind.min_picks + 1)
    if isinstance(kind, Points):
        extras = np.log([len(train.problems.options[0]) if len(train.problems) else 1.0])
    return SharesSimulator(kind, predict, extras)
