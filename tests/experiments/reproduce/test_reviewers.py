"""The paper's protocol for reviews: who is in which part, what leaks, and that what can be kept clean is."""

from __future__ import annotations

import numpy as np
import pytest

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.embedding import TFIDF
from crowdllm.errors import MismatchError
from crowdllm.experiments.comparison import Comparison
from crowdllm.experiments.reproduce.reviewers import TEXT_RIDGE, WIDTH, fit_text_ridge, score_reviewers, split_reviewers
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal

WORDS = ("awful broken", "poor weak", "okay average", "good nice", "perfect love")
PRODUCTS, EACH = 20, 8


def reviews(telling: bool = True) -> tuple[Study, tuple[str, ...]]:
    """Ratings at random, so that nothing but the review tells them; one user has reviewed everything."""
    rng = np.random.default_rng(0)
    product = np.repeat(np.arange(PRODUCTS), EACH)
    user = np.where(np.arange(PRODUCTS * EACH) % EACH == 0, 0, np.arange(PRODUCTS * EACH))
    users, person = np.unique(user, return_inverse=True)
    level = rng.integers(5, size=len(product))
    filler = rng.choice(["hair", "skin", "gift", "today", "week"], size=(len(product), 2))
    texts = tuple(" ".join([WORDS[k] if telling else "", *f]) for k, f in zip(level, filler, strict=True))
    study = Study(
        title="reviews",
        response_type=Ordinal(("1", "2", "3", "4", "5")),
        problems=Problems(
            np.array([f"P{t}" for t in range(PRODUCTS)], dtype=object),
            np.array([f"soap number {t}" for t in range(PRODUCTS)], dtype=object),
        ),
        profiles=Profiles((), np.array([f"u{i}" for i in users], dtype=object), np.zeros((len(users), 0))),
        responses=Responses(person.astype(np.int64), product, level[:, None].astype(float)),
    )
    return study, texts


def found(study: Study, texts: tuple[str, ...], method: str) -> dict[str, float]:
    comparison = Comparison(("random",))
    return {s.metric: s.value for s in score_reviewers(study, texts, None, comparison, method, 0)}


def test_each_review_is_a_person_of_its_own_and_products_are_in_one_part_only() -> None:
    study, texts = reviews()
    split = split_reviewers(study, texts, TFIDF, 0.2, 0)
    assert split.test.describe() == f"N={4 * EACH} T=4 R={4 * EACH}"
    assert split.train.describe() == f"N={16 * EACH} T=16 R={16 * EACH}"
    assert not set(split.train.problems.ids) & set(split.test.problems.ids)
    assert not set(split.train.profiles.ids) & set(split.test.profiles.ids)
    for part in (split.train, split.test):
        assert part.responses.participant_R.tolist() == list(range(len(part.profiles)))
        assert 1 <= len(part.profiles.columns) <= WIDTH
    # the person at each position is the one who gave that rating to that product
    whole = {f"review-{r:07d}": (study.problems.ids[t], v) for r, (t, v) in enumerate(
        zip(study.responses.problem_R, study.responses.values_RD[:, 0], strict=True))}  # fmt: skip
    for identity, t, v in zip(
        split.test.profiles.ids, split.test.responses.problem_R, split.test.responses.values_RD[:, 0], strict=True
    ):
        assert whole[identity] == (split.test.problems.ids[t], v)


def test_test_reviews_take_no_part_in_how_training_texts_become_numbers() -> None:
    study, texts = reviews()
    before = split_reviewers(study, texts, TFIDF, 0.2, 0)
    held = {int(i.removeprefix("review-")) for i in before.test.profiles.ids}
    changed = tuple("something else entirely" if r in held else text for r, text in enumerate(texts))
    after = split_reviewers(study, changed, TFIDF, 0.2, 0)
    np.testing.assert_array_equal(before.train.profiles.values_NC, after.train.profiles.values_NC)
    assert (before.test.profiles.values_NC != after.test.profiles.values_NC).any()


def test_reviews_that_tell_their_rating_give_it_away_and_others_do_not() -> None:
    telling = found(*reviews(), TEXT_RIDGE)
    silent = found(*reviews(telling=False), TEXT_RIDGE)
    assert telling["text_r2"] > 0.8
    assert silent["text_r2"] < 0.2
    assert telling["mae"] < silent["mae"]
    assert telling["nll"] < silent["nll"]


def test_methods_that_see_no_profile_have_no_use_for_the_leak() -> None:
    study, texts = reviews()
    scores = found(study, texts, "random")
    assert scores["nll"] == pytest.approx(np.log(5))
    assert scores["problems"] == 4
    assert {"mae", "rmse", "cosine", "avg_wd", "wd_heights", "kl", "js", "crps"} <= set(scores)
    assert "text_r2" not in scores


def test_a_ridge_without_any_word_gives_the_shares_of_the_training_ratings() -> None:
    study, _ = reviews()
    split = split_reviewers(study, tuple("" for _ in study.responses.participant_R), TFIDF, 0.2, 0)
    assert split.train.profiles.columns == ()
    shares = fit_text_ridge(split.train).shares(split.test.profiles)
    expected = np.bincount(split.train.responses.values_RD[:, 0].astype(int), minlength=5) / len(split.train.responses)
    np.testing.assert_allclose(shares, np.tile(expected, (len(split.test.profiles), 1)))


def test_texts_must_be_one_per_response_and_responses_ratings() -> None:
    study, texts = reviews()
    with pytest.raises(MismatchError, match="159 review texts for 160 responses"):
        split_reviewers(study, texts[1:], TFIDF, 0.2, 0)
    from dataclasses import replace

    with pytest.raises(MismatchError, match="not with continuous responses"):
        found(replace(study, response_type=Continuous()), texts, "random")
