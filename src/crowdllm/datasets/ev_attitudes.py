"""Seven statements on electric cars, rated -3..3 by 164 people, with demographics (a class survey of 2020).

The public stand-in for the battery-electric-vehicle survey of arXiv 2403.20252, which is not public.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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
from crowdllm.errors import Finding, StudyError
from crowdllm.responses.ordinal import Ordinal

# Only a copy without response ids and cities was at hand, so the published file's checksum is not known.
ANSWERS = SourceFile(
    "surveys/ev_attitudes.csv",
    github("andrey-codes/evcar_survey", "1a310ad1e12bdac6e57aaec25b9ab3123fa24279", "ev_survey_data_cleaner.csv"),
)
CARD = DatasetCard(
    name="ev_attitudes",
    description="Seven statements on electric cars, rated -3..3 by 164 people, with demographics",
    url="https://github.com/andrey-codes/evcar_survey, ev_survey_data_cleaner.csv",
    licence="no licence file in the repository",
    participants=164,
    problems=7,
    responses=1145,
    notes=(
        "Seven problems: split by participant; a split by problem holds out a single statement.",
        "A convenience sample: 73 of 164 live in Illinois, 145 have a bachelor's degree or more.",
        "The file's checksum is not known (only a changed copy was at hand): its columns and answers are checked.",
        "Of the source, response ids, cities and free-text answers are never read into the study.",
    ),
    files=(ANSWERS,),
)
SCALE = Ordinal(("-3", "-2", "-1", "0", "1", "2", "3"), ends=("strongly disagree", "strongly agree"))
STATEMENTS = {
    "attr_Price": "The price of electric cars today fits my budget.",
    "attr_Range": "The range of today's electric cars fits my needs (distance a car can travel on a single charge).",
    "attr_Practicality": "An electric car would be practical for my household and lifestyle.",
    "attr_Brand": "Brand is an important aspect to consider when buying an electric car.",
    "attr_CarbonFootprint": "The main reason I would buy an electric car is to reduce my carbon footprint.",
    "buy_this_year": "I will buy a car (either gas/petrol or electric) in the next 24 months.",
    "buy_electric_next": "The next car I buy will be an electric car.",
}
TEMPLATE = "Click to write Choice 8"
EDUCATION = (
    "No High School",
    "High School Diploma of GED",
    "Some College",
    "Associate Degree",
    "Bachelor's Degree",
    "Master's Degree",
    "Doctorate Degree",
)
INCOME = (
    "Less than $40,000",
    "$40,000 - 80,000",
    "$80,000 - 120,000",
    "$120,000 - $160,000",
    "$160,000 - $200,000",
    "$200,000 - $300,000",
    "More than $300,000",
)
RENAMED = {
    "Age": "age",
    "Gender": "gender",
    "Education": "education",
    "Household_Income": "household_income",
    "Location_Type": "location_type",
    "State": "state",
    "Auto_Worker": "auto_worker",
}


def load() -> Study:
    """The study; raises DataUnavailableError or StudyError."""
    return build(read_text_table(fetch_file(ANSWERS)))


def build(answers: pd.DataFrame) -> Study:
    """The study from the published table, or from a copy without its identifying columns (all cells text).

    The published file codes answers 1..7 at the pinned commit, a copy may code them -3..3; 1..7 becomes -3..3
    by subtracting 4.

    Raises StudyError for missing columns or another coding.
    """
    file = ANSWERS.path
    require_columns(answers, [*STATEMENTS, *RENAMED], file)
    cells = answers[list(STATEMENTS)].to_numpy(dtype=object)
    codes, recoded = _centred(cells, file)
    ratings = scale_cells(codes, SCALE)
    people = answers[list(RENAMED)].rename(columns=RENAMED)
    people["state"] = people["state"].str.strip()
    template = people["household_income"] == TEMPLATE
    people["household_income"] = people["household_income"].mask(template, "")
    states = tuple(sorted(set(people["state"]) - {""}))
    profiles = profiles_from_text(people, _profile_columns(states), running_ids(len(people)), file)
    blank = (people == "").sum()
    return Study(
        title="Attitudes to electric cars",
        response_type=SCALE,
        problems=Problems(np.array(list(STATEMENTS), dtype=object), np.array(list(STATEMENTS.values()), dtype=object)),
        profiles=profiles,
        responses=wide_responses(ratings.positions),
        context="A survey about electric cars, September 2020.",
        requirements="How far do you agree with this statement?",
        source=(
            *CARD.source_lines(),
            "Statements: the questionnaire's wording as it stands in the repository, with small "
            "corrections of grammar. 'buy_this_year' is the file's name for a statement about the next 24 "
            "months.",
            *recoded,
            f"{ratings.blank} missing answers and {ratings.off_scale} off the scale have no response row.",
            f"Household income '{TEMPLATE}' is a leftover of the questionnaire's template with no place in "
            f"the order: missing here ({int(template.sum())} people).",
            "Missing profile values: " + ", ".join(f"{name} {int(count)}" for name, count in blank.items()) + ".",
            "State: blanks around the name are removed, spellings ('GERNANY', 'IL') kept. Ages are kept as "
            "given (12, 38.5).",
            "Left out: free-text answers, city, response id. Participants are numbered in file order.",
        ),
    )


def _centred(cells: NDArray[np.object_], file: str) -> tuple[NDArray[np.object_], tuple[str, ...]]:
    """The cells on -3..3, and what was done to them in words."""
    numbers = pd.to_numeric(pd.Series(cells.reshape(-1), dtype=object), errors="coerce").to_numpy(dtype=float)
    low, high = np.nanmin(numbers), np.nanmax(numbers)
    if low >= -3 and high <= 3:
        return cells, ()
    if low >= 1 and high <= 7:
        shifted = np.array([f"{n - 4:g}" if n == n else "" for n in numbers], dtype=object)
        return shifted.reshape(cells.shape), (
            "Answers coded 1..7 (strongly disagree .. strongly agree): 4 subtracted.",
        )
    message = f"answers run from {low:g} to {high:g}"
    raise StudyError([Finding("error", message, file=file, allowed="-3..3, or 1..7")])


def _profile_columns(states: tuple[str, ...]) -> tuple[ProfileColumn, ...]:
    return (
        ProfileColumn("age", "numeric", label="age in years"),
        ProfileColumn("gender", "categorical", ("Male", "Female", "Other")),
        ProfileColumn("education", "ordinal", EDUCATION),
        ProfileColumn("household_income", "ordinal", INCOME, "annual household income"),
        ProfileColumn("location_type", "categorical", ("Urban", "Suburban", "Rural")),
        ProfileColumn("state", "categorical", states, "state or country"),
        ProfileColumn("auto_worker", "categorical", ("No", "Yes"), "works in the automotive industry"),
    )
