"""Read the sheets of an Excel workbook (.xlsx) as rows of text, one pass over each sheet, within bounds.

Own reading rather than a library's: only the cells that are there take memory (a sheet may name a cell a million rows
down), entities are refused, and no formula is evaluated: the value that Excel saved beside it is read.
Dates become 2024-03-01 (with the time where there is one), TRUE and FALSE stay words, an error such as #N/A is empty.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np

from crowdllm.data.tables import Cells, number_text
from crowdllm.exchange.limits import (
    DamagedFileError,
    XmlEvents,
    open_archive,
    parse_xml,
    read_member,
)

Events = TypeVar("Events", bound=XmlEvents)
MOST_COLUMNS, MOST_ROWS, MOST_SHEETS = 16_384, 1_048_576, 200
CELLS_PER_MEGABYTE = 20_000
_REFERENCE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
_DATE_FORMATS = frozenset([*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)])
_DATE_SIGNS = re.compile(r"(?<!\\)[ymdhs]", re.IGNORECASE)


@dataclass(frozen=True)
class Sheet:
    """A sheet's rows of cells as text, "" where empty; all rows have the same length.

    row_R: the number of each row as Excel counts. hidden: whether Excel shows it.
    """

    name: str
    rows: list[list[str]]
    row_R: list[int]
    hidden: bool = False


def is_workbook(members: Sequence[str]) -> bool:
    """Whether an archive with these files is an Excel workbook."""
    return "[Content_Types].xml" in members and any(m.startswith("xl/") and "workbook" in m for m in members)


def read_workbook(path: Path, max_megabytes: int = 64) -> list[Sheet]:
    """The sheets that have any cells.

    Raises DamagedFileError where the file is no workbook, broken, or would take too much memory.
    """
    with open_archive(path, max_megabytes) as archive:
        names = archive.namelist()
        if not is_workbook(names):
            raise DamagedFileError(path, "is no Excel workbook (.xlsx)", "save it as .xlsx or CSV")
        book = _part(archive, names, "xl/workbook.xml", _Workbook(), path)
        links = _part(archive, names, "xl/_rels/workbook.xml.rels", _Links(), path)
        words = _part(archive, names, "xl/sharedStrings.xml", _Strings(max_megabytes), path).words
        dates = _part(archive, names, "xl/styles.xml", _Styles(), path).dates()
        left = CELLS_PER_MEGABYTE * max_megabytes
        sheets = []
        for name, link, hidden in book.sheets[:MOST_SHEETS]:
            target = links.targets.get(link, "")
            member = posixpath.normpath(posixpath.join("xl", target)) if target[:1] != "/" else target[1:]
            if member not in names or "worksheet" not in member:
                continue
            cells = _Cells(words, dates, book.from_1904, left)
            parse_xml(read_member(archive, member, path), cells, path)
            if cells.too_many:
                raise DamagedFileError(
                    path, f"sheet {name!r} has too many cells", "raise the limit with --max-megabytes"
                )
            left -= len(cells.found_texts)
            if cells.found_texts:
                sheets.append(_sheet(name, cells, hidden, path, max_megabytes))
    return sheets


def sheet_columns(sheet: Sheet, header: int = 0) -> tuple[list[str], list[Cells], list[int]]:
    """The names in a row of a sheet, the columns below it, and the number of each row."""
    body = sheet.rows[header + 1 :]
    width = len(sheet.rows[header]) if sheet.rows else 0
    columns: list[Cells] = []
    for c in range(width):
        cells = np.empty(len(body), dtype=object)
        cells[:] = [row[c] for row in body]
        columns.append(cells)
    return (sheet.rows[header] if sheet.rows else []), columns, sheet.row_R[header + 1 :]


def _part(archive: zipfile.ZipFile, names: Sequence[str], name: str, events: Events, path: Path) -> Events:
    if name in names:
        parse_xml(read_member(archive, name, path), events, path)
    elif name == "xl/workbook.xml":
        raise DamagedFileError(path, f"has no {name!r} inside")
    return events


def _sheet(name: str, cells: _Cells, hidden: bool, path: Path, max_megabytes: int) -> Sheet:
    width = max(cells.found_columns) + 1
    numbers = sorted(set(cells.found_rows))
    if len(numbers) * width > CELLS_PER_MEGABYTE * max_megabytes:
        raise DamagedFileError(path, f"sheet {name!r} spans {len(numbers):,} rows and {width:,} columns, mostly empty")
    at = {row: r for r, row in enumerate(numbers)}
    rows = [[""] * width for _ in numbers]
    for row, column, text in zip(cells.found_rows, cells.found_columns, cells.found_texts, strict=True):
        rows[at[row]][column] = text
    return Sheet(name, rows, numbers, hidden)


class _Workbook(XmlEvents):
    """The names of the sheets and where to find them."""

    def __init__(self) -> None:
        self.sheets: list[tuple[str, str, bool]] = []
        self.from_1904 = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "sheet":
            hidden = attributes.get("state", "visible") != "visible"
            self.sheets.append((attributes.get("name", ""), attributes.get("id", ""), hidden))
        elif tag == "workbookPr":
            self.from_1904 = attributes.get("date1904", "") in ("1", "true")


class _Links(XmlEvents):
    def __init__(self) -> None:
        self.targets: dict[str, str] = {}

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "Relationship":
            self.targets[attributes.get("Id", "")] = attributes.get("Target", "")


class _Strings(XmlEvents):
    """The texts that cells share; those in another script's reading (rPh) are no part of them."""

    def __init__(self, max_megabytes: int) -> None:
        self.words: list[str] = []
        self.parts: list[str] = []
        self.inside = self.aside = False
        self.most = CELLS_PER_MEGABYTE * max_megabytes

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "si":
            self.parts = []
        self.aside = tag == "rPh" or self.aside
        self.inside = tag == "t" and not self.aside

    def data(self, text: str) -> None:
        if self.inside:
            self.parts.append(text)

    def end(self, tag: str) -> None:
        self.inside = False
        if tag == "rPh":
            self.aside = False
        elif tag == "si":
            if len(self.words) >= self.most:
                raise ValueError("too many texts")
            self.words.append("".join(self.parts))


