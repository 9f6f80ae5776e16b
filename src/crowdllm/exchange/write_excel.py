"""Write an Excel workbook (.xlsx): the table on the first sheet, and on the second what it is and where it is from.

Rows are streamed. Texts are stored as texts and marked as such (the "quote prefix"), so that none is ever taken for a
formula, also when the cell is edited. A sheet holds 1,048,576 rows, a cell 32,767 characters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from crowdllm import __version__
from crowdllm.data.tables import number_text, plain_number
from crowdllm.errors import CrowdLLMError, MissingExtraError
from crowdllm.exchange.export_protocol import RESPONSES, TABLES, WriteOptions, Writer, Written
from crowdllm.exchange.export_source import Source
from crowdllm.exchange.response_rows import table_frames
from crowdllm.exchange.spreadsheet_text import is_dangerous

MOST_ROWS, MOST_COLUMNS, MOST_CHARACTERS = 1_048_576, 16_384, 32_767
_ILLEGAL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@dataclass
class _Changes:
    """What of the texts could not be kept, and cells made once."""

    illegal: int = 0
    cut: int = 0
    cells: dict[str, Any] = field(default_factory=dict)


def write(source: Source, folder: Path, name: str, options: WriteOptions) -> Written:
    try:
        from openpyxl import Workbook
    except ImportError:
        raise MissingExtraError("writing Excel workbooks", "formats") from None
    if options.table == RESPONSES:
        _require_rows(source.responses, source)
    book, changes, rows = Workbook(write_only=True), _Changes(), 0
    sheet = book.create_sheet(options.table)
    for number, frame in enumerate(table_frames(source, options)):
        if number == 0:
            _require_columns(frame, source)
            sheet.append([_cell(sheet, str(name), changes) for name in frame.columns])
        _require_rows(rows + len(frame), source)
        for row in _rows(frame, sheet, changes):
            sheet.append(row)
        rows += len(frame)
    about = book.create_sheet("about")
    for key, value in _about(source, options):
        about.append([_cell(about, key, changes), _cell(about, value, changes)])
    book.save(folder / name)
    return Written((name,), rows, _notes(changes))


def _about(source: Source, options: WriteOptions) -> Iterator[tuple[str, str]]:
    study = source.study
    yield "what", source.marks.words
    yield "title", study.title
    yield "table", options.table
    for key, value in source.marks.values().items():
        yield key, "" if value is None else str(value)
    yield "context", study.context
    yield "requirements", study.requirements
    for line in study.source:
        yield "source", line
    for line in source.notes:
        yield "note", line
    yield "written by", f"crowdllm {__version__}"


def _rows(frame: pd.DataFrame, sheet: Any, changes: _Changes) -> Iterator[list[Any]]:
    columns = []
    for name in frame.columns:
        column = frame[name]
        if isinstance(column.dtype, pd.CategoricalDtype):  # each distinct text is looked at once
            made = [_cell(sheet, word, changes) for word in column.cat.categories]
            columns.append([made[code] if code >= 0 else None for code in column.cat.codes])
        else:
            columns.append([_cell(sheet, value, changes) for value in column.tolist()])
    yield from (list(row) for row in zip(*columns, strict=True))


def _cell(sheet: Any, value: Any, changes: _Changes) -> Any:
    """A value for openpyxl: numbers (also those written as text, where nothing is lost) as numbers, texts as texts."""
    from openpyxl.cell import WriteOnlyCell

    if value is None or value is pd.NA or (isinstance(value, float) and value != value):
        return None
    if not isinstance(value, str):
        return value.item() if hasattr(value, "item") else value
    number = plain_number(value)
    if number is not None and number_text(number) == value and abs(number) < 2**53:
        return int(number) if number.is_integer() else number
    text = _ILLEGAL.sub("\ufffd", value)
    changes.illegal += text != value
    changes.cut += len(text) > MOST_CHARACTERS
    text = text[:MOST_CHARACTERS]
    if not is_dangerous(text):
        return text
    cell = WriteOnlyCell(sheet, value=text)
    cell.data_type = "s"
    cell.quotePrefix = True
    return cell


def _require_rows(rows: int, source: Source) -> None:
    if rows + 1 > MOST_ROWS:
        raise CrowdLLMError(
            f"{source.place}: {rows:,} rows do not fit on a sheet of Excel, which holds {MOST_ROWS:,}: export to csv "
            "or parquet, or the distributions (--table distributions)"
        )


def _require_columns(frame: pd.DataFrame, source: Source) -> None:
    if len(frame.columns) > MOST_COLUMNS:
        raise CrowdLLMError(
            f"{source.place}: {len(frame.columns):,} columns do not fit on a sheet of Excel, which holds "
            f"{MOST_COLUMNS:,}: export to csv or parquet"
        )


def _notes(changes: _Changes) -> tuple[str, ...]:
    notes = []
    if changes.illegal:
        notes.append(
            f"{changes.illegal:,} text(s) hold control characters, which Excel cannot: they are replaced by \ufffd"
        )
    if changes.cut:
        notes.append(f"{changes.cut:,} text(s) are longer than {MOST_CHARACTERS:,} characters, and cut there")
    return tuple(notes)


WRITER = Writer("excel", "Excel workbook", (".xlsx",), TABLES, write, extra="formats")
