"""Prediction-powered (rectified) intervals: humans' answers, corrected by what the crowd says of exactly these humans.

The humans who happened to be asked may be stricter or milder than the population. The crowd knows something of that: it
predicts every person's answer, f_i, from profile and answers to other problems, by a model that has not seen that
person's answer (`cross_fit`). With y-bar the humans' mean and F-bar the mean prediction over the whole frame of people,

    theta^ = y-bar - lambda (f-bar - F-bar),      Var = (1 - rho^2) s^2 / n  +  what the frame leaves open

which is PPI++ (Angelopoulos, Duchi and Zrnic 2023) and, to survey statisticians, the model-assisted difference
estimator. lambda = 0 is humans alone. Whatever the crowd says, the estimate is unbiased: a bad crowd costs width,
never truth, and with lambda tuned it does not even cost width.

`ppi_mean` is the published procedure for one mean, with its normal quantile. `column_bounds` and the others differ in
three points, so that they hold with a few humans per problem: lambda and rho^2 are estimated over all problems together
(from five answers they would be noise), rho^2 with the penalty of the final prediction error, so that it is not too
good; variances and quantiles are those of `small_sample`, the same for humans alone; and the frame is finite: its F
people include those who were asked, so only 1/n - 1/F of the variance can be saved.

Shapes: R responses, T problems (or cells of a problem and a group), C columns, M levels, P pairs of problems.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crowdllm.errors import ConfigError
from crowdllm.estimation.estimands import Columns, below_weights, grouped_quantile
from crowdllm.estimation.small_sample import (
    Within,
    left_open,
    mean_half_width,
    moderated_variance,
    normal,
    share_interval,
    student,
    within,
)
from crowdllm.evaluation.intervals import Interval
from crowdllm.responses.protocol import Array

LEAST_FREEDOM = 15
SMOOTHING = 0.5


def ppi_mean(
    y_n: Array,
    f_n: Array,
    f_N: Array,
    level: float = 0.95,
    tuning: float | None = None,
    weight_n: Array | None = None,
    weight_N: Array | None = None,
) -> Interval:
    """The PPI++ interval for a mean as published (Angelopoulos, Duchi and Zrnic 2023, Algorithm 1), with survey
    weights.

    y_n, f_n: answers of n humans and predictions for them. f_N: predictions for N other people. tuning: lambda; None
    for the best, within [0, 1]. weight_n, weight_N: survey weights, on any scale.

    Raises ConfigError for arrays that do not fit together or hold fewer than two people.
    """
    if len(y_n) != len(f_n) or len(y_n) < 2 or len(f_N) < 2:
        raise ConfigError(
            f"PPI needs two or more humans with a prediction each and two or more others: {len(y_n)} answers, "
            f"{len(f_n)} predictions for them, {len(f_N)} for others"
        )
    w_n, w_N = _mean_one(weight_n, len(y_n)), _mean_one(weight_N, len(f_N))
    n, others = len(y_n), len(f_N)
    if tuning is None:
        centre = float(np.mean(w_N * f_N) + np.mean(w_n * (y_n - f_n)))
        gradient_n, gradient_f_n = w_n * (y_n - centre), w_n * (f_n - centre)
        both = np.concatenate([gradient_f_n, w_N * (f_N - centre)])
        covariance = float(np.mean((gradient_n - gradient_n.mean()) * (gradient_f_n - gradient_f_n.mean())))
        spread = float(np.var(both, ddof=1)) * (1 + n / others)
        tuning = float(np.clip(covariance / spread, 0.0, 1.0)) if spread > 0 else 0.0
    estimate = float(np.mean(w_N * tuning * f_N) + np.mean(w_n * (y_n - tuning * f_n)))
    error = np.sqrt(np.var(w_N * tuning * f_N) / others + np.var(w_n * (y_n - tuning * f_n)) / n)
    half = float(normal(level) * error)
    return Interval(estimate, estimate - half, estimate + half, n)


def _mean_one(weight: Array | None, count: int) -> Array:
    if weight is None:
        return np.ones(count)
    if weight.shape != (count,) or not (np.isfinite(weight) & (weight >= 0)).all() or not weight.sum() > 0:
        raise ConfigError(f"survey weights must be {count} finite numbers of at least 0, not all of them 0")
    return np.asarray(weight * count / weight.sum())


@dataclass(frozen=True)
class Asked:
    """Human answers, and how far the crowd's prediction for each of these people lies above that for everybody.

    answer_RC: columns of the answers. above_RC: f_i - F-bar, of the frame (or the group in the frame) that the person
    belongs to. count: T. frame_T: F, how many people the frame holds per problem. population_T: N where the target is a
    finite population that was drawn from without replacement; None for a large one. Both are effective numbers (Kish)
    where there are survey weights.
    """

    columns: Columns
    problem_R: NDArray[np.int64]
    weight_R: Array
    answer_RC: Array
    above_RC: Array
    count: int
    frame_T: Array
    population_T: Array | None = None
    participant_R: NDArray[np.int64] | None = None

    def sums(self, value_R: Array) -> Within:
        return within(value_R, self.problem_R, self.count, self.weight_R)


@dataclass(frozen=True)
class Tuning:
    """weight: lambda, within [0, 1]. explained: rho^2, the part of the variance within problems that the crowd
    takes."""

    weight: float = 0.0
    explained: float = 0.0


@dataclass(frozen=True)
class Bounds:
    """Estimates with their intervals, (T,) each; NaN where there is nothing to go by.

    variance_T: of the estimate, as the interval takes it to be. noise_T: the same, unbiased over problems, though rough
    for each (0 for a share where all agree).
    """

    estimate_T: Array
    low_T: Array
    high_T: Array
    variance_T: Array
    noise_T: Array

    @property
    def width_T(self) -> Array:
        return np.asarray(self.high_T - self.low_T)


def tune(asked: Asked, answer_RK: Array, above_RK: Array) -> Tuning:
    """lambda and rho^2 over all problems and the given K columns, which share them.

    rho^2 pays for having been fitted: 1 - rho^2 is multiplied by (f + 1)/(f - 1), f the degrees of freedom of one
    column (Akaike's final prediction error). Where nothing is left of it, or f < 15, the crowd is not used: lambda =
    0.
    """
    freedom = float(np.maximum(asked.sums(answer_RK[:, 0]).kish_T - 1, 0).sum()) if answer_RK.shape[1] else 0.0
    cross = own = other = 0.0
    for k in range(answer_RK.shape[1]):
        e_R, d_R = (_residual(asked, value_RK[:, k]) for value_RK in (answer_RK, above_RK))
        cross += float(asked.weight_R @ (e_R * d_R))
        own += float(asked.weight_R @ e_R**2)
        other += float(asked.weight_R @ d_R**2)
    if freedom < LEAST_FREEDOM or min(own, other) <= 0 or cross <= 0:
        return Tuning()
    weight = min(cross / other, 1.0)
    left = (own - 2 * weight * cross + weight**2 * other) / own
    explained = 1 - left * (freedom + 1) / (freedom - 1)
    return Tuning(weight, explained) if explained > 0 else Tuning()


def _residual(asked: Asked, value_R: Array) -> Array:
    sums = asked.sums(value_R)
    return np.asarray(value_R - np.nan_to_num(sums.mean_T)[asked.problem_R])


def tune_column(asked: Asked, column: int) -> Tuning:
    """The tuning of a column: columns of one kind share it."""
    same = list(asked.columns.of_kind(asked.columns.kinds[column]))
    return tune(asked, asked.answer_RC[:, same], asked.above_RC[:, same])


def column_bounds(asked: Asked, column: int, level: float = 0.95, tuning: Tuning | None = None) -> Bounds:
    """Intervals for the mean of a column on every problem; humans alone where there is no tuning."""
    tuning = tuning or Tuning()
    answer_R = asked.answer_RC[:, column]
    sums = asked.sums(answer_R)
    shift_T = _shift(asked, asked.above_RC[:, column], tuning)
    left_T, part_T = _left(asked, sums, tuning)
    low, high = asked.columns.low_C[column], asked.columns.high_C[column]
    if asked.columns.kinds[column] == "mean":
        half_T, error_T = mean_half_width(sums, left_T * part_T, level)
        centre_T, noise_T = sums.mean_T, error_T
    else:
        toward = _toward(asked, column)
        centre_T, half_T, error_T, noise_T = share_interval(sums, toward, left_T, level)
        half_T, error_T, noise_T = half_T * np.sqrt(part_T), error_T * part_T, noise_T * part_T
    estimate_T = np.clip(sums.mean_T - shift_T, low, high)
    some = sums.n_T > 0
    middle_T = centre_T - shift_T
    return Bounds(
        np.where(some, estimate_T, np.nan),
        np.where(some, np.clip(middle_T - half_T, low, high), np.nan),
        np.where(some, np.clip(middle_T + half_T, low, high), np.nan),
        np.where(some, error_T, np.nan),
        np.where(some, noise_T, np.nan),
    )


def _toward(asked: Asked, column: int) -> float:
    """The share that Wilson's interval is drawn to: over all problems; over all options where there is one problem."""
    answered = len(np.unique(asked.problem_R))
    same = [column] if answered > 1 else list(asked.columns.of_kind(asked.columns.kinds[column]))
    mean_R = asked.answer_RC[:, same].mean(axis=1)
    return float(np.average(mean_R, weights=asked.weight_R)) if len(mean_R) else np.nan


def _shift(asked: Asked, above_R: Array, tuning: Tuning) -> Array:
    """lambda (f-bar - F-bar) of each problem; 0 for problems without answers."""
    if not tuning.weight:
        return np.zeros(asked.count)
    return np.asarray(tuning.weight * np.nan_to_num(asked.sums(above_R).mean_T))


def _left(asked: Asked, sums: Within, tuning: Tuning) -> tuple[Array, Array]:
    """What sampling leaves open without the crowd, and the part of it that is left with the crowd."""
    left_T = left_open(sums.kish_T, asked.population_T)
    with np.errstate(divide="ignore", invalid="ignore"):
        saved_T = tuning.explained * np.maximum(1 / sums.kish_T - 1 / asked.frame_T, 0.0)
        part_T = np.where(left_T > 0, 1 - np.minimum(saved_T / left_T, 1.0), 1.0)
    return left_T, np.nan_to_num(part_T, nan=1.0)


def median_bounds(asked: Asked, level: float = 0.95, rectify: bool = False) -> Bounds:
    """Grouped medians with Woodruff's intervals; with the crowd where `rectify`.

    Each problem's shares are smoothed by half a person who answers as people do over all problems, so that a problem on
    which everybody agrees still has a distribution. The variance of the median is read off Woodruff's interval at 50 %.
    """
    columns, stretch = asked.columns, list(asked.columns.stretch)
    level_RM, above_RM = asked.answer_RC[:, stretch], asked.above_RC[:, stretch]
    share_TM, sums = _smoothed_shares(asked, level_RM)
    below_TM = below_weights(share_TM, columns)
    below_R = (level_RM * below_TM[asked.problem_R]).sum(axis=1)
    above_R = (above_RM * below_TM[asked.problem_R]).sum(axis=1)
    tuning = tune(asked, below_R[:, None], above_R[:, None]) if rectify else Tuning()
    if tuning.weight:
        moved_TM = np.stack([_shift(asked, above_RM[:, m], tuning) for m in range(len(stretch))], axis=1)
        share_TM = np.maximum(share_TM - moved_TM, 0.0)
    left_T, part_T = _left(asked, sums, tuning)
    error_T = moderated_variance(asked.sums(below_R))[0] * left_T * part_T
    some = sums.n_T > 0

    def reached(away_T: Array) -> Array:
        return np.where(some, grouped_quantile(share_TM, columns.edge_E, 0.5 + away_T), np.nan)

    unit_T, inner = np.sqrt(error_T), normal(0.5)
    variance_T = ((reached(inner * unit_T) - reached(-inner * unit_T)) / (2 * inner)) ** 2
    half_T = normal(level) * unit_T  # the variance of a part near one half is nearly known, so no Student's t
    ends = [np.clip(reached(away), *columns.median_range) for away in (np.zeros(asked.count), -half_T, half_T)]
    return Bounds(ends[0], ends[1], ends[2], variance_T, variance_T)


def _smoothed_shares(asked: Asked, level_RM: Array) -> tuple[Array, Within]:
    sums = [asked.sums(level_RM[:, m]) for m in range(level_RM.shape[1])]
    kish_T = sums[0].kish_T
    pooled_M = np.average(level_RM, axis=0, weights=asked.weight_R)
    mean_TM = np.nan_to_num(np.stack([s.mean_T for s in sums], axis=1))
    return (kish_T[:, None] * mean_TM + SMOOTHING * pooled_M) / (kish_T[:, None] + SMOOTHING), sums[0]


def difference_bounds(
    asked: Asked,
    column: int,
    first_P: NDArray[np.int64],
    second_P: NDArray[np.int64],
    level: float = 0.95,
    tuning: Tuning | None = None,
    shared_P: Array | None = None,
) -> Bounds:
    """Intervals for the column's mean on `first` less that on `second`, for P pairs of problems (or cells).

    People who answered both count once as a person: what their two answers have in common is taken out, with the
    correlation between residuals estimated over all pairs and shrunk as if eight more people had shown none.
    shared_P: in a finite population, N_ab / (N_a N_b), with N_ab the people who would answer both.
    """
    tuning = tuning or Tuning()
    moderated = replace(asked, columns=_as_means(asked.columns))
    bounds = column_bounds(moderated, column, level, tuning)
    variance_T, freedom_T = moderated_variance(asked.sums(asked.answer_RC[:, column]))
    a, b = bounds.variance_T[first_P], bounds.variance_T[second_P]
    residual_R = _residual(asked, asked.answer_RC[:, column] - tuning.weight * asked.above_RC[:, column])
    together_P = _common(asked, residual_R, variance_T, first_P, second_P, shared_P)
    error_P = np.maximum(a + b - 2 * together_P * (1 - tuning.explained), 0.1 * (a + b))
    with np.errstate(divide="ignore", invalid="ignore"):
        freedom_P = (a + b) ** 2 / (a**2 / freedom_T[first_P] + b**2 / freedom_T[second_P])
    half_P = student(np.nan_to_num(freedom_P, nan=1.0), level) * np.sqrt(error_P)
    estimate_P = bounds.estimate_T[first_P] - bounds.estimate_T[second_P]
    reach = float(asked.columns.high_C[column] - asked.columns.low_C[column])
    low_P, high_P = (np.clip(estimate_P + sign * half_P, -reach, reach) for sign in (-1, 1))
    return Bounds(estimate_P, low_P, high_P, error_P, error_P)


def _as_means(columns: Columns) -> Columns:
    """Differences of shares are treated as those of means: they may be negative, and 0 is no end of their scale."""
    return replace(columns, kinds=("mean",) * len(columns))


def _common(
    asked: Asked, residual_R: Array, variance_T: Array, first_P: NDArray[np.int64], second_P: NDArray[np.int64],
    shared_P: Array | None,
) -> Array:  # fmt: skip
    """(P,) covariance of the two problems' estimates from people who answered both."""
    if asked.participant_R is None or not len(residual_R):
        return np.zeros(len(first_P))
    unit_R = residual_R / np.sqrt(np.maximum(variance_T[asked.problem_R], 1e-300))
    order = np.argsort(asked.problem_R, kind="stable")
    cuts = np.searchsorted(asked.problem_R[order], np.arange(asked.count + 1))
    rows = [order[cuts[t] : cuts[t + 1]] for t in range(asked.count)]
    total_T = np.bincount(asked.problem_R, asked.weight_R, asked.count)
    product = people = 0.0
    overlap_P = np.zeros(len(first_P))
    for p, (s, t) in enumerate(zip(first_P, second_P, strict=True)):
        _, i, j = np.intersect1d(asked.participant_R[rows[s]], asked.participant_R[rows[t]], return_indices=True)
        own, other = rows[s][i], rows[t][j]
        product += float(unit_R[own] @ unit_R[other])
        people += len(i)
        overlap_P[p] = float(asked.weight_R[own] @ asked.weight_R[other]) / max(total_T[s] * total_T[t], 1e-300)
    correlation = product / (people + 8.0)
    if shared_P is not None:
        overlap_P = np.maximum(overlap_P - shared_P, 0.0)
    return np.asarray(correlation * overlap_P * np.sqrt(variance_T[first_P] * variance_T[second_P]))
