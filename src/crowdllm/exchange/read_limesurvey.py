"""Read LimeSurvey: a questionnaire (`.lss`), an export of responses (CSV), or both together.

With both, the questionnaire says what the columns are; with the responses alone, types are guessed from the answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from crowdllm.data.tables import Cells
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.assembling import imported_survey
from crowdllm.exchange.demographics import is_tools_own
from crowdllm.exchange.ledger import Ledger
from crowdllm.exchange.limesurvey_answers import lime_items
from crowdllm.exchange.limesurvey_questions import LimeQuestion, LimeSurvey, read_lss
from crowdllm.exchange.limits import DamagedFileError
from crowdllm.exchange.other_columns import other_items
from crowdllm.exchange.personal import numbered_people, screen
from crowdllm.exchange.protocol import LIKELY, NO, SURE, Glance, Imported, Reader, ReadOptions
from crowdllm.exchange.qualtrics_answers import Column, guessed_spec, question_items
from crowdllm.exchange.survey import Item, Survey
from crowdllm.exchange.text_table import read_text_table

OWN = ("id", "submitdate", "lastpage", "startlanguage", "seed", "token", "startdate", "datestamp", "ipaddr", "refurl")
OWN_WORDS = ("Response ID", "Date submitted", "Last page", "Start language", "Seed", "Date started", "Date last action")
_NAME = re.compile(
    r"([A-Za-z][A-Za-z0-9_]{0,60}?)(?:\[([A-Za-z0-9_]{1,30})\](?:\[([A-Za-z0-9_]{1,30})\])?)?(?:[.:]\s.*)?"
)

_TIMES = re.compile(r"interviewtime|groupTime[0-9]+|[A-Za-z0-9_]+Time|(?:Group|Question) time: .*|Total time")


def sniff(files: Sequence[Glance]) -> int:
    if any("<LimeSurveyDocType>" in file.text or file.suffix == ".lss" for file in files):
        return SURE
    lines = [file.first_line.casefold() for file in files if not file.members]
    own = [sum(f'"{name}"' in line or name in re.split(r"[,;\t]", line) for name in OWN) for line in lines]
    words = [sum(word.casefold() in line for word in OWN_WORDS) for line in lines]
    return LIKELY if max([*own, *words], default=0) >= 3 else NO


def read(files: Sequence[Path], options: ReadOptions) -> Imported:
    """The studies in a questionnaire, an export of responses, or both.

    Raises CrowdLLMError for files that are neither, or two of a kind.
    """
    ledger = Ledger()
    questionnaires = [path for path in files if _is_xml(path)]
    tables = [path for path in files if path not in questionnaires]
    if len(questionnaires) > 1 or len(tables) > 1:
        raise CrowdLLMError(
            "name one questionnaire (.lss) and one export of responses (CSV) at most, both of one survey"
        )
    survey = read_lss(questionnaires[0], options.max_megabytes, ledger) if questionnaires else None
    if survey is not None:
        ledger.understood.append(f"questionnaire {survey.title!r}: {len(survey.questions)} questions")
    columns = _read_columns(tables[0], options, ledger) if tables else {}
    count = len(next(iter(columns.values()), np.zeros(0)))
    items = _items(survey, columns, count, ledger)
    title = survey.title if survey else tables[0].stem
    whole = Survey(title, tuple(items), numbered_people(count), source=("LimeSurvey",))
    return imported_survey(whole, options, ledger, guessed=survey is None)


def _is_xml(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(2_000).lstrip(b"\xef\xbb\xbf \r\n\t")
    return head[:1] == b"<" or path.suffix.lower() == ".lss"


def _read_columns(path: Path, options: ReadOptions, ledger: Ledger) -> dict[str, Cells]:
    table, notes = read_text_table(path, OWN, options.max_megabytes)
    ledger.notes += notes
    if not len(table):
        raise DamagedFileError(path, "has a header and no responses")
    ledger.understood.append(f"{len(table):,} responses in {len(table.columns):,} columns")
    unfinished = table.columns.get("submitdate", table.columns.get("Date submitted"))
    if unfinished is not None:
        count = sum(not str(cell).strip() or str(cell).startswith("1980-01-01") for cell in unfinished)
        if count:
            ledger.note("kept", "submitdate", "people who did not finish; their answers count", count)
    return table.columns


def _items(survey: LimeSurvey | None, columns: Mapping[str, Cells], count: int, ledger: Ledger) -> list[Item]:
    questions = {question.code: question for question in survey.questions} if survey else {}
    groups: dict[str, dict[str, tuple[str, Cells]]] = {}
    rest: dict[str, Cells] = {}
    for name, cells in columns.items():
        code, part = _place(name, questions)
        if code not in questions and _TIMES.fullmatch(name):
            ledger.note("column left out", name, "written down by the tool itself", int((cells != "").sum()))
        elif not code or name in (*OWN, *OWN_WORDS) or (code not in questions and is_tools_own(name)):
            rest[name] = cells
        else:
            groups.setdefault(code, {})[part] = (name, cells)
    items: list[Item] = []
    for code, question in questions.items():
        found = {part: cells for part, (_, cells) in groups.pop(code, {}).items()}
        if columns and not found and question.kind not in "X*I|":
            ledger.note("question without answers", code, "the export has no column of it")
        items += lime_items(question, found, count, ledger)
    for code, parts in groups.items():
        items += _guessed(code, parts, count, survey is not None, ledger)
    screened = screen({name: cells for name, cells in rest.items() if name != "id"})
    ledger.left_out += screened.left_out
    for name, cells in screened.columns.items():
        items += other_items(name, "", np.array([str(c).strip() for c in cells], dtype=object), ledger)
    return items


def _place(name: str, questions: Mapping[str, LimeQuestion]) -> tuple[str, str]:
    """The question's code and the part that a column holds; ("", "") where it is none."""
    found = _NAME.fullmatch(name.strip()[:500])
    if not found:
        return "", ""
    code = found.group(1)
    parts = [part for part in found.groups()[1:] if part]
    if code in questions or parts or not questions:
        return code, "_".join(parts)
    for i, sign in enumerate(code):  # as exported for R or SPSS: Q3_SQ001
        if sign == "_" and code[:i] in questions:
            return code[:i], code[i + 1 :]
    return "", ""


