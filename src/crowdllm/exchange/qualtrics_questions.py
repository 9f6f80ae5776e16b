"""Read a Qualtrics questionnaire (`.qsf`, JSON): its questions, their choices, and the logic that cannot be kept.

A `.qsf` holds `SurveyEntry` (name) and `SurveyElements`; an element of kind SQ is a question, BL are the blocks and FL
is the flow. Of every field only what has the right type is taken: the file is untrusted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crowdllm.exchange.ledger import Ledger, short
from crowdllm.exchange.limits import DamagedFileError, read_json
from crowdllm.exchange.markup import plain_words

SINGLE = ("SAVR", "SAHR", "SACOL", "DL", "SB", "NPS")
NOT_ASKED = {
    "DB": "descriptive text",
    "Timing": "timing",
    "Captcha": "captcha",
    "Meta": "browser information",
    "Draw": "drawing or signature",
    "FileUpload": "file upload",
    "HeatMap": "heat map",
    "HotSpot": "hot spot",
    "HL": "highlighting of text",
    "PGR": "pick, group and rank",
    "SBS": "side by side",
    "DD": "drill down",
    "TreeTesting": "tree test",
    "ScreenCapture": "screen capture",
}


@dataclass(frozen=True)
class Choice:
    """A choice (or column, or row): its number in the questionnaire, its words, the value it is coded as, its tag."""

    id: str
    words: str
    value: str
    tag: str = ""
    has_text: bool = False


@dataclass(frozen=True)
class Spec:
    """A question as Qualtrics has it.

    kind: single, multiple, scale (Likert matrix), matrix-multiple, matrix-ranking, matrix-points, best-worst, ranking,
        points, slider, number, text, form, or none (nothing that is answered).
    choices: options, or rows of a matrix; answers: columns of a matrix.
    """

    qid: str
    tag: str
    text: str
    kind: str
    choices: tuple[Choice, ...] = ()
    answers: tuple[Choice, ...] = ()
    low: float | None = None
    high: float | None = None
    picks: tuple[int, int] | None = None
    budget: int = 0
    what: str = ""


@dataclass(frozen=True)
class Questionnaire:
    """title: the survey's name. specs: its questions, in the order of the blocks."""

    title: str
    specs: tuple[Spec, ...]


def read_questionnaire(path: Path, max_megabytes: int, ledger: Ledger) -> Questionnaire:
    """The questions of a `.qsf`; logic and what is no question go to the notes.

    Raises DamagedFileError where the file is no questionnaire of Qualtrics.
    """
    raw = read_json(path, max_megabytes)
    elements = raw.get("SurveyElements") if isinstance(raw, dict) else None
    if not isinstance(elements, list):
        raise DamagedFileError(path, "has no list SurveyElements, so is no questionnaire of Qualtrics")
    specs: dict[str, Spec] = {}
    order: list[str] = []
    deleted: set[str] = set()
    for element in elements:
        kind, payload = _text(_dict(element).get("Element")), _dict(element).get("Payload")
        if kind == "SQ" and isinstance(payload, dict):
            spec = _spec(payload, _text(_dict(element).get("PrimaryAttribute")))
            if spec is not None:
                specs[spec.qid] = spec
                _logic_notes(spec, payload, ledger)
        elif kind == "BL":
            shown, gone = _blocks(payload)
            order, deleted = order + shown, deleted | gone
        elif kind == "FL":
            _flow_notes(payload, ledger)
    trash = [spec.tag for qid, spec in specs.items() if qid in deleted and qid not in order]
    if trash:
        ledger.note("question left out", "", f"in the questionnaire's trash: {short(', '.join(trash))}", len(trash))
    wanted = [qid for qid in dict.fromkeys([*order, *specs]) if qid in specs and (qid not in deleted or qid in order)]
    title = plain_words(_dict(raw.get("SurveyEntry")).get("SurveyName")) or path.stem
    return Questionnaire(title, tuple(specs[qid] for qid in wanted))


def _spec(payload: Mapping[str, Any], primary: str) -> Spec | None:
    qid = _text(payload.get("QuestionID")) or primary
    tag = plain_words(payload.get("DataExportTag")) or qid
    if not qid:
        return None
    text = plain_words(payload.get("QuestionText"))
    choices = _choices(payload, "Choices", "ChoiceOrder", "RecodeValues", "ChoiceDataExportTags")
    answers = _choices(payload, "Answers", "AnswerOrder", "AnswerRecodeValues", "AnswerDataExportTags")
    if answers and not _dict(payload.get("AnswerRecodeValues")):  # a matrix codes its columns under RecodeValues
        answers = _choices(payload, "Answers", "AnswerOrder", "RecodeValues", "AnswerDataExportTags")
    kind, what = _kind(payload)
    low, high = _range(payload)
    rules = _dict(_dict(payload.get("Validation")).get("Settings"))
    picks = None
    if rules.get("MinChoices") or rules.get("MaxChoices"):
        picks = (_whole(rules.get("MinChoices")), _whole(rules.get("MaxChoices")) or len(choices))
        picks = picks if 0 <= picks[0] <= picks[1] else None
    budget = _whole(rules.get("ChoiceTotal"))
    return Spec(qid, tag, text, kind, choices, answers, low, high, picks, budget, what)


