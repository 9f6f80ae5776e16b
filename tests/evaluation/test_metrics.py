"""Distances and scores with numbers worked out by hand, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from crowdllm.errors import MismatchError
from crowdllm.evaluation import distances
from crowdllm.evaluation.metrics import (
    DecisionMetrics,
    HistogramMetrics,
    average_rows,
    crps,
    crps_ensemble,
    decision_metrics,
    histogram_metrics,
    mae,
    nll,
    rmse,
)
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal

FIVE = Ordinal(("1", "2", "3", "4", "5"))
P = np.array([[0.5, 0.5, 0, 0, 0]])
Q = np.array([[0, 0.5, 0, 0, 0.5]])


def shares(rows: int = 3, columns: int = 5) -> st.SearchStrategy[np.ndarray]:
    weights = arrays(np.float64, (rows, columns), elements=st.floats(0, 1))
    return weights.map(lambda w: (w + 1e-9) / (w + 1e-9).sum(axis=1, keepdims=True))


def test_distances_of_two_bars_by_hand() -> None:
    assert distances.cosine(P, Q)[0] == pytest.approx(0.25 / 0.5)
    assert distances.wasserstein(P, Q, FIVE)[0] == pytest.approx(2.0), "half the people move four levels"
    assert distances.wasserstein_heights(P, Q)[0] == 0, "the same heights in another order"
    assert distances.js(P, Q)[0] == pytest.approx(0.5 * np.log(2)), "half of the mass does not overlap"


def test_heights_are_compared_in_order_of_size() -> None:
    p, q = np.array([[0.1, 0.9, 0.0]]), np.array([[0.5, 0.2, 0.3]])
    assert distances.wasserstein_heights(p, q)[0] == pytest.approx((0.2 + 0.2 + 0.4) / 3)


def test_wasserstein_counts_the_points_between_levels() -> None:
    stretched = Ordinal(("1", "2", "3"), points=(0.0, 1.0, 10.0))
    p, q = np.array([[0, 1.0, 0]]), np.array([[0, 0, 1.0]])
    assert distances.wasserstein(p, q, stretched)[0] == 9


def test_kl_of_an_empty_level_is_finite_and_by_hand() -> None:
    p, q = np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]])
    expected = 0.5 * np.log(0.5 / 0.95) + 0.5 * np.log(0.5 / 0.05)
    assert distances.kl(p, q, epsilon=0.1)[0] == pytest.approx(expected)


def test_smoothing_spreads_over_the_problems_own_options_only() -> None:
    smoothed = distances.smooth(np.array([[1.0, 0.0, 0.0]]), 0.1, np.array([2]))
    np.testing.assert_allclose(smoothed, [[0.95, 0.05, 0]])


def test_options_a_problem_does_not_have_change_nothing() -> None:
    p, q = np.array([[0.7, 0.3]]), np.array([[0.4, 0.6]])
    padded_p, padded_q = np.pad(p, ((0, 0), (0, 3))), np.pad(q, ((0, 0), (0, 3)))
    narrow = histogram_metrics(p, q, Choice(2), np.array([2]))
    wide = histogram_metrics(padded_p, padded_q, Choice(5), np.array([2]))
    assert wide.wd_heights == pytest.approx(narrow.wd_heights)
    assert wide.kl == pytest.approx(narrow.kl)
    assert wide.cosine == pytest.approx(narrow.cosine)


@given(shares(), shares())
@settings(max_examples=60, deadline=None)
def test_distances_are_symmetric_and_bounded(p: np.ndarray, q: np.ndarray) -> None:
    points = FIVE.points
    np.testing.assert_allclose(distances.cosine(p, q), distances.cosine(q, p))
    np.testing.assert_allclose(distances.js(p, q), distances.js(q, p), atol=1e-12)
    wd = distances.wasserstein_points(p, q, points)
    np.testing.assert_allclose(wd, distances.wasserstein_points(q, p, points))
    assert (wd >= np.abs((p - q) @ np.array(points)) - 1e-9).all(), "never below the difference of means"
    assert (distances.js(p, q) <= np.log(2) + 1e-9).all()
    assert (distances.js(p, q) >= -1e-9).all()


@given(shares(), shares(), st.permutations(range(5)))
@settings(max_examples=40, deadline=None)
def test_only_the_scale_distance_knows_the_order_of_levels(p: np.ndarray, q: np.ndarray, order: list[int]) -> None:
    for distance in (distances.cosine, distances.js, distances.kl, distances.wasserstein_heights):
        np.testing.assert_allclose(distance(p[:, order], q[:, order]), distance(p, q), atol=1e-9)
    reverse = slice(None, None, -1)
    np.testing.assert_allclose(
        distances.wasserstein(p[:, reverse], q[:, reverse], FIVE),
        distances.wasserstein(p, q, FIVE),
        atol=1e-9,
    )


@given(shares())
@settings(max_examples=30, deadline=None)
def test_equal_histograms_are_no_distance_apart(p: np.ndarray) -> None:
    np.testing.assert_allclose(distances.cosine(p, p), 1)
    np.testing.assert_allclose(distances.wasserstein(p, p, FIVE), 0)
    np.testing.assert_allclose(distances.js(p, p), 0, atol=1e-12)
    assert (distances.kl(p, p) <= -np.log(1 - distances.EPSILON) + 1e-12).all()


def test_nearly_empty_levels_do_not_make_js_infinite() -> None:
    tiny = np.array([[5e-324, 1.0]])
    assert distances.js(np.array([[0.0, 1.0]]), tiny)[0] == pytest.approx(0)


def test_nominal_options_have_no_wasserstein_distance() -> None:
    for kind in (Choice(5), Ballot(1, 2, 5)):
        scores = histogram_metrics(P, Q, kind)
        assert np.isnan(scores.avg_wd)
        assert scores.cosine == pytest.approx(0.5)


def test_continuous_quantiles_have_only_a_wasserstein_distance() -> None:
    scores = histogram_metrics(np.array([[0.0, 1.0, 2.0]]), np.array([[1.0, 1.0, 4.0]]), Continuous())
    assert scores.avg_wd == 1
    assert np.isnan([scores.cosine, scores.wd_heights, scores.kl, scores.js]).all()


def test_problems_that_one_side_did_not_answer_are_left_out_and_counted() -> None:
    missing = np.full((1, 5), np.nan)
    p = np.concatenate([P, missing, P, missing])
    q = np.concatenate([Q, Q, missing, missing])
    scores = histogram_metrics(p, q, FIVE)
    assert (scores.problems, scores.no_human, scores.no_crowd) == (1, 2, 1)
    assert scores.avg_wd == pytest.approx(2.0)


def test_nothing_to_compare_is_nan_not_zero() -> None:
    missing = np.full((1, 5), np.nan)
    assert np.isnan(histogram_metrics(P, missing, FIVE).cosine)
    assert np.isnan(mae(np.array([np.nan]), np.array([1.0])))


def test_scales_ignore_option_counts_of_zero() -> None:
    assert histogram_metrics(P, Q, FIVE, np.array([0])) == histogram_metrics(P, Q, FIVE)


def test_decision_errors_by_hand() -> None:
    human, simulated = np.array([1, 2, 3, np.nan]), np.array([2, 2, np.nan, 1])
    assert decision_metrics(human, simulated) == DecisionMetrics(0.5, np.sqrt(0.5), 2)
    assert (mae(human, simulated), rmse(human, simulated)) == (0.5, np.sqrt(0.5))
    with pytest.raises(MismatchError, match="4 human and 3 simulated"):
        decision_metrics(human, simulated[:3])


def test_log_score_by_hand() -> None:
    p_RM = np.array([[0.5, 0.5], [0.25, 0.75]])
    assert nll(p_RM, np.array([0, 1])) == pytest.approx(-(np.log(0.5) + np.log(0.75)) / 2)
    assert nll(np.array([[1.0, 0.0]]), np.array([1])) == np.inf, "an impossible answer is not smoothed away"


def test_ranked_probability_score_by_hand() -> None:
    p_RM = np.array([[0.2, 0.5, 0.3]])
    assert crps(p_RM, np.array([1]), (1, 2, 3)) == pytest.approx(0.2**2 + 0.3**2)
    assert crps(p_RM, np.array([0]), (0, 1, 3)) == pytest.approx(0.8**2 + 2 * 0.3**2)
    assert crps(np.array([[0, 0, 1.0]]), np.array([0]), (1, 2, 4)) == 3, "a sure answer scores its distance"


@given(shares(4, 5), arrays(np.int64, 4, elements=st.integers(0, 4)))
@settings(max_examples=40, deadline=None)
def test_ranked_probability_score_is_the_energy_form(p_RM: np.ndarray, level_R: np.ndarray) -> None:
    points = np.array([-3.0, -1.0, 0.0, 2.0, 7.0])
    apart = np.abs(points[:, None] - points)
    energy = [p @ apart[y] - p @ apart @ p / 2 for p, y in zip(p_RM, level_R, strict=True)]
    assert crps(p_RM, level_R, points) == pytest.approx(np.mean(energy))


def test_ensemble_score_by_hand_and_against_all_pairs() -> None:
    assert crps_ensemble(np.array([[0.0, 2.0]]), np.array([1.0])) == pytest.approx(1 - 0.5)
    rng = np.random.default_rng(0)
    sample, value = rng.normal(size=(3, 7)), rng.normal(size=3)
    pairs = np.abs(sample[:, :, None] - sample[:, None]).mean(axis=(1, 2)) / 2
    assert crps_ensemble(sample, value) == pytest.approx((np.abs(sample - value[:, None]).mean(1) - pairs).mean())


def test_ensemble_of_levels_scores_as_its_histogram() -> None:
    sample = np.array([[1.0, 1, 2, 5]])
    histogram = np.array([[0.5, 0.25, 0, 0, 0.25]])
    assert crps_ensemble(sample, np.array([3.0])) == pytest.approx(crps(histogram, np.array([2]), FIVE.points))


@pytest.mark.parametrize("score", [nll, lambda p, y: crps(p, y, (1, 2, 3))], ids=["nll", "crps"])
def test_the_true_distribution_has_the_best_expected_score(score: object) -> None:
    truth = np.array([0.2, 0.5, 0.3])

    def expected(prediction: np.ndarray) -> float:
        return sum(truth[y] * score(prediction[None], np.array([y])) for y in range(3))

    for other in ([0.3, 0.4, 0.3], [0.2, 0.45, 0.35], [0.05, 0.8, 0.15]):
        assert expected(truth) < expected(np.array(other))


def test_predictions_and_responses_must_match() -> None:
    with pytest.raises(MismatchError, match="1 predictions for 2 responses"):
        nll(np.ones((1, 2)), np.array([0, 1]))
    with pytest.raises(MismatchError, match="position 2"):
        crps(np.ones((1, 2)) / 2, np.array([2]), (1, 2))


def test_averaging_keeps_counts_whole_and_lets_nan_through() -> None:
    rows = [
        HistogramMetrics(1.0, np.nan, 0.0, 0.0, 0.0, 4, 0, 1),
        HistogramMetrics(0.5, 1.0, 0.0, 0.0, 0.0, 4, 0, 1),
    ]
    mean = average_rows(rows)
    assert (mean.cosine, mean.problems, mean.no_crowd) == (0.75, 4, 1)
    assert np.isnan(mean.avg_wd)
