"""Raking against hand-calculated tables, its invariants, and what it says when it cannot be done."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.errors import ConfigError, UnknownNameError
from crowdllm.profiles.raking import parse_range, rake, rake_table

GENDER = ProfileColumn("gender", "categorical", ("Woman", "Man", "Non-binary"))
CLASS = ProfileColumn("class", "ordinal", ("low", "high"))
AGE = ProfileColumn("age", "numeric")


def people(rows: list[tuple[float, ...]], *columns: ProfileColumn) -> Profiles:
    values = np.array(rows, dtype=float).reshape(len(rows), len(columns))
    return Profiles(columns, np.array([f"p{i}" for i in range(len(rows))], dtype=object), values)


# Rows 6 1 / 1 1 have odds ratio 6*1/(1*1) = 6. With row shares .5 .5 and column shares .6 .4 the only table
# of odds ratio 6 is .4 .1 / .2 .3: rows add to .5 .5, columns to .6 .4, and .4*.3/(.1*.2) = 6.
START, WANTED = np.array([[6.0, 1.0], [1.0, 1.0]]), np.array([[0.4, 0.1], [0.2, 0.3]])


def test_two_by_two_table_matches_the_hand_calculation() -> None:
    fitted = rake_table(START, [np.array([0.5, 0.5]), np.array([0.6, 0.4])])
    np.testing.assert_allclose(fitted, 9 * WANTED, atol=1e-7)


def test_people_are_weighted_as_the_two_by_two_table_says() -> None:
    profiles = people([(0, 0)] * 6 + [(0, 1), (1, 0), (1, 1)], GENDER, CLASS)
    raked = rake(profiles, {"gender": {"Woman": 0.5, "Man": 0.5}, "class": {"low": 0.6, "high": 0.4}})
    expected = 9 * np.array([0.4 / 6] * 6 + [0.1, 0.2, 0.3])
    np.testing.assert_allclose(raked.weights_N, expected, atol=1e-7)
    assert raked.gap <= 1e-9
    assert raked.effective_n == pytest.approx(81 / (expected**2).sum())


def test_independent_table_becomes_the_product_of_the_margins() -> None:
    fitted = rake_table(np.ones((2, 3)), [np.array([0.3, 0.7]), np.array([0.2, 0.5, 0.3])])
    np.testing.assert_allclose(fitted / 6, np.outer([0.3, 0.7], [0.2, 0.5, 0.3]), atol=1e-9)


def test_axis_without_margin_keeps_its_conditional_shares() -> None:
    fitted = rake_table(START, [np.array([0.5, 0.5]), None])
    np.testing.assert_allclose(fitted, 4.5 * np.array([[6 / 7, 1 / 7], [1 / 2, 1 / 2]]))


shares = st.lists(st.floats(0.05, 1), min_size=3, max_size=3).map(lambda x: np.array(x) / sum(x))


@settings(max_examples=60, deadline=None)
@given(arrays(float, (3, 3), elements=st.floats(0.1, 5)), shares, shares)
def test_margins_hold_and_odds_ratios_stay(table: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> None:
    fitted = rake_table(table, [rows, columns]) / table.sum()
    np.testing.assert_allclose(fitted.sum(axis=1), rows, atol=1e-6)
    np.testing.assert_allclose(fitted.sum(axis=0), columns, atol=1e-6)
    for i in (1, 2):
        for j in (1, 2):
            before = table[0, 0] * table[i, j] / (table[0, j] * table[i, 0])
            after = fitted[0, 0] * fitted[i, j] / (fitted[0, j] * fitted[i, 0])
            assert after == pytest.approx(before, rel=1e-9)


def test_numeric_ranges_are_closed_and_a_shared_end_belongs_to_the_higher() -> None:
    profiles = people([(18,), (30,), (45,)], AGE)
    raked = rake(profiles, {"age": {"18-30": 0.2, "30-60": 0.8}})
    np.testing.assert_allclose(raked.weights_N, [0.6, 1.2, 1.2])


def test_starting_weights_are_respected_and_their_sum_is_kept() -> None:
    profiles = people([(0,), (0,), (1,)], GENDER)
    raked = rake(profiles, {"gender": {"Woman": 0.5, "Man": 0.5}}, weights_N=np.array([3.0, 1.0, 4.0]))
    np.testing.assert_allclose(raked.weights_N, [3.0, 1.0, 4.0])


def test_missing_people_keep_their_share_unless_it_is_named() -> None:
    profiles = people([(0,), (0,), (1,), (np.nan,)], GENDER)
    kept = rake(profiles, {"gender": {"Woman": 0.5, "Man": 0.5}})
    np.testing.assert_allclose(kept.weights_N, [0.75, 0.75, 1.5, 1.0])
    named = rake(profiles, {"gender": {"Woman": 0.4, "Man": 0.1, "(missing)": 0.5}})
    np.testing.assert_allclose(named.weights_N, [0.8, 0.8, 0.4, 2.0])


def test_unknown_column_and_level_name_the_nearest() -> None:
    profiles = people([(0,), (1,)], GENDER)
    with pytest.raises(UnknownNameError, match="did you mean 'gender'"):
        rake(profiles, {"gendr": {"Woman": 1.0}})
    with pytest.raises(UnknownNameError, match="did you mean 'Woman'"):
        rake(profiles, {"gender": {"Women": 1.0}})


def test_shares_that_do_not_add_up_say_their_sum() -> None:
    profiles = people([(0,), (1,)], GENDER)
    with pytest.raises(ConfigError, match=r"add up to 0\.9, not to 1"):
        rake(profiles, {"gender": {"Woman": 0.5, "Man": 0.4}})
    with pytest.raises(ConfigError, match="divide them by 100"):
        rake(profiles, {"gender": {"Woman": 51, "Man": 49}})
    with pytest.raises(ConfigError, match="0 or more, not -0.5"):
        rake(profiles, {"gender": {"Woman": 1.5, "Man": -0.5}})
    with pytest.raises(ConfigError, match="0 or more, not nan"):
        rake(profiles, {"gender": {"Woman": 1.0, "Man": float("nan")}})


def test_target_for_a_level_with_nobody_names_the_level() -> None:
    with pytest.raises(ConfigError, match=r"'Non-binary' should have a share of 0\.1, but nobody is there"):
        rake(people([(0,), (1,)], GENDER), {"gender": {"Woman": 0.5, "Man": 0.4, "Non-binary": 0.1}})


def test_people_outside_all_groups_are_reported() -> None:
    with pytest.raises(ConfigError, match=r"25\.00% of the people are in none of the groups 18-29, 30-64"):
        rake(people([(20,), (25,), (40,), (70,)], AGE), {"age": {"18-29": 0.5, "30-64": 0.5}})


def test_numeric_margin_needs_disjoint_ranges() -> None:
    with pytest.raises(ConfigError, match="'young' is none"):
        rake(people([(20,)], AGE), {"age": {"young": 1.0}})
    with pytest.raises(ConfigError, match="'18-30' and '25-40' overlap"):
        rake(people([(20,)], AGE), {"age": {"25-40": 0.5, "18-30": 0.5}})


def test_contradicting_targets_report_that_they_do_not_converge() -> None:
    profiles = people([(0, 0), (1, 1)], GENDER, CLASS)
    with pytest.raises(ConfigError, match=r"did not converge: after 50 rounds a share is still off by 0\.2"):
        rake(
            profiles,
            {"gender": {"Woman": 0.5, "Man": 0.5}, "class": {"low": 0.3, "high": 0.7}},
            max_rounds=50,
        )


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], "1 weights were given for 2 people"),
        ([1, -1], "weight -1.0 of person 1"),
        ([0, 0], "all weights are 0"),
    ],
)
def test_weights_that_are_none_are_refused(weights: list[float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        rake(people([(0,), (1,)], GENDER), {"gender": {"Woman": 0.5, "Man": 0.5}}, weights_N=np.array(weights))


def test_no_margins_leave_the_weights_alone_and_nobody_cannot_be_raked() -> None:
    np.testing.assert_allclose(rake(people([(0,), (1,)], GENDER), {}).weights_N, [1.0, 1.0])
    with pytest.raises(ConfigError, match="nobody to rake"):
        rake(people([], GENDER), {"gender": {"Woman": 1.0}})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("18-29", (18, 29)),
        ("18 to 29", (18, 29)),
        ("-3--1", (-3, -1)),
        ("0.5-1.5", (0.5, 1.5)),
        ("65+", (65, np.inf)),
        (">=65", (65, np.inf)),
        ("<=17", (-np.inf, 17)),
        ("30", (30, 30)),
    ],
)
def test_ranges_are_read(text: str, expected: tuple[float, float]) -> None:
    assert parse_range(text) == expected


def test_strict_bounds_leave_out_the_bound_and_other_texts_are_no_range() -> None:
    low, high = parse_range("<18") or (0, 0)
    assert (low, high < 18, high > 17.999999) == (-np.inf, True, True)
    low, high = parse_range(">18") or (0, 0)
    assert (18 < low < 18.000001, high) == (True, np.inf)
    assert [parse_range(t) for t in ("", "old", ">=65+", "1e3", "18-", "__import__('os')")] == [None] * 6
