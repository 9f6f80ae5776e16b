"""Twenty-five personality items on 1-6 by 2,800 people, with gender, education and age (R package psych).

The items come from the International Personality Item Pool, the answers from the SAPA project.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn
from crowdllm.data.study import Study
from crowdllm.datasets.card import DatasetCard
from crowdllm.datasets.download import SourceFile, fetch_file, github
from crowdllm.datasets.tables import (
    Array,
    profiles_from_text,
    read_text_table,
    require_columns,
    running_ids,
    scale_cells,
    wide_responses,
)
from crowdllm.responses.ordinal import Ordinal

ANSWERS = SourceFile(
    "surveys/psych_bfi.csv",
    github("vincentarelbundock/Rdatasets", "cc03c29690889dbe83089f5206e2422db8c3f71f", "csv/psych/bfi.csv"),
    "68ae71a96c2157b0c49b8d8f8ccaee1292f5e92adce9a3f202fdc7efac883dc9",
)
DICTIONARY = SourceFile(
    "surveys/psych_bfi.dictionary.csv",
    github(
        "vincentarelbundock/Rdatasets",
        "f58caff6458204b33c44ef35976e555b316af5c4",
        "csv/psych/bfi.dictionary.csv",
    ),
    "9de62e2b475355433477749e145fb08bc3c35f360d63ddfbd3d2c6ec72627c2d",
)
CARD = DatasetCard(
    name="bfi",
    description="How accurately do 25 statements describe you? Answers 1-6 by 2,800 people (psych::bfi)",
    url="https://github.com/vincentarelbundock/Rdatasets, csv/psych/bfi.csv",
    licence="none stated for the data itself; the R package psych that publishes it is GPL (>= 2)",
    participants=2800,
    problems=25,
    responses=69492,
    notes=(
        "Complete apart from 508 missing answers: the split by participant tests coherence across items.",
        "Five items per scale: a split by problem leaves other items of the same scale in training.",
        "LLMs may have seen this data set: agreement on unseen items is weak evidence.",
    ),
    files=(ANSWERS, DICTIONARY),
)
SCALE = Ordinal(("1", "2", "3", "4", "5", "6"), ends=("very inaccurate", "very accurate"))
SCALES = {
    "A": "Agreeableness",
    "C": "Conscientiousness",
    "E": "Extraversion",
    "N": "Neuroticism",
    "O": "Openness",
}
ITEMS = tuple(f"{scale}{number}" for scale in SCALES for number in range(1, 6))
PROFILE = (
    ProfileColumn("gender", "categorical", ("male", "female")),
    ProfileColumn(
        "education",
        "ordinal",
        ("in high school", "finished high school", "some college", "college graduate", "graduate degree"),
    ),
    ProfileColumn("age", "numeric", label="age in years"),
)


def load() -> Study:
    """The study; raises DataUnavailableError or StudyError."""
    return build(read_text_table(fetch_file(ANSWERS)), read_text_table(fetch_file(DICTIONARY)))


def build(answers: pd.DataFrame, dictionary: pd.DataFrame) -> Study:
    """The study from the published tables (all cells text); raises StudyError for missing columns."""
    require_columns(answers, [*ITEMS, "gender", "education", "age"], ANSWERS.path)
    require_columns(dictionary, ["rownames", "Item", "Keying"], DICTIONARY.path)
    items = dictionary.set_index("rownames").reindex(ITEMS)
    keying_T = items["Keying"].to_numpy(dtype=float)
    cells = scale_cells(answers[list(ITEMS)].to_numpy(dtype=object), SCALE)
    agreeing, pairs = keying_agreement(cells.positions, keying_T)
    people = pd.DataFrame(
        {
            "gender": answers["gender"].replace({"1": "male", "2": "female"}),
            "education": answers["education"].replace({str(i + 1): level for i, level in enumerate(PROFILE[1].levels)}),
            "age": answers["age"],
        }
    )
    return Study(
        title="Personality items (bfi)",
        response_type=SCALE,
        problems=Problems(
            np.array(ITEMS, dtype=object),
            items["Item"].to_numpy(dtype=object),
            attributes=pd.DataFrame({"scale": [item[0] for item in ITEMS], "keying": keying_T.astype(int)}),
        ),
        profiles=profiles_from_text(people, PROFILE, running_ids(len(people)), ANSWERS.path),
        responses=wide_responses(cells.positions),
        context="A self-report personality questionnaire.",
        requirements="How accurately does this statement describe you?",
        source=(
            *CARD.source_lines(),
            f"{cells.blank} missing answers and {cells.off_scale} off the scale have no response row; "
            f"{int((answers['education'] == '').sum())} people gave no education.",
            "Row names are dropped: participants are numbered in file order. Ages from 3 upwards are kept as given.",
            "Attribute scale: A, C, E, N, O. Attribute keying is the dictionary's; for N it points to "
            f"emotional stability, so all five are -1. It agrees with the sign of {agreeing} of {pairs} "
            "correlations within scales.",
        ),
    )


def keying_agreement(positions_NT: Array, keying_T: Array) -> tuple[int, int]:
    """How many pairs of items of one scale correlate with the sign of their keying, and how many exist."""
    correlation_TT = pd.DataFrame(positions_NT).corr().to_numpy()
    letters = np.array([item[0] for item in ITEMS])
    pair_TT = np.triu(letters[:, None] == letters, k=1)
    agrees_TT = correlation_TT * np.outer(keying_T, keying_T) > 0
    return int((agrees_TT & pair_TT).sum()), int(pair_TT.sum())
