"""Read Qualtrics: a questionnaire (`.qsf`), an export of responses (CSV with three header rows), or both together.

With both, the questionnaire says what the columns are. With the responses alone, types are guessed from the answers.
With the questionnaire alone, the study has problems and no responses yet.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.tables import Cells
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.assembling import imported_survey
from crowdllm.exchange.demographics import is_tools_own
from crowdllm.exchange.ledger import Ledger
from crowdllm.exchange.limits import DamagedFileError
from crowdllm.exchange.markup import plain_words
from crowdllm.exchange.other_columns import other_items
from crowdllm.exchange.personal import numbered_people, screen
from crowdllm.exchange.protocol import LIKELY, NO, SURE, Glance, Imported, Reader, ReadOptions
from crowdllm.exchange.qualtrics_answers import Column, column_of, guessed_spec, question_items, without_selected
from crowdllm.exchange.qualtrics_questions import Questionnaire, Spec, read_questionnaire
from crowdllm.exchange.survey import Item, Survey
from crowdllm.exchange.text_table import read_text_table

OWN_COLUMNS = ("StartDate", "EndDate", "Status", "Progress", "Finished", "RecordedDate", "ResponseId")
PREVIEWS = ("Survey Preview", "1", "Survey Test", "2")


def sniff(files: Sequence[Glance]) -> int:
    if any(is_questionnaire(file) for file in files):
        return SURE
    if any("ImportId" in file.text and "QID" in file.text for file in files if not file.members):
        return SURE
    named = [sum(name in file.first_line for name in OWN_COLUMNS) for file in files]
    return LIKELY if max(named, default=0) >= 4 else NO


def is_questionnaire(file: Glance) -> bool:
    return '"SurveyEntry"' in file.text or file.suffix == ".qsf"


def read(files: Sequence[Path], options: ReadOptions) -> Imported:
    """The studies in a questionnaire, an export of responses, or both.

    Raises CrowdLLMError for files that are neither, or two of a kind.
    """
    ledger = Ledger()
    questionnaires = [path for path in files if _is_json(path, options)]
    tables = [path for path in files if path not in questionnaires]
    if len(questionnaires) > 1 or len(tables) > 1:
        raise CrowdLLMError(
            "name one questionnaire (.qsf) and one export of responses (CSV) at most, both of one survey"
        )
    asked = read_questionnaire(questionnaires[0], options.max_megabytes, ledger) if questionnaires else None
    if asked is not None:
        ledger.understood.append(f"questionnaire {asked.title!r}: {len(asked.specs)} questions")
    columns = _read_columns(tables[0], options, ledger) if tables else []
    count = len(columns[0].cells_N) if columns else 0
    title = asked.title if asked else tables[0].stem
    items = _items(asked, columns, count, ledger)
    survey = Survey(title, tuple(items), numbered_people(count), source=("Qualtrics",))
    return imported_survey(survey, options, ledger, guessed=asked is None)


def _is_json(path: Path, options: ReadOptions) -> bool:
    with path.open("rb") as file:
        head = file.read(2_000).lstrip(b"\xef\xbb\xbf \r\n\t")
    return head[:1] == b"{" or path.suffix.lower() == ".qsf"


# --- the table of responses -------------------------------------------------------------------------------


def _read_columns(path: Path, options: ReadOptions, ledger: Ledger) -> list[Column]:
    """The columns with their three header rows taken off; previews are left out."""
    table, notes = read_text_table(path, OWN_COLUMNS, options.max_megabytes)
    ledger.notes += notes
    if not len(table):
        raise DamagedFileError(path, "has only one header row; export it as CSV with all three")
    ids = {name: _import_id(str(cells[1])) if len(cells) > 1 else ("", "") for name, cells in table.columns.items()}
    first = 2 if any(qid for qid, _ in ids.values()) else 1
    texts = {name: plain_words(str(cells[0])) for name, cells in table.columns.items()}
    body = {name: cells[first:] for name, cells in table.columns.items()}
    keep_N = _no_previews(body, ledger)
    ledger.understood.append(f"{int(keep_N.sum()):,} responses in {len(body):,} columns, {first + 1} header rows")
    columns = []
    for name, cells in body.items():
        qid, choice = ids[name]
        columns.append(column_of(name, texts[name], qid or name, choice, cells[keep_N]))
    return columns


def _import_id(cell: str) -> tuple[str, str]:
    """The ImportId (and choiceId) in a cell of the third header row, ("", "") where it is none."""
    if "ImportId" not in cell[:40]:
        return "", ""
    try:
        raw = json.loads(cell)
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(raw, dict):
        return "", ""
    return str(raw.get("ImportId", "")), str(raw.get("choiceId", ""))


def _no_previews(body: Mapping[str, Cells], ledger: Ledger) -> NDArray[np.bool_]:
    count = len(next(iter(body.values()), np.zeros(0)))
    keep_N = np.ones(count, dtype=bool)
    if "Status" in body:
        preview_N = np.isin(np.array([str(c).strip() for c in body["Status"]], dtype=object), PREVIEWS)
        keep_N &= ~preview_N
        if preview_N.any():
            ledger.note("people left out", "Status", "previews and test answers, not people's", int(preview_N.sum()))
    finished = np.array(
        [str(c).strip().casefold() for c in body.get("Finished", np.zeros(0, dtype=object))], dtype=object
    )
    unfinished = int(np.isin(finished, ["false", "0"]).sum())
    if unfinished:
        ledger.note("kept", "Finished", "people who did not finish; their answers count", unfinished)
    return keep_N


# --- items ------------------------------------------------------------------------------------------------


def _items(asked: Questionnaire | None, columns: Sequence[Column], count: int, ledger: Ledger) -> list[Item]:
    """The items of all questions in the order of the questionnaire (or the file), then those of other columns."""
    specs = {spec.qid: spec for spec in asked.specs} if asked else {}
    by_tag = {spec.tag: spec.qid for spec in specs.values()}
    groups: dict[tuple[str, str], list[Column]] = {}
    rest: list[Column] = []
    for column in columns:
        place = _place(column, specs, by_tag)
        if place is None:
            rest.append(column)
        else:
            groups.setdefault((place.loop, place.qid), []).append(place)
    items: list[Item] = []
    order = list(dict.fromkeys([*((loop, qid) for qid in specs for loop, q in groups if q == qid), *groups]))
    for key in order:
        found = groups[key]
        spec = specs.get(key[1])
        if spec is None and asked is not None:
            ledger.note("guessed", found[0].name, "not in the questionnaire; its type is guessed from the answers")
        items += question_items(spec or without_selected(guessed_spec(key[1], found)), found, count, ledger)
    for qid, spec in specs.items():
        if not any(q == qid for _, q in groups):
            items += _unanswered(spec, columns, count, ledger)
    return items + _rest(rest, ledger)


def _place(column: Column, specs: Mapping[str, Spec], by_tag: Mapping[str, str]) -> Column | None:
    """The column with its question, which an older export names by its tag only; None where it belongs to none."""
    if column.qid:
        return column
    name = column.name
    if name in OWN_COLUMNS or is_tools_own(name):
        return None
    for tag, part in ((name, ""), *((name[:i], name[i + 1 :]) for i, sign in enumerate(name) if sign in "_-")):
        if tag in by_tag:
            return Column(name, column.text, "", by_tag[tag], part, column.cells_N)
    return None


def _unanswered(spec: Spec, columns: Sequence[Column], count: int, ledger: Ledger) -> list[Item]:
    if columns and spec.kind != "none":
        ledger.note("question without answers", spec.tag, "the export has no column of it")
    return question_items(spec, [], count, ledger)


def _rest(rest: Sequence[Column], ledger: Ledger) -> list[Item]:
    """Embedded data and the tool's own columns, without what is personal."""
    screened = screen({column.name: column.cells_N for column in rest})
    ledger.left_out += screened.left_out
    items = []
    for name, cells in screened.columns.items():
        text = next(column.text for column in rest if column.name == name)
        items += other_items(name, text if text != name else "", cells, ledger)
    return items


READER = Reader("qualtrics", "Qualtrics questionnaire (.qsf) and responses (CSV)", sniff, read)
