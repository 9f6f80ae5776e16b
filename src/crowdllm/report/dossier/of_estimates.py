"""Intervals, worth in humans, risk and verdicts (`crowdllm estimate`): its tables and pictures as they stand."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from crowdllm.report.dossier.answers import Chart, Contribution, Section
from crowdllm.report.dossier.charts import safe_csv
from crowdllm.report.dossier.found import Found
from crowdllm.report.page import Block, Cell, Lines, Table

MOST_ROWS = 30
TITLES = {
    "estimates": "Intervals", "worth": "Worth in humans", "coverage": "Calibration: how often the intervals hold",
    "risk": "Where the error comes from", "gate": "Crowd or bare LLM", "subgroups": "Subgroups",
    "mix": "Who was recruited, beside who was asked",
}  # fmt: skip
PICTURES = {"estimates": "intervals"}


def contribute(found: Found) -> Contribution:
    """Every table of the folder with its picture; the answers on certainty and worth."""
    sections, answers = [], {}
    for name, title in TITLES.items():
        path = found.folder / f"{name}.csv"
        if not path.is_file():
            continue
        table = pd.read_csv(path, keep_default_na=False, na_values=["", "nan"])
        blocks: list[Block | Chart] = list(_pictures(found, PICTURES.get(name, name), title, table))
        blocks.append(_table(title, table))
        sections.append(Section(title, tuple(blocks)))
        if name == "worth" and len(table):
            answers["worth"] = _worth(table)
        if name == "estimates" and len(table):
            answers["sure"] = _sure(table)
    notes = found.about.get("notes") or []
    if notes:
        sections.insert(0, Section("Notes on the estimates", (Lines(tuple(str(note) for note in notes)),)))
    made = tuple(
        f"Estimates: {key}: {found.about[key]}."
        for key in ("crowdllm", "study", "model_hash", "settings", "command")
        if key in found.about
    )
    return Contribution(answers, tuple(sections), made=made)


def _sure(table: pd.DataFrame) -> str:
    """The median width of the intervals of whole problems' means (or whatever the first estimand is)."""
    whole = table[table["group"].isna()] if "group" in table else table
    chosen = whole[whole["estimand"] == "mean"] if "mean" in set(whole["estimand"]) else whole
    if chosen.empty or not {"low", "high", "interval"} <= set(chosen.columns):
        return "See the table of intervals below."
    said = []
    for interval, rows in chosen.groupby("interval", sort=False):
        width = (rows["high"] - rows["low"]).median() / 2
        said.append(f"±{width:.2f} by the {interval} interval ({rows['problem'].nunique():,} problems)")
    return f"Median uncertainty of a problem's {chosen['estimand'].iloc[0]}: {'; '.join(said)}."


def _worth(table: pd.DataFrame) -> str:
    """The row over all problems, in words."""
    overall = table[table["problem"] == "(overall)"]
    if overall.empty:
        return "See the table below."
    row = overall.iloc[0]
    return (
        f"Over all problems, crowd and {row['humans']:,.0f} human responses together give intervals as narrow as "
        f"{row['worth']:,.0f} human responses alone would: the crowd is worth {row['worth'] - row['humans']:,.0f} more."
    )


def _pictures(found: Found, start: str, title: str, table: pd.DataFrame) -> Iterator[Chart]:
    for path in sorted(found.folder.glob(f"{start}*.svg")):
        words = f"{title} ({path.stem})"
        yield Chart(path.stem, path.read_text(encoding="utf-8"), words, words, safe_csv(table))


def _table(title: str, table: pd.DataFrame) -> Table:
    rows = tuple(tuple(Cell(_text(value)) for value in row) for row in table.head(MOST_ROWS).itertuples(index=False))
    note = f"The first {MOST_ROWS} of {len(table):,} rows; all are in the CSV file." if len(table) > MOST_ROWS else ""
    return Table(title, tuple(str(c) for c in table.columns), rows, note)


def _text(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    return str(value)
