"""British Election Panel Study 1997-2001: six items on three scales by 1,525 people (R package carData).

A study has one response type, so the items come as three sets: assessments 1-5, Europe 1-11, knowledge 0-3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from crowdllm.data.problems import Problems
from crowdllm.data.profiles import ProfileColumn
from crowdllm.data.study import Study
from crowdllm.datasets.card import DatasetCard
from crowdllm.datasets.download import SourceFile, fetch_file, github
from crowdllm.datasets.tables import (
    profiles_from_text,
    read_text_table,
    require_columns,
    running_ids,
    scale_cells,
    wide_responses,
)
from crowdllm.errors import UnknownNameError
from crowdllm.responses.ordinal import Ordinal


@dataclass(frozen=True)
class ItemSet:
    """Items that share one scale: column name -> text."""

    scale: Ordinal
    items: dict[str, str]
    requirements: str


ITEM_SETS = {
    "ratings": ItemSet(
        Ordinal(("1", "2", "3", "4", "5")),
        {
            "economic.cond.national": "Assessment of current national economic conditions.",
            "economic.cond.household": "Assessment of current household economic conditions.",
            "Blair": "Assessment of the Labour leader, Tony Blair.",
            "Hague": "Assessment of the Conservative leader, William Hague.",
            "Kennedy": "Assessment of the leader of the Liberal Democrats, Charles Kennedy.",
        },
        "Give your assessment from 1 to 5; a higher number is a better assessment.",
    ),
    "europe": ItemSet(
        Ordinal(tuple(str(i) for i in range(1, 12)), ends=("most in favour of integration", "most Eurosceptic")),
        {"Europe": "Attitude towards European integration."},
        "Say where you stand; high numbers are Eurosceptic.",
    ),
    "knowledge": ItemSet(
        Ordinal(("0", "1", "2", "3"), ends=("no knowledge", "full knowledge")),
        {"political.knowledge": "Knowledge of the parties' positions on European integration."},
        "How well does this person know the parties' positions?",
    ),
}
ANSWERS = SourceFile(
    "surveys/carData_BEPS.csv",
    github("vincentarelbundock/Rdatasets", "cc03c29690889dbe83089f5206e2422db8c3f71f", "csv/carData/BEPS.csv"),
    "50fa4b894ee0083a784617b006364df8433190d14bd18ce2b0e515e71c2fe96d",
)
CARD = DatasetCard(
    name="beps",
    description="British Election Panel Study: assessments of leaders and economy by 1,525 people, with vote",
    url="https://github.com/vincentarelbundock/Rdatasets, csv/carData/BEPS.csv",
    licence="none stated for the data itself; the R package carData that publishes it is GPL (>= 2)",
    participants=1525,
    problems=5,
    responses=7625,
    options={
        "item_set": "'ratings' (default: five items 1-5), 'europe' (one item 1-11), 'knowledge' (one item "
        "0-3, a test score rather than an opinion)"
    },
    notes=(
        "Split by participant: 'europe' and 'knowledge' have a single problem, 'ratings' five.",
        "The vote is a profile column; it tells much about the leaders' assessments.",
    ),
    files=(ANSWERS,),
)
PROFILE = (
    ProfileColumn("vote", "categorical", ("Conservative", "Labour", "Liberal Democrat"), "party choice"),
    ProfileColumn("age", "numeric", label="age in years"),
    ProfileColumn("gender", "categorical", ("female", "male")),
)


def load(item_set: str = "ratings") -> Study:
    """The study of one item set; raises UnknownNameError, DataUnavailableError or StudyError."""
    if item_set not in ITEM_SETS:
        raise UnknownNameError("item_set", item_set, ITEM_SETS, "data set 'beps'")
    return build(read_text_table(fetch_file(ANSWERS)), item_set)


def build(answers: pd.DataFrame, item_set: str) -> Study:
    """The study from the published table (all cells text); raises StudyError for missing columns."""
    chosen = ITEM_SETS[item_set]
    require_columns(answers, [*chosen.items, *(c.name for c in PROFILE)], ANSWERS.path)
    cells = scale_cells(answers[list(chosen.items)].to_numpy(dtype=object), chosen.scale)
    return Study(
        title=f"British Election Panel Study ({item_set})",
        response_type=chosen.scale,
        problems=Problems(
            np.array(list(chosen.items), dtype=object), np.array(list(chosen.items.values()), dtype=object)
        ),
        profiles=profiles_from_text(answers, PROFILE, running_ids(len(answers)), ANSWERS.path),
        responses=wide_responses(cells.positions),
        context="Great Britain, 1997-2001.",
        requirements=chosen.requirements,
        source=(
            *CARD.source_lines(),
            "Item texts follow the package's documentation, not the questionnaire's wording. It gives no "
            "direction for the 1-5 scales; that higher is better is read off the data (each leader is "
            "rated highest by his own voters).",
            f"{cells.blank} missing answers and {cells.off_scale} off the scale have no response row.",
            "Row names are dropped: participants are numbered in file order.",
        ),
    )
