"""The human floor: what a perfect simulation would still score, the humans being a finite sample.

A perfect model knows each problem's true response distribution, and nothing about who happens to answer. Its
score is not 0: the human histogram is a handful of draws from that truth. The truth is not known either, and
the plain bootstrap, which takes the observed histogram for it, finds floors that are too low where few people
answered (with eight a problem, by some 15 % in `mae` and 25 % in `avg_wd`). So draw, several times over,

    truth_t  ~ its posterior given the human responses;
    humans_t ~ a fresh sample from truth_t, of as many people as answered the problem;
    crowd_t  = truth_t itself (crowd_size None: n unlimited), or `crowd_size` draws from it;

score the crowd against the fresh humans exactly as a row of the table, and average.

- ordinal, choice: empirical Bayes, a mixture of Dirichlets over the problems' shares (`dirichlet_mixture`);
- continuous: empirical Bayes in location and variance, truth_t = location_t + scale_t * (the residuals of all
  problems pooled), clipped to the bounds: problems differ in place and width, not in shape. Where many people
  answer a bound (a third of them, say) this floor comes out some 10-15 % too low;
- ballots, points, rankings: the people who answered are the truth, whole responses resampled, with N - 1
  draws for N people (the rescaled bootstrap of Rao and Wu 1988), which makes the sampling variance of every
  count unbiased.

Survey weights: the truth is the population's, and what the humans tell of it is what their effective number would
(Kish); fresh humans keep the weights of those they stand for, so that their weighted histogram varies as much as that
of the humans does; ballots are resampled with their weights. The perfect crowd has none. How answers depend on weights
is not modelled.

Assumptions: people answer independently given the truth; problems are exchangeable. It is no bound for a
model that knows the very people in the test set (their training answers or profiles): such a model may score
below it.

Shapes: N participants, T problems, R responses, M levels or options, D response width, E points of a
distribution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError
from crowdllm.evaluation.dirichlet_mixture import draw_shares, fit_dirichlet_mixture
from crowdllm.evaluation.histograms import (
    effective_counts,
    histograms,
    is_scale,
    level_counts,
    mean_decisions,
    option_totals,
    response_counts,
    weighted_quantile,
)
from crowdllm.evaluation.metrics import (
    DecisionMetrics,
    HistogramMetrics,
    average_rows,
    crps,
    crps_ensemble,
    decision_metrics,
    histogram_metrics,
    nll,
)
from crowdllm.evaluation.votes import VoteMetrics, vote_metrics
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import QUANTILES, Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import Array
from crowdllm.rng import generator

Aggregator = Callable[[Responses], Array]
POOL = 199


@dataclass(frozen=True)
class Truth:
    """One draw of what every problem's responses could truly look like.

    sample: from (R,) problems and a generator to (R, D) responses. summary_TM: the distributions as
    histograms (see `histograms`). decision_T: the mean response where responses are numbers, else None.
    share_TM: level or option probabilities (ordinal, choice). support_TE: equally likely values (continuous).
    """

    sample: Callable[[NDArray[np.int64], np.random.Generator], Array]
    summary_TM: Array
    decision_T: Array | None = None
    share_TM: Array | None = None
    support_TE: Array | None = None


@dataclass(frozen=True)
class FloorDraw:
    """A fresh human sample and a perfect crowd of the same truth; crowd is None where its size is unlimited.

    Participants of `human` keep the positions of those who really answered, but one person's answers to
    several problems are drawn independently; participants of `crowd` are numbered from 0.
    """

    truth: Truth
    human: Responses
    crowd: Responses | None


@dataclass(frozen=True)
class Floor:
    """The floor of every metric, averaged over draws.

    histogram: NaN fields where a metric has no meaning for the response type. decisions: per aggregator,
    "mean" first where responses are numbers. nll, crps: of the fresh humans under the truth; NaN where not
    defined.
    """

    histogram: HistogramMetrics
    decisions: Mapping[str, DecisionMetrics]
    nll: float
    crps: float


def human_floor(
    test: Study,
    crowd_size: int | NDArray[np.int64] | None = None,
    seed: int = 0,
    draws: int = 20,
    aggregators: Mapping[str, Aggregator] | None = None,
) -> Floor:
    """What a perfect model would score against the humans of this (test) study; method: see the module.

    crowd_size: simulated people per problem, the same as the rows of the table have (a number, or one per
        problem), or None for an unlimited crowd.
    seed: keys all draws; the seed of the split, so that the floor has an interval like any row.
    aggregators: further decisions to score, by name, each from responses to (T,) decisions in the scale's
        points (such as median or Dawid-Skene); they need a crowd of finite size.

    Raises ConfigError for a study without responses, sizes below 1, or aggregators with an unlimited crowd.
    """
    aggregators = aggregators or {}
    if aggregators and crowd_size is None:
        raise ConfigError("an aggregator needs a crowd to aggregate: set crowd_size, such as 1000")
    kind, count = test.response_type, len(test.problems)
    options_T = test.problems.option_counts
    width = options_T.max(initial=0)
    shapes: list[HistogramMetrics] = []
    scores: list[tuple[float, float]] = []
    decisions: dict[str, list[DecisionMetrics]] = {"mean": []} if is_scale(kind) else {}
    decisions |= {name: [] for name in aggregators}
    for draw in floor_draws(test, crowd_size, seed, draws):
        p_TM = histograms(draw.human, kind, count, width)
        q_TM = draw.truth.summary_TM if draw.crowd is None else histograms(draw.crowd, kind, count, width)
        shapes.append(histogram_metrics(p_TM, q_TM, kind, options_T))
        scores.append(_individual(draw, test))
        if is_scale(kind):
            simulated_T = draw.truth.decision_T if draw.crowd is None else mean_decisions(draw.crowd, kind, count)
            assert simulated_T is not None
            decisions["mean"].append(decision_metrics(mean_decisions(draw.human, kind, count), simulated_T))
        for name, aggregate in aggregators.items():
            assert draw.crowd is not None
            decisions[name].append(decision_metrics(aggregate(draw.human), aggregate(draw.crowd)))
    averaged = {name: average_rows(rows) for name, rows in decisions.items()}
    log_score, ranked_score = np.mean(scores, axis=0)
    return Floor(average_rows(shapes), averaged, float(log_score), float(ranked_score))


def vote_floor(
    test: Study,
    crowd_size: int | None = None,
    seed: int = 0,
    draws: int = 200,
    only_TM: NDArray[np.bool_] | None = None,
) -> VoteMetrics:
    """The floor of `vote_metrics` for ballots, points and rankings, averaged over problems and draws.

    Counts are those of as many voters as answered, whatever the crowd size; crowd_size = number of test
    voters is the row "other humans", None the row of true frequencies. Individual ballots have no floor here:
    how well one voter's ballot can be told is not known from the ballots.

    only_TM: the options whose counts are compared; all that a problem has when None.

    Raises ConfigError as `human_floor`, and for response types that are no votes.
    """
    kind, count = test.response_type, len(test.problems)
    if is_scale(kind) or isinstance(kind, Choice):
        raise ConfigError(f"responses of type {kind.kind!r} are no ballots: use human_floor")
    voters_T = response_counts(test.responses, count)
    width = test.responses.values_RD.shape[1]
    counts_T1 = np.where(test.problems.option_counts > 0, test.problems.option_counts, width)[:, None]
    present_TM = np.arange(width) < counts_T1 if only_TM is None else only_TM
    rows = []
    for draw in floor_draws(test, crowd_size, seed, draws):
        crowd = test.responses if draw.crowd is None else draw.crowd
        for t in np.flatnonzero((voters_T >= 2) & present_TM.any(axis=1)):
            per_voter = []
            for responses in (draw.human, crowd):
                mine = responses.take(responses.problem_R == t)
                per_voter.append(option_totals(mine, kind, count)[t] / mine.amount)
            human, simulated = (voters_T[t] * votes[present_TM[t]] for votes in per_voter)
            rows.append(vote_metrics(human, simulated))
    return average_rows(rows)


def floor_draws(test: Study, crowd_size: int | NDArray[np.int64] | None, seed: int, draws: int) -> Iterator[FloorDraw]:
    """Draws of (truth, fresh humans, perfect crowd), to be scored by whatever scores a row of a table.

    Arguments and errors as in `human_floor`.
    """
    count = len(test.problems)
    size_T = None if crowd_size is None else np.broadcast_to(np.asarray(crowd_size, dtype=np.int64), (count,))
    if draws < 1 or (size_T is not None and (size_T < 0).any()) or (size_T is not None and not size_T.any()):
        raise ConfigError(f"a floor needs at least one draw and a crowd of at least one, not {draws} and {crowd_size}")
    if not len(test.responses):
        raise ConfigError("the study has no human responses: a floor needs some to compare with")
    if is_scale(test.response_type) or isinstance(test.response_type, Choice):
        yield from _posterior_draws(test, size_T, seed, draws)
    else:
        yield from _resampling_draws(test, size_T, seed, draws)


def _posterior_draws(test: Study, size_T: NDArray[np.int64] | None, seed: int, draws: int) -> Iterator[FloorDraw]:
    """Ordinal, choice, continuous: a truth from the posterior, then as many answers from it as there were."""
    rng = generator(seed, "human_floor")
    draw_truth = _number_truths(test) if isinstance(test.response_type, Continuous) else _level_truths(test)
    answered_T = response_counts(test.responses, len(test.problems)) > 0
    humans = test.responses
    for _ in range(draws):
        truth = draw_truth(rng)
        fresh = replace(humans, values_RD=truth.sample(humans.problem_R, rng))
        crowd = None if size_T is None else _crowd(truth, np.where(answered_T, size_T, 0), rng)
        yield FloorDraw(truth, fresh, crowd)


def _level_truths(test: Study) -> Callable[[np.random.Generator], Truth]:
    """Posterior of level or option shares, by empirical Bayes."""
    kind = test.response_type
    counts_TM = level_counts(test.responses, kind, len(test.problems), test.problems.option_counts.max(initial=0))
    if test.responses.weight_R is not None:  # weights tell less than as many people would
        total_T = counts_TM.sum(axis=1)
        worth_T = effective_counts(test.responses, len(test.problems)) / np.where(total_T > 0, total_T, 1)
        counts_TM = counts_TM * worth_T[:, None]
    symmetric = isinstance(kind, Choice)
    present_TM = np.ones(counts_TM.shape, dtype=bool)
    if symmetric:
        present_TM = np.arange(counts_TM.shape[1]) < test.problems.option_counts[:, None]
    mixture = fit_dirichlet_mixture(counts_TM, present_TM, symmetric)

    def draw_truth(rng: np.random.Generator) -> Truth:
        share_TM = draw_shares(mixture, counts_TM, rng, present_TM)
        below_TM = np.cumsum(share_TM, axis=1)[:, :-1]
        last_T = present_TM.sum(axis=1) - 1

        def sample(problem_R: NDArray[np.int64], rng: np.random.Generator) -> Array:
            level_R = (rng.random((len(problem_R), 1)) > below_TM[problem_R]).sum(axis=1)
            return np.minimum(level_R, last_T[problem_R])[:, None].astype(float)

        decision_T = share_TM @ np.asarray(kind.points) if isinstance(kind, Ordinal) else None
        return Truth(sample, share_TM, decision_T, share_TM=share_TM)

    return draw_truth


def _number_truths(test: Study) -> Callable[[np.random.Generator], Truth]:
    """Posterior of location and variance, by empirical Bayes with moments; shape from pooled residuals."""
    kind, count = test.response_type, len(test.problems)
    assert isinstance(kind, Continuous)
    value_R, problem_R = test.responses.values_RD[:, 0], test.responses.problem_R
    n_T, weight_R = effective_counts(test.responses, count), test.responses.weight_R
    mean_T = mean_decisions(test.responses, kind, count)
    square_R = (value_R - mean_T[problem_R]) ** 2
    if weight_R is not None:
        total_T = np.bincount(problem_R, weight_R, minlength=count)
        square_R = square_R * weight_R * (n_T / np.where(total_T > 0, total_T, 1))[problem_R]
    square_T = np.bincount(problem_R, weights=square_R, minlength=count).astype(float)
    if not (n_T > 1).any():
        raise ConfigError("no problem has two human responses: how far people differ cannot be told, nor a floor")
    shape, rate = _variance_prior(square_T[n_T > 1], n_T[n_T > 1] - 1)
    typical_T = (rate + square_T / 2) / (shape - 1 + (n_T - 1).clip(0) / 2)
    centre, between = _location_prior(mean_T[n_T > 0], typical_T[n_T > 0] / n_T[n_T > 0])
    pool_E = _pooled_residuals(value_R, mean_T[problem_R], typical_T[problem_R], n_T[problem_R], weight_R)
    low, high = (-np.inf if kind.low is None else kind.low), (np.inf if kind.high is None else kind.high)

    def draw_truth(rng: np.random.Generator) -> Truth:
        variance_T = (rate + square_T / 2) / rng.gamma(shape + (n_T - 1).clip(0) / 2)
        shrink_T = between / (between + variance_T / np.maximum(n_T, 1)) if between > 0 else np.zeros(count)
        spread_T = np.sqrt(shrink_T * variance_T / np.maximum(n_T, 1))
        location_T = centre + shrink_T * (mean_T - centre) + spread_T * rng.standard_normal(count)
        support_TE = np.clip(location_T[:, None] + np.sqrt(variance_T)[:, None] * pool_E, low, high)

        def sample(problem_R: NDArray[np.int64], rng: np.random.Generator) -> Array:
            return support_TE[problem_R, rng.integers(len(pool_E), size=len(problem_R))][:, None]

        probabilities = (np.arange(QUANTILES) + 0.5) / QUANTILES
        summary_TM = np.full((count, QUANTILES), np.nan)
        answered = n_T > 0
        summary_TM[answered] = np.quantile(support_TE[answered], probabilities, axis=1).T
        return Truth(sample, summary_TM, support_TE.mean(axis=1), support_TE=support_TE)

    return draw_truth


def _variance_prior(square_A: Array, freedom_A: NDArray[np.int64] | Array) -> tuple[float, float]:
    """Shape and rate of an inverse gamma over the problems' variances, by moments.

    With s^2 = square / freedom and normal residuals, Var(s^2) = E[sigma^4] 2 / freedom + Var(sigma^2).
    """
    mean = float(square_A.sum() / freedom_A.sum())
    if mean <= 0:
        return 1e6, 0.0
    noise = float(np.average(2 / freedom_A, weights=freedom_A))
    seen = float(np.average((square_A / freedom_A / mean - 1) ** 2, weights=freedom_A))
    relative = max((seen - noise) / (1 + noise), 1e-6)
    shape = 2 + 1 / relative
    return shape, mean * (shape - 1)


def _location_prior(mean_A: Array, error_A: Array) -> tuple[float, float]:
    """Mean of the problems' true locations, and their variance: that of the means less that of sampling."""
    seen = float(mean_A.var(ddof=1)) if len(mean_A) > 1 else np.inf
    between = max(seen - float(error_A.mean()), 0.0)
    if not np.isfinite(between):
        between = 1e6 * max(float(error_A.mean()), 1e-300)
    return float(mean_A.mean()), between


