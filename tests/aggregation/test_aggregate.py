"""The dispatcher: names, settings, which method suits which response type, and inputs at the edges."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from crowdllm.aggregation import AGGREGATORS, aggregate, applicable
from crowdllm.data.responses import Responses
from crowdllm.errors import ConfigError, MismatchError, UnknownNameError
from crowdllm.responses import RESPONSE_TYPES
from crowdllm.responses.ballot import Ballot
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal
from crowdllm.responses.points import Points
from crowdllm.responses.ranking import Ranking

SCALE = Ordinal(("-1", "0", "1"))
LABEL_METHODS = ("majority_vote", "dawid_skene", "glad")
TYPES = {
    "continuous": Continuous(),
    "ordinal": SCALE,
    "choice": Choice(max_options=3),
    "ballot": Ballot(1, 2, max_options=3),
    "points": Points(10, max_options=3),
    "ranking": Ranking(max_options=3),
}


def table(*rows):
    """Responses from (participant, problem, value) rows."""
    participant, problem, value = zip(*rows, strict=True)
    return Responses(np.array(participant), np.array(problem), np.array(value, dtype=float)[:, None])


def none(width=1):
    empty = np.zeros(0, dtype=np.int64)
    return Responses(empty, empty, np.zeros((0, width)))


def test_unknown_aggregator_lists_choices():
    with pytest.raises(UnknownNameError, match=r"'dawid_sken'.*majority_vote.*did you mean 'dawid_skene'"):
        aggregate(table((0, 0, 1)), SCALE, 1, 1, "dawid_sken")


def test_unknown_setting_lists_the_methods_own():
    with pytest.raises(UnknownNameError, match=r"'max_iteration'.*'glad'.*m_step_tolerance.*'max_iterations'"):
        aggregate(table((0, 0, 1)), SCALE, 1, 1, "glad", max_iteration=3)


def test_negative_or_nan_settings_are_refused():
    for value in (-1.0, float("nan")):
        with pytest.raises(ConfigError, match="tolerance.*0 or more"):
            aggregate(table((0, 0, 1)), SCALE, 1, 1, "glad", tolerance=value)


@pytest.mark.parametrize("method", LABEL_METHODS)
@pytest.mark.parametrize("kind", ["continuous", "ballot", "points", "ranking"])
def test_label_methods_refuse_other_types_and_name_those_that_apply(method, kind):
    with pytest.raises(ConfigError, match=rf"'{method}'.*ordinal or choice.*{kind}: choose from mean, median$"):
        aggregate(none(3), TYPES[kind], 1, 1, method)


@pytest.mark.parametrize("method", ["mean", "median"])
def test_option_positions_are_not_averaged(method):
    with pytest.raises(ConfigError, match=r"choice: choose from majority_vote, dawid_skene, glad$"):
        aggregate(table((0, 0, 1)), TYPES["choice"], 1, 1, method)


def test_every_response_type_has_an_aggregator():
    assert set(TYPES) == set(RESPONSE_TYPES)
    assert all(applicable(response_type) for response_type in TYPES.values())
    assert applicable(SCALE) == list(AGGREGATORS)


def test_a_problem_outside_the_study_is_named():
    with pytest.raises(MismatchError, match=r"response 1 .*problem 7, and there are 2: allowed are 0 to 1"):
        aggregate(table((0, 0, 1), (0, 7, 1)), SCALE, 2, 1, "mean")


def test_a_participant_outside_the_study_is_named():
    with pytest.raises(MismatchError, match=r"response 0 .*participant -1, and there are 3"):
        aggregate(table((-1, 0, 1)), SCALE, 1, 3, "mean")


@pytest.mark.parametrize("value", [3, -1, 0.5, np.nan])
def test_a_value_off_the_scale_is_named(value):
    with pytest.raises(MismatchError, match=r"response 1 .*problem 0.*no legal ordinal response"):
        aggregate(table((0, 0, 1), (1, 0, value)), SCALE, 1, 2, "glad")


def test_an_option_the_problem_does_not_have_is_named():
    with pytest.raises(MismatchError, match=r"response 1 .*problem 1.*no legal choice response"):
        aggregate(table((0, 0, 2), (0, 1, 2)), Choice(3), 2, 1, "majority_vote", np.array([3, 2]))


def test_a_number_that_is_not_finite_is_named():
    with pytest.raises(MismatchError, match=r"response 0 .*\[inf\].*no legal continuous response"):
        aggregate(table((0, 0, np.inf)), Continuous(), 1, 1, "median")


def test_option_counts_of_another_study_are_refused():
    with pytest.raises(MismatchError, match=r"each of 1 problems, not the shape \(2,\)"):
        aggregate(table((0, 0, 0)), Choice(3), 1, 1, "glad", np.array([3, 3]))


def test_option_counts_of_a_scale_are_ignored():
    """Studies hold zeros there."""
    found = aggregate(table((0, 0, 2)), SCALE, 1, 1, "majority_vote", np.zeros(1, dtype=np.int64))
    assert found.decision_TD.tolist() == [[1.0]]


@pytest.mark.parametrize("method", AGGREGATORS)
def test_no_response_at_all_gives_nan_everywhere(method):
    found = aggregate(none(), SCALE, 2, 3, method)
    np.testing.assert_array_equal(found.decision_TD, np.full((2, 1), np.nan))
    np.testing.assert_array_equal(found.distribution_TM, np.full((2, 3), np.nan))
    if method in LABEL_METHODS:
        np.testing.assert_array_equal(found.skill_N, np.full(3, np.nan))
    assert found.converged


@pytest.mark.parametrize("method", AGGREGATORS)
def test_a_study_without_problems_and_people_gives_empty_arrays(method):
    found = aggregate(none(), SCALE, 0, 0, method)
    assert found.decision_TD.shape == (0, 1)
    assert found.distribution_TM.shape == (0, 3)


@pytest.mark.parametrize("method", AGGREGATORS)
def test_one_response_decides_its_problem_and_no_other(method):
    found = aggregate(table((1, 2, 0)), SCALE, 4, 3, method)
    np.testing.assert_array_equal(found.decision_TD[:, 0], [np.nan, np.nan, -1, np.nan])
    np.testing.assert_array_equal(found.distribution_TM[2], [1, 0, 0])
    assert np.isnan(found.distribution_TM[[0, 1, 3]]).all()
    if method in LABEL_METHODS:
        np.testing.assert_array_equal(np.isnan(found.skill_N), [True, False, True])


@pytest.mark.parametrize("method", AGGREGATORS)
def test_a_crowd_that_only_ever_gives_one_level_decides_it(method):
    rows = [(i, t, 2) for i in range(4) for t in range(5) if (i + t) % 3]
    found = aggregate(table(*rows), SCALE, 5, 4, method)
    np.testing.assert_array_equal(found.decision_TD, np.ones((5, 1)))
    np.testing.assert_array_equal(found.distribution_TM, np.tile([0.0, 0.0, 1.0], (5, 1)))
    assert found.converged


@pytest.mark.parametrize("method", AGGREGATORS)
def test_decisions_are_in_the_points_of_the_scale(method):
    words = Ordinal(("never", "rarely", "often"), points=(0.0, 2.5, 40.0))
    found = aggregate(table((0, 0, 1), (1, 0, 1), (0, 1, 2), (1, 1, 2)), words, 2, 2, method)
    np.testing.assert_allclose(found.decision_TD[:, 0], [2.5, 40.0])


@pytest.mark.parametrize("kind", TYPES)
def test_empty_input_of_every_type_works_with_every_method_that_applies(kind):
    width = TYPES[kind].width(3)
    for method in applicable(TYPES[kind]):
        found = aggregate(none(width), TYPES[kind], 2, 2, method)
        np.testing.assert_array_equal(found.decision_TD, np.full((2, width), np.nan))
        if kind == "continuous":
            assert found.distribution_TM is None
        else:
            np.testing.assert_array_equal(found.distribution_TM, np.full((2, 3), np.nan))


def test_importing_the_package_loads_no_heavy_library():
    code = (
        "import sys, crowdllm.aggregation; "
        "print([m for m in ('torch', 'sklearn', 'matplotlib', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
