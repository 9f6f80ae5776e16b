"""What the crowd expects of given people, without ever having seen the answer that is predicted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crowdllm.belief.crowd_model import CrowdModel, fit_crowd
from crowdllm.config import CrowdConfig
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import ConfigError
from crowdllm.estimation.cross_fit import cross_fit_people, cross_fit_problems, fold_of
from crowdllm.estimation.estimands import Columns, make_columns
from crowdllm.estimation.predictions import crowd_columns, expected_columns, problem_blocks
from crowdllm.responses.protocol import Array

QUICK = CrowdConfig(
    max_epochs=2, belief_width=2, reference_penalties=(100.0,), embedding_penalties=(200.0,), effect_variances=(0.3,),
    profile_penalties=(80.0,), folds=2,
)  # fmt: skip


def whole(model: CrowdModel, study: Study, known: Responses, columns: Columns) -> Array:
    """(N, T, C) predictions for everybody."""
    out = np.full((len(study.profiles), len(study.problems), len(columns)), np.nan)
    for rows, problems, expected in expected_columns(model, model.items, study.profiles, known, columns, 0):
        out[np.ix_(rows, problems)] = expected
    return out


@pytest.fixture(scope="module", name="fitted")
def _fitted(make_known: Callable[..., Any]) -> tuple[Study, CrowdModel, Columns]:
    study = make_known("ordinal", people=40, problems=6).study
    return study, fit_crowd(study, None, QUICK), make_columns(study.response_type, study.problems, study.responses)


def test_expected_shares_add_up_and_give_the_expected_mean(fitted: tuple[Study, CrowdModel, Columns]) -> None:
    study, model, columns = fitted
    expected = whole(model, study, study.responses, columns)
    assert not np.isnan(expected).any()
    assert expected[..., 1:].sum(axis=2) == pytest.approx(np.ones(expected.shape[:2]))
    assert expected[..., 0] == pytest.approx(expected[..., 1:] @ np.arange(1.0, 6.0))


def test_a_persons_answer_does_not_enter_its_own_prediction(fitted: tuple[Study, CrowdModel, Columns]) -> None:
    study, model, columns = fitted
    before = whole(model, study, study.responses, columns)
    row = 0
    i, t = int(study.responses.participant_R[row]), int(study.responses.problem_R[row])
    values = study.responses.values_RD.copy()
    values[row] = 4.0 - values[row]  # the other end of the scale
    if values[row, 0] == 2.0:
        values[row] = 4.0
    after = whole(model, study, replace(study.responses, values_RD=values), columns)
    assert after[i, t] == pytest.approx(before[i, t])
    assert not np.allclose(after[i], before[i])  # it does enter the predictions of other problems
    others = np.delete(np.arange(len(study.profiles)), i)
    assert after[others] == pytest.approx(before[others])


def test_exact_expectations_agree_with_simulated_ones(fitted: tuple[Study, CrowdModel, Columns]) -> None:
    """The closed form for ordinal scales against the path that the other response types take."""
    from crowdllm.estimation.predictions import _simulated
    from crowdllm.methods.twins import twin_posterior

    study, model, columns = fitted
    few = study.profiles.take(np.arange(12))
    nobody = study.responses.take(np.zeros(0, dtype=np.int64))
    posterior = twin_posterior(model, model.items, few, nobody)
    drawn = np.mean(
        [_simulated(model, model.items, few, posterior, np.arange(6), columns, seed)[..., 0] for seed in range(12)],
        axis=0,
    )
    exact = whole(model, replace(study, profiles=few), nobody, columns)[..., 0]
    assert np.abs(drawn - exact).max() < 0.2  # 768 draws with an SD of about 1
    assert np.abs(drawn - exact).mean() < 0.05


@pytest.mark.parametrize("kind", ["choice", "ballot", "bounded", "points", "ranking"])
def test_every_response_type_has_predictions_between_its_ends(kind: str, make_known: Callable[..., Any]) -> None:
    study = make_known(kind, people=16, problems=3).study
    model = fit_crowd(study, None, QUICK)
    columns = make_columns(study.response_type, study.problems, study.responses)
    mean_TC, variance_TC = crowd_columns(model, model.items, model.recruit(20, 0), columns, 0)
    assert (mean_TC >= columns.low_C - 1e-9).all()
    assert (mean_TC <= columns.high_C + 1e-9).all()
    assert (variance_TC >= 0).all()


def test_each_problem_is_its_own_block_where_there_are_few() -> None:
    assert sorted(problem_blocks(3, 5, 0)) == [0, 1, 2]
    assert sorted(np.bincount(problem_blocks(23, 5, 0))) == [4, 4, 5, 5, 5]


def test_a_persons_prediction_comes_from_a_crowd_that_never_saw_the_person(make_known: Callable[..., Any]) -> None:
    """Every other answer of the person's fold may change: only what is known of the person itself enters."""
    study = make_known("ordinal", people=24, problems=5).study
    columns = make_columns(study.response_type, study.problems, study.responses)
    made = cross_fit_people(study, None, QUICK, columns, folds=2)
    person = int(study.responses.participant_R[0])
    same_fold = np.flatnonzero(made.fold_N == made.fold_N[person])
    changed = np.isin(study.responses.participant_R, same_fold[same_fold != person])
    values = np.where(changed[:, None], 4.0 - study.responses.values_RD, study.responses.values_RD)
    other = replace(study, responses=replace(study.responses, values_RD=values))
    again = cross_fit_people(other, None, QUICK, columns, folds=2)
    own = study.responses.participant_R == person
    assert again.expected_RC[own] == pytest.approx(made.expected_RC[own])


