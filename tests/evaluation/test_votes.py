"""Vote counts compared, and how much of a voter's ballot is found."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from crowdllm.errors import ConfigError, MismatchError
from crowdllm.evaluation.votes import VoteMetrics, recall_at_k, vote_counts, vote_metrics


def test_counts_are_scaled_to_the_number_of_voters() -> None:
    ballots = np.array([[1, 1, 0], [1, 0, 1.0]])
    np.testing.assert_array_equal(vote_counts(ballots), [2, 1, 1])
    np.testing.assert_array_equal(vote_counts(ballots, voters=36), [36, 18, 18])
    with pytest.raises(ConfigError, match="no ballots"):
        vote_counts(np.zeros((0, 3)), voters=36)


def test_vote_metrics_by_hand() -> None:
    found = vote_metrics(np.array([3.0, 4.0]), np.array([4.0, 3.0]))
    assert found == VoteMetrics(mae=1.0, rmse=1.0, cosine=pytest.approx(24 / 25), wd_heights=0.0)
    with pytest.raises(MismatchError):
        vote_metrics(np.ones(2), np.ones(3))


def test_recall_of_two_voters_by_hand() -> None:
    scores = np.array([[0.9, 0.8, 0.1, 0.0], [0.0, 0.1, 0.2, 0.3]])
    ballots = np.array([[1, 0, 1, 0], [0, 0, 1, 1.0]])
    assert recall_at_k(scores, ballots, k=2) == pytest.approx((0.5 + 1) / 2)


def test_knowing_nothing_recalls_k_of_m_whatever_the_order() -> None:
    ballots = np.zeros((2, 24))
    ballots[0, :5], ballots[1, -5:] = 1, 1
    assert recall_at_k(np.zeros((2, 24)), ballots) == pytest.approx(5 / 24)


def test_ties_for_the_last_place_count_by_their_chance() -> None:
    assert recall_at_k(np.array([[2.0, 1.0, 1.0, 0.0]]), np.array([[0, 1, 0, 0.0]]), k=2) == 0.5


def test_voters_without_a_pick_are_left_out() -> None:
    scores = np.array([[1.0, 0.0], [1.0, 0.0]])
    assert recall_at_k(scores, np.array([[1.0, 0], [0, 0]]), k=1) == 1
    assert np.isnan(recall_at_k(scores, np.zeros((2, 2)), k=1))


def test_options_that_are_not_there_are_never_taken() -> None:
    assert recall_at_k(np.array([[0.0, 0.0, -np.inf]]), np.array([[1, 1, 0.0]]), k=2) == 1


def test_missing_scores_are_refused() -> None:
    with pytest.raises(MismatchError, match="voter 1 contain NaN"):
        recall_at_k(np.array([[1.0, 0], [np.nan, 0]]), np.ones((2, 2)))
    with pytest.raises(ConfigError, match="at least 1"):
        recall_at_k(np.ones((2, 2)), np.ones((2, 2)), k=0)


@given(arrays(np.float64, (3, 6), elements=st.floats(-2, 2)), st.permutations(range(6)), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_recall_does_not_depend_on_the_order_of_options(scores: np.ndarray, order: list[int], k: int) -> None:
    ballots = np.array([[1, 0, 0, 1, 0, 1], [0, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1.0]])
    found = recall_at_k(scores, ballots, k)
    assert recall_at_k(scores[:, order], ballots[:, order], k) == pytest.approx(found)
    assert 0 <= found <= 1
