"""A simulator that gives everybody the same response distribution per problem: the form of most baselines.

Shapes: T problems, R pairs, M levels or options, D response width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.items import widest
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.methods.protocol import log_given
from crowdllm.reference import References
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.points import Points
from crowdllm.responses.protocol import Array, ResponseType, as_torch
from crowdllm.rng import stable_keys, uniforms

SMALLEST = 1e-3


@dataclass(frozen=True)
class SharesSimulator:
    """`predict` gives (T, M) shares (quantiles for continuous types); NaN rows where it has no answer.

    extras: raw parameters beyond the options' shares (number of picks, log concentration), from the training data.
    """

    response_type: ResponseType
    predict: Callable[[Problems, References | None], Array]
    extras: Array
    generator: ClassVar[None] = None

    def simulate(
        self, problems: Problems, references: References | None, crowd: Profiles,
        participant_R: NDArray[np.int64], problem_R: NDArray[np.int64], seed: int,
    ) -> Array:  # fmt: skip
        shares_TM = self.predict(problems, references)
        counts, most = problems.option_counts, widest(problems, self.response_type)
        width = self.response_type.noise_width(most)
        noise = uniforms(
            seed, "shares", stable_keys(crowd.ids)[participant_R], stable_keys(problems.ids)[problem_R], width
        )
        if isinstance(self.response_type, Continuous):
            return _from_quantiles(shares_TM, problem_R, noise)
        params = shares_to_parameters(self.response_type, shares_TM, self.extras)[problem_R]
        known = ~np.isnan(params).any(axis=1)
        values = np.full((len(problem_R), self.response_type.width(most)), np.nan)
        values[known] = self.response_type.sample(params[known], noise[known], counts[problem_R][known])
        return values

    def level_probabilities(
        self,
        problems: Problems,
        references: References | None,
        people: Profiles,
        responses: Responses,
        seed: int,
    ) -> Array | None:
        if self.response_type.kind not in ("ordinal", "choice"):
            return None
        return floored(self.predict(problems, references), problems.option_counts)[responses.problem_R]

    def log_scores(
        self,
        problems: Problems,
        references: References | None,
        people: Profiles,
        responses: Responses,
        seed: int,
    ) -> Array | None:
        return log_given(self.level_probabilities(problems, references, people, responses, seed), responses)


def shares_to_parameters(response_type: ResponseType, shares_TM: Array, extras: Array) -> Array:
    """(T, P) parameters whose response distribution has these shares (approximately, for several picks)."""
    logs = np.log(np.maximum(shares_TM, 1e-12))
    if response_type.has_options:
        logs = np.c_[logs, np.tile(extras, (len(logs), 1))]
    return response_type.base(as_torch(logs)).numpy()


def extra_parameters(response_type: ResponseType, responses: Responses) -> Array:
    """Number-of-picks logits of a ballot, log concentration of points, from the training responses by their weights."""
    weight_R1 = np.ones((len(responses), 1)) if responses.weight_R is None else responses.weight_R[:, None]
    if isinstance(response_type, Ballot):
        sizes = np.arange(response_type.min_picks, response_type.max_picks + 1)
        picks = responses.values_RD.sum(axis=1)
        given = ((picks[:, None] == sizes) * weight_R1).sum(axis=0)
        return np.log(given + 1e-3) if len(sizes) > 1 else np.zeros(1)
    if isinstance(response_type, Points):
        share = responses.values_RD / response_type.budget
        spread, mean = share.var(axis=0).sum(), share.mean(axis=0)
        if responses.weight_R is not None:
            mean = np.average(share, axis=0, weights=responses.weight_R)
            spread = np.average((share - mean) ** 2, axis=0, weights=responses.weight_R).sum()
        # method of moments: the variance of a share is m (1 - m) / (concentration + 1)
        concentration = (mean * (1 - mean)).sum() / spread - 1 if spread > 0 else 1e4
        return np.log([np.clip(concentration, 0.05, 1e4)])
    return np.zeros(0)


def _from_quantiles(quantiles_TM: Array, problem_R: NDArray[np.int64], noise_R1: Array) -> Array:
    grid = (np.arange(quantiles_TM.shape[1]) + 0.5) / quantiles_TM.shape[1]
    position = np.clip(np.interp(noise_R1[:, 0], grid, np.arange(len(grid))), 0, len(grid) - 1)
    low = np.floor(position).astype(int)
    high = np.minimum(low + 1, len(grid) - 1)
    rows = quantiles_TM[problem_R]
    pick = np.arange(len(problem_R))
    return (rows[pick, low] + (position - low) * (rows[pick, high] - rows[pick, low]))[:, None]


def uniform_shares(option_counts_T: NDArray[np.int64], levels: int) -> Array:
    """(T, M) the same share for every level, or for every option that the problem has."""
    counts = np.where(option_counts_T > 0, option_counts_T, levels)[:, None]
    return (np.arange(levels) < counts) / counts


def floored(shares_TM: Array, option_counts_T: NDArray[np.int64]) -> Array:
    """Mixed with a thousandth of the uniform distribution, so that no observed response has probability 0.

    Rows of NaN (a problem the method has no answer for) become uniform over the levels, or the problem's options.
    """
    uniform = uniform_shares(option_counts_T, shares_TM.shape[1])
    return (1 - SMALLEST) * np.where(np.isnan(shares_TM), uniform, shares_TM) + SMALLEST * uniform