def _kind(payload: Mapping[str, Any]) -> tuple[str, str]:
    """The kind of question and, where nothing is asked that a crowd could answer, what it is."""
    kind, selector, sub = (_text(payload.get(key)) for key in ("QuestionType", "Selector", "SubSelector"))
    if kind == "MC":
        return ("single", "") if selector in SINGLE else ("multiple", "")
    if kind == "Matrix":
        if selector in ("Likert", "Profile", "Bipolar"):
            return ("matrix-multiple", "") if sub == "MultipleAnswer" else ("scale", "")
        found = {"RO": "matrix-ranking", "CS": "matrix-points", "MaxDiff": "best-worst", "TE": "form"}.get(selector)
        return (found, "") if found else ("none", f"matrix of the sort {selector!r}")
    if kind == "TE":
        rules = _dict(_dict(payload.get("Validation")).get("Settings"))
        number = _text(rules.get("ContentType")) == "ValidNumber"
        return ("form", "") if selector == "FORM" else ("number", "") if number else ("text", "")
    found = {"Slider": "slider", "RO": "ranking", "CS": "points"}.get(kind)
    if found:
        return found, ""
    return "none", NOT_ASKED.get(kind, f"question of the sort {kind!r}")


def _choices(payload: Mapping[str, Any], key: str, order_key: str, value_key: str, tag_key: str) -> tuple[Choice, ...]:
    raw = payload.get(key)
    table = dict(enumerate(raw, start=1)) if isinstance(raw, list) else _dict(raw)
    values, tags = _dict(payload.get(value_key)), _dict(payload.get(tag_key))
    listed = payload.get(order_key)
    ids = [str(i) for i in listed] if isinstance(listed, list) else []
    known = {str(i): entry for i, entry in table.items()}
    ids = [i for i in dict.fromkeys([*ids, *known]) if i in known]
    return tuple(
        Choice(
            i,
            plain_words(_dict(known[i]).get("Display", known[i] if isinstance(known[i], str) else "")),
            _text(values.get(i)) or i,
            _text(tags.get(i)),
            bool(_dict(known[i]).get("TextEntry")),
        )
        for i in ids
    )


def _range(payload: Mapping[str, Any]) -> tuple[float | None, float | None]:
    settings = _dict(payload.get("Configuration"))
    low, high = _number(settings.get("CSSliderMin")), _number(settings.get("CSSliderMax"))
    if _text(payload.get("Selector")) == "STAR":
        low, high = low if low is not None else 0.0, high or _number(settings.get("StarCount")) or 5.0
    if _text(payload.get("QuestionType")) == "TE":
        rules = _dict(_dict(_dict(payload.get("Validation")).get("Settings")).get("ValidNumber"))
        low, high = _number(rules.get("Min")), _number(rules.get("Max"))
    return (low, high) if low is None or high is None or low < high else (None, None)


def _blocks(payload: Any) -> tuple[list[str], set[str]]:
    """The questions in the blocks, in their order, and those in the trash."""
    shown: list[str] = []
    gone: set[str] = set()
    blocks = payload.values() if isinstance(payload, dict) else payload if isinstance(payload, list) else []
    for block in blocks:
        entries = _dict(block).get("BlockElements")
        ids = [_text(_dict(e).get("QuestionID")) for e in entries] if isinstance(entries, list) else []
        if _text(_dict(block).get("Type")) == "Trash":
            gone |= set(ids)
        else:
            shown += [i for i in ids if i]
    return shown, gone


# --- logic ------------------------------------------------------------------------------------------------


def _logic_notes(spec: Spec, payload: Mapping[str, Any], ledger: Ledger) -> None:
    for key, what in (("DisplayLogic", "display logic"), ("InPageDisplayLogic", "display logic")):
        if payload.get(key):
            words = "; ".join(dict.fromkeys(_descriptions(payload[key])))
            ledger.note("display logic", spec.tag, short(words, 300) or f"has {what}")
    skip = payload.get("SkipLogic")
    if skip:
        words = "; ".join(dict.fromkeys(_descriptions(skip)))
        ledger.note("skip logic", spec.tag, short(words, 300) or "has skip logic")
    if payload.get("Randomization"):
        ledger.note("randomisation", spec.tag, "the order of its choices is randomised")
    if payload.get("DynamicChoices"):
        ledger.note("carried forward", spec.tag, "takes choices from an earlier question")
    if "${" in _text(payload.get("QuestionText")):
        ledger.note("piped text", spec.tag, "its text has parts that differ from person to person")


def _flow_notes(payload: Any, ledger: Ledger) -> None:
    """Branches and randomisers of the survey flow."""
    for entry in _entries(_dict(payload).get("Flow"), 0):
        kind = _text(entry.get("Type"))
        if kind == "Branch":
            words = "; ".join(dict.fromkeys(_descriptions(entry.get("BranchLogic"))))
            ledger.note("display logic", "survey flow", short(words, 300) or "a branch")
        elif kind in ("BlockRandomizer", "Group", "Quota", "WebService", "ReferenceSurvey"):
            ledger.note("survey flow", kind, short(plain_words(entry.get("Description"))) or "not carried over")


def _entries(flow: Any, depth: int) -> Iterator[Mapping[str, Any]]:
    for entry in flow if isinstance(flow, list) and depth < 20 else []:
        if isinstance(entry, dict):
            yield entry
            yield from _entries(entry.get("Flow"), depth + 1)


def _descriptions(logic: Any, depth: int = 0) -> Iterator[str]:
    """The words in which Qualtrics describes a condition, wherever they stand in it."""
    if isinstance(logic, dict) and depth < 20:
        words = plain_words(logic.get("Description")) if isinstance(logic.get("Description"), str) else ""
        if words:
            yield words
        for value in logic.values():
            yield from _descriptions(value, depth + 1)
    elif isinstance(logic, list) and depth < 20:
        for value in logic:
            yield from _descriptions(value, depth + 1)


# --- reading what may be of any type ----------------------------------------------------------------------


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(value) if isinstance(value, (int, float)) else ""


def _number(value: Any) -> float | None:
    text = _text(value)
    try:
        number = float(text)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < 1e12 else None


def _whole(value: Any) -> int:
    number = _number(value)
    return int(number) if number is not None and 0 <= number < 1e6 else 0
