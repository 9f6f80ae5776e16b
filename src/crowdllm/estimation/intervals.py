"""Every interval of every problem at once: humans alone, rectified, combined, Theorem 5, and conformal.

One definition for `crowdllm estimate` and for the study that counts how often each interval covers the truth.

The combined interval takes the crowd's error on other problems into account where humans did answer: with humans
alone the (rectified) estimate has variance v_t, the crowd's own error the variance tau_t^2 (see `conformal`), and the
estimate is their average, weighted by precision. It is narrower than either, and holds *over problems like these*
rather than for each problem on its own: a problem on which the crowd is unusually wrong is covered less often
(empirical Bayes; compare prediction-powered adaptive shrinkage, Li and Ignatiadis 2025).

Shapes: R responses, T problems, C columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from crowdllm.estimation.conformal import crowd_variance
from crowdllm.estimation.estimands import Columns, grouped_median
from crowdllm.estimation.rectified import Asked, Bounds, Tuning, column_bounds, median_bounds, tune_column
from crowdllm.estimation.small_sample import PRIOR_PEOPLE, student
from crowdllm.responses.protocol import Array

HUMAN, RECTIFIED, COMBINED, CONFORMAL, THEOREM5 = "human", "rectified", "combined", "conformal", "theorem5"
INTERVALS = (HUMAN, RECTIFIED, COMBINED, CONFORMAL, THEOREM5)
LEAST_SCALE = 0.1
LEAST_TO_COMBINE = 15


@dataclass(frozen=True)
class Found:
    """One interval of one estimand, on all problems. column: -1 for the median."""

    estimand: str
    column: int
    interval: str
    bounds: Bounds


def answered_intervals(asked: Asked, level: float) -> Iterator[Found]:
    """Humans alone and rectified, for the mean, each share, and the median, whichever the scale has."""
    tuned: dict[str, Tuning] = {}
    for c, kind in enumerate(asked.columns.kinds):
        if kind == "cell":
            continue
        if kind not in tuned:  # columns of one kind share it
            tuned[kind] = tune_column(asked, c)
        estimand = "share" if asked.columns.names[c] else "mean"
        for interval, tuning in ((HUMAN, None), (RECTIFIED, tuned[kind])):
            yield Found(estimand, c, interval, column_bounds(asked, c, level, tuning))
    if asked.columns.stretch:
        for interval in (HUMAN, RECTIFIED):
            yield Found("median", -1, interval, median_bounds(asked, level, rectify=interval == RECTIFIED))


def crowd_values(crowd_TC: Array, columns: Columns, found: Found) -> Array:
    """(T,) what the crowd says of this estimand."""
    return crowd_TC[:, found.column] if found.column >= 0 else grouped_median(crowd_TC[:, columns.stretch], columns)


def error_scale(crowd_T: Array, estimand: str) -> Array:
    """(T,) what the crowd's error is taken to be proportional to: for shares sqrt(p (1 - p)), at least 0.1, else 1."""
    if estimand != "share":
        return np.ones(len(crowd_T))
    return np.sqrt(np.maximum(np.nan_to_num(crowd_T * (1 - crowd_T)), LEAST_SCALE**2))


def around(crowd_T: Array, half_T: Array, low: float, high: float) -> Bounds:
    """The crowd's values with these half widths, within the ends of the scale."""
    half_T = np.where(np.isnan(crowd_T), np.nan, half_T)
    ends = [np.clip(crowd_T + sign * half_T, low, high) for sign in (-1, 1)]
    nothing = np.full(len(crowd_T), np.nan)
    return Bounds(crowd_T, ends[0], ends[1], nothing, nothing)


def conformal_bounds(crowd_T: Array, estimand: str, ends: tuple[float, float], half_unit: Array | float) -> Bounds:
    """From the half width in units of the error's scale (of `Calibration.half_width`) to intervals."""
    return around(crowd_T, np.asarray(half_unit) * error_scale(crowd_T, estimand), *ends)


def ends_of(columns: Columns, found: Found) -> tuple[float, float]:
    """The least and greatest value of an estimand."""
    if found.column < 0:
        return columns.median_range
    return float(columns.low_C[found.column]), float(columns.high_C[found.column])


def combined_bounds(found: Found, crowd_T: Array, people_T: Array, ends: tuple[float, float], level: float) -> Bounds:
    """The rectified estimate and the crowd's, averaged by precision; NaN where fewer than 15 problems tell of its
    error.

    found: the rectified interval. people_T: effective number of humans.
    """
    scale_T = error_scale(crowd_T, found.estimand)
    residual_T, variance_T = found.bounds.estimate_T - crowd_T, found.bounds.variance_T
    known = ~(np.isnan(residual_T) | np.isnan(variance_T))
    if int(known.sum()) < LEAST_TO_COMBINE or found.estimand == "median":
        nothing = np.full(len(crowd_T), np.nan)
        return Bounds(nothing, nothing, nothing, nothing, nothing)
    own = crowd_variance((residual_T / scale_T)[known], (found.bounds.noise_T / scale_T**2)[known])
    own_T = own * scale_T**2
    trust_T = np.divide(own_T, own_T + variance_T, out=np.ones(len(own_T)), where=own_T + variance_T > 0)
    error_T = trust_T * variance_T
    half_T = student(PRIOR_PEOPLE + np.maximum(people_T - 1, 0.0), level) * np.sqrt(error_T)
    made = around(crowd_T + trust_T * residual_T, half_T, *ends)
    return Bounds(np.clip(made.estimate_T, *ends), made.low_T, made.high_T, error_T, error_T)
