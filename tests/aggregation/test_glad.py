"""GLAD against its formulas, and what the method is for."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import approx_fprime
from scipy.stats import norm

from crowdllm.aggregation import aggregate
from crowdllm.aggregation import glad as glad_module
from crowdllm.aggregation.glad import negative_q
from crowdllm.data.responses import Responses
from crowdllm.responses.choice import Choice
from crowdllm.responses.ordinal import Ordinal

SCALE = Ordinal(("0", "1", "2"))


def table(*rows):
    participant, problem, value = zip(*rows, strict=True)
    return Responses(np.array(participant), np.array(problem), np.array(value, dtype=float)[:, None])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_first_e_step_by_hand():
    """With alpha = 1 and exp(b) = e, k votes weigh exp(k (e + log 2))."""
    votes = table((0, 0, 1), (1, 0, 1), (2, 0, 0), (0, 1, 2), (1, 1, 1))
    found = aggregate(votes, SCALE, 2, 3, "glad", max_iterations=1)
    vote = math.exp(math.e + math.log(2))
    np.testing.assert_allclose(found.distribution_TM[0], np.array([vote, vote**2, 1]) / (vote + vote**2 + 1))
    np.testing.assert_allclose(found.distribution_TM[1], np.array([1, vote, vote]) / (1 + 2 * vote))
    np.testing.assert_array_equal(found.decision_TD[:, 0], [1, 1])
    assert (found.iterations, found.converged) == (1, False)


def test_m_step_objective_is_the_expected_log_joint():
    """Summed over every response and level as in the paper, levels of the wrong kind included."""
    rng = np.random.default_rng(0)
    problems, people, levels, rows = 4, 3, 3, 20
    t, i, y = rng.integers(0, problems, rows), rng.integers(0, people, rows), rng.integers(0, levels, rows)
    posterior_TM = rng.dirichlet(np.ones(levels), problems)
    theta = rng.normal(size=people + problems)
    alpha, b = theta[:people], theta[people:]
    expected = norm.logpdf(alpha - 1).sum() + norm.logpdf(b - 1).sum()
    for r in range(rows):
        s = sigmoid(alpha[i[r]] * np.exp(b[t[r]]))
        for c in range(levels):
            likelihood = s if y[r] == c else (1 - s) / (levels - 1)
            expected += posterior_TM[t[r], c] * np.log(likelihood)
    wrong_R = 1 - posterior_TM[t, y]
    objective = negative_q(t, i, problems, people)
    constant = float(wrong_R.sum() * np.log(levels - 1))
    value, gradient = objective(theta, wrong_R, constant)
    np.testing.assert_allclose(-value, expected, rtol=1e-12)
    numeric = approx_fprime(theta, lambda x: objective(x, wrong_R, constant)[0], 1e-7)
    np.testing.assert_allclose(gradient, numeric, atol=1e-4)


def test_objective_holds_far_out_where_a_naive_sigmoid_overflows():
    objective = negative_q(np.array([0, 0]), np.array([0, 1]), 1, 2)
    value, gradient = objective(np.array([800.0, -800.0, 0.0]), np.array([0.0, 1.0]), 0.0)
    prior = norm.logpdf(799) + norm.logpdf(-801) + norm.logpdf(-1)
    np.testing.assert_allclose(value, -prior)
    np.testing.assert_allclose(gradient, [799, -801, -1])


def test_a_line_search_step_beyond_the_floating_point_range_is_refused():
    value, _ = negative_q(np.array([0]), np.array([0]), 1, 1)(np.array([0.0, 1e4]), np.array([0.5]), 0.0)
    assert value == math.inf


def test_ability_orders_people_by_their_accuracy():
    rng = np.random.default_rng(1)
    truth_T = rng.integers(0, 3, 300)
    accuracy_N = np.array([0.95, 0.8, 0.65, 0.5, 0.2])
    wrong = (truth_T + rng.integers(1, 3, (5, 300))) % 3
    value = np.where(rng.random((5, 300)) < accuracy_N[:, None], truth_T, wrong)
    participant, problem = np.indices((5, 300)).reshape(2, -1)
    votes = Responses(participant, problem, value.reshape(-1, 1).astype(float))
    found = aggregate(votes, SCALE, 300, 5, "glad")
    assert (np.diff(found.skill_N) < 0).all()
    assert (found.decision_TD[:, 0] == truth_T).mean() > 0.85
    assert found.converged


def test_an_option_the_problem_does_not_have_gets_probability_zero():
    """Problem 0 has two options, so a vote there weighs exp(e + log 1), and exp(e + log 2) on the others."""
    votes = table((0, 0, 0), (1, 0, 0), (2, 0, 1), (0, 1, 2), (1, 1, 1), (2, 1, 1))
    found = aggregate(votes, Choice(3), 2, 3, "glad", np.array([2, 3]), max_iterations=1)
    np.testing.assert_allclose(found.distribution_TM[0], [sigmoid(math.e), sigmoid(-math.e), 0])
    vote = math.exp(math.e + math.log(2))
    np.testing.assert_allclose(found.distribution_TM[1], np.array([1, vote**2, vote]) / (1 + vote + vote**2))


def test_a_problem_with_a_single_option_tells_nothing_about_people():
    votes = table((0, 0, 0), (1, 0, 1), (2, 0, 0), (0, 1, 0), (3, 1, 0))
    found = aggregate(votes, Choice(2), 2, 4, "glad", np.array([2, 1]))
    alone = aggregate(votes.take(np.arange(3)), Choice(2), 2, 4, "glad", np.array([2, 1]))
    np.testing.assert_array_equal(found.distribution_TM[1], [1, 0])
    np.testing.assert_allclose(found.skill_N[:3], alone.skill_N[:3], rtol=1e-3)
    assert found.skill_N[3] == 1


def test_labels_seen_in_blocks_give_the_same_result(monkeypatch):
    """Blocks of seven labels and of all of them; one problem that a block ends within, and one option too few."""
    rng = np.random.default_rng(2)
    rows = 200
    votes = Responses(rng.integers(0, 9, rows), rng.integers(0, 20, rows), rng.integers(0, 3, (rows, 1)).astype(float))
    votes = votes.take((votes.values_RD[:, 0] < 2) | (votes.problem_R != 4))
    option_counts = np.where(np.arange(20) == 4, 2, 3)
    whole = aggregate(votes, Choice(3), 20, 9, "glad", option_counts=option_counts, max_iterations=3)
    monkeypatch.setattr(glad_module, "BLOCK", 7)
    blocks = aggregate(votes, Choice(3), 20, 9, "glad", option_counts=option_counts, max_iterations=3)
    np.testing.assert_allclose(blocks.distribution_TM, whole.distribution_TM, atol=1e-6)
    np.testing.assert_allclose(blocks.skill_N, whole.skill_N, atol=1e-5)
