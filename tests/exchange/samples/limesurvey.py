"""A questionnaire and exports as LimeSurvey writes them: hand-made, with every kind of question that is understood."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

Row = dict[str, str]
AGREE = (("A1", "Strongly disagree"), ("A2", "Disagree"), ("A3", "Agree"), ("A4", "Strongly agree"))
COLOURS = (("C1", "Red, or pink"), ("C2", "Green"), ("C3", "Blue"))
DRINKS = (("SQ001", "Tea"), ("SQ002", "Coffee"), ("SQ003", "Water"))
QUESTIONS = (  # qid, code, type, text, subquestions, answers, attributes, relevance
    ("1", "sex", "G", "What is your gender?", (), (), {}, "1"),
    ("2", "colour", "L", "Which <em>colour</em> do you like best?", (), COLOURS, {}, "1"),
    ("3", "drinks", "M", "What did you drink today?", DRINKS, (), {}, "1"),
    ("4", "views", "F", "Do you agree?", (("SQ001", "Cats are clever."), ("SQ002", "Dogs are loyal.")), AGREE, {}, "1"),
    ("5", "order", "R", "Rank the colours", (), COLOURS, {}, "1"),
    ("6", "warm", "K", "How warm do you feel?", (("SQ001", "cats|cold|warm"), ("SQ002", "dogs|cold|warm")), (),
     {"slider_layout": "1", "slider_min": "0", "slider_max": "10"}, "1"),
    ("7", "spread", "K", "Spread ten points", DRINKS, (), {"equals_num_value": "10"}, "1"),
    ("8", "hours", "N", "How many hours do you sleep?", (), (), {"min_num_value_n": "0", "max_num_value_n": "24"}, "1"),
    ("9", "why", "T", "Why?", (), (), {}, "colour.NAOK == 'C1'"),
    ("10", "fine", "Y", "Is all well?", (), (), {}, "1"),
    ("11", "hello", "X", "Welcome", (), (), {}, "1"),
    ("12", "five", "5", "How was it?", (), (), {}, "1"),
)  # fmt: skip


def table(name: str, rows: Sequence[Row]) -> str:
    fields = "".join(f"<fieldname>{key}</fieldname>" for key in (rows[0] if rows else ()))
    body = "".join("<row>" + "".join(f"<{k}><![CDATA[{v}]]></{k}>" for k, v in row.items()) + "</row>" for row in rows)
    return f" <{name}>\n  <fields>{fields}</fields>\n  <rows>{body}</rows>\n </{name}>\n"


def lss(newer: bool = True) -> str:
    """The questionnaire; newer: with the texts in tables of their own, as since version 4."""
    questions: list[Row] = []
    children: list[Row] = []
    answers: list[Row] = []
    attributes: list[Row] = []
    words: list[Row] = []
    answer_words: list[Row] = []
    for order, (qid, code, kind, text, parts, options, extra, relevance) in enumerate(QUESTIONS):
        row = {"qid": qid, "parent_qid": "0", "gid": "1", "type": kind, "title": code, "other": "N"}
        row |= {"question_order": str(order), "scale_id": "0", "relevance": relevance}
        questions.append(row if newer else row | {"question": text, "language": "en"})
        words.append({"id": qid, "qid": qid, "question": text, "language": "en"})
        for i, (part, label) in enumerate(parts):
            child = {"qid": f"{qid}0{i}", "parent_qid": qid, "gid": "1", "type": "T", "title": part}
            child |= {"question_order": str(i), "scale_id": "0"}
            children.append(child if newer else child | {"question": label, "language": "en"})
            words.append({"id": child["qid"], "qid": child["qid"], "question": label, "language": "en"})
        for i, (part, label) in enumerate(options):
            answer = {"qid": qid, "code": part, "sortorder": str(i), "scale_id": "0"}
            answers.append({"aid": f"{qid}{i}", **answer} if newer else answer | {"answer": label, "language": "en"})
            answer_words.append({"id": f"{qid}{i}", "aid": f"{qid}{i}", "answer": label, "language": "en"})
        attributes += [{"qid": qid, "attribute": key, "value": value, "language": ""} for key, value in extra.items()]
    tables = {"answers": answers, "questions": questions, "subquestions": children, "question_attributes": attributes}
    if newer:
        tables |= {"question_l10ns": words, "answer_l10ns": answer_words}
    title = {"surveyls_survey_id": "1", "surveyls_language": "en", "surveyls_title": escape("Pets & drinks")}
    tables["surveys_languagesettings"] = [title]
    head = (
        '<?xml version="1.0" encoding="UTF-8"?>\n<document>\n <LimeSurveyDocType>Survey</LimeSurveyDocType>\n'
        f" <DBVersion>{'621' if newer else '183'}</DBVersion>\n"
        " <languages>\n  <language>en</language>\n </languages>\n"
    )
    return head + "".join(table(name, rows) for name, rows in tables.items()) + "</document>\n"


HEADER = (
    "id", "submitdate", "lastpage", "startlanguage", "seed", "token", "ipaddr", "sex", "colour", "drinks[SQ001]",
    "drinks[SQ002]", "drinks[SQ003]", "views[SQ001]", "views[SQ002]", "order[1]", "order[2]", "order[3]", "warm[SQ001]",
    "warm[SQ002]", "spread[SQ001]", "spread[SQ002]", "spread[SQ003]", "hours", "why", "fine", "five", "interviewtime",
)  # fmt: skip
ROWS = (
    ("1", "2024-03-01 10:00:00", "1", "en", "123", "tok3nAbc", "203.0.113.7", "F", "C1", "Y", "N", "Y", "A4", "A1",
     "C3", "C1", "C2", "7.0000000000", "2", "5", "5", "0", "7.5000000000", "Call +43 660 1234567", "Y", "4", "61.2"),
    ("2", "", "1", "en", "124", "tok4nAbd", "203.0.113.8", "M", "C2", "N", "N", "N", "A2", "", "C1", "C2", "C3", "0",
     "10", "1", "2", "3", "30", "", "N", "5", "55.1"),
    ("3", "2024-03-01 12:00:00", "1", "en", "125", "tok5nAbe", "203.0.113.9", "", "", "", "", "", "", "", "", "", "",
     "", "", "", "", "", "", "", "", "", "5.0"),
)  # fmt: skip
FULL = {
    "F": "Female", "M": "Male", "C1": "Red, or pink", "C2": "Green", "C3": "Blue", "Y": "Yes", "N": "No",
    "A1": "Strongly disagree", "A2": "Disagree", "A4": "Strongly agree",
}  # fmt: skip


def export(full: bool = False, separator: str = ",") -> str:
    """The responses with answer codes, or with full answers."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=separator, quoting=csv.QUOTE_ALL)
    writer.writerow(HEADER)
    for row in ROWS:
        writer.writerow([*row[:7], *(FULL.get(cell, cell) if full else cell for cell in row[7:])])
    return out.getvalue()


def write(folder: Path) -> list[list[Path]]:
    files = {
        "survey.lss": lss(),
        "older.lss": lss(newer=False),
        "codes.csv": export(),
        "full.csv": export(full=True, separator=";"),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
    return [
        [folder / name for name in names]
        for names in (
            ("survey.lss", "codes.csv"),
            ("survey.lss", "full.csv"),
            ("older.lss", "codes.csv"),
            ("codes.csv",),
            ("survey.lss",),
        )
    ]
