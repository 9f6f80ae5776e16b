"""catboost: profiles as they are, probabilities that are learned, and a hint where the package is missing."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import MissingExtraError
from crowdllm.methods import get_method
from crowdllm.methods.catboost import profile_features
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal

Known = Callable[..., Any]
COLUMNS = (
    ProfileColumn("region", "categorical", ("north", "south")),
    ProfileColumn("school", "ordinal", ("low", "middle", "high")),
    ProfileColumn("age", "numeric"),
)


@pytest.fixture
def _installed() -> None:
    pytest.importorskip("catboost", reason="pip install 'crowdllm[baselines]'")


@pytest.mark.parametrize("method", ["catboost", "answers-catboost"])
def test_without_the_package_the_install_command_is_given(
    method: str, make_known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "catboost", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'crowdllm\[baselines\]'"):
        get_method(method)(make_known("ordinal", people=20, problems=4).study, None, "tfidf", 0)


def test_profiles_are_categories_ranks_and_numbers_with_missing_ones_kept() -> None:
    values = np.array([[1.0, 2.0, 40.0], [np.nan, np.nan, np.nan]])
    numeric, words = profile_features(Profiles(COLUMNS, np.array(["a", "b"], dtype=object), values))
    np.testing.assert_array_equal(numeric, [[2.0, 40.0], [np.nan, np.nan]])
    assert words.tolist() == [[b"1"], [b"missing"]]


def regional(kind: Any, answer: Callable[[Any, Any], Any], people: int = 120) -> Study:
    """answer(region of each response, problem of each response) -> values; people alternate between two regions."""
    region = np.arange(people) % 2
    ids = np.array([f"p{i}" for i in range(people)], dtype=object)
    texts = np.array([f"a question about {word}" for word in ("apples", "bread", "cheese", "dates")], dtype=object)
    person, problem = np.repeat(np.arange(people), 4), np.tile(np.arange(4), people)
    profiles = Profiles(COLUMNS, ids, np.stack([region, region * 0, np.arange(people)], axis=1).astype(float))
    values = np.asarray(answer(region[person], problem), dtype=float)[:, None]
    return Study("regional", kind, Problems(texts, texts), profiles, Responses(person, problem, values))


@pytest.mark.usefixtures("_installed")
def test_a_category_decides_and_the_probability_is_its_share() -> None:
    """In the north everybody answers 1; in the south 2 and 4 are equally likely. Level 3 is never given."""
    rng = np.random.default_rng(0)
    study = regional(
        Ordinal(("1", "2", "3", "4")), lambda r, t: np.where(r == 0, 0, rng.choice([1, 3], size=len(r))), people=400
    )
    simulator = get_method("catboost")(study, None, "tfidf", 0)
    shares = simulator.level_probabilities(study.problems, None, study.profiles, study.responses, 0)
    assert shares is not None
    south = study.profiles.values_NC[study.responses.participant_R, 0] == 1
    assert shares[~south, 0].mean() > 0.95
    np.testing.assert_allclose(shares[south].mean(axis=0), [0, 0.5, 0, 0.5], atol=0.05)


@pytest.mark.usefixtures("_installed")
def test_numbers_have_the_spread_of_what_is_left_unexplained() -> None:
    noise = 2 * np.random.default_rng(1).normal(size=1600)
    study = regional(Continuous(), lambda r, t: 10 * r + noise, people=400)
    simulator = get_method("catboost")(study, None, "tfidf", 0)
    scores = simulator.log_scores(study.problems, None, study.profiles, study.responses, 0)
    assert scores is not None
    assert scores.mean() == pytest.approx(norm.logpdf(noise, scale=2).mean(), abs=0.1)


@pytest.mark.usefixtures("_installed")
def test_where_rows_cannot_be_told_apart_the_shares_of_all_are_predicted() -> None:
    study = regional(Ordinal(("1", "2", "3")), lambda r, t: t % 3)
    wordless = np.array(["?"] * 4, dtype=object)
    bare = Profiles((), study.profiles.ids, np.zeros((len(study.profiles), 0)))
    study = replace(study, profiles=bare, problems=replace(study.problems, texts=wordless))
    simulator = get_method("catboost")(study, None, "tfidf", 0)
    shares = simulator.level_probabilities(study.problems, None, bare, study.responses, 0)
    np.testing.assert_allclose(shares, np.tile(0.999 * np.array([0.5, 0.25, 0.25]) + 0.001 / 3, (480, 1)))


@pytest.mark.usefixtures("_installed")
def test_everybody_giving_one_answer_is_no_obstacle() -> None:
    study = regional(Ordinal(("1", "2", "3")), lambda r, t: 0 * r + 2)
    simulator = get_method("catboost")(study, None, "tfidf", 0)
    i, t = study.responses.participant_R, study.responses.problem_R
    np.testing.assert_array_equal(simulator.simulate(study.problems, None, study.profiles, i, t, 0), 2)
