"""Make a study of a table with one row per answer: who, on what, and the answer; further columns go where they fit.

A further column that says the same in all rows of a person is a profile column (or the weight); one that says the same
in all rows of a problem is the problem's text or an attribute; any other cannot be carried over.

Shapes: R rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from crowdllm.data.study import Study
from crowdllm.data.study_folder import guess_response, study_from_frames
from crowdllm.data.tables import Cells
from crowdllm.errors import CrowdLLMError, UnknownNameError
from crowdllm.exchange.assembling import REQUIREMENTS
from crowdllm.exchange.further_columns import Further, sort_further
from crowdllm.exchange.ledger import Ledger, some_of
from crowdllm.exchange.ordered import by_strength
from crowdllm.exchange.personal import pseudonyms, screen
from crowdllm.exchange.protocol import Imported, Part, ReadOptions
from crowdllm.exchange.survey import distinct_options
from crowdllm.exchange.tables_guess import distinct_words
from crowdllm.responses import response_type_from_dict

ROLES = ("participant", "problem", "response")


def imported_long(
    columns: Mapping[str, Cells], roles: Mapping[str, str], title: str, options: ReadOptions, ledger: Ledger
) -> Imported:
    """The study in a long table.

    Raises CrowdLLMError where a role has no column, or a person answers a problem twice.
    """
    given = options.mapping
    for role in ROLES:
        if not roles.get(role):
            hint = f"name it with --map {role}=COLUMN, one of {', '.join(columns)}"
            raise CrowdLLMError(f"{title}: no column is recognised as the {role}; {hint}")
        if roles[role] not in columns:
            raise UnknownNameError("column", roles[role], list(columns), f"{role} of the mapping")
    person, problem, answer = (roles[role] for role in ROLES)
    people_R, left = pseudonyms(columns[person], person)
    tables = given.get("columns", {})
    for name in tables:
        if name not in columns:
            raise UnknownNameError("column", name, list(columns), "the mapping")
    keep = [problem, answer, *(name for name, table in tables.items() if table.get("use") == "profile")]
    screened = screen({name: cells for name, cells in columns.items() if name != person}, keep)
    ledger.left_out += [*left, *screened.left_out]
    ids_R = np.array([" ".join(cell.split()) for cell in columns[problem]], dtype=object)
    table = pd.DataFrame({"participant": people_R, "problem": ids_R, "response": columns[answer]}, dtype=object)
    table = _once(table, ledger)
    settings = _scale(table["response"].to_numpy(dtype=object), given, tables.get(answer, {}), title)
    table = _legal(table, settings, ledger)
    if not len(table):
        raise CrowdLLMError(f"{title}: no row has a person, a problem and an answer")
    rows = table.index.to_numpy()
    rest = {name: cells[rows] for name, cells in screened.columns.items() if name not in (problem, answer)}
    further = sort_further(table, rest, roles.get("text", ""), given, ledger)
    study = _study(table, further, settings, title, given)
    ledger.understood.append(f"long: people in {person!r}, problems in {problem!r}, answers in {answer!r}")
    ledger.understood += further.lines()
    uses: dict[str, dict[str, Any]] = {name: {"use": "profile", **s} for name, s in further.profile.items()}
    uses[answer] = {key: value for key, value in settings.items() if key in ("type", "levels", "low", "high")}
    named = {role: roles[role] for role in ROLES} | ({"text": further.text_name} if further.text_name else {})
    named |= {"weight": further.weight_name} if further.weight_name else {}
    return Imported(
        "", (), (Part(str(settings["type"]), study),), tuple(ledger.understood), tuple(ledger.notes),
        tuple(ledger.left_out), (), True, {**given, "layout": "long", **named, "columns": uses},
    )  # fmt: skip


def _once(table: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    """The rows with a person, a problem and an answer; of several answers to one question the first."""
    named = (table["participant"] != "") & (table["problem"] != "")
    if not named.all():
        ledger.note("rows left out", "", "no person or no problem is named", int((~named).sum()))
    table = table[named & (table["response"].str.strip() != "")]
    again = table.duplicated(["participant", "problem"])
    same = table.duplicated(["participant", "problem", "response"])
    if (again & ~same).any():
        row = table[again & ~same].iloc[0]
        text = (
            f"different answers of one person to one problem, such as of {row['participant']!r} to {row['problem']!r}"
        )
        ledger.note("answers left out", "", f"{text}; the first counts", int((again & ~same).sum()))
    if same.any():
        ledger.note("answers left out", "", "the same answer given to the same problem again", int(same.sum()))
    return table[~again]


def _scale(cells_R: Cells, given: Mapping[str, Any], own: Mapping[str, Any], title: str) -> dict[str, Any]:
    """The settings of the response, by the mapping or a guess over all answers."""
    kind = str(own.get("type") or given.get("type", ""))
    words = sorted({word.strip() for word in distinct_words(cells_R)})
    if own.get("levels"):
        return {"type": "ordinal", "levels": [str(level) for level in own["levels"]]}
    if own.get("options") and kind in ("", "choice"):
        return {"type": "choice", "options": list(distinct_options(map(str, own["options"])))}
    if kind in ("ballot", "points", "ranking"):
        raise CrowdLLMError(
            f"{title}: answers of type {kind!r} cannot be read from a plain table with a row per answer"
        )
    guess = guess_response(np.array(words, dtype=object))
    if kind == "continuous" or (not kind and guess is not None and guess["type"] == "continuous"):
        ends = {end: float(own[end]) for end in ("low", "high") if end in own}
        return {"type": "continuous", **ends}
    if guess is not None and guess["type"] == "ordinal" and kind in ("", "ordinal"):
        return guess
    order = by_strength(words)
    if (order and not kind) or kind == "ordinal":
        return {"type": "ordinal", "levels": list(order or words)}
    if guess is None and not kind:
        raise CrowdLLMError(f"{title}: the answers are {len(words):,} different texts, which are no scale")
    return {"type": "choice", "options": list(distinct_options(words))}


def _legal(table: pd.DataFrame, settings: Mapping[str, Any], ledger: Ledger) -> pd.DataFrame:
    """The rows whose answer is on the scale; the others are counted."""
    rest = {key: value for key, value in settings.items() if key != "options"}
    scale, options = response_type_from_dict(rest), tuple(settings.get("options", ()))
    good: dict[str, str] = {}
    lost: dict[str, int] = {}
    counts = table["response"].value_counts(sort=False)
    number = {option: f"#{i + 1}" for i, option in enumerate(options)}
    for word, count in counts.items():
        cell = number.get(" ".join(str(word).split()), "") if options else str(word).strip()
        try:
            scale.read_cell(cell, options)
            good[str(word)] = cell
        except CrowdLLMError:
            lost[str(word)] = int(count)
    if lost:
        ledger.note("answers left out", "", f"not on the scale: {some_of(lost)}", sum(lost.values()))
    table = table[table["response"].isin(list(good))]
    return table.assign(response=table["response"].map(good))


def _study(
    table: pd.DataFrame, further: Further, settings: Mapping[str, Any], title: str, given: Mapping[str, Any]
) -> Study:
    people, problems = pd.unique(table["participant"]), pd.unique(table["problem"])
    asked = pd.DataFrame({"problem": problems}, dtype=object)
    asked["text"] = [further.text.get(problem) or problem for problem in problems]
    for name, values in further.attributes.items():
        asked[_free(name, asked)] = [values.get(problem, "") for problem in problems]
    who = pd.DataFrame({"participant": people}, dtype=object)
    profile = {}
    for name, column in further.profile.items():
        free = _free(name, who)
        who[free] = [further.values[name].get(person, "") for person in people]
        profile[free] = {**column, "label": name}
    if further.weights:
        who["weight"] = [further.weights.get(person, "") for person in people]
    return study_from_frames(
        asked,
        table,
        who,
        settings,
        profile,
        title=str(given.get("title", "")) or title,
        context=str(given.get("context", "")),
        requirements=str(given.get("requirements", "")) or REQUIREMENTS,
        weight="weight" if further.weights else "",
    )


def _free(name: str, table: pd.DataFrame) -> str:
    while name in table.columns or name in ("weight", "options"):
        name += "_"
    return name
