"""A study as one table with a row per response, and back without loss: the form of a Hugging Face `datasets` table.

Every row has the participant's profile, the problem's text, options and attributes, the response as the text that a
study's file holds, the same as numbers (`value`), and whether it is simulated. What rows cannot hold stands in a text
of JSON, the description: the settings of study.toml, the names of columns, people and problems without any response,
and the order of both where that is not the order in which they first appear.

Shapes: R rows, N participants, T problems.
"""

from __future__ import annotations

import csv
import io
import json
import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from crowdllm.data.cell_values import write_options
from crowdllm.data.study import Study
from crowdllm.data.study_folder import study_files, study_from_frames
from crowdllm.data.study_toml import STUDY_FILE
from crowdllm.data.tables import plain_number
from crowdllm.errors import CrowdLLMError
from crowdllm.responses.choice import Choice
from crowdllm.responses.continuous import Continuous
from crowdllm.responses.ordinal import Ordinal

FORM, VERSION = "crowdllm study", 1
Columns = dict[str, list[Any]]


def rows_of_study(study: Study, marks: Mapping[str, Any] | None = None) -> tuple[Columns, str]:
    """The columns of the table, each of R values, and the description.

    marks: further columns that say the same in every row, such as the model's hash and the seed of a crowd.
    """
    files = study_files(study)
    settings = tomllib.loads(files[STUDY_FILE].decode("utf-8"))
    named = {"participant": "participant", "problem": "problem", "text": "text", "response": "response"}
    named |= {role: str(name) for role, name in settings.get("columns", {}).items()}
    problems, people, responses = (_table(files[f"{kind}.csv"]) for kind in ("problems", "participants", "responses"))
    i, t = study.responses.participant_R, study.responses.problem_R
    columns: Columns = {}
    placed: dict[str, dict[str, str]] = {"participants": {}, "problems": {}, "responses": {}}

    def add(kind: str, name: str, values: list[Any]) -> None:
        free = name
        while free in columns:
            free += "_"
        columns[free] = values
        placed[kind][name] = free

    add("responses", named["participant"], responses[named["participant"]])
    add("responses", named["problem"], responses[named["problem"]])
    for name, cells in problems.items():
        if name != named["problem"]:
            add("problems", name, [cells[k] for k in t.tolist()])
    add("responses", named["response"], responses[named["response"]])
    columns[_free("value", columns)] = _values(study)
    numbers = {c.name for c in study.profiles.columns if c.kind == "numeric"} | {settings.get("weight", "")}
    for name, cells in people.items():
        if name != named["participant"]:
            values = [_typed(cell, name in numbers) for cell in cells]
            add("participants", name, [values[k] for k in i.tolist()])
    if study.response_type.has_options:
        columns[_free("option_texts", columns)] = [list(study.problems.options[k]) for k in t.tolist()]
    for name, value in {"simulated": study.simulated, **(marks or {})}.items():
        columns[_free(name, columns)] = [value] * len(study.responses)
    about: dict[str, Any] = {"form": FORM, "version": VERSION, "settings": files[STUDY_FILE].decode("utf-8")}
    about |= {"roles": named, "columns": placed}
    about["silent"] = {
        "participants": _rest(people, len(study.profiles), i),
        "problems": _rest(problems, len(study.problems), t),
    }
    about["order"] = {
        "participants": _order(people[named["participant"]], i),
        "problems": _order(problems[named["problem"]], t),
    }
    return columns, json.dumps(about, ensure_ascii=False)


def _table(data: bytes) -> dict[str, list[str]]:
    rows = list(csv.reader(io.StringIO(data.decode("utf-8"), newline="")))
    return {name: [row[c] for row in rows[1:]] for c, name in enumerate(rows[0])}


def _free(name: str, taken: Mapping[str, Any]) -> str:
    while name in taken:
        name += "_"
    return name


def _typed(cell: str, number: bool) -> Any:
    if not cell:
        return None
    return plain_number(cell) if number else cell


def _values(study: Study) -> list[Any]:
    """The responses as numbers: points of a level, the number itself, the position of an option, or one per option."""
    kind, values_RD = study.response_type, study.responses.values_RD
    if isinstance(kind, Ordinal):
        return [float(v) for v in np.asarray(kind.points)[values_RD[:, 0].astype(np.int64)]]
    if isinstance(kind, Continuous):
        return [float(v) for v in values_RD[:, 0]]
    if isinstance(kind, Choice):
        return [int(v) for v in values_RD[:, 0]]
    counts = study.problems.option_counts[study.responses.problem_R]
    return [[float(v) for v in row[:count]] for row, count in zip(values_RD, counts, strict=True)]


