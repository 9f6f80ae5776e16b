"""A wide and a long table of invented answers, as rows of cells."""

from __future__ import annotations

import csv
import datetime
import io
import random
from pathlib import Path

import openpyxl

Rows = list[list[str]]
HEX, CODE = "0123456789abcdef", "ABCDEFGHJK0123456789"
SATISFIED = ("Very dissatisfied", "Dissatisfied", "Neutral", "Satisfied", "Very satisfied")


def wide(people: int = 40) -> Rows:
    """A row per person, with everything personal that such tables hold."""
    draw = random.Random(7)
    header = ["PROLIFIC_PID", "email", "ip_address", "latitude", "longitude", "age", "gender", "education", "wt", "Q1"]
    rows = [[*header, "Q2", "Q3", "How satisfied are you?", "Which fruit do you like?", "comments", "code"]]
    for i in range(people):
        rows.append(
            [
                "".join(draw.choice(HEX) for _ in range(24)), f"person{i}@example.org", f"203.0.113.{i}",
                f"{48 + draw.random():.5f}", f"{16 + draw.random():.5f}", str(draw.randint(18, 80)),
                draw.choice(["male", "female"]), draw.choice(["High school", "Bachelor", "Master"]),
                f"{draw.uniform(0.5, 2):.3f}", *(str(draw.randint(1, 5)) for _ in range(3)), draw.choice(SATISFIED),
                draw.choice(["apple", "pear", "plum"]), f"fine, says number {i}",
                "".join(draw.choice(CODE) for _ in range(10)),
            ]
        )  # fmt: skip
    return rows


def long(people: int = 20, problems: int = 8) -> Rows:
    """A row per answer, with a profile column, a weight and the problem's text."""
    draw = random.Random(8)
    rows = [["worker", "task", "label", "age", "country", "weight", "text"]]
    for i in range(people):
        own = [str(draw.randint(20, 60)), draw.choice(["AT", "DE"]), f"{draw.uniform(0.5, 2):.2f}"]
        rows += [[f"w{i}", f"t{t}", str(draw.randint(1, 5)), *own, f"Is this rude: {t}?"] for t in range(problems)]
    return rows


def as_csv(rows: Rows, separator: str = ",") -> str:
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=separator).writerows(rows)
    return out.getvalue()


def write_csv(folder: Path) -> list[list[Path]]:
    (folder / "wide.csv").write_text(as_csv(wide()), encoding="utf-8", newline="")
    (folder / "long.csv").write_text(as_csv(long(), ";"), encoding="utf-8", newline="")
    return [[folder / "wide.csv"], [folder / "long.csv"]]


def write_excel(folder: Path) -> list[list[Path]]:
    """Written by openpyxl: a title above the header, numbers as numbers, a date, and a second sheet."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Answers"
    sheet.append(["A survey of 2024"])
    for r, row in enumerate(wide()):
        numbers = [float(cell) if r and cell.replace(".", "", 1).isdecimal() else cell for cell in row]
        sheet.append([*numbers, datetime.date(2024, 3, 1) if r else "day"])
    book.create_sheet("Notes").append(["made by hand"])
    book.save(folder / "wide.xlsx")
    book = openpyxl.Workbook()
    for row in long():
        book.active.append(row)
    book.save(folder / "long.xlsx")
    return [[folder / "wide.xlsx"], [folder / "long.xlsx"]]
