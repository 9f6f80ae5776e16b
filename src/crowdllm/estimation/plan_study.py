"""A plan for a study and a fitted crowd: what to ask next, of whom, at what price, and how narrow intervals get.

What the plan knows before anybody is asked comes from the crowd: the spread of answers on each problem (a problem on
which people agree needs fewer of them), how much of it the crowd predicts for single people, and how wrong the crowd is
on problems that it has no answers to. The last two are measured by crowds fitted without the people, or without the
problems, that they are judged on (`cross_fit`), never by the given model on answers that it may have been fitted on.

For responses other than scales, the interval that is planned is that of the option whose share is nearest to one half.

With survey weights means, spreads and what the crowd explains are weighted, as in the intervals, and widths are those
of as many answers as the weights leave (see `width_model`).

Shapes: T problems, N people, C columns of responses, R responses.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crowdllm.belief.crowd_model import CrowdModel
from crowdllm.belief.items import Items
from crowdllm.data.study import Study
from crowdllm.data.study_weights import effective_number
from crowdllm.errors import ConfigError
from crowdllm.estimation.conformal import LEAST_PROBLEMS, calibrate
from crowdllm.estimation.cross_fit import cross_fit_people, cross_fit_problems
from crowdllm.estimation.estimands import Columns, make_columns
from crowdllm.estimation.planner import Allocation, Ask, allocate, choose_people, purposes
from crowdllm.estimation.small_sample import check_level, within
from crowdllm.estimation.training_share import LearningCurve, best_training, learning_curve
from crowdllm.estimation.width_model import Counts, WidthModel, check_target, sums_of_squares
from crowdllm.reference import References
from crowdllm.responses.protocol import Array
from crowdllm.rng import generator
from crowdllm.simulation.decide import simulate_pairs
from crowdllm.simulation.groups import subgroups

Progress = Callable[[str, int, int], None]
CROWD = 300
CALLS = 8
LEAST_LEFT = 0.05


@dataclass(frozen=True)
class Prices:
    """budget: what may be spent. human, call: price of one human answer and of one LLM call, in the same currency.

    calls: LLM calls that a problem without references needs (K).
    """

    budget: float
    human: float
    call: float = 0.0
    calls: int = CALLS

    def __post_init__(self) -> None:
        finite = np.isfinite([self.human, self.call, self.budget]).all()
        if not (finite and self.human > 0 and self.call >= 0 and self.budget >= 0 and self.calls >= 0):
            raise ConfigError(
                "prices and budget must be numbers of 0 or more, and a human answer cost something: budget "
                f"{self.budget:g}, human {self.human:g}, call {self.call:g}"
            )


@dataclass(frozen=True)
class MixShare:
    """A level of a profile column: its share among the people the estimate is for, and among given and planned answers.

    planned: of the answers there are and those of the plan that known people give.
    """

    column: str
    level: str
    wanted: float
    answered: float
    planned: float


@dataclass(frozen=True)
class Plan:
    """What to do. asks: the answers to collect, most worth first; purpose: of each, training or rectification.

    calls_T: LLM calls to make per problem. left: part of the variance that the crowd leaves. crowd_error: its root mean
    squared error on problems without answers; NaN where that was not measured. training_gain: width when so many
    answers train, over the width when all rectify. effective: as much of an answer as survey weights leave; 1 without.
    """

    study: Study
    allocation: Allocation
    column_T: NDArray[np.int64]
    columns: Columns
    asks: tuple[Ask, ...]
    purpose: tuple[str, ...]
    calls_T: Counts
    prices: Prices
    target: float
    left: float
    crowd_error: float
    curve: LearningCurve | None
    training: int
    training_gain: float
    mix: tuple[MixShare, ...]
    effective: float = 1.0

    @property
    def cost(self) -> float:
        """What it costs."""
        return len(self.asks) * self.prices.human + float(self.calls_T.sum()) * self.prices.call

    @property
    def new_answers(self) -> int:
        """Answers for which nobody of the study is left to ask."""
        return sum(1 for ask in self.asks if ask.person < 0)

    @property
    def new_people(self) -> int:
        """How many people have to be recruited for them: nobody answers a problem twice."""
        needed_T = np.bincount([ask.problem for ask in self.asks if ask.person < 0], minlength=1)
        return int(needed_T.max())


def plan_study(
    study: Study,
    model: CrowdModel,
    references: References | None,
    prices: Prices,
    target: float,
    folds: int = 3,
    level: float = 0.95,
    seed: int = 0,
    progress: Progress | None = None,
) -> Plan:
    """Plan the next human answers (see the module).

    references: for the study's problems, from the sources the model was fitted with. folds: of the cross-fitting; 0
    for none, which supposes that the crowd predicts nothing of single people, and gives it no interval of its own.

    Raises ConfigError for settings out of range, and MismatchError where model, study and references do not fit.
    """
    check_level(level)
    check_target(target)
    columns = make_columns(model.response_type, study.problems, study.responses)
    items = model.make_items(study.problems, references)
    mean_TC, square_TC = simulated_moments(model, items, columns, seed)
    column_T = _planned_column(columns, mean_TC)
    every_T = np.arange(len(study.problems))
    value_R = columns.encode(study.responses.values_RD)[
        np.arange(len(study.responses)), column_T[study.responses.problem_R]
    ]
    responses = study.responses
    count_T, sum_T = sums_of_squares(value_R, responses.problem_R, len(study.problems), responses.weight_R)
    effective = _effective(study)
    prior_T = np.maximum((square_TC - mean_TC**2)[every_T, column_T], 1e-6)
    prior_T = prior_T * spread_ratio(prior_T, count_T, sum_T, effective)
    left, curve = _explained(study, references, model, columns, column_T, value_R, folds, seed, progress)
    error, half = _unasked(study, references, model, columns, column_T, value_R, folds, level, seed, progress)
    heard_T = _referenced(study, references)
    unasked_T = np.where(heard_T, 2 * half, np.inf)
    widths = WidthModel(prior_T, unasked_T, left, level=level, effective=effective)
    calls_T = np.where(heard_T, 0, prices.calls * len(model.reference_sources))
    calls_T = _affordable(calls_T, prices)
    most = int((prices.budget - float(calls_T.sum()) * prices.call) / prices.human + 1e-9)
    allocation = allocate(widths, count_T, sum_T, target, most)
    asked_NT = np.zeros((len(study.profiles), len(study.problems)), dtype=bool)
    asked_NT[study.responses.participant_R, study.responses.problem_R] = True
    groups = subgroups(model.generator)
    mix_G = groups.members(model.recruit(2000, seed)).mean(axis=1)
    asks = choose_people(
        allocation.more_T, allocation.before_T, allocation.after_T, study.profiles, asked_NT, groups, mix_G, seed
    )
    training, gain = 0, 1.0
    if curve is not None:
        training, gain = best_training(curve, len(study.responses), 0, len(asks))
    known = sum(1 for ask in asks if ask.person >= 0)
    purpose = purposes(asks, study.profiles, min(training, known), seed)
    mix = _mix(study, groups.names, groups.members(study.profiles), mix_G, asks)
    return Plan(
        study, allocation, column_T, columns, tuple(asks), tuple(purpose), calls_T, prices, target, left, error, curve,
        training, gain, mix, effective,
    )  # fmt: skip


def _effective(study: Study) -> float:
    """Kish's effective number of the people who answered (of all, where nobody did) over their number."""
    if study.weights_N is None:
        return 1.0
    people = study.responses.people if len(study.responses) else np.arange(len(study.profiles))
    return min(effective_number(study.weights_N[people]) / max(len(people), 1), 1.0) or 1.0


