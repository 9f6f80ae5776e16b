"""Read the batch results of Amazon Mechanical Turk (CSV): a row per assignment, Input.* and Answer.* columns.

    Input.*                       what the HIT showed: the task's text, and attributes
    Answer.NAME                   a control; Answer.NAME.LABEL with true and false (crowd-radio-group, checkboxes) are
                                  one control with these options: a choice where everybody ticked one, else a ballot
    Answer.taskAnswers            JSON with the answers of all controls, read as if they were columns
    AssignmentStatus Rejected     left out, and counted
    all other columns             MTurk's own book-keeping, worker ids, rewards: left out, and said

Tasks are called t1, t2, ... or by an Input column that is called like an id.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crowdllm.data.tables import Cells
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.labelling import Labelling, control_of, imported_labelling
from crowdllm.exchange.ledger import Ledger, short
from crowdllm.exchange.limits import DamagedFileError, whole_json
from crowdllm.exchange.personal import personal_name
from crowdllm.exchange.protocol import LIKELY, NO, SURE, Glance, Imported, LeftOut, Reader, ReadOptions
from crowdllm.exchange.survey import Item, distinct_options
from crowdllm.exchange.text_table import read_text_table

OWN = ("HITId", "HITTypeId", "WorkerId", "AssignmentId", "AssignmentStatus")
ID_NAME = re.compile(r"(?:.*[_ .-])?(?:id|uid|key|number|no|index)", re.IGNORECASE)
TEXT_NAMES = ("text", "question", "sentence", "statement", "comment", "prompt", "title", "image_url", "url")
TRUTH = {"true": True, "false": False, "on": True, "": False}
MOST_KEYS = 500


def sniff(files: Sequence[Glance]) -> int:
    if len(files) != 1:
        return NO
    head = files[0].first_line
    if "HITId" in head and "WorkerId" in head and "AssignmentStatus" in head:
        return SURE
    return LIKELY if "WorkerId" in head and ("Answer." in head or "Input." in head) else NO


def read(files: Sequence[Path], options: ReadOptions) -> Imported:
    """The studies in a batch's results; raises CrowdLLMError for what is none."""
    if len(files) != 1:
        raise CrowdLLMError(f"name one file of batch results, not {len(files)}")
    path, ledger = files[0], Ledger()
    table, notes = read_text_table(path, OWN, options.max_megabytes)
    ledger.notes += notes
    columns = dict(table.columns)
    if "WorkerId" not in columns or not any(name.startswith("Answer.") for name in columns):
        raise DamagedFileError(path, "has no columns WorkerId and Answer.*, which batch results have")
    columns = _accepted(columns, ledger)
    tasks, id_column = _tasks(columns, path)
    controls = _controls(_answer_columns(columns, ledger))
    texts, attributes = _inputs(columns, tasks, id_column, ledger)
    _account(columns, ledger)
    ledger.understood.append(
        f"{len(tasks):,} assignments on {len(set(tasks.tolist())):,} tasks, {len(controls)} controls"
    )
    work = Labelling(
        path.stem, columns["WorkerId"], tasks, tuple(controls), texts, {}, attributes, "WorkerId",
        source=("Batch results of Amazon Mechanical Turk.",),
    )  # fmt: skip
    return imported_labelling(work, options, ledger, guessed=True)


def _accepted(columns: dict[str, Cells], ledger: Ledger) -> dict[str, Cells]:
    """The rows of assignments that were not rejected."""
    status = columns.get("AssignmentStatus")
    if status is None:
        return columns
    rejected = np.array([str(cell).strip().lower() == "rejected" for cell in status.tolist()], dtype=bool)
    if rejected.any():
        ledger.note("rows left out", "AssignmentStatus", "rejected assignments", int(rejected.sum()))
    return {name: cells[~rejected] for name, cells in columns.items()}


def _tasks(columns: Mapping[str, Cells], path: Path) -> tuple[Cells, str]:
    """(R,) the task of each assignment, and the Input column that names it, "" for t1, t2, ... by HIT."""
    hits = columns.get("HITId")
    inputs = [name for name in columns if name.startswith("Input.")]
    if hits is None:
        if not inputs:
            raise DamagedFileError(path, "has neither HITId nor Input.* columns to tell tasks apart")
        joined = ["\x1f".join(cells) for cells in zip(*(columns[name].tolist() for name in inputs), strict=True)]
        hits = np.array(joined, dtype=object)
    code_R, hits_U = pd.factorize(hits)
    for name in inputs:
        pairs = set(zip(code_R.tolist(), columns[name].tolist(), strict=True))
        distinct = {cell for _, cell in pairs}
        if ID_NAME.fullmatch(name.removeprefix("Input.")) and len(pairs) == len(distinct) and "" not in distinct:
            return columns[name], name
    width = len(str(max(len(hits_U), 1)))
    names = np.array([f"t{u + 1:0{width}d}" for u in range(len(hits_U))], dtype=object)
    return (names[code_R] if len(names) else hits), ""


