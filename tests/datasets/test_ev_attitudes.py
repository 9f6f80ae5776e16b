"""The electric car statements, from a copy without identifiers and from the published layout."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest

from crowdllm.datasets import load_dataset
from crowdllm.datasets.ev_attitudes import STATEMENTS, build
from crowdllm.errors import StudyError

PEOPLE = {
    "Age": ["45", "38.5"],
    "Gender": ["Male", ""],
    "Education": ["Master's Degree", "Some College"],
    "Household_Income": ["Click to write Choice 8", "$40,000 - 80,000"],
    "Location_Type": ["Rural", "Urban"],
    "State": ["ILLINOIS ", ""],
    "Auto_Worker": ["No", "Yes"],
}


def table(first: list[str], second: list[str], **more: list[str]) -> pd.DataFrame:
    answers = {name: [a, b] for name, a, b in zip(STATEMENTS, first, second, strict=True)}
    return pd.DataFrame(answers | PEOPLE | more)


def test_a_copy_coded_around_zero_is_read_as_it_stands() -> None:
    study = build(table(["-3", "-2.0", "-1", "0.0", "1", "2", "3"], ["0", "", "0", "0", "0", "0", "0"]))
    assert study.describe() == "N=2 T=7 R=13"
    assert study.responses.values_RD[:7, 0].tolist() == [0, 1, 2, 3, 4, 5, 6]
    people = study.profiles.to_frame()
    assert people["household_income"].fillna("").tolist() == ["", "$40,000 - 80,000"]
    assert people["state"].fillna("").tolist() == ["ILLINOIS", ""]
    assert people["age"].tolist() == [45, 38.5]


def test_the_published_coding_1_to_7_is_centred_and_said_so() -> None:
    first, second = ["1", "2", "3", "4", "5", "6", "7"], ["4", "", "4", "4", "4", "4", "4"]
    published = build(table(first, second, ResponseId=["R_abc", "R_def"], City=["CHICAGO", "BERLIN"]))
    copy = build(table(["-3", "-2", "-1", "0", "1", "2", "3"], ["0", "", "0", "0", "0", "0", "0"]))
    np.testing.assert_array_equal(published.responses.values_RD, copy.responses.values_RD)
    assert any("4 subtracted" in line for line in published.source)
    assert not any("4 subtracted" in line for line in copy.source)


def test_another_coding_is_refused() -> None:
    with pytest.raises(StudyError, match="run from -3 to 7"):
        build(table(["-3", "7", "0", "0", "0", "0", "0"], ["0"] * 7))


def test_missing_columns_are_named() -> None:
    with pytest.raises(StudyError, match="'buy_electric_next'"):
        build(table(["0"] * 7, ["0"] * 7).drop(columns="buy_electric_next"))


def test_published_answers_are_those_of_the_file(published) -> None:
    with published("surveys/ev_attitudes.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    study = load_dataset("ev_attitudes")
    got = np.full((164, 7), np.nan)
    got[study.responses.participant_R, study.responses.problem_R] = study.responses.values_RD[:, 0]
    raw = np.array([[float(row[name]) if row[name] else np.nan for name in STATEMENTS] for row in rows])
    lowest = 1 if np.nanmax(raw) > 3 else -3
    np.testing.assert_array_equal(got, raw - lowest)
    assert len(study.responses) == int((~np.isnan(raw)).sum())
    free_text = {row["attr_Lacking"] for row in rows if len(row["attr_Lacking"]) > 20}
    levels = {level for column in study.profiles.columns for level in column.levels}
    assert free_text.isdisjoint(levels | set(study.problems.texts))
