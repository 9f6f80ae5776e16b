"""Survey weights of the people of a study: read from a column of participants.csv, and everything wrong with them.

A weight says how many people of the population a participant stands for, on any scale: 1 and 2 mean the same as 500
and 1,000. It must be a finite number above 0 for everybody; who should not count does not belong in the study.

Kish's effective sample size, (sum w)^2 / sum w^2, says how many people without weights tell as much as these.

Shapes: N participants.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crowdllm.data.cell_values import MISSING_WORDS, Fault, distinct, row_findings
from crowdllm.data.study_toml import STUDY_FILE, StudySettings
from crowdllm.data.tables import Table, has_decimal_comma, plain_number
from crowdllm.errors import Finding, nearest

ALLOWED = "a number above 0, such as 0.8 or 1250, for every participant"
MUCH = 0.2  # of all weight, from which on one person is worth a warning
FEW_LEFT = 0.5  # of the people, below which the effective number is worth a warning


def read_weights(
    settings: StudySettings, table: Table, rows: NDArray[np.int64]
) -> tuple[NDArray[np.float64] | None, list[Finding]]:
    """(N,) weights of the people in these rows of the table; None, and errors, where one of them is no weight."""
    if not settings.weight:
        return None, []
    cells = table.columns.get(settings.weight)
    if cells is None:
        message = "no such column of survey weights; `weight` in study.toml names it"
        allowed = f"the columns are {', '.join(table.columns)}"
        near = nearest(settings.weight, table.columns)
        return None, [Finding("error", message, table.name, 1, settings.weight, "", allowed, near)]
    code_R, cells_U = distinct(cells)
    number_U = [plain_number(str(cell)) for cell in cells_U]
    if len(rows) and all(number_U[code] == 0 for code in code_R[rows].tolist()):
        message = "the survey weights add up to 0, so nobody counts"
        return None, [Finding("error", message, table.name, None, settings.weight, "0", ALLOWED)]
    faults = {}
    for u, (cell, number) in enumerate(zip(cells_U.tolist(), number_U, strict=True)):
        if number is None or number <= 0:
            faults[u] = Fault(_message(str(cell), number), ALLOWED)
    findings = row_findings(table, settings.weight, code_R, cells_U, faults)
    if findings or faults:
        return None, findings
    weights_N = np.array(number_U, dtype=float)[code_R[rows]]
    return weights_N, _worth_knowing(weights_N, settings.weight, table)


def no_table_of_weights(settings: StudySettings, table: Table | None) -> list[Finding]:
    """The error of weights that were declared where no table of participants can hold them."""
    if not settings.weight or table is not None:  # a table without ids is an error already
        return []
    message = "survey weights are declared, but there is no table of participants to hold them"
    return [Finding("error", message, STUDY_FILE, None, "weight", settings.weight, "a column of participants.csv")]


def effective_number(weights_N: NDArray[np.float64]) -> float:
    """Kish's effective sample size, from 1 to N; 0 for nobody."""
    if not len(weights_N):
        return 0.0
    share_N = weights_N / weights_N.max()
    return float(share_N.sum() ** 2 / (share_N**2).sum())


def _message(cell: str, number: float | None) -> str:
    if not cell.strip() or cell.strip().casefold() in MISSING_WORDS:
        return "the survey weight is missing"
    if number is None:
        comma = has_decimal_comma(cell)
        return "a number with a decimal comma: write a point" if comma else "the survey weight is no number"
    if number < 0:
        return "a survey weight cannot be negative"
    return "a survey weight of 0: leave people who should not count out of the study"


def _worth_knowing(weights_N: NDArray[np.float64], column: str, table: Table) -> list[Finding]:
    """What the weights cost in precision, and whether somebody's weight is most of it."""
    if not len(weights_N):
        return []
    effective = effective_number(weights_N)
    most = float((weights_N / weights_N.max()).max() / (weights_N / weights_N.max()).sum())
    message = (
        f"survey weights from {weights_N.min():.6g} to {weights_N.max():.6g}: these {len(weights_N):,} people tell as "
        f"much as {effective:,.0f} without weights (Kish)"
    )
    severity = "warning" if effective < FEW_LEFT * len(weights_N) else "note"
    findings = [Finding(severity, message, table.name, column=column)]
    if most >= MUCH and len(weights_N) > 1 / MUCH:
        findings.append(Finding("warning", f"one person has {most:.0%} of all weight", table.name, column=column))
    return findings