def _rest(table: dict[str, list[str]], count: int, seen_R: Any) -> dict[str, list[str]]:
    """The rows of a table that no response points to."""
    silent = np.setdiff1d(np.arange(count), seen_R).tolist()
    return {name: [cells[k] for k in silent] for name, cells in table.items()} if silent else {}


def _order(ids: list[str], seen_R: Any) -> list[str]:
    """All ids in their order, unless that is how they first appear with the silent ones behind."""
    first = list(dict.fromkeys(seen_R.tolist()))
    silent = sorted(set(range(len(ids))) - set(first))
    return [] if [*first, *silent] == list(range(len(ids))) else ids


def is_described(description: str) -> bool:
    """Whether a description is one that `rows_of_study` wrote."""
    return description.startswith("{") and f'"{FORM}"' in description[:80]


def study_of_rows(columns: Mapping[str, Sequence[Any]], description: str) -> Study:
    """The study of such a table; rows may have been taken out, and other columns added.

    Raises CrowdLLMError where the description is damaged, a column is missing, or rows contradict each other.
    """
    try:
        about = json.loads(description)
        settings = tomllib.loads(about["settings"])
        roles, placed = dict(about["roles"]), about["columns"]
        silent, order = about["silent"], about["order"]
        known = about["form"] == FORM and about["version"] == VERSION
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CrowdLLMError(f"the description of the rows is damaged ({type(error).__name__}: {error})") from None
    if not known:
        raise CrowdLLMError("the rows were written by another version of crowdllm, whose form is not known here")
    try:
        person, problem, response = (placed["responses"][roles[r]] for r in ("participant", "problem", "response"))
        for name in (person, problem, response, *placed["problems"].values(), *placed["participants"].values()):
            if name not in columns:
                raise CrowdLLMError(f"the rows have no column {name!r}, which the study needs")
        people_R, problems_R = list(map(_cell, columns[person])), list(map(_cell, columns[problem]))
        people = _unique(people_R, columns, placed["participants"], roles["participant"], silent, order, "participants")
        problems = _unique(problems_R, columns, placed["problems"], roles["problem"], silent, order, "problems")
    except (KeyError, TypeError, AttributeError) as error:
        raise CrowdLLMError(f"the description of the rows is damaged ({type(error).__name__}: {error})") from None
    responses = pd.DataFrame(
        {
            roles["participant"]: people_R,
            roles["problem"]: problems_R,
            roles["response"]: list(map(_cell, columns[response])),
        },
        dtype=object,
    )
    return study_from_frames(
        problems,
        responses,
        people,
        settings["response"],
        settings.get("profile"),
        columns=settings.get("columns"),
        weight=settings.get("weight", ""),
        **{
            key: settings[key] for key in ("title", "context", "requirements", "source", "simulated") if key in settings
        },
    )


def _unique(
    ids_R: list[str], columns: Mapping[str, Sequence[Any]], placed: Mapping[str, str], role: str,
    silent: Mapping[str, Mapping[str, list[str]]], order: Mapping[str, list[str]], kind: str,
) -> pd.DataFrame:  # fmt: skip
    """One row per id, from the first row that has it and those without responses.

    Raises CrowdLLMError where rows of one id say different things.
    """
    first: dict[str, int] = {}
    for row, identity in enumerate(ids_R):
        first.setdefault(identity, row)
    table: dict[str, list[str]] = {role: list(first)}
    for name, column in placed.items():
        values = columns[column]
        own = {identity: _cell(values[row]) for identity, row in first.items()}
        for row, identity in enumerate(ids_R):
            if _cell(values[row]) != own[identity]:
                raise CrowdLLMError(f"row {row + 1}: {column!r} of {identity!r} is not what an earlier row says")
        table[name] = list(own.values())
    rest = silent.get(kind) or {}
    for name, cells in table.items():
        cells += list(rest.get(name, []))
    frame = pd.DataFrame(table, dtype=object)
    wanted = order.get(kind)
    if wanted:
        place = {identity: k for k, identity in enumerate(wanted)}
        frame = frame.iloc[np.argsort([place.get(i, len(place)) for i in frame[role]], kind="stable")]
    return frame.reset_index(drop=True)


def _cell(value: Any) -> str:
    """A value as the text in a study's file."""
    if value is None or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return write_options(tuple(value)) if isinstance(value, list) else str(value)
