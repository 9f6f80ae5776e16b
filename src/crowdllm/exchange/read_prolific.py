"""Join Prolific's demographic export to the responses of a study, and import both.

Give the export and the file of responses (a plain CSV, Qualtrics' or LimeSurvey's CSV, ...): the column of responses
that holds Prolific's participant ids is found by its values, the demographic columns are put beside the responses, and
the reader of the responses' own format does the rest. Participant and submission ids, completion codes and times are
left out; `CONSENT_REVOKED` and `DATA_EXPIRED` are missing values.
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from crowdllm.data.csv_records import SEPARATORS
from crowdllm.data.tables import Cells
from crowdllm.errors import CrowdLLMError
from crowdllm.exchange.ledger import Ledger, short
from crowdllm.exchange.limits import DamagedFileError, read_text
from crowdllm.exchange.personal import personal_name
from crowdllm.exchange.protocol import NO, SURE, Glance, Imported, LeftOut, Reader, ReadOptions
from crowdllm.exchange.text_table import read_text_table

PERSON, OWN = "Participant id", ("Submission id", "Participant id", "Status")
BOOK_KEEPING = (
    "Submission id", "Participant id", "Status", "Custom study tncs accepted at", "Started at", "Completed at",
    "Reviewed at", "Archived at", "Time taken", "Completion code", "Total approvals",
)  # fmt: skip
EXPIRED = {"CONSENT_REVOKED": "consent revoked", "DATA_EXPIRED": "data expired", "Prefer not to say": ""}
LEAST_SHARED = 1


def is_export(head: str) -> bool:
    """Whether a first line is that of Prolific's export."""
    words = {word.strip().strip('"').casefold() for word in head.replace(";", ",").split(",")}
    return {"submission id", "participant id", "status"} <= words


def sniff(files: Sequence[Glance]) -> int:
    exports = [f for f in files if is_export(f.first_line)]
    return SURE if len(exports) == 1 and len(files) == 2 else NO


def read(files: Sequence[Path], options: ReadOptions) -> Imported:
    """The studies in the responses, with the demographic columns as profile.

    Raises CrowdLLMError where one of the two files is missing, or no participant is in both.
    """
    heads = {path: read_text(path, options.max_megabytes).lstrip("\ufeff\r\n").partition("\n")[0] for path in files}
    exports = [path for path in files if is_export(heads[path])]
    others = [path for path in files if path not in exports]
    if len(exports) != 1 or len(others) != 1:
        raise CrowdLLMError("give two files: Prolific's demographic export (CSV) and the file of responses")
    ledger = Ledger()
    people = _demographics(exports[0], options, ledger)
    with TemporaryDirectory() as folder:
        joined = Path(folder) / f"{others[0].stem}.csv"
        column = _join(others[0], people, joined, options, ledger)
        imported = _read_joined(joined, column, options)
    return replace(
        imported,
        understood=(*ledger.understood, *imported.understood),
        notes=(*ledger.notes, *imported.notes),
        left_out=(*ledger.left_out, *imported.left_out),
    )


def _demographics(path: Path, options: ReadOptions, ledger: Ledger) -> dict[str, dict[str, str]]:
    """Per participant id the demographic columns."""
    table, notes = read_text_table(path, OWN, options.max_megabytes)
    ledger.notes += notes
    lower = {name.casefold(): name for name in table.columns}
    ids = table.columns[lower[PERSON.casefold()]].tolist()
    own = {name.casefold() for name in BOOK_KEEPING}
    for name, cells in table.columns.items():
        filled = int((cells != "").sum())
        if name.casefold() in own and personal_name(name) and filled:
            ledger.left_out.append(LeftOut(name, personal_name(name), "by name", filled))
    kept = {n: _without_expired(n, c, ledger) for n, c in table.columns.items() if n.casefold() not in own}
    status = Counter(table.columns[lower["status"]].tolist()) if "status" in lower else Counter[str]()
    ledger.understood.append(
        f"Prolific: {len(ids):,} submissions ({', '.join(f'{short(s, 20)} {n:,}' for s, n in status.most_common(6))})"
    )
    ledger.note("not carried over", path.name, "Prolific's own columns: status, times, codes, approvals", len(own))
    twice = sum(n - 1 for n in Counter(i for i in ids if i).values())
    if twice:
        ledger.note("changed", PERSON, "participants with several submissions; the first that has data counts", twice)
    people: dict[str, dict[str, str]] = {}
    for row, identity in enumerate(ids):
        mine = people.setdefault(identity.strip(), {})
        for name, words in kept.items():
            if words[row].strip():
                mine.setdefault(name, words[row])
    people.pop("", None)
    if not people or not kept:
        raise DamagedFileError(path, "has no participants, or no demographic columns")
    return {identity: {name: mine.get(name, "") for name in kept} for identity, mine in people.items()}


