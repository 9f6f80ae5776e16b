"""Histograms, means and wide matrices of responses, against each response type's own `summarise`."""

from __future__ import annotations

import time

import numpy as np
import pytest

from crowdllm.data.responses import Responses
from crowdllm.errors import ConfigError, MismatchError
from crowdllm.evaluation.histograms import (
    histograms,
    level_counts,
    mean_decisions,
    option_totals,
    response_counts,
    variances,
    wide_matrix,
)
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.ranking import Ranking

T = 7
FIVE = Ordinal(("1", "2", "3", "4", "5"))


def responses(problem_R: list[int], values: object, participant_R: list[int] | None = None) -> Responses:
    values_RD = np.asarray(values, dtype=float).reshape(len(problem_R), -1)
    people = np.arange(len(problem_R)) if participant_R is None else np.asarray(participant_R)
    return Responses(people, np.asarray(problem_R), values_RD)


def legal_values(kind: object, rng: np.random.Generator, count: int) -> np.ndarray:
    if isinstance(kind, Ordinal | Choice):
        return rng.integers(0, 5, (count, 1)).astype(float)
    if isinstance(kind, Continuous):
        return rng.normal(10, 3, (count, 1))
    ranks = np.argsort(np.argsort(rng.random((count, 5)), axis=1), axis=1) + 1
    if isinstance(kind, Ballot):
        return (ranks <= rng.integers(1, 4, (count, 1))).astype(float)
    if isinstance(kind, Ranking):
        return np.where(ranks <= 3, ranks, 0).astype(float)
    return rng.multinomial(10, np.ones(5) / 5, size=count).astype(float)


@pytest.mark.parametrize(
    "kind",
    [FIVE, Choice(5), Continuous(), Ballot(1, 3, 5), Ranking(3, 5), Points(10, 1, 5)],
    ids=lambda k: k.kind,
)
def test_every_histogram_is_the_response_types_own_summary(kind: object) -> None:
    rng = np.random.default_rng(0)
    problem_R = rng.choice([0, 1, 2, 4, 6], size=60)
    problem_R[0] = 5
    problem_R[1:][problem_R[1:] == 5] = 4
    given = Responses(np.arange(60), problem_R, legal_values(kind, rng, 60))
    hist_TM = histograms(given, kind, T)
    for t in range(T):
        mine = given.values_RD[given.problem_R == t]
        assert (len(mine) > 0) == (t != 3), "problem 3 has no response, problem 5 exactly one"
        np.testing.assert_allclose(hist_TM[t], kind.summarise(mine), atol=1e-12)


def test_three_answers_make_thirds() -> None:
    hist_TM = histograms(responses([0, 0, 0, 2], [0, 0, 4, 1]), FIVE, 3)
    np.testing.assert_allclose(hist_TM[0], [2 / 3, 0, 0, 0, 1 / 3])
    np.testing.assert_allclose(hist_TM[2], [0, 1, 0, 0, 0])
    assert np.isnan(hist_TM[1]).all()


def test_borda_points_count_down_from_the_depth() -> None:
    ranked = responses([0, 0], [[1, 2, 0], [0, 1, 2]])
    np.testing.assert_array_equal(option_totals(ranked, Ranking(2, 3), 1), [[2, 3, 1]])


def test_mean_and_variance_use_the_points_of_the_scale() -> None:
    kind = Ordinal(("-3", "0", "3"))
    given = responses([0, 0, 1], [0, 2, 1])
    np.testing.assert_allclose(mean_decisions(given, kind, 3), [0, 0, np.nan])
    np.testing.assert_allclose(variances(given, kind, 3), [18, np.nan, np.nan])


def test_wide_matrix_leaves_unanswered_cells_missing() -> None:
    wide_NT = wide_matrix(responses([1, 0], [4, 2], [0, 2]), FIVE, 3, 2)
    np.testing.assert_array_equal(wide_NT, [[np.nan, 5], [np.nan, np.nan], [3, np.nan]])


def test_answering_twice_is_refused_not_overwritten() -> None:
    with pytest.raises(MismatchError, match="participant 1 answered problem 0 2 times"):
        wide_matrix(responses([0, 0, 1], [4, 2, 1], [1, 1, 1]), FIVE, 2, 2)


def test_level_beyond_the_scale_is_named() -> None:
    with pytest.raises(MismatchError, match="response 1 is 5, no position.*0 to 4"):
        histograms(responses([0, 0], [4, 5]), FIVE, 1)
    with pytest.raises(MismatchError, match=r"response 0 is 0.5"):
        level_counts(responses([0], [0.5]), FIVE, 1)


def test_problem_beyond_the_study_is_named() -> None:
    with pytest.raises(MismatchError, match="problem 3, but there are 2"):
        histograms(responses([3], [1]), FIVE, 2)


def test_choice_of_unknown_width_asks_for_it() -> None:
    with pytest.raises(ConfigError, match="max_options"):
        histograms(responses([0], [1]), Choice(), 1)
    np.testing.assert_array_equal(histograms(responses([0], [1]), Choice(), 1, max_options=3), [[0, 1, 0]])


def test_choices_have_no_mean() -> None:
    with pytest.raises(MismatchError, match="choice"):
        mean_decisions(responses([0], [1]), Choice(3), 1)


def test_no_responses_at_all_give_rows_of_nan() -> None:
    nobody = Responses(np.zeros(0, dtype=int), np.zeros(0, dtype=int), np.zeros((0, 1)))
    assert np.isnan(histograms(nobody, FIVE, 2)).all()
    assert np.isnan(histograms(nobody, Continuous(), 2)).all()
    np.testing.assert_array_equal(response_counts(nobody, 2), [0, 0])


@pytest.mark.parametrize("kind", [FIVE, Continuous(), Ballot(1, 3, 5)], ids=lambda k: k.kind)
def test_three_hundred_thousand_responses_take_no_loop(kind: object) -> None:
    rng = np.random.default_rng(0)
    given = Responses(np.arange(300_000), rng.integers(0, 20_000, 300_000), legal_values(kind, rng, 300_000))
    start = time.perf_counter()
    hist_TM = histograms(given, kind, 20_000)
    assert time.perf_counter() - start < 2, "a loop over 20,000 problems takes longer"
    assert len(hist_TM) == 20_000
