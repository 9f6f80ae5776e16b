"""Prediction from known answers: encoding by hand, ridge against scikit-learn's, and both methods on a known copy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import MismatchError
from crowdllm.methods import answers_catboost, answers_ridge, get_method
from crowdllm.methods.answers import AnswerInputs
from crowdllm.responses.choice import Choice
from crowdllm.responses.ordinal import Ordinal

Known = Callable[..., Any]
NAN = float("nan")
THREE = Ordinal(("1", "2", "5"), points=(1.0, 2.0, 5.0))
METHODS = ("answers-ridge", "answers-catboost")


@pytest.fixture(autouse=True)
def _installed(request: pytest.FixtureRequest) -> None:
    callspec = getattr(request.node, "callspec", None)
    if callspec and callspec.params.get("method") == "answers-catboost":
        pytest.importorskip("catboost", reason="pip install 'crowdllm[baselines]'")


def wide(kind: Any, level_NT: Any, options: tuple[tuple[str, ...], ...] = ()) -> Study:
    """Level positions of N people on T problems, NaN where somebody did not answer."""
    level_NT = np.asarray(level_NT, dtype=float)
    people, problems = level_NT.shape
    ids = [np.array([f"{letter}{i}" for i in range(n)], dtype=object) for letter, n in (("p", people), ("q", problems))]
    person, problem = np.nonzero(~np.isnan(level_NT))
    return Study(
        "wide", kind, Problems(ids[1], ids[1], options), Profiles((), ids[0], np.zeros((people, 0))),
        Responses(person, problem, level_NT[person, problem][:, None]),
    )  # fmt: skip


# --- what is seen of a person -------------------------------------------------------------------------------


def test_levels_enter_by_their_points_and_missing_answers_stay_missing() -> None:
    study = wide(THREE, [[0, 2], [NAN, 1]])
    found = AnswerInputs.of(study, "x").encode(study.problems, study.responses, 2)
    np.testing.assert_array_equal(found, [[1, 5], [NAN, 2]])


def test_options_enter_as_a_column_each() -> None:
    study = wide(Choice(3), [[1, 2], [0, NAN]], (("k", "l"), ("k", "l", "m")))
    found = AnswerInputs.of(study, "x").encode(study.problems, study.responses, 2)
    np.testing.assert_array_equal(found, [[0, 1, 0, 0, 1], [1, 0, NAN, NAN, NAN]])


def test_problems_are_found_by_their_id_and_others_are_not_taken_for_them() -> None:
    study = wide(THREE, [[0, 2, NAN], [1, 1, NAN]])
    inputs = AnswerInputs.of(study, "x")
    ids = np.array(["q1", "new", "q0", "q2"], dtype=object)
    assert inputs.positions(Problems(ids, ids)).tolist() == [1, -1, 0, -1], "nobody answered q2"
    choice = wide(Choice(2), [[0.0], [1.0]], (("k", "l"),))
    other = replace(choice.problems, options=(("k", "n"),))
    assert AnswerInputs.of(choice, "x").positions(other).tolist() == [-1]


# --- ridge ------------------------------------------------------------------------------------------------------


def test_ridge_from_moments_is_the_ridge_regression_on_the_known_answers() -> None:
    """Answers -1 and 1, equally frequent: every input has variance 1, and the penalty is that per person."""
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    people = 20_000
    attitude = rng.normal(size=(people, 1))
    level = (attitude + rng.normal(size=(people, 4)) > 0).astype(float)
    study = wide(Ordinal(("-1", "1")), level)
    inputs = AnswerInputs.of(study, "x")
    a = inputs.encode(study.problems, study.responses, people)
    moments = answers_ridge._moments(a, answers_ridge._indicators(study, 2), study)
    ridge = Ridge(alpha=0.3 * people).fit(a[:, [0, 2]], level[:, 3])
    for known in ([1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]):
        found = answers_ridge._given(moments, np.array([known[0], NAN, known[1], NAN]), 0.3)
        assert found[3, 1] == pytest.approx(ridge.predict([known])[0], abs=0.003)
        np.testing.assert_allclose(found.sum(axis=1), 1)


def test_nothing_known_gives_the_problems_own_shares() -> None:
    study = wide(THREE, [[0, 2], [0, 1], [1, 2], [0, NAN]])
    a = AnswerInputs.of(study, "x").encode(study.problems, study.responses, 4)
    moments = answers_ridge._moments(a, answers_ridge._indicators(study, 3), study)
    pooled = np.array([3, 2, 2]) / 7  # counts as one more answer to each problem
    expected = [(np.array([3, 1, 0]) + pooled) / 5, (np.array([0, 1, 2]) + pooled) / 4]
    np.testing.assert_allclose(answers_ridge._given(moments, np.array([NAN, NAN]), 1.0), expected)


def test_the_typical_number_of_known_answers_counts_a_choice_once() -> None:
    given = np.array([[0, 1, NAN, NAN], [0, 1, 1, 0], [0, 1, 1, 0]])
    assert answers_ridge._typical_count(given, np.array([0, 0, 1, 1])) == 2


# --- both -------------------------------------------------------------------------------------------------------


def copies(people: int, seed: int) -> Study:
    """Four problems that everybody answers alike (1 or 5, evenly), and a fifth answered by a coin."""
    rng = np.random.default_rng(seed)
    same, coin = rng.choice([0, 2], size=(people, 1)), rng.choice([0, 2], size=(people, 1))
    return wide(THREE, np.c_[np.repeat(same, 4, axis=1), coin])


@pytest.mark.parametrize("method", METHODS)
def test_one_known_answer_tells_the_others_that_go_with_it_and_not_the_coin(method: str) -> None:
    train, test = copies(400, 0), copies(50, 1)
    known = test.responses.take(test.responses.problem_R == 0)
    asked = test.responses.take(test.responses.problem_R > 0)
    simulator: Any = get_method(method)(train, None, "tfidf", 0)
    told = simulator.knowing(test.problems, None, test.profiles, known, 0)
    shares = told.level_probabilities(test.problems, None, test.profiles, asked, 0)
    given = shares[np.arange(len(asked)), asked.values_RD[:, 0].astype(int)]
    assert given[asked.problem_R < 4].min() > 0.85
    np.testing.assert_allclose(given[asked.problem_R == 4], 0.5, atol=0.12)
    before = simulator.level_probabilities(test.problems, None, test.profiles, asked, 0)
    np.testing.assert_allclose(before[:, [0, 2]], 0.5, atol=0.08)


@pytest.mark.parametrize("method", METHODS)
def test_a_known_answer_to_the_problem_itself_is_not_used_to_predict_it_by_trees(method: str) -> None:
    """Ridge may: it then only says what is already known."""
    train, test = copies(400, 0), copies(50, 1)
    simulator: Any = get_method(method)(train, None, "tfidf", 0)
    told = simulator.knowing(test.problems, None, test.profiles, test.responses, 0)
    coin = test.responses.take(test.responses.problem_R == 4)
    shares = told.level_probabilities(test.problems, None, test.profiles, coin, 0)
    given = shares[np.arange(len(coin)), coin.values_RD[:, 0].astype(int)]
    if method == "answers-catboost":
        np.testing.assert_allclose(given, 0.5, atol=0.15)
    else:
        assert given.min() > 0.5


@pytest.mark.parametrize("method", METHODS)
def test_profiles_alone_are_used_where_nothing_is_known(method: str, make_known: Known) -> None:
    study = make_known("ordinal", people=300, problems=5, strength=2.0, missing=0.0).study
    bare = replace(study, profiles=Profiles((), study.profiles.ids, np.zeros((300, 0))))
    scores = []
    for part in (study, bare):
        simulator = get_method(method)(part, None, "tfidf", 0)
        found = simulator.log_scores(part.problems, None, part.profiles, part.responses, 0)
        assert found is not None
        scores.append(found.mean())
    assert scores[0] > scores[1] + 0.02


def test_so_many_problems_that_it_would_take_too_long_or_too_much_are_refused(
    make_known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_known("ordinal", people=20, problems=6).study
    monkeypatch.setattr(answers_ridge, "MOST_NUMBERS", 100)
    with pytest.raises(MismatchError, match="6 problems are too many"):
        get_method("answers-ridge")(study, None, "tfidf", 0)
    pytest.importorskip("catboost", reason="pip install 'crowdllm[baselines]'")
    monkeypatch.setattr(answers_catboost, "MOST_PROBLEMS", 5)
    with pytest.raises(MismatchError, match=r"6 are too many \(at most 5\)"):
        get_method("answers-catboost")(study, None, "tfidf", 0)