def _pooled_residuals(
    value_R: Array, mean_R: Array, variance_R: Array, n_R: NDArray[np.int64] | Array, weight_R: Array | None
) -> Array:
    """(E,) evenly spaced quantiles of the residuals where two or more answered, mean 0 and variance 1."""
    use = (n_R > 1) & (variance_R > 0)
    if not use.any():
        return np.zeros(1)
    residual = (value_R[use] - mean_R[use]) * np.sqrt(n_R[use] / (n_R[use] - 1) / variance_R[use])
    at_E = (np.arange(POOL) + 0.5) / POOL
    pool_E = np.quantile(residual, at_E) if weight_R is None else weighted_quantile(residual, weight_R[use], at_E)
    pool_E = pool_E - pool_E.mean()
    spread = float(pool_E.std())
    return pool_E / spread if spread > 0 else pool_E


def _resampling_draws(test: Study, size_T: NDArray[np.int64] | None, seed: int, draws: int) -> Iterator[FloorDraw]:
    """Ballots, points, rankings: whole responses resampled per problem, N - 1 draws standing for N people."""
    rng = generator(seed, "human_floor")
    count, humans = len(test.problems), test.responses
    n_T = response_counts(humans, count)
    if not (n_T > 1).any():
        raise ConfigError("no problem has two human responses: how far people differ cannot be told, nor a floor")
    order_R = np.argsort(humans.problem_R, kind="stable")
    first_T = np.cumsum(n_T) - n_T

    def resample(problem_R: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        return order_R[first_T[problem_R] + rng.integers(n_T[problem_R])]

    by_weight = None if humans.weight_R is None else _drawn_by_weight(humans.weight_R[order_R], first_T, n_T)

    def sample(problem_R: NDArray[np.int64], rng: np.random.Generator) -> Array:
        rows = resample(problem_R, rng) if by_weight is None else order_R[by_weight(problem_R, rng)]
        return humans.values_RD[rows]

    truth = Truth(sample, histograms(humans, test.response_type, count))
    # One response of each problem is left out, for N - 1 draws; a problem with a single response has none.
    keep = np.ones(len(humans), dtype=bool)
    keep[first_T[n_T > 0]] = False
    kept = order_R[keep]
    crowd_T = None
    if size_T is not None:
        rescaled_T = np.maximum(np.rint(size_T * (n_T - 1).clip(0) / np.maximum(n_T, 1)), np.minimum(size_T, 1))
        crowd_T = np.where(n_T > 1, rescaled_T, 0).astype(np.int64)
    for _ in range(draws):
        problem_R = humans.problem_R[kept]
        rows = resample(problem_R, rng)
        weight_R = None if humans.weight_R is None else humans.weight_R[rows]
        fresh = Responses(humans.participant_R[kept], problem_R, humans.values_RD[rows], weight_R)
        yield FloorDraw(truth, fresh, None if crowd_T is None else _crowd(truth, crowd_T, rng))


def _drawn_by_weight(
    weight_R: Array, first_T: NDArray[np.int64], n_T: NDArray[np.int64]
) -> Callable[[NDArray[np.int64], np.random.Generator], NDArray[np.int64]]:
    """From problems to places among the responses sorted by problem, each with a chance by its weight."""
    sum_R = np.cumsum(weight_R)
    end_T = np.append(0.0, sum_R)[first_T + n_T]
    start_T = np.append(0.0, sum_R)[first_T]

    def draw(problem_R: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        at_R = start_T[problem_R] + rng.random(len(problem_R)) * (end_T - start_T)[problem_R]
        place_R = np.searchsorted(sum_R, at_R, side="right")
        return np.clip(place_R, first_T[problem_R], (first_T + n_T - 1)[problem_R])

    return draw


def _crowd(truth: Truth, size_T: NDArray[np.int64], rng: np.random.Generator) -> Responses:
    """size_T people per problem, numbered from 0 in each."""
    problem_R = np.repeat(np.arange(len(size_T)), size_T)
    first_R = np.repeat(np.cumsum(size_T) - size_T, size_T)
    return Responses(np.arange(len(problem_R)) - first_R, problem_R, truth.sample(problem_R, rng))


def _individual(draw: FloorDraw, test: Study) -> tuple[float, float]:
    """Log score and CRPS of the fresh humans under the truth; NaN where not defined."""
    human, kind = draw.human, test.response_type
    if draw.truth.share_TM is not None:
        level_R = human.values_RD[:, 0].astype(np.int64)
        predicted_RM = draw.truth.share_TM[human.problem_R]
        ranked = crps(predicted_RM, level_R, kind.points, human.weight_R) if isinstance(kind, Ordinal) else np.nan
        return nll(predicted_RM, level_R, human.weight_R), ranked
    if draw.truth.support_TE is not None:
        return np.nan, crps_ensemble(draw.truth.support_TE[human.problem_R], human.values_RD[:, 0], human.weight_R)
    return np.nan, np.nan
