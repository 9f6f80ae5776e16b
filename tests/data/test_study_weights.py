"""Survey weights of a study: declared, read as they are, refused where they are none, and kept wherever people go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from crowdllm.data.study import Study
from crowdllm.data.study_check import check_study
from crowdllm.data.study_folder import load_study, save_study, study_from_frames
from crowdllm.data.study_weights import effective_number
from crowdllm.errors import Finding, StudyError

Make = Callable[..., Path]
TOML = """\
title = "Weights"
weight = "w"

[response]
type = "ordinal"
levels = [1, 2, 3]

[profile.age]
kind = "numeric"
"""
PROBLEMS = "problem,text\nq1,One\nq2,Two\n"
RESPONSES = "participant,problem,response\n" + "".join(
    f"p{i},q{t},{1 + (i + t) % 3}\n" for i in range(4) for t in (1, 2)
)
PEOPLE = "participant,age,w\np0,20,0.5\np1,30,1\np2,40,2.5\np3,50,4\n"


@pytest.fixture
def make(make_study: Make) -> Make:
    def with_people(people: str = PEOPLE, toml: str = TOML) -> Path:
        return make_study(problems=PROBLEMS, responses=RESPONSES, participants=people, toml=toml)

    return with_people


def errors(folder: Path) -> list[Finding]:
    return list(check_study(folder).of("error"))


def test_weights_are_kept_as_read_and_used_with_mean_one(make: Make) -> None:
    study = load_study(make())
    assert study.weights_N is not None
    assert study.responses.weight_R is not None
    assert study.weights_N.tolist() == [0.5, 1.0, 2.5, 4.0]
    assert study.responses.weight_R.tolist() == [0.25, 0.25, 0.5, 0.5, 1.25, 1.25, 2.0, 2.0]  # the mean weight is 2


def test_without_the_declaration_a_column_of_this_name_is_no_weight(make: Make) -> None:
    study = load_study(make(toml=TOML.replace('weight = "w"\n', "")))
    assert study.weights_N is None
    assert study.responses.weight_R is None


def test_weights_come_back_bit_for_bit_even_beside_a_profile_column_of_that_name(make: Make, tmp_path: Path) -> None:
    toml = TOML.replace("[profile.age]", '[profile.weight]\nkind = "numeric"\ncolumn = "age"\n\n[profile.age]')
    people = "participant,age,w\np0,20,0.1\np1,30,1e-7\np2,40,0.30000000000000004\np3,50,123456789.123\n"
    study = load_study(make(people, toml))
    save_study(study, tmp_path / "again")
    again = load_study(tmp_path / "again")
    assert study.weights_N is not None
    assert again.weights_N is not None
    assert again.weights_N.tobytes() == study.weights_N.tobytes()
    assert [c.name for c in again.profiles.columns] == ["weight", "age"]
    assert again.profiles.values_NC.tobytes() == study.profiles.values_NC.tobytes()


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("", "missing"),
        ("NA", "missing"),
        ("heavy", "no number"),
        ("1,5", "decimal comma"),
        ("-2", "negative"),
        ("0", "weight of 0"),
        ("inf", "no number"),
        ("1e999", "no number"),
    ],
)
def test_what_is_no_weight_is_an_error_with_its_place(cell: str, words: str, make: Make) -> None:
    people = PEOPLE.replace("p2,40,2.5", f'p2,40,"{cell}"')
    (finding,) = errors(make(people))
    assert (finding.file, finding.row, finding.column, finding.value) == ("participants.csv", 4, "w", cell)
    assert words in finding.message
    assert "above 0" in finding.allowed


def test_weights_that_add_up_to_nothing_are_one_error(make: Make) -> None:
    (finding,) = errors(make("participant,age,w\np0,20,0\np1,30,0\np2,40,0.0\np3,50,0\n"))
    assert (finding.file, finding.column) == ("participants.csv", "w")
    assert "add up to 0" in finding.message


def test_a_column_that_is_not_there_names_the_nearest(make: Make) -> None:
    (finding,) = errors(make(PEOPLE.replace("age,w", "age,weigt"), TOML.replace('"w"', '"weight"')))
    assert finding.column == "weight"
    assert finding.nearest == "weigt"


def test_weights_without_a_table_of_participants_are_an_error(make_study: Make) -> None:
    toml = TOML.partition("[profile.age]")[0]
    folder = make_study(problems=PROBLEMS, responses=RESPONSES, participants=None, toml=toml)
    assert any("is missing" in finding.message for finding in errors(folder))


def test_check_says_what_the_weights_cost(make: Make) -> None:
    report = check_study(make())
    told = [f for f in report.findings if "Kish" in f.message]
    # (0.5 + 1 + 2.5 + 4)^2 / (0.25 + 1 + 6.25 + 16) = 64 / 23.5 = 2.7
    assert len(told) == 1
    assert "4 people tell as much as 3" in told[0].message
    assert not any("not loaded" in f.message and "w" in f.message.split(": ")[-1].split(", ") for f in report.findings)


def test_effective_number_is_that_of_kish() -> None:
    assert effective_number(np.array([1.0, 1.0, 2.0])) == pytest.approx(16 / 6)
    assert effective_number(np.full(7, 3.3)) == pytest.approx(7)
    assert effective_number(np.zeros(0)) == 0


def test_subsets_and_splits_keep_each_persons_weight(make: Make) -> None:
    study = load_study(make())
    part = study.subset(np.array([1]), np.array([3, 0]))
    assert part.weights_N is not None
    assert part.responses.weight_R is not None
    assert part.weights_N.tolist() == [4.0, 0.5]
    assert part.responses.weight_R[part.responses.participant_R == 0] == pytest.approx(4 / 2.25)
    split = study.split("participant", 0.25, 0)
    assert split.test.weights_N is not None
    assert study.weights_N is not None
    assert split.test.weights_N.tolist() == study.weights_N[split.test_participants].tolist()


def test_frames_may_have_weights() -> None:
    people = pd.DataFrame({"participant": ["a", "b"], "size": [1.5, 3]})
    answers = pd.DataFrame({"participant": ["a", "b"], "problem": ["q", "q"], "response": [1, 2]})
    problems = pd.DataFrame({"problem": ["q"], "text": ["Q"]})
    scale = {"type": "ordinal", "levels": [1, 2]}
    study = study_from_frames(problems, answers, people, scale, weight="size")
    assert study.weights_N is not None
    assert study.weights_N.tolist() == [1.5, 3.0]
    with pytest.raises(StudyError, match="no such column of survey weights"):
        study_from_frames(problems, answers, people, scale, weight="seize")
    with pytest.raises(StudyError, match="no table of participants"):
        study_from_frames(problems, answers, None, scale, weight="size")


def test_responses_never_carry_weights_that_the_study_does_not_have(make: Make) -> None:
    study = load_study(make())
    plain = replace(study, weights_N=None)
    assert plain.responses.weight_R is None
    doubled = replace(study, weights_N=np.array([2.0, 2.0, 2.0, 2.0]))
    assert doubled.responses.weight_R is not None
    assert set(doubled.responses.weight_R.tolist()) == {1.0}


@pytest.mark.parametrize("weights", [np.ones(3), np.array([1.0, 1, 1, 0]), np.array([1.0, 1, 1, np.nan])])
def test_a_study_cannot_be_made_with_weights_that_are_none(weights: np.ndarray, make: Make) -> None:
    study: Study = load_study(make())
    with pytest.raises(ValueError, match="weights"):
        replace(study, weights_N=weights)