def _inputs(
    columns: Mapping[str, Cells], tasks: Cells, id_column: str, ledger: Ledger
) -> tuple[dict[str, str], dict[str, dict[str, str]]]:
    """Each task's text, and the further Input columns by task."""
    inputs = {n.removeprefix("Input."): columns[n] for n in columns if n.startswith("Input.") and n != id_column}
    personal = {name: what for name in inputs if (what := personal_name(name))}
    for name, what in personal.items():
        ledger.left_out.append(LeftOut(f"Input.{name}", what, "by name", int((inputs[name] != "").sum())))
    inputs = {name: cells for name, cells in inputs.items() if name not in personal}
    lower = {name.lower(): name for name in inputs}
    shown = next((lower[name] for name in TEXT_NAMES if name in lower), "")
    shown = shown or max(inputs, key=lambda n: max(map(len, inputs[n].tolist()), default=0), default="")
    values = {name: dict(zip(tasks.tolist(), cells.tolist(), strict=True)) for name, cells in inputs.items()}
    texts = {task: short(text, 4_000) for task, text in values.pop(shown, {}).items()}
    return texts, values


def _answer_columns(columns: Mapping[str, Cells], ledger: Ledger) -> dict[str, Cells]:
    """Answers by the name of the control, those in the JSON of taskAnswers included."""
    out = {n.removeprefix("Answer."): columns[n] for n in columns if n.startswith("Answer.")}
    packed = out.pop("taskAnswers", None)
    if packed is None:
        return out
    unpacked: dict[str, Cells] = {}
    broken = 0
    for row, cell in enumerate(packed.tolist()):
        try:
            held = whole_json(json.loads(cell), cell) if cell.strip() else []
        except (ValueError, RecursionError):
            broken += 1
            continue
        for part in held if isinstance(held, list) else [held]:
            for name, value in _flat(part, ""):
                if name not in unpacked and len(unpacked) >= MOST_KEYS:
                    raise CrowdLLMError(f"Answer.taskAnswers has more than {MOST_KEYS} different keys")
                unpacked.setdefault(name, np.full(len(packed), "", dtype=object))[row] = value
    if broken:
        ledger.note("answers left out", "taskAnswers", "cells that are no valid JSON", broken)
    return {name: unpacked.get(name, out.get(name)) for name in dict.fromkeys([*out, *unpacked])}  # type: ignore[misc]


def _flat(value: Any, name: str, depth: int = 0) -> list[tuple[str, str]]:
    """The leaves of nested objects under dotted names."""
    if isinstance(value, dict) and depth < 6:
        return [p for key, v in value.items() for p in _flat(v, f"{name}.{key}" if name else str(key), depth + 1)]
    if isinstance(value, bool):
        return [(name, str(value).lower())]
    text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
    return [(name, text)] if name else []


def _controls(answers: Mapping[str, Cells]) -> list[Item]:
    """The controls: groups of true and false become one."""
    groups: dict[str, list[str]] = {}
    for name, cells in answers.items():
        stem, dot, label = name.rpartition(".")
        if dot and label and {str(c).strip().lower() for c in cells.tolist()} <= set(TRUTH):
            groups.setdefault(stem, []).append(name)
    grouped = {name for members in groups.values() if len(members) > 1 for name in members}
    items = [_ticked(stem, members, answers) for stem, members in groups.items() if len(members) > 1]
    for name, cells in answers.items():
        if name not in grouped:
            stem = name.removesuffix(".label")
            items.append(control_of(stem, stem, cells))
    return items


def _ticked(stem: str, members: Sequence[str], answers: Mapping[str, Cells]) -> Item:
    options = distinct_options([name[len(stem) + 1 :] for name in members])
    ticks = np.stack([[TRUTH[str(c).strip().lower()] for c in answers[n].tolist()] for n in members], axis=1)
    answered = np.stack([[str(c).strip() != "" for c in answers[n].tolist()] for n in members], axis=1).any(axis=1)
    cells = np.full(len(ticks), "", dtype=object)
    if (ticks[answered].sum(axis=1) == 1).all():
        for row in np.flatnonzero(answered):
            cells[row] = options[int(ticks[row].argmax())]
        return Item(stem, stem, "single", options, cells)
    for row in np.flatnonzero(answered):
        cells[row] = "|".join(f"#{m + 1}" for m in np.flatnonzero(ticks[row])) or "|"
    return Item(stem, stem, "multiple", options, cells, use="problem")


def _account(columns: Mapping[str, Cells], ledger: Ledger) -> None:
    """MTurk's own columns: identifiers are left out as such, the rest as book-keeping."""
    rest = [n for n in columns if not n.startswith(("Input.", "Answer.")) and n != "WorkerId"]
    for name in rest:
        filled = int((columns[name] != "").sum())
        if personal_name(name) and filled:
            ledger.left_out.append(LeftOut(name, "platform identifiers", "by name", filled))
    others = [n for n in rest if not personal_name(n)]
    if others:
        ledger.note("not carried over", "", f"MTurk's own columns: {short(', '.join(others), 400)}", len(others))


READER = Reader("mturk", "Mechanical Turk batch results", sniff, read)
