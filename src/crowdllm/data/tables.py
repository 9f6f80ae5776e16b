"""Read a CSV or Parquet table as text cells, whatever its separator and encoding, with row numbers.

Every cell becomes text and a missing one becomes "": whoever knows what the column means turns it into a
number or a level, and can say which row is wrong. Understood without being told, and reported as a note:
semicolon, tab and pipe separators, UTF-8 with a byte order mark, UTF-16, UTF-32, and Windows-1252 (a superset
of Latin-1); any mix of line ends will do. Rows count as in a spreadsheet: the header is row 1, a record with
a newline in quotes is one row, and a blank line is a row.

Shapes: R records.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import math
import re
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.errors import Finding

Cells = NDArray[np.object_]

SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}
BYTE_ORDER_MARKS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 with a byte order mark"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
SAVE_AS_CSV = "save the sheet as 'CSV UTF-8'"
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_COMMA_NUMBER = re.compile(r"[-+]?[0-9]+(?:[.,' ][0-9]{3})*,[0-9]+")
_field_limit = threading.Lock()


@dataclass(frozen=True)
class Table:
    """R records of text cells.

    name: how findings call it (the file's name).
    columns: per column name its (R,) cells; "" where missing.
    row_R: (R,) the row of each record as a spreadsheet counts.
    ragged_R: (R,) whether the record had too few or too many cells, which is an error; padded or cut here.
    complete: False where reading had to stop early, so that an id may stand in the part not read.
    """

    name: str
    columns: dict[str, Cells]
    row_R: NDArray[np.int64]
    ragged_R: NDArray[np.bool_]
    complete: bool = True

    def __len__(self) -> int:
        return len(self.row_R)


def read_table(path: Path, known: Collection[str] = (), name: str = "") -> tuple[Table | None, list[Finding]]:
    """The table in a file (None where it cannot be read at all), and what was found on the way.

    known: column names to expect; they decide which separator it is. name: how findings call the file.
    """
    name = name or path.name
    try:
        data = path.read_bytes()
    except OSError as error:
        return None, [Finding("error", f"cannot be read: {error.strerror or error}", file=name)]
    if data[:4] == b"PAR1" or (path.suffix.lower() in (".parquet", ".pq") and data):
        return _read_parquet(data, name)
    if data[:4] in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0"):
        return None, [Finding("error", f"is no text but a workbook or archive: {SAVE_AS_CSV}", file=name)]
    text, findings = decode(data, name)
    if text is None:
        return None, findings
    if not text.strip():
        return None, [
            *findings,
            Finding("error", "is empty: not even a header row with column names", file=name),
        ]
    table, found = _parse(text, name, known)
    return table, findings + found


def decode(data: bytes, name: str) -> tuple[str | None, list[Finding]]:
    """The text in some bytes (None where there is none), and a note on its encoding unless plain UTF-8."""
    for mark, codec, words in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            text, findings = _decoded(data, codec, words, name)
            note = Finding("note", f"read as {words}", file=name)
            return text, findings if text is None else [note]
    guess = _utf16_guess(data)
    if guess:
        text, findings = _decoded(data, guess, "UTF-16", name)
        return text, findings if text is None else [Finding("note", "read as UTF-16 (no byte order mark)", file=name)]
    try:
        return data.decode("utf-8"), []
    except UnicodeDecodeError:
        text, findings = _decoded(data, "cp1252", "UTF-8 or Windows-1252 (Latin-1)", name)
    if text is None:
        return None, findings
    word = re.search(r"""[^\s,;|"']*[^\x00-\x7f][^\s,;|"']*""", text)
    message = "is not UTF-8: read as Windows-1252 (Latin-1); look whether this word is right, else save it as UTF-8"
    row = text.count("\n", 0, word.start()) + 1 if word else None
    return text, [Finding("note", message, file=name, row=row, value=word.group()[:60] if word else "")]


def _decoded(data: bytes, codec: str, words: str, name: str) -> tuple[str | None, list[Finding]]:
    try:
        return data.decode(codec), []
    except UnicodeDecodeError as error:
        row = data.count(b"\n", 0, error.start) + 1
        message = f"is not text in {words} (byte {error.start + 1:,}): {SAVE_AS_CSV}"
        value = " ".join(f"{byte:02x}" for byte in data[error.start : error.start + 4])
        return None, [Finding("error", message, file=name, row=row, value=value)]


def _utf16_guess(data: bytes) -> str:
    """The UTF-16 codec of bytes without a mark where every other one is mostly zero, else ""."""
    head = np.frombuffer(data[:4096], dtype=np.uint8)
    if len(head) < 4:
        return ""
    even, odd = float((head[::2] == 0).mean()), float((head[1::2] == 0).mean())
    if max(even, odd) < 0.4 or min(even, odd) > 0.2:
        return ""
    return "utf-16-le" if odd > even else "utf-16-be"


def _parse(text: str, name: str, known: Collection[str]) -> tuple[Table | None, list[Finding]]:
    separator = _separator(text, known)
    findings: list[Finding] = []
    if separator != ",":
        findings.append(Finding("note", f"read as {SEPARATORS[separator]}-separated", file=name))
    records, failure = _records(text, separator)
    if failure:
        row = len(records) + 1
        message = "a quote opened in this row is never closed" if "end of data" in failure else "broken quotes"
        allowed = 'a quoted cell ends with " before the next separator; a quote inside it is doubled ("")'
        findings.append(
            Finding(
                "error",
                f"{message}: reading stopped here",
                file=name,
                row=row,
                value=failure,
                allowed=allowed,
            )
        )
    width_R = np.fromiter(map(len, records), dtype=np.int64, count=len(records))
    filled = np.flatnonzero(width_R > 0)
    if not len(filled):
        return None, findings
    header, body = records[filled[0]], records[filled[0] + 1 :]
    row_R = np.arange(len(body), dtype=np.int64) + int(filled[0]) + 2
    ragged_R, found = _check_widths(body, width_R[filled[0] + 1 :], row_R, header, name)
    columns = [np.array([record[i] for record in body], dtype=object) for i in range(len(header))]
    blank_R = np.ones(len(body), dtype=bool)
    for cells in columns:
        blank_R &= cells == ""
    ragged_R &= ~blank_R
    findings += [f for f in found if not blank_R[(f.row or 0) - row_R[0]]]
    if blank_R.any():
        findings.append(_blank_rows(row_R[blank_R], name))
        columns = [cells[~blank_R] for cells in columns]
        row_R, ragged_R = row_R[~blank_R], ragged_R[~blank_R]
    named, found = _named(header, columns, name)
    return Table(name, named, row_R, ragged_R, not failure), findings + found


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


def _records(text: str, separator: str) -> tuple[list[list[str]], str]:
    """All records, blank ones included, and why reading stopped early ("" when it did not).

    Strict, since a lenient reader swallows the rest of the file after a quote that is never closed. The csv
    module's limit on the length of a cell would refuse long texts, so it is lifted meanwhile.
    """
    records: list[list[str]] = []
    with _field_limit:
        limit = csv.field_size_limit(max(len(text), 1))
        try:
            records.extend(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
        except csv.Error as error:
            return records, str(error)
        finally:
            csv.field_size_limit(limit)
    return records, ""


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


def _named(header: Sequence[str], columns: Sequence[Cells], name: str) -> tuple[dict[str, Cells], list[Finding]]:
    """The columns by name; unnamed ones are left out with a note, a name that comes twice is an error."""
    named: dict[str, Cells] = {}
    findings = []
    for i, (heading, cells) in enumerate(zip(header, columns, strict=True)):
        column = heading.strip()
        if not column:
            findings.append(Finding("note", f"column {i + 1} has no name and is not loaded", file=name, row=1))
        elif column in named:
            message = "two columns have this name: rename one"
            findings.append(Finding("error", message, file=name, row=1, column=column))
        else:
            named[column] = cells
            if column != heading:
                message = "the column's name has blanks at its ends, which are ignored"
                findings.append(Finding("note", message, file=name, row=1, column=column, value=heading))
    return named, findings


def _read_parquet(data: bytes, name: str) -> tuple[Table | None, list[Finding]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        stored = pq.read_table(io.BytesIO(data))
        # the pandas metadata would hide columns that once were an index; ints must not turn to floats
        frame = stored.to_pandas(ignore_metadata=True, integer_object_nulls=True)
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return None, [Finding("error", f"cannot be read as Parquet: {reason}", file=name)]
    return table_from_frame(frame, name)


def table_from_frame(frame: pd.DataFrame, name: str) -> tuple[Table, list[Finding]]:
    """The cells of a DataFrame as text, its first row being row 2, as if saved as CSV.

    A named index is read as columns.
    """
    if any(level is not None for level in frame.index.names):
        keep = [level for level in frame.index.names if level is not None and level not in frame.columns]
        frame = frame.reset_index(level=keep) if keep else frame
    header = [str(column) for column in frame.columns]
    named, findings = _named(header, [as_cells(frame.iloc[:, i]) for i in range(len(header))], name)
    rows = np.arange(len(frame), dtype=np.int64) + 2
    return Table(name, named, rows, np.zeros(len(frame), dtype=bool)), findings


def as_cells(series: pd.Series[Any]) -> Cells:
    """(R,) text cells of a column of any type; "" where missing."""
    cells = np.empty(len(series), dtype=object)
    cells[:] = [_cell(value) for value in series.tolist()]
    return cells


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (float, np.floating)):
        return "" if math.isnan(value) else number_text(float(value))
    if isinstance(value, (list, tuple, np.ndarray)):
        return json.dumps([_cell(v) for v in value], ensure_ascii=False)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if value is None or value is pd.NA or value is pd.NaT:
        return ""
    return str(value)


def number_text(value: float) -> str:
    """The shortest text that `float` turns back into the same bits, 3 for 3.0; "" for NaN."""
    if math.isnan(value):
        return ""
    if value.is_integer() and abs(value) < 2**53 and not (value == 0 and math.copysign(1, value) < 0):
        return str(int(value))
    return repr(value)


def plain_number(cell: str) -> float | None:
    """The number that a cell holds, written with digits and a decimal point; None for anything else."""
    cell = cell.strip()
    if not _NUMBER.fullmatch(cell):
        return None
    value = float(cell)
    return value if math.isfinite(value) else None


def has_decimal_comma(cell: str) -> bool:
    """Whether the cell is a number written with a comma, such as 3,5."""
    return _COMMA_NUMBER.fullmatch(cell.strip()) is not None


def csv_bytes(columns: Mapping[str, Sequence[str] | Cells]) -> bytes:
    """A comma-separated UTF-8 table (RFC 4180) that `read_table` reads back the same."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return out.getvalue().encode("utf-8")