def test_predictions_are_centred_on_the_people_of_the_same_fold(make_known: Callable[..., Any]) -> None:
    study = make_known("ordinal", people=30, problems=5).study  # everybody answers everything
    columns = make_columns(study.response_type, study.problems, study.responses)
    made = cross_fit_people(study, None, QUICK, columns, folds=3)
    above = made.above(study.responses)
    fold_R = made.fold_N[study.responses.participant_R]
    if len(study.responses) == 150:
        for k in range(3):
            for t in range(5):
                assert above[(fold_R == k) & (study.responses.problem_R == t)].mean(axis=0) == pytest.approx(
                    0, abs=1e-9
                )
    assert np.isfinite(above).all()


def test_held_out_problems_are_predicted_without_their_answers(make_known: Callable[..., Any]) -> None:
    study = make_known("ordinal", people=30, problems=6).study
    columns = make_columns(study.response_type, study.problems, study.responses)
    held = cross_fit_problems(study, None, QUICK, columns, folds=3, crowd_size=50)
    fold = fold_of(6, 3, 0, "problems")
    own = np.isin(study.responses.problem_R, np.flatnonzero(fold == fold[0]))
    values = np.where(own[:, None], 4.0 - study.responses.values_RD, study.responses.values_RD)
    again = cross_fit_problems(
        replace(study, responses=replace(study.responses, values_RD=values)),
        None,
        QUICK,
        columns,
        folds=3,
        crowd_size=50,
    )
    assert again[fold == fold[0]] == pytest.approx(held[fold == fold[0]])
    assert not np.isnan(held).any()


def test_too_few_people_or_problems_for_the_folds_are_refused(make_known: Callable[..., Any]) -> None:
    study = make_known("ordinal", people=5, problems=2).study
    columns = make_columns(study.response_type, study.problems, study.responses)
    with pytest.raises(ConfigError, match="two people in each"):
        cross_fit_people(study, None, QUICK, columns, folds=3)
    with pytest.raises(ConfigError, match="answered problem in each"):
        cross_fit_problems(study, None, QUICK, columns, folds=3)
