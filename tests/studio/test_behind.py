"""How many training people stand behind a choice: counted with the study, said to be about without it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

import crowdllm
from crowdllm.experiments.demo import open_demo_study
from crowdllm.studio.behind import people_behind, people_in_groups
from crowdllm.studio.crowd import Who


def test_with_the_study_people_are_counted(model_folder: Path) -> None:
    people = open_demo_study().study.profiles
    frame = people.to_frame()
    generator = crowdllm.load_model(model_folder).generator
    who = Who("x", {"district": ["centre"], "age": [(30.0, 40.0)]})
    wanted = int(((frame["district"] == "centre") & frame["age"].between(30, 40)).sum())
    behind = people_behind(generator, who, people)
    assert (behind.people, behind.of, behind.exact) == (wanted, 300, True)
    assert behind.words() == f"{wanted} of 300 training people"


def test_levels_of_one_column_are_exact_without_the_study(model_folder: Path) -> None:
    frame = open_demo_study().study.profiles.to_frame()
    generator = crowdllm.load_model(model_folder).generator
    behind = people_behind(generator, Who("x", {"household": ["alone", "couple"]}))
    assert behind.people == int(frame["household"].isin(["alone", "couple"]).sum())
    assert behind.exact


def test_several_columns_without_the_study_are_about(model_folder: Path) -> None:
    generator = crowdllm.load_model(model_folder).generator
    behind = people_behind(generator, Who("x", {"household": ["alone"], "district": ["centre"]}))
    assert not behind.exact
    assert behind.words().startswith("about ")
    assert 0 < behind.people < 82


def test_nobody_chosen_is_everybody(model_folder: Path) -> None:
    assert people_behind(crowdllm.load_model(model_folder).generator, Who()).words() == "300 of 300 training people"


def test_fewer_than_thirty_are_few(model_folder: Path) -> None:
    people = open_demo_study().study.profiles
    generator = crowdllm.load_model(model_folder).generator
    assert people_behind(generator, Who("x", {"age": [(18.0, 19.0)]}), people).few
    assert not people_behind(generator, Who(), people).few


def test_groups_are_the_same_with_and_without_the_study(model_folder: Path) -> None:
    generator = crowdllm.load_model(model_folder).generator
    people = open_demo_study().study.profiles
    groups, counted = people_in_groups(generator, people)
    _, kept = people_in_groups(generator)
    names = list(groups.names)
    assert counted[0] == 300
    assert counted[names.index(("district", "suburb"))] == int((people.to_frame()["district"] == "suburb").sum())
    np.testing.assert_array_equal(counted, kept)


def test_groups_of_a_made_up_study(make_known: Callable) -> None:
    study = make_known("ordinal", people=60, missing=0.3).study
    generator = crowdllm.profiles.generator.ProfileGenerator.fit(study.profiles)
    np.testing.assert_array_equal(people_in_groups(generator)[1], people_in_groups(generator, study.profiles)[1])
