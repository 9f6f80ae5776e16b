"""Subgroups: everybody, each level, thirds of numbers, and those whose value is missing."""

from __future__ import annotations

import numpy as np
import pytest

from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.profiles.generator import ProfileGenerator
from crowdllm.simulation.groups import Groups, everybody, subgroups

AGE, CITY = ProfileColumn("age", "numeric"), ProfileColumn("city", "categorical", ("Bern", "Rome"))


def profiles(rows: list[tuple[float, float]]) -> Profiles:
    ids = np.array([f"p{i}" for i in range(len(rows))], dtype=object)
    return Profiles((AGE, CITY), ids, np.array(rows, dtype=float))


@pytest.fixture
def groups() -> Groups:
    """Of thirty people aged 1 to 30."""
    return subgroups(ProfileGenerator.fit(profiles([(float(age), age % 2) for age in range(1, 31)])))


def test_each_level_each_third_and_the_missing_have_a_group(groups: Groups) -> None:
    names = list(groups.names)
    assert names[0] == ("", "")
    assert [column for column, _ in names[1:]] == ["age"] * 4 + ["city"] * 3
    assert names[4:] == [("age", "(missing)"), ("city", "Bern"), ("city", "Rome"), ("city", "(missing)")]
    low, middle, high = (level for _, level in names[1:4])
    assert low.startswith("up to ")
    assert middle.startswith("above ")
    assert high.startswith("above ")


def test_thirds_hold_about_a_third_of_the_people(groups: Groups) -> None:
    """Cells hold five or six of the thirty people, so a third is off by at most one cell."""
    member_GN = groups.members(profiles([(float(age), 0.0) for age in range(1, 31)]))
    assert all(4 <= count <= 16 for count in member_GN[1:4].sum(axis=1))
    np.testing.assert_array_equal(member_GN[1:4].sum(axis=0), 1)


def test_everybody_is_in_one_group_per_column(groups: Groups) -> None:
    people = profiles([(3.0, 0.0), (30.0, 1.0), (np.nan, 1.0), (15.0, np.nan), (99.0, 0.0), (-5.0, 0.0)])
    member_GN = groups.members(people)
    assert member_GN[0].all()
    np.testing.assert_array_equal(member_GN[1:5].sum(axis=0), 1)
    np.testing.assert_array_equal(member_GN[5:].sum(axis=0), 1)
    assert member_GN[4].tolist() == [False, False, True, False, False, False]
    assert member_GN[5].tolist() == [True, False, False, False, True, True]
    assert member_GN[7].tolist() == [False, False, False, True, False, False]


def test_a_number_that_is_the_same_for_all_has_one_group() -> None:
    people = profiles([(40.0, 0.0)] * 12)
    assert [level for column, level in subgroups(ProfileGenerator.fit(people)).names if column == "age"] == [
        "any",
        "(missing)",
    ]


def test_a_number_that_nobody_has_leaves_only_the_missing() -> None:
    people = profiles([(np.nan, 0.0)] * 12)
    groups = subgroups(ProfileGenerator.fit(people))
    member_GN = groups.members(people)
    assert member_GN[groups.names.index(("age", "(missing)"))].all()


def test_without_subgroups_there_is_everybody() -> None:
    groups = everybody()
    assert groups.names == (("", ""),)
    assert groups.members(profiles([(1.0, 0.0), (2.0, 1.0)])).tolist() == [[True, True]]
