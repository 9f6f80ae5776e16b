"""Read the table of responses: ids to positions, cells to values, and every row that is wrong.

Shapes: R rows of the table, U distinct cells of a column, D response width.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.data.cell_values import Fault, distinct, nearest_ids, parse_responses, row_findings
from crowdllm.data.problems import Problems
from crowdllm.data.profiles import Profiles
from crowdllm.data.responses import Responses
from crowdllm.data.study_columns import Tables
from crowdllm.data.tables import Cells, Table
from crowdllm.errors import Finding
from crowdllm.responses import ResponseType


def assemble_responses(
    response_type: ResponseType | None,
    tables: Tables,
    columns: dict[str, dict[str, str]],
    problems: Problems,
    profiles: Profiles,
) -> tuple[Responses, list[Finding]]:
    table = tables.responses
    width = response_type.width() if response_type is not None else 1
    none = np.zeros(0, dtype=np.int64)
    empty = Responses(none, none, np.zeros((0, width)))
    if table is None:
        return empty, []
    found = columns[table.name]
    findings = _extra_columns(table, found)
    if "participant" not in found or "problem" not in found:
        return empty, findings
    people_R, faults = _positions(table, found["participant"], "participant", profiles.ids, tables.participants)
    findings += faults
    problem_R, faults = _positions(table, found["problem"], "problem", problems.ids, tables.problems)
    findings += faults
    if "response" not in found or response_type is None:
        return empty, findings
    answered_R, faults = _answered(table, found["response"], response_type)
    findings += faults
    ask_R = answered_R & ~table.ragged_R
    if response_type.has_options:  # nothing can be read without options, and their absence is an error already
        ask_R &= (problem_R >= 0) & (np.append(problems.option_counts, 0)[problem_R] > 0)
    values_RD, faults = _values(response_type, table, found["response"], ask_R, problem_R, problems)
    findings += faults
    keep_R = ask_R & (people_R >= 0) & (problem_R >= 0)
    again_R, faults = _answered_twice(table, keep_R, people_R, problem_R, profiles, problems)
    findings += faults
    keep_R &= ~again_R & ~np.isnan(values_RD).any(axis=1)
    whole = Responses(people_R, problem_R, values_RD)
    return whole if keep_R.all() else whole.take(keep_R), findings


def _extra_columns(table: Table, found: dict[str, str]) -> list[Finding]:
    extra = [name for name in table.columns if name not in found.values()]
    return [Finding("note", f"columns not loaded: {', '.join(extra)}", file=table.name)] if extra else []


def _positions(
    table: Table, column: str, what: str, ids: Cells, source: Table | None
) -> tuple[NDArray[np.int64], list[Finding]]:
    """(R,) where each row's id stands among `ids`, -1 where it does not; unknown ones as errors."""
    code_R, cells_U = distinct(table.columns[column])
    at_U = pd.Index(ids, dtype=object).get_indexer(pd.Index(cells_U, dtype=object))
    strange = [u for u in np.flatnonzero(at_U < 0).tolist() if cells_U[u].strip()]
    faults = {u: Fault(f"an empty {what} id") for u, cell in enumerate(cells_U) if not cell.strip()}
    findings: list[Finding] = []
    if source is not None and source.complete:
        near = nearest_ids([cells_U[u] for u in strange], ids)
        for u in strange:
            blanks = " (it has blanks at its ends)" if cells_U[u] != cells_U[u].strip() else ""
            message = f"unknown {what}{blanks}"
            faults[u] = Fault(message, f"an id in {source.name}", near[cells_U[u]])
    elif source is None:
        blank = [u for u, cell in enumerate(cells_U) if cell.strip() and cell != cell.strip()]
        known = set(cells_U.tolist())
        for u in blank:
            row = int(table.row_R[np.argmax(code_R == u)])
            near_id = cells_U[u].strip() if cells_U[u].strip() in known else ""
            message = f"the {what} id has blanks at its ends, which count"
            findings.append(Finding("warning", message, table.name, row, column, cells_U[u], "", near_id))
    return at_U[code_R].astype(np.int64, copy=False), findings + row_findings(table, column, code_R, cells_U, faults)


