"""Human responses as the population's fit needs them: distinct answers with counts, however many people gave them.

Ten million answers on five levels to 2,000 problems are 10,000 distinct (problem, response) pairs. Numbers on a
continuous scale are nearly all distinct; beyond `MANY` of them, two points with the same number, mean and variance
stand for a problem's answers between the bounds, which leaves the normal log-likelihood what it is. With survey weights
an answer counts as often as its person's weight says (the pseudo-likelihood of the population).

Shapes: R responses, B distinct answers, T problems, D response width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.data.responses import Responses
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.protocol import Array, ResponseType
from crowdllm.rng import generator

MANY = 200_000  # numbers (see `burden`) in the responses that are seen at once
BALLOT = 8  # a ballot's likelihood is an integral over some eighty points
Index = NDArray[np.int64]


def burden(response_type: ResponseType, options: int) -> int:
    """How many numbers a response stands for in memory and time: 1 on scales, else one per option, more for ballots."""
    if not response_type.has_options:
        return 1
    return max(1, options) * (BALLOT if response_type.kind == "ballot" else 1)


@dataclass(frozen=True)
class Answers:
    """Distinct (problem, response) pairs with their counts: all that the likelihood needs when people are many.

    person_B: who answered, where people are few; None otherwise. count_B: how many gave the answer, or their weight.
    """

    problem_B: Index
    values_BD: Array
    count_B: Array
    person_B: Index | None = None

    @staticmethod
    def of(responses: Responses, by_person: bool = False, response_type: ResponseType | None = None) -> Answers:
        """by_person: keep people apart. response_type: of a continuous one, very many answers may be put together."""
        if by_person:
            _, person = np.unique(responses.participant_R, return_inverse=True)
            weight_R = responses.weight_R
            count_R = np.ones(len(responses)) if weight_R is None else weight_R
            return Answers(responses.problem_R, responses.values_RD, count_R, person)
        if not len(responses):
            return Answers(responses.problem_R, responses.values_RD, np.zeros(0))
        if isinstance(response_type, Continuous) and len(responses) > MANY:
            return _two_points(responses, response_type)
        problem_B, values_BD, pair_R = distinct_pairs(responses)
        count_B = np.bincount(pair_R, responses.weight_R, minlength=len(problem_B))
        return Answers(problem_B, values_BD, count_B.astype(float))

    def take(self, rows: NDArray[np.bool_]) -> Answers:
        """The answers where the mask holds."""
        person = None if self.person_B is None else self.person_B[rows]
        return Answers(self.problem_B[rows], self.values_BD[rows], self.count_B[rows], person)


def distinct_pairs(responses: Responses) -> tuple[Index, Array, Index]:
    """(B,) problems and (B, D) values of the distinct answers, rising, and (R,) which of them each response is."""
    if responses.values_RD.shape[1] != 1:
        table = np.c_[responses.problem_R, responses.values_RD]
        rows, pair_R = np.unique(table, axis=0, return_inverse=True)
        return rows[:, 0].astype(np.int64), rows[:, 1:], pair_R.reshape(-1)
    code_R, value_U = pd.factorize(responses.values_RD[:, 0], sort=True)
    values = max(len(value_U), 1)
    key_R = responses.problem_R * values + code_R
    cells = (int(responses.problem_R.max(initial=0)) + 1) * values
    if cells <= 4 * len(responses):  # a table of all pairs is no larger than the responses
        occurs = np.zeros(cells, dtype=bool)
        occurs[key_R] = True
        key_B, pair_R = np.flatnonzero(occurs), (np.cumsum(occurs) - 1)[key_R]
    else:
        key_B, pair_R = np.unique(key_R, return_inverse=True)
    return key_B // values, np.asarray(value_U, dtype=float)[key_B % values, None], pair_R


def _two_points(responses: Responses, scale: Continuous) -> Answers:
    """Per problem, the counts at each bound, and two points for what lies between.

    Points m - d and m + s^2 / d, d the distance of the mean m to the least answer, with weights s^2 and d^2 over their
    sum: they have the mean m and the variance s^2, and neither lies beyond the answers.
    """
    value_R, problem_R = responses.values_RD[:, 0], responses.problem_R
    low = -np.inf if scale.low is None else scale.low
    high = np.inf if scale.high is None else scale.high
    inside_R = (value_R > low) & (value_R < high)
    problems = int(problem_R.max()) + 1
    at, x = problem_R[inside_R], value_R[inside_R]
    weight_R = responses.weight_R
    weight = None if weight_R is None else weight_R[inside_R]
    count_T = np.bincount(at, weight, minlength=problems).astype(float)
    total_T = np.where(count_T > 0, count_T, 1)
    mean_T = np.bincount(at, x if weight is None else x * weight, problems) / total_T
    square = (x - mean_T[at]) ** 2
    variance_T = np.bincount(at, square if weight is None else square * weight, problems) / total_T
    least_T = mean_T.copy()
    np.minimum.at(least_T, at, x)
    away_T = mean_T - least_T
    varied_T = (variance_T > 0) & (away_T > 0)
    upper_T = mean_T + np.divide(variance_T, away_T, out=np.zeros(problems), where=varied_T)
    upper_T = np.minimum(upper_T, np.nextafter(high, -np.inf))  # rounding must not take it to the bound
    share_T = np.divide(variance_T, variance_T + away_T**2, out=np.zeros(problems), where=varied_T)
    edges = [
        np.bincount(problem_R[side], None if weight_R is None else weight_R[side], minlength=problems)
        for side in (value_R <= low, value_R >= high)
    ]
    values = np.concatenate([least_T, upper_T, np.full(problems, low), np.full(problems, high)])
    counts = np.concatenate([count_T * share_T, count_T * (1 - share_T), *edges])
    answers = Answers(np.tile(np.arange(problems), 4), values[:, None], counts)
    return answers.take(counts > 0)


def some_people(responses: Responses, most: int, seed: int) -> Responses:
    """The responses of random people, at most so many responses; all of them where they are no more.

    A single person's are kept whole, and somebody's always.
    """
    if len(responses) <= most:
        return responses
    answers_N = np.bincount(responses.participant_R)
    order = generator(seed, "population:some people").permutation(np.flatnonzero(answers_N))
    kept = order[: max(1, int(np.searchsorted(np.cumsum(answers_N[order]), most, side="right")))]
    chosen_N = np.zeros(len(answers_N), dtype=bool)
    chosen_N[kept] = True
    return responses.take(chosen_N[responses.participant_R])
