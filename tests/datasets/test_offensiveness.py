"""The comment ratings: what is read, what is corrected, what is refused."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest

from crowdllm.datasets import load_dataset
from crowdllm.datasets.offensiveness import build
from crowdllm.errors import StudyError, UnknownNameError

COLUMNS = [
    "instance_id",
    "user_id",
    "text",
    "offensiveness",
    "gender",
    "race",
    "age",
    "occupation",
    "education",
]
ANN = ("Woman", "White", "54-59", "Employed", "College degree")
BOB = ("Man", "Asian", ">65", "Retired", "Other")


def ratings(*rows: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


def test_hand_written_ratings_become_a_study() -> None:
    study = build(
        ratings(("10", "3", "NA", "5.0", *BOB), ("2", "1", "two", "1.0", *ANN), ("10", "1", "NA", "3.0", *ANN))
    )
    assert study.profiles.ids.tolist() == ["p1", "p3"]
    assert study.problems.ids.tolist() == ["2", "10"]
    assert study.problems.texts.tolist() == ["two", "NA"]
    assert study.responses.participant_R.tolist() == [1, 0, 0]
    assert study.responses.problem_R.tolist() == [1, 0, 1]
    assert study.responses.values_RD.tolist() == [[4.0], [0.0], [2.0]]
    people = study.profiles.to_frame()
    assert people["age"].tolist() == ["55-59", ">65"]
    assert people["education"].fillna("").tolist() == ["College degree", ""]


def test_a_person_with_two_profiles_is_refused() -> None:
    with pytest.raises(StudyError, match="more than one profile"):
        build(ratings(("1", "1", "one", "1.0", *ANN), ("2", "1", "two", "1.0", *BOB)))


def test_a_comment_rated_twice_by_one_person_is_refused() -> None:
    with pytest.raises(StudyError, match="row 3.*rated this comment before"):
        build(ratings(("1", "1", "one", "1.0", *ANN), ("1", "1", "one", "2.0", *ANN)))


def test_a_rating_off_the_scale_is_refused() -> None:
    with pytest.raises(StudyError, match="1 off the scale"):
        build(ratings(("1", "1", "one", "6.0", *ANN)))


def test_an_unknown_profile_level_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="'Women'"):
        build(ratings(("1", "1", "one", "1.0", "Women", *ANN[1:])))


def test_published_ratings_are_those_of_the_file(published) -> None:
    with published("popquorn_offensiveness/raw_data.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    study = load_dataset("offensiveness")
    assert (len(study.profiles), len(study.problems), len(study.responses)) == (262, 1500, 13036)
    r = study.responses
    triples = set(
        zip(
            study.profiles.ids[r.participant_R],
            study.problems.ids[r.problem_R],
            r.values_RD[:, 0] + 1,
            strict=True,
        )
    )
    assert triples == {(f"p{row['user_id']}", row["instance_id"], float(row["offensiveness"])) for row in rows}
    texts = dict(zip(study.problems.ids, study.problems.texts, strict=True))
    assert all(texts[row["instance_id"]] == row["text"] for row in rows)


def test_published_profiles_are_those_of_the_file(published) -> None:
    with published("popquorn_offensiveness/raw_data.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    people = load_dataset("offensiveness").profiles.to_frame().fillna("")
    for row in rows:
        person = people.loc[f"p{row['user_id']}"]
        assert person["age"] == ("55-59" if row["age"] == "54-59" else row["age"])
        assert person["education"] == ("" if row["education"] == "Other" else row["education"])
        assert (person["gender"], person["race"], person["occupation"]) == (
            row["gender"],
            row["race"],
            row["occupation"],
        )


def test_the_bin_spelled_54_59_fills_the_only_gap_between_50_and_64(published) -> None:
    with published("popquorn_offensiveness/raw_data.csv").open(encoding="utf-8", newline="") as stream:
        bins = {row["age"] for row in csv.DictReader(stream)}
    assert {"50-54", "54-59", "60-64"} <= bins
    assert "55-59" not in bins


def test_the_random_row_of_the_protocol_holds_on_the_problem_split(published) -> None:
    # MAE of the mean of 20 uniform answers against the humans', 1.26 over problems in the protocol's table
    study = load_dataset("offensiveness")
    r = study.responses
    total = np.bincount(r.problem_R, weights=r.values_RD[:, 0] + 1, minlength=1500)
    mean_T = total / np.bincount(r.problem_R, minlength=1500)
    uniform_T = np.random.default_rng(0).integers(1, 6, size=(1500, 20)).mean(axis=1)
    assert abs(np.abs(mean_T - uniform_T).mean() - 1.26) < 0.03
