"""Write a small working study to edit: twelve statements on working from home and twelve invented people.

Two of the statements have no answers, so that there is something to predict. The answers follow a fixed rule
(how much a statement is liked, how much a person likes all of them, and a wobble), and the study says so.
"""

from __future__ import annotations

import os
from pathlib import Path

from crowdllm.data.study_toml import STUDY_FILE
from crowdllm.data.tables import csv_bytes
from crowdllm.errors import ConfigError

STUDY_TOML = """\
# A study for crowdllm. Edit this file and the three tables beside it, then run:  crowdllm check .
# The people and their answers here are INVENTED: put your own in their place.

# What the study is called.
title = "Working from home (invented example)"

# The situation, told to the LLM before each problem. May be empty.
context = "A survey among the employees of a company in which many jobs can be done from home."

# What is asked about each problem.
requirements = "How much do you agree with this statement?"

# Where the data came from, under which licence, and what you changed. Optional.
source = ["Invented by `crowdllm new` as an example; no person answered anything."]

# The column of participants.csv with survey weights (numbers above 0), if there are any. Optional.
# weight = "design_weight"

# How people answer. The types are:
#   type = "ordinal"     levels = [...] from low to high, and perhaps ends = ["lowest means", "highest means"]
#   type = "continuous"  low and high, each optional
#   type = "choice"      one option
#   type = "ballot"      min_picks and max_picks different options
#   type = "ranking"     depth: how many options are ranked; 0 means all
#   type = "points"      budget: the points to spread over the options, perhaps in multiples of step
# The last four need options: here as options = ["tea", "coffee"] if all problems have the same,
# else in problems.csv, in a column named options, separated by |
[response]
type = "ordinal"
levels = ["1", "2", "3", "4", "5"]
ends = ["strongly disagree", "strongly agree"]

# Needed only if your tables have other names. CSV or Parquet.
# [files]
# problems = "problems.csv"            # one row per problem:     problem, text
# participants = "participants.csv"    # one row per participant: participant, profile columns
# responses = "responses.csv"          # one row per response:    participant, problem, response

# Needed only if your columns have other names.
# [columns]
# participant = "user_id"
# problem = "item"

# One table for each column of participants.csv that describes people; other columns are not loaded.
# kind is categorical (levels in no order), ordinal (levels from low to high) or numeric.
# An empty cell is a missing value, and stays missing.
[profile.age]
kind = "numeric"
label = "age in years"

[profile.commute]
kind = "ordinal"
levels = ["under 15 minutes", "15 to 45 minutes", "over 45 minutes"]
label = "way to work"

[profile.team]
kind = "categorical"
"""

# (id, text, how much people agree on average)
STATEMENTS = (
    ("focus", "I get more done at home than in the office.", 4),
    ("meetings", "Meetings by video are as good as meetings in person.", 2),
    ("choice", "Everybody should choose for themselves where they work.", 4),
    ("lonely", "Working from home makes people lonely.", 3),
    ("newcomers", "New colleagues should come to the office in their first months.", 4),
    ("two_days", "Two days a week in the office are enough.", 4),
    ("desk", "I would give up my own desk in the office.", 2),
    ("costs", "The company should pay for heating and internet at home.", 3),
    ("trust", "My manager trusts me to work when nobody sees me.", 4),
    ("ideas", "The best ideas come up over coffee in the office.", 3),
    ("abroad", "Working from another country should be allowed.", 3),
    ("camera", "Cameras should be on in every video meeting.", 2),
)
UNANSWERED = ("abroad", "camera")

# (id, age, commute, team, how much more than the average they agree)
PEOPLE = (
    ("p01", "29", "over 45 minutes", "engineering", 1),
    ("p02", "54", "under 15 minutes", "sales", -1),
    ("p03", "41", "15 to 45 minutes", "support", 0),
    ("p04", "35", "over 45 minutes", "engineering", 1),
    ("p05", "", "15 to 45 minutes", "sales", 0),
    ("p06", "61", "under 15 minutes", "support", -1),
    ("p07", "26", "15 to 45 minutes", "engineering", 0),
    ("p08", "47", "over 45 minutes", "support", 1),
    ("p09", "38", "", "sales", 0),
    ("p10", "52", "under 15 minutes", "engineering", -1),
    ("p11", "33", "15 to 45 minutes", "support", 0),
    ("p12", "44", "over 45 minutes", "sales", 1),
)


def new_study(folder: str | Path, force: bool = False) -> list[Path]:
    """Write the study into a folder (made if need be) and give the files written.

    force: write into a folder that is not empty, replacing files of the same names and touching no others.

    Raises ConfigError when the folder is not empty (and not forced), is a file, or cannot be written.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is a file; name a folder for the new study")
    try:
        inside = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
        if inside and not force:
            shown = ", ".join(inside[:3]) + (", …" if len(inside) > 3 else "")
            raise ConfigError(
                f"{folder} is not empty (it has {shown}); name a new folder, or write into it with --force"
            )
        folder.mkdir(parents=True, exist_ok=True)
        return [_write(folder / name, data) for name, data in new_study_files().items()]
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror or error}") from None


def new_study_files() -> dict[str, bytes]:
    """The files of the example study by name."""
    people = {
        "participant": [p[0] for p in PEOPLE],
        "age": [p[1] for p in PEOPLE],
        "commute": [p[2] for p in PEOPLE],
        "team": [p[3] for p in PEOPLE],
    }
    problems = {"problem": [s[0] for s in STATEMENTS], "text": [s[1] for s in STATEMENTS]}
    rows = [
        (person, statement, str(min(5, max(1, liked + keen + (7 * i + 5 * j) % 3 - 1))))
        for i, (person, *_, keen) in enumerate(PEOPLE)
        for j, (statement, _, liked) in enumerate(STATEMENTS)
        if statement not in UNANSWERED
    ]
    responses = {name: [row[c] for row in rows] for c, name in enumerate(("participant", "problem", "response"))}
    return {
        "problems.csv": csv_bytes(problems),
        "participants.csv": csv_bytes(people),
        "responses.csv": csv_bytes(responses),
        STUDY_FILE: STUDY_TOML.encode("utf-8"),
    }


def _write(place: Path, data: bytes) -> Path:
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        part.write_bytes(data)
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)
    return place
