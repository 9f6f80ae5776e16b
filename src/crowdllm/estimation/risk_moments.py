"""Weighted averages within problems that the terms of the error are made from, unbiased for few people per problem.

Every quantity is an average over people of one problem, or over pairs of different people of it, so that the same
formulas hold when people are drawn anew, or have survey weights (weights w instead of 1):

    mean a            = sum w a / W
    variance of a     = mean over i != k of (a_i - a_k)^2 / 2     = (W sum w a^2 - (sum w a)^2) / (W^2 - sum w^2)
    square of mean a  = mean over i != k of a_i a_k               = ((sum w a)^2 - sum w^2 a^2) / (W^2 - sum w^2)

The squared error of a weighted mean as it is, (sum w a / W)^2, is 1 - 1/n times the last of these plus 1/n times the
mean of a^2 weighted by w^2, n = W^2 / sum w^2 (Kish's effective number; the number of people where all weigh the same).

Shapes: R pairs (participant, problem), T problems, J draws, D numbers of a response.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdllm.estimation.twin_pairs import TwinPairs

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Per problem (T,), summed over the D numbers; NaN where a draw left fewer than two people.

    spread: variance of human answers between people, noise included (V + eta^2).
    miss: mean squared distance of a human answer from its twin's expected answer (that of J draws, less noise / J).
    together: covariance over people of human answer and twin mean.
    twin_noise: variance of a twin's draws (ddof 1), mean over people.
    twin_spread: variance of the twins' answers between people in one draw, mean over draws.
    gap: (square of the mean difference human - twin, unbiased; mean squared difference, by squared survey weights), of
    one draw, mean over draws.
    bare_miss, bare_gap: the same for the bare LLM's answer in the place of the twin's.
    """

    spread: Array
    miss: Array
    together: Array
    twin_noise: Array
    twin_spread: Array
    gap: tuple[Array, Array]
    bare_miss: Array
    bare_gap: tuple[Array, Array]


@dataclass(frozen=True)
class Sums:
    """What is summed within problems, once for all draws of the bootstrap: columns (R, K), and the human answers.

    bare_RD: human answer minus the bare LLM's; NaN columns without one. weight_R: survey weights, of
    mean 1 on each problem.
    """

    human_RD: Array
    mean_RD: Array
    twin_JRD: Array
    bare_RD: Array
    noise_R: Array
    weight_R: Array


def prepare(pairs: TwinPairs, bare_TD: Array | None) -> Sums:
    """The columns to be summed. bare_TD: (T, D) the bare LLM's answers; None for none."""
    mean_RD = pairs.twin_JRD.mean(axis=0)
    noise_R = pairs.twin_JRD.var(axis=0, ddof=1).sum(axis=1)
    bare_RD = np.full(pairs.human_RD.shape, np.nan) if bare_TD is None else pairs.human_RD - bare_TD[pairs.problem_R]
    return Sums(pairs.human_RD, mean_RD, pairs.twin_JRD, bare_RD, noise_R, _mean_one(pairs))


def _mean_one(pairs: TwinPairs) -> Array:
    """(R,) survey weights over their mean on the problem; ones where there are none."""
    if pairs.weight_R is None:
        return np.ones(len(pairs.problem_R))
    total_T = np.bincount(pairs.problem_R, weights=pairs.weight_R, minlength=pairs.problems)
    count_T = np.bincount(pairs.problem_R, minlength=pairs.problems)
    return np.asarray(pairs.weight_R * (count_T / np.where(total_T > 0, total_T, 1.0))[pairs.problem_R])


def effective_people(sums: Sums, problem_R: NDArray[np.int64], problems: int) -> Array:
    """(T,) Kish's effective number of people: how many without weights tell as much; 0 for nobody."""
    total_T = np.bincount(problem_R, weights=sums.weight_R, minlength=problems)
    square_T = np.bincount(problem_R, weights=sums.weight_R**2, minlength=problems)
    return np.divide(total_T**2, square_T, out=np.zeros(problems), where=square_T > 0)


def moments(sums: Sums, problem_R: NDArray[np.int64], problems: int, weight_R: Array) -> Moments:
    """The moments of every problem when each pair is drawn so often (survey weights come on top)."""
    weight_R = weight_R * sums.weight_R

    def total(value_R: Array, weight: Array = weight_R) -> Array:
        return np.asarray(np.bincount(problem_R, weights=weight * value_R, minlength=problems), dtype=float)

    one = np.ones(len(problem_R))
    weight_T, square_T = total(one), total(one, weight_R**2)
    with np.errstate(divide="ignore", invalid="ignore"):
        per = 1 / np.where(weight_T > 0, weight_T, np.nan)
        own_R = weight_R * sums.weight_R
        own_per = 1 / np.where(weight_T > 0, total(one, own_R), np.nan)
        distinct = weight_T**2 - square_T
        pair = 1 / np.where(distinct > 1e-9, distinct, np.nan)

    def covariance(a_RD: Array, b_RD: Array) -> Array:
        parts = [weight_T * total(a * b) - total(a) * total(b) for a, b in zip(a_RD.T, b_RD.T, strict=True)]
        return np.asarray(np.sum(parts, axis=0) * pair)

    def gap(d_RD: Array) -> tuple[Array, Array]:
        between = [total(d) ** 2 - total(d * d, weight_R**2) for d in d_RD.T]
        return np.asarray(np.sum(between, axis=0) * pair), total((d_RD**2).sum(axis=1), own_R) * own_per

    draws = [(covariance(twin, twin), *gap(sums.human_RD - twin)) for twin in sums.twin_JRD]
    twin_spread, between, square = (np.mean(part, axis=0) for part in zip(*draws, strict=True))
    return Moments(
        spread=covariance(sums.human_RD, sums.human_RD),
        miss=total(((sums.human_RD - sums.mean_RD) ** 2).sum(axis=1) - sums.noise_R / len(sums.twin_JRD)) * per,
        together=covariance(sums.human_RD, sums.mean_RD),
        twin_noise=total(sums.noise_R) * per,
        twin_spread=twin_spread,
        gap=(between, square),
        bare_miss=total((sums.bare_RD**2).sum(axis=1)) * per,
        bare_gap=gap(sums.bare_RD),
    )
