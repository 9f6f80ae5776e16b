"""From responses in long form to one histogram, mean, or wide row per problem, without a loop over problems.

Every metric starts here. A histogram is what the response type's `summarise` gives, for all problems at once:
level or option shares that add up to 1 (picks, points or Borda points over their total for ballots, points
and rankings), quantiles for continuous responses, NaN for a problem nobody answered. Where responses carry survey
weights (`Responses.weight_R`) each counts by its weight, so that all of these are the population's.

Shapes: N participants, T problems, R responses, D response width, M levels or options (or quantiles).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.responses import Responses
from crowdllm.errors import ConfigError, MismatchError
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import QUANTILES, Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.protocol import Array, ResponseType
from crowdllm.responses.ranking import Ranking


def histograms(responses: Responses, response_type: ResponseType, problem_count: int, max_options: int = 0) -> Array:
    """(T, M) summary of the responses to each problem; rows of NaN where there are none.

    max_options: M for choices whose response type does not carry it.

    Raises MismatchError for a problem or a level beyond those there are, ConfigError where M is not known.
    """
    require_problems(responses, problem_count)
    if isinstance(response_type, Continuous):
        return _quantiles(responses, problem_count)
    if isinstance(response_type, Ordinal | Choice):
        counts_TM = level_counts(responses, response_type, problem_count, max_options)
    else:
        counts_TM = option_totals(responses, response_type, problem_count)
    total_T1 = counts_TM.sum(axis=1, keepdims=True)
    return np.divide(counts_TM, total_T1, out=np.full_like(counts_TM, np.nan), where=total_T1 > 0)


def level_counts(responses: Responses, response_type: ResponseType, problem_count: int, max_options: int = 0) -> Array:
    """(T, M) how many people (or how much weight) gave each level (ordinal) or option (choice).

    Raises as `histograms`.
    """
    width = response_type.summary_width(max_options)
    if width < 1:
        raise ConfigError(
            "the number of options of a choice is not known: pass max_options or set it on the response type"
        )
    value_R = responses.values_RD[:, 0]
    wrong = np.flatnonzero(~((value_R == np.floor(value_R)) & (value_R >= 0) & (value_R < width)))
    if len(wrong):
        raise MismatchError(
            f"response {wrong[0]} is {value_R[wrong[0]]:g}, no position of a level or option: "
            f"allowed are 0 to {width - 1}; use the response type that the responses were encoded with"
        )
    cell_R = responses.problem_R * width + value_R.astype(np.int64)
    counts = np.bincount(cell_R, responses.weight_R, minlength=problem_count * width)
    return counts.reshape(problem_count, width).astype(float)


def option_totals(responses: Responses, response_type: ResponseType, problem_count: int) -> Array:
    """(T, D) picks, points, or Borda points (depth + 1 - rank) per option, summed over those who answered."""
    values_RD = responses.values_RD
    if isinstance(response_type, Ranking) and len(values_RD):
        depth_R1 = values_RD.max(axis=1, keepdims=True)
        values_RD = np.where(values_RD > 0, depth_R1 + 1 - values_RD, 0.0)
    if responses.weight_R is not None:
        values_RD = values_RD * responses.weight_R[:, None]
    width = values_RD.shape[1]
    cell_RD = responses.problem_R[:, None] * width + np.arange(width)
    totals = np.bincount(cell_RD.ravel(), weights=values_RD.ravel(), minlength=problem_count * width)
    return np.asarray(totals, dtype=float).reshape(problem_count, width)


def response_counts(responses: Responses, problem_count: int) -> NDArray[np.int64]:
    """(T,) how many people answered each problem. Raises MismatchError for a problem that is not there."""
    require_problems(responses, problem_count)
    return np.bincount(responses.problem_R, minlength=problem_count)


def effective_counts(responses: Responses, problem_count: int) -> NDArray[np.int64] | Array:
    """(T,) how many people without survey weights tell as much as those who answered (Kish: (sum w)^2 / sum w^2).

    Simply how many answered where there are no weights. Raises as `response_counts`.
    """
    if responses.weight_R is None:
        return response_counts(responses, problem_count)
    require_problems(responses, problem_count)
    sum_T, square_T = (np.bincount(responses.problem_R, responses.weight_R**p, minlength=problem_count) for p in (1, 2))
    return np.divide(sum_T**2, square_T, out=np.zeros(problem_count), where=square_T > 0)


def numbers(responses: Responses, response_type: ResponseType) -> Array:
    """(R,) each response as a number: the points of its level, or the number itself.

    Raises MismatchError for response types whose responses are not numbers (choices, ballots, points,
    rankings).
    """
    if isinstance(response_type, Continuous):
        return responses.values_RD[:, 0]
    if isinstance(response_type, Ordinal):
        return np.asarray(response_type.points)[responses.values_RD[:, 0].astype(np.int64)]
    raise MismatchError(
        f"responses of type {response_type.kind!r} are no numbers, so they have no mean, spread or "
        "correlation; these need an ordinal or continuous response type"
    )


def is_scale(response_type: ResponseType) -> bool:
    """Whether responses are numbers on a scale (ordinal, continuous), so that means and distances exist."""
    return isinstance(response_type, Ordinal | Continuous)


def mean_decisions(responses: Responses, response_type: ResponseType, problem_count: int) -> Array:
    """(T,) mean response to each problem, in the scale's points; NaN for no response. Raises as `numbers`."""
    number_R, weight_R = numbers(responses, response_type), responses.weight_R
    count_T: NDArray[Any] = response_counts(responses, problem_count)
    if weight_R is not None:
        number_R, count_T = number_R * weight_R, np.bincount(responses.problem_R, weight_R, minlength=problem_count)
    sum_T = np.bincount(responses.problem_R, weights=number_R, minlength=problem_count)
    return np.divide(sum_T, count_T, out=np.full(problem_count, np.nan), where=count_T > 0)


