"""Mean and median against NumPy and hand calculations."""

from __future__ import annotations

import numpy as np
import pytest

from crowdllm.aggregation import aggregate
from crowdllm.data.responses import Responses
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.ranking import Ranking

NUMPY = {"mean": np.mean, "median": np.median}


def responses(problem, values):
    values_RD = np.array(values, dtype=float).reshape(len(problem), -1)
    return Responses(np.arange(len(problem)), np.array(problem), values_RD)


def random_responses(seed, draw):
    rng = np.random.default_rng(seed)
    problem = rng.integers(0, 12, 200)
    problem[problem == 7] = 3
    return responses(problem, draw(rng, 200))


@pytest.mark.parametrize("method", NUMPY)
def test_ordinal_equals_numpy_on_the_points(method):
    scale = Ordinal(("a", "b", "c", "d"), points=(-3.0, 0.0, 1.0, 7.0))
    given = random_responses(1, lambda rng, n: rng.integers(0, 4, n))
    found = aggregate(given, scale, 12, 200, method)
    points_R = np.array(scale.points)[given.values_RD[:, 0].astype(int)]
    expected = [NUMPY[method](points_R[given.problem_R == t]) if t != 7 else np.nan for t in range(12)]
    np.testing.assert_allclose(found.decision_TD[:, 0], expected, rtol=1e-12)
    assert found.skill_N is None


@pytest.mark.parametrize("method", NUMPY)
def test_continuous_equals_numpy_and_has_no_distribution(method):
    given = random_responses(2, lambda rng, n: rng.normal(size=n))
    found = aggregate(given, Continuous(), 12, 200, method)
    values_R = given.values_RD[:, 0]
    expected = [NUMPY[method](values_R[given.problem_R == t]) if t != 7 else np.nan for t in range(12)]
    np.testing.assert_allclose(found.decision_TD[:, 0], expected, rtol=1e-12)
    assert found.distribution_TM is None


@pytest.mark.parametrize("method", NUMPY)
def test_points_equal_numpy_option_by_option(method):
    given = random_responses(3, lambda rng, n: rng.multinomial(10, [0.2, 0.5, 0.3], n))
    found = aggregate(given, Points(10, max_options=3), 12, 200, method)
    for t in range(12):
        expected = NUMPY[method](given.values_RD[given.problem_R == t], axis=0) if t != 7 else np.full(3, np.nan)
        np.testing.assert_allclose(found.decision_TD[t], expected, rtol=1e-12)


@pytest.mark.parametrize("method", NUMPY)
def test_distribution_is_the_shares_that_the_response_type_gives(method):
    cases = [
        (Ordinal(("1", "2", "3")), lambda rng, n: rng.integers(0, 3, n)),
        (Points(10, max_options=3), lambda rng, n: rng.multinomial(10, [0.2, 0.5, 0.3], n)),
        (Ballot(1, 3, max_options=3), lambda rng, n: np.maximum(rng.integers(0, 2, (n, 3)), np.eye(3)[0])),
        (Ranking(max_options=3), lambda rng, n: rng.permuted(np.tile([1, 2, 3], (n, 1)), axis=1)),
        (Ranking(2, max_options=3), lambda rng, n: rng.permuted(np.tile([1, 2, 0], (n, 1)), axis=1)),
    ]
    for response_type, draw in cases:
        given = random_responses(4, draw)
        found = aggregate(given, response_type, 12, 200, method)
        for t in range(12):
            expected = response_type.summarise(given.values_RD[given.problem_R == t])
            np.testing.assert_allclose(found.distribution_TM[t], expected, rtol=1e-12)


def test_median_between_two_levels_is_their_midpoint():
    found = aggregate(responses([0, 0, 0, 0], [0, 1, 4, 4]), Ordinal(tuple("12345")), 1, 4, "median")
    assert found.decision_TD[0, 0] == (2 + 5) / 2


def test_mean_of_ballots_is_the_share_that_picked_each_option():
    ballots = [[1, 1, 0, 0], [1, 0, 1, 0], [1, 0, 0, 0], [1, 1, 0, 0]]
    found = aggregate(responses([0, 0, 0, 0], ballots), Ballot(1, 2, max_options=4), 1, 4, "mean")
    np.testing.assert_array_equal(found.decision_TD, [[1, 0.5, 0.25, 0]])
    np.testing.assert_allclose(found.distribution_TM, [[4 / 7, 2 / 7, 1 / 7, 0]])


def test_mean_of_rankings_is_borda_points():
    """Two of three ranked: 2 points for the first, 1 for the second, 0 for the unranked."""
    ranked = [[1, 2, 0], [0, 1, 2], [1, 0, 2], [1, 2, 0]]
    found = aggregate(responses([0, 0, 0, 0], ranked), Ranking(2, max_options=3), 1, 4, "mean")
    np.testing.assert_array_equal(found.decision_TD, [[6 / 4, 4 / 4, 2 / 4]])


def test_ballots_that_pick_nothing_have_a_mean_but_no_shares():
    found = aggregate(responses([0, 0], [[0, 0], [0, 0]]), Ballot(0, 1, max_options=2), 1, 2, "mean")
    np.testing.assert_array_equal(found.decision_TD, [[0, 0]])
    assert np.isnan(found.distribution_TM).all()


def test_mean_does_not_depend_on_the_order_of_the_responses_to_the_last_bit():
    rng = np.random.default_rng(5)
    values, problem = rng.lognormal(sigma=8, size=400), rng.integers(0, 3, 400)
    first = aggregate(responses(problem, values), Continuous(), 3, 400, "mean").decision_TD
    for _ in range(5):
        order = rng.permutation(400)
        again = aggregate(responses(problem[order], values[order]), Continuous(), 3, 400, "mean").decision_TD
        np.testing.assert_array_equal(first, again)
