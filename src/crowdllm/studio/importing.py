"""A table of responses, column by column, into a study folder: guess what each column is, then do what the user says.

Two layouts are understood. "Long": a row per response, with a column of participants, one of problems and one of
responses. "Wide": a row per participant, with a column per problem, its header the question. The guess only fills in
the form; nothing is loaded that the user has not seen. Every response cell goes into `responses.csv` as it is, so that
what `crowdllm check` finds there can be shown beside the row of the uploaded file that it came from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crowdllm.data.study_check import CheckReport, check_study
from crowdllm.data.study_columns import PERSONAL
from crowdllm.data.study_folder import guess_response
from crowdllm.data.study_toml import STUDY_FILE, toml_key, toml_text
from crowdllm.data.tables import Table, csv_bytes, plain_number, read_table
from crowdllm.errors import ConfigError, Finding, StudyError
from crowdllm.responses import RESPONSE_TYPES

LONG, WIDE = "long", "wide"
PARTICIPANT, PROBLEM, TEXT, OPTIONS, RESPONSE = "participant", "problem", "text", "options", "response"
PROFILE, ANSWER, LEAVE = "profile", "answer", "leave"
ROLES = {
    LONG: (PARTICIPANT, PROBLEM, RESPONSE, TEXT, OPTIONS, PROFILE, LEAVE),
    WIDE: (PARTICIPANT, ANSWER, PROFILE, LEAVE),
}
NAMES = {
    PARTICIPANT: "participant worker user respondent person subject rater annotator voter uid userid user_id "
    "participant_id respondent_id worker_id person_id subject_id id case caseid",
    PROBLEM: "problem task item question item_id question_id task_id problem_id statement_id itemid project",
    RESPONSE: "response label answer rating value score vote judgement judgment reply",
    TEXT: "text statement question_text question wording comment sentence description item_text prompt",
    OPTIONS: "options choices alternatives",
}
EXAMPLES, MOST_LEVELS, MOST_ROWS, MOST_COLUMNS = 4, 40, 200_000, 2000
SAME_WITHIN = 0.7


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
    """The uploaded table; raises StudyError where it cannot be read, or is too long or too wide for a page."""
    table, findings = read_table(path, known=[w for words in NAMES.values() for w in words.split()], name=path.name)
    if table is None:
        raise StudyError(findings)
    for count, most, what in ((len(table), MOST_ROWS, "rows"), (len(table.columns), MOST_COLUMNS, "columns")):
        if count > most:
            hint = "a study folder can be larger: see `crowdllm new`"
            raise StudyError([Finding("error", f"has {count:,} {what}, and at most {most:,} can be read here: {hint}")])
    if not len(table):
        raise StudyError([Finding("error", "has a header and no row", file=path.name)])
    return table, findings


# --- guessing --------------------------------------------------------------------------------------------------


def guess(table: Table) -> tuple[str, list[ColumnGuess], dict[str, Any]]:
    """The layout, what each column seems to be, and the scale that the responses seem to be on."""
    named: dict[str, str] = {}
    for role in (PARTICIPANT, PROBLEM, RESPONSE, TEXT, OPTIONS):
        named[role] = _named(table, role, set(named.values()))
    layout = LONG if named[PROBLEM] and named[RESPONSE] else WIDE
    roles = _long_roles(table, named) if layout == LONG else _wide_roles(table, named[PARTICIPANT])
    columns = [_column(table, name, roles[name]) for name in table.columns]
    answers = [name for name, role in roles.items() if role in (RESPONSE, ANSWER)]
    cells = [cell for name in answers for cell in table.columns[name]]
    return layout, columns, _scale(cells)


def _named(table: Table, role: str, taken: set[str]) -> str:
    """The column that is called like this role, the likeliest name first, and is nothing else yet."""
    by_name = {_plain(name): name for name in reversed(list(table.columns)) if name not in taken}
    return next((by_name[word] for word in NAMES[role].split() if word in by_name), "")


def _plain(name: str) -> str:
    return re.sub(r"[\s.-]+", "_", name.strip().casefold())


def _long_roles(table: Table, named: Mapping[str, str]) -> dict[str, str]:
    roles = dict.fromkeys(table.columns, LEAVE)
    people = list(table.columns[named[PARTICIPANT]]) if named[PARTICIPANT] else []
    for name in table.columns:
        if people and not _personal(name) and _describes(people, list(table.columns[name])):
            roles[name] = PROFILE if len(set(table.columns[name])) > 1 else LEAVE
    for role, name in named.items():
        if name:
            roles[name] = role
    return roles


def _describes(people: Sequence[str], cells: Sequence[str]) -> bool:
    """Whether nearly all rows of one person have the same cell, and some people have several rows."""
    seen: dict[str, str] = {}
    same = sum(seen.setdefault(person, cell) == cell for person, cell in zip(people, cells, strict=True))
    return len(seen) < len(people) and same - len(seen) >= SAME_WITHIN * (len(people) - len(seen))


def _wide_roles(table: Table, participant: str) -> dict[str, str]:
    """The largest group of columns on one scale are the answers; the others describe people, or are left out."""
    by_scale: dict[str, list[str]] = {}
    for name, cells in table.columns.items():
        if name == participant or _personal(name):
            continue
        scale = guess_response(cells)
        if scale is not None and scale["type"] != "continuous":
            key = "numbers" if scale["type"] == "ordinal" else str(sorted(str(o).casefold() for o in scale["options"]))
            by_scale.setdefault(key, []).append(name)
    answers = max(by_scale.values(), key=len, default=[])
    roles = dict.fromkeys(table.columns, LEAVE)
    for name, cells in table.columns.items():
        if name in answers and len(answers) > 1:
            roles[name] = ANSWER
        elif name != participant and not _personal(name):
            few = len(set(cells)) <= MOST_LEVELS
            roles[name] = PROFILE if few or all(plain_number(c) is not None for c in cells if c.strip()) else LEAVE
    if participant:
        roles[participant] = PARTICIPANT
    return roles


def _personal(name: str) -> bool:
    return re.sub(r"[^a-z]", "", name.casefold()) in PERSONAL - {"id", "pid", "uuid", "guid"}


def _column(table: Table, name: str, role: str) -> ColumnGuess:
    cells = [cell.strip() for cell in table.columns[name]]
    different = list(dict.fromkeys(cell for cell in cells if cell))
    numeric = bool(different) and all(plain_number(cell) is not None for cell in different)
    kind = "numeric" if numeric else "categorical"
    levels = tuple(sorted(different)) if not numeric and len(different) <= MOST_LEVELS else ()
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
    once = (PARTICIPANT, PROBLEM, RESPONSE, TEXT, OPTIONS) if mapping.layout == LONG else (PARTICIPANT,)
    for role in once:
        if len(mapping.of(role)) > 1:
            raise ConfigError(f"two columns are the {role}: {' and '.join(mapping.of(role))}; choose one")
    needed = (PARTICIPANT, PROBLEM, RESPONSE) if mapping.layout == LONG else (ANSWER,)
    for role in needed:
        if not mapping.of(role):
            raise ConfigError(f"no column is the {role}: say for one column that it is")
    if mapping.response.get("type") not in RESPONSE_TYPES:
        raise ConfigError(f"choose how people answered: {', '.join(RESPONSE_TYPES)}")
    if any(name in (PARTICIPANT,) for name in mapping.of(PROFILE)):
        raise ConfigError("a profile column cannot be called 'participant': rename it in the table")


def _per(mapping: Layout) -> str:
    return "response" if mapping.layout == LONG else "participant"


def _participant_ids(table: Table, mapping: Layout, keep: Sequence[int]) -> list[str]:
    """The id in each kept row; by row where no column holds ids."""
    names = mapping.of(PARTICIPANT)
    if names:
        return [table.columns[names[0]][r].strip() for r in keep]
    return [f"row{int(table.row_R[r])}" for r in keep]


def _people(
    table: Table, mapping: Layout, keep: Sequence[int], participants: Sequence[str]
) -> tuple[dict[str, list[str]], list[Finding]]:
    """One row per participant; where rows disagree about one the first is taken, and it is said."""
    columns = mapping.of(PROFILE)
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
