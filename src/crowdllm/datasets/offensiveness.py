"""POPQUORN offensiveness: 13,036 ratings 1-5 of 1,500 comments by 262 people with five profile columns.

Pei and Jurgens, "When do annotator demographics matter?", LAW 2023. The paper's Case Study I.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn
from crowdllm.data.responses import Responses
from crowdllm.data.study import Study
from crowdllm.datasets.card import DatasetCard
from crowdllm.datasets.download import SourceFile, fetch_file, github
from crowdllm.datasets.tables import profiles_from_text, read_text_table, require_columns, scale_cells
from crowdllm.errors import Finding, StudyError
from crowdllm.responses.ordinal import Ordinal

RATINGS = SourceFile(
    "popquorn_offensiveness/raw_data.csv",
    github(
        "Jiaxin-Pei/Potato-Prolific-Dataset",
        "c329119e878037654f6aa59b319aae6e996585bb",
        "dataset/offensiveness/raw_data.csv",
    ),
    "fb0589093d45da76bf4ef4d0abff679b540bdd5b17af5764913b3ccd0a069e1e",
)
CARD = DatasetCard(
    name="offensiveness",
    description="How offensive are 1,500 comments? Ratings 1-5 by 262 people (POPQUORN)",
    url="https://github.com/Jiaxin-Pei/Potato-Prolific-Dataset, dataset/offensiveness/raw_data.csv",
    licence="no licence file in the repository; cite Pei and Jurgens (2023), arXiv 2306.06826",
    participants=262,
    problems=1500,
    responses=13036,
    notes=(
        "The paper counts 263 people; the file has 262: user numbers run from 0 to 262 and 260 does not occur.",
        "Each comment has 5-10 ratings, each person rated 40-50 comments.",
        "The split by problem reproduces the CrowdLLM paper's Tables 1-2.",
    ),
    files=(RATINGS,),
)
SCALE = Ordinal(("1", "2", "3", "4", "5"), ends=("not offensive at all", "very offensive"))
AGES = ("18-24", "25-29", "30-34", "35-39", "40-44", "45-49", "50-54", "55-59", "60-64", ">65")
PROFILE = (
    ProfileColumn("gender", "categorical", ("Man", "Woman", "Non-binary")),
    ProfileColumn(
        "race",
        "categorical",
        (
            "White",
            "Black or African American",
            "Asian",
            "Native American",
            "Hispanic or Latino",
            "Arab American",
        ),
    ),
    ProfileColumn("age", "ordinal", AGES, "age in years"),
    ProfileColumn(
        "occupation",
        "categorical",
        (
            "Employed",
            "Self-employed",
            "Unemployed",
            "Retired",
            "Student",
            "Homemaker",
            "Other",
            "Prefer not to disclose",
        ),
    ),
    ProfileColumn(
        "education",
        "ordinal",
        (
            "Less than a high school diploma",
            "High school diploma or equivalent",
            "College degree",
            "Graduate degree",
        ),
    ),
)
NAMES = [column.name for column in PROFILE]


def load() -> Study:
    """The study; raises DataUnavailableError or StudyError."""
    return build(read_text_table(fetch_file(RATINGS)))


def build(ratings: pd.DataFrame) -> Study:
    """The study from the published table (all cells text), one row per rating.

    Raises StudyError for missing columns, a rating off the scale, a person with two profiles, or a person who
    rated one comment twice: the published file has none of these.
    """
    file = RATINGS.path
    require_columns(ratings, ["instance_id", "user_id", "text", "offensiveness", *NAMES], file)
    _require_consistent(ratings, file)
    person, user_ids = pd.factorize(pd.to_numeric(ratings["user_id"]), sort=True)
    problem, instance_ids = pd.factorize(pd.to_numeric(ratings["instance_id"]), sort=True)
    people = ratings.iloc[np.unique(person, return_index=True)[1]]
    comments = ratings.iloc[np.unique(problem, return_index=True)[1]]
    people = people.assign(
        age=people["age"].replace("54-59", "55-59"), education=people["education"].replace("Other", "")
    )
    answers = scale_cells(ratings["offensiveness"].to_numpy(dtype=object), SCALE)
    if answers.blank or answers.off_scale:
        message = f"{answers.blank} blank ratings and {answers.off_scale} off the scale"
        raise StudyError([Finding("error", message, file=file, column="offensiveness", allowed=SCALE.allowed())])
    ids = ("p" + pd.Series(user_ids).astype(str)).to_numpy(dtype=object)
    profiles = profiles_from_text(people, PROFILE, ids, file)
    no_education = int(np.isnan(profiles.values_NC[:, NAMES.index("education")]).sum())
    return Study(
        title="Offensiveness of comments (POPQUORN)",
        response_type=SCALE,
        problems=Problems(
            pd.Series(instance_ids).astype(str).to_numpy(dtype=object),
            comments["text"].to_numpy(dtype=object),
        ),
        profiles=profiles,
        responses=Responses(
            person.astype(np.int64), problem.astype(np.int64), answers.positions[:, None].astype(float)
        ),
        context="The comments were posted on Reddit.",
        requirements="How offensive is this comment?",
        source=(
            *CARD.source_lines(),
            "Participant ids are the file's user numbers, problem ids its instance_id.",
            "The age bin spelled '54-59' is read as '55-59': it overlaps '50-54', and nothing else covers "
            "55-59. '>65' is kept as it is.",
            f"Education 'Other' has no place in the order of degrees and is missing here ({no_education} people).",
            "Checked: nobody has two profiles, nobody rated a comment twice.",
        ),
    )


def _require_consistent(ratings: pd.DataFrame, file: str) -> None:
    profiles = ratings[["user_id", *NAMES]].drop_duplicates()
    two = profiles.loc[profiles["user_id"].duplicated(), "user_id"].unique()
    findings = [Finding("error", "the person has more than one profile", file, column="user_id", value=u) for u in two]
    twice = np.flatnonzero(ratings.duplicated(["user_id", "instance_id"]).to_numpy())
    findings += [
        Finding("error", "the person rated this comment before", file, int(row) + 2, "instance_id") for row in twice
    ]
    if findings:
        raise StudyError(findings)
