"""A questionnaire and an export as Qualtrics writes them: hand-made, with every kind of question that is understood."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

AGREE = ("Strongly disagree", "Disagree", "Neither agree nor disagree", "Agree", "Strongly agree")
CITIES = ("Lyon, the old town", "Lille", "Nice")
DRINKS = ("Tea", "Coffee", "Water")


def choices(*words: str) -> dict[str, Any]:
    return {str(i): {"Display": word} for i, word in enumerate(words, start=1)}


def question(qid: str, tag: str, text: str, kind: str, selector: str, sub: str = "", **more: Any) -> dict[str, Any]:
    payload = {
        "QuestionText": text,
        "DataExportTag": tag,
        "QuestionType": kind,
        "Selector": selector,
        "SubSelector": sub,
        "QuestionID": qid,
        "Configuration": {"QuestionDescriptionOption": "UseText"},
        "Validation": {"Settings": {"ForceResponse": "OFF", "Type": "None"}},
        "ChoiceDataExportTags": False,
        **more,
    }
    if "Choices" in more:
        payload["ChoiceOrder"] = list(more["Choices"])
    return {"SurveyID": "SV_1", "Element": "SQ", "PrimaryAttribute": qid, "Payload": payload}


LOGIC = {
    "0": {
        "0": {
            "LogicType": "Question",
            "QuestionID": "QID1",
            "Operator": "Selected",
            "Description": '<span class="ConjDesc">If</span> <span class="QuestionDesc">Gender</span> Female Is '
            "Selected",
        },
        "Type": "If",
    },
    "Type": "BooleanExpression",
    "inPage": False,
}


def questionnaire() -> dict[str, Any]:
    slider = {"QuestionDescriptionOption": "UseText", "CSSliderMin": 0, "CSSliderMax": 100}
    total = {"Settings": {"Type": "ChoicesTotal", "ChoiceTotal": "100"}}
    number = {"Settings": {"Type": "ContentType", "ContentType": "ValidNumber"}}
    questions = [
        question("QID1", "Q1", "What is your gender?", "MC", "SAVR", "TX", Choices=choices("Male", "Female", "Other")),
        question("QID2", "Q2", "<p>Which <b>city</b> do you like&nbsp;best?</p>", "MC", "SAVR", "TX",
                 Choices=choices(*CITIES), DisplayLogic=LOGIC),
        question("QID3", "Q3", "Which of these have you visited?", "MC", "MAVR", "TX", Choices=choices(*CITIES)),
        question("QID4", "Q4", "Do you agree?", "Matrix", "Likert", "SingleAnswer",
                 Choices=choices("Trains are fast.", "Trains are cheap."), Answers=choices(*AGREE),
                 AnswerOrder=["1", "2", "3", "4", "5"]),
        question("QID5", "Q5", "How warm do you feel towards", "Slider", "HSLIDER",
                 Choices=choices("cyclists?", "drivers?"), Configuration=slider),
        question("QID6", "Q6", "Rank the drinks", "RO", "DND", "TX", Choices=choices(*DRINKS)),
        question("QID7", "Q7", "Spread 100 points", "CS", "VRTL", "TX", Choices=choices(*DRINKS), Validation=total),
        question("QID8", "Q8", "Which matters most and least?", "Matrix", "MaxDiff",
                 Choices=choices("Price", "Taste", "Looks"), Answers=choices("Least important", "Most important"),
                 AnswerOrder=[1, 2]),
        question("QID9", "Q9", "How many trips did you make?", "TE", "SL", Validation=number),
        question("QID10", "Q10", "Anything else?", "TE", "ML"),
        question("QID11", "Q11", "How likely are you to recommend us?", "MC", "NPS",
                 Choices={str(i): {"Display": str(i)} for i in range(11)}),
        question("QID12", "Q12", "Welcome!", "DB", "TB"),
        question("QID13", "Q13", "An old question", "MC", "SAVR", Choices=choices("a", "b")),
    ]  # fmt: skip
    shown = [{"Type": "Question", "QuestionID": f"QID{i}"} for i in range(1, 13)]
    blocks = [
        {"Type": "Default", "Description": "All", "BlockElements": shown},
        {"Type": "Trash", "BlockElements": [{"Type": "Question", "QuestionID": "QID13"}]},
    ]
    branch = {"Type": "Branch", "BranchLogic": LOGIC, "Flow": []}
    elements = [
        {"Element": "BL", "PrimaryAttribute": "Survey Blocks", "Payload": blocks},
        {"Element": "FL", "PrimaryAttribute": "Survey Flow", "Payload": {"Flow": [branch], "Type": "Root"}},
        *questions,
    ]
    return {"SurveyEntry": {"SurveyID": "SV_1", "SurveyName": "Getting about"}, "SurveyElements": elements}


HEADER = (  # name, text, import id, choice id
    ("StartDate", "Start Date", "startDate", ""),
    ("Status", "Response Type", "status", ""),
    ("IPAddress", "IP Address", "ipAddress", ""),
    ("Progress", "Progress", "progress", ""),
    ("Finished", "Finished", "finished", ""),
    ("ResponseId", "Response ID", "_recordId", ""),
    ("RecipientEmail", "Recipient Email", "recipientEmail", ""),
    ("LocationLatitude", "Location Latitude", "locationLatitude", ""),
    ("LocationLongitude", "Location Longitude", "locationLongitude", ""),
    ("Q1", "What is your gender?", "QID1", ""),
    ("Q2", "Which city do you like best?", "QID2", ""),
    ("Q3", "Which of these have you visited?", "QID3", ""),
    ("Q4_1", "Do you agree? - Trains are fast.", "QID4_1", ""),
    ("Q4_2", "Do you agree? - Trains are cheap.", "QID4_2", ""),
    ("Q5_1", "How warm do you feel towards - cyclists?", "QID5_1", ""),
    ("Q5_2", "How warm do you feel towards - drivers?", "QID5_2", ""),
    ("Q6_1", "Rank the drinks - Tea", "QID6_1", ""),
    ("Q6_2", "Rank the drinks - Coffee", "QID6_2", ""),
    ("Q6_3", "Rank the drinks - Water", "QID6_3", ""),
    ("Q7_1", "Spread 100 points - Tea", "QID7_1", ""),
    ("Q7_2", "Spread 100 points - Coffee", "QID7_2", ""),
    ("Q7_3", "Spread 100 points - Water", "QID7_3", ""),
    ("Q8_1", "Which matters most and least? - Price", "QID8_1", ""),
    ("Q8_2", "Which matters most and least? - Taste", "QID8_2", ""),
    ("Q8_3", "Which matters most and least? - Looks", "QID8_3", ""),
    ("Q9", "How many trips did you make?", "QID9_TEXT", ""),
    ("Q10", "Anything else?", "QID10_TEXT", ""),
    ("Q11", "How likely are you to recommend us?", "QID11", ""),
    ("PROLIFIC_PID", "PROLIFIC_PID", "PROLIFIC_PID", ""),
    ("weight", "weight", "weight", ""),
)
ROWS = (  # by text, and the same by value; the third is a preview
    (
        "2024-03-01 10:00:00", "IP Address", "203.0.113.7", "100", "True", "R_2aBcDeFgHiJkLmN", "ann@example.org",
        "48.2082", "16.3738", "Female", "Lyon, the old town", "Lyon, the old town,Nice", "Agree", "Strongly disagree",
        "70", "15", "2", "1", "3", "50", "30", "20", "Least important", "Most important", "", "4",
        "Write to ann@example.org", "9", "5f3c1e2d4b5a69788796a5b4", "1.5",
    ),
    (
        "2024-03-01 11:00:00", "IP Address", "203.0.113.8", "60", "False", "R_1bBcDeFgHiJkLmN", "bob@example.org",
        "47.0707", "15.4395", "Male", "Nice", "Lille", "Disagree", "", "0", "100", "1", "2", "3", "90", "30", "20",
        "", "Least important", "Most important", "none", "", "10", "6f3c1e2d4b5a69788796a5b4", "0.5",
    ),
    (
        "2024-03-01 12:00:00", "Survey Preview", "203.0.113.9", "100", "True", "R_3cBcDeFgHiJkLmN", "",
        "47.0707", "15.4395", "Male", "Nice", "Lille", "Agree", "Agree", "1", "1", "1", "2", "3", "50", "30", "20",
        "", "Least important", "Most important", "1", "", "1", "", "1",
    ),
)  # fmt: skip
VALUES = {
    "Female": "2", "Male": "1", "Lyon, the old town": "1", "Lyon, the old town,Nice": "1,3", "Nice": "3", "Lille": "2",
    "Agree": "4", "Disagree": "2", "Strongly disagree": "1", "Least important": "1", "Most important": "2",
    "IP Address": "0", "Survey Preview": "1", "True": "1", "False": "0",
}  # fmt: skip


def export(by_value: bool = False, import_ids: bool = True) -> str:
    """The CSV: choice texts, or recoded values; without import ids it has two header rows, as older exports."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerow([name for name, *_ in HEADER])
    writer.writerow([text for _, text, *_ in HEADER])
    if import_ids:
        ids = [{"ImportId": i} | ({"choiceId": c} if c else {}) for _, _, i, c in HEADER]
        writer.writerow([json.dumps(i, separators=(",", ":")) for i in ids])
    for row in ROWS:
        writer.writerow([VALUES.get(cell, cell) if by_value else cell for cell in row])
    return out.getvalue()


def qsf_text() -> str:
    return json.dumps(questionnaire())


def write(folder: Path) -> list[list[Path]]:
    """Questionnaire with responses by text and by value, each alone, and an older export."""
    files = {
        "survey.qsf": qsf_text(),
        "text.csv": export(),
        "values.csv": export(by_value=True),
        "older.csv": export(import_ids=False),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8", newline="")
    return [
        [folder / name for name in names]
        for names in (
            ("survey.qsf", "text.csv"),
            ("survey.qsf", "values.csv"),
            ("survey.qsf", "older.csv"),
            ("text.csv",),
            ("survey.qsf",),
        )
    ]