def variances(responses: Responses, response_type: ResponseType, problem_count: int) -> Array:
    """(T,) unbiased variance of the responses to each problem (divisor n - 1); NaN for fewer than two.

    With survey weights the divisor is sum w - sum w^2 / sum w, which is n - 1 where all weights are 1.
    """
    count_T = response_counts(responses, problem_count)
    residual_R = (
        numbers(responses, response_type)
        - (mean_decisions(responses, response_type, problem_count)[responses.problem_R])
    )
    weight_R = responses.weight_R
    if weight_R is not None:
        square_T = np.bincount(responses.problem_R, weights=residual_R**2 * weight_R, minlength=problem_count)
        sum_T, double_T = (np.bincount(responses.problem_R, weight_R**p, minlength=problem_count) for p in (1, 2))
        free_T = sum_T - np.divide(double_T, sum_T, out=np.zeros(problem_count), where=sum_T > 0)
        return np.divide(square_T, free_T, out=np.full(problem_count, np.nan), where=count_T > 1)
    square_T = np.bincount(responses.problem_R, weights=residual_R**2, minlength=problem_count)
    return np.divide(square_T, count_T - 1, out=np.full(problem_count, np.nan), where=count_T > 1)


def wide_matrix(responses: Responses, response_type: ResponseType, participant_count: int, problem_count: int) -> Array:
    """(N, T) responses as numbers, NaN where a person did not answer a problem.

    Raises MismatchError where a person answered a problem twice (there is no telling which to keep), and as
    `numbers`.
    """
    require_problems(responses, problem_count)
    cell_R = responses.participant_R * problem_count + responses.problem_R
    unique, count = np.unique(cell_R, return_counts=True)
    if (count > 1).any():
        person, problem = divmod(int(unique[np.argmax(count > 1)]), problem_count)
        raise MismatchError(
            f"participant {person} answered problem {problem} {count.max()} times; "
            "keep one response per participant and problem"
        )
    wide_NT = np.full((participant_count, problem_count), np.nan)
    wide_NT[responses.participant_R, responses.problem_R] = numbers(responses, response_type)
    return wide_NT


def require_problems(responses: Responses, problem_count: int) -> None:
    """Raise MismatchError where a response is to a problem beyond `problem_count`."""
    if len(responses) and (responses.problem_R.max() >= problem_count or responses.problem_R.min() < 0):
        raise MismatchError(
            f"a response is to problem {responses.problem_R.max()}, but there are {problem_count} problems "
            "(counted from 0): pass the responses together with the study they belong to"
        )


def _quantiles(responses: Responses, problem_count: int) -> Array:
    """`Continuous.summarise` of every problem: interpolates between order statistics, as np.quantile does."""
    if responses.weight_R is not None:
        return _weighted_quantiles(responses, problem_count)
    count_T = np.bincount(responses.problem_R, minlength=problem_count)
    value_R = responses.values_RD[:, 0]
    sorted_R = value_R[np.lexsort((value_R, responses.problem_R))]
    answered = np.flatnonzero(count_T)
    first_A1 = (np.cumsum(count_T) - count_T)[answered, None]
    place_AM = (count_T[answered, None] - 1) * (np.arange(QUANTILES) + 0.5) / QUANTILES
    below_AM = np.floor(place_AM).astype(np.int64)
    above_AM = np.minimum(below_AM + 1, count_T[answered, None] - 1)
    low_AM, high_AM = sorted_R[first_A1 + below_AM], sorted_R[first_A1 + above_AM]
    quantiles_TM = np.full((problem_count, QUANTILES), np.nan)
    quantiles_TM[answered] = low_AM + (place_AM - below_AM) * (high_AM - low_AM)
    return quantiles_TM


def _weighted_quantiles(responses: Responses, problem_count: int) -> Array:
    assert responses.weight_R is not None
    at_M = (np.arange(QUANTILES) + 0.5) / QUANTILES
    order = np.argsort(responses.problem_R, kind="stable")
    cuts = np.cumsum(np.bincount(responses.problem_R, minlength=problem_count))
    quantiles_TM = np.full((problem_count, QUANTILES), np.nan)
    for t, rows in enumerate(np.split(order, cuts[:-1])):
        if len(rows):
            quantiles_TM[t] = weighted_quantile(responses.values_RD[rows, 0], responses.weight_R[rows], at_M)
    return quantiles_TM


def weighted_quantile(value_R: Array, weight_R: Array, at_M: Array) -> Array:
    """(M,) quantiles of weighted numbers, linear between them; np.quantile where all weights are the same.

    Each number stands in the middle of its weight, and the first and the last are the quantiles 0 and 1.
    """
    order = np.argsort(value_R, kind="stable")
    weight = weight_R[order]
    middle = np.cumsum(weight) - weight / 2
    span = middle[-1] - middle[0]
    place = (middle - middle[0]) / span if span > 0 else np.zeros(len(middle))
    return np.interp(at_M, place, value_R[order])
