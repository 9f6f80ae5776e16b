"""Theorem 5 of the CrowdLLM paper, as it is written: an interval around the simulated crowd's mean.

With n human answers y_i on the problem, residuals r_i = y_i - y~_i against the digital participants, N simulated
answers, a training error bounded by eps0^2 >= mean r_i^2, and sigma_delta^2, sigma_r^2 the variances of the biases
and of the residuals,

    | Y* - mean y~ |  <=  eps0 + z_{1-alpha/2} sqrt( eta(t)/N + sigma_delta^2/N + sigma_r^2/n )

with probability at least 1 - alpha as n and N grow together. eta(t) is the LLM's own randomness at its temperature.

It holds where eps0 bounds the *average residual on this problem*. Taken from the problem's own n residuals it always
does (the mean is at most the root mean square), but then the interval is wider than the scatter of single answers: it
is conservative by construction, and does not shrink to nothing with more humans. Taken from training problems, and
used for a problem that the crowd is worse at, it does not hold.

The paper knows no survey weights. With them means and variances over people are weighted, and n is Kish's effective
number; nothing else changes.

Shapes: T problems.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crowdllm.errors import ConfigError
from crowdllm.estimation.small_sample import normal
from crowdllm.reference import References
from crowdllm.responses.protocol import Array


@dataclass(frozen=True)
class Theorem5:
    """The terms and the interval of each problem; NaN where no human answered."""

    crowd_T: Array
    tolerance_T: Array
    sampling_T: Array
    low_T: Array
    high_T: Array


def theorem5_interval(
    crowd_T: ArrayLike,
    crowd_size: int,
    bias_variance_T: ArrayLike,
    llm_variance_T: ArrayLike,
    residual_R: Array,
    problem_R: NDArray[np.int64],
    level: float = 0.95,
    tolerance: float | None = None,
    weight_R: Array | None = None,
) -> Theorem5:
    """The interval as written; variances have the divisors N and n, as in the paper.

    crowd_T: mean simulated answer. crowd_size: N. bias_variance_T: sigma_delta^2. llm_variance_T: eta(t).
    residual_R, problem_R: r_i and the problem of each human answer. tolerance: eps0; from each problem's own residuals
    when None. weight_R: survey weights of the human answers.

    Raises ConfigError for a crowd of nobody or a negative tolerance.
    """
    if crowd_size < 1:
        raise ConfigError(f"a crowd needs at least one simulated participant, not {crowd_size}")
    if tolerance is not None and not tolerance >= 0:
        raise ConfigError(f"eps0 bounds a root mean square: 0 or more, not {tolerance}")
    crowd_T = np.asarray(crowd_T, dtype=float)
    count = len(crowd_T)
    weight_R = np.ones(len(residual_R)) if weight_R is None else weight_R
    total_T = np.bincount(problem_R, weight_R, count)
    total_T[total_T == 0] = np.nan
    n_T = total_T**2 / np.bincount(problem_R, weight_R**2, count)
    mean_T = np.bincount(problem_R, weight_R * residual_R, count) / total_T
    square_T = np.bincount(problem_R, weight_R * residual_R**2, count) / total_T
    variance_T = np.maximum(square_T - mean_T**2, 0.0)
    own = (np.asarray(llm_variance_T, dtype=float) + np.asarray(bias_variance_T, dtype=float)) / crowd_size
    sampling_T = normal(level) * np.sqrt(own + variance_T / n_T)
    tolerance_T = np.sqrt(square_T) if tolerance is None else np.where(np.isnan(n_T), np.nan, tolerance)
    half_T = tolerance_T + sampling_T
    return Theorem5(crowd_T, tolerance_T, sampling_T, crowd_T - half_T, crowd_T + half_T)


def llm_variance(references: References | None, points_M: Array | None, count: int) -> Array:
    """(T,) eta(t): the variance of the LLM's K draws per problem, averaged over sources; 0 where it gave one draw.

    points_M: what each level counts as, for ordinal scales; None where a draw is the number itself. A source that gave
    one draw, or a distribution in place of draws, is at temperature 0 for the theorem's purpose.
    """
    parts = []
    for source in references.sources if references else ():
        draw_TK = source.values_TKD[:, :, 0]
        if points_M is not None:
            level_TK = np.where(np.isnan(draw_TK), 0, draw_TK).astype(np.int64)
            draw_TK = np.where(np.isnan(draw_TK), np.nan, points_M[np.clip(level_TK, 0, len(points_M) - 1)])
        seen_TK = ~np.isnan(draw_TK)
        n_T = seen_TK.sum(axis=1)
        mean_T = np.where(seen_TK, draw_TK, 0.0).sum(axis=1) / np.maximum(n_T, 1)
        square_T = np.where(seen_TK, (draw_TK - mean_T[:, None]) ** 2, 0.0).sum(axis=1)
        parts.append(np.where(n_T > 1, square_T / np.maximum(n_T - 1, 1), 0.0))
    return np.mean(parts, axis=0) if parts else np.zeros(count)
