"""Scores of a simulated crowd: of its decisions and histograms per problem, and of each human response.

Per problem against the human crowd, then averaged over the problems that both answered (those left out are
counted): `mae` and `rmse` of the aggregated decision; `cosine`, `avg_wd`, `wd_heights`, `kl`, `js` of the
histograms.
Per human response, averaged over responses: `nll` (log score) and `crps` (ranked probability score), both
proper and both lower when better.

Shapes: T problems, R responses, M levels or options, S ensemble members.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from crowdllm.errors import MismatchError
from crowdllm.evaluation import distances
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.protocol import Array, ResponseType

Row = TypeVar("Row")


@dataclass(frozen=True)
class DecisionMetrics:
    """Mean absolute and root mean squared error of the aggregated decisions, over `problems` problems."""

    mae: float
    rmse: float
    problems: int


@dataclass(frozen=True)
class HistogramMetrics:
    """Averages over problems; NaN where a metric has no meaning for the response type.

    problems: how many were scored. no_human, no_crowd: how many were left out because no human, or (of the
    others) nobody simulated, answered them.
    """

    cosine: float
    avg_wd: float
    wd_heights: float
    kl: float
    js: float
    problems: int
    no_human: int
    no_crowd: int


def mae(human_T: Array, simulated_T: Array) -> float:
    """Mean absolute error over the problems where both have a decision; NaN where there are none."""
    return decision_metrics(human_T, simulated_T).mae


def rmse(human_T: Array, simulated_T: Array) -> float:
    """Root mean squared error over the problems where both have a decision; NaN where there are none."""
    return decision_metrics(human_T, simulated_T).rmse


def decision_metrics(human_T: Array, simulated_T: Array) -> DecisionMetrics:
    """`mae` and `rmse` of aggregated decisions, from any aggregator, and how many problems they cover.

    Raises MismatchError for different numbers of problems.
    """
    if np.shape(human_T) != np.shape(simulated_T):
        raise MismatchError(f"{len(human_T)} human and {len(simulated_T)} simulated decisions: pass one per problem")
    error_A = np.asarray(simulated_T, dtype=float) - human_T
    error_A = error_A[~np.isnan(error_A)]
    if not len(error_A):
        return DecisionMetrics(np.nan, np.nan, 0)
    return DecisionMetrics(float(np.abs(error_A).mean()), float(np.sqrt((error_A**2).mean())), len(error_A))


def histogram_metrics(
    p_TM: Array,
    q_TM: Array,
    response_type: ResponseType,
    option_count_T: NDArray[np.int64] | None = None,
    epsilon: float = distances.EPSILON,
) -> HistogramMetrics:
    """All histogram metrics, human p against simulated q, from `crowdllm.evaluation.histograms.histograms`.

    option_count_T: (T,) how many options each problem has (ignored for scales). epsilon: the smoothing in
    `kl`. Continuous responses have quantiles for a histogram, so that only `avg_wd` is defined for them.

    Raises MismatchError where the two do not have the same shape.
    """
    if p_TM.shape != q_TM.shape:
        raise MismatchError(f"histograms of different shape: human {p_TM.shape}, simulated {q_TM.shape}")
    no_human_T = np.isnan(p_TM).any(axis=1)
    no_crowd_T = ~no_human_T & np.isnan(q_TM).any(axis=1)
    both = np.flatnonzero(~no_human_T & ~no_crowd_T)
    p, q = p_TM[both], q_TM[both]
    count = option_count_T[both] if option_count_T is not None and response_type.has_options else None
    wd = _average(distances.wasserstein(p, q, response_type))
    counted = (len(both), int(no_human_T.sum()), int(no_crowd_T.sum()))
    if isinstance(response_type, Continuous):
        return HistogramMetrics(np.nan, wd, np.nan, np.nan, np.nan, *counted)
    return HistogramMetrics(
        _average(distances.cosine(p, q)),
        wd,
        _average(distances.wasserstein_heights(p, q, count)),
        _average(distances.kl(p, q, epsilon, count)),
        _average(distances.js(p, q)),
        *counted,
    )


def nll(p_RM: Array, level_R: NDArray[np.int64], weight_R: Array | None = None) -> float:
    """Mean negative log-probability that the prediction gave to each human response, in nats.

    p_RM: (R, M) predicted probabilities, one row per human response (a row of the problem's histogram, or the
    person's own prediction). level_R: (R,) position of the level or option that was given. weight_R: survey weights
    of those who gave them. Infinite where a response was given probability 0: use `distances.smooth` first for
    histograms of small crowds.
    """
    given_R = _per_response(p_RM, level_R)
    with np.errstate(divide="ignore"):
        return _mean(-np.log(given_R), weight_R) if len(given_R) else np.nan


def crps(p_RM: Array, level_R: NDArray[np.int64], points: Sequence[float], weight_R: Array | None = None) -> float:
    """Mean ranked probability score on the scale: sum_m (P(Y <= m) - 1[y <= m])^2 (s_{m+1} - s_m).

    In the unit of the points; equals E|Y - y| - E|Y - Y'| / 2, and |prediction - y| for a sure prediction.
    Shapes as in `nll`.
    """
    _per_response(p_RM, level_R)
    if not len(p_RM):
        return np.nan
    below_RM = np.cumsum(p_RM, axis=1)[:, :-1]
    truth_RM = np.asarray(level_R)[:, None] <= np.arange(p_RM.shape[1] - 1)
    return _mean((below_RM - truth_RM) ** 2 @ np.diff(np.asarray(points, dtype=float)), weight_R)


def crps_ensemble(sample_RS: Array, value_R: Array, weight_R: Array | None = None) -> float:
    """Mean CRPS of a forecast given as S samples per response: mean|Y - y| - mean|Y - Y'| / 2.

    This is the score of the samples' own empirical distribution. The second mean comes from the order
    statistics: sum_{k,l} |Y_k - Y_l| = 2 sum_k (2k - S - 1) Y_(k), so no S x S array is made.
    """
    if len(sample_RS) != len(value_R):
        raise MismatchError(f"{len(sample_RS)} forecasts for {len(value_R)} responses: pass one per response")
    if not len(value_R):
        return np.nan
    size = sample_RS.shape[1]
    near_R = np.abs(sample_RS - np.asarray(value_R)[:, None]).mean(axis=1)
    weight_S = 2 * np.arange(1, size + 1) - size - 1
    apart_R = 2 * (np.sort(sample_RS, axis=1) @ weight_S) / size**2
    return _mean(near_R - apart_R / 2, weight_R)


def average_rows(rows: Sequence[Row]) -> Row:
    """The field-wise mean of several results of one class, such as over draws; NaN where any is NaN.

    Counts (int fields) are averaged and rounded.
    """
    first = rows[0]
    means = {}
    for field in fields(first):  # type: ignore[arg-type]
        values = [getattr(row, field.name) for row in rows]
        mean = float(np.mean(values))
        means[field.name] = round(mean) if isinstance(values[0], int) else mean
    return type(first)(**means)


def _mean(number_R: Array, weight_R: Array | None) -> float:
    return float(number_R.mean() if weight_R is None else np.average(number_R, weights=weight_R))


def _average(value_T: Array) -> float:
    return float(value_T.mean()) if len(value_T) else np.nan


def _per_response(p_RM: Array, level_R: NDArray[np.int64]) -> Array:
    level_R = np.asarray(level_R, dtype=np.int64)
    if len(p_RM) != len(level_R):
        raise MismatchError(f"{len(p_RM)} predictions for {len(level_R)} responses: pass one per response")
    if len(level_R) and (level_R.min() < 0 or level_R.max() >= p_RM.shape[1]):
        raise MismatchError(f"a response has position {level_R.max()}, but predictions have {p_RM.shape[1]} levels")
    return np.take_along_axis(p_RM, level_R[:, None], axis=1)[:, 0]