def _without_expired(name: str, cells: Cells, ledger: Ledger) -> list[str]:
    out: list[str] = list(cells.tolist())
    for word, what in EXPIRED.items():
        count = sum(cell == word for cell in out)
        if what and count:
            ledger.note("missing values", name, what, count)
            out = ["" if cell == word else cell for cell in out]
    return out


def _join(path: Path, people: dict[str, dict[str, str]], joined: Path, options: ReadOptions, ledger: Ledger) -> str:
    """Write the responses with the demographic columns behind; the column that holds the ids."""
    text = read_text(path, options.max_megabytes)
    separator = _separator(text)
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator) if row]
    except csv.Error as error:
        raise DamagedFileError(path, f"is no table of separated cells: {error}") from None
    if len(rows) < 2:
        raise DamagedFileError(path, "has a header and no rows")
    header = rows[0]
    hits = [sum(c < len(row) and row[c].strip() in people for row in rows[1:]) for c in range(len(header))]
    at = max(range(len(header)), key=lambda c: hits[c], default=0)
    if not hits or hits[at] < LEAST_SHARED:
        raise CrowdLLMError(
            f"{path.name}: no column holds participant ids of the Prolific export; the survey has to write them down, "
            "for example as PROLIFIC_PID"
        )
    names = list(next(iter(people.values())))
    free = {name: _free(name, header) for name in names}
    imported = _import_row(rows)
    known: set[str] = set()
    lines = [[*header, *free.values()]]
    blank = [""] * len(names)
    for number, row in enumerate(rows[1:], start=1):
        cell = row[at].strip() if at < len(row) else ""
        known |= {cell} & people.keys()
        further = [people[cell][n] for n in names] if cell in people else blank
        if imported and number <= 2:
            further = names if number == 1 else [json.dumps({"ImportId": f"prolific {n}"}) for n in names]
        lines.append([*row, *([""] * (len(header) - len(row))), *further])
    out = io.StringIO(newline="")
    csv.writer(out).writerows(lines)
    joined.write_text(out.getvalue(), encoding="utf-8", newline="")
    answered = hits[at]
    ledger.understood.append(
        f"joined by the column {header[at]!r}: {answered:,} rows of {len(known):,} people have demographic data, "
        f"{', '.join(names)}"
    )
    lacking = len(rows) - 1 - answered - (2 if imported else 0)
    if lacking > 0:
        ledger.note("missing values", header[at], "rows of people who are not in the Prolific export", lacking)
    if len(people) > len(known):
        ledger.note(
            "people left out", PERSON, "in the Prolific export, but without responses", len(people) - len(known)
        )
    return header[at]


def _separator(text: str) -> str:
    """The separator of the first line: the one that comes most often."""
    head = text.lstrip("\ufeff\r\n").partition("\n")[0]
    return max(SEPARATORS, key=head.count)


def _import_row(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the table has Qualtrics' three header rows."""
    return len(rows) > 3 and any("ImportId" in cell for cell in rows[2])


def _free(name: str, taken: Sequence[str]) -> str:
    return f"Prolific {name}" if name in taken else name


def _read_joined(joined: Path, column: str, options: ReadOptions) -> Imported:
    """Read the joined table by the reader that recognises it."""
    from crowdllm.exchange.importing import find_reader

    with joined.open(encoding="utf-8", newline="") as file:
        head = [row for row, _ in zip(csv.reader(file), range(4), strict=False)]
    reader = find_reader([joined], "qualtrics" if _import_row(head) else "")
    mapping = dict(options.mapping)
    if reader.name == "csv" and "participant" not in mapping:
        mapping["participant"] = column
    return reader.read([joined], ReadOptions(mapping, options.max_megabytes))


READER = Reader("prolific", "Prolific's demographic export with a file of responses", sniff, read)
