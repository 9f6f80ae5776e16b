"""Read separated text as a table of text cells, within bounds, refusing what is no table.

As `crowdllm.data.tables.read_table`, which knows encodings and separators, but with a look ahead: a file with too many
columns or cells, or with rows of many widths, is refused before it takes memory.

Shapes: R records.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from crowdllm.data.csv_records import SEPARATORS, read_records
from crowdllm.data.tables import Cells, Table, decode
from crowdllm.errors import Finding, StudyError
from crowdllm.exchange.limits import MEGABYTE, DamagedFileError, read_bytes
from crowdllm.exchange.protocol import Note

MOST_COLUMNS = 10_000
MOST_RAGGED = 1_000
BYTES_PER_CELL = 12
"""A cell takes some fifty bytes while it is read, so that a file of nothing but separators is refused."""


def read_text_table(path: Path, known: Collection[str] = (), max_megabytes: int = 64) -> tuple[Table, list[Note]]:
    """The table in a file and notes on how it was read (encoding, separator, blank rows, columns without names).

    known: column names to expect; they decide which separator it is.

    Raises DamagedFileError or StudyError for a file that holds no table, or a faulty one.
    """
    data = read_bytes(path, max_megabytes)
    text, findings = decode(data, path.name)
    del data
    if text is None:
        raise StudyError(findings)
    if not text.strip() or "\0" in text[:10_000]:
        raise DamagedFileError(path, "is empty" if not text.strip() else "is no text")
    table, found = table_from_text(text, path, known, max_megabytes)
    return table, [_note(f) for f in [*findings, *found]]


def table_from_text(
    text: str, path: Path, known: Collection[str] = (), max_megabytes: int = 64
) -> tuple[Table, list[Finding]]:
    """The table in a text; raises StudyError with every fault that was looked for."""
    _require_even(text, path, known, max_megabytes)
    records, findings = read_records(text, path.name, known)
    if records is None or not any(name.strip() for name in records.header):
        raise DamagedFileError(path, "has no header row with column names")
    errors = [f for f in findings if f.severity == "error"]
    if errors:
        raise StudyError(findings)
    columns, found = named_columns(records.header, records.columns, path.name)
    ragged = np.zeros(len(records.row_R), dtype=bool)
    return Table(path.name, columns, records.row_R, ragged), findings + found


def named_columns(header: Sequence[str], columns: Sequence[Cells], file: str) -> tuple[dict[str, Cells], list[Finding]]:
    """Columns by name; one without a name is left out if empty, else called column 3; repeated names get a number."""
    out: dict[str, Cells] = {}
    findings = []
    for i, (heading, cells) in enumerate(zip(header, columns, strict=True)):
        wanted = " ".join(heading.split())
        name = wanted or f"column {i + 1}"
        if not wanted and not any(cells):
            continue
        number = 1
        while name in out:
            number += 1
            name = f"{wanted or f'column {i + 1}'} ({number})"
        if name != heading.strip():
            findings.append(Finding("note", f"column {i + 1} is called {name!r} here", file, 1, value=heading))
        out[name] = cells
    return out, findings


def _require_even(text: str, path: Path, known: Collection[str], max_megabytes: int) -> None:
    """Raise where the file is so broken, or so large, that reading it whole would only cost memory."""
    most_cells = max_megabytes * MEGABYTE // BYTES_PER_CELL
    head = text.lstrip("\r\n")[:200_000]
    best, separator = (0, 1), ","
    lines = max(text.count("\n"), text.count("\r"))
    for sign in SEPARATORS:
        if text.count(sign) + lines > most_cells:
            raise DamagedFileError(path, f"has more than {most_cells:,} cells", "raise the limit with --max-megabytes")
        try:
            header = next((row for row in csv.reader(io.StringIO(head, newline=""), delimiter=sign) if row), [])
        except csv.Error:
            continue
        score = (sum(cell.strip() in known for cell in header), len(header))
        best, separator = max((best, separator), (score, sign), key=lambda x: x[0])
    if best[1] > MOST_COLUMNS:
        raise DamagedFileError(path, f"has {best[1]:,} columns; at most {MOST_COLUMNS:,} are read")
    if lines > MOST_RAGGED:
        _require_few_ragged(text, separator, best[1], path)


def _require_few_ragged(text: str, separator: str, width: int, path: Path) -> None:
    """Raise where very many rows have another number of cells than the header: each would be a finding."""
    ragged = 0
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            ragged += len(row) not in (0, width) and any(row[width:] or row)
            if ragged > MOST_RAGGED:
                hint = "the same number of cells in each row, and texts that hold the separator in quotes"
                raise DamagedFileError(path, f"more than {MOST_RAGGED} rows have not {width} cells as the first", hint)
    except csv.Error as error:
        raise DamagedFileError(path, f"is no table of separated cells: {error}") from None


def _note(finding: Finding) -> Note:
    about = f"row {finding.row}" if finding.row and finding.row > 1 else ""
    return Note("reading", about, finding.message + (f": {finding.value}" if finding.value else ""))
