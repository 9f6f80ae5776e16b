"""Scores within groups of people."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.errors import MismatchError
from crowdllm.evaluation.subgroups import SubgroupReport, perfect_worst_excess, subgroup_wd
from crowdllm.responses.choice import Choice
from crowdllm.responses.ordinal import Ordinal

COLUMNS = (ProfileColumn("town", "categorical", ("north", "south")), ProfileColumn("age", "numeric"))
THREE = Ordinal(("1", "2", "3"))


def study(town_N: list[float], age_N: list[float], level_NT: np.ndarray) -> Study:
    """Everybody answers every problem, except where the level is NaN."""
    person, problem = np.nonzero(~np.isnan(level_NT))
    count, problems = level_NT.shape
    ids = np.array([str(i) for i in range(max(count, problems))], dtype=object)
    return Study(
        "test",
        THREE,
        Problems(ids[:problems], ids[:problems]),
        Profiles(COLUMNS, ids[:count], np.stack([town_N, age_N], axis=1).astype(float)),
        Responses(person, problem, level_NT[person, problem][:, None]),
    )


def two_towns(north: float, south: float, people: int = 40, problems: int = 3) -> Study:
    """Half in the north, half in the south, each town of one mind; ages 0..people-1 alternate."""
    town = np.arange(people) % 2
    level_NT = np.repeat(np.where(town == 0, north, south)[:, None], problems, axis=1).astype(float)
    return study(list(town), list(range(people)), level_NT)


def test_a_crowd_right_overall_but_wrong_in_every_town_is_found_out() -> None:
    human, swapped = two_towns(0, 2), two_towns(2, 0)
    groups = subgroup_wd(human, swapped, min_people=20, draws=2).groups
    assert [(g.column, g.level, g.people, g.avg_wd) for g in groups] == [
        ("town", "north", 20, 2.0),
        ("town", "south", 20, 2.0),
    ]
    assert all(g.problems == 3 for g in groups)


def test_one_distribution_for_everybody_is_compared_with_each_group() -> None:
    pooled = np.tile([0.5, 0, 0.5], (3, 1))
    groups = subgroup_wd(two_towns(0, 2), pooled, min_people=20, draws=2).groups
    assert [g.avg_wd for g in groups] == [1.0, 1.0]


def test_numeric_columns_are_cut_into_thirds() -> None:
    human = two_towns(0, 2, people=90)
    report = subgroup_wd(human, human, min_people=30, draws=2)
    thirds = [g for g in report.groups if g.column == "age"]
    assert [g.people for g in thirds] == [30, 30, 30]
    assert [g.level for g in thirds] == ["up to 29.6667", "above 29.6667, up to 59.3333", "above 59.3333"]
    assert all(g.avg_wd == 0 for g in thirds)


def test_small_groups_are_counted_not_scored() -> None:
    report = subgroup_wd(two_towns(0, 2), two_towns(0, 2), min_people=21, draws=2)
    assert report == SubgroupReport((), too_small=5)
    assert report.worst is None
    assert report.worst_excess is None


def test_people_without_an_answer_or_a_value_do_not_count() -> None:
    human = two_towns(0, 2)
    values = human.profiles.values_NC.copy()
    values[0, 0] = np.nan
    answers = human.responses.take(human.responses.participant_R != 2)
    human = replace(human, profiles=Profiles(COLUMNS, human.profiles.ids, values), responses=answers)
    groups = subgroup_wd(human, two_towns(0, 2), min_people=15, draws=2).groups
    assert [g.people for g in groups if g.column == "town"] == [18, 20]


def test_worst_group_and_worst_excess_may_differ() -> None:
    human = two_towns(0, 2, people=80)
    level_NT = np.full((80, 3), 1.0)
    level_NT[:40:2] = 0
    groups = subgroup_wd(human, study(*human.profiles.values_NC.T, level_NT), min_people=20, draws=5)
    assert groups.worst is not None
    assert groups.worst.avg_wd == max(g.avg_wd for g in groups.groups)
    assert groups.worst_excess is not None
    assert groups.worst_excess.excess == max(g.avg_wd - g.floor for g in groups.groups)


def test_fewer_people_have_a_higher_floor() -> None:
    rng = np.random.default_rng(0)
    town = (np.arange(120) >= 90).astype(float)
    human = study(list(town), [np.nan] * 120, rng.integers(0, 3, (120, 40)).astype(float))
    big, small = subgroup_wd(human, human, draws=5).groups
    assert (big.people, small.people) == (90, 30)
    assert small.floor > 1.3 * big.floor
    pooled = subgroup_wd(human, np.full((40, 3), 1 / 3), draws=5).groups
    assert pooled[0].floor < big.floor, "an unlimited crowd adds no noise of its own"
    assert pooled[1].avg_wd == pytest.approx(pooled[1].floor, rel=0.2), "uniform is the truth here"


def test_a_group_the_crowd_lacks_has_no_score() -> None:
    human = two_towns(0, 2)
    only_north = two_towns(0, 2)
    only_north = replace(only_north, responses=only_north.responses.take(only_north.responses.values_RD[:, 0] == 0))
    south = subgroup_wd(human, only_north, min_people=20, draws=2).groups[1]
    assert south.problems == 0
    assert np.isnan(south.avg_wd)
    assert np.isnan(south.floor)


def test_options_profiles_and_problems_must_fit() -> None:
    human = two_towns(0, 2)
    with pytest.raises(MismatchError, match="'choice' has none"):
        subgroup_wd(replace(human, response_type=Choice(3)), human)
    with pytest.raises(MismatchError, match="profile column 'town' is missing"):
        subgroup_wd(human, replace(human, profiles=Profiles((), human.profiles.ids, np.zeros((40, 0)))))
    with pytest.raises(MismatchError, match="same problems in the same order"):
        subgroup_wd(human, two_towns(0, 2, problems=2))


@pytest.mark.slow
def test_the_worst_of_perfect_groups_is_above_its_floor_by_chance_and_more_so_among_more_groups() -> None:
    """Crowds drawn from the humans' own distribution: the mean of their worst excess is what is expected of them."""
    rng = np.random.default_rng(1)
    town, age = (np.arange(120) % 2).astype(float), np.arange(120).astype(float)

    def drawn(people: int) -> np.ndarray:
        return rng.integers(0, 3, (people, 25)).astype(float)

    found = []
    for _ in range(30):
        human = study(list(town), list(age), drawn(120))
        crowd = study(list(np.tile(town, 5)), list(np.tile(age, 5)), drawn(600))
        worst = subgroup_wd(human, crowd, draws=10).worst_excess
        assert worst is not None
        found.append(worst.excess)
    human = study(list(town), list(age), drawn(120))
    expected = perfect_worst_excess(human, 600, 0, draws=100)
    assert 0 < expected == pytest.approx(np.mean(found), rel=0.5)
    fewer = replace(human, profiles=Profiles(COLUMNS[:1], human.profiles.ids, town[:, None]))
    assert 0 < perfect_worst_excess(fewer, 600, 0, draws=100) < expected


def test_there_is_no_worst_group_where_none_is_large_enough_or_responses_have_no_distance() -> None:
    human = two_towns(0, 2)
    assert np.isnan(perfect_worst_excess(human, 100, min_people=41, draws=2))
    with pytest.raises(MismatchError, match="'choice' has none"):
        perfect_worst_excess(replace(human, response_type=Choice(3)), 100)
