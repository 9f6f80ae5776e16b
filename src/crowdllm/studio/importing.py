"""A table of responses, column by column, into a study folder: guess what each column is, then do what the user says.

Two layouts are understood. "Long": a row per response, with a column of participants, one of problems and one of
responses. "Wide": a row per participant, with a column per problem, its header the question. The guess only fills in
the form; nothing is loaded that the user has not seen. Every response cell goes into `responses.csv` as it is, so that
what `crowdllm check` finds there can be shown beside the row of the uploaded file that it came from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crowdllm.data.study_check import CheckReport, check_study
from crowdllm.data.study_folder import guess_response
from crowdllm.data.study_toml import STUDY_FILE, toml_key, toml_text
from crowdllm.data.tables import Table, csv_bytes, plain_number, read_table
from crowdllm.errors import ConfigError, CrowdLLMError, Finding, StudyError
from crowdllm.exchange import protocol as exchange
from crowdllm.exchange.ledger import Ledger
from crowdllm.exchange.limits import DamagedFileError
from crowdllm.exchange.personal import numbered_people
from crowdllm.exchange.protocol import ReadOptions
from crowdllm.exchange.read_csv import read_csv_table
from crowdllm.exchange.read_excel import read_excel_table
from crowdllm.exchange.table_import import imported_table
from crowdllm.exchange.tables_guess import guess_layout, guess_long, guess_person
from crowdllm.exchange.writing import note_words
from crowdllm.responses import RESPONSE_TYPES

LONG, WIDE = "long", "wide"
PARTICIPANT, PROBLEM, TEXT, OPTIONS, RESPONSE = "participant", "problem", "text", "options", "response"
PROFILE, WEIGHT, ANSWER, LEAVE = "profile", "weight", "answer", "leave"
ROLES = {
    LONG: (PARTICIPANT, PROBLEM, RESPONSE, TEXT, OPTIONS, PROFILE, WEIGHT, LEAVE),
    WIDE: (PARTICIPANT, ANSWER, PROFILE, WEIGHT, LEAVE),
}
OPTION_NAMES = ("options", "choices", "alternatives")
EXAMPLES, MOST_LEVELS, MOST_ROWS, MOST_COLUMNS = 4, 40, 200_000, 2000
WORKBOOKS, PARQUET = (".xlsx", ".xlsm"), (".parquet", ".pq")


@dataclass(frozen=True)
class ColumnGuess:
    """One column of the upload. role: what it seems to be. kind, levels: as a profile column. examples: its first
    different cells; distinct: how many there are."""

    name: str
    role: str
    kind: str
    levels: tuple[str, ...]
    examples: tuple[str, ...]
    distinct: int
    empty: int


@dataclass(frozen=True)
class Layout:
    """What the user says. roles: per column. kinds, levels: of profile columns. response: as under [response]."""

    layout: str
    roles: Mapping[str, str]
    kinds: Mapping[str, str] = field(default_factory=dict)
    levels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    response: Mapping[str, Any] = field(default_factory=dict)
    title: str = ""
    context: str = ""
    requirements: str = ""
    left_out: tuple[int, ...] = ()

    def of(self, role: str) -> list[str]:
        """The columns of this role, in the order of the table."""
        return [name for name, given in self.roles.items() if given == role]


@dataclass(frozen=True)
class Imported:
    """A study folder made of an upload. row_of: per row of responses.csv the row of the upload, as a spreadsheet
    counts. findings: what was noticed on the way; report: what `check` says of the folder."""

    folder: Path
    row_of: tuple[int, ...]
    findings: tuple[Finding, ...]
    report: CheckReport


@dataclass(frozen=True)
class RowFindings:
    """One row of the upload with what was found in it. cells: of the mapped columns."""

    row: int
    cells: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]


def read_upload(path: Path) -> tuple[Table, list[Finding]]:
    """The uploaded table, read as `crowdllm import` reads it; a Parquet file too.

    Raises StudyError where it cannot be read, or is too long or too wide for a page.
    """
    ledger = Ledger()
    try:
        if path.suffix.lower() in PARQUET:
            read, findings = read_table(path, name=path.name)
            if read is None:
                raise StudyError(findings)
            table = read
        elif path.suffix.lower() in WORKBOOKS:
            table, findings = read_excel_table(path, ReadOptions(), ledger), []
        else:
            table, findings = read_csv_table(path, ReadOptions(), ledger), []
    except DamagedFileError as error:
        raise StudyError([Finding("error", str(error))]) from None
    findings += [Finding("note", note_words(note), file=path.name) for note in ledger.notes]
    for count, most, what in ((len(table), MOST_ROWS, "rows"), (len(table.columns), MOST_COLUMNS, "columns")):
        if count > most:
            hint = "a study folder can be larger: see `crowdllm new`"
            raise StudyError([Finding("error", f"has {count:,} {what}, and at most {most:,} can be read here: {hint}")])
    if not len(table):
        raise StudyError([Finding("error", "has a header and no row", file=path.name)])
    return table, findings


# --- guessing --------------------------------------------------------------------------------------------------


def guess(table: Table) -> tuple[str, list[ColumnGuess], dict[str, Any]]:
    """The layout, what each column seems to be, and the scale that the responses seem to be on.

    As `crowdllm import` guesses; where it finds nothing to ask a crowd, all columns but those of ids are left out.
    """
    profile: Mapping[str, Any] = {}
    try:
        read = imported_table(table.columns, table.name, ReadOptions(), Ledger())
    except CrowdLLMError:
        layout = guess_layout(table.columns, {})
        found = guess_long(table.columns, {}) if layout == LONG else {PARTICIPANT: guess_person(table.columns, {})}
        roles = {name: role for role, name in found.items() if name}
    else:
        layout, roles, profile = str(read.mapping["layout"]), _roles(table, read), read.mapping["columns"]
    roles = {name: roles.get(name, LEAVE) for name in table.columns}
    columns = [_column(table, name, role, profile.get(name, {})) for name, role in roles.items()]
    cells = [cell for name, role in roles.items() if role in (RESPONSE, ANSWER) for cell in table.columns[name]]
    return layout, columns, _scale(cells)


def _roles(table: Table, read: exchange.Imported) -> dict[str, str]:
    """What each column that is not left out was read as; of several scales the one with the most questions."""
    mapping = read.mapping
    roles = {name: PROFILE for name, own in mapping["columns"].items() if own.get("use") == PROFILE}
    if mapping["layout"] == WIDE:
        study = max((part.study for part in read.parts), key=lambda study: len(study.problems))
        asked = set(study.problems.ids)
        roles |= {name: ANSWER for name in table.columns if " ".join(name.split()) in asked}
    else:
        options = next((name for name in table.columns if name.strip().casefold() in OPTION_NAMES), "")
        roles |= {options: OPTIONS} if options else {}
    roles |= {str(mapping[role]): role for role in (PARTICIPANT, PROBLEM, RESPONSE, TEXT) if mapping.get(role)}
    return roles | dict.fromkeys(_weights(mapping), WEIGHT)


def _weights(mapping: Mapping[str, Any]) -> list[str]:
    """The column of survey weights, as a list of none or one."""
    own = [name for name, table in mapping["columns"].items() if table.get("use") == WEIGHT]
    return [str(mapping["weight"])] if mapping.get("weight") else own


def _column(table: Table, name: str, role: str, profile: Mapping[str, Any]) -> ColumnGuess:
    cells = [cell.strip() for cell in table.columns[name]]
    different = list(dict.fromkeys(cell for cell in cells if cell))
    numeric = bool(different) and all(plain_number(cell) is not None for cell in different)
    kind = str(profile.get("kind", "")) or ("numeric" if numeric else "categorical")
    levels = tuple(sorted(different)) if not numeric and len(different) <= MOST_LEVELS else ()
    levels = tuple(map(str, profile.get("levels", levels)))
    return ColumnGuess(
        name, role, kind, levels, tuple(different[:EXAMPLES]), len(different), sum(1 for cell in cells if not cell)
    )


def _scale(cells: Sequence[str]) -> dict[str, Any]:
    import numpy as np

    found = guess_response(np.array([*cells], dtype=object)) if cells else None
    return found or {"type": "ordinal", "levels": []}


# --- making the folder -------------------------------------------------------------------------------------------


def make_study(table: Table, mapping: Layout, folder: Path) -> Imported:
    """Write the study folder that the mapping describes, and check it.

    Raises ConfigError for a mapping that cannot be meant, such as no column of responses.
    """
    _check(table, mapping)
    keep = [r for r in range(len(table)) if int(table.row_R[r]) not in set(mapping.left_out)]
    if not keep:
        raise ConfigError("every row is left out: keep at least one")
    participants = _participant_ids(table, mapping, keep)
    people, findings = _people(table, mapping, keep, participants)
    rows, problems, found = (_long if mapping.layout == LONG else _wide)(table, mapping, keep, participants)
    findings += found
    responses = {
        PARTICIPANT: [row[0] for row in rows],
        PROBLEM: [row[1] for row in rows],
        RESPONSE: [row[2] for row in rows],
    }
    files = {
        "problems.csv": csv_bytes(problems),
        "participants.csv": csv_bytes(people),
        "responses.csv": csv_bytes(responses),
        STUDY_FILE: _settings(table, mapping).encode("utf-8"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        part = folder / f".{name}.part"
        part.write_bytes(data)
        part.replace(folder / name)
    return Imported(folder, tuple(row[3] for row in rows), tuple(findings), check_study(folder))


def _check(table: Table, mapping: Layout) -> None:
    if mapping.layout not in ROLES:
        raise ConfigError(f"unknown layout {mapping.layout!r}: choose from {', '.join(ROLES)}")
    for name, role in mapping.roles.items():
        if name not in table.columns:
            raise ConfigError(f"the table has no column {name!r}")
        if role not in ROLES[mapping.layout]:
            raise ConfigError(f"column {name!r}: in a table of one row per {_per(mapping)} no column is {role!r}")
    once = (PARTICIPANT, PROBLEM, RESPONSE, TEXT, OPTIONS, WEIGHT) if mapping.layout == LONG else (PARTICIPANT, WEIGHT)
    for role in once:
        if len(mapping.of(role)) > 1:
            raise ConfigError(f"two columns are the {role}: {' and '.join(mapping.of(role))}; choose one")
    needed = (PARTICIPANT, PROBLEM, RESPONSE) if mapping.layout == LONG else (ANSWER,)
    for role in needed:
        if not mapping.of(role):
            raise ConfigError(f"no column is the {role}: say for one column that it is")
    if mapping.response.get("type") not in RESPONSE_TYPES:
        raise ConfigError(f"choose how people answered: {', '.join(RESPONSE_TYPES)}")
    if any(name in (PARTICIPANT,) for name in [*mapping.of(PROFILE), *mapping.of(WEIGHT)]):
        raise ConfigError("a profile column cannot be called 'participant': rename it in the table")


def _per(mapping: Layout) -> str:
    return "response" if mapping.layout == LONG else "participant"


def _participant_ids(table: Table, mapping: Layout, keep: Sequence[int]) -> list[str]:
    """The id in each kept row; p1, p2, ... by its place in the table where no column holds ids."""
    names = mapping.of(PARTICIPANT)
    if names:
        return [table.columns[names[0]][r].strip() for r in keep]
    people_N = numbered_people(len(table))
    return [str(people_N[r]) for r in keep]


def _people(
    table: Table, mapping: Layout, keep: Sequence[int], participants: Sequence[str]
) -> tuple[dict[str, list[str]], list[Finding]]:
    """One row per participant; where rows disagree about one the first is taken, and it is said."""
    columns = [*mapping.of(PROFILE), *mapping.of(WEIGHT)]
    first: dict[str, list[str]] = {}
    rows: dict[str, int] = {}
    findings: list[Finding] = []
    for participant, r in zip(participants, keep, strict=True):
        if not participant:
            continue
        cells = [table.columns[name][r].strip() for name in columns]
        held = first.setdefault(participant, cells)
        rows.setdefault(participant, int(table.row_R[r]))
        for c, (before, now) in enumerate(zip(held, cells, strict=True)):
            if before != now:
                allowed = f"{before!r}, as in row {rows[participant]}, which is taken"
                message = f"participant {participant!r} is described in two ways"
                row = int(table.row_R[r])
                findings.append(Finding("warning", message, table.name, row, columns[c], now or "(empty)", allowed))
    out: dict[str, list[str]] = {PARTICIPANT: list(first)}
    out |= {name: [cells[c] for cells in first.values()] for c, name in enumerate(columns)}
    return out, findings


Rows = list[tuple[str, str, str, int]]


def _long(
    table: Table, mapping: Layout, keep: Sequence[int], participants: Sequence[str]
) -> tuple[Rows, dict[str, list[str]], list[Finding]]:
    (problem,), (response,) = mapping.of(PROBLEM), mapping.of(RESPONSE)
    text, options = (mapping.of(TEXT) or [""])[0], (mapping.of(OPTIONS) or [""])[0]
    rows: Rows = []
    described: dict[str, tuple[str, str]] = {}
    findings: list[Finding] = []
    for participant, r in zip(participants, keep, strict=True):
        identity = table.columns[problem][r].strip()
        rows.append((participant, identity, table.columns[response][r], int(table.row_R[r])))
        if not identity:
            continue
        said = (table.columns[text][r] if text else "", table.columns[options][r] if options else "")
        held = described.setdefault(identity, (said[0] or identity, said[1]))
        if (text and said[0] and said[0] != held[0]) or (options and said[1] and said[1] != held[1]):
            message = f"problem {identity!r} is described in two ways; the first is taken"
            findings.append(Finding("warning", message, table.name, int(table.row_R[r]), text or options, said[0]))
    problems = {PROBLEM: list(described), TEXT: [words for words, _ in described.values()]}
    if options:
        problems[OPTIONS] = [listed for _, listed in described.values()]
    return rows, problems, findings


def _wide(
    table: Table, mapping: Layout, keep: Sequence[int], participants: Sequence[str]
) -> tuple[Rows, dict[str, list[str]], list[Finding]]:
    rows: Rows = []
    empty = 0
    for participant, r in zip(participants, keep, strict=True):
        for name in mapping.of(ANSWER):
            cell = table.columns[name][r]
            if cell.strip():
                rows.append((participant, name, cell, int(table.row_R[r])))
            else:
                empty += 1
    names = mapping.of(ANSWER)
    note = Finding("note", f"{empty:,} empty cells are questions that were not answered", file=table.name)
    return rows, {PROBLEM: names, TEXT: list(names)}, [note] if empty else []


def _settings(table: Table, mapping: Layout) -> str:
    source = [f"Imported from {table.name} with the studio of crowdllm."]
    if mapping.left_out:
        rows = ", ".join(map(str, mapping.left_out[:50])) + (", …" if len(mapping.left_out) > 50 else "")
        source.append(f"Left out at import: {len(mapping.left_out):,} rows of the table (row {rows}).")
    top = {
        "title": mapping.title or Path(table.name).stem,
        "context": mapping.context,
        "requirements": mapping.requirements,
        "source": source,
    }
    if mapping.of(WEIGHT):
        top[WEIGHT] = mapping.of(WEIGHT)[0]
    tables: dict[str, Mapping[str, Any]] = {"": top, "response": mapping.response}
    for name in mapping.of(PROFILE):
        kind = mapping.kinds.get(name, "categorical")
        spec: dict[str, Any] = {"kind": kind}
        if kind == "ordinal":
            spec["levels"] = list(mapping.levels.get(name, ()))
        tables[f"profile.{toml_key(name)}"] = spec
    return toml_text(tables)


# --- findings beside the rows ------------------------------------------------------------------------------------


def findings_by_row(table: Table, mapping: Layout, imported: Imported) -> tuple[list[RowFindings], list[Finding]]:
    """The rows of the upload with what was found in them, and the findings that belong to no row of it."""
    position = {int(row): r for r, row in enumerate(table.row_R)}
    columns = [name for name, role in mapping.roles.items() if role != LEAVE]
    by_row: dict[int, list[Finding]] = {}
    rest: list[Finding] = []
    people = dict(reversed(_first_rows(table, mapping)))
    listed = list(dict.fromkeys(p for p, _ in _first_rows(table, mapping) if p))
    for finding in (*imported.findings, *imported.report.findings):
        row = finding.row
        if row is not None and finding.file == "responses.csv" and 0 <= row - 2 < len(imported.row_of):
            by_row.setdefault(imported.row_of[row - 2], []).append(finding)
        elif row is not None and finding.file == "participants.csv" and 0 <= row - 2 < len(listed):
            by_row.setdefault(people[listed[row - 2]], []).append(finding)
        elif row is not None and finding.file == table.name and row in position:
            by_row.setdefault(row, []).append(finding)
        else:
            rest.append(finding)
    rows = [
        RowFindings(row, tuple((name, table.columns[name][position[row]]) for name in columns), tuple(found))
        for row, found in sorted(by_row.items())
    ]
    return rows, rest


def _first_rows(table: Table, mapping: Layout) -> list[tuple[str, int]]:
    """(participant, row) of every row that was kept, in the order of the table."""
    keep = [r for r in range(len(table)) if int(table.row_R[r]) not in set(mapping.left_out)]
    rows = [int(table.row_R[r]) for r in keep]
    return list(zip(_participant_ids(table, mapping, keep), rows, strict=True))
