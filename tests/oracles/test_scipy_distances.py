"""The batched distances, correlations and intervals against SciPy and pandas, row by row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.spatial import distance as spatial

from crowdllm.evaluation import distances
from crowdllm.evaluation.coherence import pairwise_correlation
from crowdllm.evaluation.intervals import mean_interval, paired_difference
from crowdllm.responses.continuous import QUANTILES, Continuous
from crowdllm.responses.ordinal import Ordinal

RNG = np.random.default_rng(7)
P, Q = RNG.dirichlet(np.full(6, 0.4), size=40), RNG.dirichlet(np.full(6, 0.4), size=40)
SCALE = Ordinal(tuple("abcdef"), points=(-3.0, -1.0, 0.0, 0.5, 2.0, 7.0))


def by_row(function: object) -> np.ndarray:
    return np.array([function(p, q) for p, q in zip(P, Q, strict=True)])


def test_wasserstein_on_the_scale_is_scipys() -> None:
    expected = by_row(lambda p, q: stats.wasserstein_distance(SCALE.points, SCALE.points, p, q))
    np.testing.assert_allclose(distances.wasserstein(P, Q, SCALE), expected)


def test_response_type_and_batch_agree_on_the_distance() -> None:
    np.testing.assert_allclose(distances.wasserstein(P, Q, SCALE), by_row(SCALE.distance))


def test_wasserstein_between_heights_is_scipys_on_samples() -> None:
    np.testing.assert_allclose(distances.wasserstein_heights(P, Q), by_row(stats.wasserstein_distance))


def test_wasserstein_between_quantiles_is_scipys_on_samples() -> None:
    p, q = RNG.normal(size=(5, QUANTILES)), RNG.normal(1, 2, size=(5, QUANTILES))
    p.sort(axis=1)
    q.sort(axis=1)
    expected = [stats.wasserstein_distance(a, b) for a, b in zip(p, q, strict=True)]
    np.testing.assert_allclose(distances.wasserstein(p, q, Continuous()), expected)


def test_cosine_is_scipys() -> None:
    np.testing.assert_allclose(distances.cosine(P, Q), 1 - by_row(spatial.cosine))


def test_jensen_shannon_is_the_square_of_scipys_distance() -> None:
    np.testing.assert_allclose(distances.js(P, Q), by_row(spatial.jensenshannon) ** 2, atol=1e-12)


def test_kl_is_scipys_entropy_of_the_smoothed_histogram() -> None:
    expected = by_row(lambda p, q: stats.entropy(p, 0.95 * q + 0.05 / 6))
    np.testing.assert_allclose(distances.kl(P, Q, epsilon=0.05), expected)


@pytest.mark.parametrize("min_pairs", [2, 12])
def test_pairwise_correlation_is_pandas(min_pairs: int) -> None:
    x_NT = RNG.normal(size=(30, 1)) + RNG.normal(size=(30, 8)) + 1000
    x_NT[RNG.random(x_NT.shape) < 0.4] = np.nan
    expected = pd.DataFrame(x_NT).corr(min_periods=min_pairs).to_numpy()
    assert np.isnan(expected).any() == (min_pairs == 12), "the case must exercise the limit"
    np.testing.assert_allclose(pairwise_correlation(x_NT, min_pairs), expected, atol=1e-8)


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_interval_over_seeds_is_scipys_t_interval(level: float) -> None:
    values = RNG.normal(3, 1, size=10)
    low, high = stats.ttest_1samp(values, 0).confidence_interval(level)
    found = mean_interval(values, level)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_paired_difference_is_scipys_paired_t_interval() -> None:
    first, second = RNG.normal(size=10), RNG.normal(size=10)
    low, high = stats.ttest_rel(first, second).confidence_interval(0.95)
    found = paired_difference(first, second)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