def _guessed(
    code: str, parts: Mapping[str, tuple[str, Cells]], count: int, has_survey: bool, ledger: Ledger
) -> list[Item]:
    """A question that no questionnaire describes, or a column that belongs to none."""
    single = len(parts) == 1 and "" in parts
    if single:
        name, cells = parts[""]
        screened = screen({name: cells})
        ledger.left_out += screened.left_out
        if not screened.columns:
            return []
        if has_survey:
            return other_items(name, "", screened.columns[name], ledger)
    words = {str(cell) for _, cells in parts.values() for cell in cells}
    ticks = len(parts) > 1 and words <= {"Y", "N", "Yes", "No", "", "N/A"}
    columns = [Column(name, "", "", code, part, _bare(cells, ticks)) for part, (name, cells) in parts.items()]
    texts = [c for c in columns if c.part in ("other", "comment")]
    closed = [c for c in columns if c not in texts] or columns
    found = question_items(guessed_spec(code, closed), closed, count, ledger)
    return found + [Item(c.name, c.name, "text", (), c.cells_N, (c.name,)) for c in texts if c not in closed]


def _bare(cells: Cells, ticks: bool) -> Cells:
    """Cells without the sign for "not shown"; ticks: yes as 1 and no as nothing, as for several answers."""
    if ticks:
        return np.array(["1" if cell in ("Y", "Yes") else "" for cell in cells], dtype=object)
    return np.array(["" if cell == "N/A" else str(cell).strip() for cell in cells], dtype=object)


READER = Reader("limesurvey", "LimeSurvey questionnaire (.lss) and responses (CSV)", sniff, read, extra="formats")
