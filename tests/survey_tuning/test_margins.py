"""Answers calibrated to the known shares of a question's answers."""

from __future__ import annotations

import numpy as np
import pytest

from crowdllm.data.problems import Problems
from crowdllm.data.responses import Responses
from crowdllm.survey_tuning.answers import Shares
from crowdllm.survey_tuning.margins import PRIOR, fit_margins

PROBLEMS = Problems(np.array(["a", "b"], dtype=object), np.array(["A?", "B?"], dtype=object))


def shares(p_RM: np.ndarray) -> Shares:
    width = p_RM.shape[1]
    with np.errstate(divide="ignore"):
        log_p_RM = np.log(p_RM)
    values = np.tile(np.arange(width, dtype=float), (len(p_RM), 1))
    return Shares(log_p_RM, values, values + 1, np.zeros(len(p_RM)))


def answers(problem: int, given: np.ndarray, weight: np.ndarray | None = None) -> Responses:
    return Responses(np.arange(len(given)), np.full(len(given), problem), given[:, None].astype(float), weight)


def test_the_mean_over_the_people_is_the_share_of_their_answers() -> None:
    rng = np.random.default_rng(0)
    model = shares(rng.dirichlet([1, 2, 3], 4000))
    given = np.repeat([0, 1, 2], [2000, 1600, 400])
    found = fit_margins(model, PROBLEMS, answers(0, given)).apply(model, PROBLEMS, np.zeros(4000, dtype=np.int64))
    own = model.at(1.0).mean(axis=0)
    target = (np.array([2000, 1600, 400]) + PRIOR * own) / (4000 + PRIOR)
    assert found.at(1.0).mean(axis=0) == pytest.approx(target, abs=1e-8)


def test_people_still_differ_by_the_same_odds() -> None:
    """Offsets multiply odds: between two people the ratio of the odds of two answers is as it was."""
    model = shares(np.array([[0.2, 0.8], [0.6, 0.4]]))
    found = fit_margins(model, PROBLEMS, answers(0, np.array([0, 0]))).apply(model, PROBLEMS, np.array([0, 0])).at(1.0)
    odds = found[:, 0] / found[:, 1]
    assert odds[1] / odds[0] == pytest.approx((0.6 / 0.4) / (0.2 / 0.8))
    assert odds[0] > 0.2 / 0.8


def test_survey_weights_count_and_one_for_all_is_none() -> None:
    model = shares(np.array([[0.5, 0.5]] * 40))
    given = np.repeat([0, 1], [10, 30])
    asked = np.zeros(40, dtype=np.int64)
    weighted, same, plain = (
        fit_margins(model, PROBLEMS, answers(0, given, weight)).apply(model, PROBLEMS, asked).at(1.0)[0, 0]
        for weight in (np.repeat([3.0, 1.0], [10, 30]), np.full(40, 7.0), None)
    )
    assert weighted == pytest.approx((20 + PRIOR / 2) / (40 + PRIOR))  # 10 people who count three times: half of all
    assert same == pytest.approx(plain) == pytest.approx((10 + PRIOR / 2) / (40 + PRIOR))


def test_answers_that_nobody_gave_stay_possible_and_other_questions_stay_as_they_are() -> None:
    model = shares(np.array([[0.5, 0.3, 0.2], [0.1, 0.0, 0.9]]))
    margins = fit_margins(model, PROBLEMS, answers(0, np.array([0, 0])))
    found = margins.apply(model, PROBLEMS, np.array([0, 1]))
    assert margins.known(PROBLEMS, np.array([0, 1, 0])).tolist() == [True, False, True]
    assert 0 < found.at(1.0)[0, 2] < 0.2
    assert found.at(1.0)[1] == pytest.approx([0.1, 0.0, 0.9])
    assert found.log_p_RM[1, 1] == -np.inf
