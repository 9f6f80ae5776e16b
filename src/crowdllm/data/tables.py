"""Read a CSV or Parquet table (or a folder of Parquet parts) as text cells, with row numbers.

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
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from crowdllm.data.csv_records import Cells, read_records
from crowdllm.errors import Finding

BYTE_ORDER_MARKS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF8, "utf-8-sig", "UTF-8 with a byte order mark"),
    (codecs.BOM_UTF32_LE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16", "UTF-16"),
)
PARTS, MOST_ROWS = "*.parquet", 20_000_000
SAVE_AS_CSV = "save the sheet as 'CSV UTF-8'"
_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")
_COMMA_NUMBER = re.compile(r"[-+]?[0-9]+(?:[.,' ][0-9]{3})*,[0-9]+")


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
    if path.is_dir() and any(path.glob(PARTS)):
        return _read_parts(path, name)
    try:
        data = path.read_bytes()
    except OSError as error:
        return None, [Finding("error", f"cannot be read: {error.strerror or error}", file=name)]
    if data[:4] == b"PAR1" or (path.suffix.lower() in (".parquet", ".pq") and data):
        return _read_parquet(data, name)
    if data[:4] in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0"):
        return None, [Finding("error", f"is no text but a workbook or archive: {SAVE_AS_CSV}", file=name)]
    text, findings = decode(data, name)
    del data  # of a large file, once is enough
    if text is None:
        return None, findings
    if not text or text.isspace():
        return None, [
            *findings,
            Finding("error", "is empty: not even a header row with column names", file=name),
        ]
    records, found = read_records(text, name, known)
    findings += found
    if records is None:
        return None, findings
    named, found = _named(records.header, records.columns, name)
    return Table(name, named, records.row_R, records.ragged_R, records.complete), findings + found


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

    return _arrow_table([pa.BufferReader(data)], name, None)


def _read_parts(folder: Path, name: str) -> tuple[Table | None, list[Finding]]:
    """A folder of Parquet parts, in the order of their names, as one table."""
    return _arrow_table(sorted(folder.glob(PARTS)), name, MOST_ROWS)


def _arrow_table(sources: Sequence[Any], name: str, most: int | None) -> tuple[Table | None, list[Finding]]:
    """Parquet files with the same columns, one below the other, as one table; most: rows allowed in several."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        files = [pq.ParquetFile(source, read_dictionary=_text_columns(source)) for source in sources]
        rows = sum(file.metadata.num_rows for file in files)
        if most is not None and rows > most:
            message = f"has {rows:,} rows in {len(files):,} Parquet parts, too many to hold at once"
            hint = f"{most:,} rows; crowdllm.Responses.scan reads larger crowds piece by piece"
            return None, [Finding("error", message, file=name, allowed=hint)]
        tables = [file.read() for file in files]
        header = tables[0].column_names
        if any(table.column_names != header for table in tables):
            return None, [Finding("error", "its Parquet parts have different columns", file=name)]
        columns = [np.concatenate([_arrow_cells(table.column(c)) for table in tables]) for c in range(len(header))]
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return None, [Finding("error", f"cannot be read as Parquet: {reason}", file=name)]
    named, findings = _named(header, columns, name)
    return Table(name, named, np.arange(rows, dtype=np.int64) + 2, np.zeros(rows, dtype=bool)), findings


def _text_columns(source: Any) -> list[str]:
    """The columns of texts, each of which is then kept once."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pq.read_schema(source)
    return [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]


def _arrow_cells(column: Any) -> Cells:
    """The text cells of an Arrow column, each distinct one made once; of nested values, every one."""
    import pyarrow as pa

    if pa.types.is_nested(column.type):
        return as_cells(column.to_pandas(integer_object_nulls=True))
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    column = column.unify_dictionaries()
    if not column.num_chunks:
        return np.zeros(0, dtype=object)
    # ints must not turn to floats
    values = column.chunk(0).dictionary.to_pandas(integer_object_nulls=True)
    cells = np.append(as_cells(pd.Series(values)), "")
    codes = [chunk.indices.fill_null(len(cells) - 1).to_numpy(zero_copy_only=False) for chunk in column.chunks]
    taken: Cells = cells[np.concatenate(codes)]
    return taken


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
