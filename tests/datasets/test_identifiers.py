"""No identifier of a real person enters a study."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from crowdllm.data.study import Study
from crowdllm.datasets import load_dataset
from crowdllm.datasets.ev_attitudes import STATEMENTS, build


def everything(study: Study) -> str:
    """All text that a study holds."""
    return "\n".join(
        [
            study.title,
            study.context,
            study.requirements,
            *study.source,
            *map(str, study.problems.ids),
            *map(str, study.problems.texts),
            *(option for options in study.problems.options for option in options),
            study.problems.attributes.to_csv(),
            *map(str, study.profiles.ids),
            json.dumps([column.to_dict() | {"name": column.name} for column in study.profiles.columns]),
            study.profiles.to_frame().to_csv(),
            json.dumps(study.response_type.to_dict()),
        ]
    )


def identifiers(path: Path, column: str) -> set[str]:
    with path.open(encoding="utf-8", newline="") as stream:
        return {row[column] for row in csv.DictReader(stream)}


@pytest.mark.parametrize(
    ("name", "options", "path", "column"),
    [
        ("voting", {"format": "s5"}, "zurich_voting/data/lab_meta.csv", "ID"),
        ("voting", {"format": "approval"}, "zurich_voting/data/lab_meta.csv", "ID"),
        ("voting", {"format": "cumulative"}, "zurich_voting/data/lab_meta.csv", "ID"),
        ("voting", {"format": "ranking"}, "zurich_voting/data/lab_meta.csv", "ID"),
        ("bfi", {}, "surveys/psych_bfi.csv", "rownames"),
        ("musical", {}, "amazon_musical_2014/reviews.csv", "reviewerID"),
    ],
)
def test_no_identifier_of_the_file_occurs_in_the_study(
    published, name: str, options: dict[str, str], path: str, column: str
) -> None:
    raw = identifiers(published(path), column)
    words = set(re.findall(r"\w+", everything(load_dataset(name, **options))))
    assert len(raw) > 100
    assert raw.isdisjoint(words)


def test_the_check_would_find_an_identifier(published) -> None:
    raw = identifiers(published("surveys/psych_bfi.csv"), "rownames")
    words = set(re.findall(r"\w+", everything(load_dataset("bfi")) + f" participant {next(iter(raw))}"))
    assert not raw.isdisjoint(words)


def test_offensiveness_people_are_numbers_only(published) -> None:
    published("popquorn_offensiveness/raw_data.csv")
    assert all(re.fullmatch(r"p\d+", person) for person in load_dataset("offensiveness").profiles.ids)


def test_response_id_city_and_free_text_of_the_published_survey_are_left_out() -> None:
    row = {name: ["0"] for name in STATEMENTS}
    row |= {
        "ResponseId": ["R_madeUpId01"],
        "City": ["SPRINGFIELD"],
        "attr_Appealing": ["quietness"],
        "attr_Lacking": ["chargers"],
        "Age": ["40"],
        "Gender": ["Male"],
        "Education": ["Some College"],
        "Household_Income": [""],
        "Location_Type": ["Urban"],
        "State": ["OHIO"],
        "Auto_Worker": ["No"],
    }
    text = everything(build(pd.DataFrame(row)))
    assert "OHIO" in text
    for private in ("R_madeUpId01", "SPRINGFIELD", "quietness", "chargers"):
        assert private not in text