def _answered(table: Table, column: str, response_type: ResponseType) -> tuple[NDArray[np.bool_], list[Finding]]:
    """(R,) whether the response cell holds anything, and one warning that counts those that do not."""
    code_R, cells_U = distinct(table.columns[column])
    blank_U = np.array([not cell.strip() for cell in cells_U], dtype=bool)
    blank_R = blank_U[code_R] & ~table.ragged_R
    if not blank_R.any():
        return ~blank_U[code_R], []
    rows = table.row_R[blank_R]
    shown = ", ".join(str(row) for row in rows[:5]) + (", …" if len(rows) > 5 else "")
    message = f"{len(rows):,} empty response cell(s), taken as not answered and left out: row {shown}"
    hint = "an empty ballot is written |" if getattr(response_type, "min_picks", 1) == 0 else ""
    return ~blank_U[code_R], [Finding("warning", message, table.name, int(rows[0]), column, "", hint)]


def _values(
    response_type: ResponseType,
    table: Table,
    column: str,
    ask_R: NDArray[np.bool_],
    problem_R: NDArray[np.int64],
    problems: Problems,
) -> tuple[NDArray[np.float64], list[Finding]]:
    """(R, D) values of the rows in `ask_R`, NaN elsewhere and where the cell is no legal response."""
    sets: list[tuple[str, ...]] = [()]
    set_R = np.zeros(len(table), dtype=np.int64)
    if response_type.has_options:
        position: dict[tuple[str, ...], int] = {}
        set_T = np.array([position.setdefault(o, len(position)) for o in problems.options], dtype=np.int64)
        sets = list(position) or sets
        set_R[ask_R] = set_T[problem_R[ask_R]]
    asked = table
    if not ask_R.all():
        asked = Table(table.name, {column: table.columns[column][ask_R]}, table.row_R[ask_R], table.ragged_R[ask_R])
        set_R = set_R[ask_R]
    values_RD, code_A, faults = parse_responses(response_type, asked.columns[column], set_R, sets)
    codes = range(int(code_A.max(initial=-1)) + 1)
    findings = row_findings(asked, column, code_A, codes, faults)
    if asked is not table:
        values, values_RD = values_RD, np.full((len(table), values_RD.shape[1]), np.nan)
        values_RD[ask_R] = values
    return values_RD, findings


def _answered_twice(
    table: Table,
    keep_R: NDArray[np.bool_],
    people_R: NDArray[np.int64],
    problem_R: NDArray[np.int64],
    profiles: Profiles,
    problems: Problems,
) -> tuple[NDArray[np.bool_], list[Finding]]:
    """(R,) whether an earlier row has the same participant and problem, and an error naming both rows."""
    again_R = np.zeros(len(table), dtype=bool)
    pair_K = (people_R * max(len(problems), 1) + problem_R)[keep_R]
    pair_K.sort()  # a fraction of the memory that looking for equal ones among the unsorted takes
    if not (pair_K[1:] == pair_K[:-1]).any():
        return again_R, []
    rows = np.flatnonzero(keep_R)
    pair_K = people_R[rows] * max(len(problems), 1) + problem_R[rows]
    again_K = pd.Series(pair_K).duplicated().to_numpy()
    again_R[rows[again_K]] = True
    code_K, _ = pd.factorize(pair_K)
    _, first_U = np.unique(code_K, return_index=True)
    findings = []
    for k in np.flatnonzero(again_K).tolist():
        row, first = rows[k], rows[first_U[code_K[k]]]
        message = f"the same participant and problem as in row {table.row_R[first]}"
        value = f"{profiles.ids[people_R[row]]}, {problems.ids[problem_R[row]]}"
        hint = "one response per participant and problem"
        findings.append(Finding("error", message, table.name, int(table.row_R[row]), "", value, hint))
    return again_R, findings
