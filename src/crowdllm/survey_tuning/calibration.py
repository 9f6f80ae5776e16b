"""The temperature at which answers are drawn: the curve of KL against RMSE, and the best one for each.

On people who were not trained on, with q_t(. | i, x) the model's distribution at temperature t:

- kl: over questions, the mean of KL(human shares || mean over the same people of q_t), in nats, the second smoothed as
  everywhere (`crowdllm.evaluation.distances`). Numbers are put into at most ten bins of neighbouring candidates.
- rmse: the root of the mean of E (a - y)^2 over answers a drawn at temperature t; for options, of the share of wrong
  answers.
- nll: the mean of - log q_t(y); avg_wd: Wasserstein-1 between the shares of kl, on the scale (NaN for options).

Before temperatures, `choose_profile_weight` may choose how much of an answer goes by the profile.

Expectations are exact: nothing is drawn. People count by their survey weights where they have any. arXiv 2403.20252
finds low temperatures better for RMSE, high ones for KL.

Shapes: R held-out answers, M candidates, G temperatures, T problems.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.data.responses import Responses
from crowdllm.errors import MismatchError
from crowdllm.evaluation.distances import kl, wasserstein_points
from crowdllm.evaluation.histograms import numbers
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.protocol import ResponseType
from crowdllm.survey_tuning.answers import Shares, mixed

Array = NDArray[np.float64]
Index = NDArray[np.int64]
TEMPERATURES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.35, 1.5, 1.75, 2.0, 3.0)
BINS = 10
WEIGHTS = tuple(k / 20 for k in range(20, -1, -1))
ROUNDS = 5  # halvings of the step around the best temperature of the curve


@dataclass(frozen=True)
class Curve:
    """What answers drawn at each of G temperatures are like; see the module."""

    temperature_G: Array
    kl_G: Array
    rmse_G: Array
    nll_G: Array
    avg_wd_G: Array
    answers: int

    def to_frame(self) -> pd.DataFrame:
        """One row per temperature: temperature, kl, rmse, nll, avg_wd."""
        columns = {"kl": self.kl_G, "rmse": self.rmse_G, "nll": self.nll_G, "avg_wd": self.avg_wd_G}
        return pd.DataFrame({"temperature": self.temperature_G, **columns})


@dataclass(frozen=True)
class Best:
    """The temperatures with the lowest KL and the lowest RMSE, and the values there."""

    temperature_kl: float
    kl: float
    temperature_rmse: float
    rmse: float


def calibrate(
    shares: Shares, responses: Responses, kind: ResponseType, temperatures: Sequence[float] = TEMPERATURES
) -> tuple[Curve, Best]:
    """The curve, and the best temperature for KL and for RMSE (searched on between the curve's temperatures).

    shares: of each response's own person and problem. Raises MismatchError where there are no responses.
    """
    if not len(responses):
        raise MismatchError("a temperature needs answers of people who were not trained on, and there are none")
    curve = temperature_curve(shares, responses, kind, temperatures)
    best_kl = _refined(shares, responses, kind, curve, "kl")
    best_rmse = _refined(shares, responses, kind, curve, "rmse")
    return curve, Best(best_kl[0], best_kl[1], best_rmse[0], best_rmse[1])


def choose_profile_weight(held: Sequence[tuple[Shares, Shares, Responses]]) -> float:
    """The share of an answer that should go by the profile: that of WEIGHTS with the lowest nll on held-out people.

    held: per study the shares with a profile, those without one, and the answers given.
    """
    sums = np.zeros(len(WEIGHTS))
    for told, untold, responses in held:
        given_R, row = given_candidates(told, responses), np.arange(len(responses))
        for k, weight in enumerate(WEIGHTS):
            log_p_R = mixed(told, untold, weight).log_p_RM[row, given_R]
            sums[k] -= len(responses) * responses.mean(log_p_R)
    return WEIGHTS[int(np.argmin(sums))]


def temperature_curve(
    shares: Shares, responses: Responses, kind: ResponseType, temperatures: Sequence[float] = TEMPERATURES
) -> Curve:
    """All four measures at each temperature."""
    given_R = given_candidates(shares, responses)
    rows = np.array([_measures(shares, responses, kind, given_R, t) for t in temperatures])
    divergence, rmse, nll, distance = rows.T
    return Curve(np.array(temperatures, dtype=float), divergence, rmse, nll, distance, len(responses))


def given_candidates(shares: Shares, responses: Responses) -> Index:
    """(R,) the place of the candidate that was given, or of the nearest one to a number that is none."""
    gap_RM = np.abs(shares.values_RM - responses.values_RD[:, :1])
    return np.asarray(np.where(np.isnan(gap_RM), np.inf, gap_RM).argmin(axis=1))


def _measures(
    shares: Shares, responses: Responses, kind: ResponseType, given_R: Index, temperature: float
) -> tuple[float, ...]:
    p_RM = shares.at(temperature)
    row = np.arange(len(p_RM))
    with np.errstate(divide="ignore"):
        nll = responses.mean(-np.log(p_RM[row, given_R]))
    if kind.has_options:
        rmse = float(np.sqrt(1 - responses.mean(p_RM[row, given_R])))
    else:
        truth_R = numbers(responses, kind)
        square_RM = np.where(np.isnan(shares.points_RM), 0.0, shares.points_RM - truth_R[:, None]) ** 2
        rmse = float(np.sqrt(responses.mean((p_RM * square_RM).sum(axis=1))))
    divergence, distance = _crowds(shares, p_RM, given_R, responses, kind)
    return divergence, rmse, nll, distance


def _crowds(
    shares: Shares, p_RM: Array, given_R: Index, responses: Responses, kind: ResponseType
) -> tuple[float, float]:
    """KL and Wasserstein-1 of the shares per question, averaged over questions."""
    divergences, distances = [], []
    weight_R = np.ones(len(responses)) if responses.weight_R is None else responses.weight_R
    for t in np.unique(responses.problem_R):
        rows = np.flatnonzero(responses.problem_R == t)
        count = int((~np.isnan(shares.values_RM[rows[0]])).sum())
        human = np.bincount(given_R[rows], weight_R[rows], minlength=count) / weight_R[rows].sum()
        model = np.average(p_RM[rows, :count], axis=0, weights=weight_R[rows])
        if not kind.has_options:
            points = tuple(shares.points_RM[rows[0], :count])
            distances.append(wasserstein_points(human[None], model[None], points)[0])
        if isinstance(kind, Continuous):
            bins = np.arange(count) * min(BINS, count) // count
            human = np.bincount(bins, human).astype(float)
            model = np.bincount(bins, model).astype(float)
        divergences.append(kl(human[None], model[None])[0])
    return float(np.mean(divergences)), float(np.mean(distances)) if distances else float("nan")


def _refined(
    shares: Shares, responses: Responses, kind: ResponseType, curve: Curve, measure: str
) -> tuple[float, float]:
    """The best temperature: that of the curve, then of ever finer steps around it."""
    given_R, at = given_candidates(shares, responses), {"kl": 0, "rmse": 1}[measure]
    temperatures, values = curve.temperature_G, (curve.kl_G, curve.rmse_G)[at]
    best = int(np.argmin(values))
    found, value = float(temperatures[best]), float(values[best])
    neighbours = temperatures[[max(best - 1, 0), min(best + 1, len(temperatures) - 1)]]
    step = float(np.abs(neighbours - found).max()) / 2
    for _ in range(ROUNDS):
        for tried in (found - step, found + step):
            if tried > 0:
                measured = _measures(shares, responses, kind, given_R, tried)[at]
                if measured < value - 1e-12:
                    found, value = tried, measured
        step /= 2
    return found, value
