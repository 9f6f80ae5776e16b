"""What must hold whatever the responses: order, names, unanimity, and rows that add up to 1."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crowdllm.aggregation import AGGREGATORS, aggregate
from crowdllm.data.responses import Responses
from crowdllm.responses.ordinal import Ordinal

PEOPLE, PROBLEMS, SCALE = 5, 6, Ordinal(("-2", "0", "1", "5"))
LABEL_METHODS = ("majority_vote", "dawid_skene", "glad")
methods = pytest.mark.parametrize("method", AGGREGATORS)
cells = st.tuples(st.integers(0, PEOPLE - 1), st.integers(0, PROBLEMS - 1), st.integers(0, 3))
crowds = st.lists(cells, max_size=40)
quickly = settings(max_examples=40, deadline=None, derandomize=True)


def table(rows):
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Responses(columns[:, 0], columns[:, 1], columns[:, 2:].astype(float))


def run(rows, method):
    return aggregate(table(rows), SCALE, PROBLEMS, PEOPLE, method)


@methods
@quickly
@given(crowd=crowds, data=st.data())
def test_the_order_of_the_responses_changes_not_one_bit(method, crowd, data):
    first, again = run(crowd, method), run(data.draw(st.permutations(crowd)), method)
    np.testing.assert_array_equal(first.decision_TD, again.decision_TD)
    np.testing.assert_array_equal(first.distribution_TM, again.distribution_TM)
    if method in LABEL_METHODS:
        np.testing.assert_array_equal(first.skill_N, again.skill_N)


@methods
@quickly
@given(crowd=crowds, names=st.permutations(range(PEOPLE)))
def test_renaming_the_participants_permutes_their_skills(method, crowd, names):
    first = run(crowd, method)
    renamed = run([(names[i], t, y) for i, t, y in crowd], method)
    np.testing.assert_allclose(renamed.distribution_TM, first.distribution_TM, atol=1e-6)
    if method in LABEL_METHODS:
        np.testing.assert_allclose(renamed.skill_N[list(names)], first.skill_N, atol=1e-4)


@methods
@quickly
@given(
    level_T=st.lists(st.integers(0, 3), min_size=PROBLEMS, max_size=PROBLEMS),
    people=st.integers(1, PEOPLE),
    copies=st.integers(1, 3),
)
def test_a_unanimous_crowd_decides_what_it_says_however_often(method, level_T, people, copies):
    found = run([(i, t, level_T[t]) for i in range(people) for t in range(PROBLEMS)] * copies, method)
    np.testing.assert_array_equal(found.decision_TD[:, 0], [SCALE.points[level] for level in level_T])


@methods
@quickly
@given(crowd=crowds)
def test_distributions_add_up_to_one_and_decisions_stay_on_the_scale(method, crowd):
    found = run(crowd, method)
    answered = np.isin(np.arange(PROBLEMS), [t for _, t, _ in crowd])
    np.testing.assert_allclose(found.distribution_TM[answered].sum(axis=1), 1, rtol=1e-12)
    assert (found.distribution_TM[answered] >= 0).all()
    assert np.isnan(found.distribution_TM[~answered]).all()
    np.testing.assert_array_equal(np.isnan(found.decision_TD[:, 0]), ~answered)
    if method in LABEL_METHODS:
        assert set(found.decision_TD[answered, 0]) <= set(SCALE.points)
        likeliest_T = found.distribution_TM[answered].max(axis=1)
        chosen_T = np.searchsorted(SCALE.points, found.decision_TD[answered, 0])
        np.testing.assert_allclose(found.distribution_TM[answered, chosen_T], likeliest_T, atol=1e-8)
