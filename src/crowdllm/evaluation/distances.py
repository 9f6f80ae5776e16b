"""Distances between the human and the simulated histogram of each problem, for all problems at once.

p is the human histogram, q the simulated one. Every function returns one number per problem, NaN where either
row is NaN (nobody answered); averaging over problems is left to `crowdllm.evaluation.metrics`.

- cosine(p, q) = p.q / (|p| |q|)
- Wasserstein-1 on a scale with points s_1 < ... < s_M: sum_m |P_m - Q_m| (s_{m+1} - s_m), P and Q cumulative
  shares
- Wasserstein-1 between heights: mean_m |p_(m) - q_(m)|, the bars' heights taken as two samples and sorted
- KL(p || q~) = sum_m p_m log(p_m / q~_m), in nats, q~ = q mixed with a little of the uniform distribution
- JS = (KL(p || h) + KL(q || h)) / 2, h = (p + q) / 2, in nats: between 0 and log 2

Shapes: T problems, M levels or options.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import rel_entr

from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import Array, ResponseType

EPSILON = 0.01


def cosine(p_TM: Array, q_TM: Array) -> Array:
    """(T,) cosine similarity of the two histograms, 1 where they are equal; NaN where one is all zeros."""
    scale_T = np.sqrt((p_TM**2).sum(axis=1) * (q_TM**2).sum(axis=1))
    out_T = np.full(len(p_TM), np.nan)
    return np.divide((p_TM * q_TM).sum(axis=1), scale_T, out=out_T, where=scale_T > 0)


def wasserstein_points(p_TM: Array, q_TM: Array, points: tuple[float, ...]) -> Array:
    """(T,) Wasserstein-1 between level shares, in the points' unit; never below the difference of means."""
    gap_TM = np.abs(np.cumsum(p_TM - q_TM, axis=1)[:, :-1])
    return gap_TM @ np.diff(np.asarray(points, dtype=float))


def wasserstein(p_TM: Array, q_TM: Array, response_type: ResponseType) -> Array:
    """(T,) Wasserstein-1 on the response scale: `avg_wd` before averaging.

    For continuous responses the histograms are quantiles, whose mean absolute difference it is. Options have
    no distance from one another, so for choices, ballots, points and rankings it is not defined: NaN.
    """
    if isinstance(response_type, Ordinal):
        return wasserstein_points(p_TM, q_TM, response_type.points)
    if isinstance(response_type, Continuous):
        return np.abs(p_TM - q_TM).mean(axis=1)
    return np.full(len(p_TM), np.nan)


def wasserstein_heights(p_TM: Array, q_TM: Array, option_count_T: NDArray[np.int64] | None = None) -> Array:
    """(T,) Wasserstein-1 between the histograms' heights as samples, blind to which level has which height.

    Not a distance on the scale: it is 0 for any two histograms that are rearrangements of one another. It is
    what the CrowdLLM paper's Tables 3-5 can only mean by "WD", kept under its own name for comparison with
    them.

    option_count_T: (T,) how many options each problem has, where not all have M; those beyond must hold 0.
    """
    width_T = np.full(len(p_TM), p_TM.shape[1]) if option_count_T is None else option_count_T
    total_T = np.abs(np.sort(p_TM, axis=1) - np.sort(q_TM, axis=1)).sum(axis=1)
    return total_T / width_T


def smooth(q_TM: Array, epsilon: float = EPSILON, option_count_T: NDArray[np.int64] | None = None) -> Array:
    """(T, M) (1 - epsilon) q + epsilon * uniform over the problem's own options: no share is zero any more.

    A crowd of 20 leaves levels empty by chance, which would make KL and the log score infinite. With the
    default of one answer in a hundred taken as uniform, other shares move by less than 1 %.
    """
    count = q_TM.shape[1]
    if option_count_T is None:
        return (1 - epsilon) * q_TM + epsilon / count
    present_TM = np.arange(count) < option_count_T[:, None]
    return (1 - epsilon) * q_TM + epsilon * present_TM / option_count_T[:, None]


def kl(p_TM: Array, q_TM: Array, epsilon: float = EPSILON, option_count_T: NDArray[np.int64] | None = None) -> Array:
    """(T,) Kullback-Leibler divergence of the human from the smoothed simulated histogram, in nats.

    Only q is smoothed (see `smooth`), so a perfect simulation scores slightly above 0, by at most -log(1 -
    epsilon).
    """
    return rel_entr(p_TM, smooth(q_TM, epsilon, option_count_T)).sum(axis=1)


def js(p_TM: Array, q_TM: Array) -> Array:
    """(T,) Jensen-Shannon divergence in nats, 0 to log 2; needs no smoothing."""
    # rel_entr(2p, p + q) is twice p log(p / h) and, unlike halving, cannot underflow to a division by zero.
    both_TM = p_TM + q_TM
    return (rel_entr(2 * p_TM, both_TM).sum(axis=1) + rel_entr(2 * q_TM, both_TM).sum(axis=1)) / 4
