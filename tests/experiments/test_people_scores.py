"""Scores of a crowd as people: coherence, alpha of declared scales, and groups, on crowds made up for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn, Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.experiments.people_scores import coherence_floors, group_floors, score_coherence, score_groups
from crowdllm.responses.ordinal import Ordinal

TOWN = (ProfileColumn("town", "categorical", ("north", "south")),)
FIVE = Ordinal(("1", "2", "3", "4", "5"))


def study(level_NT: Any, town_N: Any = None, attributes: pd.DataFrame | None = None) -> Study:
    """Everybody answers everything."""
    level_NT = np.asarray(level_NT, dtype=float)
    people, problems = level_NT.shape
    ids = [np.array([f"{letter}{i}" for i in range(n)], dtype=object) for letter, n in (("p", people), ("q", problems))]
    person, problem = np.repeat(np.arange(people), problems), np.tile(np.arange(problems), people)
    town = np.zeros(people) if town_N is None else np.asarray(town_N, dtype=float)
    return Study(
        "test", FIVE, Problems(ids[1], ids[1], attributes=pd.DataFrame() if attributes is None else attributes),
        Profiles(TOWN, ids[0], town[:, None]), Responses(person, problem, level_NT.reshape(-1, 1)),
    )  # fmt: skip


def named(scores: Any) -> dict[str, float]:
    found = list(scores)
    assert all(s.crowd_size == 100 and s.aggregator == "" for s in found)
    return {s.metric: s.value for s in found}


def coherent(people: int, seed: int, sign: tuple[int, ...] = (1, 1, 1, 1)) -> np.ndarray:
    """Each person leans to one side on all four problems; a problem's sign turns its answers round."""
    rng = np.random.default_rng(seed)
    felt = rng.normal(size=(people, 1)) * np.array(sign) + 0.5 * rng.normal(size=(people, 4))
    return np.clip(np.round(felt * 1.2 + 2), 0, 4)


SCALES = pd.DataFrame({"scale": ["a", "a", "b", "b"], "keying": ["1", "-1", "1", ""]})


def test_incoherent_people_are_told_from_coherent_ones() -> None:
    human = study(coherent(400, 0, (1, -1, 1, 1)), attributes=SCALES)
    good = study(coherent(100, 1, (1, -1, 1, 1)))
    shuffled = good.responses.values_RD.reshape(100, 4).copy()
    rng = np.random.default_rng(2)
    for column in shuffled.T:
        rng.shuffle(column)
    same, apart = (named(score_coherence(human, s.responses, 100, 100)) for s in (good, study(shuffled)))
    assert set(same) == {"coherence", "alpha_difference:a", "alpha_difference:b", "alpha_difference"}
    assert same["coherence"] < 0.15
    assert apart["coherence"] > 0.5
    assert apart["alpha_difference:a"] < -0.5
    mean = (abs(apart["alpha_difference:a"]) + abs(apart["alpha_difference:b"])) / 2
    assert apart["alpha_difference"] == pytest.approx(mean)
    floor = named(coherence_floors(human, 100, 0))
    assert set(floor) == {"coherence", "alpha_difference"}
    assert floor["coherence"] < apart["coherence"] / 3
    assert 0 < floor["alpha_difference"] < 0.1


def test_without_scales_there_is_no_alpha_and_with_few_answers_no_coherence() -> None:
    human = study(coherent(60, 0))
    assert set(named(score_coherence(human, human.responses, 60, 100))) == {"coherence"}
    few = study(coherent(29, 0))
    assert named(score_coherence(few, few.responses, 29, 100)) == {}
    assert named(coherence_floors(few, 100, 0)) == {}


def test_a_crowd_that_is_wrong_in_one_town_is_far_above_its_floor_there() -> None:
    """North answers 1 and south 5, and so does the crowd in the south; in the north half of it answers 5."""
    town = np.arange(80) % 2
    human = study(np.repeat(np.where(town == 0, 0, 4)[:, None], 3, axis=1), town)
    half = np.where((town == 0) & (np.arange(80) % 4 == 0), 4, np.where(town == 0, 0, 4))
    crowd = study(np.repeat(half[:, None], 3, axis=1), town)
    found = named(score_groups(human, crowd.profiles, crowd.responses, 100, 0))
    assert found["subgroup_wd:town=north"] == pytest.approx(2)
    assert found["subgroup_wd:town=south"] == 0
    assert found["subgroup_wd"] == found["subgroup_wd:town=north"]
    assert found["subgroup_floor"] == found["subgroup_floor:town=north"]
    assert found["subgroup_excess"] == pytest.approx(2 - found["subgroup_floor"])
    assert found["subgroup_excess_ratio"] == pytest.approx(found["subgroup_excess"] / found["crowd_excess"])
    assert found["crowd_excess"] < found["subgroup_excess"]


def test_the_ratio_is_left_out_where_the_whole_crowd_is_at_its_floor() -> None:
    human = study(np.tile(np.arange(80)[:, None] % 5, (1, 3)), np.arange(80) % 2)
    found = named(score_groups(human, human.profiles, human.responses, 100, 0))
    assert found["crowd_excess"] < 0
    assert "subgroup_excess_ratio" not in found
    nobody = replace(human, profiles=Profiles((), human.profiles.ids, np.zeros((80, 0))))
    assert named(score_groups(nobody, nobody.profiles, nobody.responses, 100, 0)) == {}
    assert named(group_floors(nobody, 100, 0)) == {}


def test_the_worst_group_of_a_perfect_crowd_is_a_little_above_its_floor() -> None:
    rng = np.random.default_rng(0)
    human = study(rng.integers(0, 5, (80, 20)), np.arange(80) % 2)
    floor = named(group_floors(human, 100, 0))["subgroup_excess"]
    assert 0 < floor < 0.1
