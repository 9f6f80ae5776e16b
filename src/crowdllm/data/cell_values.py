"""Turn text cells into responses, options and profile values, each distinct cell once, and say what is wrong.

Shapes: R cells, U distinct cells, S distinct sets of options, D response width.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.data.profiles import ProfileColumn
from crowdllm.data.study_toml import option_fault
from crowdllm.data.tables import Cells, Table, has_decimal_comma, number_text, plain_number
from crowdllm.errors import Finding, UnparsableAnswerError, nearest
from crowdllm.responses import ResponseType

NEAREST_LOOKUPS = 50
NEAREST_AMONG = 2000
MISSING_WORDS = frozenset({"na", "n/a", "nan", "none", "null", "nil", "missing", "-", "--", ".", "?", "#n/a"})
Options = tuple[str, ...]


@dataclass(frozen=True)
class Fault:
    """What is wrong with one distinct cell."""

    message: str
    allowed: str = ""
    near: str = ""


def distinct(cells_R: Cells) -> tuple[NDArray[np.int64], Cells]:
    """(R,) codes and the (U,) distinct cells in order of appearance."""
    code_R, cells_U = pd.factorize(cells_R)
    return code_R.astype(np.int64, copy=False), np.asarray(cells_U, dtype=object)


def row_findings(
    table: Table,
    column: str,
    code_R: NDArray[np.int64],
    cells_U: Sequence[Any] | Cells,
    faults: Mapping[int, Fault],
) -> list[Finding]:
    """One error for every row whose distinct cell has a fault; ragged rows are errors already."""
    if not faults:
        return []
    flag_U = np.zeros(len(cells_U), dtype=bool)
    flag_U[list(faults)] = True
    rows = np.flatnonzero(flag_U[code_R] & ~table.ragged_R)
    out = []
    for row, code, number in zip(rows, code_R[rows].tolist(), table.row_R[rows].tolist(), strict=True):
        fault = faults[code]
        value = str(table.columns[column][row])
        out.append(Finding("error", fault.message, table.name, number, column, value, fault.allowed, fault.near))
    return out


def nearest_ids(names: Sequence[str], ids: Sequence[str] | Cells) -> dict[str, str]:
    """For each unknown id the valid one most like it, "" where none is or too many were looked up."""
    folded = {str(i).strip().casefold(): str(i) for i in ids}
    out: dict[str, str] = {}
    lookups = 0
    for name in names:
        out[name] = folded.get(name.strip().casefold(), "")
        if out[name] or lookups >= NEAREST_LOOKUPS or not name.strip():
            continue
        lookups += 1
        ends = (name.strip()[:2], name.strip()[-2:])
        among = list(folded.values()) if len(folded) <= NEAREST_AMONG else _alike(folded.values(), ends)
        out[name] = nearest(name.strip(), among)
    return out


def _alike(ids: Iterable[str], ends: tuple[str, str]) -> list[str]:
    return [i for i in ids if i.startswith(ends[0]) or i.endswith(ends[1])][:NEAREST_AMONG]


def parse_responses(
    response_type: ResponseType, cells_R: Cells, set_R: NDArray[np.int64], sets: Sequence[Options]
) -> tuple[NDArray[np.float64], NDArray[np.int64], dict[int, Fault]]:
    """(R, D) values (NaN where wrong), the code of each row, and the fault of each code that has one.

    set_R: (R,) which of the S `sets` of options each response chooses from; zeros for types without options.
    """
    code_R, cells_U = distinct(cells_R)
    if response_type.kind == "continuous":
        values_UD, faults = _numbers(response_type, cells_U)
        return values_UD[code_R], code_R, faults
    pair_U = np.arange(len(cells_U))
    if len(sets) > 1:
        code_R, pair_U = pd.factorize(code_R * len(sets) + set_R)
    values_UD = np.full((len(pair_U), response_type.width()), np.nan)
    faults = {}
    looked_up = 0
    for u, pair in enumerate(pair_U.tolist()):
        cell, options = str(cells_U[pair // len(sets)]), sets[pair % len(sets)]
        try:
            values_UD[u] = response_type.read_cell(cell, options)
        except UnparsableAnswerError as error:
            looked_up += 1
            valid = _valid_words(response_type, options) if looked_up <= NEAREST_LOOKUPS else []
            near = nearest(error.value.strip(), valid)
            faults[u] = Fault(_response_message(response_type, cell), error.allowed, near)
    return values_UD[code_R], code_R.astype(np.int64, copy=False), faults


def _valid_words(response_type: ResponseType, options: Options) -> list[str]:
    return list(options) if response_type.has_options else list(getattr(response_type, "levels", ()))


def _response_message(response_type: ResponseType, cell: str) -> str:
    if cell.strip().casefold() in MISSING_WORDS:
        return "not on the scale (for a question not answered leave the cell empty)"
    if response_type.has_options:
        return "no legal response"
    if has_decimal_comma(cell):
        return "a number with a decimal comma: write a point"
    return "not on the scale"


def _numbers(response_type: ResponseType, cells_U: Cells) -> tuple[NDArray[np.float64], dict[int, Fault]]:
    """(U, 1) numbers and faults; one call of `legal` for all, since every cell may be different."""
    numbers = [plain_number(cell) for cell in cells_U]
    values_UD = np.array([np.nan if n is None else n for n in numbers], dtype=float).reshape(-1, 1)
    legal_U = response_type.legal(values_UD, np.zeros(len(cells_U), dtype=np.int64))
    faults = {}
    for u in np.flatnonzero(~legal_U).tolist():
        message = _response_message(response_type, str(cells_U[u]))
        if numbers[u] is None and message == "not on the scale":
            message = "a text where a number belongs"
        faults[u] = Fault(message, response_type.allowed())
    return values_UD, faults


def profile_values(
    column: ProfileColumn, cells_R: Cells
) -> tuple[ProfileColumn, NDArray[np.float64], NDArray[np.int64], Cells, dict[int, Fault]]:
    """The column with its levels, (R,) values (NaN if missing or wrong), codes, distinct cells, faults.

    A categorical column without declared levels has those in the data, sorted.
    """
    code_R, cells_U = distinct(cells_R)
    blank_U = np.array([not cell.strip() for cell in cells_U], dtype=bool)
    value_U = np.full(len(cells_U), np.nan)
    faults: dict[int, Fault] = {}
    if column.kind == "categorical" and not column.levels:
        column = ProfileColumn(column.name, "categorical", tuple(sorted(cells_U[~blank_U])), column.label)
    position = {level: float(i) for i, level in enumerate(column.levels)}
    for u in np.flatnonzero(~blank_U).tolist():
        cell = str(cells_U[u])
        value = plain_number(cell) if column.kind == "numeric" else position.get(cell)
        if value is None:
            faults[u] = _profile_fault(column, cell, len(faults) < NEAREST_LOOKUPS)
        else:
            value_U[u] = value
    return column, value_U[code_R], code_R, cells_U, faults


def _profile_fault(column: ProfileColumn, cell: str, look_up: bool) -> Fault:
    if cell.strip().casefold() in MISSING_WORDS:
        message = "a word for a missing value: leave the cell empty"
    elif column.kind != "numeric":
        message = "unknown level"
    elif has_decimal_comma(cell):
        message = "a number with a decimal comma: write a point"
    else:
        message = "a text where a number belongs"
    if column.kind == "numeric":
        return Fault(message, "digits with a decimal point, such as 34 or 0.5; empty where missing")
    near = nearest_ids([cell], column.levels)[cell] if look_up else ""
    return Fault(message, ", ".join(column.levels) or "(none)", near)


def read_options(cell: str) -> tuple[Options, str]:
    """The options in a cell, separated by | or as a JSON list, and what is wrong with them or ""."""
    text = cell.strip()
    options: list[str] | None = None
    if text.startswith("["):
        try:
            options = _json_options(json.loads(text))
        except (ValueError, RecursionError, OverflowError):
            options = None  # an option that begins with a bracket
    if options is None:
        options = [part.strip() for part in text.split("|")] if text else []
    return tuple(options), option_fault(options)


def _json_options(value: Any) -> list[str]:
    if not isinstance(value, list) or any(isinstance(v, bool) or not isinstance(v, (str, int, float)) for v in value):
        raise ValueError("no list of texts")
    return [number_text(v) if isinstance(v, float) else str(v) for v in value]


def write_options(options: Options) -> str:
    """The cell that `read_options` turns back into these options."""
    cell = "|".join(options)
    return cell if read_options(cell)[0] == options else json.dumps(list(options), ensure_ascii=False)
