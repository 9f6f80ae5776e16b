"""Find out which column of which table holds what: by the mapping in study.toml, by name, or by alias."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from crowdllm.data.study_toml import STUDY_FILE, StudySettings
from crowdllm.data.tables import Table
from crowdllm.errors import Finding, nearest

ALIASES = {  # crowd-kit's names, and plain `id` in the two tables that have one row per id
    "problem": ("problem", "task"),
    "participant": ("participant", "worker"),
    "response": ("response", "label"),
    "text": ("text",),
    "options": ("options",),
}
ROLE_TABLES = {
    "problem": ("problems", "responses"),
    "participant": ("participants", "responses"),
    "response": ("responses",),
    "text": ("problems",),
    "options": ("problems",),
}
PERSONAL = frozenset(
    (
        *(
            "name",
            "firstname",
            "lastname",
            "surname",
            "fullname",
            "username",
            "email",
            "mail",
            "ip",
            "ipaddress",
        ),
        *(
            "phone",
            "telephone",
            "tel",
            "mobile",
            "address",
            "street",
            "zip",
            "zipcode",
            "postcode",
            "passport",
            "iban",
        ),
        *("birthday", "birthdate", "dob", "ssn", "prolific", "pid", "mturk", "id", "uuid", "guid"),
        *("latitude", "longitude", "lat", "lon", "lng", "gps", "geolocation"),
    )
)


@dataclass(frozen=True)
class Tables:
    """The three tables; None for one that could not be read or may be absent."""

    problems: Table | None
    participants: Table | None
    responses: Table | None

    def present(self) -> list[Table]:
        return [t for t in (self.problems, self.participants, self.responses) if t is not None]


def recognise(settings: StudySettings, tables: Tables) -> tuple[dict[str, dict[str, str]], list[Finding]]:
    """Per file the column read as each role, and what is missing."""
    mapped = settings.columns or {}
    findings, astray = _mapped_astray(mapped, tables)
    has_options = settings.response_type is not None and settings.response_type.has_options
    columns: dict[str, dict[str, str]] = {}
    wanted = (
        (tables.problems, ("problem", "text", *(("options",) if has_options else ()))),
        (tables.participants, ("participant",)),
        (tables.responses, ("participant", "problem", "response")),
    )
    for table, roles in wanted:
        if table is None:
            continue
        found: dict[str, str] = {}
        for role in roles:
            extra = ("id",) if table is not tables.responses and role in ("problem", "participant") else ()
            names = (*mapped.get(role, ()), *ALIASES[role], *extra)
            column = next((name for name in names if name in table.columns and name not in found.values()), None)
            if column is not None:
                found[role] = column
            elif role not in astray and not (role == "options" and settings.options):
                findings.append(_missing_column(table, role, names))
        columns[table.name] = found
        odd = [f"{c!r} as {role}" for role, c in found.items() if c != role and c not in mapped.get(role, ())]
        if odd:
            findings.append(Finding("note", f"columns recognised: {', '.join(odd)}", file=table.name))
    return columns, findings


def _mapped_astray(mapped: Mapping[str, tuple[str, ...]], tables: Tables) -> tuple[list[Finding], set[str]]:
    """Names under [columns] that no table has, and the roles for which none of the names was found."""
    findings: list[Finding] = []
    astray: set[str] = set()
    for role, names in mapped.items():
        holders = [getattr(tables, kind) for kind in ROLE_TABLES[role]]
        read = [table for table in holders if table is not None]
        headers = list(dict.fromkeys(name for table in read for name in table.columns))
        lost = [name for name in names if name not in headers] if read else []
        if len(lost) == len(names):
            astray.add(role)
        elif len(read) < len(holders):
            lost = []  # they may be the names in the table that could not be read
        for name in lost:
            message, near = "no table has a column of this name", nearest(name, headers)
            place = f"columns.{role}"
            findings.append(Finding("error", message, STUDY_FILE, None, place, name, ", ".join(headers), near))
    return findings, astray


def _missing_column(table: Table, role: str, names: Iterable[str]) -> Finding:
    near = next((n for n in (nearest(name, table.columns) for name in names) if n), "")
    message = f"has no column {role!r}; name it under [columns] if it is called otherwise"
    allowed = f"the columns are {', '.join(table.columns) or '(none)'}"
    return Finding("error", message, table.name, 1, role, "", allowed, near)


def columns_not_loaded(table: Table, loaded: Collection[str]) -> list[Finding]:
    """Notes on columns that stay out: undeclared ones, and those that look like personal data by name."""
    out = [name for name in table.columns if name not in loaded]
    findings = []
    if out:
        message = f"not loaded, since [profile] does not declare them: {', '.join(out)}"
        findings.append(Finding("note", message, file=table.name))
    personal = [name for name in out if looks_personal(name)]
    if personal:
        message = f"these look like personal data; better delete them from the file: {', '.join(personal)}"
        findings.append(Finding("note", message, file=table.name))
    return findings


def looks_personal(column: str) -> bool:
    """Whether a column's name sounds like something that identifies a person."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", column)
    folded = [word.casefold() for word in words]
    return not PERSONAL.isdisjoint([*folded, "".join(folded)])
