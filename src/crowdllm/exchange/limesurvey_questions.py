"""Read a LimeSurvey questionnaire (`.lss`, XML): its questions, subquestions, answers, attributes and relevance.

A `.lss` is a dump of tables: each has `rows` of `row` elements whose children are the columns. Older versions keep the
texts in `questions` and `answers`, newer ones in `question_l10ns` and `answer_l10ns`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crowdllm.data.tables import plain_number
from crowdllm.exchange.ledger import Ledger, short
from crowdllm.exchange.limits import MEGABYTE, DamagedFileError, XmlEvents, parse_xml, read_bytes
from crowdllm.exchange.markup import plain_words

Row = Mapping[str, str]
NEEDED = frozenset(
    (
        "questions", "subquestions", "answers", "question_attributes", "question_l10ns", "answer_l10ns", "conditions",
        "surveys_languagesettings", "languages",
    )
)  # fmt: skip
ROWS_PER_MEGABYTE = 10_000
YES_NO, GENDER = (("Y", "Yes"), ("N", "No")), (("F", "Female"), ("M", "Male"))
UNCERTAIN = (("Y", "Yes"), ("U", "Uncertain"), ("N", "No"))
CHANGE = (("D", "Decrease"), ("S", "Same"), ("I", "Increase"))
NOT_ASKED = {"X": "text display", "*": "equation", "I": "language switch", "|": "file upload", "D": "date or time"}


@dataclass(frozen=True)
class LimeQuestion:
    """A question.

    kind: one letter, as LimeSurvey has it. parts: subquestions as (code, words), and parts_2 those of the other scale.
    answers: (code, words) per scale, in order. attributes: such as slider_min or equals_num_value.
    """

    code: str
    text: str
    kind: str
    parts: tuple[tuple[str, str], ...] = ()
    parts_2: tuple[tuple[str, str], ...] = ()
    answers: tuple[tuple[str, str], ...] = ()
    answers_2: tuple[tuple[str, str], ...] = ()
    other: bool = False
    attributes: Mapping[str, str] | None = None

    def attribute(self, name: str) -> str:
        return (self.attributes or {}).get(name, "").strip()

    def number(self, name: str) -> float | None:
        return plain_number(self.attribute(name))


@dataclass(frozen=True)
class LimeSurvey:
    title: str
    questions: tuple[LimeQuestion, ...]


class _Tables(XmlEvents):
    """The rows of the tables that are needed, as texts by column."""

    def __init__(self, most: int) -> None:
        self.tables: dict[str, list[dict[str, str]]] = {}
        self.path: list[str] = []
        self.row: dict[str, str] = {}
        self.parts: list[str] = []
        self.left = most
        self.kind = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self.path.append(tag)
        if tag == "row":
            self.row = {}
        self.parts = []

    def data(self, text: str) -> None:
        self.parts.append(text)

    def end(self, tag: str) -> None:
        depth = len(self.path)
        if depth > 1 and self.path[1] in NEEDED:
            if tag == "row" and depth == 4:
                self.left -= 1
                if self.left < 0:
                    raise ValueError("too many rows")
                self.tables.setdefault(self.path[1], []).append(self.row)
            elif depth == 5:
                self.row[tag] = "".join(self.parts)
            elif depth == 3 and self.path[1] == "languages":
                self.tables.setdefault("languages", []).append({"language": "".join(self.parts)})
        elif depth == 2 and tag == "LimeSurveyDocType":
            self.kind = "".join(self.parts).strip()
        self.parts = []
        self.path.pop()


def read_lss(path: Path, max_megabytes: int, ledger: Ledger) -> LimeSurvey:
    """The questions of a `.lss`, in the survey's first language.

    Raises DamagedFileError where the file is no questionnaire of LimeSurvey.
    """
    data = read_bytes(path, max(max_megabytes // 2, 1))
    found = _Tables(int(ROWS_PER_MEGABYTE * max(len(data) / MEGABYTE, 1)))
    parse_xml(data, found, path)
    tables: Mapping[str, Sequence[Row]] = found.tables
    if not tables.get("questions"):
        raise DamagedFileError(path, "has no table of questions, so is no questionnaire of LimeSurvey")
    language = next((row.get("language", "").strip() for row in tables.get("languages", [])), "")
    language = language or next((r["language"] for r in tables["questions"] if r.get("language")), "")
    others = {r.get("language", "") for r in tables.get("question_l10ns", tables["questions"])} - {language, ""}
    if others:
        ledger.note("language left out", "", f"the texts are read in {language!r}; there are also {sorted(others)}")
    texts = {r.get("qid", ""): r.get("question", "") for r in _in(tables.get("question_l10ns", []), language)}
    attributes: dict[str, dict[str, str]] = {}
    for row in tables.get("question_attributes", []):
        if row.get("language", "") in ("", language):
            attributes.setdefault(row.get("qid", ""), {})[row.get("attribute", "")] = row.get("value", "")
    questions = []
    for row in sorted(_in(tables["questions"], language), key=_order):
        if row.get("parent_qid", "0").strip() in ("", "0"):
            question = _question(row, tables, texts, attributes.get(row.get("qid", ""), {}), language)
            questions.append(question)
            _logic(row, question, tables, ledger)
    settings = _in(tables.get("surveys_languagesettings", []), language, "surveyls_language")
    title = plain_words(settings[0].get("surveyls_title", "")) if settings else ""
    return LimeSurvey(title or path.stem, tuple(questions))


def _question(
    row: Row, tables: Mapping[str, Sequence[Row]], texts: Mapping[str, str], attributes: Row, language: str
) -> LimeQuestion:
    qid = row.get("qid", "")
    children = [r for name in ("subquestions", "questions") for r in tables.get(name, []) if r.get("parent_qid") == qid]
    children = sorted(_in(children, language), key=_order)
    parts: list[list[tuple[str, str]]] = [[], []]
    for child in children:
        words = plain_words(texts.get(child.get("qid", ""), "") or child.get("question", "")) or child.get("title", "")
        parts[child.get("scale_id", "0").strip() == "1"].append((child.get("title", "").strip(), words))
    answers: list[list[tuple[str, str]]] = [[], []]
    words_of = {r.get("aid", ""): r.get("answer", "") for r in _in(tables.get("answer_l10ns", []), language)}
    own = [r for r in tables.get("answers", []) if r.get("qid") == qid]
    for answer in sorted(_in(own, language), key=_order):
        words = plain_words(words_of.get(answer.get("aid", ""), "") or answer.get("answer", ""))
        code = answer.get("code", "").strip()
        answers[answer.get("scale_id", "0").strip() == "1"].append((code, words or code))
    text = plain_words(texts.get(qid, "") or row.get("question", ""))
    return LimeQuestion(
        row.get("title", "").strip() or f"Q{qid}",
        text,
        row.get("type", "").strip(),
        tuple(parts[0]),
        tuple(parts[1]),
        tuple(answers[0]),
        tuple(answers[1]),
        row.get("other", "").strip() == "Y",
        attributes,
    )


def _logic(row: Row, question: LimeQuestion, tables: Mapping[str, Sequence[Row]], ledger: Ledger) -> None:
    """Relevance equations, and the conditions of older versions."""
    relevance = row.get("relevance", "").strip()
    if relevance not in ("", "1"):
        ledger.note("display logic", question.code, short(relevance, 300))
    for condition in tables.get("conditions", []):
        if condition.get("qid") == row.get("qid"):
            words = " ".join(condition.get(key, "") for key in ("cfieldname", "method", "value"))
            ledger.note("display logic", question.code, short(words, 300))
    for name in ("array_filter", "array_filter_exclude", "random_order", "random_group"):
        if question.attribute(name) not in ("", "0"):
            kind = "randomisation" if name.startswith("random") else "display logic"
            ledger.note(kind, question.code, f"{name}: {short(question.attribute(name))}")


def _in(rows: Sequence[Row], language: str, key: str = "language") -> list[Row]:
    """The rows in a language, all where none says which."""
    return [row for row in rows if row.get(key, "").strip() in ("", language) or not language]


def _order(row: Row) -> tuple[float, float]:
    keys = ("question_order", "sortorder")
    numbers = [plain_number(row.get(key, "")) for key in ("group_order", "gid", *keys)]
    known = [n for n in numbers if n is not None]
    return (known[0] if len(known) > 1 else 0.0, known[-1] if known else 0.0)