class _Styles(XmlEvents):
    """Which cell formats show a number as a date."""

    def __init__(self) -> None:
        self.codes: dict[int, str] = {}
        self.used: list[int] = []
        self.inside = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "cellXfs":
            self.inside = True
        elif tag == "numFmt":
            self.codes[_whole(attributes.get("numFmtId"))] = attributes.get("formatCode", "")
        elif tag == "xf" and self.inside:
            self.used.append(_whole(attributes.get("numFmtId")))

    def end(self, tag: str) -> None:
        if tag == "cellXfs":
            self.inside = False

    def dates(self) -> list[bool]:
        return [number in _DATE_FORMATS or self._is_date(self.codes.get(number, "")) for number in self.used]

    @staticmethod
    def _is_date(code: str) -> bool:
        bare = re.sub(r'"[^"]*"|\[(?!h|m|s)[^\]]*\]', "", code[:200], flags=re.IGNORECASE)
        return "general" not in bare.casefold() and _DATE_SIGNS.search(bare) is not None


class _Cells(XmlEvents):
    """The filled cells of a sheet, by row number and column position."""

    def __init__(self, words: list[str], dates: list[bool], from_1904: bool, most: int) -> None:
        self.words, self.dates, self.from_1904, self.most = words, dates, from_1904, most
        self.found_rows, self.found_columns = array("i"), array("i")
        self.found_texts: list[str] = []
        self.seen: dict[str, str] = {}
        self.too_many = False
        self.row = self.column = 0
        self.kind, self.style = "", 0
        self.parts: list[str] = []
        self.inside = self.aside = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "row":
            self.row = _whole(attributes.get("r")) or self.row + 1
            self.column = -1
        elif tag == "c":
            self._begin(attributes)
        elif tag == "rPh":
            self.aside = True
        self.inside = tag in ("v", "t") and not self.aside

    def _begin(self, attributes: dict[str, str]) -> None:
        place = _REFERENCE.fullmatch(attributes.get("r", ""))
        self.column += 1
        if place:
            self.column, self.row = _column(place.group(1)), int(place.group(2))
        self.kind, self.style = attributes.get("t", "n"), _whole(attributes.get("s"))
        self.parts = []

    def data(self, text: str) -> None:
        if self.inside:
            self.parts.append(text)

    def end(self, tag: str) -> None:
        self.inside = False
        if tag == "rPh":
            self.aside = False
        if tag != "c" or not self.parts:
            return
        text = self._text("".join(self.parts))
        if not text.strip() or not (1 <= self.row <= MOST_ROWS and 0 <= self.column < MOST_COLUMNS):
            return
        if len(self.found_texts) >= self.most:
            self.too_many = True
            return
        self.found_rows.append(self.row)
        self.found_columns.append(self.column)
        self.found_texts.append(self.seen.setdefault(text, text))

    def _text(self, raw: str) -> str:
        if self.kind == "s":
            position = _whole(raw, -1)
            return self.words[position] if 0 <= position < len(self.words) else ""
        if self.kind == "b":
            return {"1": "TRUE", "0": "FALSE"}.get(raw.strip(), raw)
        if self.kind == "e":
            return ""
        if self.kind in ("str", "inlineStr", "d"):
            return raw
        try:
            number = float(raw)
        except ValueError:
            return raw
        if not abs(number) < 1e300:
            return ""
        if self.style < len(self.dates) and self.dates[self.style]:
            return _date(number, self.from_1904)
        return number_text(float(f"{number:.15g}"))


def _date(number: float, from_1904: bool) -> str:
    start = datetime(1904, 1, 1) if from_1904 else datetime(1899, 12, 30)
    if not 0 <= number < 2_900_000:
        return number_text(number)
    moment = start + timedelta(seconds=round(number * 86_400))
    if number < 1:
        return moment.strftime("%H:%M:%S")
    return moment.strftime("%Y-%m-%d" if moment.time() == datetime.min.time() else "%Y-%m-%d %H:%M:%S")


def _whole(text: str | None, default: int = 0) -> int:
    word = (text or "").strip()
    return int(word) if word.isascii() and word.isdecimal() and len(word) < 10 else default


def _column(letters: str) -> int:
    position = 0
    for letter in letters:
        position = 26 * position + ord(letter) - 64
    return position - 1
