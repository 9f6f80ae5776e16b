"""svr: its factorised predictions against scikit-learn's, its calibration against a known one, and what it learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import MismatchError
from crowdllm.methods import get_method, svr
from crowdllm.methods.individual import Rows
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal

Known = Callable[..., Any]


def rows_of(count: int, items: int, people: int, rng: np.random.Generator) -> Rows:
    return Rows(
        rng.integers(0, items, count), rng.integers(0, people, count), rng.normal(size=count), np.arange(count) % 5 == 0
    )


@pytest.mark.parametrize("asked", [4000, 7], ids=["nearly all pairs", "a few pairs"])
def test_predictions_by_parts_are_those_of_scikit_learn(asked: int) -> None:
    """k(x, x') k(v, v') is the Gaussian kernel of both laid side by side."""
    from sklearn.svm import SVR

    rng = np.random.default_rng(0)
    x, v, rows = rng.normal(size=(12, 3)), rng.normal(size=(30, 2)), rows_of(200, 12, 30, rng)
    fitted = svr._train(rows, x, v, gamma=0.4, cost=1.0)
    both = np.c_[x[rows.item_O], v[rows.person_O]]
    unit = rows.target_O.std()
    oracle = SVR(gamma=0.4, C=1.0, epsilon=0.1).fit(both, (rows.target_O - rows.target_O.mean()) / unit)
    item, person = rng.integers(0, 12, asked), rng.integers(0, 30, asked)
    expected = oracle.predict(np.c_[x[item], v[person]]) * unit + rows.target_O.mean()
    np.testing.assert_allclose(fitted(x, v, item, person), expected, atol=1e-9)


def test_the_probit_of_the_levels_in_the_score_is_found() -> None:
    """P(y <= m) = Phi(tau_m - 1.5 f) with cuts -1, 0.5, 2 and 40,000 responses."""
    rng = np.random.default_rng(1)
    score = rng.normal(2.0, 0.7, 40_000)
    level = (1.5 * score[:, None] + rng.normal(size=(40_000, 1)) > np.array([-1.0, 0.5, 2.0])).sum(axis=1)
    np.testing.assert_allclose(svr.fit_probit(score, level, 4), [-1.0, 0.5, 2.0, 1.5], atol=0.12)


def test_a_level_that_nobody_gave_keeps_a_small_probability() -> None:
    rng = np.random.default_rng(2)
    found = svr.fit_probit(rng.normal(size=500), rng.integers(0, 2, 500), 4)
    below = norm.cdf(found[:3])
    assert 0 < 1 - below[2] < 0.01


def test_blocks_are_scaled_to_the_same_mean_length() -> None:
    rng = np.random.default_rng(3)
    wide, narrow, constant = 7 * rng.normal(size=(50, 4)), 0.1 * rng.normal(size=(50, 2)), np.ones((50, 1))
    scaled = svr.Scaler.fit(wide, narrow, constant)(np.c_[wide, narrow, constant])
    for block in (scaled[:, :4], scaled[:, 4:6]):
        np.testing.assert_allclose(block.mean(axis=0), 0, atol=1e-12)
        assert (block**2).sum(axis=1).mean() == pytest.approx(1)
    np.testing.assert_array_equal(scaled[:, 6], 0)


def two_groups(kind: Any, low: float, high: float, people: int = 60) -> Study:
    """Everybody in the north answers `low` on every problem and everybody in the south `high`."""
    from crowdllm.data.problems import Problems

    column = ProfileColumn("region", "categorical", ("north", "south"))
    region = np.arange(people) % 2
    ids = np.array([f"p{i}" for i in range(people)], dtype=object)
    texts = np.array([f"a question about {word}" for word in ("apples", "bread", "cheese", "dates")], dtype=object)
    person, problem = np.repeat(np.arange(people), 4), np.tile(np.arange(4), people)
    values = np.where(region[person] == 0, low, high)[:, None].astype(float)
    return Study(
        "two groups", kind, Problems(texts, texts), Profiles((column,), ids, region[:, None].astype(float)),
        Responses(person, problem, values),
    )  # fmt: skip


def test_people_with_another_profile_are_predicted_to_answer_otherwise() -> None:
    study = two_groups(Ordinal(("1", "2", "3", "4")), 0, 3)
    simulator = get_method("svr")(study, None, "tfidf", 0)
    shares = simulator.level_probabilities(study.problems, None, study.profiles, study.responses, 0)
    assert shares is not None
    given = study.responses.values_RD[:, 0].astype(int)
    assert shares[np.arange(len(given)), given].min() > 0.9


def test_numbers_have_the_spread_of_what_is_left_unexplained() -> None:
    """Region explains 10 of the difference; normal noise with SD 2 is left."""
    study = two_groups(Continuous(), 0, 10, people=400)
    noise = 2 * np.random.default_rng(4).normal(size=(len(study.responses), 1))
    study = replace(study, responses=replace(study.responses, values_RD=study.responses.values_RD + noise))
    simulator = get_method("svr")(study, None, "tfidf", 0)
    scores = simulator.log_scores(study.problems, None, study.profiles, study.responses, 0)
    assert scores is not None
    ideal = norm.logpdf(noise, scale=2).mean()
    assert scores.mean() == pytest.approx(ideal, abs=0.06)


def test_more_responses_than_are_used_are_drawn_from_and_none_is_a_mismatch(
    make_known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    train = svr._train

    def counting(rows: Rows, *rest: Any) -> Any:
        seen.append(len(rows))
        return train(rows, *rest)

    monkeypatch.setattr(svr, "_train", counting)
    monkeypatch.setattr(svr, "MOST_ROWS", 100)
    study = make_known("ordinal", people=40, problems=8).study
    get_method("svr")(study, None, "tfidf", 0)
    assert max(seen) == 100
    empty = replace(study, responses=study.responses.take(np.zeros(0, dtype=np.int64)))
    with pytest.raises(MismatchError, match="'svr' needs training responses"):
        get_method("svr")(empty, None, "tfidf", 0)
