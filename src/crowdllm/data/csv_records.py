"""Read separated text some thousand records at a time, keeping of equal cells only the first.

Ten million rows are then ten million references to a few hundred thousand texts, and nothing that is read but not kept
piles up. Any of four separators and any mix of line ends; a record with a newline in quotes is one row, and so is a
blank line.

Shapes: R records.
"""

from __future__ import annotations

import csv
import io
import re
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from crowdllm.errors import Finding

Cells = NDArray[np.object_]

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
AT_ONCE, MOST_KEPT = 50_000, 1_000_000  # records at a time; distinct cells of a column that are told apart
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")  # as io.StringIO splits a text that it leaves as it is
_field_limit = threading.Lock()


@dataclass(frozen=True)
class Records:
    """header: the names in the first row. columns: per name its (R,) cells. row_R: as a spreadsheet counts.

    ragged_R: whether the record had too few or too many cells, which is an error; padded or cut here. complete: False
    where reading had to stop early. Blank rows are left out.
    """

    header: list[str]
    columns: list[Cells]
    row_R: NDArray[np.int64]
    ragged_R: NDArray[np.bool_]
    complete: bool


def read_records(text: str, name: str, known: Collection[str]) -> tuple[Records | None, list[Finding]]:
    """The records in a text, None where there is not even a header, and what was found on the way.

    known: column names to expect; they decide which separator it is. name: how findings call the file.
    """
    separator = _separator(text, known)
    findings: list[Finding] = []
    if separator != ",":
        findings.append(Finding("note", f"read as {SEPARATORS[separator]}-separated", file=name))
    header: list[str] = []
    parts: list[_Part] = []
    keepers: list[_Keeper] = []
    ragged: list[Finding] = []
    read, failure = 0, ""
    for records, broken in _records(text, separator):
        failure = broken
        first = 0
        if not header:
            first = next((r + 1 for r, record in enumerate(records) if record), len(records))
            header = records[first - 1] if first else []
            keepers = [_Keeper() for _ in header]
        if header:
            part, found = _part(records[first:], read + first + 1, header, keepers, name)
            parts.append(part)
            ragged += found
        read += len(records)
    if failure:
        findings.append(_broken(failure, read + 1, name))
    if not header:
        return None, findings
    row_R, ragged_R, blank_R = (
        np.concatenate([getattr(part, field) for part in parts]) for field in ("row_R", "ragged_R", "blank_R")
    )
    findings += ragged
    if blank_R.any():
        findings.append(_blank_rows(row_R[blank_R], name))
    columns = []
    for c in range(len(header)):
        cells = np.concatenate([part.columns[c] for part in parts])
        for part in parts:
            part.columns[c] = cells[:0]
        columns.append(cells[~blank_R] if blank_R.any() else cells)
    return Records(header, columns, row_R[~blank_R], ragged_R[~blank_R], not failure), findings


def _broken(failure: str, row: int, name: str) -> Finding:
    message = "a quote opened in this row is never closed" if "end of data" in failure else "broken quotes"
    allowed = 'a quoted cell ends with " before the next separator; a quote inside it is doubled ("")'
    return Finding("error", f"{message}: reading stopped here", file=name, row=row, value=failure, allowed=allowed)


@dataclass(frozen=True)
class _Part:
    """Some records in a row: their cells by column, blank rows included."""

    columns: list[Cells]
    row_R: NDArray[np.int64]
    ragged_R: NDArray[np.bool_]
    blank_R: NDArray[np.bool_]


class _Keeper:
    """Gives back the first of equal cells, so that a million rows with one id hold one text."""

    def __init__(self) -> None:
        self.seen: dict[str, str] = {}

    def cells(self, texts: list[str]) -> Cells:
        out = np.empty(len(texts), dtype=object)
        if len(self.seen) > MOST_KEPT:  # hardly any two are equal
            out[:] = texts
        else:
            keep = self.seen.setdefault
            out[:] = [keep(text, text) for text in texts]
        return out


def _part(
    body: list[list[str]], row: int, header: list[str], keepers: Sequence[_Keeper], name: str
) -> tuple[_Part, list[Finding]]:
    """The records' cells; row: that of the first of them. Blank rows are no ragged rows."""
    width_R = np.fromiter(map(len, body), dtype=np.int64, count=len(body))
    row_R = np.arange(row, row + len(body), dtype=np.int64)
    ragged_R, found = _check_widths(body, width_R, row_R, header, name)
    columns = [keeper.cells([record[i] for record in body]) for i, keeper in enumerate(keepers)]
    blank_R = np.ones(len(body), dtype=bool)
    for cells in columns:
        blank_R &= cells == ""
    findings = [f for f in found if not blank_R[(f.row or 0) - row]]
    return _Part(columns, row_R, ragged_R & ~blank_R, blank_R), findings


def _separator(text: str, known: Collection[str]) -> str:
    """The separator under which the header has most known names, then most cells; else a comma."""
    best, best_score = ",", (0, 1)
    head = text.lstrip("\r\n")[:200_000]
    for separator in SEPARATORS:
        try:
            records = csv.reader(io.StringIO(head, newline=""), delimiter=separator)
            header = next((record for record in records if record), [])
        except csv.Error:
            continue
        score = (sum(cell.strip() in known for cell in header), len(header))
        if score > best_score:
            best, best_score = separator, score
    return best


def _records(text: str, separator: str) -> Iterator[tuple[list[list[str]], str]]:
    """The records in turn, blank ones included, some thousand at a time, and why reading stopped early, else "".

    Strict, since a lenient reader swallows the rest of the file after a quote that is never closed. The csv
    module's limit on the length of a cell would refuse long texts, so it is lifted meanwhile.
    """
    with _field_limit:
        limit = csv.field_size_limit(max(len(text), 1))
        lines = (line.group() for line in _LINE.finditer(text))
        reader = csv.reader(lines, delimiter=separator, strict=True)
        failure = ""
        try:
            while not failure:
                records: list[list[str]] = []
                try:
                    records.extend(islice(reader, AT_ONCE))
                except csv.Error as error:
                    failure = str(error)
                if not records and not failure:
                    return
                yield records, failure
        finally:
            csv.field_size_limit(limit)


def _check_widths(
    body: list[list[str]], width_R: NDArray[np.int64], row_R: NDArray[np.int64], header: list[str], name: str
) -> tuple[NDArray[np.bool_], list[Finding]]:
    """Pad or cut records (in place) to the header's width; which had the wrong one, as findings."""
    wrong_R = width_R != len(header)
    ragged_R = wrong_R.copy()
    findings = []
    for i in np.flatnonzero(wrong_R):
        record, count = body[i], int(width_R[i])
        extra = record[len(header) :]
        body[i] = (record + [""] * len(header))[: len(header)]
        if count == 0 or (extra and not any(extra)):
            ragged_R[i] = False  # a blank line, or empty cells after the last column: nothing is lost
            continue
        message = f"has {count} cells where the header has {len(header)}"
        hint = (
            "a text that contains the separator must stand in quotes"
            if extra
            else "the same number of cells in each row"
        )
        value = " / ".join(record)
        findings.append(Finding("error", message, file=name, row=int(row_R[i]), value=value, allowed=hint))
    return ragged_R, findings


def _blank_rows(row_B: NDArray[np.int64], name: str) -> Finding:
    count = len(row_B)
    rows = ", ".join(str(row) for row in islice(row_B, 5)) + (", …" if count > 5 else "")
    return Finding(
        "note", f"{count:,} blank row{'s' * (count > 1)} left out (row {rows})", file=name, row=int(row_B[0])
    )
