"""The Pabulib format (.pb): a text of three tables, META, PROJECTS and VOTES, separated by semicolons.

    META                PROJECTS                 VOTES
    key;value           project_id;cost;name     voter_id;vote;age
    vote_type;approval  1;5000;Bike lanes        17;1,3;34

Every cell is text. A row with fewer or more fields than its heading is kept as it is: what that means is for the caller
to say. Format: http://pabulib.org/format
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

from crowdllm.errors import Finding, StudyError

NAMES = ("META", "PROJECTS", "VOTES")
MOST_FINDINGS = 20


@dataclass(frozen=True)
class Section:
    """One table: its heading, its rows, and the line of the file on which each row ends."""

    header: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()
    lines: tuple[int, ...] = ()

    def column(self, name: str) -> list[str]:
        """The cells under a heading, "" where a row is too short or there is no such heading."""
        if name not in self.header:
            return [""] * len(self.rows)
        at = self.header.index(name)
        return [row[at].strip() if at < len(row) else "" for row in self.rows]


@dataclass(frozen=True)
class Pabulib:
    """A file's tables; meta: keys in lower case, the last where one comes twice."""

    meta: dict[str, str]
    projects: Section
    votes: Section


def parse_pabulib(text: str, name: str) -> Pabulib:
    """The tables in a text; raises StudyError where there are no votes, or a line is no row of cells.

    name: how errors call the file.
    """
    rows: dict[str, list[tuple[str, ...]]] = {}
    lines: dict[str, list[int]] = {}
    current = ""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=";")
    try:
        for row in reader:
            word = row[0].strip().strip("\ufeff").upper() if row else ""
            if word in NAMES and not any(cell.strip() for cell in row[1:]):
                current = word
                if current in rows:
                    raise StudyError([Finding("error", f"has two sections {current}", name, reader.line_num)])
                rows[current], lines[current] = [], []
            elif current and any(cell.strip() for cell in row):
                rows[current].append(tuple(row))
                lines[current].append(reader.line_num)
    except csv.Error as error:
        raise StudyError([Finding("error", f"is no table of cells: {error}", name, reader.line_num)]) from None
    if not rows.get("VOTES"):
        raise StudyError([Finding("error", "no VOTES section", name)])
    tables = {
        key: Section(_heading(found[0]), tuple(found[1:]), tuple(lines[key][1:]))
        for key, found in rows.items()
        if found
    }
    about = tables.get("META", Section())
    meta = {row[0].strip().lower(): row[1].strip() for row in about.rows if len(row) > 1}
    return Pabulib(meta, tables.get("PROJECTS", Section()), tables["VOTES"])


def _heading(row: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(cell.strip() for cell in row)