def _mix(
    study: Study, names: tuple[tuple[str, str], ...], member_GN: NDArray[np.bool_], mix_G: Array, asks: list[Ask]
) -> tuple[MixShare, ...]:
    """Who has answered and who will, against the mix that is wanted; levels that nobody has are left out."""
    have_N = np.bincount(study.responses.participant_R, minlength=len(study.profiles)).astype(float)
    more_N = np.bincount([a.person for a in asks if a.person >= 0], minlength=len(study.profiles))
    both_N = have_N + more_N
    rows = []
    for name, in_N, wanted in list(zip(names, member_GN, mix_G, strict=True))[1:]:
        if wanted or in_N.any():
            shares = [float(n[in_N].sum() / n.sum()) if n.sum() else 0.0 for n in (have_N, both_N)]
            rows.append(MixShare(*name, float(wanted), *shares))
    return tuple(rows)


def simulated_moments(model: CrowdModel, items: Items, columns: Columns, seed: int) -> tuple[Array, Array]:
    """(T, C) mean and mean square of simulated answers."""
    crowd = model.recruit(CROWD, seed)
    problems = len(items.problems)
    person_R, problem_R = np.tile(np.arange(CROWD), problems), np.repeat(np.arange(problems), CROWD)
    value_RC = columns.encode(simulate_pairs(model, items, crowd, person_R, problem_R, seed))
    value_TNC = value_RC.reshape(problems, CROWD, -1)
    return value_TNC.mean(axis=1), (value_TNC**2).mean(axis=1)


def _planned_column(columns: Columns, mean_TC: Array) -> NDArray[np.int64]:
    """(T,) the column whose interval is planned: the scale's mean, else the share nearest to one half."""
    if columns.kinds[0] == "mean" and columns.names[0] == "":
        return np.zeros(len(mean_TC), dtype=np.int64)
    return np.asarray(np.abs(mean_TC - 0.5).argmin(axis=1), dtype=np.int64)


