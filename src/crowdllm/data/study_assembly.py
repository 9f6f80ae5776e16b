"""Make a study out of settings and tables, collecting everything that is wrong with them on the way.

The one path from tables to a `Study`, whether they came from a folder or from DataFrames. Work is done once
per *distinct* cell and spread over the rows by integer codes: a million responses take a few seconds.

Shapes: R rows of a table, U distinct cells of a column, N participants, C profile columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.data.cell_values import Fault, distinct, profile_values, read_options, row_findings
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.study import Study
from crowdllm.data.study_columns import Tables, columns_not_loaded, recognise
from crowdllm.data.study_notes import worth_knowing
from crowdllm.data.study_responses import assemble_responses
from crowdllm.data.study_toml import StudySettings
from crowdllm.data.study_weights import no_table_of_weights, read_weights
from crowdllm.data.tables import Cells, Table
from crowdllm.errors import Finding, nearest
from crowdllm.responses import ResponseType


@dataclass(frozen=True)
class Assembly:
    """What came out: a study (None where there is no scale, or nothing to ask) and every finding.

    With an error among the findings the study holds the faultless rows only: to be shown, not to be used.
    columns: per file, which column was read as what.
    """

    study: Study | None
    findings: list[Finding]
    columns: dict[str, dict[str, str]]


def assemble(settings: StudySettings, tables: Tables) -> Assembly:
    """The study in these tables; ids are read off the responses where the table they belong in is None."""
    columns, findings = recognise(settings, tables)
    response_type = settings.response_type
    problems, found = _problems(settings, tables, columns)
    findings += found
    profiles, weights_N, found = _people(settings, tables, columns)
    findings += found
    if response_type is not None and response_type.has_options:
        widest = max(int(problems.option_counts.max(initial=0)), int(getattr(response_type, "max_options", 0)))
        response_type = cast(ResponseType, replace(cast(Any, response_type), max_options=widest))
        findings += _too_few_options(response_type, problems, tables)
    responses, found = assemble_responses(response_type, tables, columns, problems, profiles)
    findings += found
    if response_type is None or not len(problems):
        return Assembly(None, findings, columns)
    study = Study(
        settings.title,
        response_type,
        problems,
        profiles,
        responses,
        settings.context,
        settings.requirements,
        settings.source,
        settings.simulated,
        weights_N,
    )
    return Assembly(study, findings + worth_knowing(study, settings, tables), columns)


def _unique_ids(table: Table, column: str, what: str) -> tuple[NDArray[np.int64], list[Finding]]:
    """The rows to keep (the first of each id), and every id that is empty, repeated or has blank ends."""
    cells = table.columns[column]
    code_R, cells_U = distinct(cells)
    _, first_U = np.unique(code_R, return_index=True)
    findings, keep = [], []
    for cell, row in zip(cells_U.tolist(), first_U.tolist(), strict=True):
        if not cell.strip():
            continue
        keep.append(row)
        if cell != cell.strip():
            message = f"the {what} id has blanks at its ends, which count"
            near = cell.strip()
            findings.append(Finding("warning", message, table.name, int(table.row_R[row]), column, cell, "", near))
    faults = {u: Fault(f"an empty {what} id") for u, cell in enumerate(cells_U) if not cell.strip()}
    findings += row_findings(table, column, code_R, cells_U, faults)
    again_R = pd.Series(code_R).duplicated().to_numpy() & np.array([bool(c.strip()) for c in cells], dtype=bool)
    for row in np.flatnonzero(again_R).tolist():
        message = f"the same {what} id as in row {table.row_R[first_U[code_R[row]]]}"
        value = str(cells[row])
        hint = f"one row per {what}"
        findings.append(Finding("error", message, table.name, int(table.row_R[row]), column, value, hint))
    return np.sort(np.array(keep, dtype=np.int64)), findings


def _ids_in_responses(tables: Tables, columns: dict[str, dict[str, str]], role: str) -> Cells:
    """The ids in order of appearance, for a study without a table of problems or people."""
    table = tables.responses
    if table is None or role not in columns[table.name]:
        return np.zeros(0, dtype=object)
    _, cells_U = distinct(table.columns[columns[table.name][role]][~table.ragged_R])
    return np.array([cell for cell in cells_U if cell.strip()], dtype=object)


def _problems(
    settings: StudySettings, tables: Tables, columns: dict[str, dict[str, str]]
) -> tuple[Problems, list[Finding]]:
    table, shared = tables.problems, settings.options
    if table is None or "problem" not in columns[table.name]:
        ids = _ids_in_responses(tables, columns, "problem")
        return Problems(ids, np.full(len(ids), "", dtype=object), (shared,) * len(ids)), []
    found = columns[table.name]
    rows, findings = _unique_ids(table, found["problem"], "problem")
    if not len(table):
        findings.append(Finding("error", "has no problems: a header and no rows", file=table.name))
    texts = table.columns[found["text"]] if "text" in found else np.full(len(table), "", dtype=object)
    if "text" in found:
        for row in np.flatnonzero([not text.strip() for text in texts[rows]]).tolist():
            message = "the problem has no text, so neither an LLM nor an embedding can tell it from others"
            number = int(table.row_R[rows[row]])
            findings.append(Finding("warning", message, table.name, number, found["text"]))
    options: tuple[tuple[str, ...], ...] = ()
    if settings.response_type is not None and settings.response_type.has_options:
        options, faults = _options(table, found.get("options"), rows, shared)
        findings += faults
    rest = {name: cells[rows] for name, cells in table.columns.items() if name not in found.values()}
    attributes = pd.DataFrame(rest, dtype=object) if rest else pd.DataFrame(index=range(len(rows)))
    ids = table.columns[found["problem"]][rows]
    return Problems(ids, texts[rows], options, attributes), findings


def _options(
    table: Table, column: str | None, rows: NDArray[np.int64], shared: tuple[str, ...]
) -> tuple[tuple[tuple[str, ...], ...], list[Finding]]:
    """The options of each kept problem: its own cell, or the shared ones where the cell is empty."""
    if column is None:
        return (shared,) * len(rows), []
    code_R, cells_U = distinct(table.columns[column])
    faults: dict[int, Fault] = {}
    options_U: list[tuple[str, ...]] = []
    for u, cell in enumerate(cells_U.tolist()):
        options, fault = read_options(cell)
        if not options and not shared:
            fault = "the problem has no options"
        if fault:
            faults[u] = Fault(fault, 'options separated by |, or a JSON list such as ["a", "b"]')
        options_U.append(options or shared)
    return tuple(options_U[code_R[row]] for row in rows), row_findings(table, column, code_R, cells_U, faults)


def _too_few_options(response_type: ResponseType, problems: Problems, tables: Tables) -> list[Finding]:
    """Problems on which no ballot can be cast, since they have fewer options than must be picked."""
    least = int(getattr(response_type, "min_picks", 0))
    name = tables.problems.name if tables.problems is not None else "problems"
    short = np.flatnonzero((problems.option_counts < least) & (problems.option_counts > 0))
    message = f"has fewer options than the {least} that must be picked"
    return [Finding("error", message, name, value=str(problems.ids[t])) for t in short]


def _people(
    settings: StudySettings, tables: Tables, columns: dict[str, dict[str, str]]
) -> tuple[Profiles, NDArray[np.float64] | None, list[Finding]]:
    """The people, their survey weights (None where there are none, or a fault makes them of no use), the findings."""
    table = tables.participants
    if table is None or "participant" not in columns[table.name]:
        ids = _ids_in_responses(tables, columns, "participant")
        return Profiles((), ids, np.zeros((len(ids), 0))), None, no_table_of_weights(settings, table)
    found = columns[table.name]
    rows, findings = _unique_ids(table, found["participant"], "participant")
    declared, values = [], []
    for spec in settings.profile:
        cells = table.columns.get(spec.source)
        if cells is None:
            findings.append(_missing_profile(table, spec.column.name, spec.source))
            continue
        column, value_R, code_R, cells_U, faults = profile_values(spec.column, cells)
        findings += row_findings(table, spec.source, code_R, cells_U, faults)
        declared.append(column)
        values.append(value_R[rows])
    weights_N, faulty = read_weights(settings, table, rows)
    findings += faulty
    findings += columns_not_loaded(
        table, {found["participant"], settings.weight, *(spec.source for spec in settings.profile)}
    )
    values_NC = np.stack(values, axis=1) if values else np.zeros((len(rows), 0))
    return Profiles(tuple(declared), table.columns[found["participant"]][rows], values_NC), weights_N, findings


def _missing_profile(table: Table, name: str, source: str) -> Finding:
    message = f"has no column for [profile.{name}]"
    allowed = f"the columns are {', '.join(table.columns)}"
    return Finding("error", message, table.name, 1, source, "", allowed, nearest(source, table.columns))
