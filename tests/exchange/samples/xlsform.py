"""A form as people write them for ODK, written by openpyxl, and an export of its submissions."""

from __future__ import annotations

from pathlib import Path

import openpyxl

SURVEY = (
    ("type", "name", "label::English (en)", "label::Deutsch (de)", "relevant", "constraint", "appearance", "parameters",
     "calculation"),
    ("start", "start"),
    ("deviceid", "deviceid"),
    ("integer", "age", "How old are you?", "Wie alt sind Sie?", "", ". >= 18 and . <= 99"),
    ("select_one sex", "sex", "What is your gender?", "Geschlecht?"),
    ("select_one agree", "tax", "Taxes are too high.", "Steuern sind zu hoch.", "", "", "likert"),
    ("select_one agree", "rent", "Rents are too high.", "Mieten sind zu hoch.", "${age} > 20", "", "likert"),
    ("select_one crop", "crop", "Which crop do you grow most?", "Was bauen Sie an?"),
    ("begin_group", "food", "Food", "Essen"),
    ("select_multiple crop", "eaten", "Which of these did you eat?", "Was haben Sie gegessen?", "",
     "count-selected(.) <= 2"),
    ("rank crop", "best", "Rank the crops", "Reihen Sie"),
    ("end_group",),
    ("range", "mood", "How do you feel?", "Wie geht es?", "", "", "", "start=0 end=10 step=1"),
    ("text", "why", "Why?", "Warum?"),
    ("geopoint", "place", "Where are you?", "Wo?"),
    ("calculate", "double", "", "", "", "", "", "", "${age} * 2"),
    ("note", "bye", "Thank you", "Danke"),
)  # fmt: skip
CHOICES = (
    ("list_name", "name", "label::English (en)", "label::Deutsch (de)"),
    ("sex", "f", "Female", "Weiblich"),
    ("sex", "m", "Male", "Männlich"),
    ("agree", "1", "Disagree", "Nein"),
    ("agree", "2", "Neither", "Weder noch"),
    ("agree", "3", "Agree", "Ja"),
    ("crop", "maize", "Maize", "Mais"),
    ("crop", "beans", "Beans", "Bohnen"),
    ("crop", "rice", "Rice", "Reis"),
)
SETTINGS = (("form_title", "form_id", "default_language"), ("Farm survey", "farm", "English (en)"))
EXPORT = """\
SubmissionDate,start,deviceid,age,sex,tax,rent,crop,food-eaten,food-best,mood,why,place-Latitude,place-Longitude,KEY
2024-03-01,2024-03-01T10:00,collect:1x,34,f,1,3,maize,maize rice,rice maize beans,7,because,-1.28333,36.81667,uuid:1
2024-03-01,2024-03-01T11:00,collect:2x,17,m,3,2,rice,,beans rice maize,11,,-1.28333,36.81667,uuid:2
2024-03-01,2024-03-01T12:00,collect:3x,50,m,2,,beans,beans,maize beans rice,0,,-1.28333,36.81667,uuid:3
"""


def workbook(path: Path) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in (("survey", SURVEY), ("choices", CHOICES), ("settings", SETTINGS)):
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append([int(cell) if cell.isdecimal() else cell for cell in row])
    book.save(path)
    return path


def write(folder: Path) -> list[list[Path]]:
    form = workbook(folder / "form.xlsx")
    data = folder / "submissions.csv"
    data.write_text(EXPORT, encoding="utf-8")
    return [[form], [form, data]]