def spread_ratio(prior_T: Array, count_T: Counts, sum_T: Array, effective: float = 1.0) -> float:
    """How many times more the people spread than the crowd says, over the problems that they have answered."""
    freedom_T, sum_T = np.maximum(effective * count_T - 1, 0), effective * sum_T
    expected = float((prior_T * freedom_T).sum())
    ratio = float(sum_T[freedom_T > 0].sum()) / expected if expected > 0 else 1.0
    return float(np.clip(ratio, 0.25, 4.0)) if ratio > 0 else 1.0


def _explained(
    study: Study, references: References | None, model: CrowdModel, columns: Columns, column_T: NDArray[np.int64],
    value_R: Array, folds: int, seed: int, progress: Progress | None,
) -> tuple[float, LearningCurve | None]:  # fmt: skip
    """The part of the variance within problems that crowds leave for people they have not seen, and how it falls."""
    people = study.responses.people
    if folds < 2 or len(people) < 4 * folds:
        return 1.0, None
    half = np.sort(generator(seed, "plan:half").permutation(people)[: len(people) // 2])
    points = []
    for who in (half, people):
        part = study.subset(np.arange(len(study.problems)), who)
        inside = np.isin(study.responses.participant_R, who)
        weight_N = part.relative_weights_N
        found = cross_fit_people(
            part, references, model.config, columns, folds, seed, weights_N=weight_N, progress=progress
        )
        above_RC = found.above(part.responses)
        above_R = above_RC[np.arange(len(part.responses)), column_T[part.responses.problem_R]]
        points.append((len(part.responses) * (folds - 1) / folds, _left(value_R[inside], above_R, part)))
    (few, left_few), (many, left_many) = points
    return left_many, learning_curve((few, many), (left_few, left_many))


def _left(value_R: Array, above_R: Array, study: Study) -> float:
    """1 - rho^2 of answers and predictions within problems, between a twentieth and 1."""
    problem_R, count = study.responses.problem_R, len(study.problems)
    count_T = np.bincount(problem_R, minlength=count)
    use_R = (count_T[problem_R] > 1) & ~np.isnan(above_R)
    weight_R = np.ones(len(problem_R)) if study.responses.weight_R is None else study.responses.weight_R
    at, weight = problem_R[use_R], weight_R[use_R]
    total_T = np.bincount(at, weights=weight, minlength=count)

    def centred(of_R: Array) -> Array:
        sum_T = np.bincount(at, weights=weight * of_R[use_R], minlength=count)
        return np.asarray(of_R[use_R] - (sum_T / np.where(total_T > 0, total_T, 1.0))[at])

    y, f = centred(value_R), centred(above_R)
    product, spread = float((weight * y) @ f), float((weight * y) @ y) * float((weight * f) @ f)
    return float(np.clip(1 - (max(product, 0.0) ** 2 / spread if spread > 0 else 0.0), LEAST_LEFT, 1.0))


def _unasked(
    study: Study, references: References | None, model: CrowdModel, columns: Columns, column_T: NDArray[np.int64],
    value_R: Array, folds: int, level: float, seed: int, progress: Progress | None,
) -> tuple[float, float]:  # fmt: skip
    """The crowd's error on problems that it has no answer to, and half its conformal interval; NaN and infinity."""
    if folds < 2 or len(study.responses.answered) < max(2 * folds, LEAST_PROBLEMS):
        return np.nan, np.inf
    crowd_TC = cross_fit_problems(study, references, model.config, columns, folds, seed, progress=progress)
    crowd_T = crowd_TC[np.arange(len(study.problems)), column_T]
    people = within(value_R, study.responses.problem_R, len(study.problems), study.responses.weight_R)
    noise_T = np.divide(people.pooled, people.kish_T, out=np.full(len(crowd_T), np.nan), where=people.kish_T > 0)
    found = calibrate(people.mean_T - crowd_T, noise_T)
    return found.spread, found.half_width(level)


def _referenced(study: Study, references: References | None) -> NDArray[np.bool_]:
    """(T,) problems about which every source said something; all of them where there is no source."""
    heard_T = np.ones(len(study.problems), dtype=bool)
    for source in references.aligned(study.problems).sources if references else ():
        silent_TK = np.asarray(np.isnan(source.values_TKD).any(axis=2))
        said_T = ~silent_TK.all(axis=1)
        if source.distribution_TM is not None:
            said_T = said_T | ~np.isnan(source.distribution_TM).any(axis=1)
        heard_T &= said_T
    return heard_T


def _affordable(calls_T: Counts, prices: Prices) -> Counts:
    """The calls that leave at least half of the budget for humans, problem by problem in their order."""
    if prices.call == 0:
        return np.asarray(calls_T, dtype=np.int64)
    spent_T = np.cumsum(calls_T) * prices.call
    return np.where(spent_T <= prices.budget / 2, calls_T, 0).astype(np.int64)
