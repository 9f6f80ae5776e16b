"""Majority vote by hand."""

from __future__ import annotations

import numpy as np

from crowdllm.aggregation import aggregate
from crowdllm.data.responses import Responses
from crowdllm.responses.choice import Choice
from crowdllm.responses.ordinal import Ordinal


def table(*rows):
    participant, problem, value = zip(*rows, strict=True)
    return Responses(np.array(participant), np.array(problem), np.array(value, dtype=float)[:, None])


def test_shares_decision_and_agreement():
    """The majorities are levels 2, 0 and 1. Person 0 agrees in 2 of 2, person 1 in 1 of 2, 2 in none."""
    votes = table((0, 0, 2), (1, 0, 2), (2, 0, 1), (0, 1, 0), (3, 1, 0), (1, 2, 0), (3, 2, 1), (4, 2, 1))
    found = aggregate(votes, Ordinal(("10", "20", "30")), 3, 6, "majority_vote")
    np.testing.assert_array_equal(found.decision_TD[:, 0], [30, 10, 20])
    np.testing.assert_allclose(found.distribution_TM, [[0, 1 / 3, 2 / 3], [1, 0, 0], [1 / 3, 2 / 3, 0]])
    np.testing.assert_array_equal(found.skill_N, [1, 0.5, 0, 1, 1, np.nan])


def test_a_tie_goes_to_the_lowest_level_in_either_order():
    scale = Ordinal(("1", "2", "3"))
    for rows in ([(0, 0, 2), (1, 0, 1)], [(0, 0, 1), (1, 0, 2)]):
        found = aggregate(table(*rows), scale, 1, 2, "majority_vote")
        assert found.decision_TD[0, 0] == 2


def test_choices_are_decided_by_position_and_wide_as_the_longest_list_of_options():
    found = aggregate(table((0, 0, 1), (0, 1, 0)), Choice(), 2, 1, "majority_vote", np.array([2, 4]))
    np.testing.assert_array_equal(found.decision_TD[:, 0], [1, 0])
    np.testing.assert_array_equal(found.distribution_TM, [[0, 1, 0, 0], [1, 0, 0, 0]])


def test_choices_without_known_options_are_as_wide_as_the_highest_position():
    found = aggregate(table((0, 0, 2)), Choice(), 1, 1, "majority_vote")
    np.testing.assert_array_equal(found.distribution_TM, [[0, 0, 1]])
