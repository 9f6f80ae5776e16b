"""Read an XLSForm (`.xlsx`) of ODK, KoboToolbox or SurveyCTO, alone or with an export of its submissions (CSV, Excel).

In an export a column is called by the question's name, perhaps behind its groups (`person/age`, `person-age`); cells
hold the names of choices or their labels, those of several choices separated by blanks or spread over 0/1 columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from crowdllm.data.tables import Cells
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.assembling import imported_survey
from crowdllm.exchange.item_cells import empty_cells, picks_cells, split_labels
from crowdllm.exchange.ledger import Ledger
from crowdllm.exchange.limits import DamagedFileError
from crowdllm.exchange.other_columns import other_items
from crowdllm.exchange.personal import numbered_people, screen
from crowdllm.exchange.protocol import NO, SURE, Glance, Imported, LeftOut, Reader, ReadOptions
from crowdllm.exchange.survey import Item, Survey, distinct_options
from crowdllm.exchange.text_table import named_columns, read_text_table
from crowdllm.exchange.workbook import Sheet, read_workbook, sheet_columns
from crowdllm.exchange.xlsform_questions import METADATA, Form, FormQuestion, is_form, read_form

IDENTIFIERS = (
    "key",
    "instanceid",
    "_uuid",
    "_id",
    "submitterid",
    "submittername",
    "_submitted_by",
    "deviceid",
    "formid",
)


def sniff(files: Sequence[Glance]) -> int:
    return SURE if len(files) <= 2 and any(is_form(file.sheets) for file in files) else NO


def read(files: Sequence[Path], options: ReadOptions) -> Imported:
    """The studies in a form, with the answers of an export where there is one.

    Raises CrowdLLMError where no file is a form, there is more than one export, or a file is broken.
    """
    if len(files) > 2:
        raise CrowdLLMError(f"name one form and one export of its submissions at most, not {len(files)} files")
    ledger = Ledger()
    form: Form | None = None
    columns: dict[str, Cells] = {}
    for path in files:
        with path.open("rb") as file:
            packed = file.read(4) == b"PK\x03\x04"
        if not packed:
            table, notes = read_text_table(path, (), options.max_megabytes)
            ledger.notes += notes
            columns = table.columns
            continue
        sheets = read_workbook(path, options.max_megabytes)
        if form is None and is_form([sheet.name for sheet in sheets]):
            form = read_form(sheets, path, ledger)
        else:
            columns = _export(sheets, path, ledger)
    if form is None:
        raise DamagedFileError(files[0], "has no sheets 'survey' and 'choices', so is no XLSForm")
    count = len(next(iter(columns.values()), np.zeros(0)))
    ledger.understood.append(f"form {form.title!r}: {len(form.questions)} questions, {count:,} submissions")
    items = _items(form, columns, count, ledger)
    survey = Survey(form.title, tuple(items), numbered_people(count), source=("XLSForm",))
    return imported_survey(survey, options, ledger)


def _export(sheets: Sequence[Sheet], path: Path, ledger: Ledger) -> dict[str, Cells]:
    """The columns of the first sheet of an export; other sheets hold repeated groups."""
    if not sheets:
        raise DamagedFileError(path, "has no sheet with data")
    for sheet in sheets[1:]:
        ledger.note("sheet left out", sheet.name, "a repeated group, or no submissions", len(sheet.rows))
    names, columns, _ = sheet_columns(sheets[0])
    named, _ = named_columns(names, columns, sheets[0].name)
    return named


def _items(form: Form, columns: Mapping[str, Cells], count: int, ledger: Ledger) -> list[Item]:
    """The items of all questions, then those of columns that belong to none."""
    used: set[str] = set()
    items = []
    tidy = {name: np.array([str(c).strip() for c in cells], dtype=object) for name, cells in columns.items()}
    for question in form.questions:
        own = _own_columns(question, tidy)
        used |= {name for name, _ in own.values()}
        if columns and not own:
            ledger.note("question without answers", question.name, "the export has no column of it")
        items.append(_item(question, own, count))
    for name, what in form.personal:
        for column in [c for c in tidy if c not in used and name and _last(c).startswith(name)]:
            used.add(column)
            ledger.left_out.append(LeftOut(column, what, "by its type", int((tidy[column] != "").sum())))
    for column in [c for c in tidy if c not in used and _last(c).casefold() in IDENTIFIERS]:
        used.add(column)
        filled = int((tidy[column] != "").sum())
        ledger.left_out.append(LeftOut(column, "platform identifiers", "by name", filled))
    rest = {name: cells for name, cells in tidy.items() if name not in used}
    screened = screen(rest)
    ledger.left_out += screened.left_out
    for name, cells in screened.columns.items():
        if _last(name) in METADATA or name.startswith("_"):
            ledger.note("column left out", name, "written down by the tool itself", int((cells != "").sum()))
        else:
            items += other_items(name, "", cells, ledger)
    return items


def _last(column: str) -> str:
    return column.replace(":", "/").rpartition("/")[2]


def _own_columns(question: FormQuestion, columns: Mapping[str, Cells]) -> dict[str, tuple[str, Cells]]:
    """The question's columns by part: "" for the answer, the choice's name for a 0/1 column."""
    heads = [sign.join(question.path) for sign in "/-.:"] + [question.name, question.text]
    head = next((h for h in heads if h in columns), "")
    out = {"": (head, columns[head])} if head else {}
    for code, label in question.choices if question.kind == "multiple" else ():
        for start in heads:
            found = next(
                (n for sign in "/.-_" for part in (code, label) if (n := f"{start}{sign}{part}") in columns), ""
            )
            if found:
                out[code] = (found, columns[found])
                break
    return out


def _item(question: FormQuestion, own: Mapping[str, tuple[str, Cells]], count: int) -> Item:
    names = tuple(name for name, _ in own.values())
    cells = own[""][1] if "" in own else empty_cells(count)
    options = distinct_options(label for _, label in question.choices)
    if question.kind == "single":
        kind_cells = _words(question, cells, options)
        if question.likert:
            return Item(question.name, question.text, "scale", options, kind_cells, names)
        return Item(question.name, question.text, "single", options, kind_cells, names)
    if question.kind == "multiple":
        picked = _picked(question, own, cells)
        return Item(question.name, question.text, "multiple", options, picked, names, picks=question.picks)
    if question.kind == "ranking":
        return Item(question.name, question.text, "ranking", options, _listed(question, cells), names)
    if question.kind == "number":
        return Item(question.name, question.text, "number", (), cells, names, question.low, question.high)
    return Item(question.name, question.text, "text", (), cells, names)


def _words(question: FormQuestion, cells: Cells, options: Sequence[str]) -> Cells:
    by_name = {name: option for (name, _), option in zip(question.choices, options, strict=True)}
    by_label = {label: option for (_, label), option in zip(question.choices, options, strict=True)}
    code_N, cells_U = pd.factorize(cells)
    new_U = [by_name.get(cell) or by_label.get(cell, cell) for cell in map(str, cells_U)]
    return np.array(new_U, dtype=object)[code_N] if len(new_U) else cells


def _picked(question: FormQuestion, own: Mapping[str, tuple[str, Cells]], cells: Cells) -> Cells:
    """Several choices: 0/1 columns where there are any, else a list of names."""
    spread = [own[name][1] if name in own else empty_cells(len(cells)) for name, _ in question.choices]
    if not any(name in own for name, _ in question.choices):
        return _listed(question, cells)
    seen_N = np.logical_or.reduce([column != "" for column in spread])
    chosen_NM = np.stack([np.isin(c, ["1", "TRUE", "True", "true", "1.0"]) for c in spread], axis=1)
    return picks_cells(chosen_NM, np.asarray(seen_N))


def _listed(question: FormQuestion, cells: Cells) -> Cells:
    """Names separated by blanks (or labels, also by commas) as `#1|#3`, in the order in which they stand."""
    position = {name: m for m, (name, _) in enumerate(question.choices)}
    labels = [label for _, label in question.choices]
    code_N, cells_U = pd.factorize(cells)
    new_U = []
    for cell in map(str, cells_U):
        words = cell.replace(",", " ").split()
        found = [position[word] for word in words] if words and all(word in position for word in words) else None
        found = found or split_labels(cell, labels, " ") or split_labels(cell, labels, ",")
        new_U.append("|".join(f"#{m + 1}" for m in found) if found else cell)
    return np.array(new_U, dtype=object)[code_N] if len(new_U) else cells


READER = Reader("xlsform", "XLSForm (.xlsx) of ODK, KoboToolbox or SurveyCTO", sniff, read, extra="formats")
