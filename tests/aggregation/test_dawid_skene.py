"""Dawid-Skene by hand, and what the method is for."""

from __future__ import annotations

import numpy as np
import pytest

import crowdllm.aggregation.labels as labels_module
from crowdllm.aggregation import aggregate
from crowdllm.data.responses import Responses
from crowdllm.responses.choice import Choice
from crowdllm.responses.ordinal import Ordinal

SCALE = Ordinal(("1", "2"))


def table(*rows):
    participant, problem, value = zip(*rows, strict=True)
    return Responses(np.array(participant), np.array(problem), np.array(value, dtype=float)[:, None])


def simulated(seed, accuracy_N, problems=60, levels=3):
    """Everyone answers every problem, right with their own accuracy."""
    rng = np.random.default_rng(seed)
    truth_T = rng.integers(0, levels, problems)
    shape = len(accuracy_N), problems
    wrong = (truth_T + rng.integers(1, levels, shape)) % levels
    value = np.where(rng.random(shape) < np.array(accuracy_N)[:, None], truth_T, wrong)
    participant, problem = np.indices(shape).reshape(2, -1)
    return Responses(participant, problem, value.reshape(-1, 1).astype(float)), truth_T


def test_one_iteration_by_hand():
    """Person 0 says level 1 twice; persons 1 and 2 say 2 to problem 0 and 1 to problem 1.

    Shares (1/3, 2/3) and (1, 0), so p = (2/3, 1/3). Person 0 only ever says 1: no evidence. Persons 1 and 2:
    e[2|1] = (1/3) / (4/3) = 1/4 and e[2|2] = 1 (but for the floor of 1e-10). Problem 0: 2/3 (1/4)^2 against
    1/3, 1 to 8; problem 1: (1, 0). Then p = (5/9, 4/9), e[1|1] = 1 / (1 + 1/9) = 9/10, e[2|2] = 1, and the
    expected accuracies are 5/9 * 1 + 4/9 * 0 and 5/9 * 9/10 + 4/9 * 1.
    """
    votes = table((0, 0, 0), (0, 1, 0), (1, 0, 1), (1, 1, 0), (2, 0, 1), (2, 1, 0))
    found = aggregate(votes, SCALE, 2, 3, "dawid_skene", max_iterations=1)
    np.testing.assert_allclose(found.distribution_TM, [[1 / 9, 8 / 9], [1, 0]], atol=1e-8)
    np.testing.assert_allclose(found.skill_N, [5 / 9, 17 / 18, 17 / 18], atol=1e-8)
    np.testing.assert_array_equal(found.decision_TD[:, 0], [2, 1])
    assert (found.iterations, found.converged) == (1, False)


def test_a_tie_goes_to_the_lowest_level():
    """With persons 0 and 1 of that table, problem 0 is 3/4 * 1/3 against 1/4 * 1."""
    votes = table((0, 0, 0), (0, 1, 0), (1, 0, 1), (1, 1, 0))
    found = aggregate(votes, SCALE, 2, 2, "dawid_skene")
    np.testing.assert_allclose(found.distribution_TM[0], [1 / 2, 1 / 2], atol=1e-8)
    assert found.decision_TD[0, 0] == 1


def test_two_experts_outvote_three_guessers():
    votes, truth_T = simulated(0, [0.97, 0.97, 0.4, 0.4, 0.4], problems=400)
    skilled = aggregate(votes, Ordinal(("0", "1", "2")), 400, 5, "dawid_skene")
    majority = aggregate(votes, Ordinal(("0", "1", "2")), 400, 5, "majority_vote")
    right = (skilled.decision_TD[:, 0] == truth_T).mean()
    assert right > (majority.decision_TD[:, 0] == truth_T).mean()
    assert right > 0.93
    assert skilled.skill_N[:2].min() > skilled.skill_N[2:].max()
    assert skilled.converged


def test_skill_estimates_the_accuracy_of_each_person():
    """Ten thousand answers each: the standard error is at most .005."""
    accuracy_N = [0.9, 0.8, 0.7, 0.6, 0.5]
    votes, _ = simulated(1, accuracy_N, problems=10_000)
    found = aggregate(votes, Ordinal(("0", "1", "2")), 10_000, 5, "dawid_skene")
    np.testing.assert_allclose(found.skill_N, accuracy_N, atol=0.03)


def test_an_option_the_problem_does_not_have_gets_probability_zero():
    """One person only ever says option 0, alone on problem 0: no evidence, so its posterior is the prior.

    On the other 28 problems four people agree, 8 times on option 0 and 10 times each on options 1 and 2. With
    the one person's share for problem 0, p = (9, 10, 10) / 29; without option 2 it is (9, 10) / 19.
    """
    agreed = [0] * 8 + [1] * 10 + [2] * 10
    rows = [(i, t, level) for t, level in enumerate(agreed, start=1) for i in range(4)] + [(4, 0, 0)]
    counts = np.array([2] + [3] * 28)
    free = aggregate(table(*rows), Choice(3), 29, 5, "dawid_skene", max_iterations=1)
    masked = aggregate(table(*rows), Choice(3), 29, 5, "dawid_skene", counts, max_iterations=1)
    np.testing.assert_allclose(free.distribution_TM[0], [9 / 29, 10 / 29, 10 / 29])
    np.testing.assert_allclose(masked.distribution_TM[0], [9 / 19, 10 / 19, 0])
    assert masked.decision_TD[0, 0] == 1


def test_levels_that_nobody_gave_change_nothing():
    votes, _ = simulated(2, [0.8, 0.7, 0.6], levels=2)
    narrow = aggregate(votes, Ordinal(("0", "1")), 60, 3, "dawid_skene")
    wide = aggregate(votes, Ordinal(("0", "1", "2", "3")), 60, 3, "dawid_skene")
    np.testing.assert_array_equal(wide.distribution_TM[:, :2], narrow.distribution_TM)
    np.testing.assert_array_equal(wide.distribution_TM[:, 2:], 0)
    np.testing.assert_array_equal(wide.skill_N, narrow.skill_N)


@pytest.mark.parametrize("method", ["majority_vote", "dawid_skene", "glad"])
def test_sorting_by_columns_where_a_single_key_would_overflow_gives_the_same(method, monkeypatch):
    votes, _ = simulated(3, [0.8, 0.7, 0.6])
    votes = votes.take(np.random.default_rng(0).permutation(len(votes)))
    by_key = aggregate(votes, Ordinal(("0", "1", "2")), 60, 3, method)
    monkeypatch.setattr(labels_module, "KEY_LIMIT", 0)
    by_columns = aggregate(votes, Ordinal(("0", "1", "2")), 60, 3, method)
    np.testing.assert_array_equal(by_key.distribution_TM, by_columns.distribution_TM)
    np.testing.assert_array_equal(by_key.skill_N, by_columns.skill_N)
