"""Read an XLSForm (ODK, KoboToolbox, SurveyCTO): its questions, choices and settings, from the sheets of a workbook.

Sheet `survey` has a row per question (type, name, label, ...), `choices` a row per choice (list_name, name, label) and
`settings` one row. Labels may be in several languages (`label::English (en)`); the default one, or the first, is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from crowdllm.data.tables import plain_number
from crowdllm.exchange.ledger import Ledger, short
from crowdllm.exchange.limits import DamagedFileError
from crowdllm.exchange.markup import plain_words
from crowdllm.exchange.workbook import Sheet

Row = Mapping[str, str]
SELECT_ONE = ("select_one", "select one", "select1", "select_one_from_file", "select_one_external")
SELECT_MANY = ("select_multiple", "select multiple", "select_multiple_from_file", "add select multiple prompt using")
NUMBERS = ("integer", "int", "decimal", "range")
TEXTS = ("text", "string", "barcode")
METADATA = (
    "start", "end", "today", "deviceid", "device id", "subscriberid", "simserial", "phonenumber", "username", "email",
    "audit", "start-geopoint", "background-audio", "hidden", "calculate", "xml-external", "csv-external",
)  # fmt: skip
PLACES = ("geopoint", "geotrace", "geoshape", "gps", "location")
NOTES = ("note", "trigger", "acknowledge", "image", "photo", "audio", "video", "file", "date", "time", "datetime")
_COUNT = re.compile(r"count-selected\(\s*\.\s*\)\s*(<=|>=|=|<|>)\s*([0-9]{1,4})")
_BOUND = re.compile(r"\.\s*(<=|>=|<|>)\s*(-?[0-9]{1,12}(?:\.[0-9]{1,12})?)")
MOST_QUESTIONS = 20_000


@dataclass(frozen=True)
class FormQuestion:
    """A question. kind: single, multiple, ranking, number or text. choices: (name, label). path: groups and name."""

    name: str
    path: tuple[str, ...]
    text: str
    kind: str
    choices: tuple[tuple[str, str], ...] = ()
    low: float | None = None
    high: float | None = None
    picks: tuple[int, int] | None = None
    likert: bool = False


@dataclass(frozen=True)
class Form:
    title: str
    questions: tuple[FormQuestion, ...]
    personal: tuple[tuple[str, str], ...] = ()
    """Questions that record places or identify somebody: (name, what)."""


@dataclass
class _Groups:
    """The groups that are open at a row, each with its label and relevance."""

    names: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)


def is_form(sheets: Sequence[str]) -> bool:
    """Whether a workbook with these sheets is an XLSForm."""
    folded = {sheet.strip().casefold() for sheet in sheets}
    return "survey" in folded and bool(folded & {"choices", "settings"})


def read_form(sheets: Sequence[Sheet], path: Path, ledger: Ledger) -> Form:
    """The questions of a form; what is no question, relevance and constraints go to the notes.

    Raises DamagedFileError where the workbook is no XLSForm.
    """
    by_name = {sheet.name.strip().casefold(): sheet for sheet in sheets}
    if "survey" not in by_name:
        raise DamagedFileError(path, "has no sheet 'survey', so is no XLSForm")
    survey = _rows(by_name["survey"])
    if not survey or "type" not in survey[0]:
        raise DamagedFileError(path, "the sheet 'survey' has no column 'type', so is no XLSForm")
    settings = (_rows(by_name["settings"]) or [{}])[0] if "settings" in by_name else {}
    language = _language(list(survey[0]), settings.get("default_language", ""), ledger)
    lists: dict[str, list[tuple[str, str]]] = {}
    for row in _rows(by_name["choices"]) if "choices" in by_name else []:
        name = row.get("name", row.get("value", "")).strip()
        if name:
            entry = (name, plain_words(_label(row, language)) or name)
            lists.setdefault(row.get("list_name", row.get("list name", "")).strip(), []).append(entry)
    questions, personal = _questions(survey[:MOST_QUESTIONS], lists, language, ledger)
    title = settings.get("form_title", "") or settings.get("title", "") or path.stem
    return Form(plain_words(title), tuple(questions), tuple(personal))


def _questions(
    survey: Sequence[Row], lists: Mapping[str, list[tuple[str, str]]], language: str, ledger: Ledger
) -> tuple[list[FormQuestion], list[tuple[str, str]]]:
    groups = _Groups()
    out: list[FormQuestion] = []
    personal: list[tuple[str, str]] = []
    for row in survey:
        kind = " ".join(row.get("type", "").split())
        name, label = row.get("name", "").strip(), plain_words(_label(row, language))
        if not kind:
            continue
        _logic(row, name or kind, ledger)
        if re.fullmatch(r"begin[ _](?:group|repeat)", kind):
            groups.names.append(name)
            groups.labels.append(label if "table-list" in row.get("appearance", "") else "")
            groups.kinds.append(kind)
            if "repeat" in kind:
                ledger.note("question left out", name, f"a repeated group: {label}")
        elif re.fullmatch(r"end[ _](?:group|repeat)", kind):
            for stack in (groups.names, groups.labels, groups.kinds):
                del stack[-1:]
        elif any("repeat" in k for k in groups.kinds):
            ledger.note("question left out", name, "asked several times in a repeated group")
        elif kind in PLACES or kind in ("start-geopoint", "email", "phonenumber", "deviceid", "username"):
            personal.append((name, "coordinates" if kind in PLACES or "geo" in kind else "platform identifiers"))
        else:
            question = _question(kind, name, label, row, lists, groups)
            if question is not None:
                out.append(question)
            elif kind not in METADATA:
                ledger.note("question left out", name, f"{kind}: {short(label)}" if label else kind)
    return out, personal


def _question(
    kind: str, name: str, label: str, row: Row, lists: Mapping[str, list[tuple[str, str]]], groups: _Groups
) -> FormQuestion | None:
    stem = next((text for text in reversed(groups.labels) if text), "")
    text, path = f"{stem} {label}".strip() or name, (*groups.names, name)
    rule = row.get("constraint", "")
    word, _, rest = kind.partition(" ")
    chosen = next((s for s in (*SELECT_ONE, *SELECT_MANY, "rank") if kind.startswith(f"{s} ")), "")
    if chosen:
        rest = kind[len(chosen) :].strip()
        listed = re.sub(r"\s+or[ _](?:specify[ _])?other$", "", rest)
        choices = [*lists.get(listed, []), *([("other", "Other")] if listed != rest else [])]
        if not choices:
            return None
        sort = "ranking" if chosen == "rank" else "multiple" if chosen in SELECT_MANY else "single"
        likert = "likert" in row.get("appearance", "")
        picks = _picks(rule, len(choices)) if sort == "multiple" else None
        return FormQuestion(name, path, text, sort, tuple(choices), picks=picks, likert=likert)
    if word in NUMBERS:
        low, high = _bounds(rule)
        if word == "range":
            settings = dict(re.findall(r"(start|end)\s*=\s*(-?[0-9.]{1,15})", row.get("parameters", "")))
            low, high = plain_number(settings.get("start", "0")), plain_number(settings.get("end", "10"))
        proper = low is None or high is None or low < high
        return FormQuestion(name, path, text, "number", (), low if proper else None, high if proper else None)
    return FormQuestion(name, path, text, "text") if word in TEXTS else None


def _logic(row: Row, name: str, ledger: Ledger) -> None:
    for key, kind in (
        ("relevant", "display logic"),
        ("relevance", "display logic"),
        ("choice_filter", "display logic"),
        ("calculation", "calculation"),
    ):
        if row.get(key, "").strip():
            ledger.note(kind, name, short(row[key], 300))


def _picks(rule: str, count: int) -> tuple[int, int] | None:
    """The least and most picks that a constraint on count-selected(.) allows, None where there is none."""
    least, most, found = 0, count, False
    for sign, number in _COUNT.findall(rule[:500]):
        n, found = int(number), True
        least = max(least, {">=": n, "=": n, ">": n + 1}.get(sign, 0))
        most = min(most, {"<=": n, "=": n, "<": n - 1}.get(sign, count))
    return (least, most) if found and 0 <= least <= most and most >= 1 else None


def _bounds(rule: str) -> tuple[float | None, float | None]:
    """The ends of a number that a constraint such as `. >= 0 and . <= 10` states."""
    low = [float(n) for sign, n in _BOUND.findall(rule[:500]) if sign == ">="]
    high = [float(n) for sign, n in _BOUND.findall(rule[:500]) if sign == "<="]
    if re.search(r"\bor\b", rule[:500]):
        return None, None
    return (max(low) if low else None), (min(high) if high else None)


def _rows(sheet: Sheet) -> list[Row]:
    """The rows below the header as columns by name, in lower case but for the language."""
    if not sheet.rows:
        return []
    header = [_heading(cell) for cell in sheet.rows[0]]
    return [{name: cell for name, cell in zip(header, row, strict=True) if name} for row in sheet.rows[1:]]


def _heading(cell: str) -> str:
    name, sign, language = cell.strip().partition(":")
    return name.strip().casefold() + (f"::{language.strip(': ')}" if sign else "")


def _language(header: Sequence[str], default: str, ledger: Ledger) -> str:
    """Which language's labels are read: that of the settings, the plain ones, or the first."""
    languages = [name.partition("::")[2] for name in header if name.startswith("label::")]
    if not languages:
        return ""
    chosen = next((lang for lang in languages if lang == default), "" if "label" in header else languages[0])
    others = [lang for lang in languages if lang != chosen]
    if others:
        ledger.note("language left out", "", f"labels are read in {chosen or 'the default language'!r}; also: {others}")
    return chosen


def _label(row: Row, language: str) -> str:
    return row.get(f"label::{language}", "") if language else row.get("label", "")
